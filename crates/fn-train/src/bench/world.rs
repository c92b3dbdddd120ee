//! Steps of several processes: what each of them computes, waits and sends.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use fn_models::Cuts;
use serde::Serialize;

use super::{WARM_UP, Workload, prepared};
use crate::TrainError;
use crate::collective::{ARRIVAL, Buckets, Collective, Emulated, Link, Meeting, Mine, gather_equal, meet};
use crate::config::RunConfig;
use crate::machine::peak_memory;
use crate::objective::Share;
use crate::optim::{AdamW, Backward, Gradients, Groups, Updated, parameters};

/// Medians over the measured steps of one rank, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RankTimes {
    /// The rank.
    pub rank: usize,
    /// Forward and backward pass of its micro-batch.
    pub compute: f64,
    /// From the end of its backward pass until the last rank has ended its own.
    pub waiting: f64,
    /// Gradients, norm and weights under way between ranks; waiting for others during the backward pass is counted here.
    pub communication: f64,
    /// The part of it that is behind this rank's backward pass (`train.overlap`).
    pub overlap: f64,
    /// The update of the weights, and copies between device and messages.
    pub update: f64,
    /// The whole step.
    pub step: f64,
    /// Highest resident memory of the process, in bytes.
    pub memory_bytes: f64,
}

/// Steps of all ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct World {
    /// Trained parameters.
    pub parameters: usize,
    /// Buckets in which their gradients are sent.
    pub buckets: usize,
    /// Share of the parameters that are in no layer; their gradients are complete only at the end of the backward pass.
    pub tail: f64,
    /// What a rank sends in a step, in bytes.
    pub bytes_sent: f64,
    /// Tokens that all ranks together train on in a second.
    pub tokens_per_second: f64,
    /// The ranks.
    pub ranks: Vec<RankTimes>,
}

