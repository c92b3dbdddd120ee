//! Precision and recall of grades, as scikit-learn defines them: pairs of equal grade are accepted together.

use fn_core::noise::{Stream, Use};
use serde::Serialize;

/// What is accepted from a grade on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The grade.
    pub threshold: f64,
    /// Good pairs among the accepted.
    pub precision: f64,
    /// Accepted pairs among the good.
    pub recall: f64,
    /// Share of all pairs that is accepted.
    pub accepted: f64,
}

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Pairs in the order of their grades, the best first.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Grade, whether good, and what the pair is resampled with.
    ranked: Vec<(f64, bool, usize)>,
    floor: Option<f64>,
}

impl Curve {
    /// `grades`, whether each pair is good, and the target that it belongs to (see [`interval`](Self::interval)). Pairs at or below
    /// `floor` are never accepted: the judge says nothing of them.
    pub fn new(pairs: impl IntoIterator<Item = (f64, bool, usize)>, floor: Option<f64>) -> Self {
        let mut ranked: Vec<(f64, bool, usize)> = pairs.into_iter().collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { ranked, floor }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.ranked.len()
    }

    /// Without any pair?
    pub fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }

    /// Share of good pairs; NaN without pairs.
    pub fn base(&self) -> f64 {
        self.ranked.iter().filter(|pair| pair.1).count() as f64 / self.len() as f64
    }

    /// One point for each grade that occurs, the highest first, where every pair weighs as often as its target was drawn.
    fn steps(&self, weight: &dyn Fn(usize) -> f64) -> Vec<Point> {
        let sums = |pairs: &[(f64, bool, usize)]| {
            pairs.iter().fold((0.0, 0.0), |(all, good), pair| {
                let weight = weight(pair.2);
                (all + weight, good + if pair.1 { weight } else { 0.0 })
            })
        };
        let (total, good_total) = sums(&self.ranked);
        let (mut all, mut good) = (0.0, 0.0);
        let mut points = Vec::new();
        for group in self.ranked.chunk_by(|a, b| a.0 == b.0) {
            let (more, more_good) = sums(group);
            (all, good) = (all + more, good + more_good);
            if all > 0.0 {
                let (precision, recall) = (good / all, good / good_total);
                points.push(Point { threshold: group[0].0, precision, recall, accepted: all / total });
            }
        }
        points
    }

    /// One point for each grade that can be accepted, the highest first.
    pub fn points(&self) -> Vec<Point> {
        let mut points = self.steps(&|_| 1.0);
        points.retain(|point| self.floor.is_none_or(|floor| point.threshold > floor));
        points
    }

    /// Average precision: the mean of precision over recall, each grade one step. Pairs at the floor are the last step. NaN without a
    /// good pair.
    pub fn average_precision(&self) -> f64 {
        average(&self.steps(&|_| 1.0))
    }

    /// The highest threshold that reaches this recall; None if none does.
    pub fn at_recall(&self, recall: f64) -> Option<Point> {
        self.points().into_iter().find(|point| point.recall >= recall)
    }

    /// The point of a threshold: what has at least this grade; None where nothing has.
    pub fn at_threshold(&self, threshold: f64) -> Option<Point> {
        let above = self.points().into_iter().take_while(|point| point.threshold >= threshold);
        above.last().map(|point| Point { threshold, ..point })
    }

    /// 95 % percentile intervals of average precision and of the precision at `recall`, when targets are drawn with repetition,
    /// `resamples` times. `targets` is the number of targets. Resamples without a value are left out; None if none has one.
    pub fn interval(
        &self,
        targets: usize,
        recall: f64,
        resamples: usize,
        seed: u64,
    ) -> [Option<Interval>; 2] {
        let mut values: [Vec<f64>; 2] = Default::default();
        for resample in 0..resamples {
            let mut stream = Stream::new(seed, resample as u64, 0, Use::Bootstrap);
            let mut drawn = vec![0.0; targets];
            for _ in 0..targets {
                drawn[stream.below(targets as u64) as usize] += 1.0;
            }
            let steps = self.steps(&|target| drawn[target]);
            values[0].push(average(&steps));
            let accepted =
                steps.iter().filter(|point| self.floor.is_none_or(|floor| point.threshold > floor));
            values[1]
                .push(accepted.into_iter().find(|p| p.recall >= recall).map_or(f64::NAN, |p| p.precision));
        }
        values.map(|mut values| {
            values.retain(|value| value.is_finite());
            values.sort_by(f64::total_cmp);
            let at = |share: f64| values.get(((values.len() as f64 - 1.0) * share).round() as usize).copied();
            Some(Interval { low: at(0.025)?, high: at(0.975)? })
        })
    }
}

fn average(steps: &[Point]) -> f64 {
    let mut before = 0.0;
    let sum: f64 = steps
        .iter()
        .map(|point| {
            let part = (point.recall - before) * point.precision;
            before = point.recall;
            part
        })
        .sum();
    if steps.is_empty() { f64::NAN } else { sum }
}
