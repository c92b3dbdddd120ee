//! Sizes of a model: everything that determines the shapes of its parameters and how it computes.

use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::arch::Family;
use crate::electra::EmbeddingSharing;
use crate::modern::ModernConfig;

/// A size of a model that is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number outside of its range.
    #[error("{section}.{field} is {found}; allowed: {allowed}")]
    OutOfRange {
        /// `encoder`, `discriminator` or `generator`.
        section: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// The allowed values.
        allowed: String,
    },
}

/// An encoder with its embeddings.
///
/// The defaults are those of ELECTRA-small's discriminator.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderConfig {
    /// V: size of the vocabulary, rows of the token table.
    pub vocab_size: usize,
    /// E: width of the embedding tables. A projection follows when it is not the hidden size.
    pub embedding_size: usize,
    /// H: width of the layers.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Attention heads of a layer; divides the hidden size.
    pub num_heads: usize,
    /// F: inner width of the feed-forward part.
    pub intermediate_size: usize,
    /// The longest sequence, in tokens.
    pub max_positions: usize,
    /// Number of segments; 1: none, whatever the inputs say.
    pub type_vocab: usize,
    /// Dropout after embeddings, attention and feed-forward.
    pub hidden_dropout: f64,
    /// Dropout on attention weights.
    pub attention_dropout: f64,
    /// Added to the variance in layer normalisation.
    pub layer_norm_eps: f64,
    /// Standard deviation of initial matrices.
    pub init_std: f64,
    /// Between the two maps of the feed-forward part.
    #[serde(skip_serializing_if = "Activation::is_gelu")]
    pub activation: Activation,
    /// Row of the position table that the first token gets: 0 in BERT, one more than the id of the padding piece in RoBERTa. The
    /// table has `max_positions` rows from there on.
    #[serde(skip_serializing_if = "is_zero")]
    pub position_offset: usize,
    /// DistilBERT's encoder: no segment table, and no dropout after attention (`hidden_dropout` is that after embeddings and
    /// feed-forward).
    #[serde(skip_serializing_if = "is_false")]
    pub distil: bool,
    /// The layers are ModernBERT's; `None`: BERT's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modern: Option<ModernConfig>,
}

