//! Lexical substitution by the model itself: does it prefer the words that people call good in a context?

use std::path::PathBuf;

use fn_eval::table::{Table, number};
use fn_train::stop::Stop;
use serde_json::{Value, json};

use crate::exam::{Curve, Exam, ExamError, Interval, Pair, Point, read};
use crate::probe::{Cloze, ProbeError, Prober, Scorer};

/// Most tokens of context on each side, as in `fnlm probe judge`.
const CONTEXT: usize = 30;
/// The recall at which precision is reported.
const RECALL: f64 = 0.3;
/// Resamples of the targets for the interval, and their seed.
const RESAMPLES: (usize, u64) = (1000, 1);

/// How well a head of the model ranks what people said of substitutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Substitution {
    /// The file and, where it asks more than one, the question.
    pub name: String,
    /// Masked LM and generator rank by p(substitute | the context with the word masked), a discriminator by its probability that the
    /// substitute, in the place of the word, is original.
    pub scorer: Scorer,
    /// Pairs of a word and a substitute.
    pub pairs: usize,
    /// Share of them that people call good: the average precision of chance.
    pub base: f64,
    /// Average precision over all pairs.
    pub average_precision: f64,
    /// Its 95 % interval over the words; None where no resample has a value.
    pub interval: Option<Interval>,
    /// At the highest threshold that reaches a recall of .3; None where none does.
    pub at_recall: Option<Point>,
}

/// Asks every head of the model about all pairs of these files ([`read`]: SWORDS, CoInCo, SemEval-2007, a table, readings) whose word and
/// substitute are one token each; where substitutes are lemmas, words in their base form alone.
///
/// # Errors
/// A file that cannot be read, or of which no pair is left; a requested stop.
pub fn measure(prober: &Prober, files: &[PathBuf], stop: &Stop) -> Result<Vec<Substitution>, ProbeError> {
    let mut out = Vec::new();
    for exam in files.iter().map(|path| read(path)).collect::<Result<Vec<_>, ExamError>>()?.iter().flatten() {
        out.extend(of_exam(prober, exam, stop)?);
    }
    Ok(out)
}

fn of_exam(prober: &Prober, exam: &Exam, stop: &Stop) -> Result<Vec<Substitution>, ProbeError> {
    let prepared = exam.prepare(prober.tokenizer(), None)?;
    let groups: Vec<&[Pair]> = prepared.pairs.chunk_by(|a, b| a.target == b.target).collect();
    let cloze = |pairs: &&[Pair]| {
        let target = &exam.targets[pairs[0].target];
        let (before, rest) = target.context.split_at(target.start);
        let mut parts = prober.tokenizer().encode_around_gaps(&[before, &rest[target.word.len()..]]);
        let (mut after, mut before) = (parts.pop().unwrap_or_default(), parts.pop().unwrap_or_default());
        before.drain(..before.len().saturating_sub(CONTEXT));
        after.truncate(CONTEXT);
        let choices = pairs.iter().map(|pair| vec![pair.substitute]).collect();
        // Less, where the model reads less.
        Cloze::of_ids(before, after, choices).within(prober.max_pieces() + 2)
    };
    let clozes: Vec<Cloze> = groups.iter().map(cloze).collect();
    let of = |&scorer: &Scorer| {
        let scores = prober.scores(&clozes, scorer, stop)?;
        let ranked = groups.iter().zip(&scores).flat_map(|(pairs, scores)| {
            pairs.iter().zip(scores).map(|(pair, &score)| (score, pair.good, pair.target))
        });
        let curve = Curve::new(ranked, None);
        let (resamples, seed) = RESAMPLES;
        let [interval, _] = curve.interval(exam.targets.len(), RECALL, resamples, seed);
        Ok(Substitution {
            name: exam.name.clone(),
            scorer,
            pairs: curve.len(),
            base: curve.base(),
            average_precision: curve.average_precision(),
            interval,
            at_recall: curve.at_recall(RECALL),
        })
    };
    prober.scorers().iter().map(of).collect()
}

/// The results as a table.
pub(super) fn table(results: &[Substitution]) -> Table {
    let headings =
        ["substitution", "head", "pairs", "base", "average precision", "95 %", "precision at recall .3"];
    let mut table = Table::new(headings.map(str::to_owned));
    for result in results {
        let interval = |interval: Interval| format!("{:.3} to {:.3}", interval.low, interval.high);
        table.row(vec![
            result.name.clone(),
            result.scorer.name().to_owned(),
            result.pairs.to_string(),
            number(Some(result.base), 3),
            number(Some(result.average_precision), 3),
            result.interval.map(interval).unwrap_or_default(),
            number(result.at_recall.map(|point| point.precision), 3),
        ]);
    }
    table
}

impl Substitution {
    /// Its name in a record and its value: `FILE, HEAD`, the average precision.
    pub(super) fn figure(&self) -> (String, f64) {
        (format!("{}, {}", self.name, self.scorer.name()), self.average_precision)
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name, "head": self.scorer.name(), "pairs": self.pairs, "base": self.base,
            "average_precision": self.average_precision, "interval": self.interval, "at_recall_0.3": self.at_recall,
        })
    }
}
