//! Sums in a fixed binary tree.
//!
//! ```text
//! sum of n values = sum of the first ceil(n / 2) + sum of the rest
//! ```
//! Floating-point addition is not associative, so the bits of a sum depend on the shape of the tree. Here the shape is a
//! function of n. If 2^k divides n, the upper k levels split the values into 2^k blocks of equal length, so that each of 2^k
//! ranks sums a whole subtree, and the sums of the ranks are added like the leaves of a tree of 2^k values. Up to three values
//! are summed from left to right.

use std::convert::Infallible;

/// The sum of `leaf(item)` over `items` with the addition `add`; None without items. At most one partial sum per level of the
/// tree exists at a time (`floor(log2 n) + 1`), and leaves are computed in order.
pub fn try_sum<T, S, E>(
    items: &[T],
    leaf: &mut impl FnMut(&T) -> Result<S, E>,
    add: &mut impl FnMut(S, S) -> S,
) -> Result<Option<S>, E> {
    match items {
        [] => Ok(None),
        [item] => leaf(item).map(Some),
        items => {
            let (left, right) = items.split_at(items.len().div_ceil(2));
            let left = try_sum(left, leaf, add)?;
            let right = try_sum(right, leaf, add)?;
            Ok(match (left, right) {
                (Some(left), Some(right)) => Some(add(left, right)),
                (left, right) => left.or(right),
            })
        }
    }
}

/// [`try_sum`] of leaves that cannot fail.
pub fn sum<T, S>(items: &[T], mut leaf: impl FnMut(&T) -> S, mut add: impl FnMut(S, S) -> S) -> Option<S> {
    let Ok(sum) = try_sum(items, &mut |item| Ok::<_, Infallible>(leaf(item)), &mut add);
    sum
}

/// What [`sum`] of `items` adds to its last leaf, outermost first: `sum = found[0] + (found[1] + (... + last))`. The last leaf is not computed.
pub fn sums_before_last<T, S>(
    mut items: &[T],
    mut leaf: impl FnMut(&T) -> S,
    mut add: impl FnMut(S, S) -> S,
) -> Vec<S> {
    let mut found = Vec::new();
    while items.len() > 1 {
        let (left, right) = items.split_at(items.len().div_ceil(2));
        found.extend(sum(left, &mut leaf, &mut add));
        items = right;
    }
    found
}

/// Adds vectors of equal length element by element, in the order of the tree, into the first one.
pub fn sum_in_place(parts: &mut [&mut [f32]]) {
    if parts.len() < 2 {
        return;
    }
    let (left, right) = parts.split_at_mut(parts.len().div_ceil(2));
    sum_in_place(left);
    sum_in_place(right);
    if let (Some(left), Some(right)) = (left.first_mut(), right.first()) {
        for (a, b) in left.iter_mut().zip(right.iter()) {
            *a += *b;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(values: &[f32]) -> f32 {
        sum(values, |v| *v, |a, b| a + b).unwrap_or(-0.0)
    }

    #[test]
    fn the_shape_depends_on_the_number_alone() {
        let shape = |n: usize| {
            let items: Vec<usize> = (0..n).collect();
            sum(&items, ToString::to_string, |a, b| format!("({a}+{b})")).unwrap()
        };
        assert_eq!(shape(1), "0");
        assert_eq!(shape(2), "(0+1)");
        assert_eq!(shape(3), "((0+1)+2)");
        assert_eq!(shape(4), "((0+1)+(2+3))");
        assert_eq!(shape(6), "(((0+1)+2)+((3+4)+5))");
        assert_eq!(shape(7), "(((0+1)+(2+3))+((4+5)+6))");
        assert_eq!(sum(&[] as &[u8], |_| 0, |a, b| a + b), None);
    }

    #[test]
    fn the_last_leaf_can_be_added_last() {
        for n in 1..20usize {
            let items: Vec<usize> = (0..n).collect();
            let add = |a: String, b: String| format!("({a}+{b})");
            let before = sums_before_last(&items, ToString::to_string, add);
            let found = before.into_iter().rev().fold((n - 1).to_string(), |later, first| add(first, later));
            assert_eq!(found, sum(&items, ToString::to_string, add).unwrap());
        }
    }

    #[test]
    fn no_more_sums_exist_at_a_time_than_the_tree_has_levels() {
        let items: Vec<usize> = (0..1000).collect();
        let (live, most) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let leaf = |_: &usize| {
            live.set(live.get() + 1);
            most.set(most.get().max(live.get()));
        };
        sum(&items, leaf, |(), ()| live.set(live.get() - 1));
        assert_eq!((live.get(), most.get()), (1, 10));
    }

    proptest! {
        #[test]
        fn blocks_of_ranks_that_are_a_power_of_two_add_up_to_the_same_bits(
            levels in 0u32..4, block in 1usize..9, seed: u64,
        ) {
            let world = 1usize << levels;
            let mut stream = fn_core::noise::Stream::new(seed, 0, 0, fn_core::noise::Use::Test);
            let values: Vec<f32> = (0..world * block)
                .map(|_| (stream.unit() as f32 - 0.5) * 10f32.powi(stream.below(12) as i32 - 6))
                .collect();
            let of_ranks: Vec<f32> = values.chunks(block).map(plain).collect();
            prop_assert_eq!(plain(&of_ranks).to_bits(), plain(&values).to_bits());
        }

        #[test]
        fn vectors_are_added_like_numbers(n in 1usize..9, seed: u64) {
            let mut stream = fn_core::noise::Stream::new(seed, 0, 0, fn_core::noise::Use::Test);
            let mut rows: Vec<Vec<f32>> =
                (0..n).map(|_| (0..5).map(|_| stream.unit() as f32 * 3.7 - 1.0).collect()).collect();
            let expected: Vec<u32> = (0..5)
                .map(|i| plain(&rows.iter().map(|row| row[i]).collect::<Vec<_>>()).to_bits())
                .collect();
            sum_in_place(&mut rows.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
            prop_assert_eq!(rows[0].iter().map(|v| v.to_bits()).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn the_order_matters_so_the_tests_above_can_fail() {
        let values = [1e8f32, 1.0, -1e8, 1.0];
        assert_ne!(plain(&values), values.iter().sum::<f32>());
    }
}
