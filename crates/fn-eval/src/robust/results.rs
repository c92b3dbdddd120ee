//! The file of results, `robust.json`.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Loss, RobustError};
use crate::table::{Table, number};

/// Maximum size of a `robust.json` that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The settings on which the results depend. A folder holds the results of one set of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the task.
    pub task: String,
    /// Folder or file of the examples.
    pub data: String,
    /// The model's folder.
    pub model: String,
    /// Names of the perturbations.
    pub kinds: Vec<String>,
    /// Share of the words that is perturbed.
    pub rate: f64,
    /// Seed of the perturbations.
    pub seed: u64,
    /// Number of examples that are used, the first of the file; all if None.
    pub limit: Option<usize>,
    /// Number of resamples of the bootstrap.
    pub resamples: usize,
}

/// The result on one perturbed set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the set.
    pub set: String,
    /// Name of the perturbation.
    pub kind: String,
    /// Share of the examples whose text differs.
    pub changed: f64,
    /// Name of the metric.
    pub metric: String,
    /// Scores and their difference.
    #[serde(flatten)]
    pub loss: Loss,
}

/// Contents of `robust.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The settings.
    pub settings: Settings,
    /// One entry for each set and perturbation.
    pub rows: Vec<Row>,
}

impl Results {
    /// The table, and which intervals contain 0.
    pub fn text(&self, markdown: bool) -> String {
        let percent = |value: Option<f64>| number(value.map(|v| 100.0 * v), 2);
        let several = self.rows.iter().any(|row| Some(&row.set) != self.rows.first().map(|r| &r.set));
        let name = |set: &str, what: &str| if several { format!("{set} {what}") } else { what.to_owned() };
        let metric = self.rows.first().map_or("score", |row| &row.metric);
        let mut table = Table::new(["kind", "examples", "changed %", metric, "drop", "95 % interval"]);
        let mut last = None;
        for row in &self.rows {
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
        let mut text = if markdown { table.to_markdown() } else { table.to_text() };
        let unsure: Vec<String> =
            self.rows.iter().filter(|r| r.loss.holds_zero()).map(|r| name(&r.set, &r.kind)).collect();
        if !unsure.is_empty() {
            let kinds = unsure.join(", ");
            text.push_str(&format!("\nThe interval contains 0 for {kinds}: the drop is not significant.\n"));
        }
        text
    }

    /// Whether a score was undefined in some resamples.
    pub fn warning(&self) -> Option<String> {
        let undefined: usize = self.rows.iter().map(|row| row.loss.undefined).sum();
        (undefined > 0).then(|| format!("a score is undefined in {undefined} resamples; they are left out"))
    }

    /// Checks that an existing file holds results of the same settings.
    ///
    /// # Errors
    /// Other settings, or a file that cannot be read or parsed.
    pub fn claim(path: &Path, settings: &Settings) -> Result<(), RobustError> {
        let file = match fn_core::files::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(RobustError::io("read", path)(error)),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(RobustError::io("read", path))?;
        let found: Self = serde_json::from_str(&text)
            .map_err(|error| RobustError::Damaged { path: path.to_owned(), message: error.to_string() })?;
        let (there, now) = (serde_json::to_value(&found.settings), serde_json::to_value(settings));
        let (Ok(serde_json::Value::Object(there)), Ok(serde_json::Value::Object(now))) = (there, now) else {
            return Ok(());
        };
        let differ: Vec<String> = now
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(value))
            .map(|(key, value)| {
                format!(
                    "before: {key} = {}, now: {key} = {value}",
                    there.get(key).cloned().unwrap_or_default()
                )
            })
            .collect();
        if differ.is_empty() {
            return Ok(());
        }
        Err(RobustError::OtherSettings { path: path.to_owned(), differences: differ.join("; ") })
    }
}
