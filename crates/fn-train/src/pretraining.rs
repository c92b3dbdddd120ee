//! Pre-training as a [`Training`]: masked batches, an objective, held-out metrics.

mod clock;
mod details;
mod overlap;
pub(crate) mod warnings;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use fn_core::corrupt::Corruptor;
use fn_core::noise::mix;
use fn_data::DataError;
use fn_data::loader::{Growth, Loader, LoaderConfig, MaskedBatch, Part, Stage, fixed_batches};
use fn_data::mixture::Mixture;
use fn_data::shard::Dataset;
use fn_data::synthetic::Synthetic;
use fn_models::{Cuts, Pretrained};

use crate::NamedTensor;
use crate::checkpoint::TrainState;
use crate::collective::{
    Collective, CollectiveError, Meeting, Single, Wire, check_block, gather_equal, meet,
};
use crate::config::RunConfig;
use crate::error::TrainError;
use crate::heldout::{Evaluation, Truth, lower_is_better};
use crate::objective::{BatchSize, MovingAverage, Objective, Reader, Share};
use crate::optim::Update;
use crate::report::{Reporter, StepReport};
use crate::schedule::ScheduleConfig;
use crate::stop::Stop;
use crate::training_loop::{SaveDue, Score, Training};
use clock::Clock;
pub use details::Details;
use warnings::Course;

/// Seed of the masked positions of held-out text, so that they are the same for every run, arm and step.
pub const HELD_OUT_SEED: u64 = 0x0e1d_0007;

/// Inputs of a pre-training run besides its configuration.
pub struct Inputs<'a> {
    /// Training rows.
    pub data: Mixture,
    /// Masks tokens.
    pub corruptor: Arc<Corruptor>,
    /// Held-out rows for evaluation.
    pub held_out: Option<HeldOut<'a>>,
}

/// Held-out text.
#[derive(Clone)]
pub struct HeldOut<'a> {
    /// The rows.
    pub data: Arc<Dataset>,
    /// Ground truth of which words fit, if the text was generated.
    pub truth: Option<&'a dyn Truth>,
}

/// A pre-training run.
pub struct Pretraining<'a> {
    config: &'a RunConfig,
    objective: &'a dyn Objective,
    schedule: ScheduleConfig,
    loader: Loader,
    corruptor: Arc<Corruptor>,
    held_out: Option<HeldOut<'a>>,
    /// Receives progress reports.
    reporter: &'a mut dyn Reporter,
    stop: &'a Stop,
    ranks: &'a dyn Collective,
    evaluation: Option<Evaluation>,
    /// Real tokens of the step under way, on all ranks.
    tokens: u64,
    /// The newest step, if it is not reported yet.
    unreported: Option<Unreported>,
    clock: Clock,
    /// Whether the warning of a judge that excuses much was given.
    warned: bool,
    /// Moving average of the weights.
    average: Option<Arc<MovingAverage>>,
    /// Seconds that each rank computed since the last report.
    computed: Vec<f64>,
    /// The step at which the run begins.
    first_step: u64,
    /// Micro-batches of each step.
    micro_batches: Growth,
    /// What is watched for warnings; None for a run that was resumed.
    course: Option<Course>,
}

/// A step that was computed but not reported.
struct Unreported {
    total: Tensor<1>,
    details: Details,
    learning_rate: f64,
    tokens: u64,
}

/// Share of the wrong predictions that a judge may call false negatives without a warning.
const MANY: f64 = 1.0 / 3.0;

impl<'a> Pretraining<'a> {
    /// A run that continues from `state`, in a single process.
    ///
    /// # Errors
    /// A vocabulary with too few pieces for the synthetic stage.
    pub fn new(
        config: &'a RunConfig,
        objective: &'a dyn Objective,
        inputs: Inputs<'a>,
        state: &TrainState,
        reporter: &'a mut dyn Reporter,
        stop: &'a Stop,
    ) -> Result<Self, TrainError> {
        Self::of_ranks(config, objective, inputs, state, reporter, stop, &Single)
    }

