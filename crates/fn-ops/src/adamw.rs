//! One AdamW update of one parameter, and the sum of squares that global-norm clipping needs.
//!
//! ```text
//! g' = c g        m = b1 m + (1 - b1) g'        v = b2 v + (1 - b2) g'^2
//! p  = p - d p - r m / (s sqrt(v) + e)
//! ```
//! with c the clipping factor, d = learning rate x weight decay, r = learning rate / (1 - b1^t), s = 1 / sqrt(1 - b2^t) in step
//! t; without bias correction r is the learning rate itself and s is 1. On Flex this is one pass over four slices, in place; on
//! other devices [`composed`] does it with tensor operations. Elements do not depend on each other, so the number of threads
//! does not change a bit.

use burn::tensor::{Bool, Tensor};

/// The scalars of one update, named as in the formula of this module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// b1, the decay of the first moment.
    pub beta1: f32,
    /// b2, the decay of the second moment.
    pub beta2: f32,
    /// e, added to the root of the second moment.
    pub epsilon: f32,
    /// r, the learning rate with the bias correction of the first moment.
    pub rate: f32,
    /// s, the bias correction of the root of the second moment.
    pub root: f32,
    /// d, learning rate times weight decay.
    pub decay: f32,
    /// c, the factor of gradient clipping.
    pub gradient: f32,
}

/// A parameter with its moments, each flattened to `[n]` and without autodiff.
#[derive(Debug, Clone)]
pub struct Slot {
    /// p, the parameter.
    pub param: Tensor<1>,
    /// m, the first moment.
    pub m: Tensor<1>,
    /// v, the second moment.
    pub v: Tensor<1>,
}

/// Updates `slot` with `gradient` `[n]`, in place if no other handle shares its tensors.
pub fn update(slot: Slot, gradient: Tensor<1>, k: &Coefficients) -> Slot {
    #[cfg(feature = "flex")]
    return match flex::update(slot, gradient, k) {
        Ok(done) => done,
        Err(back) => composed::update(back.0, back.1, k),
    };
    #[cfg(not(feature = "flex"))]
    composed::update(slot, gradient, k)
}

/// [`update`] with the update clipping of StableAdamW: learning rate and weight decay are divided by
///
/// ```text
/// max(1, RMS),   RMS = sqrt(mean over the parameter of g'^2 / max(s^2 v, e^2))       with v after this step
/// ```
/// (Wortsman et al. 2023, "Stable and low-precision training for large-scale vision-language models", algorithm 2; the lower bound of v is
/// that of optimi's implementation). Nothing is read back from the device.
pub fn update_clipped(slot: Slot, gradient: Tensor<1>, k: &Coefficients) -> Slot {
    #[cfg(feature = "flex")]
    if let Some(rms) = flex::update_rms(&slot.v, &gradient, k) {
        let factor = (1.0 / rms.max(1.0)) as f32;
        return update(
            slot,
            gradient,
            &Coefficients { rate: k.rate * factor, decay: k.decay * factor, ..*k },
        );
    }
    composed::update_clipped(slot, gradient, k)
}

/// A sum of squares, on the side that computed it.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one per step, dropped at once")]
pub enum SquareSum {
    /// On the host, in f64.
    Host(f64),
    /// On the device, `[1]`, possibly not computed yet.
    Device(Tensor<1>),
}

impl SquareSum {
    /// The sum on the host; waits for the device.
    pub fn read(self) -> f64 {
        match self {
            Self::Host(sum) => sum,
            Self::Device(sum) => f64::from(sum.into_scalar::<f32>()),
        }
    }
}

/// The sum of the squares of all elements. On Flex it is computed in f64 at once; on other devices it is enqueued.
///
/// The order of the additions depends on the sizes of the tensors only.
pub fn square_sum<'a>(tensors: impl IntoIterator<Item = &'a Tensor<1>>) -> SquareSum {
    #[cfg_attr(not(feature = "flex"), allow(unused_mut))]
    let mut on_host = 0.0;
    let mut on_device: Vec<&Tensor<1>> = Vec::new();
    for tensor in tensors {
        #[cfg(feature = "flex")]
        if let Some(sum) = flex::square_sum(tensor) {
            on_host += sum;
            continue;
        }
        on_device.push(tensor);
    }
    match composed::square_sum(on_device) {
        Some(sum) => SquareSum::Device(sum.add_scalar(on_host)),
        None => SquareSum::Host(on_host),
    }
}

