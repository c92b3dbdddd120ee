//! Every key of a configuration: what it means, and what changes with it.
//!
//! What a key means is the doc comment of its field ([`fn_core::documented!`]). What changes with a key stands in one table,
//! `EFFECTS`: whether a run can go on with another value, whether an arm of a study was made with other values, and which arms take
//! equally long are all read from it.

use std::borrow::Cow;
use std::sync::OnceLock;

use fn_core::correct::detection::{BandedConfig, DetectionKind, RaoBlackwellConfig, SoftDetectionConfig};
use fn_core::correct::{
    CorrectionKind, HardConfig, LabelSmoothingConfig, PredictionTargetConfig, SoftConfig,
    SynonymTargetConfig, VerifierTargetConfig, WeightConfig,
};
use fn_core::corrupt::{CorruptionConfig, Shares};
use fn_core::documented::{Documented, KeyDoc};
use fn_core::judge::GeneratorConfig;
use fn_data::synthetic::SyntheticConfig;

use super::judge::{COMBINED, EncoderJudgeConfig};
use super::layers::{Origin, flatten};
use super::{
    AverageConfig, CheckpointConfig, CorrectionConfig, DataConfig, EvalConfig, JudgeKind, LexiconConfig,
    LogConfig, ModelConfig, RunConfig, TrainConfig, VerifierConfig,
};
use crate::optim::AdamWConfig;
use crate::schedule::ScheduleConfig;

/// What changes with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Weights or held-out figures, and how long a step takes.
    NumbersAndTime,
    /// Weights or held-out figures; a step takes as long as before.
    Numbers,
    /// How long a step takes, nothing else.
    Time,
    /// Neither: what is printed, how often the model is saved or measured, where files lie.
    Neither,
}

use Effect::{Neither, Numbers, NumbersAndTime, Time};

impl Effect {
    /// Whether weights or held-out figures depend on the key.
    pub fn changes_numbers(self) -> bool {
        matches!(self, NumbersAndTime | Numbers)
    }

    /// Whether the time of a step depends on the key.
    pub fn changes_time(self) -> bool {
        matches!(self, NumbersAndTime | Time)
    }
}

/// Every key. `section.*` stands for whatever keys the kind of a correction has.
const EFFECTS: &[(Effect, &[&str])] = &[
    (
        NumbersAndTime,
        &[
            "model.arch",
            "model.init",
            "model.hidden_size",
            "model.embedding_size",
            "model.num_layers",
            "model.num_heads",
            "model.intermediate_size",
            "model.max_positions",
            "model.type_vocab",
            "model.hidden_dropout",
            "model.attention_dropout",
            "model.generator_width",
            "model.generator_depth",
            "model.embedding_sharing",
            "model.vocab_size",
            "data.tokenizer",
            "data.length",
            "data.packing",
            "data.synthetic.kind",
            "data.synthetic.steps",
            "data.synthetic.k",
            "data.synthetic.p",
            "data.synthetic.depth",
            "data.synthetic.dim",
            "corruption.scheme",
            "corruption.unit",
            "corruption.rate",
            "corruption.final_rate",
            "corruption.rate_steps",
            "corruption.max_predictions",
            "corruption.span_mean",
            "corruption.span_max",
            "corruption.shares.mask",
            "corruption.shares.random",
            "corruption.shares.keep",
            "lexicon.max_width",
            "correction.preset",
            "correction.masked_lm.*",
            "correction.discriminator.*",
            "correction.judge.*",
            "correction.threshold",
            "correction.cap",
            "correction.warmup_steps",
            "correction.replacements",
            "correction.prediction",
            "correction.hard_negatives",
            "correction.verifier.model",
            "correction.verifier.decay",
            "correction.verifier.low",
            "correction.verifier.high",
            "train.batch",
            "train.accumulation",
            "train.accumulation_start",
            "train.batch_warmup_tokens",
            "train.disallow_correct",
            "train.dtype",
            "train.wire",
            "train.device",
            "average.decay",
        ],
    ),
    (
        Numbers,
        &[
            "seed",
            "model.init_std",
            "model.layer_norm_eps",
            "data.train",
            "data.mixture",
            "data.held_out",
            "data.json_field",
            "data.parquet_column",
            "data.on_bad_line",
            // A wider or narrower look-up set hardly shows in the time of a step.
            "lexicon.path",
            "lexicon.wordnet",
            // The learning rate decays to its end at `train.steps` unless `schedule.total` says otherwise.
            "train.steps",
            "train.discriminator_weight",
            "train.masked_lm_weight",
            "train.temperature",
            "optimizer.beta1",
            "optimizer.beta2",
            "optimizer.epsilon",
            "optimizer.weight_decay",
            "optimizer.bias_correction",
            "optimizer.clip_norm",
            "optimizer.update_clipping",
            "schedule.kind",
            "schedule.lr",
            "schedule.warmup",
            "schedule.total",
            "schedule.end_factor",
            "schedule.decay",
            "schedule.decay_shape",
            "average.start",
            "train.branch",
            "eval.batches",
            "eval.lexicon",
        ],
    ),
    // Batches are the same with any number of workers, sums with any number of threads.
    (Time, &["data.workers", "train.threads", "train.overlap", "optimizer.shard"]),
    (
        Neither,
        &[
            "data.cache",
            "train.max_skipped",
            "train.rank_timeout",
            "train.compare_every",
            "checkpoint.every",
            "checkpoint.keep_last",
            "checkpoint.keep_best",
            "eval.every",
            // The best checkpoint is chosen anew under another metric; no weight and no figure depends on it.
            "eval.metric",
            "log.every",
            "log.tensorboard",
        ],
    ),
];

