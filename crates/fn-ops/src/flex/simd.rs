//! Loops that the compiler vectorises, compiled once per instruction set; which one runs is decided at run time.

/// The one difference between the instruction sets in source code: whether `a b + c` is one instruction.
pub(crate) trait Lanes: Copy {
    /// `a b + c`.
    fn fma(a: f32, b: f32, c: f32) -> f32;
}

/// `a b + c` with two roundings, for processors without the fused instruction (a call of the library would be slow there).
#[derive(Clone, Copy)]
pub(crate) struct Plain;

/// `a b + c` with one rounding.
#[derive(Clone, Copy)]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
pub(crate) struct Fused;

impl Lanes for Plain {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

impl Lanes for Fused {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// Instruction sets that loops are compiled for: SSE2, AVX2 with FMA, AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Level {
    Baseline,
    V3,
    V4,
}

/// The instruction set to use.
#[cfg(target_arch = "x86_64")]
pub(crate) fn level() -> Level {
    #[cfg(test)]
    if let Some(level) = tests::LEVEL.get() {
        return level;
    }
    found()
}

/// The highest one that this processor has.
#[cfg(target_arch = "x86_64")]
fn found() -> Level {
    use std::sync::OnceLock;
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let v4 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (v3, v4) {
            (true, true) => Level::V4,
            (true, false) => Level::V3,
            _ => Level::Baseline,
        }
    })
}

/// Defines a function whose body is compiled for each instruction set. `S` is its [`Lanes`].
macro_rules! simd {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident<$s:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[allow(clippy::extra_unused_type_parameters)]
            #[inline(always)]
            fn body<$s: $crate::flex::simd::Lanes>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn v4($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::flex::simd::Fused>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn v3($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::flex::simd::Fused>($($arg),*)
                }
                match $crate::flex::simd::level() {
                    // SAFETY: `level` found these instructions on this processor.
                    $crate::flex::simd::Level::V4 => unsafe { v4($($arg),*) },
                    // SAFETY: as above.
                    $crate::flex::simd::Level::V3 => unsafe { v3($($arg),*) },
                    $crate::flex::simd::Level::Baseline => body::<$crate::flex::simd::Plain>($($arg),*),
                }
            }
            #[cfg(target_arch = "aarch64")]
            {
                body::<$crate::flex::simd::Fused>($($arg),*)
            }
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            {
                body::<$crate::flex::simd::Plain>($($arg),*)
            }
        }
    )*};
}
pub(crate) use simd;

/// Number of separate partial sums: two of the widest registers, so that an addition need not wait for the one before it.
pub(crate) const LANES: usize = 32;

