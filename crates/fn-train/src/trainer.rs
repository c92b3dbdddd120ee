//! The training loop, top to bottom: batches, losses, one update, report, measure, save.
//!
//! Nothing in here is random and nothing is remembered but [`TrainState`], weights and moments: every choice is a function
//! of (seed, step), so a resumed run is the same run. A stop request is honoured after the step under way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use fn_core::corrupt::Corruptor;
use fn_core::noise::mix;
use fn_data::DataError;
use fn_data::loader::{Loader, LoaderConfig, MaskedBatch, Stage, fixed_batches};
use fn_data::shard::Dataset;
use fn_data::synthetic::Synthetic;
use fn_models::{Pretrained, params};

use crate::checkpoint::{Best, Checkpoints, TrainState};
use crate::config::RunConfig;
use crate::error::TrainError;
use crate::faults;
use crate::guard::{Decision, Guard};
use crate::heldout::{Evaluation, Truth};
use crate::objective::{Objective, Share, StepLoss, real_tokens};
use crate::optim::{AdamW, Gradients, Update};
use crate::report::{Reporter, StepReport};
use crate::stop::Stop;

/// The seed of the held-out corruption: the same hidden tokens for every run, arm and step.
pub const HELD_OUT_SEED: u64 = 0x0e1d_0007;

/// Steps after which a device is asked what they were like, if no line of the log asks before.
const MOST_UNSETTLED: usize = 64;

/// Everything that a run needs.
pub struct Run<'a> {
    /// What was asked for.
    pub config: &'a RunConfig,
    /// Batch to loss.
    pub objective: &'a dyn Objective,
    /// Weights at `state.step`.
    pub model: Pretrained,
    /// Moments at `state.step`.
    pub optimizer: AdamW,
    /// Where the run stands.
    pub state: TrainState,
    /// Rows to train on.
    pub data: Arc<Dataset>,
    /// Hides tokens.
    pub corruptor: Arc<Corruptor>,
    /// Rows to measure on.
    pub held_out: Option<HeldOut<'a>>,
    /// Where to save; None: nowhere.
    pub checkpoints: Option<&'a Checkpoints>,
    /// The checkpoint that the run goes on from.
    pub resumed_from: Option<&'a Path>,
    /// Files that every checkpoint carries along, name and bytes.
    pub extra: &'a [(String, Vec<u8>)],
    /// Who is told.
    pub reporter: &'a mut dyn Reporter,
    /// Set by SIGINT and SIGTERM.
    pub stop: &'a Stop,
}

/// Text that is only measured on.
#[derive(Clone)]
pub struct HeldOut<'a> {
    /// The rows, in their own order.
    pub data: Arc<Dataset>,
    /// What fits where, if the text was generated.
    pub truth: Option<&'a dyn Truth>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// The weights.
    pub model: Pretrained,
    /// Where the run stands.
    pub state: TrainState,
    /// The last held-out metrics, if any were taken.
    pub evaluation: Option<Evaluation>,
    /// False when a signal stopped it before its last step.
    pub complete: bool,
    /// Where it was saved last.
    pub saved: Option<PathBuf>,
    /// Seconds of wall time in steps (without measuring and saving).
    pub step_seconds: f64,
    /// Of them, those of the first step, which takes memory and chooses kernels.
    pub first_step_seconds: f64,
    /// Steps taken by this process.
    pub steps_taken: u64,
}

