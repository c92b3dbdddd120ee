//! Tests of studies with the real binary: plan, run, stop, resume, report.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{fnlm, inputs, text};

/// A study of two tiny arms and two seeds on the quickstart's text, with a task of its own.
fn write(dir: &Path, more: &str) {
    let (config, held_out) = (inputs().join("config.toml"), inputs().join("held-out.txt"));
    let mut data = [String::new(), String::new()];
    for (n, lines) in data.iter_mut().enumerate() {
        for row in 0..40 {
            let good = (row + n) % 2;
            writeln!(lines, "{{\"text\":\"{}\",\"label\":{good}}}", ["no", "yes"][good]).unwrap();
        }
    }
    for (split, lines) in ["train", "dev"].iter().zip(&data) {
        std::fs::create_dir_all(dir.join("mine")).unwrap();
        std::fs::write(dir.join(format!("mine/{split}.jsonl")), lines).unwrap();
    }
    let task =
        "[task]\ntype = \"classify\"\nfirst = \"text\"\nlabel = \"label\"\nlabels = [\"no\", \"yes\"]\n";
    std::fs::write(dir.join("mine.toml"), task).unwrap();
    let study = format!(
        "name = \"tiny\"\nabout = \"Does it <run>?\"\nconfig = {config:?}\nseeds = [1, 2]\n\
         set = [\"train.steps=20\", \"train.batch=4\", \"eval.every=10\", \"eval.batches=1\", \"checkpoint.every=5\", \
         \"log.tensorboard=false\", 'data.held_out=[{held_out:?}]', \"model.hidden_size=32\", \"model.num_heads=2\", \"model.intermediate_size=64\", \
         \"schedule.warmup=2\"]\n\
         [[arm]]\nname = \"baseline\"\n[[arm]]\nname = \"hard\"\nset = [\"correction.preset=hard\"]\n\
         [[evaluate]]\ntask = \"mine.toml\"\ndata = \"mine\"\nset = [\"epochs=1\", \"length=16\"]\n{more}"
    );
    std::fs::write(dir.join("study.toml"), study).unwrap();
}

fn study(dir: &Path, arguments: &str) -> Command {
    let mut command = fnlm();
    command.current_dir(dir).arg("study").args(arguments.split_whitespace());
    command
}

fn run(dir: &Path, arguments: &str) -> Output {
    study(dir, arguments).output().unwrap()
}

