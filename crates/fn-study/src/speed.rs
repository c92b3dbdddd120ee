//! Speed of pre-training beside the speed of large matrix products on the same device.

use fn_eval::table::{bytes, thousands};
use fn_train::bench::{Measured, Workload};
use serde::Serialize;
use serde_json::{Value, json};

use crate::doctor::Examiner;
use crate::process::{Timed, Timing};

/// Length of the longest bar, in characters.
const BAR: usize = 40;

/// Speed of one preset with one correction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Preset of the model.
    pub preset: String,
    /// Preset of the correction.
    pub correction: &'static str,
    /// Median seconds per step.
    pub seconds_per_step: f64,
    /// Seconds of the first step, in which kernels are compiled and tuned.
    pub seconds_of_first_step: f64,
    /// Tokens per second.
    pub tokens_per_second: f64,
    /// Floating-point operations of the matrix products of a step; a multiplication and an addition count as two.
    pub operations: f64,
    /// Share of the speed that large matrix products alone reach on the device.
    pub share_of_peak: f64,
}

/// All rows, and what they were measured with.
#[derive(Debug, Clone)]
pub struct Speeds {
    /// Device, as typed.
    pub device: String,
    /// Number type of the matrix products.
    pub dtype: &'static str,
    /// Sizes of the measurement.
    pub workload: Workload,
    /// Billions of floating-point operations a second in large matrix products alone.
    pub peak: f64,
    /// Peak resident memory, in bytes.
    pub memory: u64,
    /// The measurements.
    pub rows: Vec<Row>,
}

impl Speeds {
    /// Adds a measurement.
    pub fn push(&mut self, preset: &str, correction: &'static str, found: &Measured) {
        self.rows.push(Row {
            preset: preset.to_owned(),
            correction,
            seconds_per_step: found.seconds_per_step,
            seconds_of_first_step: found.seconds_of_first_step,
            tokens_per_second: found.tokens_per_second,
            operations: found.operations,
            share_of_peak: found.operations / found.seconds_per_step / 1e9 / self.peak,
        });
    }

    /// What a parent process reads.
    pub fn timing(&self) -> Timing {
        let runs = self.rows.iter().map(|row| Timed {
            seconds_per_step: row.seconds_per_step,
            tokens_per_second: row.tokens_per_second,
        });
        Timing { runs: runs.collect(), memory_bytes: self.memory }
    }

    /// As JSON.
    pub fn json(&self, program: &Examiner<'_>) -> Value {
        json!({
            "fnlm": program.version, "device": self.device, "processor": program.processor, "dtype": self.dtype,
            "batch": self.workload.batch, "length": self.workload.length, "steps": self.workload.steps,
            "matmul_gflops": self.peak, "peak_memory_bytes": self.memory, "runs": self.rows,
        })
    }

    /// As bars for the terminal.
    pub fn text(&self, program: &Examiner<'_>) -> String {
        let Self { device, dtype, workload, peak, .. } = self;
        let fastest = self.rows.iter().map(|row| row.tokens_per_second).fold(0.0, f64::max);
        let width = self.rows.iter().map(|row| row.preset.len()).max().unwrap_or(0);
        let mut out = format!(
            "{}\nlarge matrix products on {device}: {peak:.0} GFLOP/s\npre-training in {dtype}, {} x {}, dropout as in the preset, {} steps\n",
            program.one_line(),
            workload.batch,
            workload.length,
            workload.steps
        );
        for row in &self.rows {
            let blocks = (BAR as f64 * row.tokens_per_second / fastest).round() as usize;
            out.push_str(&format!(
                "{:<width$}  {:<5} {:<BAR$}  {:>9} tok/s  {:>7.0} ms  {:>3.0} % of the products alone\n",
                row.preset,
                row.correction,
                "█".repeat(blocks),
                thousands(row.tokens_per_second as u64),
                1e3 * row.seconds_per_step,
                100.0 * row.share_of_peak,
            ));
        }
        out.push_str(&format!("memory at its highest: {}\n", bytes(self.memory)));
        out
    }
}
