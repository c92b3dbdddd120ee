//! Tests that a save that fails at any file operation keeps the previous checkpoint intact.

use super::*;
use crate::faults::Faults;

/// Runs `save` with these fail points, see [`FailPoints`](crate::faults::FailPoints).
fn failing<R>(fail_points: &str, save: impl FnOnce() -> R) -> R {
    Faults { fail_points: fail_points.parse().unwrap(), ..Faults::default() }.during(save)
}

#[test]
fn a_save_that_fails_at_any_call_keeps_the_previous_checkpoint() {
    for fault in ["enospc", "eio"] {
        let dir = tempfile::tempdir().unwrap();
        save(&at(dir.path()), 1).unwrap();
        let mut failures = 0;
        for call in 1.. {
            match failing(&format!("save:{call}:{fault}"), || save(&at(dir.path()), 2)) {
                Ok(_) => break,
                Err(error) => assert_eq!(error.is_out_of_space(), fault == "enospc", "{call}: {error}"),
            }
            failures += 1;
            let found = at(dir.path()).latest().unwrap().unwrap();
            assert_eq!((found.step, found.notices.len()), (1, 0), "{call}");
            assert_intact(&found.path, 1);
            assert!(hidden(dir.path()).is_empty(), "{call}: {:?}", hidden(dir.path()));
        }
        assert!(failures >= 12, "{failures} calls in a save");
        assert_eq!(steps(&at(dir.path())), [1, 2]);
    }
}

#[test]
fn a_failed_replacement_of_a_step_keeps_its_previous_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    save(&at(dir.path()), 1).unwrap();
    let other = |checkpoints: &Checkpoints| checkpoints.save(&state(1), &tensors("", 50.0), &moments(50.0));
    for call in 1.. {
        if failing(&format!("save:{call}:enospc"), || other(&at(dir.path()))).is_ok() {
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
fn a_byte_that_is_wrong_on_disk_is_detected_when_the_checkpoint_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    save(&at(dir.path()), 1).unwrap();
    let mut caught = 0;
    for call in 1..40 {
        let keep_one = Checkpoints::new(dir.path(), 1, false);
        match failing(&format!("save:{call}:flip"), || save(&keep_one, 1 + call)) {
            // The call is not a write, so nothing was damaged and the previous checkpoint was removed.
            Ok(path) => assert_intact(&path, 1 + call),
            Err(error) => {
                assert!(
                    matches!(error, CheckpointError::Damaged { .. } | CheckpointError::Manifest { .. }),
                    "{error}"
                );
                caught += 1;
            }
        }
        assert_eq!(steps(&keep_one).len(), 1);
        assert!(load(&keep_one.list()[0].1).is_ok());
    }
    assert!(caught >= 4, "model, optimizer, state and manifest: {caught}");
}

#[test]
fn leftovers_of_killed_saves_are_ignored_and_removed_by_the_next_save() {
    let dir = tempfile::tempdir().unwrap();
    let good = save(&at(dir.path()), 1).unwrap();
    // Killed while writing: even a temporary folder with all files is not a checkpoint.
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
fn a_checkpoint_whose_replacement_was_killed_is_found_and_restored() {
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
fn the_disk_space_of_a_checkpoint_is_predicted_within_five_percent() {
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
    let model = one("");
    let moments = [one("m."), one("v.")].concat();
    let predicted = Checkpoints::required_bytes(&model).unwrap();
    let path = at(dir.path()).save(&state(1), &model, &moments).unwrap();
    let real: u64 = files(&path).iter().map(|f| fs::metadata(f).unwrap().len()).sum();
    assert!(predicted >= real && predicted as f64 <= 1.05 * real as f64, "{predicted} for {real}");
}

#[test]
fn too_little_disk_space_is_an_error_with_both_numbers() {
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
    assert!(matches!(save(&at(&dir.path().join("file")), 1), Err(CheckpointError::Io { .. })));
    assert!(matches!(save(&at(&dir.path().join("file/x")), 1), Err(CheckpointError::Io { .. })));
}

#[test]
fn a_run_directory_that_was_removed_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    let checkpoints = at(&run.join("checkpoints"));
    save(&checkpoints, 1).unwrap();
    fs::remove_dir_all(&run).unwrap();
    let error = save(&checkpoints, 2).unwrap_err();
    assert!(matches!(&error, CheckpointError::Gone { path } if *path == run), "{error}");
    assert!(!run.exists());
}
