//! `fnlm lexicon ...` as it can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Common, TextArgs, WriteArgs};

/// `fnlm lexicon`.
#[derive(Debug, Subcommand)]
pub enum LexiconCommand {
    /// Build a lexicon from WordNet or from word vectors.
    Build(LexiconBuildArgs),
    /// Print the look-up sets V(w) of words.
    Show(LexiconShowArgs),
    /// Print how much of a vocabulary and of running text a lexicon covers.
    Stats(LexiconStatsArgs),
    /// Build a placebo lexicon: sets of the same sizes with random members.
    Placebo(LexiconPlaceboArgs),
}

/// Parts of speech of WordNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PosArg {
    /// Nouns.
    Noun,
    /// Verbs.
    Verb,
    /// Adjectives.
    Adjective,
    /// Adverbs.
    Adverb,
}

/// How inflected forms are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum InflectionsArg {
    /// Left out.
    None,
    /// V(went) holds the words of go's synsets as they are: go, travel, move.
    #[default]
    BaseForms,
    /// V(went) holds only words in the same form: traveled, moved.
    Matching,
}

/// Which table is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LexiconPreset {
    /// The best that the files allow: calibrated with --embeddings, else the sets of WordNet or of --vectors.
    #[default]
    Best,
    /// WordNet's synonyms without grades, as in the paper, whatever other files are named.
    Paper,
}

/// `fnlm lexicon build`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm lexicon build --wordnet /usr/share/wordnet --tokenizer vocab.txt --out wordnet.safetensors
  fnlm lexicon build --wordnet dict --pos noun,verb --senses 2 --inflections matching --tokenizer tokenizer/ --out small.safetensors
  fnlm lexicon build --embeddings minilm/ --wordnet dict --tokenizer minilm/ --out calibrated.safetensors
  fnlm lexicon build --vectors glove.6B.50d.txt --top 10 --threshold 0.6 --tokenizer vocab.txt --out glove.safetensors")]
