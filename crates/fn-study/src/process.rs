//! Processes of this program, and what they report in records: JSON, one a line.
//!
//! A study runs each of its jobs in a process of its own, which writes its records to the file of `--record FILE`. The result of
//! the job is read from there, never from its exit code or from what it prints for people.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One line of a file of records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// What a dry run of pre-training measured.
    Estimate(Estimate),
    /// What `fnlm bench` measured.
    Timing(Timing),
    /// What `fnlm data speed` measured.
    Reading(Reading),
    /// How the process ended; always the last record.
    Ended(Ended),
}

/// What a run of pre-training will need, measured in a few steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Mean seconds of a step; None when no step was taken.
    pub seconds_per_step: Option<f64>,
    /// Steps of the whole run.
    pub steps: u64,
    /// Largest resident set so far, in bytes.
    pub memory_bytes: u64,
    /// Bytes of a checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes on disk of the whole run, about.
    pub disk_bytes: u64,
}

/// Times of steps, in the order in which they were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Without and with hard correction.
    pub runs: Vec<Timed>,
    /// Largest resident set, in bytes.
    pub memory_bytes: u64,
}

/// Time of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// Median.
    pub seconds_per_step: f64,
    /// Ids a second.
    pub tokens_per_second: f64,
}

/// Speed of preparing and reading text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Bytes of text a second; None where the text had been prepared before.
    pub prepared_bytes_per_second: Option<f64>,
    /// Largest resident set while preparing, in bytes.
    pub memory_bytes: u64,
    /// Ids a second that the loader hands out.
    pub tokens_per_second: f64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ended {
    /// All is done.
    Done,
    /// A stop was asked for.
    Stopped {
        /// Whether the same command goes on from there.
        saved: bool,
    },
    /// It failed.
    Failed {
        /// The error in words.
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
        /// What the system says.
        source: std::io::Error,
    },
    /// The file of records cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line that is no record.
    #[error(
        "{path}: line {line}: found {found}, expected a record that `fnlm --record` of this version writes; is another version of the \
         program running?"
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        found: String,
    },
}

/// Adds a record to a file, which is made if it is not there.
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

/// Reads a file of records; one that is not there has none.
///
/// # Errors
/// A file that cannot be read; a line that is no record, by its number.
pub fn read(path: &Path) -> Result<Vec<Record>, ProcessError> {
    let io = |source| ProcessError::Io { action: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
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

/// What became of a process.
#[derive(Debug)]
pub struct Finished {
    /// What it reported.
    pub records: Vec<Record>,
    /// Whether it was asked to stop.
    pub asked_to_stop: bool,
    status: ExitStatus,
}

impl Finished {
    /// How it ended, by its own report.
    pub fn ended(&self) -> Option<&Ended> {
        self.records.iter().rev().find_map(|record| match record {
            Record::Ended(ended) => Some(ended),
            _ => None,
        })
    }

    /// What it measured.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.records.iter().find_map(|record| match record {
            Record::Estimate(estimate) => Some(estimate),
            _ => None,
        })
    }

    /// Why it is not done, in words.
    pub fn failure(&self) -> String {
        match (self.ended(), self.status.code()) {
            (Some(Ended::Failed { message, .. }), _) => message.clone(),
            (Some(Ended::Stopped { .. }), _) => "it was stopped, and nothing was saved".to_owned(),
            (_, Some(code)) => {
                format!("ended with exit code {code} and did not report why; its messages stand above")
            }
            (_, None) => "ended by a signal".to_owned(),
        }
    }
}

/// Runs a process that reports into `record` to its end, which is asked of it when `stop` says so. What an earlier process
/// reported there is removed first.
///
/// # Errors
/// It cannot be started; a record that is none, unless the process was killed while it wrote.
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

/// Asks a process to stop.
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
            Record::Ended(Ended::Done),
            Record::Ended(Ended::Stopped { saved: true }),
            Record::Ended(Ended::Stopped { saved: false }),
            Record::Ended(failed(true)),
            Record::Ended(failed(false)),
        ]
    }

    /// A shell that is handed `--record FILE` as `$0 $1`.
    fn shell(script: &str, record: &Path) -> Result<Finished, ProcessError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run_to_end(command, record, &|| false)
    }

    #[test]
    fn records_round_trip_one_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        assert!(read(&path).unwrap().is_empty(), "a file that is not there has none");
        for record in all() {
            append(&path, &record).unwrap();
        }
        assert_eq!(read(&path).unwrap(), all());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), all().len());
    }

    #[test]
    fn what_is_no_record_is_an_error_that_names_file_and_line() {
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
        assert!(!path.exists(), "records are removed when they were read");
        let garbled = shell(r#"echo done > "$1""#, &path).unwrap_err();
        assert!(matches!(garbled, ProcessError::Record { line: 1, .. }), "{garbled}");
        // Killed while it wrote: no error of the file's.
        let killed = shell(r#"printf '{"end' > "$1"; kill -9 $$"#, &path).unwrap();
        assert_eq!((killed.ended(), killed.failure().as_str()), (None, "ended by a signal"));
    }
}
