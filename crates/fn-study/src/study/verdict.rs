//! States in words whether differences are more than noise, for both the table and the page.

use super::{Study, Table};

/// Significance level, applied to corrected p-values.
const LEVEL: f64 = 0.05;

/// Difference of an arm to another one: the first, or its control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Number of seeds that both arms have.
    pub pairs: usize,
    /// Mean of the paired differences, arm minus the other.
    pub difference: f64,
    /// Lower end of the 95 % bootstrap interval over the pairs.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// p-value of the permutation test over the pairs.
    pub p: f64,
    /// p-value corrected for all comparisons that are made together (Holm).
    pub p_holm: f64,
    /// The smallest `p_holm` that this number of pairs could give, with the other comparisons unchanged.
    pub p_least: f64,
    /// Number of comparisons that are made together.
    pub compared: usize,
    /// Standard deviation of the paired differences; 0 for a single pair.
    pub deviation: f64,
    /// The smallest true difference that these pairs would have shown with a probability of 80 %
    /// ([`visible_effect`](crate::stats::visible_effect)).
    pub visible: f64,
}

impl Effect {
    /// Whether the difference is significant after correction.
    pub fn is_real(&self) -> bool {
        self.p_holm < LEVEL
    }

    /// Whether no result could have been significant with so few seeds.
    fn is_hopeless(&self) -> bool {
        !self.is_real() && self.p_least >= LEVEL
    }

    /// The verdict in words, by the corrected p-value. With few seeds even the smallest possible p-value is large.
    pub fn verdict(&self) -> String {
        if self.is_real() {
            "a difference".to_owned()
        } else if self.is_hopeless() {
            format!("within noise; {} seeds cannot show more in {} comparisons", self.pairs, self.compared)
        } else {
            "within noise".to_owned()
        }
    }
}

/// The table in words: a sentence for each significant difference of an outcome, and a summary of the others.
pub(super) fn words(study: &Study, table: &Table) -> Vec<String> {
    let mut out = Vec::new();
    let mut effects: Vec<Effect> = Vec::new();
    for figure in table.figures.iter().filter(|figure| !figure.is_cost()) {
        for row in &figure.rows {
            for (other, effect) in row.effects() {
                effects.push(effect);
                if effect.is_real() {
                    let side = match (figure.more_is_better, effect.difference > 0.0) {
                        (Some(better), more) if better == more => "better",
                        (Some(_), _) => "worse",
                        (None, _) => "other",
                    };
                    let digits = figure.digits();
                    out.push(format!(
                        "{}: {} is {side} than {} by {:.digits$} ({:+.digits$} to {:+.digits$}).",
                        figure.name,
                        study.arms[row.arm].name,
                        study.arms[other].name,
                        effect.difference.abs(),
                        effect.low,
                        effect.high
                    ));
                }
            }
        }
    }
    if effects.is_empty() {
        let baseline = study.arms.first().map_or("baseline", |arm| arm.name.as_str());
        out.push(format!("Nothing can be compared yet: no seed has been run in {baseline} and another arm."));
        return out;
    }
    out.push(format!("{} of {} comparisons are within noise.", effects.len() - out.len(), effects.len()));
    let hopeless = || effects.iter().filter(|effect| effect.is_hopeless());
    if let Some(effect) = hopeless().min_by(|a, b| a.p_least.total_cmp(&b.p_least)) {
        out.push(format!(
            "{} of them could not have shown anything: {} seeds give a corrected p-value of {:.3} at the least. More seeds, or fewer \
             arms, would show more.",
            hopeless().count(),
            effect.pairs,
            effect.p_least
        ));
    }
    out
}
