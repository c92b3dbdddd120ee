//! An end with a message where memory runs out.

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write;

mod limit;

/// Exit code of a process that has no memory left, as of one whose disk is full.
const RESOURCES: i32 = 5;

/// An allocator that ends the process with exit code 5 and a message where the one inside has no memory; Rust would abort.
#[derive(Debug)]
pub struct Ending<A>(pub A);

impl<A> Ending<A> {
    /// `found` as it is, unless it is null or the pages to come would be more than a cgroup allows, for which the kernel kills without a word.
    fn or_end(&self, found: *mut u8, bytes: usize) -> *mut u8 {
        if (found.is_null() && bytes > 0) || limit::is_passed(found, bytes) {
            // Nothing here may allocate. A `Vec` that asks for 2^63 bytes never gets here: its capacity is checked before.
            let mut stderr = std::io::stderr();
            let _ = writeln!(
                stderr,
                "error: out of memory: {bytes} more bytes are not to be had. Lower --batch (and raise train.accumulation), --length or \
                 --threads, choose a smaller model, or raise the memory limit of the process; what was saved is intact"
            );
            // SAFETY: `_exit` ends the process; it runs no handlers, which might allocate.
            #[allow(unsafe_code)]
            unsafe {
                libc::_exit(RESOURCES)
            }
        }
        found
    }
}

// SAFETY: every call is handed on unchanged; a pointer that is returned is the one that was allocated.
#[allow(unsafe_code)]
unsafe impl<A: GlobalAlloc> GlobalAlloc for Ending<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of the allocator inside.
        self.or_end(unsafe { self.0.alloc(layout) }, layout.size())
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.or_end(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as above.
        self.or_end(unsafe { self.0.realloc(old, layout, bytes) }, bytes)
    }
    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(old, layout) }
    }
}
