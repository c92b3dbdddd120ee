//! A judge that compares what a frozen encoder makes of the original row and of the row filled with predictions.
//!
//! ```text
//! cosine = cos(h_n(original row)[i], h_n(row with every prediction in its place)[i])        h_n: vectors after n layers, i: the place
//! grade  = sigmoid(intercept + weight * cosine + what WordNet's relations of w and r add)   0 for an antonym or another form of w
//! ```
//!
//! The weights are fitted to what people said of substitutes (`fnlm probe judge --fit`). Both rows are read once for all of their masked
//! positions.

use std::path::{Path, PathBuf};

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::batch::{Batch, MemoKey, Predictions};
use fn_core::judge::Judge;
use fn_core::loss::scatter_ids;
use fn_data::lexicon::{Calibration, PairRelation, Relations, WordNet, WordNetError, is_word};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::HfError;
use fn_models::{Inputs, Pretrained};
use fn_ops::Noise;
use serde::{Deserialize, Serialize};

use crate::config::EncoderJudgeConfig;

/// Added to the log-odds of antonyms and of other forms of the word: their grade is 0 but for rounding.
const NEVER: f64 = -60.0;

/// Largest calibration file that is read, in bytes.
const MOST: u64 = 1 << 16;

/// Why an encoder cannot judge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// A folder that cannot be read.
    #[error(transparent)]
    Model(#[from] HfError),
    /// Its tokenizer cannot be read.
    #[error(transparent)]
    Data(#[from] fn_data::DataError),
    /// WordNet cannot be read.
    #[error(transparent)]
    WordNet(#[from] WordNetError),
    /// Fewer layers than asked for.
    #[error(
        "{path}: this encoder has {found} layers, and the judge asks for the first {asked}; set `layers` to {found} or fewer"
    )]
    Layers {
        /// The encoder's folder.
        path: PathBuf,
        /// Its layers.
        found: usize,
        /// Layers asked for.
        asked: usize,
    },
    /// Rows longer than the encoder reads.
    #[error(
        "{path}: this encoder reads {positions} tokens, and the rows have {length}; shorten them or take another encoder"
    )]
    Length {
        /// The encoder's folder.
        path: PathBuf,
        /// Its positions.
        positions: usize,
        /// Tokens of a row.
        length: usize,
    },
    /// A vocabulary without a word in common.
    #[error(
        "{path}: none of the {student} pieces of the run's tokenizer is a word of this encoder's vocabulary ({encoder} pieces), so nothing \
         could be judged; take an encoder of the same language"
    )]
    Vocabulary {
        /// The encoder's folder.
        path: PathBuf,
        /// Pieces of the run's tokenizer.
        student: usize,
        /// Pieces of the encoder's.
        encoder: usize,
    },
    /// A token table that is smaller than the encoder's own vocabulary.
    #[error(
        "{path}: the token table has {rows} rows, but the tokenizer in the folder has {pieces} pieces; get both from one model"
    )]
    Table {
        /// The encoder's folder.
        path: PathBuf,
        /// Rows of its token table.
        rows: usize,
        /// Pieces of its tokenizer.
        pieces: usize,
    },
    /// A calibration that cannot be used.
    #[error("{path}: {message}; make it with `fnlm probe judge --encoder DIR --fit FILE --calibration FILE`")]
    Calibration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// No calibration is named.
    #[error(
        "the judge `encoder` needs a calibration: make one with `fnlm probe judge --encoder DIR --layers {layers} --wordnet DICT --fit FILE \
         --calibration FILE ...` and name it with `calibration`"
    )]
    NoCalibration {
        /// Layers asked for.
        layers: usize,
    },
}

/// How cosines after some layer, with or without WordNet's relations, become grades.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderCalibration {
    /// Layers that are read.
    pub layers: usize,
    /// Whether relations were at hand when it was fitted.
    pub wordnet: bool,
    /// The regression.
    pub regression: Calibration,
}

impl EncoderCalibration {
    /// Reads a file that `fnlm probe judge --calibration` wrote.
    ///
    /// # Errors
    /// A file that cannot be read, is none, or holds numbers that are none.
    pub fn load(path: &Path) -> Result<Self, EncoderError> {
        let wrong = |message: String| EncoderError::Calibration { path: path.to_owned(), message };
        let size = std::fs::metadata(path).map_err(|error| wrong(format!("cannot read: {error}")))?.len();
        if size > MOST {
            return Err(wrong(format!("{size} bytes, at most {MOST} are read")));
        }
        let text =
            fn_core::files::read_to_string(path).map_err(|error| wrong(format!("cannot read: {error}")))?;
        let read: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let Calibration { intercept, cosine, relations, .. } = &read.regression;
        match [*intercept, *cosine].iter().chain(relations).all(|weight| weight.is_finite()) {
            true => Ok(read),
            false => Err(wrong("a weight is not finite".to_owned())),
        }
    }
}

