//! The file of questions of SQuAD 1.1 and 2.0.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;

use super::SquadError;

/// A file of questions. Fields that do not matter for scores (`plausible_answers` among them) are skipped.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Dataset {
    /// The field `version` of the file, usually `1.1` or `v2.0`; empty if it is missing.
    #[serde(default)]
    pub version: String,
    /// The articles.
    pub data: Vec<Article>,
}

/// An article of Wikipedia.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Article {
    /// Its title; empty if there is none.
    #[serde(default)]
    pub title: String,
    /// Its paragraphs.
    pub paragraphs: Vec<Paragraph>,
}

/// A paragraph and the questions about it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Paragraph {
    /// The text; empty if there is none (scores do not need it).
    #[serde(default)]
    pub context: String,
    /// The questions.
    pub qas: Vec<Question>,
}

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Question {
    /// Its id, unique in the file.
    pub id: String,
    /// Its text; empty if there is none (scores do not need it).
    #[serde(default)]
    pub question: String,
    /// The reference answers; empty if the question has no answer.
    pub answers: Vec<Answer>,
    /// The field `is_impossible`: whether the question has no answer; None in files of version 1.1.
    #[serde(default)]
    pub is_impossible: Option<bool>,
}

/// A reference answer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Start of the answer in the context, in characters; None if the field is missing.
    #[serde(default)]
    pub answer_start: Option<u64>,
}

impl Question {
    /// Whether the question has an answer: as in the official script, whether there are references.
    pub fn has_answer(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Texts of the references.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.answers.iter().map(|answer| answer.text.as_str())
    }
}

/// Version of SQuAD, which decides how answers are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.1: every question has an answer.
    V1,
    /// 2.0: a question may have none.
    V2,
}

impl Dataset {
    /// Reads a JSON file.
    ///
    /// # Errors
    /// A file that cannot be read, JSON of another shape (with line and column), no questions, an id that occurs twice,
    /// `is_impossible` in contradiction to the references.
    pub fn open(path: &Path) -> Result<Self, SquadError> {
        let file =
            fn_core::files::open(path).map_err(|source| SquadError::Io { path: path.to_owned(), source })?;
        let read: Self =
            serde_json::from_reader(BufReader::new(file)).map_err(|e| json_error(path, e, SHAPE))?;
        read.checked(path)
    }

    /// Parses JSON text; `path` is its file, for messages.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn from_json(text: &str, path: &Path) -> Result<Self, SquadError> {
        let read: Self = serde_json::from_str(text).map_err(|e| json_error(path, e, SHAPE))?;
        read.checked(path)
    }

    fn checked(self, path: &Path) -> Result<Self, SquadError> {
        let path = || path.to_owned();
        let mut ids = HashSet::new();
        for question in self.questions() {
            if !ids.insert(question.id.as_str()) {
                return Err(SquadError::DuplicateQuestion { path: path(), id: question.id.clone() });
            }
            if let Some(is_impossible) = question.is_impossible.filter(|&i| i == question.has_answer()) {
                let (id, answers) = (question.id.clone(), question.answers.len());
                return Err(SquadError::Contradiction { path: path(), id, is_impossible, answers });
            }
        }
        if ids.is_empty() {
            return Err(SquadError::NoQuestions { path: path() });
        }
        drop(ids);
        Ok(self)
    }

    /// All questions in the order of the file.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.data.iter().flat_map(|article| &article.paragraphs).flat_map(|paragraph| &paragraph.qas)
    }

    /// 2.0 if a question has no answer, which the rules of 1.1 cannot score; otherwise the version in the field `version`; if that is
    /// missing or unknown, 2.0 if a question has the field `is_impossible`, else 1.1.
    pub fn version(&self) -> Version {
        if self.questions().any(|question| !question.has_answer()) {
            return Version::V2;
        }
        match self.version.trim_start_matches(['v', 'V']).chars().next() {
            Some('1') => Version::V1,
            Some('2') => Version::V2,
            _ if self.questions().any(|q| q.is_impossible.is_some()) => Version::V2,
            _ => Version::V1,
        }
    }
}

const SHAPE: &str = "a SQuAD file: data, paragraphs, qas, each with `id` and `answers`";

