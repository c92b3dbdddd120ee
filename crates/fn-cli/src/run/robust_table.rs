//! The results of `fnlm robust`: robust.json, the table, and a verdict in words.

use std::path::Path;

use fn_eval::robust::Loss;
use fn_eval::table::{Table, number};
use serde::{Deserialize, Serialize};

use crate::args::FormatArgs;
use crate::error::CliError;
use crate::term;

/// Longest robust.json that is read.
const MAX_FILE: u64 = 1 << 20;

/// What the figures depend on. A folder holds one set of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) task: String,
    pub(super) data: String,
    pub(super) model: String,
    pub(super) kinds: Vec<String>,
    pub(super) rate: f64,
    pub(super) seed: u64,
    pub(super) limit: Option<usize>,
    pub(super) resamples: usize,
}

/// One perturbed set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) set: String,
    pub(super) kind: String,
    /// Share of the examples whose text differs.
    pub(super) changed: f64,
    pub(super) metric: String,
    #[serde(flatten)]
    pub(super) loss: Loss,
}

/// robust.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) settings: Settings,
    pub(super) rows: Vec<Row>,
}

/// Fails if the folder holds results of other settings.
pub(super) fn claim(path: &Path, settings: &Settings) -> Result<(), CliError> {
    use std::io::Read;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CliError::io("read", path, error)),
    };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| CliError::io("read", path, error))?;
    let shown = path.display();
    let found: Results = serde_json::from_str(&text).map_err(|error| {
        CliError::input(format!("{shown}: {error}; expected what `fnlm robust` wrote; give another --out"))
    })?;
    let (there, now) = (serde_json::to_value(&found.settings), serde_json::to_value(settings));
    let (Ok(serde_json::Value::Object(there)), Ok(serde_json::Value::Object(now))) = (there, now) else {
        return Ok(());
    };
    let differ: Vec<String> = now
        .iter()
        .filter(|(key, value)| there.get(*key) != Some(value))
        .map(|(key, value)| {
            format!("there {key} = {}, now {key} = {value}", there.get(key).cloned().unwrap_or_default())
        })
        .collect();
    if differ.is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{shown} holds results of other settings ({}); give another --out, nothing was written",
        differ.join("; ")
    )))
}

/// Writes robust.json and prints.
pub(super) fn print(path: &Path, format: &FormatArgs, results: &Results) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(results).map_err(CliError::failed_from)? + "\n";
    fn_train::fsutil::write_atomic(path, text.as_bytes())
        .map_err(|error| CliError::io("write", path, error))?;
    if format.json {
        return term::out(&text);
    }
    let percent = |value: Option<f64>| number(value.map(|v| 100.0 * v), 2);
    let several = results.rows.iter().any(|row| Some(&row.set) != results.rows.first().map(|r| &r.set));
    let name = |set: &str, what: &str| if several { format!("{set} {what}") } else { what.to_owned() };
    let metric = results.rows.first().map_or("score", |row| &row.metric);
    let mut table = Table::new(["kind", "examples", "changed %", metric, "drop", "95 % interval"]);
    let mut last = None;
    for row in &results.rows {
        let (set, loss) = (row.set.as_str(), &row.loss);
        if last != Some(set) {
            let examples = loss.examples.to_string();
            table.row([name(set, "original"), examples, percent(Some(0.0)), percent(loss.original)]);
            last = Some(set);
        }
        table.row([
            name(set, &row.kind),
            loss.examples.to_string(),
            percent(Some(row.changed)),
            percent(loss.score),
            percent(loss.drop),
            format!("{} to {}", percent(Some(loss.low)), percent(Some(loss.high))),
        ]);
    }
    term::out(&if format.markdown { table.to_markdown() } else { table.to_text() })?;
    let unsure: Vec<String> =
        results.rows.iter().filter(|r| r.loss.holds_zero()).map(|r| name(&r.set, &r.kind)).collect();
    if !unsure.is_empty() {
        let text = format!(
            "\nThe interval holds 0 for {}: no loss is shown, other examples could give none.\n",
            unsure.join(", ")
        );
        term::out(&text)?;
    }
    let undefined: usize = results.rows.iter().map(|row| row.loss.undefined).sum();
    if undefined > 0 {
        let text = format!("warning: in {undefined} resamples a score did not exist; left out");
        term::note(false, &text);
    }
    Ok(())
}
