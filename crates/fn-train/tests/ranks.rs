//! The same bits on 1, 2 and 4 ranks, which here are threads: weights, moments, state and everything that is reported; with moments
//! that every rank has and with moments that are divided among them.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burn::tensor::Device;
use fn_core::correct::Resources;
use fn_core::corrupt::Corruptor;
use fn_core::judge::{All, Bands, DeviceLexicon, Judge, LexiconJudge, Verifier};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::vocab::{SpecialIds, VocabFacts};
use fn_data::loader::MaskedBatch;
use fn_data::mixture::Mixture;
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use fn_models::{Arch, Cuts, Pretrained};
use fn_train::checkpoint::{Checkpoints, TrainState, load};
use fn_train::collective::{Collective, CollectiveError, Meeting, Threads, Wire};
use fn_train::config::{CorrectionConfig, CorrectionPreset, MixtureSource, RunConfig};
use fn_train::error::TrainError;
use fn_train::model;
use fn_train::objective::{self, Judging, Meters, MovingAverage, Objective, Share, StepLoss};
use fn_train::optim::{AdamW, Groups};
use fn_train::pretraining::{HeldOut, Inputs, Pretraining};
use fn_train::report::{ReportError, Reporter, StepReport};
use fn_train::stop::Stop;
use fn_train::training_loop::{Start, Together, train_together};

const VOCABULARY: usize = 40;
const LENGTH: usize = 12;
const MASK: u32 = 4;
const STEPS: u64 = 8;

/// The generator of random numbers is one per process, so the ranks that are threads take turns with it.
struct OneAtATime(Box<dyn Objective>);

static GENERATOR: Mutex<()> = Mutex::new(());

impl Objective for OneAtATime {
    fn detects(&self) -> bool {
        self.0.detects()
    }

    fn loss(&self, model: &Pretrained, batch: &MaskedBatch, share: Share, seed: u64) -> StepLoss {
        let _turn = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.loss(model, batch, share, seed)
    }

    fn loss_cut(
        &self,
        model: &Pretrained,
        batch: &MaskedBatch,
        share: Share,
        seed: u64,
        cuts: &Cuts,
    ) -> StepLoss {
        let _turn = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.loss_cut(model, batch, share, seed, cuts)
    }

    fn judging(&self) -> &Judging {
        self.0.judging()
    }

    fn measure(&self, model: &Pretrained, batch: &MaskedBatch, index: u64, meters: &mut Meters<'_>) {
        let _turn = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.measure(model, batch, index, meters);
    }
}

/// Remembers what is reported, and asks for a stop after a step.
struct Log {
    lines: Vec<String>,
    stop: Stop,
    stop_after: Option<u64>,
}

impl Reporter for Log {
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError> {
        if self.stop_after == Some(report.step) {
            self.stop.request();
        }
        self.lines.push(format!("{:?}", StepReport { seconds: 0.0, waited: 0.0, ..report.clone() }));
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.lines.push(format!("{step} {metrics:?}"));
        Ok(())
    }
}

fn rows(count: u32) -> Arc<Dataset> {
    let row = |r: u32| {
        let used = 6 + r % (LENGTH as u32 - 5);
        let mut ids: Vec<u32> = (0..used).map(|i| 5 + (r * 13 + i * i * 3) % 35).collect();
        ids[0] = 2;
        ids[used as usize - 1] = 3;
        PackedRow { second: (used / 2) as u16, ids }
    };
    Arc::new(Dataset::from_rows((0..count).map(row).collect(), LENGTH).unwrap())
}

fn config(arch: Arch, accumulation: usize) -> RunConfig {
    let mut run = RunConfig::default();
    run.model.arch = arch;
    run.model.hidden_size = 16;
    run.model.embedding_size = 16;
    run.model.num_layers = 1;
    run.model.num_heads = 2;
    run.model.intermediate_size = 32;
    run.model.max_positions = LENGTH;
    run.model.generator_width = 0.5;
    run.data.length = LENGTH;
    run.train.batch = 3;
    run.train.accumulation = accumulation;
    run.train.overlap = true;
    run.train.steps = STEPS;
    run.schedule.lr = 2e-3;
    run.schedule.warmup = 2;
    run.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
    run.eval.every = 4;
    run.eval.batches = 2;
    run.log.every = 1;
    run.checkpoint.every = 3;
    assert!(run.model.hidden_dropout > 0.0 && run.model.attention_dropout > 0.0);
    run
}

