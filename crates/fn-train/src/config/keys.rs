//! Every key of a configuration: what it means, and what changes with it.
//!
//! What a key means is the doc comment of its field ([`fn_core::documented`]). What changes with a key stands in one table,
//! `EFFECTS`: resuming a run, the fingerprint in its checkpoints and the estimate of a study's duration all read it.

use std::sync::OnceLock;

use fn_core::corrupt::{CorruptionConfig, Shares};
use fn_core::documented::{Documented, KeyDoc};
use fn_data::synthetic::SyntheticConfig;
use sha2::{Digest, Sha256};

use super::layers::{Origin, flatten};
use super::{
    CheckpointConfig, DataConfig, EvalConfig, LexiconConfig, LogConfig, ModelConfig, RunConfig, TrainConfig,
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
            "corruption.max_predictions",
            "corruption.span_mean",
            "corruption.span_max",
            "corruption.shares.mask",
            "corruption.shares.random",
            "corruption.shares.keep",
            "lexicon.max_width",
            "correction.preset",
            "correction.generator.*",
            "correction.discriminator.*",
            "correction.prediction",
            "correction.hard_negatives",
            "correction.verifier.model",
            "correction.verifier.decay",
            "correction.verifier.low",
            "correction.verifier.high",
            "train.batch",
            "train.accumulation",
            "train.disallow_correct",
            "train.dtype",
            "train.device",
        ],
    ),
    (
        Numbers,
        &[
            "seed",
            "model.init_std",
            "model.layer_norm_eps",
            "data.train",
            "data.held_out",
            "data.json_field",
            "data.parquet_column",
            // A wider or narrower look-up set hardly shows in the time of a step.
            "lexicon.path",
            "lexicon.wordnet",
            // The learning rate decays to its end at `train.steps` unless `schedule.total` says otherwise.
            "train.steps",
            "train.discriminator_weight",
            "train.generator_weight",
            "train.temperature",
            "optimizer.beta1",
            "optimizer.beta2",
            "optimizer.epsilon",
            "optimizer.weight_decay",
            "optimizer.bias_correction",
            "optimizer.clip_norm",
            "schedule.kind",
            "schedule.lr",
            "schedule.warmup",
            "schedule.total",
            "schedule.end_factor",
            "eval.batches",
            "eval.lexicon",
        ],
    ),
    // Batches are the same with any number of workers, sums with any number of threads.
    (Time, &["data.workers", "train.threads"]),
    (
        Neither,
        &[
            "data.cache",
            "train.max_skipped",
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
        None => **row == key,
    };
    EFFECTS.iter().find(|(_, rows)| rows.iter().any(|row| is(&row))).map(|(effect, _)| *effect)
}

impl RunConfig {
    /// SHA-256 (hex) of the values on which weights or held-out figures depend.
    pub fn fingerprint(&self) -> String {
        let text: String = self
            .values_where(Effect::changes_numbers)
            .into_iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The values on which the time of a step depends, by key: steps of two runs that agree in them take equally long.
    pub fn step_time(&self) -> Vec<(String, String)> {
        self.values_where(Effect::changes_time)
    }

    fn values_where(&self, wanted: impl Fn(Effect) -> bool) -> Vec<(String, String)> {
        let table = toml::Table::try_from(self).unwrap_or_default();
        flatten(&table, &Origin::Default)
            .into_iter()
            .filter(|setting| wanted(effect(&setting.key)))
            .map(|setting| (setting.key, setting.value.to_string()))
            .collect()
    }
}

/// A key with its documentation.
#[derive(Debug, Clone)]
pub struct Key {
    /// Dotted path, e.g. `train.batch`.
    pub path: String,
    /// Its documentation.
    pub doc: KeyDoc,
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
    ("correction", CORRECTION),
    ("correction.generator", GENERATOR),
    ("correction.discriminator", DISCRIMINATOR),
    ("correction.verifier", VERIFIER),
    ("train", TrainConfig::KEYS),
    ("optimizer", AdamWConfig::KEYS),
    ("schedule", ScheduleConfig::KEYS),
    ("checkpoint", CheckpointConfig::KEYS),
    ("eval", EvalConfig::KEYS),
    ("log", LogConfig::KEYS),
];

/// Every key that holds a value, in the order of [`RunConfig`].
pub fn keys() -> &'static [Key] {
    fn walk(section: &str, out: &mut Vec<Key>) {
        let Some((_, docs)) = SECTIONS.iter().find(|(name, _)| *name == section) else { return };
        for doc in *docs {
            let path =
                if section.is_empty() { doc.name.to_string() } else { format!("{section}.{}", doc.name) };
            match SECTIONS.iter().any(|(name, _)| *name == path) {
                true => walk(&path, out),
                false => out.push(Key { path, doc: *doc }),
            }
        }
    }
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut keys = Vec::new();
        walk("", &mut keys);
        keys
    })
}

/// The documentation of a key or of a section.
pub fn doc(path: &str) -> Option<KeyDoc> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let (_, docs) = SECTIONS.iter().find(|(known, _)| *known == section)?;
    docs.iter().find(|doc| doc.name == name).copied()
}

const fn key(name: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { name, doc }
}

