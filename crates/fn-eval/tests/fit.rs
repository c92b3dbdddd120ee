//! Fine-tunes a tiny encoder on tasks that it can learn: whether a given token is in the sequence, and where.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_eval::finetune::fit::{
    Ended, Job, Recipe, Sequence, Step, Targets, classify, find_spans, fit_classifier, fit_spans, fit_tags,
    tag,
};
use fn_models::{hf, params};
use fn_train::checkpoint::Checkpoints;
use fn_train::collective::Single;
use fn_train::optim::AdamWConfig;
use fn_train::stop::Stop;

/// The token to find.
const WORD: u32 = 9;

fn encoder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny")
}

/// Sequences of 6 to 12 tokens; every second one contains [`WORD`], at varying positions.
fn sequences(count: usize, salt: usize) -> Vec<(Sequence, usize)> {
    (0..count)
        .map(|i| {
            let h = (i + salt) * 2_654_435_761 % 1_000_003;
            let length = 6 + h % 7;
            let mut ids: Vec<u32> =
                (0..length).map(|l| 10 + ((h / 7 + l * 31 + l * l * h) % 40) as u32).collect();
            (ids[0], ids[length - 1]) = (2, 3);
            let place = 1 + (h / 11) % (length - 2);
            let place = if i % 2 == 0 { place } else { 0 };
            if place > 0 {
                ids[place] = WORD;
            }
            (Sequence { token_type: vec![0; length], ids }, place)
        })
        .collect()
}

fn recipe(epochs: f64) -> Recipe {
    Recipe {
        epochs,
        batch: 16,
        lr: 5e-3,
        layer_decay: 1.0,
        optimizer: AdamWConfig { bias_correction: true, ..Recipe::default().optimizer },
        ..Recipe::default()
    }
}

fn job<'a>(
    recipe: &'a Recipe,
    seed: u64,
    device: &'a Device,
    stop: &'a Stop,
    on_step: &'a mut dyn FnMut(Step),
) -> Job<'a> {
    Job { recipe, seed, layers: 2, device, stop, ranks: &Single, checkpoints: None, on_step }
}

#[test]
fn a_classifier_learns_whether_a_word_occurs_and_the_same_seed_gives_the_same_weights() {
    let device = Device::flex().autodiff();
    let (train, dev) = (sequences(640, 0), sequences(200, 9_999));
    let targets = Targets::Classes(train.iter().map(|(_, place)| u32::from(*place > 0)).collect());
    let train: Vec<Sequence> = train.into_iter().map(|(s, _)| s).collect();
    let run = |seed: u64| {
        let (model, ..) = hf::load_classifier(&encoder(), 2, seed, &device).unwrap();
        let mut losses: Vec<Step> = Vec::new();
        let (recipe, stop) = (recipe(6.0), Stop::new());
        let mut push = |s| losses.push(s);
        let mut job = job(&recipe, seed, &device, &stop, &mut push);
        let ended = fit_classifier(model, &mut job, &train, &targets, None).unwrap();
        (ended.model().unwrap(), losses)
    };
    let (model, losses) = run(1);
    assert_eq!(losses.len(), 240);
    let mean = |steps: &[Step]| steps.iter().map(|s| s.loss).sum::<f64>() / steps.len() as f64;
    assert!(mean(&losses[..20]) > 0.5 && mean(&losses[220..]) < 0.2, "{}", mean(&losses[220..]));
    let only: Vec<Sequence> = dev.iter().map(|(s, _)| s.clone()).collect();
    let scores = classify(&model, &only, 32, &device, &Stop::new()).unwrap();
    let right = scores.iter().zip(&dev).filter(|(s, (_, place))| (s[1] > s[0]) == (*place > 0)).count();
    assert!(right >= 190, "{right} of 200");

    // The logits of a sequence do not depend on the other sequences of its batch.
    let alone = classify(&model, &only[..7], 1, &device, &Stop::new()).unwrap();
    for (a, b) in alone.iter().zip(&scores) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
    }
    assert_eq!(params::collect(&model), params::collect(&run(1).0), "the same seed");
    assert_ne!(params::collect(&model), params::collect(&run(2).0), "another seed");
}

