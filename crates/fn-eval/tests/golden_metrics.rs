//! Compares the metrics with scikit-learn and SciPy, alone and as metrics of the tasks of GLUE.

#![allow(clippy::unwrap_used)]

mod common;

use common::{assert_close, fixture};
use fn_eval::glue::{self, Metric, Outcomes, Task};
use fn_eval::metrics;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    classes: Vec<Classes>,
    values: Vec<Values>,
    roc: Vec<Roc>,
}

#[derive(Deserialize)]
struct Classes {
    name: String,
    predicted: Vec<usize>,
    expected: Vec<usize>,
    accuracy: f64,
    f1: Option<f64>,
    matthews: f64,
}

#[derive(Deserialize)]
struct Values {
    name: String,
    predicted: Vec<f64>,
    expected: Vec<f64>,
    pearson: Option<f64>,
    spearman: Option<f64>,
}

#[derive(Deserialize)]
struct Roc {
    name: String,
    scores: Vec<f64>,
    expected: Vec<usize>,
    auc: Option<f64>,
}

#[test]
fn metrics_of_classes_agree_with_scikit_learn() {
    let mut binary = 0;
    for case in fixture::<Fixture>().classes {
        let (p, e) = (&case.predicted, &case.expected);
        assert_close(&case.name, metrics::accuracy(p, e).unwrap(), Some(case.accuracy));
        assert_close(&case.name, metrics::matthews(p, e).unwrap(), Some(case.matthews));
        match case.f1 {
            Some(f1) => assert_close(&case.name, metrics::f1(p, e).unwrap(), Some(f1)),
            None => assert!(metrics::f1(p, e).is_err(), "{}", case.name),
        }
        binary += usize::from(case.f1.is_some());
    }
    assert!(binary >= 10, "{binary}");
}

#[test]
fn correlations_agree_with_scipy() {
    let mut undefined = 0;
    for case in fixture::<Fixture>().values {
        let (p, e) = (&case.predicted, &case.expected);
        assert_close(&case.name, metrics::pearson(p, e).unwrap(), case.pearson);
        assert_close(&case.name, metrics::spearman(p, e).unwrap(), case.spearman);
        undefined += usize::from(case.spearman.is_none());
    }
    assert!(undefined >= 4, "{undefined}");
}

#[test]
fn areas_under_the_curve_agree_with_scikit_learn() {
    let mut undefined = 0;
    for case in fixture::<Fixture>().roc {
        assert_close(&case.name, metrics::roc_auc(&case.scores, &case.expected).unwrap(), case.auc);
        undefined += usize::from(case.auc.is_none());
    }
    assert_eq!(undefined, 2);
}

#[test]
fn tasks_of_two_classes_have_their_metrics() {
    for case in fixture::<Fixture>().classes.into_iter().filter(|case| case.f1.is_some()) {
        let outcomes = Outcomes::Classes { predicted: &case.predicted, expected: &case.expected };
        let f1 = case.f1.unwrap();
        for task in Task::ALL.into_iter().filter(|task| *task != Task::Stsb) {
            let scores = glue::score(task, outcomes).unwrap();
            let main = match task {
                Task::Cola | Task::Ax => case.matthews,
                Task::Mrpc | Task::Qqp => (case.accuracy + f1) / 2.0,
                _ => case.accuracy,
            };
            assert_close(&case.name, scores.main(), Some(main));
            if matches!(task, Task::Mrpc | Task::Qqp) {
                assert_close(&case.name, scores.get(Metric::Accuracy).unwrap(), Some(case.accuracy));
                assert_close(&case.name, scores.get(Metric::F1).unwrap(), Some(f1));
            }
        }
    }
}

#[test]
fn stsb_has_both_correlations_and_their_mean() {
    for case in fixture::<Fixture>().values {
        let outcomes = Outcomes::Values { predicted: &case.predicted, expected: &case.expected };
        let scores = glue::score(Task::Stsb, outcomes).unwrap();
        assert_close(&case.name, scores.get(Metric::Pearson).unwrap(), case.pearson);
        assert_close(&case.name, scores.get(Metric::Spearman).unwrap(), case.spearman);
        let mean = case.pearson.zip(case.spearman).map(|(p, s)| (p + s) / 2.0);
        assert_close(&case.name, scores.main(), mean);
    }
}

#[test]
fn gold_scores_keep_every_digit_as_in_scipy() {
    use fn_data::task::Label;
    use fn_eval::finetune::Task;
    use fn_eval::predictions::Answer;
    let task = Task::open("stsb").unwrap();
    let gold = [2.333333334, 2.333333333, 3.8, 0.1];
    let kept = gold.map(|score| match task.answer(&Label::Score(score)) {
        Answer::Score(score) => score,
        other => panic!("{other:?}"),
    });
    assert_eq!(kept, gold);
    // scipy.stats.spearmanr([1, 2, 3, 0], [2.333333334, 2.333333333, 3.8, 0.1]); with gold of 32 bits the first two would tie.
    assert_close("spearman", metrics::spearman(&[1.0, 2.0, 3.0, 0.0], &kept).unwrap(), Some(0.8));
}
