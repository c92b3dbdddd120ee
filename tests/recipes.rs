//! Tests of the recipes of training through the real binary: each resumes bit for bit, and a decay that branches from a checkpoint of the
//! stable phase gives what one run with that decay gives.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{STEPS, differences, outcome, pretrain, text, with_fault};

/// A growing batch, a falling mask rate, a late decay, clipped updates and a moving average of the weights, all in one run.
const ALL: [&str; 12] = [
    "schedule.kind=warmup-stable-decay",
    "schedule.decay=20",
    "schedule.decay_shape=sqrt",
    "corruption.rate=0.3",
    "corruption.final_rate=0.15",
    "train.accumulation=3",
    "train.accumulation_start=1",
    "train.batch_warmup_tokens=4096",
    "optimizer.bias_correction=true",
    "optimizer.update_clipping=true",
    "average.decay=0.9",
    "average.start=12",
];

/// [`outcome`] with the exported average.
fn all_of(run: &Path) -> BTreeMap<String, String> {
    let mut all = outcome(run);
    let average = std::fs::read(run.join("average/model.safetensors")).unwrap();
    all.insert(
        "average".to_owned(),
        format!(
            "{:?}",
            std::hash::BuildHasher::hash_one(
                &std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(),
                average
            )
        ),
    );
    all
}

fn finish(run: &Path, steps: u64, sets: &[&str]) {
    let mut command = pretrain(run, steps, sets);
    command.args(["--allow-change", "train.steps"]);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
}

#[test]
fn a_run_with_every_recipe_resumes_bit_for_bit_and_a_forgotten_part_shows() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    finish(&whole, STEPS, &ALL);
    let expected = all_of(&whole);
    // The stop is within the batch warm-up (4096 tokens are 32 micro-batches: 16 steps of 1, 8 of 2) and after it.
    for stop in [20, 45] {
        let run = dir.path().join(format!("halves-{stop}"));
        finish(&run, stop, &ALL);
        finish(&run, STEPS, &ALL);
        assert_eq!(differences(&expected, &all_of(&run)), Vec::<String>::new(), "stopped at {stop}");
    }
    for part in ["position", "moments", "step", "average"] {
        let run = dir.path().join(part);
        finish(&run, 20, &ALL);
        let mut second = pretrain(&run, STEPS, &ALL);
        second.args(["--allow-change", "train.steps"]);
        let second = with_fault(&second, "FNLM_FORGET", part).output().unwrap();
        assert!(second.status.success(), "{}", text(&second));
        assert!(!differences(&expected, &all_of(&run)).is_empty(), "forgetting `{part}` went unnoticed");
    }
}

/// Replaced-token detection with ModernBERT's layers: two in the discriminator, one in the generator.
const MODERN: [&str; 8] = [
    "model.arch=modern-electra",
    "model.num_layers=2",
    "model.embedding_size=32",
    "model.intermediate_size=48",
    "model.generator_width=1.0",
    "model.generator_depth=0.5",
    "model.type_vocab=1",
    "data.packing=dense",
];

#[test]
fn a_run_resumes_bit_for_bit_whatever_generator_and_discriminator_share() {
    let dir = tempfile::tempdir().unwrap();
    let mut weights = Vec::new();
    for (arch, modern) in [("electra", [].as_slice()), ("modern", MODERN.as_slice())] {
        for sharing in ["tied", "gdes", "none"] {
            let set = format!("model.embedding_sharing={sharing}");
            let sets = [modern, &[set.as_str(), "average.decay=0.9"]].concat();
            let [whole, halves] =
                ["whole", "halves"].map(|name| dir.path().join(format!("{arch}-{sharing}-{name}")));
            finish(&whole, 24, &sets);
            finish(&halves, 13, &sets);
            finish(&halves, 24, &sets);
            let (expected, found) = (all_of(&whole), all_of(&halves));
            assert_eq!(differences(&expected, &found), Vec::<String>::new(), "{arch}, {sharing}");
            let text = std::fs::read_to_string(whole.join("model/config.json")).unwrap();
            assert_eq!(text.contains("embedding_sharing"), sharing != "tied");
            weights.push(expected["model/model.safetensors"].clone());
        }
    }
    weights.sort();
    weights.dedup();
    assert_eq!(weights.len(), 6, "two ways of sharing gave the same weights");
}

#[test]
fn every_correction_works_with_the_layers_of_modernbert() {
    let dir = tempfile::tempdir().unwrap();
    let judge = "correction.judge.kind=generator";
    let teacher = "correction.verifier.decay=0.9";
    let cases: [(&str, &[&str]); 15] = [
        ("masked_lm.kind=hard", &[]),
        ("masked_lm.kind=weight", &[judge]),
        ("masked_lm.kind=prediction-target", &[]),
        ("masked_lm.kind=random-shield", &[]),
        ("masked_lm.kind=verifier-target", &[teacher]),
        ("masked_lm.kind=soft", &[]),
        ("masked_lm.kind=label-smoothing", &[]),
        ("masked_lm.kind=synonym-target", &[]),
        ("discriminator.kind=drop", &[]),
        ("discriminator.kind=relabel", &[]),
        ("discriminator.kind=banded", &[judge]),
        ("discriminator.kind=weight", &[judge]),
        ("discriminator.kind=soft-label", &[judge]),
        ("discriminator.kind=soft", &[]),
        ("discriminator.kind=rao-blackwell", &[]),
    ];
    for (number, (kind, more)) in cases.into_iter().enumerate() {
        let kind = format!("correction.{kind}");
        let own =
            ["correction.preset=none", kind.as_str(), "model.embedding_sharing=gdes", "train.accumulation=1"];
        let sets = [MODERN.as_slice(), &own, more].concat();
        let run = dir.path().join(number.to_string());
        let done = pretrain(&run, 3, &sets).output().unwrap();
        assert!(done.status.success(), "{kind}: {}", text(&done));
        assert!(run.join("model/generator/model.safetensors").exists());
    }
}

