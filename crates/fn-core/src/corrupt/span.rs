//! Runs of neighbouring tokens (SpanBERT): lengths from a geometric distribution, clipped; a run is replaced as a whole.

use super::Group;
use crate::noise::Stream;
use crate::vocab::VocabFacts;

/// Spans that are tried before what is missing is filled up with single tokens. A span is refused where it would touch a
/// special or another span, so crowded sequences need many attempts.
const ATTEMPTS: usize = 8;

/// Distribution of span lengths: geometric with the given mean before clipping, `P(n) ~ (1 - 1/mean)^(n-1)`, `n <= max`.
pub(crate) struct Lengths {
    /// `1 - 1/mean`, the chance that a span goes on.
    go_on: f64,
    max: usize,
}

impl Lengths {
    pub(crate) fn new(mean: f64, max: usize) -> Self {
        Self { go_on: 1.0 - 1.0 / mean, max }
    }

    /// A length: longer ones than the maximum count as the maximum.
    fn draw(&self, stream: &mut Stream) -> usize {
        let mut length = 1;
        while length < self.max && stream.unit() < self.go_on {
            length += 1;
        }
        length
    }
}

/// Exactly `wanted` maskable positions (or all, if there are fewer) in non-overlapping spans; the last one is cut to fit.
pub(crate) fn choose(
    ids: &[u32],
    vocab: &VocabFacts,
    wanted: usize,
    lengths: &Lengths,
    stream: &mut Stream,
) -> Vec<Group> {
    let mut free: Vec<bool> = ids.iter().map(|&id| vocab.maskable(id)).collect();
    let starts: Vec<u32> = (0..ids.len() as u32).filter(|&p| free[p as usize]).collect();
    let mut left = wanted.min(starts.len());
    let mut spans: Vec<Group> = Vec::new();
    for _ in 0..left.saturating_mul(ATTEMPTS) {
        if left == 0 {
            break;
        }
        let length = lengths.draw(stream).min(left);
        let start = starts[stream.below(starts.len() as u64) as usize] as usize;
        let end = start + length;
        if end > ids.len() || free[start..end].iter().any(|free| !free) {
            continue;
        }
        free[start..end].fill(false);
        left -= length;
        spans.push((start as u32..end as u32).collect());
    }
    // What the attempts did not place.
    let mut rest: Vec<u32> = starts.into_iter().filter(|&p| free[p as usize]).collect();
    stream.shuffle(&mut rest);
    spans.extend(rest.into_iter().take(left).map(|p| vec![p]));
    spans
}
