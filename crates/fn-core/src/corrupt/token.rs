//! Single tokens, every maskable one equally likely.

use super::Group;
use crate::noise::Stream;
use crate::vocab::VocabFacts;

/// `wanted` different maskable positions (or all, if there are fewer), each its own group.
pub(crate) fn choose(ids: &[u32], vocab: &VocabFacts, wanted: usize, stream: &mut Stream) -> Vec<Group> {
    let mut candidates: Vec<u32> =
        (0..ids.len() as u32).filter(|&p| vocab.maskable(ids[p as usize])).collect();
    let count = wanted.min(candidates.len());
    // The first `count` steps of Fisher-Yates from the front.
    for i in 0..count {
        let other = i + stream.below((candidates.len() - i) as u64) as usize;
        candidates.swap(i, other);
    }
    candidates.truncate(count);
    candidates.into_iter().map(|p| vec![p]).collect()
}
