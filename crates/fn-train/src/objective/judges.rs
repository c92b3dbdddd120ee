//! Who says which errors are none.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, Int, Tensor};
use fn_core::judge::{Bands, DeviceLexicon, Judge, LexiconJudge, NoJudge, VerifierJudge};
use fn_core::loss::scatter_rows;
use fn_models::hf::{self, Head, HfError};
use fn_models::params::{self, NamedTensor};
use fn_models::{Arch, BertForPreTraining, Electra, Inputs};
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
        match self.verifier.as_ref().and_then(|verifier| verifier.judge(batch)) {
            Some(judge) => OfBatch::Verifier(Box::new(judge)),
            None => OfBatch::Shared(&*self.judge),
        }
    }

    /// The verifier follows the model, if it is an average of it. `model` gives it on the plain device.
    pub(super) fn follow(&self, model: impl FnOnce() -> Model) {
        if let Some(verifier) = self.verifier.as_ref().filter(|verifier| verifier.vocab_size().is_none()) {
            verifier.follow(model());
        }
    }

    /// See [`Objective::carried`](super::Objective::carried).
    pub(super) fn carried(&self) -> Vec<NamedTensor> {
        self.verifier.as_ref().map(Verifier::carried).unwrap_or_default()
    }

    /// See [`Objective::restore`](super::Objective::restore).
    pub(super) fn restore(&self, like: impl FnOnce() -> Model, tensors: &mut Vec<NamedTensor>) {
        if let Some(verifier) = &self.verifier {
            verifier.restore(like(), tensors);
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

/// A masked language model that reads each row with all masked places hidden and says how well any word fits: another one that is
/// not trained, or a moving average of the one that is.
pub struct Verifier {
    source: Source,
    bands: Bands,
    mask: u32,
}

enum Source {
    Frozen(Model),
    Average {
        decay: f64,
        /// None until the first model is seen.
        model: Mutex<Option<Model>>,
    },
}

/// A model that fills gaps.
#[derive(Clone)]
pub(super) enum Model {
    Bert(Box<BertForPreTraining>),
    /// Its generator.
    Electra(Box<Electra>),
}

/// Tensors of a moving average in a checkpoint are named so.
const PREFIX: &str = "verifier.";

impl Model {
    fn averaged(self, other: &Self, decay: f64) -> Self {
        match (self, other) {
            (Self::Bert(a), Self::Bert(b)) => Self::Bert(Box::new(params::moving_average(*a, b, decay))),
            (Self::Electra(a), Self::Electra(b)) => {
                Self::Electra(Box::new(params::moving_average(*a, b, decay)))
            }
            (own, _) => own,
        }
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        match self {
            Self::Bert(model) => params::collect(&**model),
            Self::Electra(model) => params::collect(&**model),
        }
    }

    fn filled(self, lookup: &mut params::Lookup<'_, Infallible>) -> Self {
        let Ok(filled) = match self {
            Self::Bert(model) => params::load(*model, lookup).map(|model| Self::Bert(Box::new(model))),
            Self::Electra(model) => params::load(*model, lookup).map(|model| Self::Electra(Box::new(model))),
        };
        filled
    }

    /// `[P, V]`
    fn logits(&self, inputs: &Inputs, rows: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::Bert(model) => model.masked_logits(inputs, rows, &Noise::none()),
            Self::Electra(model) => model.generator_logits(inputs, rows, &Noise::none()),
        }
    }
}

impl Verifier {
    /// Loads a Hugging Face folder of a BERT with its masked-LM head, or of an ELECTRA, whose generator is taken. `device` is plain;
    /// `mask` is the id of `[MASK]`.
    ///
    /// # Errors
    /// A folder that cannot be read; a model without a masked-LM head.
    pub fn load(dir: &Path, bands: Bands, mask: u32, device: &Device) -> Result<Self, HfError> {
        let (model, head, report) = match hf::read_encoder(dir)?.0 {
            Arch::Bert => {
                let (model, _, report) = hf::load_bert(dir, device)?;
                (Model::Bert(Box::new(model)), Head::MaskedLm, report)
            }
            Arch::Electra => {
                let (model, _, report) = hf::load_electra(dir, device)?;
                (Model::Electra(Box::new(model)), Head::Generator, report)
            }
        };
        // A head with fresh initial values would judge at random.
        if !report.has(head) {
            return Err(HfError::Absent { folder: dir.to_owned(), wanted: "masked-LM head" });
        }
        Ok(Self { source: Source::Frozen(model), bands, mask })
    }

    /// A moving average of the model that is trained: after each step `decay * average + (1 - decay) * model`.
    pub fn average(decay: f64, bands: Bands, mask: u32) -> Self {
        Self { source: Source::Average { decay, model: Mutex::new(None) }, bands, mask }
    }

    /// Rows of the token table of a loaded model; None for an average, which has that of the trained one.
    pub fn vocab_size(&self) -> Option<usize> {
        let table = match &self.source {
            Source::Frozen(Model::Bert(model)) => model.word_embedding(),
            Source::Frozen(Model::Electra(model)) => model.word_embedding(),
            Source::Average { .. } => return None,
        };
        Some(table.dims()[0])
    }

    /// Reads the batch; None for an average before its first step.
    pub fn judge(&self, batch: &DeviceBatch) -> Option<VerifierJudge> {
        let rows = batch.rows.clone().inner();
        // Rows that were left as they are or got a random word: the verifier must not see those either.
        let hidden = Tensor::<1, Int>::full(rows.dims(), self.mask, &rows.device());
        let inputs = Inputs {
            ids: scatter_rows(batch.inputs.ids.clone().inner(), rows.clone(), &batch.weight, hidden),
            token_type: batch.inputs.token_type.clone().inner(),
            mask: batch.inputs.mask.clone().map(Tensor::inner),
        };
        let logits = match &self.source {
            Source::Frozen(model) => model.logits(&inputs, rows),
            Source::Average { model, .. } => locked(model).as_ref()?.logits(&inputs, rows),
        };
        Some(VerifierJudge::new(logits, self.bands))
    }

    /// Follows `model`, which lives on the plain device. The first one is taken as it is.
    pub(super) fn follow(&self, model: Model) {
        if let Source::Average { decay, model: average } = &self.source {
            let mut average = locked(average);
            *average = Some(match average.take() {
                Some(old) => old.averaged(&model, *decay),
                None => model,
            });
        }
    }

    /// What a checkpoint must hold to go on with the same average.
    pub(super) fn carried(&self) -> Vec<NamedTensor> {
        let Source::Average { model, .. } = &self.source else { return Vec::new() };
        let tensors = locked(model).as_ref().map(Model::tensors).unwrap_or_default();
        tensors.into_iter().map(|t| NamedTensor { name: format!("{PREFIX}{}", t.name), ..t }).collect()
    }

    /// Takes what [`carried`](Self::carried) gave out of `tensors`; `like` is a model of the same shape. Tensors that are not there
    /// stay those of `like`.
    pub(super) fn restore(&self, like: Model, tensors: &mut Vec<NamedTensor>) {
        let Source::Average { model, .. } = &self.source else { return };
        let (mine, others) = std::mem::take(tensors).into_iter().partition(|t| t.name.starts_with(PREFIX));
        *tensors = others;
        let mut mine: BTreeMap<String, NamedTensor> =
            Vec::into_iter(mine).map(|t: NamedTensor| (t.name[PREFIX.len()..].to_owned(), t)).collect();
        let lookup = &mut |name: &str, shape: &[usize]| {
            Ok(mine.remove(name).filter(|tensor| tensor.shape == shape).map(|tensor| tensor.data))
        };
        *locked(model) = Some(like.filled(lookup));
    }
}

/// A panic elsewhere does not make the average wrong.
fn locked(model: &Mutex<Option<Model>>) -> MutexGuard<'_, Option<Model>> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}
