use super::*;

fn record(index: usize, prediction: Answer, gold: Option<Answer>) -> Record {
    Record { index, id: None, gold, prediction, scores: vec![] }
}

fn class(name: &str) -> Answer {
    Answer::Class(name.to_owned())
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let records = vec![
        Record {
            id: Some("a-b".into()),
            scores: vec![0.25, 0.75],
            ..record(0, class("yes"), Some(class("no")))
        },
        record(1, Answer::Score(2.5), None),
        record(2, Answer::Tags(vec!["O".into()]), Some(Answer::Tags(vec!["O".into(), "B".into()]))),
    ];
    let path = dir.path().join("x/p.jsonl");
    write(&path, &records).unwrap();
    assert_eq!(read(&path).unwrap(), records);
    let path = dir.path().join("p.tsv");
    write_tsv(&path, &records[..2]).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "index\tprediction\n0\tyes\n1\t2.5\n");
    let mut read = read(&path).unwrap();
    assert_eq!(read[1].prediction, class("2.5"));
    name_classes(&mut read[1..], &[]).unwrap();
    assert_eq!(read[1].prediction, Answer::Score(2.5));
    // Scores of a model that diverged are NaN.
    let path = dir.path().join("nan.jsonl");
    let scores = vec![f32::NAN, 0.5, f32::INFINITY];
    let diverged = Record { scores, ..record(0, Answer::Score(f64::NAN), None) };
    write(&path, &[diverged]).unwrap();
    let found = super::read(&path).unwrap().remove(0);
    assert!(matches!(found.prediction, Answer::Score(x) if x.is_nan()));
    assert!(found.scores[0].is_nan() && found.scores[1] == 0.5 && found.scores[2].is_nan());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "nothing temporary is left");
}

#[test]
fn broken_lines_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        read(&dir.path().join(name)).unwrap_err().to_string()
    };
    assert!(error("a.tsv", "prediction\n").contains("line 1"));
    assert!(error("a.tsv", "index\tprediction\n0\tyes\nx\tno\n").contains("line 3: found \"x\\tno\""));
    assert!(error("a.tsv", "index\tprediction\n0\t\n").contains("line 2"));
    let text = error("a.jsonl", "{\"index\": 0, \"prediction\": \"a\"}\n\n{\"index\": 0}\n");
    assert!(
        text.contains("a.jsonl: line 3: found missing field `prediction` at column 12, expected"),
        "{text}"
    );
    assert!(error("a.jsonl", "{\"index\": -1, \"prediction\": \"a\"}\n").contains("line 1"));
    let text = read(Path::new("no-such.tsv")).unwrap_err().to_string();
    assert!(text.contains("no-such.tsv"), "{text}");
}

#[test]
fn there_is_one_prediction_for_each_example() {
    let records =
        |indices: &[usize]| indices.iter().map(|&i| record(i, class("a"), None)).collect::<Vec<_>>();
    let sorted = align(records(&[2, 0, 1]), 3, Path::new("p")).unwrap();
    assert_eq!(sorted.iter().map(|r| r.index).collect::<Vec<_>>(), [0, 1, 2]);
    let text = align(records(&[0, 0, 7]), 3, Path::new("p")).unwrap_err().to_string();
    assert!(text.contains("p: found 3 predictions, expected 3"), "{text}");
    assert!(text.contains("missing: 2 (1, 2), unknown: 1 (7), duplicate: 1 (0)"), "{text}");
    let text = align(Vec::new(), 9, Path::new("p")).unwrap_err().to_string();
    assert!(text.contains("missing: 9 (0, 1, 2, 3, 4, ...), unknown: 0, duplicate: 0"), "{text}");
    assert_eq!(align(Vec::new(), 0, Path::new("p")).unwrap(), []);
}

/// Result of `score_records` for examples that all have the label `gold`.
fn scored(task: Task, gold: &Answer, predictions: &[Answer]) -> Result<Scores, EvalError> {
    let records: Vec<Record> = predictions
        .iter()
        .enumerate()
        .map(|(index, prediction)| record(index, prediction.clone(), Some(gold.clone())))
        .collect();
    score_records(task, &records)
}

#[test]
fn classes_are_names_and_digits_where_official_files_have_them() {
    let (yes, no) = (class("entailment"), class("not_entailment"));
    assert_eq!(scored(Task::Rte, &yes, &[yes.clone(), no.clone()]).unwrap().main(), 0.5);
    // In WNLI the indices are swapped: 1 is entailment.
    let digits = [class("1"), Answer::Score(1.0), class("0"), no];
    assert_eq!(scored(Task::Wnli, &yes, &digits).unwrap().main(), 0.5);
    for (task, wrong) in [(Task::Rte, class("1")), (Task::MnliMatched, class("0")), (Task::Wnli, class("2"))]
    {
        let text = scored(task, &yes, &[yes.clone(), wrong]).unwrap_err().to_string();
        assert!(text.contains("example 1: the prediction is") && text.contains("entailment"), "{text}");
    }
    let text = scored(Task::Rte, &yes, &[class("neutral")]).unwrap_err().to_string();
    assert!(text.contains("neutral") && text.contains("one of entailment, not_entailment;"), "{text}");
    let text = scored(Task::Rte, &class("neutral"), std::slice::from_ref(&yes)).unwrap_err().to_string();
    assert!(text.contains("the gold is"), "{text}");
}

#[test]
fn numbers_of_a_table_are_scores_and_words_are_not() {
    let gold = [0.0, 2.5, 5.0].map(Answer::Score);
    let records = |predictions: [Answer; 3]| -> Vec<Record> {
        let pairs = predictions.into_iter().zip(gold.clone()).enumerate();
        pairs.map(|(index, (prediction, gold))| record(index, prediction, Some(gold))).collect()
    };
    let found =
        score_records(Task::Stsb, &records([class("1.0"), Answer::Score(2.0), class("3.0")])).unwrap();
    assert!((found.main() - 1.0).abs() < 1e-12);
    let text = score_records(Task::Stsb, &records([class("1.0"), class("two"), class("3.0")]))
        .unwrap_err()
        .to_string();
    assert!(text.contains("example 1") && text.contains("\"two\", expected a number"), "{text}");
}