fn is_zero(size: &usize) -> bool {
    *size == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Vocabulary of the presets: the 30,522 pieces of BERT and ELECTRA (uncased).
pub const PRESET_VOCAB: usize = 30_522;

/// Most layers: bounds what a hostile configuration can make us build.
const MAX_LAYERS: usize = 1024;

/// Largest value of any other size. Far above every model of this kind, far below where products of two sizes overflow.
const MAX_SIZE: usize = 1 << 24;

impl Default for EncoderConfig {
    fn default() -> Self {
        Self::electra_small()
    }
}

impl EncoderConfig {
    fn sized(embedding: usize, layers: usize, hidden: usize, heads: usize) -> Self {
        Self {
            vocab_size: PRESET_VOCAB,
            embedding_size: embedding,
            hidden_size: hidden,
            num_layers: layers,
            num_heads: heads,
            intermediate_size: 4 * hidden,
            max_positions: 512,
            type_vocab: 2,
            hidden_dropout: 0.1,
            attention_dropout: 0.1,
            layer_norm_eps: 1e-12,
            init_std: 0.02,
            activation: Activation::Gelu,
            position_offset: 0,
            distil: false,
            modern: None,
        }
    }

    /// As ModernBERT-base has it, but for the sizes.
    fn modern(layers: usize, hidden: usize, heads: usize) -> Self {
        Self {
            intermediate_size: hidden / 2 * 3,
            max_positions: 8192,
            type_vocab: 1,
            hidden_dropout: 0.0,
            attention_dropout: 0.0,
            layer_norm_eps: 1e-5,
            modern: Some(ModernConfig::default()),
            ..Self::sized(hidden, layers, hidden, heads)
        }
    }

    /// A tiny ModernBERT: 4 layers of 128, two of them local. For tests and first steps.
    pub fn modern_tiny() -> Self {
        Self::modern(4, 128, 2)
    }
    /// A small ModernBERT: 12 layers of 256.
    pub fn modern_small() -> Self {
        Self::modern(12, 256, 4)
    }
    /// ModernBERT-base: 22 layers of 768.
    pub fn modern_base() -> Self {
        Self::modern(22, 768, 12)
    }

    /// ELECTRA-tiny's discriminator: 2 layers of 128, embeddings of 64. For tests and first steps.
    pub fn electra_tiny() -> Self {
        Self::sized(64, 2, 128, 2)
    }
    /// ELECTRA-mini's discriminator: 4 layers of 192, embeddings of 128. Two cores can train it.
    pub fn electra_mini() -> Self {
        Self::sized(128, 4, 192, 4)
    }
    /// ELECTRA-small's discriminator: 12 layers of 256, embeddings of 128.
    pub fn electra_small() -> Self {
        Self::sized(128, 12, 256, 4)
    }
    /// ELECTRA-base's discriminator: 12 layers of 768.
    pub fn electra_base() -> Self {
        Self::sized(768, 12, 768, 12)
    }
    /// ELECTRA-large's discriminator: 24 layers of 1024.
    pub fn electra_large() -> Self {
        Self::sized(1024, 24, 1024, 16)
    }
    /// BERT-tiny: 2 layers of 128.
    pub fn bert_tiny() -> Self {
        Self::sized(128, 2, 128, 2)
    }
    /// BERT-mini: 4 layers of 256.
    pub fn bert_mini() -> Self {
        Self::sized(256, 4, 256, 4)
    }
    /// BERT-small: 4 layers of 512.
    pub fn bert_small() -> Self {
        Self::sized(512, 4, 512, 8)
    }
    /// BERT-base: 12 layers of 768.
    pub fn bert_base() -> Self {
        Self::sized(768, 12, 768, 12)
    }
    /// BERT-large: 24 layers of 1024.
    pub fn bert_large() -> Self {
        Self::sized(1024, 24, 1024, 16)
    }

    /// Rows of the position table.
    pub fn position_rows(&self) -> usize {
        self.position_offset + self.max_positions
    }

    /// Width of one attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_heads.max(1)
    }

    /// Checks every value; the error names the field, the value and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check("encoder")
    }

    /// Checks that layers are the family's, and positions start where the family's do.
    pub(crate) fn check_offset(&self, family: Family) -> Result<(), ConfigError> {
        if self.modern.is_some() != (family == Family::Modern) {
            let (found, allowed) = match self.modern {
                Some(_) => ("set", "none: only ModernBERT has such layers"),
                None => ("not set", "the settings of ModernBERT's layers"),
            };
            return Err(ConfigError::OutOfRange {
                section: "encoder",
                field: "modern",
                found: found.into(),
                allowed: allowed.into(),
            });
        }
        if self.distil != (family == Family::DistilBert) {
            return Err(ConfigError::OutOfRange {
                section: "encoder",
                field: "distil",
                found: self.distil.to_string(),
                allowed: format!("{}: of DistilBERT alone it is true", !self.distil),
            });
        }
        let keys = &family.files().keys;
        if keys.layer_norm_eps.is_none() && keys.default_eps != Some(self.layer_norm_eps) {
            return Err(ConfigError::OutOfRange {
                section: "encoder",
                field: "layer_norm_eps",
                found: self.layer_norm_eps.to_string(),
                allowed: "1e-12: DistilBERT's config.json has no key for another one".into(),
            });
        }
        let counts = family.files().keys.offset_by_pad.is_some();
        if counts == (self.position_offset > 0) {
            return Ok(());
        }
        let allowed = if counts { "the id of the padding piece and 1" } else { "0" };
        Err(ConfigError::OutOfRange {
            section: "encoder",
            field: "position_offset",
            found: self.position_offset.to_string(),
            allowed: allowed.into(),
        })
    }

    pub(crate) fn check(&self, section: &'static str) -> Result<(), ConfigError> {
        let wrong = |field, found: String, allowed: String| {
            Err(ConfigError::OutOfRange { section, field, found, allowed })
        };
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("embedding_size", self.embedding_size),
            ("hidden_size", self.hidden_size),
            ("num_heads", self.num_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_positions", self.max_positions),
            ("type_vocab", self.type_vocab),
        ] {
            if value == 0 || value > MAX_SIZE {
                return wrong(field, value.to_string(), format!("1 to {MAX_SIZE}"));
            }
        }
        if self.position_offset > MAX_SIZE {
            return wrong("position_offset", self.position_offset.to_string(), format!("0 to {MAX_SIZE}"));
        }
        if self.num_layers == 0 || self.num_layers > MAX_LAYERS {
            return wrong("num_layers", self.num_layers.to_string(), format!("1 to {MAX_LAYERS}"));
        }
        if !self.hidden_size.is_multiple_of(self.num_heads) {
            let allowed = format!("a divisor of hidden_size = {}", self.hidden_size);
            return wrong("num_heads", self.num_heads.to_string(), allowed);
        }
        for (field, value) in
            [("hidden_dropout", self.hidden_dropout), ("attention_dropout", self.attention_dropout)]
        {
            if !(0.0..1.0).contains(&value) {
                return wrong(field, value.to_string(), "0 up to, not including, 1".into());
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps <= 0.1) {
            return wrong("layer_norm_eps", self.layer_norm_eps.to_string(), "above 0, at most 0.1".into());
        }
        if !(self.init_std > 0.0 && self.init_std <= 10.0) {
            return wrong("init_std", self.init_std.to_string(), "above 0, at most 10".into());
        }
        let Some(modern) = &self.modern else { return Ok(()) };
        if self.head_size() % 2 == 1 {
            let allowed = format!("heads of an even width, not {}: positions turn pairs", self.head_size());
            return wrong("num_heads", self.num_heads.to_string(), allowed);
        }
        for (field, value) in [("global_every", modern.global_every), ("window", modern.window)] {
            if value == 0 || value > MAX_SIZE {
                return wrong(field, value.to_string(), format!("1 to {MAX_SIZE}"));
            }
        }
        for (field, value) in [("global_theta", modern.global_theta), ("local_theta", modern.local_theta)] {
            if !(1.0..=1e12).contains(&value) {
                return wrong(field, value.to_string(), "1 to 1e12".into());
            }
        }
        for (field, value) in [("embedding_dropout", modern.embedding_dropout)] {
            if !(0.0..1.0).contains(&value) {
                return wrong(field, value.to_string(), "0 up to, not including, 1".into());
            }
        }
        Ok(())
    }
}

