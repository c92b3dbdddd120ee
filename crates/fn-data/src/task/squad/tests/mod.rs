use serde_json::{Value, json};

use super::*;
use crate::task::TaskError;
use crate::tokenise::{SPECIAL_TOKENS, TextTokenizer};

mod decode;
mod window;

const CONTEXT: &str = "Zoë's café, in Köln, sells tea.";

fn tokenizer() -> TextTokenizer {
    let words =
        ["zoe", "'", "s", "cafe", ",", "in", "koln", "sell", "##s", "tea", ".", "who", "?", "日", "run"];
    let letters = ('a'..='e').map(|c| c.to_string());
    let pieces = SPECIAL_TOKENS.iter().chain(&words).map(|&p| p.to_owned()).chain(letters);
    TextTokenizer::from_vocab(pieces.collect(), true).unwrap()
}

/// A question with one answer, `start` in characters.
fn question(id: &str, answer: &str, start: u64) -> Value {
    json!({"id": id, "question": "Who?", "answers": [{"text": answer, "answer_start": start}]})
}

fn article(paragraphs: Value) -> Value {
    json!({"version": "2.0", "data": [{"title": "Shops", "paragraphs": paragraphs}]})
}

fn read_json(value: &Value, problems: Problems) -> Result<SquadData, TaskError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    std::fs::write(&path, value.to_string()).unwrap();
    read(&path, problems)
}

/// Data of one paragraph with one question.
fn one(context: &str, question: Question) -> SquadData {
    let paragraph = Paragraph { title: "t".into(), context: context.to_owned(), questions: vec![question] };
    SquadData { paragraphs: vec![paragraph], report: SquadReport::default() }
}

#[test]
fn answers_are_found_by_characters_and_kept_by_bytes() {
    let data = article(json!([
        {"context": CONTEXT, "qas": [question("a", "Köln", 15), question("b", "Zoë", 0)]},
        {"context": "Plain.", "qas": [
            {"id": "c", "question": "Who?", "is_impossible": true, "answers": [], "plausible_answers": [{"text": "Plain", "answer_start": 0}]},
            {"id": "d", "question": "Who?"},
        ]},
    ]));
    for problems in [Problems::Count, Problems::Refuse] {
        let data = read_json(&data, problems).unwrap();
        assert_eq!(data.report.questions, 4);
        assert_eq!((data.report.paragraphs, data.report.impossible), (2, 1));
        assert!(data.report.warnings().is_empty());
        let first = &data.paragraphs[0].questions[0].answers[0];
        assert_eq!((&CONTEXT[first.bytes.clone()], first.bytes.start), ("Köln", 17));
        let second = &data.paragraphs[1].questions;
        assert!(second[0].impossible && !second[1].impossible && second[1].answers.is_empty());
        assert_eq!(&*data.paragraphs[1].title, "Shops");
    }
}

#[test]
fn problems_are_counted_or_are_errors_depending_on_the_option() {
    let misplaced =
        article(json!([{"context": CONTEXT, "qas": [question("a", "Köln", 17), question("b", "tea", 27)]}]));
    let data = read_json(&misplaced, Problems::Count).unwrap();
    assert_eq!((data.report.misplaced_answers, &data.report.misplaced_ids[..]), (1, &["a".to_owned()][..]));
    assert!(data.paragraphs[0].questions[0].answers.is_empty());
    assert_eq!(data.paragraphs[0].questions[1].answers.len(), 1);
    assert!(data.report.warnings()[0].contains("1 answers"));
    let error = read_json(&misplaced, Problems::Refuse).unwrap_err();
    assert!(matches!(error, TaskError::Answer { start: 17, .. }), "{error}");
    for (text, start) in [("", 0), (" ", 11), ("tea", u64::MAX), ("tea.x", 27)] {
        let data = article(json!([{"context": CONTEXT, "qas": [question("a", text, start)]}]));
        assert_eq!(read_json(&data, Problems::Count).unwrap().report.misplaced_answers, 1, "{text:?}");
    }

    let empty = article(json!([
        {"context": " \n", "qas": [question("a", "x", 0)]},
        {"context": "tea", "qas": [question("b", "tea", 0)]},
    ]));
    let data = read_json(&empty, Problems::Count).unwrap();
    assert_eq!((data.report.empty_contexts, data.report.questions, data.paragraphs.len()), (1, 1, 1));
    let error = read_json(&empty, Problems::Refuse).unwrap_err();
    assert!(matches!(error, TaskError::EmptyContext { article: 1, paragraph: 1, .. }), "{error}");

    let twice =
        article(json!([{"context": "tea", "qas": [question("a", "tea", 0), question("a", "tea", 0)]}]));
    let data = read_json(&twice, Problems::Count).unwrap();
    assert_eq!((data.report.duplicate_ids, data.report.questions), (1, 1));
    assert!(matches!(read_json(&twice, Problems::Refuse), Err(TaskError::DuplicateId { .. })));
}

#[test]
fn json_of_another_structure_is_an_error_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    let whole = article(json!([{"context": "tea", "qas": [question("a", "tea", 0)]}])).to_string();
    for (text, line) in [
        (whole[..whole.len() - 5].to_owned(), 1),
        ("{\n\"data\": [{\"paragraphs\": 3}]}".to_owned(), 2),
        ("[]".to_owned(), 1),
        (whole.replace("\"answer_start\":0", "\"answer_start\":-1"), 1),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = read(&path, Problems::Count).unwrap_err();
        assert!(matches!(error, TaskError::Json { line: l, .. } if l == line), "{error}");
    }
    std::fs::write(&path, "{\"data\": []}").unwrap();
    assert!(matches!(read(&path, Problems::Count), Err(TaskError::NoRows { .. })));
    let path = dir.path().join("a.json.zst");
    let packed = zstd::encode_all(whole.as_bytes(), 1).unwrap();
    std::fs::write(&path, &packed).unwrap();
    assert_eq!(read(&path, Problems::Refuse).unwrap().report.questions, 1);
    std::fs::write(&path, &packed[..packed.len() - 4]).unwrap();
    assert!(matches!(read(&path, Problems::Count), Err(TaskError::Data(crate::DataError::Truncated { .. }))));
}
