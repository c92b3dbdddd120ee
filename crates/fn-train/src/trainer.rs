//! The training loop, top to bottom: batches, losses, one update, report, measure, save.
//!
//! Nothing in here is random and nothing is remembered but [`TrainState`], weights and moments: every choice is a function
//! of (seed, step), so a resumed run is the same run. A stop request is honoured after the step under way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use fn_core::corrupt::Corruptor;
use fn_core::noise::mix;
use fn_data::loader::{Loader, LoaderConfig, MaskedBatch, fixed_batches};
use fn_data::shard::Dataset;
use fn_models::params;

use crate::checkpoint::{Best, Checkpoints, TrainState};
use crate::config::RunConfig;
use crate::error::TrainError;
use crate::guard::{Decision, Guard};
use crate::heldout::{Evaluation, Truth};
use crate::objective::{Objective, Share, StepLoss, real_tokens};
use crate::optim::{AdamW, Gradients};
use crate::report::{Reporter, StepReport};
use crate::stop::Stop;

/// The seed of the held-out corruption: the same hidden tokens for every run, arm and step.
const HELD_OUT_SEED: u64 = 0x0e1d_0007;

/// Everything that a run needs.
pub struct Run<'a, O: Objective> {
    /// What was asked for.
    pub config: &'a RunConfig,
    /// Batch to loss.
    pub objective: &'a O,
    /// Weights at `state.step`.
    pub model: O::Model,
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
    /// Files that every checkpoint carries along (configuration).
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
pub struct Finished<M> {
    /// The weights.
    pub model: M,
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
    /// Steps taken by this process.
    pub steps_taken: u64,
}

impl<O: Objective> Run<'_, O> {
    /// Trains from `state.step` to `train.steps`.
    ///
    /// # Errors
    /// Data that cannot be read, a checkpoint that cannot be written, a loss that stays non-finite.
    pub fn train(mut self) -> Result<Finished<O::Model>, TrainError> {
        let plan = self.config.clone();
        let accumulation = plan.train.accumulation;
        let mut loader = self.loader();
        let mut guard = Guard::new(plan.train.max_skipped, self.state.guard.clone());
        let mut evaluation = None;
        let mut saved = None;
        let mut step_seconds = 0.0;
        let start = self.state.step;
        if self.state.step == 0 {
            saved = self.save()?; // a full disk shows now, not after the first thousand steps
        }
        while self.state.step < plan.train.steps && !self.stop.requested() {
            let clock = Instant::now();
            let micro = (0..accumulation).map(|_| loader.next()).collect::<Result<Vec<_>, _>>()?;
            let waited = clock.elapsed().as_secs_f64();
            let (gradients, loss) = self.forward_backward(&micro);
            let rate = plan.schedule.at(self.state.step);
            let log = (self.state.step + 1).is_multiple_of(plan.log.every) || self.state.step + 1 == plan.train.steps;
            let (model, update) = self.optimizer.step(self.model.clone(), gradients, rate);
            let decision = guard.observe(self.state.step + 1, &update, saved.as_deref())?;
            if decision == Decision::Apply {
                self.model = model;
            }
            let tokens = micro.iter().map(real_tokens).sum::<f64>() as u64;
            self.state.step += 1;
            self.state.micro_step = loader.position();
            self.state.tokens_seen += tokens;
            self.state.optimizer_updates = self.optimizer.updates();
            self.state.guard = guard.state().clone();
            let seconds = clock.elapsed().as_secs_f64();
            step_seconds += seconds;
            if log || decision == Decision::Skip {
                self.reporter.step(&report(&self.state, loss, rate, &update, tokens, seconds, waited))?;
            } else {
                self.reporter.tick(self.state.step, tokens, seconds)?;
            }
            let last = self.state.step == plan.train.steps;
            if last || (plan.eval.every > 0 && self.state.step.is_multiple_of(plan.eval.every)) {
                evaluation = self.evaluate()?.or(evaluation);
            }
            if last || self.stop.requested() || self.state.step.is_multiple_of(plan.checkpoint.every) {
                saved = self.save()?.or(saved);
            }
        }
        Ok(Finished {
            complete: self.state.step >= plan.train.steps,
            steps_taken: self.state.step - start,
            model: self.model,
            state: self.state,
            evaluation,
            saved,
            step_seconds,
        })
    }

    fn loader(&self) -> Loader {
        let config = LoaderConfig {
            batch: self.config.train.batch,
            seed: self.config.seed,
            rank: 0,
            world: 1,
            workers: self.config.data.workers,
        };
        Loader::new(self.data.clone(), self.corruptor.clone(), config, self.state.micro_step)
    }

    /// Gradients and terms of one step, added up over its micro-batches.
    fn forward_backward(&self, micro: &[MaskedBatch]) -> (Gradients, StepLoss) {
        let mut sum: Option<(Gradients, StepLoss)> = None;
        for (batch, share) in micro.iter().zip(Share::of(micro)) {
            let seed = mix(&[self.config.seed, batch.step]);
            let loss = self.objective.loss(&self.model, batch, share, seed);
            let gradients = Gradients::from_backward(&self.model, loss.total.backward());
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
        sum.expect("a step has at least one micro-batch")
    }

    /// Measures on held-out text; None without such text, or when a stop was requested meanwhile.
    fn evaluate(&mut self) -> Result<Option<Evaluation>, TrainError> {
        let Some(held_out) = self.held_out.clone() else { return Ok(None) };
        let limit = match self.config.eval.batches {
            0 => usize::MAX,
            n => n,
        };
        let batches =
            fixed_batches(held_out.data, self.corruptor.clone(), self.config.train.batch, HELD_OUT_SEED, limit);
        let stop = self.stop.clone();
        let mut batches = batches.take_while(|_| !stop.requested());
        let evaluation = self.objective.evaluate(&self.model, &mut batches, held_out.truth);
        if self.stop.requested() {
            return Ok(None);
        }
        self.note_best(&evaluation);
        self.reporter.evaluation(self.state.step, &evaluation)?;
        Ok(Some(evaluation))
    }

    fn note_best(&mut self, evaluation: &Evaluation) {
        let metric = &self.config.eval.metric;
        let Some(value) = evaluation.get(metric).filter(|v| v.is_finite()) else { return };
        let lower_is_better = metric.ends_with("loss");
        let better = |old: f64| if lower_is_better { value < old } else { value > old };
        if self.state.best.as_ref().is_none_or(|b| b.metric != *metric || better(b.value)) {
            self.state.best = Some(Best { step: self.state.step, metric: metric.clone(), value });
        }
    }

    fn save(&mut self) -> Result<Option<PathBuf>, TrainError> {
        let Some(checkpoints) = self.checkpoints else { return Ok(None) };
        let model = params::collect(&self.model);
        let saved = checkpoints.save(&self.state, &model, &self.optimizer.state(), self.extra)?;
        self.reporter.saved(self.state.step, &saved)?;
        Ok(Some(saved))
    }
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
    StepLoss { total: a.total + b.total, terms, counts: a.counts + b.counts }
}

fn report(
    state: &TrainState,
    loss: StepLoss,
    learning_rate: f64,
    update: &crate::optim::Update,
    tokens: u64,
    seconds: f64,
    waited: f64,
) -> StepReport {
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
        seconds,
        waited,
    }
}

fn scalar(value: Tensor<1>) -> f64 {
    f64::from(value.into_scalar::<f32>())
}
