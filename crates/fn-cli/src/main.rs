//! `fnlm`: parse, run, exit code.

use std::process::ExitCode;

/// Training makes and frees the same large buffers in every step. mimalloc with purging off keeps their pages: a quarter of a
/// step's time goes into page faults otherwise.
#[global_allocator]
static ALLOCATOR: fn_train::out_of_memory::Ending<mimalloc::MiMalloc> =
    fn_train::out_of_memory::Ending(mimalloc::MiMalloc);

fn main() -> ExitCode {
    fn_cli::allocator::keep_pages();
    fn_train::stop::ignore_file_size_signal();
    ExitCode::from(fn_cli::start(std::env::args_os()))
}
