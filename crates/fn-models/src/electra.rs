//! ELECTRA: a small generator fills the masked positions, a discriminator finds the replaced tokens.

use std::collections::BTreeMap;
use std::convert::Infallible;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_ops::Noise;
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::config::ElectraConfig;
use crate::embeddings::Embeddings;
use crate::encoder::Encoder;
use crate::heads::{MaskedLmHead, ReplacedTokenHead};
use crate::init;
use crate::inputs::{Inputs, Pooling};
use crate::params::{self, NamedTensor};

/// What generator and discriminator share of their embeddings (token, position and segment tables, and the norm after them).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingSharing {
    /// The same tables, trained by both losses (ELECTRA).
    #[default]
    Tied,
    /// Gradient-disentangled embedding sharing (DeBERTaV3): the discriminator's tables are the generator's, which its loss does not
    /// change, plus differences of its own that start at zero. Each has its own norm.
    Gdes,
    /// Separate tables and norms.
    None,
}

impl EmbeddingSharing {
    /// Whether it is [`Tied`](Self::Tied).
    pub fn is_tied(&self) -> bool {
        *self == Self::Tied
    }

    /// Its name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tied => "tied",
            Self::Gdes => "gdes",
            Self::None => "none",
        }
    }
}

/// Generator and discriminator with their embeddings.
///
/// Token, position and segment tables exist once where they are shared, in [`Electra::embeddings`]; [`EmbeddingSharing`] says what else
/// there is. The generator's output layer is tied to its token table, unless it was read from a folder with a matrix of its own.
///
/// # Shapes
/// B batch, L length, P masked rows of the batch, V vocabulary, E embedding, H the discriminator's width.
#[derive(Module, Debug)]
pub struct Electra {
    /// The generator's, and the discriminator's where they are tied; owner of the token table.
    pub embeddings: Embeddings,
    /// The generator's layers.
    pub generator: Encoder,
    /// The generator's masked-LM head, tied to the token table or not.
    pub generator_head: MaskedLmHead,
    /// What the discriminator has of its own where embeddings are not tied: tables, or their differences to the generator's.
    pub discriminator_embeddings: Option<Embeddings>,
    /// The discriminator's layers, which fine-tuning keeps.
    pub discriminator: Encoder,
    /// The discriminator's head.
    pub discriminator_head: ReplacedTokenHead,
    #[module(skip)]
    config: ElectraConfig,
}

impl Electra {
    /// Fresh weights: matrices normal(0, `init_std`), biases and differences of tables 0, norms 1 and 0. The same seed gives the same
    /// bytes.
    pub fn init(config: &ElectraConfig, seed: u64, device: &Device) -> Self {
        let (generator, rest) = (&config.generator, &config.discriminator);
        let differences = config.sharing == EmbeddingSharing::Gdes;
        init::normal(Self::zeros(config, device), seed, |path| match path {
            path if differences && path.starts_with(OWN) => 0.0,
            path if path.starts_with("generator") => init::std(generator, path),
            path => init::std(rest, path),
        })
    }

    /// All matrices zero: to be filled by a loader.
    pub(crate) fn zeros(config: &ElectraConfig, device: &Device) -> Self {
        let (g, d) = (&config.generator, &config.discriminator);
        Self {
            embeddings: Embeddings::zeros(d, device),
            generator: Encoder::zeros(g, device),
            // transformers gives it GELU, whatever the encoder's activation.
            generator_head: MaskedLmHead::zeros(g, Activation::Gelu, config.untied_decoder, device),
            discriminator_embeddings: (!config.sharing.is_tied()).then(|| Embeddings::zeros(d, device)),
            discriminator: Encoder::zeros(d, device),
            discriminator_head: ReplacedTokenHead::zeros(d, device),
            config: config.clone(),
        }
    }

    /// Its sizes.
    pub fn config(&self) -> &ElectraConfig {
        &self.config
    }

    /// The generator's hidden vectors, `[B, L, H_generator]`.
    pub fn generator_hidden(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.generator.forward(self.embeddings.forward(inputs, noise), inputs, noise)
    }

    /// [`generator_hidden`](Self::generator_hidden) of vectors in place of token ids, see [`Embeddings::combine`].
    pub fn generator_hidden_of_words(&self, words: Tensor<3>, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.generator.forward(self.embeddings.combine(words, inputs, noise), inputs, noise)
    }

    /// The generator's scores of every token of the vocabulary at the masked rows.
    ///
    /// # Shapes
    /// - rows: `[P]` flat index `b * L + l` - output: `[P, V]`, raw logits
    pub fn generator_logits(&self, inputs: &Inputs, rows: Tensor<1, Int>, noise: &Noise) -> Tensor<2> {
        self.generator_head.forward(self.generator_hidden(inputs, noise), rows, self.word_embedding())
    }

