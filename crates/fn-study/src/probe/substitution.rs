//! Lexical substitution without training: which words could stand here instead?

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fn_eval::stats::Summary;
use fn_train::stop::Stop;
use serde::Deserialize;

use super::lines::{self, quoted, wrong};
use super::{Cloze, ProbeError, Prober, Scorer};

/// A word in a text and its substitutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its line in the file, counted from 1.
    pub line: usize,
    /// The word.
    pub word: String,
    /// The text before and after it.
    pub text: (String, String),
    /// How many people named each substitute, or any other weight of at least 0; one at least is positive.
    pub substitutes: BTreeMap<String, f64>,
    /// What is to be ordered, each once, without the word itself.
    pub candidates: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    text: String,
    word: String,
    at: Option<usize>,
    substitutes: BTreeMap<String, f64>,
    candidates: Option<Vec<String>>,
}

/// Reads items, one JSON object a line:
/// `{"text": "She is a bright child .", "word": "bright", "at": 9, "substitutes": {"clever": 4, "smart": 3}, "candidates": [...]}`.
///
/// `at` counts characters (not bytes) from 0; without it the word is where it stands first, not inside of another word.
/// Without `candidates` they are all substitutes that the file has for the same word.
///
/// # Errors
/// A file that cannot be read or has no item; a line that is none: the word is not there, no substitute has a positive
/// weight, a weight is negative, a word is a substitute of itself.
pub fn read(path: &Path) -> Result<Vec<Item>, ProbeError> {
    const FORMAT: &str = "{\"text\": a text, \"word\": a word of it, \"at\": its first character (optional), \"substitutes\": {a word: \
                          a weight, ...}, \"candidates\": [a word, ...] (optional)}";
    let rows: Vec<(usize, Row, (String, String))> = lines::read(path, FORMAT, |row: Row, line| {
        let text = split(&row)
            .map_err(|found| wrong(path, line, &found, "`word` in `text`, at `at` if that is given"))?;
        if let Some((name, weight)) = row.substitutes.iter().find(|(_, weight)| **weight < 0.0) {
            let found = format!("the weight {weight} of {}", quoted(name));
            return Err(wrong(path, line, &found, "weights of at least 0"));
        }
        if !row.substitutes.values().any(|&weight| weight > 0.0) {
            return Err(wrong(path, line, "no substitute with a weight above 0", "at least one"));
        }
        if row.substitutes.contains_key(&row.word) {
            let found = format!("{} as a substitute of itself", quoted(&row.word));
            return Err(wrong(path, line, &found, "other words"));
        }
        Ok((line, row, text))
    })?;
    if rows.is_empty() {
        return Err(ProbeError::Empty { path: path.to_owned(), what: "items" });
    }
    let mut of_word: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, row, _) in &rows {
        of_word.entry(row.word.clone()).or_default().extend(row.substitutes.keys().cloned());
    }
    let item = |(line, row, text): (usize, Row, (String, String))| {
        let all: BTreeSet<String> = match row.candidates {
            Some(candidates) => candidates.into_iter().filter(|candidate| *candidate != row.word).collect(),
            None => of_word.get(&row.word).cloned().unwrap_or_default(),
        };
        let candidates: Vec<String> = all.into_iter().collect();
        if candidates.is_empty() {
            return Err(wrong(path, line, "no candidate but the word itself", "at least one candidate"));
        }
        Ok(Item { line, word: row.word, text, substitutes: row.substitutes, candidates })
    };
    rows.into_iter().map(item).collect()
}

/// The text before and after the word.
fn split(row: &Row) -> Result<(String, String), String> {
    let (text, word) = (&row.text, &row.word);
    let missing = || format!("no {} in {}", quoted(word), quoted(text));
    if word.is_empty() {
        return Err("an empty word".to_owned());
    }
    let start = match row.at {
        Some(at) => {
            // The offset of the end is an offset as well; there, no word begins.
            let byte = text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
            if !text[byte..].starts_with(word.as_str()) {
                return Err(format!("{} at character {at}", quoted(&text[byte..])));
            }
            byte
        }
        None => {
            let alone = |&(start, _): &(usize, &str)| {
                let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                !touches(text[..start].chars().next_back())
                    && !touches(text[start + word.len()..].chars().next())
            };
            text.match_indices(word.as_str()).find(alone).ok_or_else(missing)?.0
        }
    };
    Ok((text[..start].to_owned(), text[start + word.len()..].to_owned()))
}

