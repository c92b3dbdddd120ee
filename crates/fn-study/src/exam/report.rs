//! What a judge scored.

use std::collections::BTreeMap;

use fn_eval::table::{Table, number, percent};
use serde::Serialize;

use super::Grades;
use super::metrics::{Curve, Interval, Point};
use super::prepare::{LeftOut, Prepared, TRAPS};

/// Recalls at which precision is reported.
const RECALLS: [f64; 4] = [0.2, 0.3, 0.4, 0.5];
/// The one of them whose threshold the traps are held against.
const AT: usize = 1;

/// How good pairs are told from errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Pairs.
    pub pairs: usize,
    /// Share of them that is good: the average precision of a judge that knows nothing.
    pub base: f64,
    /// Average precision.
    pub average_precision: f64,
    /// Points that reach recall .2, .3, .4 and .5; null where the judge accepts too little to reach it.
    pub at_recall: [Option<Point>; 4],
    /// Highest recall that the judge reaches, with its precision.
    pub most: Option<Point>,
}

impl Scores {
    fn of(curve: &Curve) -> Self {
        Self {
            pairs: curve.len(),
            base: curve.base(),
            average_precision: curve.average_precision(),
            at_recall: RECALLS.map(|recall| curve.at_recall(recall)),
            most: curve.points().last().copied(),
        }
    }
}

/// What a threshold does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operating {
    /// Accepted pairs, precision and recall; null where nothing is accepted.
    pub point: Option<Point>,
    /// Share of each trap that is accepted, in the order of [`TRAPS`]; null without such traps.
    pub traps_accepted: [Option<f64>; 3],
}

/// A judge in an exam.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The exam.
    pub exam: String,
    /// The judge.
    pub judge: String,
    /// All pairs, traps included.
    pub with_traps: Scores,
    /// Pairs that people were asked about.
    pub asked: Scores,
    /// 95 % intervals over targets, traps included: of average precision and of precision at recall .3.
    pub intervals: [Option<Interval>; 2],
    /// Number of each trap, in the order of [`TRAPS`].
    pub traps: [usize; 3],
    /// At the threshold that reaches recall .3.
    pub at_recall_3: Operating,
    /// At the configured threshold.
    pub threshold: f64,
    /// What the configured threshold does.
    pub at_threshold: Operating,
    /// What [`groups`](Self::groups) are.
    pub grouped_by: &'static str,
    /// By part of speech or domain, traps included.
    pub groups: BTreeMap<String, Scores>,
    /// What could not be asked.
    pub left_out: LeftOut,
    /// Precision over recall, traps included.
    pub curve: Vec<Point>,
    /// The errors with the highest grades, and the good pairs with the lowest, as indices of pairs.
    #[serde(skip)]
    pub worst: [Vec<usize>; 2],
    /// The grades.
    #[serde(skip)]
    pub grades: Grades,
}

/// Scores the grades of a judge. `resamples` bootstrap samples make the intervals; the operating point is that of `threshold`; `worst`
/// mistakes are kept of each kind.
pub fn report(
    exam: &Prepared<'_>,
    judge: &str,
    grades: Grades,
    threshold: f64,
    (resamples, seed): (usize, u64),
    worst: usize,
) -> Report {
    let scored = || exam.pairs.iter().zip(&grades.values);
    let entry = |(pair, grade): (&super::Pair, &f64)| (*grade, pair.good, pair.target);
    let all = Curve::new(scored().map(entry), grades.floor);
    let asked = Curve::new(scored().filter(|(pair, _)| pair.asked).map(entry), grades.floor);
    let mut by_group: BTreeMap<String, Vec<(f64, bool, usize)>> = BTreeMap::new();
    for (pair, grade) in scored() {
        let group = exam.exam.targets[pair.target].group.clone();
        if !group.is_empty() {
            by_group.entry(group).or_default().push(entry((pair, grade)));
        }
    }
    let accepted = |point: Option<Point>| Operating {
        traps_accepted: TRAPS.map(|(trap, ..)| {
            let of_trap: Vec<f64> =
                scored().filter(|(pair, _)| pair.traps[trap as usize]).map(|(_, grade)| *grade).collect();
            let above =
                of_trap.iter().filter(|grade| point.is_some_and(|point| **grade >= point.threshold)).count();
            (!of_trap.is_empty()).then(|| above as f64 / of_trap.len() as f64)
        }),
        point,
    };
    let with_traps = Scores::of(&all);
    Report {
        exam: exam.exam.name.clone(),
        judge: judge.to_owned(),
        at_recall_3: accepted(with_traps.at_recall[AT]),
        with_traps,
        asked: Scores::of(&asked),
        intervals: all.interval(exam.exam.targets.len(), RECALLS[AT], resamples, seed),
        traps: TRAPS.map(|(trap, ..)| exam.pairs.iter().filter(|pair| pair.traps[trap as usize]).count()),
        threshold,
        at_threshold: accepted(all.at_threshold(threshold)),
        grouped_by: exam.exam.grouped_by,
        groups: by_group
            .into_iter()
            .map(|(group, pairs)| (group, Scores::of(&Curve::new(pairs, grades.floor))))
            .collect(),
        left_out: exam.left_out,
        curve: all.points(),
        worst: mistakes(exam, &grades.values, worst),
        grades,
    }
}

