//! What a correction may ask of the model that is trained.

use burn::tensor::{Int, Tensor};

use crate::batch::Batch;

/// The model that is trained, as far as corrections look into it. A plain token-embedding table `[V, H]` is one too.
pub trait Student {
    /// The token-embedding table `E`, `[V, H]`, with gradient.
    fn embedding(&self) -> Tensor<2>;

    /// Token embeddings of `ids`: `[B, L]` -> `[B, L, H]`, with gradient.
    fn look_up(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let ([b, l], table) = (ids.dims(), self.embedding());
        let [_, h] = table.dims();
        table.select(0, ids.reshape([b * l])).reshape([b, l, h])
    }

    /// One vector per sequence of token embeddings: `[B, L, H]` -> `[B, D]`, with gradient. By default their mean over the tokens that
    /// are no padding; a model encodes them first.
    fn sentence_vectors(&self, embeddings: Tensor<3>, batch: &Batch) -> Tensor<2> {
        let mask = batch.attention.clone().unsqueeze_dim::<3>(2);
        let count = mask.clone().sum_dim(1).clamp_min(1.0);
        ((embeddings * mask).sum_dim(1) / count).squeeze_dim(1)
    }
}

impl Student for Tensor<2> {
    fn embedding(&self) -> Tensor<2> {
        self.clone()
    }
}
