//! What holds beyond equality with the twins: the tape, extremes, threads, noise.

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::*;
use fn_ops::{MatmulPrecision, Noise, composed};

fn ids(ids: &[i32]) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(ids.to_vec(), [ids.len()]), &device())
}

/// Everything at once, on shapes large enough for several pieces of work: outputs and gradients.
fn a_bit_of_everything(seed: u64) -> Vec<Vec<f32>> {
    let [batch, length, width, vocabulary] = [4, 150, 96, 1000];
    let noise = Noise::new(seed);
    let table = leaf([vocabulary, width], 1, 1.0);
    let words: Vec<i32> = (0..batch * length).map(|i| (i * i % vocabulary) as i32).collect();
    let words = Tensor::<2, Int>::from_data(TensorData::new(words, [batch, length]), &device());
    let weights = [2, 3, 4].map(|seed| leaf([width, width], seed, 0.2));
    let biases = [5, 6, 7].map(|seed| leaf([width], seed, 0.2));
    let wide = leaf([width, 4 * width], 8, 0.2);
    let narrow = leaf([4 * width, width], 9, 0.2);
    let (gamma, beta) = (leaf([width], 10, 1.0), leaf([width], 11, 1.0));

    let x = fn_ops::dropout(fn_ops::embedding(table.clone(), words), 0.1, &noise);
    let [q, k, v] = [0, 1, 2].map(|i| fn_ops::linear(x.clone(), weights[i].clone(), Some(biases[i].clone())));
    let mixed = fn_ops::attention(q, k, v, 4, None, 0.1, &noise);
    let x = fn_ops::residual_layer_norm(mixed, x, 0.1, &noise, gamma.clone(), beta.clone(), 1e-12);
    let inner = fn_ops::gelu(fn_ops::linear(x.clone(), wide.clone(), None));
    let outer = fn_ops::linear(inner, narrow.clone(), None);
    let x = fn_ops::layer_norm(outer + x, gamma.clone(), beta.clone(), 1e-12);
    let rows = ids(&(0..100).map(|i| i * 5).collect::<Vec<_>>());
    let picked = fn_ops::select_rows(x.reshape([batch * length, width]), rows);
    let logits = fn_ops::linear(picked, table.clone().transpose(), None);
    let gold = ids(&(0..100).map(|i| i * 7 % 1000).collect::<Vec<_>>());
    let loss = fn_ops::cross_entropy_rows(logits.clone(), gold) + fn_ops::log_sum_exp(logits);
    results(
        loss,
        &[
            &table,
            &weights[0],
            &weights[1],
            &weights[2],
            &biases[0],
            &biases[1],
            &biases[2],
            &wide,
            &narrow,
            &gamma,
            &beta,
        ],
    )
}

/// Linear layers whose products, forward and backward, are cut in uneven ways: `[tokens, in, out]`.
fn layers() -> Vec<Vec<f32>> {
    let shapes =
        [[1600, 128, 64], [1601, 70, 65], [130, 700, 129], [2100, 640, 1], [2100, 1, 640], [3, 2000, 700]];
    let of = |[tokens, input, output]: [usize; 3]| {
        let (x, w, b) =
            (leaf([tokens, input], 1, 1.0), leaf([input, output], 2, 0.2), leaf([output], 3, 0.2));
        let y = fn_ops::linear(x.clone(), w.clone(), Some(b.clone()));
        results(y.clone() * y, &[&x, &w, &b])
    };
    shapes.into_iter().flat_map(of).collect()
}

