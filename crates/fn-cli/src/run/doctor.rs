//! `fnlm doctor`: what works on this machine, measured.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use fn_models::{BertConfig, BertForPreTraining, EncoderConfig, Inputs};
use fn_ops::Noise;
use serde::Serialize;

use super::parity::Agreement;
use crate::args::DoctorArgs;
use crate::device::{Backend, DeviceSpec, Which, quietly};
use crate::error::{CliError, Outcome};
use crate::{allocator, term};

/// Everything that is found out, as `--json` prints it.
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
    /// The disk under the folder asked for.
    pub disk: Disk,
    /// One entry for each backend, or for the device asked for.
    pub devices: Vec<DeviceReport>,
}

/// The processor.
#[derive(Debug, Clone, Serialize)]
pub struct Processor {
    /// Its name, where the system tells.
    pub name: Option<String>,
    /// Threads that this process may use.
    pub threads: usize,
    /// Threads of the flex device.
    pub pool: usize,
    /// Widest vector instructions found at run time.
    pub vectors: &'static str,
    /// Bytes of memory.
    pub memory_total: Option<u64>,
    /// Bytes of memory that are free to use.
    pub memory_available: Option<u64>,
    /// mimalloc's purge delay in milliseconds; -1: pages are kept.
    pub purge_delay_ms: i64,
}

/// The disk under a folder.
#[derive(Debug, Clone, Serialize)]
pub struct Disk {
    /// The folder.
    pub path: String,
    /// Bytes that may still be written.
    pub free: Option<u64>,
    /// Seconds to write and sync 4 MiB; none if the folder cannot be written.
    pub fsync_seconds: Option<f64>,
    /// Why it cannot be written.
    pub error: Option<String>,
}

/// A backend or a device.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceReport {
    /// As `--device` takes it.
    pub device: String,
    /// Whether this binary contains the backend.
    pub compiled: bool,
    /// Whether something could be computed on it.
    pub usable: bool,
    /// Why not, or how to get it.
    pub reason: Option<String>,
    /// Billions of floating-point operations a second in f32 matrix products, over about a second.
    pub matmul_gflops: Option<f64>,
    /// Seconds of forward and backward of a tiny BERT, after a first time to warm up.
    pub train_step_seconds: Option<f64>,
    /// How far its losses and gradients are from those of flex; none for flex itself, or where flex is not compiled in.
    pub agreement: Option<Agreement>,
}

/// Runs it.
///
/// # Errors
/// The device asked for is not compiled in (2) or cannot be used (1).
pub fn run(args: &DoctorArgs) -> Result<Outcome, CliError> {
    let asked: Option<DeviceSpec> = args.device.as_deref().map(str::parse).transpose()?;
    if let Some(spec) = asked {
        spec.check_compiled()?;
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

/// Finds everything out.
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
        disk: examine_disk(dir),
        devices,
    }
}

/// Backends that are compiled in.
pub fn features() -> Vec<&'static str> {
    Backend::ALL.into_iter().filter(|backend| backend.compiled()).map(Backend::name).collect()
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
        processor.threads,
        processor.vectors
    )
}

/// The processor, without measuring anything.
pub fn processor() -> Processor {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let name = read("/proc/cpuinfo").lines().find_map(|line| {
        line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_string())
    });
    let meminfo = read("/proc/meminfo");
    let kib = |field: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Processor {
        name,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        pool: rayon::current_num_threads(),
        vectors: vectors(),
        memory_total: kib("MemTotal:"),
        memory_available: kib("MemAvailable:"),
        purge_delay_ms: allocator::purge_delay(),
    }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    match fn_ops::bf16_unit() {
        fn_ops::Bf16Unit::Tiles => return "avx512 and amx",
        fn_ops::Bf16Unit::Vectors => return "avx512 with bf16",
        fn_ops::Bf16Unit::None => {}
    }
    if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl") {
        "avx512"
    } else if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        "avx2"
    } else if std::arch::is_x86_feature_detected!("avx") {
        "avx"
    } else {
        "sse2"
    }
}

#[cfg(target_arch = "aarch64")]
fn vectors() -> &'static str {
    "neon"
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vectors() -> &'static str {
    "none known"
}

