use super::*;
use crate::lexicon::build::{Inflections, WordNetOptions, build_wordnet_lexicon};
use fn_core::lexicon::Lexicon;
use proptest::prelude::*;

const VOCABULARY: [&str; 52] = [
    "[PAD]", "[UNK]", "thing", "vessel", "craft", "boat", "tub", "bath", "may", "bloom", "glass", "box",
    "boatman", "sailor", "wolf", "ax", "axis", "pole", "go", "travel", "move", "leave", "part", "stop",
    "halt", "glad", "happy", "merry", "gay", "left", "big", "large", "well", "good", "fast", "went", "gone",
    "moved", "going", "boats", "axes", "wolves", "glasses", "boxes", "boatmen", "bigger", "##go", "g0", "Go",
    "tries", "essays", "better",
];

fn tiny() -> WordNet {
    WordNet::open(&tiny_dir()).unwrap()
}

fn tiny_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wordnet_tiny")
}

fn tiny_files() -> WordNetFiles {
    WordNetFiles::read(&tiny_dir()).unwrap()
}

fn build(change: impl FnOnce(&mut WordNetOptions)) -> Lexicon {
    let mut options = WordNetOptions::default();
    change(&mut options);
    build_wordnet_lexicon(&tiny(), &VOCABULARY, "sha", &options).unwrap()
}

fn words(lexicon: &Lexicon, w: &str) -> Vec<&'static str> {
    let id = VOCABULARY.iter().position(|v| *v == w).unwrap();
    let mut row: Vec<_> = lexicon.row(id as u32).iter().map(|r| VOCABULARY[*r as usize]).collect();
    row.sort_unstable();
    row
}

#[test]
fn the_tables_hold_what_the_files_say() {
    let net = tiny();
    assert_eq!(net.len(), 20);
    assert!(net.has("row_boat", Pos::Noun) && !net.has("boats", Pos::Noun) && !net.has("go", Pos::Noun));
    let glad = net.synset(net.senses("glad", Pos::Adjective)[0]).unwrap();
    assert_eq!(glad.words, ["glad".into(), "happy".into()], "the marker (p) is no part of the word");
    assert_eq!(&*glad.gloss, "pleased");
    assert!(matches!(glad.pointers[..], [(Relation::Similar, _)]));
    assert_eq!(net.exceptions(Pos::Verb), 5);
}

#[test]
fn senses_come_in_the_order_of_the_index() {
    let net = tiny();
    let first = net.synset(net.senses("tub", Pos::Noun)[0]).unwrap();
    assert_eq!(&*first.gloss, "to wash in");
    assert_eq!(
        words(&build(|o| o.senses = Some(1)), "tub"),
        ["bath", "boat", "boats"],
        "boat finds tub in its first sense"
    );
    let only = |o: &mut WordNetOptions| (o.senses, o.symmetric) = (Some(1), false);
    assert_eq!(words(&build(only), "tub"), ["bath"]);
    assert_eq!(words(&build(|o| o.symmetric = false), "tub"), ["bath", "boat"]);
}

#[test]
fn detachment_follows_the_table_of_the_documentation() {
    let of = |word: &str, pos| detach(word, pos).into_iter().map(|(base, _)| base).collect::<Vec<_>>();
    for (word, base) in [
        ("dogs", "dog"),
        ("lenses", "lens"),
        ("boxes", "box"),
        ("quizes", "quiz"),
        ("churches", "church"),
        ("bushes", "bush"),
        ("women", "woman"),
        ("ponies", "pony"),
    ] {
        assert!(of(word, Pos::Noun).contains(&base.to_string()), "{word}");
    }
    for (word, bases) in [
        ("runs", vec!["run"]),
        ("tries", vec!["trie", "try", "trie", "tri"]),
        ("takes", vec!["take", "take", "tak"]),
        ("moved", vec!["move", "mov"]),
        ("asking", vec!["aske", "ask"]),
    ] {
        assert_eq!(of(word, Pos::Verb), bases);
    }
    assert_eq!(of("finer", Pos::Adjective), ["fin", "fine"]);
    assert_eq!(of("tallest", Pos::Adjective), ["tall", "talle"]);
    assert_eq!(of("boxesful", Pos::Noun), ["boxeful", "boxful"]);
    for (word, pos) in
        [("glass", Pos::Noun), ("as", Pos::Noun), ("faster", Pos::Adverb), ("s", Pos::Verb), ("", Pos::Verb)]
    {
        assert!(of(word, pos).is_empty(), "{word}");
    }
    assert_eq!(detach("asked", Pos::Verb)[0].1, Form::Past);
    assert_eq!(detach("asking", Pos::Verb)[0].1, Form::Ing);
}

