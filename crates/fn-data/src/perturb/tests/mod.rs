//! Tests of the perturbations; tests of files are in [`files`].

mod files;

use std::path::{Path, PathBuf};

use super::*;
use crate::task::Label;

fn stream(row: u64) -> Stream {
    Stream::new(1, 0, row, Use::Test)
}

fn example(index: usize, first: &str, second: Option<&str>) -> Example {
    Example {
        index,
        id: None,
        first: first.to_owned(),
        second: second.map(str::to_owned),
        label: Some(Label::Class(0)),
    }
}

fn tiny_wordnet() -> WordNet {
    WordNet::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wordnet_tiny")).unwrap()
}

fn perturber(kind: Perturbation, net: Option<&WordNet>) -> Perturber<'_> {
    Perturber::new(kind, Options { rate: 0.3, seed: 1, wordnet: net }).unwrap()
}

#[test]
fn names_are_parsed_and_the_error_for_an_unknown_one_lists_all() {
    for kind in Perturbation::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let text = "typo".parse::<Perturbation>().unwrap_err().to_string();
    assert!(text.contains("\"typo\"") && text.contains("typos, swaps, ocr") && text.contains("distractor"));
    let with = |kind, rate| Perturber::new(kind, Options { rate, seed: 1, wordnet: None }).unwrap_err();
    assert!(with(Perturbation::Synonyms, 0.1).to_string().contains("--wordnet"));
    for rate in [0.0, 1.5, f64::NAN, -1.0] {
        assert!(matches!(with(Perturbation::Case, rate), PerturbError::Rate { .. }), "{rate}");
    }
}

#[test]
fn perturbations_that_may_change_a_label_are_marked_for_each_task() {
    let kept = |task| -> Vec<&str> {
        Perturbation::ALL.into_iter().filter(|&k| keeps_label(task, k)).map(Perturbation::name).collect()
    };
    assert_eq!(kept(GlueTask::Cola), ["case", "contractions", "entities"]);
    assert_eq!(kept(GlueTask::Rte).len(), 8);
    assert!(!kept(GlueTask::Stsb).contains(&"synonyms") && kept(GlueTask::Stsb).contains(&"entities"));
    assert!(!keeps_label_of_kind(TaskKind::Tag, Perturbation::Punctuation));
    assert!(keeps_label_of_kind(TaskKind::Tag, Perturbation::Typos));
}

#[test]
fn words_hold_apostrophes_and_hyphens_but_not_those_at_their_ends() {
    let text = "'Don't' say well-known, O’Neil's 3rd été - ok";
    let found: Vec<&str> = text::words(text).into_iter().map(|r| &text[r]).collect();
    assert_eq!(found, ["Don't", "say", "well-known", "O’Neil's", "3rd", "été", "ok"]);
}

#[test]
fn a_share_of_the_words_is_changed_and_at_least_one() {
    let twenty = vec!["stone"; 20].join(" ");
    for (text, rate, wanted) in [(twenty.as_str(), 0.1, 2), (&twenty, 0.5, 10), ("two words", 0.1, 1)] {
        let new = text::change_words(text, rate, &mut stream(0), letters::upper);
        let changed = text.split(' ').zip(new.split(' ')).filter(|(a, b)| a != b).count();
        assert_eq!(changed, wanted, "{new}");
    }
    assert_eq!(text::change_words("1 2 3", 1.0, &mut stream(0), letters::typo), "1 2 3");
    assert_eq!(text::change_words("", 1.0, &mut stream(0), letters::typo), "");
}

#[test]
fn typos_use_adjacent_keys_swaps_adjacent_letters_and_ocr_its_confusions() {
    for row in 0..50 {
        let typo = letters::typo("Word", &mut stream(row)).unwrap();
        let differ: Vec<(char, char)> = "Word".chars().zip(typo.chars()).filter(|(a, b)| a != b).collect();
        let near = [('W', "QASE"), ('o', "iklp"), ('r', "edft"), ('d', "serfcx")];
        assert!(near.iter().any(|(c, to)| differ[0].0 == *c && to.contains(differ[0].1)), "{typo}");
        assert_eq!((differ.len(), typo.len()), (1, 4));
        let swap = letters::swap("abba", &mut stream(row)).unwrap();
        assert!(["baba", "abab"].contains(&swap.as_str()), "{swap}");
        let ocr = letters::ocr("term", &mut stream(row)).unwrap();
        assert!(["tenn", "tcrm", "terrn"].contains(&ocr.as_str()), "{ocr}");
    }
    assert_eq!(letters::swap("aaa", &mut stream(0)), None);
    assert_eq!(letters::typo("a", &mut stream(0)), None);
    assert_eq!(letters::ocr("xyz", &mut stream(0)), None);
}

#[test]
fn only_punctuation_marks_are_inserted_and_deleted() {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let text = "Well, it cost 1,000.50 dollars . He paid";
    let mut seen = std::collections::BTreeSet::new();
    for row in 0..60 {
        let new = punctuation::change(text, 0.1, &mut stream(row));
        assert_eq!(letters(&new), letters(text));
        assert!(new.contains("1,000.50"), "{new}");
        assert_ne!(new, text);
        seen.insert(new);
    }
    assert!(seen.contains("Well it cost 1,000.50 dollars . He paid"), "{seen:?}");
    assert!(seen.contains("Well, it cost 1,000.50 dollars He paid"), "{seen:?}");
    assert!(seen.contains("Well, it cost 1,000.50 dollars . He paid."), "{seen:?}");
    assert!(seen.contains("Well, it, cost 1,000.50 dollars . He paid"), "{seen:?}");
}

