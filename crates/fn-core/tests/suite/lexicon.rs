//! Lexicons in memory and on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fn_core::lexicon::{Lexicon, LexiconError, LexiconInfo, MAX_VOCABULARY};
use proptest::prelude::*;

fn info() -> LexiconInfo {
    LexiconInfo { kind: "test".into(), vocabulary_sha256: "ab12".into(), note: "by hand".into() }
}

fn sample() -> Lexicon {
    Lexicon::from_rows(12, [(7, vec![9, 11]), (9, vec![7]), (0, vec![3, 2, 1])], info()).unwrap()
}

fn saved(lexicon: &Lexicon) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lexicon.safetensors");
    lexicon.save(&path).unwrap();
    (folder, path)
}

/// Rows of a small vocabulary.
fn rows() -> impl Strategy<Value = (usize, Vec<(u32, Vec<u32>)>)> {
    (1usize..40).prop_flat_map(|v| {
        let id = 0..v as u32;
        (Just(v), prop::collection::vec((id.clone(), prop::collection::vec(id, 0..12)), 0..30))
    })
}

/// A word, and the members of its set with their grades.
type GradedRow = (u32, Vec<(u32, f32)>);

/// Graded sets of a small vocabulary; some grades are 1.
fn graded_rows() -> impl Strategy<Value = (usize, Vec<GradedRow>)> {
    (1usize..30).prop_flat_map(|v| {
        let id = 0..v as u32;
        let entry = (id.clone(), (1u32..=8).prop_map(|eighths| eighths as f32 / 8.0));
        (Just(v), prop::collection::vec((id, prop::collection::vec(entry, 0..12)), 0..20))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn graded_entries_equal_a_map_of_highest_grades_and_survive_the_disk((v, rows) in graded_rows(), (_, more) in graded_rows()) {
        let more: Vec<(u32, Vec<(u32, f32)>)> = more.into_iter().map(|(w, row)| {
            (w % v as u32, row.into_iter().map(|(r, grade)| (r % v as u32, grade)).collect())
        }).collect();
        let map_of = |rows: &[(u32, Vec<(u32, f32)>)]| {
            let mut map: BTreeMap<(u32, u32), f32> = BTreeMap::new();
            for (w, row) in rows {
                for (r, grade) in row.iter().filter(|(r, _)| r != w) {
                    let best = map.entry((*w, *r)).or_default();
                    *best = best.max(*grade);
                }
            }
            map
        };
        let (map, other_map) = (map_of(&rows), map_of(&more));
        let lexicon = Lexicon::from_graded_rows(v, rows, info()).unwrap();
        let other = Lexicon::from_graded_rows(v, more, info()).unwrap();
        let (closed, both) = (lexicon.clone().symmetric(), lexicon.union(&other).unwrap());
        prop_assert_eq!(lexicon.is_graded(), map.values().any(|&grade| grade < 1.0));
        let get = |map: &BTreeMap<(u32, u32), f32>, w, r| map.get(&(w, r)).copied().unwrap_or(0.0);
        for w in 0..v as u32 {
            for r in 0..v as u32 {
                prop_assert_eq!(lexicon.grade(w, r), get(&map, w, r));
                prop_assert_eq!(lexicon.contains(w, r), get(&map, w, r) > 0.0);
                prop_assert_eq!(closed.grade(w, r), get(&map, w, r).max(get(&map, r, w)));
                prop_assert_eq!(both.grade(w, r), get(&map, w, r).max(get(&other_map, w, r)));
            }
            let row: Vec<(u32, f32)> = lexicon.graded_row(w).collect();
            prop_assert!(row.iter().all(|&(r, grade)| lexicon.grade(w, r) == grade));
            prop_assert_eq!(row.into_iter().map(|(r, _)| r).collect::<Vec<_>>(), lexicon.row(w));
        }
        let (_folder, path) = saved(&lexicon);
        prop_assert_eq!(&Lexicon::load(&path).unwrap(), &lexicon);
    }

    #[test]
    fn equals_a_map_of_sets_and_survives_the_disk((v, rows) in rows()) {
        let mut map: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (w, members) in &rows {
            map.entry(*w).or_default().extend(members.iter().filter(|&r| r != w));
        }
        let lexicon = Lexicon::from_rows(v, rows, info()).unwrap();
        for w in 0..v as u32 {
            let expected: Vec<u32> = map.get(&w).into_iter().flatten().copied().collect();
            prop_assert_eq!(lexicon.row(w), expected);
            for r in 0..v as u32 {
                prop_assert_eq!(lexicon.contains(w, r), map.get(&w).is_some_and(|s| s.contains(&r)));
            }
        }
        prop_assert_eq!(lexicon.entries(), map.values().map(BTreeSet::len).sum::<usize>());
        prop_assert_eq!(lexicon.width(), map.values().map(BTreeSet::len).max().unwrap_or(0));
        let (_folder, path) = saved(&lexicon);
        prop_assert_eq!(&Lexicon::load(&path).unwrap(), &lexicon);

        let closed = lexicon.clone().symmetric();
        for w in 0..v as u32 {
            for r in 0..v as u32 {
                let either = lexicon.contains(w, r) || lexicon.contains(r, w);
                prop_assert_eq!(closed.contains(w, r), either);
            }
        }
        prop_assert_eq!(closed.clone().symmetric(), closed);
    }

    #[test]
    fn arbitrary_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(Lexicon::load(&path).is_err());
    }
}

#[test]
fn a_word_is_never_its_own_member() {
    let lexicon = Lexicon::from_rows(5, [(2, vec![2, 2, 3])], info()).unwrap();
    assert_eq!(lexicon.row(2), [3]);
    assert!(!lexicon.symmetric().contains(2, 2));
}

#[test]
fn ids_beyond_the_vocabulary_are_an_error() {
    for rows in [(2, vec![5]), (5, vec![2]), (5, vec![])] {
        let e = Lexicon::from_rows(5, [rows], info()).unwrap_err();
        assert!(matches!(e, LexiconError::IdOutOfRange { id: 5, vocab_size: 5, .. }), "{e}");
        assert!(e.to_string().contains("the vocabulary ends at 4"), "{e}");
    }
    assert!(sample().row(99).is_empty());
    let e = Lexicon::from_rows(MAX_VOCABULARY + 1, [], info()).unwrap_err();
    assert!(matches!(e, LexiconError::VocabularyTooLarge { .. }));
}

#[test]
fn equal_lexicons_are_equal_files() {
    let (_a, first) = saved(&sample());
    let (_b, second) = saved(&sample());
    assert_eq!(std::fs::read(first).unwrap(), std::fs::read(second).unwrap());
}

#[test]
fn saving_replaces_the_old_file_and_leaves_nothing_beside_it() {
    let (folder, path) = saved(&sample());
    let other = sample().symmetric();
    other.save(&path).unwrap();
    assert_eq!(Lexicon::load(&path).unwrap(), other);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn graded_sample() -> Lexicon {
    Lexicon::from_graded_rows(12, [(7, vec![(9, 0.5), (11, 1.0)]), (9, vec![(7, 0.25)])], info()).unwrap()
}

#[test]
fn every_changed_byte_is_noticed() {
    for lexicon in [sample(), graded_sample()] {
        every_changed_byte_of(&lexicon);
    }
}

fn every_changed_byte_of(lexicon: &Lexicon) {
    let (_folder, path) = saved(lexicon);
    let good = std::fs::read(&path).unwrap();
    for place in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[place] ^= flip;
            std::fs::write(&path, &bad).unwrap();
            let result = Lexicon::load(&path);
            let e = result.expect_err(&format!("byte {place} ^ {flip:#x} went unnoticed")).to_string();
            assert!(e.contains("lexicon"), "{e}");
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let (_folder, path) = saved(&sample());
    let good = std::fs::read(&path).unwrap();
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(Lexicon::load(&path), Err(LexiconError::Format { .. })), "{length} bytes");
    }
    std::fs::write(&path, [good, vec![0]].concat()).unwrap();
    assert!(Lexicon::load(&path).is_err());
}

