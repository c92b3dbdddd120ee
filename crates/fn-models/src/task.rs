//! An encoder with a head for a task: classification or regression of a sequence (or pair), answer spans, and tags.
//!
//! ```text
//! BERT     logits = dropout(tanh(h_first W + b)) V + c            transformers' BertForSequenceClassification
//! ELECTRA  logits = dropout(gelu(dropout(h_first) W + b)) V + c   ElectraForSequenceClassification
//! RoBERTa  logits = dropout(tanh(dropout(h_first) W + b)) V + c   RobertaForSequenceClassification
//! DistilBERT  logits = dropout(relu(h_first W + b)) V + c         DistilBertForSequenceClassification
//! all      start, end = h V + c (DistilBERT: dropout(h) V + c)    ...ForQuestionAnswering
//! all      tag logits = dropout(h) V + c                          ...ForTokenClassification
//! ModernBERT, all three   logits = dropout(LN(gelu(h W))) V + c, of one vector (first or mean) or of each   ModernBertFor...
//! ```

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use fn_ops::Noise;
use serde_json::{Map, Value};

use crate::arch::{Arch, Family};
use crate::config::EncoderConfig;
use crate::embeddings::Embeddings;
use crate::encoder::Encoder;
use crate::inputs::{Inputs, Pooling};
use crate::layers::{LayerNorm, Linear};

/// Sizes of a task model.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskConfig {
    /// Whose encoder (BERT's pooler is part of the classifier; of ELECTRA the discriminator).
    pub arch: Arch,
    /// Its sizes.
    pub encoder: EncoderConfig,
    /// Classes; 1 for a regression.
    pub outputs: usize,
    /// Dropout in the head (`classifier_dropout`): that of the encoder unless its `config.json` says otherwise. DistilBERT has another
    /// one for each task: `seq_classif_dropout`, `qa_dropout`, and for tags that of the encoder.
    pub head_dropout: f64,
    /// Fields of the encoder's `config.json` that say nothing about shapes or computation, such as `bos_token_id`: they are written again.
    pub fields: Map<String, Value>,
}

/// The head of a classifier: a vector per sequence in, a logit per class out.
#[derive(Module, Debug)]
pub struct ClassifierHead {
    /// `[H, H]`; BERT: its pooler.
    pub dense: Linear,
    /// `[H, outputs]`
    pub out: Linear,
    /// Over H; ModernBERT's alone.
    pub norm: Option<LayerNorm>,
    #[module(skip)]
    family: Family,
    dropout: f64,
}

impl ClassifierHead {
    /// # Shapes
    /// - first: `[B, H]` - output: `[B, outputs]`, raw
    fn forward(&self, first: Tensor<2>, noise: &Noise) -> Tensor<2> {
        let drop = |x| fn_ops::dropout(x, self.dropout, noise);
        let vector = match self.family {
            Family::Bert => self.dense.forward(first).tanh(),
            Family::Electra => fn_ops::gelu(self.dense.forward(drop(first))),
            Family::Roberta => self.dense.forward(drop(first)).tanh(),
            Family::DistilBert => activation::relu(self.dense.forward(first)),
            Family::Modern => {
                let vector = fn_ops::gelu(self.dense.forward(first));
                self.norm.as_ref().map_or(vector.clone(), |norm| norm.forward(vector))
            }
        };
        self.out.forward(drop(vector))
    }
}

/// Classifies sequences, or scores them (one output).
#[derive(Module, Debug)]
pub struct Classifier {
    /// Owner of the token table.
    pub embeddings: Embeddings,
    /// The encoder's layers.
    pub encoder: Encoder,
    /// The task's head.
    pub head: ClassifierHead,
    #[module(skip)]
    pooling: Pooling,
}

impl Classifier {
    pub(crate) fn zeros(config: &TaskConfig, device: &Device) -> Self {
        let (encoder, width) = (&config.encoder, config.encoder.hidden_size);
        Self {
            embeddings: Embeddings::zeros(encoder, device),
            encoder: Encoder::zeros(encoder, device),
            head: ClassifierHead {
                dense: match encoder.modern {
                    None => Linear::zeros(width, width, device),
                    Some(_) => Linear::without_bias(width, width, device),
                },
                norm: head_norm(encoder, device),
                out: Linear::zeros(width, config.outputs, device),
                family: config.arch.family(),
                dropout: config.head_dropout,
            },
            pooling: encoder.modern.as_ref().map_or(Pooling::FirstToken, |modern| modern.classifier_pooling),
        }
    }

