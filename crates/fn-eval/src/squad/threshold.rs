//! The threshold above which a no-answer score means that there is no answer.

/// The best score over all thresholds, and where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The score, a fraction.
    pub score: f64,
    /// Questions whose no-answer score is above this are taken to have no answer.
    pub threshold: f64,
}

/// The best thresholds for either metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// For exact match.
    pub exact: Threshold,
    /// For F1.
    pub f1: Threshold,
}

/// A question that counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Its no-answer score; not NaN.
    pub no_answer: f64,
    /// Its score if it is answered.
    pub answered: f64,
    /// Its score if it is refused: 1 where there is no answer.
    pub refused: f64,
}

/// The best score that any threshold reaches, and the lowest of the thresholds that reach it.
///
/// Candidates are "refuse all", and each no-answer score: it answers the questions up to it, all those with an equal score at once;
/// the highest one is "refuse none". "Refuse all" is reported as 0, as the official script does it, where 0 means that
/// (probabilities above 0), and as a number below every score elsewhere: differences of logits may be negative.
///
/// So every score that is reported is that of its threshold. The official script differs where scores are equal (its sum stops
/// half-way among them), where answers have no word once normalised (it counts them as wrong here and as right in the
/// score) and in that it calls "refuse all" 0 even where 0 answers something.
///
/// None without candidates.
pub(super) fn search(candidates: &[Candidate]) -> Option<Threshold> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by(|a, b| a.no_answer.partial_cmp(&b.no_answer).unwrap_or(std::cmp::Ordering::Equal));
    let lowest = order.first()?.no_answer;
    let mut sum: f64 = candidates.iter().map(|c| c.refused).sum();
    let mut best = Threshold { score: sum, threshold: below(lowest) };
    if lowest == f64::NEG_INFINITY {
        best.score = f64::NEG_INFINITY; // nothing is below it: it is answered at any threshold
    }
    for equal in order.chunk_by(|a, b| a.no_answer == b.no_answer) {
        sum += equal.iter().map(|c| c.answered - c.refused).sum::<f64>();
        // The order of summation is no reason to prefer a higher threshold.
        if sum > best.score + 1e-9 {
            best = Threshold { score: sum, threshold: equal.first()?.no_answer };
        }
    }
    best.score /= candidates.len() as f64;
    Some(best)
}

/// A finite threshold that every score from `lowest` on is above.
fn below(lowest: f64) -> f64 {
    if lowest > 0.0 { 0.0 } else { (lowest - 1.0).min(lowest.next_down()).max(f64::MIN) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn with(no_answer: f64, answered: f64) -> Candidate {
        Candidate { no_answer, answered, refused: 0.0 }
    }

    fn without(no_answer: f64, predicted: bool) -> Candidate {
        Candidate { no_answer, answered: f64::from(!predicted), refused: 1.0 }
    }

    /// The mean score at a threshold, as scoring does it.
    fn at(candidates: &[Candidate], threshold: f64) -> f64 {
        let score = |c: &Candidate| if c.no_answer > threshold { c.refused } else { c.answered };
        candidates.iter().map(score).sum::<f64>() / candidates.len() as f64
    }

    #[test]
    fn the_first_best_threshold_wins() {
        let found =
            search(&[without(0.9, true), with(0.2, 1.0), without(0.3, true), with(0.4, 1.0)]).unwrap();
        assert_eq!(found, Threshold { score: 0.75, threshold: 0.2 });
    }

    #[test]
    fn if_answering_never_helps_all_are_refused() {
        let probabilities = [without(0.1, true), with(0.2, 0.0), without(0.3, false)];
        assert_eq!(search(&probabilities), Some(Threshold { score: 2.0 / 3.0, threshold: 0.0 }));
        let differences = [without(-7.5, true), with(-2.0, 0.0), without(3.0, true)];
        assert_eq!(search(&differences), Some(Threshold { score: 2.0 / 3.0, threshold: -8.5 }));
        let zero = [without(0.0, true)];
        assert_eq!(search(&zero), Some(Threshold { score: 1.0, threshold: -1.0 }));
        assert_eq!(search(&[]), None);
    }

    #[test]
    fn if_answering_always_helps_none_is_refused() {
        let all = [with(-3.0, 1.0), with(-1.0, 0.5), with(2.0, 0.25)];
        assert_eq!(search(&all), Some(Threshold { score: 1.75 / 3.0, threshold: 2.0 }));
    }

    #[test]
    fn equal_scores_are_answered_together_in_any_order() {
        let (good, bad) = (with(0.5, 1.0), without(0.5, true));
        let expected = Threshold { score: 0.5, threshold: 0.0 };
        assert_eq!((search(&[good, bad]), search(&[bad, good])), (Some(expected), Some(expected)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Negative scores, equal ones, huge ones; answers that are half right.
        #[test]
        fn no_threshold_is_better_and_the_reported_one_reaches_its_score(
            questions in vec((-6i32..6, 0u32..4, any::<bool>()), 1..12),
            scale in prop_oneof![Just(1.0), Just(1e-300), Just(1e17), Just(1e300)],
            shift in prop_oneof![Just(0.0), Just(7.0), Just(-7.0)],
        ) {
            let candidates: Vec<Candidate> = questions.iter().map(|&(score, answered, without)| Candidate {
                no_answer: (f64::from(score) + shift) * scale,
                answered: f64::from(answered) / 3.0,
                refused: f64::from(without),
            }).collect();
            let best = search(&candidates).unwrap();
            prop_assert!(best.threshold.is_finite());
            prop_assert!((at(&candidates, best.threshold) - best.score).abs() < 1e-9);
            let thresholds = candidates.iter().map(|c| c.no_answer).chain([f64::NEG_INFINITY, f64::INFINITY]);
            for threshold in thresholds {
                prop_assert!(at(&candidates, threshold) <= best.score + 1e-9, "{threshold}");
            }
        }
    }
}
