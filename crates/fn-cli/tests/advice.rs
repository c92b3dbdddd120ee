//! What messages, help texts and documents tell the user to type exists: commands, their options, keys of the configuration.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use fn_cli::args::Cli;
use fn_train::config::layers::{Origin, Setting};
use fn_train::config::{keys, schema};

/// Programs whose options are not ours.
const FOREIGN: [&str; 6] = ["cargo ", "zstd", "pip ", "git ", "mpirun ", "srun "];

/// Names of files that look like keys: WordNet's nouns, the vocabulary of SentencePiece.
const FILES: [&str; 2] = ["data.noun", "model.vocab"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "tests") {
                files(&path, ending, out);
            }
        } else if path.to_string_lossy().ends_with(ending) {
            out.push(path);
        }
    }
}

/// The string literals and documentation comments of Rust source outside of its tests.
fn texts(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let mut out = Vec::new();
    let mut comment = String::new();
    let mut rest = source;
    while !rest.is_empty() {
        let line = rest.split('\n').next().unwrap();
        let start = line.trim_start();
        if let Some(text) = start.strip_prefix("///").or_else(|| start.strip_prefix("//!")) {
            comment.push_str(text);
            comment.push('\n');
            rest = rest[line.len()..].strip_prefix('\n').unwrap_or_default();
            continue;
        }
        if !comment.is_empty() {
            out.push(std::mem::take(&mut comment));
        }
        if start.starts_with("//") {
            rest = rest[line.len()..].strip_prefix('\n').unwrap_or_default();
            continue;
        }
        let quote = line.find('"').filter(|&at| !line[..at].ends_with('\'') && !line[..at].contains("//"));
        let Some(at) = quote else {
            rest = rest[line.len()..].strip_prefix('\n').unwrap_or_default();
            continue;
        };
        // `r#"..."#` or `"..."`.
        let hashes = line[..at].len() - line[..at].trim_end_matches('#').len();
        let inner = &rest[at + 1..];
        let mut end = 0;
        if hashes > 0 {
            end = inner.find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(inner.len());
        } else {
            let mut escaped = false;
            for (index, c) in inner.char_indices() {
                end = index;
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => break,
                    _ => {}
                }
            }
        }
        out.push(unescaped(&inner[..end]));
        rest = inner.get(end + 1 + hashes..).unwrap_or_default();
    }
    out
}

/// Continued lines joined, `\n` and `\"` as what they stand for.
fn unescaped(literal: &str) -> String {
    let mut out = String::new();
    let mut parts = literal.split("\\\n");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(part.trim_start());
    }
    out.replace("\\n", "\n").replace("\\\"", "\"")
}

fn options(command: &Command) -> Vec<String> {
    let longs = |argument: &clap::Arg| {
        let mut all: Vec<String> = argument.get_long().map(ToString::to_string).into_iter().collect();
        all.extend(argument.get_all_aliases().unwrap_or_default().iter().map(ToString::to_string));
        all
    };
    let mut all: Vec<String> = command.get_arguments().flat_map(longs).collect();
    all.push("help".to_owned());
    all
}

fn every_option(command: &Command, out: &mut Vec<String>) {
    out.extend(options(command));
    command.get_subcommands().for_each(|sub| every_option(sub, out));
}

/// The names after `--` in a text, without those of CSS variables and of rules drawn with hyphens.
fn named_options(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for (at, _) in text.match_indices("--") {
        let before = &text[..at];
        let name = &text[at + 2..];
        let end = name.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        let (name, after) = name.split_at(end.unwrap_or(name.len()));
        let opens = before.chars().next_back().is_none_or(|c| c.is_whitespace() || "`([\"'|".contains(c));
        let css = before.ends_with("var(") || after.starts_with(": #");
        let line = before.rsplit('\n').next().unwrap_or_default();
        let foreign = FOREIGN.iter().any(|program| line.contains(program));
        if opens && !css && !foreign && name.starts_with(|c: char| c.is_ascii_lowercase()) {
            out.push(name.trim_end_matches('-'));
        }
    }
    out
}

/// Command lines of `fnlm` in a text: between backticks, or on a line of their own.
fn command_lines(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for (index, span) in text.split('`').enumerate() {
        if index % 2 == 1 && span.starts_with("fnlm ") {
            out.push(span);
        }
    }
    for line in text.lines() {
        let line = line.trim_start().trim_start_matches("$ ");
        let line = line
            .strip_prefix("cargo run --release -- ")
            .map_or(line, |_| &line["cargo run --release -- ".len() - 5..]);
        if line.starts_with("fnlm ") || line.starts_with(" -- ") {
            out.push(line);
        }
    }
    out
}

/// What is wrong with a command line: no such command, or an option that it does not have.
fn wrong(line: &str, cli: &Command) -> Option<String> {
    let line = line.split("   ").next()?.split(" #").next()?; // an example and what it does
    let mut words = line.split_whitespace().skip(1).peekable();
    let mut command = cli;
    while let Some(word) = words.peek().filter(|_| command.has_subcommands()) {
        let word = word.trim_end_matches(|c: char| ",.;:)".contains(c));
        if word.is_empty() || word.starts_with(['-', '<', '[', '{']) || word == "COMMAND" {
            break;
        }
        let Some(sub) = command.find_subcommand(word) else {
            return Some(format!("`{line}`: there is no command `{word}`"));
        };
        command = sub;
        words.next();
    }
    let all = options(command);
    let rest: Vec<&str> = words.collect();
    let rest = rest.join(" ");
    let unknown = named_options(&rest).into_iter().find(|name| !all.contains(&(*name).to_owned()));
    // A command that only has others may stand for any of them.
    unknown.filter(|_| !command.has_subcommands()).map(|name| format!("`{line}`: it has no option --{name}"))
}

