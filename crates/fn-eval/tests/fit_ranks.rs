//! Fine-tuning on 1, 2 and 4 ranks, which here are threads: the same bits, also after a stop.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};
use std::time::Duration;

use burn::tensor::Device;
use fn_data::task::GlueTask;
use fn_eval::finetune::fit::{Ended, Job, Recipe, Sequence, Step, Targets, fit_classifier, fit_tags};
use fn_eval::finetune::{Task, spread};
use fn_models::{hf, params};
use fn_train::NamedTensor;
use fn_train::checkpoint::Checkpoints;
use fn_train::collective::{Collective, CollectiveError, Threads};
use fn_train::error::TrainError;
use fn_train::optim::AdamWConfig;
use fn_train::stop::Stop;

fn encoder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny")
}

/// 75 sequences of 5 to 10 tokens; batches of 16, the last of which has 11.
fn sequences() -> Vec<Sequence> {
    let sequence = |n: u32| {
        let length = 5 + n * 7 % 6;
        let mut ids: Vec<u32> = (0..length).map(|l| 10 + (n * 13 + l * l * 5) % 40).collect();
        (ids[0], ids[length as usize - 1]) = (2, 3);
        Sequence { token_type: vec![0; ids.len()], ids }
    };
    (0..75).map(sequence).collect()
}

fn recipe(micro_batches: usize) -> Recipe {
    Recipe {
        epochs: 2.0,
        batch: 16,
        micro_batches,
        lr: 3e-3,
        patience: 2,
        optimizer: AdamWConfig { bias_correction: true, ..Recipe::default().optimizer },
        ..Recipe::default()
    }
}

/// Weights, losses and best score; None after a stop, which rank 1 (or the only one) is asked for after step `stop_after`.
type Outcome = Option<(Vec<NamedTensor>, Vec<f64>, Option<f64>)>;

fn rank(
    recipe: &Recipe,
    tags: bool,
    ranks: &Threads,
    dir: &Path,
    stop_after: Option<u64>,
) -> Result<Outcome, TrainError> {
    let device = Device::flex().autodiff();
    let sequences = sequences();
    let checkpoints = Checkpoints::new(dir, 2, true);
    let (stop, mut losses) = (Stop::new(), Vec::new());
    let mine = ranks.rank() == 1 || ranks.world() == 1;
    let mut on_step = |step: Step| {
        losses.push(step.loss);
        if stop_after == Some(step.step) && mine {
            stop.request();
        }
    };
    let checkpoints = Some(&checkpoints);
    let mut job = Job {
        recipe,
        seed: 3,
        layers: 2,
        device: &device,
        stop: &stop,
        ranks,
        checkpoints,
        on_step: &mut on_step,
    };
    let (ended, best) = match tags {
        false => {
            let (model, ..) = hf::load_classifier(&encoder(), 3, 3, &device).unwrap();
            let targets = Targets::Classes((0..sequences.len() as u32).map(|n| n % 3).collect());
            let measure = |model: &fn_models::Classifier| {
                let weights = params::collect(model);
                Some(-f64::from(weights.iter().flat_map(|w| &w.data).map(|x| x.abs()).sum::<f32>()))
            };
            match fit_classifier(model, &mut job, &sequences, &targets, Some(&measure))? {
                Ended::Done { model, best, .. } => (Some(params::collect(&model)), best),
                Ended::Stopped { saved, .. } => (None, Some(f64::from(u8::from(saved)))),
            }
        }
        true => {
            let (model, ..) = hf::load_tags(&encoder(), 4, 3, &device).unwrap();
            // Sequences with one to three tags, and some without any.
            let tags: Vec<Vec<(usize, u32)>> = (0..sequences.len())
                .map(|n| (1..1 + n % 4).map(|place| (place, (n % 4) as u32)).collect())
                .collect();
            match fit_tags(model, &mut job, &sequences, &tags, None)? {
                Ended::Done { model, best, .. } => (Some(params::collect(&model)), best),
                Ended::Stopped { .. } => panic!("nobody asked for a stop"),
            }
        }
    };
    Ok(ended.map(|weights| (weights, losses, best)))
}

