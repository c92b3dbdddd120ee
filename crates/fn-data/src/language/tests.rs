use super::*;
use std::collections::BTreeMap;

fn language(seed: u64) -> Language {
    Language::new(LanguageConfig::default(), seed).unwrap()
}

fn small(change: impl FnOnce(&mut LanguageConfig)) -> LanguageConfig {
    let mut config = LanguageConfig::default();
    change(&mut config);
    config
}

#[test]
fn the_same_seeds_give_the_same_language_and_text() {
    let (a, b) = (language(3), language(3));
    assert_eq!(a.vocabulary(), b.vocabulary());
    assert_eq!(a.vocabulary_sha256(), b.vocabulary_sha256());
    assert_eq!(a.rows(20, 64, 5), b.rows(20, 64, 5));
    assert_eq!(a.documents(5, 9).collect::<Vec<_>>(), b.documents(5, 9).collect::<Vec<_>>());
    assert_ne!(a.rows(20, 64, 5), a.rows(20, 64, 6));
    assert_ne!(a.vocabulary(), language(4).vocabulary());
}

#[test]
fn a_row_does_not_depend_on_how_many_are_asked_for() {
    let l = language(1);
    let rows = l.rows(30, 48, 2);
    assert_eq!(rows[..7], l.rows(7, 48, 2)[..]);
    assert_eq!(rows[11], l.row(11, 48, 2));
}

