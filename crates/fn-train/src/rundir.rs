//! The run directory: the files of a run, and what is needed to repeat it.
//!
//! ```text
//! run/
//!   config.toml        resolved configuration, each value with its origin (preset, file, option)
//!   command.txt        every command that was run on this directory, oldest first
//!   environment.json   versions, backends, device, threads and machine of the last start
//!   metrics.jsonl      training steps and evaluations
//!   events.*           the same for TensorBoard
//!   checkpoints/step-00000500/
//!   model/             the trained model in the Hugging Face layout, written at the end of the run
//! ```

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fn_core::files::write_atomic;
use serde_json::{Value, json};

use crate::checkpoint::{self, CheckpointError, Checkpoints};
use crate::config::{self, ConfigError, Resolved, RunConfig, differences, keys};
use crate::lock;

/// Name of the resolved configuration.
pub const CONFIG: &str = "config.toml";
/// Name of the list of commands.
pub const COMMAND: &str = "command.txt";
/// Name of the file that describes machine and program.
pub const ENVIRONMENT: &str = "environment.json";
/// Name of the file of metrics.
pub const METRICS: &str = "metrics.jsonl";
/// Name of the folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// Name of the folder of the trained model.
pub const MODEL: &str = "model";

/// The command line of this process, quoted for a shell.
pub fn command_line() -> String {
    let quote = |argument: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    };
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_default();
    let program =
        Path::new(&program).file_name().map_or(program.clone(), |name| name.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).map(quote).collect::<Vec<_>>().join(" ")
}

/// Description of the program, for [`ENVIRONMENT`].
#[derive(Debug, Clone)]
pub struct Program {
    /// Backends that are compiled in.
    pub backends: Vec<&'static str>,
    /// The processor.
    pub processor: Value,
}

impl Program {
    /// Contents of [`ENVIRONMENT`].
    fn environment(&self, run: &RunConfig) -> Value {
        json!({
            "fnlm": env!("CARGO_PKG_VERSION"),
            "burn": "0.22.1",
            "backends": self.backends,
            "device": run.train.device,
            "dtype": run.train.dtype,
            "seed": run.seed,
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "processor": self.processor,
            "folder": std::env::current_dir().ok().map(|dir| dir.display().to_string()),
            "started": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        })
    }
}

/// Errors of run directories.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RundirError {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The configuration cannot be read or written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A checkpoint that cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path is a file instead of a directory.
    #[error("--run {path} is a file; name a folder")]
    IsFile {
        /// The file.
        path: PathBuf,
    },
    /// All numbered names beside the directory are in use.
    #[error("{path} and all numbered names beside it exist already")]
    AllTaken {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds other files than a run.
    #[error(
        "{path} is not empty and holds no run; choose another --run, or --new for a fresh directory beside it"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// There is no checkpoint to resume from.
    #[error("{path} is neither a run with a checkpoint nor a checkpoint (a folder with manifest.json)")]
    NoCheckpoint {
        /// The path that was given.
        path: PathBuf,
    },
    /// A checkpoint outside of a run directory.
    #[error(
        "{path} is a checkpoint outside of a run directory; the config.toml of the run is needed: keep the checkpoint in run/checkpoints/"
    )]
    OutsideOfRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// Neither a run nor a checkpoint.
    #[error(
        "{path} is neither a run directory (no config.toml) nor a checkpoint (no manifest.json); give the directory of `fnlm pretrain --run`"
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A run without a checkpoint.
    #[error("{path} holds no checkpoint yet; run `fnlm pretrain` first")]
    NoneYet {
        /// The folder of checkpoints.
        path: PathBuf,
    },
    /// The directory holds a run with another configuration.
    #[error(
        "{path} holds a run with another configuration:\n{list}\nTo resume it, repeat its command (see {command}); to start \
         anew, choose another --run or add --new; to change it on purpose, add {flags}"
    )]
    OtherConfiguration {
        /// The run directory.
        path: PathBuf,
        /// Keys with both values, one on each line.
        list: String,
        /// File with the commands of the run.
        command: PathBuf,
        /// The options that allow the change.
        flags: String,
    },
}

impl RundirError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Writes configuration, command and environment of a run that starts or is resumed.
///
/// # Errors
/// The folder cannot be created or written.
pub fn describe(dir: &Path, resolved: &Resolved, program: &Program) -> Result<(), RundirError> {
    describe_run(dir, resolved, &resolved.to_toml(), program)
}

