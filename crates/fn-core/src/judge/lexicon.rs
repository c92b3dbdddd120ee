//! Judging by look-up: a prediction `r` is plausible for `w` where `r in V(w)`.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::{Judge, VocabularyJudge};
use crate::batch::Predictions;
use crate::lexicon::Lexicon;

/// Fills each row of the table up to its width. It equals no id, not even 0.
const NOTHING: i32 = -1;

/// The look-up sets as a table on the device, `[V, K]`.
///
/// The table is kept without autodiff, so one lexicon serves training and evaluation.
#[derive(Debug, Clone)]
pub struct DeviceLexicon {
    /// `[V, K]`, K at least 1; row `w` holds `V(w)` ascending, then -1.
    table: Tensor<2, Int>,
    /// `[V, K]`: the grade of each member, 0 beside -1. None if all grades are 1.
    grades: Option<Tensor<2>>,
    truncated: usize,
}

impl DeviceLexicon {
    /// Copies `lexicon` to `device`. A row with more than `max_width` members keeps those with the highest grades, and among equal ones
    /// those with the lowest ids, which in the usual vocabularies are the most frequent words;
    /// [`truncated_rows`](Self::truncated_rows) says how many were cut.
    pub fn new(lexicon: &Lexicon, max_width: Option<usize>, device: &Device) -> Self {
        let limit = max_width.unwrap_or(usize::MAX);
        let width = lexicon.width().min(limit).max(1);
        let shape = [lexicon.vocab_size(), width];
        let mut table = vec![NOTHING; lexicon.vocab_size() * width];
        let mut grades = if lexicon.is_graded() { vec![0.0f32; table.len()] } else { Vec::new() };
        let mut truncated = 0;
        for (word, _) in lexicon.rows() {
            let mut members: Vec<(u32, f32)> = lexicon.graded_row(word).collect();
            // A cap of 0 keeps nothing, although the table has a column.
            if members.len() > limit {
                truncated += 1;
                members.sort_by(|a, b| b.1.total_cmp(&a.1));
                members.truncate(limit);
                members.sort_by_key(|member| member.0);
            }
            for (k, (member, grade)) in members.into_iter().enumerate() {
                let slot = word as usize * width + k;
                table[slot] = member as i32;
                if let Some(slot) = grades.get_mut(slot) {
                    *slot = grade;
                }
            }
        }
        let device = device.clone().inner();
        let grades = lexicon.is_graded().then(|| Tensor::from_data(TensorData::new(grades, shape), &device));
        Self { table: Tensor::from_data(TensorData::new(table, shape), &device), grades, truncated }
    }

    /// Width K of the table.
    pub fn width(&self) -> usize {
        self.table.dims()[1]
    }

    /// Number of rows that lost members to the maximum width.
    pub fn truncated_rows(&self) -> usize {
        self.truncated
    }

    /// `V(w)` of every word, padded with -1: `[P]` -> `[P, K]`.
    pub fn members(&self, words: &Tensor<1, Int>) -> Tensor<2, Int> {
        self.table.clone().select(0, words.clone().inner())
    }

    /// Whether `r` is in `V(w)`: `[P]`, `[P]` -> `[P]`.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use fn_core::{judge::DeviceLexicon, lexicon::{Lexicon, LexiconInfo}};
    /// let device = Device::flex();
    /// let lexicon = Lexicon::from_rows(5, [(1, vec![2, 3])], LexiconInfo::default())?;
    /// let table = DeviceLexicon::new(&lexicon, None, &device);
    /// let (w, r) = (Tensor::from_ints([1, 1, 4], &device), Tensor::from_ints([3, 0, 0], &device));
    /// assert_eq!(table.contains(&w, &r).into_data().iter::<bool>().collect::<Vec<_>>(), [true, false, false]);
    /// # Ok::<(), fn_core::lexicon::LexiconError>(())
    /// ```
    pub fn contains(&self, w: &Tensor<1, Int>, r: &Tensor<1, Int>) -> Tensor<1, Bool> {
        self.places(w, r).any_dim(1).squeeze_dim(1)
    }

    /// The grade of `r` in the place of `w`, 0 where it is no member: `[P]`, `[P]` -> `[P]`. Where all grades are 1 this is
    /// [`contains`](Self::contains).
    pub fn grade(&self, w: &Tensor<1, Int>, r: &Tensor<1, Int>) -> Tensor<1> {
        match &self.grades {
            None => self.contains(w, r).float(),
            Some(grades) => {
                let row = grades.clone().select(0, w.clone().inner());
                // One place at most is taken: the sum is its grade, exactly.
                row.mask_fill(self.places(w, r).bool_not(), 0.0).sum_dim(1).squeeze_dim(1)
            }
        }
    }

    /// Where `r` stands in the row of `w`: `[P]`, `[P]` -> `[P, K]`.
    fn places(&self, w: &Tensor<1, Int>, r: &Tensor<1, Int>) -> Tensor<2, Bool> {
        let members = self.members(w);
        let wanted = r.clone().inner().unsqueeze_dim::<2>(1).expand(members.dims());
        members.equal(wanted)
    }
}

/// The lexicon's grade of the prediction where it is in the original word's look-up set (1 unless the lexicon says otherwise), else 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::batch::{Batch, Predictions};
/// use fn_core::judge::{DeviceLexicon, LexiconJudge, Verdict};
/// use fn_core::lexicon::{Lexicon, LexiconInfo};
/// let device = Device::flex();
/// let lexicon = Lexicon::from_rows(20, [(7, vec![9, 12])], LexiconInfo::default())?;
/// let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &device));
/// let batch = Batch::new(Tensor::from_ints([[7, 7, 7]], &device), Tensor::from_ints([0, 1, 2], &device));
/// let ids = Tensor::from_ints([9, 7, 3], &device); // a synonym, the word itself, an error
/// let predictions = Predictions::sampled(&batch, &Tensor::zeros([3, 20], &device), ids);
/// let verdict = Verdict::of(&judge, &predictions, 0.5);
/// assert_eq!(verdict.false_negative.into_data().iter::<bool>().collect::<Vec<_>>(), [true, false, false]);
/// # Ok::<(), fn_core::lexicon::LexiconError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LexiconJudge {
    lexicon: DeviceLexicon,
}

impl LexiconJudge {
    /// Judges by this lexicon.
    pub fn new(lexicon: DeviceLexicon) -> Self {
        Self { lexicon }
    }
}

impl Judge for LexiconJudge {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        self.lexicon.grade(&predictions.batch.gold, &predictions.ids)
    }

    fn vocabulary(&self) -> Option<&dyn VocabularyJudge> {
        Some(self)
    }
}

impl LexiconJudge {
    /// The look-up set of each word and the grades of its members, `[P]` -> `[P, K]`, `[P, K]`; id 0 of grade 0 fills them up.
    pub(super) fn row(&self, words: &Tensor<1, Int>) -> (Tensor<2, Int>, Tensor<2>) {
        let members = self.lexicon.members(words);
        let empty = members.clone().lower_scalar(0);
        let grades = match &self.lexicon.grades {
            Some(grades) => grades.clone().select(0, words.clone().inner()),
            None => empty.clone().bool_not().float(),
        };
        (members.mask_fill(empty, 0), grades)
    }
}
