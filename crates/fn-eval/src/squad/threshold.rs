//! Search for the best no-answer threshold of SQuAD 2.0.

/// The best score over all thresholds, and the threshold that reaches it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The score (exact match or F1), a fraction.
    pub score: f64,
    /// Questions whose no-answer score is above this are taken to have no answer.
    pub threshold: f64,
}

/// The best threshold for each metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// For exact match.
    pub exact: Threshold,
    /// For F1.
    pub f1: Threshold,
}

/// A question with a prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// No-answer score of the question; not NaN.
    pub no_answer: f64,
    /// Score of the predicted answer.
    pub answered: f64,
    /// Score of the empty answer: 1 if the question has no answer, otherwise 0.
    pub refused: f64,
}

/// The best score over all thresholds, and the lowest threshold that reaches it.
///
/// Thresholds that are tried: one below all no-answer scores (every answer is empty), and each no-answer score t (questions
/// with a score of at most t are answered). If the empty answer for all questions is best, the threshold is 0, as in the
/// official script, provided that all scores are above 0 (probabilities); otherwise it is a number below every score, because
/// differences of logits may be negative.
///
/// Applying the returned threshold gives exactly the returned score. The official script differs in three cases: among equal
/// no-answer scores it may stop half-way; an answer without words after normalisation is wrong in its search, but right in its
/// score; and for the empty answer to all questions it always returns 0, even if some scores are at most 0.
///
/// None without candidates.
pub(super) fn search(candidates: &[Candidate]) -> Option<Threshold> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by(|a, b| a.no_answer.partial_cmp(&b.no_answer).unwrap_or(std::cmp::Ordering::Equal));
    let lowest = order.first()?.no_answer;
    let mut sum: f64 = candidates.iter().map(|c| c.refused).sum();
    let mut best = Threshold { score: sum, threshold: below(lowest) };
    if lowest == f64::NEG_INFINITY {
        best.score = f64::NEG_INFINITY; // no threshold is below a score of -inf: this question is always answered
    }
    for equal in order.chunk_by(|a, b| a.no_answer == b.no_answer) {
        sum += equal.iter().map(|c| c.answered - c.refused).sum::<f64>();
        // A higher threshold must be better by more than the rounding of the sum.
        if sum > best.score + 1e-9 {
            best = Threshold { score: sum, threshold: equal.first()?.no_answer };
        }
    }
    best.score /= candidates.len() as f64;
    Some(best)
}

/// A finite threshold below `lowest`, the lowest of the scores.
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

    /// The mean score at a threshold, computed as in scoring.
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
    fn if_no_answer_is_right_the_empty_answer_is_best_for_all() {
        let probabilities = [without(0.1, true), with(0.2, 0.0), without(0.3, false)];
        assert_eq!(search(&probabilities), Some(Threshold { score: 2.0 / 3.0, threshold: 0.0 }));
        let differences = [without(-7.5, true), with(-2.0, 0.0), without(3.0, true)];
        assert_eq!(search(&differences), Some(Threshold { score: 2.0 / 3.0, threshold: -8.5 }));
        let zero = [without(0.0, true)];
        assert_eq!(search(&zero), Some(Threshold { score: 1.0, threshold: -1.0 }));
        assert_eq!(search(&[]), None);
    }

    #[test]
    fn if_all_answers_are_right_no_question_gets_the_empty_answer() {
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
