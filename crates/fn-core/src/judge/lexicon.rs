//! Judging by look-up: a prediction `r` is plausible for `w` where `r in V(w)`.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::Judge;
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
    truncated: usize,
}

impl DeviceLexicon {
    /// Copies `lexicon` to `device`. A row with more than `max_width` members keeps those with the lowest ids, which in
    /// the usual vocabularies are the most frequent words; [`truncated_rows`](Self::truncated_rows) says how many were cut.
    pub fn new(lexicon: &Lexicon, max_width: Option<usize>, device: &Device) -> Self {
        let width = lexicon.width().min(max_width.unwrap_or(usize::MAX)).max(1);
        let mut table = vec![NOTHING; lexicon.vocab_size() * width];
        let mut truncated = 0;
        for (word, members) in lexicon.rows() {
            // A cap of 0 keeps nothing, although the table has a column.
            let kept = members.len().min(max_width.unwrap_or(usize::MAX));
            truncated += usize::from(kept < members.len());
            let start = word as usize * width;
            for (slot, &member) in table[start..start + kept].iter_mut().zip(members) {
                *slot = member as i32;
            }
        }
        let table =
            Tensor::from_data(TensorData::new(table, [lexicon.vocab_size(), width]), &device.clone().inner());
        Self { table, truncated }
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
        let members = self.members(w);
        let wanted = r.clone().inner().unsqueeze_dim::<2>(1).expand(members.dims());
        members.equal(wanted).any_dim(1).squeeze_dim(1)
    }
}

/// Grade 1 where the prediction is in the original word's look-up set, else 0.
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
        self.lexicon.contains(&predictions.batch.gold, &predictions.ids).float()
    }
}