#[test]
fn results_are_the_same_bits_with_any_number_of_threads_in_either_precision() {
    for precision in [MatmulPrecision::F32, MatmulPrecision::Bf16] {
        let with = |threads: usize, run: fn() -> Vec<Vec<f32>>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            bits(&pool.install(|| {
                fn_ops::set_matmul_precision(precision);
                run()
            }))
        };
        for run in [layers, || a_bit_of_everything(7)] {
            let one = with(1, run);
            for threads in 2..6 {
                assert!(one == with(threads, run), "{precision:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn products_that_are_split_between_threads_equal_their_twins() {
    let run = |linear: fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>) -> Tensor<2>| {
        let (x, w, b) = (leaf([700, 300], 1, 1.0), leaf([300, 260], 2, 0.2), leaf([260], 3, 0.2));
        let y = linear(x.clone(), w.clone(), Some(b.clone()));
        results(y, &[&x, &w, &b])
    };
    let (fused, composed) = (|x, w, b| fn_ops::linear(x, w, b), |x, w, b| composed::linear(x, w, b));
    assert_close(&run(fused), &run(composed), 2e-4);
    fn_ops::set_matmul_precision(MatmulPrecision::Bf16);
    // Both round the same operands. The twin rounds its result as well, by up to 1/128 between 2 and 4.
    let (fused, composed) = (run(fused), run(composed));
    fn_ops::set_matmul_precision(MatmulPrecision::F32);
    assert_close(&fused, &composed, 8e-3);
}

#[test]
fn only_dropout_depends_on_the_seed() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        bits(&pool.install(|| a_bit_of_everything(7)))
    };
    let one = with(1);
    assert!(one.iter().all(|r| !r.is_empty()));
    assert!(one == bits(&a_bit_of_everything(7)));
    assert!(one != bits(&a_bit_of_everything(8)), "another seed gives other noise");
}

#[test]
fn finite_differences_agree_with_the_gradient() {
    // Along a random direction: (f(x + hd) - f(x - hd)) / 2h = gradient . d, through attention, norm and GELU with dropout.
    let shape = [2, 20, 24];
    let (x, d) = (numbers(2 * 20 * 24, 1), numbers(2 * 20 * 24, 2));
    let f = |x: Tensor<3>| {
        let noise = Noise::new(3);
        let w = constant([24, 24], 4, 0.5);
        let (gamma, beta) = (constant([24], 5, 1.0), constant([24], 6, 1.0));
        let q = fn_ops::linear(x.clone(), w.clone(), None);
        let y = fn_ops::attention(q, x.clone(), x.clone(), 3, None, 0.2, &noise);
        let y = fn_ops::residual_layer_norm(fn_ops::gelu(y), x, 0.2, &noise, gamma, beta, 1e-5);
        (y * constant(shape, 7, 1.0)).sum()
    };
    let at = |x: Vec<f32>| Tensor::<3>::from_data(TensorData::new(x, shape), &device());
    let leaf = at(x.clone()).require_grad();
    let gradient = values(&leaf.grad(&f(leaf.clone()).backward()).unwrap());
    let expected: f64 = gradient.iter().zip(&d).map(|(g, d)| f64::from(g * d)).sum();
    let h = 1e-3;
    let moved = |h: f32| f(at(x.iter().zip(&d).map(|(x, d)| x + h * d).collect())).into_scalar::<f32>();
    let found = f64::from(moved(h) - moved(-h)) / (2.0 * f64::from(h));
    assert!((found - expected).abs() < 2e-3 * expected.abs().max(1.0), "{found} instead of {expected}");
}

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    let run = |fused: bool| {
        let x = leaf([2, 9, 16], 1, 1.0);
        let (g, b, w) = (leaf([16], 2, 1.0), leaf([16], 3, 1.0), leaf([16, 16], 4, 1.0));
        let none = Noise::none();
        let y = if fused {
            let y = fn_ops::attention(x.clone(), x.clone(), x.clone(), 2, None, 0.0, &none);
            let y = fn_ops::linear(y, w.clone(), None) * fn_ops::gelu(x.clone());
            let y = fn_ops::residual_layer_norm(y.clone(), y, 0.0, &none, g.clone(), b.clone(), 1e-6);
            fn_ops::linear(y, w.clone(), Some(b.clone()))
        } else {
            let y = composed::attention(x.clone(), x.clone(), x.clone(), 2, None, 0.0, &none);
            let y = composed::linear(y, w.clone(), None) * composed::gelu(x.clone());
            let y = composed::residual_layer_norm(y.clone(), y, 0.0, &none, g.clone(), b.clone(), 1e-6);
            composed::linear(y, w.clone(), Some(b.clone()))
        };
        results(y, &[&x, &g, &b, &w])
    };
    assert_close(&run(true), &run(false), 2e-4);
}

