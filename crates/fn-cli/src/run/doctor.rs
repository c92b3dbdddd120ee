//! `fnlm doctor`: what works on this machine, measured.

use std::path::Path;

use fn_train::device::{Backend, DeviceSpec, Which};
use fn_train::machine::{self, Disk, matmul_gflops, train_step_seconds};
use fn_train::parity::Agreement;
use fn_train::rundir::Program;
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::device::{check_compiled, compiled, open_spec, quietly};
use crate::error::{CliError, Outcome};
use crate::{allocator, term};

/// All results, as printed by `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of fnlm.
    pub version: &'static str,
    /// Operating system and processor family.
    pub platform: String,
    /// Backends that are compiled in.
    pub features: Vec<&'static str>,
    /// The processor.
    pub processor: Processor,
    /// The disk of the given folder.
    pub disk: Disk,
    /// One entry for each backend, or for the given device.
    pub devices: Vec<DeviceReport>,
}

/// The processor, and a setting of the allocator.
#[derive(Debug, Clone, Serialize)]
pub struct Processor {
    /// What the system reports.
    #[serde(flatten)]
    pub found: machine::Processor,
    /// mimalloc's purge delay in milliseconds; -1: freed pages are kept.
    pub purge_delay_ms: i64,
}

/// A backend or a device.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceReport {
    /// Name for `--device`.
    pub device: String,
    /// Whether this binary contains the backend.
    pub compiled: bool,
    /// Whether a computation on it succeeded.
    pub usable: bool,
    /// Why it is not usable, or how to compile it in.
    pub reason: Option<String>,
    /// Billions of floating-point operations a second in f32 matrix products, over about a second.
    pub matmul_gflops: Option<f64>,
    /// Seconds of a forward and backward pass of a tiny BERT, after one pass as warm-up.
    pub train_step_seconds: Option<f64>,
    /// Differences of its losses and gradients from those of flex; None for flex itself, or if flex is not compiled in.
    pub agreement: Option<Agreement>,
}

/// Runs it.
///
/// # Errors
/// The device asked for is not compiled in (2) or cannot be used (1).
pub fn run(args: &DoctorArgs) -> Result<Outcome, CliError> {
    let asked: Option<DeviceSpec> = args.device.as_deref().map(str::parse).transpose()?;
    if let Some(spec) = asked {
        check_compiled(&spec)?;
    }
    let report = examine(asked, &args.dir);
    if args.json {
        let text = serde_json::to_string_pretty(&report).map_err(CliError::failed_from)?;
        term::out(&format!("{text}\n"))?;
    } else {
        term::out(&report.text())?;
    }
    match (asked, report.devices.first()) {
        (Some(spec), Some(device)) if !device.usable => Err(CliError::failed(format!(
            "device `{spec}` cannot be used: {}",
            device.reason.as_deref().unwrap_or("no reason given")
        ))),
        _ => Ok(Outcome::Done),
    }
}

/// Runs all measurements.
pub fn examine(asked: Option<DeviceSpec>, dir: &Path) -> Report {
    let devices = match asked {
        Some(spec) => vec![examine_device(spec)],
        None => Backend::ALL
            .into_iter()
            .map(|backend| examine_device(DeviceSpec { backend, which: Which::Default }))
            .collect(),
    };
    Report {
        version: env!("CARGO_PKG_VERSION"),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        features: features(),
        processor: processor(),
        disk: Disk::examine(dir),
        devices,
    }
}

/// Backends that are compiled in.
pub fn features() -> Vec<&'static str> {
    Backend::ALL.into_iter().filter(|backend| compiled(*backend)).map(Backend::name).collect()
}

/// The machine in one line, for error reports and model cards.
pub fn one_line() -> String {
    let processor = processor();
    format!(
        "fnlm {} ({}) on {} {}, {} threads, {}",
        env!("CARGO_PKG_VERSION"),
        features().join(", "),
        std::env::consts::OS,
        std::env::consts::ARCH,
        processor.found.threads,
        processor.found.vectors
    )
}

/// This program, as a run directory describes it.
pub fn program() -> Program {
    Program { backends: features(), processor: serde_json::to_value(processor()).unwrap_or_default() }
}

