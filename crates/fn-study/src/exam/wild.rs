//! Readings of a masked language model's errors, or of words sampled from it: S says the same, F fits, W is wrong.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::read::{Source, quoted, share};
use super::{Exam, ExamError, Opinion, Probabilities};

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    domain: String,
    context: String,
    start: usize,
    word: String,
    prediction: String,
    #[serde(default)]
    p_prediction: Option<f64>,
    #[serde(default)]
    p_word: Option<f64>,
    #[serde(default)]
    scores: BTreeMap<String, f64>,
    #[serde(default)]
    labels: Vec<String>,
}

impl Row {
    /// Both probabilities; None unless both are recorded.
    fn probabilities(&self) -> Result<Option<Probabilities>, f64> {
        let (Some(substitute), Some(word)) = (self.p_prediction, self.p_word) else { return Ok(None) };
        match [substitute, word].into_iter().find(|p| !(0.0..=1.0).contains(p)) {
            Some(wrong) => Err(wrong),
            None => Ok(Some(Probabilities { substitute, word })),
        }
    }
}

pub(super) fn read(source: &Source<'_>) -> Result<Vec<Exam>, ExamError> {
    let (mut targets, mut fits, mut same) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unlabelled, mut recorded) = (0, Some(Vec::new()));
    let mut scores: Vec<(String, Vec<f64>)> = Vec::new();
    for (number, line) in source.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("line {}", number + 1);
        let row: Row = serde_json::from_str(line).map_err(|error| {
            let expected = "context, start, word, prediction, labels";
            source.wrong(place.clone(), error.to_string(), expected, "correct the line or remove it")
        })?;
        let mut readings = Vec::new();
        for label in row.labels.iter().filter(|label| !label.is_empty()) {
            readings.push(match label.as_str() {
                "S" => (true, true),
                "F" => (true, false),
                "W" => (false, false),
                _ => {
                    let found = format!("the label {}", quoted(label));
                    let expected = "S (says the same), F (fits) or W (wrong)";
                    return Err(source.wrong(place, found, expected, "correct the label or remove it"));
                }
            });
        }
        let of = |pick: fn(&(bool, bool)) -> bool| share(&readings.iter().map(pick).collect::<Vec<_>>());
        let (Some(fits_share), Some(same_share)) = (of(|reading| reading.0), of(|reading| reading.1)) else {
            unlabelled += 1;
            continue;
        };
        let probabilities = row.probabilities().map_err(|wrong| {
            let found = format!("the probability {wrong}");
            source.wrong(place.clone(), found, "0 to 1", "correct the line or remove it")
        })?;
        // Of some rows only, they could not be compared.
        recorded = recorded.zip(probabilities).map(|(mut all, next): (Vec<Probabilities>, _)| {
            all.push(next);
            all
        });
        if targets.is_empty() {
            scores = row.scores.keys().map(|name| (name.clone(), Vec::new())).collect();
        }
        if !scores.iter().map(|(name, _)| name).eq(row.scores.keys()) {
            let named = |names: Vec<&String>| match names.as_slice() {
                [] => "no scores".to_owned(),
                names => format!(
                    "the scores {}",
                    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
                ),
            };
            let (found, expected) =
                (named(row.scores.keys().collect()), named(scores.iter().map(|(name, _)| name).collect()));
            let expected = format!("{expected}, as in the lines before");
            return Err(source.wrong(place, found, &expected, "give every line the same scores"));
        }
        scores.iter_mut().zip(row.scores.values()).for_each(|((_, all), score)| all.push(*score));
        let mut target =
            source.target(row.id.unwrap_or(place), &row.context, (row.start, &row.word, false))?;
        target.group = row.domain;
        let opinion = |share| Opinion { target: targets.len(), substitute: row.prediction.clone(), share };
        fits.push(opinion(fits_share));
        same.push(opinion(same_share));
        targets.push(target);
    }
    let exam = |question: &str, opinions| Exam {
        name: format!("{}, {question}", source.name),
        grouped_by: "domain",
        targets: targets.clone(),
        opinions,
        unlabelled,
        lemmas: false,
        recorded: recorded.clone(),
        scores: scores.clone(),
    };
    Ok(vec![exam("same or fits", fits), exam("same", same)])
}