/// Gradient clipping on the device, for a step whose norm the host has not read.
#[derive(Debug, Clone)]
pub struct Deferred {
    /// The global norm of the gradients, `[1]`.
    pub norm: Tensor<1>,
    /// The clipping factor, `[1]`.
    factor: Tensor<1>,
    /// Whether the norm is finite, `[1]`; if not, the update is skipped.
    keep: Tensor<1, Bool>,
}

impl Deferred {
    /// From the sum of squares `[1]` of all gradients; `limit` is the largest norm.
    pub fn new(square_sum: Tensor<1>, limit: Option<f64>) -> Self {
        let norm = square_sum.sqrt();
        let factor = match limit {
            Some(limit) => norm.clone().recip().mul_scalar(limit).clamp_max(1.0),
            None => norm.ones_like(),
        };
        // False for NaN, too.
        let keep = norm.clone().lower_equal_elem(f32::MAX);
        Self { norm, factor, keep }
    }

    /// [`update`] with the gradient clipped (and multiplied by `k.gradient`); returns `slot` unchanged if the norm is not finite.
    pub fn update(&self, slot: Slot, gradient: Tensor<1>, k: &Coefficients) -> Slot {
        self.keeping(slot, gradient, |slot, gradient| composed::update(slot, gradient, k))
    }

    /// [`update_clipped`], likewise.
    pub fn update_clipped(&self, slot: Slot, gradient: Tensor<1>, k: &Coefficients) -> Slot {
        self.keeping(slot, gradient, |slot, gradient| composed::update_clipped(slot, gradient, k))
    }

    fn keeping(&self, slot: Slot, gradient: Tensor<1>, with: impl FnOnce(Slot, Tensor<1>) -> Slot) -> Slot {
        let old = slot.clone();
        let new = with(slot, gradient * self.factor.clone());
        let keep = self.keep.clone().expand(old.param.shape());
        let choose = |old: Tensor<1>, new: Tensor<1>| old.mask_where(keep.clone(), new);
        Slot { param: choose(old.param, new.param), m: choose(old.m, new.m), v: choose(old.v, new.v) }
    }
}

/// The same operations for every backend, from tensor operations.
pub mod composed {
    use super::{Coefficients, Slot, Tensor};

    /// The sum of the squares of all elements, `[1]`; `None` if there are no tensors.
    pub fn square_sum<'a>(tensors: impl IntoIterator<Item = &'a Tensor<1>>) -> Option<Tensor<1>> {
        tensors.into_iter().map(|tensor| tensor.clone().square().sum()).reduce(|so_far, sum| so_far + sum)
    }

    /// See [`super::update`].
    pub fn update(slot: Slot, gradient: Tensor<1>, k: &Coefficients) -> Slot {
        let gradient = gradient.mul_scalar(k.gradient);
        let m = slot.m.mul_scalar(k.beta1) + gradient.clone().mul_scalar(1.0 - k.beta1);
        let v = slot.v.mul_scalar(k.beta2) + gradient.square().mul_scalar(1.0 - k.beta2);
        let direction = m.clone() / v.clone().sqrt().mul_scalar(k.root).add_scalar(k.epsilon);
        let decayed = slot.param.clone() - slot.param.mul_scalar(k.decay);
        Slot { param: decayed - direction.mul_scalar(k.rate), m, v }
    }

    /// See [`super::update_clipped`].
    pub fn update_clipped(slot: Slot, gradient: Tensor<1>, k: &Coefficients) -> Slot {
        let gradient = gradient.mul_scalar(k.gradient);
        let square = gradient.clone().square();
        let v = slot.v.mul_scalar(k.beta2) + square.clone().mul_scalar(1.0 - k.beta2);
        let least = f64::from(k.epsilon).powi(2).max(f64::from(f32::MIN_POSITIVE));
        let mean = (square / v.clone().mul_scalar(k.root * k.root).clamp_min(least)).mean();
        let factor = mean.sqrt().clamp_min(1.0).recip();
        let m = slot.m.mul_scalar(k.beta1) + gradient.mul_scalar(1.0 - k.beta1);
        let direction = m.clone() / v.clone().sqrt().mul_scalar(k.root).add_scalar(k.epsilon);
        let decayed = slot.param.clone() - slot.param * factor.clone().mul_scalar(k.decay);
        Slot { param: decayed - direction * factor.mul_scalar(k.rate), m, v }
    }
}