#[test]
fn contractions_are_made_and_expanded_where_grammatical() {
    let all = |text: &str| contractions::change(text, 1.0, &mut stream(0));
    for (from, to) in [
        ("Do not go, I will not.", "Don't go, I won't."),
        ("He can't and doesn't.", "He cannot and does not."),
        ("it does n't work", "it does not work"),
        ("They are here.", "They're here."),
        ("I'm sure we’ve met.", "I am sure we have met."),
        // Unchanged, because the result would not be grammatical.
        ("That is where they are.", "That is where they are."),
        ("Don't you know?", "Don't you know?"),
        ("Why don't they go?", "Why don't they go?"),
        ("It's been done; he'd gone", "It's been done; he'd gone"),
        ("undo nothing", "undo nothing"),
    ] {
        assert_eq!(all(from), to);
    }
}

#[test]
fn synonyms_have_one_part_of_speech_and_are_base_forms() {
    let net = tiny_wordnet();
    let of = |word: &str| synonyms::synonym(&net, word, 0..word.len(), &mut stream(3));
    // `glad`: one adjective; `boats` is no base form; `go` has no noun in the tiny files but a form may differ.
    assert_eq!(of("glad").as_deref(), Some("happy"));
    assert_eq!(of("Glad").as_deref(), Some("Happy"));
    assert_eq!(of("GLAD"), None);
    assert_eq!(of("boats"), None);
    assert_eq!(of("went"), None);
    assert_eq!(of("zzz"), None);
    let perturber = perturber(Perturbation::Synonyms, Some(&net));
    assert_eq!(perturber.examples(&[example(0, "A glad dog", None)])[0].first, "A happy dog");
    // Names and words in capitals stay, also after the first word of a sentence.
    let all = Options { rate: 1.0, seed: 1, wordnet: Some(&net) };
    let all = Perturber::new(Perturbation::Synonyms, all).unwrap();
    let new = |text: &str| all.examples(&[example(0, text, None)])[0].first.clone();
    for (text, wanted) in [
        ("We met Glad there. Glad dogs, a glad GLAD man", "We met Glad there. Happy dogs, a happy GLAD man"),
        ("\"Glad to see Mr. Glad.\"", "\"Happy to see Mr. Glad.\""),
    ] {
        assert_eq!(new(text), wanted);
    }
}

#[test]
fn a_name_gets_the_same_name_in_both_sentences_and_no_other_gets_it() {
    let rows = [
        example(0, "We saw Anna and Boris in Cairo.", Some("Anna's friend met Boris.")),
        example(1, "They met Dora, Emil and Fritz.", Some("Later Greta came to Hamburg.")),
    ];
    let perturber =
        Perturber::new(Perturbation::Entities, Options { rate: 1.0, seed: 4, wordnet: None }).unwrap();
    let new = perturber.examples(&rows);
    let first: Vec<&str> = new[0].first.trim_end_matches('.').split(' ').collect();
    let (anna, boris, cairo) = (first[2], first[4], first[6]);
    assert_eq!(first[0], "We", "the first word of a sentence is no name");
    let pool = ["Dora", "Emil", "Fritz", "Greta", "Hamburg"];
    for name in [anna, boris, cairo] {
        assert!(pool.contains(&name), "{name}");
    }
    assert!(anna != boris && boris != cairo && anna != cairo);
    // Also at the beginning of a sentence, and in the genitive.
    assert_eq!(new[0].second.as_deref().unwrap(), format!("{anna}'s friend met {boris}."));
    assert!(new[1].second.as_deref().unwrap().starts_with("Later "));
    // If a file has only one name, it is not replaced.
    let alone = [example(0, "We saw Anna.", None)];
    assert_eq!(perturber.examples(&alone), alone);
    // Capitalised words of a headline are not names.
    let headline = [example(0, "Dog Bites Man In Big Street", None), rows[1].clone()];
    assert_eq!(perturber.examples(&headline)[0], headline[0]);
}

#[test]
fn the_same_seed_gives_the_same_text_whatever_the_other_examples() {
    let net = tiny_wordnet();
    let text = "The glad boat, which did not go to Rome or Paris, is here.";
    let mut rows: Vec<Example> = (0..5).map(|i| example(i, text, Some("It's in Oslo"))).collect();
    rows.push(example(5, "Glad to see Anna, Boris, Clara, Dora and Emil; do not go", None));
    for kind in Perturbation::ALL.into_iter().filter(|k| k.suits_sentences()) {
        let perturber = perturber(kind, Some(&net));
        let new = perturber.examples(&rows);
        assert_eq!(new, perturber.examples(&rows));
        assert_ne!(new, rows, "{kind}");
        assert!(new.iter().zip(&rows).all(|(a, b)| a.label == b.label && a.index == b.index));
        if kind != Perturbation::Entities {
            assert_eq!(perturber.examples(&rows[3..4]), new[3..4]);
        }
        let other = Perturber::new(kind, Options { rate: 0.3, seed: 2, wordnet: Some(&net) }).unwrap();
        let few_ways = matches!(kind, Perturbation::Contractions | Perturbation::Synonyms);
        assert!(few_ways || other.examples(&rows) != new, "{kind}");
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}