pub struct LexiconBuildArgs {
    /// WordNet 3.x folder with index.noun, data.noun, noun.exc, ...
    #[arg(long, value_name = "DIR", required_unless_present_any = ["vectors", "embeddings"], conflicts_with = "vectors")]
    pub wordnet: Option<PathBuf>,
    /// Word vectors: GloVe or word2vec text, .npy or .safetensors.
    #[arg(long, value_name = "FILE")]
    pub vectors: Option<PathBuf>,
    /// The words of .npy or .safetensors vectors, in their order: a text file with one per line, or a .parquet file.
    #[arg(long, value_name = "FILE", requires = "vectors")]
    pub words: Option<PathBuf>,
    /// Name of the tensor in .safetensors vectors with more than one matrix.
    #[arg(long, value_name = "NAME", requires = "vectors")]
    pub tensor: Option<String>,
    /// Hugging Face folder of an encoder: grades every entry by what people would call a good substitute, from the cosine in its token
    /// table and, with --wordnet, from seven relations.
    #[arg(long, value_name = "DIR", conflicts_with = "vectors", value_parser = crate::args::model_folder)]
    pub embeddings: Option<PathBuf>,
    /// Which table is built from these files.
    #[arg(long, value_enum, value_name = "NAME", default_value_t, conflicts_with = "vectors")]
    pub preset: LexiconPreset,
    /// tokenizer.json, vocab.txt or a folder with one; the lexicon holds ids of its vocabulary.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: PathBuf,
    /// The lexicon to write (.safetensors).
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Of the lexicon.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Parts of speech to use, e.g. noun,verb. [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum, help_heading = "WordNet")]
    pub pos: Vec<PosArg>,
    /// Only the first N senses of a word, the most frequent ones. [default: all]
    #[arg(long, value_name = "N", help_heading = "WordNet")]
    pub senses: Option<usize>,
    /// Also adjectives that WordNet lists as similar.
    #[arg(long, help_heading = "WordNet")]
    pub similar: bool,
    /// Also words of the direct hypernym (the synset one level above).
    #[arg(long, help_heading = "WordNet")]
    pub hypernyms: bool,
    /// How inflected forms are treated.
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "WordNet")]
    pub inflections: InflectionsArg,
    /// Also words that WordNet writes with a capital: names, abbreviations, chemical symbols.
    #[arg(long, help_heading = "WordNet")]
    pub names: bool,
    /// The most neighbours of a word.
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Vectors")]
    pub top: usize,
    /// The lowest cosine similarity of a neighbour, -1 to 1.
    #[arg(
        long,
        value_name = "COS",
        default_value_t = 0.6,
        allow_negative_numbers = true,
        help_heading = "Vectors"
    )]
    pub threshold: f64,
    /// Fit the grades to what people said, e.g. the development set of SWORDS (see `fnlm probe judge --help`). [default: the figures that
    /// come with the program, made for MiniLM-L6]
    #[arg(long, value_name = "FILE", requires = "embeddings", help_heading = "Grades")]
    pub fit: Option<PathBuf>,
    /// Lowest grade of an entry.
    #[arg(
        long,
        value_name = "GRADE",
        default_value_t = 0.1,
        requires = "embeddings",
        help_heading = "Grades"
    )]
    pub least: f64,
    /// Members of a word, at most.
    #[arg(long, value_name = "N", default_value_t = 64, requires = "embeddings", help_heading = "Grades")]
    pub members: usize,
    /// Also antonyms, with their grade; else they are never excused.
    #[arg(long, requires = "embeddings", help_heading = "Grades")]
    pub antonyms: bool,
    /// Also other forms of the same lemma, with their grade; else they are never excused.
    #[arg(long, requires = "embeddings", help_heading = "Grades")]
    pub inflected: bool,
    /// Leave out words with fewer letters than this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_length: usize,
    /// Keep the sets as they are; by default w is added to V(r) for each r in V(w).
    #[arg(long)]
    pub no_symmetry: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm lexicon show`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm lexicon show happy went --lexicon wordnet.safetensors --tokenizer vocab.txt")]
pub struct LexiconShowArgs {
    /// Words; those that are not one piece of the vocabulary are shown as such.
    #[arg(required = true, value_name = "WORD")]
    pub words: Vec<String>,
    /// The lexicon.
    #[arg(long, short, value_name = "FILE")]
    pub lexicon: PathBuf,
    /// The tokenizer that it was built for.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm lexicon stats`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm lexicon stats --lexicon wordnet.safetensors --tokenizer vocab.txt --text heldout.txt")]
pub struct LexiconStatsArgs {
    /// The lexicon.
    #[arg(long, short, value_name = "FILE")]
    pub lexicon: PathBuf,
    /// The tokenizer that it was built for; needed with --text.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Running text of which the coverage is measured.
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "tokenizer")]
    pub text: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// How text is read.
    #[command(flatten)]
    pub reading: TextArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

/// `fnlm lexicon placebo`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Example:
  fnlm lexicon placebo --lexicon wordnet.safetensors --tokenizer vocab.txt --text corpus.txt --out placebo.safetensors")]
pub struct LexiconPlaceboArgs {
    /// The lexicon whose set sizes are kept.
    #[arg(long, short, value_name = "FILE")]
    pub lexicon: PathBuf,
    /// The tokenizer that it was built for.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: PathBuf,
    /// Text in which word frequencies are counted, so that random members have the frequencies of the real ones.
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub text: Vec<PathBuf>,
    /// The lexicon to write (.safetensors).
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Of the lexicon.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Seed of the random members.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Reading flags.
    #[command(flatten)]
    pub reading: TextArgs,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

super::flags!(LexiconBuildArgs);
super::flags!(LexiconShowArgs);
super::flags!(LexiconStatsArgs);
super::flags!(LexiconPlaceboArgs);
super::flags!(LexiconCommand::{Build, Show, Stats, Placebo});
