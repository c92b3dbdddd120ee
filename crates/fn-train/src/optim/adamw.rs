//! The optimiser.

use std::collections::BTreeMap;

use burn::backend::GradientCheckpointingStrategy;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use fn_core::documented;
use fn_ops::adamw::{Coefficients, Deferred, Slot, SquareSum, update, update_clipped};
use serde::{Deserialize, Serialize};

use super::gradients::{Path, flat};
use super::sharded::Shard;
use super::{Gradients, Groups, OptimError};
use crate::error::RangeError;
use fn_models::params::NamedTensor;

documented! {
    /// AdamW. The defaults are those of ELECTRA and BERT: no bias correction, global gradient norm clipped at 1.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct AdamWConfig {
        /// Decay of the first moment of AdamW. 0.9.
        pub beta1: f64,
        /// Decay of the second moment of AdamW. 0.999.
        pub beta2: f64,
        /// Epsilon of AdamW, added to the square root of the second moment. 1e-6 (ELECTRA, BERT); 1e-8 in PyTorch.
        pub epsilon: f64,
        /// Decoupled weight decay; none for biases and LayerNorm. 0.01.
        pub weight_decay: f64,
        /// Bias correction of the moments (division by 1 - beta^t), as in PyTorch. Off in ELECTRA and BERT.
        pub bias_correction: bool,
        /// Clip the global norm of the gradients to this. 1.0. 0: no clipping.
        #[serde(with = "zero_is_none")]
        pub clip_norm: Option<f64>,
        /// StableAdamW: divide learning rate and weight decay of each parameter by max(1, RMS of g / sqrt(v)), so that a gradient much larger
        /// than those before it does not make a large step. Needs `bias_correction`. Off.
        pub update_clipping: bool,
        /// In several processes (MPI): each keeps the moments of its share of the parameters only, in host memory, and sends the others its
        /// updated weights (ZeRO stage 1). Same bits, same checkpoints. Off.
        pub shard: bool,
    }
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-6,
            weight_decay: 0.01,
            bias_correction: false,
            clip_norm: Some(1.0),
            update_clipping: false,
            shard: false,
        }
    }
}

impl AdamWConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), RangeError> {
        let share = |field, value: f64| {
            RangeError::unless((0.0..1.0).contains(&value), field, value, "0 or more, below 1")
        };
        share("beta1", self.beta1)?;
        share("beta2", self.beta2)?;
        // Below the smallest normal f32 it would be 0, and 0/0 is NaN.
        RangeError::unless(
            self.epsilon >= 1e-37 && self.epsilon.is_finite(),
            "epsilon",
            self.epsilon,
            "1e-37 or more, finite",
        )?;
        share("weight_decay", self.weight_decay)?;
        RangeError::unless(
            !self.update_clipping || self.bias_correction,
            "bias_correction",
            0.0,
            "true (1) with `update_clipping`: without it the second moment is too small at first, and every early update would be clipped",
        )?;
        match self.clip_norm {
            None => Ok(()),
            Some(norm) => RangeError::unless(
                norm > 0.0 && norm.is_finite(),
                "clip_norm",
                norm,
                "a finite number above 0, or 0 for no clipping",
            ),
        }
    }
}

/// Writes None as 0, because TOML has no null.
mod zero_is_none {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(value.unwrap_or(0.0))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Some(f64::deserialize(deserializer)?).filter(|&norm| norm != 0.0))
    }
}

/// Result of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Global gradient norm before clipping; may be NaN or infinite.
    pub grad_norm: f64,
    /// Whether the norm was finite. If not, no update was made.
    pub finite: bool,
    /// Whether the gradients were clipped.
    pub clipped: bool,
}

impl Update {
    pub(super) fn of(grad_norm: f64, limit: Option<f64>) -> Self {
        let finite = grad_norm.is_finite();
        Self { grad_norm, finite, clipped: finite && limit.is_some_and(|limit| grad_norm > limit) }
    }

