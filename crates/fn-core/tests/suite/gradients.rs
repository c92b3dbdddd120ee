//! Every gradient against central differences of the f64 reference.

use burn::tensor::Tensor;
use fn_core::correct::CorrectionKind;

use crate::reference::{Problem, corrections};
use crate::replaced_token::{self, Detection};
use crate::tensors::to_f32;

/// Derivatives of `f` by every element of `x`.
fn differences(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let old = x[i];
            x[i] = old + STEP;
            let up = f(&x);
            x[i] = old - STEP;
            let down = f(&x);
            x[i] = old;
            (up - down) / (2.0 * STEP)
        })
        .collect()
}

fn compare(what: &str, found: Option<Tensor<2>>, expected: &[f64]) {
    let found = found.map_or(vec![0.0; expected.len()], |g| to_f32(&g));
    assert_eq!(found.len(), expected.len());
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(f) - e).abs() < 2e-6 + 2e-5 * e.abs(), "{what} [{i}]: {f}, expected {e}");
    }
}

fn check(problem: &Problem, correction: &CorrectionKind, what: &str) {
    let (out, [logits, embedding, sentences]) = problem.run(correction);
    let gradients = out.parts.total().backward();
    let with = |change: &dyn Fn(&mut Problem)| {
        let mut changed = problem.clone();
        change(&mut changed);
        changed.total(correction)
    };
    let by_logits = differences(&problem.logits, |x| with(&|p| p.logits = x.to_vec()));
    compare(&format!("{what} logits"), logits.grad(&gradients), &by_logits);
    let by_embedding = differences(&problem.embedding, |x| with(&|p| p.embedding = x.to_vec()));
    compare(&format!("{what} embedding"), embedding.grad(&gradients), &by_embedding);
    let by_sentences = differences(&problem.sentences[0], |x| with(&|p| p.sentences[0] = x.to_vec()));
    compare(&format!("{what} sentences"), sentences.grad(&gradients), &by_sentences);
}

#[test]
fn masked_lm_gradients_agree_with_differences() {
    for seed in 0..4 {
        let problem = Problem::random(seed, 3.0);
        for correction in corrections() {
            check(&problem, &correction, &format!("seed {seed} {correction:?}"));
        }
    }
}

#[test]
fn masked_lm_gradients_agree_with_differences_for_extreme_logits() {
    for size in [17.0, 40.0, 1e4] {
        let mut problem = Problem::random(1, 3.0);
        for (i, z) in problem.logits.iter_mut().enumerate() {
            if i % 4 == 0 {
                *z = if i % 8 == 0 { size } else { -size };
            }
        }
        for correction in corrections() {
            check(&problem, &correction, &format!("size {size} {correction:?}"));
        }
    }
}

#[test]
fn replaced_token_gradients_agree_with_differences() {
    for correction in replaced_token::all() {
        for scale in [3.0, 40.0] {
            let problem = Detection::random(3, scale);
            let (out, [logits, embedding]) = problem.run(&correction, 5.0);
            let gradients = out.parts.total().backward();
            let by_logits = differences(&problem.logits, |x| {
                Detection { logits: x.to_vec(), ..problem.clone() }.total(&correction, 5.0)
            });
            compare(&format!("{correction:?} logits"), logits.grad(&gradients), &by_logits);
            let by_embedding = differences(&problem.embedding, |x| {
                Detection { embedding: x.to_vec(), ..problem.clone() }.total(&correction, 5.0)
            });
            compare(&format!("{correction:?} embedding"), embedding.grad(&gradients), &by_embedding);
        }
    }
}