    /// What enters the discriminator's layers, `[B, L, E]`.
    pub fn discriminator_embedded(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        match (&self.discriminator_embeddings, self.config.sharing) {
            (None, _) => self.embeddings.forward(inputs, noise),
            (Some(own), EmbeddingSharing::Gdes) => own.forward_over(&self.embeddings, inputs, noise),
            (Some(own), _) => own.forward(inputs, noise),
        }
    }

    /// The discriminator's hidden vectors, `[B, L, H]`.
    pub fn discriminator_hidden(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.discriminator.forward(self.discriminator_embedded(inputs, noise), inputs, noise)
    }

    /// The discriminator's scores, `[B, L]`, raw logits: was this token replaced? Positive: rather yes.
    pub fn discriminator_logits(&self, inputs: &Inputs, noise: &Noise) -> Tensor<2> {
        self.discriminator_head.forward(self.discriminator_hidden(inputs, noise))
    }

    /// The generator's token table, `[V, E]`, with its gradient; the discriminator's, too, where embeddings are tied.
    pub fn word_embedding(&self) -> Tensor<2> {
        self.embeddings.word.weight.val()
    }

    /// One vector per sequence from the discriminator, `[B, H]`.
    pub fn pooled(&self, inputs: &Inputs, pooling: Pooling, noise: &Noise) -> Tensor<2> {
        pooling.pool(self.discriminator_hidden(inputs, noise), inputs.mask.as_ref())
    }

    /// All parameters, with the discriminator's embeddings in place of the generator's (`embeddings.`): its sums of tables.
    pub(crate) fn discriminator_tensors(&self) -> Vec<NamedTensor> {
        let (own, others): (Vec<NamedTensor>, Vec<_>) =
            params::collect(self).into_iter().partition(|tensor| tensor.name.starts_with(OWN));
        if own.is_empty() {
            return others;
        }
        let (mut embeddings, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|tensor| tensor.name.starts_with(SHARED));
        for (tensor, own) in embeddings.iter_mut().zip(own) {
            match self.config.sharing == EmbeddingSharing::Gdes && is_table(&tensor.name) {
                true => tensor.data.iter_mut().zip(own.data).for_each(|(sum, own)| *sum += own),
                false => tensor.data = own.data,
            }
        }
        embeddings.extend(others);
        embeddings
    }

    /// The same model with its embeddings shared in another way: generator and discriminator compute what they did, but for the rounding of
    /// differences. Where they become tied, the generator gets the discriminator's.
    pub(crate) fn with_sharing(self, sharing: EmbeddingSharing, device: &Device) -> Self {
        if sharing == self.config.sharing {
            return self;
        }
        let config = ElectraConfig { sharing, ..self.config.clone() };
        let by_name = |tensors: Vec<NamedTensor>| -> BTreeMap<String, Vec<f32>> {
            tensors.into_iter().map(|tensor| (tensor.name, tensor.data)).collect()
        };
        let discriminator = by_name(self.discriminator_tensors());
        let own = by_name(params::collect(&self));
        let filled = params::load(Self::zeros(&config, device), &mut |path: &str, _: &[usize]| {
            let shared = path.strip_prefix(OWN).map(|rest| format!("{SHARED}{rest}"));
            let value = match &shared {
                None if sharing.is_tied() => discriminator.get(path).cloned(),
                None => own.get(path).cloned(),
                Some(path) => discriminator.get(path).cloned().map(|mut value| {
                    let base = own.get(path).filter(|_| sharing == EmbeddingSharing::Gdes && is_table(path));
                    base.iter().for_each(|base| value.iter_mut().zip(*base).for_each(|(v, base)| *v -= base));
                    value
                }),
            };
            Ok::<_, Infallible>(value)
        });
        match filled {
            Ok(model) => model,
            Err(never) => match never {},
        }
    }

    /// The same model with position tables whose first rows, before that of the first token, are left out.
    pub(crate) fn with_positions_from_zero(self, device: &Device) -> Self {
        let (mut config, offset) = (self.config.clone(), self.config.discriminator.position_offset);
        (config.discriminator.position_offset, config.generator.position_offset) = (0, 0);
        let mut tensors: BTreeMap<String, NamedTensor> =
            params::collect(&self).into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let filled = params::load(Self::zeros(&config, device), &mut |path: &str, shape: &[usize]| {
            let value = tensors.remove(path).map(|mut tensor| {
                if tensor.shape != shape {
                    tensor.data.drain(..offset * shape.last().copied().unwrap_or(0));
                }
                tensor.data
            });
            Ok::<_, Infallible>(value)
        });
        match filled {
            Ok(model) => model,
            Err(never) => match never {},
        }
    }
}

/// Prefixes of paths of embeddings: the generator's or shared ones, and the discriminator's own.
const SHARED: &str = "embeddings.";
const OWN: &str = "discriminator_embeddings.";

/// Whether this parameter of embeddings is a table, of which differences are made; those of the norm are not.
fn is_table(path: &str) -> bool {
    path.ends_with(".weight")
}
