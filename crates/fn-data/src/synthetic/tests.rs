use std::collections::BTreeSet;

use super::*;

const SPECIAL: SpecialIds = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
const KINDS: [SyntheticKind; 2] = [SyntheticKind::ShuffleDyck, SyntheticKind::LinearRnn];

fn vocabulary() -> VocabFacts {
    let mut facts = VocabFacts::plain(60, SPECIAL);
    // Like `[unused7]`: special, but not one of the five special tokens.
    facts.is_special[17] = true;
    facts
}

fn maker(kind: SyntheticKind, seed: u64) -> Synthetic {
    let config = SyntheticConfig { kind, k: 10, ..SyntheticConfig::default() };
    Synthetic::new(&config, &vocabulary(), seed).unwrap().unwrap()
}

#[test]
fn rows_begin_with_cls_end_with_sep_and_hold_only_the_symbols() {
    for kind in KINDS {
        let maker = maker(kind, 1);
        let symbols: BTreeSet<u32> = maker.ids().iter().copied().collect();
        assert_eq!(symbols.len(), 20, "drawn without replacement");
        assert!(symbols.iter().all(|&id| vocabulary().maskable(id)));
        for (number, length) in (0..50).flat_map(|n| [(n, 8), (n, 33), (n, 128)]) {
            let row = maker.row(number, length);
            assert_eq!((row.ids.len(), usize::from(row.second)), (length, length));
            assert_eq!((row.ids[0], row.ids[length - 1]), (SPECIAL.cls, SPECIAL.sep));
            assert!(row.ids[1..length - 1].iter().all(|id| symbols.contains(id)), "{:?}", row.ids);
        }
    }
}

#[test]
fn a_row_depends_on_seed_and_number_alone() {
    for kind in KINDS {
        let (one, two) = (maker(kind, 1), maker(kind, 2));
        let forward: Vec<_> = (0..40).map(|n| one.row(n, 32)).collect();
        let backward: Vec<_> = (0..40).rev().map(|n| maker(kind, 1).row(n, 32)).collect();
        assert!(forward.iter().eq(backward.iter().rev()), "the order in which rows are made matters");
        for a in 0..40 {
            assert_ne!(forward[a], two.row(a as u64, 32), "seed, row {a}");
            assert!((0..a).all(|b| forward[a] != forward[b]), "row {a} came before");
        }
        assert_ne!(one.ids(), two.ids());
    }
}

#[test]
fn brackets_of_a_row_are_balanced_through_their_ids() {
    let maker = maker(SyntheticKind::ShuffleDyck, 4);
    for number in 0..100 {
        let mut open = [0i32; 10];
        for id in &maker.row(number, 64).ids[1..63] {
            let symbol = maker.ids().iter().position(|i| i == id).unwrap();
            open[symbol / 2] += if symbol % 2 == 0 { 1 } else { -1 };
            assert!(open.iter().all(|n| *n >= 0) && open.iter().sum::<i32>() <= 8);
        }
        assert_eq!(open, [0; 10]);
    }
}

#[test]
fn the_kind_none_makes_nothing() {
    assert_eq!(Synthetic::new(&SyntheticConfig::default(), &vocabulary(), 1), Ok(None));
}

#[test]
fn the_error_for_a_small_vocabulary_names_the_largest_possible_k() {
    let config = |k| SyntheticConfig { kind: SyntheticKind::ShuffleDyck, k, ..SyntheticConfig::default() };
    // 60 pieces less five less one.
    assert!(Synthetic::new(&config(27), &vocabulary(), 1).is_ok());
    let error = Synthetic::new(&config(28), &vocabulary(), 1).unwrap_err();
    let expected = SyntheticError::VocabularyTooSmall { k: 28, needed: 56, found: 54, most: 27 };
    assert_eq!(error, expected);
    assert!(error.to_string().contains("set data.synthetic.k to 27 or less"), "{error}");
}

#[test]
fn numbers_out_of_range_are_named() {
    let plain = SyntheticConfig::default;
    let wrong = [
        ("k", SyntheticConfig { k: 0, ..plain() }),
        ("k", SyntheticConfig { k: 16_385, ..plain() }),
        ("p", SyntheticConfig { p: f64::NAN, ..plain() }),
        ("p", SyntheticConfig { p: 1.01, ..plain() }),
        ("depth", SyntheticConfig { depth: 0, ..plain() }),
        ("dim", SyntheticConfig { dim: 0, ..plain() }),
        ("dim", SyntheticConfig { dim: 257, ..plain() }),
    ];
    for (field, config) in wrong {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(&format!("data.synthetic.{field} is ")), "{error}");
    }
    plain().validate().unwrap();
}
