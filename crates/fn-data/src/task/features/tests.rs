use proptest::prelude::*;

use super::*;
use crate::tokenise::SPECIAL_TOKENS;

fn tokenizer() -> TextTokenizer {
    let words = ["a", "b", "c", "un", "##do"];
    TextTokenizer::from_vocab(SPECIAL_TOKENS.iter().chain(&words).map(|&p| p.to_owned()).collect(), true)
        .unwrap()
}

#[test]
fn a_pair_has_two_types_and_two_separators_and_one_sentence_one() {
    let encoder = Encoder::new(&tokenizer(), 10).unwrap();
    assert_eq!(encoder.encode("a b", Some("c")), (vec![2, 5, 6, 3, 7, 3], vec![0, 0, 0, 0, 1, 1]));
    assert_eq!(encoder.encode("a undo", None), (vec![2, 5, 8, 9, 3], vec![0; 5]));
    assert_eq!(encoder.encode("", Some("")), (vec![2, 3, 3], vec![0, 0, 1]));
    assert!(matches!(Encoder::new(&tokenizer(), 4), Err(TaskError::Length { found: 4, least: 5 })));
}

#[test]
fn the_longer_sentence_is_truncated_first_and_of_equal_ones_the_second() {
    let encoder = Encoder::new(&tokenizer(), 8).unwrap();
    assert_eq!(encoder.encode("a a a a a a", Some("b")).0, [2, 5, 5, 5, 5, 3, 6, 3]);
    assert_eq!(encoder.encode("a", Some("b b b b b b")).0, [2, 5, 3, 6, 6, 6, 6, 3]);
    assert_eq!(encoder.encode("a a a a", Some("b b b b")).0, [2, 5, 5, 5, 3, 6, 6, 3]);
    assert_eq!(encoder.encode("a a a a a a a", None).0, [2, 5, 5, 5, 5, 5, 5, 3]);
}

#[test]
fn tags_stand_on_first_pieces_and_words_that_do_not_fit_lose_theirs() {
    let encoder = Encoder::new(&tokenizer(), 6).unwrap();
    let example = |first: &str, tags: &[u32]| Example {
        index: 0,
        id: None,
        first: first.to_owned(),
        second: None,
        label: Some(Label::Tags(tags.to_vec())),
    };
    let features = encoder.features(&example("undo a \u{1} b", &[4, 1, 3, 2]));
    assert_eq!(features.ids, [2, 8, 9, 5, 1, 3]);
    assert_eq!((features.words, features.label), (vec![1, 3, 4], Some(Label::Tags(vec![4, 1, 3]))));
    let features = encoder.features(&example("a b c undo", &[1, 2, 3, 4]));
    assert_eq!(features.ids, [2, 5, 6, 7, 3]);
    let unlabelled = Example { label: None, ..example("undo a", &[]) };
    let features = encoder.word_features(&unlabelled);
    assert_eq!((features.words, features.label), (vec![1, 3], None));
}

#[test]
fn a_batch_is_padded_to_its_longest_row_and_no_further() {
    let encoder = Encoder::new(&tokenizer(), 10).unwrap();
    let features: Vec<Features> = ["a", "a b c", "b c"]
        .iter()
        .map(|text| {
            let (ids, token_types) = encoder.encode(text, None);
            Features { ids, token_types, label: Some(Label::Class(1)), words: vec![] }
        })
        .collect();
    let batch = Batch::new(&features, &[2, 0, 9], 0);
    assert_eq!((batch.length, batch.rows.as_slice()), (4, &[2, 0][..]));
    assert_eq!(batch.ids, [2, 6, 7, 3, 2, 5, 3, 0]);
    assert_eq!(batch.mask, [true, true, true, true, true, true, true, false]);
    assert_eq!((batch.token_types.len(), batch.labels.len()), (8, 2));
    assert_eq!(Batch::new(&features, &[], 0).ids, [0u32; 0]);
}

#[test]
fn lengths_within_a_batch_are_alike_and_batches_come_in_any_order() {
    let lengths: Vec<usize> = (0..3_200).map(|i| 5 + i * 7_919 % 120).collect();
    let batches = Buckets::new(3, 32).unwrap().epoch(&lengths, 0);
    let spread = |rows: &Vec<usize>| {
        let of = rows.iter().map(|&r| lengths[r]);
        of.clone().max().unwrap() - of.min().unwrap()
    };
    // Batches of random lengths have a range of 115 on average.
    let mean = batches.iter().map(spread).sum::<usize>() / batches.len();
    assert!(mean < 18, "{mean}");
    let rising = batches.windows(2).filter(|w| lengths[w[0][0]] < lengths[w[1][0]]).count();
    assert!((20..80).contains(&rising), "{rising}");
    assert!(matches!(Buckets::new(3, 0), Err(TaskError::Zero { .. })));
}

#[test]
fn epochs_differ_in_the_composition_and_the_order_of_batches() {
    // As few examples as in the smallest tasks, each of a different length.
    let lengths: Vec<usize> = (0..640).collect();
    let buckets = Buckets::new(5, 16).unwrap();
    let [first, second] = [0, 1].map(|epoch| buckets.epoch(&lengths, epoch));
    let sets = |batches: &[Vec<usize>]| batches.iter().cloned().collect::<std::collections::HashSet<_>>();
    assert!(sets(&first).is_disjoint(&sets(&second)));
    let near = first.iter().zip(&second).filter(|(a, b)| a[8].abs_diff(b[8]) < 80).count();
    assert!(near < 24, "{near} of {}", first.len());
}

proptest! {
    /// The usual definition of `longest_first`: remove one token at a time.
    #[test]
    fn truncation_at_once_equals_truncation_token_by_token(a in 0usize..60, b in 0usize..60, room in 2usize..60) {
        let (mut x, mut y) = (a, b);
        while x + y > room {
            if x > y { x -= 1 } else { y -= 1 }
        }
        prop_assert_eq!(longest_first(a, b, room), (x, y));
    }

    #[test]
    fn each_example_is_in_one_batch_of_an_epoch(
        lengths in proptest::collection::vec(1usize..200, 0..400), batch in 1usize..40, seed: u64, epoch: u64,
    ) {
        let buckets = Buckets::new(seed, batch).unwrap();
        let batches = buckets.epoch(&lengths, epoch);
        prop_assert_eq!(&batches, &buckets.epoch(&lengths, epoch));
        prop_assert!(batches.iter().all(|b| (1..=batch).contains(&b.len())));
        prop_assert_eq!(batches.len(), lengths.len().div_ceil(batch));
        let mut seen: Vec<usize> = batches.concat();
        if lengths.len() > 30 && batch < 10 {
            prop_assert_ne!(&batches, &buckets.epoch(&lengths, epoch.wrapping_add(1)));
            prop_assert_ne!(&batches, &Buckets::new(seed ^ 1, batch).unwrap().epoch(&lengths, epoch));
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        let in_order = buckets.in_order(lengths.len()).concat();
        prop_assert_eq!(in_order, (0..lengths.len()).collect::<Vec<_>>());
    }
}
