//! Moments that are divided among ranks, of parameters that are larger than a block.

use std::time::Duration;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use fn_core::noise::{Stream, Use};
use fn_models::params;

use super::super::{AdamW, AdamWConfig, Gradients, Groups};
use crate::collective::{Collective, Threads, Wire, tree};

#[derive(Module, Debug)]
struct Weights {
    never: Param<Tensor<1>>,
    small: Param<Tensor<1>>,
    table: Param<Tensor<2>>,
}

/// 3.7 blocks, so that slices end within it.
const TABLE: [usize; 2] = [200, 303];
const WORLD: usize = 4;

fn noise(step: u64, which: u64, n: usize) -> TensorData {
    let mut stream = Stream::new(5, step, which, Use::Test);
    TensorData::new((0..n).map(|_| stream.unit() as f32 - 0.5).collect::<Vec<f32>>(), [n])
}

fn weights() -> Weights {
    let device = Device::flex().autodiff();
    let of = |which, n| Tensor::<1>::from_data(noise(0, which, n), &device);
    Weights {
        never: Param::from_tensor(of(1, 20_000)),
        small: Param::from_tensor(of(2, 7)),
        table: Param::from_tensor(of(3, TABLE[0] * TABLE[1]).reshape(TABLE)),
    }
}

/// Gradients of one rank; `small` has one on rank 1 only, and from the second step on. One step is not finite.
fn of_rank(step: u64, rank: u64) -> Gradients {
    let device = Device::flex();
    let mut gradients = Gradients::default();
    let table = Tensor::from_data(noise(step, 10 + rank, TABLE[0] * TABLE[1]), &device);
    gradients.set("table", if (step, rank) == (3, 2) { table / 0.0 } else { table });
    if rank == 1 && step > 1 {
        gradients.set("small", Tensor::from_data(noise(step, 20, 7), &device));
    }
    gradients
}

/// Weights, moments and norms after five steps; the fourth and fifth by an optimiser that was restored from the moments.
type Bits = (Vec<Vec<u32>>, Vec<(String, Vec<usize>, Vec<u32>)>, Vec<u64>);

fn bits(model: &Weights, state: Vec<params::NamedTensor>, norms: Vec<f64>) -> Bits {
    let of = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    let weights = params::collect(model).iter().map(|t| of(&t.data)).collect();
    let state = state.into_iter().map(|t| (t.name, t.shape, of(&t.data))).collect();
    (weights, state, norms.iter().map(|norm| norm.to_bits()).collect())
}

fn alone(config: &AdamWConfig) -> Bits {
    let (mut model, mut norms) = (weights(), Vec::new());
    let mut optimizer = AdamW::new(config.clone(), Groups::default());
    for step in 1..=5 {
        let ranks: Vec<u64> = (0..WORLD as u64).collect();
        let add = |mut a: Gradients, b| {
            a.accumulate(b);
            a
        };
        let sum = tree::sum(&ranks, |rank| of_rank(step, *rank), add).unwrap();
        let update;
        (model, update) = optimizer.step(model, sum, 0.01);
        norms.push(update.grad_norm);
    }
    bits(&model, optimizer.state(), norms)
}

fn together(config: &AdamWConfig, ranks: &Threads) -> Bits {
    let (mut model, mut norms) = (weights(), Vec::new());
    let mut optimizer = AdamW::new(config.clone(), Groups::default());
    optimizer.shard(ranks, &model);
    for step in 1..=5 {
        if step == 4 {
            // All moments on rank 0, from where each rank takes its share again.
            let state = optimizer.state_of(ranks).unwrap();
            let text: Vec<u8> = state.iter().flat_map(|t| bytemuck::cast_slice(&t.data).to_vec()).collect();
            let all = crate::collective::gather(ranks, crate::collective::ARRIVAL, &text).unwrap();
            let names: Vec<(String, Vec<usize>)> =
                ["m.small", "m.table", "v.small", "v.table"].map(named).into();
            let mut values: std::vec::IntoIter<f32> = bytemuck::pod_collect_to_vec(&all[0]).into_iter();
            let mut take = |(name, shape): (String, Vec<usize>)| {
                let data = values.by_ref().take(shape.iter().product()).collect();
                params::NamedTensor { name, shape, data }
            };
            let state = names.into_iter().map(&mut take).collect();
            let updates = optimizer.updates();
            optimizer = AdamW::new(config.clone(), Groups::default());
            optimizer.load_state(&model, state, updates).unwrap();
            optimizer.shard(ranks, &model);
        }
        let mine = of_rank(step, ranks.rank() as u64);
        model = optimizer.step_of_ranks(ranks, model, mine, 0.01, Wire::F32).unwrap().model;
        norms.push(optimizer.read_back()[0].grad_norm);
    }
    bits(&model, optimizer.state_of(ranks).unwrap(), norms)
}

fn named(name: &str) -> (String, Vec<usize>) {
    (name.to_owned(), if name.ends_with("table") { TABLE.to_vec() } else { vec![7] })
}

#[test]
fn divided_moments_have_the_bits_of_whole_ones() {
    let stable = AdamWConfig { bias_correction: true, update_clipping: true, ..AdamWConfig::default() };
    for config in [AdamWConfig::default(), stable] {
        let expected = alone(&config);
        assert!(f64::from_bits(expected.2[2]).is_infinite() || f64::from_bits(expected.2[2]).is_nan());
        assert_eq!(
            expected.1.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(),
            ["m.small", "m.table", "v.small", "v.table"]
        );
        let found: Vec<Bits> = std::thread::scope(|scope| {
            let ranks = Threads::new(WORLD, Duration::from_secs(60)).into_iter();
            let config = &config;
            let running: Vec<_> = ranks.map(|ranks| scope.spawn(move || together(config, &ranks))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (rank, (weights, state, norms)) in found.into_iter().enumerate() {
            assert!(weights == expected.0, "weights of rank {rank}");
            assert!(norms == expected.2, "norms of rank {rank}: {norms:?} {:?}", expected.2);
            // Rank 0 has all moments, the others none.
            assert!(if rank == 0 { state == expected.1 } else { state.is_empty() }, "moments of rank {rank}");
        }
    }
}