/// Judges by a frozen encoder.
pub struct EncoderJudge {
    model: Pretrained,
    calibration: EncoderCalibration,
    /// `[V]` of the student: the encoder's id of each piece, its `[UNK]` where it has none. None where the vocabularies are equal.
    ids: Option<Tensor<1, Int>>,
    /// `[V]` of the student: 1 where the piece is a whole word of both vocabularies, else 0.
    word: Tensor<1>,
    /// What relations add to the log-odds.
    added: Option<PairTable>,
    key: MemoKey,
}

impl EncoderJudge {
    /// Reads the folder of `config`, for rows of at most `length` tokens of `student`'s vocabulary. `device` is plain.
    ///
    /// Where the encoder has another vocabulary, each piece of the student stands for the encoder's piece of the same letters, and for its
    /// `[UNK]` where there is none; rows keep their places. Predictions and originals that are no whole word of both have grade 0.
    ///
    /// # Errors
    /// Folders and files that cannot be read; fewer layers or positions than asked for; no word in common.
    pub fn open(
        config: &EncoderJudgeConfig,
        student: &TextTokenizer,
        length: usize,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        let calibration = match &config.calibration {
            Some(path) => EncoderCalibration::load(path)?,
            None => return Err(EncoderError::NoCalibration { layers: config.layers }),
        };
        if let (Some(path), true) = (&config.calibration, calibration.layers != config.layers) {
            let (found, asked) = (calibration.layers, config.layers);
            let message = format!("it was fitted after {found} layers, and the judge reads {asked}");
            return Err(EncoderError::Calibration { path: path.clone(), message });
        }
        if let (Some(path), true) = (&config.calibration, calibration.wordnet != config.wordnet.is_some()) {
            let [found, asked] = [calibration.wordnet, config.wordnet.is_some()]
                .map(|with| if with { "with" } else { "without" });
            let message = format!("it was fitted {found} WordNet, and the judge works {asked}");
            return Err(EncoderError::Calibration { path: path.clone(), message });
        }
        let relations = match &config.wordnet {
            Some(dict) => Some(Relations::new(&WordNet::open(dict)?, student.spelled())),
            None => None,
        };
        let folder = config.model.as_deref().unwrap_or(Path::new(""));
        Self::with(folder, calibration, relations.as_ref(), student, length, device)
    }

    /// [`open`](Self::open) with a calibration and relations (of the student's vocabulary) that are at hand.
    ///
    /// # Errors
    /// As `open`.
    pub fn with(
        folder: &Path,
        calibration: EncoderCalibration,
        relations: Option<&Relations>,
        student: &TextTokenizer,
        length: usize,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        let path = || folder.to_owned();
        let own = TextTokenizer::load(folder)?;
        let (model, _) = Pretrained::open(folder, device)?;
        let encoder = model.encoder();
        let (layers, positions, rows) = (encoder.num_layers, encoder.max_positions, encoder.vocab_size);
        if calibration.layers > layers {
            return Err(EncoderError::Layers { path: path(), found: layers, asked: calibration.layers });
        }
        if length > positions {
            return Err(EncoderError::Length { path: path(), positions, length });
        }
        if own.size() > rows {
            return Err(EncoderError::Table { path: path(), rows, pieces: own.size() });
        }
        let same = own.sha256() == student.sha256();
        let translated = |piece: &String| match own.lowercase() && !piece.starts_with('[') {
            true => own.spelled_id(&piece.to_lowercase()),
            false => own.spelled_id(piece),
        };
        let ids: Vec<Option<u32>> = student.spelled().iter().map(translated).collect();
        let word = |(piece, id): (&String, &Option<u32>)| f32::from(u8::from(is_word(piece) && id.is_some()));
        let word: Vec<f32> = student.spelled().iter().zip(&ids).map(word).collect();
        if !word.contains(&1.0) {
            let (student, encoder) = (student.size(), own.size());
            return Err(EncoderError::Vocabulary { path: path(), student, encoder });
        }
        let unknown = own.special().unk;
        let ids: Vec<i32> = ids.into_iter().map(|id| id.unwrap_or(unknown) as i32).collect();
        let size = [student.size()];
        Ok(Self {
            ids: (!same).then(|| Tensor::from_data(TensorData::new(ids, size), device)),
            word: Tensor::from_data(TensorData::new(word, size), device),
            added: relations.map(|all| PairTable::new(all, &calibration.regression, student.size(), device)),
            calibration,
            model,
            key: MemoKey::unique(),
        })
    }