/// A file with these tensors and a header that is right except for the checksum.
fn forged(offsets: &[u32], members: &[u32], header: &str) -> (tempfile::TempDir, PathBuf) {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let bytes = |v: &[u32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let (o, m) = (bytes(offsets), bytes(members));
    let views = [
        ("offsets", TensorView::new(Dtype::U32, vec![offsets.len()], &o).unwrap()),
        ("members", TensorView::new(Dtype::U32, vec![members.len()], &m).unwrap()),
    ];
    let metadata = [("fn-lexicon".to_owned(), header.to_owned())].into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forged.safetensors");
    std::fs::write(&path, serialize(views, Some(metadata)).unwrap()).unwrap();
    (folder, path)
}

const HEADER: &str = r#"{"version":1,"info":{"kind":"","vocabulary_sha256":"","note":""},"sha256":"0"}"#;

#[test]
fn forged_files_are_refused_before_their_numbers_are_used() {
    let message = |offsets: &[u32], members: &[u32], header: &str| {
        let (_folder, path) = forged(offsets, members, header);
        Lexicon::load(&path).unwrap_err().to_string()
    };
    assert!(message(&[], &[], HEADER).contains("`offsets` is empty"));
    assert!(message(&[0, 9], &[1], HEADER).contains("from 0 to 9"));
    assert!(message(&[1, 1], &[1], HEADER).contains("from 1 to 1"));
    assert!(message(&[0, 2, 1, 2], &[1, 2], HEADER).contains("falls at word 1"));
    assert!(message(&[0, 1, 1], &[2], HEADER).contains("holds id 2, but the vocabulary ends at 1"));
    assert!(message(&[0, 2, 2, 2], &[2, 1], HEADER).contains("row of word 0 does not ascend"));
    assert!(message(&[0, 0, 1], &[1], HEADER).contains("row of word 1 holds the word itself"));
    assert!(message(&[0, 1, 1], &[1], HEADER).contains("changed after it was written"));
    assert!(message(&[0, 1, 1], &[1], &HEADER.replace(":1,", ":2,")).contains("layout version 2"));
    assert!(message(&[0, 1, 1], &[1], "{").contains("fn-lexicon"));
}

/// Written before lexicons had grades.
#[test]
fn a_file_without_grades_reads_as_grade_1_with_its_old_checksum() {
    let header = r#"{"version":1,"info":{"kind":"","vocabulary_sha256":"","note":""},"sha256":"OLD"}"#;
    let (_folder, path) = forged(&[0, 1, 1, 1], &[2], &header.replace("OLD", OLD_CHECKSUM));
    let lexicon = Lexicon::load(&path).unwrap();
    assert_eq!((lexicon.grade(0, 2), lexicon.grade(0, 1), lexicon.is_graded()), (1.0, 0.0, false));
    let (_folder, again) = saved(&lexicon);
    assert_eq!(std::fs::read(again).unwrap(), std::fs::read(path).unwrap(), "the same bytes as before");
    let explicit = Lexicon::from_graded_rows(3, [(0, vec![(2, 1.0)])], LexiconInfo::default()).unwrap();
    assert_eq!((explicit.fingerprint(), &explicit), (lexicon.fingerprint(), &lexicon));
}

/// Of the file above, by the program as it was before.
const OLD_CHECKSUM: &str = "494b6487a3b80f4aabcef92f830a64df7ee617c8ca54892943bb06e5de8579a1";

#[test]
fn grades_out_of_range_are_refused_from_memory_and_from_files() {
    for grade in [0.0, -0.5, 1.5, f32::NAN, f32::INFINITY] {
        let e = Lexicon::from_graded_rows(5, [(2, vec![(3, grade)])], info()).unwrap_err();
        assert!(matches!(e, LexiconError::GradeOutOfRange { word: 2, id: 3, .. }), "{e}");
        let e = forged_grades(&[0.5, grade]).to_string();
        assert!(e.contains("grades id 2 in the row of word 0") && e.contains("at most 1"), "{e}");
    }
    assert!(forged_grades(&[0.5]).to_string().contains("1 grades for 2 members"));
    assert!(forged_grades(&[1.0, 1.0]).to_string().contains("all of them are 1"));
    assert!(forged_grades(&[0.5, 1.0]).to_string().contains("changed after it was written"));
}

/// What is wrong with a file that has a row of two members and these grades.
fn forged_grades(grades: &[f32]) -> LexiconError {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let ids = |v: &[u32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let (offsets, members) = (ids(&[0, 2, 2, 2]), ids(&[1, 2]));
    let bytes: Vec<u8> = grades.iter().flat_map(|x| x.to_le_bytes()).collect();
    let views = [
        ("offsets", TensorView::new(Dtype::U32, vec![4], &offsets).unwrap()),
        ("members", TensorView::new(Dtype::U32, vec![2], &members).unwrap()),
        ("grades", TensorView::new(Dtype::F32, vec![grades.len()], &bytes).unwrap()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forged.safetensors");
    let metadata = [("fn-lexicon".to_owned(), HEADER.to_owned())].into();
    std::fs::write(&path, serialize(views, Some(metadata)).unwrap()).unwrap();
    Lexicon::load(&path).unwrap_err()
}

#[test]
fn a_missing_file_names_itself() {
    let e = Lexicon::load("/nonexistent/lexicon".as_ref()).unwrap_err();
    assert!(matches!(e, LexiconError::Io { .. }));
    assert!(e.to_string().starts_with("/nonexistent/lexicon: cannot read"));
    let e = sample().save("/nonexistent/lexicon".as_ref()).unwrap_err();
    assert!(e.to_string().starts_with("/nonexistent/lexicon: cannot write"));
}

#[test]
fn the_wrong_vocabulary_is_refused() {
    let lexicon = sample();
    lexicon.check_vocabulary(12, "ab12").unwrap();
    lexicon.check_vocabulary(12, "").unwrap();
    for (size, hash) in [(13, "ab12"), (12, "ffff")] {
        let e = lexicon.check_vocabulary(size, hash).unwrap_err();
        assert!(matches!(e, LexiconError::WrongVocabulary { .. }));
        assert!(e.to_string().contains("build the lexicon again"), "{e}");
    }
}

#[test]
fn a_union_holds_both() {
    let other = Lexicon::from_rows(
        12,
        [(7, vec![1]), (4, vec![5])],
        LexiconInfo { kind: "vectors".into(), ..info() },
    );
    let both = sample().union(&other.unwrap()).unwrap();
    assert_eq!(
        (both.row(7), both.row(4), both.row(0)),
        ([1, 9, 11].as_slice(), [5].as_slice(), [1, 2, 3].as_slice())
    );
    assert_eq!(both.info().kind, "test+vectors");
    let small = Lexicon::from_rows(3, [], info()).unwrap();
    assert!(matches!(sample().union(&small), Err(LexiconError::WrongVocabulary { .. })));
}

#[test]
fn the_fingerprint_speaks_of_the_sets_alone() {
    let renamed =
        Lexicon::from_rows(12, [(9, vec![7]), (0, vec![1, 2, 3]), (7, vec![11, 9])], LexiconInfo::default());
    assert_eq!(sample().fingerprint(), renamed.unwrap().fingerprint());
    assert_ne!(sample().fingerprint(), sample().symmetric().fingerprint());
    assert_eq!(sample().fingerprint().len(), 64);
    // Equal members, cut differently into rows.
    let cut = |rows: [(u32, Vec<u32>); 2]| Lexicon::from_rows(4, rows, info()).unwrap().fingerprint();
    assert_ne!(cut([(0, vec![2]), (1, vec![3])]), cut([(0, vec![2, 3]), (1, vec![])]));
}

#[test]
fn statistics_count_vocabulary_and_text() {
    let stats = sample().stats(None);
    assert_eq!((stats.words, stats.entries, stats.max_size, stats.mean_size), (3, 6, 3, 2.0));
    assert_eq!((stats.vocab_size, stats.vocabulary_share, stats.running_text_share), (12, 0.25, None));
    let mut counts = [1u64; 12];
    counts[7] = 9; // 20 tokens, covered: words 0, 7, 9
    assert_eq!(sample().stats(Some(&counts)).running_text_share, Some(11.0 / 20.0));
    assert_eq!(sample().stats(Some(&[])).running_text_share, Some(0.0));
    assert_eq!(stats.grades, None);
    let grades = graded_sample().stats(None).grades.unwrap();
    assert_eq!((grades.lowest, grades.highest, grades.half), (0.25, 1.0, 2.0 / 3.0));
    assert!((grades.mean - 1.75 / 3.0).abs() < 1e-12);
    let empty = Lexicon::from_rows(0, [], info()).unwrap().stats(None);
    assert_eq!((empty.vocabulary_share, empty.mean_size), (0.0, 0.0));
}
