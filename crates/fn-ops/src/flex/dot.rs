//! The product of tiles with the dot products of AVX-512 BF16 (Zen 4 and later, Cooper Lake, and all processors with AMX).
//!
//! One instruction multiplies 16 pairs of `b` (a row of a tile: two inner indices of 16 columns) by one pair of `a` and adds both
//! products to 16 sums in f32. The sums of 8 rows and 32 columns are in registers at a time: each pair of `a` that is loaded is
//! used twice, each row of `b` eight times. (With 16 rows and 16 columns the instructions would wait for their loads.)

use std::arch::x86_64::*;

use super::blocks::Kernel;
use super::pack::{OUTER, PAIRS, Tile};
use super::product::Target;

/// Whether the processor has the instructions.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// Rows whose sums are in registers at a time.
const ROWS: usize = 8;

/// The kernel; a value proves that the processor has the instructions.
pub(super) struct Dot(());

#[allow(unsafe_code)]
impl Kernel for Dot {
    const DEEP: usize = 512;

    unsafe fn begin() -> Self {
        Self(())
    }

    unsafe fn sums(&self, a: &[Tile], b: &[Tile], target: Target) {
        debug_assert_eq!(a.len(), b.len());
        for row in (0..2 * OUTER).step_by(ROWS) {
            // SAFETY: `self` proves that the processor has the instructions; the rows are some of the target's.
            unsafe { rows(a, row, b, target.at(row, 0)) };
        }
    }
}

/// 8 of the 32 rows, from row `first` on (counted through both tiles of a pair of `a`), and all 32 columns.
///
/// # Safety
/// The processor must have the instructions; the target as for [`exact_product`](super::product::exact_product), with 8 rows of 32
/// elements.
#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(unsafe_code)]
unsafe fn rows(a: &[Tile], first: usize, b: &[Tile], target: Target) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    if target.add {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: a row of the target.
            *sums = [0, OUTER].map(|column| unsafe { _mm512_loadu_ps(target.at(i, column).data) });
        }
    }
    for (a, b) in a.chunks_exact(2).zip(b.chunks_exact(2)) {
        let a = &a[first / OUTER].0[first % OUTER * PAIRS..][..ROWS * PAIRS];
        for pair in 0..PAIRS {
            // SAFETY: row `pair` of a tile is 64 bytes, aligned to 64.
            let load = |tile: &Tile| unsafe { _mm512_load_si512(tile.0.as_ptr().add(pair * OUTER).cast()) };
            let columns = [numbers(load(&b[0])), numbers(load(&b[1]))];
            for (i, sums) in sums.iter_mut().enumerate() {
                let one = numbers(_mm512_set1_epi32(a[i * PAIRS + pair]));
                sums[0] = _mm512_dpbf16_ps(sums[0], one, columns[0]);
                sums[1] = _mm512_dpbf16_ps(sums[1], one, columns[1]);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        for (column, sum) in [0, OUTER].into_iter().zip(sums) {
            // SAFETY: a row of the target.
            unsafe { _mm512_storeu_ps(target.at(i, column).data, *sum) };
        }
    }
}

/// The same 512 bits.
#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(unsafe_code)]
fn numbers(x: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes, and every pattern is valid.
    unsafe { std::mem::transmute(x) }
}
