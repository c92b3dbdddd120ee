//! What came out of a study.

use std::path::Path;

use super::{Study, StudyError, evaluation_folder, run_folder};
use crate::finetune::results::{self, RESULTS, Results};
use crate::runs::RunRecord;
use crate::stats::{Summary, holm, paired_bootstrap, permutation_test};

/// Resamples of intervals and, for many seeds, of permutation tests.
const RESAMPLES: usize = 10_000;
/// Seed of the resamples.
const SEED: u64 = 1;

/// Held-out figures in the table: series, name, factor, whether more is better.
const FIGURES: &[(&str, &str, f64, Option<bool>)] = &[
    ("eval.masked_accuracy", "masked accuracy, %", 100.0, Some(true)),
    ("eval.fitting_accuracy", "fitting predictions, %", 100.0, Some(true)),
    ("eval.masked_loss", "masked loss", 1.0, Some(false)),
    ("eval.detector_auc", "detector AUC", 1.0, Some(true)),
    ("eval.false_negative_share", "false negatives of the errors, %", 100.0, None),
];

/// A finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Number of the arm.
    pub arm: usize,
    /// Its seed.
    pub seed: u64,
    /// Everything that it reported.
    pub record: RunRecord,
    /// Scores on the study's tasks, in percent; None where the task has not been run.
    pub scores: Vec<Option<f64>>,
}

/// All finished runs.
#[derive(Debug)]
pub struct Collected {
    /// Those that can be read, at least one.
    pub runs: Vec<Run>,
    /// Why the others cannot: file, place and what is wrong.
    pub damaged: Vec<StudyError>,
}

/// Reads all finished runs; those with a damaged file are left out.
///
/// # Errors
/// No finished run; none that can be read.
pub fn collect(study: &Study, out: &Path) -> Result<Collected, StudyError> {
    let (mut runs, mut damaged) = (Vec::new(), Vec::new());
    for (number, arm) in study.arms.iter().enumerate() {
        for &seed in &study.seeds {
            let folder = run_folder(out, arm, seed);
            // The model is written when the run is complete.
            if !folder.join("model").exists() {
                continue;
            }
            match read(study, number, seed, &folder) {
                Ok(run) => runs.push(run),
                Err(error) => damaged.push(error),
            }
        }
    }
    match (runs.is_empty(), damaged.pop()) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(StudyError::NoRuns { path: out.to_owned() }),
        (false, last) => {
            damaged.extend(last);
            Ok(Collected { runs, damaged })
        }
    }
}

fn read(study: &Study, arm: usize, seed: u64, folder: &Path) -> Result<Run, StudyError> {
    let mut record = RunRecord::open(folder)?;
    record.name = format!("{} seed {seed}", study.arms[arm].name);
    let mut scores = Vec::new();
    for evaluation in &study.evaluations {
        let found: Option<Results> = results::read(&evaluation_folder(folder, evaluation).join(RESULTS))?;
        let complete = found.filter(|found| found.seeds.len() as u64 >= evaluation.seeds);
        scores.push(complete.and_then(|found| found.summary()).map(|s| 100.0 * s.mean));
    }
    Ok(Run { arm, seed, record, scores })
}

/// An arm against the first one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Seeds that both have.
    pub pairs: usize,
    /// Mean of the differences, arm less baseline.
    pub difference: f64,
    /// 95 % bootstrap interval over the pairs.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Of a permutation test over the pairs.
    pub p: f64,
    /// Corrected for all comparisons of the table (Holm).
    pub p_holm: f64,
}

impl Effect {
    /// In words. With few seeds even the smallest possible p-value is large: n pairs give no less than 2 / 2^n.
    pub fn verdict(&self) -> String {
        let least = 2.0 / 2.0_f64.powi(self.pairs as i32);
        if self.p_holm < 0.05 {
            "a difference".to_owned()
        } else if least >= 0.05 {
            format!("within noise; {} seeds cannot show more", self.pairs)
        } else {
            "within noise".to_owned()
        }
    }
}

