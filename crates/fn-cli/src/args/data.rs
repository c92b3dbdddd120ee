//! `fnlm tokenizer ...` and `fnlm data ...` as they can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Common;
use super::ConfigArgs;

/// How text is read.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Reading")]
pub struct TextArgs {
    /// Field of a .jsonl line that holds the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub json_field: String,
    /// Column of a .parquet file that holds the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub parquet_column: String,
}

/// `fnlm tokenizer`.
#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Train a WordPiece vocabulary.
    Train(TokenizerTrainArgs),
}

/// `fnlm tokenizer train`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm tokenizer train corpus.txt --out tokenizer
  fnlm tokenizer train books/ news.jsonl.zst --json-field body --size 8000 --cased --out tokenizer")]
pub struct TokenizerTrainArgs {
    /// Files, folders, or - for standard input.
    #[arg(required = true, value_name = "TEXT")]
    pub text: Vec<PathBuf>,
    /// Folder for tokenizer.json, vocab.txt and their companions.
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Pieces, special tokens included. 30,522 in BERT and ELECTRA.
    #[arg(long, value_name = "N", default_value_t = 30_522)]
    pub size: usize,
    /// Keep upper case and accents.
    #[arg(long)]
    pub cased: bool,
    /// Reading flags.
    #[command(flatten)]
    pub reading: TextArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Turn text into checked, memory-mapped rows of ids (pretrain does it by itself where they are missing).
    Prepare(DataPrepareArgs),
    /// Print packed and corrupted rows, decoded, with marks.
    Inspect(DataInspectArgs),
    /// Take batches of the training text as training would, and say how fast they come.
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
    /// Rows to print.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 3)]
    pub count: usize,
    /// Step whose corruption is shown.
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
    /// Batches to take, after one that is not timed.
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
