//! The inputs of a model, and pooling.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use fn_ops::Documents;
use serde::{Deserialize, Serialize};

use crate::cuts::Cuts;

/// A batch of token ids.
///
/// # Shapes
/// B batch, L length (at most the model's `max_positions`).
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `[B, L]` token ids.
    pub ids: Tensor<2, Int>,
    /// `[B, L]` segment of each token: 0 or 1.
    pub token_type: Tensor<2, Int>,
    /// `[B, L]` 1 for a real token, 0 for padding; `None` when nothing is padded (faster).
    pub mask: Option<Tensor<2>>,
    /// Where the documents of each row begin, for rows that hold several: none attends to another, and positions restart. `None`: a
    /// row is one document.
    pub documents: Option<Documents>,
    /// Where the pass of an encoder is cut: before each layer. `None`: nowhere.
    pub cuts: Option<Cuts>,
}

impl Inputs {
    /// One segment, no padding. `ids`: `[B, L]`.
    pub fn plain(ids: Tensor<2, Int>) -> Self {
        let token_type = ids.zeros_like();
        Self { ids, token_type, mask: None, documents: None, cuts: None }
    }

    /// What `layer` is to read in place of `x`, see [`Cuts`].
    pub(crate) fn cut<M: Module>(&self, layer: &M, x: Tensor<3>) -> Tensor<3> {
        match &self.cuts {
            Some(cuts) => cuts.before(layer, x),
            None => x,
        }
    }
}

/// How the hidden vectors of a sequence become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Pooling {
    /// The first token's vector (`[CLS]`).
    #[default]
    #[serde(rename = "cls")]
    FirstToken,
    /// Mean over the real tokens.
    #[serde(rename = "mean")]
    Mean,
}

impl Pooling {
    /// Pools hidden vectors.
    ///
    /// # Shapes
    /// - hidden: `[B, L, H]`, mask: `[B, L]` - output: `[B, H]`
    pub fn pool(self, hidden: Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<2> {
        match (self, mask) {
            (Self::FirstToken, _) => hidden.narrow(1, 0, 1).squeeze_dim(1),
            (Self::Mean, None) => hidden.mean_dim(1).squeeze_dim(1),
            (Self::Mean, Some(mask)) => {
                let weight = mask.clone().unsqueeze_dim::<3>(2);
                let count = weight.clone().sum_dim(1).squeeze_dim::<2>(1).clamp_min(1.0);
                (hidden * weight).sum_dim(1).squeeze_dim::<2>(1) / count
            }
        }
    }
}
