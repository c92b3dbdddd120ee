//! Every command that prints a table prints it as JSON with `--json`, and `-` is standard input where text or data is read.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on should stop
#![cfg(feature = "flex")]

use std::fmt::Write as _;
use std::path::Path;

use assert_cmd::Command;
use clap::CommandFactory;
use fn_cli::args::Cli;
use serde_json::Value;

/// Commands that print no table: files they write, one line each, or rows of text.
const NO_TABLE: [&str; 12] = [
    "tokenizer train",
    "data prepare",
    "data inspect",
    "lexicon build",
    "lexicon placebo",
    "pretrain",
    "export",
    "submit",
    "config check",
    "config new",
    "completions",
    "man",
];

/// Commands whose `--json` another test reads: the file, and what stands in it.
const ELSEWHERE: [(&str, &str, &str); 12] = [
    ("doctor", "cli.rs", "\"doctor\", \"--device\", \"flex\", \"--json\""),
    ("bench", "cli.rs", "\"bench\", \"electra-tiny\""),
    ("config show", "cli.rs", "\"config\", \"show\", \"-c\", \"again.toml\", \"--json\""),
    ("lexicon show", "lexicon.rs", "&[&show[..], &[\"--json\"]]"),
    ("lexicon stats", "lexicon.rs", "\"lexicon\", \"stats\", \"--lexicon\", \"g.safetensors\", \"--json\""),
    ("report", "report.rs", "&[\"baseline\", \"hard\", \"--json\"]"),
    (
        "probe embeddings",
        "models.rs",
        "\"embeddings\", \"--model\", \"bert\", \"--wordnet\", net, \"--json\"",
    ),
    ("probe false-negatives", "probe.rs", "probe false-negatives run {judges} --json"),
    ("probe replaced", "probe.rs", "probe replaced l.jsonl --model electra --length 8 --json"),
    ("babylm", "probe.rs", "babylm --model bert --blimp pairs --pairs 2 --json"),
    ("probe olmpics", "models.rs", "\"olmpics\", \"--model\", model, \"--json\""),
    ("probe substitution", "probe.rs", "probe substitution --model electra --data s.jsonl --json"),
];

/// Commands that are not run, since they train for minutes or need what people have said.
const NOT_RUN: [&str; 3] = ["study truth", "study dose", "probe judge"];

/// Commands that are run here.
const HERE: [&str; 12] = [
    "config list",
    "import imported-from --out imported",
    "inspect --model model waa wab",
    "finetune --task rte --model model --data glue --out fine --seeds 1 --epochs 1 --length 16",
    "glue --model model --data glue --out all --seeds 1 --length 16",
    "squad --model model --train squad.json --dev squad.json --out answers --seeds 1 --epochs 1 --length 16 --stride 4 --question-length 4",
    "predict --model fine/seed-1/model --input glue/RTE/dev.tsv",
    "score --task rte --data glue --predictions fine/seed-1/dev-RTE.jsonl",
    "robust --task rte --data glue --model fine/seed-1/model --kinds typos --out robust",
    "data speed --train corpus.txt --tokenizer model/vocab.txt --length 16 --batches 2 -p electra-tiny",
    "study run study.toml --dry-run --arm none",
    "study report study.toml",
];

fn fnlm(dir: &Path, arguments: &str, input: &[u8]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("fnlm").unwrap();
    command.current_dir(dir).env("NO_COLOR", "1").env("CI", "1").args(arguments.split_whitespace());
    let output = command.write_stdin(input).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{arguments}: {err}");
    (output.status.code().unwrap(), out, err)
}

fn word(n: usize) -> String {
    format!("w{}{}", (b'a' + (n / 26) as u8) as char, (b'a' + (n % 26) as u8) as char)
}