    /// What the gradients are multiplied with.
    pub(super) fn factor(&self, limit: Option<f64>) -> f64 {
        let limit = limit.filter(|_| self.clipped);
        limit.map_or(1.0, |limit| limit / self.grad_norm)
    }
}

impl Unread {
    fn norm(&self) -> Option<Tensor<1>> {
        match self {
            Self::Known(_) => None,
            Self::Enqueued(norm) => Some(norm.clone()),
        }
    }
}

/// How gradients are clipped.
#[expect(clippy::large_enum_variant, reason = "one for a step")]
enum Clip {
    Factor(f64),
    Deferred(Deferred),
}

/// AdamW with its moments.
///
/// ```text
/// m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
/// p -= f lr (m / (sqrt(v) + eps) + wd p)                                        without bias correction
/// p -= f lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + wd p)              with it
/// ```
/// With `update_clipping` (StableAdamW), f lr is divided by max(1, RMS), see [`fn_ops::adamw::update_clipped`].
///
/// g is the clipped gradient, f the group's learning-rate factor, t the number of updates. A parameter without a gradient
/// stays as it is.
#[derive(Debug)]
pub struct AdamW {
    pub(super) config: AdamWConfig,
    groups: Groups,
    pub(super) moments: BTreeMap<String, Moments>,
    /// The moments, if they are divided among ranks.
    pub(super) shard: Option<Shard>,
    pub(super) updates: u64,
    pub(super) unread: Vec<Unread>,
}

/// A step whose result was not read back from the device.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one for a step")]
pub(super) enum Unread {
    Known(Update),
    /// The gradient norm, `[1]`, on a device that may not have computed it yet.
    Enqueued(Tensor<1>),
}

/// Flat moments of one parameter.
#[derive(Debug)]
pub(super) struct Moments {
    shape: Vec<usize>,
    pub(super) m: Tensor<1>,
    pub(super) v: Tensor<1>,
}

impl AdamW {
    /// An optimiser without moments; `config` should be valid.
    pub fn new(config: AdamWConfig, groups: Groups) -> Self {
        Self { config, groups, moments: BTreeMap::new(), shard: None, updates: 0, unread: Vec::new() }
    }

    /// The settings.
    pub fn config(&self) -> &AdamWConfig {
        &self.config
    }

    /// One update; waits for the device to compute the gradient norm. `gradients` is the sum over all micro-batches; it is
    /// clipped here.
    ///
    /// Pass the model itself and not a clone: parameters without another reference are updated in place.
    pub fn step<M: Module>(&mut self, model: M, gradients: Gradients, lr: f64) -> (M, Update) {
        let model = self.enqueue(model, gradients, lr);
        #[allow(clippy::expect_used)] // one step was enqueued above
        let update = *self.read_back().last().expect("a step");
        (model, update)
    }

    /// One update, as [`step`](Self::step), without waiting for the device: [`read_back`](Self::read_back) returns the norm
    /// later. If the gradient norm is not finite, the device makes no update.
    pub fn enqueue<M: Module>(&mut self, model: M, gradients: Gradients, lr: f64) -> M {
        self.enqueue_by(gradients.square_sum(), model, gradients, lr)
    }

    /// [`enqueue`](Self::enqueue) with the sum of the squares of `gradients`.
    pub(super) fn enqueue_by<M: Module>(
        &mut self,
        square_sum: SquareSum,
        model: M,
        gradients: Gradients,
        lr: f64,
    ) -> M {
        let limit = self.config.clip_norm;
        let (clip, unread) = match square_sum {
            SquareSum::Host(sum) => {
                let update = Update::of(sum.sqrt(), limit);
                (Clip::Factor(update.factor(limit)), Unread::Known(update))
            }
            SquareSum::Device(sum) => {
                let deferred = Deferred::new(sum, limit);
                let norm = deferred.norm.clone();
                (Clip::Deferred(deferred), Unread::Enqueued(norm))
            }
        };
        let skip = matches!(unread, Unread::Known(Update { finite: false, .. }));
        self.unread.push(unread);
        if skip {
            return model;
        }
        self.updates += 1;
        let corrections = self.corrections();
        model.map(&mut Apply { path: Path::default(), optimizer: self, gradients, lr, clip, corrections })
    }

