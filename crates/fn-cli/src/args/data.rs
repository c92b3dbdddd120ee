//! `fnlm tokenizer ...` and `fnlm data ...` as they can be typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use fn_data::source::OnBadLine;
use fn_data::subword::Kind;

use super::Common;
use super::{ConfigArgs, WriteArgs};

/// How text is read.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Reading")]
pub struct TextArgs {
    /// Field of a .jsonl line that holds the text; meta.text is a field within a field.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub json_field: String,
    /// Column of a .parquet file that holds the text; meta.text is a column within a struct.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub parquet_column: String,
    /// At a line that is no text: stop, or skip (such lines are counted, the first ones shown).
    #[arg(long, value_name = "HOW", default_value_t)]
    pub on_bad_line: OnBadLine,
}

/// `fnlm tokenizer`.
#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Train a vocabulary: WordPiece, byte-level BPE or Unigram.
    Train(TokenizerTrainArgs),
}

/// `fnlm tokenizer train`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm tokenizer train corpus.txt --out tokenizer
  fnlm tokenizer train books/ news.jsonl.zst --json-field body --size 8000 --cased --out tokenizer
  fnlm tokenizer train corpus.txt --kind bpe --size 50000 --cased --out tokenizer")]
pub struct TokenizerTrainArgs {
    /// Files, folders, or - for standard input.
    #[arg(required = true, value_name = "TEXT")]
    pub text: Vec<PathBuf>,
    /// Folder to write: tokenizer.json, vocab.txt (of WordPiece) and their configuration files.
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// wordpiece as in BERT, bpe (byte-level) as in RoBERTa, or unigram as in XLM-R.
    #[arg(long, value_name = "KIND", default_value_t)]
    pub kind: Kind,
    /// Size of the vocabulary, special tokens included. 30,522 in BERT and ELECTRA.
    #[arg(long, value_name = "N", default_value_t = 30_522)]
    pub size: usize,
    /// Different characters kept at most, the most frequent ones. [default: all that fit --size]
    #[arg(long, value_name = "N")]
    pub limit_alphabet: Option<NonZeroUsize>,
    /// Of the folder.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Keep upper case (of wordpiece, accents too).
    #[arg(long)]
    pub cased: bool,
    /// How text is read.
    #[command(flatten)]
    pub reading: TextArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Tokenise and pack text into memory-mapped files (pretrain does so by itself if they are missing).
    Prepare(DataPrepareArgs),
    /// Print packed sequences, decoded, with the masked tokens marked.
    Inspect(DataInspectArgs),
    /// Measure how fast batches of the training text are made.
    Speed(DataSpeedArgs),
}

/// `fnlm data prepare`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm data prepare -c my.toml
  fnlm data prepare --train corpus.txt --tokenizer vocab.txt --length 128 --set data.packing=dense")]
pub struct DataPrepareArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm data inspect`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Marks:
  {gold}          hidden behind [MASK]
  {gold=>other}   replaced by another token
  {gold=}         chosen, but left as it is
Examples:
  fnlm data inspect -c my.toml --count 3
  fnlm data inspect --train corpus.txt --tokenizer vocab.txt --set corruption.unit=span")]
pub struct DataInspectArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Sequences to print.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 3)]
    pub count: usize,
    /// Step whose masking is shown.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub step: u64,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm data speed`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm data speed -c my.toml
  fnlm data speed -c my.toml --set data.workers=4")]
pub struct DataSpeedArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Batches that are timed, after one that is not.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub batches: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

super::flags!(TokenizerTrainArgs);
super::flags!(DataPrepareArgs, config: config);
super::flags!(DataInspectArgs);
super::flags!(DataSpeedArgs, config: config);
super::flags!(TokenizerCommand::{Train});
super::flags!(DataCommand::{Prepare, Inspect, Speed});
