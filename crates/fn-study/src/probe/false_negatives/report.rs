//! The report on wrong predictions, as tables and as JSON.

use std::collections::{HashMap, HashSet};

use fn_data::lexicon::wordnet::POS;
use fn_data::lexicon::{Pos, WordNet};
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::{Table, number, percent, thousands};
use fn_train::config::CheckpointConfig;
use serde_json::{Map, Value, json};

use super::{Found, Mistake, Step};

/// Upper bounds of the frequency bands, by rank of the original token in the text.
const BANDS: [(usize, &str); 4] = [
    (100, "the 100 most frequent"),
    (1_000, "101 to 1,000"),
    (10_000, "1,001 to 10,000"),
    (usize::MAX, "rarer"),
];

/// Wrong predictions and their flags, ready to print.
pub struct Report<'a> {
    /// Evaluations during training, see [`super::by_step`].
    pub(super) by_step: Vec<(u64, f64, f64)>,
    /// Counts of each checkpoint.
    pub(super) steps: Vec<Step>,
    /// How many checkpoints there are, in words; None if they are not listed.
    pub(super) kept: Option<String>,
    pub(super) examples: usize,
    /// Names of the judges.
    pub(super) judges: Vec<String>,
    pub(super) net: Option<WordNet>,
    pub(super) tokenizer: &'a TextTokenizer,
    pub(super) found: Found,
    pub(super) ranks: HashMap<u32, usize>,
}

/// A group of errors: how many, and how many of them each judge flags.
struct Group {
    name: &'static str,
    errors: usize,
    flagged: Vec<usize>,
}

/// Agreement of two judges on the same errors.
struct Agreement<'a> {
    judges: [&'a str; 2],
    both: usize,
    first_alone: usize,
    second_alone: usize,
    /// Cohen's kappa; None where the agreement expected by chance is 1.
    kappa: Option<f64>,
}

/// How many checkpoints were found, and how many the run keeps.
pub(super) fn kept(config: &CheckpointConfig, found: usize) -> String {
    let best = if config.keep_best { " and the best" } else { "" };
    format!(
        "{found} checkpoint{} found; the run keeps the last {}{best}",
        if found == 1 { "" } else { "s" },
        config.keep_last
    )
}

fn share(count: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| count as f64 / of as f64)
}

/// A count with its share: `12 (3.4 %)`.
fn cell(count: usize, of: usize) -> String {
    format!("{} ({})", thousands(count as u64), percent(share(count, of)))
}

