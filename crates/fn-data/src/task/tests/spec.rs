use std::path::Path;

use super::*;

fn spec(text: &str) -> Result<TaskSpec, TaskError> {
    TaskSpec::parse(text, Path::new("task.toml"))
}

fn read(text: &str, name: &str, table: &str) -> Result<TaskData, TaskError> {
    let dir = tempfile::tempdir().unwrap();
    spec(text)?.read(&file(&dir, name, table))
}

#[test]
fn a_pair_is_read_by_the_names_of_its_columns() {
    let text = "type = \"pair\"\nfirst = \"a\"\nsecond = \"b\"\nlabel = \"verdict\"\nid = \"n\"\nlabels = [\"no\", \"yes\"]";
    let expected = [(Some("9"), "x", Some("y"), class(1)), (Some("8"), "u", Some("v"), class(0))];
    let table = "b\tverdict\ta\tn\ny\tyes\tx\t9\nv\t0\tu\t8\n";
    assert_eq!(rows(&read(text, "t.tsv", table).unwrap()), expected);
    assert_eq!(rows(&read(text, "t.csv.gz", table).unwrap()), expected);
    let json = "{\"a\":\"x\",\"b\":\"y\",\"verdict\":\"yes\",\"n\":9}\n{\"a\":\"u\",\"b\":\"v\",\"verdict\":0,\"n\":\"8\"}";
    assert_eq!(rows(&read(text, "t.jsonl", json).unwrap()), expected);
    let under = format!("[task]\n{text}");
    assert_eq!(rows(&read(&under, "t.tsv", table).unwrap()), expected);
    assert!(spec(&format!("{under}\n[other]\n")).unwrap_err().to_string().contains("other"));
    let unlabelled = read(text, "t.tsv", "a\tb\tn\nx\ty\t1\n").unwrap();
    assert_eq!(unlabelled.report.labelled, 0);
    let error = read(text, "t.tsv", "a\tc\tn\nx\ty\t1\n").unwrap_err().to_string();
    assert!(error.contains("column `b`") && error.contains("a, c, n"), "{error}");
}

#[test]
fn tables_without_a_header_have_numbers_for_columns() {
    let text = "type = \"regress\"\nfirst = \"2\"\nlabel = \"0\"\nheader = false\ndelimiter = \";\"\nrange = [-1, 1]\nskip_broken = true";
    let data = read(text, "t.txt", "-0.5;q;good\n1;q\n1;q;fine\n").unwrap();
    let scores: Vec<_> = data.examples.iter().map(|e| e.label.clone()).collect();
    assert_eq!(scores, [Some(Label::Score(-0.5)), Some(Label::Score(1.0))]);
    assert_eq!(data.report.broken_lines, [2]);
    assert!(matches!(read(text, "t.txt", "1;q;x\n2;q;y\n"), Err(TaskError::Label { line: 2, .. })));
    assert!(matches!(read(text, "t.txt", "1;q\n"), Err(TaskError::Layout { .. })));
}

#[test]
fn class_names_that_are_numbers_are_names_in_every_format() {
    let text = "type = \"classify\"\nfirst = \"t\"\nlabel = \"l\"\nlabels = [\"1\", \"2\"]";
    assert_eq!(read(text, "t.tsv", "t\tl\nx\t2\n").unwrap().examples[0].label, class(1));
    assert_eq!(read(text, "t.jsonl", "{\"t\":\"x\",\"l\":2}").unwrap().examples[0].label, class(1));
}

#[test]
fn each_word_has_a_tag() {
    let text = "type = \"tag\"\nfirst = \"words\"\nlabel = \"tags\"\nlabels = [\"O\", \"NAME\"]";
    let expected = Some(Label::Tags(vec![1, 0]));
    let json =
        "{\"words\":[\"Anna\",\"ran\"],\"tags\":[1,0]}\n{\"words\":\"Anna  ran\",\"tags\":[\"NAME\",\"O\"]}";
    let data = read(text, "t.jsonl", json).unwrap();
    assert_eq!(data.examples[0].first, "Anna ran");
    assert!(data.examples.iter().all(|e| e.label == expected));
    assert_eq!(read(text, "t.tsv", "words\ttags\nAnna ran\tNAME O\n").unwrap().examples[0].label, expected);
    for bad in ["NAME", "NAME O O", "NAME X"] {
        let error = read(text, "t.tsv", &format!("words\ttags\nAnna ran\t{bad}\n")).unwrap_err();
        assert!(matches!(error, TaskError::Label { line: 2, .. }), "{bad}: {error}");
    }
    let error = read(text, "t.jsonl", "{\"words\":[\"a b\"],\"tags\":[0]}").unwrap_err();
    assert!(matches!(error, TaskError::Value { line: 1, .. }), "{error}");
}

#[test]
fn a_contradictory_description_is_an_error_that_states_the_reason() {
    let base = "first = \"a\"\nlabel = \"l\"\n";
    for (text, part) in [
        ("type = \"pair\"\nlabels = [\"a\", \"b\"]", "needs `second`"),
        ("type = \"classify\"\nsecond = \"b\"\nlabels = [\"a\", \"b\"]", "`second` belongs"),
        ("type = \"classify\"", "fewer than two"),
        ("type = \"classify\"\nlabels = [\"a\", \"a\"]", "twice"),
        ("type = \"classify\"\nlabels = [\"a\", \" b\"]", "blanks"),
        ("type = \"tag\"\nlabels = [\"a\", \"b c\"]", "blank in it"),
        ("type = \"regress\"\nlabels = [\"a\", \"b\"]", "no `labels`"),
        ("type = \"regress\"\nrange = [2, 1]", "[low, high]"),
        ("type = \"classify\"\nrange = [1, 2]\nlabels = [\"a\", \"b\"]", "`range` belongs"),
        ("type = \"regress\"\nheader = false", "numbers"),
        ("type = \"rank\"", "rank"),
        ("type = \"regress\"\nseconds = \"b\"", "seconds"),
    ] {
        let error = spec(&format!("{base}{text}\n")).unwrap_err();
        assert!(
            matches!(error, TaskError::Spec { .. }) && error.to_string().contains(part),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_description_is_read_from_a_file_and_written_back() {
    let dir = tempfile::tempdir().unwrap();
    let text = "type = \"classify\"\nfirst = \"t\"\nlabel = \"l\"\nlabels = [\"a\", \"b\"]\n";
    let read = TaskSpec::load(&file(&dir, "task.toml", text)).unwrap();
    assert_eq!((read.kind, read.header, read.delimiter), (TaskKind::Classify, true, '\t'));
    assert_eq!(spec(&toml::to_string(&read).unwrap()).unwrap(), read);
    assert!(TaskSpec::load(&dir.path().join("gone.toml")).unwrap_err().to_string().contains("no such file"));
    let huge = "#".repeat((1 << 20) + 1);
    assert!(matches!(TaskSpec::load(&file(&dir, "big.toml", &huge)), Err(TaskError::TooLarge { .. })));
}
