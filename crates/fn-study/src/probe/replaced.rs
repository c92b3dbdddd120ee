//! How well a discriminator tells words that are wrong in their context, by replacements that people have labelled.
//!
//! Against hard labels (every replacement is an error) a discriminator that lets fitting replacements pass looks worse than one that does
//! not. Here only replacements that nobody lets pass count as errors; fitting ones are on neither side.

use std::path::Path;

use fn_train::heldout::auc;
use fn_train::stop::Stop;
use serde_json::{Map, Value, json};

use super::{ProbeError, Prober, Scorer};
use crate::exam::{Exam, Target};

/// How a head of the model tells replacements. Its score of a word is the mean over the word's tokens of the log-probability: that the
/// token is original (discriminator), or of the token at the masked place (masked LM, generator). All are NaN where a side is empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Area under the ROC curve: probability that an original word has a higher score than a wrong replacement, whatever their places;
    /// ties count half.
    pub error_auc: f64,
    /// Share of the wrong replacements that have a lower score than the original word in the same place, ties half.
    pub pairs: f64,
    /// Area under the ROC curve of fitting replacements against wrong ones: 0.5 for a model that cannot tell them apart.
    pub fitting_over_wrong: f64,
    /// Area under the ROC curve of original words against fitting replacements: 0.5 is the best that can be learnt where they are
    /// interchangeable.
    pub original_over_fitting: f64,
}

impl Figures {
    /// `(key in JSON, heading, value)` of each.
    pub fn named(&self) -> [(&'static str, &'static str, f64); 4] {
        [
            ("error_auc", "originals over wrong, AUC", self.error_auc),
            ("pairs", "original over wrong in the same place", self.pairs),
            ("fitting_over_wrong", "fitting over wrong, AUC", self.fitting_over_wrong),
            ("original_over_fitting", "originals over fitting, AUC", self.original_over_fitting),
        ]
    }
}

/// The result.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Places with at least one labelled replacement.
    pub places: usize,
    /// Replacements that nobody calls fitting.
    pub wrong: usize,
    /// Replacements that at least half of the readers call fitting.
    pub fitting: usize,
    /// Replacements on which the readers differ, with less than half for fitting: on neither side.
    pub disputed: usize,
    /// The figures of each head.
    pub scores: Vec<(Scorer, Figures)>,
}

/// Asks the heads of a model about the replacements of an exam ([`crate::exam::read`]), with at most `length` tokens of each text, special
/// tokens included: as many as the rows of its pre-training, since positions beyond were never trained. None: the model's maximum.
///
/// # Errors
/// A text that is too long, or a replacement without a token; [`ProbeError::Stopped`].
pub fn measure(
    prober: &Prober,
    exam: &Exam,
    length: Option<usize>,
    path: &Path,
    stop: &Stop,
) -> Result<Report, ProbeError> {
    let limit = prober.max_pieces() + 2;
    let length = length.unwrap_or(limit).min(limit);
    let (mut clozes, mut shares) = (Vec::new(), Vec::new());
    for (number, target) in exam.targets.iter().enumerate() {
        let mine = || exam.opinions.iter().filter(|opinion| opinion.target == number);
        if mine().next().is_none() {
            continue;
        }
        let words: Vec<String> = std::iter::once(target.word.clone())
            .chain(mine().map(|opinion| opinion.substitute.clone()))
            .collect();
        let around = around(target);
        let cloze = prober.cut_cloze(around, &words, length).ok_or_else(|| ProbeError::Line {
            path: path.to_owned(),
            line: number + 1,
            found: format!(
                "words without a token, or of more than {} tokens, in {}",
                length.saturating_sub(2),
                target.id
            ),
            expected: "words of letters".to_owned(),
        })?;
        clozes.push(cloze);
        shares.push(mine().map(|opinion| opinion.share).collect::<Vec<f64>>());
    }
    let mut scores = Vec::new();
    for &scorer in prober.scorers() {
        scores.push((scorer, figures(&prober.scores(&clozes, scorer, stop)?, &shares)));
    }
    let count = |kind: fn(f64) -> bool| shares.iter().flatten().filter(|share| kind(**share)).count();
    Ok(Report {
        places: clozes.len(),
        wrong: count(wrong),
        fitting: count(fitting),
        disputed: count(|share| !wrong(share) && !fitting(share)),
        scores,
    })
}

fn wrong(share: f64) -> bool {
    share == 0.0
}

fn fitting(share: f64) -> bool {
    share >= 0.5
}

/// The text before and after a word.
fn around(target: &Target) -> (&str, &str) {
    (&target.context[..target.start], &target.context[target.start + target.word.len()..])
}