/// What changes with a key; a key that the table does not have is taken to change everything.
pub fn effect(key: &str) -> Effect {
    listed(key).unwrap_or(NumbersAndTime)
}

fn listed(key: &str) -> Option<Effect> {
    let is = |row: &&str| match row.strip_suffix(".*") {
        Some(section) => key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')),
        None => *row == key,
    };
    EFFECTS.iter().find(|(_, rows)| rows.iter().any(is)).map(|(effect, _)| *effect)
}

impl RunConfig {
    /// The values on which the time of a step depends, by key: steps of two runs that agree in them take equally long.
    pub fn step_time(&self) -> Vec<(String, String)> {
        let table = toml::Table::try_from(self).unwrap_or_default();
        flatten(&table, &Origin::Default)
            .into_iter()
            .filter(|setting| effect(&setting.key).changes_time())
            .map(|setting| (setting.key, setting.value.to_string()))
            .collect()
    }
}

/// A key or a section, with its documentation.
#[derive(Debug, Clone)]
pub struct Key {
    /// Dotted path, e.g. `train.batch`.
    pub path: String,
    /// The paragraphs of its documentation.
    pub doc: Vec<String>,
    /// Whether it is a section and not a value.
    pub is_section: bool,
}

/// Sections, each with the documentation of its keys.
const SECTIONS: &[(&str, &[KeyDoc])] = &[
    ("", RunConfig::KEYS),
    ("model", ModelConfig::KEYS),
    ("data", DataConfig::KEYS),
    ("data.synthetic", SyntheticConfig::KEYS),
    ("corruption", CorruptionConfig::KEYS),
    ("corruption.shares", Shares::KEYS),
    ("lexicon", LexiconConfig::KEYS),
    ("correction", CorrectionConfig::KEYS),
    ("correction.verifier", VerifierConfig::KEYS),
    ("train", TrainConfig::KEYS),
    ("optimizer", AdamWConfig::KEYS),
    ("schedule", ScheduleConfig::KEYS),
    ("checkpoint", CheckpointConfig::KEYS),
    ("eval", EvalConfig::KEYS),
    ("average", AverageConfig::KEYS),
    ("log", LogConfig::KEYS),
];

/// A section whose `kind` decides which other keys it has.
struct Tagged {
    path: &'static str,
    /// The kinds; the documentation of each begins with its name.
    kinds: &'static [KeyDoc],
    /// Kinds that have keys, with their keys. Those of a kind of another crate are not known here.
    settings: &'static [(&'static str, &'static [KeyDoc])],
}

