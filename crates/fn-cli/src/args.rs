//! The command line: commands, options and their help. [`crate::run`] carries the commands out.

#![allow(rustdoc::broken_intra_doc_links)] // these comments are help texts: [MASK] means what it says

mod babylm;
mod bench;
mod config;
mod data;
mod lexicon;
mod probe;
mod robust;
mod study;
mod task;

use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use clap_complete::Shell;

use crate::run::Command;

pub use babylm::BabylmArgs;
pub use bench::{BenchArgs, DtypeArg};
pub use config::{ConfigArgs, ConfigCheckArgs, ConfigCommand, ConfigNewArgs, ConfigShowArgs};
pub use data::{
    DataCommand, DataInspectArgs, DataPrepareArgs, DataSpeedArgs, TextArgs, TokenizerCommand,
    TokenizerTrainArgs,
};
pub use lexicon::{
    InflectionsArg, LexiconBuildArgs, LexiconCommand, LexiconPlaceboArgs, LexiconPreset, LexiconShowArgs,
    LexiconStatsArgs, PosArg,
};
pub use probe::{
    ProbeCommand, ProbeEmbeddingsArgs, ProbeFalseNegativesArgs, ProbeJudgeArgs, ProbeOlmpicsArgs,
    ProbeReplacedArgs, ProbeSubstitutionArgs,
};
pub use robust::RobustArgs;
pub use study::{StudyCommand, StudyDoseArgs, StudyReportArgs, StudyRunArgs, StudyTruthArgs};
pub use task::{
    FinetuneArgs, FitArgs, FormatArgs, GlueArgs, ImportArgs, PredictArgs, RecipeName, ScoreArgs, SplitArg,
    SquadArgs, SubmitArgs,
};

/// Pre-train BERT and ELECTRA on true negatives.
///
/// A prediction that differs from the original word may still be right: "glad" for "happy". fnlm finds such false
/// negatives while it pre-trains, and leaves them out of the loss or softens it.
#[derive(Debug, Parser)]
#[command(name = "fnlm", version, max_term_width = 100, after_help = AFTER, after_long_help = AFTER_LONG)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "Start here:  fnlm quickstart        three short runs and a table, about three minutes
             fnlm doctor            what works on this machine
             fnlm help-all          every option of every command";

const AFTER_LONG: &str = "Start here:
  fnlm quickstart                            three short runs and a table (three minutes)
  fnlm doctor                                what works on this machine
  fnlm config new electra-small > my.toml    a commented configuration to edit
  fnlm pretrain -c my.toml --run runs/a      train; the same command resumes after any stop
  fnlm inspect --model runs/a/model \"It was a [MASK] day.\"
  fnlm finetune --task mrpc --model runs/a/model --data glue_data --seeds 5

Exit codes:
  0    done
  1    failed in another way than the following
  2    usage or configuration
  3    bad input file or checkpoint
  4    training diverged
  5    out of disk or memory
  75   stopped by a signal and saved: run the same command again
  128+n  stopped by signal n without saving

Nothing is ever sent over the network. NO_COLOR=1 or CI=1 give plain output.";

/// A model, as every option takes it: a Hugging Face folder, or a run directory, whose `model/` is meant.
fn model_folder(typed: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(fn_models::hf::model_folder(Path::new(typed)))
}

/// The options that the program reads before it runs a command.
pub trait Flags {
    /// Output options; None for a command that has none.
    fn common(&self) -> Option<&Common>;

    /// The options that describe a configuration.
    fn config(&self) -> Option<&ConfigArgs> {
        None
    }

    /// The number of processor threads of commands that have no configuration.
    fn threads(&self) -> Option<usize> {
        None
    }
}

