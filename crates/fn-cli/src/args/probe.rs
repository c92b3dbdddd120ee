//! `fnlm probe ...` as it can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, FormatArgs, WriteArgs};

/// `fnlm probe`.
#[derive(Debug, Subcommand)]
pub enum ProbeCommand {
    /// Which wrong predictions on held-out text are false negatives: by judge, part of speech and frequency, with examples.
    FalseNegatives(ProbeFalseNegativesArgs),
    /// Zero-shot multiple choice, in the format of oLMpics.
    Olmpics(ProbeOlmpicsArgs),
    /// Similarity of synonyms, antonyms and random pairs in the token embeddings.
    Embeddings(ProbeEmbeddingsArgs),
    /// Zero-shot lexical substitution: rank the words that fit in place of another one.
    Substitution(ProbeSubstitutionArgs),
    /// How well judges agree with people on what is a false negative.
    Judge(ProbeJudgeArgs),
    /// How well a discriminator tells replacements that people call wrong.
    Replaced(ProbeReplacedArgs),
}

/// `fnlm probe replaced`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm probe replaced labelled.jsonl --model runs/a/model --length 128

Data: readings of replacements (.jsonl, as `fnlm probe false-negatives --export` writes them, with
labels), or another format of `fnlm probe judge`. A replacement is wrong if no reader lets it pass,
and fits if at least half of them do. A word's score is the mean over its tokens of log p(original)
by a discriminator, of log p(word) at the masked place by a generator or masked LM. AUC: the
probability that one of the first has a higher score than one of the second, ties half.")]
pub struct ProbeReplacedArgs {
    /// Labelled replacements in context.
    #[arg(value_name = "FILE")]
    pub data: PathBuf,
    /// Hugging Face folder of a pre-trained model, as in a run's model/. An ELECTRA answers twice: its generator, its discriminator.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Read at most so many tokens around a word: as many as the rows of pre-training had (data.length). [default: all that the model can]
    #[arg(long, value_name = "N")]
    pub length: Option<usize>,
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

/// `fnlm probe judge`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm probe judge swords-v1.1_test.json.gz --lexicon wordnet.safetensors --embeddings minilm/ --wordnet dict
  fnlm probe judge swords-v1.1_test.json.gz --encoder minilm/ --wordnet dict --fit swords-v1.1_dev.json.gz --calibration minilm.json
  fnlm probe judge errors.jsonl sampled.jsonl --embeddings minilm/ --encoder minilm/ --wordnet dict --combine --html judge.html

Data: SWORDS 1.1, CoInCo or SemEval-2007 in its format (.json, .json.gz); readings of real errors (.jsonl); or a table (.tsv) with the columns
sentence, start, word, substitute, label, where start is the word's first character, counted from 0, and label is TRUE or FALSE.
A pair is good if at least half of the people say so; target and substitute must be one lower-case piece of the vocabulary each.
Readings may carry \"scores\": {\"NAME\": number, ...} of models that fnlm does not run (scripts/score-readings.py): each is a judge.")]
pub struct ProbeJudgeArgs {
    /// What people said of substitutes in context.
    #[arg(required = true, value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Lexicons that judge (repeatable).
    #[arg(long, short, value_name = "FILE")]
    pub lexicon: Vec<PathBuf>,
    /// Hugging Face folders whose token tables judge by cosine (repeatable).
    #[arg(long, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub embeddings: Vec<PathBuf>,
    /// Hugging Face folder of an encoder that judges by its hidden vectors in context, and with --wordnet by relations.
    #[arg(long, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub encoder: Option<PathBuf>,
    /// Layers of --encoder that are read.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub layers: usize,
    /// Fits the grades of --encoder to these labels, e.g. the development set of SWORDS.
    #[arg(long, value_name = "FILE", requires = "encoder")]
    pub fit: Option<PathBuf>,
    /// Fitted figures of --encoder: written with --fit, else read; it needs one of both.
    #[arg(long, value_name = "FILE", requires = "encoder")]
    pub calibration: Option<PathBuf>,
    /// Hugging Face folders of masked LMs that judge by p(substitute) / p(word) in context (repeatable).
    #[arg(long, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub verifier: Vec<PathBuf>,
    /// Hugging Face folder of a masked LM: --encoder and --verifier also judge rows of which 15 % are filled with its predictions, as in
    /// training.
    #[arg(long, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub student: Option<PathBuf>,
    /// Also all judges together: a logistic regression, fitted to nine tenths of the targets and asked about the others, ten times.
    #[arg(long)]
    pub combine: bool,
    /// Tokenizer that the judges were made for. [default: the one of --embeddings or --encoder]
    #[arg(long, value_name = "PATH", required_unless_present_any = ["embeddings", "encoder"])]
    pub tokenizer: Option<PathBuf>,
    /// WordNet 3.x dict folder: adds antonyms, sisters and inflections of the targets as traps.
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// Grade from which a judge accepts, as correction.threshold.
    #[arg(long, value_name = "GRADE", default_value_t = fn_core::judge::THRESHOLD)]
    pub threshold: f64,
    /// Resamples of the intervals.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub resamples: usize,
    /// Mistakes of each kind on the page.
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub worst: usize,
    /// A page with curves and the worst mistakes in their contexts.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Of the page and of --calibration.
    #[command(flatten)]
    pub write: WriteArgs,
    /// How it is printed.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm probe false-negatives`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm probe false-negatives runs/a                                     its model, and each checkpoint that it keeps
  fnlm probe false-negatives runs/a/checkpoints/step-00001000
  fnlm probe false-negatives runs/a --verifier bert                     another masked LM judges by context
  fnlm probe false-negatives runs/a --lexicon wordnet.safetensors --lexicon glove.safetensors --wordnet dict
  fnlm probe false-negatives runs/a --text news.txt --examples 20 --markdown > probe.md
  fnlm probe false-negatives runs/a --text dev/ --export to-label.jsonl --sampled

A line of an exported file is {\"id\", \"domain\", \"context\", \"start\", \"word\", \"prediction\",
\"p_prediction\", \"p_word\", \"rank_word\", \"labels\": []}. In a passage of 15 to 70 words one word was
masked, the one at character \"start\"; the model says another one. Labels, one for each reader: \"S\",
with the prediction in place the passage says the same; \"F\", it fits, and says something else; \"W\",
it is wrong.")]
pub struct ProbeFalseNegativesArgs {
    /// Run directory, or one of its checkpoints.
    #[arg(value_name = "RUN|CHECKPOINT")]
    pub run: PathBuf,
    /// Model to analyse, e.g. an exported checkpoint. [default: the run's model/, or else its newest checkpoint]
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: Option<PathBuf>,
    /// Lexicons as judges (repeatable). [default: the run's own]
    #[arg(long, short, value_name = "FILE")]
    pub lexicon: Vec<PathBuf>,
    /// Masked LMs as judges, with the thresholds of the run's correction.verifier (repeatable). [default: the run's own]
    #[arg(long, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub verifier: Vec<PathBuf>,
    /// WordNet dict folder, for parts of speech and for the meaning that both words of an example share.
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// Text whose masked tokens are predicted. [default: the run's held-out text]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub text: Vec<PathBuf>,
    /// Batches of the text, from its start.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batches: usize,
    /// False negatives to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub examples: usize,
    /// Write errors in context to this file, with empty labels, and judge none. Whole words of letters only; of an ELECTRA, the
    /// generator's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["lexicon", "verifier", "wordnet", "markdown", "json"])]
    pub export: Option<PathBuf>,
    /// Errors to export, the same number from each file of the text.
    #[arg(long, value_name = "N", default_value_t = 600, requires = "export")]
    pub errors: usize,
    /// Export words drawn from the model's distribution, as the generator of replaced-token detection draws them. [default: the most
    /// probable word]
    #[arg(long, requires = "export")]
    pub sampled: bool,
    /// For --export, mask this share of the other tokens of a passage too, as in pre-training.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, requires = "export")]
    pub rate: f64,
    /// For --export, seed of passages, places and drawn words.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "export")]
    pub seed: u64,
    /// Of --export.
    #[command(flatten)]
    pub write: WriteArgs,
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

/// `fnlm probe olmpics`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm probe olmpics --model runs/a/model oLMpics_antonym_negation_dev.jsonl oLMpics_size_comparison_dev.jsonl

One object a line: {\"answerKey\": \"A\", \"question\": {\"stem\": \"It was [MASK] hot, it was really cold.\", \"choices\":
[{\"label\": \"A\", \"text\": \"not\"}, {\"label\": \"B\", \"text\": \"really\"}]}}. A masked LM scores a choice by the mean log-probability of its
pieces, a discriminator by how original they look in the gap.")]
pub struct ProbeOlmpicsArgs {
    /// Files of questions (.jsonl), or folders of them.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub data: Vec<PathBuf>,
    /// Hugging Face folder, as in a run's model/. An ELECTRA answers twice: its generator, its discriminator.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
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

/// `fnlm probe embeddings`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm probe embeddings --model runs/soft/model --wordnet dict      does soft regularisation blur antonyms?")]
pub struct ProbeEmbeddingsArgs {
    /// Hugging Face folder, as in a run's model/.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// WordNet 3.x dict folder: synonyms and antonyms.
    #[arg(long, value_name = "DIR")]
    pub wordnet: PathBuf,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Seed of the random pairs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
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

/// `fnlm probe substitution`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm probe substitution --model runs/a/model --data substitutes.jsonl

One item a line: {\"text\": \"She is a bright child .\", \"word\": \"bright\", \"at\": 9, \"substitutes\": {\"clever\": 4, \"smart\": 3}}
\"at\" is the word's first character (default: its first occurrence); \"candidates\" lists what is to be ordered (default: all
substitutes that the file has for the word). GAP is generalised average precision, P@1 how often the best candidate is a
substitute. Items with a candidate of several pieces are left out and counted.")]
pub struct ProbeSubstitutionArgs {
    /// Hugging Face folder of a pre-trained model, as in a run's model/. An ELECTRA answers twice: its generator, its discriminator.
    #[arg(long, short, value_name = "DIR", value_parser = crate::args::model_folder)]
    pub model: PathBuf,
    /// File of items.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Tokenizer. [default: the one in --model]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
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

super::flags!(ProbeFalseNegativesArgs);
super::flags!(ProbeOlmpicsArgs);
super::flags!(ProbeEmbeddingsArgs);
super::flags!(ProbeSubstitutionArgs);
super::flags!(ProbeReplacedArgs, threads: threads);
super::flags!(ProbeCommand::{FalseNegatives, Olmpics, Embeddings, Substitution, Judge, Replaced});
super::flags!(ProbeJudgeArgs);