impl Run<'_> {
    /// Trains from `state.step` to `train.steps`.
    ///
    /// # Errors
    /// Data that cannot be read, a checkpoint that cannot be written, a loss that stays non-finite.
    pub fn train(self) -> Result<Finished, TrainError> {
        let Run { config, objective, mut model, mut optimizer, mut state, data, corruptor, .. } = self;
        let Run { held_out, checkpoints, extra, reporter, stop, .. } = self;
        let loading = LoaderConfig {
            batch: config.train.batch,
            seed: config.seed,
            rank: 0,
            world: 1,
            workers: config.data.workers,
        };
        let measured =
            held_out.map(|h| Measured { data: h.data, truth: h.truth, corruptor: corruptor.clone() });
        let stage = stage(config, &corruptor)?;
        let mut loader = Loader::staged(data, corruptor, loading, state.micro_step, stage)?;
        let mut guard = Guard::new(config.train.max_skipped, state.guard);
        let schedule = config.schedule.clone().resolved(config.train.steps);
        let mut evaluation = None;
        let mut saved = self.resumed_from.map(Path::to_path_buf);
        let (mut step_seconds, mut first_step_seconds) = (0.0, 0.0);
        let start = state.step;
        if state.step == 0 {
            saved = save(checkpoints, &state, objective, &model, &optimizer, extra, reporter)?; // a full disk shows now, not later
        }
        let due = |step: u64| {
            step == config.train.steps || (config.eval.every > 0 && step.is_multiple_of(config.eval.every))
        };
        // A signal can come between a step and its evaluation: then the evaluation is made up for now.
        let mut evaluate_first = state.step > 0 && due(state.step) && state.evaluated_step != state.step;
        let mut stopping = stop.requested();
        while (state.step < config.train.steps || evaluate_first) && !stopping {
            if !evaluate_first {
                let clock = Instant::now();
                let micro =
                    (0..config.train.accumulation).map(|_| loader.next()).collect::<Result<Vec<_>, _>>()?;
                let waited = clock.elapsed().as_secs_f64();
                model = faults::parameters(model, state.step + 1);
                let (gradients, loss) =
                    forward_backward(objective, &model, &micro, state.seed, state.step + 1);
                let rate = schedule.at(state.step);
                model = optimizer.enqueue(model, gradients, rate);
                objective.follow(&model);
                let tokens = micro.iter().map(real_tokens).sum::<f64>() as u64;
                state.step += 1;
                state.micro_step = loader.position();
                state.tokens_seen += tokens;
                let mut log = state.step == config.train.steps || state.step.is_multiple_of(config.log.every);
                let (unsettled, waits) = optimizer.unsettled();
                let mut update = None;
                // Only here, and before a checkpoint, is a device waited for.
                if log || !waits || unsettled >= MOST_UNSETTLED {
                    update = settle(&mut optimizer, &mut guard, &mut state, saved.as_deref(), reporter)?;
                    log |= update.is_some_and(|update| !update.finite);
                }
                let report = update.filter(|_| log).map(|update| read(&state, loss, rate, &update, tokens));
                let seconds = clock.elapsed().as_secs_f64();
                step_seconds += seconds;
                if state.step == start + 1 {
                    first_step_seconds = seconds;
                }
                match report {
                    Some(report) => reporter.step(&StepReport { seconds, waited, ..report })?,
                    None => reporter.tick(state.step, tokens, seconds)?,
                }
            }
            evaluate_first = false;
            if due(state.step) && !stop.requested() {
                let found = measured.as_ref().and_then(|m| m.evaluate(objective, &model, config, stop));
                if let Some(found) = &found {
                    note_best(&mut state, found, &config.eval.metric);
                    reporter.evaluation(state.step, &found.metrics)?;
                }
                if !stop.requested() {
                    state.evaluated_step = state.step;
                }
                evaluation = found.or(evaluation);
            }
            stopping = stop.requested(); // read once: what is not saved now must not end the loop
            let last = state.step == config.train.steps;
            // What the steps before could not learn from may be what the weights have become: such weights are not kept as good.
            let due = last || stopping || state.step.is_multiple_of(config.checkpoint.every);
            if due {
                settle(&mut optimizer, &mut guard, &mut state, saved.as_deref(), reporter)?;
            }
            let good = state.guard.consecutive == 0;
            if last || stopping || (good && state.step.is_multiple_of(config.checkpoint.every)) {
                saved = save(checkpoints, &state, objective, &model, &optimizer, extra, reporter)?;
            }
        }
        // A run that was complete before tells its caller the figures again; they have been reported.
        if start == config.train.steps && evaluation.is_none() && !stop.requested() {
            evaluation = measured.as_ref().and_then(|m| m.evaluate(objective, &model, config, stop));
        }
        Ok(Finished {
            complete: state.step >= config.train.steps
                && !(due(state.step) && state.evaluated_step != state.step),
            steps_taken: state.step - start,
            model,
            state,
            evaluation,
            saved,
            step_seconds,
            first_step_seconds,
        })
    }
}

/// The stage of artificial rows before text, if the configuration has one.
///
/// # Errors
/// A vocabulary that has too few pieces for it.
pub(crate) fn stage(config: &RunConfig, corruptor: &Corruptor) -> Result<Option<Stage>, TrainError> {
    let made = Synthetic::new(&config.data.synthetic, corruptor.vocab(), config.seed);
    let batches = config.data.synthetic_batches(config.train.accumulation);
    Ok(made.map_err(DataError::from)?.map(|rows| Stage { rows: Arc::new(rows), batches }))
}

/// Takes note of the steps that the optimiser has not told of yet, and gives the last of them. Steps before it that were left out
/// are notices: their own lines were not due.
fn settle(
    optimizer: &mut AdamW,
    guard: &mut Guard,
    state: &mut TrainState,
    last_good: Option<&Path>,
    reporter: &mut dyn Reporter,
) -> Result<Option<Update>, TrainError> {
    let updates = optimizer.settle();
    let first = state.step + 1 - updates.len() as u64;
    for (step, update) in (first..).zip(&updates) {
        let decision = guard.observe(step, update, last_good)?;
        if decision == Decision::Skip && step < state.step {
            reporter.notice(&format!("step {step}: skipped, the gradient norm is {}", update.grad_norm))?;
        }
    }
    state.optimizer_updates = optimizer.updates();
    state.guard = *guard.state();
    Ok(updates.last().copied())
}

