//! How a training run shows on the terminal: a bar that redraws itself, or plain lines.

use std::io::Stderr;
use std::path::Path;

use fn_train::report::{Meter, PlainLines, ReportError, Reporter, StepReport};
use indicatif::ProgressBar;

use crate::term;

/// The reporter of a run of `total` steps: a bar on a terminal, plain lines otherwise, nothing with `quiet`.
pub fn training(quiet: bool, label: &str, total: u64) -> Training {
    if quiet {
        Training::Quiet
    } else if term::interactive() {
        Training::Bar(Bar::new(label, total))
    } else {
        Training::Lines(PlainLines::new(std::io::stderr(), total))
    }
}

/// See [`training`].
pub enum Training {
    /// Nothing.
    Quiet,
    /// A bar.
    Bar(Bar),
    /// Lines.
    Lines(PlainLines<Stderr>),
}

/// A bar with step, loss, its parts, share of false negatives, learning rate, throughput and time left.
pub struct Bar {
    bar: ProgressBar,
    total: u64,
    meter: Meter,
}

impl Bar {
    fn new(label: &str, total: u64) -> Self {
        let template = if label.is_empty() {
            "[{bar:20}] {pos}/{len}  {wide_msg}"
        } else {
            "{prefix} [{bar:20}] {pos}/{len}  {wide_msg}"
        };
        let bar = term::bar(false, Some(total), template);
        bar.set_prefix(label.to_string());
        bar.set_message("first step ...");
        Self { bar, total, meter: Meter::default() }
    }

    fn line(&self, text: &str) {
        self.bar.println(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish();
    }
}

/// What stands behind the bar after a reported step.
pub fn message(report: &StepReport, total: u64, tokens_per_second: f64, seconds_per_step: f64) -> String {
    let mut out = format!("loss {:.3}", report.loss);
    if report.terms.len() > 1 {
        let terms: Vec<String> =
            report.terms.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        out.push_str(&format!(" ({})", terms.join(", ")));
    }
    if report.counts.wrong > 0.0 {
        out.push_str(&format!("  fn {:.1} %", 100.0 * report.counts.false_negative / report.counts.wrong));
    }
    out.push_str(&format!("  lr {:.1e}", report.learning_rate));
    if report.skipped {
        out.push_str("  SKIPPED (not finite)");
    }
    if tokens_per_second.is_finite() {
        out.push_str(&format!("  {} tok/s", term::thousands(tokens_per_second.max(0.0) as u64)));
    }
    let left = total.saturating_sub(report.step) as f64 * seconds_per_step;
    if left > 0.0 && left.is_finite() {
        out.push_str(&format!("  {} left", term::clock(left)));
    }
    out
}

/// `masked_accuracy` with four decimals, counts without.
pub fn metrics_line(step: u64, metrics: &[(String, f64)]) -> String {
    let metrics: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    format!("held-out at step {step}: {}", metrics.join("  "))
}

impl Reporter for Bar {
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError> {
        let (tokens_per_second, seconds) = self.meter.read(report);
        self.bar.set_position(report.step);
        self.bar.set_message(message(report, self.total, tokens_per_second, seconds));
        if report.skipped {
            self.line(&format!("step {}: skipped, the gradient norm is {}", report.step, report.grad_norm));
        }
        Ok(())
    }

    fn tick(&mut self, step: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.meter.tick(tokens, seconds);
        self.bar.set_position(step);
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.line(&metrics_line(step, metrics));
        Ok(())
    }

    fn saved(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.line(&format!("saved step {step}: {}", path.display()));
        Ok(())
    }

    fn resumed(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.bar.set_position(step);
        self.line(&format!("going on from step {step}: {}", path.display()));
        Ok(())
    }

    fn notice(&mut self, text: &str) -> Result<(), ReportError> {
        self.line(text);
        Ok(())
    }
}

impl Training {
    fn inner(&mut self) -> Option<&mut dyn Reporter> {
        match self {
            Self::Quiet => None,
            Self::Bar(bar) => Some(bar),
            Self::Lines(lines) => Some(lines),
        }
    }
}

impl Reporter for Training {
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError> {
        self.inner().map_or(Ok(()), |inner| inner.step(report))
    }

    fn tick(&mut self, step: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.inner().map_or(Ok(()), |inner| inner.tick(step, tokens, seconds))
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.inner().map_or(Ok(()), |inner| inner.evaluation(step, metrics))
    }

    fn saved(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.inner().map_or(Ok(()), |inner| inner.saved(step, path))
    }

    fn resumed(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.inner().map_or(Ok(()), |inner| inner.resumed(step, path))
    }

    fn notice(&mut self, text: &str) -> Result<(), ReportError> {
        match self.inner() {
            Some(inner) => inner.notice(text),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use fn_train::report::Counts;

    use super::*;

    #[test]
    fn the_bar_says_loss_parts_false_negatives_rate_speed_and_time_left() {
        let report = StepReport {
            step: 500,
            loss: 12.5,
            terms: vec![("generator".into(), 9.0), ("discriminator".into(), 3.5)],
            counts: Counts { rows: 100.0, wrong: 80.0, false_negative: 4.0, shielded: 4.0 },
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
            "loss 12.500 (generator 9.000, discriminator 3.500)  fn 5.0 %  lr 4.5e-4  4,096 tok/s  12:30 left"
        );
    }
}