/// What the kernels of Flex compute, on plain slices: for an optimiser whose moments are divided among processes. A parameter is
/// walked in blocks of [`BLOCK`](host::BLOCK) elements, and sums are those of its blocks added in order, so that processes which have some of the blocks
/// each find the bits of one that has all.
pub mod host {
    use super::Coefficients;

    /// Elements of a block; fixed, so that the split does not depend on the number of threads or processes.
    pub const BLOCK: usize = 1 << 14;

    /// See [`super::update`]; p, g, m, v are equally long.
    pub fn update(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], k: &Coefficients) {
        let (keep1, keep2) = (1.0 - k.beta1, 1.0 - k.beta2);
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = g * k.gradient;
            *m = *m * k.beta1 + g * keep1;
            *v = *v * k.beta2 + g * g * keep2;
            let direction = *m / (v.sqrt() * k.root + k.epsilon);
            *p = (*p - *p * k.decay) - direction * k.rate;
        }
    }

    /// The sum of the squares of one block, in f64.
    pub fn square_sum(values: &[f32]) -> f64 {
        const LANES: usize = 8;
        let mut lanes = [0.0f64; LANES];
        let mut blocks = values.chunks_exact(LANES);
        for block in &mut blocks {
            for (lane, &x) in lanes.iter_mut().zip(block) {
                *lane += f64::from(x) * f64::from(x);
            }
        }
        let rest: f64 = blocks.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        lanes.iter().sum::<f64>() + rest
    }

    /// The part of one block in the sum under the root of [`super::update_clipped`]'s RMS; v is that before this step.
    pub fn ratio_sum(v: &[f32], g: &[f32], k: &Coefficients) -> f64 {
        let keep = 1.0 - k.beta2;
        let root = f64::from(k.root).powi(2);
        let least = f64::from(k.epsilon).powi(2);
        let term = |(&v, &g): (&f32, &f32)| {
            let g = g * k.gradient;
            let v = v * k.beta2 + g * g * keep;
            f64::from(g).powi(2) / (f64::from(v) * root).max(least)
        };
        v.iter().zip(g).map(term).sum()
    }

    /// The coefficients of a parameter of `elements` elements under [`super::update_clipped`], from the [`ratio_sum`] of each of its blocks.
    pub fn clipped(k: &Coefficients, ratio_sums: &[f64], elements: usize) -> Coefficients {
        let rms = (ratio_sums.iter().sum::<f64>() / elements.max(1) as f64).sqrt();
        let factor = (1.0 / rms.max(1.0)) as f32;
        Coefficients { rate: k.rate * factor, decay: k.decay * factor, ..*k }
    }
}

#[cfg(feature = "flex")]
mod flex {
    use super::host::{self, BLOCK};
    use super::{Coefficients, Slot, Tensor};
    use burn::tensor::DType;
    use burn_flex::{Flex, FlexTensor};
    use rayon::prelude::*;

    /// Updates in one pass; returns the arguments if one of the tensors is not a Flex tensor of f32.
    pub fn update(slot: Slot, gradient: Tensor<1>, k: &Coefficients) -> Result<Slot, Box<(Slot, Tensor<1>)>> {
        if ![&slot.param, &slot.m, &slot.v, &gradient].into_iter().all(is_flex) {
            return Err(Box::new((slot, gradient)));
        }
        let Slot { param, m, v } = slot;
        let gradient = whole(gradient);
        let (mut param, mut m, mut v) = (whole(param), whole(m), whole(v));
        {
            let g: &[f32] = gradient.storage();
            let (p, m, v) = (param.storage_mut::<f32>(), m.storage_mut::<f32>(), v.storage_mut::<f32>());
            if p.len() <= BLOCK {
                host::update(p, g, m, v, k);
            } else {
                p.par_chunks_mut(BLOCK)
                    .zip(g.par_chunks(BLOCK))
                    .zip(m.par_chunks_mut(BLOCK))
                    .zip(v.par_chunks_mut(BLOCK))
                    .for_each(|(((p, g), m), v)| host::update(p, g, m, v, k));
            }
        }
        let back = Tensor::from_primitive::<Flex>;
        Ok(Slot { param: back(param), m: back(m), v: back(v) })
    }