/// One figure of one arm.
#[derive(Debug, Clone)]
pub struct Row {
    /// Number of the arm.
    pub arm: usize,
    /// Over its seeds; None without any.
    pub summary: Option<Summary>,
    /// Against the first arm; None for that itself, or without a common seed.
    pub effect: Option<Effect>,
}

/// One figure of all arms.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name and unit.
    pub name: String,
    /// Whether more is better, where that can be said.
    pub more_is_better: Option<bool>,
    /// One for each arm.
    pub rows: Vec<Row>,
}

/// All figures.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// In the order of the report.
    pub figures: Vec<Figure>,
    /// Finished runs that are not in it, as a file of theirs is damaged.
    pub left_out: usize,
}

/// Compares all arms in all figures that any run has; `left_out` are runs that could not be read.
pub fn table(study: &Study, runs: &[Run], left_out: usize) -> Table {
    let mut figures = Vec::new();
    for (number, evaluation) in study.evaluations.iter().enumerate() {
        let name = Path::new(&evaluation.task).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let value = |run: &Run| run.scores.get(number).copied().flatten();
        figures.push(figure(study, runs, format!("{name}, %"), Some(true), &value));
    }
    for &(series, name, factor, more_is_better) in FIGURES {
        let value = |run: &Run| run.record.last(series).map(|v| factor * v);
        figures.push(figure(study, runs, name.to_owned(), more_is_better, &value));
    }
    let seconds = |run: &Run| run.record.median("time.seconds_per_step").map(|v| 1e3 * v);
    figures.push(figure(study, runs, "ms of a step".to_owned(), Some(false), &seconds));
    figures.retain(|figure| figure.rows.iter().any(|row| row.summary.is_some()));
    let mut table = Table { figures, left_out };
    correct(&mut table);
    table
}

fn figure(
    study: &Study,
    runs: &[Run],
    name: String,
    more_is_better: Option<bool>,
    value: &dyn Fn(&Run) -> Option<f64>,
) -> Figure {
    let of = |arm: usize| -> Vec<(u64, f64)> {
        let mine = runs.iter().filter(|run| run.arm == arm);
        mine.filter_map(|run| Some((run.seed, value(run).filter(|v| v.is_finite())?))).collect()
    };
    let baseline = of(0);
    let row = |arm: usize| {
        let values = of(arm);
        let pairs: Vec<f64> = values
            .iter()
            .filter_map(|(seed, v)| baseline.iter().find(|(s, _)| s == seed).map(|(_, b)| v - b))
            .collect();
        let summary = Summary::of(&values.iter().map(|(_, v)| *v).collect::<Vec<_>>());
        Row { arm, summary, effect: (arm > 0).then(|| effect(&pairs)).flatten() }
    };
    Figure { name, more_is_better, rows: (0..study.arms.len()).map(row).collect() }
}

fn effect(pairs: &[f64]) -> Option<Effect> {
    let mean = |chosen: &[usize]| chosen.iter().map(|&i| pairs[i]).sum::<f64>() / chosen.len() as f64;
    let found = paired_bootstrap(pairs.len(), RESAMPLES, SEED, &|chosen| (0.0, mean(chosen))).ok()?;
    let p = permutation_test(pairs, RESAMPLES, SEED);
    Some(Effect {
        pairs: pairs.len(),
        difference: found.difference,
        low: found.low,
        high: found.high,
        p,
        p_holm: p,
    })
}

/// Holm over all comparisons but those of time, which is cost, not an outcome.
fn correct(table: &mut Table) {
    let tested = |figure: &Figure| figure.name != "ms of a step";
    let all: Vec<f64> = table
        .figures
        .iter()
        .filter(|f| tested(f))
        .flat_map(|f| f.rows.iter().filter_map(|r| r.effect.map(|e| e.p)))
        .collect();
    let mut adjusted = holm(&all).into_iter();
    for figure in table.figures.iter_mut().filter(|f| tested(f)) {
        for effect in figure.rows.iter_mut().filter_map(|r| r.effect.as_mut()) {
            effect.p_holm = adjusted.next().unwrap_or(f64::NAN);
        }
    }
}