#[test]
fn gradients_reach_exactly_the_inputs_that_want_one() {
    // Of each input: 0 wants a gradient, 1 is a constant on the tape's device, 2 on the plain device.
    fn input<const D: usize>(kind: usize, shape: [usize; D], seed: u64) -> Tensor<D> {
        match kind {
            0 => leaf(shape, seed, 1.0),
            1 => constant(shape, seed, 1.0),
            _ => constant(shape, seed, 1.0).inner(),
        }
    }
    let all = || (0..27).map(|i| [i % 3, i / 3 % 3, i / 9]);
    for [a, b, c] in all() {
        let run = |op: usize, fused: bool| {
            let (q, k, v) = (input(a, [2, 5, 8], 1), input(b, [2, 5, 8], 2), input(c, [2, 5, 8], 3));
            let (w, bias) = (input(b, [8, 8], 4), input(c, [8], 5));
            let gamma = input(b, [8], 6);
            let none = Noise::none();
            let (out, leaves): (Tensor<3>, Vec<&dyn Leaf>) = match (op, fused) {
                (0, true) => (
                    fn_ops::attention(q.clone(), k.clone(), v.clone(), 2, None, 0.0, &none),
                    vec![&q, &k, &v],
                ),
                (0, false) => (
                    composed::attention(q.clone(), k.clone(), v.clone(), 2, None, 0.0, &none),
                    vec![&q, &k, &v],
                ),
                (1, true) => (fn_ops::linear(q.clone(), w.clone(), Some(bias.clone())), vec![&q, &w, &bias]),
                (1, false) => {
                    (composed::linear(q.clone(), w.clone(), Some(bias.clone())), vec![&q, &w, &bias])
                }
                (_, true) => (
                    fn_ops::layer_norm(q.clone(), gamma.clone(), bias.clone(), 1e-3),
                    vec![&q, &gamma, &bias],
                ),
                (_, false) => (
                    composed::layer_norm(q.clone(), gamma.clone(), bias.clone(), 1e-3),
                    vec![&q, &gamma, &bias],
                ),
            };
            let mut found = vec![values(&out)];
            if [a, b, c].contains(&0) {
                let out = (out.clone() * constant(out.dims(), 99, 1.0)).sum().backward();
                found.extend(leaves.iter().map(|leaf| leaf.gradient(&out)));
            }
            found
        };
        for op in 0..3 {
            let found = run(op, true);
            assert_close(&found, &run(op, false), 1e-4);
            for (kind, gradient) in [a, b, c].iter().zip(found.iter().skip(1)) {
                assert_eq!(*kind == 0, !gradient.is_empty(), "inputs {a} {b} {c} of operation {op}");
            }
        }
    }
}

#[test]
fn without_autodiff_the_values_are_the_same() {
    let (x, w) = (constant([3, 7, 12], 1, 1.0), constant([12, 12], 2, 1.0));
    let y = fn_ops::linear(fn_ops::gelu(x.clone()), w.clone(), None);
    let plain = fn_ops::linear(fn_ops::gelu(x.inner()), w.inner(), None);
    assert!(!plain.device().is_autodiff() && y.device().is_autodiff());
    assert_eq!(values(&y), values(&plain));
}

#[test]
fn gradient_checkpointing_uses_the_composed_operation() {
    let device = Device::flex().autodiff().gradient_checkpointing();
    let x = Tensor::<2>::from_data(TensorData::new(numbers(40, 1), [4, 10]), &device).require_grad();
    let found = values(&x.grad(&fn_ops::gelu(x.clone()).sum().backward()).unwrap());
    let y = leaf([4, 10], 1, 1.0);
    let expected = values(&y.grad(&fn_ops::gelu(y.clone()).sum().backward()).unwrap());
    assert_close(&[found], &[expected], 1e-6);
}

