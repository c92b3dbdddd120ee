//! One type for every architecture: [`Pretrained`]. The only place that tells them apart when something is computed.

use std::path::Path;

use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Int, Tensor};
use fn_ops::Noise;

use crate::arch::{Arch, Objective};
use crate::bert::BertForPreTraining;
use crate::config::{BertConfig, ConfigError, ElectraConfig, EncoderConfig};
use crate::electra::{Electra, EmbeddingSharing};
use crate::encoder::Encoder;
use crate::hf::{self, Head, HfError, LoadReport, SaveOptions};
use crate::inputs::{Inputs, Pooling};

/// A model with its heads of pre-training, of whichever architecture: read from a Hugging Face folder, or fresh.
///
/// What it can do is asked by method ([`has_masked_lm`](Self::has_masked_lm), [`has_discriminator`](Self::has_discriminator),
/// [`encoder`](Self::encoder)), never by matching on the architecture.
///
/// It is a Burn module: optimisers take it, and so does everything of [`params`](crate::params) (`collect`, `load`,
/// `moving_average`). The names of its parameters are those of the model inside, without a prefix, always in the same order: a
/// checkpoint of an [`Electra`] is read into a `Pretrained` and the other way round. A moving average, for example, is
///
/// ```
/// # use burn::module::Module;
/// # use fn_models::{Arch, EncoderConfig, GeneratorSettings, Pretrained, params};
/// # let device = burn::tensor::Device::flex();
/// # let encoder = EncoderConfig { vocab_size: 20, ..EncoderConfig::electra_tiny() };
/// # let model = Pretrained::fresh(Arch::Electra, encoder, GeneratorSettings::default(), 1, &device)?;
/// let mut average = model.valid(); // on the plain device, without gradients
/// average = params::moving_average(average, &model, 0.999);
/// assert_eq!(params::collect(&average).len(), params::collect(&model).len());
/// # Ok::<(), fn_models::ConfigError>(())
/// ```
///
/// # Shapes
/// B batch, L length, P masked rows of the batch, V vocabulary, E width of the token table, H width of the encoder.
#[derive(Debug, Clone)]
pub struct Pretrained {
    arch: Arch,
    net: Net,
    /// Heads that the folder held no weights of.
    fresh_heads: Vec<Head>,
}

#[derive(Debug, Clone)]
enum Net {
    MaskedLm(Box<BertForPreTraining>),
    ReplacedToken(Box<Electra>),
}

/// A generator beside its discriminator: how large it is, and what they share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneratorSettings {
    /// Its width as a share of the discriminator's, above 0.
    pub width: f64,
    /// Its number of layers as a share of the discriminator's, above 0.
    pub depth: f64,
    /// What it shares of its embeddings.
    pub sharing: EmbeddingSharing,
}

impl Default for GeneratorSettings {
    /// ELECTRA-small: a quarter of the width, all of the layers, the same embeddings.
    fn default() -> Self {
        Self { width: 0.25, depth: 1.0, sharing: EmbeddingSharing::Tied }
    }
}

/// The same expression for each architecture.
macro_rules! each {
    ($net:expr, $model:ident => $value:expr) => {
        match $net {
            Net::MaskedLm($model) => $value,
            Net::ReplacedToken($model) => $value,
        }
    };
}

/// Another model of the same architecture.
macro_rules! with_net {
    ($this:ident, $net:expr, $model:ident => $value:expr) => {{
        let net = match $net {
            Net::MaskedLm($model) => Net::MaskedLm(Box::new($value)),
            Net::ReplacedToken($model) => Net::ReplacedToken(Box::new($value)),
        };
        Self { arch: $this.arch, net, fresh_heads: $this.fresh_heads.clone() }
    }};
}

impl Pretrained {
    /// Reads a folder of whatever architecture its `config.json` names.
    ///
    /// A head that the files do not hold has fresh initial values; [`has_masked_lm`](Self::has_masked_lm) and
    /// [`has_discriminator`](Self::has_discriminator) say so.
    ///
    /// # Errors
    /// Everything of [`HfError`] that concerns reading.
    pub fn open(dir: &Path, device: &Device) -> Result<(Self, LoadReport), HfError> {
        Self::open_as(hf::read_encoder(dir)?.0, None, dir, device)
    }

    /// Reads a folder as a model of `arch`, to continue its pre-training: a masked language model also makes a generator and a
    /// discriminator, see [`hf::load_replaced_token`]. `sharing` is what the two share of their embeddings from here on; None: as before.
    /// It is not read for other architectures.
    ///
    /// # Errors
    /// Everything of [`HfError`] that concerns reading; a folder of an architecture that does not become `arch`.
    pub fn open_as(
        arch: Arch,
        sharing: Option<EmbeddingSharing>,
        dir: &Path,
        device: &Device,
    ) -> Result<(Self, LoadReport), HfError> {
        let (net, report) = match arch.objective() {
            Objective::MaskedLm => {
                let (model, _, report) = hf::load_masked_lm(dir, arch, device)?;
                (Net::MaskedLm(Box::new(model)), report)
            }
            Objective::ReplacedToken => {
                let (model, _, report) = hf::load_replaced_token(dir, arch, sharing, device)?;
                (Net::ReplacedToken(Box::new(model)), report)
            }
        };
        let fresh_heads = arch.heads().filter(|head| !report.has(*head)).collect();
        Ok((Self { arch, net, fresh_heads }, report))
    }