#[test]
fn a_study_is_planned_run_in_parts_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    let plan = run(dir.path(), "run study.toml --dry-run");
    let shown = text(&plan);
    assert!(plan.status.success() && shown.contains("4 of 4 runs and 4 fine-tunings are to do"), "{shown}");
    // Two kinds of arms, each probed once for both of its seeds.
    assert!(shown.contains("(2 probes: "), "{shown}");
    assert!(
        shown.matches(": a probe of a few steps").count() == 2 && shown.contains("hard: a probe"),
        "{shown}"
    );
    assert!(
        shown.contains("fine-tuning: about 0:0") && shown.contains("derived from the tokens per second"),
        "{shown}"
    );
    assert!(shown.contains("together: about "), "{shown}");
    assert!(!dir.path().join("study-tiny").exists());
    let early = run(dir.path(), "report study.toml");
    assert_eq!(early.status.code(), Some(3), "{}", text(&early));

    let first = run(dir.path(), "run study.toml --part 1/2 --quiet");
    assert!(first.status.success(), "{}", text(&first));
    let there =
        |run: &str| dir.path().join("study-tiny").join(run).join("finetune-mine/results.json").exists();
    assert!(there("baseline/seed-1") && there("baseline/seed-2") && !there("hard/seed-1"));
    let rest = run(dir.path(), "run study.toml");
    assert!(rest.status.success() && there("hard/seed-1") && there("hard/seed-2"), "{}", text(&rest));
    // Processes get resolved configuration files, which are beside the run.
    let command = |folder: &str| {
        std::fs::read_to_string(dir.path().join("study-tiny/hard/seed-2").join(folder).join("command.txt"))
    };
    let (pretrain, finetune) = (command("").unwrap(), command("finetune-mine").unwrap());
    assert!(
        pretrain.contains("--config study-tiny/hard/seed-2.toml") && !pretrain.contains("--set"),
        "{pretrain}"
    );
    assert!(finetune.contains("--recipe-file") && !finetune.contains("--set"), "{finetune}");
    let again = run(dir.path(), "run study.toml --dry-run");
    assert!(text(&again).contains("0 of 4 runs and 0 fine-tunings"), "{}", text(&again));

    let other = run(dir.path(), "run study.toml --set train.batch=5");
    let shown = text(&other);
    assert!(other.status.code() == Some(1) && shown.contains("4 of 4 runs failed"), "{shown}");
    assert!(shown.contains("train.batch was 4, is now 5"), "{shown}");

    let report = run(dir.path(), "report study.toml");
    let table = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.status.success(), "{}", text(&report));
    for part in ["| mine, % | baseline |", "| masked accuracy, % | hard |", "2 seeds cannot show more"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let page = std::fs::read_to_string(dir.path().join("study-tiny/report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("Does it &lt;run&gt;?") && page.contains("within noise"));
    assert!(
        !page.contains("<script") && !page.contains("src=") && !page.contains("href="),
        "no network, no scripts"
    );

    // A damaged run is skipped with a note; if no other run is left, it is an error.
    let base = dir.path().join("study-tiny");
    std::fs::write(base.join("hard/seed-2/finetune-mine/results.json"), "{\"task\": ").unwrap();
    std::fs::write(base.join("hard/seed-1/metrics.jsonl"), "{\"step\": 1}\n{\"st").unwrap();
    let report = run(dir.path(), "report study.toml");
    let (table, shown) = (String::from_utf8_lossy(&report.stdout).into_owned(), text(&report));
    assert!(
        report.status.success()
            && table.ends_with("\n2 runs were skipped, because their files are damaged\n"),
        "{shown}"
    );
    for part in ["seed-2/finetune-mine/results.json: found EOF", "seed-1/metrics.jsonl: line 2 "] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(table.contains("| mine, % | baseline |") && !table.contains("| hard |"), "{table}");
    let page = std::fs::read_to_string(base.join("report.html")).unwrap();
    assert!(
        page.contains(
            "4 of 4 runs are finished. <b>2 runs were skipped, because their files are damaged.</b>"
        ),
        "{page}"
    );
    for seed in [1, 2] {
        std::fs::write(base.join(format!("baseline/seed-{seed}/metrics.jsonl")), "[").unwrap();
    }
    let report = run(dir.path(), "report study.toml");
    assert!(
        report.status.code() == Some(3) && text(&report).contains("metrics.jsonl: line "),
        "{}",
        text(&report)
    );
}

#[test]
fn what_fine_tuning_needs_is_checked_before_the_first_run() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    let path = dir.path().join("study.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    for (set, part) in [("length=9999", "`length` = 9999 tokens"), ("lr=5", "`lr` is 5")] {
        std::fs::write(&path, good.replace("length=16", set)).unwrap();
        let said = run(dir.path(), "run study.toml");
        assert!(said.status.code() == Some(2) && text(&said).contains(part), "{}", text(&said));
    }
    std::fs::write(&path, &good).unwrap();
    let dev = dir.path().join("mine/dev.jsonl");
    let rows = std::fs::read_to_string(&dev).unwrap();
    std::fs::write(&dev, format!("{rows}{{\"text\":\"no\",\"label\":\"perhaps\"}}\n")).unwrap();
    let said = run(dir.path(), "run study.toml");
    assert!(said.status.code() == Some(3) && text(&said).contains("dev.jsonl: line 41"), "{}", text(&said));
    assert!(!dir.path().join("study-tiny/baseline").exists());
}

#[test]
fn models_are_measured_once_and_the_measures_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let pair = "{\"sentence_good\":\"yes no\",\"sentence_bad\":\"no yes\"}\n";
    std::fs::write(dir.path().join("pairs.jsonl"), pair).unwrap();
    let measure = "[[measure]]\nname = \"order\"\nkind = \"pairs\"\ndata = [\"pairs.jsonl\"]\n";
    write(dir.path(), measure);
    let plan = run(dir.path(), "run study.toml --dry-run --part 1/2");
    assert!(text(&plan).contains("2 of 2 runs and 2 fine-tunings, 2 measures are to do"), "{}", text(&plan));
    let first = run(dir.path(), "run study.toml --part 1/2 --quiet");
    assert!(first.status.success(), "{}", text(&first));
    let kept = dir.path().join("study-tiny/baseline/seed-1/measures.jsonl");
    let line = std::fs::read_to_string(&kept).unwrap();
    assert!(line.contains("\"name\":\"BLiMP, discriminator\"") && line.lines().count() == 1, "{line}");
    let made = std::fs::metadata(&kept).unwrap().modified().unwrap();
    let again = run(dir.path(), "run study.toml --part 1/2 --quiet");
    assert!(again.status.success() && std::fs::metadata(&kept).unwrap().modified().unwrap() == made);
    let report = run(dir.path(), "report study.toml");
    let table = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(table.contains("| order: BLiMP, discriminator | baseline |"), "{table}{}", text(&report));
    std::fs::remove_file(dir.path().join("pairs.jsonl")).unwrap();
    std::fs::remove_file(&kept).unwrap();
    let failed = run(dir.path(), "run study.toml --part 1/2 --quiet");
    assert!(
        failed.status.code() == Some(1) && text(&failed).contains("baseline seed 1, order: "),
        "{}",
        text(&failed)
    );
}

