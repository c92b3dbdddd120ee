//! Lexical substitution by the model itself: does it give the words that people call good a higher probability in the masked place?

use std::path::Path;

use fn_eval::table::{Table, number, percent};
use fn_train::stop::Stop;
use serde_json::{Value, json};

use crate::exam::{Curve, Exam, ExamError, Interval, Point};
use crate::probe::{Cloze, ProbeError, Prober, Scorer};

/// Tokens of context on each side.
const CONTEXT: usize = 30;
/// The recall at which precision is reported.
const RECALL: f64 = 0.3;
/// Resamples of the targets for the interval.
const RESAMPLES: usize = 1000;

/// How well one scorer ranks the substitutes of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Substitution {
    /// The file.
    pub name: String,
    /// Who ranks: `masked LM` and `generator` by `log p(substitute | the context with the word masked)`, `discriminator` by
    /// `log p(original)` of the substitute in the place of the word.
    pub scorer: &'static str,
    /// Pairs of target and substitute, and the share that people call good (the average precision of chance).
    pub pairs: usize,
    /// See `pairs`.
    pub base: f64,
    /// Average precision over all pairs, and its 95 % interval over targets.
    pub average_precision: f64,
    /// See `average_precision`.
    pub interval: Option<Interval>,
    /// At the highest threshold that reaches a recall of .3.
    pub at_recall: Option<Point>,
}

/// Ranks the pairs of an exam (one token each for target and substitute; where substitutes are lemmas, targets in their base form; without
/// traps), by every scorer of the model.
///
/// # Errors
/// No pair is left; a stop.
pub fn substitution(prober: &Prober, exam: &Exam, seed: u64, stop: &Stop) -> Result<Vec<Substitution>, SubstitutionError> {
    let prepared = exam.prepare(prober.tokenizer(), None)?;
    let side = CONTEXT.min(prober.max_pieces().saturating_sub(1) / 2);
    let groups: Vec<&[crate::exam::Pair]> = prepared.pairs.chunk_by(|a, b| a.target == b.target).collect();
    let clozes: Vec<Cloze> = groups
        .iter()
        .map(|pairs| {
            let target = &exam.targets[pairs[0].target];
            let before = prober.tokenizer().encode(&target.context[..target.start]);
            let after = prober.tokenizer().encode(&target.context[target.start + target.word.len()..]);
            let choices = pairs.iter().map(|pair| vec![pair.substitute]).collect();
            let from = before.len().saturating_sub(side);
            Cloze::of_ids(before[from..].to_vec(), after[..after.len().min(side)].to_vec(), choices)
        })
        .collect();
    let of = |&scorer: &Scorer| -> Result<Substitution, SubstitutionError> {
        let scores = prober.scores(&clozes, scorer, stop)?;
        let ranked = groups.iter().zip(&scores).flat_map(|(pairs, scores)| {
            pairs.iter().zip(scores).map(|(pair, &score)| (score, pair.good, pair.target))
        });
        let curve = Curve::new(ranked, None);
        let [interval, _] = curve.interval(exam.targets.len(), RECALL, RESAMPLES, seed);
        Ok(Substitution {
            name: exam.name.clone(),
            scorer: scorer.name(),
            pairs: curve.len(),
            base: curve.base(),
            average_precision: curve.average_precision(),
            interval,
            at_recall: curve.at_recall(RECALL),
        })
    };
    prober.scorers().iter().map(of).collect()
}