fn process(
    recipe: &Recipe,
    tags: bool,
    world: usize,
    dir: &Path,
    stop_after: Option<u64>,
) -> Vec<Result<Outcome, TrainError>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = Threads::new(world, Duration::from_secs(120))
            .into_iter()
            .map(|ranks| scope.spawn(move || rank(recipe, tags, &ranks, dir, stop_after)))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn any_number_of_ranks_fine_tunes_to_the_same_bits() {
    for tags in [false, true] {
        let recipe = recipe(4);
        let alone = tempfile::tempdir().unwrap();
        let expected = process(&recipe, tags, 1, alone.path(), None).remove(0).unwrap().unwrap();
        assert_eq!(expected.1.len(), 10);
        for world in [2, 4] {
            let dir = tempfile::tempdir().unwrap();
            for (at, outcome) in process(&recipe, tags, world, dir.path(), None).into_iter().enumerate() {
                let (weights, losses, best) = outcome.unwrap().unwrap();
                assert_eq!((losses, best), (expected.1.clone(), expected.2), "rank {at} of {world}");
                // The first rank alone loads the weights of the best epoch.
                assert!(at > 0 || weights == expected.0, "{world} ranks");
            }
        }
    }
}

#[test]
fn a_run_that_four_ranks_began_is_finished_by_one() {
    let recipe = recipe(4);
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = process(&recipe, false, 1, whole.path(), None).remove(0).unwrap().unwrap();
    for world in [4, 2] {
        let stop_after = Some(if world == 4 { 3 } else { 6 });
        // Losses are reported at the end of an epoch, so that both stop there: after steps 5 and 10, the second of which is the last.
        let stopped = process(&recipe, false, world, parts.path(), stop_after);
        if world == 4 {
            assert!(stopped.iter().all(|outcome| matches!(outcome, Ok(None))));
        }
    }
    let found = process(&recipe, false, 1, parts.path(), None).remove(0).unwrap().unwrap();
    assert_eq!((found.0, found.2), (expected.0, expected.2));
}

#[test]
fn micro_batches_share_the_loss_of_the_batch_and_others_are_refused() {
    let first_loss = |recipe: &Recipe| {
        let dir = tempfile::tempdir().unwrap();
        let mut recipe = recipe.clone();
        recipe.epochs = 0.2;
        process(&recipe, false, 1, dir.path(), None).remove(0).unwrap().unwrap().1[0]
    };
    // The dropout masks differ, the mean over the batch is of the same examples.
    let (one, four) = (first_loss(&recipe(1)), first_loss(&recipe(4)));
    assert!((one - four).abs() < 0.3 * one, "{one} {four}");
    let dir = tempfile::tempdir().unwrap();
    for outcome in process(&recipe(2), false, 4, dir.path(), None) {
        let error = outcome.err().unwrap();
        assert!(
            matches!(
                error,
                TrainError::Collective(CollectiveError::TaskMicro { micro_batches: 2, world: 4 })
            ),
            "{error}"
        );
        assert!(error.to_string().contains("--set micro_batches=4"), "{error}");
    }
    assert!(recipe(17).validate().is_err() && recipe(0).validate().is_err());
}

#[test]
fn every_run_is_taken_once_and_a_stop_of_one_is_a_stop_of_all() {
    let tasks = [GlueTask::Rte, GlueTask::Mrpc, GlueTask::Qnli].map(Task::Glue);
    let one = |ranks: Threads| -> (Vec<(String, u64)>, bool, bool) {
        let mut mine = Vec::new();
        let all = spread::<TrainError>(&ranks, &tasks, 1..4, &mut |task, seed| {
            mine.push((task.name().to_owned(), seed));
            Ok(true)
        });
        let stopped =
            spread::<TrainError>(&ranks, &tasks, 1..4, &mut |_, seed| Ok(ranks.rank() == 0 || seed < 2));
        (mine, all.unwrap(), stopped.unwrap())
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let ranks = Threads::new(2, Duration::from_secs(60));
        let running: Vec<_> = ranks.into_iter().map(|ranks| scope.spawn(|| one(ranks))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((found[0].0.len(), found[1].0.len()), (5, 4));
    let mut all: Vec<_> = found.iter().flat_map(|(mine, ..)| mine.clone()).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 9);
    assert!(found.iter().all(|(_, all, stopped)| *all && !stopped));
}
