//! Attention within windows and documents, over long rows and with rotary positions, equals its composed twin.

mod common;

use burn::tensor::{Tensor, TensorData};
use common::*;
use fn_ops::{Documents, Noise, Reach, Rotary, composed};
use proptest::prelude::*;

fn lies() -> impl Strategy<Value = Lies> {
    proptest::sample::select(ALL.to_vec())
}

/// Rows that end in padding, have a hole, or are all padding.
fn mask(batch: usize, length: usize, seed: u64) -> Tensor<2> {
    let real = |b: usize, l: usize| match (b + seed as usize) % 4 {
        0 => l < length - length / 3,
        1 => l % 7 != 3,
        2 => true,
        _ => false,
    };
    let mask: Vec<f32> =
        (0..batch * length).map(|i| f32::from(u8::from(real(i / length, i % length)))).collect();
    Tensor::from_data(TensorData::new(mask, [batch, length]), &device())
}

/// One to five documents in each row.
fn documents(batch: usize, length: usize, seed: u64) -> Documents {
    let row = |b: usize| {
        let places = numbers(4, seed ^ (b as u64 * 77)).into_iter();
        let mut starts: Vec<usize> = places.map(|x| ((x + 1.0) / 2.0 * length as f32) as usize).collect();
        starts.retain(|&start| start < length);
        starts.sort_unstable();
        starts.dedup();
        starts
    };
    Documents::new((0..batch).map(row).collect(), length)
}

fn reach(window: Option<usize>, packed: bool, [batch, length]: [usize; 2], seed: u64) -> Reach {
    Reach { window, documents: packed.then(|| documents(batch, length, seed)) }
}

fn windows() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![
        Just(None),
        (0usize..9).prop_map(Some),
        (30usize..90).prop_map(Some),
        (500usize..700).prop_map(Some)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn attention_within_a_reach_equals_its_twin(
        batch in 1usize..4,
        length in prop_oneof![1usize..40, 120usize..140, 190usize..200],
        heads in 1usize..3,
        size in 1usize..12,
        lies in lies(),
        window in windows(),
        (packed, masked) in any::<(bool, bool)>(),
        seed in 0u64..1 << 40,
    ) {
        let shape = [batch, length, heads * size];
        let (reach, none) = (reach(window, packed, [batch, length], seed), Noise::none());
        let run = |fused: bool| {
            let views: Vec<_> = (0..3).map(|i| viewed(lies, shape, seed + i, 1.5)).collect();
            let [q, k, v] = [0, 1, 2].map(|i| views[i].1.clone());
            let mask = masked.then(|| mask(batch, length, seed));
            let y = match fused {
                true => fn_ops::attention_within(q, k, v, heads, mask, &reach, 0.0, &none),
                false => composed::attention_within(q, k, v, heads, mask, &reach, 0.0, &none),
            };
            results(y, &[&views[0].0, &views[1].0, &views[2].0])
        };
        assert_close(&run(true), &run(false), 2e-5);
    }

    #[test]
    fn rotary_attention_equals_its_twin(
        batch in 1usize..4,
        length in prop_oneof![1usize..40, 120usize..140],
        heads in 1usize..3,
        half in 1usize..10,
        lies in lies(),
        window in windows(),
        (packed, masked) in any::<(bool, bool)>(),
        seed in 0u64..1 << 40,
    ) {
        let (reach, none) = (reach(window, packed, [batch, length], seed), Noise::none());
        let rotary = Rotary::new(length + seed as usize % 3, 2 * half, 160.0);
        let run = |fused: bool| {
            let (leaf, qkv) = viewed(lies, [batch, length, 3 * heads * 2 * half], seed, 1.5);
            let mask = masked.then(|| mask(batch, length, seed));
            let y = match fused {
                true => fn_ops::rotary_attention(qkv, heads, &rotary, mask, &reach, 0.0, &none),
                false => composed::rotary_attention(qkv, heads, &rotary, mask, &reach, 0.0, &none),
            };
            results(y, &[&leaf])
        };
        assert_close(&run(true), &run(false), 2e-5);
    }

    #[test]
    fn geglu_equals_its_twin(shape in [1usize..6, 1..9, 1..70], lies in lies(), size in 0.1f32..12.0, seed: u64) {
        let run = |f: fn(Tensor<3>) -> Tensor<3>| {
            let (leaf, x) = viewed(lies, [shape[0], shape[1], 2 * shape[2]], seed, size);
            results(f(x), &[&leaf])
        };
        // An absolute error of GELU below 6e-7, times the other half.
        assert_close(&run(fn_ops::geglu), &run(composed::geglu), 6e-7 * size.max(4.0));
    }
}

