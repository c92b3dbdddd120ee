use proptest::prelude::*;

use super::*;

#[test]
fn every_task_has_consistent_properties_and_is_parsed_from_its_name() {
    for task in GlueTask::ALL {
        assert_eq!(task.name().parse::<GlueTask>().unwrap(), task);
        assert_eq!(task.labels().is_empty(), task.is_regression());
        assert!((1..=2).contains(&task.sentences()));
        assert_eq!(task.file(Split::Dev).is_none(), task == GlueTask::Ax);
    }
    assert_eq!("sst2".parse::<GlueTask>().unwrap(), GlueTask::Sst2);
    assert_eq!("mnli_mismatched".parse::<GlueTask>().unwrap(), GlueTask::MnliMismatched);
    assert_eq!(GlueTask::MnliMismatched.file(Split::Test), Some("test_mismatched.tsv"));
    assert!("squad".parse::<GlueTask>().unwrap_err().to_string().contains("CoLA"));
}

#[test]
fn cola_has_a_header_only_where_it_has_no_labels() {
    let train = read(GlueTask::Cola, "train.tsv", "s1\t1\t\tTea is hot.\r\ns1\t0\t*\tTea hot \"is.").unwrap();
    assert_eq!(
        rows(&train),
        [(None, "Tea is hot.", None, class(1)), (None, "Tea hot \"is.", None, class(0))]
    );
    train.require_labels().unwrap();
    let test = read(GlueTask::Cola, "test.tsv", "index\tsentence\n7\tMilk is cold.\n").unwrap();
    assert_eq!(rows(&test), [(Some("7"), "Milk is cold.", None, None)]);
    assert!(matches!(test.require_labels(), Err(TaskError::Unlabelled { missing: 1, rows: 1, .. })));
}

#[test]
fn sst2_is_found_by_its_header() {
    let data = read(GlueTask::Sst2, "dev.tsv", "sentence\tlabel\na fine cup \t1\nstale \t0\n\n").unwrap();
    assert_eq!(rows(&data), [(None, "a fine cup ", None, class(1)), (None, "stale ", None, class(0))]);
    assert_eq!((data.report.rows, data.report.labelled, data.report.blank), (2, 2, 1));
    assert!(data.report.warnings().is_empty());
}

#[test]
fn quotation_marks_in_mrpc_are_part_of_the_text_and_a_byte_order_mark_is_not() {
    let text = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n\
                1\t11\t12\t\"Rain fell, he said.\tIt rained.\n0\t13\t14\tSnow.\t\"Hail.\n";
    let data = read(GlueTask::Mrpc, "train.tsv", text).unwrap();
    assert_eq!(
        rows(&data),
        [
            (Some("11-12"), "\"Rain fell, he said.", Some("It rained."), class(1)),
            (Some("13-14"), "Snow.", Some("\"Hail."), class(0)),
        ]
    );
    let test = "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t5\t6\ta\tb\n";
    assert_eq!(rows(&read(GlueTask::Mrpc, "test.tsv", test).unwrap()), [(Some("0"), "a", Some("b"), None)]);
}

#[test]
fn published_mrpc_is_split_by_the_list_of_its_development_set() {
    let dir = tempfile::tempdir().unwrap();
    let header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";
    let train = "1\t1\t2\ta\tb\n0\t3\t4\tc\td\n1\t5\t6\te\tf\n";
    file(&dir, "msr_paraphrase_train.txt", &format!("{header}{train}"));
    file(&dir, "msr_paraphrase_test.txt.gz", &format!("{header}0\t7\t8\tg\th\n"));
    file(&dir, "dev_ids.tsv", "3\t4\n");
    let load = |split| super::super::glue::load(GlueTask::Mrpc, dir.path(), split);
    let firsts =
        |split| load(split).unwrap().examples.into_iter().map(|e| (e.index, e.first)).collect::<Vec<_>>();
    assert_eq!(firsts(Split::Train), [(0, "a".to_owned()), (1, "e".to_owned())]);
    assert_eq!(firsts(Split::Dev), [(0, "c".to_owned())]);
    assert_eq!(firsts(Split::Test), [(0, "g".to_owned())]);
    assert_eq!(load(Split::Train).unwrap().report.labelled, 2);
    file(&dir, "dev_ids.tsv", "3\t4\n4\t3\n");
    assert!(matches!(load(Split::Dev), Err(TaskError::Ids { missing: 1, expected: 2, .. })));
    file(&dir, "dev_ids.tsv", "3 4\n");
    assert!(matches!(load(Split::Dev), Err(TaskError::Columns { line: 1, found: 1, expected: 2, .. })));
}

