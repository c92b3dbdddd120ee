//! AdamW whose moments are divided among ranks (ZeRO stage 1; Rajbhandari et al. 2020, "ZeRO: Memory optimizations toward training
//! trillion parameter models").
//!
//! ```text
//! gradients -> reduce-scatter -> slice -> norm of all slices -> update of the slice -> all-gather -> weights
//! ```
//! A rank sums, updates and sends its slice of each bucket of parameters, so as much is sent as for summing the gradients on every rank. The moments of the
//! slice are on the host, and the processor updates it. Elements do not depend on each other, and sums over elements are those of
//! blocks that lie within one slice, added in the order of a single process: the bits are its bits.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use fn_models::params::{NamedTensor, host};
use fn_ops::adamw::{Coefficients, host as kernel};
use rayon::prelude::*;

use super::adamw::{AdamW, Leaf, Moments, Shapes, Unread, Update};
use super::gradients::{Parameter, Path, flat, parameters};
use crate::collective::{
    Behind, Bucket, Buckets, Collective, CollectiveError, Kept, Meeting, Mine, Part, Summed, Wire,
    collect_tensor, gather, gather_slices, sum_buckets,
};

/// The moments of one rank.
#[derive(Debug)]
pub(super) struct Shard {
    buckets: Buckets,
    /// The rank's slices of the first and of the second moment.
    m: Vec<f32>,
    v: Vec<f32>,
    /// Path and shape of each parameter.
    names: Vec<(String, Vec<usize>)>,
    /// Whether a parameter has had a gradient, and so has moments.
    begun: Vec<bool>,
}

impl Shard {
    /// The slice of this rank of `moments`, for the parameters of `model`.
    pub(super) fn of<M: Module>(
        ranks: &dyn Collective,
        model: &M,
        moments: &BTreeMap<String, Moments>,
    ) -> Self {
        let parameters = parameters(model);
        let buckets = Buckets::new(&parameters, ranks.world());
        let length = buckets.held_by(ranks.rank());
        let (mut m, mut v) = (vec![0.0; length], vec![0.0; length]);
        for Part { tensor, elements, at } in buckets.parts(ranks.rank()) {
            if let Some(found) = moments.get(&parameters[tensor].path) {
                let part = |whole: &Tensor<1>| host(whole.clone().slice([elements.clone()]));
                m[at.clone()].copy_from_slice(&part(&found.m));
                v[at].copy_from_slice(&part(&found.v));
            }
        }
        let begun = parameters.iter().map(|p| moments.contains_key(&p.path)).collect();
        let mut shapes = Shapes::of(model).found;
        let shape = |p: Parameter| {
            let shape = shapes.remove(&p.path).map(|(shape, _)| shape).unwrap_or_default();
            (p.path, shape)
        };
        let names = parameters.into_iter().map(shape).collect();
        Self { buckets, m, v, names, begun }
    }

    /// The moments of all ranks, on rank 0; none on the others.
    pub(super) fn state(&self, ranks: &dyn Collective) -> Result<Vec<NamedTensor>, CollectiveError> {
        let mut found = Vec::new();
        for (kind, held) in [("m", &self.m), ("v", &self.v)] {
            for (index, (path, shape)) in self.names.iter().enumerate().filter(|(i, _)| self.begun[*i]) {
                let meeting = Meeting::disk("the moments to save");
                let (bucket, place) = self.buckets.of(index);
                let slice = &held[self.buckets.held(ranks.rank(), bucket)];
                let data = collect_tensor(ranks, meeting, slice, &self.buckets.all()[bucket].slices, place)?;
                if ranks.is_first() {
                    found.push(NamedTensor { name: format!("{kind}.{path}"), shape: shape.clone(), data });
                }
            }
        }
        Ok(found)
    }

    /// A number for each block of all slices, from those of this rank: by tensor, in the order of its blocks.
    fn by_tensor(&self, ranks: &dyn Collective, mine: &[f64]) -> Result<Vec<Vec<f64>>, CollectiveError> {
        let all = gather(ranks, Meeting::step("the gradient norm"), bytemuck::cast_slice(mine))?;
        let mut found = vec![Vec::new(); self.names.len()];
        for (rank, bytes) in all.iter().enumerate() {
            let mut numbers = bytemuck::pod_collect_to_vec::<u8, f64>(bytes).into_iter();
            for part in self.buckets.parts(rank) {
                found[part.tensor].extend(numbers.by_ref().take(part.blocks().count()));
            }
        }
        Ok(found)
    }
}