impl Report<'_> {
    fn wrong(&self) -> usize {
        self.found.mistakes.len()
    }

    fn groups(&self, of: &dyn Fn(&Mistake) -> &'static str, order: &[&'static str]) -> Vec<Group> {
        let group = |name: &&'static str| {
            let mine: Vec<&Mistake> = self.found.mistakes.iter().filter(|m| of(m) == *name).collect();
            let flagged = |judge: usize| mine.iter().filter(|m| m.flagged[judge]).count();
            Group { name, errors: mine.len(), flagged: (0..self.judges.len()).map(flagged).collect() }
        };
        order.iter().map(group).filter(|group| group.errors > 0).collect()
    }

    fn band(&self, mistake: &Mistake) -> &'static str {
        let rank = self.ranks.get(&mistake.gold).copied().unwrap_or(usize::MAX);
        BANDS.iter().find(|(end, _)| rank < *end).map_or("rarer", |(_, name)| name)
    }

    fn bands(&self) -> Vec<Group> {
        self.groups(&|m| self.band(m), &BANDS.map(|(_, name)| name))
    }

    /// The part of speech in which WordNet has the most senses of a word.
    fn pos(&self, word: u32) -> &'static str {
        let spelled = |id: u32| self.tokenizer.spelled().get(id as usize);
        let (Some(net), Some(piece)) = (&self.net, spelled(word)) else { return "none" };
        let senses = |pos: Pos| net.synsets(piece, pos).len();
        let best = POS.into_iter().max_by_key(|&pos| (senses(pos), std::cmp::Reverse(pos as u8)));
        best.filter(|&pos| senses(pos) > 0).map_or("not in WordNet", Pos::file)
    }

    fn parts(&self) -> Vec<Group> {
        let mut names = POS.map(Pos::file).to_vec();
        names.push("not in WordNet");
        self.groups(&|m| self.pos(m.gold), &names)
    }

    /// WordNet's gloss of a sense that both words share.
    fn gloss(&self, a: u32, b: u32) -> Option<String> {
        let spelled = |id: u32| self.tokenizer.spelled().get(id as usize);
        let (net, a, b) = (self.net.as_ref()?, spelled(a)?, spelled(b)?);
        POS.into_iter().find_map(|pos| {
            let (of_a, of_b) = (net.synsets(a, pos), net.synsets(b, pos));
            let shared = of_a.iter().find(|id| of_b.contains(id))?;
            net.synset(*shared).map(|synset| synset.gloss.chars().take(120).collect())
        })
    }

    /// Flagged errors, most probable first, no pair of words twice.
    fn examples(&self) -> Vec<&Mistake> {
        let mut all: Vec<&Mistake> =
            self.found.mistakes.iter().filter(|m| m.flagged.contains(&true)).collect();
        all.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let mut seen = HashSet::new();
        all.retain(|m| seen.insert((m.gold, m.predicted)));
        all.truncate(self.examples);
        all
    }

    /// Names of the judges that flag an error.
    fn flagged_by(&self, mistake: &Mistake) -> Vec<&str> {
        self.judges
            .iter()
            .zip(&mistake.flagged)
            .filter(|(_, says)| **says)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Agreement of every pair of judges.
    fn agreements(&self) -> Vec<Agreement<'_>> {
        let pairs = (0..self.judges.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let mut pairs: Vec<(usize, usize)> = pairs.collect();
        pairs.sort_unstable();
        let agreement = |(a, b): (usize, usize)| {
            let count = |of_a: bool, of_b: bool| {
                self.found.mistakes.iter().filter(|m| m.flagged[a] == of_a && m.flagged[b] == of_b).count()
            };
            let (both, first_alone, second_alone) =
                (count(true, true), count(true, false), count(false, true));
            let all = self.wrong() as f64;
            let (of_a, of_b) = ((both + first_alone) as f64 / all, (both + second_alone) as f64 / all);
            let agreed = 1.0 - (first_alone + second_alone) as f64 / all;
            let chance = of_a * of_b + (1.0 - of_a) * (1.0 - of_b);
            let kappa = Some((agreed - chance) / (1.0 - chance)).filter(|kappa| kappa.is_finite());
            Agreement { judges: [&self.judges[a], &self.judges[b]], both, first_alone, second_alone, kappa }
        };
        pairs.into_iter().map(agreement).collect()
    }

    /// The report as tables, for a terminal or in Markdown.
    pub fn text(&self, markdown: bool) -> String {
        let print = |table: &Table| if markdown { table.to_markdown() } else { table.to_text() };
        let wrong = self.wrong();
        let mut out = format!(
            "{} masked words, {} predicted wrong ({})\n\n",
            thousands(self.found.masked as u64),
            thousands(wrong as u64),
            percent(share(wrong, self.found.masked))
        );
        let mut table = Table::new(["judge", "false negatives", "of the errors"]);
        for (at, name) in self.judges.iter().enumerate() {
            let count = self.found.flagged(at);
            table.row([name.clone(), thousands(count as u64), percent(share(count, wrong))]);
        }
        out.push_str(&print(&table));
        let agreements = self.agreements();
        if !agreements.is_empty() {
            let mut table =
                Table::new(["two judges", "both", "the first alone", "the second alone", "Cohen's kappa"]);
            for a in agreements {
                let counts = [a.both, a.first_alone, a.second_alone].map(|n| thousands(n as u64));
                let row = std::iter::once(a.judges.join(" and ")).chain(counts);
                table.row(row.chain([number(a.kappa, 2)]));
            }
            out.push_str(&format!("\n{}", print(&table)));
        }
        let mut tables = vec![("frequency of the word", self.bands())];
        if self.net.is_some() {
            tables.push(("part of speech of the word", self.parts()));
        }
        let judges = || self.judges.iter().map(|name| format!("by {name}"));
        for (name, groups) in tables {
            let mut table = Table::new([name.to_owned(), "errors".to_owned()].into_iter().chain(judges()));
            for group in groups {
                let flagged = group.flagged.iter().map(|&count| cell(count, group.errors));
                table.row([group.name.to_owned(), thousands(group.errors as u64)].into_iter().chain(flagged));
            }
            out.push_str(&format!("\n{}", print(&table)));
        }
        if let Some(kept) = &self.kept {
            out.push_str(&format!("\n{kept}:\n"));
            let mut table =
                Table::new(["step", "wrong predictions"].map(str::to_owned).into_iter().chain(judges()));
            for step in &self.steps {
                let flagged = step.flagged.iter().map(|&count| cell(count, step.wrong));
                table.row([thousands(step.step), cell(step.wrong, step.masked)].into_iter().chain(flagged));
            }
            out.push_str(&print(&table));
        }
        if !self.by_step.is_empty() {
            let mut table = Table::new(["step", "wrong predictions", "of them false negatives"]);
            for &(step, wrong, share) in &self.by_step {
                table.row([thousands(step), percent(Some(wrong)), percent(Some(share))]);
            }
            out.push_str(&format!(
                "\nEvaluations during training on the held-out text, false negatives by the run's own lexicon:\n{}",
                print(&table)
            ));
        }
        for mistake in self.examples() {
            let piece = |id| self.tokenizer.piece(id);
            out.push_str(&format!(
                "\n{}\n    {} instead of {} (probability {:.2}, of the word {:.2}), by {}\n",
                mistake.context,
                piece(mistake.predicted),
                piece(mistake.gold),
                mistake.probability,
                mistake.of_gold,
                self.flagged_by(mistake).join(", ")
            ));
            if let Some(gloss) = self.gloss(mistake.gold, mistake.predicted) {
                out.push_str(&format!("    both: {gloss}\n"));
            }
        }
        out
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        let by_judge = |counts: &[usize]| -> Map<String, Value> {
            self.judges.iter().cloned().zip(counts.iter().map(|&count| count.into())).collect()
        };
        let groups = |groups: Vec<Group>| -> Vec<Value> {
            let one = |g: Group| json!({"group": g.name, "errors": g.errors, "false_negatives": by_judge(&g.flagged)});
            groups.into_iter().map(one).collect()
        };
        let judge =
            |(at, name): (usize, &String)| json!({"judge": name, "false_negatives": self.found.flagged(at)});
        let agreement = |a: Agreement| {
            json!({"judges": a.judges, "both": a.both, "first_alone": a.first_alone, "second_alone": a.second_alone,
                   "kappa": a.kappa})
        };
        let checkpoint = |s: &Step| json!({"step": s.step, "masked": s.masked, "wrong": s.wrong, "false_negatives": by_judge(&s.flagged)});
        let measured = |(step, wrong, share): &(u64, f64, f64)| json!({"step": step, "wrong_share": wrong, "false_negative_share": share});
        let example = |m: &Mistake| {
            json!({"context": m.context, "gold": self.tokenizer.piece(m.gold),
                   "predicted": self.tokenizer.piece(m.predicted), "probability": m.probability,
                   "probability_of_gold": m.of_gold, "judges": self.flagged_by(m),
                   "gloss": self.gloss(m.gold, m.predicted)})
        };
        json!({
            "masked": self.found.masked, "wrong": self.wrong(),
            "judges": self.judges.iter().enumerate().map(judge).collect::<Vec<_>>(),
            "agreement": self.agreements().into_iter().map(agreement).collect::<Vec<_>>(),
            "frequency": groups(self.bands()),
            "part_of_speech": self.net.as_ref().map(|_| groups(self.parts())),
            "checkpoints": self.steps.iter().map(checkpoint).collect::<Vec<_>>(),
            "by_step": self.by_step.iter().map(measured).collect::<Vec<_>>(),
            "examples": self.examples().into_iter().map(example).collect::<Vec<_>>(),
        })
    }
}