#[test]
fn morphy_takes_the_exception_list_first_and_keeps_known_bases_only() {
    let net = tiny();
    assert_eq!(net.morphy("went", Pos::Verb), ["go"]);
    assert_eq!(net.morphy("axes", Pos::Noun), ["ax", "axis"]);
    assert_eq!(net.morphy("boats", Pos::Noun), ["boat"]);
    assert_eq!(net.morphy("boatmen", Pos::Noun), ["boatman"]);
    assert_eq!(net.morphy("tries", Pos::Verb), ["try"]);
    assert_eq!(net.morphy("moving", Pos::Verb), ["move"]);
    assert_eq!(net.morphy("better", Pos::Adverb), ["well"]);
    assert!(net.morphy("geese", Pos::Verb).is_empty(), "goose is no lemma here");
    assert!(net.morphy("glass", Pos::Noun).is_empty());
    assert_eq!(net.synsets("went", Pos::Verb), net.senses("go", Pos::Verb));
}

#[test]
fn went_finds_the_synsets_of_go() {
    let lexicon = build(|_| {});
    assert_eq!(words(&lexicon, "went"), ["go", "leave", "move", "part", "travel"]);
    assert!(words(&lexicon, "travel").contains(&"went"), "symmetric");
    // `left` is an adjective of its own and the past of `leave`.
    assert_eq!(words(&lexicon, "left"), ["go", "leave", "part"]);
    assert_eq!(words(&build(|o| o.pos = vec![Pos::Adjective]), "left"), [""; 0]);
}

#[test]
fn inflections_can_be_kept_to_themselves_or_left_out() {
    let matching = build(|o| o.inflections = Inflections::Matching);
    assert_eq!(words(&matching, "went"), ["gone", "left", "moved"]);
    assert_eq!(words(&matching, "tries"), ["essays"]);
    assert_eq!(words(&matching, "travel"), ["go", "move"]);
    assert_eq!(words(&matching, "glasses"), ["boxes"]);
    let none = build(|o| o.inflections = Inflections::None);
    assert_eq!(words(&none, "went"), [""; 0]);
    assert_eq!(words(&none, "travel"), ["go", "move"]);
}

#[test]
fn relations_add_similar_adjectives_and_direct_hypernyms() {
    assert_eq!(words(&build(|_| {}), "glad"), ["happy"]);
    let with = |more: Relation| build(|o| o.relations.push(more));
    assert_eq!(words(&with(Relation::Similar), "glad"), ["gay", "happy", "merry"]);
    assert_eq!(words(&with(Relation::Similar), "gay"), ["glad", "happy", "merry"]);
    let hypernyms = with(Relation::Hypernyms);
    assert!(words(&hypernyms, "boat").contains(&"vessel") && words(&hypernyms, "vessel").contains(&"boat"));
    assert!(!words(&hypernyms, "boat").contains(&"thing"), "direct ones only");
    assert_eq!(words(&build(|o| o.relations = vec![Relation::Similar]), "glad"), ["gay", "merry"]);
}

#[test]
fn names_stay_out_unless_asked_for() {
    assert_eq!(words(&build(|_| {}), "may"), ["bloom"]);
    assert_eq!(words(&build(|_| {}), "vessel"), [""; 0]);
    assert_eq!(words(&build(|o| o.names = true), "vessel"), ["craft"]);
}

#[test]
fn pieces_that_are_no_lower_case_words_have_no_part() {
    let lexicon = build(|o| (o.names, o.relations) = (true, vec![Relation::Synonyms, Relation::Hypernyms]));
    for (id, piece) in VOCABULARY.iter().enumerate() {
        let row = lexicon.row(id as u32);
        assert!(!row.contains(&(id as u32)), "{piece} is in its own set");
        for r in row {
            assert!(crate::lexicon::is_word(VOCABULARY[*r as usize]));
            assert!(lexicon.contains(*r, id as u32), "symmetric");
        }
        if !crate::lexicon::is_word(piece) {
            assert!(row.is_empty(), "{piece}");
        }
    }
    assert_eq!(words(&build(|o| o.min_length = 3), "travel"), ["going", "gone", "move", "moved", "went"]);
    assert_eq!(words(&build(|o| o.min_length = 3), "go"), [""; 0]);
}

