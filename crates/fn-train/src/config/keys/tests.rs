//! Every key has its documentation and its row.

use std::collections::BTreeSet;

use fn_core::judge::THRESHOLD;

use super::*;
use crate::config::{CorrectionPreset, Layers, MixtureSource, Replacements};

/// Configurations that together have every key.
fn samples() -> Vec<RunConfig> {
    let mut full = RunConfig::default();
    full.model.init = Some("model".into());
    full.model.vocab_size = Some(30_522);
    full.data.cache = Some("cache".into());
    full.data.train = vec!["a".into()];
    full.data.mixture = vec![MixtureSource { train: vec!["a".into()], shards: None, weight: 1.0 }];
    full.lexicon.path = Some("lexicon.safetensors".into());
    full.lexicon.wordnet = Some("dict".into());
    full.lexicon.max_width = Some(1);
    full.corruption.max_predictions = Some(1);
    full.corruption.shares = Some(Shares { mask: 0.8, random: 0.1, keep: 0.1 });
    full.train.threads = Some(1);
    full.train.branch = Some("runs/a/checkpoints/step-00000001".into());
    full.corruption.final_rate = Some(0.1);
    full.corruption.rate_steps = 3;
    full.optimizer.clip_norm = Some(0.5);
    full.eval.lexicon = Some("lexicon.safetensors".into());
    full.correction.hard_negatives = 1.0;
    full.correction.verifier.model = Some("bert".into());
    full.correction.verifier.decay = 0.999;
    full.correction.threshold = THRESHOLD / 2.0;
    full.correction.cap = Some(0.25);
    full.correction.warmup_steps = Some(10);
    full.correction.replacements = Replacements::Errors;
    full.correction.judge = Some(JudgeKind::Lexicon);
    let mut samples = vec![full];
    for generator in [
        CorrectionKind::Hard(HardConfig::default()),
        CorrectionKind::Soft(SoftConfig::default()),
        CorrectionKind::LabelSmoothing(LabelSmoothingConfig::default()),
        CorrectionKind::SynonymTarget(SynonymTargetConfig::default()),
        CorrectionKind::Weight(WeightConfig::default()),
        CorrectionKind::PredictionTarget(PredictionTargetConfig::default()),
        CorrectionKind::VerifierTarget(VerifierTargetConfig::default()),
    ] {
        let mut run = RunConfig::default();
        run.correction.masked_lm = generator;
        run.correction.discriminator = DetectionKind::Soft(SoftDetectionConfig::default());
        samples.push(run);
    }
    for discriminator in [
        DetectionKind::Banded(BandedConfig::default()),
        DetectionKind::RaoBlackwell(RaoBlackwellConfig::default()),
    ] {
        let mut run = RunConfig::default();
        run.correction.discriminator = discriminator;
        run.correction.judge = Some(JudgeKind::Generator(GeneratorConfig::default()));
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
            let error =
                Layers { set: vec![format!("{}.kind={name}", tagged.path)], ..Layers::default() }.resolve();
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
    let numbers: [fn(&mut RunConfig); 14] = [
        |run| run.seed = 2,
        |run| run.average.decay = 0.9,
        |run| run.schedule.decay = 3,
        |run| run.corruption.final_rate = Some(0.3),
        |run| run.train.batch_warmup_tokens = 9,
        |run| run.train.branch = Some("a".into()),
        |run| run.optimizer.update_clipping = true,
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
