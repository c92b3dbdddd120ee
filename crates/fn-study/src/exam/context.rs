//! Judges of contexts: any judge that training can use, asked about the pairs of an exam.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::batch::{Batch, Memo, Predictions};
use fn_core::judge::MaskedModel;
use fn_core::noise::{Stream, Use};
use fn_core::progress::Counter;
use fn_core::sample::argmax_ids;
use fn_data::tokenise::TextTokenizer;
use fn_train::objective::Reader;

use super::{ExamError, Grades, Judge, Pair, Prepared, Scale};

/// Most pieces on each side of a target.
const AROUND: usize = 30;
/// Rows of a batch.
const ROWS: usize = 64;

/// Length of the longest row: both sides, the target, `[CLS]` and `[SEP]`.
pub(super) const LONGEST: usize = 2 * AROUND + 3;

/// Other places of a row, filled with the predictions of a masked language model as they are in training.
pub struct Filled {
    reader: Reader,
    /// Share of the other places.
    share: f64,
}

impl Filled {
    /// Fills 15 % of the other places with what the masked LM in this folder finds most probable there, when they and the target are masked.
    /// Its vocabulary must have as many pieces as `tokenizer`.
    ///
    /// # Errors
    /// A folder that cannot be read, or has no masked-LM head; another vocabulary.
    pub fn open(folder: &Path, tokenizer: &TextTokenizer, device: &Device) -> Result<Self, ExamError> {
        Ok(Self { reader: masked_lm(folder, tokenizer, device)?, share: 0.15 })
    }
}

/// The masked LM in a folder. Where a tokenizer lies beside it, it must be `tokenizer`; else its token table must have as many rows.
pub(super) fn masked_lm(
    folder: &Path,
    tokenizer: &TextTokenizer,
    device: &Device,
) -> Result<Reader, ExamError> {
    if fn_data::tokenise::has_tokenizer(folder) {
        super::judge::same_vocabulary(folder, tokenizer)?;
    }
    let reader = Reader::load(folder, device)?;
    let (found, expected) = (reader.vocab_size(), tokenizer.size());
    match found == expected {
        true => Ok(reader),
        false => Err(ExamError::Rows { path: folder.to_owned(), found, expected }),
    }
}

/// A judge of training, asked about pairs in their contexts: up to 30 pieces on each side of the target.
pub struct InContext<'a> {
    /// Its name in tables.
    pub name: String,
    /// The judge.
    pub judge: Box<dyn fn_core::judge::Judge + 'a>,
    /// What rows are tokenised with.
    pub tokenizer: &'a TextTokenizer,
    /// Where it computes.
    pub device: Device,
    /// Fills other places of the row; None: the target is the only masked position, and the substitute stands in the original row.
    pub filled: Option<&'a Filled>,
    /// What its grades are.
    pub scale: Scale,
}

impl Judge for InContext<'_> {
    fn name(&self) -> String {
        match self.filled {
            Some(_) => format!("{}, 15 % of the row predicted", self.name),
            None => self.name.clone(),
        }
    }

    fn grade(&self, exam: &Prepared<'_>) -> Result<Grades, ExamError> {
        let rows: Vec<Option<Row>> = (0..exam.exam.targets.len()).map(|_| None).collect();
        let mut rows = rows;
        let mut values = Vec::with_capacity(exam.pairs.len());
        let mut counter = Counter::new(&self.name, "pairs", exam.pairs.len());
        for pairs in exam.pairs.chunks(ROWS) {
            for pair in pairs {
                let target = &exam.exam.targets[pair.target];
                let place = &mut rows[pair.target];
                if place.is_none() {
                    *place =
                        Some(Row::new(&target.context, target.start, &target.word, pair, self.tokenizer));
                }
            }
            let of = |pair: &Pair| rows[pair.target].as_ref();
            let batch: Vec<(&Row, usize)> =
                pairs.iter().filter_map(|pair| Some((of(pair)?, pair.target))).collect();
            let substitutes: Vec<u32> = pairs.iter().map(|pair| pair.substitute).collect();
            values.extend(self.grades(&batch, &substitutes));
            counter.add(pairs.len());
        }
        Ok(Grades { values, floor: None, scale: self.scale })
    }
}

