//! The data loader of pre-training: batches of rows (training sequences) with masked positions.
//!
//! Batch `s` is a function of the seed, `s`, the rows and the corruption. Any number of worker threads delivers the same
//! batches in the same order, and a resumed run starts at any batch without making the earlier ones.
//!
//! A run may begin with a [`Stage`] of synthetic sequences. The batches of text after it have the same rows, with the same
//! masked positions, as in a run without the stage.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use fn_core::corrupt::{Corruptor, MaskRate};
use fn_core::noise::{Use, mix};

use crate::error::DataError;
use crate::mixture::{Mixture, MixtureOrder};
use crate::shard::Dataset;
use crate::synthetic::Synthetic;
pub use batch::MaskedBatch;
pub use growth::Growth;

/// Batches that each worker prefetches: enough to hide its latency, at little memory.
const AHEAD: usize = 2;

/// The micro-batches that a loader makes: of each step, the `rank`-th of `world` blocks of equal size. In distributed training, each
/// process makes its part of the micro-batches of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Number of the part, `0..world`.
    pub rank: u64,
    /// Number of parts, at least 1; divides the micro-batches of every step.
    pub world: u64,
}

impl Part {
    /// All micro-batches.
    pub const ALL: Part = Part { rank: 0, world: 1 };

    /// The number of the `n`-th micro-batch of this part since the micro-batch `start`, with which a step begins.
    fn number(self, steps: Growth, start: u64, n: u64) -> u64 {
        // The parts are equally large, so that this one has as many micro-batches before it as each of the others.
        let all = start + n * self.world;
        if self.world == 1 {
            return all;
        }
        let step = steps.step_of(all);
        let (begin, size) = (steps.before(step), steps.size(step));
        begin + self.rank * (size / self.world) + (all - begin) / self.world
    }
}

/// Settings of a loader.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderConfig {
    /// Batch size, in rows.
    pub batch: usize,
    /// Seed of the order of rows and of the corruption.
    pub seed: u64,
    /// Micro-batches of each step.
    pub steps: Growth,
    /// The micro-batches that are made.
    pub part: Part,
    /// Share of masked tokens by step; None: that of the corruption throughout.
    pub mask_rate: Option<MaskRate>,
    /// Number of worker threads; 0 makes each batch in the call of [`Loader::next`].
    pub workers: usize,
}

impl LoaderConfig {
    fn number(&self, start: u64, n: u64) -> u64 {
        self.part.number(self.steps, start, n)
    }
}

/// Batches of synthetic sequences at the start of a run.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Generator of the synthetic sequences.
    pub rows: Arc<Synthetic>,
    /// Number of synthetic batches; the batch with this number is the first one of text.
    pub batches: u64,
}

/// Makes a batch from its number.
#[derive(Clone)]
struct Maker {
    data: Mixture,
    corruptor: Arc<Corruptor>,
    config: LoaderConfig,
    order: MixtureOrder,
    stage: Option<Stage>,
}

impl Maker {
    fn make(&self, number: u64) -> MaskedBatch {
        let LoaderConfig { batch, seed, .. } = self.config;
        let length = self.data.length();
        let rate = match &self.config.mask_rate {
            Some(rate) => rate.at(self.config.steps.step_of(number)),
            None => self.corruptor.config().rate,
        };
        let rows = |step: u64| (0..batch).map(move |row| (step * batch as u64 + row as u64, row as u64));
        match &self.stage {
            Some(stage) if number < stage.batches => {
                // A different seed, so that the first synthetic batch and the first batch of text do not mask the same
                // positions.
                let seed = mix(&[seed, Use::Synthetic as u64]);
                let rows = rows(number).map(|(sample, row)| (stage.rows.row(sample, length), row));
                MaskedBatch::make(&self.corruptor, seed, number, length, rate, false, rows)
            }
            stage => {
                let step = number - stage.as_ref().map_or(0, |stage| stage.batches);
                let rows = rows(step).map(|(sample, row)| (self.data.row(&self.order, sample), row));
                MaskedBatch {
                    micro_batch: number,
                    ..MaskedBatch::make(
                        &self.corruptor,
                        seed,
                        step,
                        length,
                        rate,
                        self.data.separates_documents(),
                        rows,
                    )
                }
            }
        }
    }
}

