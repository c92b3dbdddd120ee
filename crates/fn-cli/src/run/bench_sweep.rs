//! `fnlm bench --sweep`: what a step costs as one number grows. Each value is measured by a process of its own, so that the
//! memory of one is not taken for that of the next.

use std::collections::BTreeMap;
use std::process::Command;

use fn_eval::table::{Table, number};
use fn_study::curves;
use fn_study::runs::RunRecord;
use serde_json::Value;

use crate::args::BenchArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Values that are flags of their own; others are keys of the configuration.
const FLAGS: [&str; 4] = ["batch", "length", "vocabulary", "lexicon-width"];

/// One measured value.
struct Point {
    value: f64,
    text: String,
    memory: f64,
    /// Seconds per step without and with hard correction.
    seconds: [f64; 2],
    tokens_per_second: f64,
}

/// Runs it.
///
/// # Errors
/// A sweep that is not KEY=A,B,... (2); a measurement that fails.
pub fn run(args: &BenchArgs, sweep: &str) -> Result<Outcome, CliError> {
    let wrong = || {
        CliError::usage(format!("--sweep {sweep}: expected KEY=A,B,..., numbers with commas between them"))
    };
    let (key, values) = sweep.split_once('=').ok_or_else(wrong)?;
    let preset = args.presets.first().map_or("electra-small", String::as_str);
    let mut points = Vec::new();
    for text in values.split(',').map(str::trim) {
        let value: f64 = text.parse().map_err(|_| wrong())?;
        term::note(args.common.quiet, &format!("{preset}, {key} {text} ..."));
        points.push(measure(args, preset, key, text, value)?);
    }
    let mut table = Table::new([key, "ms/step", "with hard correction", "tokens/s", "memory, MiB"]);
    for point in &points {
        table.row([
            point.text.clone(),
            number(Some(1e3 * point.seconds[0]), 1),
            number(Some(1e3 * point.seconds[1]), 1),
            term::thousands(point.tokens_per_second as u64),
            number(Some(point.memory), 0),
        ]);
    }
    if let Some(folder) = &args.plot {
        std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
        let draw = |runs: &[RunRecord], what: &str, file: &str| {
            let path = folder.join(format!("{preset}-{}-{file}.svg", key.replace('.', "-")));
            curves::draw_over(runs, "y", &format!("{preset}: {what}"), key, &path)
                .map_err(CliError::failed_from)?;
            term::note(args.common.quiet, &format!("drew {}", path.display()));
            Ok::<(), CliError>(())
        };
        let series = |name: &str, pick: &dyn Fn(&Point) -> f64| RunRecord {
            name: name.to_owned(),
            series: BTreeMap::from([(
                "y".to_owned(),
                points.iter().map(|p| (p.value as u64, pick(p))).collect(),
            )]),
        };
        let times = [
            series("without correction", &|p| 1e3 * p.seconds[0]),
            series("hard correction", &|p| 1e3 * p.seconds[1]),
        ];
        draw(&times, "milliseconds of a step", "time")?;
        draw(&[series("memory", &|p| p.memory)], "memory at its highest, MiB", "memory")?;
    }
    term::out(&if args.json { format!("{:#}\n", json(key, &points)) } else { table.to_markdown() })?;
    Ok(Outcome::Done)
}

fn json(key: &str, points: &[Point]) -> Value {
    let point = |p: &Point| {
        serde_json::json!({key: p.value, "seconds_per_step": p.seconds[0], "seconds_per_step_hard": p.seconds[1],
                           "tokens_per_second": p.tokens_per_second, "memory_mib": p.memory})
    };
    points.iter().map(point).collect()
}

fn measure(args: &BenchArgs, preset: &str, key: &str, text: &str, value: f64) -> Result<Point, CliError> {
    let program = std::env::current_exe().map_err(CliError::failed_from)?;
    let mut flags = BTreeMap::from([
        ("batch", args.batch.to_string()),
        ("length", args.length.to_string()),
        ("vocabulary", args.vocabulary.to_string()),
        ("lexicon-width", args.lexicon_width.to_string()),
    ]);
    let mut settings = args.set.clone();
    match FLAGS.iter().find(|flag| **flag == key) {
        Some(flag) => {
            flags.insert(flag, text.to_owned());
        }
        None => settings.push(format!("{key}={text}")),
    }
    let mut command = Command::new(program);
    command.args(["bench", preset, "--json", "--quiet", "--device", &args.device]);
    command.args(["--steps", &args.steps.to_string(), "--dtype", args.dtype.name()]);
    for (flag, value) in flags {
        command.arg(format!("--{flag}")).arg(value);
    }
    for setting in settings {
        command.arg("--set").arg(setting);
    }
    if let Some(threads) = args.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let output = command.output().map_err(CliError::failed_from)?;
    let failed = || {
        let text = String::from_utf8_lossy(&output.stderr);
        let message = format!("{key} {value}: {}", text.trim().trim_start_matches("error: "));
        match output.status.code() {
            Some(2) => CliError::usage(message),
            _ => CliError::failed(message),
        }
    };
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed())?;
    let figure = |run: usize, name: &str| report["runs"][run][name].as_f64().ok_or_else(failed);
    Ok(Point {
        value,
        text: text.to_owned(),
        memory: report["peak_memory_bytes"].as_f64().ok_or_else(failed)? / f64::from(1 << 20),
        seconds: [figure(0, "seconds_per_step")?, figure(1, "seconds_per_step")?],
        tokens_per_second: figure(0, "tokens_per_second")?,
    })
}
