//! Compares scores of answers with torchmetrics and with an independent implementation for SQuAD 2.0.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{assert_close, fixture};
use fn_eval::squad::{
    AnswerScore, ById, Dataset, NoAnswer, Part, Threshold, Version, best_v1, best_v2, normalise, score_v1,
    score_v2,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Fixture {
    normal: Vec<(String, String)>,
    answers: Vec<Answer>,
    squad_v1: Vec<File1>,
    squad_v2: Vec<File2>,
}

#[derive(Deserialize)]
struct Answer {
    prediction: String,
    references: Vec<String>,
    v1: (f64, f64),
    v2: (f64, f64),
}

#[derive(Deserialize)]
struct File1 {
    name: String,
    data: Value,
    predictions: ById<String>,
    total: (f64, f64),
    questions: usize,
    missing: Vec<String>,
    unknown: Vec<String>,
    torchmetrics: Option<(f64, f64)>,
}

#[derive(Deserialize)]
struct Mean {
    exact: f64,
    f1: f64,
    questions: usize,
}

#[derive(Deserialize)]
struct Found {
    score: f64,
    threshold: f64,
}

#[derive(Deserialize)]
struct Best {
    exact: Found,
    f1: Found,
}

#[derive(Deserialize)]
struct File2 {
    name: String,
    data: Value,
    predictions: ById<String>,
    scores: Option<ById<f64>>,
    threshold: f64,
    total: Mean,
    has_answer: Option<Mean>,
    no_answer: Option<Mean>,
    best: Option<Best>,
    missing: Vec<String>,
    unknown: Vec<String>,
    unknown_scores: Vec<String>,
}

fn dataset(data: &Value) -> Dataset {
    Dataset::from_json(&data.to_string(), Path::new("metrics.json")).unwrap()
}

#[test]
fn normal_forms_are_those_of_torchmetrics() {
    for (text, expected) in fixture::<Fixture>().normal {
        assert_eq!(normalise(&text), expected, "{text:?}");
        assert_eq!(normalise(&expected), expected, "{text:?} again");
    }
}

#[test]
fn answers_score_as_both_versions_say() {
    let mut apart = 0;
    for case in fixture::<Fixture>().answers {
        let references = || case.references.iter().map(String::as_str);
        let check = |found: AnswerScore, (exact, f1): (f64, f64)| {
            let what = format!("{:?} for {:?}", case.prediction, case.references);
            assert_eq!(found.exact, exact, "{what}");
            assert_close(&what, found.f1, Some(f1));
        };
        check(best_v1(&case.prediction, references()).unwrap(), case.v1);
        check(best_v2(&case.prediction, references()), case.v2);
        apart += usize::from(case.v1 != case.v2);
    }
    assert!(apart >= 10, "{apart}");
}

#[test]
fn files_of_version_one_score_as_torchmetrics_says() {
    let mut compared = 0;
    for case in fixture::<Fixture>().squad_v1 {
        let data = dataset(&case.data);
        assert_eq!(data.version(), Version::V1, "{}", case.name);
        let report = score_v1(&data, &case.predictions).unwrap();
        for (exact, f1) in [Some(case.total), case.torchmetrics].into_iter().flatten() {
            assert_close(&case.name, report.total.exact, Some(exact));
            assert_close(&case.name, report.total.f1, Some(f1));
        }
        compared += usize::from(case.torchmetrics.is_some());
        assert_eq!(report.total.questions, case.questions, "{}", case.name);
        assert_eq!((report.missing, report.unknown), (case.missing, case.unknown), "{}", case.name);
        assert_eq!((report.has_answer, report.no_answer, report.best), (None, None, None), "{}", case.name);
    }
    assert_eq!(compared, 3);
}

#[test]
fn files_of_version_two_score_as_the_definition_says() {
    for case in fixture::<Fixture>().squad_v2 {
        let data = dataset(&case.data);
        assert_eq!(data.version(), Version::V2, "{}", case.name);
        let no_answer = case.scores.as_ref().map(|scores| NoAnswer { scores, threshold: case.threshold });
        let report = score_v2(&data, &case.predictions, no_answer).unwrap();
        assert_part(&case.name, Some(report.total), Some(&case.total));
        assert_part(&case.name, report.has_answer, case.has_answer.as_ref());
        assert_part(&case.name, report.no_answer, case.no_answer.as_ref());
        assert_eq!(report.best.is_some(), case.best.is_some(), "{}", case.name);
        if let (Some(found), Some(expected)) = (report.best, case.best) {
            assert_found(&case.name, found.exact, &expected.exact);
            assert_found(&case.name, found.f1, &expected.f1);
        }
        assert_eq!(report.missing, case.missing, "{}", case.name);
        assert_eq!(report.unknown, case.unknown, "{}", case.name);
        assert_eq!(report.unknown_scores, case.unknown_scores, "{}", case.name);
    }
}

fn assert_part(name: &str, found: Option<Part>, expected: Option<&Mean>) {
    assert_eq!(found.is_some(), expected.is_some(), "{name}");
    if let (Some(found), Some(expected)) = (found, expected) {
        assert_close(name, found.exact, Some(expected.exact));
        assert_close(name, found.f1, Some(expected.f1));
        assert_eq!(found.questions, expected.questions, "{name}");
    }
}

fn assert_found(name: &str, found: Threshold, expected: &Found) {
    assert_close(name, found.score, Some(expected.score));
    assert_eq!(found.threshold, expected.threshold, "{name}");
}
