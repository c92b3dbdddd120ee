use std::fs;
use std::path::Path;

use fn_models::params::NamedTensor;

use super::manifest::Manifest;
use super::*;
use crate::guard::GuardState;

fn tensors(prefix: &str, seed: f32) -> Vec<NamedTensor> {
    let one = |name: &str, shape: &[usize]| NamedTensor {
        name: format!("{prefix}{name}"),
        shape: shape.to_vec(),
        data: (0..shape.iter().product::<usize>())
            .map(|i| (i as f32 + seed).sin())
            .collect(),
    };
    let mut all = vec![
        one("embeddings.word", &[5, 3]),
        one("head.bias", &[7]),
        one("scale", &[]),
    ];
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
        step,
        micro_step: 2 * step,
        seed: u64::MAX - 3,
        optimizer_updates: step.saturating_sub(1),
        guard: GuardState {
            skipped_total: 1,
            consecutive: 0,
        },
        best: Some(Best {
            step: 2,
            metric: "masked_loss".into(),
            value: 1.0 / 3.0,
        }),
        tokens_seen: 12_345 * step,
        config_sha256: "ab".repeat(32),
    }
}

fn extra() -> Vec<(String, Vec<u8>)> {
    vec![
        ("config.toml".into(), b"seed = 1\n".to_vec()),
        ("empty".into(), Vec::new()),
    ]
}

fn save(checkpoints: &Checkpoints, step: u64) -> Result<PathBuf, CheckpointError> {
    checkpoints.save(
        &state(step),
        &tensors("", step as f32),
        &moments(step as f32),
        &extra(),
    )
}

fn at(dir: &Path) -> Checkpoints {
    Checkpoints::new(dir, 100, false).with_fail_points(FailPoints::default())
}

fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
    checkpoints.list().into_iter().map(|(step, _)| step).collect()
}

/// Asserts that the checkpoint of `step` loads with exactly the bytes that `save` put in.
fn assert_intact(path: &Path, step: u64) {
    let loaded = load(path).unwrap();
    assert_eq!(loaded.state, state(step));
    assert_eq!(loaded.extra, extra().into_iter().collect());
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
        assert_eq!(
            (&f.name, &f.shape, bits(&f.data)),
            (&e.name, &e.shape, bits(&e.data))
        );
    }
}

fn hidden(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with('.')).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn a_checkpoint_comes_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    assert_eq!(checkpoints.latest().unwrap(), None);
    let path = save(&checkpoints, 500).unwrap();
    assert_eq!(path, dir.path().join("step-00000500"));
    assert_intact(&path, 500);
    let found = checkpoints.latest().unwrap().unwrap();
    assert_eq!(
        found,
        Found {
            path,
            step: 500,
            notices: Vec::new()
        }
    );
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
    let path = at(dir.path())
        .save(&TrainState::new(7, "x".into()), &tensors("", 0.0), &[], &[])
        .unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!((loaded.state.seed, loaded.optim.len()), (7, 0));
}

#[test]
fn weights_are_taken_by_name_and_shape() {
    let dir = tempfile::tempdir().unwrap();
    let mut loaded = load(&save(&at(dir.path()), 1).unwrap()).unwrap();
    assert!(matches!(
        loaded.take("head.bias", &[8]),
        Err(CheckpointError::Model { .. })
    ));
    assert_eq!(loaded.take("head.bias", &[7]).unwrap().len(), 7);
    let error = loaded.take("head.weight", &[7, 7]).unwrap_err().to_string();
    assert!(error.contains("head.weight") && error.contains(MODEL), "{error}");
}

/// Loading must fail, and both the error and the notice of `latest` must name the file that was touched.
fn assert_caught(checkpoints: &Checkpoints, folder: &Path, file: &Path, what: &str) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let error = load(folder).expect_err(what).to_string();
    assert!(error.contains(name), "{what}: {error}");
    let found = checkpoints.latest().unwrap().unwrap();
    assert_eq!(found.step, 1, "{what}");
    assert_eq!(found.notices.len(), 1, "{what}");
    assert!(found.notices[0].contains(name), "{what}: {}", found.notices[0]);
}