/// [`describe`] for a configuration without the origins of its values.
///
/// # Errors
/// The folder cannot be created or written.
pub fn write(dir: &Path, run: &RunConfig, program: &Program) -> Result<(), RundirError> {
    describe_run(dir, run, &config::text(run)?, program)
}

fn describe_run(dir: &Path, run: &RunConfig, text: &str, program: &Program) -> Result<(), RundirError> {
    std::fs::create_dir_all(dir).map_err(RundirError::io("create", dir))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        write_atomic(&path, bytes).map_err(RundirError::io("write", &path))
    };
    write(CONFIG, text.as_bytes())?;
    note_command(dir)?;
    write(ENVIRONMENT, format!("{:#}\n", program.environment(run)).as_bytes())
}

/// Appends the command line of this process to [`COMMAND`] in a folder, unless it is the last line already.
///
/// # Errors
/// The file cannot be written.
pub fn note_command(dir: &Path) -> Result<(), RundirError> {
    let path = dir.join(COMMAND);
    let mut commands = fn_core::files::read_to_string(&path).unwrap_or_default();
    let command = command_line();
    if commands.lines().next_back() == Some(command.as_str()) {
        return Ok(());
    }
    commands.push_str(&command);
    commands.push('\n');
    write_atomic(&path, commands.as_bytes()).map_err(RundirError::io("write", &path))
}

