//! Tests of the comparison of arms.

use std::collections::BTreeMap;

use super::*;
use crate::study::{Arm, Evaluation};

fn study(seeds: u64) -> Study {
    let arm = |name: &str| Arm { name: name.into(), about: String::new(), set: vec![], control: None };
    Study {
        name: "x".into(),
        about: String::new(),
        config: None,
        preset: None,
        set: vec![],
        rank_timeout: 60,
        seeds: (1..=seeds).collect(),
        arms: vec![arm("baseline"), arm("better"), arm("same")],
        evaluations: vec![Evaluation {
            task: "rte".into(),
            data: "d".into(),
            seeds: 1,
            limit: None,
            set: vec![],
        }],
        measures: vec![],
    }
}

fn run(arm: usize, seed: u64, accuracy: f64, score: f64) -> Run {
    let series = BTreeMap::from([
        ("eval.masked_accuracy".to_owned(), vec![(10, accuracy)]),
        ("time.seconds_per_step".to_owned(), vec![(5, 0.5)]),
    ]);
    Run {
        arm,
        seed,
        record: RunRecord { name: String::new(), series },
        scores: vec![Some(score)],
        measured: vec![],
    }
}

fn runs(seeds: u64) -> Vec<Run> {
    let noise = |seed: u64, arm: u64| ((seed * 7 + arm * 3) % 5) as f64 / 10.0;
    let each = |seed: u64| {
        [
            run(0, seed, 0.5, 60.0 + noise(seed, 0)),
            run(1, seed, 0.5, 65.0 + noise(seed, 1)),
            run(2, seed, 0.5, 60.0 + noise(seed, 2)),
        ]
    };
    (1..=seeds).flat_map(each).collect()
}

#[test]
fn a_real_difference_is_found_and_noise_is_not() {
    let (study, runs) = (study(10), runs(10));
    let table = table(&study, &runs, 0);
    let names: Vec<&str> = table.figures.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["rte, %", "masked accuracy, %", "ms of a step"]);
    let value = table.json(&study);
    assert_eq!(value["rows"].as_array().unwrap().len(), 9);
    let better = &value["rows"][1];
    assert_eq!(
        (&better["figure"], &better["arm"], &better["seeds"]),
        (&"rte, %".into(), &"better".into(), &10.into())
    );
    assert_eq!(better["effect"]["verdict"], "a difference");
    assert_eq!(better["effect"]["difference"], table.figures[0].rows[1].effect.unwrap().difference);
    assert!(value["rows"][0]["effect"].is_null() && value["warning"].is_null());
    let rows = &table.figures[0].rows;
    let (better, same) = (rows[1].effect.unwrap(), rows[2].effect.unwrap());
    assert!((better.difference - 5.0).abs() < 0.5 && better.low > 4.0, "{better:?}");
    // 10 pairs: 2 / 1024, times the four comparisons.
    assert!((better.p - 2.0 / 1024.0).abs() < 1e-12 && (better.p_holm - 8.0 / 1024.0).abs() < 1e-12);
    assert_eq!((better.verdict().as_str(), same.verdict().as_str()), ("a difference", "within noise"));
    assert!(rows[0].effect.is_none());
    let text = table.to_markdown(&study);
    assert!(text.contains("| rte, % | better |") && text.contains("a difference"), "{text}");
}

#[test]
fn the_report_says_that_three_seeds_cannot_show_much() {
    let table = table(&study(3), &runs(3), 0);
    let better = table.figures[0].rows[1].effect.unwrap();
    assert_eq!(better.p, 0.25);
    assert!(better.verdict().contains("3 seeds cannot show more"), "{}", better.verdict());
}

