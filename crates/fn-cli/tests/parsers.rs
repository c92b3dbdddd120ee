//! Every fuzz target on its seeds and on inputs made from them: what fuzzing does for hours, for seconds and without its tools.
//! What was found by fuzzing lies in `fuzz/regressions`. docs/reliability.md tells how often the targets were run.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

#[path = "../../../fuzz/src/data.rs"]
mod data;
#[path = "../../../fuzz/src/models.rs"]
mod models;
#[path = "../../../fuzz/src/scratch.rs"]
mod scratch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fn_core::noise::mix;
use scratch::Target;

/// Inputs that are made from the seeds of each target, unless `FNLM_PARSER_INPUTS` is another number; `FNLM_PARSERS=pickle,parquet` runs only
/// these targets.
const MADE: u64 = 2_000;

fn inputs(folder: &str, target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder).join(target);
    let mut paths: Vec<PathBuf> =
        folder.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Words of the formats, which chance alone would not hit upon.
const WORDS: [&[u8]; 12] = [
    b"\n",
    b"\t",
    b"\0",
    b"\"",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"[[[[",
    b"{",
    b"\xff\xfe",
    b"\xf0\x9f\x98\x80",
];

/// An input of one or two seeds, changed in one to four places.
fn made(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut drawn = 0;
    let mut draw = |below: usize| {
        drawn += 1;
        (mix(&[number, drawn]) % below.max(1) as u64) as usize
    };
    let mut bytes = seeds[draw(seeds.len())].clone();
    for _ in 0..1 + draw(4) {
        let (at, to) = (draw(bytes.len() + 1), draw(bytes.len() + 1));
        let (at, to) = (at.min(to), at.max(to));
        match draw(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => bytes.splice(at..at, bytes[at..to].to_vec()).for_each(drop),
            3 => bytes.splice(at..at, WORDS[draw(WORDS.len())].iter().copied()).for_each(drop),
            4 => {
                let other = &seeds[draw(seeds.len())];
                let from = draw(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied()).for_each(drop);
            }
            5 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
            _ => {
                let change = 1 << draw(8);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= change);
            }
        }
        bytes.truncate(1 << 16);
    }
    bytes
}

fn check(targets: &[Target]) {
    let asked = |name: &str| std::env::var(name).ok();
    let number: u64 = asked("FNLM_PARSER_INPUTS").map_or(MADE, |number| number.parse().unwrap());
    let only = asked("FNLM_PARSERS");
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|only| only == name));
    for (name, target) in targets.iter().filter(|(name, _)| wanted(name)) {
        let seeds = inputs("seeds", name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let found = inputs("regressions", name);
        let all = seeds.iter().chain(&found).cloned().chain((0..number).map(|number| made(&seeds, number)));
        for (at, bytes) in all.enumerate() {
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                panic!("{name}, input {at}: {:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

#[test]
fn no_input_breaks_a_parser_of_data() {
    check(&data::TARGETS);
}

#[test]
fn no_input_breaks_a_parser_of_models_and_runs() {
    check(&models::TARGETS);
}

/// A target that is not in the lists would run nowhere but under the fuzzer.
#[test]
fn every_target_of_the_fuzzer_is_run_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> =
        names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    let mut listed: Vec<&str> = data::TARGETS.iter().chain(&models::TARGETS).map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(names, listed);
}