#[test]
fn any_flipped_byte_is_caught_and_the_previous_checkpoint_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    save(&checkpoints, 1).unwrap();
    let folder = save(&checkpoints, 2).unwrap();
    let mut places = 0;
    for file in files(&folder) {
        let good = fs::read(&file).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1 << (i % 8);
            fs::write(&file, &bad).unwrap();
            // A changed format number is a version that this program does not know: no fall-back behind the user's back.
            if let Err(CheckpointError::Version { path, .. }) = load(&folder) {
                assert_eq!(path, file);
                assert!(matches!(
                    checkpoints.latest(),
                    Err(CheckpointError::Version { .. })
                ));
            } else {
                assert_caught(
                    &checkpoints,
                    &folder,
                    &file,
                    &format!("{} byte {i}", file.display()),
                );
            }
            places += 1;
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(places > 1000, "{places}");
    assert_intact(&folder, 2);
}

#[test]
fn any_file_that_is_cut_grown_emptied_or_deleted_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    save(&checkpoints, 1).unwrap();
    let folder = save(&checkpoints, 2).unwrap();
    for file in files(&folder) {
        let good = fs::read(&file).unwrap();
        let cuts = (0..16).map(|i| i * good.len() / 16).filter(|&n| n < good.len());
        for n in cuts {
            fs::write(&file, &good[..n]).unwrap();
            assert_caught(
                &checkpoints,
                &folder,
                &file,
                &format!("{} cut at {n}", file.display()),
            );
        }
        fs::write(&file, [&good[..], b" "].concat()).unwrap();
        assert_caught(&checkpoints, &folder, &file, &format!("{} grown", file.display()));
        fs::remove_file(&file).unwrap();
        assert_caught(
            &checkpoints,
            &folder,
            &file,
            &format!("{} deleted", file.display()),
        );
        fs::write(&file, &good).unwrap();
    }
    assert_intact(&folder, 2);
}

#[test]
fn files_swapped_between_two_steps_are_caught() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    save(&checkpoints, 1).unwrap();
    let (two, three) = (save(&checkpoints, 2).unwrap(), save(&checkpoints, 3).unwrap());
    for name in [MODEL, OPTIMIZER, STATE, MANIFEST] {
        let (a, b) = (
            fs::read(two.join(name)).unwrap(),
            fs::read(three.join(name)).unwrap(),
        );
        fs::write(two.join(name), &b).unwrap();
        fs::write(three.join(name), &a).unwrap();
        assert!(load(&two).is_err() && load(&three).is_err(), "{name}");
        let found = checkpoints.latest().unwrap().unwrap();
        assert_eq!((found.step, found.notices.len()), (1, 2), "{name}");
        fs::write(two.join(name), &a).unwrap();
        fs::write(three.join(name), &b).unwrap();
    }
}

#[test]
fn the_manifest_and_not_the_name_of_the_folder_says_which_is_newest() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let old = save(&checkpoints, 1).unwrap();
    save(&checkpoints, 2).unwrap();
    fs::rename(old, dir.path().join("step-99999999")).unwrap();
    assert_eq!(checkpoints.latest().unwrap().unwrap().step, 2);
}

#[test]
fn when_every_checkpoint_is_damaged_nothing_starts_over_and_nothing_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    for step in [1, 2] {
        let folder = save(&checkpoints, step).unwrap();
        fs::write(folder.join(STATE), "").unwrap();
    }
    let error = checkpoints.latest().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, CheckpointError::AllDamaged { ref notices, .. } if notices.len() == 2));
    assert!(
        text.contains("step-00000001") && text.contains("step-00000002") && text.contains(STATE),
        "{text}"
    );
    assert_eq!(files(dir.path()).len(), 2);
}