/// A model of the tests with words of its own, a task, questions, a corpus and a study.
fn workshop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny");
    let words: Vec<String> = (0..51).map(word).collect();
    let vocabulary = format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{}\n", words.join("\n"));
    for model in ["model", "imported-from"] {
        std::fs::create_dir_all(at(model)).unwrap();
        for file in ["model.safetensors", "config.json"] {
            std::fs::copy(golden.join(file), at(model).join(file)).unwrap();
        }
        std::fs::write(at(model).join("vocab.txt"), &vocabulary).unwrap();
    }
    std::fs::create_dir_all(at("glue/RTE")).unwrap();
    for (split, rows) in [("train", 40), ("dev", 12)] {
        let mut table = "index\tsentence1\tsentence2\tlabel\n".to_owned();
        for row in 0..rows {
            let label = ["entailment", "not_entailment"][row % 2];
            writeln!(table, "{row}\t{} {}\t{}\t{label}", word(row % 40), word(row % 7), word(row % 13))
                .unwrap();
        }
        std::fs::write(at(&format!("glue/RTE/{split}.tsv")), table).unwrap();
    }
    std::fs::write(
        at("squad.json"),
        "{\"version\":\"1.1\",\"data\":[{\"title\":\"t\",\"paragraphs\":[{\"context\":\"waa wab wac wad wae\",\"qas\":[{\"id\":\"q\",\
         \"question\":\"wab wac\",\"answers\":[{\"text\":\"wac wad\",\"answer_start\":8}]}]}]}]}",
    )
    .unwrap();
    let line = |n: usize| (0..12).map(|k| word((n * 7 + k * k) % 51)).collect::<Vec<_>>().join(" ");
    std::fs::write(at("corpus.txt"), (0..60).map(|n| line(n) + "\n\n").collect::<String>()).unwrap();
    std::fs::write(
        at("run.toml"),
        "preset = \"electra-tiny\"\ndata = { train = [\"corpus.txt\"], tokenizer = \"model/vocab.txt\", length = 16 }\ntrain = { steps = 2 }\n",
    )
    .unwrap();
    std::fs::write(
        at("study.toml"),
        "name = \"s\"\nabout = \"a\"\nconfig = \"run.toml\"\nseeds = [1]\n[[arm]]\nname = \"none\"\nabout = \"b\"\n[[arm]]\nname = \"soft\"\n\
         about = \"c\"\nset = [\"correction.masked_lm.kind=label-smoothing\"]\n",
    )
    .unwrap();
    std::fs::write(at("texts.txt"), "waa wab wac\nwab wac wad\n").unwrap();
    std::fs::write(
        at("words.jsonl"),
        "{\"text\": \"waa wab wac\", \"word\": \"wab\", \"substitutes\": {\"wad\": 2, \"wae\": 1}, \"candidates\": [\"wad\", \"waf\", \"wae\"]}\n",
    )
    .unwrap();
    dir
}

/// The commands that have no commands of their own, with their names, and whether they have `--json`.
fn leaves(command: &clap::Command, name: &str, out: &mut Vec<(String, bool)>) {
    let mut inner = command.get_subcommands().filter(|inner| !inner.is_hide_set()).peekable();
    if inner.peek().is_none() {
        let json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
        return out.push((name.to_owned(), json));
    }
    for command in inner {
        leaves(command, format!("{name} {}", command.get_name()).trim(), out);
    }
}

#[test]
fn every_command_with_a_table_has_json_that_can_be_read() {
    let mut all = Vec::new();
    leaves(&Cli::command(), "", &mut all);
    assert!(all.len() > 30, "{all:?}");
    let begins = |line: &str, name: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    for (name, json) in &all {
        assert_ne!(*json, NO_TABLE.contains(&name.as_str()), "`{name}` prints a table or it does not");
        let read = HERE.iter().any(|line| begins(line, name))
            || ELSEWHERE.iter().any(|(other, ..)| other == name)
            || NOT_RUN.contains(&name.as_str())
            || name == "quickstart";
        assert!(!json || read, "no test reads the JSON of `{name}`");
    }
    for (name, file, part) in ELSEWHERE {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let source = std::fs::read_to_string(source).unwrap();
        assert!(source.contains(part), "{file} no longer reads the JSON of `{name}`");
    }
    let dir = workshop();
    assert_eq!(fnlm(dir.path(), "study run study.toml", b"").0, 0);
    for line in HERE {
        let (code, out, err) = fnlm(dir.path(), &format!("{line} --json"), b"");
        assert_eq!(code, 0, "{line}: {err}");
        let found: Vec<Value> =
            serde_json::Deserializer::from_str(&out).into_iter().map(|value| value.unwrap()).collect();
        assert!(
            !found.is_empty() && found.iter().all(|value| value.is_object() || value.is_array()),
            "{line}: {out}"
        );
    }
    let quick = "quickstart --steps 2 --arm baseline --out quick --json";
    let (code, out, err) = fnlm(dir.path(), quick, b"");
    assert!(code == 0 && serde_json::from_str::<Value>(&out).is_ok(), "{out}{err}");
}

