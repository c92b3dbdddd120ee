//! Backward passes in parts.
//!
//! Between two layers the graph of autodiff is cut: the layer above reads a leaf with the values that left the layer below. A backward pass from
//! the loss then ends at the last cut, and one more for each cut, from the last to the first, goes on with the gradient of its leaf. All
//! gradients of a layer are there when the next part begins, and can be sent to other processes meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{Module, ParamId, list_param_ids};
use burn::tensor::Tensor;

/// The cuts of a forward pass; clones share them. Without autodiff nothing is cut.
#[derive(Debug, Clone, Default)]
pub struct Cuts(Arc<Mutex<Vec<Cut>>>);

/// A cut before a layer.
#[derive(Debug)]
pub struct Cut {
    /// What enters the layer, with the graph below: `[B, L, H]`.
    pub below: Tensor<3>,
    /// The same values, as a leaf of the graph above.
    pub above: Tensor<3>,
    /// The parameters of the layer.
    pub layer: Vec<ParamId>,
}

impl Cuts {
    /// What the layer is to read in place of `x`.
    pub(crate) fn before<M: Module>(&self, layer: &M, x: Tensor<3>) -> Tensor<3> {
        if !x.is_tracked() {
            return x;
        }
        let above = x.clone().detach().require_grad();
        let cut = Cut { below: x, above: above.clone(), layer: list_param_ids(layer) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(cut);
        above
    }

    /// The cuts, in the order of the forward pass; none are left.
    pub fn take(&self) -> Vec<Cut> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
