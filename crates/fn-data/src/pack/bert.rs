//! BERT's packing: two consecutive segments of one document (without the next-sentence task).

use fn_core::noise::Stream;

use super::PackedRow;
use crate::tokenise::Frame;

/// Share of rows with a random, shorter target length.
const SHORT: f64 = 0.1;
/// Minimum of the random target length, in tokens of text.
const SHORTEST: usize = 2;

pub(super) fn pack(sentences: &[&[u32]], length: usize, frame: &Frame, draw: &mut Stream) -> Vec<PackedRow> {
    let room = length - frame.added_to_pair();
    let target = |draw: &mut Stream| {
        let short = draw.unit() < SHORT;
        if short { SHORTEST + draw.below((room - SHORTEST) as u64 + 1) as usize } else { room }
    };
    let mut rows = Vec::new();
    let mut gathered: Vec<&[u32]> = Vec::new();
    let mut tokens = 0;
    let mut wanted = target(draw);
    for sentence in sentences.iter().filter(|s| !s.is_empty()) {
        gathered.push(sentence);
        tokens += sentence.len();
        if tokens >= wanted {
            rows.push(example(&gathered, room, frame, draw));
            gathered.clear();
            tokens = 0;
            wanted = target(draw);
        }
    }
    if !gathered.is_empty() {
        rows.push(example(&gathered, room, frame, draw));
    }
    rows
}

/// Splits the sentences into two segments at a random place and truncates the longer one, at its front or back with equal
/// probability.
fn example(sentences: &[&[u32]], room: usize, frame: &Frame, draw: &mut Stream) -> PackedRow {
    let cut = if sentences.len() > 1 { 1 + draw.below(sentences.len() as u64 - 1) as usize } else { 1 };
    let (mut first, mut second) = (sentences[..cut].concat(), sentences[cut..].concat());
    let (mut front_a, mut front_b) = (0, 0);
    while first.len() - front_a + second.len() - front_b > room {
        let a_is_longer = first.len() - front_a > second.len() - front_b;
        let (side, front) =
            if a_is_longer { (&mut first, &mut front_a) } else { (&mut second, &mut front_b) };
        if draw.unit() < 0.5 {
            *front += 1;
        } else {
            side.pop();
        }
    }
    PackedRow::two(frame, &first[front_a..], &second[front_b..])
}
