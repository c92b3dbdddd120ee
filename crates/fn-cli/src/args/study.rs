//! `fnlm study ...` as it can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, WriteArgs};

/// `fnlm study`.
#[derive(Debug, Subcommand)]
pub enum StudyCommand {
    /// Run what is missing: pre-train every arm with every seed, fine-tune every model.
    Run(StudyRunArgs),
    /// Compare the arms: a page (HTML) and a table (Markdown).
    Report(StudyReportArgs),
    /// Measure when hard correction helps and when it hurts, on generated languages whose false negatives are known.
    Truth(StudyTruthArgs),
    /// Measure what correcting the discriminator gains by how many replacements fit and by how good the judge is.
    Dose(StudyDoseArgs),
}

/// `fnlm study run`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm study run studies/quick.toml --dry-run      what would be run, and about how long it takes
  fnlm study run studies/quick.toml                the same command resumes after any stop
  fnlm study run studies/quick.toml --arm baseline --arm hard
  fnlm study run studies/quick.toml --part 2/3     the second third, on another machine with the same folder")]
pub struct StudyRunArgs {
    /// The description of the study (TOML).
    #[arg(value_name = "FILE")]
    pub study: PathBuf,
    /// Folder of all runs. [default: study-NAME]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Check everything, print what would be run and an estimate of the time, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Print what --dry-run finds as JSON.
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Only the i-th of n equal parts.
    #[arg(long, value_name = "i/n")]
    pub part: Option<String>,
    /// Only this arm (repeatable). [default: all]
    #[arg(long = "arm", value_name = "NAME")]
    pub arms: Vec<String>,
    /// Set one key for all arms (repeatable; takes precedence over the description).
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm study report`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm study report studies/quick.toml > table.md      the page is study-quick/report.html")]
pub struct StudyReportArgs {
    /// The description of the study (TOML).
    #[arg(value_name = "FILE")]
    pub study: PathBuf,
    /// Folder of all runs. [default: study-NAME]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The page to write. [default: report.html in the folder of all runs]
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Of --html.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm study truth`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm study truth --out truth > truth.md      truth/truth.svg is the figure; resumes after any stop")]
pub struct StudyTruthArgs {
    /// Folder of all runs.
    #[arg(long, short, value_name = "DIR", default_value = "study-truth")]
    pub out: PathBuf,
    /// Only this property of the language: set-size, share, polysemy, coverage or wrong (repeatable). [default: all]
    #[arg(long = "dial", value_name = "NAME")]
    pub dials: Vec<String>,
    /// Optimiser steps of each run.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub steps: u64,
    /// Seeds for each value of each property.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub seeds: u64,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm study dose`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm study dose --out dose > dose.md      dose/dose.svg is the figure; resumes after any stop")]
pub struct StudyDoseArgs {
    /// Folder of records, table and figure.
    #[arg(long, short, value_name = "DIR", default_value = "study-dose")]
    pub out: PathBuf,
    /// Percent of the replacements that fit (repeatable). [default: 5, 15, 28 and 42]
    #[arg(long = "share", value_name = "PERCENT")]
    pub shares: Vec<u32>,
    /// Only these arms: bounds, masked-lm, generator, random or plausible (repeatable). [default: all]
    #[arg(long = "part", value_name = "PART")]
    pub parts: Vec<fn_study::dose::Part>,
    /// Optimiser steps of each run.
    #[arg(long, value_name = "N", default_value_t = fn_study::dose::STEPS)]
    pub steps: u64,
    /// Seeds of each share and arm.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub seeds: u64,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

super::flags!(StudyDoseArgs);
super::flags!(StudyRunArgs);
super::flags!(StudyReportArgs);
super::flags!(StudyTruthArgs);
super::flags!(StudyCommand::{Run, Report, Truth, Dose});
