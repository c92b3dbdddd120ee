//! Two processes that write the same: one is refused, or waits, or leaves the work to the other, and what is written is what one process
//! alone writes.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use common::{fnlm, inputs, pretrain, text};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn word(n: usize) -> String {
    format!("w{}{}", (b'a' + (n / 26) as u8) as char, (b'a' + (n % 26) as u8) as char)
}

/// A folder with a tiny encoder in `model`, a task in `glue`, vectors, and a run in `run`.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("model")).unwrap();
    for file in ["model.safetensors", "config.json"] {
        std::fs::copy(golden("electra_tiny").join(file), at("model").join(file)).unwrap();
    }
    let words: Vec<String> = (0..51).map(word).collect();
    std::fs::write(
        at("model/vocab.txt"),
        format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{}\n", words.join("\n")),
    )
    .unwrap();
    let mut vectors = String::new();
    for (n, word) in words.iter().enumerate() {
        writeln!(vectors, "{word} {} {} 1", n % 3, n % 5).unwrap();
    }
    std::fs::write(at("vectors.txt"), vectors).unwrap();
    std::fs::create_dir_all(at("glue/RTE")).unwrap();
    for (split, rows) in [("train", 96), ("dev", 16)] {
        let mut table = "index\tsentence1\tsentence2\tlabel\n".to_owned();
        for row in 0..rows {
            let (first, label) = [("waa", "entailment"), ("wab", "not_entailment")][row % 2];
            writeln!(table, "{row}\t{} {first}\t{}\t{label}", word(row % 40), word(row % 13)).unwrap();
        }
        std::fs::write(at("glue/RTE").join(format!("{split}.tsv")), table).unwrap();
    }
    dir
}

