//! `fnlm probe false-negatives`: the errors of a model on held-out text, and which of them are none.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use fn_core::corrupt::Corruptor;
use fn_core::lexicon::Lexicon;
use fn_core::sample::argmax_ids;
use fn_data::lexicon::wordnet::POS;
use fn_data::lexicon::{Pos, WordNet};
use fn_data::loader::{MaskedBatch, fixed_batches};
use fn_data::shard::{Dataset, prepare};
use fn_data::tokenise::TextTokenizer;
use fn_eval::runs::RunRecord;
use fn_eval::table::{Table, number, percent};
use fn_models::{BertForPreTraining, Electra, hf};
use fn_ops::Noise;
use fn_train::config::{Arch, RunConfig};
use fn_train::objective::DeviceBatch;
use fn_train::session::prepare_config;
use serde_json::{Value, json};

use crate::args::ProbeFalseNegativesArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::{device, rundir, term};

/// Pieces shown on either side of a gap.
const CONTEXT: usize = 12;
/// Ends of the frequency bands, by rank of the gold word in the text.
const BANDS: [(usize, &str); 4] = [
    (100, "the 100 most frequent"),
    (1_000, "101 to 1,000"),
    (10_000, "1,001 to 10,000"),
    (usize::MAX, "rarer"),
];

/// A wrong prediction.
struct Mistake {
    gold: u32,
    predicted: u32,
    probability: f64,
    of_gold: f64,
    /// What each judge says.
    excused: Vec<bool>,
    context: String,
}

/// Everything that was predicted.
#[derive(Default)]
struct Found {
    masked: usize,
    mistakes: Vec<Mistake>,
}

/// Runs it.
///
/// # Errors
/// A run without model, text or lexicon (3, 2); files that cannot be read (3).
pub fn run(args: &ProbeFalseNegativesArgs) -> Result<Outcome, CliError> {
    let stop = support::interruptible()?;
    let config = crate::config::read(&args.run.join(rundir::CONFIG))?;
    let tokenizer = support::tokenizer(&config.data.tokenizer)?;
    let judges = judges(args, &config, &tokenizer)?;
    let net = args.wordnet.as_deref().map(WordNet::open).transpose().map_err(CliError::input_from)?;
    let paths = if args.text.is_empty() { &config.data.held_out } else { &args.text };
    if paths.is_empty() {
        return Err(CliError::usage("the run has no held-out text; name some with --text"));
    }
    let device = device::open(&args.device)?;
    let prepared = prepare(&prepare_config(&config, paths), &tokenizer, &mut |_| (), &stop.flag())?;
    let data = Arc::new(Dataset::open(&prepared.dir)?);
    let corruptor = Arc::new(
        Corruptor::new(config.corruption.clone(), tokenizer.facts()).map_err(CliError::failed_from)?,
    );
    let folder = args.model.clone().unwrap_or_else(|| args.run.join(rundir::MODEL));
    let model = Model::load(&folder, config.model.arch, &device)?;
    let mut found = Found::default();
    let mut seen: HashMap<u32, u64> = HashMap::new();
    for batch in fixed_batches(data, corruptor, config.train.batch.min(64), config.seed, args.batches) {
        if stop.requested() {
            return Err(support::interrupted(&stop));
        }
        let special = tokenizer.special();
        let words = batch.original.iter().filter(|id| ![special.pad, special.cls, special.sep].contains(id));
        words.for_each(|&id| *seen.entry(id).or_default() += 1);
        found.add(&model, &batch, &judges, &tokenizer, &device);
    }
    if found.masked == 0 {
        return Err(CliError::input("the text has no word that can be masked; give more of it"));
    }
    let report = Report {
        // What the run itself measured on the way; a copied model may come without it.
        by_step: RunRecord::open(&args.run).map(|record| by_step(&record)).unwrap_or_default(),
        args,
        judges: &judges,
        net: net.as_ref(),
        tokenizer: &tokenizer,
        found: &found,
        ranks: ranks(&seen),
    };
    term::out(&if args.format.json { format!("{:#}\n", report.json()) } else { report.text() })?;
    Ok(Outcome::Done)
}

/// Name and lexicon of each judge.
type Judges = Vec<(String, Lexicon)>;

