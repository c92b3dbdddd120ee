//! Which values are accepted, and how they are read.

use fn_core::correct::CorrectionKind;
use fn_core::correct::detection::DetectionKind;
use fn_models::Arch;

use crate::config::*;

#[test]
fn the_defaults_are_valid() {
    RunConfig::default().validate().unwrap();
}

#[test]
fn a_preset_fills_both_corrections() {
    let c: CorrectionConfig = serde_json::from_str(r#"{"preset": "hard"}"#).unwrap();
    assert_eq!(c, CorrectionConfig::preset(CorrectionPreset::Hard));
    assert!(matches!(c.masked_lm, CorrectionKind::Hard(_)));
    assert!(matches!(c.discriminator, DetectionKind::Drop));
}

#[test]
fn what_stands_beside_a_preset_wins_and_the_name_says_so() {
    let c: CorrectionConfig =
        serde_json::from_str(r#"{"preset": "hard", "discriminator": {"kind": "relabel"}}"#).unwrap();
    assert!(matches!(c.masked_lm, CorrectionKind::Hard(_)));
    assert!(matches!(c.discriminator, DetectionKind::Relabel));
    assert_eq!(c.preset, CorrectionPreset::Custom);
}

#[test]
fn the_preset_of_soft_labels_brings_its_judge() {
    let read = |text: &str| serde_json::from_str::<CorrectionConfig>(text).unwrap();
    let c = read(r#"{"preset": "soft-label"}"#);
    assert_eq!(c, CorrectionConfig::preset(CorrectionPreset::SoftLabel));
    assert!(matches!(c.masked_lm, CorrectionKind::None));
    assert!(matches!(c.discriminator, DetectionKind::SoftLabel));
    assert!(matches!(c.judge_or_default(), JudgeKind::Generator(_)));
    assert_eq!(read(&serde_json::to_string(&c).unwrap()), c);
    let other = read(r#"{"preset": "soft-label", "judge": {"kind": "lexicon"}}"#);
    assert_eq!((other.preset, other.judge), (CorrectionPreset::Custom, Some(JudgeKind::Lexicon)));

    let mut run = RunConfig { correction: c, ..RunConfig::default() };
    run.model.arch = Arch::Electra;
    run.validate().unwrap();
    run.model.arch = Arch::Bert;
    assert!(run.validate().unwrap_err().to_string().contains("only an ELECTRA has"));
}

#[test]
fn a_configuration_survives_being_written_and_read() {
    let mut run =
        RunConfig { correction: CorrectionConfig::preset(CorrectionPreset::Soft), ..RunConfig::default() };
    run.data.train = vec!["a.txt".into(), "b".into()];
    run.train.threads = Some(2);
    let text = serde_json::to_string(&run).unwrap();
    assert_eq!(serde_json::from_str::<RunConfig>(&text).unwrap(), run);
}

#[test]
fn an_unknown_key_is_refused() {
    assert!(serde_json::from_str::<RunConfig>(r#"{"train": {"step": 3}}"#).is_err());
    assert!(serde_json::from_str::<RunConfig>(r#"{"correction": {"presett": "hard"}}"#).is_err());
}

#[test]
fn values_out_of_range_are_named() {
    let mut run = RunConfig::default();
    run.model.num_heads = 3;
    assert!(run.validate().unwrap_err().to_string().contains("model.num_heads"));
    let mut run = RunConfig::default();
    run.train.temperature = f64::NAN;
    assert!(run.validate().unwrap_err().to_string().contains("train.temperature"));
    let mut run = RunConfig::default();
    run.data.length = 513;
    assert!(run.validate().unwrap_err().to_string().contains("data.length"));
}

#[test]
fn the_metric_of_the_best_checkpoint_is_one_that_the_run_has() {
    let mut run = RunConfig::default();
    let mut with = |arch, metric: &str, lexicon: Option<&str>| {
        run.model.arch = arch;
        run.eval.metric = metric.to_owned();
        run.eval.lexicon = lexicon.map(Into::into);
        run.validate().map_err(|error| error.to_string())
    };
    for metric in ["masked_loss", "masked_accuracy", "wrong_share", "detector_auc", "detector_recall"] {
        with(Arch::Electra, metric, None).unwrap();
        let bert = with(Arch::Bert, metric, None);
        assert_eq!(bert.is_ok(), !metric.starts_with("detector"), "{metric}: {bert:?}");
    }
    with(Arch::Bert, "accepted_accuracy", Some("l.safetensors")).unwrap();
    let error = with(Arch::Electra, "accepted_accuracy", None).unwrap_err();
    assert!(error.contains("`eval.metric` is `accepted_accuracy`"), "{error}");
    let error = with(Arch::Electra, "masked_los", None).unwrap_err();
    assert!(error.contains("did you mean `masked_loss`?"), "{error}");
}

#[test]
fn a_synthetic_stage_must_end_before_the_run_does() {
    let mut run = RunConfig::default();
    run.train.steps = 100;
    run.data.synthetic.kind = SyntheticKind::ShuffleDyck;
    for (steps, good) in [(0, false), (1, true), (99, true), (100, false)] {
        run.data.synthetic.steps = steps;
        let found = run.validate();
        assert_eq!(found.is_ok(), good, "{steps}: {found:?}");
    }
    let error = run.validate().unwrap_err().to_string();
    assert!(error.contains("`data.synthetic.steps` is 100; allowed: 1 or more, and below"), "{error}");
    // Steps without a kind are a forgotten kind.
    run.data.synthetic.steps = 1;
    run.data.synthetic.kind = SyntheticKind::None;
    assert!(run.validate().unwrap_err().to_string().contains("0 with data.synthetic.kind = none"));
    run.data.synthetic.steps = 0;
    run.data.synthetic.p = 2.0;
    assert!(run.validate().unwrap_err().to_string().contains("`data.synthetic.p` is 2; allowed: 0 to 1"));
}

#[test]
fn a_configuration_without_the_section_has_no_synthetic_stage() {
    let mut old = serde_json::to_value(RunConfig::default()).unwrap();
    assert!(old["data"].as_object_mut().unwrap().remove("synthetic").is_some());
    assert_eq!(serde_json::from_value::<RunConfig>(old).unwrap(), RunConfig::default());
    assert!(serde_json::from_str::<RunConfig>(r#"{"data": {"synthetic": {"kinds": "none"}}}"#).is_err());
}

#[test]
fn a_schedule_that_ends_before_the_run_is_refused() {
    let mut run = RunConfig::default();
    run.train.steps = 100;
    run.schedule.warmup = 10;
    run.schedule.total = 50;
    assert!(run.validate().unwrap_err().to_string().contains("schedule.total"));
    run.schedule.end_factor = 0.1;
    run.validate().unwrap();
    run.schedule.end_factor = 0.0;
    run.schedule.total = 0;
    run.validate().unwrap();
}

#[test]
fn a_correction_that_looks_words_up_wants_a_lexicon() {
    let mut run = RunConfig::default();
    run.data.train = vec!["a.txt".into()];
    run.data.tokenizer = "t".into();
    Runnable::of(run.clone()).unwrap();
    run.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
    assert!(Runnable::of(run.clone()).unwrap_err().to_string().contains("lexicon"));
    run.lexicon.wordnet = Some("dict".into());
    Runnable::of(run).unwrap();
}

#[test]
fn what_would_do_nothing_is_refused() {
    let read = |correction: &str| -> Result<(), String> {
        let text = format!(r#"{{"correction": {correction}}}"#);
        let run: RunConfig = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        run.validate().map_err(|error| error.to_string())
    };
    for (correction, parts) in [
        (
            r#"{"discriminator": {"kind": "banded"}}"#,
            ["`correction.discriminator.kind` is banded", "verifier"],
        ),
        (r#"{"verifier": {"decay": 0.9}}"#, ["`correction.verifier.decay` is 0.9", "correction.preset=hard"]),
        (
            r#"{"preset": "soft", "verifier": {"model": "bert"}}"#,
            ["`correction.verifier.model` is bert", "hard"],
        ),
        (
            r#"{"masked_lm": {"kind": "synonym-target"}, "verifier": {"decay": 0.9}}"#,
            ["`correction.verifier.decay`", "hard"],
        ),
        (r#"{"preset": "hard", "verifier": {"low": 0.2}}"#, ["`correction.verifier.low` is 0.2", "0.5"]),
        (r#"{"preset": "hard", "verifier": {"high": 2}}"#, ["`correction.verifier.high` is 2", "decay"]),
        (r#"{"masked_lm": {"kind": "none", "lambda": 1}}"#, ["`lambda`", "no settings"]),
    ] {
        let error = read(correction).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{correction}: {error}");
    }
    for correction in [
        r#"{"preset": "hard", "verifier": {"decay": 0.99, "low": 0.2, "high": 2}}"#,
        r#"{"masked_lm": {"kind": "random-shield"}, "verifier": {"decay": 0.9}}"#,
        r#"{"discriminator": {"kind": "banded"}, "verifier": {"model": "bert"}}"#,
        r#"{"preset": "hard", "verifier": {"low": 0.5, "high": 1}}"#,
    ] {
        read(correction).unwrap();
    }
}

#[test]
fn a_discriminator_that_is_not_there_is_not_corrected() {
    let mut run = RunConfig::default();
    run.correction.discriminator = DetectionKind::Relabel;
    run.validate().unwrap();
    run.model.arch = Arch::Bert;
    assert!(
        run.validate().unwrap_err().to_string().contains("is relabel; allowed: none with model.arch = bert")
    );
    // A verifier that only such a correction would ask.
    run.correction.discriminator = DetectionKind::None;
    run.correction.verifier.decay = 0.9;
    assert!(run.validate().unwrap_err().to_string().contains("correction.verifier.decay"));
    run.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
    run.validate().unwrap();
}

fn correction(json: &str) -> Result<CorrectionConfig, String> {
    let mut run = RunConfig {
        correction: serde_json::from_str(json).map_err(|e| e.to_string())?,
        ..RunConfig::default()
    };
    run.train.steps = 10_000;
    run.validate().map_err(|e| e.to_string())?;
    Ok(run.correction)
}

#[test]
fn judges_that_read_the_trained_model_are_capped_and_a_moving_average_warms_up() {
    let third = 1.0 / 3.0;
    for (json, cap, warmup) in [
        (r#"{"preset": "hard"}"#, 1.0, 0),
        (r#"{"preset": "hard", "cap": 0.5, "warmup_steps": 20}"#, 0.5, 20),
        (r#"{"preset": "hard", "verifier": {"model": "bert"}}"#, 1.0, 0),
        (r#"{"preset": "hard", "verifier": {"decay": 0.99}}"#, third, 300),
        (r#"{"preset": "hard", "verifier": {"decay": 0.9999}}"#, third, 2_500),
        (r#"{"preset": "hard", "verifier": {"decay": 0.99}, "cap": 1.0, "warmup_steps": 0}"#, 1.0, 0),
        // The generator does not learn from what it is asked about replacements alone.
        (r#"{"discriminator": {"kind": "weight"}, "judge": {"kind": "generator"}}"#, 1.0, 0),
        (r#"{"masked_lm": {"kind": "hard"}, "judge": {"kind": "generator"}}"#, third, 0),
        (
            r#"{"masked_lm": {"kind": "weight"}, "judge": {"kind": "shuffled", "judges": [{"kind": "verifier", "decay": 0.9}]}}"#,
            third,
            30,
        ),
    ] {
        let found = correction(json).unwrap();
        assert_eq!((found.cap_or_default(), found.warmup_or_default(10_000)), (cap, warmup), "{json}");
        let written = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<CorrectionConfig>(&written).unwrap(), found, "{written}");
    }
}

#[test]
fn guards_and_teachers_that_would_have_no_effect_are_refused() {
    for (json, message) in [
        (r#"{"preset": "hard", "cap": 0}"#, "`correction.cap`"),
        (r#"{"preset": "hard", "cap": 1.5}"#, "above 0 to 1"),
        (r#"{"preset": "hard", "warmup_steps": 10000}"#, "below train.steps = 10000"),
        (r#"{"cap": 0.5}"#, "where no correction uses a judge"),
        (
            r#"{"discriminator": {"kind": "rao-blackwell"}, "warmup_steps": 5}"#,
            "where no correction uses a judge",
        ),
        (
            r#"{"discriminator": {"kind": "rao-blackwell"}, "verifier": {"decay": 0.9}}"#,
            "where no correction uses it",
        ),
        (
            r#"{"discriminator": {"kind": "rao-blackwell"}, "replacements": "errors"}"#,
            "without regard to the original",
        ),
        (r#"{"judge": {"kind": "none"}, "replacements": "errors"}"#, "correction.replacements"),
        (
            r#"{"masked_lm": {"kind": "hard"}, "judge": {"kind": "lexicon"}, "verifier": {"model": "bert"}}"#,
            "not set together",
        ),
        (
            r#"{"masked_lm": {"kind": "verifier-target"}, "judge": {"kind": "verifier", "decay": 0.9}, "verifier": {"decay": 0.9}}"#,
            "there is one at most",
        ),
    ] {
        let error = correction(json).unwrap_err();
        assert!(error.contains(message), "{json}: {error}");
    }
    for json in [
        r#"{"discriminator": {"kind": "banded", "relabel": 0.9}, "judge": {"kind": "generator"}}"#,
        r#"{"discriminator": {"kind": "rao-blackwell", "teacher": "verifier"}, "verifier": {"model": "bert"}}"#,
        r#"{"masked_lm": {"kind": "verifier-target"}, "judge": {"kind": "lexicon"}, "verifier": {"model": "bert"}}"#,
        r#"{"discriminator": {"kind": "weight"}, "replacements": "errors"}"#,
        r#"{"replacements": "errors", "cap": 1.0}"#,
    ] {
        correction(json).unwrap();
    }
    let labels = serde_json::from_str(r#"{"discriminator": {"kind": "rao-blackwell"}}"#).unwrap();
    let mut run = RunConfig { correction: labels, ..RunConfig::default() };
    assert!(!run.correction.needs_lexicon());
    run.train.disallow_correct = true;
    assert!(run.validate().unwrap_err().to_string().contains("train.disallow_correct"));
    let plain: CorrectionConfig = serde_json::from_str(r#"{"replacements": "errors"}"#).unwrap();
    assert!(plain.needs_lexicon() && plain.asks_judge(true) && !plain.asks_judge(false));
}