    /// The part of this process in a run of several `ranks`; `stop` is set once all have agreed to stop.
    ///
    /// # Errors
    /// As [`new`](Self::new); micro-batches that cannot be divided among the ranks, more ranks than rows.
    pub fn of_ranks(
        config: &'a RunConfig,
        objective: &'a dyn Objective,
        inputs: Inputs<'a>,
        state: &TrainState,
        reporter: &'a mut dyn Reporter,
        stop: &'a Stop,
        ranks: &'a dyn Collective,
    ) -> Result<Self, TrainError> {
        check_block(config.train.least_micro_batches(), ranks.world())?;
        let micro_batches = config.micro_batches();
        let rows = inputs.data.len();
        if ranks.world() > rows.max(1) {
            return Err(CollectiveError::Rows { rows, world: ranks.world() }.into());
        }
        let loading = LoaderConfig {
            batch: config.train.batch,
            seed: config.seed,
            steps: micro_batches,
            part: Part { rank: ranks.rank() as u64, world: ranks.world() as u64 },
            mask_rate: config.mask_rate(),
            workers: config.data.workers,
        };
        let Inputs { data, corruptor, held_out } = inputs;
        let stage = stage(config, &corruptor)?;
        Ok(Self {
            config,
            objective,
            schedule: config.schedule.clone().resolved(config.train.steps),
            loader: Loader::staged(data, corruptor.clone(), loading, state.micro_step, stage)?,
            corruptor,
            held_out,
            reporter,
            stop,
            ranks,
            evaluation: None,
            tokens: 0,
            unreported: None,
            clock: Clock { began: Instant::now(), waited: 0.0, steps: 0, seconds: 0.0, first: 0.0 },
            warned: false,
            average: None,
            computed: Vec::new(),
            first_step: 0,
            micro_batches,
            course: (state.step == 0).then(|| {
                Course::new(
                    config.train.steps,
                    config.schedule.warmup,
                    config.correction.asks_judge(config.model.arch.has_discriminator()),
                )
            }),
        })
    }

    /// A run that begins at this step, where it is saved first.
    pub fn beginning_at(mut self, step: u64) -> Self {
        self.first_step = step;
        self
    }

    /// With a moving average of the weights, which has followed the model so far.
    pub fn with_average(mut self, average: Option<Arc<MovingAverage>>) -> Self {
        self.average = average;
        self
    }

    /// The last held-out metrics. If the run was complete already, they are computed again without a report.
    ///
    /// # Errors
    /// Ranks that do not come.
    pub fn evaluation(&mut self, model: &Pretrained) -> Result<Option<Evaluation>, TrainError> {
        if self.clock.steps == 0 && self.evaluation.is_none() && !self.stop.requested() {
            self.evaluation = self.all_metrics(model)?;
        }
        Ok(self.evaluation.take())
    }

    /// Evaluates and reports the model of another training (`model.init`) before the first step, so that it shows what this one changes. It is
    /// no candidate for the best checkpoint, and no bit of the training depends on it.
    ///
    /// # Errors
    /// Reports that cannot be written; ranks that do not come.
    pub fn evaluate_before(&mut self, model: &Pretrained) -> Result<(), TrainError> {
        if self.config.model.init.is_none() || self.held_out.is_none() {
            return Ok(());
        }
        if let Some(found) = self.all_metrics(model)? {
            self.reporter.evaluation(0, &found.metrics)?;
        }
        Ok(meet(self.ranks, Meeting::disk("the evaluation"))?)
    }

    /// Mean seconds of a step of this process, without evaluations and saves, and without the first step if there are others;
    /// NaN if no step was taken.
    pub fn seconds_per_step(&self) -> f64 {
        let Clock { steps, seconds, first, .. } = self.clock;
        match steps {
            0 | 1 => seconds / steps as f64,
            n => (seconds - first) / (n - 1) as f64,
        }
    }

    /// Held-out metrics; None without held-out rows, or if a stop was requested meanwhile.
    fn held_out_metrics(&self, model: &Pretrained) -> Option<Evaluation> {
        let held_out = self.held_out.as_ref()?;
        let limit = match self.config.eval.batches {
            0 => usize::MAX,
            n => n,
        };
        let (data, corruptor) = (held_out.data.clone(), self.corruptor.clone());
        let mut batches = fixed_batches(data, corruptor, self.config.train.batch, HELD_OUT_SEED, limit)
            .take_while(|_| !self.stop.requested());
        let evaluation = self.objective.evaluate(model, &mut batches, held_out.truth);
        (!self.stop.requested()).then_some(evaluation)
    }

    /// [`held_out_metrics`](Self::held_out_metrics) of the weights and, as `average_...`, of their moving average.
    fn all_metrics(&self, model: &Pretrained) -> Result<Option<Evaluation>, TrainError> {
        let Some(mut found) = self.held_out_metrics(model) else { return Ok(None) };
        let average = self.average.as_ref().map(|average| average.model(self.ranks, model)).transpose()?;
        if let Some(average) = average.flatten() {
            let Some(of_average) = self.held_out_metrics(&average) else { return Ok(None) };
            for (name, value) in of_average.metrics {
                found.push(&format!("average_{name}"), value);
            }
        }
        Ok(Some(found))
    }

