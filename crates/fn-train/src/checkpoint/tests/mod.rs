//! Tests of saving, loading and rotation; `damage` tests changes on disk, `faults` failing saves.

use std::fs;
use std::path::Path;

use fn_core::files::hex;
use fn_models::params::NamedTensor;
use sha2::{Digest, Sha256};

use super::*;
use crate::guard::GuardState;

mod damage;
mod faults;

fn tensors(prefix: &str, seed: f32) -> Vec<NamedTensor> {
    let one = |name: &str, shape: &[usize]| NamedTensor {
        name: format!("{prefix}{name}"),
        shape: shape.to_vec(),
        data: (0..shape.iter().product::<usize>()).map(|i| (i as f32 + seed).sin()).collect(),
    };
    let mut all = vec![one("embeddings.word", &[5, 3]), one("head.bias", &[7]), one("scale", &[])];
    all[0].data[1] = -0.0;
    all[0].data[2] = f32::MIN_POSITIVE / 2.0;
    all
}

fn moments(seed: f32) -> Vec<NamedTensor> {
    let mut all = tensors("m.", seed);
    all.extend(tensors("v.", seed + 1.0));
    all
}

fn state(step: u64) -> TrainState {
    TrainState {
        evaluated_step: step,
        step,
        micro_step: 2 * step,
        seed: u64::MAX - 3,
        optimizer_updates: step.saturating_sub(1),
        guard: GuardState { skipped_total: 1, consecutive: 0 },
        best: Some(Best { step: 2, metric: "masked_loss".into(), value: 1.0 / 3.0 }),
        tokens_seen: 12_345 * step,
    }
}

fn save(checkpoints: &Checkpoints, step: u64) -> Result<PathBuf, CheckpointError> {
    checkpoints.save(&state(step), &tensors("", step as f32), &moments(step as f32))
}

fn at(dir: &Path) -> Checkpoints {
    Checkpoints::new(dir, 100, false)
}

fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
    checkpoints.list().into_iter().map(|(step, _)| step).collect()
}

/// Asserts that the checkpoint of `step` loads with exactly the bytes that `save` put in.
fn assert_intact(path: &Path, step: u64) {
    let loaded = load(path).unwrap();
    assert_eq!(loaded.state, state(step));
    let bits = |data: &[f32]| data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let expected = tensors("", step as f32);
    assert_eq!(loaded.model.len(), expected.len());
    for t in expected {
        let (shape, data) = &loaded.model[&t.name];
        assert_eq!((shape, bits(data)), (&t.shape, bits(&t.data)), "{}", t.name);
    }
    let mut expected = moments(step as f32);
    let mut found = loaded.optim;
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(&expected) {
        assert_eq!((&f.name, &f.shape, bits(&f.data)), (&e.name, &e.shape, bits(&e.data)));
    }
}

fn hidden(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with('.')).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn a_checkpoint_is_read_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    assert_eq!(checkpoints.latest().unwrap(), None);
    let path = save(&checkpoints, 500).unwrap();
    assert_eq!(path, dir.path().join("step-00000500"));
    assert_intact(&path, 500);
    let found = checkpoints.latest().unwrap().unwrap();
    assert_eq!(found, Found { path, step: 500, notices: Vec::new() });
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn other_readers_of_safetensors_can_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = save(&at(dir.path()), 1).unwrap();
    let bytes = fs::read(path.join(MODEL)).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("embeddings.word").unwrap().shape(), [5, 3]);
    assert_eq!(file.tensor("scale").unwrap().data(), 1f32.sin().to_le_bytes());
}