/// Words that are neighbours by number fit in place of each other, where the moving average of the model finds them likely enough.
fn judging(device: &Device) -> Judging {
    let pairs = (5..VOCABULARY as u32).map(|w| (w, vec![if w % 2 == 1 { (w + 1).min(39) } else { w - 1 }]));
    let pairs = pairs.filter(|(w, others)| others[0] != *w && others[0] >= 5);
    let lexicon = Lexicon::from_rows(VOCABULARY, pairs, LexiconInfo::default()).unwrap();
    let lexicon = DeviceLexicon::new(&lexicon, None, device);
    let average = Arc::new(MovingAverage::new(0.9));
    let verifier = Verifier::new(average.clone(), MASK, Bands::default());
    let by_lexicon = LexiconJudge::new(lexicon);
    let judges: Vec<Box<dyn Judge>> = vec![Box::new(by_lexicon.clone()), Box::new(verifier)];
    Judging {
        average: Some(average),
        measured_by: Some(Box::new(by_lexicon)),
        ..Judging::by(Box::new(All(judges)))
    }
}

struct Outcome {
    lines: Vec<String>,
    step: u64,
    complete: bool,
}

/// One rank of a process that goes on from the newest checkpoint in `dir`.
fn rank(
    config: &RunConfig,
    ranks: &dyn Collective,
    dir: &Path,
    stop_after: Option<u64>,
) -> Result<Outcome, TrainError> {
    // A configuration that names a mixture is trained on one, without its files.
    let data = match config.data.mixture.is_empty() {
        true => rows(50).into(),
        false => Mixture::new(vec![(rows(50), 1.0), (rows(7), 2.0)]).unwrap(),
    };
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let special = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: MASK };
    let corruptor =
        Arc::new(Corruptor::new(config.corruption.clone(), VocabFacts::plain(VOCABULARY, special)).unwrap());
    let objective = objective::build(config, &Resources::default(), judging(&plain), device.clone()).unwrap();
    let objective = OneAtATime(objective);
    let (model, _) = model::initial(&config.model, VOCABULARY, 0, config.seed, &device).unwrap();
    let optimizer = AdamW::new(config.optimizer.clone(), Groups::default());
    let checkpoints = Checkpoints::new(dir, 2, false);
    let average = Arc::new(MovingAverage::of_weights(0.8));
    let start = match checkpoints.latest().unwrap() {
        Some(found) => {
            let mut loaded = load(&found.path).unwrap();
            objective.restore(&model, &mut loaded.optim);
            let averaged = MovingAverage::taken_from(&mut loaded.optim);
            assert!(!averaged.is_empty());
            let start = Start::resumed(model, optimizer, loaded).unwrap();
            average.resume(&start.model, averaged).unwrap();
            start
        }
        None => {
            objective.follow(&model);
            average.resume(&model, BTreeMap::new()).unwrap();
            Start::new(model, optimizer, config.seed)
        }
    };
    if config.optimizer.shard && ranks.world() > 1 {
        average.divide(ranks);
    }
    let (signal, agreed) = (Stop::new(), Stop::new());
    let mut log = Log { lines: Vec::new(), stop: signal.clone(), stop_after };
    let held_out = Some(HeldOut { data: rows(9), truth: None });
    let inputs = Inputs { data, corruptor, held_out };
    let state = &start.state;
    let training = Pretraining::of_ranks(config, &objective, inputs, state, &mut log, &agreed, ranks)?
        .with_average(Some(average));
    let together = Together { ranks, signal: &signal };
    let ended = train_together(training, start, Some(&checkpoints), 3, &agreed, together)?;
    let (step, complete) = (ended.state.step, ended.complete);
    drop(ended);
    Ok(Outcome { lines: log.lines, step, complete })
}