/// Measures steps of which every rank computes one micro-batch of `workload.batch` sequences of random words. With a `link`, as if each
/// rank were on a machine of its own with such a network ([`Emulated`]). All ranks call it.
///
/// # Errors
/// Sizes that do not fit together; ranks that do not come.
pub fn measure_world(
    config: &RunConfig,
    device: &Device,
    workload: &Workload,
    link: Option<Link>,
    ranks: &dyn Collective,
) -> Result<World, TrainError> {
    let emulated = link.map(|link| Emulated::new(ranks, link));
    let ranks = emulated.as_ref().map_or(ranks, |emulated| emulated as &dyn Collective);
    let (objective, mut model, batch) = prepared(config, device, workload)?;
    let mut optimizer = AdamW::new(config.optimizer.clone(), Groups::default());
    if config.optimizer.shard && ranks.world() > 1 {
        optimizer.shard(ranks, &model);
    }
    let trained = parameters(&model);
    let parameters: usize = trained.iter().map(|p| p.elements).sum();
    let buckets = Buckets::new(&trained, ranks.world());
    let tail = buckets.all().last().map_or(0, |last| last.slices.len()) as f64 / parameters as f64;
    let buckets = buckets.all().len();
    let part = Share { rows: 1.0 / ranks.world() as f64, tokens: 1.0 / ranks.world() as f64 };
    let overlap = config.overlaps() && ranks.world() > 1;
    let mut times: [Vec<f64>; 6] = Default::default();
    for step in 0..WARM_UP + workload.steps {
        meet(ranks, Meeting::step("the next step"))?;
        let (began, before) = (Instant::now(), ranks.exchanged());
        let (mine, computed) = match overlap {
            true => {
                let cuts = Cuts::default();
                let loss = objective.loss_cut(&model, &batch, part, step as u64, &cuts);
                (Backward::new(&model, loss.total, &cuts, Vec::new()).into(), None)
            }
            false => {
                let loss = objective.loss(&model, &batch, part, step as u64);
                let gradients = Gradients::from_backward(&model, loss.total.backward());
                // Reading the norm waits for an asynchronous device.
                let _ = gradients.norm();
                let computed = Instant::now();
                meet(ranks, ARRIVAL)?;
                (Mine::Whole(gradients), Some(computed))
            }
        };
        let updated = optimizer.step_of_ranks(ranks, model, mine, 1e-4, config.train.wire)?;
        let _ = optimizer.read_back();
        let all = began.elapsed().as_secs_f64();
        let exchanged = (ranks.exchanged() - before).as_secs_f64();
        let behind;
        Updated { model, behind } = updated;
        let computed = behind.map(|behind| behind.computed).or(computed).unwrap_or(began) - began;
        let hidden = behind.map_or(Duration::ZERO, |behind| behind.hidden).as_secs_f64();
        // All began together. The slowest ends last, and the others wait for its gradients.
        let meeting = Meeting::step("its times");
        let ends = gather_equal(ranks, meeting, &computed.as_secs_f64().to_le_bytes())?;
        let ends = ends.iter().flat_map(|bytes| bytemuck::pod_collect_to_vec::<u8, f64>(bytes));
        let computed = computed.as_secs_f64();
        let waiting = (ends.fold(0.0, f64::max) - computed).min(exchanged - hidden).max(0.0);
        let update = all - computed - (exchanged - hidden);
        if step >= WARM_UP {
            let found = [computed, waiting, exchanged - waiting, hidden, update, all];
            times.iter_mut().zip(found).for_each(|(times, new)| times.push(new));
        }
    }
    drop(Module::into_record(model));
    let [compute, waiting, communication, overlap, update, step] = times.map(median);
    let mine = [compute, waiting, communication, overlap, update, step, peak_memory() as f64];
    let all = gather_equal(ranks, Meeting::step("its times"), bytemuck::cast_slice(&mine))?;
    let times = |(rank, bytes): (usize, &Vec<u8>)| {
        let found: Vec<f64> = bytemuck::pod_collect_to_vec(bytes);
        let of = |index: usize| found.get(index).copied().unwrap_or(f64::NAN);
        RankTimes {
            rank,
            compute: of(0),
            waiting: of(1),
            communication: of(2),
            overlap: of(3),
            update: of(4),
            step: of(5),
            memory_bytes: of(6),
        }
    };
    let ranks_times: Vec<RankTimes> = all.iter().enumerate().map(times).collect();
    let slowest = ranks_times.iter().map(|times| times.step).fold(0.0, f64::max);
    let world = ranks.world() as f64;
    // Half of it gradients, half of it their sum, or with divided moments the weights, which are never rounded.
    let back = if config.optimizer.shard { 4 } else { config.train.wire.bytes() };
    let bytes = parameters as f64 * (config.train.wire.bytes() + back) as f64;
    Ok(World {
        parameters,
        buckets,
        tail,
        bytes_sent: bytes * (world - 1.0) / world,
        tokens_per_second: world * (workload.batch * workload.length) as f64 / slowest,
        ranks: ranks_times,
    })
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

impl World {
    /// As JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// As a table, times in milliseconds.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} ranks, {:.1} million parameters in {} buckets ({:.0} % outside of layers), each rank sends {:.1} MB a step, all together {:.0} tok/s\n",
            self.ranks.len(),
            self.parameters as f64 / 1e6,
            self.buckets,
            100.0 * self.tail,
            self.bytes_sent / 1e6,
            self.tokens_per_second,
        );
        out.push_str("rank   compute   waiting   communication   overlap    update      step   memory\n");
        for times in &self.ranks {
            let ms = |seconds: f64| format!("{:.1} ms", 1e3 * seconds);
            let _ = writeln!(
                out,
                "{:>4} {:>9} {:>9} {:>15} {:>9} {:>9} {:>9} {:>8}",
                times.rank,
                ms(times.compute),
                ms(times.waiting),
                ms(times.communication),
                ms(times.overlap),
                ms(times.update),
                ms(times.step),
                format!("{:.0} MB", times.memory_bytes / 1e6),
            );
        }
        let sum = |of: fn(&RankTimes) -> f64| self.ranks.iter().map(of).sum::<f64>();
        let (behind, all) = (sum(|times| times.overlap), sum(|times| times.communication));
        let share = if all > 0.0 { 100.0 * behind / all } else { 0.0 };
        let _ = writeln!(out, "{share:.0} % of the communication is behind the backward pass");
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collective::{Single, Threads};

    fn config(shard: bool) -> RunConfig {
        let mut config = RunConfig::default();
        config.model.arch = fn_models::Arch::Bert;
        config.model.num_layers = 1;
        config.model.hidden_size = 16;
        config.model.embedding_size = 16;
        config.model.num_heads = 2;
        config.model.intermediate_size = 32;
        // The generator of random numbers is one per process.
        (config.model.hidden_dropout, config.model.attention_dropout) = (0.0, 0.0);
        config.optimizer.shard = shard;
        config
    }

    #[test]
    fn the_parts_of_a_step_add_up_to_it_and_every_rank_is_listed() {
        let workload = Workload { batch: 2, length: 8, vocabulary: 100, lexicon_width: 1, steps: 3 };
        let alone = measure_world(&config(false), &Device::flex(), &workload, None, &Single).unwrap();
        assert_eq!((alone.ranks.len(), alone.bytes_sent), (1, 0.0));
        let found: Vec<World> = std::thread::scope(|scope| {
            let ranks = Threads::new(2, Duration::from_secs(60)).into_iter();
            let run = |ranks| {
                move || measure_world(&config(true), &Device::flex(), &workload, None, &ranks).unwrap()
            };
            let running: Vec<_> = ranks.map(|ranks| scope.spawn(run(ranks))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(found[0].ranks.iter().map(|times| times.rank).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(found[0].bytes_sent, found[0].parameters as f64 * 4.0);
        for times in &found[1].ranks {
            // Medians of the parts of three steps need not add up, but each is part of a step.
            assert!([times.compute, times.communication].iter().all(|part| *part > 0.0), "{times:?}");
            assert!(times.waiting >= 0.0 && times.update >= 0.0 && times.step > 0.0, "{times:?}");
            assert!(times.overlap >= 0.0 && times.overlap <= times.communication, "{times:?}");
        }
        let text = found[0].text();
        assert!(text.contains("2 ranks") && text.lines().count() == 5, "{text}");
    }
}
