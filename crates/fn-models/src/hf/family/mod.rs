//! What files of each family look like: keys of `config.json` and names of tensors. One file per family, data only.

mod bert;
mod distilbert;
mod electra;
mod modern;
mod roberta;

use crate::arch::{Family, Task};

/// What a module holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `weight [ids, width]`
    Table,
    /// `weight`, theirs `[out, in]`, ours `[in, out]`, and `bias`
    Linear,
    /// theirs `weight`, `bias`; ours `gamma`, `beta`
    Norm,
    /// The entry is the tensor.
    Vector,
}

/// (ours, theirs, kind); `{}` stands for the number of a layer.
pub(crate) type Entry = (&'static str, &'static str, Kind);

/// Everything about the files of a family.
pub(crate) struct Files {
    /// Keys of `config.json`.
    pub keys: Keys,
    /// Prefix of the encoder's tensors in files of models with a head.
    pub prefix: &'static str,
    /// Behind the prefix; ours start with `embeddings.`.
    pub embeddings: &'static [Entry],
    /// Behind the prefix; ours are within an encoder.
    pub encoder: &'static [Entry],
    /// Modules of their own beside the encoder in files of pre-trained models.
    pub extra: &'static [Entry],
    /// Ours are within a [`MaskedLmHead`](crate::heads::MaskedLmHead).
    pub masked_lm: &'static [Entry],
    /// Ours are within a [`ReplacedTokenHead`](crate::heads::ReplacedTokenHead).
    pub discriminator: &'static [Entry],
    /// Ours are within the head of a [`Classifier`](crate::Classifier).
    pub classifier: &'static [Entry],
    /// Ours are within the head of a [`TokenModel`](crate::TokenModel) for spans.
    pub spans: &'static [Entry],
    /// Ours are within the head of a [`TokenModel`](crate::TokenModel) for tags.
    pub tags: &'static [Entry],
    /// The output layer of masked LMs.
    pub decoder: Decoder,
}

/// Names of the output layer of masked LMs, which is tied in most files: then its tensors are copies.
pub(crate) struct Decoder {
    /// `[V, E]`: a copy of the token table, or a matrix of its own.
    pub weight: &'static str,
    /// What it is a copy of when it is tied; without the family's prefix.
    pub table: &'static str,
    /// `[V]`, a copy of `bias`.
    pub copied_bias: Option<&'static str>,
    /// `[V]`
    pub bias: &'static str,
}

/// Keys of `config.json`, and what transformers takes where one is left out.
pub(crate) struct Keys {
    pub hidden_size: &'static str,
    pub num_layers: &'static str,
    pub num_heads: &'static str,
    pub intermediate_size: &'static str,
    pub max_positions: &'static str,
    pub default_positions: usize,
    /// Absent: the embeddings are as wide as the layers.
    pub embedding_size: Option<&'static str>,
    /// Absent: no segments.
    pub type_vocab: Option<&'static str>,
    pub hidden_dropout: &'static str,
    pub attention_dropout: &'static str,
    pub classifier_dropout: &'static str,
    /// Its default; absent: that of the layers.
    pub default_classifier_dropout: Option<f64>,
    /// Dropout before the head that finds answers, and its default, where the family has a key for it.
    pub spans_dropout: Option<(&'static str, f64)>,
    /// Dropout where a file has no such key.
    pub default_dropout: f64,
    pub activation: &'static str,
    /// Absent: always the default.
    pub layer_norm_eps: Option<&'static str>,
    /// Its default where a file without the key can only mean this one.
    pub default_eps: Option<f64>,
    pub init_std: &'static str,
    /// Whether positions count from one more than `pad_token_id`, and its default then.
    pub offset_by_pad: Option<u64>,
}

/// Keys that BERT has and most of its relatives took over.
const KEYS: Keys = Keys {
    hidden_size: "hidden_size",
    num_layers: "num_hidden_layers",
    num_heads: "num_attention_heads",
    intermediate_size: "intermediate_size",
    max_positions: "max_position_embeddings",
    default_positions: 512,
    embedding_size: None,
    type_vocab: Some("type_vocab_size"),
    hidden_dropout: "hidden_dropout_prob",
    attention_dropout: "attention_probs_dropout_prob",
    classifier_dropout: "classifier_dropout",
    default_classifier_dropout: None,
    spans_dropout: None,
    default_dropout: 0.1,
    activation: "hidden_act",
    layer_norm_eps: Some("layer_norm_eps"),
    default_eps: Some(1e-12),
    init_std: "initializer_range",
    offset_by_pad: None,
};

/// Tensors of the embeddings of BERT and those who took them over.
const EMBEDDINGS: &[Entry] = &[
    ("word", "embeddings.word_embeddings", Kind::Table),
    ("position", "embeddings.position_embeddings", Kind::Table),
    ("token_type", "embeddings.token_type_embeddings", Kind::Table),
    ("norm", "embeddings.LayerNorm", Kind::Norm),
];

/// Tensors of an encoder of BERT and those who took them over; a projection is there where widths differ.
const ENCODER: &[Entry] = &[
    ("project", "embeddings_project", Kind::Linear),
    ("layers.{}.attention.query", "encoder.layer.{}.attention.self.query", Kind::Linear),
    ("layers.{}.attention.key", "encoder.layer.{}.attention.self.key", Kind::Linear),
    ("layers.{}.attention.value", "encoder.layer.{}.attention.self.value", Kind::Linear),
    ("layers.{}.attention.output", "encoder.layer.{}.attention.output.dense", Kind::Linear),
    ("layers.{}.attention.norm", "encoder.layer.{}.attention.output.LayerNorm", Kind::Norm),
    ("layers.{}.feed_forward.inner", "encoder.layer.{}.intermediate.dense", Kind::Linear),
    ("layers.{}.feed_forward.outer", "encoder.layer.{}.output.dense", Kind::Linear),
    ("layers.{}.feed_forward.norm", "encoder.layer.{}.output.LayerNorm", Kind::Norm),
];

const SPANS: &[Entry] = &[("out", "qa_outputs", Kind::Linear)];
const TAGS: &[Entry] = &[("out", "classifier", Kind::Linear)];

impl Family {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Bert, Self::Electra, Self::Roberta, Self::DistilBert, Self::Modern];

    /// What its files look like.
    pub(crate) fn files(self) -> &'static Files {
        match self {
            Self::Bert => &bert::FILES,
            Self::Electra => &electra::FILES,
            Self::Roberta => &roberta::FILES,
            Self::DistilBert => &distilbert::FILES,
            Self::Modern => &modern::FILES,
        }
    }
}

impl Files {
    /// The head of a fine-tuned model.
    pub fn task_head(&self, task: Task) -> &'static [Entry] {
        match task {
            Task::SequenceClassification => self.classifier,
            Task::QuestionAnswering => self.spans,
            Task::TokenClassification => self.tags,
        }
    }
}
