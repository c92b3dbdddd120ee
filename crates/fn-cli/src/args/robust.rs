//! `fnlm robust` as it can be typed.

use std::path::PathBuf;

use clap::Args;

use super::{Common, FormatArgs};

/// `fnlm robust`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Kinds:
  typos         a letter becomes its neighbour on the keyboard
  swaps         two adjacent letters change places
  ocr           l for 1, rn for m, ...
  case          words in capitals
  punctuation   marks are dropped or added
  contractions  do not, don't
  synonyms      another word of the same meaning (--wordnet); names and words in capitals stay
  entities      other names of the same file; not for SQuAD, whose questions ask for names of their text
  distractor    SQuAD alone: a sentence behind the text that looks like an answer
Of a task all its sentences are changed, of SQuAD the questions alone (distractor: the text alone); everything else
in the file stays as it is. Parquet becomes a table of the columns that are read.
Examples:
  fnlm robust --task mrpc --data glue_data --model mrpc/seed-1/model --wordnet dict --out mrpc-robust
  fnlm robust --task squad --input dev-v1.1.json --model squad/seed-1/model --kinds typos,distractor --out squad-robust
  fnlm robust --task rte --data glue_data --kinds swaps --rate 0.3 --out rte-swaps     only write the files")]
pub struct RobustArgs {
    /// CoLA, SST-2, ..., a description (.toml) of your own, or squad.
    #[arg(long, short, value_name = "TASK")]
    pub task: String,
    /// Folder of the task's files, or of all tasks; the development set is used.
    #[arg(long, value_name = "DIR", required_unless_present = "input", conflicts_with = "input")]
    pub data: Option<PathBuf>,
    /// One file with labels, or with SQuAD's questions.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Folder to write: KIND/FILE for each kind, and with --model robust.json.
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Fine-tuned model: a model/ folder that fnlm wrote. [default: only write the files]
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: Option<PathBuf>,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH", requires = "model")]
    pub tokenizer: Option<PathBuf>,
    /// Kinds of perturbations. [default: all that leave the labels of the task valid]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Share of the words of a sentence that are changed; at least one if possible.
    #[arg(long, value_name = "X", default_value_t = 0.1, allow_negative_numbers = true)]
    pub rate: f64,
    /// Seed of the changes and of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// WordNet 3.x folder with index.noun, data.noun, ..., for synonyms.
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// Also kinds of perturbations that may make the label wrong.
    #[arg(long)]
    pub force: bool,
    /// Use the first N examples or questions only.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Resamples of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub resamples: usize,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Format of the output.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

super::flags!(RobustArgs);
