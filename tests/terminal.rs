//! What a terminal shows: progress bars at 60, 80 and 200 columns with rate and time left, without colours where they are not wanted, and
//! plain lines where there is no terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // helpers of tests

mod common;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{inputs, pretrain};

/// Runs a command whose standard error is a terminal of `columns` columns, and returns what it wrote there.
fn shown(mut command: Command, columns: u16) -> String {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the first two pointers are of integers of this frame, the size is read only, the name and the settings may be null; both
    // descriptors are ours afterwards.
    #[allow(unsafe_code)]
    let (mut ours, theirs) = unsafe {
        let opened = libc::openpty(&mut ours, &mut theirs, std::ptr::null_mut(), std::ptr::null(), &size);
        assert_eq!(opened, 0, "no pseudo-terminal");
        (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    // SAFETY: the descriptor is open, and the argument of this call is a number.
    #[allow(unsafe_code)]
    let kept = unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    assert_eq!(kept, 0);
    command.env_remove("CI").env("TERM", "xterm-256color").stdout(Stdio::null()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    drop(command); // and with it our side of the terminal
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // The last read fails once no process has the terminal open.
    while let Ok(read) = ours.read(&mut buffer) {
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    assert!(child.wait().unwrap().success(), "{shown}");
    shown
}

/// What stands on a line at a time: pieces between moves of the cursor, without escape sequences.
fn frames(shown: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut rest = shown.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' | '\n' => out.push(String::new()),
            '\u{1b}' => {
                let mut last = rest.next();
                if last == Some('[') {
                    last = rest.find(|c| c.is_ascii_alphabetic());
                }
                // Colours stand within a line, other sequences move the cursor or clear the line.
                if last != Some('m') {
                    out.push(String::new());
                }
            }
            c => out.last_mut().unwrap().push(c),
        }
    }
    out.retain(|frame| !frame.trim().is_empty());
    out
}

/// Rows with a bar, `[===>   ]`, and whether they are the last ones of their frames: a bar that does not fit goes on in the next row. A
/// message before it is padded to whole rows.
fn bars(shown: &str, columns: usize) -> Vec<(String, bool)> {
    let is_bar = |row: &str| {
        row.split_once('[').and_then(|(_, rest)| rest.split_once(']')).is_some_and(|(bar, _)| {
            matches!(bar.chars().count(), 4 | 10) && bar.chars().all(|c| "=> ".contains(c))
        })
    };
    let mut out = Vec::new();
    for frame in frames(shown) {
        let cells: Vec<char> = frame.trim_end().chars().collect();
        let rows: Vec<String> = cells.chunks(columns).map(|row| row.iter().collect()).collect();
        let place = rows.iter().position(|row| is_bar(row));
        out.extend(place.map(|place| (rows[place].clone(), place + 1 == rows.len())));
    }
    out
}

fn task(dir: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/electra_tiny");
    std::fs::create_dir_all(dir.join("model")).unwrap();
    std::fs::create_dir_all(dir.join("glue/RTE")).unwrap();
    for file in ["model.safetensors", "config.json"] {
        std::fs::copy(golden.join(file), dir.join("model").join(file)).unwrap();
    }
    let word = |n: usize| format!("w{}{}", (b'a' + (n / 26) as u8) as char, (b'a' + (n % 26) as u8) as char);
    let words: Vec<String> = (0..51).map(word).collect();
    let vocabulary = format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{}\n", words.join("\n"));
    std::fs::write(dir.join("model/vocab.txt"), vocabulary).unwrap();
    for (split, rows) in [("train", 4_000), ("dev", 4_000), ("long", 30_000)] {
        let mut table = "index\tsentence1\tsentence2\tlabel\n".to_owned();
        for row in 0..rows {
            let (first, label) = [("waa", "entailment"), ("wab", "not_entailment")][row % 2];
            writeln!(table, "{row}\t{} {first}\t{}\t{label}", word(row % 40), word(row % 13)).unwrap();
        }
        std::fs::write(dir.join(format!("glue/RTE/{split}.tsv")), table).unwrap();
    }
}

fn command(dir: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fnlm"));
    command.current_dir(dir).args(arguments.split_whitespace());
    command
}

fn check(what: &str, columns: u16, shown: &str, parts: &[&str]) {
    let bars = bars(shown, usize::from(columns));
    assert!(!bars.is_empty(), "{what} at {columns}: no bar in {shown:?}");
    for (bar, fits) in &bars {
        // Of a process of a study, what its parent writes next stands in the row below the bar that is left, which is full.
        let left = what.starts_with("study") && !bar.contains("left");
        assert!(*fits || left, "{what} at {columns}: {bar:?} goes on in the next row");
    }
    for part in parts {
        assert!(
            bars.iter().any(|(bar, _)| bar.contains(part)),
            "{what} at {columns}: no {part:?} in {bars:#?}"
        );
    }
}

#[test]
fn bars_fit_the_terminal_and_show_rate_time_left_and_the_last_figures() {
    let dir = tempfile::tempdir().unwrap();
    task(dir.path());
    for columns in [60, 80, 200] {
        let run = dir.path().join(format!("run-{columns}"));
        let cache = format!("data.cache={:?}", dir.path().join(format!("cache-{columns}")));
        let mut train = pretrain(&run, 60, &[&cache, "checkpoint.every=1000"]);
        train.env_remove("NO_COLOR");
        check("pretrain", columns, &shown(train, columns), &["left", "loss", "tok/s", "/60"]);
        let fine = format!(
            "finetune --task rte --model model --data glue --out fine-{columns} --seeds 1 --epochs 2 --length 16 --batch 8"
        );
        let fine = shown(command(dir.path(), &fine), columns);
        check("finetune", columns, &fine, &["left", "loss", "ex/s", "predicting", "examples/s"]);
    }
}

#[test]
fn scoring_probes_preparation_and_studies_have_bars_that_fit() {
    let dir = tempfile::tempdir().unwrap();
    task(dir.path());
    let word = |n: usize| format!("wa{}", (b'a' + (n % 26) as u8) as char);
    let lines: String =
        (0..200_000).map(|n| format!("{} {} {}\n\n", word(n), word(n / 7), word(n / 3))).collect();
    std::fs::write(dir.path().join("corpus.txt"), lines).unwrap();
    let items: String = (0..3_000)
        .map(|n| {
            let (word, other) = (word(n), word(n + 1));
            format!(
                "{{\"text\": \"{word} wax\", \"word\": \"{word}\", \"substitutes\": {{\"{other}\": 1}}, \"candidates\": [\"{other}\", \"wby\"]}}\n"
            )
        })
        .collect();
    std::fs::write(dir.path().join("words.jsonl"), items).unwrap();
    std::fs::write(
        dir.path().join("run.toml"),
        "preset = \"electra-tiny\"\ndata = { train = [\"corpus.txt\"], tokenizer = \"model/vocab.txt\", length = 16 }\n\
         train = { steps = 20, batch = 4 }\nlog = { every = 1 }\n",
    )
    .unwrap();
    let fine =
        "finetune --task rte --model model --data glue --out fine --seeds 1 --epochs 0.1 --length 16 --quiet";
    assert!(command(dir.path(), fine).status().unwrap().success());
    for columns in [60, 80, 200] {
        let study = format!(
            "name = \"s{columns}\"\nabout = \"a\"\nconfig = \"run.toml\"\nseeds = [1]\n[[arm]]\nname = \"a\"\nabout = \"b\"\n"
        );
        std::fs::write(dir.path().join("study.toml"), study).unwrap();
        let prepare = format!("data prepare -c run.toml --set data.cache=\"cache-{columns}\"");
        for (line, parts) in [
            (
                "predict --model fine/seed-1/model --input glue/RTE/long.tsv --out p.jsonl --force",
                &["predicting", "left", "examples/s"][..],
            ),
            ("probe substitution --model model --data words.jsonl", &["scoring", "left", "rows/s"]),
            (&prepare, &["preparing text", "left"]),
            ("study run study.toml", &["left", "loss", "tok/s", "/20"]),
        ] {
            check(line, columns, &shown(command(dir.path(), line), columns), parts);
        }
    }
    // Without a terminal nothing but lines.
    let predict = "predict --model fine/seed-1/model --input glue/RTE/long.tsv --out p.jsonl --force";
    let output = command(dir.path(), predict).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
}

#[test]
fn no_colours_where_they_are_not_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let mut train = pretrain(&dir.path().join("run"), 60, &[]);
    train.env("NO_COLOR", "1");
    let text = shown(train, 80);
    assert!(!bars(&text, 80).is_empty());
    for sequence in text.split("\u{1b}[").skip(1) {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap_or_default();
        assert!(!sequence[end..].starts_with('m'), "a colour: {:?}", &sequence[..end + 1]);
    }
    // TERM=dumb: neither bars nor sequences.
    let mut train = pretrain(&dir.path().join("dumb"), 60, &[]);
    train.env_remove("NO_COLOR");
    let wrapped = {
        let mut command = Command::new("env");
        command.arg("TERM=dumb").arg(train.get_program()).args(train.get_args());
        command
    };
    let text = shown(wrapped, 80);
    assert!(!text.contains('\u{1b}') && bars(&text, 80).is_empty(), "{text:?}");
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let dir = tempfile::tempdir().unwrap();
    let mut train = pretrain(&dir.path().join("run"), 20, &[]);
    train.env_remove("CI").env_remove("NO_COLOR");
    let output = train.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
    assert!(text.lines().any(|line| line.contains("20/20") && line.contains("loss")), "{text}");
    let corpus = inputs().join("corpus.txt");
    let arguments = format!("tokenizer train {} --size 200 --out tokenizer --quiet", corpus.display());
    let quiet = command(dir.path(), &arguments).output().unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty() && quiet.stdout.is_empty(), "{quiet:?}");
}