/// A masked language model: one encoder with a head over the vocabulary, with or without a pooler.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BertConfig {
    /// Its sizes; embeddings are as wide as the layers.
    pub encoder: EncoderConfig,
    /// Whether there is a pooler (needed for fine-tuning only).
    #[serde(default)]
    pub pooler: bool,
    /// Within the masked-LM head: BERT has that of the encoder, RoBERTa `gelu`.
    #[serde(default, skip_serializing_if = "Activation::is_gelu")]
    pub head_activation: Activation,
    /// Whether the output layer has a matrix of its own in place of the token table.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untied_decoder: bool,
}

impl BertConfig {
    /// BERT (or ModernBERT) over this encoder, without a pooler.
    pub fn new(encoder: EncoderConfig) -> Self {
        let head_activation = encoder.activation;
        Self { encoder, pooler: false, head_activation, untied_decoder: false }
    }
    /// The masked language model of a family over this encoder, without a pooler.
    pub fn of(family: Family, encoder: EncoderConfig) -> Self {
        match family {
            Family::Bert | Family::DistilBert => Self::new(encoder),
            // transformers gives their heads GELU, whatever the encoder's activation.
            Family::Electra | Family::Roberta | Family::Modern => {
                Self { head_activation: Activation::Gelu, ..Self::new(encoder) }
            }
        }
    }
    /// BERT-tiny.
    pub fn bert_tiny() -> Self {
        Self::new(EncoderConfig::bert_tiny())
    }
    /// BERT-mini.
    pub fn bert_mini() -> Self {
        Self::new(EncoderConfig::bert_mini())
    }
    /// BERT-small.
    pub fn bert_small() -> Self {
        Self::new(EncoderConfig::bert_small())
    }
    /// BERT-base.
    pub fn bert_base() -> Self {
        Self::new(EncoderConfig::bert_base())
    }
    /// BERT-large.
    pub fn bert_large() -> Self {
        Self::new(EncoderConfig::bert_large())
    }
    /// The same with another vocabulary.
    pub fn with_vocab_size(mut self, size: usize) -> Self {
        self.encoder.vocab_size = size;
        self
    }

    /// Checks every value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let c = &self.encoder;
        c.check("encoder")?;
        if c.embedding_size != c.hidden_size {
            return Err(ConfigError::OutOfRange {
                section: "encoder",
                field: "embedding_size",
                found: c.embedding_size.to_string(),
                allowed: format!("hidden_size = {} (BERT has no embedding projection)", c.hidden_size),
            });
        }
        Ok(())
    }
}

