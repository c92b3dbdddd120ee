//! Which errors are no errors: given gold and predicted ids, a judge says which rows are false negatives.

mod lexicon;
mod none;
mod random;
mod verifier;

pub use lexicon::{DeviceLexicon, LexiconJudge};
pub use none::NoJudge;
pub use random::RandomShield;
pub(crate) use random::random_like;
pub use verifier::{Bands, VerifierJudge};

use burn::tensor::{Bool, Tensor};

use crate::ids::Rows;

/// Calls rows false negatives.
///
/// Judging must not wait for the device: no value may be read back to the host.
///
/// A judge of your own:
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use fn_core::{ids::Rows, judge::Judge};
///
/// /// Every wrong prediction fits.
/// struct Lenient;
/// impl Judge for Lenient {
///     fn judge(&self, rows: &Rows) -> Tensor<1, Bool> { rows.wrong() }
///     fn name(&self) -> &'static str { "lenient" }
/// }
/// # let device = Device::flex();
/// # let ids = |ids: [i32; 2]| Tensor::from_ints(ids, &device);
/// let rows = Rows { gold: ids([1, 2]), predicted: ids([1, 3]), weight: Tensor::from_floats([1.0, 1.0], &device) };
/// assert_eq!(Lenient.judge(&rows).into_data().iter::<bool>().collect::<Vec<_>>(), [false, true]);
/// ```
pub trait Judge {
    /// Which rows are false negatives, `[P]`. Never true where `predicted == gold` or `weight == 0`.
    fn judge(&self, rows: &Rows) -> Tensor<1, Bool>;

    /// Which of them are as right as the gold word, `[P]`; None where the judge does not tell.
    fn right(&self, _rows: &Rows) -> Option<Tensor<1, Bool>> {
        None
    }

    /// Its name in reports.
    fn name(&self) -> &'static str;
}
