//! Every key of a configuration: what it means, and what changes with it.
//!
//! What a key means is the doc comment of its field ([`fn_core::documented!`]). What changes with a key stands in one table,
//! `EFFECTS`: whether a run can go on with another value, whether an arm of a study was made with other values, and which arms take
//! equally long are all read from it.

use std::borrow::Cow;
use std::sync::OnceLock;

use fn_core::correct::detection::{DetectionKind, SoftDetectionConfig};
use fn_core::correct::{CorrectionKind, HardConfig, LabelSmoothingConfig, SoftConfig, SynonymTargetConfig};
use fn_core::corrupt::{CorruptionConfig, Shares};
use fn_core::documented::{Documented, KeyDoc};
use fn_core::judge::GeneratorConfig;
use fn_data::synthetic::SyntheticConfig;

use super::judge::COMBINED;
use super::layers::{Origin, flatten};
use super::{
    CheckpointConfig, CorrectionConfig, DataConfig, EvalConfig, JudgeKind, LexiconConfig, LogConfig,
    ModelConfig, RunConfig, TrainConfig, VerifierConfig,
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
            "correction.masked_lm.*",
            "correction.discriminator.*",
            "correction.judge.*",
            "correction.threshold",
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
            ("soft", SoftConfig::KEYS),
            ("label-smoothing", LabelSmoothingConfig::KEYS),
            ("synonym-target", SynonymTargetConfig::KEYS),
        ],
    },
    Tagged {
        path: "correction.discriminator",
        kinds: DetectionKind::KEYS,
        settings: &[("soft", SoftDetectionConfig::KEYS)],
    },
    Tagged {
        path: "correction.judge",
        kinds: JudgeKind::KEYS,
        settings: &[
            ("verifier", VerifierConfig::KEYS),
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
mod tests {
    use std::collections::BTreeSet;

    use fn_core::judge::THRESHOLD;

    use super::*;
    use crate::config::{CorrectionPreset, Layers};

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
        full.correction.threshold = THRESHOLD / 2.0;
        full.correction.judge = Some(JudgeKind::Lexicon);
        let mut samples = vec![full];
        for generator in [
            CorrectionKind::Hard(HardConfig::default()),
            CorrectionKind::Soft(SoftConfig::default()),
            CorrectionKind::LabelSmoothing(LabelSmoothingConfig::default()),
            CorrectionKind::SynonymTarget(SynonymTargetConfig::default()),
        ] {
            let mut run = RunConfig::default();
            run.correction.masked_lm = generator;
            run.correction.discriminator = DetectionKind::Soft(SoftDetectionConfig::default());
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
            assert!(keys().any(known), "{row} is no key");
        }
    }

    #[test]
    fn every_key_and_every_section_is_documented() {
        for key in all() {
            assert!(!key.doc.is_empty(), "{}", key.path);
        }
        for (section, _) in SECTIONS.iter().skip(1) {
            assert!(find(section).is_some_and(|key| key.is_section), "{section}");
        }
        assert_eq!(find("train.batch").unwrap().doc.len(), 1);
        assert!(find("correction.masked_lm.kind").unwrap().doc[1].starts_with("`hard`: "));
        assert!(find("train.batches").is_none());
        let epsilon = &find("correction.masked_lm.epsilon").unwrap().doc;
        assert!(
            epsilon[0].starts_with("label-smoothing: ") && epsilon[1].starts_with("synonym-target: "),
            "{epsilon:?}"
        );
    }

    #[test]
    fn the_documented_kinds_are_those_that_can_be_read() {
        for tagged in TAGGED {
            let registered = tagged.kinds.iter().filter(|kind| kind.name == "Registered").count();
            assert_eq!(registered, 1, "{}", tagged.path);
            for kind in tagged.kinds.iter().filter(|kind| kind.name != "Registered") {
                let doc = kind.paragraphs().next().unwrap();
                let name = doc.strip_prefix('`').and_then(|doc| doc.split_once("`: ")).unwrap().0;
                let error = Layers { set: vec![format!("{}.kind={name}", tagged.path)], ..Layers::default() }
                    .resolve();
                let error = error.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(!error.contains("no correction of kind") && !error.contains("of kind `"), "{error}");
            }
        }
    }

    /// Every value of a configuration has a key: a section that the walk does not know would lack here.
    #[test]
    fn every_value_of_a_configuration_has_a_key() {
        for sample in samples() {
            let table = toml::Table::try_from(&sample).unwrap();
            for setting in flatten(&table, &Origin::Default) {
                assert!(keys().any(|key| key.path == setting.key), "{}", setting.key);
            }
        }
    }

    #[test]
    fn a_run_is_another_one_with_other_numbers_and_with_nothing_else() {
        let plain = RunConfig::default();
        let changed = |change: fn(&mut RunConfig)| {
            let mut run = plain.clone();
            change(&mut run);
            assert_ne!(run, plain);
            !crate::rundir::unlike(&plain, &run, &[]).is_empty()
        };
        let numbers: [fn(&mut RunConfig); 8] = [
            |run| run.seed = 2,
            |run| run.train.steps = 3,
            |run| run.train.batch = 3,
            |run| run.schedule.lr = 1e-3,
            |run| run.data.train = vec!["a.txt".into()],
            |run| run.eval.batches = 3,
            |run| run.lexicon.path = Some("a".into()),
            |run| run.correction = CorrectionConfig::preset(CorrectionPreset::Soft),
        ];
        for number in numbers {
            assert!(changed(number));
        }
        let others: [fn(&mut RunConfig); 9] = [
            |run| run.data.workers = 7,
            |run| run.data.cache = Some("a".into()),
            |run| run.train.threads = Some(2),
            |run| run.train.max_skipped = 3,
            |run| run.log.every = 7,
            |run| run.log.tensorboard = false,
            |run| run.checkpoint.keep_last = 7,
            |run| run.eval.every = 7,
            |run| run.eval.metric = "masked_accuracy".into(),
        ];
        for other in others {
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
