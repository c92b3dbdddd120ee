//! Reads minimal pairs.

use std::path::{Path, PathBuf};

use fn_core::noise::{Stream, Use};
use fn_data::source::plain_stem;
use serde::Deserialize;

use crate::probe::ProbeError;
use crate::probe::lines::{self, wrong};

/// An acceptable sentence and one that is not, as alike as can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Line number in the file, counted from 1.
    pub line: usize,
    /// The acceptable sentence.
    pub good: String,
    /// The other one.
    pub bad: String,
}

/// The pairs of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSet {
    /// The file.
    pub path: PathBuf,
    /// Its name without folder and ending.
    pub name: String,
    /// `field` of its first pair: syntax, morphology, ...
    pub field: Option<String>,
    /// `linguistics_term` of its first pair: anaphor agreement, ...
    pub term: Option<String>,
    /// The pairs, at least one.
    pub pairs: Vec<Pair>,
}

impl PairSet {
    /// Keeps `count` of the pairs, in their order; which ones depends on the name of the set and the number of its pairs only.
    pub fn draw(&mut self, count: usize) {
        // FNV-1a (Fowler, Noll, Vo): the same on every machine, unlike the hashes of the standard library.
        let seed = self.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut stream = Stream::new(seed, 0, 0, Use::Probe);
        let (mut left, mut wanted) = (self.pairs.len(), count);
        // Selection sampling: each pair is kept with probability wanted / left.
        self.pairs.retain(|_| {
            let keep = stream.below(left as u64) < wanted as u64;
            left -= 1;
            wanted -= usize::from(keep);
            keep
        });
    }
}

#[derive(Deserialize)]
struct Row {
    sentence_good: String,
    sentence_bad: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    linguistics_term: Option<String>,
}

/// Reads a file in the format of BLiMP, one object a line with `sentence_good` and `sentence_bad`; whatever else it holds is not needed.
///
/// # Errors
/// A file that cannot be read or has no pair; a line without both sentences.
pub fn read(path: &Path) -> Result<PairSet, ProbeError> {
    const FORMAT: &str = "{\"sentence_good\": a text, \"sentence_bad\": a text, ...}";
    let (mut field, mut term) = (None, None);
    let pairs = lines::read(path, FORMAT, |row: Row, line| {
        if row.sentence_good.trim().is_empty() || row.sentence_bad.trim().is_empty() {
            return Err(wrong(path, line, "an empty sentence", FORMAT));
        }
        if field.is_none() {
            (field, term) = (row.field, row.linguistics_term);
        }
        Ok(Pair { line, good: row.sentence_good, bad: row.sentence_bad })
    })?;
    if pairs.is_empty() {
        return Err(ProbeError::Empty { path: path.to_owned(), what: "pairs of sentences" });
    }
    Ok(PairSet { path: path.to_owned(), name: plain_stem(path), field, term, pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn pairs_are_read_with_what_their_file_is_about() {
        let text = concat!(
            r#"{"sentence_good":"the dog is old .","sentence_bad":"the dog are old .","field":"morphology","linguistics_term":"agreement","UID":"x"}"#,
            "\n\n",
            r#"{"sentence_good":"it is hot .","sentence_bad":"is it hot .","row":1}"#,
        );
        let (_dir, path) = file("agreement_1.jsonl", text);
        let set = read(&path).unwrap();
        assert_eq!((set.name.as_str(), set.pairs.len(), set.pairs[1].line), ("agreement_1", 2, 3));
        assert_eq!((set.field.as_deref(), set.term.as_deref()), (Some("morphology"), Some("agreement")));
        assert_eq!(set.pairs[1].bad, "is it hot .");
    }

    #[test]
    fn a_part_of_a_set_is_drawn_by_its_name() {
        let set = |name: &str| {
            let text: String = (0..200)
                .map(|n| format!("{{\"sentence_good\":\"good {n}\",\"sentence_bad\":\"bad {n}\"}}\n"))
                .collect();
            let (_dir, path) = file(&format!("{name}.jsonl"), &text);
            let mut set = read(&path).unwrap();
            set.draw(50);
            set.pairs.iter().map(|pair| pair.line).collect::<Vec<_>>()
        };
        let (one, other) = (set("one"), set("other"));
        assert_eq!((one.len(), other.len()), (50, 50));
        assert!(one.is_sorted() && one != other && one == set("one"));
        assert!((70.0..130.0).contains(&(one.iter().sum::<usize>() as f64 / 50.0)), "{one:?}");
        let mut all =
            PairSet { path: PathBuf::new(), name: String::new(), field: None, term: None, pairs: vec![] };
        all.draw(3);
        assert!(all.pairs.is_empty());
    }

    #[test]
    fn what_is_no_pair_is_refused_with_its_line() {
        for (text, part) in [
            (r#"{"sentence_good":"a"}"#, "missing field `sentence_bad`"),
            (r#"{"sentence_good":"a","sentence_bad":" "}"#, "an empty sentence"),
            ("[]", "line 1"),
            ("", "found no pairs of sentences"),
        ] {
            let (_dir, path) = file("a.jsonl", text);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("a.jsonl"), "{error}");
        }
    }
}