const CORRECTION: &[KeyDoc] = &[
    key("preset", "none, hard or soft; docs/method.md has the keys of generator and discriminator"),
    key("generator", ""),
    key("discriminator", ""),
    key("prediction", "which prediction is judged: argmax or sample"),
    key("hard_negatives", "above 0: errors that look right weigh more"),
    key("verifier", ""),
];
const GENERATOR: &[KeyDoc] = &[
    key("kind", "none"),
    key("normalise", "what a shielded loss is divided by"),
    key("level", "word or sentence"),
    key("prediction", "which prediction is compared"),
    key("lambda", "weight of the distance"),
    key("epsilon", "mass that is spread"),
];
const DISCRIMINATOR: &[KeyDoc] = &[key("kind", "none"), key("lambda", "weight of the distance")];
const VERIFIER: &[KeyDoc] = &[
    key("model", "Hugging Face folder of a masked LM that judges in place of the lexicon"),
    key("decay", "or a moving average of the model itself, e.g. 0.999"),
    key("low", "from this p(r) / p(w) on an error is a false negative"),
    key("high", "and from this on as right as the original"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fn_core::correct::{Correction, DiscriminatorCorrection, Level, Normalise};
    use fn_core::sample::Prediction;

    use super::*;
    use crate::config::{CorrectionConfig, CorrectionPreset};

    /// Configurations that together have every key.
    fn samples() -> Vec<RunConfig> {
        let mut full = RunConfig::default();
        full.model.init = Some("model".into());
        full.model.vocab_size = Some(30_522);
        full.data.cache = Some("cache".into());
        full.data.train = vec!["a".into()];
        full.lexicon.path = Some("lexicon.safetensors".into());
        full.lexicon.wordnet = Some("dict".into());
        full.lexicon.max_width = Some(1);
        full.corruption.max_predictions = Some(1);
        full.corruption.shares = Some(Shares { mask: 0.8, random: 0.1, keep: 0.1 });
        full.train.threads = Some(1);
        full.optimizer.clip_norm = Some(0.5);
        full.eval.lexicon = Some("lexicon.safetensors".into());
        full.correction.hard_negatives = 1.0;
        full.correction.verifier.model = Some("bert".into());
        full.correction.verifier.decay = 0.999;
        let mut samples = vec![full];
        for generator in [
            Correction::Hard { normalise: Normalise::All },
            Correction::Soft { level: Level::Word, prediction: Prediction::Argmax, lambda: 1.0 },
            Correction::LabelSmoothing { epsilon: 0.1 },
            Correction::SynonymTarget { epsilon: 0.1 },
        ] {
            let mut run = RunConfig::default();
            run.correction.generator = generator;
            run.correction.discriminator = DiscriminatorCorrection::Soft { lambda: 1.0 };
            samples.push(run);
        }
        samples
    }

    #[test]
    fn every_key_has_one_row_in_the_table_and_every_row_is_a_key() {
        let rows: Vec<&str> = EFFECTS.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
        assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "a row stands twice");
        for key in keys() {
            assert!(listed(&key.path).is_some(), "{} is not in the table", key.path);
        }
        for row in rows {
            let start = row.strip_suffix('*').unwrap_or(row);
            let known = |key: &Key| if start == row { key.path == row } else { key.path.starts_with(start) };
            assert!(keys().iter().any(known), "{row} is no key");
        }
    }

    #[test]
    fn every_key_is_documented() {
        for key in keys() {
            assert!(key.doc.paragraphs().next().is_some(), "{}", key.path);
        }
        for (section, docs) in SECTIONS {
            assert!(!docs.is_empty() && (section.is_empty() || doc(section).is_some()), "{section}");
        }
    }

    /// Every value of a configuration has a key: a section that the walk does not know would lack here.
    #[test]
    fn every_value_of_a_configuration_has_a_key() {
        for sample in samples() {
            let table = toml::Table::try_from(&sample).unwrap();
            for setting in flatten(&table, &Origin::Default) {
                assert!(keys().iter().any(|key| key.path == setting.key), "{}", setting.key);
            }
        }
    }

    #[test]
    fn the_fingerprint_changes_with_numbers_and_with_nothing_else() {
        let plain = RunConfig::default();
        let changed = |change: fn(&mut RunConfig)| {
            let mut run = plain.clone();
            change(&mut run);
            assert_ne!(run, plain);
            run.fingerprint() != plain.fingerprint()
        };
        for number in [
            |run: &mut RunConfig| run.seed = 2,
            |run| run.train.steps = 3,
            |run| run.train.batch = 3,
            |run| run.schedule.lr = 1e-3,
            |run| run.data.train = vec!["a.txt".into()],
            |run| run.eval.batches = 3,
            |run| run.lexicon.path = Some("a".into()),
            |run: &mut RunConfig| run.correction = CorrectionConfig::preset(CorrectionPreset::Soft),
        ] {
            assert!(changed(number));
        }
        for other in [
            |run: &mut RunConfig| run.data.workers = 7,
            |run| run.data.cache = Some("a".into()),
            |run| run.train.threads = Some(2),
            |run| run.train.max_skipped = 3,
            |run| run.log.every = 7,
            |run| run.log.tensorboard = false,
            |run| run.checkpoint.keep_last = 7,
            |run| run.eval.every = 7,
            |run: &mut RunConfig| run.eval.metric = "masked_accuracy".into(),
        ] {
            assert!(!changed(other));
        }
    }

    #[test]
    fn a_step_takes_as_long_with_another_seed_but_not_with_another_batch() {
        let plain = RunConfig::default();
        let mut run = plain.clone();
        (run.seed, run.train.steps, run.schedule.lr) = (2, 3, 1e-3);
        assert_eq!(run.step_time(), plain.step_time());
        run.train.batch = 3;
        assert_ne!(run.step_time(), plain.step_time());
        run.train.batch = plain.train.batch;
        run.train.threads = Some(2);
        assert_ne!(run.step_time(), plain.step_time());
    }
}
