//! Matrix products whose operands are packed into tiles of bf16, block by block. A [`Kernel`] multiplies the tiles.

use std::cell::RefCell;

use super::pack::{Order, TILE, Tile, WIDTH, pack};
use super::product::{Target, View};

/// Rows of `a` and columns of `b` per block. A block of `a` fits the second-level cache.
const ROWS: usize = 256;
const COLUMNS: usize = 1024;

/// Instructions that multiply packed tiles. A value of the type proves that the processor has them and that this thread is set up.
#[allow(unsafe_code)]
pub(super) trait Kernel: Sized {
    /// Length of a block along k.
    const DEEP: usize;

    /// Sets up this thread, until the value is dropped.
    ///
    /// # Safety
    /// The processor must have the kernel's instructions, and no other kernel may exist on this thread.
    unsafe fn begin() -> Self;

    /// The product of 32 rows of `a` and 32 columns of `b`, written or added to the target.
    ///
    /// # Safety
    /// `a` and `b` must have the same length, and the target as for [`exact_product`](super::product::exact_product), with 32 rows
    /// of 32 numbers.
    unsafe fn sums(&self, a: &[Tile], b: &[Tile], target: Target);
}

thread_local! {
    /// Buffers for the packed blocks of `a` and `b`.
    static PACKED: RefCell<[Vec<Tile>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// [`super::product::product`] of operands rounded to bf16.
///
/// # Safety
/// The processor must have AVX-512 with BW and BF16 and what K needs; `a` and `b` must hold `[m, k]` and `[k, n]`; the target as
/// for [`exact_product`](super::product::exact_product).
#[allow(unsafe_code)]
pub(super) unsafe fn product<K: Kernel>(
    [m, k, n]: [usize; 3],
    target: Target,
    a: View,
    b: View,
    factor: f32,
) {
    PACKED.with_borrow_mut(|[packed_a, packed_b]| {
        // SAFETY: the processor has what K needs (the caller's promise); a second kernel would need `PACKED`, which is borrowed.
        let kernel = unsafe { K::begin() };
        for (column, columns) in steps(n, COLUMNS) {
            for (deep, inner) in steps(k, K::DEEP) {
                // SAFETY: these are parts of `b` and, below, of `a` and the target, and the processor has AVX-512 with BF16 (the caller's
                // promise).
                unsafe { pack(packed_b, b.from(deep, column).turned(), columns, inner, Order::Pairs) };
                for (row, rows) in steps(m, ROWS) {
                    // SAFETY: as above.
                    unsafe { pack(packed_a, a.from(row, deep), rows, inner, Order::Rows) };
                    let part = target.at(row, column);
                    let part = Target { add: part.add || deep > 0, ..part };
                    // SAFETY: as above; both operands were just packed.
                    unsafe { block(&kernel, [rows, inner, columns], part, packed_a, packed_b, factor) };
                }
            }
        }
        if k == 0 && !target.add {
            for row in 0..m {
                // SAFETY: a row of the target.
                unsafe { std::slice::from_raw_parts_mut(target.at(row, 0).data, n) }.fill(0.0);
            }
        }
    });
}

/// Divides `0..n` into steps: starts and lengths.
fn steps(n: usize, step: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(step).map(move |from| (from, step.min(n - from)))
}

/// The product of two packed blocks.
///
/// # Safety
/// `a` and `b` must be packed from `[m, k]` and `[k, n]`, and the target as for [`product`].
#[allow(unsafe_code)]
unsafe fn block<K: Kernel>(
    kernel: &K,
    [m, k, n]: [usize; 3],
    target: Target,
    a: &[Tile],
    b: &[Tile],
    factor: f32,
) {
    let tiles = 2 * k.div_ceil(TILE);
    for (column, width) in steps(n, WIDTH) {
        let b = &b[column / WIDTH * tiles..][..tiles];
        for (row, height) in steps(m, WIDTH) {
            let a = &a[row / WIDTH * tiles..][..tiles];
            let part = target.at(row, column);
            if height == WIDTH && width == WIDTH && factor == 1.0 {
                // SAFETY: 32 rows of 32 numbers of the target.
                unsafe { kernel.sums(a, b, part) };
                continue;
            }
            let mut all = [[0.0; WIDTH]; WIDTH];
            // SAFETY: `all` has 32 rows of 32 numbers.
            unsafe { kernel.sums(a, b, Target { data: all.as_mut_ptr().cast(), stride: WIDTH, add: false }) };
            for (i, sums) in all[..height].iter().enumerate() {
                // SAFETY: a row of the target.
                let row = unsafe { std::slice::from_raw_parts_mut(part.at(i, 0).data, width) };
                for (x, sum) in row.iter_mut().zip(sums) {
                    *x = if part.add { *x } else { 0.0 } + factor * sum;
                }
            }
        }
    }
}
