//! `fnlm babylm` as it can be typed.

use std::path::PathBuf;

use clap::Args;

use super::{Common, FormatArgs, WriteArgs};

/// `fnlm babylm`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm babylm --model runs/a/model --blimp blimp/data
  fnlm babylm --model runs/a/model --blimp blimp/data --supplement supplement_filtered \\
       --out runs/a/babylm --markdown

One pair a line: {\"sentence_good\": \"The dogs sleep.\", \"sentence_bad\": \"The dogs sleeps.\"}
A masked LM scores a sentence by its pseudo-log-likelihood: plain (Salazar et al. 2020), and with
the later pieces of the same word masked as well (Kauf & Ivanova 2023). A discriminator has a score
of its own, the sum over the tokens of log p(original), which is no likelihood. An accuracy is the
share of the pairs whose acceptable sentence has the higher score, ties half; that of several sets
is the mean over the sets.")]
pub struct BabylmArgs {
    /// Hugging Face folder of a pre-trained model, as in a run's model/. Of an ELECTRA generator and discriminator are measured.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// BLiMP: files (.jsonl, also .gz, .zst or .xz), or folders of them.
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., required_unless_present_any = ["supplement", "substitution"])]
    pub blimp: Vec<PathBuf>,
    /// The supplement of the BabyLM challenge, likewise.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    pub supplement: Vec<PathBuf>,
    /// SWORDS, CoInCo or SemEval-2007 in its format (.json, .json.gz): how well each head ranks the substitutes, by average precision.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub substitution: Vec<PathBuf>,
    /// Score so many pairs of each set, drawn by the name of the set: the same ones every time. [default: all]
    #[arg(long, value_name = "N")]
    pub pairs: Option<std::num::NonZeroUsize>,
    /// Keep the scores of every sentence in this folder: one file per set, written as soon as the set is done, and report.json.
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Of --out.
    #[command(flatten)]
    pub write: WriteArgs,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Processor threads of the flex device. [default: all]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Format of the output.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

super::flags!(BabylmArgs, threads: threads);
