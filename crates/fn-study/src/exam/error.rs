//! What goes wrong in an exam.

use std::path::PathBuf;

/// Why a judge cannot be examined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamError {
    /// A file cannot be read.
    #[error("{path}: cannot read: {source}; check the path with `ls`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{path}: cannot write: {source}; check that the folder may be written to")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is larger than any exam.
    #[error("{path}: more than {limit} bytes of text; this is no file of substitutes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A file in none of the formats, or with something wrong in it.
    #[error("{path}: {place}: found {found}, expected {expected}; {remedy}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Line, target or substitute.
        place: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// No pair is left that a judge can be asked about.
    #[error(
        "{name}: no pair is left of {opinions} ({left_out}); is it the right tokenizer (lower-case words), and has the file labels?"
    )]
    Nothing {
        /// The exam.
        name: String,
        /// Substitutes that the file labels.
        opinions: usize,
        /// Why they were left out.
        left_out: String,
    },
    /// All pairs are good, or none is.
    #[error(
        "{name}: {good} of {pairs} pairs are good; a judge can only be examined where some are good and some are not"
    )]
    OneKind {
        /// The exam.
        name: String,
        /// Good pairs.
        good: usize,
        /// All pairs.
        pairs: usize,
    },
    /// A lexicon that cannot be read, or was made for another vocabulary.
    #[error("{path}: {source}")]
    Lexicon {
        /// The lexicon.
        path: PathBuf,
        /// What is wrong.
        source: fn_core::lexicon::LexiconError,
    },
    /// An encoder that cannot be read.
    #[error(transparent)]
    Model(#[from] fn_models::hf::HfError),
    /// An encoder's tokenizer that cannot be read.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// An encoder for another vocabulary.
    #[error(
        "{path}: the encoder's vocabulary ({found} pieces, SHA-256 {found_sha256}) is not that of the exam ({expected} pieces, \
         {expected_sha256}); name its folder with --tokenizer, or another encoder"
    )]
    Vocabulary {
        /// The encoder's folder.
        path: PathBuf,
        /// Its pieces.
        found: usize,
        /// Its checksum.
        found_sha256: String,
        /// Pieces of the exam's tokenizer.
        expected: usize,
        /// Its checksum.
        expected_sha256: String,
    },
    /// A masked language model for another vocabulary.
    #[error(
        "{path}: the token table has {found} rows, but the exam's tokenizer has {expected} pieces; name a model of that vocabulary"
    )]
    Rows {
        /// The model's folder.
        path: PathBuf,
        /// Rows of its token table.
        found: usize,
        /// Pieces of the exam's tokenizer.
        expected: usize,
    },
    /// A token table with numbers that are none.
    #[error(transparent)]
    Vectors(#[from] fn_data::lexicon::VectorError),
    /// Grades that cannot be fitted.
    #[error("{name}: {source}")]
    Fit {
        /// The exam.
        name: String,
        /// Why.
        source: fn_data::lexicon::logistic::LogisticError,
    },
    /// Probabilities that the file does not have for every pair.
    #[error(
        "{name}: `p_prediction`, `p_word` or a score of that name are not recorded for every pair; add them, and name no --wordnet, or do without"
    )]
    NotRecorded {
        /// The exam.
        name: String,
    },
    /// Nobody to ask.
    #[error("no judge is named; give --lexicon FILE, --embeddings DIR, --encoder DIR or --verifier DIR")]
    NoJudge,
    /// WordNet that cannot be read.
    #[error(transparent)]
    WordNet(#[from] fn_data::lexicon::WordNetError),
    /// A table that cannot be made.
    #[error(transparent)]
    Calibrated(#[from] fn_data::lexicon::CalibratedError),
    /// A judge of contexts that cannot be used.
    #[error(transparent)]
    Encoder(#[from] fn_train::objective::EncoderError),
    /// A picture that cannot be drawn.
    #[error(transparent)]
    Draw(#[from] crate::RecordError),
}
