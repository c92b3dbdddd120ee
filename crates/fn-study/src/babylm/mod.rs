//! The zero-shot measures of the BabyLM challenge (Warstadt et al. 2023): which of two sentences does a model find likelier?
//!
//! [`measure`] reads minimal pairs, BLiMP (Warstadt et al., *BLiMP: The Benchmark of Linguistic Minimal Pairs*, 2020) and the
//! challenge's supplement to it, scores both sentences of each with [`Prober::log_likelihoods`](crate::probe::Prober::log_likelihoods) and
//! counts how often the acceptable one wins. It also ranks substitutes of words in context and holds the ranks against people
//! ([`Substitution`]). [`Report`] has the tables.

mod pairs;
mod report;
mod substitution;

use std::path::{Path, PathBuf};

use fn_core::files::{parent, write_atomic};
use fn_core::progress::Counter;
use fn_train::stop::Stop;
use serde_json::{Map, Value, json};

pub use pairs::{Pair, PairSet, read};
pub use report::Report;
pub use substitution::Substitution;

use crate::probe::{Likelihood, ProbeError, Prober, files};

/// The collection that a set of pairs belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// 67 sets of 1,000 pairs.
    Blimp,
    /// The five sets that the BabyLM challenge adds.
    Supplement,
}

impl Collection {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        ["BLiMP", "supplement"][self as usize]
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Files or folders of BLiMP (`.jsonl`, also packed).
    pub blimp: &'a [PathBuf],
    /// Files or folders of the supplement.
    pub supplement: &'a [PathBuf],
    /// What people said of substitutes in context: SWORDS, CoInCo, SemEval-2007 and the other files of [`crate::exam::read`].
    pub substitution: &'a [PathBuf],
    /// Score at most so many pairs of each set, drawn by the name of the set: the same ones every time. None: all.
    pub pairs: Option<usize>,
    /// Folder in which the scores of every sentence are kept, one file per set, each written as soon as its set is done; at the end
    /// `report.json` too.
    pub out: Option<&'a Path>,
}

/// The result on one set of pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct SetResult {
    /// Where it comes from.
    pub collection: Collection,
    /// Name of the file.
    pub name: String,
    /// What the set is about, where the file says so: syntax, morphology, ...
    pub field: Option<String>,
    /// The phenomenon, where the file says so: anaphor agreement, ...
    pub term: Option<String>,
    /// Pairs scored.
    pub pairs: usize,
    /// Pairs with a sentence longer than the model's maximum length; they are not scored.
    pub too_long: usize,
    /// Share of the pairs whose acceptable sentence has the higher score, ties half, by [`Prober::likelihoods`]. NaN without pairs.
    pub accuracy: Vec<f64>,
}

/// Scores all sets.
///
/// # Errors
/// Files that cannot be read or written; a line that is no pair; a set without any pair that is short enough; a requested stop (the files
/// of the sets that are done stay).
pub fn measure(prober: &Prober, asked: &Asked<'_>, stop: &Stop) -> Result<Report, ProbeError> {
    let mut sets = Vec::new();
    for (collection, paths) in [(Collection::Blimp, asked.blimp), (Collection::Supplement, asked.supplement)]
    {
        for path in files(paths)? {
            let mut set = read(&path)?;
            if let Some(pairs) = asked.pairs {
                set.draw(pairs);
            }
            sets.push((collection, set));
        }
    }
    let total = sets.iter().map(|(_, set)| 2 * set.pairs.len()).sum();
    let mut counter = Counter::new("scoring", "sentences", total);
    let (mut before, mut results) = (0, Vec::new());
    for (collection, set) in &sets {
        let mut tell = |done: usize| counter.reach((before + done).min(total));
        let scored = Scored::of(prober, set, stop, &mut tell)?;
        before += 2 * set.pairs.len();
        if let Some(out) = asked.out {
            let name = format!("{}.jsonl", set.name);
            write(&out.join(collection.name().to_lowercase()).join(name), &scored.lines(prober))?;
        }
        results.push(scored.result(*collection, set));
    }
    let report = Report {
        head: report::head(prober),
        likelihoods: prober.likelihoods(),
        sets: results,
        substitution: substitution::measure(prober, asked.substitution, stop)?,
    };
    if let Some(out) = asked.out {
        write(&out.join("report.json"), &format!("{:#}\n", report.json()))?;
    }
    Ok(report)
}