    /// [`open`](Self::open), refusing a folder without a masked-LM head (a fine-tuned model, a discriminator alone): with fresh
    /// initial values it would predict noise.
    ///
    /// # Errors
    /// Everything of [`HfError`] that concerns reading; [`HfError::NoHead`].
    pub fn open_masked_lm(dir: &Path, device: &Device) -> Result<(Self, LoadReport), HfError> {
        let (model, report) = Self::open(dir, device)?;
        match model.has_masked_lm() {
            true => Ok((model, report)),
            false => Err(HfError::NoHead { folder: dir.to_owned(), expected: "a masked-LM head" }),
        }
    }

    /// [`open`](Self::open), refusing a folder that has neither a masked-LM head nor a discriminator's.
    ///
    /// # Errors
    /// Everything of [`HfError`] that concerns reading; [`HfError::NoHead`].
    pub fn open_with_head(dir: &Path, device: &Device) -> Result<(Self, LoadReport), HfError> {
        let (model, report) = Self::open(dir, device)?;
        let expected = "a masked-LM head or of a discriminator's head";
        match model.has_masked_lm() || model.has_discriminator() {
            true => Ok((model, report)),
            false => Err(HfError::NoHead { folder: dir.to_owned(), expected }),
        }
    }

    /// A new model: matrices normal(0, `init_std`), biases 0, norms 1 and 0. The same seed gives the same bytes.
    ///
    /// `encoder` is what fine-tuning keeps (ELECTRA: the discriminator); `generator` is ignored where there is none.
    ///
    /// # Errors
    /// Sizes that no such model can have.
    pub fn fresh(
        arch: Arch,
        encoder: EncoderConfig,
        generator: GeneratorSettings,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        encoder.check_offset(arch.family())?;
        let net = match arch.objective() {
            Objective::MaskedLm => {
                let config = BertConfig::of(arch.family(), encoder);
                config.validate()?;
                Net::MaskedLm(Box::new(BertForPreTraining::init(&config, seed, device)))
            }
            Objective::ReplacedToken => {
                let GeneratorSettings { width, depth, sharing } = generator;
                let config = ElectraConfig { sharing, ..ElectraConfig::new(encoder, width, depth) };
                config.validate()?;
                Net::ReplacedToken(Box::new(Electra::init(&config, seed, device)))
            }
        };
        Ok(Self { arch, net, fresh_heads: Vec::new() })
    }