/// Names like `train.steps` between backticks or after `--set`.
fn named_keys(text: &str) -> Vec<String> {
    let sections: Vec<&str> = keys::keys().filter_map(|key| Some(key.path.split_once('.')?.0)).collect();
    let mut spans: Vec<&str> =
        text.split('`').enumerate().filter(|(i, _)| i % 2 == 1).map(|(_, s)| s).collect();
    spans.extend(text.split("--set ").skip(1).filter_map(|after| after.split_whitespace().next()));
    let key = |span: &str| {
        let span = span.split(['=', ' ']).next()?.trim_matches(['"', ',', '.', ';']);
        let (section, name) = span.split_once('.')?;
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
        let file = ["toml", "json", "jsonl", "rs", "txt", "safetensors", "md"].contains(&name);
        (sections.contains(&section) && plain && !file && !name.is_empty() && !FILES.contains(&span))
            .then(|| span.to_owned())
    };
    spans.into_iter().filter_map(key).collect()
}

#[test]
fn commands_options_and_keys_that_are_named_exist() {
    let cli = Cli::command();
    let mut known = Vec::new();
    every_option(&cli, &mut known);
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        files(&entry.unwrap().path().join("src"), ".rs", &mut sources);
    }
    let mut all: Vec<(PathBuf, String)> = Vec::new();
    for path in sources {
        let source = std::fs::read_to_string(&path).unwrap();
        all.extend(texts(&source).into_iter().map(|text| (path.clone(), text)));
    }
    for name in ["README.md", "CONTRIBUTING.md", "docs/guide.md", "docs/method.md", "docs/lexicons.md"] {
        let path = root().join(name);
        all.push((path.clone(), std::fs::read_to_string(path).unwrap()));
    }
    let (mut faults, mut seen) = (Vec::new(), [0usize; 3]);
    for (path, text) in &all {
        let mut fault = |what: String| faults.push(format!("{}: {what}", path.display()));
        for line in command_lines(text) {
            seen[0] += 1;
            wrong(line, &cli).into_iter().for_each(&mut fault);
        }
        for name in named_options(text) {
            seen[1] += 1;
            if !known.iter().any(|option| option == name) {
                fault(format!("no command has --{name}: {text:.120}"));
            }
        }
        for key in named_keys(text) {
            seen[2] += 1;
            let setting = Setting { key, value: 0.into(), origin: Origin::Default };
            if let Err(error) = schema::check_key(&setting)
                && !error.to_string().contains("is a section")
            {
                fault(error.to_string());
            }
        }
    }
    assert!(faults.is_empty(), "{} of {seen:?}:\n{}", faults.len(), faults.join("\n"));
    // The walk itself: these are in today's texts.
    assert!(seen[0] > 60 && seen[1] > 200 && seen[2] > 50, "{seen:?}");
}

#[test]
fn what_does_not_exist_is_found() {
    let cli = Cli::command();
    for (line, good) in [
        ("fnlm pretrain -c my.toml --run runs/a", true),
        ("fnlm pretrain --runs runs/a", false),
        ("fnlm pretrai", false),
        ("fnlm lexicon build --wordnet dict", true),
        ("fnlm lexicon made", false),
    ] {
        assert_eq!(wrong(line, &cli).is_none(), good, "{line}");
    }
    assert_eq!(named_options("give --a-b, `--c` or (--d=3); var(--ink) a--b"), ["a-b", "c", "d"]);
    assert_eq!(
        texts("/// a --b\nlet x = \"c \\\n   d\"; // \"no\"\n#[cfg(test)]\n\"e\""),
        [" a --b\n", "c d"]
    );
    assert_eq!(
        named_keys("set `train.steps` in `train.rs` or --set eval.metric=a"),
        ["train.steps", "eval.metric"]
    );
}

#[test]
fn every_file_with_unsafe_code_is_listed_in_the_security_policy() {
    let crates = root().join("crates");
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(&crates).unwrap() {
        files(&entry.unwrap().path().join("src"), ".rs", &mut sources);
    }
    let word =
        |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
    let code = |line: &str| !line.trim_start().starts_with("//");
    let mut found = Vec::new();
    for path in sources {
        if std::fs::read_to_string(&path).unwrap().lines().any(|line| code(line) && word(line)) {
            found.push(format!("`{}`", path.strip_prefix(&crates).unwrap().display()));
        }
    }
    let policy = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let list = policy.split("Each file with `unsafe`").nth(1).unwrap();
    let mut listed: Vec<&str> = list
        .lines()
        .skip(4)
        .take(4)
        .flat_map(|row| row.split('|').nth(2).unwrap().split(", "))
        .map(str::trim)
        .collect();
    listed.sort_unstable();
    found.sort_unstable();
    assert_eq!(listed, found, "left: SECURITY.md; right: the source");
}