/// All ranks of a process; rank 1 (or the only one) is asked to stop after `stop_after`.
fn process(config: &RunConfig, world: usize, dir: &Path, stop_after: Option<u64>) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let running: Vec<_> = Threads::new(world, Duration::from_secs(120))
            .into_iter()
            .map(|ranks| {
                let stop_after = stop_after.filter(|_| ranks.rank() == 1 || world == 1);
                scope.spawn(move || rank(config, &ranks, dir, stop_after).unwrap())
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Names of the files in which two checkpoints differ.
fn differing(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}

/// The files of the newest checkpoint.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let newest = Checkpoints::new(dir, 2, false).latest().unwrap().unwrap().path;
    let read = |file: std::fs::DirEntry| {
        (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
    };
    std::fs::read_dir(newest).unwrap().map(|file| read(file.unwrap())).collect()
}

/// With moments that every rank has, and with divided ones, of which four ranks write what two of the other kind read.
fn any_number_of_ranks_is_one_process(config: &RunConfig) {
    let mut sharded = config.clone();
    sharded.optimizer.shard = true;
    let (mut after, mut sharded_after) = (config.clone(), sharded.clone());
    (after.train.overlap, sharded_after.train.overlap) = (false, false);
    assert!(config.overlaps() && !after.overlaps());
    let kinds = [config, &sharded];
    let alone = tempfile::tempdir().unwrap();
    let expected = process(config, 1, alone.path(), None).remove(0);
    assert!(expected.complete && expected.lines.len() as u64 == STEPS + 2, "{:?}", expected.lines);
    let weights = files(alone.path());
    assert!(weights.len() == 4 && weights.contains_key("optimizer.safetensors"));

    let all = [(2, config), (4, config), (2, &sharded), (4, &sharded), (2, &after), (4, &sharded_after)];
    for (world, config) in all {
        let dir = tempfile::tempdir().unwrap();
        let (shard, overlap) = (config.optimizer.shard, config.train.overlap);
        let which = format!("{world} ranks, shard = {shard}, overlap = {overlap}");
        for outcome in process(config, world, dir.path(), None) {
            assert_eq!(outcome.lines, expected.lines, "{which}");
        }
        assert_eq!(differing(&files(dir.path()), &weights), [""; 0], "{which}");
    }

    // Stopped with four, again with two, finished by one.
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    for (index, (world, stop_after)) in [(4, Some(2)), (2, Some(5)), (1, None)].into_iter().enumerate() {
        let mut outcomes = process(kinds[(index + 1) % 2], world, dir.path(), stop_after);
        for outcome in &outcomes {
            assert_eq!((outcome.step, outcome.complete), (stop_after.unwrap_or(STEPS), stop_after.is_none()));
        }
        lines.extend(outcomes.remove(0).lines);
    }
    assert_eq!(lines, expected.lines);
    // `serde_json` reads a number that it wrote up to one unit in the last place off, so `best` of a resumed run may be off so far, on any
    // number of ranks; the manifest holds the hash of that file.
    let found = files(dir.path());
    let differing = differing(&found, &weights);
    assert!(differing.iter().all(|name| matches!(&**name, "state.json" | "manifest.json")), "{differing:?}");
    let state = |files: &BTreeMap<String, Vec<u8>>| -> TrainState {
        serde_json::from_slice(&files["state.json"]).unwrap()
    };
    let (mut found, expected) = (state(&found), state(&weights));
    let (best, of_one) = (found.best.as_mut().unwrap(), expected.best.as_ref().unwrap());
    assert!((best.value - of_one.value).abs() <= 4.0 * f64::EPSILON * of_one.value.abs());
    best.value = of_one.value;
    assert_eq!(found, expected);
}

#[test]
fn electra_has_the_same_bits_on_any_number_of_ranks() {
    any_number_of_ranks_is_one_process(&config(Arch::Electra, 4));
}

#[test]
fn bert_has_the_same_bits_on_any_number_of_ranks() {
    any_number_of_ranks_is_one_process(&config(Arch::Bert, 12));
}

#[test]
fn a_growing_batch_a_falling_mask_rate_and_clipped_updates_have_the_same_bits_on_any_number_of_ranks() {
    let mut config = config(Arch::Electra, 8);
    config.train.accumulation_start = 4;
    config.train.batch_warmup_tokens = 3 * 4 * (config.train.batch * LENGTH) as u64;
    assert_eq!([2, 3].map(|step| config.micro_batches().size(step)), [4, 8]);
    config.corruption.rate = 0.4;
    config.corruption.final_rate = Some(0.1);
    config.optimizer.bias_correction = true;
    config.optimizer.update_clipping = true;
    any_number_of_ranks_is_one_process(&config);
}

/// Ranks of which one has a fault, once: after its n-th meeting of a kind.
struct Faulty {
    ranks: Threads,
    rank: usize,
    what: &'static str,
    left: Mutex<u64>,
    fault: fn(&mut [&mut [u8]]) -> Result<(), CollectiveError>,
}

impl Collective for Faulty {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn world(&self) -> usize {
        self.ranks.world()
    }

    fn exchange(
        &self,
        meeting: Meeting,
        send: &[&[u8]],
        receive: &mut [&mut [u8]],
    ) -> Result<(), CollectiveError> {
        self.ranks.exchange(meeting, send, receive)?;
        if self.rank() == self.rank && meeting.what == self.what {
            let mut left = self.left.lock().unwrap();
            *left -= 1;
            if *left == 0 {
                *left = u64::MAX;
                return (self.fault)(receive);
            }
        }
        Ok(())
    }

    fn abort(&self, _: u8) {}
}

/// Errors of four ranks, of which `rank` has `fault` after its n-th meeting of the kind `what`.
fn errors(
    config: &RunConfig,
    dir: &Path,
    (rank_of_fault, what, n): (usize, &'static str, u64),
    fault: fn(&mut [&mut [u8]]) -> Result<(), CollectiveError>,
) -> Vec<TrainError> {
    std::thread::scope(|scope| {
        let run = move |ranks| {
            let ranks = Faulty { ranks, rank: rank_of_fault, what, left: Mutex::new(n), fault };
            move || rank(config, &ranks, dir, None).err().unwrap()
        };
        let ranks = Threads::new(4, Duration::from_secs(120)).into_iter();
        let running: Vec<_> = ranks.map(|ranks| scope.spawn(run(ranks))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_rank_that_computes_otherwise_is_named_with_the_step_and_nothing_is_saved_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let mut config = config(Arch::Bert, 4);
    config.train.compare_every = 2;
    config.checkpoint.every = 4;
    // Two buckets, the layer and all others: in step 5.
    let flip = |receive: &mut [&mut [u8]]| {
        receive[0][3] ^= 0x40; // the largest bit of the exponent of the first number
        Ok(())
    };
    let errors = errors(&config, path, (2, "the sum of the gradients", 9), flip);
    for error in errors {
        let text = error.to_string();
        let TrainError::Collective(CollectiveError::Diverged { others, step: 6, equal: 4 }) = error else {
            panic!("{text}");
        };
        assert_eq!(others, [2]);
        assert!(text.contains("rank 2 and rank 0 have different weights after step 6"), "{text}");
    }
    assert_eq!(Checkpoints::new(path, 2, false).latest().unwrap().unwrap().step, 4);
}

#[test]
fn a_rank_that_is_lost_behind_a_backward_pass_is_named_and_the_checkpoint_before_is_resumed() {
    let mut config = config(Arch::Electra, 4);
    let alone = tempfile::tempdir().unwrap();
    process(&config, 1, alone.path(), None);
    for shard in [false, true] {
        config.optimizer.shard = shard;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        // Three buckets: in step 5, after the second one.
        let lost = |_: &mut [&mut [u8]]| {
            Err(CollectiveError::Failed { other: 1, what: "a test", message: "lost".to_owned() })
        };
        let errors = errors(&config, path, (1, "its part of the gradients", 14), lost);
        for (rank, error) in errors.into_iter().enumerate() {
            let text = error.to_string();
            match error {
                TrainError::Collective(CollectiveError::Failed { other: 1, .. }) if rank == 1 => {}
                // One that waited for rank 1 may have ended before.
                TrainError::Collective(CollectiveError::Gone { .. }) => {}
                _ => panic!("rank {rank}: {text}"),
            }
        }
        assert_eq!(Checkpoints::new(path, 2, false).latest().unwrap().unwrap().step, 3);
        assert!(process(&config, 2, path, None).iter().all(|outcome| outcome.complete));
        let found = files(path);
        let differing = differing(&found, &files(alone.path()));
        assert!(
            differing.iter().all(|name| matches!(&**name, "state.json" | "manifest.json")),
            "{differing:?}"
        );
    }
}

#[test]
fn gradients_that_are_sent_in_bf16_are_rounded_the_same_on_all_ranks() {
    let mut config = config(Arch::Electra, 4);
    config.train.wire = Wire::Bf16;
    config.train.compare_every = 1;
    let run = |config: &RunConfig, world| {
        let dir = tempfile::tempdir().unwrap();
        assert!(process(config, world, dir.path(), None).iter().all(|outcome| outcome.complete));
        files(dir.path())
    };
    let (alone, two) = (run(&config, 1), run(&config, 2));
    config.optimizer.shard = true;
    assert_eq!(differing(&run(&config, 2), &two), [""; 0]);
    assert!(differing(&alone, &two).contains(&"model.safetensors".to_owned()));
    config.train.wire = Wire::F32;
    assert_eq!(differing(&run(&config, 2), &alone), [""; 0]);
}

#[test]
fn a_mixture_has_the_same_bits_on_any_number_of_ranks_and_after_a_stop() {
    let mut config = config(Arch::Electra, 4);
    config.data.mixture = vec![MixtureSource { train: Vec::new(), shards: None, weight: 1.0 }];
    any_number_of_ranks_is_one_process(&config);
    // It is another run than that on the first text alone.
    let (mixed, alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    process(&config, 1, mixed.path(), None);
    config.data.mixture.clear();
    process(&config, 1, alone.path(), None);
    assert!(differing(&files(mixed.path()), &files(alone.path())).contains(&"model.safetensors".to_owned()));
}

#[test]
fn ranks_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let mut config = config(Arch::Bert, 6);
    let refused = |config: &RunConfig, world| -> Vec<TrainError> {
        std::thread::scope(|scope| {
            let running: Vec<_> = Threads::new(world, Duration::from_secs(120))
                .into_iter()
                .map(|ranks| scope.spawn(move || rank(config, &ranks, path, None).err().unwrap()))
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    for error in refused(&config, 4) {
        assert!(matches!(error, TrainError::Collective(CollectiveError::Micro { .. })), "{error}");
    }
    config.train.accumulation = 64;
    for error in refused(&config, 64) {
        assert!(
            matches!(error, TrainError::Collective(CollectiveError::Rows { rows: 50, world: 64 })),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
}
