//! A masked batch on the device, and what a model predicts at its masked positions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Bool, Int, Tensor};
use fn_ops::Documents;

use crate::loss::scatter_ids;
use crate::sample::{Prediction, SampleConfig, argmax_ids, gumbel_sample};

/// A batch of sequences of which some positions are masked.
///
/// Shapes: B sequences, L tokens each, P masked positions of the whole batch. P is fixed (B times the most predictions of a
/// sequence), so that every step has the same shapes; entries that are left over are padding with weight 0.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Ids before corruption, `[B, L]`.
    pub original: Tensor<2, Int>,
    /// Segment (token type) of each token, `[B, L]`.
    pub segments: Tensor<2, Int>,
    /// 1 for a token, 0 for padding, `[B, L]`.
    pub attention: Tensor<2>,
    /// Whether `attention` is 0 anywhere. Known on the host, so that nobody has to ask the device.
    pub padded: bool,
    /// Flat index `b * L + l` of each masked position, `[P]`; any index where the weight is 0.
    pub positions: Tensor<1, Int>,
    /// `w`: the original id at each masked position, `[P]`.
    pub gold: Tensor<1, Int>,
    /// 1 for a masked position, 0 for padding of the list, `[P]`.
    pub weight: Tensor<1>,
    /// Where documents begin in each sequence, if it holds several that do not attend to each other; None: one document.
    pub documents: Option<Documents>,
    /// What judges computed for this batch.
    pub memo: Memo,
}

impl Batch {
    /// A batch without padding and with a single segment: `original` `[B, L]`, masked at the flat indices `positions` `[P]`.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use fn_core::batch::Batch;
    /// let device = Device::flex();
    /// let batch = Batch::new(Tensor::from_ints([[5, 6, 7]], &device), Tensor::from_ints([2, 0], &device));
    /// assert_eq!(batch.gold.to_data().iter::<i32>().collect::<Vec<_>>(), [7, 5]);
    /// ```
    pub fn new(original: Tensor<2, Int>, positions: Tensor<1, Int>) -> Self {
        let (shape, device) = (original.dims(), original.device());
        let gold = original.clone().reshape([shape[0] * shape[1]]).select(0, positions.clone());
        Self {
            segments: Tensor::zeros(shape, &device),
            attention: Tensor::ones(shape, &device),
            padded: false,
            weight: Tensor::ones(positions.dims(), &device),
            documents: None,
            memo: Memo::default(),
            original,
            positions,
            gold,
        }
    }

    /// `[B, L]`.
    pub fn shape(&self) -> [usize; 2] {
        self.original.dims()
    }

    /// The original ids with `ids` `[P]` at the masked positions: `[B, L]`.
    pub fn filled(&self, ids: Tensor<1, Int>) -> Tensor<2, Int> {
        scatter_ids(self.original.clone(), self.positions.clone(), &self.weight, ids)
    }

    /// The original ids with `mask` at *every* masked position, also those that corruption left as they were or gave a random
    /// word: `[B, L]`, without autodiff.
    pub fn masked(&self, mask: u32) -> Tensor<2, Int> {
        let positions = self.positions.clone().inner();
        let ids = Tensor::<1, Int>::full(positions.dims(), mask, &positions.device());
        scatter_ids(self.original.clone().inner(), positions, &self.weight, ids)
    }
}

/// Tensors that were computed for one batch and are dropped with it: a judge that is asked twice about the same batch (ELECTRA's
/// generator and its sampled replacements) reads the batch once.
#[derive(Debug, Default)]
pub struct Memo {
    tensors: RefCell<BTreeMap<u64, Tensor<2>>>,
}

impl Memo {
    /// The tensor of `key` if it was computed before, else that of `compute`, which is kept unless it is None.
    pub fn get_or_try_compute(
        &self,
        key: MemoKey,
        compute: impl FnOnce() -> Option<Tensor<2>>,
    ) -> Option<Tensor<2>> {
        if let Some(found) = self.tensors.borrow().get(&key.0) {
            return Some(found.clone());
        }
        let made = compute()?;
        self.tensors.borrow_mut().insert(key.0, made.clone());
        Some(made)
    }
}

/// A copy starts empty: it may be changed.
impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Whose tensor it is; different for each one that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoKey(u64);

impl MemoKey {
    /// A key that nobody else has.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a model (the *student*: the one that is trained) predicts at the masked positions of a batch.
#[derive(Debug, Clone)]
pub struct Predictions<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// `r`: the predicted id at each masked position, `[P]`, without gradient.
    pub ids: Tensor<1, Int>,
    /// How the ids were chosen.
    pub chosen: Prediction,
    logits: Tensor<2>,
}

impl<'a> Predictions<'a> {
    /// Predicts from the student's `logits` `[P, V]`: the most probable id, or for [`Prediction::Sample`] a drawn one.
    pub fn new(batch: &'a Batch, logits: &Tensor<2>, chosen: Prediction) -> Self {
        let ids = match chosen {
            Prediction::Sample => gumbel_sample(logits.clone(), &batch.gold, &SampleConfig::default()),
            Prediction::Argmax | Prediction::Expected => argmax_ids(logits.clone()),
        };
        Self { batch, ids, chosen, logits: logits.clone() }
    }

    /// Ids `[P]` that were sampled already, from the student's `logits` `[P, V]`.
    pub fn sampled(batch: &'a Batch, logits: &Tensor<2>, ids: Tensor<1, Int>) -> Self {
        Self { batch, ids, chosen: Prediction::Sample, logits: logits.clone() }
    }

    /// The student's logits, `[P, V]`, without gradient.
    pub fn logits(&self) -> Tensor<2> {
        self.logits.clone().inner()
    }

    /// Which masked positions are predicted wrong: `r != w`, `[P]`; false for padding.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use fn_core::batch::{Batch, Predictions};
    /// let device = Device::flex();
    /// let batch = Batch::new(Tensor::from_ints([[1, 1, 2]], &device), Tensor::from_ints([0, 1, 2], &device));
    /// let logits = Tensor::<2>::zeros([3, 4], &device);
    /// let predictions = Predictions::sampled(&batch, &logits, Tensor::from_ints([1, 3, 2], &device));
    /// assert_eq!(predictions.wrong().into_data().iter::<bool>().collect::<Vec<_>>(), [false, true, false]);
    /// ```
    pub fn wrong(&self) -> Tensor<1, Bool> {
        let real = self.batch.weight.clone().inner().greater_scalar(0.0);
        self.ids.clone().inner().not_equal(self.batch.gold.clone().inner()).bool_and(real)
    }
}

/// A denominator that is never 0: where the sum of weights is 0, the numerator is 0 as well, and 0 / 1 = 0.
pub(crate) fn guarded(sum: Tensor<1>) -> Tensor<1> {
    let empty = sum.clone().equal_scalar(0.0);
    sum.mask_fill(empty, 1.0)
}
