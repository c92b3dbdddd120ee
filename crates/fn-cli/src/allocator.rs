//! One setting of the allocator, made from code so that nobody has to know an environment variable.

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

/// Tells mimalloc never to hand pages back to the system, unless `MIMALLOC_PURGE_DELAY` says otherwise.
pub fn keep_pages() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        mi_option_set(PURGE_DELAY, -1);
    }
}

/// Milliseconds after which freed pages go back to the system; -1: never.
pub fn purge_delay() -> i64 {
    #[allow(clippy::useless_conversion)] // `c_long` has 32 bits elsewhere
    i64::from(mi_option_get(PURGE_DELAY))
}

// `extern "C"` alone does not make the linker take the library in; this use of the crate does.
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