/// Gradients and terms of one step, added up over its micro-batches.
fn forward_backward(
    objective: &dyn Objective,
    model: &Pretrained,
    micro: &[MaskedBatch],
    seed: u64,
    step: u64,
) -> (Gradients, StepLoss) {
    let seed = faults::noise_seed(seed);
    let mut sum: Option<(Gradients, StepLoss)> = None;
    for (batch, share) in micro.iter().zip(Share::of(micro)) {
        let mut loss = objective.loss(model, batch, share, mix(&[seed, batch.step]));
        loss.total = faults::loss(loss.total, step);
        let gradients = Gradients::from_backward(model, loss.total.backward());
        let loss = detach(loss);
        sum = Some(match sum {
            None => (gradients, loss),
            Some((mut g, l)) => {
                g.accumulate(gradients);
                (g, add(l, loss))
            }
        });
    }
    #[allow(clippy::expect_used)] // `train.accumulation` is checked to be at least 1
    let (mut gradients, loss) = sum.expect("a step has at least one micro-batch");
    faults::gradients(&mut gradients, step);
    (gradients, loss)
}

/// What a run is measured on.
struct Measured<'a> {
    data: Arc<Dataset>,
    truth: Option<&'a dyn Truth>,
    corruptor: Arc<Corruptor>,
}

impl Measured<'_> {
    /// Held-out metrics; None when a stop was requested meanwhile.
    fn evaluate(
        &self,
        objective: &dyn Objective,
        model: &Pretrained,
        config: &RunConfig,
        stop: &Stop,
    ) -> Option<Evaluation> {
        let limit = match config.eval.batches {
            0 => usize::MAX,
            n => n,
        };
        let (data, corruptor) = (self.data.clone(), self.corruptor.clone());
        let mut batches = fixed_batches(data, corruptor, config.train.batch, HELD_OUT_SEED, limit)
            .take_while(|_| !stop.requested());
        let evaluation = objective.evaluate(model, &mut batches, self.truth);
        (!stop.requested()).then_some(evaluation)
    }
}

/// Remembers the best value of `metric`; a loss is better when it is lower.
fn note_best(state: &mut TrainState, evaluation: &Evaluation, metric: &str) {
    let Some(value) = evaluation.get(metric).filter(|v| v.is_finite()) else {
        return;
    };
    let better = |old: f64| {
        if metric.ends_with("loss") { value < old } else { value > old }
    };
    if state.best.as_ref().is_none_or(|b| b.metric != metric || better(b.value)) {
        state.best = Some(Best { step: state.step, metric: metric.to_owned(), value });
    }
}

fn save(
    checkpoints: Option<&Checkpoints>,
    state: &TrainState,
    objective: &dyn Objective,
    model: &Pretrained,
    optimizer: &AdamW,
    extra: &[(String, Vec<u8>)],
    reporter: &mut dyn Reporter,
) -> Result<Option<PathBuf>, TrainError> {
    let Some(checkpoints) = checkpoints else {
        return Ok(None);
    };
    let mut beside = optimizer.state();
    beside.extend(objective.extra_tensors());
    let saved = checkpoints.save(state, &params::collect(model), &beside, extra)?;
    reporter.saved(state.step, &saved)?;
    Ok(Some(saved))
}

/// Keeps the numbers and lets the graph go.
fn detach(loss: StepLoss) -> StepLoss {
    StepLoss {
        total: loss.total.detach(),
        terms: loss.terms.into_iter().map(|(name, t)| (name, t.detach())).collect(),
        counts: loss.counts,
    }
}

fn add(a: StepLoss, b: StepLoss) -> StepLoss {
    let terms = a.terms.into_iter().zip(b.terms).map(|((name, x), (_, y))| (name, x + y)).collect();
    StepLoss { total: a.total + b.total, terms, counts: a.counts.plus(b.counts) }
}

/// Reads the numbers of a step from the device; the times are filled in later.
fn read(state: &TrainState, loss: StepLoss, learning_rate: f64, update: &Update, tokens: u64) -> StepReport {
    StepReport {
        step: state.step,
        loss: scalar(loss.total),
        terms: loss.terms.into_iter().map(|(name, t)| (name.to_owned(), scalar(t))).collect(),
        counts: loss.counts.read(),
        learning_rate,
        grad_norm: update.grad_norm,
        skipped: !update.finite,
        tokens,
        tokens_seen: state.tokens_seen,
        seconds: 0.0,
        waited: 0.0,
    }
}

fn scalar(value: Tensor<1>) -> f64 {
    f64::from(value.into_scalar::<f32>())
}
