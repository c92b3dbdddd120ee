//! Tests that any change on disk is detected, that the error names the file, and that nothing is deleted.

use super::*;
use crate::checkpoint::manifest::Manifest;

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
fn any_flipped_byte_is_detected_and_the_previous_checkpoint_is_used() {
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
            // A changed format number looks like a newer version, which is an error instead of a silent fall-back.
            if let Err(CheckpointError::Version { path, .. }) = load(&folder) {
                assert_eq!(path, file);
                assert!(matches!(checkpoints.latest(), Err(CheckpointError::Version { .. })));
            } else {
                assert_caught(&checkpoints, &folder, &file, &format!("{} byte {i}", file.display()));
            }
            places += 1;
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(places > 1000, "{places}");
    assert_intact(&folder, 2);
}

#[test]
fn any_file_that_is_truncated_extended_emptied_or_deleted_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    save(&checkpoints, 1).unwrap();
    let folder = save(&checkpoints, 2).unwrap();
    for file in files(&folder) {
        let good = fs::read(&file).unwrap();
        let cuts = (0..16).map(|i| i * good.len() / 16).filter(|&n| n < good.len());
        for n in cuts {
            fs::write(&file, &good[..n]).unwrap();
            assert_caught(&checkpoints, &folder, &file, &format!("{} cut at {n}", file.display()));
        }
        fs::write(&file, [&good[..], b" "].concat()).unwrap();
        assert_caught(&checkpoints, &folder, &file, &format!("{} grown", file.display()));
        fs::remove_file(&file).unwrap();
        assert_caught(&checkpoints, &folder, &file, &format!("{} deleted", file.display()));
        fs::write(&file, &good).unwrap();
    }
    assert_intact(&folder, 2);
}

/// As after a copy of a run that was cut short, or a backup that was put back in part.
#[test]
fn a_manifest_that_is_older_than_its_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let old = save(&checkpoints, 1).unwrap();
    save(&checkpoints, 2).unwrap();
    let newest = save(&checkpoints, 3).unwrap();
    fs::copy(old.join(MANIFEST), newest.join(MANIFEST)).unwrap();
    let found = checkpoints.latest().unwrap().unwrap();
    assert_eq!((found.step, found.notices.len()), (2, 1), "{:?}", found.notices);
    assert!(found.notices[0].contains("manifest.json is of step 1"), "{}", found.notices[0]);
    assert!(found.notices[0].contains("older than the files of step 3"), "{}", found.notices[0]);
    // The same where the other checkpoint is older than the manifest.
    fs::remove_dir_all(dir.path().join("step-00000002")).unwrap();
    let found = checkpoints.latest().unwrap().unwrap();
    assert_eq!((found.step, found.notices.len()), (1, 1), "{:?}", found.notices);
    assert!(found.notices[0].contains("older than the files of step 3"), "{}", found.notices[0]);
    // A folder with another name is a checkpoint like any other.
    fs::remove_dir_all(&newest).unwrap();
    fs::rename(&old, dir.path().join("step-00000009")).unwrap();
    let found = checkpoints.latest().unwrap().unwrap();
    assert_eq!((found.step, found.notices.len()), (1, 0), "{:?}", found.notices);
}

#[test]
fn files_swapped_between_two_steps_are_detected() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    save(&checkpoints, 1).unwrap();
    let (two, three) = (save(&checkpoints, 2).unwrap(), save(&checkpoints, 3).unwrap());
    for name in [MODEL, OPTIMIZER, STATE, MANIFEST] {
        let (a, b) = (fs::read(two.join(name)).unwrap(), fs::read(three.join(name)).unwrap());
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
fn the_newest_checkpoint_is_decided_by_the_manifest_and_not_by_the_folder_name() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let old = save(&checkpoints, 1).unwrap();
    save(&checkpoints, 2).unwrap();
    fs::rename(old, dir.path().join("step-99999999")).unwrap();
    assert_eq!(checkpoints.latest().unwrap().unwrap().step, 2);
}

#[test]
fn if_all_checkpoints_are_damaged_it_is_an_error_and_nothing_is_deleted() {
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
fn a_damaged_checkpoint_that_is_not_the_newest_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let old = save(&checkpoints, 1).unwrap();
    save(&checkpoints, 2).unwrap();
    fs::remove_file(old.join(MANIFEST)).unwrap();
    assert!(checkpoints.latest().unwrap().unwrap().notices.is_empty());
}

#[test]
fn loading_a_folder_that_is_not_a_checkpoint_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(load(dir.path()), Err(CheckpointError::NotACheckpoint { .. })));
    assert!(matches!(load(&dir.path().join("missing")), Err(CheckpointError::NotACheckpoint { .. })));
    assert_eq!(at(dir.path()).latest().unwrap(), None);
    assert_eq!(at(&dir.path().join("missing")).latest().unwrap(), None);
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(at(&dir.path().join("file")).latest(), Err(CheckpointError::Io { .. })));
}

/// Writes a manifest with a correct checksum.
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
        assert!(matches!(load(&folder), Err(CheckpointError::Manifest { .. })), "{name}");
    }
}

#[test]
fn invalid_contents_are_errors_even_if_the_manifest_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = at(dir.path());
    let folder = save(&checkpoints, 1).unwrap();
    forge(&folder, 2, |_| ());
    assert!(matches!(load(&folder), Err(CheckpointError::Content { .. })), "step of another state");
    let folder = save(&checkpoints, 1).unwrap();
    forge(&folder, 1, |files| files.retain(|f| f.name != OPTIMIZER));
    assert!(matches!(load(&folder), Err(CheckpointError::Content { .. })), "no optimiser state");
    let replace = |content: &[u8]| {
        let folder = save(&checkpoints, 1).unwrap();
        fs::write(folder.join(MODEL), content).unwrap();
        forge(&folder, 1, |files| {
            use sha2::Digest;
            let model = files.iter_mut().find(|f| f.name == MODEL).unwrap();
            model.bytes = content.len() as u64;
            model.sha256 = hex(&sha2::Sha256::digest(content));
        });
        load(&folder)
    };
    for content in [&b"not safetensors"[..], &u64::MAX.to_le_bytes(), b""] {
        assert!(matches!(replace(content), Err(CheckpointError::Content { .. })));
    }
}
