use burn::tensor::{Device, Int, Tensor, TensorData};
use proptest::prelude::*;

use crate::{Noise, composed};

fn device() -> Device {
    Device::flex().autodiff()
}

fn values(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64)
        .map(|i| (crate::noise::scramble(i ^ (seed << 32)) >> 40) as f32 / 4_194_304.0 - 2.0)
        .collect()
}

fn leaf<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let n = shape.iter().product();
    Tensor::<D>::from_data(TensorData::new(values(n, seed), shape), &device()).require_grad()
}

fn data<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().iter::<f32>().collect()
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{what} [{i}]: fused {a}, composed {b}");
    }
}

/// Values and gradients of every input agree between the two bodies, under an arbitrary gradient of the output.
macro_rules! agree {
    ($name:expr, [$($input:ident),+], $fused:expr, $composed:expr) => {{
        let fused = $fused;
        let composed = $composed;
        assert_close(&data(fused.clone()), &data(composed.clone()), concat!($name, " value"));
        let weight = Tensor::from_data(
            TensorData::new(values(fused.shape().num_elements(), 99), fused.dims()), &device());
        let a = (fused * weight.clone()).sum().backward();
        let b = (composed * weight).sum().backward();
        $(
            let (x, y) = ($input.grad(&a), $input.grad(&b));
            assert_close(&data(x.unwrap()), &data(y.unwrap()), concat!($name, " gradient of ", stringify!($input)));
        )+
    }};
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gelu_agrees(rows in 1usize..9, width in 1usize..70, seed in 0u64..1000) {
        let x = leaf([rows, width], seed);
        agree!("gelu", [x], crate::gelu(x.clone() * 3.0), composed::gelu(x.clone() * 3.0));
    }

    #[test]
    fn layer_norm_agrees(rows in 1usize..70, width in 2usize..70, seed in 0u64..1000) {
        let (x, r) = (leaf([rows, width], seed), leaf([rows, width], seed + 1));
        let (g, b) = (leaf([width], seed + 2), leaf([width], seed + 3));
        agree!("layer_norm", [x, g, b],
            crate::layer_norm(x.clone(), g.clone(), b.clone(), 1e-3),
            composed::layer_norm(x.clone(), g.clone(), b.clone(), 1e-3));
        agree!("residual_layer_norm", [x, r, g, b],
            crate::residual_layer_norm(x.clone(), r.clone(), 0.5, &Noise::none(), g.clone(), b.clone(), 1e-3),
            composed::residual_layer_norm(x.clone(), r.clone(), 0.5, &Noise::none(), g.clone(), b.clone(), 1e-3));
    }

    #[test]
    fn attention_agrees(batch in 1usize..4, length in 1usize..20, heads in 1usize..4, head in 1usize..9,
                        real in 0usize..20, seed in 0u64..1000) {
        let shape = [batch, length, heads * head];
        let (q, k, v) = (leaf(shape, seed), leaf(shape, seed + 1), leaf(shape, seed + 2));
        // Rows with fewer and fewer real positions, down to none at all.
        let mask: Vec<f32> = (0..batch * length)
            .map(|i| f32::from(u8::from(i % length < real.saturating_sub(3 * (i / length)))))
            .collect();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [batch, length]), &Device::flex().autodiff());
        for mask in [None, Some(mask)] {
            agree!("attention", [q, k, v],
                crate::attention(q.clone(), k.clone(), v.clone(), heads, mask.clone(), 0.3, &Noise::none()),
                composed::attention(q.clone(), k.clone(), v.clone(), heads, mask.clone(), 0.3, &Noise::none()));
        }
    }

    #[test]
    fn cross_entropy_agrees(rows in 1usize..12, width in 2usize..700, scale in 0.1f32..40.0, seed in 0u64..1000) {
        let x = leaf([rows, width], seed);
        let gold: Vec<i32> = (0..rows).map(|i| ((i * 7919 + seed as usize) % width) as i32).collect();
        let gold = Tensor::<1, Int>::from_ints(gold.as_slice(), &device());
        agree!("cross_entropy", [x],
            crate::cross_entropy_rows(x.clone() * scale, gold.clone()),
            composed::cross_entropy_rows(x.clone() * scale, gold.clone()));
    }

    #[test]
    fn linear_agrees(batch in 1usize..4, length in 1usize..9, from in 1usize..20, to in 1usize..20, seed in 0u64..1000) {
        let (x, w, b) = (leaf([batch, length, from], seed), leaf([from, to], seed + 1), leaf([to], seed + 2));
        agree!("linear", [x, w, b],
            crate::linear(x.clone(), w.clone(), Some(b.clone())),
            composed::linear(x.clone(), w.clone(), Some(b.clone())));
    }
}

#[test]
fn views_that_are_not_contiguous_give_the_same() {
    let base = leaf([6, 10], 4);
    let view = || base.clone().transpose().slice([2..9, 1..5]);
    agree!("gelu of a view", [base], crate::gelu(view()), composed::gelu(view()));
}

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    let x = leaf([3, 4], 5);
    agree!("twice", [x], crate::gelu(x.clone()) * x.clone(), composed::gelu(x.clone()) * x.clone());
}

