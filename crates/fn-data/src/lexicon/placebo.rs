//! Placebo lexicons, a control: sets of the same sizes whose members are random words.
//!
//! If shielding synonyms helps because they are synonyms, shielding as many random words must not help. The set of every word
//! keeps its size; members are sampled among words of about the same corpus frequency as the members that they replace, because
//! frequent words are predicted more often and would be shielded more often.

use fn_core::lexicon::{Lexicon, LexiconError, LexiconInfo};
use fn_core::noise::{Stream, Use};
use std::collections::HashSet;

/// Number of frequency classes. Ten are enough to keep the rate of shielding, and classes are large enough to sample from.
pub const DECILES: usize = 10;

/// Why no placebo can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceboError {
    /// The token counts belong to another vocabulary.
    #[error(
        "{found} token counts for a lexicon over {expected} pieces; count with the vocabulary of the lexicon"
    )]
    Counts {
        /// Number of counts.
        found: usize,
        /// Size of the vocabulary.
        expected: usize,
    },
    /// A set is so large that not enough other words are left.
    #[error("the set of piece {word} has {size} members; only {left} other words are left to draw from")]
    TooFewWords {
        /// The piece.
        word: u32,
        /// Size of its set.
        size: usize,
        /// Words that could be drawn.
        left: usize,
    },
    /// The finished table is not a valid lexicon.
    #[error(transparent)]
    Lexicon(#[from] LexiconError),
}

/// Makes a placebo of the lexicon `truth`.
///
/// - `token_counts`: number of occurrences of each piece in the corpus, by id.
/// - `candidate(id)`: whether this piece may be sampled. Use the same class of words as the lexicon, such as
///   [`is_word`](super::is_word).
///
/// Every set keeps its size. The member that replaces `m` has the log-frequency decile of `m` (deciles of the candidates
/// that occur in the corpus, by count; pieces that do not occur form a separate class); if a class is used up, the
/// nearest one is used. It gets the grade of `m`. No set holds its own word or a true member. The result is a function of the
/// arguments.
///
/// The placebo is not symmetric, even if `truth` is, because sizes and frequencies could not be kept otherwise.
///
/// # Errors
/// Counts of another vocabulary; a set so large that no other words are left.
pub fn placebo(
    truth: &Lexicon,
    token_counts: &[u64],
    candidate: impl Fn(u32) -> bool,
    seed: u64,
) -> Result<Lexicon, PlaceboError> {
    let size = truth.vocab_size();
    if token_counts.len() != size {
        return Err(PlaceboError::Counts { found: token_counts.len(), expected: size });
    }
    let classes = Classes::new(token_counts, &candidate);
    let mut rows = Vec::new();
    for w in 0..size as u32 {
        let row = truth.row(w);
        if row.is_empty() {
            continue;
        }
        let mut stream = Stream::new(seed, 0, u64::from(w), Use::Placebo);
        let mut banned: HashSet<u32> = row.iter().copied().collect();
        banned.insert(w);
        let mut drawn = Vec::with_capacity(row.len());
        for (member, grade) in truth.graded_row(w) {
            let Some(other) = classes.draw(classes.of[member as usize], &banned, &mut stream) else {
                let left = drawn.len();
                return Err(PlaceboError::TooFewWords { word: w, size: row.len(), left });
            };
            banned.insert(other);
            drawn.push((other, grade));
        }
        rows.push((w, drawn));
    }
    let info = LexiconInfo {
        kind: "placebo".into(),
        vocabulary_sha256: truth.info().vocabulary_sha256.clone(),
        note: format!("sizes of {} ({}), seed {seed}", truth.info().kind, truth.fingerprint()),
    };
    Ok(Lexicon::from_graded_rows(size, rows, info)?)
}

/// The frequency class of every piece.
struct Classes {
    /// Candidates of each class: class 0 does not occur in the corpus, 1 to [`DECILES`] have ascending counts.
    members: Vec<Vec<u32>>,
    of: Vec<usize>,
}

impl Classes {
    fn new(counts: &[u64], candidate: &impl Fn(u32) -> bool) -> Self {
        let mut sorted: Vec<u64> =
            (0..counts.len()).filter(|i| counts[*i] > 0 && candidate(*i as u32)).map(|i| counts[i]).collect();
        sorted.sort_unstable();
        // Deciles of log(count) over words are deciles of the count: the logarithm keeps the order.
        let class = |count: u64| -> usize {
            if count == 0 || sorted.is_empty() {
                return 0;
            }
            let below = sorted.partition_point(|c| *c < count);
            1 + (below * DECILES / sorted.len()).min(DECILES - 1)
        };
        let of: Vec<usize> = counts.iter().map(|c| class(*c)).collect();
        let mut members = vec![Vec::new(); DECILES + 1];
        for (id, class) in of.iter().enumerate() {
            if candidate(id as u32) {
                members[*class].push(id as u32);
            }
        }
        Classes { members, of }
    }

