//! Tests of the loop with a toy model of two numbers: stopping at any time, and what is saved.

use std::cell::RefCell;

use burn::module::{Module, Param};
use burn::tensor::{Device, TensorData};

use super::*;
use crate::checkpoint::load;
use crate::faults::Faults;
use crate::optim::{AdamWConfig, Groups};

const STEPS: u64 = 9;

#[derive(Module, Debug)]
struct Weights {
    weight: Param<Tensor<1>>,
}

/// Fits the weights to targets that depend on the seed, the step and the micro-batch.
struct Toy<'a> {
    micro: u64,
    save_due: fn(u64) -> SaveDue,
    stop: &'a Stop,
    /// Requests a stop in this step, or in the evaluation after it.
    stop_in: Option<(u64, Phase)>,
    /// Log of events, in order.
    log: &'a RefCell<Vec<String>>,
    losses: Vec<Tensor<1>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Step,
    Evaluation,
}

impl Toy<'_> {
    fn stops(&self, step: u64, phase: Phase) -> bool {
        let stops = self.stop_in == Some((step, phase));
        if stops {
            self.stop.request();
        }
        stops
    }
}

impl Training for Toy<'_> {
    type Model = Weights;
    type Batch = u64;
    type Details = u64;

    fn next_batches(&mut self, step: u64) -> Result<Vec<u64>, TrainError> {
        self.stops(step + 1, Phase::Step);
        Ok((0..self.micro).map(|i| step * self.micro + i).collect())
    }

    fn loss(&self, model: &Weights, batch: &u64, seed: u64) -> (Tensor<1>, u64) {
        let target = (fn_core::noise::mix(&[seed, *batch]) % 100) as f32;
        let share = 1.0 / self.micro as f32;
        (((model.weight.val() - target).square() * share).sum(), 1)
    }

    fn add(a: u64, b: u64) -> u64 {
        a + b
    }

    fn learning_rate(&self, step: u64) -> f64 {
        0.1 / (step + 1) as f64
    }

    fn updated(
        &mut self,
        _: &Weights,
        state: &mut TrainState,
        batches: &[u64],
        total: Tensor<1>,
        count: u64,
    ) {
        assert_eq!(count, self.micro);
        state.micro_step += batches.len() as u64;
        self.losses.push(total);
    }

    fn report_due(&self, step: u64) -> bool {
        step.is_multiple_of(2)
    }

    fn report(&mut self, _: &TrainState, updates: &[(u64, Update)]) -> Result<(), TrainError> {
        for ((step, update), loss) in updates.iter().zip(self.losses.drain(..)) {
            let loss: f32 = loss.into_scalar();
            let skipped = if update.finite { "" } else { " skipped" };
            self.log.borrow_mut().push(format!("step {step}: {:08x}{skipped}", loss.to_bits()));
        }
        Ok(())
    }

    fn is_over(&self, state: &TrainState) -> bool {
        state.step == STEPS
    }

    fn evaluation_due(&self, step: u64) -> bool {
        step.is_multiple_of(3)
    }

    fn evaluate(&mut self, model: &Weights, state: &TrainState) -> Result<Option<Score>, TrainError> {
        if self.stops(state.step, Phase::Evaluation) {
            return Ok(None);
        }
        let value = params::host(model.weight.val().inner())[0];
        self.log.borrow_mut().push(format!("evaluation after {}: {:08x}", state.step, value.to_bits()));
        Ok(Some(Score { metric: "loss".into(), value: f64::from(value), lower_is_better: true }))
    }

    fn save_due(&self, state: &TrainState, _: Duration) -> SaveDue {
        (self.save_due)(state.step)
    }
}

struct Setting {
    micro: u64,
    save_due: fn(u64) -> SaveDue,
    max_skipped: u32,
}

/// Runs one process, from the newest checkpoint.
fn process(
    setting: &Setting,
    checkpoints: &Checkpoints,
    stop_in: Option<(u64, Phase)>,
    log: &RefCell<Vec<String>>,
) -> Result<(Vec<f32>, TrainState, bool), TrainError> {
    let device = Device::flex().autodiff();
    let weight = Tensor::from_data(TensorData::from([1.0f32, -2.0]), &device);
    let model = Weights { weight: Param::from_tensor(weight) };
    let optimizer = AdamW::new(AdamWConfig::default(), Groups::default());
    let start = match checkpoints.latest().unwrap() {
        Some(found) => Start::resumed(model, optimizer, load(&found.path).unwrap()).unwrap(),
        None => Start::new(model, optimizer, 7),
    };
    let stop = Stop::new();
    let toy = Toy {
        micro: setting.micro,
        save_due: setting.save_due,
        stop: &stop,
        stop_in,
        log,
        losses: Vec::new(),
    };
    let ended = train(toy, start, Some(checkpoints), setting.max_skipped, &stop)?;
    Ok((params::host(ended.model.weight.val().inner()), ended.state, ended.complete))
}

const PLAIN: Setting = Setting { micro: 2, save_due: |_| SaveDue::No, max_skipped: 3 };