    /// How cosines become grades.
    pub fn calibration(&self) -> &EncoderCalibration {
        &self.calibration
    }

    /// Cosine of the vectors at each masked position, in the original row and in the row with all predictions in their places, `[P]`.
    pub fn cosine(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let batch = predictions.batch;
        let positions = batch.positions.clone().inner();
        let original = batch.original.clone().inner();
        let before =
            batch.memo.get_or_try_compute(self.key, || Some(self.unit_vectors(original.clone(), batch)));
        let filled = scatter_ids(original, positions, &batch.weight, predictions.ids.clone().inner());
        let after = self.unit_vectors(filled, batch);
        match before {
            Some(before) => (before * after).sum_dim(1).squeeze_dim(1),
            // Never: the vectors were computed.
            None => after.sum_dim(1).squeeze_dim::<1>(1).zeros_like(),
        }
    }

    /// The vectors at the masked positions when the encoder reads `ids` `[B, L]`, of length 1: `[P, H]`.
    fn unit_vectors(&self, ids: Tensor<2, Int>, batch: &Batch) -> Tensor<2> {
        let [rows, length] = ids.dims();
        let ids = match &self.ids {
            Some(own) => own.clone().select(0, ids.reshape([rows * length])).reshape([rows, length]),
            None => ids,
        };
        let inputs = Inputs {
            ids,
            token_type: batch.segments.clone().inner(),
            mask: batch.padded.then(|| batch.attention.clone().inner()),
            documents: batch.documents.clone(),
            cuts: None,
        };
        let places = batch.positions.clone().inner();
        let at = self.model.hidden_after(self.calibration.layers, &inputs, places, &Noise::none());
        let norm = (at.clone() * at.clone()).sum_dim(1).sqrt().clamp_min(1e-12);
        at / norm
    }
}

impl Judge for EncoderJudge {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        let regression = &self.calibration.regression;
        let (gold, ids) = (predictions.batch.gold.clone().inner(), predictions.ids.clone().inner());
        let odds = self.cosine(predictions) * regression.cosine as f32 + regression.intercept as f32;
        let odds = match &self.added {
            Some(added) => odds + added.look_up(gold.clone(), ids.clone()),
            None => odds,
        };
        let words = self.word.clone().select(0, gold) * self.word.clone().select(0, ids);
        sigmoid(odds) * words
    }
}

/// A number for each of some pairs of words, 0 for all others.
struct PairTable {
    /// `[V + 1]`: where the members of each word begin.
    starts: Tensor<1, Int>,
    /// Members of all words, ascending for each; one more at the end, so that no search leaves it.
    members: Tensor<1, Int>,
    /// Their numbers.
    values: Tensor<1>,
    /// Halvings that find a member among the most that a word has.
    steps: u32,
}

impl PairTable {
    fn new(relations: &Relations, regression: &Calibration, vocabulary: usize, device: &Device) -> Self {
        let (mut starts, mut members, mut values, mut most) = (vec![0i32], Vec::new(), Vec::new(), 0);
        for word in 0..vocabulary as u32 {
            let related = relations.any(word);
            most = most.max(related.len());
            for other in related {
                let between = relations.between(word, other);
                let never =
                    between[PairRelation::Antonym as usize] || between[PairRelation::Inflection as usize];
                members.push(other as i32);
                values.push(if never { NEVER } else { regression.added(between) } as f32);
            }
            starts.push(members.len() as i32);
        }
        members.push(i32::MAX);
        values.push(0.0);
        let (count, size) = ([members.len()], [starts.len()]);
        Self {
            starts: Tensor::from_data(TensorData::new(starts, size), device),
            members: Tensor::from_data(TensorData::new(members, count), device),
            values: Tensor::from_data(TensorData::new(values, count), device),
            steps: usize::BITS - most.leading_zeros(),
        }
    }

    /// `[P]`, `[P]` -> `[P]`, by bisection among the members of `word`.
    fn look_up(&self, word: Tensor<1, Int>, other: Tensor<1, Int>) -> Tensor<1> {
        let mut low = self.starts.clone().select(0, word.clone());
        let mut high = self.starts.clone().select(0, word + 1);
        let end = high.clone();
        for _ in 0..self.steps {
            let middle = (low.clone() + high.clone()) / 2;
            let member = self.members.clone().select(0, middle.clone());
            let open = low.clone().lower(high.clone());
            let above = member.lower(other.clone()).bool_and(open);
            low = low.mask_where(above.clone(), middle.clone() + 1);
            high = middle.mask_where(above, high);
        }
        let found = self.members.clone().select(0, low.clone()).equal(other).bool_and(low.clone().lower(end));
        self.values.clone().select(0, low).mask_fill(found.bool_not(), 0.0)
    }
}
