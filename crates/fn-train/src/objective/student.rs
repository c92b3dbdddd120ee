//! The interface of the trained model for corrections.

use burn::tensor::{Int, Tensor};
use fn_core::batch::Batch;
use fn_core::noise::{Use, mix};
use fn_core::student::{Student, document_means};
use fn_models::{Pooling, Pretrained};
use fn_ops::Noise;

use super::batch::inputs;

/// The model in a step. Sentences are encoded by the masked LM (for ELECTRA, the generator).
pub(super) struct StepStudent<'a> {
    pub model: &'a Pretrained,
    /// Seed of the step.
    pub seed: u64,
}

impl Student for StepStudent<'_> {
    fn embedding(&self) -> Tensor<2> {
        self.model.word_embedding()
    }

    fn look_up(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(ids)
    }

    fn sentence_vectors(&self, embeddings: Tensor<3>, batch: &Batch) -> Tensor<2> {
        let inputs = inputs(batch.original.clone(), batch);
        // Both sentences of a comparison get the same dropout masks, so that equal sentences have distance 0.
        let noise = Noise::new(mix(&[self.seed, Use::Dropout as u64, 1]));
        let hidden = self.model.masked_lm_hidden_of_words(embeddings, &inputs, &noise);
        match &batch.documents {
            Some(documents) => document_means(hidden, batch, documents),
            None => Pooling::Mean.pool(hidden, inputs.mask.as_ref()),
        }
    }
}