#[test]
fn a_run_stopped_at_any_time_and_resumed_gives_the_same_result() {
    let dir = tempfile::tempdir().unwrap();
    let whole = RefCell::default();
    let (weights, state, complete) =
        process(&PLAIN, &Checkpoints::new(dir.path().join("whole"), 1, false), None, &whole).unwrap();
    assert!(complete && state.evaluated_step == STEPS && state.micro_step == 2 * STEPS);
    assert_eq!(whole.borrow().len() as u64, STEPS + STEPS / 3);
    let best = state.best.clone().unwrap();
    assert!(best.step > 0 && best.metric == "loss");

    let moments = (1..=STEPS).flat_map(|step| [(step, Phase::Step), (step, Phase::Evaluation)]);
    for moment in moments.filter(|&(step, phase)| phase == Phase::Step || step % 3 == 0) {
        let checkpoints = Checkpoints::new(dir.path().join(format!("{moment:?}")), 1, false);
        let parts = RefCell::default();
        let (_, stopped, complete) = process(&PLAIN, &checkpoints, Some(moment), &parts).unwrap();
        assert!(!complete && stopped.step == moment.0, "{moment:?}: {stopped:?}");
        assert!(stopped.evaluated_step < stopped.step, "{moment:?}: {stopped:?}");
        let (resumed, end, complete) = process(&PLAIN, &checkpoints, None, &parts).unwrap();
        assert!(complete, "{moment:?}");
        assert_eq!((&resumed, &end, &parts), (&weights, &state, &whole), "{moment:?}");
    }
}

#[test]
fn a_complete_run_is_not_trained_or_saved_again() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(dir.path(), 100, false);
    let setting =
        Setting { save_due: |step| if step == STEPS { SaveDue::Always } else { SaveDue::No }, ..PLAIN };
    let first = process(&setting, &checkpoints, None, &RefCell::default()).unwrap();
    let manifest = checkpoints.list()[0].1.join(crate::checkpoint::MANIFEST);
    let written = std::fs::metadata(&manifest).unwrap().modified().unwrap();
    let log = RefCell::default();
    assert_eq!(process(&setting, &checkpoints, None, &log).unwrap(), first);
    assert_eq!(log.take(), Vec::<String>::new());
    assert_eq!(std::fs::metadata(&manifest).unwrap().modified().unwrap(), written);
}

#[test]
fn losses_and_gradients_are_summed_over_micro_batches() {
    let run = |micro| {
        let dir = tempfile::tempdir().unwrap();
        let log = RefCell::default();
        process(&Setting { micro, ..PLAIN }, &Checkpoints::new(dir.path(), 1, false), None, &log).unwrap();
        let first = log.borrow()[0].rsplit(' ').next().unwrap().to_owned();
        f32::from_bits(u32::from_str_radix(&first, 16).unwrap())
    };
    for micro in [1, 2, 3] {
        let target = |batch: u64| (fn_core::noise::mix(&[7, batch]) % 100) as f32;
        let loss = |batch| (1.0 - target(batch)).powi(2) + (-2.0 - target(batch)).powi(2);
        let expected = (0..micro).map(loss).sum::<f32>() / micro as f32;
        let found = run(micro);
        assert!((found - expected).abs() <= expected * 1e-6, "{micro}: {found}, {expected}");
    }
}

#[test]
fn a_checkpoint_that_is_due_after_a_non_finite_step_waits_for_a_finite_one() {
    let saved = |save_due| {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path(), 100, false);
        let log = RefCell::default();
        let faults = Faults { poison: Some("gradient@4:nan".parse().unwrap()), ..Faults::default() };
        let setting = Setting { save_due, ..PLAIN };
        let (_, state, _) = faults.during(|| process(&setting, &checkpoints, None, &log)).unwrap();
        assert_eq!((state.optimizer_updates, state.guard.skipped_total), (STEPS - 1, 1));
        assert_eq!(log.borrow().iter().filter(|line| line.ends_with("skipped")).count(), 1);
        checkpoints.list().into_iter().map(|(step, _)| step).collect::<Vec<_>>()
    };
    assert_eq!(saved(|step| if step % 2 == 0 { SaveDue::IfFinite } else { SaveDue::No }), [0, 2, 6, 8]);
    assert_eq!(saved(|step| if step % 2 == 0 { SaveDue::Always } else { SaveDue::No }), [0, 2, 4, 6, 8]);
}

#[test]
fn repeated_non_finite_gradients_end_the_run_after_all_earlier_steps_were_reported() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(dir.path(), 100, false);
    let log = RefCell::default();
    let faults = Faults { poison: Some("gradient@4+9:nan".parse().unwrap()), ..Faults::default() };
    let setting = Setting { save_due: |_| SaveDue::IfFinite, ..PLAIN };
    let error = faults.during(|| process(&setting, &checkpoints, None, &log)).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { step: 6, consecutive: 3, .. }), "{error}");
    assert!(error.to_string().contains("step-00000003"), "{error}");
    let steps = log.borrow().iter().filter(|line| line.starts_with("step")).count();
    assert_eq!(steps, 5, "{log:?}");
    assert_eq!(checkpoints.latest().unwrap().unwrap().step, 3);
}
