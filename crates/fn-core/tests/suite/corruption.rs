//! Corruption of rows.

use fn_core::CoreError;
use fn_core::corrupt::{CorruptedRow, CorruptionConfig, Corruptor, Key, Scheme, Shares, Unit};
use fn_core::noise::{Stream, Use};
use fn_core::vocab::{SpecialIds, VocabFacts};
use proptest::prelude::*;

const PAD: u32 = 0;
const CLS: u32 = 2;
const SEP: u32 = 3;
const MASK: u32 = 4;
const SIZE: usize = 200;
/// From here on pieces continue a word.
const CONTINUATIONS: u32 = 150;

fn vocab() -> VocabFacts {
    let mut vocab = VocabFacts::plain(SIZE, SpecialIds { pad: PAD, unk: 1, cls: CLS, sep: SEP, mask: MASK });
    vocab.continues[CONTINUATIONS as usize..].fill(true);
    vocab
}

fn corruptor(scheme: Scheme, unit: Unit) -> Corruptor {
    Corruptor::new(CorruptionConfig { scheme, unit, ..Default::default() }, vocab()).unwrap()
}

const KEY: Key = Key { seed: 11, step: 5, row: 2 };

fn all_units() -> [Unit; 3] {
    [Unit::Token, Unit::WholeWord, Unit::Span]
}

/// A row of text with specials, some inside.
fn row(seed: u64, words: usize) -> Vec<u32> {
    let mut stream = Stream::new(seed, 0, 0, Use::Test);
    let mut ids = vec![CLS];
    for i in 0..words {
        ids.push(5 + stream.below(SIZE as u64 - 5) as u32);
        if i == words / 2 {
            ids.push(SEP);
        }
    }
    ids.push(SEP);
    ids
}

