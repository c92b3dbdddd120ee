//! Predictions: argmax and Gumbel samples.

use burn::tensor::{Device, Tensor};
use fn_core::sample::{Prediction, SampleConfig, argmax_ids, gumbel_sample};

use crate::reference::log_sum_exp;
use crate::tensors::{device, ids, matrix, seeded, to_ids};

const ROWS: usize = 40_000;

/// Shares of the ids among many samples of one row of logits.
fn shares(z: &[f64], config: &SampleConfig, gold: u32) -> Vec<f64> {
    let v = z.len();
    let logits = matrix(z, v).expand([ROWS, v]);
    let mut counts = vec![0.0; v];
    for id in to_ids(&gumbel_sample(logits, &ids(&vec![gold; ROWS]), config)) {
        counts[id as usize] += 1.0 / ROWS as f64;
    }
    counts
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let sum = log_sum_exp(z);
    z.iter().map(|x| (x - sum).exp()).collect()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    for (v, (f, e)) in found.iter().zip(expected).enumerate() {
        // Five standard errors, and one sample.
        let limit = 5.0 * (e * (1.0 - e) / ROWS as f64).sqrt() + 1.0 / ROWS as f64;
        assert!((f - e).abs() < limit, "id {v}: {f}, expected {e}");
    }
}

/// 1 is one block of one; 11 leaves the last block of 4 short; 16 fills all blocks.
fn rows() -> Vec<Vec<f64>> {
    let row = |v: usize| (0..v).map(|i| ((i * 7) % 11) as f64 * 0.4 - 1.0).collect();
    vec![row(1), row(2), row(5), row(11), row(16)]
}

#[test]
fn samples_follow_the_softmax() {
    let _guard = seeded(11);
    for z in rows() {
        assert_close(&shares(&z, &SampleConfig::default(), 0), &softmax(&z));
    }
}

#[test]
fn temperature_sharpens_and_flattens() {
    let _guard = seeded(12);
    for temperature in [0.5, 2.0] {
        let z = &rows()[3];
        let divided: Vec<f64> = z.iter().map(|x| x / temperature).collect();
        let config = SampleConfig { temperature, ..Default::default() };
        assert_close(&shares(z, &config, 0), &softmax(&divided));
    }
}

#[test]
fn the_gold_word_is_never_drawn_when_disallowed() {
    let _guard = seeded(13);
    let config = SampleConfig { disallow_correct: true, ..Default::default() };
    for z in &rows()[1..] {
        for gold in [0, z.len() - 1] {
            let mut rest = z.clone();
            rest[gold] = f64::NEG_INFINITY;
            let found = shares(z, &config, gold as u32);
            assert_eq!(found[gold], 0.0);
            assert_close(&found, &softmax(&rest));
        }
    }
    // Even if the model is certain of it.
    let found = shares(&[1e4, 0.0, 0.0], &config, 0);
    assert_eq!(found[0], 0.0);
    assert!((found[1] - 0.5).abs() < 0.02);
}

#[test]
fn extreme_logits_are_drawn_as_they_should() {
    let _guard = seeded(14);
    for size in [17.0, 40.0, 1e4] {
        let z = [-size, size, 0.0, size, -size];
        assert_close(&shares(&z, &SampleConfig::default(), 0), &softmax(&z));
    }
}

#[test]
fn rows_are_drawn_independently() {
    let _guard = seeded(15);
    let sampled = to_ids(&gumbel_sample(
        matrix(&vec![0.0; 2 * ROWS], 2),
        &ids(&vec![0; ROWS]),
        &SampleConfig::default(),
    ));
    let same = sampled.windows(2).filter(|p| p[0] == p[1]).count() as f64 / (ROWS - 1) as f64;
    assert!((same - 0.5).abs() < 0.015, "{same}");
}

#[test]
fn the_same_seed_draws_the_same_words() {
    let draw = |seed| {
        let _guard = seeded(seed);
        to_ids(&gumbel_sample(matrix(&[0.5; 4000], 40), &ids(&[0; 100]), &SampleConfig::default()))
    };
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}

#[test]
fn logits_that_are_not_numbers_still_give_an_id() {
    let _guard = seeded(16);
    let logits = Tensor::<2>::full([3, 7], f32::NAN, &Device::flex());
    assert!(to_ids(&argmax_ids(logits.clone())).iter().all(|&id| id < 7));
    let sampled = gumbel_sample(logits, &ids(&[0, 1, 2]), &SampleConfig::default());
    assert!(to_ids(&sampled).iter().all(|&id| id < 7));
}

#[test]
fn predictions_carry_no_gradient_and_no_autodiff() {
    let _guard = seeded(17);
    let logits = matrix(&[1.0, 2.0, 0.5, 0.0], 2).require_grad();
    assert!(!argmax_ids(logits.clone()).is_autodiff());
    assert!(!gumbel_sample(logits, &ids(&[0, 0]), &SampleConfig::default()).is_autodiff());
    assert!(device().is_autodiff());
}

#[test]
fn argmax_takes_the_largest_logit() {
    assert_eq!(to_ids(&argmax_ids(matrix(&[1.0, 3.0, 2.0, -1.0, -3.0, -2.0], 3))), [1, 0]);
}

#[test]
fn settings_are_checked_and_written_in_words() {
    SampleConfig::default().validate().unwrap();
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let e = SampleConfig { temperature, ..Default::default() }.validate().unwrap_err();
        assert!(e.to_string().contains("`temperature`"), "{e}");
    }
    assert_eq!(serde_json::to_string(&Prediction::Expected).unwrap(), "\"expected\"");
    assert!(serde_json::from_str::<SampleConfig>(r#"{"temprature": 1}"#).is_err());
}

#[test]
fn what_fills_the_last_block_is_never_drawn() {
    let _guard = seeded(18);
    // As low as the filling itself: the worst case. 7 ids are 3 blocks of 3.
    let logits = Tensor::<2>::full([3000, 7], -1e30, &Device::flex());
    let sampled = gumbel_sample(logits, &ids(&[0; 3000]), &SampleConfig::default());
    assert!(to_ids(&sampled).iter().all(|&id| id < 7));
}
