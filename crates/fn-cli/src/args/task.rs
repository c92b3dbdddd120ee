//! Fine-tuning, predicting and scoring as they can be typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Common, WriteArgs};

/// The published recipe that fine-tuning starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum RecipeName {
    /// google-research/electra: layer-wise learning rates, warm-up, epochs by task, both orders of pairs (MRPC, STS-B).
    #[default]
    Electra,
    /// transformers' Trainer: one learning rate of 5e-5, no warm-up, PyTorch's AdamW, three epochs.
    Transformers,
}

/// Options of every command that fine-tunes.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct FitArgs {
    /// Encoder in the Hugging Face layout: a run's model/, or any BERT, RoBERTa or ELECTRA.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Seeds: 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seeds: u64,
    /// First seed, if not 1.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub first_seed: u64,
    /// Folder for scores, predictions and models; the same command resumes after any stop. [default: named after the command
    /// and the task or the model]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Use the first N training examples only.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Keep scores and predictions, not the fine-tuned models.
    #[arg(long)]
    pub no_models: bool,
    /// The recipe that the options below change.
    #[arg(long, value_enum, default_value_t, help_heading = "Recipe")]
    pub recipe: RecipeName,
    /// The whole recipe, as a study resolved it; the other options take precedence.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with = "recipe")]
    pub recipe_file: Option<PathBuf>,
    /// Epochs.
    #[arg(long, value_name = "N", help_heading = "Recipe")]
    pub epochs: Option<f64>,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE", help_heading = "Recipe")]
    pub lr: Option<f64>,
    /// Examples per step.
    #[arg(long, value_name = "N", help_heading = "Recipe")]
    pub batch: Option<usize>,
    /// The longest sequence, in tokens.
    #[arg(long, value_name = "N", help_heading = "Recipe")]
    pub length: Option<usize>,
    /// Early stopping: stop after N epochs without improvement on the development set, and keep the best epoch. [default: never]
    #[arg(long, value_name = "N", help_heading = "Recipe")]
    pub patience: Option<u32>,
    /// Set any key of the recipe: warmup, layer_decay, double_pairs, dtype (f32, bf16), optimizer.weight_decay, ... (repeatable).
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE", help_heading = "Recipe")]
    pub set: Vec<String>,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Processor threads of the flex device. [default: all]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Under mpirun or srun: seconds that a rank waits for another one.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub rank_timeout: u64,
    /// Format of the table.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// Format of a table.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Output")]
pub struct FormatArgs {
    /// Print a Markdown table.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `fnlm finetune`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm finetune --task mrpc --model runs/a/model --data glue_data --seeds 5
  fnlm finetune --task rte --model minilm --data glue_data --recipe transformers --lr 1e-4 --epochs 3 --out rte
  fnlm finetune --task mine.toml --model runs/a/model --data my_data      a task of your own (fnlm finetune --help)")]
#[command(after_long_help = "A task of your own is a TOML file:

  [task]
  type = \"pair\"                    # classify, pair, regress or tag
  first = \"premise\"                # names of columns; without a header their numbers, from \"0\"
  second = \"hypothesis\"
  label = \"verdict\"
  labels = [\"no\", \"yes\"]

and a folder with train, dev and perhaps test: .tsv, .csv (delimiter = \",\"), .jsonl or .parquet, also compressed.")]
pub struct FinetuneArgs {
    /// CoLA, SST-2, MRPC, STS-B, QQP, MNLI, QNLI, RTE, WNLI, or a description (.toml) of your own.
    #[arg(long, short, value_name = "TASK")]
    pub task: String,
    /// Folder of the task's files, or of all tasks (glue_data/).
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Options of fine-tuning.
    #[command(flatten)]
    pub fit: FitArgs,
}

/// `fnlm glue`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm glue --model runs/a/model --data glue_data --seeds 3
  fnlm glue --model runs/a/model --data glue_data --tasks cola,rte,mrpc --markdown > table.md
  fnlm submit glue-model --out submission.zip")]
pub struct GlueArgs {
    /// Folder with one folder for each task.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Only these tasks. [default: all whose files are there]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Options of fine-tuning.
    #[command(flatten)]
    pub fit: FitArgs,
}

/// `fnlm squad`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm squad --model runs/a/model --train train-v2.0.json --dev dev-v2.0.json --out squad
  fnlm predict --model squad/seed-1/model --input questions.json --out answers
  fnlm score --task squad --input dev-v2.0.json --predictions squad/seed-1/predictions.json")]
pub struct SquadArgs {
    /// Training questions: the official JSON, also compressed.
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Development questions. The version of the file (1.1 or 2.0) decides how answers are scored.
    #[arg(long, value_name = "FILE")]
    pub dev: PathBuf,
    /// Stride in tokens from the start of a window to the start of the next.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub stride: usize,
    /// The most tokens of a question; longer ones are truncated.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub question_length: usize,
    /// The most tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub max_answer: usize,
    /// Answers per question in nbest_predictions.json.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub n_best: usize,
    /// Options of fine-tuning. --length is that of a window, 384 by default.
    #[command(flatten)]
    pub fit: FitArgs,
}

/// A part of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    /// Training set.
    Train,
    /// Development set.
    Dev,
    /// Test set.
    Test,
}

