//! What the runs say: differences from the baseline of the same share and seed, with intervals.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fn_core::files::write_atomic;
use fn_eval::stats::Summary;
use fn_eval::table::{Table, number, percent};

use super::arm::{Arm, By, Loss};
use super::{DoseError, Record, draw, grid};
use crate::stats::{holm, permutation_test, student_quantile};

/// Level of all intervals and tests, two-sided.
const LEVEL: f64 = 0.05;

/// A mean difference over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Pairs of runs.
    pub seeds: usize,
    /// Their mean difference.
    pub mean: f64,
    /// Its standard error; NaN for a single pair.
    pub error: f64,
    /// Two-sided p-value: all sign flips of the differences.
    pub p: f64,
}

impl Effect {
    /// None without differences, or where one of them is no number.
    fn of(differences: &[f64]) -> Option<Self> {
        let Summary { count, mean, standard_deviation, .. } = Summary::of(differences)?;
        let error = standard_deviation / (count as f64).sqrt();
        let p = permutation_test(differences, 10_000, 1);
        mean.is_finite().then_some(Self { seeds: count, mean, error, p })
    }

    /// Half of the 95 % interval around the mean (Student's t); NaN for a single pair.
    pub fn half(&self) -> f64 {
        self.half_of(1)
    }

    /// Half of the interval that holds with 95 % for all of `tests` effects at once (Bonferroni).
    fn half_of(&self, tests: usize) -> f64 {
        match self.seeds {
            0 | 1 => f64::NAN,
            seeds => student_quantile(1.0 - LEVEL / (2.0 * tests as f64), (seeds - 1) as f64) * self.error,
        }
    }

    /// The mean and half of its interval, times 100.
    pub(super) fn text(effect: Option<Self>) -> String {
        let [mean, half] = [effect.map(|e| 100.0 * e.mean), effect.map(|e| 100.0 * e.half())];
        match effect {
            Some(_) => format!("{} ± {}", number(mean, 1), number(half, 1)),
            None => "-".to_owned(),
        }
    }
}

/// The runs of an arm at a share, by seed.
fn of<'a>(records: &'a [Record], share: u32, arm: &Arm) -> BTreeMap<u64, &'a Record> {
    let these = records.iter().filter(|r| r.share == share && r.arm == *arm);
    these.map(|record| (record.seed, record)).collect()
}

/// How `figure` of an arm differs from that of its baseline with the same share and seed. None without a pair.
pub fn effect(records: &[Record], share: u32, arm: &Arm, figure: fn(&Record) -> f64) -> Option<Effect> {
    difference(records, share, arm, &arm.baseline(), figure)
}

/// How `figure` of an arm differs from that of another with the same share and seed.
fn difference(
    records: &[Record],
    share: u32,
    arm: &Arm,
    other: &Arm,
    figure: fn(&Record) -> f64,
) -> Option<Effect> {
    let others = of(records, share, other);
    let pairs = of(records, share, arm);
    let pairs = pairs.iter().filter_map(|(seed, record)| Some((others.get(seed)?, record)));
    Effect::of(&pairs.map(|(other, record)| figure(record) - figure(other)).collect::<Vec<_>>())
}

/// The step at which a curve of steps and values first reaches `target`, in a line between its points. None if it does not.
pub fn steps_to(curve: &[(f64, f64)], target: f64) -> Option<f64> {
    let mut before: Option<(f64, f64)> = None;
    for &(step, value) in curve {
        if value >= target {
            return Some(
                before.map_or(step, |(from, low)| from + (target - low) / (value - low) * (step - from)),
            );
        }
        before = Some((step, value));
    }
    None
}

