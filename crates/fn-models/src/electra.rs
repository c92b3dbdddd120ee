//! ELECTRA: a small generator fills the masked positions, a discriminator finds the replaced tokens.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use fn_ops::Noise;

use crate::activation::Activation;
use crate::config::ElectraConfig;
use crate::embeddings::Embeddings;
use crate::encoder::Encoder;
use crate::heads::{MaskedLmHead, ReplacedTokenHead};
use crate::init;
use crate::inputs::{Inputs, Pooling};

/// Generator and discriminator over one set of embeddings.
///
/// Token, position and segment tables are shared and exist once, in [`Electra::embeddings`]; the generator's output layer
/// is tied to the token table, unless it was read from a folder with a matrix of its own.
///
/// # Shapes
/// B batch, L length, P masked rows of the batch, V vocabulary, E embedding, H the discriminator's width.
#[derive(Module, Debug)]
pub struct Electra {
    /// Shared by generator and discriminator; owner of the token table.
    pub embeddings: Embeddings,
    /// The generator's layers.
    pub generator: Encoder,
    /// The generator's masked-LM head, tied to the token table or not.
    pub generator_head: MaskedLmHead,
    /// The discriminator's layers, which fine-tuning keeps.
    pub discriminator: Encoder,
    /// The discriminator's head.
    pub discriminator_head: ReplacedTokenHead,
    #[module(skip)]
    config: ElectraConfig,
}

impl Electra {
    /// Fresh weights: matrices normal(0, `init_std`), biases 0, norms 1 and 0. The same seed gives the same bytes.
    pub fn init(config: &ElectraConfig, seed: u64, device: &Device) -> Self {
        let (generator, rest) = (&config.generator, &config.discriminator);
        init::normal(Self::zeros(config, device), seed, |path| {
            init::std(if path.starts_with("generator") { generator } else { rest }, path)
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

    /// The discriminator's hidden vectors, `[B, L, H]`.
    pub fn discriminator_hidden(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        self.discriminator.forward(self.embeddings.forward(inputs, noise), inputs, noise)
    }

    /// The discriminator's scores, `[B, L]`, raw logits: was this token replaced? Positive: rather yes.
    pub fn discriminator_logits(&self, inputs: &Inputs, noise: &Noise) -> Tensor<2> {
        self.discriminator_head.forward(self.discriminator_hidden(inputs, noise))
    }

    /// The token table, `[V, E]`, with its gradient.
    pub fn word_embedding(&self) -> Tensor<2> {
        self.embeddings.word.weight.val()
    }

    /// One vector per sequence from the discriminator, `[B, H]`.
    pub fn pooled(&self, inputs: &Inputs, pooling: Pooling, noise: &Noise) -> Tensor<2> {
        pooling.pool(self.discriminator_hidden(inputs, noise), inputs.mask.as_ref())
    }
}