#[test]
fn standard_input_stands_for_a_file_of_text_or_data() {
    let dir = workshop();
    let fine = "finetune --task rte --model model --data glue --out fine --seeds 1 --epochs 1 --length 16";
    assert_eq!(fnlm(dir.path(), fine, b"").0, 0);
    for (line, file) in [
        ("predict --model fine/seed-1/model --input FILE", "glue/RTE/dev.tsv"),
        ("score --task rte --input FILE --predictions fine/seed-1/dev-RTE.jsonl", "glue/RTE/dev.tsv"),
        ("score --task rte --data glue --predictions FILE", "fine/seed-1/dev-RTE.jsonl"),
        ("inspect --model model --file FILE", "texts.txt"),
        ("probe substitution --model model --data FILE", "words.jsonl"),
        ("data inspect -p electra-tiny --tokenizer model/vocab.txt --length 16 --train FILE", "corpus.txt"),
    ] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        let named = fnlm(dir.path(), &line.replace("FILE", file), b"");
        let piped = fnlm(dir.path(), &line.replace("FILE", "-"), &bytes);
        assert_eq!((named.0, piped.0), (0, 0), "{line}: {}{}", named.2, piped.2);
        assert!(!named.1.is_empty() && named.1 == piped.1, "{line}: {}\n{}", named.1, piped.1);
    }
    // A file in another encoding is read as what it says.
    let texts = std::fs::read_to_string(dir.path().join("texts.txt")).unwrap();
    let wide: Vec<u8> =
        "\u{feff}".encode_utf16().chain(texts.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    std::fs::write(dir.path().join("wide.txt"), wide).unwrap();
    let of = |file: &str| fnlm(dir.path(), &format!("inspect --model model --file {file}"), b"").1;
    assert_eq!(of("texts.txt"), of("wide.txt"));
    let corpus = std::fs::read(dir.path().join("corpus.txt")).unwrap();
    assert_eq!(fnlm(dir.path(), "tokenizer train corpus.txt --size 100 --out a", b"").0, 0);
    assert_eq!(fnlm(dir.path(), "tokenizer train - --size 100 --out b", &corpus).0, 0);
    let read = |folder: &str| std::fs::read(dir.path().join(folder).join("vocab.txt")).unwrap();
    assert_eq!(read("a"), read("b"));
}

#[test]
fn options_for_text_repeat_and_patterns_are_all_files_that_fit() {
    let dir = workshop();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("part-1.txt"), "waa wab wac\n\n").unwrap();
    std::fs::write(at("part-2.txt"), "wad wae waf\n\n").unwrap();
    std::fs::write(at("other.txt"), "wag wah wai\n\n").unwrap();
    let rows = |train: &str| {
        let line = format!("data inspect -p electra-tiny --tokenizer model/vocab.txt --length 16 {train}");
        let (code, out, err) = fnlm(dir.path(), &line, b"");
        assert_eq!(code, 0, "{err}");
        out
    };
    let two = rows("--train part-1.txt --train part-2.txt");
    assert_eq!(two, rows("--train part-*.txt"));
    assert_eq!(two, rows("--train part-?.txt"));
    assert_ne!(two, rows("--train *.txt"));
    let (code, _, err) =
        fnlm(dir.path(), "data inspect -p electra-tiny --tokenizer model/vocab.txt --train none-*.txt", b"");
    assert!(code == 3 && err.contains("none-*.txt"), "{err}");
}

#[test]
fn what_looks_wrong_in_fine_tuning_is_said_once_and_kept_in_the_result() {
    let dir = workshop();
    let line = "finetune --task rte --model model --data glue --out slow --seeds 1 --epochs 80 --batch 16 --length 16 --lr 1e-6 --json";
    let (code, out, err) = fnlm(dir.path(), line, b"");
    assert_eq!(code, 0, "{err}");
    let found: Value = serde_json::from_str(&out).unwrap();
    let kept: Vec<&str> =
        found[0]["seeds"][0]["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for part in
        ["the loss did not fall over the first 48 steps", "the learning rate 1e-6 is far from the 3e-4"]
    {
        assert_eq!(err.matches(part).count(), 1, "{part}: {err}");
        assert_eq!(kept.iter().filter(|warning| warning.contains(part)).count(), 1, "{part}: {kept:?}");
    }
    assert!(!dir.path().join("slow/seed-1/warnings.txt").exists());
}