#[test]
fn every_entry_can_be_explained_and_nothing_else() {
    let net = tiny();
    let mut all = vec![WordNetOptions::default()];
    for inflections in [Inflections::None, Inflections::Matching] {
        all.push(WordNetOptions { inflections, ..WordNetOptions::default() });
    }
    let relations = vec![Relation::Synonyms, Relation::Similar, Relation::Hypernyms];
    all.push(WordNetOptions { relations, senses: Some(1), names: true, ..WordNetOptions::default() });
    all.push(WordNetOptions {
        symmetric: false,
        min_length: 4,
        pos: vec![Pos::Verb],
        ..WordNetOptions::default()
    });
    for options in all {
        let lexicon = build_wordnet_lexicon(&net, &VOCABULARY, "sha", &options).unwrap();
        for (i, w) in VOCABULARY.iter().enumerate() {
            for (j, r) in VOCABULARY.iter().enumerate() {
                let explained = net.relation(w, r, &options);
                assert_eq!(explained.is_some(), lexicon.contains(i as u32, j as u32), "{w} {r} {options:?}");
            }
        }
    }
    let why = net.relation("went", "travel", &WordNetOptions::default()).unwrap();
    assert_eq!((why.lemma.as_str(), why.other.as_str(), why.pos), ("go", "travel", Pos::Verb));
    assert_eq!(&*why.synset.gloss, "to change place");
    assert!(!why.reversed && net.relation("travel", "went", &WordNetOptions::default()).unwrap().reversed);
}

#[test]
fn options_out_of_range_and_a_foreign_vocabulary_are_errors() {
    let of = |options: WordNetOptions, pieces: &[&str]| {
        build_wordnet_lexicon(&tiny(), pieces, "sha", &options).unwrap_err().to_string()
    };
    assert!(of(WordNetOptions { pos: vec![], ..Default::default() }, &["go"]).contains("pos is empty"));
    assert!(of(WordNetOptions { senses: Some(0), ..Default::default() }, &["go"]).contains("senses is 0"));
    assert!(of(WordNetOptions { relations: vec![], ..Default::default() }, &["go"]).contains("relations"));
    assert!(of(WordNetOptions::default(), &["haus", "baum"]).contains("none of the 2 pieces"));
}

/// Changes one file, reads, returns the message.
fn broken(change: impl FnOnce(&mut WordNetFiles)) -> String {
    let mut files = tiny_files();
    change(&mut files);
    WordNet::parse(Path::new("dict"), &files).unwrap_err().to_string()
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from));
    *bytes = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn damaged_files_are_errors_with_file_and_line() {
    let m = broken(|f| replace(&mut f.data[0], "03 n 03 boat", "03 n zz boat"));
    assert!(m.starts_with("dict/data.noun:5: found \"zz\", expected a number of words"), "{m}");
    let m = broken(|f| replace(&mut f.data[0], "03 n 03 boat", "03 n ff boat"));
    assert!(m.contains("data.noun:5"), "{m}");
    let m = broken(|f| replace(&mut f.data[0], "03 n 01 thing", "03 n 00 thing"));
    assert!(m.contains("data.noun:3") && m.contains("at least one word"), "{m}");
    let m = broken(|f| replace(&mut f.data[1], "03 v", "03 n"));
    assert!(m.contains("data.verb:3") && m.contains("synset type"), "{m}");
    let m = broken(|f| f.data[2].extend_from_slice(b"\xff\xfe\n"));
    assert!(m.starts_with("dict/data.adj:7: not UTF-8"), "{m}");
    let m = broken(|f| f.data[0] = f.data[0].repeat(2));
    assert!(m.contains("occurs twice"), "{m}");
    let m = broken(|f| replace(&mut f.index[1], "go v 2", "go v 3"));
    assert!(m.contains("index.verb") && m.contains("a synset offset for each sense"), "{m}");
    let m = broken(|f| replace(&mut f.index[1], "go v 2", "go v 1"));
    assert!(m.contains("expected the end of the line"), "{m}");
    let m = broken(|f| f.data[1].truncate(300));
    assert!(m.contains("data.verb") || m.contains("index.verb"), "{m}");
    let m = broken(|f| f.exceptions[0] = b"wolves\n".to_vec());
    assert!(m.starts_with("dict/noun.exc:1:"), "{m}");
    let m = broken(|f| f.index[3] = [b"well r 1 0 1 0 00000999  \n".as_slice()].concat());
    assert!(m.starts_with("dict/index.adv:1: synset 00000999 is not in data.adv"), "{m}");
    let m = broken(|f| f.data[0] = vec![b'x'; (1 << 20) + 2]);
    assert!(m.contains("more than 1 MiB"), "{m}");
    let missing = WordNet::open(Path::new("no/such/folder")).unwrap_err().to_string();
    assert!(missing.contains("index.noun") && missing.contains("WordNet 3.x folder"), "{missing}");
}

