//! Collects the results of a study and compares its arms.

use std::path::Path;

use fn_eval::finetune::results::{self, RESULTS, Results};
use fn_eval::stats::{Summary, paired_bootstrap};
use serde_json::json;

use super::{Effect, Study, StudyError, evaluation_folder, run_folder, words};
use crate::process::Measured;
use crate::runs::RunRecord;
use crate::stats::{holm, least_p, permutation_test, visible_effect};

/// Resamples of bootstrap intervals and, for many seeds, of permutation tests.
const RESAMPLES: usize = 10_000;
/// Seed of the resamples.
const SEED: u64 = 1;

/// Held-out metrics in the table: series, name, factor, whether more is better.
const FIGURES: &[(&str, &str, f64, Option<bool>)] = &[
    ("eval.masked_accuracy", "masked accuracy, %", 100.0, Some(true)),
    // Depends on the run's lexicon, which favours arms that train with the same one: neither better nor worse.
    ("eval.accepted_accuracy", "right or false negative, %", 100.0, None),
    ("eval.fitting_accuracy", "fitting predictions, %", 100.0, Some(true)),
    ("eval.masked_loss", "masked loss", 1.0, Some(false)),
    ("eval.detector_auc", "detector AUC", 1.0, Some(true)),
    ("eval.false_negative_share", "false negatives of the errors, %", 100.0, None),
];

/// With fewer pairs, a bootstrap interval is just the range of the differences and is labelled so: of three, the smallest mean
/// (the same pair three times) has probability 1/27, more than the 2.5 % that would be cut off.
const FEW: usize = 4;

/// Name of the one metric that is a cost, not an outcome.
const TIME: &str = "ms of a step";

/// Column headings of the table.
pub(super) const HEADINGS: [&str; 11] = [
    "figure",
    "arm",
    "mean",
    "sd",
    "seeds",
    "difference",
    "95 % interval",
    "p",
    "p (Holm)",
    "visible",
    "verdict",
];

/// A finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Index of the arm.
    pub arm: usize,
    /// Its seed.
    pub seed: u64,
    /// Its metrics.
    pub record: RunRecord,
    /// Scores on the study's tasks, in percent; None if the task is not finished.
    pub scores: Vec<Option<f64>>,
    /// Figures of each of the study's measures; empty where it was not taken.
    pub measured: Vec<Vec<Measured>>,
}

/// All finished runs.
#[derive(Debug)]
pub struct Collected {
    /// The readable runs, at least one.
    pub runs: Vec<Run>,
    /// Errors of the unreadable ones: file, line and problem.
    pub damaged: Vec<StudyError>,
}

/// Reads all finished runs; those with a damaged file are skipped.
///
/// # Errors
/// No finished run; no readable run.
pub fn collect(study: &Study, out: &Path) -> Result<Collected, StudyError> {
    let (mut runs, mut damaged) = (Vec::new(), Vec::new());
    for (number, arm) in study.arms.iter().enumerate() {
        for &seed in &study.seeds {
            let folder = run_folder(out, arm, seed);
            // The model is written last, when the run is complete.
            if !folder.join("model").exists() {
                continue;
            }
            match read(study, number, seed, &folder) {
                Ok(run) => runs.push(run),
                Err(error) => damaged.push(error),
            }
        }
    }
    if !runs.is_empty() {
        return Ok(Collected { runs, damaged });
    }
    Err(damaged.into_iter().next().unwrap_or_else(|| StudyError::NoRuns { path: out.to_owned() }))
}

fn read(study: &Study, arm: usize, seed: u64, folder: &Path) -> Result<Run, StudyError> {
    let mut record = RunRecord::open(folder)?;
    record.name = format!("{} seed {seed}", study.arms[arm].name);
    let mut scores = Vec::new();
    for evaluation in &study.evaluations {
        let found: Option<Results> = results::read(&evaluation_folder(folder, evaluation).join(RESULTS))?;
        let complete = found.filter(|found| found.seeds.len() as u64 >= evaluation.seeds);
        // If one fine-tuning seed has no score (e.g. constant predictions), the mean of the others would be biased.
        let whole = complete.filter(|found| found.seeds.iter().all(|seed| seed.main.is_some()));
        scores.push(whole.and_then(|found| found.summary()).map(|s| 100.0 * s.mean));
    }
    let measured = study.measures.iter().map(|measure| Ok(measure.figures(folder)?.unwrap_or_default()));
    let measured = measured.collect::<Result<_, StudyError>>()?;
    Ok(Run { arm, seed, record, scores, measured })
}