/// `scores[place]`: of the original, then of each replacement; `shares[place]`: the share of the readers for whom each replacement fits.
fn figures(scores: &[Vec<f64>], shares: &[Vec<f64>]) -> Figures {
    let each = || {
        let places = scores.iter().zip(shares);
        places.flat_map(|(scores, shares)| {
            shares.iter().zip(&scores[1..]).map(|(share, score)| (scores[0], *score, *share))
        })
    };
    let originals: Vec<f64> = scores.iter().map(|scores| scores[0]).collect();
    let of = |kind: fn(f64) -> bool| {
        each().filter(move |item| kind(item.2)).map(|item| item.1).collect::<Vec<f64>>()
    };
    let (wrongs, fittings) = (of(wrong), of(fitting));
    let pairs: Vec<f64> = each()
        .filter(|item| wrong(item.2))
        .map(|(original, replacement, _)| match original.partial_cmp(&replacement) {
            Some(std::cmp::Ordering::Greater) => 1.0,
            Some(std::cmp::Ordering::Equal) => 0.5,
            _ => 0.0,
        })
        .collect();
    Figures {
        error_auc: over(&originals, &wrongs),
        pairs: pairs.iter().sum::<f64>() / pairs.len() as f64,
        fitting_over_wrong: over(&fittings, &wrongs),
        original_over_fitting: over(&originals, &fittings),
    }
}

/// Probability that one of `high` exceeds one of `low`, ties half; NaN if either is empty.
fn over(high: &[f64], low: &[f64]) -> f64 {
    let scores: Vec<f32> = high.iter().chain(low).map(|&score| score as f32).collect();
    let positive: Vec<bool> = (0..scores.len()).map(|at| at < high.len()).collect();
    auc(&scores, &positive)
}

impl Report {
    /// The figures by name, `HEAD, FIGURE`, for a record.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let of = |(scorer, figures): &(Scorer, Figures)| {
            figures.named().map(|(_, heading, value)| (format!("{}, {heading}", scorer.name()), value))
        };
        self.scores.iter().flat_map(of).collect()
    }

    /// As a table with a row for each figure.
    pub fn table(&self) -> fn_eval::table::Table {
        let heads = self.scores.iter().map(|(scorer, _)| scorer.name().to_owned());
        let mut table = fn_eval::table::Table::new(
            [format!("{} wrong, {} fitting", self.wrong, self.fitting)].into_iter().chain(heads),
        );
        let names = self.scores.first().map(|(_, figures)| figures.named()).into_iter().flatten();
        for (at, (_, heading, _)) in names.enumerate() {
            let values =
                self.scores.iter().map(|(_, figures)| fn_eval::table::number(Some(figures.named()[at].2), 4));
            table.row(std::iter::once(heading.to_owned()).chain(values).collect::<Vec<_>>());
        }
        table
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let of = |(scorer, figures): &(Scorer, Figures)| {
            let named: Map<String, Value> =
                figures.named().map(|(key, _, value)| (key.to_owned(), json!(value))).into_iter().collect();
            (scorer.name().to_owned(), Value::Object(named))
        };
        json!({
            "places": self.places, "wrong": self.wrong, "fitting": self.fitting, "disputed": self.disputed,
            "scores": self.scores.iter().map(of).collect::<Map<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitting_replacements_are_on_neither_side_of_the_errors() {
        // Place 1: original -0.1, a wrong one -2, a fitting one -3. Place 2: original -1, a wrong one -0.5, a disputed one.
        let scores = [vec![-0.1, -2.0, -3.0], vec![-1.0, -0.5, -9.0]];
        let shares = [vec![0.0, 1.0], vec![0.0, 0.4]];
        let found = figures(&scores, &shares);
        // Originals -0.1, -1 against the wrong ones -2, -0.5: three of four pairs are in order.
        assert!((found.error_auc - 0.75).abs() < 1e-12, "{found:?}");
        assert!((found.pairs - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!((found.fitting_over_wrong, found.original_over_fitting), (0.0, 1.0));
        let none = figures(&[vec![-0.1, -2.0]], &[vec![0.0]]);
        assert!(none.fitting_over_wrong.is_nan() && none.error_auc == 1.0);
    }

    #[test]
    fn figures_have_names() {
        let figures =
            Figures { error_auc: 0.7, pairs: 0.8, fitting_over_wrong: f64::NAN, original_over_fitting: 0.5 };
        let report = Report {
            places: 3,
            wrong: 2,
            fitting: 0,
            disputed: 1,
            scores: vec![(Scorer::Discriminator, figures)],
        };
        assert_eq!(report.figures()[0], ("discriminator, originals over wrong, AUC".to_owned(), 0.7));
        assert_eq!(report.json()["scores"]["discriminator"]["pairs"], 0.8);
        let text = report.table().to_text();
        assert!(text.contains("2 wrong, 0 fitting") && text.contains("0.7000"), "{text}");
    }
}
