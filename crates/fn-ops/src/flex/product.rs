//! Matrix products on slices, and the linear layer.

use burn::tensor::Shape;
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use super::bridge::Derivative;
use super::memory::{rows_and_width, tensor, unwritten, values, whole};
use super::rows::column_sums;
use crate::MatmulPrecision;

/// Number of multiplications from which on a product is split between threads.
const PARALLEL: usize = 1 << 20;
/// Each thread gets a multiple of this many rows or columns (the last one also the rest). So the tiles of a kernel stay whole, and
/// splitting makes no small products, for which `gemm` adds in another order.
const TILE: usize = 64;
/// Products along k are added in pieces of this length, so that the order of the additions is ours: `gemm` would take at least as
/// many at a time, but how many depends on m, n and the caches.
const DEEP: usize = 512;

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub data: &'a [f32],
    pub start: usize,
    pub row_stride: isize,
    pub column_stride: isize,
}

impl<'a> View<'a> {
    /// A contiguous matrix, row by row, with `width` columns.
    pub fn rows(data: &'a [f32], width: usize) -> Self {
        Self { data, start: 0, row_stride: width as isize, column_stride: 1 }
    }

    /// The part of the matrix that starts at this row and column.
    #[inline(always)]
    pub fn from(self, row: usize, column: usize) -> Self {
        let offset = row as isize * self.row_stride + column as isize * self.column_stride;
        Self { start: (self.start as isize + offset) as usize, ..self }
    }

    /// The transpose.
    pub fn turned(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// The element in row 0 and column 0.
    pub fn first(self) -> f32 {
        self.data[self.start]
    }

    /// Whether a matrix of `[rows, columns]` lies inside of the slice.
    pub fn holds(&self, rows: usize, columns: usize) -> bool {
        if rows == 0 || columns == 0 {
            return true;
        }
        let end = |n: usize, stride: isize| (n as isize - 1) * stride;
        let (r, c) = (end(rows, self.row_stride), end(columns, self.column_stride));
        let low = self.start as isize + r.min(0) + c.min(0);
        let high = self.start as isize + r.max(0) + c.max(0);
        low >= 0 && (high as usize) < self.data.len()
    }
}

/// The memory that a product is written to: rows `stride` elements apart, each contiguous.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub data: *mut f32,
    pub stride: usize,
    /// Whether the product is added to the elements that are there.
    pub add: bool,
}

impl Target {
    /// The part of the target that starts at this row and column.
    pub fn at(self, row: usize, column: usize) -> Self {
        Self { data: self.data.wrapping_add(row * self.stride + column), ..self }
    }
}

/// `target = factor a b`, or `target += factor a b`, for `a` `[m, k]` and `b` `[k, n]`, on this thread. The order of the additions
/// in an element depends on k and on the element's place in the target, not on how [`split_product`] splits the target.
///
/// # Safety
/// As for [`exact_product`].
#[allow(unsafe_code)]
pub(crate) unsafe fn product(
    precision: MatmulPrecision,
    sizes: [usize; 3],
    target: Target,
    a: View,
    b: View,
    factor: f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match precision {
            MatmulPrecision::F32 => exact_product(sizes, target, a, b, factor),
            MatmulPrecision::Bf16 => super::bf16::product(sizes, target, a, b, factor),
        }
    }
}