/// Writes a file and the folder that it is in.
fn write(path: &Path, text: &str) -> Result<(), ProbeError> {
    std::fs::create_dir_all(parent(path))
        .and_then(|()| write_atomic(path, text.as_bytes()))
        .map_err(|source| ProbeError::Write { path: path.to_owned(), source })
}

/// The scores of the sentences of a set.
struct Scored<'a> {
    /// Each pair that was short enough, with the scores of its good and its bad sentence.
    pairs: Vec<(&'a Pair, [Vec<f64>; 2])>,
    too_long: usize,
}

impl<'a> Scored<'a> {
    fn of(
        prober: &Prober,
        set: &'a PairSet,
        stop: &Stop,
        done: &mut dyn FnMut(usize),
    ) -> Result<Self, ProbeError> {
        let limit = prober.max_pieces();
        let (mut kept, mut sentences) = (Vec::new(), Vec::new());
        for pair in &set.pairs {
            let both = [&pair.good, &pair.bad].map(|text| prober.tokenizer().encode(text));
            if both.iter().all(|pieces| pieces.len() <= limit) {
                kept.push(pair);
                sentences.extend(both);
            }
        }
        if kept.is_empty() {
            return Err(ProbeError::AllTooLong { path: set.path.clone(), limit: limit + 2 });
        }
        let mut scores = prober.log_likelihoods(&sentences, stop, done)?.into_iter();
        let too_long = set.pairs.len() - kept.len();
        let pairs = kept.into_iter().filter_map(|pair| Some((pair, [scores.next()?, scores.next()?])));
        Ok(Self { pairs: pairs.collect(), too_long })
    }

    fn result(&self, collection: Collection, set: &PairSet) -> SetResult {
        let kinds = self.pairs.first().map_or(0, |(_, [good, _])| good.len());
        let share = |kind: usize| {
            let won: f64 = self.pairs.iter().map(|(_, [good, bad])| win(good[kind], bad[kind])).sum();
            won / self.pairs.len() as f64
        };
        SetResult {
            collection,
            name: set.name.clone(),
            field: set.field.clone(),
            term: set.term.clone(),
            pairs: self.pairs.len(),
            too_long: self.too_long,
            accuracy: (0..kinds).map(share).collect(),
        }
    }

    /// One JSON object per pair: its line in the file, and both scores by likelihood.
    fn lines(&self, prober: &Prober) -> String {
        let kinds: Vec<Likelihood> = prober.likelihoods();
        let mut out = String::new();
        for (pair, [good, bad]) in &self.pairs {
            let named = |scores: &[f64]| -> Map<String, Value> {
                kinds.iter().zip(scores).map(|(kind, score)| (kind.name().to_owned(), json!(score))).collect()
            };
            out.push_str(&json!({"line": pair.line, "good": named(good), "bad": named(bad)}).to_string());
            out.push('\n');
        }
        out
    }
}

/// 1 if the acceptable sentence has the higher score, a half for a tie, else 0; also where a score is not a number.
fn win(good: f64, bad: f64) -> f64 {
    if good > bad {
        1.0
    } else if good == bad {
        0.5
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::win;

    #[test]
    fn ties_count_half_and_nan_counts_nothing() {
        assert_eq!([win(-1.0, -2.0), win(-2.0, -1.0), win(-1.0, -1.0)], [1.0, 0.0, 0.5]);
        assert_eq!([win(f64::NAN, -1.0), win(-1.0, f64::NAN), win(f64::NAN, f64::NAN)], [0.0; 3]);
    }
}