#[test]
fn a_sequence_of_padding_only_gives_equal_weights_and_finite_gradients() {
    let mask = Tensor::<2>::zeros([1, 6], &device());
    let [q, k, v] = [1, 2, 3].map(|seed| leaf([1, 6, 4], seed, 1.0));
    let y = fn_ops::attention(q.clone(), k.clone(), v.clone(), 2, Some(mask), 0.0, &Noise::none());
    let mean = values(&v.clone().mean_dim(1).repeat_dim(1, 6));
    let all = results(y, &[&q, &k, &v]);
    assert_close(&all[..1], &[mean], 1e-6);
    assert!(all.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn keys_and_values_at_padding_change_nothing_and_get_no_gradient() {
    let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]], &device());
    let with = |poison: f32| {
        let [q, k, v] = [1, 2, 3].map(|seed| {
            let mut x = numbers(24, seed);
            for token in [2, 4, 5] {
                x[token * 4..token * 4 + 4].fill(poison);
            }
            Tensor::<3>::from_data(TensorData::new(x, [1, 6, 4]), &device()).require_grad()
        });
        let q = constant([1, 6, 4], 1, 1.0) + q * 0.0;
        results(
            fn_ops::attention(q, k.clone(), v.clone(), 2, Some(mask.clone()), 0.3, &Noise::new(1)),
            &[&k, &v],
        )
    };
    let (quiet, loud) = (with(0.0), with(100.0));
    assert_eq!(quiet, loud);
    for token in [2, 4, 5] {
        assert!(loud[1..].iter().all(|g| g[token * 4..token * 4 + 4].iter().all(|&x| x == 0.0)));
    }
}

#[test]
fn scores_of_ten_thousand_stay_finite() {
    for size in [17.0, 1e4] {
        let q = leaf([1, 40, 4], 1, size);
        let [k, v] = [2, 3].map(|seed| leaf([1, 40, 4], seed, 1.0));
        let all = results(
            fn_ops::attention(q.clone(), k.clone(), v.clone(), 1, None, 0.0, &Noise::none()),
            &[&q, &k, &v],
        );
        assert!(all.iter().flatten().all(|x| x.is_finite()));
        let twin = results(
            composed::attention(q.clone(), k.clone(), v.clone(), 1, None, 0.0, &Noise::none()),
            &[&q, &k, &v],
        );
        assert_close(&all[..1], &twin[..1], 1e-2);
    }
}

#[test]
fn cross_entropy_of_extreme_logits_is_exact() {
    let logits = Tensor::<2>::from_floats(
        [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [17.0, -17.0, 0.0], [1e4, 9999.0, -1e4]],
        &device(),
    )
    .require_grad();
    let all = results(fn_ops::cross_entropy_rows(logits.clone(), ids(&[0, 0, 1, 1])), &[&logits]);
    assert_eq!(all[0][..2], [0.0, 2e4]);
    assert!((all[0][2] - 34.0).abs() < 1e-5 && (all[0][3] - 1.313_261_7).abs() < 1e-6);
    assert!(all[1].iter().all(|x| x.is_finite()));
}

#[test]
fn binary_cross_entropy_of_extreme_logits_is_exact() {
    let x = Tensor::<1>::from_floats([17.0, -104.0, -90.0, 1e4, -1e4, 0.0, 1e4], &device()).require_grad();
    let t = Tensor::<1>::from_floats([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0], &device());
    let y = values(&fn_ops::bce_with_logits(x.clone(), t.clone()));
    assert!((y[0] - 4.139_937_7e-8).abs() < 1e-13, "{}", y[0]);
    assert_eq!([y[2], y[3], y[4], y[6]], [90.0, 0.0, 0.0, 1e4]);
    assert!(y[1] >= 0.0 && y[1] < 1e-44 && (y[5] - std::f32::consts::LN_2).abs() < 1e-7);
    let slope = values(&x.grad(&fn_ops::bce_with_logits(x.clone(), t).sum().backward()).unwrap());
    assert_eq!(slope[1..], [0.0, -1.0, 0.0, 0.0, -0.5, 1.0]);
    // NaN is not hidden: the guard of the training loop must see it.
    let nan = Tensor::<1>::from_floats([f32::NAN], &device());
    assert!(values(&fn_ops::bce_with_logits(nan.clone(), nan.clone()))[0].is_nan());
    assert!(values(&fn_ops::gelu(nan.clone()))[0].is_nan());
    let row = nan.unsqueeze::<2>().repeat_dim(1, 40);
    assert!(values(&fn_ops::log_sum_exp(row))[0].is_nan());
}