fn examine_disk(dir: &Path) -> Disk {
    let measure = || -> std::io::Result<f64> {
        let path = dir.join(format!(".fnlm-doctor-{}", std::process::id()));
        let clock = Instant::now();
        let written = (|| {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(&vec![0x5a; 4 << 20])?;
            file.sync_all()
        })();
        let seconds = clock.elapsed().as_secs_f64();
        let removed = std::fs::remove_file(&path);
        written?;
        removed.map(|()| seconds)
    };
    let measured = measure();
    Disk {
        path: dir.display().to_string(),
        free: fn_train::fsutil::free_bytes(dir).ok(),
        fsync_seconds: measured.as_ref().ok().copied(),
        error: measured.err().map(|error| error.to_string()),
    }
}

fn examine_device(spec: DeviceSpec) -> DeviceReport {
    let mut report = DeviceReport {
        device: spec.to_string(),
        compiled: spec.backend.compiled(),
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
    let device = match spec.open() {
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

/// 1024 x 1024 products for about a second, as a model computes them, in the precision that is set.
pub fn matmul_gflops(device: &Device) -> f64 {
    const N: usize = 1024;
    let a = Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device);
    let b = Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device);
    // Reading a number waits for everything before it, on every backend.
    let wait = |x: Tensor<2>| x.slice([0..1, 0..1]).into_data();
    wait(fn_ops::linear(a.clone(), b.clone(), None)); // chooses and compiles kernels
    let clock = Instant::now();
    let mut products = 0_u32;
    while clock.elapsed().as_secs_f64() < 1.0 {
        wait(fn_ops::linear(a.clone(), b.clone(), None));
        products += 1;
    }
    f64::from(products) * 2.0 * (N as f64).powi(3) / clock.elapsed().as_secs_f64() / 1e9
}

/// Forward and backward of a BERT with two layers of 64, 8 rows of 32 tokens; the second of two.
fn train_step_seconds(device: &Device) -> f64 {
    const ROWS: usize = 8;
    const LENGTH: usize = 32;
    let device = device.clone().autodiff();
    let shape = BertConfig::new(EncoderConfig {
        vocab_size: 1000,
        embedding_size: 64,
        hidden_size: 64,
        num_layers: 2,
        num_heads: 2,
        intermediate_size: 256,
        ..EncoderConfig::default()
    });
    let model = BertForPreTraining::init(&shape, 1, &device);
    let ids: Vec<i32> = (0..ROWS * LENGTH).map(|at| (at * 37 % 1000) as i32).collect();
    let inputs = Inputs::plain(Tensor::from_data(TensorData::new(ids, [ROWS, LENGTH]), &device));
    let positions: Vec<i32> = (0..ROWS).map(|row| (row * LENGTH + 5) as i32).collect();
    let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [ROWS]), &device);
    let mut seconds = 0.0;
    for seed in 0..2 {
        let clock = Instant::now();
        let logits = model.masked_logits(&inputs, positions.clone(), &Noise::new(seed));
        let gradients = fn_ops::cross_entropy_rows(logits, positions.clone()).mean().backward();
        if let Some(gradient) = model.word_embedding().grad(&gradients) {
            gradient.sum().into_data(); // reading a number waits for everything before it
        }
        seconds = clock.elapsed().as_secs_f64();
    }
    seconds
}

impl Report {
    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let mut out = format!("fnlm {} on {}\n", self.version, self.platform);
        let p = &self.processor;
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
        let kept = if p.purge_delay_ms < 0 { "pages kept" } else { "pages given back: slower" };
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
                    ", as flex computes (loss to {:.0e}, gradients to {:.0e})",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_reported_and_not_fatal() {
        let disk = examine_disk(Path::new("/no/such/folder"));
        assert!(disk.fsync_seconds.is_none());
        assert!(disk.error.is_some());
    }

    #[test]
    fn a_folder_that_can_be_written_is_measured_and_left_clean() {
        let dir = tempfile::tempdir().unwrap();
        let disk = examine_disk(dir.path());
        assert!(disk.fsync_seconds.unwrap() >= 0.0);
        assert!(disk.free.unwrap() > 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