/// `fnlm predict`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm predict --model rte/seed-1/model \"A cat sleeps.\" \"An animal sleeps.\"
  fnlm predict --model rte/seed-1/model --data glue_data --split test --out test.jsonl
  fnlm predict --model rte/seed-1/model --input pairs.tsv --out answers.tsv
  fnlm predict --model squad/seed-1/model --input questions.json --out answers")]
pub struct PredictArgs {
    /// A sentence, or two for a task of pairs.
    #[arg(value_name = "TEXT", num_args = 0..=2, conflicts_with_all = ["data", "input"])]
    pub text: Vec<String>,
    /// Fine-tuned model: a model/ folder that fnlm wrote, or another one with --task.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// The task, if the model's folder does not name it.
    #[arg(long, short, value_name = "TASK")]
    pub task: Option<String>,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Folder of the task's files, or of all tasks.
    #[arg(long, value_name = "DIR", conflicts_with = "input")]
    pub data: Option<PathBuf>,
    /// Which part of --data.
    #[arg(long, value_enum, default_value = "test", requires = "data")]
    pub split: SplitArg,
    /// One file of the task, or of SQuAD's questions; - for standard input (a table or JSON lines).
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Print JSON lines in place of a table.
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
    /// File for the predictions: .jsonl, or .tsv (index, prediction); a folder for SQuAD. [default: standard output]
    #[arg(long, short, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// SQuAD 2.0: threshold of the no-answer odds, above which a question has no answer. [default: the one tuned in fine-tuning]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub null_threshold: Option<f64>,
    /// Of the predictions.
    #[command(flatten)]
    pub write: WriteArgs,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm score`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm score --task rte --data glue_data --predictions rte/seed-1/dev-RTE.jsonl
  fnlm score --task mrpc --input msr_paraphrase_test.txt --predictions MRPC.tsv
  fnlm score --task cola --data glue_data --predictions a/dev-CoLA.jsonl --compare b/dev-CoLA.jsonl
  fnlm score --task squad --input dev-v2.0.json --predictions predictions.json --na-prob na_prob.json")]
pub struct ScoreArgs {
    /// CoLA, SST-2, ..., a description (.toml) of your own, or squad.
    #[arg(long, short, value_name = "TASK")]
    pub task: String,
    /// Predictions: .jsonl of fnlm, .tsv (index, prediction), or SQuAD's JSON; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    pub predictions: PathBuf,
    /// Folder of the task's files, or of all tasks.
    #[arg(long, value_name = "DIR", required_unless_present = "input", conflicts_with = "input")]
    pub data: Option<PathBuf>,
    /// Which part of --data.
    #[arg(long, value_enum, default_value = "dev", requires = "data")]
    pub split: SplitArg,
    /// One file with labels, or SQuAD's questions.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Other predictions for the same examples; a paired bootstrap tests whether the difference is significant.
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Resamples of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub resamples: usize,
    /// SQuAD 2.0: file with the probabilities that there is no answer.
    #[arg(long, value_name = "FILE")]
    pub na_prob: Option<PathBuf>,
    /// SQuAD 2.0: threshold of these probabilities, above which there is no answer.
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    pub na_threshold: f64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm submit`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm submit glue-model --out submission.zip
  fnlm submit cola rte mrpc --out part.zip --partial")]
pub struct SubmitArgs {
    /// Folders that fnlm glue or fnlm finetune wrote. For each task, the seed with the best development score is used.
    #[arg(required = true, value_name = "DIR")]
    pub from: Vec<PathBuf>,
    /// The zip file to write.
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Accept that tasks are missing.
    #[arg(long)]
    pub partial: bool,
    /// Of the zip.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm import`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm import bert-base-uncased --out bert             safetensors or pytorch_model.bin; old names too
  fnlm import electra-small-discriminator              only list its contents
  fnlm pretrain -c my.toml --init bert --run runs/a    continue pre-training from it")]
pub struct ImportArgs {
    /// Folder with config.json and weights.
    #[arg(value_name = "DIR")]
    pub from: PathBuf,
    /// Folder to write: config.json, model.safetensors, tokenizer; must not exist yet, or be empty.
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Tokenizer. [default: the one in the folder]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Print the names of all tensors that are missing or unused.
    #[arg(long)]
    pub all: bool,
    /// Print JSON, with all names.
    #[arg(long, conflicts_with = "all")]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

super::flags!(FinetuneArgs, in fit, threads: fit.threads);
super::flags!(GlueArgs, in fit, threads: fit.threads);
super::flags!(SquadArgs, in fit, threads: fit.threads);
super::flags!(PredictArgs);
super::flags!(ScoreArgs);
super::flags!(SubmitArgs);
super::flags!(ImportArgs);
