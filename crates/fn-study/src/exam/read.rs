//! Reads a file in whichever of the formats it is.

use std::io::Read;
use std::path::Path;

use fn_core::files;

use super::{Exam, ExamError, Target, lexsub, swords, table, wild};

/// Most text of a file: SWORDS' test set has 15 MB.
const MAX_TEXT: u64 = 256 << 20;

/// Reads what people said of substitutes.
///
/// - SWORDS 1.1 (`.json`, `.json.gz`), CoInCo and SemEval-2007 in the format of the SWORDS repository;
/// - a table of one's own (`.tsv`): sentence, start (the word's first character), word, substitute, label (TRUE or FALSE); lines with
///   equal sentence, start and substitute are several people's labels of one pair;
/// - readings of a model's errors (`.jsonl`): `context`, `start`, `word`, `prediction`, `labels` of S (says the same), F (fits) and W (wrong),
///   and perhaps `domain`. They make two exams: *same or fits* and *same*.
///
/// `-` is standard input, whose format follows from how it begins.
///
/// # Errors
/// A file that cannot be read or is in none of the formats; an offset where the word does not stand; a label that is none.
pub fn read(path: &Path) -> Result<Vec<Exam>, ExamError> {
    let text = text(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let source = Source { path, text: &text, name: plain };
    // Standard input has no name to tell by.
    let kind = match plain {
        files::STANDARD_INPUT if !text.trim_start().starts_with('{') => Some("tsv"),
        files::STANDARD_INPUT if text.trim_start().starts_with("{\"context\"") => Some("jsonl"),
        files::STANDARD_INPUT => Some("json"),
        plain => plain.rsplit('.').next(),
    };
    match kind {
        Some("tsv") => Ok(vec![table::read(&source)?]),
        Some("jsonl") => wild::read(&source),
        Some("json") if text.contains("\"substitute_labels\"") => Ok(vec![swords::read(&source)?]),
        Some("json") if text.contains("\"wprimes\"") => Ok(vec![lexsub::read(&source)?]),
        _ => Err(source.wrong(
            "its name and its beginning",
            super::read::quoted(&text),
            "SWORDS or CoInCo (.json, .json.gz), a table (.tsv) or readings (.jsonl)",
            "see `fnlm probe judge --help`",
        )),
    }
}

fn text(path: &Path) -> Result<String, ExamError> {
    let io = |source| ExamError::Io { path: path.to_owned(), source };
    let file = fn_core::files::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let mut reader: Box<dyn Read> =
        if packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    reader.by_ref().take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(ExamError::TooLarge { path: path.to_owned(), limit: MAX_TEXT });
    }
    String::from_utf8(bytes).map_err(|error| io(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}

/// A file that is being read.
pub(super) struct Source<'a> {
    pub path: &'a Path,
    pub text: &'a str,
    pub name: &'a str,
}

impl Source<'_> {
    pub fn wrong(
        &self,
        place: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: &'static str,
    ) -> ExamError {
        let path = self.path.to_owned();
        ExamError::Format {
            path,
            place: place.into(),
            found: found.into(),
            expected: expected.into(),
            remedy,
        }
    }

    /// JSON of the whole file.
    pub fn json<T: serde::de::DeserializeOwned>(&self, expected: &str) -> Result<T, ExamError> {
        serde_json::from_str(self.text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            self.wrong(place, error.to_string(), expected, "fetch the file again")
        })
    }

    /// A target, where `word` (in any case if `any_case`) stands at character `offset` of `context`.
    pub fn target(
        &self,
        id: String,
        context: &str,
        (offset, word, any_case): (usize, &str, bool),
    ) -> Result<Target, ExamError> {
        let begin = context.char_indices().map(|(byte, _)| byte).nth(offset);
        let found = begin.and_then(|start| {
            let end = context[start..].char_indices().map(|(byte, _)| start + byte);
            let end = end.chain([context.len()]).nth(word.chars().count())?;
            Some((start, &context[start..end]))
        });
        let hits = |found: &str| found == word || any_case && found.to_lowercase() == word.to_lowercase();
        match found {
            Some((start, found)) if !word.is_empty() && hits(found) => Ok(Target {
                id,
                context: context.to_owned(),
                start,
                word: found.to_owned(),
                lemma: None,
                group: String::new(),
            }),
            _ => {
                let there = begin.map_or("", |start| &context[start..]);
                Err(self.wrong(
                    format!("target {id}"),
                    format!("{} at character {offset}", quoted(there)),
                    format!("the word {word:?} (offsets count characters from 0)"),
                    "correct the offset or leave the target out",
                ))
            }
        }
    }

    /// Whether a label calls a substitute good; None where it is empty.
    pub fn label(&self, place: &str, label: &str) -> Result<Option<bool>, ExamError> {
        match label.trim().to_ascii_uppercase().as_str() {
            "TRUE" | "TRUE_IMPLICIT" => Ok(Some(true)),
            // Who is not sure does not call it good.
            "FALSE" | "FALSE_IMPLICIT" | "UNSURE" => Ok(Some(false)),
            "" => Ok(None),
            _ => Err(self.wrong(
                place,
                format!("the label {}", quoted(label)),
                "TRUE or FALSE (or UNSURE, which counts as not TRUE)",
                "correct the label or remove it",
            )),
        }
    }
}

/// The beginning of a text, for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// The share of labels that call a substitute good; None without a label.
pub(super) fn share(labels: &[bool]) -> Option<f64> {
    let good = labels.iter().filter(|good| **good).count();
    (!labels.is_empty()).then(|| good as f64 / labels.len() as f64)
}

/// `NOUN` and `n` as `noun`; what is none of four as it is, in lower case.
pub(super) fn part_of_speech(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "n" => "noun".into(),
        "v" => "verb".into(),
        "adj" | "a" | "j" => "adjective".into(),
        "adv" | "r" => "adverb".into(),
        other => other.into(),
    }
}
