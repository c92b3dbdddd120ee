//! `fnlm` as one of several processes.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use common::{fnlm, text};

#[test]
fn what_would_train_several_times_into_one_folder_is_refused_before_anything_is_written() {
    let launchers = [
        ("mpirun", ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"]),
        ("mpiexec", ["PMI_SIZE", "PMI_RANK"]),
        ("torchrun", ["WORLD_SIZE", "RANK"]),
        ("srun", ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"]),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (launcher, [world, rank]) in launchers {
        let mut command = fnlm();
        command.current_dir(dir.path()).args(["quickstart", "--prepare-only", "--out", "out"]);
        let refused = command.env(world, "2").env(rank, "1").output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{launcher}: {}", text(&refused));
        let said = text(&refused);
        assert!(said.contains(&format!("rank 1: {launcher} started 2 processes")), "{said}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{launcher}");
    }
}

#[test]
fn one_process_of_a_launcher_is_one_process() {
    let alone = fnlm().args(["config", "list"]).env("WORLD_SIZE", "1").env("RANK", "0").output().unwrap();
    assert!(alone.status.success(), "{}", text(&alone));
}

#[test]
fn commands_that_several_processes_can_run_say_what_they_need_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.txt");
    std::fs::write(&file, "a").unwrap();
    let file = file.display().to_string();
    let study = dir.path().join("study.toml");
    std::fs::write(&study, "name = \"s\"\nseeds = [1]\n[[arm]]\nname = \"baseline\"\n").unwrap();
    let study = study.display().to_string();
    let commands = [
        vec!["pretrain", "--run", "a", "--train", &file, "--tokenizer", &file],
        vec!["data", "prepare", "--train", &file, "--tokenizer", &file],
        vec!["study", "run", &study],
    ];
    for command in commands {
        let refused = fnlm()
            .current_dir(dir.path())
            .args(&command)
            .env("OMPI_COMM_WORLD_SIZE", "2")
            .env("OMPI_COMM_WORLD_RANK", "1")
            .output()
            .unwrap();
        let said = text(&refused);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        let why =
            if cfg!(feature = "mpi") { "but MPI connects 1" } else { "this program was built without MPI" };
        assert!(said.contains(why), "{command:?}: {said}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "{command:?}");
    }
}
