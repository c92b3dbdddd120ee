//! Whether the training loss falls at the beginning of a run.

/// Shortest run, in steps, whose loss is expected to fall within its first tenth: in shorter ones noise hides the fall.
const SHORTEST: u64 = 200;
/// Part of the first losses that the loss after a tenth of the run has to be below.
const FALL: f64 = 0.99;

/// Follows the loss of a run from its first step on, and compares it once.
#[derive(Debug, Clone)]
pub struct Descent {
    /// When the loss is compared: after the warm-up and a tenth of the run.
    compared: u64,
    /// Reported losses, until they were compared.
    losses: Option<Vec<f64>>,
}

/// A loss that did not fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoDescent {
    /// Number of the step, counted from 1.
    pub step: u64,
    /// Mean of the first third of the losses until this step.
    pub first: f64,
    /// Mean of their last third.
    pub last: f64,
}

impl std::fmt::Display for NoDescent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, first, last } = self;
        write!(f, "the loss did not fall over the first {step} steps ({first:.3}, then {last:.3})")
    }
}

impl Descent {
    /// Of a run of `steps`, the first `warmup` of which change little, since their rate is near 0.
    pub fn new(steps: u64, warmup: u64) -> Self {
        let compared = warmup.saturating_add(steps.div_ceil(10));
        Self { compared, losses: (steps >= SHORTEST && compared < steps).then(Vec::new) }
    }

    /// Takes the loss of a step: after the warm-up and a tenth of the run it compares the first third of the losses with the last, once.
    pub fn observe(&mut self, step: u64, loss: f64) -> Option<NoDescent> {
        let losses = self.losses.as_mut()?;
        losses.push(loss);
        let third = losses.len() / 3;
        if step < self.compared || third == 0 {
            return None;
        }
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..third]), mean(&losses[losses.len() - third..]));
        self.losses = None;
        (last >= FALL * first).then_some(NoDescent { step, first, last })
    }
}
