//! Tests the generated language with the ordinary pipeline: its text is tokenised with the tokenizer of its vocabulary.

use fn_data::language::{Language, LanguageConfig};
use fn_data::lexicon::{WordNet, WordNetOptions, build_wordnet_lexicon};
use fn_data::tokenise::TextTokenizer;
use std::collections::HashMap;
use std::path::Path;

#[test]
fn the_tokenizer_splits_every_document_into_the_generated_words() {
    let language = Language::new(LanguageConfig::default(), 1).unwrap();
    let vocabulary = language.vocabulary();
    let tokenizer = TextTokenizer::from_vocab(vocabulary.clone(), true).unwrap();
    assert_eq!(tokenizer.sha256(), language.vocabulary_sha256());
    assert_eq!(tokenizer.facts().special, language.special());
    let ids: HashMap<&str, u32> =
        vocabulary.iter().enumerate().map(|(i, w)| (w.as_str(), i as u32)).collect();
    for document in language.documents(30, 2) {
        let expected: Vec<u32> = document.split_whitespace().map(|word| ids[word]).collect();
        assert_eq!(tokenizer.encode(&document), expected, "{document}");
    }
}

#[test]
fn a_wordnet_lexicon_fits_the_tokenizer_that_it_was_built_for() {
    let words =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "go", "went", "travel", "##ing", "glad", "happy"];
    let tokenizer = TextTokenizer::from_vocab(words.map(String::from).to_vec(), true).unwrap();
    let net = WordNet::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wordnet_tiny")).unwrap();
    let lexicon =
        build_wordnet_lexicon(&net, tokenizer.pieces(), tokenizer.sha256(), &WordNetOptions::default())
            .unwrap();
    lexicon.check_vocabulary(tokenizer.size(), tokenizer.sha256()).unwrap();
    assert!(lexicon.contains(5, 6) && lexicon.contains(6, 7) && lexicon.contains(9, 10));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lexicon.safetensors");
    lexicon.save(&path).unwrap();
    assert_eq!(fn_core::lexicon::Lexicon::load(&path).unwrap(), lexicon);
}
