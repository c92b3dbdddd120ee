//! Tests of the command line: outputs, errors and exit codes.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::Path;

use assert_cmd::Command;
use clap::CommandFactory;

/// `fnlm` in an empty folder, plain output.
fn fnlm(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("fnlm").unwrap();
    command
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .env("CI", "1")
        .env_remove("RUST_LOG")
        .env_remove("BURN_DEVICE");
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(dir: &Path, arguments: &[&str]) -> Ran {
    let output = fnlm(dir).args(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that must fail with a message and without a panic.
fn refused(dir: &Path, code: i32, arguments: &[&str]) -> String {
    let ran = run(dir, arguments);
    assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.out, ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran.err
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn fnlm_options_are_these() {
    let dir = folder();
    let ran = run(dir.path(), &["help-all"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!("help_all", ran.out);
}

#[test]
fn short_help_is_shorter_than_long_help_and_both_name_every_command() {
    let dir = folder();
    let short = run(dir.path(), &["-h"]);
    let long = run(dir.path(), &["--help"]);
    assert_eq!((short.code, long.code), (0, 0));
    assert!(short.out.len() < long.out.len());
    for command in [
        "quickstart",
        "doctor",
        "tokenizer",
        "data",
        "lexicon",
        "pretrain",
        "inspect",
        "export",
        "report",
        "config",
    ] {
        assert!(short.out.contains(command) && long.out.contains(command), "{command}");
    }
    for code in ["75", "128+n", "diverged", "out of disk"] {
        assert!(long.out.contains(code), "exit codes: {code}");
    }
}

#[test]
fn the_error_for_an_unknown_key_suggests_the_nearest_one() {
    let dir = folder();
    std::fs::write(
        dir.path().join("my.toml"),
        "preset = \"electra-small\"\n\n[train]\nbatch = 4\n  step = 9\n",
    )
    .unwrap();
    let error = refused(dir.path(), 2, &["config", "show", "--config", "my.toml"]);
    insta::assert_snapshot!(error, @"error: my.toml:5:3: unknown key `train.step` in section [train]; did you mean `train.steps`?");
    let error = refused(dir.path(), 2, &["config", "show", "--set", "model.hiden_size=3"]);
    insta::assert_snapshot!(error, @"error: --set model.hiden_size=3: unknown key `model.hiden_size` in section [model]; did you mean `model.hidden_size`?");
}

#[test]
fn errors_of_values_name_file_and_line_or_option() {
    let dir = folder();
    std::fs::write(dir.path().join("my.toml"), "[model]\nhidden_size = 256\nnum_heads = 3\n").unwrap();
    let error = refused(dir.path(), 2, &["config", "show", "-c", "my.toml"]);
    insta::assert_snapshot!(error, @"error: my.toml:3:1: `model.num_heads` is 3; allowed: a divisor of model.hidden_size = 256. Change it in the configuration file or with `--set model.num_heads=...`");
    let error = refused(dir.path(), 2, &["config", "show", "--set", "train.steps=many"]);
    insta::assert_snapshot!(error, @r#"error: --set train.steps=many: `train.steps` cannot be "many": invalid type: string "many", expected a whole number, 0 or more"#);
    let error = refused(dir.path(), 2, &["config", "show", "--batch", "0"]);
    assert!(error.contains("--batch: `train.batch` is 0; allowed: 1 or more"), "{error}");
    std::fs::write(dir.path().join("broken.toml"), "[train\n").unwrap();
    let error = refused(dir.path(), 2, &["config", "show", "-c", "broken.toml"]);
    assert!(error.contains("broken.toml:1:"), "{error}");
}

#[test]
fn errors_of_missing_files_name_the_file_and_a_remedy() {
    let dir = folder();
    let error = refused(dir.path(), 2, &["config", "show", "-c", "none.toml"]);
    assert!(error.contains("none.toml") && error.contains("fnlm config new"), "{error}");
    let check = ["config", "check", "--train", "none.txt", "--tokenizer", "vocab.txt"];
    let error = refused(dir.path(), 3, &check);
    assert!(error.contains("--train: `data.train`: none.txt does not exist"), "{error}");
    let error = refused(dir.path(), 2, &["config", "check"]);
    assert!(error.contains("`data.train` is not set"), "{error}");
    let error = refused(dir.path(), 3, &["lexicon", "stats", "--lexicon", "none.safetensors"]);
    assert!(error.contains("none.safetensors"), "{error}");
    let error = refused(dir.path(), 3, &["inspect", "--model", "none", "a [MASK]"]);
    assert!(error.contains("none"), "{error}");
    let error = refused(dir.path(), 3, &["export", "none", "--out", "model"]);
    assert!(error.contains("neither a run directory"), "{error}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_compiled_in_names_its_feature() {
    let dir = folder();
    let error = refused(dir.path(), 2, &["doctor", "--device", "cuda:1"]);
    assert!(error.contains("`cuda:1` is not compiled into this fnlm"), "{error}");
    assert!(error.contains("cargo build --release --features cuda"), "{error}");
    let error = refused(dir.path(), 2, &["config", "check", "--device", "cudda"]);
    assert!(error.contains("Did you mean `cuda`?"), "{error}");
}

#[test]
fn config_show_says_where_every_value_came_from() {
    let dir = folder();
    std::fs::write(dir.path().join("my.toml"), "preset = \"electra-tiny\"\n[train]\nbatch = 4\n").unwrap();
    let shown = run(
        dir.path(),
        &["config", "show", "-c", "my.toml", "--steps", "7", "--set", "correction.preset=hard"],
    );
    assert_eq!(shown.code, 0, "{}", shown.err);
    insta::assert_snapshot!("config_show", shown.out);
    // The output is a valid configuration.
    std::fs::write(dir.path().join("again.toml"), &shown.out).unwrap();
    let again = run(dir.path(), &["config", "show", "-c", "again.toml", "--json"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(again.out.contains("again.toml:"));
}

#[test]
fn config_show_origin_is_a_line_for_each_key() {
    let dir = folder();
    std::fs::write(dir.path().join("my.toml"), "preset = \"electra-tiny\"\n[train]\nbatch = 4\n").unwrap();
    let show = ["config", "show", "-c", "my.toml", "--steps", "7", "--set", "schedule.lr=1e-3"];
    let shown = run(dir.path(), &[&show[..], &["--origin"]].concat());
    assert_eq!(shown.code, 0, "{}", shown.err);
    insta::assert_snapshot!("config_show_origin", shown.out);
    let json = run(dir.path(), &[&show[..], &["--json"]].concat());
    let keys: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let keys = keys.as_array().unwrap();
    assert_eq!(keys.len(), shown.out.lines().count());
    let batch = keys.iter().find(|key| key["key"] == "train.batch").unwrap();
    assert_eq!(batch["value"], 4);
    assert_eq!(batch["origin"], "my.toml:3");
    assert_eq!(batch["changes_numbers"], true);
    assert!(batch["documentation"].as_str().unwrap().starts_with("Sequences per micro-batch."));

    let of_run = dir.path().join("runs/a");
    std::fs::create_dir_all(&of_run).unwrap();
    std::fs::write(of_run.join("config.toml"), "[train]\nbatch = 5\n").unwrap();
    let shown = run(dir.path(), &["config", "show", "--run", "runs/a", "--origin", "--seed", "9"]);
    let has = |key: &str, value: &str, origin: &str| {
        shown
            .out
            .lines()
            .any(|line| line.split_whitespace().eq(format!("{key} {value} {origin}").split_whitespace()))
    };
    assert!(
        has("train.batch", "5", "run runs/a") && has("seed", "9", "--seed"),
        "{}{}",
        shown.out,
        shown.err
    );
    let error = refused(dir.path(), 3, &["config", "show", "--run", "none"]);
    assert!(error.contains("none/config.toml"), "{error}");
}

#[test]
fn config_show_explains_keys() {
    let dir = folder();
    let shown = run(
        dir.path(),
        &["config", "show", "train.batch", "lexicon", "correction.generator.epsilon", "--batch", "4"],
    );
    assert_eq!(shown.code, 0, "{}", shown.err);
    for line in [
        "# Sequences per micro-batch.",
        "train.batch = 4  # --batch",
        "# lexicon.path is not set",
        "# lexicon.max_width is not set",
        "# label-smoothing: ",
        "# synonym-target: ",
        "# correction.masked_lm.epsilon is not set",
    ] {
        assert!(shown.out.lines().any(|found| found.starts_with(line)), "{line}: {}", shown.out);
    }
    assert!(!shown.out.contains("train.steps"), "{}", shown.out);
    let error = refused(dir.path(), 2, &["config", "show", "train.bach"]);
    assert!(error.contains("did you mean `train.batch`?"), "{error}");
}

#[test]
fn the_help_of_an_option_is_the_documentation_of_its_key() {
    let dir = folder();
    let help = run(dir.path(), &["pretrain", "--help"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    for (option, key) in [("--batch <N>", "train.batch"), ("--init <DIR>", "model.init")] {
        let doc = &fn_train::config::keys::find(key).unwrap().doc[0];
        assert!(help.contains(&format!("{option} {} (= {key})", doc.trim_end_matches('.'))), "{key}: {help}");
    }
}

/// Errors in a configuration are reported before a run directory is created.
#[test]
fn a_run_that_cannot_start_leaves_no_files() {
    let dir = folder();
    std::fs::write(dir.path().join("a.txt"), "a b c\n").unwrap();
    let pretrain = ["pretrain", "--run", "runs/a", "-p", "electra-tiny"];
    for (code, more) in [
        (2, &["--train", "a.txt"][..]),
        (2, &["--train", "a.txt", "--tokenizer", "a.txt", "--batch", "0"]),
        (2, &["--train", "a.txt", "--tokenizer", "a.txt", "--correction", "hard"]),
        (2, &["--train", "a.txt", "--tokenizer", "a.txt", "--device", "cudda"]),
        (3, &["--train", "none.txt", "--tokenizer", "a.txt"]),
        (3, &["--train", "a.txt", "--tokenizer", "none.txt"]),
    ] {
        refused(dir.path(), code, &[&pretrain[..], more].concat());
        assert!(!dir.path().join("runs").exists(), "{more:?}");
    }
}

#[test]
fn a_new_configuration_can_be_used_as_it_is() {
    let dir = folder();
    for preset in ["electra-small", "bert-base"] {
        let made = run(dir.path(), &["config", "new", preset]);
        assert_eq!(made.code, 0);
        let missing = ["#[lexicon]", "#path =", "# Lexicon file made by `fnlm lexicon build`.", "#wordnet ="];
        assert!(missing.iter().all(|line| made.out.contains(line)), "{}", made.out);
        assert!(!made.out.contains("# Peak learning rate"), "what the preset sets is set: {}", made.out);
        std::fs::write(dir.path().join("new.toml"), made.out).unwrap();
        let shown = run(dir.path(), &["config", "show", "-c", "new.toml"]);
        assert_eq!(shown.code, 0, "{preset}: {}", shown.err);
    }
    let error = refused(dir.path(), 2, &["config", "new", "electra-smal"]);
    assert!(error.contains("did you mean `electra-small`?"), "{error}");
}

#[test]
fn usage_errors_have_code_2_and_help_has_code_0() {
    let dir = folder();
    for arguments in
        [&["no-such-command"][..], &[], &["pretrain"], &["lexicon", "build"], &["doctor", "--fast"]]
    {
        refused(dir.path(), 2, arguments);
    }
    for arguments in [&["--version"][..], &["help"], &["pretrain", "--help"], &["config", "list"]] {
        assert_eq!(run(dir.path(), arguments).code, 0, "{arguments:?}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command_and_it_names_every_option() {
    fn walk(command: &clap::Command, name: &str, folder: &Path, pages: &mut usize) {
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        *pages += 1;
        for option in
            command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(clap::Arg::get_long)
        {
            let written = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(page.contains(&written), "{name}.1 lacks --{option}");
        }
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            walk(sub, &format!("{name}-{}", sub.get_name()), folder, pages);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let ran = run(dir.path(), &["man", "man1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut pages = 0;
    walk(&fn_cli::args::Cli::command(), "fnlm", &dir.path().join("man1"), &mut pages);
    let page = std::fs::read_to_string(dir.path().join("man1/fnlm-man.1")).unwrap();
    assert!(page.contains(".nf\nExamples:\n"), "{page}");
    assert_eq!(pages, std::fs::read_dir(dir.path().join("man1")).unwrap().count());
    assert!(pages > 30, "{pages}");
    // Again: the pages are replaced.
    assert_eq!(run(dir.path(), &["man", "man1"]).code, 0);
    let ran = run(dir.path(), &["man", "man1/fnlm.1"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}

#[test]
fn there_are_completions_for_every_shell() {
    let dir = folder();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = run(dir.path(), &["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("quickstart"), "{shell}");
    }
}

#[cfg(feature = "flex")]
#[test]
fn the_doctor_finds_the_processor_and_the_disk() {
    let dir = folder();
    let ran = run(dir.path(), &["doctor", "--device", "flex", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["devices"][0]["device"], "flex");
    assert_eq!(report["devices"][0]["usable"], true);
    assert!(report["devices"][0]["matmul_gflops"].as_f64().unwrap() > 0.0);
    assert!(report["devices"][0]["train_step_seconds"].as_f64().unwrap() > 0.0);
    assert!(report["disk"]["fsync_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(report["processor"]["purge_delay_ms"], -1);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn verbose_adds_the_machine_to_an_error() {
    let dir = folder();
    let error = refused(dir.path(), 3, &["inspect", "--verbose", "--model", "none", "a [MASK]"]);
    assert!(error.contains("threads"), "{error}");
}

#[test]
fn bench_reports_both_arms_and_invalid_sizes_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let small =
        ["bench", "electra-tiny", "--steps", "1", "--batch", "2", "--length", "16", "--json", "--quiet"];
    let ran = run(dir.path(), &small);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        let (speed, share) =
            (run["tokens_per_second"].as_f64().unwrap(), run["share_of_peak"].as_f64().unwrap());
        assert!(speed > 0.0 && share > 0.0 && share < 1.5, "{run}");
    }
    assert!(report["matmul_gflops"].as_f64().unwrap() > 0.0);
    assert!(refused(dir.path(), 2, &["bench", "electra-smal"]).contains("electra-small"));
    refused(dir.path(), 2, &["bench", "--batch", "0"]);
    assert!(refused(dir.path(), 2, &["bench", "--length", "4096"]).contains("model.max_positions"));
}

#[test]
fn a_sweep_measures_each_value_and_draws_it() {
    let dir = tempfile::tempdir().unwrap();
    let small =
        ["bench", "electra-tiny", "--steps", "1", "--batch", "2", "--length", "16", "--vocabulary", "500"];
    let with = |more: &[&'static str]| [&small[..], more].concat();
    let ran = run(dir.path(), &with(&["--sweep", "length=8,16", "--plot", "growth", "--json"]));
    let points: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(points.as_array().unwrap().len(), 2, "{}", ran.err);
    assert_eq!(points[1]["length"], 16.0);
    assert!(points[0]["memory_mib"].as_f64().unwrap() > 1.0);
    let picture = std::fs::read_to_string(dir.path().join("growth/electra-tiny-length-time.svg")).unwrap();
    assert!(picture.contains("hard correction") && picture.contains("length"));
    assert!(dir.path().join("growth/electra-tiny-length-memory.svg").exists());
    let ran = run(dir.path(), &with(&["--sweep", "model.num_layers=1,3"]));
    assert!(ran.out.contains("| model.num_layers | ms/step |"), "{}{}", ran.out, ran.err);
    assert!(refused(dir.path(), 2, &with(&["--sweep", "length"])).contains("KEY=A,B"));
    assert!(refused(dir.path(), 2, &with(&["--sweep", "model.layers=1"])).contains("model.num_layers"));
}

#[test]
fn preparing_and_reading_are_measured_and_drawn_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["bench", "--batch", "4", "--length", "32"];
    let with = |more: &[&'static str]| [&small[..], more].concat();
    let ran = run(dir.path(), &with(&["--corpus", "1,2", "--plot", "growth", "--json"]));
    let points: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(points[1]["corpus_mb"], 2, "{}", ran.err);
    for figure in ["prepare_mb_per_second", "memory_mib", "loader_tokens_per_second"] {
        assert!(points[0][figure].as_f64().unwrap() > 0.1, "{points}");
    }
    for file in ["prepare", "memory", "loader"] {
        let picture = std::fs::read_to_string(dir.path().join(format!("growth/corpus-{file}.svg"))).unwrap();
        assert!(picture.contains("MB of text"));
    }
    assert!(refused(dir.path(), 2, &with(&["--corpus", "1,x"])).contains("megabytes"));
    assert!(refused(dir.path(), 2, &with(&["--plot", "growth"])).contains("--corpus"));
}

#[test]
fn data_speed_measures_the_users_own_text() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["quickstart", "--prepare-only", "--steps", "100", "--out", "q"]);
    let speed = ["data", "speed", "--config", "q/config.toml", "--batches", "20"];
    let ran = run(dir.path(), &speed);
    assert!(ran.out.contains("prepared at") && ran.out.contains("tokens/s"), "{}{}", ran.out, ran.err);
    let ran = run(dir.path(), &speed);
    assert!(ran.out.contains("prepared before"), "{}{}", ran.out, ran.err);
    assert!(
        refused(dir.path(), 2, &["data", "speed", "--config", "q/config.toml", "--batches", "0"])
            .contains("--batches")
    );
}

#[test]
fn a_resumed_quickstart_shows_the_metrics_of_finished_arms() {
    let dir = tempfile::tempdir().unwrap();
    let quickstart = ["quickstart", "--steps", "20", "--arm", "baseline", "--out", "q", "--quiet"];
    let figures = || {
        run(dir.path(), &quickstart);
        let text = std::fs::read_to_string(dir.path().join("q/summary.json")).unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        let of = |name: &str| found["baseline"][name].as_f64();
        (of("fitting_accuracy"), of("detector_true_auc"))
    };
    let first = figures();
    assert!(first.0.is_some() && first.1.is_some());
    std::fs::remove_file(dir.path().join("q/summary.json")).unwrap();
    assert_eq!(figures(), first);
}

#[test]
fn the_version_is_the_newest_of_the_changelog() {
    let changelog = include_str!("../../../CHANGELOG.md");
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), &["--version"]);
    assert_eq!(said.out.trim().strip_prefix("fnlm "), newest.split(' ').next());
}
