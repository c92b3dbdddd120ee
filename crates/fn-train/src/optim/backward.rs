//! A backward pass in parts, whose gradients are handed on as soon as they are complete.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients as Tape, Tensor};
use fn_models::params::host;
use fn_models::{Cut, Cuts};
use fn_ops::{MatmulPrecision, matmul_precision, set_matmul_precision};

use super::Gradients;
use super::gradients::{Path, flat};
use crate::collective::Buckets;

/// The backward pass of a micro-batch that is still to be made, and the gradients of micro-batches before it.
///
/// With cuts between layers ([`Cuts`]) it is made from part to part:
///
/// ```text
/// gradient of the loss -> last layer -> gradient g of what entered it: that of sum(g * h), h: what the layer below returned -> layer below -> ...
/// ```
/// The products are by one, so all gradients have the bits of a whole backward pass.
pub struct Backward {
    loss: Tensor<1>,
    cuts: Vec<Cut>,
    /// In the order of their paths.
    leaves: Vec<Leaf>,
    before: Vec<Gradients>,
    precision: MatmulPrecision,
}

/// A trained parameter.
struct Leaf {
    path: String,
    id: ParamId,
    elements: usize,
    /// Takes its gradient from a tape.
    take: Box<dyn Fn(&mut Tape) -> Option<Tensor<1>> + Send>,
}

impl std::fmt::Debug for Backward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backward")
            .field("cuts", &self.cuts.len())
            .field("leaves", &self.leaves.len())
            .finish()
    }
}

impl Backward {
    /// The backward pass of `loss`, `[1]`, of `model`, whose forward pass left `cuts`. To its gradients those of `before` are added, from the last
    /// to the first: `before[0] + (before[1] + (... + gradient))`.
    pub fn new<M: Module>(model: &M, loss: Tensor<1>, cuts: &Cuts, before: Vec<Gradients>) -> Self {
        let mut visitor = Leaves { path: Path::default(), found: Vec::new() };
        model.visit(&mut visitor);
        let mut leaves = visitor.found;
        leaves.sort_by(|a, b| a.path.cmp(&b.path));
        Self { loss, cuts: cuts.take(), leaves, before, precision: matmul_precision() }
    }

    /// Computes. `ready` is called for each bucket with its gradients, one after the other, once they are complete; if it returns false,
    /// nothing more is computed. Returns which parameters have a gradient. `buckets` are those of the model.
    pub fn run(self, buckets: &Buckets, mut ready: impl FnMut(usize, Vec<f32>) -> bool) -> Vec<bool> {
        let Self { loss, mut cuts, leaves, before, precision } = self;
        // It belongs to a thread, and this may be another one.
        set_matmul_precision(precision);
        let index: HashMap<ParamId, usize> =
            leaves.iter().enumerate().map(|(index, leaf)| (leaf.id, index)).collect();
        let count = leaves.len();
        let mut found = Found { gradients: vec![None; count], reached: vec![false; count], leaves, before };
        let mut complete = vec![false; count];
        let mut open: Vec<usize> = buckets.all().iter().map(|bucket| bucket.parameters.len()).collect();
        // Gradients of what enters a layer.
        let mut entering: Vec<Option<Tensor<3>>> = vec![None; cuts.len()];

        let mut tape = Some(loss.backward());
        drop(loss);
        while let Some(mut part) = tape.take() {
            found.add(&mut part);
            for (cut, gradient) in cuts.iter().zip(&mut entering) {
                *gradient = sum(gradient.take(), cut.above.grad_remove(&mut part));
            }
            drop(part);
            while tape.is_none() {
                let Some(Cut { below, layer, .. }) = cuts.pop() else { break };
                let gradient = entering.pop().flatten();
                // A layer that was computed twice has gradients to come.
                if cuts.iter().all(|cut| cut.layer != layer) {
                    for member in layer.iter().filter_map(|id| index.get(id).copied()) {
                        let bucket = buckets.of(member).0;
                        if !std::mem::replace(&mut complete[member], true) {
                            open[bucket] -= 1;
                            if open[bucket] == 0 && !ready(bucket, found.take(buckets, bucket)) {
                                return found.reached;
                            }
                        }
                    }
                }
                tape = gradient.map(|gradient| (below * gradient).sum().backward());
            }
        }
        for bucket in (0..open.len()).filter(|bucket| open[*bucket] > 0).collect::<Vec<_>>() {
            if !ready(bucket, found.take(buckets, bucket)) {
                break;
            }
        }
        found.reached
    }
}

/// Gradients of the parts so far.
struct Found {
    leaves: Vec<Leaf>,
    before: Vec<Gradients>,
    gradients: Vec<Option<Tensor<1>>>,
    reached: Vec<bool>,
}

impl Found {
    /// Adds those of a part.
    fn add(&mut self, tape: &mut Tape) {
        for (leaf, gradient) in self.leaves.iter().zip(&mut self.gradients) {
            *gradient = sum(gradient.take(), (leaf.take)(tape));
        }
    }

    /// The gradients of a bucket, one after the other, with those of the micro-batches before.
    fn take(&mut self, buckets: &Buckets, bucket: usize) -> Vec<f32> {
        let mut flat = Vec::new();
        for member in &buckets.all()[bucket].parameters {
            let leaf = &self.leaves[*member];
            let before = self.before.iter_mut().rev();
            let gradient = before
                .fold(self.gradients[*member].take(), |later, first| sum(first.take(&leaf.path), later));
            self.reached[*member] = gradient.is_some();
            append(gradient, leaf.elements, &mut flat);
        }
        flat
    }
}

fn sum<const D: usize>(a: Option<Tensor<D>>, b: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// Appends the elements of a gradient, or as many as one would have.
pub(crate) fn append(gradient: Option<Tensor<1>>, elements: usize, to: &mut Vec<f32>) {
    match gradient {
        Some(gradient) => to.extend(host(gradient)),
        // -0 is the neutral element: x + -0 is x for every x, also for -0.
        None => to.resize(to.len() + elements, -0.0),
    }
}

struct Leaves {
    path: Path,
    found: Vec<Leaf>,
}

impl ModuleVisitor for Leaves {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let value = param.val();
            self.found.push(Leaf {
                path: self.path.text(),
                id: param.id,
                elements: value.shape().num_elements(),
                take: Box::new(move |tape| value.grad_remove(tape).map(flat)),
            });
        }
    }
}