/// An endless sequence of training batches.
pub struct Loader {
    maker: Maker,
    /// Number of the micro-batch at which counting begins.
    start: u64,
    /// Batches handed out.
    taken: u64,
    workers: Option<Workers>,
}

impl Loader {
    /// Batches from number `start` on; of a [`Part`], those of the step that begins there come first.
    ///
    /// # Errors
    /// A data set without rows.
    pub fn new(
        data: impl Into<Mixture>,
        corruptor: Arc<Corruptor>,
        config: LoaderConfig,
        start: u64,
    ) -> Result<Self, DataError> {
        Self::staged(data, corruptor, config, start, None)
    }

    /// Batches from number `start` on; with a `stage`, those before its end are synthetic.
    ///
    /// # Errors
    /// A data set without rows.
    pub fn staged(
        data: impl Into<Mixture>,
        corruptor: Arc<Corruptor>,
        config: LoaderConfig,
        start: u64,
        stage: Option<Stage>,
    ) -> Result<Self, DataError> {
        let data = data.into();
        if data.is_empty() {
            return Err(DataError::NoRows);
        }
        let order = data.order(config.seed);
        let maker = Maker { data, corruptor, config, order, stage };
        let workers = (config.workers > 0).then(|| Workers::start(&maker, start));
        Ok(Self { maker, start, taken: 0, workers })
    }

    /// The next batch.
    ///
    /// # Errors
    /// A worker thread that panicked.
    #[allow(clippy::should_implement_trait)] // it never ends, and it can fail
    pub fn next(&mut self) -> Result<MaskedBatch, DataError> {
        let batch = match &mut self.workers {
            None => self.maker.make(self.maker.config.number(self.start, self.taken)),
            Some(workers) => workers.take(self.taken)?,
        };
        self.taken += 1;
        Ok(batch)
    }

    /// Number of the next batch: the whole state of the loader, to be saved in a checkpoint. With a [`Part`], it is the same
    /// for all parts between two steps.
    pub fn position(&self) -> u64 {
        self.start + self.taken * self.maker.config.part.world
    }
}

/// Worker threads: each makes every n-th batch and sends it through its own channel.
struct Workers {
    /// The channels; the n-th batch comes from worker `n % count`.
    batches: Vec<Receiver<MaskedBatch>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(maker: &Maker, start: u64) -> Self {
        let count = maker.config.workers as u64;
        let mut batches = Vec::new();
        let mut threads = Vec::new();
        for first in 0..count {
            let (sender, receiver) = bounded(AHEAD);
            let maker = maker.clone();
            batches.push(receiver);
            threads.push(std::thread::spawn(move || work(&maker, start, (first, count), &sender)));
        }
        Self { batches, threads }
    }

    /// The `n`-th batch; they are taken in order.
    fn take(&self, n: u64) -> Result<MaskedBatch, DataError> {
        let worker = (n % self.batches.len() as u64) as usize;
        // A thread that panicked has dropped its sender.
        self.batches[worker].recv().map_err(|_| DataError::LoaderDied)
    }
}

