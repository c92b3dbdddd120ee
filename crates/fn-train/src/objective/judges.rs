//! Who says which errors are none.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use fn_core::judge::{Bands, DeviceLexicon, Judge, LexiconJudge, NoJudge, VerifierJudge};
use fn_core::loss::scatter_rows;
use fn_models::hf::{self, HfError};
use fn_models::{BertForPreTraining, Electra, Family, Inputs};
use fn_ops::Noise;

use super::DeviceBatch;

/// The judge of an objective and what belongs to it.
pub struct Judges {
    /// Drives the corrections, unless there is a verifier.
    pub judge: Box<dyn Judge>,
    /// Judges in its place, by the context of each masked row.
    pub verifier: Option<Verifier>,
    /// The look-up sets, for corrections that need them.
    pub lexicon: Option<DeviceLexicon>,
    /// The look-up sets by which held-out metrics judge.
    pub measured_by: Option<DeviceLexicon>,
    /// beta of the importance weights of true negatives; 0: all weigh the same.
    pub hard_negatives: f64,
}

impl Judges {
    /// This judge and nothing else.
    pub fn only(judge: Box<dyn Judge>) -> Self {
        Self { judge, verifier: None, lexicon: None, measured_by: None, hard_negatives: 0.0 }
    }

    /// Judges and measures by look-up sets; without them nothing is a false negative.
    pub fn by(lexicon: Option<DeviceLexicon>) -> Self {
        let judge: Box<dyn Judge> = match &lexicon {
            Some(lexicon) => Box::new(LexiconJudge::new(lexicon.clone())),
            None => Box::new(NoJudge),
        };
        Self { measured_by: lexicon.clone(), lexicon, ..Self::only(judge) }
    }

    /// The judge of the rows of this batch.
    pub(super) fn of(&self, batch: &DeviceBatch) -> OfBatch<'_> {
        match &self.verifier {
            Some(verifier) => OfBatch::Verifier(Box::new(verifier.judge(batch))),
            None => OfBatch::Shared(&*self.judge),
        }
    }
}

/// A judge for one batch.
pub(super) enum OfBatch<'a> {
    Shared(&'a dyn Judge),
    Verifier(Box<VerifierJudge>),
}

impl OfBatch<'_> {
    pub(super) fn get(&self) -> &dyn Judge {
        match self {
            Self::Shared(judge) => *judge,
            Self::Verifier(judge) => &**judge,
        }
    }
}

/// A masked language model that is not trained: it reads each row with all masked places hidden and says how well any word fits.
pub struct Verifier {
    model: Model,
    bands: Bands,
    mask: u32,
}

enum Model {
    Bert(Box<BertForPreTraining>),
    /// Its generator.
    Electra(Box<Electra>),
}

impl Verifier {
    /// Loads a Hugging Face folder of a BERT with its masked-LM head, or of an ELECTRA, whose generator is taken. `device` is plain;
    /// `mask` is the id of `[MASK]`.
    ///
    /// # Errors
    /// A folder that cannot be read; a model without a masked-LM head.
    pub fn load(dir: &Path, bands: Bands, mask: u32, device: &Device) -> Result<Self, HfError> {
        let model = match hf::read_encoder(dir)?.0 {
            Family::Bert => Model::Bert(Box::new(hf::load_bert(dir, device)?.0)),
            Family::Electra => Model::Electra(Box::new(hf::load_electra(dir, device)?.0)),
        };
        Ok(Self { model, bands, mask })
    }

    /// Rows of the token table.
    pub fn vocab_size(&self) -> usize {
        let table = match &self.model {
            Model::Bert(model) => model.word_embedding(),
            Model::Electra(model) => model.word_embedding(),
        };
        table.dims()[0]
    }

    /// Reads the batch.
    pub fn judge(&self, batch: &DeviceBatch) -> VerifierJudge {
        let rows = batch.rows.clone().inner();
        // Rows that were left as they are or got a random word: the verifier must not see those either.
        let hidden = Tensor::<1, Int>::full(rows.dims(), self.mask, &rows.device());
        let inputs = Inputs {
            ids: scatter_rows(batch.inputs.ids.clone().inner(), rows.clone(), &batch.weight, hidden),
            token_type: batch.inputs.token_type.clone().inner(),
            mask: batch.inputs.mask.clone().map(Tensor::inner),
        };
        let logits = match &self.model {
            Model::Bert(model) => model.masked_logits(&inputs, rows, &Noise::none()),
            Model::Electra(model) => model.generator_logits(&inputs, rows, &Noise::none()),
        };
        VerifierJudge::new(logits, self.bands)
    }
}
