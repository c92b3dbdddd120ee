//! `fnlm probe ...` as it can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, FormatArgs};

/// `fnlm probe`.
#[derive(Debug, Subcommand)]
pub enum ProbeCommand {
    /// Which wrong predictions on held-out text are false negatives: by judge, part of speech and frequency, with examples.
    FalseNegatives(ProbeFalseNegativesArgs),
}

/// `fnlm probe false-negatives`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm probe false-negatives runs/a
  fnlm probe false-negatives runs/a --lexicon wordnet.safetensors --lexicon glove.safetensors --wordnet dict
  fnlm probe false-negatives runs/a --text news.txt --examples 20 --markdown > probe.md")]
pub struct ProbeFalseNegativesArgs {
    /// Run directory with its model/.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Lexicons that judge (repeatable). [default: the run's own]
    #[arg(long, short, value_name = "FILE")]
    pub lexicon: Vec<PathBuf>,
    /// WordNet dict folder: parts of speech, and the meaning that both words of an example share.
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// Text to predict. [default: the run's held-out text]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub text: Vec<PathBuf>,
    /// Batches of the text, in its order.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batches: usize,
    /// False negatives to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub examples: usize,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// How it is printed.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}