fn work(maker: &Maker, start: u64, (first, every): (u64, u64), sender: &Sender<MaskedBatch>) {
    let mut n = first;
    // `send` fails once the loader is dropped.
    while sender.send(maker.make(maker.config.number(start, n))).is_ok() {
        n += every;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.batches.clear(); // lets senders fail
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Batches for evaluation on held-out text: rows in the order of the data set, at most `limit` batches, of which the last may
/// be smaller. Every call gives the same masked positions; a mask-rate schedule counts with its last rate.
pub fn fixed_batches(
    data: Arc<Dataset>,
    corruptor: Arc<Corruptor>,
    batch: usize,
    seed: u64,
    limit: usize,
) -> impl Iterator<Item = MaskedBatch> {
    let batch = batch.max(1);
    let count = data.len().div_ceil(batch).min(limit);
    let rate = corruptor.config().final_rate.unwrap_or(corruptor.config().rate);
    (0..count).map(move |step| {
        let first = step * batch;
        let rows = (first..(first + batch).min(data.len())).enumerate();
        let rows = rows.map(|(n, row)| (data.row(row), n as u64));
        MaskedBatch::make(
            &corruptor,
            seed,
            step as u64,
            data.length(),
            rate,
            data.separates_documents(),
            rows,
        )
    })
}

mod batch;
mod growth;

#[cfg(test)]
mod stage_tests;

#[cfg(test)]
mod tests {
    use fn_core::corrupt::CorruptionConfig;
    use fn_core::vocab::{SpecialIds, VocabFacts};

    use super::*;
    use crate::pack::PackedRow;

    const SPECIAL: SpecialIds = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

    fn data(rows: u32) -> Arc<Dataset> {
        let rows = (0..rows)
            .map(|r| {
                let used = 8 + (r % 9) as usize;
                let mut ids: Vec<u32> = (0..used as u32).map(|i| 5 + (r * 31 + i * 7) % 90).collect();
                ids[0] = 2;
                ids[used - 1] = 3;
                PackedRow { second: (used / 2) as u16, ids }
            })
            .collect();
        Arc::new(Dataset::from_rows(rows, 16).unwrap())
    }

    fn corruptor() -> Arc<Corruptor> {
        Arc::new(Corruptor::new(CorruptionConfig::default(), VocabFacts::plain(100, SPECIAL)).unwrap())
    }

    fn config(workers: usize) -> LoaderConfig {
        LoaderConfig {
            batch: 4,
            seed: 5,
            steps: Growth::constant(6),
            part: Part::ALL,
            mask_rate: None,
            workers,
        }
    }

    fn first(loader: &mut Loader, n: usize) -> Vec<MaskedBatch> {
        (0..n).map(|_| loader.next().unwrap()).collect()
    }

    #[test]
    fn any_number_of_threads_makes_the_same_batches_in_the_same_order() {
        let expected = first(&mut Loader::new(data(37), corruptor(), config(0), 0).unwrap(), 40);
        for workers in [1, 2, 4] {
            let mut loader = Loader::new(data(37), corruptor(), config(workers), 0).unwrap();
            assert_eq!(first(&mut loader, 40), expected, "{workers} workers");
        }
    }

    #[test]
    fn starting_at_a_number_equals_dropping_what_comes_before() {
        let all = first(&mut Loader::new(data(37), corruptor(), config(0), 0).unwrap(), 30);
        let mut resumed = Loader::new(data(37), corruptor(), config(2), 17).unwrap();
        assert_eq!(first(&mut resumed, 13), all[17..]);
        assert_eq!(resumed.position(), 30);
    }

    #[test]
    fn a_worker_that_panicked_is_an_error_and_not_a_deadlock() {
        let (sender, receiver) = bounded(1);
        drop(sender);
        let workers = Workers { batches: vec![receiver], threads: Vec::new() };
        assert!(matches!(workers.take(3), Err(DataError::LoaderDied)));
    }

    #[test]
    fn the_parts_of_a_step_are_the_batches_of_one_process() {
        let all = first(&mut Loader::new(data(37), corruptor(), config(0), 6).unwrap(), 24);
        for (count, workers) in [(6, 1), (3, 0), (2, 2), (1, 3)] {
            for rank in 0..6 / count {
                let part = Part { rank, world: 6 / count };
                let mut loader =
                    Loader::new(data(37), corruptor(), LoaderConfig { part, ..config(workers) }, 6).unwrap();
                for step in 0..4 {
                    assert_eq!(loader.position(), 6 + step * 6);
                    let from = (step * 6 + rank * count) as usize;
                    let mine = first(&mut loader, count as usize);
                    assert_eq!(mine, all[from..from + count as usize], "{part:?}, step {step}");
                }
            }
        }
    }

    #[test]
    fn the_parts_of_growing_steps_are_the_batches_of_one_process() {
        let steps = Growth::new(2, 6, 16); // 4 steps of 2, 2 of 4, then 6
        let one = LoaderConfig { steps, ..config(0) };
        let all = first(&mut Loader::new(data(37), corruptor(), one, 0).unwrap(), 34);
        for start in [0, 3, 5] {
            for rank in 0..2 {
                let mine = LoaderConfig { part: Part { rank, world: 2 }, workers: rank as usize * 2, ..one };
                let mut loader = Loader::new(data(37), corruptor(), mine, steps.before(start)).unwrap();
                for step in start..9 {
                    assert_eq!(loader.position(), steps.before(step));
                    let half = steps.size(step) / 2;
                    let from = (steps.before(step) + rank * half) as usize;
                    assert_eq!(
                        first(&mut loader, half as usize),
                        all[from..from + half as usize],
                        "{rank}, {step}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_mask_rate_schedule_masks_less_from_step_to_step_and_resumes() {
        let mask_rate = Some(MaskRate { from: 0.5, to: 0.1, steps: 8 });
        let falling = LoaderConfig { steps: Growth::constant(2), mask_rate, ..config(0) };
        let masked = |batch: &MaskedBatch| batch.weight.iter().sum::<f32>();
        let all = first(&mut Loader::new(data(37), corruptor(), falling, 0).unwrap(), 24);
        let counts: Vec<f32> = all.chunks(2).map(|step| step.iter().map(masked).sum()).collect();
        assert!(counts[0] > 3.0 * counts[8] && counts[3] > counts[8], "{counts:?}");
        assert_eq!(all[0].positions.len(), 4 * 8); // (0.5 + 0.005) 16
        assert_eq!(all[16].positions.len(), 4);
        let mut resumed = Loader::new(data(37), corruptor(), falling, 7).unwrap();
        assert_eq!(first(&mut resumed, 9), all[7..16]);
        // A schedule that does not change is none.
        let same = Some(MaskRate { from: 0.15, to: 0.15, steps: 8 });
        let constant = LoaderConfig { mask_rate: same, ..falling };
        let plain = first(&mut Loader::new(data(37), corruptor(), config(0), 0).unwrap(), 20);
        assert_eq!(first(&mut Loader::new(data(37), corruptor(), constant, 0).unwrap(), 20), plain);
    }

    #[test]
    fn gold_ids_are_the_original_ids_at_the_masked_positions() {
        for batch in fixed_batches(data(37), corruptor(), 4, 1, usize::MAX) {
            assert!(batch.weight.contains(&1.0));
            for (p, &weight) in batch.weight.iter().enumerate() {
                if weight == 1.0 {
                    let flat = batch.positions[p] as usize;
                    assert_eq!(batch.original[flat], batch.gold[p]);
                    assert_eq!(batch.attention[flat], 1.0);
                } else {
                    assert_eq!((batch.positions[p], batch.gold[p]), (0, SPECIAL.pad));
                }
            }
            for (flat, &real) in batch.attention.iter().enumerate() {
                assert_eq!(real == 0.0, batch.original[flat] == SPECIAL.pad);
            }
        }
    }

    #[test]
    fn held_out_batches_cover_every_row_once_and_are_the_same_each_time() {
        let take = || fixed_batches(data(37), corruptor(), 4, 1, usize::MAX).collect::<Vec<_>>();
        let batches = take();
        assert_eq!(batches.iter().map(|b| b.batch).sum::<usize>(), 37);
        assert_eq!(batches.last().map(|b| b.batch), Some(1));
        assert_eq!(batches, take());
        assert_eq!(fixed_batches(data(37), corruptor(), 4, 1, 3).count(), 3);
    }

    #[test]
    fn an_empty_data_set_is_an_error() {
        let empty = Arc::new(Dataset::from_rows(Vec::new(), 16).unwrap());
        assert!(matches!(Loader::new(empty, corruptor(), config(1), 0), Err(DataError::NoRows)));
    }
}
