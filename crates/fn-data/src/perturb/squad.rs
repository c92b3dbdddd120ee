//! Perturbed questions, or contexts with a distractor, in the JSON format of SQuAD.
//!
//! The file is changed as a JSON value, so that all other fields are kept.

use std::path::Path;

use serde_json::Value;

use super::distractor::{Asked, Material};
use super::{Perturbation, Perturber};
use crate::task::TaskError;
use crate::task::squad::{Problems, read, text};

/// Reads a file of SQuAD 1.1 or 2.0 as a value, after the checks of [`read`].
///
/// # Errors
/// As [`read`].
pub fn open(path: &Path) -> Result<Value, TaskError> {
    read(path, Problems::Count)?;
    serde_json::from_str(text(path)?.trim_start_matches('\u{feff}')).map_err(|error| TaskError::Json {
        path: path.to_owned(),
        line: error.line() as u64,
        message: error.to_string(),
        expected: "the JSON of SQuAD",
    })
}

/// Keeps only the first `limit` questions; paragraphs and articles without questions are removed.
pub fn first_questions(file: &mut Value, limit: usize) {
    let mut left = limit;
    let Some(articles) = file.get_mut("data").and_then(Value::as_array_mut) else { return };
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    for article in articles.iter_mut() {
        let Some(paragraphs) = article.get_mut("paragraphs").and_then(Value::as_array_mut) else { continue };
        for paragraph in paragraphs.iter_mut() {
            let Some(questions) = paragraph.get_mut("qas").and_then(Value::as_array_mut) else { continue };
            questions.truncate(left);
            left -= questions.len();
        }
        paragraphs.retain(|paragraph| list(paragraph, "qas") > 0);
    }
    articles.retain(|article| list(article, "paragraphs") > 0);
}

/// Ids of the questions whose text or context differs between two files with the same questions in the same order, and how
/// many questions there are.
pub fn changed(before: &Value, after: &Value) -> (Vec<String>, usize) {
    let (before, after) = (flat(before), flat(after));
    let differ =
        before.iter().zip(&after).filter(|(a, b)| a.context != b.context || a.question != b.question);
    (differ.map(|(a, _)| a.id.to_owned()).collect(), before.len())
}

/// A question and its context.
struct Flat<'a> {
    id: &'a str,
    question: &'a str,
    context: &'a str,
    answers: Vec<&'a str>,
}

fn flat(file: &Value) -> Vec<Flat<'_>> {
    let mut out = Vec::new();
    for paragraph in list(file, "data").iter().flat_map(|article| list(article, "paragraphs")) {
        for question in list(paragraph, "qas") {
            out.push(Flat {
                id: string(question, "id"),
                question: string(question, "question"),
                context: string(paragraph, "context"),
                answers: list(question, "answers").iter().map(|answer| string(answer, "text")).collect(),
            });
        }
    }
    out
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Perturber<'_> {
    /// A changed copy of a file with the same questions in the same order.
    ///
    /// All kinds but the distractor change the question only, so `answer_start` stays valid. The distractor is appended to the
    /// context, and each question gets its own copy of the paragraph.
    pub fn squad(&self, file: &Value) -> Value {
        let mut out = file.clone();
        if self.kind() == Perturbation::Distractor {
            self.distract(file, &mut out);
            return out;
        }
        let mut row = 0;
        for paragraph in paragraphs(&mut out) {
            let Some(questions) = paragraph.get_mut("qas").and_then(Value::as_array_mut) else { continue };
            for question in questions {
                if let Some(Value::String(text)) = question.get_mut("question") {
                    *text = self.sentence(text, &mut self.stream(row));
                }
                row += 1;
            }
        }
        out
    }

    fn distract(&self, file: &Value, out: &mut Value) {
        let all = flat(file);
        let asked = |flat: &Flat<'_>| {
            let answer = flat.answers.first()?;
            Some(Asked { question: flat.question.to_owned(), answer: (*answer).to_owned() })
        };
        let material = Material::collect(&all.iter().filter_map(asked).collect::<Vec<_>>());
        let mut each = all.iter().enumerate();
        let Some(articles) = out.get_mut("data").and_then(Value::as_array_mut) else { return };
        for article in articles {
            let Some(paragraphs) = article.get_mut("paragraphs").and_then(Value::as_array_mut) else {
                continue;
            };
            let mut copies = Vec::new();
            for paragraph in std::mem::take(paragraphs) {
                let questions = list(&paragraph, "qas");
                if questions.is_empty() {
                    copies.push(paragraph);
                    continue;
                }
                for (question, (row, flat)) in questions.iter().zip(&mut each) {
                    let mut stream = self.stream(row);
                    let mut copy = paragraph.clone();
                    copy["qas"] = Value::Array(vec![question.clone()]);
                    let sentence = material.sentence(flat.question, flat.context, &flat.answers, &mut stream);
                    // An empty context stays empty.
                    if let Some(sentence) = sentence.filter(|_| !flat.context.trim().is_empty()) {
                        copy["context"] = Value::String(format!("{} {sentence}", flat.context));
                    }
                    copies.push(copy);
                }
            }
            *paragraphs = copies;
        }
    }
}

fn paragraphs(file: &mut Value) -> impl Iterator<Item = &mut Value> {
    let articles = file.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten();
    articles
        .flat_map(|article| article.get_mut("paragraphs").and_then(Value::as_array_mut).into_iter().flatten())
}
