use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// Two columns of text, labels, numbers.
fn table(path: &Path, names: [&str; 2], rows: &[(&str, &str, i64)]) {
    let schema = format!(
        "message m {{ OPTIONAL BYTE_ARRAY {} (UTF8); REQUIRED BYTE_ARRAY {} (UTF8); REQUIRED INT64 label; REQUIRED INT32 idx; }}",
        names[0], names[1]
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let first: Vec<ByteArray> = rows.iter().map(|r| ByteArray::from(r.0)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&first, Some(&vec![1; rows.len()]), None).unwrap();
    column.close().unwrap();
    let second: Vec<ByteArray> = rows.iter().map(|r| ByteArray::from(r.1)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&second, None, None).unwrap();
    column.close().unwrap();
    let labels: Vec<i64> = rows.iter().map(|r| r.2).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
    column.close().unwrap();
    let numbers: Vec<i32> = (0..rows.len() as i32).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&numbers, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_files_have_numbers_for_labels_and_minus_one_for_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("validation_matched-00000-of-00001.parquet");
    table(&path, ["premise", "hypothesis"], &[("It snowed.", "It was warm.", 2), ("a", "b", -1)]);
    let data = super::super::glue::load(GlueTask::MnliMatched, dir.path(), Split::Dev).unwrap();
    assert_eq!(
        rows(&data),
        [(Some("0"), "It snowed.", Some("It was warm."), class(2)), (Some("1"), "a", Some("b"), None)]
    );
    table(&path, ["premise", "hypothesis"], &[("a", "b", 0), ("a", "b", 3)]);
    let error = super::super::glue::read(GlueTask::MnliMatched, &path).unwrap_err();
    assert!(matches!(error, TaskError::Label { line: 2, .. }), "{error}");
    let error = super::super::glue::read(GlueTask::Qqp, &path).unwrap_err().to_string();
    assert!(error.contains("premise") && error.contains("question1"), "{error}");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = super::super::glue::read(GlueTask::MnliMatched, &path).unwrap_err();
    assert!(matches!(error, TaskError::Parquet { .. }), "{error}");
}

#[test]
fn json_lines_have_the_column_names_of_hubs() {
    let single = "{\"sentence\":\"Tea is hot.\",\"label\":1,\"idx\":0,\"more\":{\"x\":[[1]]}}\n";
    assert_eq!(
        rows(&read(GlueTask::Cola, "train.jsonl", single).unwrap()),
        [(Some("0"), "Tea is hot.", None, class(1))]
    );
    let pairs = [
        (GlueTask::Mrpc, "sentence1", "sentence2"),
        (GlueTask::Rte, "sentence1", "sentence2"),
        (GlueTask::Qqp, "question1", "question2"),
        (GlueTask::MnliMatched, "premise", "hypothesis"),
        (GlueTask::Qnli, "question", "sentence"),
        (GlueTask::Ax, "premise", "hypothesis"),
    ];
    for (task, first, second) in pairs {
        let line =
            |label: &str| format!("{{\"{first}\":\"x\",\"{second}\":\"y\",\"label\":{label},\"idx\":4}}\n");
        let text = format!("{}\n{}{}", line("1"), line("-1"), line("null"));
        let data = read(task, "a.jsonl", &text).unwrap();
        let expected = [class(1), None, None].map(|label| (Some("4"), "x", Some("y"), label));
        assert_eq!(rows(&data), expected, "{task}");
        let name = format!("\"{}\"", task.labels()[1]);
        assert_eq!(read(task, "a.jsonl.zst", &line(&name)).unwrap().examples[0].label, class(1));
        assert!(matches!(read(task, "a.jsonl", &line("7")), Err(TaskError::Label { line: 1, .. })));
        assert!(matches!(read(task, "a.jsonl", &line("0.5")), Err(TaskError::Label { line: 1, .. })));
    }
    let score = "{\"sentence1\":\"x\",\"sentence2\":\"y\",\"label\":3.5,\"idx\":0}\n{\"sentence1\":\"x\",\"sentence2\":\"y\",\"label\":-1.0}";
    let data = read(GlueTask::Stsb, "a.jsonl", score).unwrap();
    assert_eq!((&data.examples[0].label, &data.examples[1].label), (&Some(Label::Score(3.5)), &None));
}

#[test]
fn bad_json_is_named_with_its_line() {
    let good = "{\"sentence\":\"x\",\"label\":1}\n";
    let error = |line: &str| read(GlueTask::Sst2, "a.jsonl", &format!("{good}{line}")).unwrap_err();
    assert!(matches!(error("{\"sentence\":"), TaskError::Json { line: 2, .. }));
    assert!(matches!(error("[1]"), TaskError::Json { line: 2, .. }));
    assert!(matches!(error("{\"sentence\":\"x\"} {}"), TaskError::Json { line: 2, .. }));
    let missing = error("{\"label\":1}").to_string();
    assert!(missing.contains("line 2") && missing.contains("`sentence` is missing"), "{missing}");
    assert!(matches!(error("{\"sentence\":3,\"label\":1}"), TaskError::Value { line: 2, .. }));
    let deep = format!("{{\"sentence\":{}", "[".repeat(100_000));
    assert!(matches!(error(&deep), TaskError::Json { line: 2, .. }));
}
