//! Reads the official JSON of SQuAD.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::super::TaskError;
use super::super::error::quoted;
use super::{Answer, Paragraph, Question, SquadData, SquadReport};
use crate::source::{Counters, compressed};

/// Maximum size of a file in bytes, decompressed: ten times the largest official one.
const MAX_FILE: u64 = 512 << 20;
/// Maximum number of ids in a report.
const PLACES: usize = 20;

/// What happens with misplaced answers, empty contexts, and duplicate ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Problems {
    /// Skip and count them.
    #[default]
    Count,
    /// Return an error.
    Refuse,
}

#[derive(Deserialize)]
struct RawFile {
    data: Vec<RawArticle>,
}

#[derive(Deserialize)]
struct RawArticle {
    #[serde(default)]
    title: String,
    paragraphs: Vec<RawParagraph>,
}

#[derive(Deserialize)]
struct RawParagraph {
    context: String,
    qas: Vec<RawQuestion>,
}

#[derive(Deserialize)]
struct RawQuestion {
    id: String,
    question: String,
    #[serde(default)]
    answers: Vec<RawAnswer>,
    #[serde(default)]
    is_impossible: bool,
}

#[derive(Deserialize)]
struct RawAnswer {
    text: String,
    /// Start of the answer in the context, in characters.
    answer_start: u64,
}

/// Reads a file of SQuAD 1.1 or 2.0, compressed or not.
///
/// # Errors
/// A file that cannot be read or is not JSON of this structure; with [`Problems::Refuse`] also an answer that does not occur at
/// its `answer_start`, an empty context, a duplicate id.
pub fn read(path: &Path, problems: Problems) -> Result<SquadData, TaskError> {
    let bytes = bytes(path)?;
    let raw: RawFile = serde_json::from_slice(&bytes).map_err(|error| TaskError::Json {
        path: path.to_owned(),
        line: error.line() as u64,
        message: error.to_string(),
        expected: "the JSON of SQuAD, `data` with articles, paragraphs, `context` and `qas`",
    })?;
    drop(bytes);
    let mut reader = Reader {
        path,
        problems,
        seen: HashSet::new(),
        report: SquadReport { path: path.to_owned(), ..SquadReport::default() },
    };
    let mut paragraphs = Vec::new();
    for (a, article) in raw.data.into_iter().enumerate() {
        let title: Arc<str> = article.title.into();
        for (p, paragraph) in article.paragraphs.into_iter().enumerate() {
            if paragraph.context.trim().is_empty() {
                let (path, article, paragraph) = (path.to_owned(), a + 1, p + 1);
                reader.problem(TaskError::EmptyContext { path, article, paragraph })?;
                reader.report.empty_contexts += 1;
                continue;
            }
            paragraphs.push(reader.paragraph(paragraph, &title)?);
        }
    }
    let report = reader.report;
    if report.questions == 0 {
        return Err(TaskError::NoRows { path: path.to_owned() });
    }
    Ok(SquadData { paragraphs, report })
}

/// The text of a file of questions, decompressed, for the scoring functions.
///
/// # Errors
/// A file that cannot be read, is too large or is not UTF-8.
pub fn text(path: &Path) -> Result<String, TaskError> {
    String::from_utf8(bytes(path)?).map_err(|error| TaskError::Json {
        path: path.to_owned(),
        line: 1,
        message: error.to_string(),
        expected: "JSON, which is UTF-8",
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, TaskError> {
    let mut bytes = Vec::new();
    let mut reader = compressed::open(path, &Counters::default())?.take(MAX_FILE + 1);
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|error| compressed::read_error(path, bytes.len() as u64, error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TaskError::TooLarge { path: path.to_owned(), what: "bytes", limit: MAX_FILE });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

struct Reader<'a> {
    path: &'a Path,
    problems: Problems,
    seen: HashSet<String>,
    report: SquadReport,
}

impl Reader<'_> {
    fn problem(&self, error: TaskError) -> Result<(), TaskError> {
        if self.problems == Problems::Refuse { Err(error) } else { Ok(()) }
    }

    fn paragraph(&mut self, raw: RawParagraph, title: &Arc<str>) -> Result<Paragraph, TaskError> {
        let characters = Characters::new(&raw.context);
        let mut questions = Vec::with_capacity(raw.qas.len());
        for question in raw.qas {
            if !self.seen.insert(question.id.clone()) {
                let (path, id) = (self.path.to_owned(), quoted(&question.id));
                self.problem(TaskError::DuplicateId { path, id })?;
                self.report.duplicate_ids += 1;
                continue;
            }
            questions.push(self.question(question, &raw.context, &characters)?);
        }
        self.report.paragraphs += 1;
        self.report.questions += questions.len() as u64;
        self.report.impossible += questions.iter().filter(|q| q.impossible).count() as u64;
        Ok(Paragraph { title: title.clone(), context: raw.context, questions })
    }

    fn question(
        &mut self,
        raw: RawQuestion,
        context: &str,
        characters: &Characters,
    ) -> Result<Question, TaskError> {
        let mut answers = Vec::with_capacity(raw.answers.len());
        if raw.is_impossible {
            self.report.answers_of_impossible += raw.answers.len() as u64;
        } else {
            for answer in raw.answers {
                let start = characters.byte(answer.answer_start);
                let here = start.and_then(|s| context.get(s..)?.starts_with(&answer.text).then_some(s));
                match here {
                    Some(start) if !answer.text.trim().is_empty() => {
                        let bytes = start..start + answer.text.len();
                        answers.push(Answer { text: answer.text, bytes });
                    }
                    _ => {
                        self.problem(TaskError::Answer {
                            path: self.path.to_owned(),
                            id: quoted(&raw.id),
                            found: quoted(&answer.text),
                            start: answer.answer_start,
                        })?;
                        self.report.misplaced_answers += 1;
                        if self.report.misplaced_ids.len() < PLACES {
                            self.report.misplaced_ids.push(raw.id.chars().take(60).collect());
                        }
                    }
                }
            }
        }
        Ok(Question { id: raw.id, text: raw.question, answers, impossible: raw.is_impossible })
    }
}

/// Byte offsets of the characters of a text.
enum Characters {
    /// All characters are one byte long.
    Ascii,
    Starts(Vec<u32>),
}

impl Characters {
    fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii;
        }
        // Files are shorter than 2^32 bytes, see MAX_FILE.
        Self::Starts(text.char_indices().map(|(byte, _)| byte as u32).collect())
    }

    fn byte(&self, character: u64) -> Option<usize> {
        let character = usize::try_from(character).ok()?;
        match self {
            Self::Ascii => Some(character),
            Self::Starts(starts) => starts.get(character).map(|&byte| byte as usize),
        }
    }
}