#[test]
fn a_stopped_study_resumes_and_runs_locked_by_another_process_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    let child = study(dir.path(), "run study.toml --set train.steps=4000 --quiet")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = dir.path().join("study-tiny/baseline/seed-1/metrics.jsonl");
    let start = std::time::Instant::now();
    while !std::fs::read_to_string(&metrics).is_ok_and(|t| !t.is_empty()) {
        assert!(start.elapsed().as_secs() < 60, "no step");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let other = run(dir.path(), "run study.toml --set train.steps=4000 --part 1/4");
    assert!(
        other.status.success() && text(&other).contains("another process is running it"),
        "{}",
        text(&other)
    );
    // SAFETY: `kill` only takes a process id and a number; the child is ours and has not been waited for.
    #[allow(unsafe_code)]
    let sent = unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert_eq!(sent, 0);
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(75), "{}", text(&stopped));
    let half = run(dir.path(), "run study.toml --dry-run --set train.steps=4000");
    assert!(text(&half).contains("half-way"), "{}", text(&half));
    // This run was made with other settings, which is an error; the other runs continue.
    let rest = run(dir.path(), "run study.toml");
    assert_eq!(rest.status.code(), Some(1), "{}", text(&rest));
    assert!(
        text(&rest).contains("1 of 4 runs failed") && text(&rest).contains("train.steps"),
        "{}",
        text(&rest)
    );
    assert!(dir.path().join("study-tiny/hard/seed-2/finetune-mine/results.json").exists());
}

#[test]
fn errors_of_a_description_are_reported_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |more: &str, code: i32, part: &str| {
        write(dir.path(), more);
        let output = run(dir.path(), "run study.toml");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(part), "{part} is not in {}", text(&output));
        assert!(!dir.path().join("study-tiny").exists());
    };
    fails("[[arm]]\nname = \"x\"\nset = [\"train.step=3\"]\n", 2, "arm x: ");
    fails("[[arm]]\nname = \"hard\"\n", 2, "two arms are named");
    fails("[[evaluate]]\ntask = \"rte\"\ndata = \"nowhere\"\n", 3, "nowhere");
    fails("[[evaluate]]\ntask = \"tre\"\ndata = \"mine\"\n", 2, "no task");
    fails("[[evaluate]]\ntask = \"mine.toml\"\ndata = \"mine\"\n", 2, "two [[evaluate]]");
    fails("[[arm]]\nname = \"x\"\nset = [\"seed=3\"]\n", 2, "the same seed");
    let idle =
        "arm x: --set correction.verifier.decay=0.9: `correction.verifier.decay` is 0.9; allowed: not set";
    fails("[[arm]]\nname = \"x\"\nset = [\"correction.verifier.decay=0.9\"]\n", 2, idle);
    fails("[[arm]]\nname = \"x\"\nset = [\"lexicon.path=nowhere.safetensors\"]\n", 3, "nowhere.safetensors");
    write(dir.path(), "");
    let part = run(dir.path(), "run study.toml --part 3/2");
    assert!(part.status.code() == Some(2) && text(&part).contains("i/n"), "{}", text(&part));
}