impl InContext<'_> {
    fn grades(&self, rows: &[(&Row, usize)], substitutes: &[u32]) -> Vec<f64> {
        let share = self.filled.map_or(0.0, |filled| filled.share);
        let others: Vec<Vec<usize>> = rows.iter().map(|(row, seed)| row.others(share, *seed)).collect();
        // The target first, then the other places, as many in every row.
        let most = others.iter().map(Vec::len).max().unwrap_or(0);
        let length = rows.iter().map(|(row, _)| row.ids.len()).max().unwrap_or(0);
        let special = self.tokenizer.special();
        let (count, mut padded) = (rows.len(), false);
        let (mut ids, mut attention) = (Vec::new(), Vec::new());
        let (mut positions, mut weight) = (Vec::new(), Vec::new());
        for (at, ((row, _), others)) in rows.iter().zip(&others).enumerate() {
            let padding = length - row.ids.len();
            padded |= padding > 0;
            ids.extend(row.ids.iter().map(|&id| id as i32));
            ids.extend(std::iter::repeat_n(special.pad as i32, padding));
            attention.extend(std::iter::repeat_n(1.0f32, row.ids.len()));
            attention.extend(std::iter::repeat_n(0.0f32, padding));
            let first = at * length;
            positions.push((first + row.target) as i32);
            positions.extend(others.iter().map(|place| (first + place) as i32));
            weight.extend(std::iter::repeat_n(1.0f32, 1 + others.len()));
            positions.extend(std::iter::repeat_n(first as i32, most - others.len()));
            weight.extend(std::iter::repeat_n(0.0f32, most - others.len()));
        }
        let device = self.device.clone();
        let original = Tensor::<2, Int>::from_data(TensorData::new(ids, [count, length]), &device);
        let places = [count * (1 + most)];
        let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, places), &device);
        let gold = original.clone().reshape([count * length]).select(0, positions.clone());
        let batch = Batch {
            segments: original.zeros_like(),
            attention: Tensor::from_data(TensorData::new(attention, [count, length]), &device),
            padded,
            weight: Tensor::from_data(TensorData::new(weight, places), &device),
            documents: None,
            memo: Memo::default(),
            original,
            positions,
            gold,
        };
        let targets: Vec<i32> = substitutes.iter().map(|&id| id as i32).collect();
        let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [count, 1]), &device);
        let guesses = self.filled.and_then(|filled| {
            let logits = filled.reader.masked_logits(batch.masked(special.mask), &batch)?;
            Some(argmax_ids(logits).reshape([count, 1 + most]).slice([0..count, 1..1 + most]))
        });
        let predicted = match guesses {
            Some(guesses) if most > 0 => Tensor::cat(vec![targets, guesses], 1),
            _ => targets,
        };
        let predicted = predicted.reshape(places);
        let predictions = Predictions::sampled(&batch, &Tensor::zeros([places[0], 1], &device), predicted);
        let grades = self.judge.grade(&predictions).reshape([count, 1 + most]);
        let first = grades.slice([0..count, 0..1]);
        first.into_data().iter::<f32>().map(f64::from).collect()
    }
}

/// `[CLS]`, up to 30 pieces, the target, up to 30 pieces, `[SEP]`.
struct Row {
    ids: Vec<u32>,
    target: usize,
}

impl Row {
    fn new(context: &str, start: usize, word: &str, pair: &Pair, tokenizer: &TextTokenizer) -> Self {
        let (before, rest) = context.split_at(start);
        // Apart, so that the target is one piece wherever it stands.
        let parts = tokenizer.encode_around_gaps(&[before, &rest[word.len()..]]);
        let (before, after) = (&parts[0], &parts[1]);
        let before = &before[before.len().saturating_sub(AROUND)..];
        let text = [before, &[pair.word], &after[..after.len().min(AROUND)]].concat();
        let (ids, _) = tokenizer.frame().single(&text);
        Self { ids, target: tokenizer.frame().start() + before.len() }
    }

    /// This share of the places other than the target, drawn for the target `seed`, ascending.
    fn others(&self, share: f64, seed: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (1..self.ids.len() - 1).filter(|place| *place != self.target).collect();
        let count = (share * places.len() as f64).round() as usize;
        Stream::new(1, seed as u64, 0, Use::Positions).shuffle(&mut places);
        places.truncate(count);
        places.sort_unstable();
        places
    }
}