/// What must hold for every corrupted row.
fn check(c: &Corruptor, ids: &[u32], out: &CorruptedRow) {
    assert_eq!(out.input.len(), ids.len());
    assert_eq!(out.gold.len(), out.positions.len());
    assert!(out.positions.windows(2).all(|p| p[0] < p[1]), "ascending, each once");
    for (&p, &gold) in out.positions.iter().zip(&out.gold) {
        assert!(c.vocab().maskable(ids[p as usize]), "position {p} holds the special {}", ids[p as usize]);
        assert_eq!(gold, ids[p as usize]);
        let new = out.input[p as usize];
        assert!(new == MASK || c.vocab().maskable(new), "{new}");
    }
    for (p, (&before, &after)) in ids.iter().zip(&out.input).enumerate() {
        assert!(before == after || out.positions.contains(&(p as u32)), "position {p} was changed silently");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn only_maskable_positions_are_touched(
        ids in prop::collection::vec(0u32..SIZE as u32 + 3, 0..150),
        pads in 0usize..20, rate in 0.01f64..1.0, seed: u64, unit in 0usize..3, bert: bool,
    ) {
        let scheme = if bert { Scheme::Bert } else { Scheme::Electra };
        let config = CorruptionConfig { scheme, unit: all_units()[unit], rate, ..Default::default() };
        let c = Corruptor::new(config, vocab()).unwrap();
        let mut ids = ids;
        ids.extend(std::iter::repeat_n(PAD, pads));
        let key = Key { seed, ..KEY };
        let out = c.corrupt(&ids, key);
        check(&c, &ids, &out);
        prop_assert!(out.positions.len() <= c.max_predictions(ids.len()));
        prop_assert_eq!(out, c.corrupt(&ids, key));
    }

    #[test]
    fn padding_changes_nothing(words in 0usize..120, pads in 0usize..60, seed: u64, unit in 0usize..3) {
        let c = corruptor(Scheme::Bert, all_units()[unit]);
        let short = row(seed, words);
        let mut long = short.clone();
        long.extend(std::iter::repeat_n(PAD, pads));
        let (a, mut b) = (c.corrupt(&short, KEY), c.corrupt(&long, KEY));
        b.input.truncate(short.len());
        prop_assert_eq!(a, b);
    }

    #[test]
    fn token_and_span_hide_exactly_the_wanted_number(words in 1usize..150, seed: u64, span: bool) {
        let c = corruptor(Scheme::Electra, if span { Unit::Span } else { Unit::Token });
        let ids = row(seed, words);
        let wanted = (words as f64 * 0.15).round().max(1.0) as usize;
        let most = ((0.15 + 0.005) * ids.len() as f64) as usize;
        prop_assert_eq!(c.corrupt(&ids, KEY).positions.len(), wanted.min(most.max(1)));
    }

    #[test]
    fn whole_words_stay_whole(words in 1usize..150, seed: u64, rate in 0.05f64..0.9) {
        let config = CorruptionConfig { unit: Unit::WholeWord, rate, ..Default::default() };
        let c = Corruptor::new(config, vocab()).unwrap();
        let ids = row(seed, words);
        let out = c.corrupt(&ids, KEY);
        for p in 1..ids.len() as u32 {
            let joined = c.vocab().continues(ids[p as usize]) && c.vocab().maskable(ids[p as usize - 1]);
            if joined {
                prop_assert_eq!(out.positions.contains(&p), out.positions.contains(&(p - 1)), "cut before {}", p);
            }
        }
        let wanted = (words as f64 * rate).round().max(1.0) as usize;
        prop_assert!(out.positions.len() <= wanted.max(longest_word(&ids)));
    }
}

fn longest_word(ids: &[u32]) -> usize {
    let (mut longest, mut run) = (1, 0);
    for &id in ids {
        run = if id >= CONTINUATIONS { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    longest
}

/// Shares of mask, other and same among the corrupted tokens of many rows.
fn shares(c: &Corruptor, ids: &[u32], rows: u64) -> [f64; 3] {
    let mut counts = [0.0f64; 3];
    for row in 0..rows {
        let out = c.corrupt(ids, Key { row, ..KEY });
        for (&p, &gold) in out.positions.iter().zip(&out.gold) {
            let new = out.input[p as usize];
            counts[if new == MASK { 0 } else { usize::from(new == gold) + 1 }] += 1.0;
        }
    }
    let sum: f64 = counts.iter().sum();
    counts.map(|c| c / sum)
}

#[test]
fn the_shares_are_those_of_the_papers() {
    let ids = row(1, 100);
    for unit in all_units() {
        // About 15 tokens of 1,500 rows; spans share a draw, which makes the spread larger.
        let [mask, other, same] = shares(&corruptor(Scheme::Electra, unit), &ids, 1500);
        assert!(
            (mask - 0.85).abs() < 0.015 && (same - 0.15).abs() < 0.015,
            "{unit:?}: {mask} {other} {same}"
        );
        assert_eq!(other, 0.0);
        let [mask, other, same] = shares(&corruptor(Scheme::Bert, unit), &ids, 1500);
        // A random word is the old one in one of 195 cases.
        assert!((mask - 0.8).abs() < 0.015 && (other - 0.1).abs() < 0.012, "{unit:?}: {mask} {other} {same}");
        assert!((same - 0.1).abs() < 0.012, "{unit:?}: {same}");
    }
}

#[test]
fn own_shares_replace_those_of_the_scheme() {
    let shares_given = Shares { mask: 0.0, random: 1.0, keep: 0.0 };
    let config = CorruptionConfig { shares: Some(shares_given), ..Default::default() };
    let [mask, other, same] = shares(&Corruptor::new(config, vocab()).unwrap(), &row(1, 100), 200);
    assert_eq!(mask, 0.0);
    assert!(other > 0.98 && same < 0.02);
}

#[test]
fn random_words_reach_the_whole_vocabulary_but_no_special() {
    let shares = Some(Shares { mask: 0.0, random: 1.0, keep: 0.0 });
    let config = CorruptionConfig { shares, rate: 1.0, ..Default::default() };
    let c = Corruptor::new(config, vocab()).unwrap();
    let ids = row(1, 120);
    let mut seen = [false; SIZE];
    for step in 0..40 {
        for &id in &c.corrupt(&ids, Key { step, ..KEY }).input[1..60] {
            seen[id as usize] = true;
        }
    }
    assert!(!seen[PAD as usize] && !seen[1] && !seen[CLS as usize] && !seen[MASK as usize]);
    assert!(seen[5..].iter().all(|&s| s));
}

#[test]
fn every_position_is_hidden_equally_often() {
    let c = corruptor(Scheme::Electra, Unit::Token);
    let ids = row(1, 40);
    let mut counts = vec![0u32; ids.len()];
    for row in 0..10_000 {
        for p in c.corrupt(&ids, Key { row, ..KEY }).positions {
            counts[p as usize] += 1;
        }
    }
    for (p, &count) in counts.iter().enumerate() {
        // 6 of 40 in 10,000 rows: 1,500, standard deviation 36.
        let expected = if c.vocab().maskable(ids[p]) { 1_350..1_650 } else { 0..1 };
        assert!(expected.contains(&count), "position {p}: {count}");
    }
}

#[test]
fn other_keys_give_other_corruptions() {
    let ids = row(1, 100);
    for unit in all_units() {
        let c = corruptor(Scheme::Bert, unit);
        let base = c.corrupt(&ids, KEY);
        for other in [Key { seed: 12, ..KEY }, Key { step: 6, ..KEY }, Key { row: 3, ..KEY }] {
            assert_ne!(base, c.corrupt(&ids, other), "{unit:?} {other:?}");
        }
    }
}

#[test]
fn the_corruption_of_a_key_never_changes() {
    // A row's corruption is part of what a resumed run repeats.
    let out = corruptor(Scheme::Bert, Unit::Token).corrupt(&row(1, 30), KEY);
    assert_eq!(out.positions, GOLDEN_POSITIONS);
}

const GOLDEN_POSITIONS: [u32; 5] = [1, 2, 12, 14, 15];

#[test]
fn spans_have_the_lengths_asked_for() {
    let config = CorruptionConfig { unit: Unit::Span, rate: 0.02, span_max: 4, ..Default::default() };
    let c = Corruptor::new(CorruptionConfig { max_predictions: Some(1000), ..config }, vocab()).unwrap();
    let ids = row(1, 1500);
    let mut counts = [0u32; 8];
    for row in 0..300 {
        let p = c.corrupt(&ids, Key { row, ..KEY }).positions;
        let mut length = 1usize;
        for pair in p.windows(2) {
            if pair[1] == pair[0] + 1 {
                length += 1;
            } else {
                counts[length.min(7)] += 1;
                length = 1;
            }
        }
    }
    // Geometric with mean 3, clipped at 4: 1/3, 2/9, 4/27, 8/27. Neighbouring spans merge and last ones are cut: wide limits.
    let sum: u32 = counts.iter().sum();
    let share = |n: usize| f64::from(counts[n]) / f64::from(sum);
    for (n, expected) in [(1, 0.333), (2, 0.222), (3, 0.148), (4, 0.296)] {
        assert!((share(n) - expected).abs() < 0.05, "length {n}: {} expected {expected}", share(n));
    }
}

#[test]
fn a_span_is_replaced_as_a_whole() {
    let config = CorruptionConfig { unit: Unit::Span, rate: 0.05, span_max: 3, ..Default::default() };
    let c = Corruptor::new(config, vocab()).unwrap();
    let ids = row(1, 100);
    let mut mixed = 0;
    let mut pairs = 0;
    for row in 0..500 {
        let out = c.corrupt(&ids, Key { row, ..KEY });
        for pair in out.positions.windows(2).filter(|p| p[1] == p[0] + 1) {
            pairs += 1;
            mixed +=
                u32::from((out.input[pair[0] as usize] == MASK) != (out.input[pair[1] as usize] == MASK));
        }
    }
    // Two spans side by side may differ; independent draws would make 2 * .85 * .15 = 26 % of the pairs mixed.
    assert!(pairs > 500 && f64::from(mixed) < 0.05 * f64::from(pairs), "{mixed} of {pairs}");
}

#[test]
fn a_row_without_a_maskable_token_comes_back_as_it_is() {
    for unit in all_units() {
        let c = corruptor(Scheme::Bert, unit);
        for ids in [vec![], vec![PAD; 5], vec![CLS, SEP], vec![CLS, MASK, 1, SEP, PAD], vec![SIZE as u32 + 7]]
        {
            let out = c.corrupt(&ids, KEY);
            assert_eq!(out, CorruptedRow { input: ids, positions: vec![], gold: vec![] });
        }
    }
}

#[test]
fn one_token_is_enough() {
    for unit in all_units() {
        assert_eq!(corruptor(Scheme::Bert, unit).corrupt(&[CLS, 9, SEP], KEY).positions, [1]);
    }
}

#[test]
fn a_word_longer_than_all_that_may_be_hidden_stays() {
    let ids = [CLS, 9, 160, 161, 162, SEP];
    let config = CorruptionConfig { unit: Unit::WholeWord, max_predictions: Some(3), ..Default::default() };
    assert!(Corruptor::new(config.clone(), vocab()).unwrap().corrupt(&ids, KEY).positions.is_empty());
    let config = CorruptionConfig { max_predictions: Some(4), ..config };
    assert_eq!(Corruptor::new(config, vocab()).unwrap().corrupt(&ids, KEY).positions, [1, 2, 3, 4]);
}

#[test]
fn max_predictions_follows_electra() {
    let c = corruptor(Scheme::Electra, Unit::Token);
    assert_eq!([1, 6, 128, 512].map(|l| c.max_predictions(l)), [1, 1, 19, 79]);
    let config = CorruptionConfig { max_predictions: Some(5), ..Default::default() };
    let c = Corruptor::new(config, vocab()).unwrap();
    assert_eq!(c.max_predictions(512), 5);
    assert_eq!(c.corrupt(&row(1, 200), KEY).positions.len(), 5);
    assert_eq!(c.config().max_predictions, Some(5));
}

#[test]
fn impossible_settings_name_the_field_and_the_range() {
    let bad = |change: &dyn Fn(&mut CorruptionConfig)| {
        let mut config = CorruptionConfig::default();
        change(&mut config);
        Corruptor::new(config, vocab()).unwrap_err().to_string()
    };
    assert_eq!(bad(&|c| c.rate = 0.0), "`rate` is 0, but must be above 0 and at most 1");
    assert!(bad(&|c| c.rate = f64::NAN).starts_with("`rate` is NaN"));
    assert!(bad(&|c| c.max_predictions = Some(0)).contains("max_predictions"));
    assert!(bad(&|c| c.span_mean = 0.5).contains("span_mean"));
    assert!(bad(&|c| c.span_max = 0).contains("span_max"));
    let shares = |mask, random, keep| Some(Shares { mask, random, keep });
    assert!(bad(&|c| c.shares = shares(0.9, 0.2, 0.0)).contains("add up to 1"));
    assert!(bad(&|c| c.shares = shares(1.5, -0.5, 0.0)).contains("shares.mask"));
}

#[test]
fn a_vocabulary_that_contradicts_itself_is_refused() {
    let mut short = vocab();
    short.continues.pop();
    let e = Corruptor::new(CorruptionConfig::default(), short).unwrap_err();
    assert_eq!(e, CoreError::VocabularyShape { field: "continues", found: SIZE - 1, size: SIZE });
    let mut beyond = vocab();
    beyond.special.mask = SIZE as u32;
    let e = Corruptor::new(CorruptionConfig::default(), beyond).unwrap_err();
    assert!(matches!(e, CoreError::SpecialId { name: "[MASK]", .. }), "{e}");
    let special = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
    let e = Corruptor::new(
        CorruptionConfig { scheme: Scheme::Bert, ..Default::default() },
        VocabFacts::plain(5, special),
    );
    assert!(matches!(e.unwrap_err(), CoreError::NothingToDraw { .. }));
}

#[test]
fn the_limit_of_a_row_comes_from_its_own_length_not_from_its_padding() {
    // 10 words: 15 % are 2, but 12 ids allow int(0.155 * 12) = 1.
    let mut ids: Vec<u32> = [CLS].into_iter().chain(10..20).chain([SEP]).collect();
    let c = corruptor(Scheme::Electra, Unit::Token);
    let short = c.corrupt(&ids, KEY);
    assert_eq!(short.positions.len(), 1);
    ids.resize(128, PAD);
    assert_eq!(c.corrupt(&ids, KEY).positions, short.positions);
}
