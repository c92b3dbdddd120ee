//! How much of the held-out text is training text, by hashes of runs of tokens.

use std::collections::HashSet;
use std::sync::Arc;

use fn_data::shard::Dataset;

/// Held-out rows that are looked at, spread over the data set.
const ROWS: usize = 2_000;
/// Training tokens that are looked at, in rows spread over the data set: less than a second's work.
const TOKENS: usize = 1 << 24;
/// Longest run of tokens that is compared, and shortest.
const RUN: (usize, usize) = (8, 32);
/// Base of the polynomial that hashes a run; odd, so that no token is lost.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Share of the held-out rows with a run of tokens that is in the training rows as well, and the length of such a run: half a row, 8 to 32
/// tokens. `special` ids begin and end text, and are part of no run.
pub(super) fn share(training: &[Arc<Dataset>], held_out: &Dataset, special: &[u32]) -> (f64, usize) {
    let length = (held_out.length() / 2).clamp(RUN.0, RUN.1);
    let spread =
        |data: &Dataset, most: usize| (0..data.len()).step_by(data.len().div_ceil(most.max(1)).max(1));
    let rows: Vec<Vec<u64>> = spread(held_out, ROWS)
        .map(|at| {
            let mut hashes = Vec::new();
            runs(&held_out.row(at).ids, length, special, |hash| hashes.push(hash));
            hashes
        })
        .collect();
    let mut missing: HashSet<u64> = rows.iter().flatten().copied().collect();
    let all = missing.clone();
    for source in training {
        for at in spread(source, TOKENS / training.len() / source.length().max(1)) {
            runs(&source.row(at).ids, length, special, |hash| {
                missing.remove(&hash);
            });
        }
    }
    let shared =
        rows.iter().filter(|row| row.iter().any(|hash| all.contains(hash) && !missing.contains(hash)));
    (shared.count() as f64 / rows.len().max(1) as f64, length)
}

/// Calls `found` with the hash of each run of `length` tokens of a row, by a sum that rolls over it.
fn runs(ids: &[u32], length: usize, special: &[u32], mut found: impl FnMut(u64)) {
    let mut leaving = BASE;
    for _ in 1..length {
        leaving = leaving.wrapping_mul(BASE);
    }
    for text in ids.split(|id| special.contains(id)) {
        let mut hash = 0u64;
        for (at, &id) in text.iter().enumerate() {
            hash = hash.wrapping_add(u64::from(id) + 1).wrapping_mul(BASE);
            if let Some(&gone) = at.checked_sub(length).and_then(|before| text.get(before)) {
                hash = hash.wrapping_sub((u64::from(gone) + 1).wrapping_mul(leaving).wrapping_mul(BASE));
            }
            if at + 1 >= length {
                found(hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fn_data::pack::PackedRow;

    use super::*;

    fn rows(all: &[Vec<u32>]) -> Dataset {
        let rows = all.iter().map(|ids| PackedRow { ids: ids.clone(), second: ids.len() as u16 });
        Dataset::from_rows(rows.collect(), 24).unwrap()
    }

    /// `[CLS]`, twenty tokens from `from` on, `[SEP]`.
    fn row(from: u32) -> Vec<u32> {
        [vec![2], (from..from + 20).collect(), vec![3]].concat()
    }

    #[test]
    fn a_run_is_found_wherever_it_stands() {
        let training = [Arc::new(rows(&[row(100)])), Arc::new(rows(&[row(200)]))];
        let moved = [vec![2, 50, 51, 52], (205..217).collect(), vec![3]].concat();
        let short = [vec![2, 50, 51, 52], (205..216).collect(), vec![3]].concat();
        let share = |held_out: &[Vec<u32>]| share(&training, &rows(held_out), &[2, 3]);
        assert_eq!(share(&[row(300), row(400)]), (0.0, 12));
        assert_eq!(share(&[row(300), row(200)]).0, 0.5);
        assert_eq!(share(&[moved]).0, 1.0);
        assert_eq!(share(&[short]).0, 0.0, "eleven tokens are no run");
        let cut = [vec![2], (200..206).collect(), vec![3], (206..220).collect::<Vec<u32>>()].concat();
        assert_eq!(share(&[cut[..14].to_vec()]).0, 0.0, "a run does not reach over the end of a text");
        assert_eq!(share(&[]).0, 0.0);
    }

    /// The rolling sum against each run hashed on its own.
    #[test]
    fn equal_runs_have_equal_hashes() {
        let ids: Vec<u32> = (0..200u32).map(|i| (i * i) % 7).collect();
        let mut rolled = Vec::new();
        runs(&ids, 9, &[], |hash| rolled.push(hash));
        for (at, hash) in rolled.iter().enumerate() {
            let mut alone = Vec::new();
            runs(&ids[at..at + 9], 9, &[], |hash| alone.push(hash));
            assert_eq!(alone, [*hash], "{at}");
        }
        assert_eq!(rolled.len(), 192);
    }
}
