//! One plain line per report, for logs and pipes. (The progress bar for a terminal is in `fn-cli`.)

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Meter, ReportError, Reporter, StepReport};

/// Writes lines like `step 40/2000  loss 12.31 (generator 9.02, discriminator 3.29)  ...  1730 tok/s  left 12m 10s`.
#[derive(Debug)]
pub struct PlainLines<W: Write> {
    to: W,
    total: u64,
    meter: Meter,
    /// What is said of the slowest of several ranks.
    slowest: String,
}

impl<W: Write> PlainLines<W> {
    /// Writes lines about a run of `total` steps to `to`.
    pub fn new(to: W, total: u64) -> Self {
        Self { to, total, meter: Meter::default(), slowest: String::new() }
    }

    fn line(&mut self, text: &str) -> Result<(), ReportError> {
        writeln!(self.to, "{text}").and_then(|()| self.to.flush()).map_err(|source| ReportError::Io {
            path: PathBuf::from("output"),
            action: "print",
            source,
        })
    }
}

/// The line for a step, with the throughput of [`Meter::read`].
pub fn step_line(r: &StepReport, total: u64, tokens_per_second: f64, seconds_per_step: f64) -> String {
    let terms =
        r.terms.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(", ");
    let mut line = format!("step {}/{total}  loss {:.4}", r.step, r.loss);
    if r.terms.len() > 1 {
        line += &format!(" ({terms})");
    }
    if r.counts.wrong > 0.0 {
        let share = 100.0 * r.counts.false_negative / r.counts.wrong;
        line += &format!("  false negatives {share:.1} % of wrong");
    }
    line += &format!("  lr {:.3e}  grad {:.3}", r.learning_rate, r.grad_norm);
    if r.skipped {
        line += "  SKIPPED (not finite)";
    }
    line += &format!("  {tokens_per_second:.0} tok/s");
    let left = total.saturating_sub(r.step);
    if left > 0 {
        line += &format!("  left {}", duration(left as f64 * seconds_per_step));
    }
    line
}

/// `  slowest rank 3 +12 %`: which rank computed longest, compared with the mean of all; empty without seconds.
pub fn slowest(seconds: &[f64]) -> String {
    let mean = seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
    let slowest = seconds.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    slowest.map_or(String::new(), |(rank, longest)| {
        format!("  slowest rank {rank} +{:.0} %", 100.0 * (longest / mean - 1.0))
    })
}

/// The metrics that are shown in the line; [`JsonLines`](super::JsonLines) writes all of them.
const HEADLINES: &[&str] = &[
    "masked_loss",
    "masked_accuracy",
    "fitting_accuracy",
    "wrong_share",
    "false_negative_share",
    "accepted_accuracy",
    "detector_auc",
    "detector_true_auc",
];

/// The line for an evaluation, with the most important metrics.
pub fn evaluation_line(step: u64, metrics: &[(String, f64)]) -> String {
    let shown = metrics.iter().filter(|(name, _)| HEADLINES.contains(&name.as_str()));
    let shown: Vec<String> = shown.map(|(name, value)| format!("{name} {value:.4}")).collect();
    format!("held-out at step {step}: {}", shown.join("  "))
}

/// `45s`, `12m 10s`, `3h 05m` or `4d 02h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m {:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h {:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d {:02}h", s / 86_400, s % 86_400 / 3_600),
    }
}

impl<W: Write> Reporter for PlainLines<W> {
    fn step(&mut self, report: &StepReport) -> Result<(), ReportError> {
        let (tokens_per_second, seconds) = self.meter.read(report);
        let slowest = std::mem::take(&mut self.slowest);
        self.line(&(step_line(report, self.total, tokens_per_second, seconds) + &slowest))
    }

    fn ranks(&mut self, seconds: &[f64]) -> Result<(), ReportError> {
        self.slowest = slowest(seconds);
        Ok(())
    }

    fn tick(&mut self, _: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.meter.tick(tokens, seconds);
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.line(&evaluation_line(step, metrics))
    }

    fn saved(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.line(&format!("saved step {step}: {}", path.display()))
    }

    fn resumed(&mut self, step: u64, path: &Path) -> Result<(), ReportError> {
        self.line(&format!("resuming from step {step}: {}", path.display()))
    }

    fn notice(&mut self, text: &str) -> Result<(), ReportError> {
        self.line(&format!("notice: {text}"))
    }

    fn warning(&mut self, text: &str) -> Result<(), ReportError> {
        self.line(&format!("warning: {text}"))
    }
}