/// The keys that differ, with both values; without keys that do not change numbers (see [`keys::effect`]) and those in
/// `allowed`.
pub fn unlike(before: &RunConfig, now: &RunConfig, allowed: &[String]) -> Vec<(String, String, String)> {
    let matters = |key: &str| {
        keys::effect(key).changes_numbers()
            && !allowed.iter().map(|allowed| keys::current_name(allowed)).any(|allowed| {
                key.strip_prefix(&*allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
    };
    differences(before, now).into_iter().filter(|(key, _, _)| matters(key)).collect()
}

/// Compares the configuration of a run directory with the current one.
///
/// # Errors
/// Keys that change numbers differ and are not in `allowed`; the old configuration cannot be read.
pub fn check_same(dir: &Path, now: &RunConfig, allowed: &[String]) -> Result<(), RundirError> {
    let path = dir.join(CONFIG);
    if !path.exists() {
        return Ok(());
    }
    let before = config::read(&path)?;
    let wrong = unlike(&before, now, allowed);
    if wrong.is_empty() {
        return Ok(());
    }
    let list: Vec<String> =
        wrong.iter().map(|(key, old, new)| format!("  {key}: {old} in {CONFIG}, {new} now")).collect();
    let flags: Vec<String> = wrong.iter().map(|(key, _, _)| format!("--allow-change {key}")).collect();
    Err(RundirError::OtherConfiguration {
        path: dir.to_owned(),
        list: list.join("\n"),
        command: dir.join(COMMAND),
        flags: flags.join(" "),
    })
}

/// Whether the run has a checkpoint or metrics. A checkpoint is written before the first step.
pub fn has_started(dir: &Path) -> bool {
    let saved = dir.join(CHECKPOINTS).read_dir().is_ok_and(|mut entries| entries.next().is_some());
    saved || dir.join(METRICS).metadata().is_ok_and(|metrics| metrics.len() > 0)
}

/// The directory of a run: `run`, or with `new` the first unused numbered name beside it. A directory with other files than a
/// run is an error.
///
/// # Errors
/// A file, or a folder with other files.
pub fn choose(run: &Path, new: bool) -> Result<PathBuf, RundirError> {
    if run.exists() && !run.is_dir() {
        return Err(RundirError::IsFile { path: run.to_owned() });
    }
    // A directory that holds only a lock file is left by a start that failed early.
    let used = |dir: &Path| {
        dir.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != lock::FILE))
    };
    if new && used(run) {
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut beside = (2..10_000).map(|n| run.with_file_name(format!("{name}-{n}")));
        let free = beside.find(|dir| !used(dir));
        return free.ok_or_else(|| RundirError::AllTaken { path: run.to_owned() });
    }
    if used(run) && !run.join(CONFIG).exists() {
        return Err(RundirError::Foreign { path: run.to_owned() });
    }
    Ok(run.to_owned())
}

/// Copies a checkpoint, or the newest one of another run, into the run directory `dir`, where the session finds and verifies
/// it.
///
/// # Errors
/// Neither a run with a checkpoint nor a checkpoint; a file that cannot be copied.
pub fn bring_checkpoint(from: &Path, dir: &Path) -> Result<(), RundirError> {
    let checkpoint = if from.join(CHECKPOINTS).is_dir() {
        Checkpoints::new(from.join(CHECKPOINTS), 1, false).latest()?.map(|found| found.path)
    } else {
        from.join(checkpoint::MANIFEST).exists().then(|| from.to_owned())
    };
    let Some(checkpoint) = checkpoint else {
        return Err(RundirError::NoCheckpoint { path: from.to_owned() });
    };
    let target = dir.join(CHECKPOINTS).join(checkpoint.file_name().unwrap_or_default());
    if target.exists() {
        return Ok(()); // the run's own checkpoint
    }
    std::fs::create_dir_all(&target).map_err(RundirError::io("create", &target))?;
    for entry in checkpoint.read_dir().map_err(RundirError::io("read", &checkpoint))? {
        let path = entry.map_err(RundirError::io("read", &checkpoint))?.path();
        let to = target.join(path.file_name().unwrap_or_default());
        std::fs::copy(&path, &to).map_err(RundirError::io("write", &to))?;
    }
    Ok(())
}

/// A checkpoint and its run.
#[derive(Debug)]
pub struct Found {
    /// The run directory.
    pub run: PathBuf,
    /// The checkpoint's folder.
    pub checkpoint: PathBuf,
    /// Messages for the user, e.g. about newer checkpoints that are damaged.
    pub notices: Vec<String>,
}

/// Finds the checkpoint for a path: the checkpoint itself, or of a run directory the best one by its evaluation. With `newest`,
/// or if there was no evaluation, it is the newest one.
///
/// # Errors
/// A checkpoint outside of a run, a folder that is neither, a run without a checkpoint that can be read.
pub fn find_checkpoint(from: &Path, newest: bool) -> Result<Found, RundirError> {
    if from.join(checkpoint::MANIFEST).exists() {
        let Some(run) = of_checkpoint(from) else {
            return Err(RundirError::OutsideOfRun { path: from.to_owned() });
        };
        return Ok(Found { run, checkpoint: from.to_owned(), notices: Vec::new() });
    }
    if !from.join(CONFIG).exists() {
        return Err(RundirError::NoRun { path: from.to_owned() });
    }
    let checkpoints = Checkpoints::new(from.join(CHECKPOINTS), 1, false);
    let Some(found) = checkpoints.latest()? else {
        return Err(RundirError::NoneYet { path: from.join(CHECKPOINTS) });
    };
    let best = if newest { None } else { checkpoint::load(&found.path)?.state.best };
    let best = best.and_then(|best| checkpoints.best(&best));
    let checkpoint = best.unwrap_or(found.path);
    Ok(Found { run: from.to_owned(), checkpoint, notices: found.notices })
}

/// The run directory of a checkpoint folder `run/checkpoints/step-...`.
pub fn of_checkpoint(checkpoint: &Path) -> Option<PathBuf> {
    let checkpoints = checkpoint.parent()?;
    (checkpoints.file_name()? == CHECKPOINTS).then(|| checkpoints.parent().map(Path::to_path_buf))?
}

/// The held-out metrics of the last evaluation at or before a step, by name.
pub fn metrics_at(dir: &Path, step: u64) -> Vec<(String, f64)> {
    let text = fn_core::files::read_to_string(&dir.join(METRICS)).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let of_evaluation = record.get("kind").and_then(Value::as_str) == Some("evaluation");
        let early = record.get("step").and_then(Value::as_u64).is_some_and(|at| at <= step);
        if let (true, true, Some(Value::Object(metrics))) = (of_evaluation, early, record.get("metrics")) {
            found = metrics
                .iter()
                .map(|(name, value)| (name.clone(), value.as_f64().unwrap_or(f64::NAN)))
                .collect();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CorrectionConfig, CorrectionPreset};

    fn start(dir: &Path, run: &RunConfig) {
        let program = Program { backends: vec!["flex"], processor: Value::Null };
        write(dir, run, &program).unwrap();
    }

    #[test]
    fn a_run_directory_holds_configuration_command_and_environment() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunConfig::default();
        start(dir.path(), &run);
        start(dir.path(), &run);
        assert_eq!(config::read(&dir.path().join(CONFIG)).unwrap(), run);
        let commands = std::fs::read_to_string(dir.path().join(COMMAND)).unwrap();
        assert_eq!(commands.lines().count(), 1, "the same command twice is one line: {commands}");
        let environment: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.path().join(ENVIRONMENT)).unwrap()).unwrap();
        assert_eq!(environment["seed"], 1);
    }

    #[test]
    fn resuming_with_another_configuration_is_an_error_that_names_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunConfig::default();
        start(dir.path(), &run);
        let mut other = run.clone();
        other.data.workers = 7;
        check_same(dir.path(), &other, &[]).unwrap();
        other.train.batch = 3;
        let error = check_same(dir.path(), &other, &[]).unwrap_err();
        assert!(matches!(error, RundirError::OtherConfiguration { .. }));
        assert!(error.to_string().contains("train.batch: 128 in config.toml, 3 now"), "{error}");
        assert!(error.to_string().contains("--allow-change train.batch"), "{error}");
        check_same(dir.path(), &other, &["train.batch".to_string()]).unwrap();
        check_same(dir.path(), &other, &["train".to_string()]).unwrap();
    }

    #[test]
    fn a_run_with_old_names_of_keys_can_be_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let mut run = RunConfig {
            correction: CorrectionConfig::preset(CorrectionPreset::Soft),
            ..RunConfig::default()
        };
        start(dir.path(), &run);
        let path = dir.path().join(CONFIG);
        let text = std::fs::read_to_string(&path).unwrap();
        let old = text
            .replace("[correction.masked_lm]", "[correction.generator]")
            .replace("masked_lm_weight", "generator_weight");
        assert_eq!(old.matches("generator]").count() + old.matches("\ngenerator_weight").count(), 2, "{old}");
        std::fs::write(&path, old).unwrap();
        assert_eq!(config::read(&path).unwrap(), run);
        check_same(dir.path(), &run, &[]).unwrap();
        run.train.masked_lm_weight = 2.0;
        assert!(check_same(dir.path(), &run, &[]).is_err());
        check_same(dir.path(), &run, &["train.generator_weight".to_owned()]).unwrap();
    }

    #[test]
    fn a_run_has_started_if_it_has_a_checkpoint_or_metrics() {
        let dir = tempfile::tempdir().unwrap();
        start(dir.path(), &RunConfig::default());
        std::fs::write(dir.path().join(METRICS), "").unwrap();
        std::fs::create_dir(dir.path().join(CHECKPOINTS)).unwrap();
        assert!(!has_started(dir.path()));
        std::fs::create_dir(dir.path().join(CHECKPOINTS).join("step-00000000")).unwrap();
        assert!(has_started(dir.path()));
    }

    #[test]
    fn the_synthetic_stage_is_compared_when_a_run_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunConfig::default();
        start(dir.path(), &run);
        // A run of an earlier version without this section.
        let path = dir.path().join(CONFIG);
        let text = std::fs::read_to_string(&path).unwrap();
        let from = text.find("[data.synthetic]").unwrap();
        let to = from + text[from..].find("\n\n").unwrap();
        std::fs::write(&path, format!("{}{}", &text[..from], &text[to..])).unwrap();
        check_same(dir.path(), &run, &[]).unwrap();
        let mut other = run;
        other.data.synthetic.kind = crate::config::SyntheticKind::ShuffleDyck;
        other.data.synthetic.steps = 5;
        let error = check_same(dir.path(), &other, &[]).unwrap_err().to_string();
        assert!(error.contains("data.synthetic.steps: 0 in config.toml, 5 now"), "{error}");
        assert!(error.contains("--allow-change data.synthetic.kind"), "{error}");
    }

    #[test]
    fn metrics_at_returns_the_last_evaluation_before_a_step() {
        let dir = tempfile::tempdir().unwrap();
        let lines = concat!(
            "{\"kind\":\"evaluation\",\"step\":10,\"metrics\":{\"masked_accuracy\":0.1}}\n",
            "{\"kind\":\"step\",\"step\":20}\n",
            "{\"kind\":\"evaluation\",\"step\":20,\"metrics\":{\"masked_accuracy\":0.2}}\n",
            "{\"kind\":\"evaluation\",\"step\":30,\"metrics\":{\"masked_accuracy\":0.3}}\n",
            "{\"kind\":\"eval"
        );
        std::fs::write(dir.path().join(METRICS), lines).unwrap();
        assert_eq!(metrics_at(dir.path(), 25), [("masked_accuracy".to_string(), 0.2)]);
        assert!(metrics_at(dir.path(), 5).is_empty());
    }

    #[test]
    fn of_checkpoint_returns_the_run_directory() {
        let path = Path::new("runs/a/checkpoints/step-00000500");
        assert_eq!(of_checkpoint(path), Some(PathBuf::from("runs/a")));
        assert_eq!(of_checkpoint(Path::new("elsewhere/step-00000500")), None);
    }
}