    /// The sizes of all micro-batches of a step, of which `mine` are this rank's.
    fn sizes(&self, mine: &[MaskedBatch]) -> Result<Vec<BatchSize>, TrainError> {
        let mine: Vec<BatchSize> = mine.iter().map(BatchSize::of).collect();
        if self.ranks.world() == 1 {
            return Ok(mine);
        }
        let numbers: Vec<f64> = mine.iter().flat_map(|size| [size.rows, size.tokens]).collect();
        let all = gather_equal(self.ranks, Meeting::step("the next batch"), bytemuck::cast_slice(&numbers))?;
        let all = all.iter().flat_map(|bytes| bytemuck::pod_collect_to_vec::<u8, [f64; 2]>(bytes));
        Ok(all.map(|[rows, tokens]| BatchSize { rows, tokens }).collect())
    }

    /// Warns once if the judge flags more than a third of the wrong predictions as false negatives.
    fn warn_of_excuses(&mut self, step: u64, details: &Details) -> Result<(), TrainError> {
        let share = details.excused.as_ref().map(scalar);
        let Some(share) = share.filter(|share| *share > MANY && !self.warned) else { return Ok(()) };
        self.warned = true;
        let cap = self.config.correction.cap_or_default();
        let kept = match cap < 1.0 {
            true => format!("`correction.cap` lets at most {:.0} % of them count", 100.0 * cap),
            false => "nothing limits it (`correction.cap` would)".to_owned(),
        };
        self.reporter.warning(&format!(
            "step {step}: the judge calls {:.0} % of the wrong predictions false negatives, and {kept}; a judge that excuses most errors \
             leaves little to learn from. Raise `correction.threshold` or use another judge",
            100.0 * share
        ))?;
        Ok(())
    }

    fn is_last(&self, step: u64) -> bool {
        step == self.config.train.steps
    }
}

