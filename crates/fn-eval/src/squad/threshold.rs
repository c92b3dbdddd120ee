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
    /// Whether it has an answer.
    pub has_answer: bool,
    /// Whether anything was predicted, if only an article.
    pub predicted: bool,
    /// Its score if it is answered.
    pub raw: f64,
}

/// The search of the official script over `candidates`, in the order of the file of no-answer scores.
///
/// It starts with no question answered, which it reports as threshold 0, and answers one question after the other by
/// ascending no-answer score. A question with an answer adds its score; one without takes 1 away if anything was predicted,
/// even if that is empty once normalised. The first best sum wins. Two consequences, kept so that numbers are comparable: with
/// scores below 0 (logit differences) threshold 0 may stand for "answer nothing" though it would answer something, and among
/// equal scores the sum may stop half-way.
///
/// None without candidates.
pub(super) fn search(candidates: &[Candidate]) -> Option<Threshold> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by(|a, b| a.no_answer.partial_cmp(&b.no_answer).unwrap_or(std::cmp::Ordering::Equal));
    let mut sum = candidates.iter().filter(|c| !c.has_answer).count() as f64;
    let mut best = Threshold { score: sum, threshold: 0.0 };
    for candidate in order {
        sum += match (candidate.has_answer, candidate.predicted) {
            (true, _) => candidate.raw,
            (false, true) => -1.0,
            (false, false) => 0.0,
        };
        if sum > best.score {
            best = Threshold { score: sum, threshold: candidate.no_answer };
        }
    }
    best.score /= candidates.len() as f64;
    (!candidates.is_empty()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(no_answer: f64, raw: f64) -> Candidate {
        Candidate { no_answer, has_answer: true, predicted: true, raw }
    }

    fn without(no_answer: f64, predicted: bool) -> Candidate {
        Candidate { no_answer, has_answer: false, predicted, raw: f64::from(!predicted) }
    }

    #[test]
    fn the_first_best_threshold_wins() {
        let found =
            search(&[without(0.9, true), with(0.2, 1.0), without(0.3, true), with(0.4, 1.0)]).unwrap();
        assert_eq!(found, Threshold { score: 0.75, threshold: 0.2 });
    }

    #[test]
    fn if_answering_never_helps_the_threshold_is_zero() {
        let found = search(&[without(0.1, true), with(0.2, 0.0), without(0.3, false)]).unwrap();
        assert_eq!(found, Threshold { score: 2.0 / 3.0, threshold: 0.0 });
        assert_eq!(search(&[]), None);
    }

    #[test]
    fn equal_scores_are_taken_in_the_order_of_the_file() {
        let (good, bad) = (with(0.5, 1.0), without(0.5, true));
        assert_eq!(search(&[good, bad]).unwrap().score, 1.0);
        assert_eq!(search(&[bad, good]).unwrap(), Threshold { score: 0.5, threshold: 0.0 });
    }
}
