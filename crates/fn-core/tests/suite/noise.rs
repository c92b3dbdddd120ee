//! Counter-based random numbers.

use fn_core::noise::{Stream, Use, mix};
use proptest::prelude::*;

#[test]
fn the_numbers_never_change() {
    // Resuming a run rests on these: a change here changes every run.
    assert_eq!(mix(&[]), 16_294_208_416_658_607_535);
    assert_eq!(mix(&[1, 2, 3]), MIX_123);
    let mut s = Stream::new(1, 2, 3, Use::Test);
    assert_eq!([s.next_u64(), s.next_u64(), s.next_u64()], FIRST_THREE);
}

const MIX_123: u64 = 12_379_235_464_279_372_880;
/// Computed by another implementation of the same formulas.
const FIRST_THREE: [u64; 3] =
    [4_508_221_676_313_669_092, 17_803_161_463_540_526_875, 12_318_165_408_077_055_409];

#[test]
fn every_part_of_the_key_matters() {
    let first = |seed, step, row, use_| Stream::new(seed, step, row, use_).next_u64();
    let base = first(1, 2, 3, Use::Positions);
    for other in [
        first(2, 2, 3, Use::Positions),
        first(1, 3, 3, Use::Positions),
        first(1, 2, 4, Use::Positions),
        first(1, 2, 3, Use::Choice),
        first(2, 1, 3, Use::Positions),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn flipping_one_bit_of_a_word_flips_half_of_the_result() {
    let mut flipped = 0u32;
    let mut trials = 0u32;
    for word in 0..3 {
        for bit in 0..64 {
            for value in [0u64, 1, 12345, u64::MAX] {
                let words = [value, value ^ 7, value.rotate_left(9)];
                let mut other = words;
                other[word] ^= 1 << bit;
                let changed = (mix(&words) ^ mix(&other)).count_ones();
                assert!((8..=56).contains(&changed), "word {word} bit {bit}: {changed}");
                flipped += changed;
                trials += 1;
            }
        }
    }
    let mean = f64::from(flipped) / f64::from(trials);
    assert!((mean - 32.0).abs() < 1.0, "{mean}");
}

#[test]
fn unit_is_uniform_and_below_one() {
    let mut stream = Stream::new(3, 0, 0, Use::Test);
    let values: Vec<f64> = (0..100_000).map(|_| stream.unit()).collect();
    assert!(values.iter().all(|&u| (0.0..1.0).contains(&u)));
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    // Standard error 0.0009.
    assert!((mean - 0.5).abs() < 0.004, "{mean}");
}

#[test]
fn below_reaches_every_value_equally_often() {
    let mut stream = Stream::new(4, 0, 0, Use::Test);
    let mut counts = [0u32; 7];
    for _ in 0..70_000 {
        counts[stream.below(7) as usize] += 1;
    }
    // Standard deviation 93.
    assert!(counts.iter().all(|&c| (9_600..10_400).contains(&c)), "{counts:?}");
    assert_eq!(stream.below(0), 0);
    assert_eq!(stream.below(1), 0);
}

#[test]
fn first_numbers_of_neighbouring_rows_are_uniform() {
    let mut counts = [0u32; 16];
    for row in 0..16_000 {
        counts[(Stream::new(0, 0, row, Use::Positions).next_u64() >> 60) as usize] += 1;
    }
    assert!(counts.iter().all(|&c| (850..1150).contains(&c)), "{counts:?}");
}

proptest! {
    #[test]
    fn shuffle_is_a_permutation(seed: u64, n in 0usize..60) {
        let mut items: Vec<usize> = (0..n).collect();
        Stream::new(seed, 0, 0, Use::Order).shuffle(&mut items);
        items.sort_unstable();
        prop_assert_eq!(items, (0..n).collect::<Vec<_>>());
    }

    #[test]
    fn below_stays_below(seed: u64, n in 1u64..) {
        prop_assert!(Stream::new(seed, 1, 2, Use::Test).below(n) < n);
    }
}

#[test]
fn shuffle_moves_every_item_everywhere() {
    let mut seen = [[0u32; 4]; 4];
    for row in 0..8_000 {
        let mut items = [0usize, 1, 2, 3];
        Stream::new(9, 0, row, Use::Order).shuffle(&mut items);
        for (place, &item) in items.iter().enumerate() {
            seen[place][item] += 1;
        }
    }
    // Standard deviation 39.
    assert!(seen.iter().flatten().all(|&c| (1_800..2_200).contains(&c)), "{seen:?}");
}

#[test]
fn below_rejects_what_would_favour_some_values() {
    // For three quarters of 2^64 plain scaling would return every third value twice as often as the others.
    let mut stream = Stream::new(5, 0, 0, Use::Test);
    let multiples = (0..6_000).filter(|_| stream.below(3 << 62).is_multiple_of(3)).count();
    assert!((1_800..2_200).contains(&multiples), "{multiples}");
}