/// Starts a command twice at once, in the same folder.
fn twice(dir: &Path, command: &str) -> [Output; 2] {
    let start = || {
        let mut child = fnlm();
        child.current_dir(dir).args(command.split_whitespace());
        child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    [start(), start()].map(|child| child.wait_with_output().unwrap())
}

fn ok(dir: &Path, command: &str) {
    let output = fnlm().current_dir(dir).args(command.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", text(&output));
}

/// The bytes of a file, or of all files of a folder that hold no times.
fn content(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    const TIMED: [&str; 6] =
        ["results.json", "result.json", "environment.json", "command.txt", "README.md", "run.lock"];
    if path.is_file() {
        return BTreeMap::from([(PathBuf::new(), std::fs::read(path).unwrap())]);
    }
    let mut out = BTreeMap::new();
    for entry in path.read_dir().unwrap() {
        let entry = entry.unwrap();
        let name = PathBuf::from(entry.file_name());
        if !TIMED.iter().any(|timed| name.as_os_str() == *timed) {
            out.extend(content(&entry.path()).into_iter().map(|(inner, bytes)| (name.join(inner), bytes)));
        }
    }
    out
}

/// Commands that refuse a second process, each with what it writes. A command alone writes `OUT-1`, two processes write `OUT-2`.
const REFUSED: [(&str, &str); 8] = [
    ("tokenizer train CORPUS --size 200 --out OUT", "tokenizer"),
    (
        "lexicon build --vectors vectors.txt --tokenizer model/vocab.txt --threshold 0.9 --out OUT.safetensors",
        "lexicon",
    ),
    ("import model --out OUT", "import"),
    ("export run --out OUT", "export"),
    (
        "finetune --task rte --model model --data glue --out OUT --seeds 1 --epochs 2 --length 16 --recipe transformers",
        "finetune",
    ),
    (
        "glue --tasks rte --model model --data glue --out OUT --seeds 1 --epochs 2 --length 16 --recipe transformers",
        "glue",
    ),
    ("predict --model fine/seed-1/model --data glue --split dev --out OUT.jsonl", "predict"),
    ("quickstart --prepare-only --steps 50 --out OUT", "quickstart"),
];

#[test]
fn the_second_process_is_refused_and_the_first_is_whole() {
    let dir = place();
    let corpus = inputs().join("corpus.txt").display().to_string();
    let made = pretrain(&dir.path().join("run"), 4, &["checkpoint.every=2"]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    ok(
        dir.path(),
        "finetune --task rte --model model --data glue --out fine --seeds 1 --epochs 1 --length 16",
    );
    for (command, name) in REFUSED {
        let out = |n: u32| command.replace("OUT", &format!("{name}-{n}")).replace("CORPUS", &corpus);
        let written = |n: u32| {
            let ending = command.split_once("OUT").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("");
            dir.path().join(format!("{name}-{n}{ending}"))
        };
        ok(dir.path(), &out(1));
        let both = twice(dir.path(), &out(2));
        let codes = both.each_ref().map(|output| output.status.code());
        let said = format!("{command}\n{}\n{}", text(&both[0]), text(&both[1]));
        // A second process that is later than the end of the first finds the work done.
        let late = [Some(0), Some(0)];
        let refused = codes == [Some(0), Some(2)] || codes == [Some(2), Some(0)];
        assert!(
            refused || (codes == late && ["finetune", "glue", "quickstart"].contains(&name)),
            "{codes:?} {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
        // The path of the vocabulary stands in what the quickstart writes.
        if name != "quickstart" {
            let (alone, together) = (content(&written(1)), content(&written(2)));
            assert!(
                !alone.is_empty() && alone == together,
                "{command}: {:?} {:?}",
                alone.keys(),
                together.keys()
            );
        }
    }
}

/// What the processes above meet by chance: another process holds the output for certain.
#[test]
fn an_output_that_another_process_holds_is_refused_by_name() {
    let dir = place();
    let corpus = inputs().join("corpus.txt").display().to_string();
    for name in ["tokenizer", "lexicon.safetensors", "import"] {
        fn_train::lock::hold_output(&dir.path().join(name)).unwrap();
    }
    for command in [
        format!("tokenizer train {corpus} --size 200 --out tokenizer"),
        "lexicon build --vectors vectors.txt --tokenizer model/vocab.txt --out ./lexicon.safetensors --force"
            .to_owned(),
        "import model --out model/../import".to_owned(),
    ] {
        let output = fnlm().current_dir(dir.path()).args(command.split_whitespace()).output().unwrap();
        let said = text(&output);
        assert!(output.status.code() == Some(2) && said.contains("another process"), "{command}: {said}");
    }
}

#[test]
fn two_processes_prepare_the_same_text_once() {
    let dir = tempfile::tempdir().unwrap();
    let (config, corpus) = (inputs().join("config.toml"), inputs().join("corpus.txt"));
    let command = |cache: &str| {
        format!(
            "data prepare --config {} --set data.train=[{corpus:?}] --set data.cache={cache:?}",
            config.display()
        )
    };
    ok(dir.path(), &command("alone"));
    let both = twice(dir.path(), &command("both"));
    assert!(both.iter().all(|output| output.status.success()), "{}{}", text(&both[0]), text(&both[1]));
    let (alone, together) = (content(&dir.path().join("alone")), content(&dir.path().join("both")));
    assert!(alone.len() >= 3 && alone == together, "{:?} {:?}", alone.keys(), together.keys());
}

#[test]
fn two_processes_share_a_study_run_by_run() {
    let dir = tempfile::tempdir().unwrap();
    let study = format!(
        "name = \"both\"\nconfig = {:?}\nseeds = [1, 2]\nset = [\"train.steps=6\", \"train.batch=4\", \"eval.every=0\", \
         \"checkpoint.every=2\", \"log.tensorboard=false\", \"data.held_out=[]\", \"schedule.warmup=2\"]\n\
         [[arm]]\nname = \"a\"\n[[arm]]\nname = \"b\"\nset = [\"correction.preset=hard\"]\n",
        inputs().join("config.toml")
    );
    std::fs::write(dir.path().join("study.toml"), study).unwrap();
    ok(dir.path(), "study run study.toml --out alone");
    let both = twice(dir.path(), "study run study.toml --out both");
    let said = format!("{}{}", text(&both[0]), text(&both[1]));
    assert!(both.iter().all(|output| output.status.success()), "{said}");
    ok(dir.path(), "study run study.toml --out both");
    for run in ["a/seed-1", "a/seed-2", "b/seed-1", "b/seed-2"] {
        let model = |out: &str| {
            std::fs::read(dir.path().join(out).join(run).join("model/model.safetensors")).unwrap()
        };
        assert!(model("alone") == model("both"), "{run}: {said}");
        let metrics = |out: &str| common::metrics(&dir.path().join(out).join(run));
        assert_eq!(metrics("alone"), metrics("both"), "{run}");
    }
}
