//! `fnlm bench --corpus`: what preparing text and reading batches of it cost as the corpus grows. Each size is measured by a process
//! of its own, on generated text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use fn_data::language::{Language, LanguageConfig};
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::{Table, number};
use fn_study::curves;
use fn_study::runs::RunRecord;
use serde_json::Value;

use crate::args::BenchArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Batches that are read of each size.
const BATCHES: &str = "5000";

/// One size.
struct Point {
    megabytes: u64,
    /// MB of text a second.
    prepared: f64,
    /// MiB at most while preparing.
    memory: f64,
    /// Tokens a second that the loader hands out.
    loaded: f64,
}

/// Runs it.
///
/// # Errors
/// Sizes that are no numbers of megabytes (2), a full disk (5), a measurement that fails.
pub fn run(args: &BenchArgs, sizes: &str) -> Result<Outcome, CliError> {
    let wrong = || CliError::usage(format!("--corpus {sizes}: expected megabytes, A,B,..., each at least 1"));
    let parsed: Result<Vec<u64>, _> = sizes.split(',').map(|size| size.trim().parse()).collect();
    let sizes = parsed.ok().filter(|sizes| sizes.iter().all(|&size| size > 0)).ok_or_else(wrong)?;
    let scratch = std::env::temp_dir().join(format!("fnlm-bench-corpus-{}", std::process::id()));
    let points: Result<Vec<Point>, CliError> =
        sizes.iter().map(|&size| measure(args, size, &scratch)).collect();
    let _ = std::fs::remove_dir_all(&scratch); // what is left of it harms nobody
    let points = points?;
    let mut table = Table::new(["corpus, MB", "prepare, MB/s", "memory, MiB", "loader, tokens/s"]);
    for point in &points {
        table.row([
            term::thousands(point.megabytes),
            number(Some(point.prepared), 0),
            number(Some(point.memory), 0),
            term::thousands(point.loaded as u64),
        ]);
    }
    if let Some(folder) = &args.plot {
        draw(folder, &points)?;
    }
    let json = || -> Value {
        let point = |p: &Point| {
            serde_json::json!({"corpus_mb": p.megabytes, "prepare_mb_per_second": p.prepared, "memory_mib": p.memory,
                               "loader_tokens_per_second": p.loaded})
        };
        points.iter().map(point).collect()
    };
    term::out(&if args.json { format!("{:#}\n", json()) } else { table.to_markdown() })?;
    Ok(Outcome::Done)
}

fn measure(args: &BenchArgs, megabytes: u64, scratch: &Path) -> Result<Point, CliError> {
    term::note(args.common.quiet, &format!("{megabytes} MB of text ..."));
    let folder = scratch.join(megabytes.to_string());
    write_text(&folder, megabytes)?;
    let program = std::env::current_exe().map_err(CliError::failed_from)?;
    let mut command = Command::new(program);
    command.args(["data", "speed", "--json", "--quiet", "--batches", BATCHES]).current_dir(&folder);
    command.args(["--train", "corpus.txt", "--tokenizer", "tokenizer", "--set", "data.packing=dense"]);
    command.args(["--set", "data.cache=cache", "--set", &format!("train.batch={}", args.batch)]);
    command.args(["--length", &args.length.to_string()]);
    for setting in &args.set {
        command.args(["--set", setting]);
    }
    let output = command.output().map_err(CliError::failed_from)?;
    let failed = || {
        let text = String::from_utf8_lossy(&output.stderr);
        CliError::failed(format!("{megabytes} MB: {}", text.trim().trim_start_matches("error: ")))
    };
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed())?;
    let figure = |name: &str| report[name].as_f64().ok_or_else(failed);
    let point = Point {
        megabytes,
        prepared: figure("prepared_bytes_per_second")? / 1e6,
        memory: figure("peak_memory_of_preparing_bytes")? / f64::from(1 << 20),
        loaded: figure("tokens_per_second")?,
    };
    std::fs::remove_dir_all(&folder).map_err(|error| CliError::io("remove", &folder, error))?;
    Ok(point)
}

/// A corpus of the generated language, no document twice, and its tokenizer.
fn write_text(folder: &Path, megabytes: u64) -> Result<(), CliError> {
    let language = Language::new(LanguageConfig::default(), 1).map_err(CliError::failed_from)?;
    let tokenizer = TextTokenizer::from_vocab(language.vocabulary(), true)?;
    std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
    tokenizer.save(&folder.join("tokenizer"))?;
    let path = folder.join("corpus.txt");
    let io = |error| CliError::io("write", &path, error);
    let mut file = BufWriter::new(File::create(&path).map_err(io)?);
    let (mut written, mut number) = (0, 0);
    while written < megabytes * 1_000_000 {
        let text = language.document(number, 1);
        file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n\n")).map_err(io)?;
        written += text.len() as u64 + 2;
        number += 1;
    }
    file.flush().map_err(io)
}

fn draw(folder: &Path, points: &[Point]) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
    let figure = |file: &str, title: &str, pick: &dyn Fn(&Point) -> f64| {
        let series = points.iter().map(|p| (p.megabytes, pick(p))).collect();
        let run = RunRecord { name: file.to_owned(), series: BTreeMap::from([("y".to_owned(), series)]) };
        let path = folder.join(format!("corpus-{file}.svg"));
        curves::draw_over(&[run], "y", title, "MB of text", &path).map_err(CliError::failed_from)
    };
    figure("prepare", "preparing text, MB/s", &|p| p.prepared)?;
    figure("memory", "memory of preparing at its highest, MiB", &|p| p.memory)?;
    figure("loader", "million tokens a second of the loader", &|p| p.loaded / 1e6)
}