/// The errors with the highest grades, and the good pairs with the lowest, each word and substitute once.
fn mistakes(exam: &Prepared<'_>, grades: &[f64], most: usize) -> [Vec<usize>; 2] {
    [false, true].map(|good| {
        let mut order: Vec<usize> = (0..grades.len()).filter(|&at| exam.pairs[at].good == good).collect();
        order.sort_by(|&a, &b| grades[b].total_cmp(&grades[a]).then(a.cmp(&b)));
        if good {
            order.reverse();
        }
        let mut seen = std::collections::BTreeSet::new();
        order.retain(|&at| seen.insert((exam.pairs[at].word, exam.pairs[at].substitute)));
        order.truncate(most);
        order
    })
}

impl Report {
    /// Headings of [`row`](Self::row).
    pub const HEADINGS: [&'static str; 14] = [
        "judge",
        "pairs",
        "base",
        "AP",
        "95 %",
        "AP without traps",
        "P at R .2",
        "P at R .3",
        "95 %",
        "P at R .4",
        "P at R .5",
        "antonyms",
        "sisters",
        "inflections",
    ];

    /// The main figures, as a row of a table.
    pub fn row(&self) -> [String; 14] {
        let scores = &self.with_traps;
        let at = |place: usize| match (scores.at_recall[place], scores.most) {
            (Some(point), _) => number(Some(point.precision), 3),
            // As far as it goes.
            (None, Some(most)) if place == 0 => format!("{:.3} (R {:.3})", most.precision, most.recall),
            _ => "-".to_owned(),
        };
        let interval = |place: usize| match self.intervals[place] {
            Some(Interval { low, high }) => format!("{low:.3} to {high:.3}"),
            None => "-".to_owned(),
        };
        let trap = |place: usize| number(self.at_recall_3.traps_accepted[place], 3);
        [
            self.judge.clone(),
            scores.pairs.to_string(),
            number(Some(scores.base), 3),
            number(Some(scores.average_precision), 3),
            interval(0),
            number(Some(self.asked.average_precision), 3),
            at(0),
            at(1),
            interval(1),
            at(2),
            at(3),
            trap(0),
            trap(1),
            trap(2),
        ]
    }

    /// The operating points of the configured threshold, and figures by group.
    pub fn tables(reports: &[Report]) -> [Table; 2] {
        let mut operating = Table::new([
            "judge",
            "threshold",
            "accepted",
            "precision",
            "recall",
            "antonyms",
            "sisters",
            "inflections",
        ]);
        let mut groups = Table::new(["judge", "group", "pairs", "base", "AP", "P at R .3"]);
        for report in reports {
            let Operating { point, traps_accepted } = &report.at_threshold;
            let of = |pick: fn(&Point) -> f64| point.as_ref().map(pick);
            let [antonyms, sisters, inflections] = traps_accepted.map(|share| number(share, 3));
            operating.row([
                report.judge.clone(),
                number(Some(report.threshold), 2),
                percent(of(|point| point.accepted)),
                number(of(|point| point.precision), 3),
                number(of(|point| point.recall), 3),
                antonyms,
                sisters,
                inflections,
            ]);
            for (group, scores) in &report.groups {
                groups.row([
                    report.judge.clone(),
                    group.clone(),
                    scores.pairs.to_string(),
                    number(Some(scores.base), 3),
                    number(Some(scores.average_precision), 3),
                    number(scores.at_recall[AT].map(|point| point.precision), 3),
                ]);
            }
        }
        [operating, groups]
    }
}
