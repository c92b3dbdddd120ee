//! What the runs say: differences from the baseline of the same share and seed, with intervals.

use std::collections::BTreeMap;
use std::path::Path;

use fn_core::files::write_atomic;
use fn_eval::stats::Summary;
use fn_eval::table::{Table, number, percent};

use super::arm::{Arm, By, Correction, PRECISIONS, RECALLS};
use super::judge::Mistakes;
use super::{DoseError, Point, Record};
use crate::curves::{Panel, panels};
use crate::runs::RunRecord;
use crate::stats::{holm, permutation_test};

/// Name of the plotted series.
const SERIES: &str = "gain";

/// 97.5 % quantiles of Student's t with 1, 2, 3, ... degrees of freedom (scipy.stats.t.ppf); the normal's from there on is close enough.
const T: [f64; 15] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
];

/// A mean difference from the baseline over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Pairs of runs.
    pub seeds: usize,
    /// Their mean difference.
    pub mean: f64,
    /// Half of the 95 % interval around it (Student's t); NaN for a single pair.
    pub half: f64,
    /// Two-sided p-value: all sign flips of the differences.
    pub p: f64,
}

impl Effect {
    /// None without differences.
    fn of(differences: &[f64]) -> Option<Self> {
        let Summary { count, mean, standard_deviation, .. } = Summary::of(differences)?;
        let t = T.get(count.wrapping_sub(2)).copied().unwrap_or(if count < 2 { f64::NAN } else { 2.1 });
        let half = t * standard_deviation / (count as f64).sqrt();
        Some(Self { seeds: count, mean, half, p: permutation_test(differences, 10_000, 1) })
    }

    fn text(effect: Option<Self>, times: f64) -> String {
        let [mean, half] = [effect.map(|e| times * e.mean), effect.map(|e| times * e.half)];
        format!("{} ± {}", number(mean, 1), number(half, 1))
    }
}

/// The runs of an arm at a share, by seed.
fn of<'a>(records: &'a [Record], share: u32, arm: &Arm) -> BTreeMap<u64, &'a Record> {
    let these = records.iter().filter(|r| r.share == share && r.arm == *arm);
    these.map(|record| (record.seed, record)).collect()
}

/// How `figure` of an arm differs from that of the baseline with the same share and seed. None without a pair.
pub fn effect(records: &[Record], share: u32, arm: &Arm, figure: fn(&Record) -> f64) -> Option<Effect> {
    let baseline = of(records, share, &Arm::BASELINE);
    let pairs = of(records, share, arm);
    let pairs = pairs.iter().filter_map(|(seed, record)| Some((baseline.get(seed)?, record)));
    Effect::of(&pairs.map(|(base, record)| figure(record) - figure(base)).collect::<Vec<_>>())
}

/// The step at which a curve first reaches `target`, in a line between its points and from an area of 1/2 at step 0. None if it does not.
pub fn steps_to(curve: &[Point], target: f64) -> Option<f64> {
    let mut before = (0.0, 0.5);
    for point in curve {
        let (step, value) = (point.step as f64, point.error_auc);
        if value >= target {
            let part =
                if value > before.1 { ((target - before.1) / (value - before.1)).max(0.0) } else { 1.0 };
            return Some(before.0 + part * (step - before.0));
        }
        before = (step, value);
    }
    None
}

