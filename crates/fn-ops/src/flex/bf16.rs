//! Matrix products whose operands are rounded to bf16 and whose sums are f32.
//!
//! Processors with AMX multiply tiles of bf16, much faster than f32 (module `amx`); those with AVX-512 BF16 multiply pairs of
//! bf16, at best twice as fast as f32 (module `dot`). On other processors the operands are rounded to bf16 and multiplied as f32:
//! the same results up to the order of the additions (and up to denormal numbers, which the hardware treats as 0), but slower
//! than f32.

use std::cell::RefCell;
use std::sync::LazyLock;

use half::bf16;

use crate::Bf16Unit;

use super::product::{Target, View, exact_product};

/// The best instructions that this processor has.
pub fn unit() -> Bf16Unit {
    static UNIT: LazyLock<Bf16Unit> = LazyLock::new(|| {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if super::amx::available() {
            return Bf16Unit::Tiles;
        }
        #[cfg(target_arch = "x86_64")]
        if super::dot::available() {
            return Bf16Unit::Vectors;
        }
        Bf16Unit::None
    });
    *UNIT
}

/// [`exact_product`] of operands rounded to bf16.
///
/// # Safety
/// As for [`exact_product`].
#[allow(unsafe_code)]
pub(crate) unsafe fn product(sizes: [usize; 3], target: Target, a: View, b: View, factor: f32) {
    // SAFETY: `unit` returns what the processor has; the target is the caller's promise.
    unsafe { product_on(unit(), sizes, target, a, b, factor) }
}

/// # Safety
/// The processor must have `unit`; the target as for [`exact_product`].
#[allow(unsafe_code)]
unsafe fn product_on(unit: Bf16Unit, sizes: [usize; 3], target: Target, a: View, b: View, factor: f32) {
    let [m, k, n] = sizes;
    assert!(a.holds(m, k) && b.holds(k, n), "matrix product: a view extends beyond its slice");
    // SAFETY: both views lie in their slices (checked above); the unit and the target are the caller's promise.
    unsafe {
        match unit {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Bf16Unit::Tiles => super::blocks::product::<super::amx::Amx>(sizes, target, a, b, factor),
            #[cfg(target_arch = "x86_64")]
            Bf16Unit::Vectors => super::blocks::product::<super::dot::Dot>(sizes, target, a, b, factor),
            _ => emulated(sizes, target, a, b, factor),
        }
    }
}