#[test]
fn a_damaged_old_checkpoint_is_nobodys_business() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let old = save(&checkpoints, 1).unwrap();
    save(&checkpoints, 2).unwrap();
    fs::remove_file(old.join(MANIFEST)).unwrap();
    assert!(checkpoints.latest().unwrap().unwrap().notices.is_empty());
}

#[test]
fn a_folder_that_is_no_checkpoint_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        load(dir.path()),
        Err(CheckpointError::NotACheckpoint { .. })
    ));
    assert!(matches!(
        load(&dir.path().join("missing")),
        Err(CheckpointError::NotACheckpoint { .. })
    ));
    assert_eq!(at(dir.path()).latest().unwrap(), None);
    assert_eq!(at(&dir.path().join("missing")).latest().unwrap(), None);
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(
        at(&dir.path().join("file")).latest(),
        Err(CheckpointError::Io { .. })
    ));
}

/// Writes a manifest that is right in itself.
fn forge(folder: &Path, step: u64, change: impl Fn(&mut Vec<FileEntry>)) {
    let mut entries = Manifest::read(folder).unwrap().files;
    change(&mut entries);
    fs::write(folder.join(MANIFEST), Manifest::new(step, entries).to_bytes()).unwrap();
}

#[test]
fn a_manifest_cannot_point_outside_of_its_folder() {
    for name in [
        "../secret",
        "/etc/passwd",
        "a/b",
        "C:\\x",
        "\\\\host\\x",
        ".hidden",
        "..",
        "",
        "manifest.json",
        STATE,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = save(&at(dir.path()), 1).unwrap();
        forge(&folder, 1, |files| {
            let mut extra = files[0].clone();
            extra.name = name.to_owned();
            files.push(extra);
        });
        assert!(
            matches!(load(&folder), Err(CheckpointError::Manifest { .. })),
            "{name}"
        );
    }
}

#[test]
fn a_manifest_that_is_right_in_itself_does_not_save_wrong_content() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let folder = save(&checkpoints, 1).unwrap();
    forge(&folder, 2, |_| ());
    assert!(
        matches!(load(&folder), Err(CheckpointError::Content { .. })),
        "step of another state"
    );
    let folder = save(&checkpoints, 1).unwrap();
    forge(&folder, 1, |files| files.retain(|f| f.name != OPTIMIZER));
    assert!(
        matches!(load(&folder), Err(CheckpointError::Content { .. })),
        "no optimiser state"
    );
    let replace = |content: &[u8]| {
        let folder = save(&checkpoints, 1).unwrap();
        fs::write(folder.join(MODEL), content).unwrap();
        forge(&folder, 1, |files| {
            use sha2::Digest;
            let model = files.iter_mut().find(|f| f.name == MODEL).unwrap();
            model.bytes = content.len() as u64;
            model.sha256 = super::manifest::hex(&sha2::Sha256::digest(content));
        });
        load(&folder)
    };
    for content in [&b"not safetensors"[..], &u64::MAX.to_le_bytes(), b""] {
        assert!(matches!(replace(content), Err(CheckpointError::Content { .. })));
    }
}

#[test]
fn what_cannot_be_saved_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let model = tensors("", 1.0);
    let refused = |state: &TrainState, model: &[NamedTensor], extra: &[(String, Vec<u8>)]| {
        let error = checkpoints.save(state, model, &[], extra).unwrap_err();
        assert!(matches!(error, CheckpointError::Unsaveable { .. }), "{error}");
    };
    let twice = [model.clone(), model.clone()].concat();
    refused(&state(1), &twice, &[]);
    let mut short = model.clone();
    short[1].data.pop();
    refused(&state(1), &short, &[]);
    for name in ["../x", STATE, MODEL, MANIFEST, "a b"] {
        refused(&state(1), &model, &[(name.into(), Vec::new())]);
    }
    let mut not_finite = state(1);
    not_finite.best.as_mut().unwrap().value = f64::NAN;
    refused(&not_finite, &model, &[]);
    assert!(files(dir.path()).is_empty());
}

