use proptest::prelude::*;

use super::*;

fn asked(bytes: Option<Range<usize>>, context: &str, impossible: bool) -> Question {
    let answers = bytes.map(|bytes| Answer { text: context[bytes.clone()].to_owned(), bytes });
    Question { id: "q".into(), text: "Who? Who?".into(), answers: answers.into_iter().collect(), impossible }
}

fn cut(context: &str, question: Question, length: usize, stride: usize) -> Vec<Window> {
    windows(&one(context, question), &tokenizer(), &WindowOptions { length, stride, question: 2 }).unwrap()
}

#[test]
fn a_window_is_a_question_and_a_part_of_the_context() {
    let windows = cut("a b c d e", asked(Some(4..7), "a b c d e", false), 8, 2);
    let t = tokenizer();
    let shown = |w: &Window| t.decode(&w.ids);
    assert_eq!(
        windows.iter().map(shown).collect::<Vec<_>>(),
        ["[CLS] who ? [SEP] a b c [SEP]", "[CLS] who ? [SEP] c d e [SEP]"]
    );
    assert_eq!(windows[0].token_types, [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!((windows[1].context_at, windows[1].tokens.clone()), (4, 2..5));
    assert_eq!(windows[0].target, Some(Target::NOTHING));
    assert_eq!(windows[1].target, Some(Target { start: 4, end: 5 }));
    assert_eq!(windows[1].text("a b c d e", 4, 5), Some("c d"));
    assert_eq!(windows[1].text("a b c d e", 3, 5), None);
    assert_eq!(windows[1].text("a b c d e", 4, 7), None);
    assert_eq!(windows[1].text("a b c d e", 5, 4), None);
    // `c` has the same context in both windows; the first one counts.
    assert_eq!(windows[0].max_context, [true, true, true]);
    assert_eq!(windows[1].max_context, [false, true, true]);
}

#[test]
fn token_positions_map_to_the_original_text_despite_normalisation() {
    let start = CONTEXT.find("café").unwrap();
    let end = CONTEXT.find(", sells").unwrap();
    let windows = cut(CONTEXT, asked(Some(start..end), CONTEXT, false), 40, 10);
    assert_eq!(windows.len(), 1);
    let target = windows[0].target.unwrap();
    assert_eq!(windows[0].text(CONTEXT, target.start, target.end), Some("café, in Köln"));
    assert_eq!(windows[0].text(CONTEXT, 4, 4), Some("Zoë"));
}

#[test]
fn the_target_of_an_answer_within_a_word_is_the_token_around_it() {
    let windows = cut("a runs", asked(Some(3..5), "a runs", false), 20, 5);
    let target = windows[0].target.unwrap();
    assert_eq!(windows[0].text("a runs", target.start, target.end), Some("run"));
    assert_eq!(target.start, target.end);
}

#[test]
fn the_target_is_cls_for_impossible_questions_and_none_without_an_answer() {
    let target = |q| cut("a b", q, 20, 5)[0].target;
    assert_eq!(target(asked(None, "a b", true)), Some(Target::NOTHING));
    assert_eq!(target(asked(None, "a b", false)), None);
    assert_eq!(target(asked(Some(1..2), "a b", false)), None);
    assert!(Target::NOTHING.is_nothing());
    let windows = cut("\u{1}", asked(None, "\u{1}", true), 20, 5);
    assert_eq!((windows.len(), windows[0].tokens.clone()), (1, 0..0));
}

#[test]
fn options_without_room_for_the_context_are_errors() {
    let data = one("a", asked(None, "a", true));
    let with = |length, stride| windows(&data, &tokenizer(), &WindowOptions { length, stride, question: 2 });
    assert!(with(6, 1).is_ok());
    assert!(matches!(with(5, 1), Err(TaskError::Length { found: 5, least: 6 })));
    assert!(matches!(with(9, 0), Err(TaskError::Zero { .. })));
    let huge = WindowOptions { question: usize::MAX, ..WindowOptions::default() };
    assert!(matches!(windows(&data, &tokenizer(), &huge), Err(TaskError::Length { .. })));
}

#[test]
fn windows_come_in_the_order_of_the_file() {
    let question = |id: usize| json!({"id": id.to_string(), "question": "a"});
    let paragraphs: Vec<Value> = (0..40)
        .map(|p| json!({"context": "a b c d e a b c", "qas": [question(2 * p), question(2 * p + 1)]}))
        .collect();
    let data = read_json(&article(json!(paragraphs)), Problems::Refuse).unwrap();
    let options = WindowOptions { length: 8, stride: 2, question: 3 };
    let windows = windows(&data, &tokenizer(), &options).unwrap();
    let places: Vec<_> = windows.iter().map(|w| (w.paragraph, w.question, w.tokens.start)).collect();
    assert!(places.is_sorted() && places.len() == 40 * 2 * 3, "{}", places.len());
}

/// The rule of the original code (`_check_is_max_context`), evaluated over all windows.
fn best_by_definition(windows: &[Window], token: usize) -> usize {
    let mut best = (0, None);
    for (n, tokens) in
        windows.iter().map(|w| w.tokens.clone()).enumerate().filter(|(_, t)| t.contains(&token))
    {
        let around = (token - tokens.start).min(tokens.end - 1 - token) as f64;
        let score = around + 0.01 * tokens.len() as f64;
        if best.1.is_none_or(|b| score > b) {
            best = (n, Some(score));
        }
    }
    best.0
}

fn texts() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "[a-e]{1,2}", 2 => "[A-E]", 1 => "[é日Ü,.']", 1 => "sells", 1 => "\u{1}", 1 => "ﬁŉİ", 1 => "😀",
    ];
    proptest::collection::vec((word, "[ \n\u{a0}]{0,2}"), 1..60)
        .prop_map(|parts| parts.into_iter().map(|(word, blank)| word + &blank).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn offsets_are_in_order_within_the_text_and_ids_as_ever(text in texts()) {
        let t = tokenizer();
        let (ids, offsets) = t.encode_with_offsets(&text);
        prop_assert_eq!(&ids, &t.encode(&text));
        prop_assert_eq!(ids.len(), offsets.len());
        prop_assert!(offsets.iter().all(|r| r.start < r.end && text.get(r.clone()).is_some()), "{offsets:?}");
        prop_assert!(offsets.is_sorted_by_key(|r| r.start) && offsets.is_sorted_by_key(|r| r.end));
    }

    #[test]
    fn every_token_is_in_a_window_and_best_seen_in_one(
        text in texts(), length in 6usize..40, stride in 1usize..40,
    ) {
        let windows = cut(&text, asked(None, &text, true), length, stride);
        let tokens = tokenizer().encode(&text).len();
        for token in 0..tokens {
            let best: Vec<usize> = (0..windows.len())
                .filter(|&n| {
                    let w = &windows[n];
                    w.tokens.contains(&token) && w.max_context[token - w.tokens.start]
                })
                .collect();
            prop_assert_eq!(best, [best_by_definition(&windows, token)]);
        }
        for w in &windows {
            prop_assert!(w.ids.len() <= length && w.token_types.len() == w.ids.len());
            prop_assert_eq!(w.max_context.len(), w.tokens.len());
        }
    }

    #[test]
    fn the_text_of_an_answer_is_the_text_of_its_target(
        text in texts(), from: proptest::sample::Index, tokens in 1usize..6, length in 12usize..40, stride in 1usize..5,
    ) {
        let (_, offsets) = tokenizer().encode_with_offsets(&text);
        prop_assume!(!offsets.is_empty());
        let first = from.index(offsets.len());
        let last = (first + tokens - 1).min(offsets.len() - 1);
        let bytes = offsets[first].start..offsets[last].end;
        let windows = cut(&text, asked(Some(bytes.clone()), &text, false), length, stride);
        let mut found = 0;
        for w in &windows {
            let target = w.target.unwrap();
            if !target.is_nothing() {
                prop_assert_eq!(w.text(&text, target.start, target.end), Some(&text[bytes.clone()]));
                found += 1;
            }
        }
        // With this length and stride, each span of up to 4 tokens lies completely in some window.
        prop_assert!(found > 0 || tokens > 4 || length - 5 < tokens + stride, "{windows:?}");
    }
}