#[test]
fn table_and_page_give_the_same_verdict_after_correction() {
    // 6 pairs: 2 / 64 = 0.031 is below the level, times four comparisons it is not.
    let (study, runs) = (study(6), runs(6));
    let table = table(&study, &runs, 0);
    let better = table.figures[0].rows[1].effect.unwrap();
    assert!(better.p < 0.05 && (better.p_least - 0.125).abs() < 1e-12, "{better:?}");
    let verdict = "within noise; 6 seeds cannot show more in 4 comparisons";
    assert_eq!(better.verdict(), verdict);
    let summary = "4 of 4 comparisons are within noise.";
    let hopeless = "6 seeds give a corrected p-value of 0.125 at the least";
    for text in [table.to_markdown(&study), crate::study::page(&study, &runs, &table)] {
        assert!(text.contains(verdict) && text.contains(summary) && text.contains(hopeless), "{text}");
    }
}

#[test]
fn times_of_several_arms_are_corrected_as_well() {
    let (study, mut runs) = (study(6), runs(6));
    for run in runs.iter_mut().filter(|run| run.arm > 0) {
        let slower = 1.0 + run.seed as f64 / 10.0;
        run.record.series.insert("time.seconds_per_step".to_owned(), vec![(5, slower)]);
    }
    let table = table(&study, &runs, 0);
    let time = table.figures.last().unwrap().rows[1].effect.unwrap();
    assert!((time.p - 0.03125).abs() < 1e-12 && (time.p_holm - 0.0625).abs() < 1e-12, "{time:?}");
    assert!(time.verdict().starts_with("within noise") && time.compared == 2);
}

#[test]
fn an_arm_is_compared_with_its_control_and_in_the_figures_of_measures() {
    let (mut study, mut runs) = (study(10), runs(10));
    study.arms[1].control = Some("same".into());
    study.measures = vec![crate::study::Measure {
        name: "wild".into(),
        kind: crate::study::Kind::Replacements,
        data: vec!["wild.jsonl".into()],
        pairs: None,
        figures: vec!["auc".into()],
        length: None,
    }];
    for run in &mut runs {
        let value = 0.6 + run.arm as f64 / 10.0 + (run.seed * 3 % 7) as f64 / 1000.0;
        let figures = [("auc".to_owned(), value), ("other".to_owned(), 1.0)];
        run.measured = vec![Measured::finite(figures)];
    }
    let table = table(&study, &runs, 0);
    let names: Vec<&str> = table.figures.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["rte, %", "wild: auc", "masked accuracy, %", "ms of a step"]);
    let (at, over) = table.figures[0].rows[1].over_control.unwrap();
    assert!(at == 2 && (over.difference - 5.0).abs() < 0.5 && over.is_real(), "{over:?}");
    // Three figures, two arms against the baseline and one against its control.
    assert_eq!(over.compared, 9);
    let (_, over) = table.figures[1].rows[1].over_control.unwrap();
    assert!((over.difference + 0.1).abs() < 1e-9, "{over:?}");
    let text = table.to_markdown(&study);
    assert!(text.contains("| rte, % | better over same |"), "{text}");
    assert!(text.contains("- rte, %: better is better than same by "), "{text}");
    assert!(text.contains("- wild: auc: better is worse than same by 0.1000"), "{text}");
}

#[test]
fn the_smallest_visible_effect_shrinks_with_seeds() {
    let few = table(&study(5), &runs(5), 0).figures[0].rows[1].effect.unwrap();
    let many = table(&study(10), &runs(10), 0).figures[0].rows[1].effect.unwrap();
    assert!(many.visible < few.visible && many.visible > 0.0 && many.visible < many.difference);
}

#[test]
fn only_seeds_of_both_arms_are_compared() {
    let mut some = runs(4);
    some.retain(|run| run.arm != 1 || run.seed > 2);
    let table = table(&study(4), &some, 0);
    assert_eq!(table.figures[0].rows[1].effect.unwrap().pairs, 2);
    some.retain(|run| run.arm != 1);
    assert!(super::table(&study(4), &some, 0).figures[0].rows[1].effect.is_none());
}
