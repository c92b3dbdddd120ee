use super::*;

fn documents(texts: &[&str]) -> impl Iterator<Item = Document> {
    let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
    texts.into_iter().map(|text| Document { text })
}

fn count(texts: &[&str], most: usize) -> Counted {
    let normalizer = normalizer(Normalisation::bert(true));
    let split = |stretch: &str, with: &mut dyn FnMut(&str)| words_of(stretch, true, &normalizer, with);
    count_words(documents(texts), false, most, &split)
}

fn options(size: usize, limit_alphabet: Option<usize>) -> WordPieceOptions {
    WordPieceOptions { size, lowercase: true, limit_alphabet }
}

fn train(texts: &[&str], size: usize, limit_alphabet: Option<usize>) -> TrainedWordPiece {
    train_wordpiece(documents(texts), &options(size, limit_alphabet)).unwrap()
}

/// 1,200 Chinese characters, each a word, and Greek words: more than the 1,000 characters that the library's BERT trainer
/// keeps by default.
fn chinese_and_greek() -> String {
    let chinese = (0..1_200_u32).map(|i| char::from_u32(0x4e00 + i).unwrap());
    let line: String = chinese.chain(" αβγ βγα γαβ αβγ".chars()).collect();
    format!("{line}\n").repeat(3)
}

#[test]
fn every_character_is_kept_as_by_the_library_without_a_limit() {
    use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
    use tokenizers::{
        TokenizerBuilder, TokenizerImpl, decoders::DecoderWrapper, processors::PostProcessorWrapper,
    };
    let text = chinese_and_greek();
    let mut plainly: TokenizerImpl<
        WordPiece,
        BertNormalizer,
        BertPreTokenizer,
        PostProcessorWrapper,
        DecoderWrapper,
    > = TokenizerBuilder::new()
        .with_model(WordPiece::default())
        .with_normalizer(Some(normalizer(Normalisation::bert(true))))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(None)
        .with_decoder(None)
        .build()
        .unwrap();
    let mut trainer = WordPieceTrainer::builder().vocab_size(1_300).show_progress(false).build();
    plainly.train(&mut trainer, std::iter::once(text.as_str())).unwrap();
    let single = |piece: &str| piece.trim_start_matches("##").chars().count() == 1;
    let mut theirs: Vec<String> =
        plainly.get_vocab(false).into_keys().filter(|piece| single(piece)).collect();
    let trained = train(&[&text], 1_300, None);
    let mut ours: Vec<String> =
        trained.tokenizer.pieces().iter().filter(|piece| single(piece)).cloned().collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 1_200 + 6);
    assert!(!trained.tokenizer.encode(&text).contains(&trained.tokenizer.special().unk));
    assert_eq!(
        trained.coverage,
        Coverage { characters: 1_203, covered: 1_203, running: 3 * 1_212, unknown: 0 }
    );
    let said = trained.coverage.to_string();
    assert_eq!(
        said,
        "characters covered: 1203 of 1203; share of running characters that become [UNK]: 0.00 %"
    );
    // "αβγ", "βγα", "γαβ" and their parts: no more pieces can be learnt from the text, and a remark says so.
    let remarks = trained.coverage.remarks(trained.tokenizer.size(), 1_300);
    assert!(remarks.len() == 1 && remarks[0].contains("1300 pieces were requested"), "{remarks:?}");
}

