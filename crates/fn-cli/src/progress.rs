//! Progress of a training run: `metrics.jsonl` and TensorBoard files in the run directory, and a progress bar or plain lines on
//! the terminal.

use std::path::Path;

use fn_train::config::RunConfig;
use fn_train::report::{
    JsonLines, Meter, PlainLines, ReportError, Reporter, Reporters, StepReport, TensorBoard, evaluation_line,
    slowest,
};
use fn_train::rundir;
use indicatif::ProgressBar;

use crate::error::CliError;
use crate::term;

/// The reporters of a run in `dir`: metrics, TensorBoard, terminal. Existing metrics are appended to; a run that starts at step 0 empties
/// them itself. On the terminal there is a progress bar, plain lines if standard error is not a terminal, and nothing with `quiet`.
///
/// # Errors
/// The files cannot be made (1, 5).
pub fn reporters(
    dir: &Path,
    label: &str,
    config: &RunConfig,
    quiet: bool,
) -> Result<Reporters<'static>, CliError> {
    std::fs::create_dir_all(dir).map_err(|error| CliError::io("create", dir, error))?;
    let metrics = dir.join(rundir::METRICS);
    let goes_on = dir.join(rundir::CHECKPOINTS).exists();
    let jsonl = if goes_on { JsonLines::open(&metrics)? } else { JsonLines::create(&metrics)? };
    let mut reporters = Reporters::new().with(jsonl);
    if config.log.tensorboard {
        reporters.push(TensorBoard::create(dir)?);
    }
    let total = config.train.steps;
    if term::interactive() && !quiet {
        reporters.push(Bar::new(label, total));
    } else if !quiet {
        reporters.push(PlainLines::new(std::io::stderr(), total));
    }
    Ok(reporters)
}

/// A bar with step, loss, its parts, share of false negatives, learning rate, throughput and time left.
pub struct Bar {
    /// Created at the first report, because the preparation of text shows its own bar before.
    bar: Option<ProgressBar>,
    label: String,
    total: u64,
    meter: Meter,
    slowest: String,
}

impl Bar {
    fn new(label: &str, total: u64) -> Self {
        Self { bar: None, label: label.to_string(), total, meter: Meter::default(), slowest: String::new() }
    }

    fn bar(&mut self) -> &ProgressBar {
        let (label, total) = (&self.label, self.total);
        self.bar.get_or_insert_with(|| {
            let template = if label.is_empty() {
                "[{bar:10}] {pos}/{len}  {wide_msg}"
            } else {
                "{prefix} [{bar:10}] {pos}/{len}  {wide_msg}"
            };
            let bar = term::bar(false, Some(total), template);
            bar.set_prefix(label.clone());
            bar.set_message("first step ...");
            bar
        })
    }

    fn line(&mut self, text: &str) {
        self.bar().println(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            // The last message stays on the screen, also if the run was stopped.
            bar.abandon();
        }
    }
}

/// The text beside the bar after a reported step: first what a terminal of 60 columns has room for.
pub fn message(report: &StepReport, total: u64, tokens_per_second: f64, seconds_per_step: f64) -> String {
    let mut out = String::new();
    let left = total.saturating_sub(report.step) as f64 * seconds_per_step;
    if left > 0.0 && left.is_finite() {
        out.push_str(&format!("{} left  ", term::clock(left)));
    }
    out.push_str(&format!("loss {:.3}", report.loss));
    if tokens_per_second.is_finite() {
        out.push_str(&format!("  {} tok/s", term::thousands(tokens_per_second.max(0.0) as u64)));
    }
    if report.skipped {
        out.push_str("  SKIPPED (not finite)");
    }
    if report.terms.len() > 1 {
        let terms: Vec<String> =
            report.terms.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        out.push_str(&format!("  ({})", terms.join(", ")));
    }
    if report.counts.wrong > 0.0 {
        out.push_str(&format!("  fn {:.1} %", 100.0 * report.counts.false_negative / report.counts.wrong));
    }
    out.push_str(&format!("  lr {:.1e}", report.learning_rate));
    out
}

impl Reporter for Bar {
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError> {
        let (tokens_per_second, seconds) = self.meter.read(report);
        let message =
            message(report, self.total, tokens_per_second, seconds) + &std::mem::take(&mut self.slowest);
        self.bar().set_position(report.step);
        self.bar().set_message(message);
        if report.skipped {
            self.line(&format!("step {}: skipped, the gradient norm is {}", report.step, report.grad_norm));
        }
        Ok(())
    }

    fn ranks(&mut self, seconds: &[f64]) -> Result<(), ReportError> {
        self.slowest = slowest(seconds);
        Ok(())
    }

    fn tick(&mut self, step: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.meter.tick(tokens, seconds);
        self.bar().set_position(step);
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.line(&evaluation_line(step, metrics));
        Ok(())
    }

    fn saved(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.line(&format!("saved step {step}: {}", path.display()));
        Ok(())
    }

    fn resumed(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.bar().set_position(step);
        self.line(&format!("resuming from step {step}: {}", path.display()));
        Ok(())
    }

    fn notice(&mut self, text: &str) -> Result<(), ReportError> {
        self.line(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fn_core::stats::FalseNegativeStats;

    use super::*;

    #[test]
    fn the_bar_shows_loss_terms_false_negatives_rate_speed_and_time_left() {
        let report = StepReport {
            step: 500,
            loss: 12.5,
            terms: vec![("generator".into(), 9.0), ("discriminator".into(), 3.5)],
            counts: FalseNegativeStats { rows: 100.0, wrong: 80.0, false_negative: 4.0, shielded: 4.0 },
            learning_rate: 4.5e-4,
            grad_norm: 1.0,
            skipped: false,
            tokens: 2048,
            tokens_seen: 1_000_000,
            seconds: 0.5,
            waited: 0.0,
        };
        assert_eq!(
            message(&report, 2000, 4096.0, 0.5),
            "12:30 left  loss 12.500  4,096 tok/s  (generator 9.000, discriminator 3.500)  fn 5.0 %  lr 4.5e-4"
        );
    }
}
