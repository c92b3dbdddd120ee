//! The facts about a vocabulary that corruption and lexicons need; its texts stay with the tokenizer.

use serde::{Deserialize, Serialize};

use crate::error::CoreError;

/// Ids of the pieces that are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialIds {
    /// `[PAD]`, fills sequences up to their length.
    pub pad: u32,
    /// `[UNK]`, a text that the vocabulary cannot write.
    pub unk: u32,
    /// `[CLS]`, starts a sequence.
    pub cls: u32,
    /// `[SEP]`, ends a segment.
    pub sep: u32,
    /// `[MASK]`, stands for a masked token.
    pub mask: u32,
}

/// What kind of piece each id is.
///
/// Invariant (checked by [`VocabFacts::validate`]): `is_special` and `continues` have `size` entries and the special ids lie below `size`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VocabFacts {
    /// Number of pieces.
    pub size: usize,
    /// The special pieces.
    pub special: SpecialIds,
    /// Per id: never masked and never drawn as a replacement. Holds for the [`SpecialIds`] and for any other piece, such
    /// as `[unused7]`, that no text contains.
    pub is_special: Vec<bool>,
    /// Per id: continues the word before it (a `##` piece).
    pub continues: Vec<bool>,
    /// Per id: what else is known of words. Empty for WordPiece, where `continues` says everything.
    pub joints: Vec<Joint>,
}

/// What a piece of a vocabulary that marks only the first piece of a word (`Ġ`, `▁`) or the last one (`</w>`) says of words. Such
/// a vocabulary writes `(hello` as `(` and `hello`, both without a mark, although they are two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Joint {
    /// It is a word of its own, also without a mark: punctuation, a Chinese character.
    pub apart: bool,
    /// It ends its word: the next piece begins one.
    pub ends: bool,
    /// It is the blank before a word and nothing else: the next piece belongs to it.
    pub blank: bool,
}

impl VocabFacts {
    /// A vocabulary of `size` pieces in which only the five of `special` are special and none continues a word.
    ///
    /// ```
    /// use fn_core::vocab::{SpecialIds, VocabFacts};
    /// let v = VocabFacts::plain(10, SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
    /// assert!(v.is_special[4] && !v.is_special[5]);
    /// v.validate().unwrap();
    /// ```
    pub fn plain(size: usize, special: SpecialIds) -> Self {
        let mut is_special = vec![false; size];
        for id in [special.pad, special.unk, special.cls, special.sep, special.mask] {
            if let Some(flag) = is_special.get_mut(id as usize) {
                *flag = true;
            }
        }
        Self { size, special, is_special, continues: vec![false; size], joints: Vec::new() }
    }

    /// Checks the invariant.
    pub fn validate(&self) -> Result<(), CoreError> {
        for (field, list) in [("is_special", &self.is_special), ("continues", &self.continues)] {
            if list.len() != self.size {
                return Err(CoreError::VocabularyShape { field, found: list.len(), size: self.size });
            }
        }
        let s = self.special;
        for (name, id) in
            [("[PAD]", s.pad), ("[UNK]", s.unk), ("[CLS]", s.cls), ("[SEP]", s.sep), ("[MASK]", s.mask)]
        {
            if id as usize >= self.size {
                return Err(CoreError::SpecialId { name, id, size: self.size });
            }
        }
        Ok(())
    }

    /// Whether a token may be masked or replaced. False for specials and for ids outside of the vocabulary.
    pub fn maskable(&self, id: u32) -> bool {
        self.is_special.get(id as usize).is_some_and(|special| !special) && id != self.special.pad
    }

    /// Whether a token continues the word before it.
    pub fn continues(&self, id: u32) -> bool {
        self.continues.get(id as usize).copied().unwrap_or(false)
    }

    /// Whether the token `id`, right after the token `before`, belongs to the same word.
    pub fn joins(&self, before: u32, id: u32) -> bool {
        let joint = |id: u32| self.joints.get(id as usize).copied().unwrap_or_default();
        self.continues(id) && (joint(before).blank || !(joint(id).apart || joint(before).ends))
    }
}