const TAGGED: &[Tagged] = &[
    Tagged {
        path: "correction.masked_lm",
        kinds: CorrectionKind::KEYS,
        settings: &[
            ("hard", HardConfig::KEYS),
            ("weight", WeightConfig::KEYS),
            ("prediction-target", PredictionTargetConfig::KEYS),
            ("verifier-target", VerifierTargetConfig::KEYS),
            ("soft", SoftConfig::KEYS),
            ("label-smoothing", LabelSmoothingConfig::KEYS),
            ("synonym-target", SynonymTargetConfig::KEYS),
        ],
    },
    Tagged {
        path: "correction.discriminator",
        kinds: DetectionKind::KEYS,
        settings: &[
            ("banded", BandedConfig::KEYS),
            ("rao-blackwell", RaoBlackwellConfig::KEYS),
            ("soft", SoftDetectionConfig::KEYS),
        ],
    },
    Tagged {
        path: "correction.judge",
        kinds: JudgeKind::KEYS,
        settings: &[
            ("verifier", VerifierConfig::KEYS),
            ("encoder", EncoderJudgeConfig::KEYS),
            ("generator", GeneratorConfig::KEYS),
            ("all, any, mean, shuffled", COMBINED),
        ],
    },
];

/// Whether the `kind` of a section decides which other keys it has.
pub fn is_tagged(section: &str) -> bool {
    TAGGED.iter().any(|tagged| tagged.path == section)
}

/// Keys and sections that had another name once, with the name of today. serde knows the old ones as aliases of the fields.
const RENAMED: &[(&str, &str)] =
    &[("correction.generator", "correction.masked_lm"), ("train.generator_weight", "train.masked_lm_weight")];

/// The name that a key has today; the keys of older versions are still understood.
pub fn current_name(key: &str) -> Cow<'_, str> {
    for (old, new) in RENAMED {
        match key.strip_prefix(old) {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => {
                return Cow::Owned(format!("{new}{rest}"));
            }
            _ => {}
        }
    }
    Cow::Borrowed(key)
}

/// Every section and every key, in the order of [`RunConfig`].
fn all() -> &'static [Key] {
    static ALL: OnceLock<Vec<Key>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Vec::new();
        walk("", RunConfig::KEYS, &mut all);
        all
    })
}

fn walk(section: &str, fields: &[KeyDoc], all: &mut Vec<Key>) {
    for field in fields {
        let path =
            if section.is_empty() { field.name.to_string() } else { format!("{section}.{}", field.name) };
        let inner = SECTIONS.iter().find(|(name, _)| *name == path).map(|(_, inner)| *inner);
        let tagged = TAGGED.iter().find(|tagged| tagged.path == path);
        let is_section = inner.is_some() || tagged.is_some();
        all.push(Key { path: path.clone(), doc: field.paragraphs().collect(), is_section });
        if let Some(inner) = inner {
            walk(&path, inner, all);
        }
        if let Some(tagged) = tagged {
            let doc = tagged.kinds.iter().flat_map(KeyDoc::paragraphs).collect();
            all.push(Key { path: format!("{path}.kind"), doc, is_section: false });
            for (kind, settings) in tagged.settings {
                for setting in *settings {
                    let of_kind = setting.paragraphs().map(|text| format!("{kind}: {text}"));
                    let path = format!("{path}.{}", setting.name);
                    match all.iter_mut().find(|key| key.path == path) {
                        Some(of_other_kind) => of_other_kind.doc.extend(of_kind),
                        None => all.push(Key { path, doc: of_kind.collect(), is_section: false }),
                    }
                }
            }
        }
    }
}

/// Every key that holds a value, in the order of [`RunConfig`].
pub fn keys() -> impl Iterator<Item = &'static Key> {
    all().iter().filter(|key| !key.is_section)
}

/// A key or a section.
pub fn find(path: &str) -> Option<&'static Key> {
    all().iter().find(|key| key.path == path)
}

#[cfg(test)]
mod tests;
