use proptest::prelude::*;

use super::super::decode::*;
use super::*;

const TEXT: &str = "a b c d e";

/// A paragraph with a question of one token, and its windows.
fn asked(length: usize, stride: usize) -> (SquadData, Vec<Window>) {
    let question = Question { id: "q".into(), text: "who".into(), answers: vec![], impossible: false };
    let data = one(TEXT, question);
    let options = WindowOptions { length, stride, question: 1 };
    let windows = windows(&data, &tokenizer(), &options).unwrap();
    (data, windows)
}

/// Decodes these logits of `[CLS] who [SEP] a b c d e [SEP]`.
fn choose(start: &[f32], end: &[f32], options: &DecodeOptions) -> Decoded {
    let (data, windows) = asked(9, 4);
    assert_eq!(windows.len(), 1);
    decode(&data, &windows, &[SpanLogits { start, end }], options).unwrap()
}

fn texts(decoded: &Decoded) -> Vec<&str> {
    decoded.nbest["q"].iter().map(|n| n.text.as_str()).collect()
}

#[test]
fn the_best_pair_in_the_context_wins_and_probabilities_add_up() {
    //            cls  who  sep   a    b    c    d    e   sep
    let start = [9.0, 8.0, 0.0, 1.0, 5.0, 0.0, 4.5, 0.0, 9.0];
    let end = [9.0, 0.0, 8.0, 6.0, 0.0, 5.0, 3.0, 0.0, 9.0];
    let decoded = choose(&start, &end, &DecodeOptions::v1());
    assert_eq!(decoded.predictions["q"], "b c");
    // 10 for `b c`, 8 for `b c d`, 7.5 for `d`, 7 for `a`; the end of `a` lies before `b`.
    assert_eq!(texts(&decoded)[..4], ["b c", "b c d", "d", "a"]);
    let best = &decoded.nbest["q"][0];
    assert_eq!((best.start_logit, best.end_logit), (5.0, 5.0));
    let total: f64 = decoded.nbest["q"].iter().map(|n| n.probability).sum();
    assert!((total - 1.0).abs() < 1e-12);
    let [first, second] = [0, 1].map(|n| decoded.nbest["q"][n].probability);
    assert!((first / second - 2f64.exp()).abs() < 1e-9);
    assert!(decoded.null_odds.is_empty());
    assert!(texts(&decoded).iter().all(|t| !t.is_empty()));
}

