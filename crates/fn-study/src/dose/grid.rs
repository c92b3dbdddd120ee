//! How good a judge must be: gains by precision and recall.

use fn_eval::table::{Table, number};

use super::arm::{Arm, By, Correction, PRECISIONS, RECALLS};
use super::judge::Mistakes;
use super::report::{Effect, effect, shares};
use super::{DoseError, Record};
use crate::curves::{Panel, panels};
use crate::runs::RunRecord;

/// Name of the plotted series.
const SERIES: &str = "gain";

fn set(precision: f64, recall: f64, mistakes: Mistakes) -> Arm {
    Arm::of(Correction::Drop, By::Set { precision, recall, mistakes })
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
                let cells = effects.iter().map(|effect| Effect::text(*effect));
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
                    let half = |e: &Effect| if e.half().is_nan() { 0.0 } else { e.half() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dose::report::tests::record;

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
