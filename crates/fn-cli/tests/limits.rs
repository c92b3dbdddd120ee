//! What ends a command from outside: memory and files that are limited, folders that are removed, output that nobody can write.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop
#![cfg(all(feature = "flex", target_os = "linux"))]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with `vocab.txt` and `text.txt`.
fn workshop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let words = "[PAD] [UNK] [CLS] [SEP] [MASK] she felt happy today . the dog ran";
    std::fs::write(dir.path().join("vocab.txt"), words.replace(' ', "\n") + "\n").unwrap();
    let text = "she felt happy today .\n\nthe dog ran today .\n\n".repeat(60);
    std::fs::write(dir.path().join("text.txt"), text).unwrap();
    dir
}

/// `fnlm` under a limit of the shell: exit code and messages.
fn limited(dir: &Path, limit: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_fnlm");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(program).args(arguments);
    let output = shell.current_dir(dir).env("CI", "1").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn without_memory_or_room_for_a_file_the_exit_code_is_5_and_the_message_says_what_helps() {
    let dir = workshop();
    let sizes = ["--train", "text.txt", "--tokenizer", "vocab.txt", "--steps", "2", "-p", "electra-tiny"];
    let train = |run, more: &[&'static str]| [&["pretrain", "--run", run], sizes.as_slice(), more].concat();
    let (code, said) =
        limited(dir.path(), "-v 2000000", &train("m", &["--batch", "20000", "--length", "128"]));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("out of memory") && said.contains("--batch"), "{said}");
    let (code, said) = limited(dir.path(), "-f 100", &train("f", &["--batch", "2", "--length", "16"]));
    assert_eq!(code, Some(5), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// A cgroup of this test, where one may be made: version 1 or 2.
fn cgroup(bytes: u64) -> Option<std::path::PathBuf> {
    let name = format!("fnlm-test-{}", std::process::id());
    for (root, limit) in
        [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
    {
        let group = Path::new(root).join(&name);
        if Path::new(root).join("cgroup.procs").exists() && std::fs::create_dir(&group).is_ok() {
            if std::fs::write(group.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
            let _ = std::fs::remove_dir(&group);
        }
    }
    None
}

/// The kernel kills without a word where a cgroup has no memory left; the run ends before.
#[test]
fn in_a_cgroup_without_memory_the_exit_code_is_5_as_well() {
    let Some(group) = cgroup(400 << 20) else {
        return eprintln!("no cgroup can be made here: not tested");
    };
    let dir = workshop();
    let arguments = "pretrain --run m --train text.txt --tokenizer vocab.txt --steps 2 -p electra-tiny --batch 20000 --length 128";
    let script = format!("echo $$ > {}/cgroup.procs; exec \"$0\" {arguments}", group.display());
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_fnlm")]).current_dir(dir.path()).env("CI", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(5) && said.contains("out of memory"), "{:?} {said}", output.status);
    std::fs::remove_dir(group).unwrap();
}

#[test]
fn sizes_that_no_machine_has_are_refused_by_the_configuration() {
    let dir = workshop();
    let train =
        "pretrain --run r --train text.txt --tokenizer vocab.txt --steps 2 -p electra-tiny --length 16";
    for (more, key) in [
        ("--batch 100000000", "`train.batch` is 100000000; allowed: 1 to 1048576 sequences"),
        ("--batch 9223372036854775807", "`train.batch` is 9223372036854775807"),
        ("--set train.accumulation=9223372036854775807", "`train.accumulation` is 9223372036854775807"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_fnlm"))
            .args(train.split_whitespace().chain(more.split_whitespace()))
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(key), "{more}: {said}");
    }
    assert!(!dir.path().join("r").exists());
}

#[test]
fn output_that_cannot_be_written_is_an_error_for_every_command() {
    for arguments in [&["--help"][..], &["--version"], &["config", "list"], &["help-all"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fnlm"));
        let status = command.args(arguments).stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(5), "{arguments:?}");
    }
}

#[test]
fn a_folder_that_is_removed_while_a_model_is_fine_tuned_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny");
    std::fs::create_dir_all(at("model")).unwrap();
    std::fs::create_dir_all(at("glue/RTE")).unwrap();
    for file in ["model.safetensors", "config.json"] {
        std::fs::copy(golden.join(file), at("model").join(file)).unwrap();
    }
    let words: String = ('a'..='y').flat_map(|a| ['a', 'b'].map(|b| format!("{a}{b}\n"))).collect();
    std::fs::write(at("model/vocab.txt"), format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{words}.\n")).unwrap();
    for split in ["train", "dev"] {
        let mut table = "index\tsentence1\tsentence2\tlabel\n".to_owned();
        for row in 0..64 {
            let (first, label) = [("aa", "entailment"), ("bb", "not_entailment")][row % 2];
            writeln!(table, "{row}\t{first} ca\tda\t{label}").unwrap();
        }
        std::fs::write(at(&format!("glue/RTE/{split}.tsv")), table).unwrap();
    }
    let command = "finetune --task rte --model model --data glue --out out --seeds 2 --epochs 300 --length 16 --batch 16 --quiet";
    let child = Command::new(env!("CARGO_BIN_EXE_fnlm"))
        .args(command.split_whitespace())
        .current_dir(dir.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !at("out/seed-2/run.lock").exists() {
        assert!(began.elapsed() < Duration::from_secs(120), "the second seed does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::fs::rename(at("out"), at("moved")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("is gone"), "{said}");
    assert!(!at("out/results.json").exists() && at("moved/seed-1/result.json").exists());
    // Moved back, the same command goes on.
    let _ = std::fs::remove_dir_all(at("out"));
    std::fs::rename(at("moved"), at("out")).unwrap();
    let again = Command::new(env!("CARGO_BIN_EXE_fnlm"))
        .args(command.split_whitespace())
        .current_dir(dir.path())
        .status();
    assert!(again.unwrap().success() && at("out/seed-2/result.json").exists());
}