#[test]
fn a_regression_learns_a_number() {
    let device = Device::flex().autodiff();
    let train = sequences(640, 0);
    let targets =
        Targets::Scores(train.iter().map(|(_, place)| if *place > 0 { 3.0 } else { 1.0 }).collect());
    let train: Vec<Sequence> = train.into_iter().map(|(s, _)| s).collect();
    let (model, ..) = hf::load_classifier(&encoder(), 1, 1, &device).unwrap();
    let (recipe, stop, mut quiet) = (recipe(6.0), Stop::new(), |_| ());
    let mut job = job(&recipe, 1, &device, &stop, &mut quiet);
    let model = fit_classifier(model, &mut job, &train, &targets, None).unwrap().model().unwrap();
    let scores = classify(&model, &train[..100], 32, &device, &stop).unwrap();
    let Targets::Scores(gold) = &targets else { panic!() };
    let error: f32 = scores.iter().zip(gold).map(|(s, g)| (s[0] - g).abs()).sum::<f32>() / 100.0;
    assert!(error < 0.4, "{error}");
}

#[test]
fn a_span_model_learns_where_a_word_is() {
    let device = Device::flex().autodiff();
    let (train, dev) = (sequences(640, 0), sequences(200, 9_999));
    let spans: Vec<(u32, u32)> = train.iter().map(|(_, place)| (*place as u32, *place as u32)).collect();
    let train: Vec<Sequence> = train.into_iter().map(|(s, _)| s).collect();
    let (model, ..) = hf::load_spans(&encoder(), 1, &device).unwrap();
    let (recipe, stop, mut quiet) = (recipe(6.0), Stop::new(), |_| ());
    let mut job = job(&recipe, 1, &device, &stop, &mut quiet);
    let model = fit_spans(model, &mut job, &train, &spans, None).unwrap().model().unwrap();
    let only: Vec<Sequence> = dev.iter().map(|(s, _)| s.clone()).collect();
    let found = find_spans(&model, &only, 32, &device, &stop).unwrap();
    let best = |scores: &[f32]| (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
    let right = found.iter().zip(&dev).filter(|((start, _), (_, place))| best(start) == *place).count();
    assert!(right >= 180, "{right} of 200");
    assert!(found.iter().zip(&only).all(|((s, e), q)| s.len() == q.len() && e.len() == q.len()));
}

#[test]
fn a_stop_ends_a_run_and_a_recipe_out_of_range_is_an_error() {
    let device = Device::flex().autodiff();
    let train: Vec<Sequence> = sequences(32, 0).into_iter().map(|(s, _)| s).collect();
    let targets = Targets::Classes(vec![0; 32]);
    let stop = Stop::new();
    stop.request();
    let fit = |recipe: &Recipe| {
        let (model, ..) = hf::load_classifier(&encoder(), 2, 1, &device).unwrap();
        fit_classifier(model, &mut job(recipe, 1, &device, &stop, &mut |_| ()), &train, &targets, None)
    };
    assert!(matches!(fit(&recipe(1.0)).unwrap(), Ended::Stopped { step: 0, saved: false }));
    for bad in [
        Recipe { lr: 0.0, ..recipe(1.0) },
        Recipe { epochs: f64::NAN, ..recipe(1.0) },
        Recipe { layer_decay: 1.5, ..recipe(1.0) },
    ] {
        assert!(fit(&bad).unwrap_err().to_string().contains("allowed"));
    }
    let (model, ..) = hf::load_classifier(&encoder(), 2, 1, &device).unwrap();
    let (recipe, stop, mut quiet) = (recipe(1.0), Stop::new(), |_| ());
    let mut job = job(&recipe, 1, &device, &stop, &mut quiet);
    let error = fit_classifier(model, &mut job, &[], &Targets::Classes(Vec::new()), None).unwrap_err();
    assert!(error.to_string().contains("examples"), "{error}");
}

#[test]
fn a_token_classifier_learns_the_tag_of_each_word() {
    let device = Device::flex().autodiff();
    let all = sequences(400, 0);
    let tags: Vec<Vec<(usize, u32)>> = all
        .iter()
        .map(|(s, place)| (1..s.len() - 1).map(|l| (l, u32::from(l == *place && *place > 0))).collect())
        .collect();
    let all: Vec<Sequence> = all.into_iter().map(|(s, _)| s).collect();
    let (model, ..) = hf::load_tags(&encoder(), 2, 1, &device).unwrap();
    let (recipe, stop, mut quiet) = (recipe(6.0), Stop::new(), |_| ());
    let mut job = job(&recipe, 1, &device, &stop, &mut quiet);
    let model = fit_tags(model, &mut job, &all[..320], &tags[..320], None).unwrap().model().unwrap();
    let places: Vec<Vec<usize>> = tags[320..].iter().map(|t| t.iter().map(|&(p, _)| p).collect()).collect();
    let found = tag(&model, &all[320..], &places, 32, &device, &stop).unwrap();
    let mut wrong = 0;
    for (scores, gold) in found.iter().zip(&tags[320..]) {
        assert_eq!(scores.len(), gold.len());
        wrong += scores.iter().zip(gold).filter(|(s, (_, tag))| u32::from(s[1] > s[0]) != *tag).count();
    }
    assert!(wrong <= 8, "{wrong} of {}", places.iter().map(Vec::len).sum::<usize>());
}

#[test]
fn a_resumed_run_ends_with_the_same_weights_and_patience_keeps_the_best_epoch() {
    let device = Device::flex().autodiff();
    let train: Vec<Sequence> = sequences(96, 0).into_iter().map(|(s, _)| s).collect();
    let targets = Targets::Classes((0..96).map(|i| u32::from(i % 2 == 0)).collect());
    let recipe = Recipe { patience: 2, ..recipe(5.0) };
    // Six steps an epoch. The second epoch is the best; after two more without improvement the run ends, before the fifth.
    let scores = [0.5, 0.7, 0.6, 0.65, 0.9];
    let run = |dir: &Path, stop_at: &[u64]| {
        let checkpoints = Checkpoints::new(dir, 1, true);
        let measured = std::cell::RefCell::new(Vec::new());
        for stop_at in stop_at.iter().copied().chain([u64::MAX]) {
            let (model, ..) = hf::load_classifier(&encoder(), 2, 1, &device).unwrap();
            let stop = Stop::new();
            let last = std::cell::Cell::new(0);
            let mut on_step = |s: Step| {
                last.set(s.step);
                if s.step == stop_at {
                    stop.request();
                }
            };
            let mut job =
                Job { checkpoints: Some(&checkpoints), ..job(&recipe, 1, &device, &stop, &mut on_step) };
            let measure = |model: &fn_models::Classifier| {
                if stop.requested() {
                    return None;
                }
                let epoch = measured.borrow().len();
                measured.borrow_mut().push(params::collect(model));
                Some(scores[epoch])
            };
            match fit_classifier(model, &mut job, &train, &targets, Some(&measure)).unwrap() {
                Ended::Done { model, steps, best } => {
                    let measured = measured.into_inner();
                    return (params::collect(&model), steps, best, measured);
                }
                Ended::Stopped { step, saved } => assert!(saved && step == stop_at),
            }
        }
        panic!("stopped for ever");
    };
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = run(a.path(), &[]);
    assert_eq!((whole.1, whole.2, whole.3.len()), (24, Some(0.7), 4));
    assert_eq!(whole.0, whole.3[1], "the weights of the second epoch");
    // In the middle of an epoch, at its end (before it is measured), and right after the best.
    let parts = run(b.path(), &[4, 6, 13]);
    assert_eq!((parts.1, parts.2), (24, Some(0.7)));
    assert_eq!(parts.0, whole.0);
    assert_eq!(parts.3, whole.3);
}
