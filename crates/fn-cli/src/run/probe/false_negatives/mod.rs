//! `fnlm probe false-negatives`: the errors of a model on held-out text, and which of them are none.

mod judges;
mod report;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use fn_core::corrupt::Corruptor;
use fn_core::ids::Rows;
use fn_core::sample::argmax_ids;
use fn_data::lexicon::WordNet;
use fn_data::loader::{MaskedBatch, fixed_batches};
use fn_data::shard::{Dataset, prepare};
use fn_data::tokenise::TextTokenizer;
use fn_models::{Pretrained, hf};
use fn_ops::Noise;
use fn_study::runs::RunRecord;
use fn_train::checkpoint::{self, Checkpoints};
use fn_train::config::RunConfig;
use fn_train::model;
use fn_train::objective::DeviceBatch;
use fn_train::session::prepare_config;
use fn_train::stop::Stop;
use fn_train::trainer::HELD_OUT_SEED;

use self::judges::Judges;
use self::report::Report;
use crate::args::ProbeFalseNegativesArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::{device, rundir, term};

/// Pieces shown on either side of a gap.
const CONTEXT: usize = 12;

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
    /// How often each word is there.
    seen: HashMap<u32, u64>,
}

/// A checkpoint in short.
struct Step {
    step: u64,
    masked: usize,
    wrong: usize,
    /// False negatives by each judge.
    excused: Vec<usize>,
}

/// What is looked into.
struct Subject {
    /// The run directory.
    run: PathBuf,
    /// Checkpoints, the oldest first; the last one is looked into if there is no folder.
    checkpoints: Vec<PathBuf>,
    /// A model in the Hugging Face format.
    folder: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// A run without model, text or judge (3, 2); files that cannot be read (3).
pub fn run(args: &ProbeFalseNegativesArgs) -> Result<Outcome, CliError> {
    let stop = support::interruptible()?;
    let subject = subject(args)?;
    let config = crate::config::read(&subject.run.join(rundir::CONFIG))?;
    let tokenizer = support::tokenizer(&config.data.tokenizer)?;
    let device = device::open(&args.device)?;
    if args.batches == 0 {
        return Err(CliError::usage("--batches must be at least 1"));
    }
    let judges = Judges::open(args, &config, &tokenizer, &device)?;
    let net = args.wordnet.as_deref().map(WordNet::open).transpose().map_err(CliError::input_from)?;
    let paths = if args.text.is_empty() { &config.data.held_out } else { &args.text };
    if paths.is_empty() {
        return Err(CliError::usage("the run has no held-out text; name some with --text"));
    }
    let prepared = prepare(&prepare_config(&config, paths), &tokenizer, &mut |_| (), &stop.flag())?;
    let probe = Probe {
        data: Arc::new(Dataset::open(&prepared.dir)?),
        corruptor: Arc::new(
            Corruptor::new(config.corruption.clone(), tokenizer.facts()).map_err(CliError::failed_from)?,
        ),
        batches: args.batches,
        config: &config,
        tokenizer: &tokenizer,
        judges: &judges,
        device,
        stop,
    };
    let (steps, last) = probe.checkpoints(&subject.checkpoints)?;
    let found = match &subject.folder {
        Some(folder) => {
            hf::check_fit(folder, tokenizer.size(), config.data.length).map_err(CliError::input_from)?;
            let (model, _) =
                Pretrained::open_masked_lm(folder, &probe.device).map_err(CliError::input_from)?;
            probe.look(&model)?
        }
        None => last.ok_or_else(|| {
            CliError::input(format!(
                "{}: there is neither a {}/ nor an intact checkpoint; `fnlm pretrain` makes them",
                subject.run.display(),
                rundir::MODEL
            ))
        })?,
    };
    if found.masked == 0 {
        return Err(CliError::input("the text has no word that can be masked; give more of it"));
    }
    let report = Report {
        // What the run itself measured on the way; a copied model may come without it.
        by_step: RunRecord::open(&subject.run).map(|record| by_step(&record)).unwrap_or_default(),
        kept: args.model.is_none().then(|| report::kept(&config.checkpoint, steps.len())),
        ranks: ranks(&found.seen),
        steps,
        examples: args.examples,
        markdown: args.format.markdown,
        judges: &judges.names,
        net: net.as_ref(),
        tokenizer: &tokenizer,
        found: &found,
    };
    term::out(&if args.format.json { format!("{:#}\n", report.json()) } else { report.text() })?;
    Ok(Outcome::Done)
}

/// One checkpoint, one model, or a whole run.
fn subject(args: &ProbeFalseNegativesArgs) -> Result<Subject, CliError> {
    if args.run.join(checkpoint::MANIFEST).exists() {
        let Some(run) = rundir::of_checkpoint(&args.run) else {
            return Err(CliError::input(format!(
                "{} is a checkpoint outside of a run directory, whose {} is needed; leave it in run/{}/",
                args.run.display(),
                rundir::CONFIG,
                rundir::CHECKPOINTS
            )));
        };
        if args.model.is_some() {
            return Err(CliError::usage(
                "a checkpoint and --model are two models; give the run directory with --model",
            ));
        }
        return Ok(Subject { run, checkpoints: vec![args.run.clone()], folder: None });
    }
    let run = args.run.clone();
    if let Some(model) = &args.model {
        return Ok(Subject { run, checkpoints: Vec::new(), folder: Some(model.clone()) });
    }
    let kept = Checkpoints::new(run.join(rundir::CHECKPOINTS), 1, false).list();
    let model = run.join(rundir::MODEL);
    Ok(Subject {
        run,
        checkpoints: kept.into_iter().map(|(_, path)| path).collect(),
        folder: model.exists().then_some(model),
    })
}

/// The same text, hidden in the same places, for every model.
struct Probe<'a> {
    data: Arc<Dataset>,
    corruptor: Arc<Corruptor>,
    batches: usize,
    config: &'a RunConfig,
    tokenizer: &'a TextTokenizer,
    judges: &'a Judges,
    device: Device,
    stop: Stop,
}