#[test]
fn exception_lists_may_be_missing() {
    let mut files = tiny_files();
    files.exceptions = Default::default();
    let net = WordNet::parse(Path::new("dict"), &files).unwrap();
    assert!(net.morphy("went", Pos::Verb).is_empty());
    assert_eq!(net.morphy("boats", Pos::Noun), ["boat"]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(file in 0usize..12, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut files = tiny_files();
        *slot(&mut files, file) = bytes;
        let _ = WordNet::parse(Path::new("dict"), &files);
    }

    #[test]
    fn flipped_bytes_never_panic_and_what_is_read_can_be_used(
        file in 0usize..12,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut files = tiny_files();
        let bytes = slot(&mut files, file);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        if byte % 4 == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(net) = WordNet::parse(Path::new("dict"), &files) {
            let relations = vec![Relation::Synonyms, Relation::Similar, Relation::Hypernyms];
            let options = WordNetOptions { relations, ..WordNetOptions::default() };
            let _ = build_wordnet_lexicon(&net, &VOCABULARY, "sha", &options);
        }
    }

    #[test]
    fn lines_made_of_plausible_fields_never_panic(
        file in 0usize..12,
        fields in proptest::collection::vec("[0-9a-f]{1,8}|[nvasr]|[@&~!]|word|wörter|\\||\n| ", 0..60),
    ) {
        let mut files = tiny_files();
        *slot(&mut files, file) = fields.join(" ").into_bytes();
        let _ = WordNet::parse(Path::new("dict"), &files);
    }

    #[test]
    fn morphy_takes_any_word(word in "\\PC{0,12}") {
        for pos in POS {
            prop_assert!(!tiny().morphy(&word, pos).contains(&word));
        }
    }
}

fn slot(files: &mut WordNetFiles, file: usize) -> &mut Vec<u8> {
    match file / 4 {
        0 => &mut files.index[file % 4],
        1 => &mut files.data[file % 4],
        _ => &mut files.exceptions[file % 4],
    }
}

#[test]
fn opposites_are_words_not_synsets() {
    let dir = tiny_dir();
    let mut files = WordNetFiles::read(&dir).unwrap();
    files.data[2].extend_from_slice(
        b"00090000 03 a 02 torrid 0 hot 0 002 ! 00090100 a 0201 & 00090100 a 0000 | warm\n\
          00090100 03 a 01 cold 0 002 ! 00090000 a 0102 ! 00090000 a 0000 | not warm\n",
    );
    let net = WordNet::parse(&dir, &files).unwrap();
    assert_eq!(net.antonyms().collect::<Vec<_>>(), [("hot", "cold"), ("cold", "hot")]);
    assert!(net.synonyms().any(|pair| pair == ("torrid", "hot")));
    assert!(net.synonyms().all(|(a, b)| a != b));

    let text = String::from_utf8(files.data[2].clone()).unwrap();
    for between in ["0301", "0202"] {
        files.data[2] = text.replace("a 0201", &format!("a {between}")).into_bytes();
        let error = WordNet::parse(&dir, &files).unwrap_err().to_string();
        assert!(error.contains("data.adj:") && error.contains("words that the synsets have"), "{error}");
    }
}