/// [`Flags`] of the arguments of commands: `flags!(Args)` for a field `common`, `flags!(Args, fit)` for one within `fit`; then where other
/// flags are. `flags!(Enum::{A, B})` for a group of commands.
macro_rules! flags {
    ($enum:ident::{$($variant:ident),+}) => {
        impl $crate::args::Flags for $enum {
            fn common(&self) -> Option<&$crate::args::Common> {
                match self { $(Self::$variant(args) => $crate::args::Flags::common(args)),+ }
            }

            fn config(&self) -> Option<&$crate::args::ConfigArgs> {
                match self { $(Self::$variant(args) => $crate::args::Flags::config(args)),+ }
            }

            fn threads(&self) -> Option<usize> {
                match self { $(Self::$variant(args) => $crate::args::Flags::threads(args)),+ }
            }
        }
    };
    ($args:ident $(, in $inner:ident)? $(, config: $config:ident)? $(, threads: $($threads:ident).+)?) => {
        impl $crate::args::Flags for $args {
            fn common(&self) -> Option<&$crate::args::Common> {
                Some(&self$(.$inner)?.common)
            }
            $(
                fn config(&self) -> Option<&$crate::args::ConfigArgs> {
                    Some(&self.$config)
                }
            )?
            $(
                fn threads(&self) -> Option<usize> {
                    self.$($threads).+
                }
            )?
        }
    };
}
pub(crate) use flags;

/// Options that every command has.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Output")]
pub struct Common {
    /// Print results and errors only.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print the causes below an error, and log lines.
    #[arg(long, short)]
    pub verbose: bool,
    /// Report to a program how the command ended: records are added to this file, JSON, one a line.
    #[arg(long, value_name = "FILE", hide = true)]
    pub record: Option<PathBuf>,
}

/// What happens to a file, or a folder with something in it, that is to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Args)]
pub struct WriteArgs {
    /// Write over what is there.
    #[arg(long, alias = "overwrite")]
    pub force: bool,
}

/// `fnlm quickstart`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm quickstart                       ELECTRA: baseline, hard and soft correction
  fnlm quickstart --bert                the same for masked language modelling
  fnlm quickstart --steps 60            only to see that it works")]