/// Steps to the baseline's end as a share of all steps: the median over seeds, where a run that does not get there counts as more than
/// any other. None where that is the median, or without a pair.
fn steps_share(records: &[Record], share: u32, arm: &Arm) -> Option<f64> {
    let baseline = of(records, share, &Arm::BASELINE);
    let pairs = of(records, share, arm);
    let mut shares: Vec<f64> = pairs
        .iter()
        .filter_map(|(seed, record)| {
            let target = baseline.get(seed)?.error_auc();
            let steps = steps_to(&record.curve, target).unwrap_or(f64::INFINITY);
            Some(steps / record.steps as f64)
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    let middle = shares.get(shares.len().checked_sub(1)? / 2)? + shares.get(shares.len() / 2)?;
    Some(middle / 2.0).filter(|share| share.is_finite())
}

fn mean(records: &BTreeMap<u64, &Record>, figure: impl Fn(&Record) -> f64) -> Option<f64> {
    let values: Vec<f64> = records.values().map(|record| figure(record)).collect();
    Summary::of(&values).map(|summary| summary.mean)
}

fn shares(records: &[Record]) -> Vec<u32> {
    let all: std::collections::BTreeSet<u32> = records.iter().map(|record| record.share).collect();
    all.into_iter().collect()
}

/// Upper bounds, controls and costs: for each share and each arm that is not of the grid, differences from the baseline times 100 with 95 %
/// intervals, p-values of the area corrected by Holm over all rows, steps to the baseline's end, and the time of a step in the fastest run.
pub fn bounds(records: &[Record]) -> Table {
    let headings = [
        "share set",
        "fitting, measured",
        "arm",
        "seeds",
        "true AUC",
        "difference x 100",
        "p, Holm",
        "over the run x 100",
        "by hard labels x 100",
        "probe x 100",
        "steps to the baseline's end",
        "fastest run, a step",
    ];
    let mut table = Table::new(headings);
    let arms: Vec<Arm> = Arm::bounds();
    let rows: Vec<(u32, Arm)> =
        shares(records).into_iter().flat_map(|share| arms.iter().map(move |arm| (share, *arm))).collect();
    let effects: Vec<Option<Effect>> = rows
        .iter()
        .map(|(share, arm)| effect(records, *share, arm, Record::error_auc).filter(|_| *arm != Arm::BASELINE))
        .collect();
    let p = holm(&effects.iter().map(|e| e.map_or(f64::NAN, |e| e.p)).collect::<Vec<_>>());
    for (((share, arm), effect_of_area), p) in rows.iter().zip(&effects).zip(p) {
        let runs = of(records, *share, arm);
        if runs.is_empty() {
            continue;
        }
        let baseline = *arm == Arm::BASELINE;
        let effect_on = |figure| match baseline {
            true => String::new(),
            false => Effect::text(effect(records, *share, arm, figure), 100.0),
        };
        // Whatever else the machine does only makes a step longer.
        let time = runs.values().map(|r| r.seconds_per_step * 1e3).reduce(f64::min);
        table.row([
            format!("{share} %"),
            percent(mean(&runs, Record::fitting)),
            arm.name(),
            runs.len().to_string(),
            number(mean(&runs, Record::error_auc), 3),
            if baseline { String::new() } else { Effect::text(*effect_of_area, 100.0) },
            if baseline { String::new() } else { number(Some(p), 3) },
            if baseline {
                number(mean(&runs, Record::mean_error_auc), 3)
            } else {
                effect_on(Record::mean_error_auc)
            },
            if baseline { number(mean(&runs, Record::label_auc), 3) } else { effect_on(Record::label_auc) },
            if baseline {
                let chance = number(mean(&runs, |r| r.probe.chance), 2);
                format!("{} (chance {chance})", number(mean(&runs, |r| r.probe.errors), 2))
            } else {
                effect_on(|r| r.probe.errors)
            },
            match steps_share(records, *share, arm) {
                None => "not reached".to_owned(),
                found => percent(found),
            },
            format!("{} ms", number(time, 1)),
        ]);
    }
    table
}

fn set(precision: f64, recall: f64, mistakes: Mistakes) -> Arm {
    Arm { correction: Correction::Drop, by: By::Set { precision, recall, mistakes }, shuffled: false }
}

/// Where mistakes are drawn, with names.
const DRAWN: [(Mistakes, &str); 2] = [(Mistakes::Random, "random"), (Mistakes::Plausible, "plausible")];

/// `drop` by judges of set quality: the difference from the baseline in the true area, times 100, with 95 % intervals; a row for each share,
/// recall and kind of mistakes, a column for each precision, and the precision at which it breaks even.
pub fn grid(records: &[Record]) -> Table {
    let fixed = ["share set", "mistakes", "recall"].map(str::to_owned);
    let named = PRECISIONS.iter().rev().map(|p| format!("precision {p:.2}"));
    let mut table = Table::new(fixed.into_iter().chain(named).chain(["breaks even at".to_owned()]));
    for share in shares(records) {
        for (mistakes, name) in DRAWN {
            for recall in RECALLS {
                let effects: Vec<Option<Effect>> = PRECISIONS
                    .iter()
                    .rev()
                    .map(|p| effect(records, share, &set(*p, recall, mistakes), Record::error_auc))
                    .collect();
                if effects.iter().all(Option::is_none) {
                    continue;
                }
                let fixed = [format!("{share} %"), name.to_owned(), number(Some(recall), 1)];
                let cells = effects.iter().map(|effect| Effect::text(*effect, 100.0));
                let even = breaks_even(records, share, recall, mistakes);
                table.row(fixed.into_iter().chain(cells).chain([number(even, 2)]));
            }
        }
    }
    table
}

/// The precision from which on the mean difference is above 0: between the highest precision of the grid with a loss and the next one, in a
/// line. None if there is no loss, no gain, or a hole.
pub fn breaks_even(records: &[Record], share: u32, recall: f64, mistakes: Mistakes) -> Option<f64> {
    let mut above: Option<(f64, f64)> = None;
    for precision in PRECISIONS {
        let gain = effect(records, share, &set(precision, recall, mistakes), Record::error_auc)?.mean;
        if gain <= 0.0 {
            let (high, best) = above?;
            return Some(precision + (high - precision) * -gain / (best - gain));
        }
        above = Some((precision, gain));
    }
    None
}

/// A figure: gain in the true area times 100 against the precision of the judge, a line for each recall with its 95 % interval and the line at
/// which nothing is gained; a panel for each share and kind of mistakes.
///
/// # Errors
/// Nothing can be drawn.
pub fn draw(records: &[Record]) -> Result<String, DoseError> {
    type Arm = (String, Vec<RunRecord>);
    let line = |points: Vec<(u64, f64)>| RunRecord {
        name: String::new(),
        series: [(SERIES.to_owned(), points)].into(),
    };
    let mut all: Vec<(String, Vec<Arm>)> = Vec::new();
    for share in shares(records) {
        for (mistakes, name) in DRAWN {
            let mut arms = Vec::new();
            for recall in RECALLS {
                let found: Vec<(u64, Effect)> = PRECISIONS
                    .iter()
                    .rev()
                    .filter_map(|precision| {
                        let arm = set(*precision, recall, mistakes);
                        let effect = effect(records, share, &arm, Record::error_auc)?;
                        Some(((100.0 * precision).round() as u64, effect))
                    })
                    .collect();
                if found.is_empty() {
                    continue;
                }
                // The mean of the three is the mean, and their range the interval.
                let at = |sign: f64| {
                    let half = |e: &Effect| if e.half.is_nan() { 0.0 } else { e.half };
                    line(found.iter().map(|(x, e)| (*x, 100.0 * (e.mean + sign * half(e)))).collect())
                };
                arms.push((format!("recall {recall:.1}"), vec![at(-1.0), at(0.0), at(1.0)]));
            }
            if !arms.is_empty() {
                let ends = [PRECISIONS[PRECISIONS.len() - 1], PRECISIONS[0]]
                    .map(|p| ((100.0 * p).round() as u64, 0.0));
                arms.insert(0, ("no gain, no loss".to_owned(), vec![line(ends.to_vec())]));
                let title =
                    format!("{share} % of the replacements fit, {name} mistakes: gain in true AUC x 100");
                all.push((title, arms));
            }
        }
    }
    let drawn: Vec<Panel> = all
        .iter()
        .map(|(title, arms)| Panel {
            title,
            x: "precision of the judge, %",
            arms: arms.iter().map(|(name, runs)| (name.as_str(), runs.iter().collect())).collect(),
        })
        .collect();
    Ok(panels(&drawn, SERIES)?)
}

/// Writes `dose.svg` (where there are runs of the grid) and `dose.csv` into `out`; the text with both tables.
///
/// # Errors
/// Files that cannot be written.
pub fn report(records: &[Record], out: &Path) -> Result<String, DoseError> {
    let write = |name: &str, text: String| {
        let path = out.join(name);
        let io = |source| DoseError::Io { action: "write", path: path.clone(), source };
        write_atomic(&path, text.as_bytes()).map_err(io)
    };
    write("dose.csv", csv(records))?;
    let mut text = bounds(records).to_markdown();
    if records.iter().any(|record| matches!(record.arm.by, By::Set { .. })) {
        write("dose.svg", draw(records)?)?;
        text.push('\n');
        text.push_str(&grid(records).to_markdown());
    }
    Ok(text)
}

/// All runs as comma-separated values, a line for each.
pub fn csv(records: &[Record]) -> String {
    let mut out = String::from(
        "share,seed,arm,steps,fitting_mean,fitting_end,judge_precision,judge_recall,true_auc_half,true_auc_mean,true_auc,label_auc,probe_errors,\
         probe_fitting,probe_chance,masked_accuracy,fitting_accuracy,ms_per_step\n",
    );
    for r in records {
        let optional = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
        let half = r.curve.get((r.curve.len() / 2).saturating_sub(1)).map(|point| point.error_auc);
        let last = r.curve.last().map(|point| point.fitting);
        let cells = [
            r.share.to_string(),
            r.seed.to_string(),
            format!("\"{}\"", r.arm.name()),
            r.steps.to_string(),
            format!("{:.4}", r.fitting()),
            optional(last),
            optional(r.precision),
            optional(r.recall),
            optional(half),
            format!("{:.4}", r.mean_error_auc()),
            format!("{:.4}", r.error_auc()),
            format!("{:.4}", r.label_auc()),
            format!("{:.4}", r.probe.errors),
            format!("{:.4}", r.probe.fitting),
            format!("{:.4}", r.probe.chance),
            format!("{:.4}", r.masked_accuracy),
            format!("{:.4}", r.fitting_accuracy),
            format!("{:.1}", r.seconds_per_step * 1e3),
        ];
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dose::Probed;

    fn record(share: u32, seed: u64, arm: Arm, areas: &[f64]) -> Record {
        let point = |(i, area): (usize, &f64)| Point {
            step: 100 * (i as u64 + 1),
            error_auc: *area,
            label_auc: 0.6,
            fitting: 0.25,
        };
        Record {
            share,
            seed,
            arm,
            steps: 100 * areas.len() as u64,
            curve: areas.iter().enumerate().map(point).collect(),
            masked_accuracy: 0.5,
            fitting_accuracy: 0.7,
            precision: None,
            recall: Some(0.0),
            probe: Probed { errors: 0.4, fitting: 0.9, chance: 0.2, tested: 100 },
            seconds_per_step: 0.01,
        }
    }

    const DROP: Arm = Arm { correction: Correction::Drop, by: By::Truth, shuffled: false };

    #[test]
    fn effects_are_paired_by_seed_with_the_interval_of_student() {
        let mut records = Vec::new();
        for (seed, base, gain) in [(1, 0.7, 0.01), (2, 0.8, 0.02), (3, 0.6, 0.03)] {
            records.push(record(28, seed, Arm::BASELINE, &[0.5, base]));
            records.push(record(28, seed, DROP, &[0.6, base + gain]));
        }
        // Neither another share nor a seed without a baseline counts.
        records.push(record(42, 1, DROP, &[0.1, 0.1]));
        records.push(record(28, 9, DROP, &[0.1, 0.1]));
        let found = effect(&records, 28, &DROP, Record::error_auc).unwrap();
        assert_eq!(found.seeds, 3);
        // scipy.stats.t.ppf(.975, 2) * .01 / sqrt(3) = 0.024841
        assert!((found.mean - 0.02).abs() < 1e-12 && (found.half - 0.024_841).abs() < 1e-5, "{found:?}");
        assert_eq!(found.p, 0.25);
        assert!(effect(&records, 42, &DROP, Record::error_auc).is_none());
        let table = bounds(&records).to_markdown();
        assert!(table.contains("| drop by the truth | 4 |") && table.contains("2.0 ± 2.5"), "{table}");
        assert!(csv(&records).lines().count() == records.len() + 1);
    }

    #[test]
    fn steps_to_a_figure_lie_on_the_line_between_two_evaluations() {
        let curve = record(5, 1, DROP, &[0.6, 0.6, 0.8]).curve;
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        assert!(near(steps_to(&curve, 0.7), 250.0));
        assert!(near(steps_to(&curve, 0.55), 50.0));
        assert_eq!(steps_to(&curve, 0.4), Some(0.0));
        assert_eq!(steps_to(&curve, 0.81), None);
        let mut records = vec![record(5, 1, Arm::BASELINE, &[0.6, 0.7, 0.7, 0.8])];
        records.push(record(5, 1, DROP, &[0.6, 0.8, 0.8, 0.9]));
        assert!(near(steps_share(&records, 5, &DROP), 0.5));
        records[1] = record(5, 1, DROP, &[0.6, 0.6, 0.6, 0.7]);
        assert_eq!(steps_share(&records, 5, &DROP), None);
    }

    #[test]
    fn the_precision_that_breaks_even_lies_between_a_gain_and_a_loss() {
        let gains = [(0.95, 0.04), (0.8, 0.02), (0.65, -0.01), (0.5, 0.01)];
        let mut records = vec![record(28, 1, Arm::BASELINE, &[0.7])];
        for (precision, gain) in gains {
            records.push(record(28, 1, set(precision, 0.6, Mistakes::Random), &[0.7 + gain]));
        }
        let even = |recall| breaks_even(&records, 28, recall, Mistakes::Random);
        assert!((even(0.6).unwrap() - 0.7).abs() < 1e-9, "{:?}", even(0.6));
        assert_eq!(even(0.3), None);
        let table = grid(&records).to_markdown();
        assert!(table.contains("| 28 % | random | 0.6 |") && table.contains("| 0.70 |"), "{table}");
        let svg = draw(&records).unwrap();
        assert_eq!(svg.matches("<svg").count(), 2, "the figure and its panel");
        assert!(svg.contains("no gain, no loss") && svg.contains("recall 0.6"));
    }
}
