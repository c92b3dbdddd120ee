//! From Flex tensors to slices and back, and new buffers that are not cleared first.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

/// Least number of elements per task; fixed, so that no sum depends on the number of threads.
pub(crate) const CHUNK: usize = 1 << 14;

/// Rows of `width` elements per task.
pub(crate) fn rows_per_task(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// A buffer of `n` uninitialised elements: clearing what is overwritten anyway would take as long as some operations do. With
/// debug assertions the elements are NaN, so that tests find one that is never written.
///
/// # Safety
/// Every element must be written before it is read.
#[allow(unsafe_code, clippy::uninit_vec)]
pub(crate) unsafe fn unwritten(n: usize) -> Vec<f32> {
    if cfg!(debug_assertions) {
        return vec![f32::NAN; n];
    }
    let mut values = Vec::with_capacity(n);
    // SAFETY: the capacity is n, any bit pattern is an f32, and the caller writes each one before reading it.
    unsafe { values.set_len(n) };
    values
}

/// A contiguous tensor that owns `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    let layout = Layout::contiguous(shape.into());
    debug_assert_eq!(layout.num_elements(), values.len());
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

/// The same tensor, contiguous and filling its whole buffer; copies only if it is not so already.
pub(crate) fn whole(tensor: FlexTensor) -> FlexTensor {
    if is_whole(&tensor) { tensor } else { tensor.to_contiguous() }
}

fn is_whole(tensor: &FlexTensor) -> bool {
    let bytes = tensor.layout().num_elements() * size_of::<f32>();
    tensor.is_contiguous() && tensor.layout().start_offset() == 0 && tensor.bytes().len() == bytes
}

/// The elements of a tensor that [`whole`] returned.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    debug_assert!(is_whole(tensor));
    tensor.storage()
}

/// The number of rows (the product of all axes but the last) and the size of the last axis.
pub(crate) fn rows_and_width(tensor: &FlexTensor) -> (usize, usize) {
    let shape = tensor.layout().shape();
    let width = shape.as_slice().last().copied().unwrap_or(1);
    let rows = shape.as_slice().iter().rev().skip(1).product();
    (rows, width)
}

/// The ids in an integer tensor, each checked to be in `0..limit`.
///
/// # Panics
/// If an id is not below `limit`.
pub(crate) fn ids(tensor: FlexTensor, limit: usize, what: &str) -> Vec<u32> {
    let tensor = tensor.to_contiguous();
    let n = tensor.layout().num_elements();
    let start = tensor.layout().start_offset();
    let check = |id: i64| {
        assert!(
            usize::try_from(id).is_ok_and(|id| id < limit && id <= u32::MAX as usize),
            "{what}: id {id} is outside of 0..{limit}"
        );
        id as u32
    };
    let part = start..start + n;
    match tensor.dtype() {
        DType::I64 => tensor.storage::<i64>()[part].iter().map(|&id| check(id)).collect(),
        DType::U32 => tensor.storage::<u32>()[part].iter().map(|&id| check(i64::from(id))).collect(),
        DType::I32 => tensor.storage::<i32>()[part].iter().map(|&id| check(i64::from(id))).collect(),
        other => unreachable!("`takes_ids` rejects ids of type {other:?}"),
    }
}

/// Whether [`ids`] reads this type.
pub(crate) fn is_id_type(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32 | DType::U32)
}
