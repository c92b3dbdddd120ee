//! What a correction may ask of the model that is trained.

use burn::tensor::{Int, Tensor, TensorData};
use fn_ops::Documents;

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

    /// One vector per sequence of token embeddings, `[B, L, H]` -> `[B, D]`, with gradient; of rows that hold several documents, one per
    /// document. By default their mean over the tokens that are no padding; a model encodes them first.
    fn sentence_vectors(&self, embeddings: Tensor<3>, batch: &Batch) -> Tensor<2> {
        if let Some(documents) = &batch.documents {
            return document_means(embeddings, batch, documents);
        }
        let mask = batch.attention.clone().unsqueeze_dim::<3>(2);
        let count = mask.clone().sum_dim(1).clamp_min(1.0);
        ((embeddings * mask).sum_dim(1) / count).squeeze_dim(1)
    }
}

/// The mean over each document's tokens that are no padding, row after row: `[B, L, H]` -> `[documents, H]`, with gradient.
pub fn document_means(hidden: Tensor<3>, batch: &Batch, documents: &Documents) -> Tensor<2> {
    let [rows, length, width] = hidden.dims();
    let tokens = rows * length;
    let positions = documents.positions();
    let count = positions.iter().filter(|&&position| position == 0).count();
    // Which tokens belong to which document, `[documents, B * L]`.
    let (mut member, mut document) = (vec![0.0f32; count * tokens], 0);
    for (token, &position) in positions.iter().enumerate() {
        if position == 0 && token > 0 {
            document += 1;
        }
        member[document * tokens + token] = 1.0;
    }
    let member = TensorData::new(member, [count, tokens]);
    let member = Tensor::<2>::from_data(member, &batch.attention.device())
        * batch.attention.clone().reshape([1, tokens]);
    let size = member.clone().sum_dim(1).clamp_min(1.0);
    member.matmul(hidden.reshape([tokens, width])) / size
}

impl Student for Tensor<2> {
    fn embedding(&self) -> Tensor<2> {
        self.clone()
    }
}