    /// The divisors of both moments in the newest update.
    pub(super) fn corrections(&self) -> (f64, f64) {
        if !self.config.bias_correction {
            return (1.0, 1.0);
        }
        let t = self.updates as f64;
        (1.0 - self.config.beta1.powf(t), 1.0 - self.config.beta2.powf(t))
    }

    /// The scalars of the update of the parameter at `path`; `factor` is that of clipping.
    pub(super) fn coefficients(
        &self,
        path: &str,
        lr: f64,
        corrections: (f64, f64),
        factor: f64,
    ) -> Coefficients {
        let config = &self.config;
        let lr = lr * self.groups.factor(path);
        let decay = if self.groups.decays(path) { config.weight_decay } else { 0.0 };
        let (first, second) = corrections;
        Coefficients {
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            epsilon: config.epsilon as f32,
            rate: (lr / first) as f32,
            root: (1.0 / second.sqrt()) as f32,
            decay: (lr * decay) as f32,
            gradient: factor as f32,
        }
    }

    /// Number of steps that were not read back, and whether reading them back waits for the device.
    pub fn pending(&self) -> (usize, bool) {
        let waits = self.unread.iter().any(|step| matches!(step, Unread::Enqueued(_)));
        (self.unread.len(), waits)
    }

    /// The results of the steps since the last call, in order; one transfer from the device for all of them.
    pub fn read_back(&mut self) -> Vec<Update> {
        let norms: Vec<Tensor<1>> = self.unread.iter().filter_map(Unread::norm).collect();
        let mut read = match norms.is_empty() {
            true => Vec::new(),
            false => Tensor::cat(norms, 0).into_data().iter::<f64>().collect(),
        }
        .into_iter();
        let mut updates = Vec::with_capacity(self.unread.len());
        for step in std::mem::take(&mut self.unread) {
            updates.push(match step {
                Unread::Known(update) => update,
                Unread::Enqueued(_) => {
                    let update = Update::of(read.next().unwrap_or(f64::NAN), self.config.clip_norm);
                    self.updates -= u64::from(!update.finite);
                    update
                }
            });
        }
        updates
    }

    /// Number of updates so far. Skipped steps are not counted, once they are [read back](Self::read_back).
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The moments as `m.<path>` and `v.<path>`, in the order of paths. Reads them from the device.
    pub fn state(&self) -> Vec<NamedTensor> {
        let read = |kind: &str, path: &str, shape: &[usize], tensor: &Tensor<1>| NamedTensor {
            name: format!("{kind}.{path}"),
            shape: shape.to_vec(),
            data: to_host(tensor.clone()),
        };
        let (first, second): (Vec<_>, Vec<_>) = self
            .moments
            .iter()
            .map(|(path, s)| (read("m", path, &s.shape, &s.m), read("v", path, &s.shape, &s.v)))
            .unzip();
        first.into_iter().chain(second).collect()
    }

