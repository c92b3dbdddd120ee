//! Configurations as they are written in files.

use fn_core::correct::detection::{BandedConfig, DetectionKind, RaoBlackwellConfig, SoftDetectionConfig};
use fn_core::correct::registry::CORRECTIONS;
use fn_core::correct::{
    CorrectionKind, HardConfig, LabelSmoothingConfig, Level, Normalise, PredictionTargetConfig, Resources,
    Rows, SoftConfig, SynonymTargetConfig, VerifierTargetConfig, WeightConfig,
};
use fn_core::corrupt::{CorruptionConfig, Scheme, Shares, Unit};
use fn_core::judge::TeacherKind;
use fn_core::sample::Prediction;

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

#[test]
fn corrections_are_written_as_in_the_paper() {
    let cases: [(&str, CorrectionKind); 11] = [
        (r#"{"kind": "none"}"#, CorrectionKind::None),
        (r#"{"kind": "hard"}"#, CorrectionKind::Hard(HardConfig { normalise: Normalise::All })),
        (
            r#"{"kind": "hard", "normalise": "kept"}"#,
            CorrectionKind::Hard(HardConfig { normalise: Normalise::Kept }),
        ),
        (
            r#"{"kind": "soft"}"#,
            CorrectionKind::Soft(SoftConfig {
                level: Level::Word,
                prediction: Prediction::Argmax,
                lambda: 1.0,
                rows: Rows::All,
            }),
        ),
        (
            r#"{"kind": "soft", "level": "sentence", "prediction": "sample", "lambda": 0.5, "rows": "judged"}"#,
            CorrectionKind::Soft(SoftConfig {
                level: Level::Sentence,
                prediction: Prediction::Sample,
                lambda: 0.5,
                rows: Rows::Judged,
            }),
        ),
        (
            r#"{"kind": "label-smoothing"}"#,
            CorrectionKind::LabelSmoothing(LabelSmoothingConfig { epsilon: 0.1 }),
        ),
        (
            r#"{"kind": "synonym-target", "epsilon": 0.2}"#,
            CorrectionKind::SynonymTarget(SynonymTargetConfig { epsilon: 0.2 }),
        ),
        (r#"{"kind": "random-shield"}"#, CorrectionKind::RandomShield),
        (r#"{"kind": "weight"}"#, CorrectionKind::Weight(WeightConfig { normalise: Normalise::All })),
        (
            r#"{"kind": "prediction-target", "share": 0.5}"#,
            CorrectionKind::PredictionTarget(PredictionTargetConfig { share: 0.5 }),
        ),
        (
            r#"{"kind": "verifier-target", "top_k": 4, "rows": "wrong"}"#,
            CorrectionKind::VerifierTarget(VerifierTargetConfig {
                mass: 0.5,
                top_k: 4,
                entropy_scaled: true,
                rows: Rows::Wrong,
                teacher: TeacherKind::Verifier,
            }),
        ),
    ];
    for (json, expected) in cases {
        let found: CorrectionKind = read(json).unwrap();
        assert_eq!(found, expected, "{json}");
        found.validate().unwrap();
        assert_eq!(read::<CorrectionKind>(&serde_json::to_string(&found).unwrap()).unwrap(), found);
    }
    for (json, expected) in [
        (r#"{"kind": "none"}"#, DetectionKind::None),
        (r#"{"kind": "drop"}"#, DetectionKind::Drop),
        (r#"{"kind": "relabel"}"#, DetectionKind::Relabel),
        (r#"{"kind": "banded"}"#, DetectionKind::Banded(BandedConfig { relabel: 1.0 })),
        (
            r#"{"kind": "rao-blackwell", "alpha": 0.5, "teacher": "verifier"}"#,
            DetectionKind::RaoBlackwell(RaoBlackwellConfig {
                alpha: 0.5,
                teacher: TeacherKind::Verifier,
                shuffled: false,
            }),
        ),
        (r#"{"kind": "weight"}"#, DetectionKind::Weight),
        (r#"{"kind": "soft-label"}"#, DetectionKind::SoftLabel),
        (r#"{"kind": "soft", "lambda": 2.0}"#, DetectionKind::Soft(SoftDetectionConfig { lambda: 2.0 })),
    ] {
        assert_eq!(read::<DetectionKind>(json).unwrap(), expected);
        expected.validate().unwrap();
    }
}

#[test]
fn unknown_words_and_keys_are_refused() {
    assert!(
        read::<CorrectionKind>(r#"{"kind": "harder"}"#)
            .unwrap_err()
            .contains("no correction of kind `harder`")
    );
    assert!(
        read::<CorrectionKind>(r#"{"kind": "hard", "lambda": 1}"#).unwrap_err().contains("unknown field")
    );
    assert!(
        read::<CorrectionKind>(r#"{"kind": "random-shield", "rate": 1}"#)
            .unwrap_err()
            .contains("unknown field")
    );
    for kind in ["none", "drop", "relabel", "weight", "soft-label"] {
        let json = format!(r#"{{"lambda": 1, "kind": "{kind}"}}"#);
        let error = read::<DetectionKind>(&json).unwrap_err();
        assert!(error.contains("unknown field `lambda`, this kind has no settings"), "{error}");
    }
    assert!(read::<CorrectionKind>(r#"{"kind": "none", "lambda": 1}"#).unwrap_err().contains("no settings"));
    assert!(read::<CorruptionConfig>(r#"{"ratte": 0.2}"#).unwrap_err().contains("unknown field"));
    assert!(read::<Shares>(r#"{"mask": 1, "random": 0, "keep": 0, "swap": 0}"#).is_err());
}

#[test]
fn values_out_of_range_name_field_and_range() {
    let e = CorrectionKind::Soft(SoftConfig { lambda: -1.0, ..SoftConfig::default() }).validate();
    assert_eq!(e.unwrap_err().to_string(), "`lambda` is -1, but must be between 0 and 1000");
    for epsilon in [-0.1, 1.0, f64::NAN] {
        assert!(CorrectionKind::LabelSmoothing(LabelSmoothingConfig { epsilon }).validate().is_err());
        assert!(CorrectionKind::SynonymTarget(SynonymTargetConfig { epsilon }).validate().is_err());
    }
    assert!(DetectionKind::Soft(SoftDetectionConfig { lambda: f64::INFINITY }).validate().is_err());
    for value in [-0.1, 1.5, f64::NAN] {
        assert!(
            CorrectionKind::PredictionTarget(PredictionTargetConfig { share: value }).validate().is_err()
        );
        let taught = VerifierTargetConfig { mass: value, ..VerifierTargetConfig::default() };
        assert!(CorrectionKind::VerifierTarget(taught).validate().is_err());
        assert!(DetectionKind::Banded(BandedConfig { relabel: value }).validate().is_err());
        let labels = RaoBlackwellConfig { alpha: value, ..RaoBlackwellConfig::default() };
        assert!(DetectionKind::RaoBlackwell(labels).validate().is_err());
    }
    for top_k in [0, 65] {
        let taught = VerifierTargetConfig { top_k, ..VerifierTargetConfig::default() };
        let error = CorrectionKind::VerifierTarget(taught).validate().unwrap_err().to_string();
        assert_eq!(error, format!("`top_k` is {top_k}, but must be 1 to 64"));
    }
}

#[test]
fn corruption_has_the_defaults_of_electra() {
    let config: CorruptionConfig = read("{}").unwrap();
    assert_eq!(config, CorruptionConfig::default());
    assert_eq!((config.scheme, config.unit, config.rate), (Scheme::Electra, Unit::Token, 0.15));
    assert_eq!(config.shares(), Shares { mask: 0.85, random: 0.0, keep: 0.15 });
    let bert: CorruptionConfig = read(r#"{"scheme": "bert", "unit": "whole-word"}"#).unwrap();
    assert_eq!(bert.shares(), Shares { mask: 0.8, random: 0.1, keep: 0.1 });
    assert_eq!(bert.unit, Unit::WholeWord);
    bert.validate().unwrap();
}

#[test]
fn a_correction_of_another_crate_is_found_by_its_name_and_checks_its_own_settings() {
    let json = r#"{"kind": "configuration-test", "factor": 0.5}"#;
    assert!(read::<CorrectionKind>(json).unwrap_err().contains("known are none, hard"));
    CORRECTIONS
        .register("configuration-test", |settings, resources| {
            settings.number("factor", 1.0)?;
            resources.lexicon("configuration-test")?;
            Ok(Box::new(fn_core::correct::RandomShield))
        })
        .unwrap();
    let found: CorrectionKind = read(json).unwrap();
    assert_eq!(found.name(), "configuration-test");
    assert_eq!(serde_json::to_string(&found).unwrap(), json.replace(": ", ":").replace(", ", ","));
    // Without a lexicon the check passes, as one may come; making it does not.
    found.validate().unwrap();
    assert!(found.init(&Resources::default()).is_err());
    let wrong: CorrectionKind = read(r#"{"kind": "configuration-test", "factor": "half"}"#).unwrap();
    assert!(wrong.validate().unwrap_err().to_string().contains("`factor` is \"half\", but must be a number"));
    for taken in ["hard", "configuration-test"] {
        let again = CORRECTIONS.register(taken, |_, _| Ok(Box::new(fn_core::correct::RandomShield)));
        assert!(again.unwrap_err().to_string().contains("registered already"));
    }
}
