//! Errors of the command line, and the exit code of each.
//!
//! The exit code is part of the interface: a script can restart on 75, stop on 2 and 3, and alert somebody on 4.
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | any other failure |
//! | 2 | usage or configuration |
//! | 3 | bad input file or checkpoint |
//! | 4 | training diverged |
//! | 5 | out of disk or memory |
//! | 75 | stopped by a signal **and saved**: run the same command again |
//! | 128+n | stopped by signal n without saving |

mod convert;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::run::support;

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Finished: exit code 0.
    Done,
    /// Stopped by a signal. If a checkpoint was saved, the exit code is 75 and the same command resumes; otherwise 128 + the
    /// signal.
    Stopped {
        /// Whether there is a checkpoint to resume from.
        saved: bool,
    },
}

impl Outcome {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Stopped { saved: true } => 75,
            Self::Stopped { saved: false } => CliError::Interrupted(support::signal()).code(),
        }
    }
}

/// The cause under an error, shown by `--verbose`.
pub type Cause = Box<dyn Error + Send + Sync + 'static>;

/// A failed command. Messages say what, where, what was found and expected, and what to type next.
#[derive(Debug)]
#[non_exhaustive]
pub enum CliError {
    /// The command line or the configuration is wrong (2).
    Usage(String),
    /// A file, folder or checkpoint is missing or damaged (3).
    Input(String, Option<Cause>),
    /// Training diverged (4).
    Diverged(String),
    /// The disk or the memory is full (5).
    Resources(String, Option<Cause>),
    /// Stopped by this signal with nothing saved (128+n).
    Interrupted(i32),
    /// A file operation failed (1; 5 if the disk is full).
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Anything else (1).
    Failed(String, Option<Cause>),
}

impl CliError {
    /// A usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// An input error without a cause.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into(), None)
    }

    /// Any other error without a cause.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into(), None)
    }

    /// An input error with its cause; a full disk or exhausted memory anywhere below makes it [`CliError::Resources`].
    pub fn input_from(error: impl Error + Send + Sync + 'static) -> Self {
        if out_of_resources(&error) {
            return Self::resources_from(error);
        }
        if has_io_error(&error, |io| matches!(io.raw_os_error(), Some(libc::EIO | libc::EINTR))) {
            return Self::Failed(error.to_string(), Some(Box::new(error))); // the disk's fault, not the file's
        }
        Self::Input(error.to_string(), Some(Box::new(error)))
    }

    /// A failure with its cause; a full disk or exhausted memory anywhere below makes it [`CliError::Resources`].
    pub fn failed_from(error: impl Error + Send + Sync + 'static) -> Self {
        if out_of_resources(&error) {
            return Self::resources_from(error);
        }
        Self::Failed(error.to_string(), Some(Box::new(error)))
    }

    fn resources_from(error: impl Error + Send + Sync + 'static) -> Self {
        let message = format!("{error}; free some room (`df -h`, `free -h`) and run the same command again");
        Self::Resources(message, Some(Box::new(error)))
    }

    /// An error of the operating system on `path` while doing `what` ("read", "write", "create").
    pub fn io(what: &str, path: &Path, error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = path.display();
        let message = match error.kind() {
            ErrorKind::NotFound => {
                format!("cannot {what} {path}: it does not exist; check the spelling with `ls`")
            }
            ErrorKind::PermissionDenied => format!("cannot {what} {path}: no permission; see `ls -l`"),
            _ => format!("cannot {what} {path}: {error}"),
        };
        if out_of_resources(&error) {
            return Self::Resources(format!("{message}; see `df -h`"), Some(Box::new(error)));
        }
        match what {
            "read" | "open" => Self::Input(message, Some(Box::new(error))),
            _ => Self::Failed(message, Some(Box::new(error))),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Input(..) => 3,
            Self::Diverged(_) => 4,
            Self::Resources(..) => 5,
            Self::Io { source, .. } if out_of_resources(source) => 5,
            Self::Io { .. } => 1,
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(255),
            Self::Failed(..) => 1,
        }
    }

    /// The chain of causes, outermost first, without those that the message already contains.
    pub fn causes(&self) -> Vec<String> {
        let first: Option<&(dyn Error + 'static)> = match self {
            Self::Input(_, cause) | Self::Resources(_, cause) | Self::Failed(_, cause) => {
                cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
            }
            _ => None,
        };
        let message = self.to_string();
        chain(first).map(ToString::to_string).filter(|cause| !message.contains(cause.as_str())).collect()
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message)
            | Self::Input(message, _)
            | Self::Diverged(message)
            | Self::Resources(message, _)
            | Self::Failed(message, _) => f.write_str(message),
            Self::Io { path, source } => write!(
                f,
                "{}: {source}; check that the folder exists, may be written to and has room (`df -h`)",
                path.display()
            ),
            Self::Interrupted(signal) => {
                write!(f, "stopped by signal {signal}; nothing was saved, run the same command again")
            }
        }
    }
}

impl Error for CliError {}

/// An error and its chain of causes.
fn chain<'a>(first: Option<&'a (dyn Error + 'static)>) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = first;
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Whether an error or one of its causes is a full disk or memory.
pub fn out_of_resources(error: &(dyn Error + 'static)) -> bool {
    use std::io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
    has_io_error(error, |io| matches!(io.kind(), StorageFull | OutOfMemory | QuotaExceeded | FileTooLarge))
}

/// Whether an error or one of its causes is such an error of the operating system.
fn has_io_error(error: &(dyn Error + 'static), is: fn(&std::io::Error) -> bool) -> bool {
    chain(Some(error)).any(|error| {
        let io = error.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| is(io) || io.get_ref().is_some_and(|inner| has_io_error(inner, is)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_code() {
        assert_eq!(Outcome::Done.code(), 0);
        assert_eq!(Outcome::Stopped { saved: true }.code(), 75);
        assert_eq!(Outcome::Stopped { saved: false }.code(), 130);
        assert_eq!(CliError::failed("x").code(), 1);
        assert_eq!(CliError::usage("x").code(), 2);
        assert_eq!(CliError::input("x").code(), 3);
        assert_eq!(CliError::Diverged("x".into()).code(), 4);
        assert_eq!(CliError::Resources("x".into(), None).code(), 5);
        assert_eq!(CliError::Interrupted(15).code(), 143);
        assert_eq!(CliError::Interrupted(2).code(), 130);
    }

    #[test]
    fn a_full_disk_below_another_error_is_code_5() {
        let full = std::io::Error::from_raw_os_error(libc::ENOSPC);
        assert_eq!(CliError::input_from(full).code(), 5);
        let wrapped = std::io::Error::other(std::io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(CliError::failed_from(wrapped).code(), 5);
        assert_eq!(CliError::failed_from(std::io::Error::other("x")).code(), 1);
        assert_eq!(CliError::input_from(std::io::Error::from_raw_os_error(libc::EIO)).code(), 1);
        assert_eq!(CliError::input_from(std::io::Error::other("x")).code(), 3);
    }

    #[test]
    fn causes_do_not_repeat_the_message() {
        let error = CliError::input_from(std::io::Error::other("it broke"));
        assert!(error.causes().is_empty());
        let error = CliError::Failed("outer".into(), Some(Box::new(std::io::Error::other("inner"))));
        assert_eq!(error.causes(), ["inner"]);
    }
}