/// Generalised average precision (Kishida, Property of Average Precision and its Generalization, 2005): average precision
/// for weights in place of yes and no, divided by that of the best order.
///
/// `ranked`: weights of the candidates, the best scored first; `gold`: weights of all substitutes, in any order. Substitutes
/// that are no candidates count as not found. NaN if no weight of `gold` is positive.
///
/// ```
/// use fn_study::probe::substitution::gap;
/// // The first is wrong: (4/2 + 7/3) / (4/1 + 7/2).
/// assert!((gap(&[0.0, 4.0, 3.0], &[3.0, 4.0]) - (13.0 / 3.0) / 7.5).abs() < 1e-12);
/// assert_eq!(gap(&[4.0, 3.0, 0.0], &[3.0, 4.0]), 1.0);
/// ```
pub fn gap(ranked: &[f64], gold: &[f64]) -> f64 {
    let mut best: Vec<f64> = gold.iter().copied().filter(|&weight| weight > 0.0).collect();
    best.sort_by(|a, b| b.total_cmp(a));
    precisions(ranked) / precisions(&best)
}

/// Sum over the places with a positive weight of the mean weight up to there.
fn precisions(weights: &[f64]) -> f64 {
    let (mut sum, mut out) = (0.0, 0.0);
    for (place, &weight) in weights.iter().enumerate() {
        sum += weight;
        if weight > 0.0 {
            out += sum / (place + 1) as f64;
        }
    }
    out
}

/// How well one scorer orders.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Mean generalised average precision; NaN without items.
    pub gap: f64,
    /// Its standard error over items; NaN for fewer than two.
    pub gap_error: f64,
    /// Share of items whose best candidate has a positive weight.
    pub first: f64,
}

/// What came out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Substitution {
    /// Items scored.
    pub items: usize,
    /// Items left out because a candidate is not one piece of the vocabulary.
    pub left_out: usize,
    /// Mean number of candidates of the items scored.
    pub candidates: f64,
    /// By scorer.
    pub scores: Vec<(Scorer, Figures)>,
}

/// Orders the candidates of every item. A masked LM scores `log p(candidate | the text with the word masked)`, a
/// discriminator see [`Prober::scores`]. Among equal scores the smaller weight comes first.
///
/// # Errors
/// A text that is too long, a candidate without pieces; [`ProbeError::Stopped`].
pub fn order(prober: &Prober, items: &[Item], path: &Path, stop: &Stop) -> Result<Substitution, ProbeError> {
    let unknown = prober.tokenizer().special().unk;
    let mut kept: Vec<(&Item, Cloze)> = Vec::new();
    for item in items {
        let cloze = prober.cloze((&item.text.0, &item.text.1), &item.candidates, (path, item.line))?;
        if cloze.choices().iter().all(|pieces| pieces.len() == 1 && pieces[0] != unknown) {
            kept.push((item, cloze));
        }
    }
    let clozes: Vec<Cloze> = kept.iter().map(|(_, cloze)| cloze.clone()).collect();
    let mut scores = Vec::new();
    for &scorer in prober.scorers() {
        let found = prober.scores(&clozes, scorer, stop)?;
        let ranked: Vec<Vec<f64>> =
            kept.iter().zip(&found).map(|((item, _), scores)| ranked(item, scores)).collect();
        scores.push((scorer, figures(&kept, &ranked)));
    }
    let candidates = kept.iter().map(|(item, _)| item.candidates.len() as f64).sum::<f64>();
    let (items, left_out) = (kept.len(), items.len() - kept.len());
    Ok(Substitution { items, left_out, candidates: candidates / items as f64, scores })
}