    /// Restores moments that [`state`](Self::state) returned, for the parameters of `model` and on their device.
    ///
    /// # Errors
    /// Tensors that do not belong to `model`, and missing moments. The optimiser is unchanged then.
    pub fn load_state<M: Module>(
        &mut self,
        model: &M,
        tensors: Vec<NamedTensor>,
        updates: u64,
    ) -> Result<(), OptimError> {
        if (updates == 0) != tensors.is_empty() {
            return Err(OptimError::Count { tensors: tensors.len(), updates });
        }
        let shapes = Shapes::of(model);
        let mut halves: BTreeMap<String, [Option<Tensor<1>>; 2]> = BTreeMap::new();
        for NamedTensor { name, shape, data } in tensors {
            let parameter = name
                .strip_prefix("m.")
                .map(|path| (0, path))
                .or_else(|| name.strip_prefix("v.").map(|path| (1, path)))
                .and_then(|(which, path)| Some((which, path, shapes.found.get(path)?)));
            let Some((which, path, (expected, device))) = parameter else {
                return Err(OptimError::Unknown { name });
            };
            if shape != *expected || data.len() != expected.iter().product::<usize>() {
                return Err(OptimError::Shape { name, found: shape, expected: expected.clone() });
            }
            let length = data.len();
            let tensor = Tensor::from_data(TensorData::new(data, [length]), device);
            if let Some(slot) = halves.entry(path.to_owned()).or_default().get_mut(which) {
                *slot = Some(tensor);
            }
        }
        let mut moments = BTreeMap::new();
        for (path, [m, v]) in halves {
            let (Some(m), Some(v)) = (&m, &v) else {
                let (present, missing) = if m.is_some() { ("m", "v") } else { ("v", "m") };
                return Err(OptimError::Half {
                    present: format!("{present}.{path}"),
                    missing: format!("{missing}.{path}"),
                });
            };
            let shape = shapes.found.get(&path).map(|(shape, _)| shape.clone()).unwrap_or_default();
            moments.insert(path, Moments { shape, m: m.clone(), v: v.clone() });
        }
        self.moments = moments;
        self.shard = None;
        self.updates = updates;
        Ok(())
    }
}

/// Values on the host.
fn to_host(tensor: Tensor<1>) -> Vec<f32> {
    #[allow(clippy::expect_used)] // every moment is made as f32 below
    tensor.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32 data is a vector of f32")
}

struct Apply<'a> {
    path: Path,
    optimizer: &'a mut AdamW,
    gradients: Gradients,
    lr: f64,
    clip: Clip,
    corrections: (f64, f64),
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.text();
        let Some(gradient) = self.gradients.take(&path) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let leaf = Leaf::of(&tensor);
        let shape = tensor.shape();

        let stable = self.optimizer.config.update_clipping;
        let factor = if let Clip::Factor(factor) = self.clip { factor } else { 1.0 };
        let coefficients = self.optimizer.coefficients(&path, self.lr, self.corrections, factor);
        let (m, v) = match self.optimizer.moments.remove(&path) {
            Some(moments) => (moments.m, moments.v),
            None => (gradient.zeros_like(), gradient.zeros_like()),
        };
        let slot = Slot { param: flat(tensor.inner()), m, v };
        let slot = match &self.clip {
            Clip::Factor(_) if stable => update_clipped(slot, gradient, &coefficients),
            Clip::Factor(_) => update(slot, gradient, &coefficients),
            Clip::Deferred(clip) if stable => clip.update_clipped(slot, gradient, &coefficients),
            Clip::Deferred(clip) => clip.update(slot, gradient, &coefficients),
        };
        let moments = Moments { shape: shape.to_vec(), m: slot.m, v: slot.v };
        self.optimizer.moments.insert(path, moments);

        Param::from_mapped_value(id, leaf.with(slot.param.reshape(shape)), mapper)
    }
}

/// How a parameter takes part in autodiff.
pub(super) struct Leaf {
    require_grad: bool,
    checkpointing: Option<GradientCheckpointingStrategy>,
}

impl Leaf {
    pub(super) fn of<const D: usize>(parameter: &Tensor<D>) -> Self {
        Self {
            require_grad: parameter.is_require_grad(),
            checkpointing: parameter.gradient_checkpointing_strategy(),
        }
    }

    /// These values as a leaf of the autodiff graph, with the same settings as the parameter before.
    pub(super) fn with<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        let mut tensor = Tensor::from_inner(values);
        if let Some(strategy) = self.checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        tensor.set_require_grad(self.require_grad)
    }
}

/// Shape and device of each parameter, by path.
pub(super) struct Shapes {
    path: Path,
    pub(super) found: BTreeMap<String, (Vec<usize>, Device)>,
}

impl Shapes {
    pub(super) fn of<M: Module>(model: &M) -> Self {
        let mut shapes = Self { path: Path::default(), found: BTreeMap::new() };
        model.visit(&mut shapes);
        shapes
    }
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val().inner();
        self.found.insert(self.path.text(), (tensor.shape().to_vec(), tensor.device()));
    }
}