impl AdamW {
    /// Divides the moments among the ranks: from here on this one has those of its slice of the parameters of `model` only, and
    /// [`step_of_ranks`](Self::step_of_ranks) makes the updates.
    pub fn shard<M: Module>(&mut self, ranks: &dyn Collective, model: &M) {
        let moments = std::mem::take(&mut self.moments);
        self.shard = Some(Shard::of(ranks, model, &moments));
    }

    /// Whether the moments are divided among ranks.
    pub fn is_sharded(&self) -> bool {
        self.shard.is_some()
    }

    /// The moments of all ranks, as [`state`](Self::state): on rank 0; none on the others. All ranks call it.
    ///
    /// # Errors
    /// Ranks that did not answer in time or have ended.
    pub fn state_of(&self, ranks: &dyn Collective) -> Result<Vec<NamedTensor>, CollectiveError> {
        match &self.shard {
            Some(shard) => shard.state(ranks),
            None if ranks.is_first() => Ok(self.state()),
            None => Ok(Vec::new()),
        }
    }

    /// One update of all ranks together: `mine` are the gradients of this rank, which are summed over the ranks, or the backward pass that makes
    /// them, behind which they are sent.
    ///
    /// # Errors
    /// Ranks that did not answer in time or have ended.
    pub fn step_of_ranks<M: Module>(
        &mut self,
        ranks: &dyn Collective,
        model: M,
        mine: impl Into<Mine>,
        lr: f64,
        wire: Wire,
    ) -> Result<Updated<M>, CollectiveError> {
        let mine = match mine.into() {
            Mine::Whole(all) if ranks.world() == 1 => {
                return Ok(Updated { model: self.enqueue(model, all, lr), behind: None });
            }
            mine => mine,
        };
        let parameters = parameters(&model);
        let mut shard = self.shard.take();
        let updated = match &mut shard {
            Some(shard) => {
                let summed = sum_buckets(ranks, &parameters, &shard.buckets, mine, wire, Kept::Slice);
                summed.and_then(|summed| {
                    let behind = summed.behind;
                    let model = self.step_of(shard, ranks, model, &parameters, summed, lr)?;
                    Ok(Updated { model, behind })
                })
            }
            None => {
                let buckets = Buckets::new(&parameters, ranks.world());
                sum_buckets(ranks, &parameters, &buckets, mine, wire, Kept::All).map(|summed| {
                    let behind = summed.behind;
                    let sum = summed.gradients(&parameters, &buckets);
                    Updated { model: self.enqueue(model, sum, lr), behind }
                })
            }
        };
        self.shard = shard;
        updated
    }

