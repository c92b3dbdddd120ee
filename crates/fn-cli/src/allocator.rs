//! Sets one option of the allocator, so that the user need not set an environment variable.

use std::ffi::{c_int, c_long};

/// `mi_option_purge_delay` of mimalloc's `mi_option_e`; the same number in its versions 2 and 3.
const PURGE_DELAY: c_int = 15;

// SAFETY: these are mimalloc's signatures; the `mimalloc` crate links the library in. Both functions take integers, check the first
// one against their table, and may be called at any time, so that they are safe.
#[allow(unsafe_code)]
unsafe extern "C" {
    safe fn mi_option_set(option: c_int, value: c_long);
    safe fn mi_option_get(option: c_int) -> c_long;
}

/// Makes mimalloc keep freed pages instead of returning them to the system, unless `MIMALLOC_PURGE_DELAY` is set.
pub fn keep_pages() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        mi_option_set(PURGE_DELAY, -1);
    }
}

/// Milliseconds after which freed pages are returned to the system; -1: never.
pub fn purge_delay() -> i64 {
    #[allow(clippy::useless_conversion)] // `c_long` has 32 bits elsewhere
    i64::from(mi_option_get(PURGE_DELAY))
}

// `extern "C"` alone does not link the library; this `use` does.
#[allow(unused_imports)]
use mimalloc as _;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purging_is_off_afterwards() {
        keep_pages();
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(purge_delay(), -1);
        }
    }
}