#[test]
fn a_save_that_fails_at_any_call_leaves_the_previous_checkpoint_alone() {
    for fault in ["enospc", "eio"] {
        let dir = tempfile::tempdir().unwrap();
        save(&at(dir.path()), 1).unwrap();
        let mut failures = 0;
        for call in 1.. {
            let faulty =
                at(dir.path()).with_fail_points(FailPoints::parse(&format!("save:{call}:{fault}")).unwrap());
            match save(&faulty, 2) {
                Ok(_) => break,
                Err(error) => assert_eq!(error.is_out_of_space(), fault == "enospc", "{call}: {error}"),
            }
            failures += 1;
            let found = at(dir.path()).latest().unwrap().unwrap();
            assert_eq!((found.step, found.notices.len()), (1, 0), "{call}");
            assert_intact(&found.path, 1);
            assert!(hidden(dir.path()).is_empty(), "{call}: {:?}", hidden(dir.path()));
        }
        assert!(failures >= 14, "{failures} calls in a save");
        assert_eq!(steps(&at(dir.path())), [1, 2]);
    }
}

#[test]
fn replacing_a_step_that_fails_at_any_call_leaves_its_predecessor_alone() {
    let dir = tempfile::tempdir().unwrap();
    save(&at(dir.path()), 1).unwrap();
    let other =
        |checkpoints: &Checkpoints| checkpoints.save(&state(1), &tensors("", 50.0), &moments(50.0), &[]);
    for call in 1.. {
        let points = FailPoints::parse(&format!("save:{call}:enospc")).unwrap();
        if other(&at(dir.path()).with_fail_points(points)).is_ok() {
            break;
        }
        assert_intact(&dir.path().join("step-00000001"), 1);
        assert!(hidden(dir.path()).is_empty(), "{call}: {:?}", hidden(dir.path()));
    }
    let loaded = load(&dir.path().join("step-00000001")).unwrap();
    assert_eq!(loaded.model["head.bias"].1[0], 50f32.sin());
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn a_wrong_byte_that_reaches_the_disk_is_found_when_the_checkpoint_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    save(&at(dir.path()), 1).unwrap();
    let mut caught = 0;
    for call in 1..40 {
        let points = FailPoints::parse(&format!("save:{call}:flip")).unwrap();
        let keep_one = Checkpoints::new(dir.path(), 1, false).with_fail_points(points);
        match save(&keep_one, 1 + call) {
            // Not a write: nothing was damaged, and only then the predecessor went.
            Ok(path) => assert_intact(&path, 1 + call),
            Err(error) => {
                assert!(
                    matches!(
                        error,
                        CheckpointError::Damaged { .. } | CheckpointError::Manifest { .. }
                    ),
                    "{error}"
                );
                caught += 1;
            }
        }
        assert_eq!(steps(&keep_one).len(), 1);
        assert!(load(&keep_one.list()[0].1).is_ok());
    }
    assert!(
        caught >= 5,
        "model, optimizer, state, config and manifest: {caught}"
    );
}