#[test]
fn the_average_of_a_checkpoint_is_exported_if_it_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    finish(&run, 12, &["average.decay=0.9"]);
    let export = |run: &Path, name: &str, more: &[&str]| {
        let mut command = common::fnlm();
        command.arg("export").arg(run).arg("--out").arg(dir.path().join(name)).args(more);
        command.output().unwrap()
    };
    let weights = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    for (name, more, of_run) in
        [("average", ["--newest", "--average"].as_slice(), "average"), ("weights", &["--newest"], "model")]
    {
        let done = export(&run, name, more);
        assert!(done.status.success(), "{}", text(&done));
        assert!(weights(&dir.path().join(name)) == weights(&run.join(of_run)), "{name}");
    }
    let plain = dir.path().join("plain");
    finish(&plain, 3, &[]);
    let refused = export(&plain, "none", &["--average"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    assert!(text(&refused).contains("average.decay"), "{}", text(&refused));
}

#[test]
fn each_recipe_changes_the_weights_but_the_average() {
    let dir = tempfile::tempdir().unwrap();
    let weights = |name: &str, sets: &[&str]| {
        let run = dir.path().join(name);
        finish(&run, 30, sets);
        outcome(&run)["model/model.safetensors"].clone()
    };
    let plain = weights("plain", &[]);
    assert_eq!(weights("average", &["average.decay=0.9"]), plain);
    let decay = ["schedule.kind=warmup-stable-decay", "schedule.decay=40"];
    let corrected = ["optimizer.bias_correction=true"];
    let clipped = ["optimizer.bias_correction=true", "optimizer.update_clipping=true"];
    assert_ne!(weights("decay", &decay), plain);
    // The configuration of the quickstart masks 0.3.
    assert_ne!(weights("rate", &["corruption.final_rate=0.1"]), plain);
    assert_ne!(weights("growth", &["train.accumulation_start=1", "train.batch_warmup_tokens=1000"]), plain);
    assert_ne!(weights("clipped", &clipped), weights("corrected", &corrected));
}

#[test]
fn a_decay_from_a_stable_checkpoint_is_what_one_run_with_that_decay_gives() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, stable, branch] = ["whole", "stable", "branch"].map(|name| dir.path().join(name));
    let kind = "schedule.kind=wsd";
    finish(&whole, STEPS, &[kind, "schedule.decay=20"]);
    finish(&stable, 40, &[kind, "schedule.total=1000000"]);
    let from = format!("train.branch={}", stable.join("checkpoints/step-00000040").display());
    finish(&branch, STEPS, &[kind, "schedule.decay=20", &from]);
    let (mut expected, mut found) = (outcome(&whole), outcome(&branch));
    let [last, of_branch] = [&mut expected, &mut found].map(|o| o.remove("metrics.jsonl").unwrap());
    assert_eq!(differences(&expected, &found), Vec::<String>::new());
    // Its own figures begin behind the checkpoint, and are those of the one run.
    let steps = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("\"loss\"")).map(str::to_owned).collect()
    };
    assert_eq!(steps(&of_branch), steps(&last)[40..]);
    assert_eq!(steps(&of_branch).len(), 20);
    assert!(branch.join("checkpoints/step-00000040").exists() || steps(&of_branch).len() == 20);
    // Without the decay it is another run.
    let other = dir.path().join("other");
    finish(&other, STEPS, &[kind, &from]);
    assert_ne!(outcome(&other)["model.safetensors"], expected["model.safetensors"]);
    // The branch is resumed from its own checkpoints, also where the stable run is gone.
    std::fs::remove_dir_all(branch.join("model")).unwrap();
    std::fs::remove_dir_all(branch.join("checkpoints/step-00000060")).unwrap();
    finish(&branch, STEPS, &[kind, "schedule.decay=20", &from]);
    let again = outcome(&branch);
    assert_eq!(again["model.safetensors"], expected["model.safetensors"]);
}

#[test]
fn a_branch_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let stable = dir.path().join("stable");
    finish(&stable, 10, &[]);
    let from = format!("train.branch={}", stable.join("checkpoints/step-00000010").display());
    for (sets, part) in [
        (vec!["seed=9"], "its seed is"),
        (vec!["train.accumulation=1"], "its micro-batches so far is 20, this configuration needs 10"),
        (vec!["train.steps=10"], "its step is 10"),
    ] {
        let run = dir.path().join("branch");
        let mut all = vec![from.as_str()];
        all.extend(sets);
        let refused = pretrain(&run, STEPS, &all).output().unwrap();
        assert!(!refused.status.success());
        assert!(text(&refused).contains(part), "{}", text(&refused));
        let _ = std::fs::remove_dir_all(run);
    }
    let missing =
        pretrain(&dir.path().join("m"), STEPS, &["train.branch=nowhere/step-00000001"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing));
}