#[test]
fn extreme_logits_are_exact_in_value_and_gradient() {
    let rows = [[17.0, 0.0], [-17.0, 0.0], [1e4, -1e4], [-1e4, 1e4], [40.0, -40.0], [0.0, 0.0]];
    let x = Tensor::<2>::from_data(TensorData::from(rows), &device()).require_grad();
    let gold = Tensor::<1, Int>::zeros([6], &device());
    let loss = crate::cross_entropy_rows(x.clone(), gold);
    let found = data(loss.clone());
    let grads = data(x.grad(&loss.sum().backward()).unwrap());
    for (i, row) in rows.iter().enumerate() {
        let difference: f64 = row[1] - row[0];
        let expected = if difference > 0.0 {
            difference + (-difference).exp().ln_1p()
        } else {
            difference.exp().ln_1p()
        };
        // An f32 sum 1 + e^-17 has 24 bits.
        assert!(
            (f64::from(found[i]) - expected).abs() <= 1.3e-7 + 1e-6 * expected,
            "{row:?}: {} {expected}",
            found[i]
        );
        let p = 1.0 / (1.0 + difference.exp());
        assert!((f64::from(grads[2 * i]) - (p - 1.0)).abs() < 1e-6, "{row:?}");
    }
}

#[test]
fn a_nan_is_passed_on() {
    let x = Tensor::<2>::from_data(TensorData::from([[1.0, f32::NAN, 2.0]]), &device());
    assert!(data(crate::gelu(x.clone()))[1].is_nan());
    assert!(data(crate::cross_entropy_rows(x.clone(), Tensor::zeros([1], &device())))[0].is_nan());
    let y = x.reshape([1, 3, 1]);
    assert!(data(crate::attention(y.clone(), y.clone(), y, 1, None, 0.0, &Noise::none()))[0].is_nan());
}

#[test]
fn dropout_keeps_its_share_and_its_mean_and_depends_on_the_seed_alone() {
    let x = Tensor::<1>::ones([200_000], &device());
    let drop = |seed| data(crate::dropout(x.clone(), 0.1, &Noise::new(seed)));
    let (a, b, c) = (drop(1), drop(1), drop(2));
    assert_eq!(a, b);
    assert_ne!(a, c);
    let kept = a.iter().filter(|&&x| x > 0.0).count() as f64 / 200_000.0;
    // Standard error 0.0007.
    assert!((kept - 0.9).abs() < 0.003, "{kept}");
    assert!(a.iter().all(|&x| x == 0.0 || (x - 1.0 / 0.9).abs() < 1e-6));
    let both = a.iter().zip(&c).filter(|&(&x, &y)| x > 0.0 && y > 0.0).count() as f64 / 200_000.0;
    assert!((both - 0.81).abs() < 0.004, "masks of two seeds are independent: {both}");
    let neighbours = a.windows(2).filter(|w| w[0] > 0.0 && w[1] > 0.0).count() as f64 / 200_000.0;
    assert!((neighbours - 0.81).abs() < 0.004, "neighbours are independent: {neighbours}");
}

#[test]
fn gradients_pass_through_the_same_mask_as_values() {
    let x = leaf([64, 32], 6);
    let y = crate::dropout(x.clone(), 0.4, &Noise::new(9));
    let grads = y.clone().sum().backward();
    for ((x, y), g) in data(x.clone()).iter().zip(data(y)).zip(data(x.grad(&grads).unwrap())) {
        assert!((x * g - y).abs() < 1e-6);
    }
    // With dropout the two bodies draw other masks; a directional difference checks the backward pass instead.
    let shape = [2, 6, 8];
    let (q, k, v) = (leaf(shape, 1), leaf(shape, 2), leaf(shape, 3));
    let (gamma, beta) = (leaf([8], 4), leaf([8], 5));
    let f = |q: Tensor<3>| {
        let y = crate::attention(q.clone(), k.clone(), v.clone(), 2, None, 0.3, &Noise::new(3));
        crate::residual_layer_norm(y, q, 0.3, &Noise::new(4), gamma.clone(), beta.clone(), 1e-3)
            .powi_scalar(2)
            .sum()
    };
    let grads = f(q.clone()).backward();
    let direction = values(96, 77);
    let along: f32 = data(q.grad(&grads).unwrap()).iter().zip(&direction).map(|(g, d)| g * d).sum();
    let step = Tensor::<3>::from_data(TensorData::new(direction, shape), &device()) * 1e-2;
    let difference = data(f(q.clone() + step.clone()))[0] - data(f(q.clone() - step))[0];
    assert!((difference / 2e-2 - along).abs() < 2e-2 * along.abs().max(1.0), "{} {along}", difference / 2e-2);
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = leaf([7, 40, 24], 8);
            let (g, b) = (leaf([24], 9), leaf([24], 10));
            let noise = Noise::new(5);
            let y = crate::attention(x.clone(), x.clone(), x.clone(), 3, None, 0.1, &noise);
            let y = crate::residual_layer_norm(y, x.clone(), 0.1, &noise, g.clone(), b.clone(), 1e-12);
            let y = crate::dropout(crate::gelu(y), 0.1, &noise);
            let loss = crate::cross_entropy_rows(y.reshape([280, 24]), Tensor::zeros([280], &device()));
            let grads = loss.clone().sum().backward();
            [
                data(loss),
                data(x.grad(&grads).unwrap()),
                data(g.grad(&grads).unwrap()),
                data(b.grad(&grads).unwrap()),
            ]
        })
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(5));
}
