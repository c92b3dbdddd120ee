//! Shuffle-Dyck sequences: brackets of several types, each type balanced, the types freely interleaved.

use fn_core::noise::Stream;

/// `length` symbols: `2 t` opens type `t`, `2 t + 1` closes it; at most `depth` are open at once.
///
/// At the end of a sequence all brackets are closed; if `length` is odd, the last symbol opens one more bracket.
pub(super) fn symbols(length: usize, k: usize, p: f64, depth: usize, stream: &mut Stream) -> Vec<usize> {
    let mut out = Vec::with_capacity(length);
    // The type of each open bracket. Brackets of the same type are interchangeable.
    let mut open: Vec<usize> = Vec::with_capacity(depth.min(length));
    for place in 0..length {
        let left = length - place;
        // After opening one more bracket there must be room to close all of them.
        let may_open = open.len() < depth && open.len() + 2 <= left;
        if open.is_empty() || (may_open && stream.unit() < p) {
            let kind = stream.below(k as u64) as usize;
            open.push(kind);
            out.push(2 * kind);
        } else {
            let kind = open.swap_remove(stream.below(open.len() as u64) as usize);
            out.push(2 * kind + 1);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use fn_core::noise::Use;
    use proptest::prelude::*;

    use super::*;

    fn row(length: usize, k: usize, p: f64, depth: usize, number: u64) -> Vec<usize> {
        symbols(length, k, p, depth, &mut Stream::new(1, 1, number, Use::Test))
    }

    /// Checks the balance at every position and returns the number of open brackets of each type at the end.
    fn walk(row: &[usize], k: usize, depth: usize) -> Vec<usize> {
        let mut open = vec![0usize; k];
        for symbol in row {
            if symbol % 2 == 0 {
                open[symbol / 2] += 1;
            } else {
                open[symbol / 2] = open[symbol / 2].checked_sub(1).unwrap();
            }
            assert!(open.iter().sum::<usize>() <= depth);
        }
        open
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_type_is_balanced_and_never_too_deep(
            length in 0usize..200, k in 1usize..70, p in 0.0f64..=1.0, depth in 1usize..20, number: u64,
        ) {
            let row = row(length, k, p, depth, number);
            prop_assert_eq!(row.len(), length);
            let left: usize = walk(&row, k, depth).iter().sum();
            prop_assert_eq!(left, length % 2);
        }
    }

    #[test]
    fn where_both_are_possible_a_bracket_is_opened_with_probability_p() {
        for p in [0.2, 0.51, 0.9] {
            let (mut opened, mut free) = (0u32, 0u32);
            for number in 0..400 {
                let (mut open, depth) = (0usize, 8);
                for (place, symbol) in row(126, 64, p, depth, number).iter().enumerate() {
                    if open > 0 && open < depth && open + 2 <= 126 - place {
                        free += 1;
                        opened += u32::from(symbol % 2 == 0);
                    }
                    if symbol % 2 == 0 { open += 1 } else { open -= 1 }
                }
            }
            let found = f64::from(opened) / f64::from(free);
            // Four standard errors.
            let error = 4.0 * (p * (1.0 - p) / f64::from(free)).sqrt();
            assert!((found - p).abs() < error, "{found} of {free}, expected {p}");
        }
    }

    #[test]
    fn p_of_0_and_of_1_are_possible() {
        let kinds = |row: Vec<usize>| row.iter().map(|s| s % 2).collect::<Vec<_>>();
        assert_eq!(kinds(row(8, 3, 0.0, 8, 1)), [0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(kinds(row(8, 3, 1.0, 8, 1)), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(kinds(row(8, 3, 1.0, 2, 1)), [0, 0, 1, 0, 1, 0, 1, 1]);
        assert_eq!(kinds(row(7, 3, 1.0, 8, 1)), [0, 0, 0, 1, 1, 1, 0]);
    }

    #[test]
    fn types_are_equally_likely_and_interleave() {
        let k = 8;
        let mut count = vec![0u32; k];
        let mut crossed = 0;
        for number in 0..1_000 {
            let row = row(64, k, 0.51, 8, number);
            row.iter().filter(|s| *s % 2 == 0).for_each(|s| count[s / 2] += 1);
            // `( [ )`: a bracket is closed that was not opened last, which never happens in a nested (Dyck) language.
            let mut stack: Vec<usize> = Vec::new();
            for symbol in row {
                if symbol % 2 == 0 {
                    stack.push(symbol / 2);
                } else {
                    let at = stack.iter().rposition(|kind| *kind == symbol / 2).unwrap();
                    crossed += usize::from(at + 1 < stack.len());
                    stack.remove(at);
                }
            }
        }
        let expected = 32_000.0 / k as f64;
        // Chi-squared with 7 degrees of freedom: 24.3 is exceeded once in a thousand seeds.
        let chi: f64 = count.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum();
        assert!(chi < 24.3, "{count:?}");
        assert!(crossed > 5_000, "{crossed} crossings");
    }
}