thread_local! {
    /// Buffers for the rounded operands.
    static ROUNDED: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// For processors without bf16 instructions.
///
/// # Safety
/// As for [`exact_product`].
#[allow(unsafe_code)]
unsafe fn emulated([m, k, n]: [usize; 3], target: Target, a: View, b: View, factor: f32) {
    ROUNDED.with_borrow_mut(|[first, second]| {
        round(a, m, k, first);
        round(b, k, n, second);
        // SAFETY: the caller's promise.
        unsafe { exact_product([m, k, n], target, View::rows(first, k), View::rows(second, n), factor) }
    });
}

fn round(view: View, rows: usize, columns: usize, out: &mut Vec<f32>) {
    out.clear();
    for row in 0..rows {
        out.extend((0..columns).map(|column| bf16::from_f32(view.from(row, column).first()).to_f32()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Repeatable numbers in [-1, 1] that bf16 cannot represent.
    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 * 2.0 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// `data` as a matrix stored by rows (0), by columns (1), or with gaps in both directions (2).
    fn view(data: &[f32], rows: usize, columns: usize, kind: u8) -> View<'_> {
        let (row_stride, column_stride) = match kind {
            0 => (columns, 1),
            1 => (1, rows),
            _ => (2 * columns, 2),
        };
        View { data, start: 0, row_stride: row_stride as isize, column_stride: column_stride as isize }
    }

    /// The product in f64.
    fn expected([m, k, n]: [usize; 3], c: &[f32], add: bool, a: View, b: View, factor: f32) -> Vec<f64> {
        let of =
            |view: View, row: usize, column: usize| bf16::from_f32(view.from(row, column).first()).to_f64();
        let mut out = Vec::new();
        for i in 0..m {
            for j in 0..n {
                let sum: f64 = (0..k).map(|l| of(a, i, l) * of(b, l, j)).sum();
                out.push(sum * f64::from(factor) + if add { f64::from(c[i * n + j]) } else { 0.0 });
            }
        }
        out
    }

    /// All units of this processor; reports those that it lacks.
    fn units() -> &'static [Bf16Unit] {
        let all = &[Bf16Unit::Tiles, Bf16Unit::Vectors, Bf16Unit::None];
        let (missing, found) = all.split_at(all.iter().position(|&found| found == unit()).unwrap());
        for missing in missing {
            super::super::skipped::say(match missing {
                Bf16Unit::Tiles => "AMX",
                _ => "AVX-512 BF16",
            });
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        #[allow(unsafe_code)]
        fn operands_are_rounded_and_sums_are_not(
            m in 1usize..70, k in 1usize..130, n in 1usize..70, deep in 0usize..8,
            kinds in (0u8..3, 0u8..3), add: bool, scaled: bool, seed: u32,
        ) {
            // Some sums are longer than one block of k.
            let k = if deep == 0 { k + 1000 } else { k };
            let factor = if scaled { 0.3 } else { 1.0 };
            let (first, second) = (numbers(2 * m * k, seed), numbers(2 * k * n, seed ^ 0x9e37_79b9));
            let (a, b) = (view(&first, m, k, kinds.0), view(&second, k, n, kinds.1));
            let before = numbers(m * n, seed ^ 77);
            let expected = expected([m, k, n], &before, add, a, b, factor);
            for &unit in units() {
                let mut out = before.clone();
                let target = Target { data: out.as_mut_ptr(), stride: n, add };
                // SAFETY: `out` holds m x n numbers.
                unsafe { product_on(unit, [m, k, n], target, a, b, factor) };
                for (found, expected) in out.iter().zip(&expected) {
                    let off = (f64::from(*found) - expected).abs();
                    prop_assert!(off < 2e-6 * (k as f64).max(16.0), "{unit:?}: {found}, not {expected}");
                }
            }
        }
    }

    #[test]
    #[allow(unsafe_code)]
    fn products_of_several_blocks_are_assembled_correctly() {
        let [m, k, n] = [300, 1100, 1100];
        let (a, b) = (numbers(m * k, 5), numbers(k * n, 6));
        let (a, b) = (View::rows(&a, k), View::rows(&b, n));
        let rounded = |view: View, row, column| bf16::from_f32(view.from(row, column).first()).to_f64();
        for &unit in units() {
            let mut out = numbers(m * n, 7);
            let before = out.clone();
            let target = Target { data: out.as_mut_ptr(), stride: n, add: true };
            // SAFETY: `out` holds m x n numbers.
            unsafe { product_on(unit, [m, k, n], target, a, b, 1.0) };
            // Checking all elements would take a second; these rows and columns meet every block and tile.
            for i in (0..m).step_by(7) {
                for j in (0..n).step_by(11) {
                    let sum: f64 = (0..k).map(|l| rounded(a, i, l) * rounded(b, l, j)).sum();
                    let (found, expected) = (f64::from(out[i * n + j]), sum + f64::from(before[i * n + j]));
                    assert!((found - expected).abs() < 1e-3, "{unit:?} at {i}, {j}: {found}, not {expected}");
                }
            }
        }
    }

    #[test]
    #[allow(unsafe_code)]
    fn nothing_is_written_outside_of_the_target() {
        let (a, b) = (numbers(33 * 40, 1), numbers(40 * 33, 2));
        for &unit in units() {
            let mut out = vec![7.0; 40 * 50];
            let target = Target { data: out.as_mut_ptr().wrapping_add(50 * 2 + 5), stride: 50, add: false };
            // SAFETY: 33 rows of 33 numbers from row 2 and column 5 on lie in 40 rows of 50.
            unsafe { product_on(unit, [33, 40, 33], target, View::rows(&a, 40), View::rows(&b, 33), 1.0) };
            for (at, &x) in out.iter().enumerate() {
                let inside = (2..35).contains(&(at / 50)) && (5..38).contains(&(at % 50));
                assert_eq!(x != 7.0, inside, "{unit:?}: {at}");
            }
        }
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    #[allow(unsafe_code)]
    fn nothing_is_accessed_outside_of_operands_and_target() {
        use crate::flex::guarded::{Edge, Guarded};
        const SIZES: [usize; 5] = [1, 15, 17, 33, 64];
        // The elements up to the last one of the view.
        let operand = |rows: usize, columns: usize, kind: u8, edge: Edge| {
            let n = if kind == 2 { (rows - 1) * 2 * columns + 2 * columns - 1 } else { rows * columns };
            Guarded::new(&numbers(n, 9), edge)
        };
        let cases = SIZES.iter().flat_map(|&m| SIZES.iter().flat_map(move |&k| SIZES.map(|n| [m, k, n])));
        for (case, [m, k, n]) in cases.enumerate() {
            let (kind_a, kind_b, add) = (case as u8 % 3, case as u8 / 3 % 3, case % 2 == 0);
            for edge in [Edge::Start, Edge::End] {
                let (a, b) = (operand(m, k, kind_a, edge), operand(k, n, kind_b, edge));
                let (a, b) = (view(&a, m, k, kind_a), view(&b, k, n, kind_b));
                let mut out = Guarded::new(&numbers(m * n, 3), edge);
                let target = Target { data: out.as_mut_ptr(), stride: n, add };
                // SAFETY: `out` holds m x n numbers.
                unsafe {
                    for &unit in units() {
                        product_on(unit, [m, k, n], target, a, b, 1.0);
                    }
                    exact_product([m, k, n], target, a, b, 1.0);
                }
            }
        }
    }

    #[test]
    #[allow(unsafe_code)]
    fn nan_and_infinity_stay() {
        let mut a = numbers(20 * 40, 3);
        (a[45], a[90]) = (f32::NAN, f32::INFINITY);
        let b = vec![1.0; 40 * 20];
        for &unit in units() {
            let mut out = vec![0.0; 400];
            let target = Target { data: out.as_mut_ptr(), stride: 20, add: false };
            // SAFETY: `out` holds 20 x 20 numbers.
            unsafe { product_on(unit, [20, 40, 20], target, View::rows(&a, 40), View::rows(&b, 20), 1.0) };
            let finite = out[0].is_finite() && out[60].is_finite();
            assert!(out[20].is_nan() && out[40] == f32::INFINITY && finite, "{unit:?}");
        }
    }
}
