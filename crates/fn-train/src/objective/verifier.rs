//! The masked language model of a verifier.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_core::batch::Batch;
use fn_core::judge::MaskedModel;
use fn_models::hf::HfError;
use fn_models::{Inputs, Pretrained};
use fn_ops::Noise;

/// The masked LM of a verifier, without autodiff. For ELECTRA it is the generator.
#[derive(Clone)]
pub struct Reader(pub(super) Pretrained);

impl Reader {
    /// A copy of `model`, without autodiff.
    pub fn of(model: &Pretrained) -> Self {
        Self(model.valid())
    }

    /// Loads a Hugging Face folder. `device` is without autodiff.
    ///
    /// # Errors
    /// A folder that cannot be read; a model without a masked-LM head.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, HfError> {
        Ok(Self(Pretrained::open_masked_lm(dir, device)?.0))
    }

    /// Number of rows of the token embedding.
    pub fn vocab_size(&self) -> usize {
        self.0.encoder().vocab_size
    }
}

impl MaskedModel for Reader {
    fn masked_logits(&self, ids: Tensor<2, Int>, batch: &Batch) -> Option<Tensor<2>> {
        let inputs = Inputs {
            ids,
            token_type: batch.segments.clone().inner(),
            mask: batch.padded.then(|| batch.attention.clone().inner()),
            documents: batch.documents.clone(),
            cuts: None,
        };
        Some(self.0.masked_logits(&inputs, batch.positions.clone().inner(), &Noise::none()))
    }
}