#[test]
fn max_answer_and_n_best_are_respected() {
    let start = [0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let end = [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0];
    let with = |n_best, max_answer| {
        choose(&start, &end, &DecodeOptions { n_best, max_answer, null_threshold: None })
    };
    assert_eq!(with(20, 30).predictions["q"], "a b c d e");
    assert_eq!(with(20, 3).predictions["q"], "a b c");
    assert_eq!(texts(&with(2, 30)), ["a b c d e", "a b c d"]);
    // Only the two best ends are tried, and both give answers that are too long.
    assert_eq!(texts(&with(2, 3)), [""]);
}

#[test]
fn null_odds_are_a_difference_and_decide_by_the_threshold() {
    let start = [3.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let end = [2.5, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let with =
        |limit| choose(&start, &end, &DecodeOptions { null_threshold: Some(limit), ..DecodeOptions::v2() });
    let decoded = with(0.0);
    assert_eq!(decoded.null_odds["q"], 2.5);
    assert_eq!((decoded.predictions["q"].as_str(), texts(&decoded)[0]), ("", ""));
    assert_eq!(with(2.5).predictions["q"], "a");
    // The empty answer is in the n-best list even if another one wins.
    let weak = [-9.0, 0.0, 0.0, 1.0, 0.75, 0.5, 0.0, 0.0, 0.0];
    let decoded = choose(&weak, &weak, &DecodeOptions { n_best: 3, ..DecodeOptions::v2() });
    assert_eq!((texts(&decoded).len(), texts(&decoded)[3]), (4, ""));
    assert_eq!((decoded.null_odds["q"], decoded.predictions["q"].as_str()), (-20.0, "a"));
    let none = choose(&start, &end, &DecodeOptions { n_best: 1, ..DecodeOptions::v2() });
    assert_eq!((none.null_odds["q"], none.predictions["q"].as_str()), (ONLY_NULL, ""));
}

#[test]
fn windows_of_a_question_compete_and_the_weakest_null_counts() {
    // `[CLS] who [SEP] a b c [SEP]` and `.. c d e [SEP]`; `c` has its maximum context in the first.
    let (data, windows) = asked(7, 2);
    assert_eq!(windows.len(), 2);
    let zero = [0.0f32; 7];
    let mut first = zero;
    first[0] = 4.0;
    let mut second = zero;
    (second[0], second[3]) = (1.0, 9.0);
    let rows = [SpanLogits { start: &first, end: &first }, SpanLogits { start: &second, end: &second }];
    let decoded = decode(&data, &windows, &rows, &DecodeOptions::v2()).unwrap();
    // A start at `c` in the second window is not valid.
    assert!(decoded.nbest["q"].iter().all(|n| n.start_logit < 9.0));
    assert_eq!(decoded.null_odds["q"], 2.0);
    (second[3], second[4]) = (0.0, 9.0);
    let rows = [SpanLogits { start: &first, end: &first }, SpanLogits { start: &second, end: &second }];
    let decoded = decode(&data, &windows, &rows, &DecodeOptions::v2()).unwrap();
    assert_eq!((decoded.predictions["q"].as_str(), decoded.null_odds["q"]), ("d", 2.0 - 18.0));
}

#[test]
fn a_wrong_number_of_logits_is_an_error_and_those_of_padding_are_ignored() {
    let (data, windows) = asked(9, 4);
    let good = [0.0f32; 9];
    let run = |rows: &[SpanLogits]| decode(&data, &windows, rows, &DecodeOptions::v1());
    assert!(matches!(run(&[]), Err(TaskError::Logits { found: 0, expected: 1, .. })));
    let short = SpanLogits { start: &good, end: &good[1..] };
    assert!(matches!(run(&[short]), Err(TaskError::Logits { found: 8, expected: 9, .. })));
    let mut bad = good;
    bad[4] = f32::NAN;
    let bad = SpanLogits { start: &good, end: &bad };
    assert!(matches!(run(&[bad]), Err(TaskError::NotFinite { window: 0, position: 4 })));
    let mut padded = [9.0f32; 12];
    padded[..9].copy_from_slice(&good);
    padded[11] = f32::NAN;
    let plain = run(&[SpanLogits { start: &good, end: &good }]).unwrap();
    assert_eq!(run(&[SpanLogits { start: &padded, end: &padded }]).unwrap(), plain);
    for options in [
        DecodeOptions { n_best: 0, ..DecodeOptions::v1() },
        DecodeOptions { max_answer: 0, ..DecodeOptions::v1() },
    ] {
        assert!(matches!(decode(&data, &windows, &[], &options), Err(TaskError::Zero { .. })));
    }
}

#[test]
fn results_have_the_shapes_of_the_official_files() {
    let decoded = choose(&[0.0; 9], &[0.0; 9], &DecodeOptions::v2());
    let value = serde_json::to_value(&decoded).unwrap();
    assert!(value["predictions"]["q"].is_string() && value["null_odds"]["q"].is_number());
    let best = value["nbest"]["q"][0].as_object().unwrap();
    let mut keys: Vec<&str> = best.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["end_logit", "probability", "start_logit", "text"]);
    assert_eq!(serde_json::from_value::<Decoded>(value).unwrap(), decoded);
}

proptest! {
    /// Compares with a search over all pairs of all windows instead of the best starts and ends.
    #[test]
    fn the_choice_is_the_best_of_all_pairs(
        seeds in proptest::collection::vec(-100i32..100, 28), max_answer in 1usize..6,
    ) {
        let (data, windows) = asked(7, 2);
        // Distinct logits, so that the best pair is one.
        let logits: Vec<f32> = seeds.iter().enumerate().map(|(i, &s)| s as f32 + i as f32 / 64.0).collect();
        let rows: Vec<SpanLogits> = (0..2)
            .map(|w| SpanLogits { start: &logits[14 * w..14 * w + 7], end: &logits[14 * w + 7..14 * w + 14] })
            .collect();
        let mut best = (f32::NEG_INFINITY, "");
        for (w, row) in windows.iter().zip(&rows) {
            for (s, e) in (0..7).flat_map(|s| (s..7).map(move |e| (s, e))) {
                let score = row.start[s] + row.end[e];
                let text = w.text(TEXT, s, e);
                if let Some(text) = text.filter(|_| w.has_max_context(s) && e - s < max_answer && score > best.0) {
                    best = (score, text);
                }
            }
        }
        let options = DecodeOptions { max_answer, ..DecodeOptions::v1() };
        let decoded = decode(&data, &windows, &rows, &options).unwrap();
        prop_assert_eq!(&decoded.predictions["q"], best.1);
        let scores: Vec<f64> = decoded.nbest["q"].iter().map(|n| n.start_logit + n.end_logit).collect();
        prop_assert!(scores.is_sorted_by(|a, b| a >= b) && scores.len() <= 20);
    }
}