/// The processor, without measuring anything.
pub fn processor() -> Processor {
    Processor { found: machine::Processor::read(), purge_delay_ms: allocator::purge_delay() }
}

fn examine_device(spec: DeviceSpec) -> DeviceReport {
    let mut report = DeviceReport {
        device: spec.to_string(),
        compiled: compiled(spec.backend),
        usable: false,
        reason: None,
        matmul_gflops: None,
        train_step_seconds: None,
        agreement: None,
    };
    if !report.compiled {
        report.reason = Some(format!("cargo build --release --features {}", spec.backend.name()));
        return report;
    }
    let device = match open_spec(&spec) {
        Ok(device) => device,
        Err(error) => {
            report.reason = Some(error.to_string());
            return report;
        }
    };
    report.usable = true;
    match quietly(|| matmul_gflops(&device)) {
        Ok(speed) => report.matmul_gflops = Some(speed),
        Err(cause) => report.reason = Some(format!("matrix product: {cause}")),
    }
    match quietly(|| train_step_seconds(&device)) {
        Ok(seconds) => report.train_step_seconds = Some(seconds),
        Err(cause) => report.reason = Some(format!("training step: {cause}")),
    }
    if spec.backend != Backend::Flex
        && let Ok(flex) = crate::device::open("flex")
    {
        match quietly(|| Agreement::measure(&device, &flex)) {
            Ok(agreement) => {
                if !agreement.good() {
                    report.usable = false;
                    report.reason = Some(format!(
                        "it computes wrongly: loss off by {:.1e}, gradient of `{}` by {:.1e} of flex's; do not train on it",
                        agreement.loss, agreement.worst, agreement.gradient
                    ));
                }
                report.agreement = Some(agreement);
            }
            Err(cause) => report.reason = Some(format!("comparison with flex: {cause}")),
        }
    }
    report
}

impl Report {
    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let mut out = format!("fnlm {} on {}\n", self.version, self.platform);
        let p = &self.processor.found;
        let memory = match (p.memory_available, p.memory_total) {
            (Some(free), Some(total)) => {
                format!("{} of {} memory free", term::bytes(free), term::bytes(total))
            }
            _ => "memory unknown".to_string(),
        };
        out.push_str(&format!(
            "processor  {}, {} threads ({} for flex), {}, {memory}\n",
            p.name.as_deref().unwrap_or("unknown"),
            p.threads,
            p.pool,
            p.vectors
        ));
        let kept = if self.processor.purge_delay_ms < 0 { "keeps pages" } else { "returns pages: slower" };
        out.push_str(&format!("allocator  mimalloc, {kept}\n"));
        let d = &self.disk;
        out.push_str(&format!(
            "disk       {}: {} free, {}\n",
            d.path,
            d.free.map_or("unknown".to_string(), term::bytes),
            match (d.fsync_seconds, &d.error) {
                (Some(seconds), _) => format!("4 MiB written and synced in {:.0} ms", seconds * 1e3),
                (None, Some(error)) => format!("NOT WRITABLE: {error}"),
                (None, None) => "not measured".to_string(),
            }
        ));
        for device in &self.devices {
            let state = match (device.compiled, device.usable) {
                (false, _) => "not compiled in",
                (true, false) => "DOES NOT WORK",
                (true, true) => "works",
            };
            out.push_str(&format!("device     {:<8} {state}", device.device));
            if let Some(speed) = device.matmul_gflops {
                out.push_str(&format!(", {speed:.0} GFLOP/s"));
            }
            if let Some(seconds) = device.train_step_seconds {
                out.push_str(&format!(", forward and backward of a tiny BERT {:.1} ms", seconds * 1e3));
            }
            if let Some(agreement) = device.agreement.as_ref().filter(|a| a.good()) {
                out.push_str(&format!(
                    ", agrees with flex (loss to {:.0e}, gradients to {:.0e})",
                    agreement.loss, agreement.gradient
                ));
            }
            if let Some(reason) = &device.reason {
                out.push_str(&format!(": {reason}"));
            }
            out.push('\n');
        }
        out
    }
}
