//! Configurations as they are written in files.

use fn_core::correct::{Correction, DiscriminatorCorrection, Level, Normalise};
use fn_core::corrupt::{CorruptionConfig, Scheme, Shares, Unit};
use fn_core::sample::Prediction;

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

#[test]
fn corrections_are_written_as_in_the_paper() {
    let cases: [(&str, Correction); 8] = [
        (r#"{"kind": "none"}"#, Correction::None),
        (r#"{"kind": "hard"}"#, Correction::Hard { normalise: Normalise::All }),
        (r#"{"kind": "hard", "normalise": "kept"}"#, Correction::Hard { normalise: Normalise::Kept }),
        (
            r#"{"kind": "soft"}"#,
            Correction::Soft { level: Level::Word, prediction: Prediction::Argmax, lambda: 1.0 },
        ),
        (
            r#"{"kind": "soft", "level": "sentence", "prediction": "sample", "lambda": 0.5}"#,
            Correction::Soft { level: Level::Sentence, prediction: Prediction::Sample, lambda: 0.5 },
        ),
        (r#"{"kind": "label-smoothing"}"#, Correction::LabelSmoothing { epsilon: 0.1 }),
        (r#"{"kind": "synonym-target", "epsilon": 0.2}"#, Correction::SynonymTarget { epsilon: 0.2 }),
        (r#"{"kind": "random-shield"}"#, Correction::RandomShield {}),
    ];
    for (json, expected) in cases {
        let found: Correction = read(json).unwrap();
        assert_eq!(found, expected, "{json}");
        found.validate().unwrap();
        assert_eq!(read::<Correction>(&serde_json::to_string(&found).unwrap()).unwrap(), found);
    }
    for (json, expected) in [
        (r#"{"kind": "none"}"#, DiscriminatorCorrection::None),
        (r#"{"kind": "drop"}"#, DiscriminatorCorrection::Drop),
        (r#"{"kind": "relabel"}"#, DiscriminatorCorrection::Relabel),
        (r#"{"kind": "banded"}"#, DiscriminatorCorrection::Banded),
        (r#"{"kind": "soft", "lambda": 2.0}"#, DiscriminatorCorrection::Soft { lambda: 2.0 }),
    ] {
        assert_eq!(read::<DiscriminatorCorrection>(json).unwrap(), expected);
        expected.validate().unwrap();
    }
}

#[test]
fn unknown_words_and_keys_are_refused() {
    assert!(read::<Correction>(r#"{"kind": "harder"}"#).unwrap_err().contains("unknown variant"));
    assert!(read::<Correction>(r#"{"kind": "hard", "lambda": 1}"#).unwrap_err().contains("unknown field"));
    assert!(
        read::<Correction>(r#"{"kind": "random-shield", "rate": 1}"#).unwrap_err().contains("unknown field")
    );
    for kind in ["none", "drop", "relabel", "banded"] {
        let json = format!(r#"{{"lambda": 1, "kind": "{kind}"}}"#);
        let error = read::<DiscriminatorCorrection>(&json).unwrap_err();
        assert!(error.contains("unknown field `lambda`, this kind has no settings"), "{error}");
    }
    assert!(read::<Correction>(r#"{"kind": "none", "lambda": 1}"#).unwrap_err().contains("no settings"));
    assert!(read::<CorruptionConfig>(r#"{"ratte": 0.2}"#).unwrap_err().contains("unknown field"));
    assert!(read::<Shares>(r#"{"mask": 1, "random": 0, "keep": 0, "swap": 0}"#).is_err());
}

#[test]
fn values_out_of_range_name_field_and_range() {
    let e = Correction::Soft { level: Level::Word, prediction: Prediction::Argmax, lambda: -1.0 }.validate();
    assert_eq!(e.unwrap_err().to_string(), "`lambda` is -1, but must be between 0 and 1000");
    for epsilon in [-0.1, 1.0, f64::NAN] {
        assert!(Correction::LabelSmoothing { epsilon }.validate().is_err());
        assert!(Correction::SynonymTarget { epsilon }.validate().is_err());
    }
    assert!(DiscriminatorCorrection::Soft { lambda: f64::INFINITY }.validate().is_err());
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