    /// RMS of the update of StableAdamW, in f64: the sums of the chunks, added in order. `None` if a tensor is not a Flex tensor of f32.
    pub fn update_rms(v: &Tensor<1>, gradient: &Tensor<1>, k: &Coefficients) -> Option<f64> {
        if !(is_flex(v) && is_flex(gradient)) {
            return None;
        }
        let (v, gradient) = (whole(v.clone()), whole(gradient.clone()));
        let (v, g): (&[f32], &[f32]) = (v.storage(), gradient.storage());
        let sums: Vec<f64> =
            v.par_chunks(BLOCK).zip(g.par_chunks(BLOCK)).map(|(v, g)| host::ratio_sum(v, g, k)).collect();
        Some((sums.iter().sum::<f64>() / v.len().max(1) as f64).sqrt())
    }

    /// In f64: the sums of the chunks, added in order. `None` if the tensor is not a Flex tensor of f32.
    pub fn square_sum(tensor: &Tensor<1>) -> Option<f64> {
        if !is_flex(tensor) {
            return None;
        }
        let tensor = whole(tensor.clone());
        let values: &[f32] = tensor.storage();
        if values.len() <= BLOCK {
            return Some(host::square_sum(values));
        }
        let sums: Vec<f64> = values.par_chunks(BLOCK).map(host::square_sum).collect();
        Some(sums.iter().sum())
    }

    fn is_flex(tensor: &Tensor<1>) -> bool {
        tensor.dtype() == DType::F32 && tensor.clone().try_into_primitive::<Flex>().is_ok()
    }

    /// As a contiguous Flex tensor that fills its buffer. Only for tensors that pass [`is_flex`].
    #[allow(clippy::expect_used)]
    fn whole(tensor: Tensor<1>) -> FlexTensor {
        let tensor = tensor.try_into_primitive::<Flex>().expect("checked by `is_flex`");
        let n = tensor.layout().num_elements();
        if tensor.is_contiguous() && tensor.layout().start_offset() == 0 && tensor.bytes().len() == n * 4 {
            return tensor;
        }
        tensor.to_contiguous()
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
            .collect()
    }