impl Training for Pretraining<'_> {
    type Model = Pretrained;
    type Batch = (MaskedBatch, Share);
    type Details = Details;

    fn next_batches(&mut self, step: u64) -> Result<Vec<Self::Batch>, TrainError> {
        self.clock.began = Instant::now();
        let (rank, count) = (self.ranks.rank(), self.micro_batches.size(step) as usize / self.ranks.world());
        let batches = (0..count).map(|_| self.loader.next());
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        self.clock.waited = self.clock.began.elapsed().as_secs_f64();
        let sizes = self.sizes(&batches)?;
        self.tokens = sizes.iter().map(|size| size.tokens).sum::<f64>() as u64;
        let shares = Share::among(&sizes).into_iter().skip(rank * count);
        Ok(batches.into_iter().zip(shares).collect())
    }

    fn loss(&self, model: &Pretrained, (batch, share): &Self::Batch, seed: u64) -> (Tensor<1>, Details) {
        Details::of(self.objective.loss(model, batch, *share, mix(&[seed, batch.micro_batch])))
    }

    fn loss_cut(
        &self,
        model: &Pretrained,
        (batch, share): &Self::Batch,
        seed: u64,
        cuts: &Cuts,
    ) -> (Tensor<1>, Details) {
        let seed = mix(&[seed, batch.micro_batch]);
        Details::of(self.objective.loss_cut(model, batch, *share, seed, cuts))
    }

    fn add(a: Details, b: Details) -> Details {
        a.plus(b)
    }

    fn sums(details: &mut Details) -> Vec<&mut Tensor<1>> {
        details.sums()
    }

    fn wire(&self) -> Wire {
        self.config.train.wire
    }

    fn overlaps(&self) -> bool {
        self.config.overlaps()
    }

    fn compare_every(&self) -> u64 {
        self.config.train.compare_every
    }

    fn computed(&mut self, seconds: &[f64]) {
        self.computed.resize(seconds.len(), 0.0);
        self.computed.iter_mut().zip(seconds).for_each(|(sum, new)| *sum += new);
    }

    fn learning_rate(&self, step: u64) -> f64 {
        self.schedule.at(step)
    }

    fn updated(
        &mut self,
        model: &Pretrained,
        state: &mut TrainState,
        _batches: &[Self::Batch],
        total: Tensor<1>,
        details: Details,
    ) {
        self.objective.follow(model);
        if let Some(average) = self.average.as_ref().filter(|_| state.step >= self.config.average.start) {
            average.follow(Reader::of(model));
            if self.config.optimizer.shard && self.ranks.world() > 1 {
                average.divide(self.ranks);
            }
        }
        let tokens = self.tokens;
        state.micro_step = self.loader.position();
        state.tokens_seen += tokens;
        let learning_rate = self.learning_rate(state.step - 1);
        self.unreported = Some(Unreported { total, details, learning_rate, tokens });
    }

    fn report_due(&self, step: u64) -> bool {
        self.is_last(step) || step.is_multiple_of(self.config.log.every)
    }

    fn report(&mut self, state: &TrainState, updates: &[(u64, Update)]) -> Result<(), TrainError> {
        let newest = self.unreported.take();
        let mut report = None;
        for (step, update) in updates {
            match &newest {
                Some(newest) if *step == state.step && (self.report_due(*step) || !update.finite) => {
                    report = Some(newest.read(state, update));
                }
                // Skipped steps are reported even if their report is not due.
                _ if !update.finite => {
                    let text = format!("step {step}: skipped, the gradient norm is {}", update.grad_norm);
                    self.reporter.notice(&text)?;
                }
                _ => {}
            }
        }
        let Some(newest) = newest else { return Ok(()) };
        let seconds = self.clock.end_step();
        if report.is_some() {
            self.warn_of_excuses(state.step, &newest.details)?;
        }
        match report {
            Some(report) => {
                if !self.computed.is_empty() {
                    self.reporter.ranks(&std::mem::take(&mut self.computed))?;
                }
                let warnings = self.course.as_mut().map(|course| course.observe(&report)).unwrap_or_default();
                self.reporter.step(&StepReport { seconds, waited: self.clock.waited, ..report })?;
                for warning in warnings {
                    self.reporter.warning(&warning)?;
                }
            }
            None => self.reporter.tick(state.step, newest.tokens, seconds)?,
        }
        Ok(())
    }

    fn is_over(&self, state: &TrainState) -> bool {
        state.step >= self.config.train.steps
    }

    fn evaluation_due(&self, step: u64) -> bool {
        let every = self.config.eval.every;
        self.held_out.is_some() && (self.is_last(step) || (every > 0 && step.is_multiple_of(every)))
    }

    fn evaluate(&mut self, model: &Pretrained, state: &TrainState) -> Result<Option<Score>, TrainError> {
        let Some(found) = self.all_metrics(model)? else {
            return Ok(None);
        };
        self.reporter.evaluation(state.step, &found.metrics)?;
        let metric = self.config.eval.metric.clone();
        let value = found.get(&metric).unwrap_or(f64::NAN);
        self.evaluation = Some(found);
        Ok(Some(Score { value, lower_is_better: lower_is_better(&metric), metric }))
    }

    fn save_due(&self, state: &TrainState, _since_last: Duration) -> SaveDue {
        // Also at the start of a run, so that a full disk is detected early.
        if state.step == self.first_step || self.is_last(state.step) {
            SaveDue::Always
        } else if state.step.is_multiple_of(self.config.checkpoint.every) {
            SaveDue::IfFinite
        } else {
            SaveDue::No
        }
    }

    fn extra_tensors(&self) -> Result<Vec<NamedTensor>, TrainError> {
        let mut tensors = if self.ranks.is_first() { self.objective.extra_tensors() } else { Vec::new() };
        if let Some(average) = &self.average {
            tensors.extend(average.tensors_of(self.ranks)?);
        }
        Ok(tensors)
    }

    fn saved(&mut self, step: u64, checkpoint: &Path) -> Result<(), TrainError> {
        Ok(self.reporter.saved(step, checkpoint)?)
    }
}

impl Unreported {
    /// Reads the values of the step from the device; its times are filled in later.
    fn read(&self, state: &TrainState, update: &Update) -> StepReport {
        let terms = self.details.terms.iter().map(|(name, term)| ((*name).to_owned(), scalar(term)));
        StepReport {
            step: state.step,
            loss: scalar(&self.total),
            terms: terms.collect(),
            counts: self.details.counts.clone().read(),
            learning_rate: self.learning_rate,
            grad_norm: update.grad_norm,
            skipped: !update.finite,
            tokens: self.tokens,
            tokens_seen: state.tokens_seen,
            seconds: 0.0,
            waited: 0.0,
        }
    }
}

/// The synthetic stage before text, if the configuration has one.
///
/// # Errors
/// A vocabulary with too few pieces for it.
pub(crate) fn stage(config: &RunConfig, corruptor: &Corruptor) -> Result<Option<Stage>, TrainError> {
    let made = Synthetic::new(&config.data.synthetic, corruptor.vocab(), config.seed);
    let batches = config.data.synthetic_batches(config.micro_batches());
    Ok(made.map_err(DataError::from)?.map(|rows| Stage { rows: Arc::new(rows), batches }))
}

fn scalar(value: &Tensor<1>) -> f64 {
    f64::from(value.clone().into_scalar::<f32>())
}
