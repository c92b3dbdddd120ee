//! What a lexicon holds, as text.

use fn_core::lexicon::{Lexicon, LexiconStats};
use fn_data::lexicon::WordVectors;
use fn_data::tokenise::TextTokenizer;
use serde_json::{Value, json};

use crate::table::thousands;

/// Words and their look-up sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Each word with the members of its set: the highest grade first, equal grades by id.
    pub found: Vec<(String, Vec<(String, f32)>)>,
    /// Why a word has no set: it is not a single piece of the vocabulary.
    pub unknown: Vec<String>,
    graded: bool,
}

impl Shown {
    /// Looks up these words.
    pub fn new(lexicon: &Lexicon, tokenizer: &TextTokenizer, words: &[String]) -> Self {
        let mut shown = Self { found: Vec::new(), unknown: Vec::new(), graded: lexicon.is_graded() };
        for word in words {
            match tokenizer.one_piece(word) {
                Ok(id) => {
                    let mut members: Vec<(u32, f32)> = lexicon.graded_row(id).collect();
                    members.sort_by(|a, b| b.1.total_cmp(&a.1));
                    let named = members.into_iter().map(|(id, grade)| (tokenizer.piece(id), grade));
                    shown.found.push((word.clone(), named.collect()));
                }
                Err(error) => shown.unknown.push(error.to_string()),
            }
        }
        shown
    }

    /// A map from words to their members, with grades where the lexicon has some.
    pub fn json(&self) -> Value {
        let value = |members: &[(String, f32)]| match self.graded {
            true => json!(members),
            false => json!(members.iter().map(|(word, _)| word).collect::<Vec<_>>()),
        };
        Value::Object(self.found.iter().map(|(word, members)| (word.clone(), value(members))).collect())
    }

    /// A line for each word.
    pub fn text(&self) -> String {
        let member = |(word, grade): &(String, f32)| match self.graded {
            true => format!("{word} {grade:.2}"),
            false => word.clone(),
        };
        let line = |(word, members): &(String, Vec<(String, f32)>)| match members.is_empty() {
            true => format!("{word}: (no entry)\n"),
            false => format!("{word}: {}\n", members.iter().map(member).collect::<Vec<_>>().join(", ")),
        };
        self.found.iter().map(line).collect()
    }
}

/// How many word vectors belong to pieces of the vocabulary, in one line.
pub fn vectors_line(vectors: &WordVectors) -> String {
    format!(
        "{} of {} vectors of {} values belong to pieces of the vocabulary",
        thousands(vectors.len() as u64),
        thousands(vectors.rows()),
        vectors.dimension()
    )
}

/// What a lexicon holds, as JSON.
pub fn described_json(lexicon: &Lexicon, stats: &LexiconStats) -> Value {
    let info = lexicon.info();
    json!({
        "stats": stats,
        "kind": info.kind,
        "note": info.note,
        "vocabulary_sha256": info.vocabulary_sha256,
        "fingerprint": lexicon.fingerprint(),
    })
}

/// What a lexicon holds, line by line; `stats` may count running text as well.
pub fn describe(lexicon: &Lexicon, stats: &LexiconStats) -> String {
    let number = |n: usize| thousands(n as u64);
    let mut out = format!("kind               {}\n", lexicon.info().kind);
    out.push_str(&format!(
        "words with entry   {} of {} ({:.1} %)\n",
        number(stats.words),
        number(stats.vocab_size),
        100.0 * stats.vocabulary_share
    ));
    out.push_str(&format!(
        "entries            {} (mean {:.2}, largest {})\n",
        number(stats.entries),
        stats.mean_size,
        stats.max_size
    ));
    if let Some(grades) = stats.grades {
        out.push_str(&format!(
            "grades             {:.3} to {:.3}, mean {:.3}; {:.1} % of the entries at least 0.5\n",
            grades.lowest,
            grades.highest,
            grades.mean,
            100.0 * grades.half
        ));
    }
    if let Some(share) = stats.running_text_share {
        out.push_str(&format!("running text       {:.1} % of the tokens have an entry\n", 100.0 * share));
    }
    out.push_str(&format!("fingerprint        {}\n", lexicon.fingerprint()));
    out
}
