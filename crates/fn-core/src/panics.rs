//! Panics of other crates on input that they do not expect, as errors of ours.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// The result of `run`; None if it panicked, of which nothing is printed then. For calls of parsers that panic on some damaged files;
/// what `run` changed must not be used after a panic.
///
/// ```
/// assert_eq!(fn_core::panics::caught(|| 1 + 1), Some(2));
/// assert_eq!(fn_core::panics::caught(|| [1, 2][std::hint::black_box(2)]), None);
/// ```
pub fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !SILENT.get() {
                before(panic);
            }
        }));
    });
    let outer = SILENT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    SILENT.set(outer);
    result.ok()
}
