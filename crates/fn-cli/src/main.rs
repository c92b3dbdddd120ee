//! `fnlm`: parse, run, exit code.

use std::process::ExitCode;

/// Training makes and frees the same large buffers in every step. mimalloc with purging off keeps their pages: a quarter of a
/// step's time goes into page faults otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fn_cli::allocator::keep_pages();
    ExitCode::from(fn_cli::start(std::env::args_os()))
}
