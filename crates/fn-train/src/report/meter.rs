//! Throughput between two reports.

use super::StepReport;

/// Adds up tokens and seconds of all steps since the last report.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    tokens: u64,
    seconds: f64,
    steps: u64,
}

impl Meter {
    /// Adds a step that is not reported.
    pub fn tick(&mut self, tokens: u64, seconds: f64) {
        self.tokens += tokens;
        self.seconds += seconds;
        self.steps += 1;
    }

    /// Adds a reported step and returns (tokens per second, seconds per step) since the last report.
    pub fn read(&mut self, report: &StepReport) -> (f64, f64) {
        self.tick(report.tokens, report.seconds);
        let Self { tokens, seconds, steps, .. } = std::mem::take(self);
        (tokens as f64 / seconds, seconds / steps as f64)
    }
}