/// One metric of one arm.
#[derive(Debug, Clone)]
pub struct Row {
    /// Index of the arm.
    pub arm: usize,
    /// Summary over its seeds; None without seeds.
    pub summary: Option<Summary>,
    /// Difference to the first arm; None for the first arm itself, or without a common seed.
    pub effect: Option<Effect>,
    /// Index of the arm's control, and the difference to it; None without a control, or without a common seed.
    pub over_control: Option<(usize, Effect)>,
}

/// One metric of all arms.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Name and unit.
    pub name: String,
    /// Whether more is better; None if neither direction is.
    pub more_is_better: Option<bool>,
    /// One row per arm.
    pub rows: Vec<Row>,
}

/// All metrics of all arms.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The metrics in the order of the report.
    pub figures: Vec<Figure>,
    /// Number of finished runs that were skipped because a file is damaged.
    pub left_out: usize,
    /// A warning for the reader, e.g. that runs have other settings than the description.
    pub warning: Option<String>,
}

/// Compares all arms in all metrics that any run has; `left_out` is the number of unreadable runs.
pub fn table(study: &Study, runs: &[Run], left_out: usize) -> Table {
    let mut figures = Vec::new();
    for (number, evaluation) in study.evaluations.iter().enumerate() {
        let name = Path::new(&evaluation.task).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let value = |run: &Run| run.scores.get(number).copied().flatten();
        figures.push(figure(study, runs, format!("{name}, %"), Some(true), &value));
    }
    for (number, measure) in study.measures.iter().enumerate() {
        let found = |run: &Run| run.measured.get(number).cloned().unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        for figure in runs.iter().flat_map(found) {
            let shown = measure.figures.is_empty() || measure.figures.contains(&figure.name);
            if shown && !names.contains(&figure.name) {
                names.push(figure.name);
            }
        }
        for name in names {
            let value = |run: &Run| {
                let figures = run.measured.get(number)?;
                figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
            };
            figures.push(figure(study, runs, format!("{}: {name}", measure.name), Some(true), &value));
        }
    }
    for &(series, name, factor, more_is_better) in FIGURES {
        let value = |run: &Run| run.record.last(series).map(|v| factor * v);
        figures.push(figure(study, runs, name.to_owned(), more_is_better, &value));
    }
    let seconds = |run: &Run| run.record.median("time.seconds_per_step").map(|v| 1e3 * v);
    figures.push(figure(study, runs, TIME.to_owned(), Some(false), &seconds));
    figures.retain(|figure| figure.rows.iter().any(|row| row.summary.is_some()));
    let mut table = Table { figures, left_out, warning: None };
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
    let row = |arm: usize| {
        let values = of(arm);
        let over = |other: usize| {
            let others = of(other);
            let pair = |(seed, v): &(u64, f64)| others.iter().find(|(s, _)| s == seed).map(|(_, b)| v - b);
            effect(&values.iter().filter_map(pair).collect::<Vec<f64>>())
        };
        let control = study.arms[arm].control.as_ref();
        // A comparison with the baseline is there already.
        let control = control
            .and_then(|name| study.arms.iter().position(|other| other.name == *name))
            .filter(|&at| at > 0);
        Row {
            arm,
            summary: Summary::of(&values.iter().map(|(_, v)| *v).collect::<Vec<_>>()),
            effect: (arm > 0).then(|| over(0)).flatten(),
            over_control: control.and_then(|at| Some((at, over(at)?))),
        }
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
        // Filled in by `correct`, once all comparisons are known.
        p_holm: f64::NAN,
        p_least: f64::NAN,
        compared: 0,
        visible: f64::NAN,
        deviation: Summary::of(pairs)?.standard_deviation,
    })
}

/// Holm's correction over all comparisons of outcomes, and separately over those of cost.
fn correct(table: &mut Table) {
    for cost in [false, true] {
        let figures = table.figures.iter_mut().filter(|figure| figure.is_cost() == cost);
        let effects = figures.flat_map(|figure| figure.rows.iter_mut().flat_map(Row::effects_mut));
        let effects: Vec<&mut Effect> = effects.collect();
        let found: Vec<f64> = effects.iter().map(|effect| effect.p).collect();
        let corrected = holm(&found);
        for (at, effect) in effects.into_iter().enumerate() {
            let mut clearest = found.clone();
            clearest[at] = least_p(effect.pairs, RESAMPLES);
            effect.p_least = holm(&clearest)[at];
            effect.p_holm = corrected[at];
            effect.compared = found.len();
            effect.visible = visible_effect(effect.deviation, effect.pairs, found.len());
        }
    }
}