fn judges(
    args: &ProbeFalseNegativesArgs,
    config: &RunConfig,
    tokenizer: &TextTokenizer,
) -> Result<Judges, CliError> {
    let paths: Vec<PathBuf> = if args.lexicon.is_empty() {
        config.lexicon.path.iter().cloned().collect()
    } else {
        args.lexicon.clone()
    };
    if paths.is_empty() {
        return Err(CliError::usage(
            "the run has no lexicon; name one with --lexicon (`fnlm lexicon build`)",
        ));
    }
    let open = |path: &PathBuf| {
        let name = path.file_stem().map_or("lexicon".into(), |name| name.to_string_lossy().into_owned());
        support::lexicon(path, tokenizer).map(|lexicon| (name, lexicon))
    };
    paths.iter().map(open).collect()
}

enum Model {
    Bert(Box<BertForPreTraining>),
    Electra(Box<Electra>),
}

impl Model {
    fn load(dir: &std::path::Path, arch: Arch, device: &Device) -> Result<Self, CliError> {
        Ok(match arch {
            Arch::Bert => Self::Bert(Box::new(hf::load_bert(dir, device).map_err(CliError::input_from)?.0)),
            Arch::Electra => {
                Self::Electra(Box::new(hf::load_electra(dir, device).map_err(CliError::input_from)?.0))
            }
        })
    }

    /// `[P, V]`
    fn logits(&self, batch: &DeviceBatch) -> Tensor<2> {
        match self {
            Self::Bert(model) => model.masked_logits(&batch.inputs, batch.rows.clone(), &Noise::none()),
            Self::Electra(model) => model.generator_logits(&batch.inputs, batch.rows.clone(), &Noise::none()),
        }
    }
}

impl Found {
    fn add(
        &mut self,
        model: &Model,
        batch: &MaskedBatch,
        judges: &Judges,
        tokenizer: &TextTokenizer,
        device: &Device,
    ) {
        let on_device = DeviceBatch::new(batch, device);
        let logits = model.logits(&on_device);
        let predicted = argmax_ids(logits.clone());
        let probability = |ids: Tensor<1, Int>| -> Vec<f64> {
            let loss = fn_models::params::host(fn_ops::cross_entropy_rows(logits.clone(), ids));
            loss.into_iter().map(|loss| f64::from(-loss).exp()).collect()
        };
        let (of_predicted, of_gold) = (probability(predicted.clone()), probability(on_device.gold));
        let predicted: Vec<u32> = predicted.into_data().iter::<i32>().map(|id| id as u32).collect();
        for (place, &word) in predicted.iter().enumerate() {
            if batch.weight[place] == 0.0 {
                continue;
            }
            self.masked += 1;
            let gold = batch.gold[place];
            if word != gold {
                self.mistakes.push(Mistake {
                    gold,
                    predicted: word,
                    probability: of_predicted[place],
                    of_gold: of_gold[place],
                    excused: judges.iter().map(|(_, lexicon)| lexicon.contains(gold, word)).collect(),
                    context: context(batch, batch.rows[place] as usize, tokenizer),
                });
            }
        }
    }
}

/// The original words around a masked place, which is written `[...]`.
fn context(batch: &MaskedBatch, place: usize, tokenizer: &TextTokenizer) -> String {
    let start = place / batch.length * batch.length;
    let row = &batch.original[start..start + batch.length];
    let at = place - start;
    let special = tokenizer.special();
    let side = |ids: &[u32]| {
        let words: Vec<u32> =
            ids.iter().copied().filter(|id| ![special.pad, special.cls, special.sep].contains(id)).collect();
        tokenizer.decode(&words)
    };
    let (before, after) =
        (&row[at.saturating_sub(CONTEXT)..at], &row[at + 1..row.len().min(at + 1 + CONTEXT)]);
    format!("{} [...] {}", side(before), side(after)).trim().to_owned()
}

/// Rank of each word by how often it is there, from 0.
fn ranks(seen: &HashMap<u32, u64>) -> HashMap<u32, usize> {
    let mut words: Vec<(&u32, &u64)> = seen.iter().collect();
    words.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    words.into_iter().enumerate().map(|(rank, (word, _))| (*word, rank)).collect()
}