pub struct QuickstartArgs {
    /// Masked language modelling (BERT) instead of replaced-token detection (ELECTRA).
    #[arg(long)]
    pub bert: bool,
    /// Optimiser steps of each of the three runs.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Seed of the text and of all three runs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Keep runs, text and table in this folder.
    #[arg(long, short, value_name = "DIR", default_value = "fnlm-quickstart")]
    pub out: PathBuf,
    /// Only this arm: baseline, hard or soft (repeatable). [default: all three]
    #[arg(long = "arm", value_name = "NAME")]
    pub arms: Vec<String>,
    /// Change the generated language, e.g. --language polysemy=0.3 or --language set_sizes=[0,1] (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    pub language: Vec<String>,
    /// Share of the planted synonyms that the lexicon contains: most, not all, as in a real one.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub coverage: f64,
    /// Wrong pairs in the lexicon, as a share of the correct ones.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub wrong: f64,
    /// All of seed, steps, language, lexicon and device, as a study of the ground truth has it; what else is typed of them does not
    /// count.
    #[arg(long, value_name = "FILE", hide = true)]
    pub setup: Option<PathBuf>,
    /// Write text, tokenizer, lexicon and config.toml into the folder, and do not train.
    #[arg(long)]
    pub prepare_only: bool,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Processor threads of the flex device. [default: all]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Print the figures of all arms as JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm doctor`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm doctor
  fnlm doctor --device vulkan:cpu --dir /scratch/runs
  fnlm doctor --exam swords-v1.1_dev.json.gz -c my.toml
  fnlm doctor --json > machine.json")]
pub struct DoctorArgs {
    /// Test this device only. [default: every backend that is compiled in]
    #[arg(long, short, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Measure the disk that holds this folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Hold the judges of --config against people: files as for `fnlm probe judge`.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "config")]
    pub exam: Vec<PathBuf>,
    /// Configuration whose judges --exam asks.
    #[arg(long, short, value_name = "FILE", requires = "exam")]
    pub config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm pretrain`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm pretrain -c my.toml --run runs/a                      the same command resumes after any stop
  fnlm pretrain -p electra-small --train corpus/ --held-out news.txt --tokenizer vocab.txt \\
       --wordnet dict --correction hard --run runs/hard
  fnlm pretrain -c my.toml --run runs/b --resume runs/a --allow-change train.steps --steps 20000
  fnlm pretrain -c my.toml --run runs/a --dry-run            check everything, take a few steps, save nothing")]
pub struct PretrainArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Run directory: configuration, metrics, checkpoints, and at the end model/ in the Hugging Face layout.
    #[arg(long, short, value_name = "DIR")]
    pub run: PathBuf,
    /// Resume from the newest checkpoint of this run directory, or from this checkpoint. [default: the newest one in --run]
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// If --run is not empty, start from the beginning in a new directory beside it.
    #[arg(long, conflicts_with = "resume")]
    pub new: bool,
    /// When resuming: accept another value of this key than the run started with (repeatable).
    #[arg(long, value_name = "KEY")]
    pub allow_change: Vec<String>,
    /// Check the configuration, open the data, build the model, take a few steps, print how much time, memory and disk the run needs.
    #[arg(long)]
    pub dry_run: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm inspect`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm inspect --model runs/a/model --lexicon wordnet.safetensors \"She felt [MASK] today.\"
  fnlm inspect --model runs/a/model --gold happy \"She felt [MASK] today.\"
  fnlm inspect --model runs/a/model \"She felt banana today.\"     an ELECTRA: which tokens look replaced?
  fnlm inspect --model runs/a/model -l wordnet.safetensors --file news.txt --html page.html")]
pub struct InspectArgs {
    /// Texts; the model predicts each [MASK].
    #[arg(required_unless_present = "file", value_name = "TEXT")]
    pub text: Vec<String>,
    /// File with more texts, one per line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Lines of the file that are read.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub lines: usize,
    /// Mask tokens of the texts as in pre-training, and write a page that colours each token by what the model predicted.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gold", "json"])]
    pub html: Option<PathBuf>,
    /// Of the page.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Share of the tokens that are masked for the page.
    #[arg(long, value_name = "SHARE", default_value_t = 0.15)]
    pub rate: f64,
    /// Seed of the masked positions and of the generator's replacements.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Hugging Face folder, as in a run's model/.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Lexicon by which predictions are judged false negatives.
    #[arg(long, short, value_name = "FILE")]
    pub lexicon: Option<PathBuf>,
    /// The original word behind each [MASK], in order. [default: the model's own first prediction]
    #[arg(long, value_name = "WORD")]
    pub gold: Vec<String>,
    /// Predictions per [MASK].
    #[arg(long, short = 'k', value_name = "N", default_value_t = 5)]
    pub top: usize,
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

/// `fnlm export`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm export runs/a --out model                                    the best checkpoint, or else the newest
  fnlm export runs/a/checkpoints/step-00002000 --out model-2000")]
pub struct ExportArgs {
    /// Run directory or one of its checkpoints.
    #[arg(value_name = "RUN|CHECKPOINT")]
    pub from: PathBuf,
    /// Folder to write; must not exist yet, or be empty.
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Export the newest checkpoint of a run, even if an older one has a better metric.
    #[arg(long)]
    pub newest: bool,
    /// Export the moving average of the weights (`average.decay`) in place of the weights.
    #[arg(long)]
    pub average: bool,
    /// Tokenizer. [default: the one in the run's configuration]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm report`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm report runs/baseline runs/hard runs/soft
  fnlm report runs/* --markdown --curves pictures > table.md
  fnlm report runs/a --metric eval.detector_auc --metric loss")]
pub struct ReportArgs {
    /// Run directories; the first is the baseline.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Columns in place of the default ones (repeatable): loss, terms.masked_lm, eval.masked_accuracy, ...
    #[arg(long, short, value_name = "NAME")]
    pub metric: Vec<String>,
    /// Draw each column over the steps as NAME.svg in this folder.
    #[arg(long, value_name = "DIR")]
    pub curves: Option<PathBuf>,
    /// Print a Markdown table.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm completions`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm completions bash > ~/.local/share/bash-completion/completions/fnlm")]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `fnlm man`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm man ~/.local/share/man/man1     then: man fnlm-pretrain
  man -l man/fnlm-pretrain.1           after `fnlm man man`, without installing")]
pub struct ManArgs {
    /// Folder for fnlm.1, fnlm-pretrain.1, ...; pages of these names that are there are replaced, other files are kept.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm help-all`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct HelpAllArgs {}

flags!(QuickstartArgs, threads: threads);
flags!(DoctorArgs);
flags!(PretrainArgs, config: config);
flags!(InspectArgs);
flags!(ExportArgs);
flags!(ReportArgs);
flags!(ManArgs);

impl Flags for CompletionsArgs {
    fn common(&self) -> Option<&Common> {
        None
    }
}

impl Flags for HelpAllArgs {
    fn common(&self) -> Option<&Common> {
        None
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