    /// # Shapes
    /// - inputs: `[B, L]` - output: `[B, outputs]`, raw logits (or the score)
    pub fn forward(&self, inputs: &Inputs, noise: &Noise) -> Tensor<2> {
        let embedded = self.embeddings.forward(inputs, noise);
        let hidden = self.encoder.forward(embedded, inputs, noise);
        self.head.forward(self.pooling.pool(hidden, inputs.mask.as_ref()), noise)
    }
}

/// The norm in the head of a ModernBERT.
fn head_norm(encoder: &EncoderConfig, device: &Device) -> Option<LayerNorm> {
    let (width, epsilon) = (encoder.hidden_size, encoder.layer_norm_eps);
    encoder.modern.is_some().then(|| LayerNorm::scale_only(width, epsilon, device))
}

/// The head of a token model: logits of every token, for start and end of an answer or for tags.
#[derive(Module, Debug)]
pub struct TokenHead {
    /// `[H, H]`; ModernBERT's alone.
    pub dense: Option<Linear>,
    /// Over H; ModernBERT's alone.
    pub norm: Option<LayerNorm>,
    /// `[H, outputs]`
    pub out: Linear,
    dropout: f64,
}

/// Scores every token: finds the answer in a context, or tags words.
#[derive(Module, Debug)]
pub struct TokenModel {
    /// Owner of the token table.
    pub embeddings: Embeddings,
    /// The encoder's layers.
    pub encoder: Encoder,
    /// The task's head.
    pub head: TokenHead,
}

impl TokenModel {
    /// Two outputs and no dropout before the head (but in DistilBERT and ModernBERT), as in transformers.
    pub(crate) fn spans(config: &TaskConfig, device: &Device) -> Self {
        let drops = config.encoder.modern.is_some() || config.encoder.distil;
        let dropout = if drops { config.head_dropout } else { 0.0 };
        Self::zeros(config, 2, dropout, device)
    }

    pub(crate) fn tags(config: &TaskConfig, device: &Device) -> Self {
        Self::zeros(config, config.outputs, config.head_dropout, device)
    }

    fn zeros(config: &TaskConfig, outputs: usize, dropout: f64, device: &Device) -> Self {
        let (encoder, width) = (&config.encoder, config.encoder.hidden_size);
        Self {
            embeddings: Embeddings::zeros(encoder, device),
            encoder: Encoder::zeros(encoder, device),
            head: TokenHead {
                dense: encoder.modern.as_ref().map(|_| Linear::without_bias(width, width, device)),
                norm: head_norm(encoder, device),
                out: Linear::zeros(width, outputs, device),
                dropout,
            },
        }
    }

    /// # Shapes
    /// - inputs: `[B, L]` - output: `[B, L, outputs]`, raw scores at every position (spans: start, end)
    pub fn forward(&self, inputs: &Inputs, noise: &Noise) -> Tensor<3> {
        let embedded = self.embeddings.forward(inputs, noise);
        let hidden = self.encoder.forward(embedded, inputs, noise);
        let hidden = match (&self.head.dense, &self.head.norm) {
            (Some(dense), Some(norm)) => norm.forward(fn_ops::gelu(dense.forward(hidden))),
            _ => hidden,
        };
        self.head.out.forward(fn_ops::dropout(hidden, self.head.dropout, noise))
    }
}

/// Depth of a parameter, for layer-wise learning-rate decay: 0 for the embeddings, `i + 1` for layer i, `layers + 2` for the
/// head.
pub fn depth(path: &str, layers: usize) -> usize {
    match path.split('.').collect::<Vec<_>>()[..] {
        ["embeddings", ..] | ["encoder", "project", ..] => 0,
        ["encoder", "layers", number, ..] | ["encoder", "modern", "layers", number, ..] => {
            number.parse::<usize>().map_or(layers + 2, |n| n + 1)
        }
        _ => layers + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_counts_from_the_embeddings_to_the_head() {
        assert_eq!(depth("embeddings.word.weight", 6), 0);
        assert_eq!(depth("encoder.project.bias", 6), 0);
        assert_eq!(depth("encoder.layers.0.attention.query.weight", 6), 1);
        assert_eq!(depth("encoder.layers.5.feed_forward.norm.gamma", 6), 6);
        assert_eq!(depth("head.out.weight", 6), 8);
    }
}
