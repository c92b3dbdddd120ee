//! Words: a piece and all the pieces that continue it (`##` in WordPiece) are masked together, or not at all.
//!
//! As in BERT's whole-word masking, words are visited in random order and one that would exceed the wanted number is left
//! out; each piece then draws its own replacement.

use super::Group;
use crate::noise::Stream;
use crate::vocab::VocabFacts;

/// The words of a sequence as ranges of positions; specials belong to none. A continuation without a head (the sequence was cut
/// inside of a word) is the head of what follows.
fn words(ids: &[u32], vocab: &VocabFacts) -> Vec<std::ops::Range<u32>> {
    let mut words: Vec<std::ops::Range<u32>> = Vec::new();
    for (p, &id) in ids.iter().enumerate() {
        let p = p as u32;
        if !vocab.maskable(id) {
            continue;
        }
        match words.last_mut() {
            Some(word) if word.end == p && vocab.joins(ids[p as usize - 1], id) => word.end = p + 1,
            _ => words.push(p..p + 1),
        }
    }
    words
}

/// Whole words with about `wanted` positions together, never more. If every word is longer than that, the shortest one is
/// taken alone, unless it exceeds `most`: then nothing is masked.
pub(crate) fn choose(
    ids: &[u32],
    vocab: &VocabFacts,
    wanted: usize,
    most: usize,
    stream: &mut Stream,
) -> Vec<Group> {
    let mut words = words(ids, vocab);
    stream.shuffle(&mut words);
    let mut left = wanted;
    let mut chosen: Vec<std::ops::Range<u32>> = Vec::new();
    for word in &words {
        if word.len() <= left {
            left -= word.len();
            chosen.push(word.clone());
        }
        if left == 0 {
            break;
        }
    }
    if chosen.is_empty() {
        chosen.extend(words.into_iter().min_by_key(ExactSizeIterator::len).filter(|word| word.len() <= most));
    }
    chosen.into_iter().flatten().map(|p| vec![p]).collect()
}