#[test]
fn stsb_has_scores_with_and_without_a_header() {
    let header = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2";
    let train = format!("{header}\tscore\n0\tg\tf\t2012\t1\tnone\tnone\tA dog.\tA hound.\t4.250\n");
    let data = read(GlueTask::Stsb, "train.tsv", &train).unwrap();
    assert_eq!(rows(&data), [(Some("0"), "A dog.", Some("A hound."), Some(Label::Score(4.25)))]);
    let test = format!("{header}\n0\tg\tf\t2012\t1\tnone\tnone\tA dog.\tA hound.\n");
    assert_eq!(read(GlueTask::Stsb, "test.tsv", &test).unwrap().report.labelled, 0);
    let benchmark = "g\tf\t2012\t1\t0.500\tA dog.\tA cat.\ng\tf\t2012\t2\t5\tX.\tY.\tlicence\tlicence\n";
    let data = read(GlueTask::Stsb, "sts-test.csv", benchmark).unwrap();
    assert_eq!(data.examples[0].label, Some(Label::Score(0.5)));
    assert_eq!(data.examples[1].second.as_deref(), Some("Y."));
    // Scores keep all digits, as in SciPy; in f32 the last two would be equal and tie in Spearman's correlation.
    for (text, score) in [("3.800", 3.8), ("2.333333333", 2.333333333), ("2.333333334", 2.333333334)] {
        let data = read(GlueTask::Stsb, "train.tsv", &train.replace("4.250", text)).unwrap();
        assert_eq!(data.examples[0].label, Some(Label::Score(score)));
    }
    for bad in ["5.1", "-1.5", "NaN", "high", ""] {
        let error = read(GlueTask::Stsb, "train.tsv", &train.replace("4.250", bad)).unwrap_err();
        assert!(matches!(error, TaskError::Label { line: 2, .. }), "{bad}: {error}");
    }
}

#[test]
fn broken_lines_of_qqp_are_counted_and_named() {
    let text = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n\
                1\t1\t2\tWhy?\tHow come?\t1\n2\t3\t4\tWho\n5\tis it?\t0\n3\t5\t6\tWhen?\t\t0\n";
    let data = read(GlueTask::Qqp, "train.tsv", text).unwrap();
    assert_eq!(
        rows(&data),
        [(Some("1"), "Why?", Some("How come?"), class(1)), (Some("3"), "When?", Some(""), class(0))]
    );
    assert_eq!((data.report.broken, &data.report.broken_lines[..]), (2, &[3, 4][..]));
    assert_eq!(data.report.empty_sentences, 1);
    let warnings = data.report.warnings();
    assert!(warnings.len() == 2 && warnings[0].contains("2 lines") && warnings[0].contains("3, 4"));
    let test = read(GlueTask::Qqp, "test.tsv", "id\tquestion1\tquestion2\n0\ta\tb\n").unwrap();
    assert_eq!(rows(&test), [(Some("0"), "a", Some("b"), None)]);
}

#[test]
fn columns_of_mnli_are_found_by_name_in_any_order() {
    let text = "index\tgenre\tgold_label\tparse\tsentence1\tsentence2\n\
                0\tx\tneutral\t( )\tHe came.\tHe ran.\n1\tx\t-\t( )\ta\tb\n2\tx\tentailment\t( )\tc\td\n";
    for task in [GlueTask::MnliMatched, GlueTask::MnliMismatched] {
        let data = read(task, "dev_matched.tsv", text).unwrap();
        assert_eq!(
            rows(&data),
            [(Some("0"), "He came.", Some("He ran."), class(1)), (Some("2"), "c", Some("d"), class(0))]
        );
        assert_eq!(data.report.undecided, 1);
        assert!(data.report.warnings()[0].contains("1 rows"));
    }
    let test = "index\tsentence1\tsentence2\n0\ta\tb\n";
    assert_eq!(read(GlueTask::MnliMatched, "test_matched.tsv", test).unwrap().report.labelled, 0);
    let bare = "contradiction\tHe came .\tNobody came .\nneutral\ta\tb\n";
    let data = read(GlueTask::MnliMismatched, "sample.tsv", bare).unwrap();
    assert_eq!(rows(&data)[0], (None, "He came .", Some("Nobody came ."), class(2)));
}

