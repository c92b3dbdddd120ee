//! Packs the operands of a product into tiles of bf16. The inner index is the one along k, the outer one counts the rows of `a` or the
//! columns of `b`.

use std::arch::x86_64::*;

use super::product::View;

/// Inner indices per tile.
pub(super) const TILE: usize = 32;
/// Outer indices that are packed together: two tiles.
pub(super) const WIDTH: usize = 32;
/// Outer indices per tile.
pub(super) const OUTER: usize = 16;

/// Pairs of elements per row of a tile.
pub(super) const PAIRS: usize = TILE / 2;

/// 1 KiB: 16 rows of 16 pairs of elements.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Tile(pub(super) [i32; OUTER * PAIRS]);

/// The layout of a tile.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Order {
    /// A row per outer index, with its inner elements in order: the left operand.
    Rows,
    /// A row per pair of inner indices, with the pairs of all outer indices in order: the right operand.
    Pairs,
}

/// Packs the `[outer, inner]` elements of `view`: for every 32 outer indices, for every 32 inner ones, two tiles, padded with 0.
///
/// # Safety
/// The view must hold `[outer, inner]`, the processor have AVX-512 with BW and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[allow(unsafe_code)]
pub(super) unsafe fn pack(out: &mut Vec<Tile>, view: View, outer: usize, inner: usize, order: Order) {
    let blocks = inner.div_ceil(TILE);
    let count = outer.div_ceil(WIDTH) * blocks * 2;
    if out.len() < count {
        out.resize(count, Tile([0; OUTER * PAIRS]));
    }
    for (at, tile) in out[..count].iter_mut().enumerate() {
        let (from, half) = (at / 2 / blocks * WIDTH, at % 2 * OUTER);
        let (row, column) = (from + half, at / 2 % blocks * TILE);
        let sizes = [outer.saturating_sub(row).min(OUTER), (inner - column).min(TILE)];
        // The second of two tiles may consist of padding; then nothing is read, and the view need not extend that far.
        let view = if sizes[0] == 0 { view } else { view.from(row, column) };
        // SAFETY: the view holds this many elements, as part of what the caller promises.
        unsafe { pack_tile(tile, view, sizes, order) };
    }
}

/// The mask of the first `n` of 16 elements.
fn first(n: usize) -> __mmask16 {
    if n >= OUTER { u16::MAX } else { (1 << n) - 1 }
}

/// # Safety
/// The view must hold `[outer, inner]`, at most `[16, 32]`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[allow(unsafe_code)]
unsafe fn pack_tile(tile: &mut Tile, view: View, [outer, inner]: [usize; 2], order: Order) {
    let mut rows = [_mm512_setzero_si512(); OUTER];
    // SAFETY: the caller's promise.
    let made = unsafe {
        if view.row_stride == 1 && view.column_stride != 1 {
            pairs(&mut rows, view, outer, inner);
            Order::Pairs
        } else {
            side_by_side(&mut rows, view, outer, inner);
            Order::Rows
        }
    };
    // Each layout is the transpose of the other one, pair by pair.
    let rows = if made == order { rows } else { transpose(rows) };
    for (to, row) in tile.0.chunks_exact_mut(PAIRS).zip(rows) {
        // SAFETY: `to` has 64 bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), row) };
    }
}

/// [`Order::Rows`], of a view whose inner elements are contiguous or, slower, not.
///
/// # Safety
/// As for [`pack_tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[allow(unsafe_code)]
unsafe fn side_by_side(rows: &mut [__m512i; OUTER], view: View, outer: usize, inner: usize) {
    let (low, high) = (first(inner), first(inner.saturating_sub(OUTER)));
    for (i, row) in rows[..outer].iter_mut().enumerate() {
        let mut copy = [0.0; TILE];
        let at = if view.column_stride == 1 {
            view.data.as_ptr().wrapping_add(view.from(i, 0).start)
        } else {
            for (j, x) in copy[..inner].iter_mut().enumerate() {
                *x = view.from(i, j).first();
            }
            copy.as_ptr()
        };
        // SAFETY: `inner` elements are there (in the view or in `copy`), and the masks select no more.
        let (a, b) =
            unsafe { (_mm512_maskz_loadu_ps(low, at), _mm512_maskz_loadu_ps(high, at.wrapping_add(OUTER))) };
        *row = bits(_mm512_cvtne2ps_pbh(b, a));
    }
}

/// [`Order::Pairs`], of a view whose outer elements are contiguous.
///
/// # Safety
/// As for [`pack_tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[allow(unsafe_code)]
unsafe fn pairs(rows: &mut [__m512i; OUTER], view: View, outer: usize, inner: usize) {
    // The first elements of all pairs come as the lower 16, the second ones as the upper 16.
    let order: [u16; TILE] = std::array::from_fn(|i| (i / 2 + i % 2 * OUTER) as u16);
    // SAFETY: `order` has 64 bytes.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    let load = |i: usize| {
        let at = if i < inner { view.from(0, i).start } else { view.start };
        let mask = if i < inner { first(outer) } else { 0 };
        // SAFETY: `outer` elements are there if `i < inner`, and the mask selects no more.
        unsafe { _mm512_maskz_loadu_ps(mask, view.data.as_ptr().wrapping_add(at)) }
    };
    for (i, row) in rows.iter_mut().enumerate() {
        let both = _mm512_cvtne2ps_pbh(load(2 * i + 1), load(2 * i));
        *row = _mm512_permutexvar_epi16(order, bits(both));
    }
}

/// The same 512 bits.
#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(unsafe_code)]
fn bits(x: __m512bh) -> __m512i {
    // SAFETY: both types are 64 bytes, and every pattern is valid.
    unsafe { std::mem::transmute(x) }
}

/// Transposes 16 x 16 elements of 32 bits.
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    // Within 128 bits: pairs of rows, then fours. `fours[4 i + c]` has column 4 l + c of rows 4 i to 4 i + 3 in its part l.
    let mut twos = rows;
    for i in 0..8 {
        twos[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        twos[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = twos;
    for i in 0..4 {
        fours[4 * i] = _mm512_unpacklo_epi64(twos[4 * i], twos[4 * i + 2]);
        fours[4 * i + 1] = _mm512_unpackhi_epi64(twos[4 * i], twos[4 * i + 2]);
        fours[4 * i + 2] = _mm512_unpacklo_epi64(twos[4 * i + 1], twos[4 * i + 3]);
        fours[4 * i + 3] = _mm512_unpackhi_epi64(twos[4 * i + 1], twos[4 * i + 3]);
    }
    // Then the parts themselves: even ones (0x88) and odd ones (0xdd), twice.
    let mut out = fours;
    for c in 0..4 {
        let even = |a, b| _mm512_shuffle_i32x4::<0x88>(a, b);
        let odd = |a, b| _mm512_shuffle_i32x4::<0xdd>(a, b);
        let (upper, lower) = ((fours[c], fours[4 + c]), (fours[8 + c], fours[12 + c]));
        let (a, b) = (even(upper.0, upper.1), even(lower.0, lower.1));
        (out[c], out[8 + c]) = (even(a, b), odd(a, b));
        let (a, b) = (odd(upper.0, upper.1), odd(lower.0, lower.1));
        (out[4 + c], out[12 + c]) = (even(a, b), odd(a, b));
    }
    out
}
