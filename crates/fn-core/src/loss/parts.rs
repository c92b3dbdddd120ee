//! A loss as a list of named terms.

use burn::tensor::Tensor;

/// Named terms of a loss, each `[1]` and already weighted: they add up to the total.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use fn_core::loss::LossParts;
/// let device = Device::flex();
/// let term = |x: f32| Tensor::<1>::from_floats([x], &device);
/// let parts = LossParts { terms: vec![("masked_lm", term(2.0)), ("word_distance", term(0.5))] };
/// assert_eq!(parts.total().into_scalar::<f32>(), 2.5);
/// ```
#[derive(Debug, Clone)]
pub struct LossParts {
    /// Name and value; there is at least one.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

impl LossParts {
    /// The sum of the terms, `[1]`: what is differentiated.
    ///
    /// # Panics
    /// Without a term.
    pub fn total(&self) -> Tensor<1> {
        #[allow(clippy::expect_used)] // every loss of this crate has its main term
        self.terms.iter().map(|(_, term)| term.clone()).reduce(|a, b| a + b).expect("a loss has a term")
    }
}