/// Step, share of wrong predictions, and share of these that are false negatives, of every measurement of the run.
fn by_step(record: &RunRecord) -> Vec<(u64, f64, f64)> {
    let series = |name: &str| record.series.get(name).cloned().unwrap_or_default();
    let shares: HashMap<u64, f64> = series("eval.false_negative_share").into_iter().collect();
    let row = |(step, wrong)| shares.get(&step).map(|&share| (step, wrong, share));
    series("eval.wrong_share").into_iter().filter_map(row).collect()
}

struct Report<'a> {
    by_step: Vec<(u64, f64, f64)>,
    args: &'a ProbeFalseNegativesArgs,
    judges: &'a Judges,
    net: Option<&'a WordNet>,
    tokenizer: &'a TextTokenizer,
    found: &'a Found,
    ranks: HashMap<u32, usize>,
}

impl Report<'_> {
    fn wrong(&self) -> usize {
        self.found.mistakes.len()
    }

    fn share(&self, count: usize, of: usize) -> Option<f64> {
        (of > 0).then(|| count as f64 / of as f64)
    }

    /// Mistakes and excused ones (by the first judge) of each group.
    fn groups(
        &self,
        of: &dyn Fn(&Mistake) -> &'static str,
        order: &[&'static str],
    ) -> Vec<(&'static str, usize, usize)> {
        let count = |name: &&'static str| {
            let mine = || self.found.mistakes.iter().filter(|m| of(m) == *name);
            (*name, mine().count(), mine().filter(|m| m.excused[0]).count())
        };
        order.iter().map(count).filter(|(_, all, _)| *all > 0).collect()
    }

    fn band(&self, mistake: &Mistake) -> &'static str {
        let rank = self.ranks.get(&mistake.gold).copied().unwrap_or(usize::MAX);
        BANDS.iter().find(|(end, _)| rank < *end).map_or("rarer", |(_, name)| name)
    }

    /// The part of speech in which WordNet has most senses of a word.
    fn pos(&self, word: u32) -> &'static str {
        let (Some(net), Some(piece)) = (self.net, self.tokenizer.token(word)) else { return "none" };
        let senses = |pos: Pos| net.synsets(piece, pos).len();
        let best = POS.into_iter().max_by_key(|&pos| (senses(pos), std::cmp::Reverse(pos as u8)));
        best.filter(|&pos| senses(pos) > 0).map_or("not in WordNet", Pos::file)
    }

    /// Definition of a meaning that both words have.
    fn gloss(&self, a: u32, b: u32) -> Option<String> {
        let (net, a, b) = (self.net?, self.tokenizer.token(a)?, self.tokenizer.token(b)?);
        POS.into_iter().find_map(|pos| {
            let (of_a, of_b) = (net.synsets(a, pos), net.synsets(b, pos));
            let shared = of_a.iter().find(|id| of_b.contains(id))?;
            net.synset(*shared).map(|synset| synset.gloss.chars().take(120).collect())
        })
    }

    /// Excused mistakes, the most probable first, no pair of words twice.
    fn examples(&self) -> Vec<&Mistake> {
        let mut all: Vec<&Mistake> =
            self.found.mistakes.iter().filter(|m| m.excused.contains(&true)).collect();
        all.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let mut seen = std::collections::HashSet::new();
        all.retain(|m| seen.insert((m.gold, m.predicted)));
        all.truncate(self.args.examples);
        all
    }

    fn text(&self) -> String {
        let print =
            |table: &Table| if self.args.format.markdown { table.to_markdown() } else { table.to_text() };
        let wrong = self.wrong();
        let mut out = format!(
            "{} masked words, {} predicted wrong ({})\n\n",
            term::thousands(self.found.masked as u64),
            term::thousands(wrong as u64),
            percent(self.share(wrong, self.found.masked))
        );
        let mut table = Table::new(["judge", "false negatives", "of the errors"]);
        for (at, (name, _)) in self.judges.iter().enumerate() {
            let count = self.found.mistakes.iter().filter(|m| m.excused[at]).count();
            table.row([name.clone(), term::thousands(count as u64), percent(self.share(count, wrong))]);
        }
        out.push_str(&print(&table));
        if let [(a, _), (b, _), ..] = &self.judges[..] {
            let (both, only_a, only_b, kappa) = self.agreement();
            out.push_str(&format!(
                "\n{a} and {b}: both {both}, {a} alone {only_a}, {b} alone {only_b}; Cohen's kappa {}\n",
                number(Some(kappa), 2)
            ));
        }
        let mut tables = vec![("frequency of the word", self.bands())];
        if self.net.is_some() {
            tables.push(("part of speech of the word", self.parts()));
        }
        for (name, groups) in tables {
            let mut table = Table::new([name, "errors", "false negatives", "share"]);
            for (group, all, excused) in groups {
                table.row([
                    group.to_owned(),
                    all.to_string(),
                    excused.to_string(),
                    percent(self.share(excused, all)),
                ]);
            }
            out.push_str(&format!("\n{}", print(&table)));
        }
        if !self.by_step.is_empty() {
            let mut table = Table::new(["step", "wrong predictions", "of them false negatives"]);
            for &(step, wrong, share) in &self.by_step {
                table.row([term::thousands(step), percent(Some(wrong)), percent(Some(share))]);
            }
            out.push_str(&format!(
                "\nWhat the run measured on its held-out text, by its own lexicon:\n{}",
                print(&table)
            ));
        }
        for mistake in self.examples() {
            let piece = |id| support::piece(self.tokenizer, id);
            out.push_str(&format!(
                "\n{}\n    {} instead of {} (probability {:.2}, of the word {:.2})\n",
                mistake.context,
                piece(mistake.predicted),
                piece(mistake.gold),
                mistake.probability,
                mistake.of_gold
            ));
            if let Some(gloss) = self.gloss(mistake.gold, mistake.predicted) {
                out.push_str(&format!("    both: {gloss}\n"));
            }
        }
        out
    }

    fn bands(&self) -> Vec<(&'static str, usize, usize)> {
        self.groups(&|m| self.band(m), &BANDS.map(|(_, name)| name))
    }

    fn parts(&self) -> Vec<(&'static str, usize, usize)> {
        let mut names = POS.map(Pos::file).to_vec();
        names.push("not in WordNet");
        self.groups(&|m| self.pos(m.gold), &names)
    }

    /// Both of the first two judges, the first alone, the second alone, and kappa.
    fn agreement(&self) -> (usize, usize, usize, f64) {
        let count = |a: bool, b: bool| {
            self.found.mistakes.iter().filter(|m| m.excused[0] == a && m.excused[1] == b).count()
        };
        let (both, only_a, only_b) = (count(true, true), count(true, false), count(false, true));
        let all = self.wrong() as f64;
        let (a, b) = ((both + only_a) as f64 / all, (both + only_b) as f64 / all);
        let agreed = 1.0 - (only_a + only_b) as f64 / all;
        let chance = a * b + (1.0 - a) * (1.0 - b);
        (both, only_a, only_b, (agreed - chance) / (1.0 - chance))
    }

    fn json(&self) -> Value {
        let group = |(name, all, excused): &(&str, usize, usize)| json!({"group": name, "errors": all, "false_negatives": excused});
        let judges: Vec<Value> = self
            .judges
            .iter()
            .enumerate()
            .map(|(at, (name, _))| {
                json!({"judge": name, "false_negatives": self.found.mistakes.iter().filter(|m| m.excused[at]).count()})
            })
            .collect();
        let examples: Vec<Value> = self
            .examples()
            .into_iter()
            .map(|m| {
                json!({"context": m.context, "gold": support::piece(self.tokenizer, m.gold),
                       "predicted": support::piece(self.tokenizer, m.predicted), "probability": m.probability,
                       "probability_of_gold": m.of_gold, "gloss": self.gloss(m.gold, m.predicted)})
            })
            .collect();
        let agreement = (self.judges.len() > 1).then(|| {
            let (both, first, second, kappa) = self.agreement();
            json!({"both": both, "first_alone": first, "second_alone": second, "kappa": kappa})
        });
        json!({
            "masked": self.found.masked, "wrong": self.wrong(), "judges": judges, "agreement": agreement,
            "frequency": self.bands().iter().map(group).collect::<Vec<_>>(),
            "part_of_speech": self.net.map(|_| self.parts().iter().map(group).collect::<Vec<_>>()),
            "by_step": self.by_step.iter().map(|(step, wrong, share)| {
                json!({"step": step, "wrong_share": wrong, "false_negative_share": share})
            }).collect::<Vec<_>>(),
            "examples": examples,
        })
    }
}