impl Row {
    /// Its comparisons: the arm with which it is compared, and the difference to it.
    pub(super) fn effects(&self) -> impl Iterator<Item = (usize, Effect)> {
        self.effect.map(|effect| (0, effect)).into_iter().chain(self.over_control)
    }

    fn effects_mut(&mut self) -> impl Iterator<Item = &mut Effect> {
        self.effect.iter_mut().chain(self.over_control.as_mut().map(|(_, effect)| effect))
    }
}

impl Figure {
    /// Whether the metric is a cost, not an outcome.
    pub(super) fn is_cost(&self) -> bool {
        self.name == TIME
    }

    /// Number of decimals to show.
    pub(super) fn digits(&self) -> usize {
        if self.name.ends_with('%') || self.is_cost() { 2 } else { 4 }
    }
}

impl Table {
    /// Note about skipped runs, and the warning; None without either.
    pub fn omission(&self) -> Option<String> {
        let all: Vec<String> =
            crate::runs::left_out(self.left_out).into_iter().chain(self.warning.clone()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// A row under [`HEADINGS`] for each metric and arm with a value; and whether its difference is more than noise.
    pub(super) fn cells(&self, study: &Study) -> Vec<(bool, Vec<String>)> {
        let number = |v: f64, digits: usize| fn_eval::table::number(Some(v), digits);
        let mut out = Vec::new();
        for figure in &self.figures {
            let digits = figure.digits();
            for row in &figure.rows {
                let Some(summary) = row.summary else { continue };
                let mut cells = vec![
                    figure.name.clone(),
                    study.arms[row.arm].name.clone(),
                    number(summary.mean, digits),
                    number(summary.standard_deviation, digits),
                    summary.count.to_string(),
                ];
                let compared = |e: Effect| {
                    [
                        format!("{:+.digits$}", e.difference),
                        match e.pairs {
                            1 => String::new(),
                            2..FEW => format!("{:+.digits$} to {:+.digits$} (range)", e.low, e.high),
                            _ => format!("{:+.digits$} to {:+.digits$}", e.low, e.high),
                        },
                        number(e.p, 3),
                        number(e.p_holm, 3),
                        number(e.visible, digits),
                        e.verdict(),
                    ]
                };
                cells.extend(row.effect.map(compared).into_iter().flatten());
                cells.resize(HEADINGS.len(), String::new());
                out.push((row.effect.is_some_and(|e| e.is_real()), cells));
                if let Some((other, e)) = row.over_control {
                    let name = format!("{} over {}", study.arms[row.arm].name, study.arms[other].name);
                    let empty = [String::new(), String::new(), e.pairs.to_string()];
                    let cells =
                        [figure.name.clone(), name].into_iter().chain(empty).chain(compared(e)).collect();
                    out.push((e.is_real(), cells));
                }
            }
        }
        out
    }

    /// The Markdown table, its summary in words, and notes about skipped runs.
    pub fn to_markdown(&self, study: &Study) -> String {
        let mut table = fn_eval::table::Table::new(HEADINGS);
        self.cells(study).into_iter().for_each(|(_, cells)| table.row(cells));
        let lines = words(study, self).into_iter().map(|line| format!("- {line}\n"));
        let omission = self.omission().map(|text| format!("\n{text}\n")).unwrap_or_default();
        format!("{}\n{}{omission}", table.to_markdown(), lines.collect::<String>())
    }

    /// The same for programs, values as they are: `rows` with figure, arm, mean, sd, seeds and, against the first arm, `effect`; `summary` in
    /// words; `left_out` and `warning`. What is not finite is null.
    pub fn json(&self, study: &Study) -> serde_json::Value {
        let row = |figure: &Figure, row: &Row| {
            let summary = row.summary?;
            let effect = row.effect.map(|e| {
                json!({
                    "pairs": e.pairs, "difference": e.difference, "low": e.low, "high": e.high,
                    "p": e.p, "p_holm": e.p_holm, "verdict": e.verdict(),
                })
            });
            Some(json!({
                "figure": figure.name, "arm": study.arms[row.arm].name, "mean": summary.mean,
                "sd": summary.standard_deviation, "seeds": summary.count, "effect": effect,
            }))
        };
        let rows: Vec<_> =
            self.figures.iter().flat_map(|f| f.rows.iter().filter_map(move |r| row(f, r))).collect();
        json!({
            "study": study.name, "rows": rows, "summary": words(study, self),
            "left_out": self.left_out, "warning": self.warning,
        })
    }
}

#[cfg(test)]
mod tests;