/// Splits line and column from the message of the JSON parser, so that the error does not state them twice.
pub(super) fn json_error(path: &Path, error: serde_json::Error, expected: &'static str) -> SquadError {
    let (path, line, column) = (path.to_owned(), error.line(), error.column());
    if let Some(kind) = error.io_error_kind() {
        return SquadError::Io { path, source: kind.into() };
    }
    let text = error.to_string();
    let place = format!(" at line {line} column {column}");
    let message = text.strip_suffix(&place).unwrap_or(&text).to_owned();
    SquadError::Json { path, line, column, message, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dataset, SquadError> {
        Dataset::from_json(text, Path::new("dev.json"))
    }

    fn with(qas: &str) -> Result<Dataset, SquadError> {
        read(&format!(r#"{{"data":[{{"paragraphs":[{{"context":"c","qas":[{qas}]}}]}}]}}"#))
    }

    #[test]
    fn both_versions_are_read() {
        let one = read(
            r#"{"version":"1.1","data":[{"title":"T","paragraphs":[{"context":"A cat.","qas":
            [{"id":"q","question":"Who?","answers":[{"text":"cat","answer_start":2}]}]}]}]}"#,
        )
        .unwrap();
        let question = one.questions().next().unwrap();
        assert_eq!(one.version(), Version::V1);
        assert_eq!((one.data[0].title.as_str(), question.question.as_str()), ("T", "Who?"));
        assert_eq!(question.references().collect::<Vec<_>>(), ["cat"]);
        assert_eq!(question.answers[0].answer_start, Some(2));

        let two = with(
            r#"{"id":"q","answers":[],"is_impossible":true,"plausible_answers":[{"text":"x","answer_start":0}]}"#,
        )
        .unwrap();
        assert_eq!(two.version(), Version::V2);
        assert!(!two.questions().next().unwrap().has_answer());
    }

    #[test]
    fn a_question_without_answer_means_version_2_and_else_the_field_version_decides() {
        let mut data = with(r#"{"id":"q","answers":[{"text":"x"}]}"#).unwrap();
        assert_eq!(data.version(), Version::V1);
        data.version = "v2.0".into();
        assert_eq!(data.version(), Version::V2);
        data.version = "mine".into();
        assert_eq!(data.version(), Version::V1);
        // But the rules of 1.1 cannot score a question without answers.
        let mut data = with(r#"{"id":"q","answers":[],"is_impossible":true}"#).unwrap();
        data.version = "1.1".into();
        assert_eq!(data.version(), Version::V2);
    }

    #[test]
    fn an_id_that_occurs_twice_is_named() {
        let question = r#"{"id":"q7","answers":[{"text":"x"}]}"#;
        let text = with(&format!("{question},{question}")).unwrap_err().to_string();
        assert!(text.contains("dev.json") && text.contains("`q7` twice"), "{text}");
    }

    #[test]
    fn impossible_with_answers_and_possible_without_are_contradictions() {
        let text =
            with(r#"{"id":"q7","answers":[{"text":"x"}],"is_impossible":true}"#).unwrap_err().to_string();
        assert!(text.contains("`q7`") && text.contains("true and 1 answers"), "{text}");
        let error = with(r#"{"id":"q7","answers":[],"is_impossible":false}"#).unwrap_err();
        assert!(matches!(error, SquadError::Contradiction { is_impossible: false, answers: 0, .. }));
    }

    #[test]
    fn broken_files_are_errors_with_their_place() {
        let text = read("{\"data\":\n[{\"paragraphs\": 3}]}").unwrap_err().to_string();
        assert!(text.contains("dev.json: line 2, column 17"), "{text}");
        assert!(with(r#"{"id":"q"}"#).unwrap_err().to_string().contains("missing field `answers`"));
        assert!(matches!(read(r#"{"data":[]}"#), Err(SquadError::NoQuestions { .. })));
        assert!(matches!(read(&"[".repeat(100_000)), Err(SquadError::Json { .. })));
        assert!(matches!(Dataset::open(Path::new("no-such.json")), Err(SquadError::Io { .. })));
    }

    #[test]
    fn a_file_is_read_and_a_cut_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.json");
        let text = r#"{"data":[{"paragraphs":[{"qas":[{"id":"q","answers":[]}]}]}]}"#;
        std::fs::write(&path, text).unwrap();
        assert_eq!(Dataset::open(&path).unwrap().questions().count(), 1);
        std::fs::write(&path, &text[..30]).unwrap();
        assert!(matches!(Dataset::open(&path), Err(SquadError::Json { line: 1, .. })));
    }
}