impl Probe<'_> {
    /// Every checkpoint in short, and all about the last one. What is damaged is told and left out.
    fn checkpoints(&self, folders: &[PathBuf]) -> Result<(Vec<Step>, Option<Found>), CliError> {
        let (mut steps, mut last) = (Vec::new(), None);
        for folder in folders {
            let mut loaded = match checkpoint::load(folder) {
                Ok(loaded) => loaded,
                Err(error) => {
                    term::note(false, &format!("warning: skipped: {error}"));
                    continue;
                }
            };
            let step = loaded.state.step;
            let model = model::of_checkpoint(&self.config.model, &mut loaded, &self.device);
            let found = self.look(&model.map_err(CliError::input_from)?)?;
            steps.push(Step {
                step,
                masked: found.masked,
                wrong: found.mistakes.len(),
                excused: (0..self.judges.names.len()).map(|judge| found.excused(judge)).collect(),
            });
            last = Some(found);
        }
        Ok((steps, last))
    }

    fn look(&self, model: &Pretrained) -> Result<Found, CliError> {
        let (data, corruptor) = (self.data.clone(), self.corruptor.clone());
        let size = self.config.train.batch.min(64);
        let mut found = Found::default();
        for batch in fixed_batches(data, corruptor, size, HELD_OUT_SEED, self.batches) {
            if self.stop.requested() {
                return Err(support::interrupted(&self.stop));
            }
            self.add(&mut found, model, &batch);
        }
        Ok(found)
    }

    fn add(&self, found: &mut Found, model: &Pretrained, batch: &MaskedBatch) {
        for &id in batch.original.iter().filter(|&&id| !is_frame(self.tokenizer, id)) {
            *found.seen.entry(id).or_default() += 1;
        }
        let on_device = DeviceBatch::new(batch, &self.device);
        let logits = model.masked_logits(&on_device.inputs, on_device.rows.clone(), &Noise::none());
        // A token table may be larger than the vocabulary; nothing is known about the rest.
        let rows = logits.dims()[0];
        let logits = logits.slice([0..rows, 0..self.tokenizer.size()]);
        let predicted = argmax_ids(logits.clone());
        let probability = |ids: Tensor<1, Int>| -> Vec<f64> {
            let loss = fn_models::params::host(fn_ops::cross_entropy_rows(logits.clone(), ids));
            loss.into_iter().map(|loss| f64::from(-loss).exp()).collect()
        };
        let (of_predicted, of_gold) = (probability(predicted.clone()), probability(on_device.gold.clone()));
        let words = predicted.clone().into_data();
        let ids: Vec<(u32, u32)> =
            batch.gold.iter().copied().zip(words.iter::<i32>().map(|id| id as u32)).collect();
        let rows = Rows { gold: on_device.gold.clone(), predicted, weight: on_device.weight.clone() };
        let verdicts = self.judges.judge(&on_device, &rows, &ids);
        for (place, &(gold, word)) in ids.iter().enumerate().filter(|(place, _)| batch.weight[*place] > 0.0) {
            found.masked += 1;
            if word != gold {
                found.mistakes.push(Mistake {
                    gold,
                    predicted: word,
                    probability: of_predicted[place],
                    of_gold: of_gold[place],
                    excused: verdicts.iter().map(|says| says[place]).collect(),
                    context: context(batch, batch.rows[place] as usize, self.tokenizer),
                });
            }
        }
    }
}

impl Found {
    /// Mistakes that a judge excuses.
    fn excused(&self, judge: usize) -> usize {
        self.mistakes.iter().filter(|mistake| mistake.excused[judge]).count()
    }
}

/// Whether a piece only frames the text.
fn is_frame(tokenizer: &TextTokenizer, id: u32) -> bool {
    let special = tokenizer.special();
    [special.pad, special.cls, special.sep].contains(&id)
}

/// The original words around a masked place, which is written `[...]`.
fn context(batch: &MaskedBatch, place: usize, tokenizer: &TextTokenizer) -> String {
    let start = place / batch.length * batch.length;
    let row = &batch.original[start..start + batch.length];
    let at = place - start;
    let side = |ids: &[u32]| {
        let words: Vec<u32> = ids.iter().copied().filter(|&id| !is_frame(tokenizer, id)).collect();
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
