//! Fixtures of `tests/golden` and how close is close enough.
#![allow(dead_code)] // each test binary uses its part

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use fn_models::Inputs;
use fn_models::hf::names::Layout;
use fn_models::params;
use safetensors::{Dtype, SafeTensors};

/// A folder of `tests/golden`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

/// Reads a JSON fixture.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The tensors of a `case.safetensors`.
pub struct Case {
    floats: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    ints: BTreeMap<String, (Vec<usize>, Vec<i32>)>,
}

impl Case {
    pub fn open(folder: &str) -> Self {
        let bytes = std::fs::read(golden(folder).join("case.safetensors")).unwrap();
        let (mut floats, mut ints) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let words = view.data().as_chunks::<4>().0;
            match view.dtype() {
                Dtype::F32 => {
                    let values = words.iter().map(|b| f32::from_le_bytes(*b)).collect();
                    floats.insert(name.to_owned(), (view.shape().to_vec(), values));
                }
                Dtype::I32 => {
                    let values = words.iter().map(|b| i32::from_le_bytes(*b)).collect();
                    ints.insert(name.to_owned(), (view.shape().to_vec(), values));
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        Self { floats, ints }
    }

    pub fn float(&self, name: &str) -> &(Vec<usize>, Vec<f32>) {
        self.floats.get(name).unwrap_or_else(|| panic!("no {name} in the fixture"))
    }

    pub fn ids<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D, Int> {
        let (shape, values) = &self.ints[name];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device)
    }

    pub fn attention(&self, device: &Device) -> Tensor<2> {
        self.ids::<2>("attention_mask", device).float()
    }

    pub fn inputs(&self, ids: &str, device: &Device) -> Inputs {
        Inputs {
            ids: self.ids(ids, device),
            token_type: self.ids("token_type_ids", device),
            mask: Some(self.attention(device)),
            documents: None,
            cuts: None,
        }
    }

    /// Names of stored gradients that start with this, without the prefix.
    pub fn gradient_names(&self, prefix: &str) -> Vec<String> {
        self.floats.keys().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect()
    }
}

/// 1e-5 absolute, however large the value. Returns the largest absolute difference.
pub fn close(what: &str, got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len(), "{what}");
    let mut worst = 0.0f32;
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let difference = (got - expected).abs();
        assert!(difference <= 1e-5, "{what}[{index}]: {got} instead of {expected} (off by {difference:e})");
        worst = worst.max(difference);
    }
    worst
}

/// A gradient as transformers has it.
pub struct Gradient {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// The gradient of every parameter that such a file holds, by transformers' name and in its orientation.
pub fn gradients<M: Module>(model: &M, gradients: &Gradients, layout: Layout) -> Vec<Gradient> {
    let mut visitor = Visitor { path: Vec::new(), gradients, layout, found: Vec::new() };
    model.visit(&mut visitor);
    visitor.found
}

struct Visitor<'a> {
    path: Vec<String>,
    gradients: &'a Gradients,
    layout: Layout,
    found: Vec<Gradient>,
}

impl ModuleVisitor for Visitor<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let Some((name, transposed)) = self.layout.theirs(&path) else {
            return;
        };
        let gradient = param.val().grad(self.gradients).unwrap_or_else(|| panic!("{path} has no gradient"));
        let mut shape = gradient.dims().to_vec();
        let mut values = params::host(gradient);
        if transposed {
            let (rows, columns) = (shape[0], shape[1]);
            values = (0..columns)
                .flat_map(|c| (0..rows).map(move |r| (r, c)))
                .map(|(r, c)| values[r * columns + c])
                .collect();
            shape.reverse();
        }
        self.found.push(Gradient { name, shape, values });
    }
}
