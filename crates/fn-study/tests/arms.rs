//! The studies of this repository and the configurations of their arms.

#![allow(clippy::unwrap_used, clippy::panic)] // a failed setup should fail the test

use std::path::Path;

use fn_study::study::Study;
use fn_train::config::Layers;

#[test]
fn every_arm_of_every_study_has_a_valid_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
    let dir = tempfile::tempdir().unwrap();
    let mut arms = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let study = Study::open(&entry.unwrap().path()).unwrap();
        // The configuration that `fnlm quickstart` writes is its preset.
        let preset = study.preset.clone().unwrap_or_else(|| "quickstart".to_string());
        for arm in &study.arms {
            let set = study.set.iter().chain(&arm.set).cloned().collect();
            let resolved = Layers { preset: Some(preset.clone()), set, ..Layers::default() }
                .resolve()
                .unwrap_or_else(|e| panic!("{} {}: {e}", study.name, arm.name));
            // A child process of the study reads the same configuration from its file.
            let file = dir.path().join("arm.toml");
            std::fs::write(&file, resolved.to_toml()).unwrap();
            let handed = Layers { file: Some(file), ..Layers::default() }.resolve().unwrap();
            assert_eq!(handed.into_config(), resolved.into_config(), "{} {}", study.name, arm.name);
            arms += 1;
        }
    }
    assert!(arms > 40, "{arms}");
}