/// ELECTRA: a discriminator and a smaller generator over the same embeddings.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ElectraConfig {
    /// The discriminator, which fine-tuning keeps.
    pub discriminator: EncoderConfig,
    /// The generator; same vocabulary, embedding size, positions and segments.
    pub generator: EncoderConfig,
    /// Whether the generator's output layer has a matrix of its own in place of the token table.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untied_decoder: bool,
    /// What the two share of their embeddings.
    #[serde(default, skip_serializing_if = "EmbeddingSharing::is_tied")]
    pub sharing: EmbeddingSharing,
}

impl ElectraConfig {
    /// A generator whose width and depth are fractions of the discriminator's (ELECTRA: 1/4 or 1/3 of the width, the whole
    /// depth). Sizes are rounded; the number of heads is lowered until it divides the width.
    pub fn new(discriminator: EncoderConfig, width_fraction: f64, depth_fraction: f64) -> Self {
        let d = &discriminator;
        let part = |size: usize, fraction: f64| ((size as f64 * fraction).round() as usize).max(1);
        let hidden = part(d.hidden_size, width_fraction);
        let mut heads = part(d.num_heads, width_fraction).min(hidden);
        while !hidden.is_multiple_of(heads) {
            heads -= 1;
        }
        let ratio = d.intermediate_size as f64 / d.hidden_size.max(1) as f64;
        let generator = EncoderConfig {
            hidden_size: hidden,
            num_heads: heads,
            intermediate_size: part(hidden, ratio),
            num_layers: part(d.num_layers, depth_fraction),
            ..discriminator.clone()
        };
        Self { discriminator, generator, untied_decoder: false, sharing: EmbeddingSharing::Tied }
    }
    /// Discriminator 2 layers of 128, generator of 64.
    pub fn electra_tiny() -> Self {
        Self::new(EncoderConfig::electra_tiny(), 1.0 / 2.0, 1.0)
    }
    /// Discriminator 4 layers of 192, generator of 64.
    pub fn electra_mini() -> Self {
        Self::new(EncoderConfig::electra_mini(), 1.0 / 3.0, 1.0)
    }
    /// ELECTRA-small: 12 layers of 256, generator of 64.
    pub fn electra_small() -> Self {
        Self::new(EncoderConfig::electra_small(), 1.0 / 4.0, 1.0)
    }
    /// ELECTRA-base: 12 layers of 768, generator of 256.
    pub fn electra_base() -> Self {
        Self::new(EncoderConfig::electra_base(), 1.0 / 3.0, 1.0)
    }
    /// ELECTRA-large: 24 layers of 1024, generator of 256.
    pub fn electra_large() -> Self {
        Self::new(EncoderConfig::electra_large(), 1.0 / 4.0, 1.0)
    }
    /// The same with another vocabulary.
    pub fn with_vocab_size(mut self, size: usize) -> Self {
        self.discriminator.vocab_size = size;
        self.generator.vocab_size = size;
        self
    }

    /// Checks every value, and that both share what the embeddings determine.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (d, g) = (&self.discriminator, &self.generator);
        d.check("discriminator")?;
        g.check("generator")?;
        for (field, ours, theirs) in [
            ("vocab_size", g.vocab_size, d.vocab_size),
            ("embedding_size", g.embedding_size, d.embedding_size),
            ("max_positions", g.max_positions, d.max_positions),
            ("type_vocab", g.type_vocab, d.type_vocab),
            ("position_offset", g.position_offset, d.position_offset),
        ] {
            if ours != theirs {
                return Err(ConfigError::OutOfRange {
                    section: "generator",
                    field,
                    found: ours.to_string(),
                    allowed: format!("{theirs}, as in the discriminator: the embeddings are shared"),
                });
            }
        }
        for (section, side) in [("discriminator", d), ("generator", g)] {
            if side.modern.is_some() && side.hidden_size != side.embedding_size {
                return Err(ConfigError::OutOfRange {
                    section,
                    field: "hidden_size",
                    found: side.hidden_size.to_string(),
                    allowed: format!(
                        "embedding_size = {}: ModernBERT has no projection between them, so its generator is smaller by depth only",
                        side.embedding_size
                    ),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
