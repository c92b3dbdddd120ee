//! Packs sentences into rows: training sequences of a fixed maximum length.
//!
//! A document is a list of sentences (lines), a sentence a list of ids. [`Packing`] chooses how they are combined; random
//! choices are functions of the seed and the number of the document.

mod bert;
mod dense;
mod documents;
mod electra;

use fn_core::noise::{Stream, Use};
use serde::{Deserialize, Serialize};

use crate::tokenise::Frame;

/// How documents are packed into rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// As in google-research/electra: `[CLS] A [SEP] B [SEP]` from one document, 10 % with one segment only, 5 % with a shorter
    /// target length.
    #[default]
    Electra,
    /// As in BERT, without the next-sentence task: two consecutive segments of one document, split at a random sentence, 10 %
    /// with a shorter target length; the longer segment is truncated.
    Bert,
    /// All documents concatenated, separated by `[SEP]`: no padding except in the last row, and no text is lost.
    Dense,
    /// Several whole documents in a row, each as `[CLS] document [SEP]`: no token attends to another document, and positions restart with
    /// each. No text is lost; rows end in padding where no document fits any more.
    Documents,
}

impl Packing {
    /// Whether rows hold several documents that do not attend to each other.
    pub fn separates_documents(self) -> bool {
        self == Self::Documents
    }
}

/// One row, without padding.
///
/// Invariants: at most `length` ids; they are in the tokenizer's [`Frame`], so the first is `[CLS]`, the last `[SEP]`. With
/// [`Packing::Documents`] each document is in a frame of its own, and begins at a `[CLS]`; there is none elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedRow {
    /// The ids, special tokens included.
    pub ids: Vec<u32>,
    /// Index at which segment B begins; `ids.len()` if there is no segment B.
    pub second: u16,
}

impl PackedRow {
    pub(crate) fn one(frame: &Frame, tokens: &[u32]) -> Self {
        let (ids, _) = frame.single(tokens);
        Self { second: ids.len() as u16, ids }
    }

    /// Documents one after the other, each in its frame.
    fn of_documents(ids: Vec<u32>) -> Self {
        Self { second: ids.len() as u16, ids }
    }

    /// Where documents begin in a row of [`Packing::Documents`]: at each `first`, the id of `[CLS]`.
    pub fn document_starts(&self, first: u32) -> Vec<usize> {
        (0..self.ids.len()).filter(|&place| self.ids[place] == first).collect()
    }

    fn two(frame: &Frame, first: &[u32], second: &[u32]) -> Self {
        if second.is_empty() {
            return Self::one(frame, first);
        }
        let (ids, types) = frame.pair(first, second);
        // Without token types, as in RoBERTa, there is no segment B.
        let second = types.iter().position(|&of| of != 0).unwrap_or(ids.len());
        Self { second: second as u16, ids }
    }
}

/// Packs documents into rows, in order.
///
/// ```
/// use fn_core::vocab::SpecialIds;
/// use fn_data::pack::{Packer, Packing};
///
/// let special = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
/// let mut packer = Packer::new(Packing::Dense, 8, special, 1);
/// let mut rows = packer.push(&[vec![10, 11, 12], vec![13]]);
/// rows.extend(packer.finish());
/// assert_eq!(rows[0].ids, [2, 10, 11, 12, 13, 3]);
/// ```
#[derive(Debug, Clone)]
pub struct Packer {
    packing: Packing,
    length: usize,
    frame: Frame,
    seed: u64,
    documents: u64,
    /// Tokens of the unfinished row of dense packing.
    rest: Vec<u32>,
    /// Unfinished rows of whole documents.
    open: documents::OpenRows,
}

impl Packer {
    /// A packer of rows of at most `length` ids; `length` is clamped to 8 ..= 65,535. `frame`: that of the tokenizer; of special
    /// tokens alone, BERT's.
    pub fn new(packing: Packing, length: usize, frame: impl Into<Frame>, seed: u64) -> Self {
        Self {
            packing,
            length: length.clamp(8, u16::MAX as usize),
            frame: frame.into(),
            seed,
            documents: 0,
            rest: Vec::new(),
            open: documents::OpenRows::default(),
        }
    }

