//! The exact distribution of a word given the rest of its row.

use super::grammar::Sentence;
use super::{Language, SPECIAL_IDS, TruthRow, Writer};

/// A row together with the sentences that it was written from, for [`Language::conditional`].
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRow {
    /// Its ids and their concepts.
    pub truth: TruthRow,
    sentences: Vec<Sentence>,
}

impl Language {
    /// [`row`](Self::row) with the sentences that it was written from.
    pub fn planned_row(&self, i: u64, length: usize, seed: u64) -> PlannedRow {
        let mut writer = Writer::new(self, self.text_stream(i, seed, 2));
        let mut row = TruthRow { ids: vec![SPECIAL_IDS.cls], slots: vec![None] };
        let mut sentences = Vec::new();
        loop {
            let sentence = writer.plan();
            let (ids, slots) = self.write(&sentence, &mut writer.stream);
            if row.ids.len() + ids.len() + 1 > length {
                break;
            }
            row.ids.extend(ids);
            row.slots.extend(slots);
            sentences.push(sentence);
        }
        row.ids.push(SPECIAL_IDS.sep);
        row.slots.push(None);
        PlannedRow { truth: row, sentences }
    }

    /// The true conditional: how probable each word is at `position` of `row` given everything else in the row, that is the topic, the
    /// templates and the concepts of all other slots, as for the [`ceiling`](Self::ceiling). Each word once, with a sum of 1. Function words,
    /// punctuation and special tokens are certain. Empty outside of the row.
    ///
    /// ```
    /// use fn_data::language::{Language, LanguageConfig};
    /// let language = Language::new(LanguageConfig::default(), 1)?;
    /// let row = language.planned_row(0, 64, 7);
    /// let sum: f64 = language.conditional(&row, 3).iter().map(|(_, p)| p).sum();
    /// assert!((sum - 1.0).abs() < 1e-9);
    /// # Ok::<(), fn_data::language::LanguageError>(())
    /// ```
    pub fn conditional(&self, row: &PlannedRow, position: usize) -> Vec<(u32, f64)> {
        let Some(&id) = row.truth.ids.get(position) else { return Vec::new() };
        let mut start = 1;
        for (at, sentence) in row.sentences.iter().enumerate() {
            let parts = &self.templates[sentence.template];
            let part = position.checked_sub(start).and_then(|place| parts.get(place));
            if let Some(&part) = part.filter(|part| sentence.concept(**part).is_some()) {
                return self.mixture(&self.posterior(sentence, part, row.sentences.get(at + 1)));
            }
            start += parts.len();
        }
        vec![(id, 1.0)]
    }
}
