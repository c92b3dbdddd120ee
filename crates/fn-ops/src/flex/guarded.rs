//! Buffers for tests that end, or begin, at a page that may not be accessed: a kernel that reads or writes outside of such a buffer
//! kills the test. Finds what Valgrind cannot, which knows neither AVX-512 nor AMX.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::ptr;

/// The side of a buffer that touches the forbidden page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edge {
    Start,
    End,
}

/// See the module.
pub(super) struct Guarded {
    map: *mut libc::c_void,
    bytes: usize,
    data: *mut f32,
    len: usize,
}

impl Guarded {
    /// A copy of `values`.
    pub fn new(values: &[f32], edge: Edge) -> Self {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let inside = size_of_val(values).next_multiple_of(page);
        let bytes = inside + 2 * page;
        // SAFETY: new memory, of which only the pages between the first and the last one may be accessed.
        let map = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map = libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(map, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(map.byte_add(page), inside, libc::PROT_READ | libc::PROT_WRITE), 0);
            map
        };
        let offset = match edge {
            Edge::Start => page,
            Edge::End => page + inside - size_of_val(values),
        };
        let mut buffer = Self { map, bytes, data: map.wrapping_byte_add(offset).cast(), len: values.len() };
        buffer.copy_from_slice(values);
        buffer
    }
}

impl Deref for Guarded {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` elements between the two pages, of which every pattern is a number.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the memory of `new`, to which no reference is left.
        unsafe { libc::munmap(self.map, self.bytes) };
    }
}