    /// Adds a document and returns the rows that it completes. Empty sentences are ignored.
    pub fn push(&mut self, sentences: &[Vec<u32>]) -> Vec<PackedRow> {
        let mut draw = Stream::new(self.seed, self.documents, 0, Use::Pack);
        self.documents += 1;
        match self.packing {
            Packing::Electra => electra::pack(&self.pieces(sentences), self.length, &self.frame, &mut draw),
            Packing::Bert => bert::pack(&self.pieces(sentences), self.length, &self.frame, &mut draw),
            Packing::Dense => dense::pack(sentences, &mut self.rest, self.length, &self.frame),
            Packing::Documents => self.open.push(sentences, self.length, &self.frame),
        }
    }

    /// The unfinished rows after the last document.
    pub fn finish(&mut self) -> Vec<PackedRow> {
        let rest = std::mem::take(&mut self.rest);
        let dense = (!rest.is_empty()).then(|| PackedRow::one(&self.frame, &rest));
        dense.into_iter().chain(self.open.finish()).collect()
    }

    /// The sentences, with long lines cut into pieces of a quarter row. Text that overflows a row is dropped, so a line that
    /// holds a whole paragraph would otherwise lose most of its text.
    fn pieces<'a>(&self, sentences: &'a [Vec<u32>]) -> Vec<&'a [u32]> {
        let most = (self.length / 4).max(4);
        sentences.iter().flat_map(|sentence| sentence.chunks(most)).collect()
    }
}

#[cfg(test)]
mod tests {
    use fn_core::vocab::SpecialIds;
    use proptest::prelude::*;

    use super::*;

    const SPECIAL: SpecialIds = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

    fn documents() -> impl Strategy<Value = Vec<Vec<Vec<u32>>>> {
        let sentence = prop::collection::vec(5u32..1000, 0..80);
        prop::collection::vec(prop::collection::vec(sentence, 0..12), 0..6)
    }

    fn pack(packing: Packing, length: usize, documents: &[Vec<Vec<u32>>]) -> Vec<PackedRow> {
        let mut packer = Packer::new(packing, length, SPECIAL, 3);
        let mut rows: Vec<PackedRow> = documents.iter().flat_map(|d| packer.push(d)).collect();
        rows.extend(packer.finish());
        rows
    }

