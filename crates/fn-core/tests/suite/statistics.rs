//! Counts and the spread of an embedding table.

use fn_core::judge::{THRESHOLD, Verdict};
use fn_core::stats::{FalseNegativeCounts, FalseNegativeStats, anisotropy};

use crate::reference::{Fixed, batch_of, predicted};
use crate::tensors::{floats, matrix, to_bool};

fn counts() -> FalseNegativeCounts {
    let batch = batch_of(&[1, 1, 1, 1], &[1.0, 1.0, 1.0, 0.0]);
    let predictions = predicted(&batch, &[1, 2, 3, 2]);
    assert_eq!(to_bool(&predictions.wrong()), [false, true, true, false]);
    let verdict = Verdict::of(&Fixed(vec![false, true, false, false]), &predictions, THRESHOLD);
    FalseNegativeCounts::of(&predictions, &verdict, &floats(&[1.0, 0.0, 1.0, 0.0]))
}

#[test]
fn counts_of_batches_add_up() {
    let stats = counts().plus(counts()).read();
    assert_eq!(stats, FalseNegativeStats { rows: 6.0, wrong: 4.0, false_negative: 2.0, shielded: 2.0 });
    assert_eq!(stats.wrong_share(), 4.0 / 6.0);
    assert_eq!(stats.false_negative_share(), 0.5);
    assert_eq!(stats.shielded_share(), 2.0 / 6.0);
    assert!(FalseNegativeStats::default().wrong_share().is_nan());
}

#[test]
fn anisotropy_equals_the_mean_over_all_pairs() {
    let table = [1.0, 2.0, -1.0, 0.5, 3.0, 0.0, 2.0, 2.0, 0.0, -1.0];
    let rows: Vec<&[f64]> = table.chunks(2).collect();
    let norm = |r: &[f64]| r.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (mut cosines, mut pairs) = (0.0, 0.0);
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            if i != j {
                cosines += (a[0] * b[0] + a[1] * b[1]) / (norm(a) * norm(b));
                pairs += 1.0;
            }
        }
    }
    let (found_norm, found) = anisotropy(matrix(&table, 2), 5);
    assert!((found - cosines / pairs).abs() < 1e-6, "{found}");
    assert!((found_norm - rows.iter().map(|r| norm(r)).sum::<f64>() / 5.0).abs() < 1e-6);
}

#[test]
fn a_collapsed_table_has_anisotropy_one_and_a_sample_is_enough_to_see_it() {
    let (norm, cosine) = anisotropy(matrix(&[3.0, 4.0].repeat(50), 2), 7);
    assert!((norm - 5.0).abs() < 1e-5 && (cosine - 1.0).abs() < 1e-5);
    // A row of zeros counts as cosine 0 and breaks nothing.
    let (_, cosine) = anisotropy(matrix(&[0.0, 0.0, 1.0, 0.0], 2), 9);
    assert_eq!(cosine, 0.0);
    assert!(anisotropy(matrix(&[1.0, 1.0], 2), 0).0.is_nan());
}
