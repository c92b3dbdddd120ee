//! Everything that can be wrong with a model folder.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::fit::FitError;

/// What is wrong, where, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HfError {
    /// A file could not be read or written.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A folder without the file that is needed.
    #[error("{folder}: there is no {wanted}; name the folder of a model in the Hugging Face format")]
    Absent {
        /// The folder.
        folder: PathBuf,
        /// The file, or the choice of files.
        wanted: &'static str,
    },
    /// A folder whose model was saved without a head that is needed.
    #[error(
        "{folder}: found no weights of {expected} (with random weights it would predict noise); give the model as it was \
         pre-trained, not a fine-tuned one"
    )]
    NoHead {
        /// The folder.
        folder: PathBuf,
        /// The head, or the choice of heads.
        expected: &'static str,
    },
    /// A file that is much larger than any such file should be.
    #[error("{path}: {found} bytes, at most {limit} are read; is it really this kind of file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// Not JSON, or JSON of another kind.
    #[error("{path}: {message}; get a fresh copy of the file")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A field of `config.json` that describes another kind of model.
    #[error("{path}: `{field}` is {found}, expected {expected}; this program cannot compute such a model")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value, or `missing`.
        found: String,
        /// What can be read.
        expected: String,
    },
    /// Sizes that are out of range.
    #[error("{path}: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Which one.
        source: ConfigError,
    },
    /// A model whose tables are too small for a tokenizer or a length.
    #[error("{folder}: {source}")]
    Fit {
        /// The model's folder.
        folder: PathBuf,
        /// The sizes of both sides.
        source: FitError,
    },
    /// A file of weights that was truncated or changed, or is something else.
    #[error("{path}: damaged or not a file of weights: {reason}; get a fresh copy")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reader's error.
        reason: String,
    },
    /// A shard outside of the folder, or not a plain file name.
    #[error(
        "{path}: names the shard `{shard}`; a shard is a plain name inside the folder that ends as the index's own files do (`.safetensors`, `.bin`)"
    )]
    UnsafeShard {
        /// The index.
        path: PathBuf,
        /// The name found.
        shard: String,
    },
    /// The token table has another number of rows than the configuration says.
    #[error(
        "{path}: `{tensor}` has {found} rows, expected {expected} (`vocab_size`); the weights belong to another \
         vocabulary: use the config.json and tokenizer they came with"
    )]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Rows found.
        found: usize,
        /// `vocab_size`
        expected: usize,
    },
    /// A tensor of another shape.
    #[error(
        "{path}: `{tensor}` has shape {found:?}, expected {expected:?}; config.json and weights do not belong together"
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that config.json asks for (as the file would store it).
        expected: Vec<usize>,
    },
    /// A tensor that does not hold floating-point numbers.
    #[error("{path}: `{tensor}` holds {found}, expected F32, F16, BF16 or F64; convert the file first")]
    Precision {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// A tensor with NaN or infinity.
    #[error(
        "{path}: `{tensor}` holds {found} at index {index}; the weights cannot be used (did the run diverge?)"
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The value.
        found: f32,
        /// Where.
        index: usize,
    },
    /// Tensors of the encoder, or the output layer of a head that is not tied, are missing.
    #[error(
        "{path}: {count} tensors are missing, the first is `{first}`; config.json asks for more than the file holds"
    )]
    MissingTensors {
        /// The file or folder.
        path: PathBuf,
        /// One of them.
        first: String,
        /// How many.
        count: usize,
    },
    /// Two tensors that one parameter stands for have different values.
    #[error(
        "{path}: `{first}` and `{second}` should hold the same values and do not; this program has one parameter for both"
    )]
    Differ {
        /// The file.
        path: PathBuf,
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Two tensors that both are the same parameter.
    #[error("{path}: `{first}` and `{second}` are the same parameter of one model; split the file first")]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
}

impl HfError {
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, doing, source }
    }
}