    fn draw(&self, class: usize, banned: &HashSet<u32>, stream: &mut Stream) -> Option<u32> {
        let mut near: Vec<usize> = (0..self.members.len()).collect();
        near.sort_by_key(|c| c.abs_diff(class));
        for class in near {
            let members = &self.members[class];
            // Nearly always the first attempt succeeds; the full list is made only if a class is nearly used up.
            for _ in 0..32 {
                let Some(&pick) = members.get(stream.below(members.len() as u64) as usize) else {
                    break;
                };
                if !banned.contains(&pick) {
                    return Some(pick);
                }
            }
            let left: Vec<u32> = members.iter().copied().filter(|m| !banned.contains(m)).collect();
            if let Some(&pick) = left.get(stream.below(left.len() as u64) as usize) {
                return Some(pick);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexicon(size: usize, rows: impl IntoIterator<Item = (u32, Vec<u32>)>) -> Lexicon {
        Lexicon::from_rows(size, rows, LexiconInfo::default()).unwrap()
    }

    /// 2000 pieces; rows of 0 to 6 members; Zipf-like counts, the last 200 pieces do not occur.
    fn example() -> (Lexicon, Vec<u64>) {
        let mut stream = Stream::new(1, 0, 0, Use::Test);
        let rows: Vec<(u32, Vec<u32>)> = (100..2000)
            .map(|w| (w, (0..stream.below(7)).map(|_| 100 + stream.below(1900) as u32).collect()))
            .collect();
        let mut counts: Vec<u64> =
            (0..2000).map(|i| if i < 1800 { 1_000_000 / (i + 1) } else { 0 }).collect();
        stream.shuffle(&mut counts);
        (lexicon(2000, rows), counts)
    }

    #[test]
    fn sizes_are_kept_and_no_true_member_and_no_own_word_is_drawn() {
        let (truth, counts) = example();
        let fake = placebo(&truth, &counts, |id| id >= 100, 5).unwrap();
        for w in 0..2000 {
            assert_eq!(fake.row(w).len(), truth.row(w).len(), "word {w}");
            for r in fake.row(w) {
                assert!(*r != w && *r >= 100 && !truth.contains(w, *r));
            }
        }
        assert_eq!(fake.entries(), truth.entries());
    }

    #[test]
    fn members_have_the_frequency_class_of_the_members_they_replace() {
        let (truth, counts) = example();
        let fake = placebo(&truth, &counts, |id| id >= 100, 5).unwrap();
        let classes = Classes::new(&counts, &|id| id >= 100);
        for w in 0..2000 {
            let sorted = |lexicon: &Lexicon| {
                let mut all: Vec<usize> = lexicon.row(w).iter().map(|r| classes.of[*r as usize]).collect();
                all.sort_unstable();
                all
            };
            assert_eq!(sorted(&fake), sorted(&truth), "word {w}");
        }
        let running = |lexicon: &Lexicon| -> f64 {
            lexicon.rows().flat_map(|(_, row)| row).map(|r| (counts[*r as usize] as f64 + 1.0).ln()).sum()
        };
        let (a, b) = (running(&fake), running(&truth));
        assert!((a / b - 1.0).abs() < 0.05, "{a} {b}");
    }

    #[test]
    fn the_same_seed_gives_the_same_placebo_and_another_seed_another() {
        let (truth, counts) = example();
        let of = |seed| placebo(&truth, &counts, |id| id >= 100, seed).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1).fingerprint(), of(2).fingerprint());
    }

    #[test]
    fn every_set_keeps_its_grades() {
        let (truth, counts) = example();
        let rows =
            truth.rows().map(|(w, row)| (w, row.iter().map(|r| (*r, 1.0 / (1 + r % 7) as f32)).collect()));
        let truth = Lexicon::from_graded_rows(2000, rows, LexiconInfo::default()).unwrap();
        let fake = placebo(&truth, &counts, |id| id >= 100, 5).unwrap();
        let grades = |lexicon: &Lexicon, w| {
            let mut grades: Vec<f32> = lexicon.graded_row(w).map(|(_, grade)| grade).collect();
            grades.sort_by(f32::total_cmp);
            grades
        };
        assert!(fake.is_graded() && (0..2000).all(|w| grades(&fake, w) == grades(&truth, w)));
    }

    #[test]
    fn words_that_do_not_occur_are_replaced_by_words_that_do_not_occur() {
        let truth = lexicon(40, [(0, vec![30, 31]), (30, vec![0])]);
        let counts: Vec<u64> = (0..40).map(|i| if i < 20 { 10 } else { 0 }).collect();
        let fake = placebo(&truth, &counts, |_| true, 1).unwrap();
        assert!(fake.row(0).iter().all(|r| *r >= 20));
        assert!(fake.row(30).iter().all(|r| *r < 20));
    }

    #[test]
    fn a_used_up_class_borrows_from_the_nearest_one() {
        // There are only two frequent words.
        let truth = lexicon(12, [(0, vec![1])]);
        let mut counts = vec![1u64; 12];
        (counts[0], counts[1]) = (1000, 1000);
        let fake = placebo(&truth, &counts, |_| true, 1).unwrap();
        assert_eq!(fake.row(0).len(), 1);
        assert!(fake.row(0)[0] > 1);
    }

    #[test]
    fn wrong_counts_and_sets_that_are_too_large_are_errors() {
        let truth = lexicon(4, [(0, vec![1, 2])]);
        let error = placebo(&truth, &[1, 1, 1, 1], |_| true, 1).unwrap_err();
        assert!(matches!(error, PlaceboError::TooFewWords { word: 0, size: 2, left: 1 }), "{error}");
        let error = placebo(&truth, &[1, 1], |_| true, 1).unwrap_err();
        assert!(error.to_string().contains("2 token counts for a lexicon over 4 pieces"));
    }
}