    /// The update of the rank's slice, and the weights of all slices.
    fn step_of<M: Module>(
        &mut self,
        shard: &mut Shard,
        ranks: &dyn Collective,
        model: M,
        parameters: &[Parameter],
        Summed { buckets: gradient, reached, .. }: Summed,
        lr: f64,
    ) -> Result<M, CollectiveError> {
        let gradient = gradient.concat();
        let parts = shard.buckets.parts(ranks.rank());
        let blocks: Vec<Range<usize>> = parts.iter().flat_map(Part::blocks).collect();
        let squares: Vec<f64> =
            blocks.par_iter().map(|at| kernel::square_sum(&gradient[at.clone()])).collect();
        let squares = shard.by_tensor(ranks, &squares)?;
        let sum: f64 = squares.iter().map(|blocks| blocks.iter().sum::<f64>()).sum();
        let update = Update::of(sum.sqrt(), self.config.clip_norm);
        self.unread.push(Unread::Known(update));
        if !update.finite {
            return Ok(model);
        }
        self.updates += 1;
        shard.begun.iter_mut().zip(&reached).for_each(|(begun, reached)| *begun |= reached);

        let (corrections, factor) = (self.corrections(), update.factor(self.config.clip_norm));
        let mut coefficients: Vec<Coefficients> =
            shard.names.iter().map(|(path, _)| self.coefficients(path, lr, corrections, factor)).collect();
        if self.config.update_clipping {
            let ratio = |at: &Range<usize>| {
                let k = &coefficients[tensor_at(&parts, at.start)];
                kernel::ratio_sum(&shard.v[at.clone()], &gradient[at.clone()], k)
            };
            let ratios: Vec<f64> = blocks.par_iter().map(ratio).collect();
            let ratios = shard.by_tensor(ranks, &ratios)?;
            for (index, k) in coefficients.iter_mut().enumerate() {
                *k = kernel::clipped(k, &ratios[index], parameters[index].elements);
            }
        }

        let mut weights = own_weights(&model, parameters, &parts, gradient.len());
        for Part { tensor, at, .. } in parts.into_iter().filter(|part| reached[part.tensor]) {
            let k = &coefficients[tensor];
            weights[at.clone()]
                .par_chunks_mut(kernel::BLOCK)
                .zip(gradient[at.clone()].par_chunks(kernel::BLOCK))
                .zip(shard.m[at.clone()].par_chunks_mut(kernel::BLOCK))
                .zip(shard.v[at].par_chunks_mut(kernel::BLOCK))
                .for_each(|(((p, g), m), v)| kernel::update(p, g, m, v, k));
        }
        drop(gradient);
        let mut values = BTreeMap::new();
        for (index, Bucket { parameters: members, slices }) in shard.buckets.all().iter().enumerate() {
            let mut flat = vec![0.0; slices.len()];
            let held = shard.buckets.held(ranks.rank(), index);
            flat[slices.of(ranks.rank())].copy_from_slice(&weights[held]);
            // Weights are never rounded: ranks would go on with other weights than the owner of a slice.
            gather_slices(ranks, Meeting::step("the updated weights"), &mut flat, slices, Wire::F32)?;
            for (place, member) in members.iter().enumerate().filter(|(_, member)| reached[**member]) {
                values.insert(parameters[*member].path.clone(), flat[slices.tensor(place)].to_vec());
            }
        }
        Ok(model.map(&mut Replace { path: Path::default(), values }))
    }
}

/// A model after an update of all ranks.
#[derive(Debug)]
pub struct Updated<M> {
    /// The model.
    pub model: M,
    /// What was sent behind the backward pass, if it was made meanwhile.
    pub behind: Option<Behind>,
}

/// The tensor at a place of a slice.
fn tensor_at(parts: &[Part], place: usize) -> usize {
    let index = parts.partition_point(|part| part.at.end <= place);
    parts.get(index).map_or(0, |part| part.tensor)
}

/// The weights of this rank's slice, of `length` elements.
fn own_weights<M: Module>(model: &M, parameters: &[Parameter], parts: &[Part], length: usize) -> Vec<f32> {
    let parts = parts.iter().map(|part| (parameters[part.tensor].path.as_str(), part)).collect();
    let mut own = Own { path: Path::default(), parts, weights: vec![0.0; length] };
    model.visit(&mut own);
    own.weights
}

struct Own<'a> {
    path: Path,
    parts: BTreeMap<&'a str, &'a Part>,
    weights: Vec<f32>,
}

impl ModuleVisitor for Own<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(Part { elements, at, .. }) = self.parts.get(self.path.text().as_str()) {
            let part = flat(param.val().inner()).slice([elements.clone()]);
            self.weights[at.clone()].copy_from_slice(&host(part));
        }
    }
}

/// Replaces the values of parameters.
struct Replace {
    path: Path,
    values: BTreeMap<String, Vec<f32>>,
}

impl ModuleMapper for Replace {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.values.remove(&self.path.text()) else {
            return param;
        };
        let (id, old, mapper) = param.consume();
        let (leaf, shape) = (Leaf::of(&old), old.shape());
        let device = old.inner().device();
        let new = Tensor::from_data(TensorData::new(values, shape), &device);
        Param::from_mapped_value(id, leaf.with(new), mapper)
    }
}
