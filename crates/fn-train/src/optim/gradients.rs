//! Gradients of a model, by parameter path.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients as Tape, Tensor};
use fn_ops::adamw::{SquareSum, square_sum};

/// The gradient of every parameter that has one, flattened, by path. Paths are sorted, so sums have a fixed order.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    by_path: BTreeMap<String, Tensor<1>>,
}

impl Gradients {
    /// The gradients of the parameters of `model` from the result of `backward()`.
    pub fn from_backward<M: Module>(model: &M, mut tape: Tape) -> Self {
        let mut visitor = Collect { path: Path::default(), tape: &mut tape, into: BTreeMap::new() };
        model.visit(&mut visitor);
        Self { by_path: visitor.into }
    }

    /// Adds the gradients of another micro-batch. A gradient that only one of them has is kept.
    pub fn accumulate(&mut self, other: Gradients) {
        for (path, gradient) in other.by_path {
            let sum = match self.by_path.remove(&path) {
                Some(mine) => mine + gradient,
                None => gradient,
            };
            self.by_path.insert(path, sum);
        }
    }

    /// Multiplies all gradients with `factor`.
    pub fn scale(self, factor: f64) -> Self {
        Self { by_path: self.by_path.into_iter().map(|(path, g)| (path, g.mul_scalar(factor))).collect() }
    }

    /// The global gradient norm. Waits for the device once.
    pub fn norm(&self) -> f64 {
        self.square_sum().read().sqrt()
    }

    /// The sum of squares of all gradients, without waiting for the device.
    pub(super) fn square_sum(&self) -> SquareSum {
        square_sum(self.by_path.values())
    }

    /// Calls `with` for each gradient, `[n]` elements in row-major order, in the order of their paths.
    pub fn visit(&self, mut with: impl FnMut(&str, &Tensor<1>)) {
        for (path, gradient) in &self.by_path {
            with(path, gradient);
        }
    }

    /// The gradient of the parameter at `path`, flat.
    pub fn get(&self, path: &str) -> Option<&Tensor<1>> {
        self.by_path.get(path)
    }

    /// Replaces the gradient of `path` by another one (flat, `[n]`).
    pub fn set(&mut self, path: &str, gradient: Tensor<1>) {
        self.by_path.insert(path.to_owned(), gradient);
    }

    /// Number of parameters that have a gradient.
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether no parameter has a gradient.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    pub(crate) fn take(&mut self, path: &str) -> Option<Tensor<1>> {
        self.by_path.remove(path)
    }
}

/// The path of the current parameter while a module is traversed.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    pub(super) fn text(&self) -> String {
        self.0.join(".")
    }
}

/// A parameter that can have a gradient.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its path.
    pub path: String,
    /// How many numbers it holds.
    pub elements: usize,
    /// Where its gradient is.
    pub device: Device,
}

/// The parameters of `model` that are trained, in the order of their paths.
pub fn parameters<M: Module>(model: &M) -> Vec<Parameter> {
    let mut visitor = Trained { path: Path::default(), found: Vec::new() };
    model.visit(&mut visitor);
    visitor.found.sort_by(|a, b| a.path.cmp(&b.path));
    visitor.found
}

struct Trained {
    path: Path,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Trained {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let tensor = param.val().inner();
            let elements = tensor.shape().num_elements();
            self.found.push(Parameter { path: self.path.text(), elements, device: tensor.device() });
        }
    }
}

struct Collect<'a> {
    path: Path,
    tape: &'a mut Tape,
    into: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        if let Some(gradient) = param.val().grad_remove(self.tape) {
            self.into.insert(self.path.text(), flat(gradient));
        }
    }
}

/// `[n]` elements in row-major order.
pub(super) fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let n = tensor.shape().num_elements();
    tensor.reshape([n])
}