/// Weights of the candidates, the best scored first. A score that does not exist is the lowest.
fn ranked(item: &Item, scores: &[f64]) -> Vec<f64> {
    let mut all: Vec<(f64, f64)> = item
        .candidates
        .iter()
        .zip(scores)
        .map(|(name, &score)| {
            let score = if score.is_nan() { f64::NEG_INFINITY } else { score };
            (score, item.substitutes.get(name).copied().unwrap_or(0.0))
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
    all.into_iter().map(|(_, weight)| weight).collect()
}

fn figures(kept: &[(&Item, Cloze)], ranked: &[Vec<f64>]) -> Figures {
    let gold = |item: &Item| item.substitutes.values().copied().collect::<Vec<f64>>();
    let gaps: Vec<f64> = kept.iter().zip(ranked).map(|((item, _), r)| gap(r, &gold(item))).collect();
    let first = ranked.iter().filter(|r| r.first().is_some_and(|&weight| weight > 0.0)).count();
    let (mean, error) = Summary::of(&gaps)
        .map_or((f64::NAN, f64::NAN), |s| (s.mean, s.standard_deviation / (s.count as f64).sqrt()));
    Figures { gap: mean, gap_error: error, first: first as f64 / ranked.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Vec<Item>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn candidates_are_those_of_the_same_word_unless_given() {
        let items = from(concat!(
            r#"{"text":"She is a bright child .","word":"bright","at":9,"substitutes":{"clever":4,"smart":3}}"#,
            "\n\n",
            r#"{"text":"brightly, a bright lamp","word":"bright","substitutes":{"shiny":2}}"#,
            "\n",
            r#"{"text":"é bright","word":"bright","at":2,"substitutes":{"dull":1},"candidates":["dull","bright","dim","dull"]}"#,
        ))
        .unwrap();
        assert_eq!(items[0].text, ("She is a ".to_owned(), " child .".to_owned()));
        assert_eq!(items[0].candidates, ["clever", "dull", "shiny", "smart"]);
        assert_eq!(items[1].text.0, "brightly, a ", "not inside of another word");
        assert_eq!((items[1].line, items[2].line), (3, 4));
        assert_eq!(items[2].text.0, "é ", "characters, not bytes");
        assert_eq!(items[2].candidates, ["dim", "dull"]);
    }

    #[test]
    fn what_is_no_item_is_refused_with_its_line() {
        for (line, expected) in [
            (r#"{"text":"a b","word":"c","substitutes":{"x":1}}"#, "line 1: found no \"c\" in \"a b\""),
            (r#"{"text":"a b","word":"b","at":1,"substitutes":{"x":1}}"#, "found \" b\" at character 1"),
            (r#"{"text":"a b","word":"b","at":99,"substitutes":{"x":1}}"#, "found \"\" at character 99"),
            (r#"{"text":"a b","word":"","substitutes":{"x":1}}"#, "found an empty word"),
            (r#"{"text":"a b","word":"b","substitutes":{"x":-1}}"#, "found the weight -1 of \"x\""),
            (
                r#"{"text":"a b","word":"b","substitutes":{"x":0}}"#,
                "found no substitute with a weight above 0",
            ),
            (r#"{"text":"a b","word":"b","substitutes":{"b":1}}"#, "as a substitute of itself"),
            (r#"{"text":"a b","word":"b","substitutes":{"x":1},"candidates":["b"]}"#, "no candidate but"),
            (r#"{"text":"a b","word":"b","substitute":{"x":1}}"#, "unknown field `substitute`"),
            ("", "found no items"),
        ] {
            let message = from(line).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn gap_by_hand() {
        // Weights 0, 2, 0, 1 in the order found: 2/2 + 3/4. The best order 2, 1: 2/1 + 3/2.
        assert!((gap(&[0.0, 2.0, 0.0, 1.0], &[1.0, 2.0]) - 1.75 / 3.5).abs() < 1e-12);
        // With weights of 0 and 1 it is average precision: (1/1 + 2/3) / 2.
        assert!((gap(&[1.0, 0.0, 1.0], &[1.0, 1.0]) - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // A substitute that is no candidate is not found: (2/1) / (2/1 + 3/2).
        assert!((gap(&[2.0, 0.0], &[1.0, 2.0]) - 2.0 / 3.5).abs() < 1e-12);
        assert_eq!(gap(&[0.0], &[1.0]), 0.0);
        assert!(gap(&[0.0], &[0.0]).is_nan());
    }

    #[test]
    fn equal_and_missing_scores_are_no_advantage() {
        let item = Item {
            line: 1,
            word: "w".into(),
            text: Default::default(),
            substitutes: [("a".to_owned(), 2.0), ("b".to_owned(), 1.0)].into(),
            candidates: ["a", "b", "c"].map(str::to_owned).to_vec(),
        };
        assert_eq!(ranked(&item, &[-1.0, -1.0, -1.0]), [0.0, 1.0, 2.0]);
        assert_eq!(ranked(&item, &[f64::NAN, -1.0, -9.0]), [1.0, 0.0, 2.0]);
        assert_eq!(ranked(&item, &[-1.0, -2.0, -3.0]), [2.0, 1.0, 0.0]);
    }
}