#[test]
fn a_model_without_moments_can_be_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = at(dir.path()).save(&TrainState::new(7), &tensors("", 0.0), &[]).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!((loaded.state.seed, loaded.optim.len()), (7, 0));
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_read_and_an_unknown_field_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = save(&at(dir.path()), 1).unwrap();
    let with = |field: &str| {
        let mut text: serde_json::Value =
            serde_json::from_slice(&fs::read(path.join(STATE)).unwrap()).unwrap();
        text.as_object_mut().unwrap().retain(|name, _| name != "config_sha256" && name != "unheard_of");
        text[field] = "ab".into();
        let bytes = serde_json::to_vec(&text).unwrap();
        let mut files = Manifest::read(&path).unwrap().files;
        let entry = files.iter_mut().find(|file| file.name == STATE).unwrap();
        (entry.bytes, entry.sha256) = (bytes.len() as u64, hex(&Sha256::digest(&bytes)));
        fs::write(path.join(STATE), bytes).unwrap();
        fs::write(path.join(MANIFEST), Manifest::new(1, files).to_bytes()).unwrap();
        load(&path)
    };
    assert_eq!(with("config_sha256").unwrap().state, state(1));
    assert!(with("unheard_of").unwrap_err().to_string().contains("unheard_of"));
}

#[test]
fn weights_are_taken_by_name_and_shape() {
    let dir = tempfile::tempdir().unwrap();
    let mut loaded = load(&save(&at(dir.path()), 1).unwrap()).unwrap();
    assert!(matches!(loaded.take("head.bias", &[8]), Err(CheckpointError::Model { .. })));
    assert_eq!(loaded.take("head.bias", &[7]).unwrap().len(), 7);
    let error = loaded.take("head.weight", &[7, 7]).unwrap_err().to_string();
    assert!(error.contains("head.weight") && error.contains(MODEL), "{error}");
}

#[test]
fn a_state_that_cannot_be_saved_is_an_error_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let model = tensors("", 1.0);
    let refused = |state: &TrainState, model: &[NamedTensor]| {
        let error = checkpoints.save(state, model, &[]).unwrap_err();
        assert!(matches!(error, CheckpointError::Unsaveable { .. }), "{error}");
    };
    let twice = [model.clone(), model.clone()].concat();
    refused(&state(1), &twice);
    let mut short = model.clone();
    short[1].data.pop();
    refused(&state(1), &short);
    let mut not_finite = state(1);
    not_finite.best.as_mut().unwrap().value = f64::NAN;
    refused(&not_finite, &model);
    assert!(files(dir.path()).is_empty());
}

#[test]
fn the_newest_and_the_best_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(dir.path(), 2, true);
    let save_with = |step, best| {
        let mut state = state(step);
        state.best = best;
        checkpoints.save(&state, &tensors("", 1.0), &[]).unwrap();
        steps(&checkpoints)
    };
    let best = |step| Some(Best { step, metric: "masked_loss".into(), value: 0.5 });
    assert_eq!(save_with(0, None), [0]);
    assert_eq!(save_with(10, None), [0, 10]);
    assert_eq!(save_with(20, best(20)), [10, 20]);
    assert_eq!(save_with(30, best(20)), [20, 30]);
    assert_eq!(save_with(40, best(20)), [20, 30, 40]);
    assert_eq!(save_with(50, best(20)), [20, 40, 50]);
    // Evaluated between two saves: the first save after the evaluation counts as the best checkpoint.
    assert_eq!(save_with(60, best(55)), [50, 60]);
    assert_eq!(save_with(70, best(55)), [60, 70]);
    assert_eq!(save_with(80, best(55)), [60, 70, 80]);
    assert!(checkpoints.best(&best(55).unwrap()).unwrap().ends_with("step-00000060"));
    let no_best = Checkpoints::new(dir.path(), 1, false);
    save(&no_best, 90).unwrap();
    assert_eq!(steps(&no_best), [90]);
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn rotation_keeps_the_checkpoint_just_saved_and_folders_that_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(dir.path(), 1, false);
    let damaged = save(&checkpoints, 700).unwrap();
    fs::write(damaged.join(MODEL), "x").unwrap();
    // Resumed from an earlier checkpoint: the new one does not have the highest step.
    let path = save(&checkpoints, 500).unwrap();
    assert_intact(&path, 500);
    assert!(damaged.exists());
    fs::write(damaged.join(MANIFEST), "x").unwrap();
    save(&checkpoints, 600).unwrap();
    assert!(damaged.exists(), "damaged checkpoints are not removed");
    assert_eq!(steps(&checkpoints), [600]);
}