#[test]
fn words_are_different_lower_case_and_follow_the_five_specials() {
    let l = language(1);
    let vocabulary = l.vocabulary();
    assert_eq!(vocabulary[..5], SPECIALS.map(String::from));
    assert!((400..=800).contains(&vocabulary.len()), "{}", vocabulary.len());
    let different: BTreeSet<_> = vocabulary.iter().collect();
    assert_eq!(different.len(), vocabulary.len());
    for word in &vocabulary[7..] {
        assert!(word.len() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
    }
    for (id, word) in vocabulary.iter().enumerate() {
        assert_eq!(l.word(id as u32), Some(word.as_str()));
    }
}

#[test]
fn rows_are_framed_and_never_too_long() {
    let l = language(2);
    for length in [2, 8, 20, 64, 128] {
        for row in l.rows(40, length, 1) {
            assert!(row.ids.len() <= length);
            assert_eq!(row.ids.len(), row.slots.len());
            assert_eq!((row.ids.first(), row.ids.last()), (Some(&2), Some(&3)));
            assert!(row.ids[1..row.ids.len() - 1].iter().all(|id| *id > 4 && (*id as usize) < l.size()));
            assert!(length < 64 || row.ids.len() + 12 > length, "a row is filled as far as sentences fit");
        }
    }
}

#[test]
fn every_written_word_realises_its_slot_and_is_no_false_negative_of_itself() {
    let l = language(5);
    let mut seen = 0;
    for row in l.rows(50, 64, 1) {
        for (&id, slot) in row.ids.iter().zip(&row.slots) {
            let Some(slot) = *slot else {
                assert!(l.senses[id as usize].is_empty(), "content words have a slot");
                continue;
            };
            seen += 1;
            assert!(l.truth_fits(slot, id));
            assert!(!l.is_false_negative(slot, id, id));
            for &other in l.realisations(slot) {
                assert_eq!(l.is_false_negative(slot, id, other), other != id);
            }
            let stranger = (5..l.size() as u32).find(|w| !l.realisations(slot).contains(w)).unwrap();
            assert!(!l.is_false_negative(slot, id, stranger));
        }
    }
    assert!(seen > 1000, "{seen}");
    assert!(l.realisations(SlotId(u32::MAX)).is_empty());
}

#[test]
fn interchangeable_words_are_drawn_by_rank_and_by_nothing_else() {
    let l = language(1);
    let mut counts: BTreeMap<SlotId, BTreeMap<u32, u64>> = BTreeMap::new();
    for row in l.rows(3000, 64, 1) {
        for (&id, slot) in row.ids.iter().zip(&row.slots) {
            if let Some(slot) = slot {
                *counts.entry(*slot).or_default().entry(id).or_default() += 1;
            }
        }
    }
    let mut checked = 0;
    for (slot, words) in counts {
        let total: u64 = words.values().sum();
        if total < 1000 {
            continue;
        }
        for (&word, weight) in l.realisations(slot).iter().zip(&l.weights[slot.0 as usize]) {
            let share = words.get(&word).copied().unwrap_or(0) as f64 / total as f64;
            assert!((share - weight).abs() < 0.08, "slot {slot:?}, word {word}: {share} for {weight}");
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn the_asked_share_of_content_words_has_two_senses() {
    for share in [0.0, 0.1, 0.2] {
        let l = Language::new(small(|c| c.polysemy = share), 1).unwrap();
        let content = l.senses.iter().filter(|s| !s.is_empty()).count() as f64;
        let two = l.senses.iter().filter(|s| s.len() == 2).count() as f64;
        assert!(l.senses.iter().all(|s| s.len() <= 2));
        assert!((two / content - share).abs() < 0.01, "{two} of {content} for {share}");
        assert!(l.words.iter().all(|set| !set.is_empty()));
    }
}

#[test]
fn a_full_lexicon_holds_exactly_the_true_pairs() {
    let l = language(1);
    let lexicon = l.lexicon("0", LexiconNoise::default()).unwrap();
    let pairs = l.true_pairs();
    assert_eq!(lexicon.entries(), 2 * pairs.len());
    for (a, b) in pairs {
        assert!(a != b && lexicon.contains(a, b) && lexicon.contains(b, a));
    }
    assert_eq!(lexicon.vocab_size(), l.size());
}

#[test]
fn the_noise_parameters_are_the_recall_and_precision_of_the_pairs() {
    let l = language(1);
    let truth = l.true_pairs();
    let found = |lexicon: &Lexicon| -> (f64, f64) {
        let pairs: BTreeSet<(u32, u32)> = (0..l.size() as u32)
            .flat_map(|a| lexicon.row(a).iter().filter(move |b| a < **b).map(move |b| (a, *b)))
            .collect();
        let good = pairs.intersection(&truth).count() as f64;
        (good / truth.len() as f64, good / pairs.len().max(1) as f64)
    };
    for (coverage, wrong) in [(1.0, 0.0), (0.7, 0.0), (1.0, 0.5), (0.5, 0.25), (0.0, 0.0)] {
        let lexicon = l.lexicon("0", LexiconNoise { coverage, wrong }).unwrap();
        let (recall, precision) = found(&lexicon);
        assert!((recall - coverage).abs() < 0.05, "recall {recall} for {coverage}");
        if coverage > 0.0 {
            let expected = coverage / (coverage + wrong);
            assert!((precision - expected).abs() < 0.05, "precision {precision} for {expected}");
        }
        for w in 0..l.size() as u32 {
            assert!(!lexicon.contains(w, w));
            assert!(lexicon.row(w).iter().all(|r| lexicon.contains(*r, w)), "symmetric");
        }
        assert_eq!(lexicon, l.lexicon("0", LexiconNoise { coverage, wrong }).unwrap());
    }
}

#[test]
fn polysemy_costs_a_context_free_table_precision_and_nothing_else_does() {
    let precision = |share: f64| {
        let l = Language::new(small(|c| c.polysemy = share), 1).unwrap();
        let lexicon = l.lexicon("0", LexiconNoise::default()).unwrap();
        let (mut claimed, mut right, mut missed) = (0u64, 0u64, 0u64);
        for row in l.rows(300, 64, 1) {
            for (&gold, slot) in row.ids.iter().zip(&row.slots) {
                let Some(slot) = *slot else { continue };
                claimed += lexicon.row(gold).len() as u64;
                right +=
                    lexicon.row(gold).iter().filter(|r| l.is_false_negative(slot, gold, **r)).count() as u64;
                missed += l
                    .realisations(slot)
                    .iter()
                    .filter(|r| l.is_false_negative(slot, gold, **r) && !lexicon.contains(gold, **r))
                    .count() as u64;
            }
        }
        assert_eq!(missed, 0, "the complete table has recall 1");
        right as f64 / claimed as f64
    };
    assert_eq!(precision(0.0), 1.0);
    let (some, more) = (precision(0.1), precision(0.3));
    assert!(more < some && some < 0.99 && more > 0.4, "{some} {more}");
}

#[test]
fn the_best_guesser_is_often_right_and_its_errors_are_mostly_false_negatives() {
    let l = language(1);
    let ceiling = l.ceiling(200, 1);
    println!("{} pieces, {} concepts, {ceiling:?}", l.size(), l.concepts());
    assert!((0.55..0.85).contains(&ceiling.masked_accuracy), "{ceiling:?}");
    assert!((0.3..0.65).contains(&ceiling.content_accuracy), "{ceiling:?}");
    assert!(ceiling.concept_accuracy > ceiling.content_accuracy + 0.2, "{ceiling:?}");
    // One word for each concept and one favourite for each head: nearly everything can be guessed.
    let clear = small(|c| {
        c.set_sizes = vec![1.0];
        c.favourites = 1;
    });
    let clear = Language::new(clear, 1).unwrap().ceiling(100, 1);
    assert!(clear.masked_accuracy > 0.9 && clear.false_negative_share == 0.0, "{clear:?}");
}

#[test]
fn the_ceiling_agrees_with_a_guesser_that_plays() {
    // The same posterior, but counting how often its first choice is the word that was drawn.
    let l = language(1);
    let (mut played, mut right) = (0u64, 0u64);
    for i in 0..300 {
        let mut writer = Writer::new(&l, l.text_stream(i, 1, 4));
        let plans: Vec<_> = (0..12).map(|_| writer.plan()).collect();
        let mut stream = Stream::new(99, 0, i, Use::Test);
        for (at, plan) in plans.iter().enumerate() {
            let (ids, _) = l.write(plan, &mut stream);
            for (&part, &id) in l.templates[plan.template].iter().zip(&ids) {
                if plan.concept(part).is_none() {
                    continue;
                }
                let posterior = l.posterior(plan, part, plans.get(at + 1));
                let mut words = BTreeMap::<u32, f64>::new();
                for (c, p) in posterior {
                    for (w, q) in l.words[c as usize].iter().zip(&l.weights[c as usize]) {
                        *words.entry(*w).or_default() += p * q;
                    }
                }
                let best = words.iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
                played += 1;
                right += u64::from(*best == id);
            }
        }
    }
    let share = right as f64 / played as f64;
    let expected = l.ceiling(300, 1).content_accuracy;
    assert!((share - expected).abs() < 0.015, "{share} for {expected}");
}

#[test]
fn documents_are_lines_of_known_words() {
    let l = language(1);
    let known: BTreeSet<_> = l.vocabulary().into_iter().collect();
    for document in l.documents(20, 3) {
        let lines: Vec<_> = document.lines().collect();
        assert!((6..=14).contains(&lines.len()));
        for line in lines {
            assert!(line.ends_with(" ."), "{line}");
            assert!(line.split(' ').all(|word| known.contains(word)), "{line}");
        }
    }
}

#[test]
fn determiners_agree_with_the_class_of_their_noun() {
    let l = language(1);
    let (mut checked, of) = (0, |ids: &[u32], at: usize| (1..=2).map(|d| ids[at - d]).find(|w| *w < 13));
    for row in l.rows(50, 64, 1) {
        for (at, slot) in row.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            if l.grammar.kind(slot.0) != grammar::Kind::Noun {
                continue;
            }
            let determiner = of(&row.ids, at).unwrap();
            assert!(l.function.determiners[l.grammar.class_of(slot.0)].contains(&determiner));
            checked += 1;
        }
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn a_configuration_out_of_range_names_its_field() {
    let message = |change: fn(&mut LanguageConfig)| Language::new(small(change), 1).unwrap_err().to_string();
    assert!(message(|c| c.topics = 0).contains("language.topics is 0; it must be 1 to 64"));
    assert!(message(|c| c.zipf = f64::NAN).contains("language.zipf is NaN"));
    assert!(message(|c| c.polysemy = 0.9).contains("polysemy"));
    assert!(message(|c| c.set_sizes = vec![0.0]).contains("set_sizes"));
    assert!(message(|c| c.decay = 0.0).contains("decay"));
    assert!(message(|c| c.sentences = (5, 4)).contains("sentences"));
    for bad in ["Ds Ns V", "Xs Ns V .", "Ns Ns V .", "V .", "Ds Ns V Ao .", ". Ns V .", ""] {
        let error = Language::new(small(|c| c.templates = vec![bad.into()]), 1).unwrap_err();
        assert!(matches!(error, LanguageError::Template { index: 0, .. }), "{bad}: {error}");
    }
}

#[test]
fn the_smallest_and_a_large_language_can_be_made() {
    let smallest = small(|c| {
        (c.topics, c.nouns_per_topic, c.adjectives, c.verbs, c.adverbs) = (1, 4, 4, 4, 4);
        (c.noun_classes, c.prepositions, c.favourites) = (1, 1, 4);
        c.polysemy = 0.5;
        c.set_sizes = vec![1.0];
    });
    let l = Language::new(smallest, 1).unwrap();
    assert_eq!(l.rows(5, 32, 1).len(), 5);
    assert!(l.lexicon("0", LexiconNoise { coverage: 1.0, wrong: 9.0 }).is_ok());
    let large = small(|c| {
        (c.topics, c.nouns_per_topic, c.verbs) = (64, 64, 1024);
    });
    assert!(Language::new(large, 1).unwrap().size() > 10_000);
}

#[test]
fn the_share_of_replacements_that_fit_agrees_with_a_guesser_that_plays() {
    let l = language(1);
    for knowledge in [0.0, 0.5, 0.9] {
        // Frequencies counted from other text than those of the formula.
        let mut frequency = vec![0.0; l.size()];
        let rows = l.rows(2000, 64, 9);
        let tokens: Vec<u32> = rows.iter().flat_map(|r| r.ids[1..r.ids.len() - 1].to_vec()).collect();
        tokens.iter().for_each(|&id| frequency[id as usize] += 1.0 / tokens.len() as f64);
        let (mut replaced, mut fitting) = (0u64, 0u64);
        for i in 0..1500 {
            let mut writer = Writer::new(&l, l.text_stream(i, 1, 4));
            let plans: Vec<_> = (0..12).map(|_| writer.plan()).collect();
            let mut stream = Stream::new(99, 0, i, Use::Test);
            for (at, plan) in plans.iter().enumerate() {
                let (ids, slots) = l.write(plan, &mut stream);
                for ((&part, &id), slot) in l.templates[plan.template].iter().zip(&ids).zip(&slots) {
                    let sampled = if stream.unit() >= knowledge {
                        grammar::draw(&frequency, &mut stream) as u32
                    } else if let Some(slot) = slot {
                        let posterior = l.posterior(plan, part, plans.get(at + 1));
                        assert!(posterior.iter().any(|(c, _)| *c == slot.0));
                        let weights: Vec<f64> = posterior.iter().map(|(_, p)| *p).collect();
                        let concept = posterior[grammar::draw(&weights, &mut stream)].0 as usize;
                        l.words[concept][grammar::draw(&l.weights[concept], &mut stream)]
                    } else {
                        id
                    };
                    replaced += u64::from(sampled != id);
                    fitting += u64::from(slot.is_some_and(|slot| l.is_false_negative(slot, id, sampled)));
                }
            }
        }
        let played = fitting as f64 / replaced as f64;
        let expected = l.fitting_replacements(knowledge, 600, 2);
        assert!((played - expected).abs() < 0.01, "{played} for {expected} at {knowledge}");
    }
}

#[test]
fn the_dial_sets_the_share_of_replacements_that_fit_and_nothing_but_the_choice_within_a_set() {
    let base = small(|c| {
        c.polysemy = 0.0;
        c.set_sizes = vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    });
    let mut before = f64::INFINITY;
    for share in [0.05, 0.15, 0.28, 0.42] {
        let config = base.with_fitting_replacements(share, 0.9, 3).unwrap();
        assert_eq!(LanguageConfig { zipf: base.zipf, ..config.clone() }, base);
        assert!(config.zipf < before, "the more fit, the more even the choice");
        before = config.zipf;
        let l = Language::new(config, 3).unwrap();
        // It was set on 40 documents, other ones than these.
        let found = l.fitting_replacements(0.9, 200, 1);
        assert!((found - share).abs() < 0.025, "{found} for {share}");
        assert_eq!(l.vocabulary(), Language::new(base.clone(), 3).unwrap().vocabulary());
    }
    let error = base.with_fitting_replacements(0.95, 0.9, 3).unwrap_err();
    assert!(error.to_string().contains("can fit, not 0.95"), "{error}");
    // Words that stand for nothing but themselves never fit in the place of another.
    let alone = small(|c| (c.set_sizes, c.polysemy) = (vec![1.0], 0.0));
    assert_eq!(Language::new(alone, 1).unwrap().fitting_replacements(0.5, 50, 1), 0.0);
}

#[test]
fn the_true_conditional_is_calibrated_and_certain_of_function_words() {
    // Two sentences a row, sets of several words, words with two meanings, liked words with a choice.
    let config = LanguageConfig { topics: 2, nouns_per_topic: 4, ..LanguageConfig::default() };
    let language = Language::new(config, 3).unwrap();
    let mut expected = vec![0.0; language.size()];
    let mut variance = vec![0.0; language.size()];
    let mut found = vec![0.0; language.size()];
    let mut open = 0;
    for i in 0..400 {
        let row = language.planned_row(i, 40, 8);
        assert_eq!(row.truth, language.row(i, 40, 8));
        for (position, (&id, slot)) in row.truth.ids.iter().zip(&row.truth.slots).enumerate() {
            let p = language.conditional(&row, position);
            assert!((p.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(p.iter().any(|(word, p)| *word == id && *p > 0.0), "what stands there is possible");
            if slot.is_none() {
                assert_eq!(p, [(id, 1.0)]);
                continue;
            }
            open += usize::from(p.len() > 1);
            found[id as usize] += 1.0;
            for (word, p) in p {
                expected[word as usize] += p;
                variance[word as usize] += p * (1.0 - p);
            }
        }
        assert!(language.conditional(&row, row.truth.ids.len()).is_empty());
    }
    assert!(open > 3_000, "{open}");
    for word in 0..language.size() {
        // A word of one place says something of the next, so the counts vary more than independent ones: seven deviations.
        let far = (found[word] - expected[word]).abs() / variance[word].sqrt().max(1.0);
        assert!(far < 7.0, "{word}: {} for {}", found[word], expected[word]);
    }
}
