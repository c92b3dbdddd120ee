//! ELECTRA's packing, as in `build_pretraining_dataset.py` of google-research/electra.

use fn_core::noise::Stream;

use super::PackedRow;
use crate::tokenise::Frame;

/// Share of rows with a single segment, as they occur in fine-tuning.
const SINGLE: f64 = 0.1;
/// Share of rows with a random, shorter target length, for the same reason.
const SHORT: f64 = 0.05;
/// Minimum of the random target length, in tokens.
const SHORTEST: usize = 5;

pub(super) fn pack(sentences: &[&[u32]], length: usize, frame: &Frame, draw: &mut Stream) -> Vec<PackedRow> {
    let mut rows = Vec::new();
    let mut gathered: Vec<&[u32]> = Vec::new();
    let mut tokens = 0;
    let mut target = length;
    for sentence in sentences.iter().filter(|s| !s.is_empty()) {
        gathered.push(sentence);
        tokens += sentence.len();
        if tokens + frame.added_to_pair() >= target {
            rows.push(example(&gathered, length, target, frame, draw));
            gathered.clear();
            tokens = 0;
            let short = draw.unit() < SHORT;
            target =
                if short { SHORTEST + draw.below((length - SHORTEST) as u64 + 1) as usize } else { length };
        }
    }
    if !gathered.is_empty() {
        rows.push(example(&gathered, length, target, frame, draw));
    }
    rows
}

/// Makes one row from the collected sentences, split into two segments near the middle of the target length.
fn example(
    sentences: &[&[u32]],
    length: usize,
    target: usize,
    frame: &Frame,
    draw: &mut Stream,
) -> PackedRow {
    let middle =
        if draw.unit() < SINGLE { usize::MAX } else { target.saturating_sub(frame.added_to_pair()) / 2 };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for sentence in sentences {
        let crosses = first.len() + sentence.len() >= middle;
        // The sentence that spans the middle goes to either segment with equal probability.
        let to_first =
            first.is_empty() || !crosses || (second.is_empty() && first.len() < middle && draw.unit() < 0.5);
        if to_first && second.is_empty() { &mut first } else { &mut second }.extend_from_slice(sentence);
    }
    first.truncate(length - frame.added_to_single());
    second.truncate(length.saturating_sub(first.len() + frame.added_to_pair()));
    PackedRow::two(frame, &first, &second)
}