/// Rows of several blocks of keys, so that the largest score and the sum run from block to block.
#[test]
fn long_rows_equal_their_twin_with_every_reach_and_every_mask() {
    let length = 1_300;
    for (case, (window, packed)) in
        [(None, false), (None, true), (Some(64), false), (Some(700), false), (Some(400), true)]
            .into_iter()
            .enumerate()
    {
        for masked in [false, true] {
            let seed = case as u64;
            let reach = reach(window, packed, [2, length], seed);
            let run = |fused: bool| {
                // Scores that grow along the row: the largest one moves to the last block.
                let rising: Vec<f32> =
                    (0..2 * length * 8).map(|i| 1.0 + (i / 8 % length) as f32 / 200.0).collect();
                let rising = Tensor::<3>::from_data(TensorData::new(rising, [2, length, 8]), &device());
                let leaves = [0, 1, 2].map(|i| leaf([2, length, 8], seed + i, 1.0));
                let [q, k, v] = leaves.clone();
                let (k, mask) = (k * rising, masked.then(|| mask(2, length, seed)));
                let y = match fused {
                    true => fn_ops::attention_within(q, k, v, 2, mask, &reach, 0.0, &Noise::none()),
                    false => composed::attention_within(q, k, v, 2, mask, &reach, 0.0, &Noise::none()),
                };
                results(y, &[&leaves[0], &leaves[1], &leaves[2]])
            };
            assert_close(&run(true), &run(false), 4e-5);
        }
    }
}

/// The factors of dropout are those of the whole row, whatever the blocks.
#[test]
fn dropout_in_long_rows_and_windows_multiplies_the_weights_by_its_factors() {
    let (length, rate, seed) = (700, 0.3, 5);
    let factors = fn_ops::dropout_factors(length, length, rate, Noise::new(seed).next_seed());
    let factors = Tensor::<2>::from_data(TensorData::new(factors, [length, length]), &device());
    for window in [None, Some(40)] {
        let reach = Reach { window, documents: None };
        let run = |fused: bool| {
            let [q, k, v] = [0, 1, 2].map(|i| leaf([1, length, 6], i, 1.0));
            let y = match fused {
                true => {
                    let (q, k, v) = (q.clone(), k.clone(), v.clone());
                    fn_ops::attention_within(q, k, v, 1, None, &reach, rate, &Noise::new(seed))
                }
                false => {
                    let rows = |x: &Tensor<3>| x.clone().reshape([length, 6]);
                    let scores = rows(&q).matmul(rows(&k).transpose()) / 6f64.sqrt();
                    let near: Vec<f32> = (0..length * length)
                        .map(|i| (i / length).abs_diff(i % length))
                        .map(|far| if window.is_some_and(|w| far > w) { -1e9 } else { 0.0 })
                        .collect();
                    let near = Tensor::<2>::from_data(TensorData::new(near, [length, length]), &device());
                    let weights = burn::tensor::activation::softmax(scores + near, 1) * factors.clone();
                    weights.matmul(rows(&v)).reshape([1, length, 6])
                }
            };
            results(y, &[&q, &k, &v])
        };
        assert_close(&run(true), &run(false), 2e-5);
    }
}

/// Packing: what a document gives does not depend on what stands beside it, to the last bit.
#[test]
fn a_document_in_a_packed_row_gives_what_it_gives_alone() {
    let (first, second, width) = (37, 150, 8);
    let length = first + second;
    let rotary = Rotary::new(length, 4, 10_000.0);
    for window in [None, Some(10)] {
        let packed = Reach { window, documents: Some(Documents::new(vec![vec![0, first]], length)) };
        let alone = Reach { window, documents: None };
        let qkv = leaf([1, length, 3 * width], 3, 1.0);
        let run = |qkv: Tensor<3>, reach: &Reach| {
            values(&fn_ops::rotary_attention(qkv, 2, &rotary, None, reach, 0.0, &Noise::none()))
        };
        let together = run(qkv.clone(), &packed);
        let parts = [
            run(qkv.clone().slice([0..1, 0..first, 0..3 * width]), &alone),
            run(qkv.slice([0..1, first..length, 0..3 * width]), &alone),
        ];
        assert_eq!(together, parts.concat());
    }
}
