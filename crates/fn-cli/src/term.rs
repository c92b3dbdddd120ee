//! Output to the terminal.
//!
//! Results go to standard output, everything else to standard error. On a terminal there are colours and a progress bar;
//! with `NO_COLOR`, `CI` or a pipe there are plain lines.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use fn_core::progress;
pub use fn_eval::table::{bytes, clock, thousands};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::error::CliError;

/// Whether an environment variable is set to a value other than an empty one, `0` or `false`.
fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
}

/// Whether a progress bar may be shown on standard error.
pub fn interactive() -> bool {
    std::io::stderr().is_terminal()
        && !set("CI")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard error may show colours.
pub fn colours() -> bool {
    interactive() && !set("NO_COLOR")
}

/// Starts logging to standard error: warnings, or more with `--verbose`; `RUST_LOG` overrides both.
pub fn log(verbose: bool) {
    let default = if verbose { LevelFilter::INFO } else { LevelFilter::WARN };
    let asked = std::env::var("RUST_LOG").ok().and_then(|filter| filter.parse::<Targets>().ok());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours())
        .without_time()
        .with_filter(asked.unwrap_or_else(|| Targets::new().with_default(default)));
    // Fails only if a test has started logging before.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// Prints an error, its causes with `--verbose`.
pub fn print_error(error: &CliError, verbose: bool) {
    let label = if colours() { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
    let mut text = format!("{label}: {error}\n");
    let causes = error.causes();
    if verbose {
        for cause in &causes {
            text.push_str(&format!("  caused by: {cause}\n"));
        }
        text.push_str(&format!("  {}\n", crate::run::doctor::one_line()));
    } else if !causes.is_empty() {
        text.push_str("  (--verbose shows the cause)\n");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints to standard output. A closed pipe (`| head`) is not an error.
pub fn out(text: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CliError::failed_from(error)),
        _ => Ok(()),
    }
}

/// Prints a line to standard error unless `quiet`, above the bar that is shown.
pub fn note(quiet: bool, text: &str) {
    let write = || _ = writeln!(std::io::stderr(), "{text}");
    match newest() {
        _ if quiet => {}
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A progress bar for a known number of steps, or a spinner for an unknown one; hidden if standard error is not a terminal.
pub fn bar(quiet: bool, length: Option<u64>, template: &str) -> ProgressBar {
    if quiet || !interactive() {
        return ProgressBar::hidden();
    }
    let bar = match length {
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::new_spinner(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    if let Ok(mut newest) = NEWEST.lock() {
        *newest = Some(bar.downgrade());
    }
    bar
}

/// The bar that was made last: two at once would write over each other.
static NEWEST: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

fn newest() -> Option<ProgressBar> {
    NEWEST.lock().ok()?.as_ref()?.upgrade()
}

/// How far a long loop has come: a bar on a terminal unless another one is there, a line every ten seconds elsewhere.
#[derive(Default)]
pub struct Shown {
    bar: Option<ProgressBar>,
    last_line: f64,
}

impl Shown {
    /// Shows that `done` of `total` are done after so many seconds, with the figures of `line`; nothing is left of it at the end.
    pub fn show(&mut self, what: &str, (done, total): (u64, u64), seconds: f64, line: &str) {
        if !interactive() {
            if seconds - self.last_line >= 10.0 {
                self.last_line = seconds;
                note(false, &format!("{what}: {line}"));
            }
            return;
        }
        if self.bar.is_none() && newest().is_some_and(|bar| !bar.is_finished()) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            bar(false, Some(total), "{prefix} [{bar:4}] {percent} %  {eta} left  {wide_msg}")
        });
        bar.set_prefix(what.to_owned());
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(line.to_owned());
        if total > 0 && done >= total {
            *self = Self::default();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Shows the long loops of the libraries: predicting, scoring, probes.
pub fn show_loops() {
    let shown: Mutex<Shown> = Mutex::default();
    progress::listen(move |now| {
        let Ok(mut shown) = shown.lock() else { return };
        if now.ended {
            *shown = Shown::default();
        } else {
            let line = format!("{:.0} {}/s  {}/{}", now.rate(), now.unit, now.done, now.total);
            shown.show(now.what, (now.done, now.total), now.seconds, &line);
        }
    });
}
