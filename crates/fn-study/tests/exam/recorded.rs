//! What the file of readings records of other models: probabilities and scores.

use fn_study::exam::{self, Asked, Curve, Grades, Judge, Recorded, Scale};
use serde_json::json;

use super::{read, tokenizer};

/// 40 readings: the probability decides half of them, the rest is noise that another judge knows.
fn readings(recorded: bool) -> String {
    let line = |k: usize| {
        let label = if k.is_multiple_of(3) { "F" } else { "W" };
        let p = if k.is_multiple_of(3) { 0.4 + 0.01 * k as f64 } else { 0.2 + 0.01 * k as f64 };
        let mut line = json!({"context": format!("i go {k}"), "start": 2, "word": "go", "prediction": "move", "labels": [label]});
        if recorded || k > 0 {
            (line["p_prediction"], line["p_word"]) = (json!(p), json!(0.5));
        }
        line.to_string()
    };
    (0..40).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn recorded_probabilities_judge_and_are_combined_on_targets_that_the_fit_did_not_see() {
    let exams = read("errors.jsonl", &readings(true)).unwrap();
    let tokenizer = tokenizer();
    let prepared = exams[0].prepare(&tokenizer, None).unwrap();
    let probability = Recorded::Probability.grade(&prepared).unwrap();
    let ratio = Recorded::Ratio.grade(&prepared).unwrap();
    assert!((probability.values[3] - 0.43).abs() < 1e-12 && (ratio.values[3] - 0.86).abs() < 1e-12);
    assert!((probability.scale.feature(0.43) - (0.43f64 / 0.57).ln()).abs() < 1e-12);
    assert_eq!(ratio.scale.feature(0.0), 1e-6f64.ln(), "no infinity");
    // Knows everything, in a scale of its own.
    let oracle: Vec<f64> = prepared.pairs.iter().map(|pair| if pair.good { 900.0 } else { 800.0 }).collect();
    let oracle = Grades { values: oracle, floor: None, scale: Scale::Plain };
    let average = |grades: &Grades| {
        let scored = prepared.pairs.iter().zip(&grades.values).map(|(p, g)| (*g, p.good, p.target));
        Curve::new(scored, grades.floor).average_precision()
    };
    let all = [probability.clone(), ratio, oracle];
    let together = exam::cross_validated(&prepared, &all, 10, 1).unwrap();
    assert_eq!(average(&together), 1.0);
    assert!(together.values.iter().all(|p| (0.0..=1.0).contains(p)));
    assert!(average(&probability) < 0.9, "{}", average(&probability));
    assert_eq!(exam::cross_validated(&prepared, &all, 10, 1).unwrap(), together);
    assert_ne!(exam::cross_validated(&prepared, &all, 10, 2).unwrap(), together);
    // A judge that knows each label only where it was fitted: held out, it says nothing.
    let own: Vec<Grades> = (0..prepared.pairs.len())
        .map(|k| Grades {
            values: (0..prepared.pairs.len()).map(|at| f64::from(u8::from(at == k))).collect(),
            floor: None,
            scale: Scale::Plain,
        })
        .collect();
    assert!(average(&exam::cross_validated(&prepared, &own, 10, 1).unwrap()) < 0.6);
}

#[test]
fn probabilities_of_some_rows_only_do_not_judge() {
    let exams = read("errors.jsonl", &readings(false)).unwrap();
    let tokenizer = tokenizer();
    let prepared = exams[0].prepare(&tokenizer, None).unwrap();
    let message = Recorded::Ratio.grade(&prepared).unwrap_err().to_string();
    assert!(message.contains("errors.jsonl, same or fits") && message.contains("p_word"), "{message}");
    let wrong = readings(true).replace("0.5", "1.5");
    let message = read("errors.jsonl", &wrong).unwrap_err();
    assert!(message.contains("line 1: found the probability 1.5, expected 0 to 1"), "{message}");
}

/// Two rows of readings, with these scores.
fn scored(first: serde_json::Value, second: serde_json::Value) -> String {
    let line = |scores: serde_json::Value, label: &str| {
        json!({"context": "i go", "start": 2, "word": "go", "prediction": "move", "labels": [label], "scores": scores})
            .to_string()
    };
    format!("{}\n{}\n", line(first, "S"), line(second, "W"))
}

#[test]
fn scores_of_a_model_that_the_program_does_not_run_are_a_judge_of_their_name() {
    let text = scored(json!({"gpt": -1.5, "elmo": 2.0}), json!({"gpt": -9.25, "elmo": 3.0}));
    let exams = read("errors.jsonl", &text).unwrap();
    let tokenizer = tokenizer();
    let prepared = exams[1].prepare(&tokenizer, None).unwrap();
    let grades = Recorded::Score("gpt".into()).grade(&prepared).unwrap();
    assert_eq!((grades.values, grades.floor, grades.scale), (vec![-1.5, -9.25], None, Scale::Plain));
    let message = Recorded::Score("bert".into()).grade(&prepared).unwrap_err().to_string();
    assert!(message.contains("errors.jsonl"), "{message}");

    // No other judge is needed, and each is held against both questions.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errors.jsonl");
    std::fs::write(&path, text).unwrap();
    let asked = Asked { data: vec![path], threshold: 0.5, ..Asked::default() };
    let device = burn::tensor::Device::flex();
    let examined = exam::examine(&asked, &tokenizer, &device, &mut |_| {}).unwrap();
    let table = examined.text(false);
    for (judge, average) in [("gpt, recorded", "1.000"), ("elmo, recorded", "0.500")] {
        let rows: Vec<&str> = table.lines().filter(|line| line.contains(judge)).collect();
        assert!(rows.len() >= 2 && rows[0].contains(&average[1..]), "{judge}: {rows:?}");
    }
}

#[test]
fn rows_with_other_scores_than_the_rows_before_are_refused() {
    let message = read("errors.jsonl", &scored(json!({"gpt": -1.5}), json!({}))).unwrap_err();
    assert!(message.contains("line 2: found no scores, expected the scores \"gpt\""), "{message}");
    let message =
        read("errors.jsonl", &scored(json!({"gpt": -1.5}), json!({"gpt": 1, "elmo": 2}))).unwrap_err();
    assert!(message.contains("line 2: found the scores \"elmo\", \"gpt\""), "{message}");
}
