//! Everything that walks parameters by path: initialisation, checkpoints, import, export, optimisers.
//!
//! A path is the field names from the root, joined by dots: `discriminator.layers.3.attention.query.weight`. It is the
//! identity of a parameter on disk; the ids that Burn draws at construction are not kept.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

/// Path of the token table in every model of this crate.
pub const TOKEN_TABLE: &str = "embeddings.word.weight";

/// Path of the position table in every model that has one.
pub const POSITION_TABLE: &str = "embeddings.position.weight";

/// A parameter on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Its path.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub data: Vec<f32>,
}

/// Every float parameter of a module, in the order of its fields.
pub fn collect<M: Module>(module: &M) -> Vec<NamedTensor> {
    let mut visitor = Collector { path: Vec::new(), found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found
}

/// The values of all float parameters, one after the other in the order of [`collect`], from `range.start` to `range.end`.
pub fn part<M: Module>(module: &M, range: Range<usize>) -> Vec<f32> {
    let mut visitor = Partial { values: Vec::with_capacity(range.len()), range, at: 0 };
    module.visit(&mut visitor);
    visitor.values
}

/// Path and shape of every float parameter, without reading values (or making those that are not there yet).
pub fn shapes<M: Module>(module: &M) -> Vec<(String, Vec<usize>)> {
    let mut visitor = Shapes { path: Vec::new(), found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found
}

/// New values for a parameter, by path and shape.
pub type Lookup<'a, E> = dyn FnMut(&str, &[usize]) -> Result<Option<Vec<f32>>, E> + 'a;

/// Replaces the values of parameters: `lookup(path, shape)` gives new values, `None` (keep the present ones) or an error,
/// which ends the walk. Parameters keep their id, their device and whether they are trained.
///
/// # Panics
/// When `lookup` returns a number of values that does not fit the shape it was given.
pub fn load<M: Module, E>(module: M, lookup: &mut Lookup<'_, E>) -> Result<M, E> {
    let mut mapper = Loader { path: Vec::new(), lookup, failed: None };
    let module = module.map(&mut mapper);
    match mapper.failed {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// Host values of a float tensor of any precision.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    #[allow(clippy::expect_used)] // just converted
    data.try_into_vec::<f32>().expect("f32 data")
}

/// `decay * average + (1 - decay) * model`, parameter by parameter; both on the same plain device.
pub fn moving_average<M: Module>(average: M, model: &M, decay: f64) -> M {
    let mut values = Values { found: Vec::new() };
    model.visit(&mut values);
    values.found.reverse();
    average.map(&mut Averaging { next: values.found, decay: decay as f32 })
}

/// Every float parameter, flat, in the order of its fields.
struct Values {
    found: Vec<Tensor<1>>,
}

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(param.val().inner().reshape([-1]));
    }
}

struct Averaging {
    /// The last one belongs to the next parameter.
    next: Vec<Tensor<1>>,
    decay: f32,
}

impl ModuleMapper for Averaging {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let value = match self.next.pop() {
            Some(other) => value.clone() * self.decay + other.reshape(value.dims()) * (1.0 - self.decay),
            None => value,
        };
        Param::from_mapped_value(id, value, mapper)
    }
}

struct Collector {
    path: Vec<String>,
    found: Vec<NamedTensor>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let shape = value.dims().to_vec();
        self.found.push(NamedTensor { name: self.path.join("."), shape, data: host(value) });
    }
}

struct Partial {
    range: Range<usize>,
    values: Vec<f32>,
    /// Where the next parameter begins.
    at: usize,
}

impl ModuleVisitor for Partial {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let length = value.shape().num_elements();
        let (from, to) = (self.range.start.max(self.at), self.range.end.min(self.at + length));
        if from < to {
            let part = value.inner().reshape([length]).slice(burn::tensor::s![from - self.at..to - self.at]);
            self.values.extend(host(part));
        }
        self.at += length;
    }
}

struct Shapes {
    path: Vec<String>,
    found: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push((self.path.join("."), param.lazy_shape().to_vec()));
    }
}

struct Loader<'a, 'b, E> {
    path: Vec<String>,
    lookup: &'a mut Lookup<'b, E>,
    failed: Option<E>,
}

impl<E> ModuleMapper for Loader<'_, '_, E> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failed.is_some() {
            return param;
        }
        let path = self.path.join(".");
        let shape = param.lazy_shape().to_vec();
        match (self.lookup)(&path, &shape) {
            Err(error) => {
                self.failed = Some(error);
                param
            }
            Ok(None) => {
                // Fills it now if it is not filled yet.
                let (id, value, mapper) = param.consume();
                Param::from_mapped_value(id, value, mapper)
            }
            Ok(Some(data)) => {
                let count: usize = shape.iter().product();
                assert_eq!(data.len(), count, "values given for parameter {path} of shape {shape:?}");
                let value = Tensor::from_data(TensorData::new(data, shape), &param.lazy_device());
                let id = param.id;
                param.transform_for_load(value, id)
            }
        }
    }
}
