//! The layers of ModernBERT (Warner et al. 2024): norms before each half instead of after it, no biases, rotary positions, gated
//! feed-forward parts, and windows in most of the layers.
//!
//! One layer; LN has a scale and no shift, and that of the first layer's attention is left out, since the embeddings end with one:
//! ```text
//! a = x + dropout(W_o attention(W_qkv LN(x)))        queries and keys turned by their positions; dropout on the weights, too
//! y = a + W_2 dropout(gelu(g) u)                     g, u = halves of W_1 LN(a)
//! ```
//! After the last layer there is one more LN. Layer i is global where i is a multiple of `global_every`; the others see a window.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use fn_ops::{Noise, Reach, Rotary};
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::config::EncoderConfig;
use crate::inputs::{Inputs, Pooling};
use crate::layers::{LayerNorm, Linear};

/// What ModernBERT's layers have and BERT's have not.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ModernConfig {
    /// Layer i is global where i is a multiple of this (`global_attn_every_n_layers`); the others are local.
    pub global_every: usize,
    /// Tokens that a local layer looks at, half of them on either side (`local_attention`).
    pub window: usize,
    /// Base of the rotary positions of global layers.
    pub global_theta: f64,
    /// Base of the rotary positions of local layers.
    pub local_theta: f64,
    /// Dropout after the embeddings. (`hidden_dropout` is that within feed-forward parts, `attention_dropout` is also that after
    /// attention.)
    pub embedding_dropout: f64,
    /// How a classifier's hidden vectors become one.
    pub classifier_pooling: Pooling,
}

impl Default for ModernConfig {
    /// ModernBERT-base.
    fn default() -> Self {
        Self {
            global_every: 3,
            window: 128,
            global_theta: 160_000.0,
            local_theta: 10_000.0,
            embedding_dropout: 0.0,
            classifier_pooling: Pooling::FirstToken,
        }
    }
}

impl ModernConfig {
    fn is_global(&self, layer: usize) -> bool {
        layer.is_multiple_of(self.global_every)
    }
}

/// Self-attention.
#[derive(Module, Debug)]
pub struct ModernAttention {
    /// `[H, 3 H]`: queries, keys, values.
    pub qkv: Linear,
    /// `[H, H]`
    pub output: Linear,
}

/// A gated feed-forward part.
#[derive(Module, Debug)]
pub struct ModernFeedForward {
    /// `[H, 2 F]`: the gate, then what is gated.
    pub inner: Linear,
    /// `[F, H]`
    pub outer: Linear,
}

/// One layer.
#[derive(Module, Debug)]
pub struct ModernLayer {
    /// Before the first half; none in the first layer.
    pub attention_norm: Option<LayerNorm>,
    /// First half.
    pub attention: ModernAttention,
    /// Before the second half.
    pub feed_forward_norm: LayerNorm,
    /// Second half.
    pub feed_forward: ModernFeedForward,
}

/// The layers, and the norm after them.
#[derive(Module, Debug)]
pub struct ModernLayers {
    /// In the order in which they are computed.
    pub layers: Vec<ModernLayer>,
    /// After the last layer.
    pub norm: LayerNorm,
    #[module(skip)]
    config: ModernConfig,
    heads: usize,
    attention_dropout: f64,
    hidden_dropout: f64,
    #[module(skip)]
    activation: Activation,
}

/// What all layers of one kind share in a pass.
struct Pass {
    rotary: Rotary,
    reach: Reach,
}

impl ModernLayers {
    pub(crate) fn zeros(config: &EncoderConfig, modern: &ModernConfig, device: &Device) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let norm = || LayerNorm::scale_only(width, config.layer_norm_eps, device);
        let layer = |number| ModernLayer {
            attention_norm: (number > 0).then(norm),
            attention: ModernAttention {
                qkv: Linear::without_bias(width, 3 * width, device),
                output: Linear::without_bias(width, width, device),
            },
            feed_forward_norm: norm(),
            feed_forward: ModernFeedForward {
                inner: Linear::without_bias(width, 2 * inner, device),
                outer: Linear::without_bias(inner, width, device),
            },
        };
        Self {
            layers: (0..config.num_layers).map(layer).collect(),
            norm: norm(),
            config: modern.clone(),
            heads: config.num_heads,
            attention_dropout: config.attention_dropout,
            hidden_dropout: config.hidden_dropout,
            activation: config.activation,
        }
    }

    /// What leaves the first `layers` layers, after the last norm if these are all of them; `each` is called with what leaves each one.
    ///
    /// # Shapes
    /// - x: `[B, L, H]`, inputs: `[B, L]` - output: `[B, L, H]`
    pub(crate) fn forward_first(
        &self,
        x: Tensor<3>,
        layers: usize,
        inputs: &Inputs,
        noise: &Noise,
        mut each: impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let [_, length, width] = x.dims();
        let pass = |theta, window| Pass {
            rotary: Rotary::new(length, width / self.heads.max(1), theta),
            reach: Reach { window, documents: inputs.documents.clone() },
        };
        let global = pass(self.config.global_theta, None);
        let local = pass(self.config.local_theta, Some(self.config.window / 2));
        let count = self.layers.len();
        self.layers.iter().take(layers).enumerate().fold(x, |x, (number, layer)| {
            let pass = if self.config.is_global(number) { &global } else { &local };
            let mut x = self.layer(layer, inputs.cut(layer, x), pass, inputs, noise);
            if number + 1 == count {
                x = self.norm.forward(x);
            }
            each(&x);
            x
        })
    }

    fn layer(
        &self,
        layer: &ModernLayer,
        x: Tensor<3>,
        pass: &Pass,
        inputs: &Inputs,
        noise: &Noise,
    ) -> Tensor<3> {
        let normed = match &layer.attention_norm {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let (qkv, rate) = (layer.attention.qkv.forward(normed), self.attention_dropout);
        let mask = inputs.mask.clone();
        let mixed = fn_ops::rotary_attention(qkv, self.heads, &pass.rotary, mask, &pass.reach, rate, noise);
        let x = x + fn_ops::dropout(layer.attention.output.forward(mixed), rate, noise);
        let inner = layer.feed_forward.inner.forward(layer.feed_forward_norm.forward(x.clone()));
        let inner = fn_ops::dropout(self.gated(inner), self.hidden_dropout, noise);
        x + layer.feed_forward.outer.forward(inner)
    }

    /// `f(a) b` of the halves a and b of the last axis, with the activation f: `[B, L, 2 F]` -> `[B, L, F]`.
    fn gated(&self, x: Tensor<3>) -> Tensor<3> {
        if self.activation.is_gelu() {
            return fn_ops::geglu(x);
        }
        let half = x.dims()[2] / 2;
        self.activation.forward(x.clone().narrow(2, 0, half)) * x.narrow(2, half, half)
    }
}