#[test]
fn a_row_without_weight_passes_no_gradient_even_from_infinite_logits() {
    let logits = Tensor::<2>::from_floats([[f32::INFINITY, 0.0], [1.0, 2.0]], &device()).require_grad();
    let weight = Tensor::<1>::from_floats([0.0, 1.0], &device());
    let loss = fn_ops::cross_entropy_rows(logits.clone(), ids(&[1, 1]));
    let gradients = (loss.mask_fill(weight.clone().equal_elem(0.0), 0.0) * weight).sum().backward();
    let g = values(&logits.grad(&gradients).unwrap());
    assert_eq!(g[..2], [0.0, 0.0]);
    assert!((g[2] - 0.268_941_4).abs() < 1e-6);
}

#[test]
fn logits_that_are_used_again_later_are_not_overwritten() {
    let w = leaf([6, 50], 1, 1.0);
    let logits = fn_ops::linear(constant([3, 6], 2, 1.0), w, None);
    let before = values(&logits);
    let loss = fn_ops::cross_entropy_rows(logits.clone(), ids(&[1, 2, 3])).sum();
    let other = fn_ops::gelu(logits.clone()).sum();
    (loss + other).backward();
    assert_eq!(values(&logits), before);
}

#[test]
fn dropout_of_rate_zero_or_in_evaluation_returns_its_input_and_takes_no_seed() {
    let x = constant([3, 5], 1, 1.0);
    let noise = Noise::new(4);
    assert_eq!(values(&fn_ops::dropout(x.clone(), 0.0, &noise)), values(&x));
    assert_eq!(values(&fn_ops::dropout(x.clone(), 0.5, &Noise::none())), values(&x));
    assert_eq!(noise.next_seed(), Noise::new(4).next_seed());
    let dropped = values(&fn_ops::dropout(x.clone(), 0.5, &Noise::new(4)));
    assert_eq!(dropped, values(&fn_ops::dropout(x.clone(), 0.5, &Noise::new(4))));
    assert_ne!(dropped, values(&fn_ops::dropout(x, 0.5, &Noise::new(5))));
}

#[test]
fn empty_inputs_give_empty_outputs() {
    let empty = || Tensor::<2>::zeros([0, 8], &device());
    let one = || Tensor::<1>::ones([8], &device());
    assert_eq!(fn_ops::gelu(empty()).dims(), [0, 8]);
    assert_eq!(fn_ops::layer_norm(empty(), one(), one(), 1e-5).dims(), [0, 8]);
    assert_eq!(fn_ops::dropout(empty(), 0.5, &Noise::new(1)).dims(), [0, 8]);
    assert_eq!(fn_ops::linear(empty(), constant([8, 3], 1, 1.0), Some(constant([3], 2, 1.0))).dims(), [0, 3]);
}

#[test]
#[should_panic(expected = "id 5 is outside of 0..5")]
fn an_id_outside_of_the_table_is_named() {
    fn_ops::select_rows(constant([5, 2], 1, 1.0), ids(&[1, 5]));
}

#[test]
#[should_panic(expected = "linear: an input of width 4 for a weight of 3 x 2")]
fn shapes_that_do_not_fit_are_named() {
    fn_ops::linear(constant([1, 4], 1, 1.0), constant([3, 2], 1, 1.0), None);
}