    /// Writes `config.json` and `model.safetensors` (ELECTRA: also those of its generator, in `generator/`) into `dir`, which is
    /// made if need be. Each file is replaced whole or not at all.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, dir: &Path, options: &SaveOptions) -> Result<(), HfError> {
        match &self.net {
            Net::MaskedLm(model) => hf::save_masked_lm(dir, self.arch, model, model.config(), options),
            Net::ReplacedToken(model) => {
                hf::save_replaced_token(dir, self.arch, model, model.config(), options)
            }
        }
    }

    /// Its architecture.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Sizes of the encoder that fine-tuning keeps (ELECTRA: the discriminator).
    pub fn encoder(&self) -> &EncoderConfig {
        match &self.net {
            Net::MaskedLm(model) => &model.config().encoder,
            Net::ReplacedToken(model) => &model.config().discriminator,
        }
    }

    /// What generator and discriminator share of their embeddings, where there are two.
    pub fn sharing(&self) -> Option<EmbeddingSharing> {
        match &self.net {
            Net::MaskedLm(_) => None,
            Net::ReplacedToken(model) => Some(model.config().sharing),
        }
    }

    /// Sizes of the generator, where there is one.
    pub fn generator(&self) -> Option<&EncoderConfig> {
        match &self.net {
            Net::MaskedLm(_) => None,
            Net::ReplacedToken(model) => Some(&model.config().generator),
        }
    }

    /// Whether it predicts masked tokens with weights that were trained (or are to be trained: a [`fresh`](Self::fresh) model
    /// has all its heads).
    pub fn has_masked_lm(&self) -> bool {
        self.has(self.arch().masked_lm_head())
    }

    /// Whether it finds replaced tokens with weights that were trained, or are to be.
    pub fn has_discriminator(&self) -> bool {
        self.arch().discriminator_head().is_some_and(|head| self.has(head))
    }

    fn has(&self, head: Head) -> bool {
        !self.fresh_heads.contains(&head)
    }

    /// Scores of every token of the vocabulary at the masked rows (ELECTRA: by the generator).
    ///
    /// # Shapes
    /// - inputs: `[B, L]`, rows: `[P]` flat index `b * L + l` - output: `[P, V]`, raw logits
    pub fn masked_logits(&self, inputs: &Inputs, rows: Tensor<1, Int>, noise: &Noise) -> Tensor<2> {
        match &self.net {
            Net::MaskedLm(model) => model.masked_logits(inputs, rows, noise),
            Net::ReplacedToken(model) => model.generator_logits(inputs, rows, noise),
        }
    }

    /// Was the token replaced? `[B, L]`, raw logits; `None` for an architecture without a discriminator.
    pub fn replaced_logits(&self, inputs: &Inputs, noise: &Noise) -> Option<Tensor<2>> {
        match &self.net {
            Net::MaskedLm(_) => None,
            Net::ReplacedToken(model) => Some(model.discriminator_logits(inputs, noise)),
        }
    }

    /// Hidden vectors of the encoder that fine-tuning keeps, `[B, L, H]`.
    pub fn hidden(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        match &self.net {
            Net::MaskedLm(model) => model.hidden(inputs, noise),
            Net::ReplacedToken(model) => model.discriminator_hidden(inputs, noise),
        }
    }

    /// What enters the first layer, then what leaves each layer, of the encoder that fine-tuning keeps: as many tensors
    /// `[B, L, H]` as there are layers, and one. The last one is [`hidden`](Self::hidden).
    pub fn hidden_of_layers(&self, inputs: &Inputs, noise: &Noise) -> Vec<Tensor<3>> {
        let (embedded, encoder) = self.embedded(inputs, noise);
        encoder.forward_layers(embedded, inputs, noise)
    }

    /// What enters the layers of the encoder that fine-tuning keeps, and these layers.
    fn embedded(&self, inputs: &Inputs, noise: &Noise) -> (Tensor<3>, &Encoder) {
        match &self.net {
            Net::MaskedLm(model) => (model.embeddings.forward(inputs, noise), &model.encoder),
            Net::ReplacedToken(model) => (model.discriminator_embedded(inputs, noise), &model.discriminator),
        }
    }

    /// What leaves the first `layers` layers of the encoder that fine-tuning keeps at `places` `[P]`, counted through all rows: `[P, H]`.
    /// Neither the layers above nor, of the last one, what follows attention at other places are computed.
    pub fn hidden_after(
        &self,
        layers: usize,
        inputs: &Inputs,
        places: Tensor<1, Int>,
        noise: &Noise,
    ) -> Tensor<2> {
        let (embedded, encoder) = self.embedded(inputs, noise);
        encoder.forward_first_at(embedded, layers, inputs, places, noise)
    }

    /// Hidden vectors of the masked LM (ELECTRA: of the generator, `[B, L, H_generator]`) with vectors `words` `[B, L, E]` in
    /// place of token ids, see [`Embeddings::combine`](crate::Embeddings::combine); `inputs.ids` is not read.
    pub fn masked_lm_hidden_of_words(&self, words: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        match &self.net {
            Net::MaskedLm(model) => model.hidden_of_words(words, inputs, noise),
            Net::ReplacedToken(model) => model.generator_hidden_of_words(words, inputs, noise),
        }
    }

    /// One vector per sequence, `[B, H]`; of the first token: through the pooler where there is one.
    pub fn pooled(&self, inputs: &Inputs, pooling: Pooling, noise: &Noise) -> Tensor<2> {
        each!(&self.net, model => model.pooled(inputs, pooling, noise))
    }

    /// The token table, `[V, E]`, with its gradient (ELECTRA: the generator's, and the discriminator's where they are tied).
    pub fn word_embedding(&self) -> Tensor<2> {
        each!(&self.net, model => model.word_embedding())
    }

    /// Rows of the token table: `[B, L]` ids -> `[B, L, E]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        each!(&self.net, model => model.embeddings.word.forward(ids))
    }
}

impl From<BertForPreTraining> for Pretrained {
    fn from(model: BertForPreTraining) -> Self {
        Self { arch: Arch::Bert, net: Net::MaskedLm(Box::new(model)), fresh_heads: Vec::new() }
    }
}

impl From<Electra> for Pretrained {
    fn from(model: Electra) -> Self {
        Self { arch: Arch::Electra, net: Net::ReplacedToken(Box::new(model)), fresh_heads: Vec::new() }
    }
}

/// By hand: the derive for enums would put the name of the variant before each parameter's.
impl Module for Pretrained {
    fn collect_devices(&self, devices: Devices) -> Devices {
        each!(&self.net, model => model.collect_devices(devices))
    }
    fn fork(self, device: &Device) -> Self {
        with_net!(self, self.net, model => model.fork(device))
    }
    fn to_device(self, device: &Device) -> Self {
        with_net!(self, self.net, model => model.to_device(device))
    }
    fn train(self) -> Self {
        with_net!(self, self.net, model => model.train())
    }
    fn valid(&self) -> Self {
        with_net!(self, &self.net, model => model.valid())
    }
    fn materialize(self) -> Self {
        with_net!(self, self.net, model => model.materialize())
    }
    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        each!(&self.net, model => model.visit(visitor));
    }
    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        with_net!(self, self.net, model => model.map(mapper))
    }
}
