//! Runs jobs as child processes and reads the records that they report: one JSON object per line.
//!
//! A study runs each of its jobs in a separate process, which reports into the file of `--record FILE`. The outcome of the job
//! is read from that file, never from its exit code or from its output on the terminal.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use fn_eval::table::{bytes, clock};
use fn_train::collective::{launcher_variables, threads};
use fn_train::texts::Passes;
use serde::{Deserialize, Serialize};

/// One line of a record file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// What a dry run of pre-training measured.
    Estimate(Estimate),
    /// What `fnlm bench` measured.
    Timing(Timing),
    /// What `fnlm data speed` measured.
    Reading(Reading),
    /// What `fnlm babylm` or `fnlm probe replaced` measured.
    Figures(Vec<Measured>),
    /// How the process ended; always the last record.
    Ended(Ended),
}

/// What a pre-training run will need, measured in a few steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Mean seconds per step; None if no step was run.
    pub seconds_per_step: Option<f64>,
    /// Steps of the whole run.
    pub steps: u64,
    /// Peak resident memory so far, in bytes.
    pub memory_bytes: u64,
    /// Size of a checkpoint, in bytes.
    pub checkpoint_bytes: u64,
    /// Approximate disk space of the whole run, in bytes.
    pub disk_bytes: u64,
}

impl Estimate {
    /// [`text`](Self::text), with how often each training text is read by a run that draws `drawn` rows.
    pub fn text_of(&self, passes: &[Passes], drawn: u64) -> String {
        let lines = passes.iter().map(|of_text| format!("{}\n", of_text.expected(drawn)));
        self.text() + &lines.collect::<String>()
    }

    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let seconds = self.seconds_per_step.unwrap_or(f64::NAN);
        let steps = self.steps;
        format!(
            "one step: {seconds:.3} s; {steps} steps: about {}\n\
             memory so far: {}; a checkpoint: {}; disk for the run: about {}\n",
            clock(seconds * steps as f64),
            bytes(self.memory_bytes),
            bytes(self.checkpoint_bytes),
            bytes(self.disk_bytes),
        )
    }
}

/// Step times, in the order in which they were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Step times without and with hard correction.
    pub runs: Vec<Timed>,
    /// Peak resident memory, in bytes.
    pub memory_bytes: u64,
}

/// Time of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// Median seconds per step.
    pub seconds_per_step: f64,
    /// Tokens per second.
    pub tokens_per_second: f64,
}

/// Speed of preparing and reading text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Bytes of text per second; None if the text was already prepared.
    pub prepared_bytes_per_second: Option<f64>,
    /// Peak resident memory while preparing, in bytes.
    pub memory_bytes: u64,
    /// Throughput of the data loader, in tokens per second.
    pub tokens_per_second: f64,
}

/// A figure of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Its name, with the head that was measured.
    pub name: String,
    /// Its value; finite.
    pub value: f64,
}