#[test]
fn each_dial_of_the_generated_language_is_run_once() {
    let dir = tempfile::tempdir().unwrap();
    let turn = || run(dir.path(), "truth --dial coverage --steps 4 --seeds 1 --out truth");
    let first = turn();
    let table = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(first.status.success(), "{}", text(&first));
    for place in [25, 50, 75, 100] {
        assert!(table.contains(&format!("| coverage | {place} % of the planted pairs |")), "{table}");
    }
    // Recall rises with the coverage of the lexicon, and without wrong pairs the precision is 1.
    let summary = |place: u32| -> serde_json::Value {
        let path = dir.path().join(format!("truth/coverage-{place}/seed-1/summary.json"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let recall = |place: u32| summary(place)["hard"]["replaced_detection_recall"].as_f64().unwrap();
    assert!(recall(25) < recall(100), "{} {}", recall(25), recall(100));
    let figure = std::fs::read_to_string(dir.path().join("truth/truth.svg")).unwrap();
    assert!(figure.contains("what the lexicon knows"));
    let again = turn();
    assert_eq!(again.stdout, first.stdout);
    let unknown = run(dir.path(), "truth --dial covrage");
    assert!(
        unknown.status.code() == Some(2) && text(&unknown).contains("known: set-size"),
        "{}",
        text(&unknown)
    );
}

#[test]
fn one_arm_alone_can_be_run() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    let plan = run(dir.path(), "run study.toml --dry-run --arm hard");
    let shown = text(&plan);
    assert!(shown.contains("2 of 2 runs") && !shown.contains("baseline"), "{shown}");
    assert!(shown.contains("(a probe: "), "{shown}");
    let unknown = run(dir.path(), "run study.toml --arm herd");
    let shown = text(&unknown);
    assert!(unknown.status.code() == Some(2) && shown.contains("known: baseline, hard"), "{shown}");
}

#[test]
fn a_probe_counts_every_error_once_and_shows_false_negatives_in_context() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let held_out = format!("data.held_out=[{:?}]", inputs().join("held-out.txt"));
    let done = common::pretrain(&run, 60, &[&held_out, "eval.every=20"]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let probe = |more: &[&str]| {
        let mut command = fnlm();
        command.args(["probe", "false-negatives"]).arg(&run).args(["--batches", "16"]).args(more);
        command.output().unwrap()
    };
    let found: serde_json::Value = serde_json::from_slice(&probe(&["--json"]).stdout).unwrap();
    let (masked, wrong) = (found["masked"].as_u64().unwrap(), found["wrong"].as_u64().unwrap());
    assert!(masked > 100 && wrong > 0 && wrong <= masked, "{found}");
    let excused = found["judges"][0]["false_negatives"].as_u64().unwrap();
    let judge = found["judges"][0]["judge"].as_str().unwrap();
    let bands = found["frequency"].as_array().unwrap();
    let errors: u64 = bands.iter().map(|band| band["errors"].as_u64().unwrap()).sum();
    let of_judge: u64 = bands.iter().map(|band| band["false_negatives"][judge].as_u64().unwrap()).sum();
    assert_eq!((errors, of_judge), (wrong, excused));
    let steps = found["by_step"].as_array().unwrap();
    assert!(
        steps.len() > 1 && steps.windows(2).all(|w| w[0]["step"].as_u64() < w[1]["step"].as_u64()),
        "{steps:?}"
    );
    for example in found["examples"].as_array().unwrap() {
        assert_ne!(example["gold"], example["predicted"]);
        assert!(example["context"].as_str().unwrap().contains("[...]"), "{example}");
    }
    // The same judge twice agrees with itself.
    let lexicon = inputs().join("lexicon.safetensors");
    let lexicon = lexicon.to_str().unwrap();
    let twice = probe(&["--lexicon", lexicon, "--lexicon", lexicon, "--markdown"]);
    let shown = text(&twice);
    let row = shown.lines().skip_while(|line| !line.starts_with("| two judges |")).nth(2).unwrap_or_default();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells[2..5], [&excused.to_string(), "0", "0"], "{shown}");
    assert!(shown.contains("| frequency of the word | errors |"), "{shown}");
    let none = probe(&["--text", "nowhere.txt"]);
    assert!(none.status.code() == Some(3) && text(&none).contains("nowhere.txt"), "{}", text(&none));
}