    proptest! {
        #[test]
        fn rows_are_framed_fit_and_hold_only_text(documents in documents(), length in 8usize..130) {
            for packing in [Packing::Electra, Packing::Bert, Packing::Dense, Packing::Documents] {
                for row in pack(packing, length, &documents) {
                    prop_assert!(row.ids.len() <= length, "{packing:?}: {} > {length}", row.ids.len());
                    prop_assert!(row.ids.len() >= 3);
                    prop_assert_eq!(row.ids[0], SPECIAL.cls);
                    prop_assert_eq!(row.ids[row.ids.len() - 1], SPECIAL.sep);
                    let second = usize::from(row.second);
                    prop_assert!(second <= row.ids.len());
                    if second < row.ids.len() {
                        prop_assert_eq!(row.ids[second - 1], SPECIAL.sep);
                    }
                }
            }
        }

        #[test]
        fn dense_rows_lose_nothing(documents in documents(), length in 8usize..130) {
            let words = |ids: &[u32]| ids.iter().copied().filter(|&i| i >= 5).collect::<Vec<u32>>();
            let packed: Vec<u32> = pack(Packing::Dense, length, &documents).iter().flat_map(|r| words(&r.ids)).collect();
            prop_assert_eq!(packed, documents.concat().concat());
        }

        #[test]
        fn rows_of_documents_lose_nothing_and_begin_each_document_anew(documents in documents(), length in 8usize..130) {
            let rows = pack(Packing::Documents, length, &documents);
            let mut found: Vec<Vec<u32>> = Vec::new();
            for row in &rows {
                let starts = row.document_starts(SPECIAL.cls);
                prop_assert_eq!(starts[0], 0);
                let ends = starts.iter().skip(1).copied().chain([row.ids.len()]);
                for (&start, end) in starts.iter().zip(ends) {
                    let document = &row.ids[start..end];
                    prop_assert_eq!(document[document.len() - 1], SPECIAL.sep);
                    found.push(document[1..document.len() - 1].to_vec());
                }
            }
            let whole: Vec<Vec<u32>> = documents.iter().map(|d| d.concat()).filter(|d| !d.is_empty()).collect();
            let mut expected: Vec<Vec<u32>> =
                whole.iter().flat_map(|d| d.chunks(length - 2).map(<[u32]>::to_vec)).collect();
            // In another order than in the text.
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_same_document_at_the_same_place_gives_the_same_rows(documents in documents()) {
            prop_assert_eq!(pack(Packing::Electra, 32, &documents), pack(Packing::Electra, 32, &documents));
        }
    }

    #[test]
    fn whole_documents_leave_little_of_a_row() {
        let documents: Vec<Vec<Vec<u32>>> = (0..2_000).map(|n| vec![vec![9; 3 + n * 37 % 90]]).collect();
        let rows = pack(Packing::Documents, 128, &documents);
        let used: usize = rows.iter().map(|row| row.ids.len()).sum();
        let share = used as f64 / (128 * rows.len()) as f64;
        // One open row instead of 16 would fill 0.73.
        assert!(share > 0.96, "{share}");
        assert!(rows.iter().all(|row| usize::from(row.second) == row.ids.len()));
    }

    /// 4,000 documents of 40 sentences of 10 tokens.
    fn long_text() -> Vec<Vec<Vec<u32>>> {
        vec![vec![vec![7; 10]; 40]; 4_000]
    }

    #[test]
    fn a_tenth_of_electra_rows_has_one_segment_and_segments_split_near_the_middle() {
        let rows = pack(Packing::Electra, 64, &long_text());
        let full: Vec<&PackedRow> = rows.iter().filter(|r| r.ids.len() == 64).collect();
        let single =
            full.iter().filter(|r| usize::from(r.second) == r.ids.len()).count() as f64 / full.len() as f64;
        assert!((0.08..0.13).contains(&single), "{single}");
        let two: Vec<f64> = full
            .iter()
            .filter(|r| usize::from(r.second) < r.ids.len())
            .map(|r| f64::from(r.second))
            .collect();
        let middle = two.iter().sum::<f64>() / two.len() as f64;
        assert!((26.0..40.0).contains(&middle), "{middle}");
    }

    #[test]
    fn most_of_a_long_paragraph_in_one_line_is_kept() {
        for packing in [Packing::Electra, Packing::Bert] {
            let rows = pack(packing, 128, &[vec![vec![9; 20_000]]]);
            let kept = rows.iter().flat_map(|r| &r.ids).filter(|&&i| i == 9).count();
            assert!(kept > 17_000, "{packing:?} kept {kept} of 20000");
        }
    }

    #[test]
    fn rows_of_roberta_have_two_separators_between_segments_and_no_segment_b() {
        for packing in [Packing::Electra, Packing::Bert] {
            let mut packer = Packer::new(packing, 32, Frame::roberta(SPECIAL), 3);
            let mut rows: Vec<PackedRow> = long_text()[..20].iter().flat_map(|d| packer.push(d)).collect();
            rows.extend(packer.finish());
            assert!(rows.iter().all(|row| usize::from(row.second) == row.ids.len() && row.ids.len() <= 32));
            let two = |row: &PackedRow| row.ids.windows(2).any(|ids| ids == [SPECIAL.sep, SPECIAL.sep]);
            assert!(rows.iter().any(two), "{packing:?}");
        }
    }

    #[test]
    fn documents_do_not_share_rows_but_in_dense_packing() {
        let documents = [vec![vec![10; 5]], vec![vec![20; 5]]];
        assert_eq!(pack(Packing::Electra, 64, &documents).len(), 2);
        assert_eq!(pack(Packing::Bert, 64, &documents).len(), 2);
        assert_eq!(pack(Packing::Dense, 64, &documents).len(), 1);
    }
}