#[test]
fn leftovers_of_killed_saves_are_ignored_and_removed_by_the_next_save() {
    let dir = tempfile::tempdir().unwrap();
    let good = save(&at(dir.path()), 1).unwrap();
    // Killed while writing: even a leftover that looks complete is none.
    let leftover = dir.path().join(".step-00000009.tmp-123");
    fs::create_dir(&leftover).unwrap();
    for file in files(&good) {
        fs::copy(&file, leftover.join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(at(dir.path()).latest().unwrap().unwrap().step, 1);
    save(&at(dir.path()), 2).unwrap();
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn a_predecessor_whose_successor_never_came_is_found_and_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = save(&at(dir.path()), 1).unwrap();
    // Killed between the two renames.
    fs::rename(&path, dir.path().join(".step-00000001.old-123")).unwrap();
    let found = at(dir.path()).latest().unwrap().unwrap();
    assert_eq!((found.step, found.notices.len()), (1, 0));
    assert_intact(&found.path, 1);
    save(&at(dir.path()), 2).unwrap();
    assert_intact(&path, 1);
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn the_newest_and_the_best_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(dir.path(), 2, true).with_fail_points(FailPoints::default());
    let save_with = |step, best| {
        let mut state = state(step);
        state.best = best;
        checkpoints.save(&state, &tensors("", 1.0), &[], &[]).unwrap();
        steps(&checkpoints)
    };
    let best = |step| {
        Some(Best {
            step,
            metric: "masked_loss".into(),
            value: 0.5,
        })
    };
    assert_eq!(save_with(0, None), [0]);
    assert_eq!(save_with(10, None), [0, 10]);
    assert_eq!(save_with(20, best(20)), [10, 20]);
    assert_eq!(save_with(30, best(20)), [20, 30]);
    assert_eq!(save_with(40, best(20)), [20, 30, 40]);
    assert_eq!(save_with(50, best(20)), [20, 40, 50]);
    // Measured between two saves: the first save after it stands for it.
    assert_eq!(save_with(60, best(55)), [50, 60]);
    assert_eq!(save_with(70, best(55)), [60, 70]);
    assert_eq!(save_with(80, best(55)), [60, 70, 80]);
    assert!(
        checkpoints
            .best(&best(55).unwrap())
            .unwrap()
            .ends_with("step-00000060")
    );
    let no_best = Checkpoints::new(dir.path(), 1, false).with_fail_points(FailPoints::default());
    save(&no_best, 90).unwrap();
    assert_eq!(steps(&no_best), [90]);
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn rotation_never_removes_what_was_just_saved_or_what_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(dir.path(), 1, false).with_fail_points(FailPoints::default());
    let damaged = save(&checkpoints, 700).unwrap();
    fs::write(damaged.join(MODEL), "x").unwrap();
    // Resumed from an earlier place: the new one is not the newest by number.
    let path = save(&checkpoints, 500).unwrap();
    assert_intact(&path, 500);
    assert!(damaged.exists());
    fs::write(damaged.join(MANIFEST), "x").unwrap();
    save(&checkpoints, 600).unwrap();
    assert!(damaged.exists(), "left for a human to look at");
    assert_eq!(steps(&checkpoints), [600]);
}

#[test]
fn the_room_needed_is_predicted_within_five_percent() {
    let dir = tempfile::tempdir().unwrap();
    let one = |prefix: &str| -> Vec<NamedTensor> {
        (0..50)
            .map(|i| NamedTensor {
                name: format!("{prefix}layers.{i}.weight"),
                shape: vec![100, 100],
                data: vec![i as f32; 10_000],
            })
            .collect()
    };
    let (model, extra) = (one(""), extra());
    let moments = [one("m."), one("v.")].concat();
    let predicted = Checkpoints::required_bytes(&model, &extra).unwrap();
    let path = at(dir.path()).save(&state(1), &model, &moments, &extra).unwrap();
    let real: u64 = files(&path).iter().map(|f| fs::metadata(f).unwrap().len()).sum();
    assert!(
        predicted >= real && predicted as f64 <= 1.05 * real as f64,
        "{predicted} for {real}"
    );
}

#[test]
fn too_little_room_is_an_error_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    check_room(dir.path(), 1).unwrap();
    let error = check_room(&dir.path().join("new"), u64::MAX).unwrap_err();
    assert!(error.is_out_of_space());
    assert!(error.to_string().contains(&u64::MAX.to_string()), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(
        save(&at(&dir.path().join("file")), 1),
        Err(CheckpointError::Io { .. })
    ));
    assert!(matches!(
        save(&at(&dir.path().join("file/x")), 1),
        Err(CheckpointError::Io { .. })
    ));
}
