//! Elementary functions that compile to vector instructions: no branches, no tables, no calls.

use crate::noise::scramble;

/// Below this, [`exp`] is 0. `e^-60` is far under the last bit of any sum that has a term 1; the numbers between it and the
/// smallest normal one would only make products that are subnormal, which cost a hundred times as much.
const LOWEST: f32 = -60.0;

/// `e^x` for `x <= 88`, relative error below 3e-7; 0 below -60.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // x = k ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts so that r keeps its digits.
    let whole = x;
    let x = if x < LOWEST { LOWEST } else { x }; // keeps a NaN, unlike `max`
    let k = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = (x - k * 0.693_359_4) + k * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let y = p * f32::from_bits(((k as i32 + 127) as u32) << 23);
    if whole < LOWEST { 0.0 } else { y }
}

/// Standard normal distribution: (cumulative, density). Absolute error of the first below 2e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
pub(super) fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4;
    let p = p * t - 1.453_152_1;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_72;
    let p = p * t + 0.254_829_6;
    let e = exp(-z * z);
    let tail = 0.5 * p * t * e; // 1 - cumulative(|x|)
    let cumulative = if x < 0.0 { tail } else { 1.0 - tail };
    (cumulative, 0.398_942_3 * e)
}

/// Mask of dropout: element `index` under `seed` is kept with probability `1 - rate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    key: u32,
    key2: u32,
    threshold: u32,
    pub(super) scale: f32,
}

impl Mask {
    pub(super) fn new(rate: f64, seed: u64) -> Self {
        let key = scramble(seed);
        let threshold = (rate.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
        Self { key: key as u32, key2: (key >> 32) as u32, threshold, scale: (1.0 / (1.0 - rate)) as f32 }
    }

    /// `1 / (1 - rate)` or 0.
    #[inline(always)]
    pub(super) fn factor(&self, index: u32) -> f32 {
        // Two rounds of a 32-bit multiplicative hash with keys in between; compiles to vector multiplies.
        let mut h = index.wrapping_add(self.key).wrapping_mul(0x9e37_79b1);
        h = (h ^ (h >> 15) ^ self.key2).wrapping_mul(0x85eb_ca77);
        h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae3d);
        h ^= h >> 16;
        if h >= self.threshold { self.scale } else { 0.0 }
    }
}