impl Measured {
    /// The figures whose value is a number: JSON has no NaN.
    pub fn finite(figures: impl IntoIterator<Item = (String, f64)>) -> Vec<Self> {
        let finite = figures.into_iter().filter(|(_, value)| value.is_finite());
        finite.map(|(name, value)| Self { name, value }).collect()
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ended {
    /// The job finished.
    Done,
    /// A stop was requested.
    Stopped {
        /// Whether a checkpoint was saved from which the same command resumes.
        saved: bool,
    },
    /// The job failed.
    Failed {
        /// The error message.
        message: String,
        /// Whether the command line or the configuration is at fault.
        usage: bool,
    },
}

/// Why a process or its records cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The system cannot start the program or wait for it.
    #[error("cannot run {program}: {source}")]
    Run {
        /// The program.
        program: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The record file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation that failed, e.g. `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A line is not a valid record.
    #[error(
        "{path}: line {line}: found {found}, expected a record that `fnlm --record` of this version writes; is another version of the \
         program running?"
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// What is wrong with it.
        found: String,
    },
}

/// Appends a record to a file, creating it if needed.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, record: &Record) -> Result<(), ProcessError> {
    let io = |source| ProcessError::Io { action: "write", path: path.to_owned(), source };
    let mut line = serde_json::to_vec(record).map_err(|error| io(error.into()))?;
    line.push(b'\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
    file.write_all(&line).map_err(io)
}

/// Reads a record file; a missing file has no records.
///
/// # Errors
/// A file that cannot be read; an invalid line, with its number.
pub fn read(path: &Path) -> Result<Vec<Record>, ProcessError> {
    let io = |source| ProcessError::Io { action: "read", path: path.to_owned(), source };
    let file = match fn_core::files::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(io)?,
    };
    let mut records = Vec::new();
    for (index, text) in BufReader::new(file).lines().enumerate() {
        let wrong = |found: String| ProcessError::Record { path: path.to_owned(), line: index + 1, found };
        let text = text.map_err(|error| match error.kind() {
            ErrorKind::InvalidData => wrong("bytes that are not UTF-8".to_owned()),
            _ => io(error),
        })?;
        records.push(serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?);
    }
    Ok(records)
}

/// A process that has ended, with its records.
#[derive(Debug)]
pub struct Finished {
    /// Records that it reported.
    pub records: Vec<Record>,
    /// Whether this process asked it to stop.
    pub asked_to_stop: bool,
    status: ExitStatus,
}

impl Finished {
    /// How it ended, by its own record.
    pub fn ended(&self) -> Option<&Ended> {
        self.records.iter().rev().find_map(|record| match record {
            Record::Ended(ended) => Some(ended),
            _ => None,
        })
    }

    /// Its estimate, if it reported one.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.records.iter().find_map(|record| match record {
            Record::Estimate(estimate) => Some(estimate),
            _ => None,
        })
    }

    /// The figures of a model, if it reported some.
    pub fn figures(&self) -> Option<&[Measured]> {
        self.records.iter().find_map(|record| match record {
            Record::Figures(figures) => Some(&figures[..]),
            _ => None,
        })
    }

    /// Whether it ended because the disk or the memory is full: exit code 5 of `fnlm`.
    pub fn is_out_of_resources(&self) -> bool {
        self.status.code() == Some(5)
    }

    fn was_killed(&self) -> bool {
        #[cfg(unix)]
        return std::os::unix::process::ExitStatusExt::signal(&self.status) == Some(libc::SIGKILL);
        #[cfg(not(unix))]
        false
    }

    /// Why it did not finish, in words.
    pub fn failure(&self) -> String {
        match (self.ended(), self.status.code()) {
            (Some(Ended::Failed { message, .. }), _) => message.clone(),
            (Some(Ended::Stopped { .. }), _) => "it was stopped, and nothing was saved".to_owned(),
            (_, Some(code)) => {
                format!("ended with exit code {code} and did not report why; see its messages above")
            }
            (_, None) if self.was_killed() => {
                "it was killed (SIGKILL), which is what the system does where memory runs out: see `dmesg`; \
                 smaller train.batch or data.length need less"
                    .to_owned()
            }
            (_, None) => "ended by a signal".to_owned(),
        }
    }
}

/// Runs a process that reports into `record` to its end; asks it to stop once `stop` returns true. Records of an earlier process
/// are removed first.
///
/// # Errors
/// The process cannot be started; an invalid record, unless the process was killed while writing it.
pub fn run_to_end(
    mut command: Command,
    record: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<Finished, ProcessError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source| ProcessError::Run { program: program.clone(), source };
    match std::fs::remove_file(record) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(ProcessError::Io { action: "remove", path: record.to_owned(), source: error });
        }
        _ => {}
    }
    // If this process is one of several ranks, the child is none of them; it gets this one's share of the cores.
    launcher_variables().for_each(|name| _ = command.env_remove(name));
    if let Some(threads) = threads() {
        command.env("RAYON_NUM_THREADS", threads.to_string());
    }
    stop_with_this_process(&mut command);
    let mut child = command.arg("--record").arg(record).stdout(Stdio::null()).spawn().map_err(failed)?;
    let mut asked_to_stop = false;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if !asked_to_stop && stop() {
            asked_to_stop = true;
            ask_to_stop(&child);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let records = match read(record) {
        Err(ProcessError::Record { .. }) if status.code().is_none() => Vec::new(),
        records => records?,
    };
    let _ = std::fs::remove_file(record);
    Ok(Finished { records, asked_to_stop, status })
}

/// Asks a process that is to be started to stop, and to save, when this one dies, e.g. by SIGKILL: its messages would go nowhere, and whoever
/// repeats the command would find it at work.
#[cfg(target_os = "linux")]
fn stop_with_this_process(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let parent = std::process::id();
    // SAFETY: between fork and exec only `prctl`, `getppid` and `raise` are called, which are async-signal-safe; nothing is allocated.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            // It may have died before it could be asked for.
            if libc::getppid() as u32 != parent {
                libc::raise(libc::SIGTERM);
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn stop_with_this_process(_: &mut Command) {}

/// Sends a process the signal to stop.
fn ask_to_stop(child: &Child) {
    // SAFETY: `kill` only takes a process id and a number; the child is ours and has not been waited for.
    #[allow(unsafe_code)]
    unsafe {
        libc::kill(child.id() as i32, libc::SIGTERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record> {
        let estimate = Estimate {
            seconds_per_step: Some(0.1 + 0.2),
            steps: 7,
            memory_bytes: 1 << 40,
            checkpoint_bytes: 3,
            disk_bytes: 9,
        };
        let timed = Timed { seconds_per_step: 1e-7, tokens_per_second: 1.0 / 3.0 };
        let reading = Reading { prepared_bytes_per_second: None, memory_bytes: 5, tokens_per_second: 2.5 };
        let failed = |usage| Ended::Failed { message: "line 1\n\"two\" – drei".into(), usage };
        vec![
            Record::Estimate(estimate),
            Record::Estimate(Estimate { seconds_per_step: None, ..estimate }),
            Record::Timing(Timing { runs: vec![timed, timed], memory_bytes: 0 }),
            Record::Reading(reading),
            Record::Figures(Measured::finite([("a".to_owned(), 0.5), ("b".to_owned(), f64::NAN)])),
            Record::Ended(Ended::Done),
            Record::Ended(Ended::Stopped { saved: true }),
            Record::Ended(Ended::Stopped { saved: false }),
            Record::Ended(failed(true)),
            Record::Ended(failed(false)),
        ]
    }

    /// A shell script that gets `--record FILE` as `$0 $1`.
    fn shell(script: &str, record: &Path) -> Result<Finished, ProcessError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run_to_end(command, record, &|| false)
    }

    #[test]
    fn records_round_trip_one_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        assert!(read(&path).unwrap().is_empty(), "a missing file has no records");
        for record in all() {
            append(&path, &record).unwrap();
        }
        assert_eq!(read(&path).unwrap(), all());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), all().len());
    }

    #[test]
    fn invalid_records_are_errors_with_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        for (garbled, part) in [
            ("{\"verdict\":{}}", "unknown variant `verdict`"),
            ("{\"ended\":\"perhaps\"}", "unknown variant `perhaps`"),
            ("{\"ended\":{\"stopped\":{}}}", "missing field `saved`"),
            ("{\"estimate\":{\"steps\":1}}", "missing field"),
            ("{\"timing\":{\"runs\":[],\"memory_bytes\":1,\"more\":1}}", "unknown field `more`"),
            ("{\"ended\":\"do", "EOF"),
            ("one step: 0.1 s", "expected value"),
            ("", "EOF"),
        ] {
            std::fs::write(&path, format!("{{\"ended\":\"done\"}}\n{garbled}\n")).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(&error, ProcessError::Record { line: 2, .. }), "{error}");
            let text = error.to_string();
            let place = format!("{}: line 2: found ", path.display());
            assert!(text.starts_with(&place) && text.contains(part), "{text}");
        }
    }

    /// The system sends the signal where the thread ends that started the process.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_asked_to_stop_when_the_one_that_started_it_is_gone() {
        use std::os::unix::process::ExitStatusExt;
        let start = || {
            let mut command = Command::new("sleep");
            stop_with_this_process(command.arg("100"));
            command.spawn().unwrap()
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn only_records_say_how_a_process_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        append(&path, &Record::Ended(Ended::Done)).unwrap();
        let silent = shell("exit 75", &path).unwrap();
        assert_eq!(silent.ended(), None, "what an earlier process reported does not count");
        assert!(silent.failure().contains("exit code 75 and did not report why"), "{}", silent.failure());
        let stopped = r#"printf '{"ended":{"stopped":{"saved":true}}}\n' > "$1"; exit 3"#;
        assert_eq!(shell(stopped, &path).unwrap().ended(), Some(&Ended::Stopped { saved: true }));
        assert!(!path.exists(), "records are removed after reading");
        let garbled = shell(r#"echo done > "$1""#, &path).unwrap_err();
        assert!(matches!(garbled, ProcessError::Record { line: 1, .. }), "{garbled}");
        // Killed while writing: the incomplete line is not an error.
        let killed = shell(r#"printf '{"end' > "$1"; kill -9 $$"#, &path).unwrap();
        assert!(
            killed.ended().is_none() && killed.failure().contains("where memory runs out"),
            "{}",
            killed.failure()
        );
        let ended = shell("kill -15 $$", &path).unwrap();
        assert_eq!((ended.ended(), ended.failure().as_str()), (None, "ended by a signal"));
    }
}
