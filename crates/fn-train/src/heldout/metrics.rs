//! Metrics of a binary classifier.

/// `part / whole`; NaN if `whole` is 0.
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { f64::NAN }
}

/// Area under the ROC curve: the probability that a random positive has a higher score than a random negative,
/// ties count one half (Mann-Whitney). NaN if one class is absent or a score is NaN.
pub fn auc(scores: &[f32], positive: &[bool]) -> f64 {
    let positives = positive.iter().filter(|&&p| p).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 || scores.iter().any(|s| s.is_nan()) {
        return f64::NAN;
    }
    let mut order: Vec<usize> = (0..scores.len().min(positive.len())).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut rank_sum = 0.0;
    let mut start = 0;
    while start < order.len() {
        let mut end = start;
        while end < order.len() && scores[order[end]] == scores[order[start]] {
            end += 1;
        }
        // Ranks start + 1 ..= end share their mean.
        let rank = (start + 1 + end) as f64 / 2.0;
        rank_sum += rank * order[start..end].iter().filter(|&&i| positive[i]).count() as f64;
        start = end;
    }
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

/// [`auc`] of the items that are not `left_out`.
pub fn auc_without(scores: &[f32], positive: &[bool], left_out: &[bool]) -> f64 {
    let kept = |i: &usize| !left_out[*i];
    let (scores, positive): (Vec<f32>, Vec<bool>) =
        (0..scores.len()).filter(kept).map(|i| (scores[i], positive[i])).unzip();
    auc(&scores, &positive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_on_neither_side() {
        let scores = [0.1, 0.9, 0.8, 0.2, 0.5];
        let positive = [false, false, true, false, true];
        let left_out = [false, true, false, false, false];
        assert_eq!(auc_without(&scores, &positive, &left_out), 1.0);
        assert_eq!(auc_without(&scores, &positive, &[false; 5]), auc(&scores, &positive));
        assert!(auc_without(&scores, &positive, &[true; 5]).is_nan());
    }

    #[test]
    fn without_the_left_out_it_equals_the_count_over_all_other_pairs() {
        let scores: Vec<f32> = (0..300u32).map(|i| ((i * 7919) % 37) as f32).collect();
        // Errors, replacements that fit (left out), originals.
        let kind: Vec<u32> = (0..300u32).map(|i| (i * 104_729) % 5).collect();
        let positive: Vec<bool> = kind.iter().map(|k| *k == 0).collect();
        let left_out: Vec<bool> = kind.iter().map(|k| *k == 1).collect();
        let (mut hits, mut pairs) = (0.0, 0.0);
        for (error, _) in kind.iter().enumerate().filter(|(_, k)| **k == 0) {
            for (original, _) in kind.iter().enumerate().filter(|(_, k)| **k > 1) {
                pairs += 1.0;
                hits += f64::from(u8::from(scores[error] > scores[original]));
                hits += 0.5 * f64::from(u8::from(scores[error] == scores[original]));
            }
        }
        assert!((auc_without(&scores, &positive, &left_out) - hits / pairs).abs() < 1e-12);
        assert!((auc(&scores, &positive) - hits / pairs).abs() > 1e-4, "what is left out matters");
    }

    #[test]
    fn a_perfect_ranking_scores_one_and_a_reversed_one_zero() {
        let labels = [false, false, true, true];
        assert_eq!(auc(&[0.1, 0.2, 0.3, 0.4], &labels), 1.0);
        assert_eq!(auc(&[0.4, 0.3, 0.2, 0.1], &labels), 0.0);
    }

    #[test]
    fn ties_count_one_half() {
        assert_eq!(auc(&[1.0; 4], &[true, false, true, false]), 0.5);
        // Pairs (positive, negative): 0.4>0.1, 0.4=0.4, 0.8>0.1, 0.8>0.4 -> 3.5 of 4.
        assert_eq!(auc(&[0.1, 0.4, 0.4, 0.8], &[false, false, true, true]), 0.875);
    }

    #[test]
    fn one_class_alone_or_a_nan_has_no_area() {
        assert!(auc(&[1.0, 2.0], &[true, true]).is_nan());
        assert!(auc(&[1.0, f32::NAN], &[true, false]).is_nan());
        assert!(auc(&[], &[]).is_nan());
    }

    #[test]
    fn equals_the_count_over_all_pairs() {
        let scores: Vec<f32> = (0..200u32).map(|i| ((i * 7919) % 31) as f32).collect();
        let labels: Vec<bool> = (0..200u32).map(|i| (i * 104_729) % 7 < 3).collect();
        let (mut hits, mut pairs) = (0.0, 0.0);
        for (i, &p) in labels.iter().enumerate() {
            for (j, &n) in labels.iter().enumerate() {
                if p && !n {
                    pairs += 1.0;
                    hits += if scores[i] > scores[j] {
                        1.0
                    } else if scores[i] == scores[j] {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
        }
        assert!((auc(&scores, &labels) - hits / pairs).abs() < 1e-12);
    }
}