#[test]
fn the_coverage_of_a_limited_alphabet_is_the_share_of_unk_in_the_encoded_text() {
    let text = chinese_and_greek();
    let trained = train(&[&text], 1_300, Some(900));
    let unk = trained.tokenizer.special().unk;
    // The Greek letters are most frequent; of the Chinese ones, which are equally frequent, those with the smallest code
    // are kept.
    assert_eq!((trained.coverage.covered, trained.coverage.unknown), (900, 3 * 303));
    let unknown = trained.tokenizer.encode(&text).iter().filter(|&&id| id == unk).count();
    assert_eq!(unknown as u64, trained.coverage.unknown, "each Chinese character is a word");
    // The tokenizer keeps the share of its pieces, and its files do.
    let share = unknown as f64 / trained.tokenizer.encode(&text).len() as f64;
    let dir = tempfile::tempdir().unwrap();
    trained.tokenizer.save(dir.path()).unwrap();
    for found in [trained.tokenizer.clone(), TextTokenizer::load(dir.path()).unwrap()] {
        assert!((found.unknown_in_own_text().unwrap() - share).abs() < 1e-12, "{found:?}");
    }
    std::fs::write(dir.path().join("fnlm-tokenizer.json"), "{\"unknown_share\": 0.5}").unwrap();
    assert_eq!(TextTokenizer::load(dir.path()).unwrap().unknown_in_own_text(), None, "of another vocabulary");
    assert!(
        trained
            .coverage
            .to_string()
            .contains("900 of 1203; share of running characters that become [UNK]: 25.00 %")
    );
    assert!(trained.coverage.remarks(1_300, 1_300)[0].contains("303 characters"));
    assert!(train_wordpiece(documents(&[&text]), &options(300, Some(0))).is_err());
}

#[test]
fn if_not_all_characters_fit_rare_ones_do_not_displace_learnt_pieces() {
    let signs: String = (0..300_u32).flat_map(|i| [char::from_u32(0x2600 + i).unwrap(), ' ']).collect();
    let text = format!("{}\n{signs}", "the cat sat on that mat ".repeat(50_000));
    let trained = train(&[&text], 120, None);
    assert!(trained.tokenizer.id("that").is_some() && trained.coverage.unknown_share() < 5e-4);
    let all = train(&[&text], 800, None).coverage;
    assert_eq!((all.covered, all.unknown), (all.characters, 0));
}

#[test]
fn words_that_are_too_long_count_as_unknown() {
    let text = format!("{} abc abc", "abc".repeat(40));
    let trained = train(&[&text], 100, None);
    assert_eq!((trained.coverage.running, trained.coverage.unknown), (126, 120));
    assert!(trained.coverage.remarks(100, 100)[0].contains("more than 100 characters"));
}

#[test]
fn words_are_counted_as_the_tokenizer_splits_them() {
    let words = count(&["The cat, the\nCafé", "cafe  THE\u{301}"], 100).words;
    let mut words: Vec<(&str, u64)> = words.iter().map(|(w, &c)| (w.as_str(), c)).collect();
    words.sort_unstable();
    assert_eq!(words, [(",", 1), ("cafe", 2), ("cat", 1), ("the", 3)]);
}

#[test]
fn beyond_the_limit_rare_words_are_dropped_but_not_their_characters() {
    let counted = count(&["a a b b c de"], 3);
    assert_eq!(counted.words.len(), 2);
    let alphabet = Alphabet::of(&counted);
    assert_eq!(alphabet.all.into_keys().collect::<String>(), "abcde");
}

#[test]
fn a_vocabulary_smaller_than_the_alphabet_has_the_requested_size() {
    let text: String = ('a'..='z').chain('α'..='ω').flat_map(|c| [c, 'x', c, ' ']).collect();
    let trained = train(&[&text, &text, &text], 60, None);
    assert_eq!(trained.tokenizer.size(), 60);
    // To cover all 51 letters at the beginning of and within words, 5 + 3 * 51 pieces would be needed; there are 55.
    assert_eq!((trained.coverage.characters, trained.coverage.covered), (51, 27));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let text: String = (0..20_000_u32).map(|i| format!("w{} x{}é\n", i % 777, i % 91)).collect();
    let pieces = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
        let train = || {
            train_wordpiece(documents(&[&text, &text]), &options(300, None))
                .map(|t| t.tokenizer.pieces().to_vec())
        };
        pool.map(|pool| pool.install(train).ok())
    };
    assert_eq!(pieces(1), pieces(3));
    assert!(pieces(1).flatten().is_some_and(|pieces| pieces.len() == 300));
}
