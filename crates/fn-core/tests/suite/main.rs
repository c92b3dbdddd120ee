//! All tests of fn-core in one program (it links once).
// Helpers of tests may fail loudly, like the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corruption;
mod lexicon;
mod noise;

#[cfg(feature = "tensor")]
mod bands_and_weights;
#[cfg(feature = "tensor")]
mod configuration;
#[cfg(feature = "tensor")]
mod gradients;
#[cfg(feature = "tensor")]
mod guards_and_controls;
#[cfg(feature = "tensor")]
mod judge;
#[cfg(feature = "tensor")]
mod masked_lm;
#[cfg(feature = "tensor")]
mod reference;
#[cfg(feature = "tensor")]
mod replaced_token;
#[cfg(feature = "tensor")]
mod sampling;
#[cfg(feature = "tensor")]
mod statistics;

/// Helpers on tensors.
#[cfg(feature = "tensor")]
mod tensors {
    use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
    use std::cell::Cell;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// The device of all tests.
    pub fn device() -> Device {
        Device::flex().autodiff()
    }

    /// Keeps other tests from drawing noise: the generator is one per process. A test may hold it more than once.
    pub struct Drawing(Option<MutexGuard<'static, ()>>);

    thread_local! {
        static HELD: Cell<bool> = const { Cell::new(false) };
    }

    impl Drop for Drawing {
        fn drop(&mut self) {
            if self.0.is_some() {
                HELD.set(false);
            }
        }
    }

    /// Held by all that draws noise, also where the seed does not matter: else it changes what a seeded test draws.
    pub fn drawing() -> Drawing {
        static GENERATOR: Mutex<()> = Mutex::new(());
        Drawing((!HELD.replace(true)).then(|| GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Seeds the device and keeps other tests from drawing.
    pub fn seeded(seed: u64) -> Drawing {
        let guard = drawing();
        device().seed(seed);
        guard
    }

    pub fn ids(ids: &[u32]) -> Tensor<1, Int> {
        let ids: Vec<i32> = ids.iter().map(|&i| i as i32).collect();
        Tensor::from_ints(ids.as_slice(), &device())
    }

    pub fn floats(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &device())
    }

    pub fn matrix(values: &[f64], columns: usize) -> Tensor<2> {
        let rows = values.len() / columns;
        let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        Tensor::from_data(TensorData::new(values, [rows, columns]), &device())
    }

    pub fn to_f32<const D: usize>(t: &Tensor<D>) -> Vec<f32> {
        t.to_data().iter::<f32>().collect()
    }

    pub fn to_bool<const D: usize>(t: &Tensor<D, Bool>) -> Vec<bool> {
        t.to_data().iter::<bool>().collect()
    }

    pub fn to_ids<const D: usize>(t: &Tensor<D, Int>) -> Vec<u32> {
        t.to_data().iter::<i64>().map(|i| i as u32).collect()
    }
}
