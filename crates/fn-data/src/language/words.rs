//! Synonym sets, polysemy, and pronounceable words.

use super::config::LanguageConfig;
use super::grammar::{Grammar, draw};
use fn_core::noise::Stream;
use std::collections::BTreeSet;

/// Words (numbered from 0) of each concept.
pub(super) struct SynonymSets {
    pub sets: Vec<Vec<u32>>,
    pub word_count: usize,
}

/// Samples the size of each set, then makes a share of the words polysemous.
pub(super) fn synonym_sets(config: &LanguageConfig, grammar: &Grammar, stream: &mut Stream) -> SynonymSets {
    let total: f64 = config.set_sizes.iter().sum();
    let sizes: Vec<f64> = config.set_sizes.iter().map(|w| w / total).collect();
    let mut next = 0u32;
    let mut sets: Vec<Vec<u32>> = (0..grammar.concepts())
        .map(|_| {
            let size = draw(&sizes, stream) as u32 + 1;
            next += size;
            (next - size..next).collect()
        })
        .collect();

    // A polysemous word replaces a word of another set. For a share p of polysemous words among the remaining ones,
    // p / (1 + p) of all words must be replaced. Both sets keep at least one word of their own.
    let wanted = (f64::from(next) * config.polysemy / (1.0 + config.polysemy)).round() as usize;
    let donors: Vec<u32> = (0..sets.len() as u32).filter(|c| sets[*c as usize].len() > 1).collect();
    let mut shared = BTreeSet::new();
    let mut gone = BTreeSet::new();
    let mut done = 0;
    // The number of attempts is bounded, because a small language may not allow so many.
    for attempt in 0..200 * (wanted + 1) {
        if done == wanted || donors.len() < 2 {
            break;
        }
        let a = donors[stream.below(donors.len() as u64) as usize];
        let b = donors[stream.below(donors.len() as u64) as usize];
        // Two thirds of the pairs can occur in the same slot: only these can mislead a judge without context.
        if a == b || (attempt % 3 != 0) != grammar.are_rivals(a, b) {
            continue;
        }
        let (a, b) = (a as usize, b as usize);
        let word = sets[a][stream.below(sets[a].len() as u64) as usize];
        let place = stream.below(sets[b].len() as u64) as usize;
        let replaced = sets[b][place];
        let own = |set: &[u32], except: u32| set.iter().any(|w| *w != except && !shared.contains(w));
        if shared.contains(&word)
            || shared.contains(&replaced)
            || !own(&sets[a], word)
            || !own(&sets[b], replaced)
        {
            continue;
        }
        sets[b][place] = word;
        shared.insert(word);
        gone.insert(replaced);
        done += 1;
    }

    // Renumber the remaining words without gaps.
    let mut renumber = vec![u32::MAX; next as usize];
    let mut word_count = 0u32;
    for old in 0..next {
        if !gone.contains(&old) {
            renumber[old as usize] = word_count;
            word_count += 1;
        }
    }
    // Shuffled, so that ids carry no information about the sets.
    let mut order: Vec<u32> = (0..word_count).collect();
    stream.shuffle(&mut order);
    for set in &mut sets {
        for word in set {
            *word = order[renumber[*word as usize] as usize];
        }
    }
    SynonymSets { sets, word_count: word_count as usize }
}

/// Probabilities `~ rank^-exponent`, sum 1.
pub(super) fn zipf(count: usize, exponent: f64) -> Vec<f64> {
    let raw: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-exponent)).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|w| w / total).collect()
}

/// Written forms of words, all different.
pub(super) struct Coined {
    pub function: Vec<String>,
    pub content: Vec<String>,
}

/// Function words have one syllable as long as there are enough, content words two to four.
pub(super) fn coin(function: usize, content: usize, stream: &mut Stream) -> Coined {
    let mut known = BTreeSet::new();
    let function = (0..function).map(|i| fresh(1 + i / 100, &mut known, stream)).collect();
    let content = (0..content).map(|i| fresh(2 + i % 2, &mut known, stream)).collect();
    Coined { function, content }
}

fn fresh(syllables: usize, known: &mut BTreeSet<String>, stream: &mut Stream) -> String {
    const ONSETS: [&str; 18] =
        ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "st", "tr"];
    const VOWELS: [&str; 7] = ["a", "e", "i", "o", "u", "ai", "ou"];
    const CODAS: [&str; 8] = ["", "", "", "n", "l", "r", "s", "m"];
    let mut choose = |from: &[&'static str]| from[stream.below(from.len() as u64) as usize];
    let mut length = syllables;
    loop {
        // Words become longer after failed attempts, so that this terminates.
        for _ in 0..32 {
            let mut word = String::new();
            for _ in 0..length {
                word.push_str(choose(&ONSETS));
                word.push_str(choose(&VOWELS));
            }
            word.push_str(choose(&CODAS));
            if known.insert(word.clone()) {
                return word;
            }
        }
        length += 1;
    }
}