impl Table {
    /// What a reader must know of runs that are left out.
    pub fn omission(&self) -> Option<String> {
        crate::runs::left_out(self.left_out)
    }

    /// As a Markdown table: a row for each figure and arm; below it, what was left out.
    pub fn to_markdown(&self, study: &Study) -> String {
        let mut table = crate::table::Table::new([
            "figure",
            "arm",
            "mean",
            "sd",
            "seeds",
            "difference",
            "95 % interval",
            "p",
            "p (Holm)",
            "verdict",
        ]);
        let number = |v: f64, digits: usize| crate::table::number(Some(v), digits);
        for figure in &self.figures {
            for row in &figure.rows {
                let Some(summary) = row.summary else { continue };
                let digits = if figure.name.ends_with('%') || figure.name.starts_with("ms") { 2 } else { 4 };
                let mut cells = vec![
                    figure.name.clone(),
                    study.arms[row.arm].name.clone(),
                    number(summary.mean, digits),
                    number(summary.standard_deviation, digits),
                    summary.count.to_string(),
                ];
                if let Some(e) = row.effect {
                    cells.extend([
                        format!("{:+.digits$}", e.difference),
                        format!("{:+.digits$} to {:+.digits$}", e.low, e.high),
                        number(e.p, 3),
                        number(e.p_holm, 3),
                        e.verdict(),
                    ]);
                }
                table.row(cells);
            }
        }
        let omission = self.omission().map(|text| format!("\n{text}\n")).unwrap_or_default();
        table.to_markdown() + &omission
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::study::{Arm, Evaluation};

    fn study(seeds: u64) -> Study {
        let arm = |name: &str| Arm { name: name.into(), about: String::new(), set: vec![] };
        Study {
            name: "x".into(),
            about: String::new(),
            config: None,
            preset: None,
            set: vec![],
            seeds: (1..=seeds).collect(),
            arms: vec![arm("baseline"), arm("better"), arm("same")],
            evaluations: vec![Evaluation {
                task: "rte".into(),
                data: "d".into(),
                seeds: 1,
                limit: None,
                set: vec![],
            }],
        }
    }

    fn run(arm: usize, seed: u64, accuracy: f64, score: f64) -> Run {
        let series = BTreeMap::from([
            ("eval.masked_accuracy".to_owned(), vec![(10, accuracy)]),
            ("time.seconds_per_step".to_owned(), vec![(5, 0.5)]),
        ]);
        Run { arm, seed, record: RunRecord { name: String::new(), series }, scores: vec![Some(score)] }
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
    fn a_real_difference_is_found_and_noise_is_called_noise() {
        let (study, runs) = (study(10), runs(10));
        let table = table(&study, &runs, 0);
        let names: Vec<&str> = table.figures.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["rte, %", "masked accuracy, %", "ms of a step"]);
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
    fn three_seeds_cannot_show_much_and_the_report_says_so() {
        let table = table(&study(3), &runs(3), 0);
        let better = table.figures[0].rows[1].effect.unwrap();
        assert_eq!(better.p, 0.25);
        assert!(better.verdict().contains("3 seeds cannot show more"), "{}", better.verdict());
    }

    #[test]
    fn seeds_that_only_one_arm_has_are_not_compared() {
        let mut some = runs(4);
        some.retain(|run| run.arm != 1 || run.seed > 2);
        let table = table(&study(4), &some, 0);
        assert_eq!(table.figures[0].rows[1].effect.unwrap().pairs, 2);
        some.retain(|run| run.arm != 1);
        assert!(super::table(&study(4), &some, 0).figures[0].rows[1].effect.is_none());
    }
}