/// [`product`] in f32, of sizes `[m, k, n]`.
///
/// # Safety
/// `target` must be valid for reads and writes of m rows of n elements, which no other thread may read or write during the call;
/// they must be initialised if `add` is set.
#[allow(unsafe_code)]
pub(crate) unsafe fn exact_product([m, k, n]: [usize; 3], target: Target, a: View, b: View, factor: f32) {
    assert!(a.holds(m, k) && b.holds(k, n), "matrix product: a view extends beyond its slice");
    for from in (0..k.max(1)).step_by(DEEP) {
        let (a, b) = if from < k { (a.from(0, from), b.from(from, 0)) } else { (a, b) };
        // SAFETY: both views lie in their slices (checked above), the target is the caller's promise.
        unsafe {
            gemm::gemm(
                m,
                n,
                DEEP.min(k - from),
                target.data,
                1,
                target.stride as isize,
                target.add || from > 0,
                a.data.as_ptr().wrapping_add(a.start),
                a.column_stride,
                a.row_stride,
                b.data.as_ptr().wrapping_add(b.start),
                b.column_stride,
                b.row_stride,
                1.0,
                factor,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

/// `a b`, plus `bias` in every row, if given, in a new buffer.
#[allow(unsafe_code)]
fn multiply(
    precision: MatmulPrecision,
    sizes: [usize; 3],
    a: View,
    b: View,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let [m, _, n] = sizes;
    // SAFETY: filled with the bias and added to, or written by the product.
    let mut out = unsafe { unwritten(m * n) };
    if let Some(bias) = bias {
        let task = super::memory::rows_per_task(n);
        out.par_chunks_mut((task * n).max(1)).for_each(|rows| {
            rows.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(bias));
        });
    }
    let target = Target { data: out.as_mut_ptr(), stride: n, add: bias.is_some() };
    // SAFETY: `out` is ours, holds m x n numbers, and was filled with the bias where the product is added.
    unsafe { split_product(precision, sizes, target, a, b) };
    out
}

/// [`product`] on all threads, each of which computes some rows or columns of the target. They wait for each other once:
/// `gemm`'s own threads do so twice for every 512 of k, which took a tenth of a training step.
///
/// # Safety
/// As for [`product`].
#[allow(unsafe_code)]
unsafe fn split_product(precision: MatmulPrecision, [m, k, n]: [usize; 3], target: Target, a: View, b: View) {
    let threads = if m * n * k < PARALLEL { 1 } else { rayon::current_num_threads() };
    // Each thread packs its part of one operand and all of the other one. In f32, `b` is always packed, but `a` is read in place if k
    // is contiguous: then columns are split, if there are enough for every thread.
    let columns = match precision {
        MatmulPrecision::F32 => n >= threads * 2 * TILE && (n > m || a.column_stride == 1),
        MatmulPrecision::Bf16 => n > m,
    };
    let longer = if columns { n } else { m };
    // The last part gets the rest.
    let parts = (longer / TILE).clamp(1, threads);
    let start = |i: usize| if i == parts { longer } else { longer / TILE * i / parts * TILE };
    let target = Shared(target);
    (0..parts).into_par_iter().for_each(|i| {
        let (from, size) = (start(i), start(i + 1) - start(i));
        // SAFETY: parts are disjoint rows or columns of what the caller promised.
        unsafe {
            if columns {
                product(precision, [m, k, size], target.at(0, from), a, b.from(0, from), 1.0);
            } else {
                product(precision, [size, k, n], target.at(from, 0), a.from(from, 0), b, 1.0);
            }
        }
    });
}

/// A target of which each thread writes another part.
struct Shared(Target);

// SAFETY: `at` only computes an address; whoever writes there has promised that no other thread does (see `exact_product`).
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, row: usize, column: usize) -> Target {
        self.0.at(row, column)
    }
}

/// Saved for the backward pass of [`linear`]: x if W needs a gradient, W if x needs one.
#[derive(Debug, Clone)]
pub(crate) struct LinearKept {
    x: Option<FlexTensor>,
    weight: Option<FlexTensor>,
    x_shape: Shape,
    /// Whether W is stored by columns; then its gradient is, too.
    turned: bool,
    precision: MatmulPrecision,
}

fn matrix(tensor: &FlexTensor) -> View<'_> {
    let strides = tensor.layout().strides();
    View {
        data: tensor.storage(),
        start: tensor.layout().start_offset(),
        row_stride: strides[0],
        column_stride: strides[1],
    }
}

/// `x` `[.., in]`, `weight` `[in, out]` in any layout, `bias` `[out]`; `tracked`: which of x, weight and bias need a gradient.
pub(crate) fn linear(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    precision: MatmulPrecision,
    tracked: [bool; 3],
) -> (FlexTensor, Option<LinearKept>) {
    let (rows, width) = rows_and_width(&x);
    let (x, bias) = (whole(x), bias.map(whole));
    let [input, output] = [weight.layout().shape()[0], weight.layout().shape()[1]];
    assert_eq!(width, input, "linear: an input of width {width} for a weight of {input} x {output}");
    let bias_values = bias.as_ref().map(values);
    assert!(bias_values.is_none_or(|b| b.len() == output), "linear: the bias must have {output} elements");
    let out = multiply(
        precision,
        [rows, input, output],
        View::rows(values(&x), input),
        matrix(&weight),
        bias_values,
    );
    let mut shape = x.layout().shape().clone();
    let x_shape = shape.clone();
    let last = shape.num_dims() - 1;
    shape[last] = output;
    let turned = weight.layout().strides()[0] == 1 && output > 1;
    let kept = tracked.contains(&true).then(|| LinearKept {
        x: tracked[1].then_some(x),
        weight: tracked[0].then_some(weight),
        x_shape,
        turned,
        precision,
    });
    (tensor(out, shape), kept)
}

impl LinearKept {
    /// The gradients of x, W and b.
    fn gradients(self, gradient: FlexTensor, bias: bool) -> [Option<FlexTensor>; 3] {
        let (rows, output) = rows_and_width(&gradient);
        let gradient = whole(gradient);
        let g = values(&gradient);
        let of_g = View::rows(g, output);
        let (input, precision) = (self.x_shape[self.x_shape.num_dims() - 1], self.precision);
        let dx = self.weight.map(|weight| {
            let dx = multiply(precision, [rows, output, input], of_g, matrix(&weight).turned(), None);
            tensor(dx, self.x_shape.clone())
        });
        let dw = self.x.map(|x| {
            let of_x = View::rows(values(&x), input);
            if self.turned {
                let dw = multiply(precision, [output, rows, input], of_g.turned(), of_x, None);
                let layout = Layout::new([input, output].into(), vec![1, input as isize], 0);
                tensor(dw, [output, input]).with_layout(layout)
            } else {
                tensor(multiply(precision, [input, rows, output], of_x.turned(), of_g, None), [input, output])
            }
        });
        let db = bias.then(|| tensor(column_sums(g, output), [output]));
        [dx, dw, db]
    }
}

/// Inputs: x, weight.
impl Derivative<2> for LinearKept {
    fn backward(self, gradient: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [x, weight, _] = self.gradients(gradient, false);
        [x, weight]
    }
}

/// Inputs: x, weight, bias.
impl Derivative<3> for LinearKept {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        self.gradients(gradient, wanted[2])
    }
}