#[test]
fn qnli_rte_wnli_and_ax_have_their_own_columns_and_orders_of_labels() {
    let qnli = "index\tquestion\tsentence\tlabel\n0\tWhere?\tIn Rome.\tentailment\n1\tWho?\tIn Rome.\tnot_entailment\n";
    let data = read(GlueTask::Qnli, "dev.tsv", qnli).unwrap();
    assert_eq!(rows(&data)[0], (Some("0"), "Where?", Some("In Rome."), class(0)));
    assert_eq!(data.examples[1].label, class(1));
    let rte = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n";
    assert_eq!(read(GlueTask::Rte, "dev.tsv", rte).unwrap().examples[0].label, class(1));
    let wnli = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n";
    let data = read(GlueTask::Wnli, "dev.tsv", wnli).unwrap();
    assert_eq!(data.examples[0].label, class(1));
    assert_eq!(GlueTask::Wnli.labels()[1], "entailment");
    let ax = "index\tsentence1\tsentence2\n0\ta\tb\n";
    assert_eq!(rows(&read(GlueTask::Ax, "diagnostic.tsv", ax).unwrap()), [(Some("0"), "a", Some("b"), None)]);
    let full = "Logic\tPremise\tHypothesis\tLabel\nNegation\ta\tb\tcontradiction\n";
    assert_eq!(read(GlueTask::Ax, "diagnostic-full.tsv", full).unwrap().examples[0].label, class(2));
}

#[test]
fn errors_name_their_line() {
    let header = "index\tsentence1\tsentence2\tlabel\n";
    let error = |text: &str| read(GlueTask::Rte, "dev.tsv", &format!("{header}{text}")).unwrap_err();
    let wide = error("0\ta\tb\tentailment\n1\ta\tb\tc\tentailment\n");
    assert!(matches!(wide, TaskError::Columns { line: 3, found: 5, expected: 4, .. }), "{wide}");
    let label = error("0\ta\tb\tmaybe\n").to_string();
    assert!(label.contains("line 2") && label.contains("\"maybe\"") && label.contains("not_entailment"));
    // A number is ambiguous where the official table has names.
    assert!(matches!(error("0\ta\tb\t1\n"), TaskError::Label { line: 2, .. }));
    assert!(matches!(error(""), TaskError::NoRows { .. }));
    assert!(matches!(read(GlueTask::Rte, "dev.tsv", ""), Err(TaskError::NoRows { .. })));
    let other = read(GlueTask::Qqp, "dev.tsv", header).unwrap_err().to_string();
    assert!(other.contains("question1") && other.contains("sentence1"), "{other}");
    for bad in ["2", "01", "+1", "-1", "yes"] {
        let error = read(GlueTask::Sst2, "a.tsv", &format!("sentence\tlabel\nx\t{bad}\n")).unwrap_err();
        assert!(matches!(error, TaskError::Label { line: 2, .. }), "{bad}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev.tsv");
    std::fs::write(&path, b"sentence\tlabel\n\xff\t1\n").unwrap();
    let error = super::super::glue::read(GlueTask::Sst2, &path).unwrap_err();
    assert!(matches!(error, TaskError::Data(crate::DataError::NotUtf8 { line: 2, .. })), "{error}");
    let error = super::super::glue::load(GlueTask::Sst2, dir.path(), Split::Train).unwrap_err();
    assert!(error.to_string().contains("train.tsv"), "{error}");
    std::fs::create_dir(dir.path().join("train.tsv")).unwrap();
    let error = super::super::glue::load(GlueTask::Sst2, dir.path(), Split::Train).unwrap_err();
    assert!(error.to_string().contains("a folder, expected a file"), "{error}");
}

#[test]
fn compressed_tables_give_the_same_examples() {
    let text = "sentence\tlabel\ngood\t1\nbad\t0\n";
    let plain = read(GlueTask::Sst2, "train.tsv", text).unwrap().examples;
    for end in ["gz", "xz", "zst"] {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, &format!("train.tsv.{end}"), text);
        let found = super::super::glue::load(GlueTask::Sst2, dir.path(), Split::Train).unwrap();
        assert_eq!(found.examples, plain, "{end}");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(super::super::glue::read(GlueTask::Sst2, &path).is_err(), "{end} cut");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        examples in proptest::collection::vec(("[a-z\"', ]{1,20}", "[A-Zé😀\" ]{1,20}", 0u32..2), 1..20),
    ) {
        let mut text = "index\tquestion\tsentence\tlabel\n".to_owned();
        for (i, (a, b, label)) in examples.iter().enumerate() {
            text += &format!("{i}\t{a}\t{b}\t{}\n", GlueTask::Qnli.labels()[*label as usize]);
        }
        let data = read(GlueTask::Qnli, "dev.tsv", &text).unwrap();
        prop_assert_eq!(data.examples.len(), examples.len());
        for (i, (example, (a, b, label))) in data.examples.iter().zip(&examples).enumerate() {
            prop_assert_eq!((&example.first, example.second.as_ref()), (a, Some(b)));
            prop_assert_eq!((example.index, &example.label), (i, &class(*label)));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), pick in 0usize..11) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.tsv", "a.jsonl", "a.parquet", "a.tsv.xz"] {
            let path = dir.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            let _ = super::super::glue::read(GlueTask::ALL[pick], &path);
        }
    }
}