    fn tensor(values: Vec<f32>) -> Tensor<1> {
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n]), &Device::flex())
    }

    fn slot(n: usize) -> Slot {
        let v = noise(n, 3).into_iter().map(|x| x * x).collect();
        Slot { param: tensor(noise(n, 1)), m: tensor(noise(n, 2)), v: tensor(v) }
    }

    const K: Coefficients = Coefficients {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-6,
        rate: 1e-2,
        root: 1.25,
        decay: 1e-4,
        gradient: 0.3,
    };

    fn bits(slot: &Slot) -> Vec<u32> {
        [&slot.param, &slot.m, &slot.v]
            .iter()
            .flat_map(|t| t.to_data().iter::<f32>().map(f32::to_bits).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn the_fused_pass_and_the_composed_one_agree_to_the_bit() {
        for n in [0, 1, 7, 1000, (1 << 14) + 1, 50_000] {
            let g = tensor(noise(n, 4));
            let fused = update(slot(n), g.clone(), &K);
            let composed = composed::update(slot(n), g, &K);
            assert_eq!(bits(&fused), bits(&composed), "{n}");
        }
    }

    #[test]
    fn clipped_updates_agree_with_the_composed_ones_and_shrink_the_step() {
        for n in [1, 7, 1000, (1 << 14) + 1] {
            let g = tensor(noise(n, 4).into_iter().map(|x| x * 9.0).collect());
            let k = Coefficients { epsilon: 1e-3, ..K };
            let rms = flex::update_rms(&slot(n).v, &g, &k).unwrap();
            let fused = update_clipped(slot(n), g.clone(), &k);
            let composed = composed::update_clipped(slot(n), g.clone(), &k);
            for (a, b) in [(&fused.param, &composed.param), (&fused.m, &composed.m), (&fused.v, &composed.v)]
            {
                assert!((a.clone() - b.clone()).abs().max().into_scalar::<f32>() < 2e-6, "{n}");
            }
            // A single random gradient may be small.
            assert!(rms > 1.0 || n == 1, "{n}: {rms}");
            let factor = (1.0 / rms.max(1.0)) as f32;
            let by_hand = update(
                slot(n),
                g.clone(),
                &Coefficients { rate: k.rate * factor, decay: k.decay * factor, ..k },
            );
            assert_eq!(bits(&fused), bits(&by_hand), "{n}");
            let small = tensor(noise(n, 4).into_iter().map(|x| x * 1e-3).collect());
            if flex::update_rms(&slot(n).v, &small, &k).unwrap() <= 1.0 {
                assert_eq!(
                    bits(&update_clipped(slot(n), small.clone(), &k)),
                    bits(&update(slot(n), small, &k)),
                    "{n}"
                );
            }
        }
    }

    #[test]
    fn views_are_read_correctly_and_shared_tensors_are_not_overwritten() {
        let base = Tensor::<2>::from_data(TensorData::new(noise(600, 5), [20, 30]), &Device::flex());
        let turned = base.clone().transpose().reshape([600]);
        let part = base.clone().slice([5..15, 0..30]).reshape([300]);
        for g in [turned, part] {
            let n = g.dims()[0];
            let shared = slot(n);
            let before = bits(&shared);
            let fused = update(shared.clone(), g.clone(), &K);
            assert_eq!(bits(&shared), before);
            let copy = tensor(g.to_data().iter::<f32>().collect());
            assert_eq!(bits(&fused), bits(&composed::update(slot(n), copy, &K)));
        }
        // A parameter that is a view of something larger.
        let param = base.clone().slice([5..15, 0..30]).reshape([300]);
        let values = tensor(param.to_data().iter::<f32>().collect());
        let (a, b) = (Slot { param, ..slot(300) }, Slot { param: values, ..slot(300) });
        let g = tensor(noise(300, 6));
        assert_eq!(bits(&update(a, g.clone(), &K)), bits(&update(b, g, &K)));
        assert_eq!(base.to_data().iter::<f32>().collect::<Vec<_>>(), noise(600, 5));
    }

    #[test]
    fn the_sum_of_squares_is_right_and_does_not_overflow() {
        let tensors = [tensor(noise(40_000, 1)), tensor(noise(3, 2)), tensor(vec![])];
        let expected: f64 =
            tensors.iter().flat_map(|t| t.to_data().iter::<f64>().collect::<Vec<_>>()).map(|x| x * x).sum();
        let got = square_sum(&tensors).read();
        assert!((got - expected).abs() <= 1e-12 * expected, "{got} instead of {expected}");
        assert!((square_sum([&tensor(vec![1e30; 10])]).read() / 1e61 - 1.0).abs() < 1e-6);
        assert!(square_sum([&tensor(vec![1.0, f32::NAN])]).read().is_nan());
        assert_eq!(square_sum([&tensor(vec![1.0, f32::INFINITY])]).read(), f64::INFINITY);
        assert_eq!(square_sum([]).read(), 0.0);
    }

    #[test]
    fn a_deferred_update_is_clipped_and_skipped_if_the_norm_is_not_finite() {
        let g = tensor(noise(1000, 4));
        let sum = composed::square_sum([&g]).unwrap();
        let norm = square_sum([&g]).read().sqrt();
        for limit in [None, Some(norm / 4.0), Some(norm * 4.0)] {
            let deferred = Deferred::new(sum.clone(), limit);
            assert!((f64::from(deferred.norm.clone().into_scalar::<f32>()) / norm - 1.0).abs() < 1e-6);
            let got = deferred.update(slot(1000), g.clone(), &Coefficients { gradient: 1.0, ..K });
            let clip = limit.map_or(1.0, |limit| (limit / norm).min(1.0)) as f32;
            let expected = composed::update(slot(1000), g.clone(), &Coefficients { gradient: clip, ..K });
            for (got, expected) in [(got.param, expected.param), (got.m, expected.m), (got.v, expected.v)] {
                assert!((got - expected).abs().max().into_scalar::<f32>() < 1e-6, "{limit:?}");
            }
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = noise(1000, 4);
            values[7] = bad;
            let g = tensor(values);
            let deferred = Deferred::new(composed::square_sum([&g]).unwrap(), Some(1.0));
            assert_eq!(bits(&deferred.update(slot(1000), g, &K)), bits(&slot(1000)), "{bad}");
        }
    }
}
