//! Tests of compressed tables that decompress to far more than their size.

use super::*;
use crate::task::input::{Input, Width};
use crate::task::read::{LabelRule, Layout, read_within};

#[test]
fn a_huge_cell_is_an_error_at_the_limit_of_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "train.tsv.gz", &format!("sentence\tlabel\n{}\t1\n", "0".repeat(64 << 20)));
    assert!(std::fs::metadata(&path).unwrap().len() < 1 << 20);
    let error = super::super::glue::read(GlueTask::Sst2, &path).unwrap_err().to_string();
    assert!(error.contains("line 2 has more than 16777216 bytes"), "{error}");
}

#[test]
fn the_memory_limit_includes_the_overhead_of_short_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "rows.tsv.gz", &"a\tb\t1\n".repeat(100_000));
    let layout = Layout {
        header: false,
        width: Width::Exactly(3),
        id: Vec::new(),
        first: 0,
        second: Some(1),
        label: Some(2),
        skip_broken: false,
    };
    let rule = LabelRule::Class { names: vec!["0".into(), "1".into()], digits: true, undecided: None };
    let read = |limit| read_within(Input::open(&path, '\t').unwrap(), &layout, &rule, limit);
    let held = (size_of::<Example>() * 100_000) as u64;
    // The text alone (300,000 bytes) is below the limit.
    assert!(matches!(read(held), Err(TaskError::TooLarge { limit, .. }) if limit == held));
    assert_eq!(read(2 * held).unwrap().examples.len(), 100_000);
}