/// The sum of the lanes, added in a fixed order.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The largest value, ignoring NaN; minus infinity for an empty slice.
#[inline(always)]
pub(crate) fn max_of(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = if block[i] > lanes[i] { block[i] } else { lanes[i] };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = if x > *lane { x } else { *lane };
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

const LOG2_E: f32 = std::f32::consts::LOG2_E;
// ln 2 in two parts, the first with few bits: n * LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
// 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `e^x` within 2 units of the last place; 0 below -87, where results would be denormal; capped at `e^88`; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Lanes>(x: f32) -> f32 {
    let capped = if x > 88.0 { 88.0 } else { x };
    let shifted = S::fma(capped, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = S::fma(n, -LN2_HIGH, capped);
    let r = S::fma(n, -LN2_LOW, r);
    // (e^r - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2]: a Chebyshev fit, error below 1e-8.
    let p = S::fma(0.001_392_625, r, 0.008_363_233);
    let p = S::fma(p, r, 0.041_666_556);
    let p = S::fma(p, r, 0.166_665_76);
    let p = S::fma(p, r, 0.5);
    let e = S::fma(p * r, r, r) + 1.0;
    // 2^n: the low bits of `shifted` are n, once those of ROUND are subtracted.
    let power = (shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23;
    if x < -87.0 { 0.0 } else { e * f32::from_bits(power) }
}

/// `1 / sqrt(2 pi)`.
const DENSITY: f32 = 0.398_942_3;

/// The standard normal distribution and its density at `x`: `(Phi(x), phi(x))`, absolute error below 3e-7.
///
/// `Phi(-t) = exp(-t^2 / 2) Q(u)`, `u = 1 / (1 + 0.28 t)`; Q is a Chebyshev fit for t in [0, 5.7], beyond which the first
/// factor is below 1e-7.
#[inline(always)]
pub(crate) fn normal<S: Lanes>(x: f32) -> (f32, f32) {
    let t = x.abs();
    let e = exp::<S>(-0.5 * x * x);
    let u = 1.0 / S::fma(0.28, t, 1.0);
    let q = S::fma(-0.114_571_42, u, 0.429_392_24);
    let q = S::fma(q, u, -0.310_314_84);
    let q = S::fma(q, u, 0.340_474_26);
    let q = S::fma(q, u, 0.028_793_65);
    let q = S::fma(q, u, 0.127_499_55);
    let q = S::fma(q, u, -0.001_273_512_3);
    let tail = e * q;
    (if x < 0.0 { tail } else { 1.0 - tail }, e * DENSITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    thread_local! {
        /// What [`level`] returns on this thread; [`at_each_level`] sets it to what the processor has only.
        pub(super) static LEVEL: std::cell::Cell<Option<Level>> = const { std::cell::Cell::new(None) };
    }

    /// Runs a test once per instruction set of this processor and reports those that it lacks.
    fn at_each_level(test: impl Fn()) {
        #[cfg(target_arch = "x86_64")]
        for (level, name) in [(Level::Baseline, "SSE2"), (Level::V3, "AVX2"), (Level::V4, "AVX-512")] {
            if level <= found() {
                LEVEL.set(Some(level));
                test();
                LEVEL.set(None);
            } else {
                super::super::skipped::say(name);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        test();
    }

    simd! {
        fn exps<S>(x: &mut [f32]) { for v in x { *v = exp::<S>(*v); } }
        fn normals<S>(x: &mut [f32], density: &mut [f32]) {
            for (v, d) in x.iter_mut().zip(density) { (*v, *d) = normal::<S>(*v); }
        }
        fn largest<S>(x: &[f32]) -> f32 { max_of(x) }
    }

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        let x: Vec<f32> = (0..400_000).map(|i| -87.0 + i as f32 * (175.0 / 400_000.0)).collect();
        at_each_level(|| {
            let mut y = x.clone();
            exps(&mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let exact = f64::from(x).exp();
                assert!((f64::from(y) / exact - 1.0).abs() < 2.4e-7, "{x}: {y} instead of {exact}");
            }
        });
    }

    #[test]
    fn exp_of_extremes_is_zero_or_finite_and_nan_stays() {
        at_each_level(|| {
            let mut y = vec![-1e9, f32::NEG_INFINITY, -87.5, 0.0, -0.0, 1e4, f32::NAN];
            exps(&mut y);
            assert_eq!(y[..5], [0.0, 0.0, 0.0, 1.0, 1.0]);
            assert!(y[5].is_finite() && y[6].is_nan());
        });
    }

    /// Phi in f64, the reference: the series of erf near 0, the continued fraction of erfc elsewhere.
    fn phi(x: f64) -> f64 {
        let z = x.abs() / std::f64::consts::SQRT_2;
        let tail = if z < 3.0 {
            let (mut term, mut sum) = (z, z);
            for n in 1..200 {
                term *= -z * z / n as f64;
                sum += term / (2 * n + 1) as f64;
            }
            0.5 * (1.0 - sum * 2.0 / std::f64::consts::PI.sqrt())
        } else {
            let mut f = z;
            for n in (1..200).rev() {
                f = z + n as f64 / 2.0 / f;
            }
            0.5 * (-z * z).exp() / (f * std::f64::consts::PI.sqrt())
        };
        if x < 0.0 { tail } else { 1.0 - tail }
    }

    #[test]
    fn the_normal_distribution_is_within_three_tenmillionths() {
        let x: Vec<f32> = (-30_000..=30_000).map(|i| i as f32 * 5e-4).collect();
        at_each_level(|| {
            let (mut y, mut d) = (x.clone(), x.clone());
            normals(&mut y, &mut d);
            for ((&x, &y), &d) in x.iter().zip(&y).zip(&d) {
                let x = f64::from(x);
                assert!((f64::from(y) - phi(x)).abs() < 3e-7, "{x}: {y}, not {}", phi(x));
                assert!((x * (f64::from(y) - phi(x))).abs() < 6e-7, "gelu of {x}");
                let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
                assert!((f64::from(d) - density).abs() < 2e-7, "density at {x}: {d}");
            }
        });
    }

    #[test]
    fn the_largest_value_is_found_in_slices_of_any_length() {
        at_each_level(|| {
            for n in 1..100usize {
                let x: Vec<f32> = (0..n).map(|i| ((i * 37) % n) as f32 - 200.0).collect();
                assert_eq!(largest(&x), x.iter().copied().fold(f32::MIN, f32::max));
            }
            assert_eq!(largest(&[]), f32::NEG_INFINITY);
            assert_eq!(largest(&[f32::NAN, 2.0, f32::NAN]), 2.0);
        });
    }
}