/// Steps to the end of the baseline's curve as a share of all steps: the median over seeds, where a run that does not get there counts as
/// more than any other. None where that is the median, or without a pair.
fn steps_share(
    records: &[Record],
    share: u32,
    arm: &Arm,
    curve: fn(&Record) -> Vec<(f64, f64)>,
) -> Option<f64> {
    let baseline = of(records, share, &arm.baseline());
    let pairs = of(records, share, arm);
    let mut shares: Vec<f64> = pairs
        .iter()
        .filter_map(|(seed, record)| {
            let (_, target) = *curve(baseline.get(seed)?).last()?;
            let steps = steps_to(&curve(record), target).unwrap_or(f64::INFINITY);
            Some(steps / record.steps as f64)
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    let middle = shares.get(shares.len().checked_sub(1)? / 2)? + shares.get(shares.len() / 2)?;
    Some(middle / 2.0).filter(|share| share.is_finite())
}

fn mean(records: &BTreeMap<u64, &Record>, figure: impl Fn(&Record) -> f64) -> Option<f64> {
    let values: Vec<f64> = records.values().map(|record| figure(record)).collect();
    Summary::of(&values).map(|summary| summary.mean).filter(|mean| mean.is_finite())
}

pub(super) fn shares(records: &[Record]) -> Vec<u32> {
    let all: BTreeSet<u32> = records.iter().map(|record| record.share).collect();
    all.into_iter().collect()
}

/// What a table shows of its arms.
struct Figures {
    /// The figure that is tested, and its heading.
    tested: (&'static str, fn(&Record) -> f64),
    /// Its curve.
    curve: fn(&Record) -> Vec<(f64, f64)>,
    /// Figures of which only the difference from the baseline is shown.
    others: &'static [(&'static str, fn(&Record) -> f64)],
}

/// For each share and arm: of a baseline the figures themselves, of the other arms differences times 100 with 95 % intervals. The figure that
/// is tested also over the shuffled control; its p-values are corrected by Holm over all rows of the table, and "beyond noise" says where
/// the interval that holds for all rows at once does not contain 0. Steps to the baseline's end, and the time of a step in the
/// fastest run.
fn table(records: &[Record], arms: &[Arm], figures: &Figures) -> Table {
    let (tested, figure) = figures.tested;
    let fixed = ["share set", "fitting, measured", "arm", "seeds", tested];
    let fixed = fixed.into_iter().chain(["over its control", "p, Holm", "beyond noise"]);
    let others = figures.others.iter().map(|(name, _)| *name);
    let mut table =
        Table::new(fixed.chain(others).chain(["steps to the baseline's end", "fastest run, a step"]));
    let rows: Vec<(u32, Arm)> =
        shares(records).into_iter().flat_map(|share| arms.iter().map(move |arm| (share, *arm))).collect();
    let rows: Vec<(u32, Arm)> =
        rows.into_iter().filter(|(share, arm)| !of(records, *share, arm).is_empty()).collect();
    let effects: Vec<Option<Effect>> = rows
        .iter()
        .map(|(share, arm)| effect(records, *share, arm, figure).filter(|_| *arm != arm.baseline()))
        .collect();
    let p = holm(&effects.iter().map(|e| e.map_or(f64::NAN, |e| e.p)).collect::<Vec<_>>());
    let tests = effects.iter().flatten().count();
    for (((share, arm), found), p) in rows.iter().zip(&effects).zip(p) {
        let (share, runs) = (*share, of(records, *share, arm));
        // Whatever else the machine does only makes a step longer.
        let time = runs.values().map(|r| r.seconds_per_step * 1e3).reduce(f64::min);
        let mut row = vec![
            format!("{share} %"),
            percent(mean(&runs, Record::fitting)),
            arm.name(),
            runs.len().to_string(),
        ];
        if *arm == arm.baseline() {
            row.extend([number(mean(&runs, figure), 3), String::new(), String::new(), String::new()]);
            row.extend(figures.others.iter().map(|(_, figure)| number(mean(&runs, *figure), 3)));
        } else {
            let over = (!arm.shuffled).then(|| difference(records, share, arm, &arm.control(), figure));
            let half = found.map_or(f64::NAN, |effect| effect.half_of(tests));
            let beyond = match found.map_or(0.0, |effect| effect.mean) {
                mean if mean > half => "above",
                mean if mean < -half => "below",
                _ => "",
            };
            row.extend([
                Effect::text(*found),
                Effect::text(over.flatten()),
                number(found.map(|_| p), 3),
                beyond.to_owned(),
            ]);
            let shown =
                |(_, figure): &(&str, fn(&Record) -> f64)| Effect::text(effect(records, share, arm, *figure));
            row.extend(figures.others.iter().map(shown));
        }
        row.push(match steps_share(records, share, arm, figures.curve) {
            None => "not reached".to_owned(),
            found => percent(found),
        });
        row.push(format!("{} ms", number(time, 1)));
        table.row(row);
    }
    table
}

/// Upper bounds, controls and costs of the corrections of the discriminator, by true AUC.
pub fn bounds(records: &[Record]) -> Table {
    let figures = Figures {
        tested: ("true AUC, x 100", Record::error_auc),
        curve: Record::error_auc_curve,
        others: &[
            ("over the run", Record::mean_error_auc),
            ("by hard labels", Record::label_auc),
            ("probe", |record| record.probe.errors),
        ],
    };
    table(records, &Arm::bounds(), &figures)
}

/// Upper bounds, controls and costs of the corrections of a masked-LM loss, of a masked LM alone and of an ELECTRA's generator, by the
/// closeness to the true conditional: minus the divergence from it in nats, so that a gain is above 0.
pub fn masked(records: &[Record]) -> Table {
    let figures = Figures {
        tested: ("closeness, nats x 100", Record::closeness),
        curve: Record::closeness_curve,
        others: &[
            ("over the run", Record::mean_closeness),
            ("masked accuracy", |record| record.masked_accuracy),
            ("fitting accuracy", |record| record.fitting_accuracy),
            ("probe", |record| record.probe.errors),
            ("true AUC", Record::error_auc),
        ],
    };
    let of_generator = Arm::masked(Loss::Generator);
    let compared = records.iter().any(|record| of_generator.contains(&record.arm));
    let baseline = compared.then_some(Arm::BASELINE);
    let arms: Vec<Arm> =
        Arm::masked(Loss::MaskedLm).into_iter().chain(baseline).chain(of_generator).collect();
    table(records, &arms, &figures)
}

/// Writes `dose.svg` (where there are runs of the grid) and `dose.csv` into `out`; the text with all tables.
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
    if records.iter().any(|record| record.arm.loss != Loss::Discriminator) {
        text.push('\n');
        text.push_str(&masked(records).to_markdown());
    }
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
         probe_fitting,probe_chance,masked_accuracy,fitting_accuracy,ms_per_step,divergence\n",
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
            optional(r.curve.last().and_then(|point| point.divergence)),
        ];
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dose::{Correction, Point, Probed};

    pub(in super::super) fn record(share: u32, seed: u64, arm: Arm, areas: &[f64]) -> Record {
        let point = |(i, area): (usize, &f64)| Point {
            step: 100 * (i as u64 + 1),
            error_auc: *area,
            label_auc: 0.6,
            fitting: 0.25,
            divergence: None,
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

    const DROP: Arm = Arm::of(Correction::Drop, By::Truth);

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
        assert!((found.mean - 0.02).abs() < 1e-12 && (found.half() - 0.024_841).abs() < 1e-5, "{found:?}");
        assert_eq!(found.p, 0.25);
        assert!(effect(&records, 42, &DROP, Record::error_auc).is_none());
        let table = bounds(&records).to_markdown();
        assert!(table.contains("| drop by the truth | 4 |") && table.contains("2.0 ± 2.5"), "{table}");
        assert!(csv(&records).lines().count() == records.len() + 1);
    }

    #[test]
    fn steps_to_a_figure_lie_on_the_line_between_two_evaluations() {
        let curve = record(5, 1, DROP, &[0.6, 0.6, 0.8]).error_auc_curve();
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        assert!(near(steps_to(&curve, 0.7), 250.0));
        assert!(near(steps_to(&curve, 0.55), 50.0));
        assert_eq!(steps_to(&curve, 0.4), Some(0.0));
        assert_eq!(steps_to(&curve, 0.81), None);
        let mut records = vec![record(5, 1, Arm::BASELINE, &[0.6, 0.7, 0.7, 0.8])];
        records.push(record(5, 1, DROP, &[0.6, 0.8, 0.8, 0.9]));
        assert!(near(steps_share(&records, 5, &DROP, Record::error_auc_curve), 0.5));
        records[1] = record(5, 1, DROP, &[0.6, 0.6, 0.6, 0.7]);
        assert_eq!(steps_share(&records, 5, &DROP, Record::error_auc_curve), None);
    }

    #[test]
    fn what_is_beyond_noise_is_so_for_all_rows_at_once_and_a_control_is_subtracted() {
        let mut records = Vec::new();
        for seed in 1..=8 {
            let base = 0.7 + 0.01 * seed as f64;
            let noise = if seed % 2 == 0 { 0.01 } else { -0.01 };
            records.push(record(28, seed, Arm::BASELINE, &[base]));
            records.push(record(28, seed, DROP, &[base + 0.03 + noise]));
            records.push(record(28, seed, DROP.control(), &[base - 0.02 + noise]));
            let relabel = Arm::of(Correction::Relabel, By::Truth);
            records.push(record(28, seed, relabel, &[base + 0.01 + noise]));
        }
        // Standard error 0.00378; three rows: t = 3.128 (scipy.stats.t.ppf(1 - .025 / 3, 7)), half an interval 0.0118; alone 0.0089.
        let table = bounds(&records).to_markdown();
        assert!(
            table.contains("| drop by the truth | 8 | 3.0 ± 0.9 | 5.0 ± 0.0 | 0.023 | above |"),
            "{table}"
        );
        assert!(
            table.contains("| drop by the truth, shuffled | 8 | -2.0 ± 0.9 | - | 0.023 | below |"),
            "{table}"
        );
        assert!(table.contains("| relabel by the truth | 8 | 1.0 ± 0.9 | - |"), "{table}");
        assert!(!table.contains("| 1.0 ± 0.9 | - | 0.070 | above"), "{table}");
    }

    #[test]
    fn a_masked_lm_is_compared_by_its_closeness_to_the_true_conditional() {
        let of = |seed: u64, arm: Arm, divergences: [f64; 3]| {
            let mut made = record(28, seed, Arm { loss: Loss::MaskedLm, ..arm }, &[f64::NAN; 3]);
            made.curve.iter_mut().zip(divergences).for_each(|(point, d)| point.divergence = Some(d));
            made
        };
        let mut records = Vec::new();
        for seed in [1, 2] {
            records.push(of(seed, Arm::BASELINE, [2.0, 1.0, 0.5]));
            records.push(of(seed, Arm::of(Correction::Hard, By::Truth), [1.0, 0.5, 0.4]));
        }
        let table = masked(&records).to_markdown();
        assert!(table.contains("| masked LM: none | 2 | -0.500 |"), "{table}");
        assert!(table.contains("| masked LM: hard by the truth | 2 | 10.0 ± 0.0 |"), "{table}");
        assert!(table.contains("| 66.7 % | 10.0 ms |"), "{table}");
    }
}
