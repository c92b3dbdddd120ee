//! Describes this machine: processor, memory, disk, and the speed of a device.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use fn_core::files::hex;
use fn_models::{BertConfig, BertForPreTraining, EncoderConfig, Inputs};
use fn_ops::Noise;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The processor and the memory.
#[derive(Debug, Clone, Serialize)]
pub struct Processor {
    /// Its name, if the system reports it.
    pub name: Option<String>,
    /// Threads that this process may use.
    pub threads: usize,
    /// Threads of the flex device.
    pub pool: usize,
    /// Widest vector instructions that were detected at run time.
    pub vectors: &'static str,
    /// Total memory in bytes.
    pub memory_total: Option<u64>,
    /// Available memory in bytes.
    pub memory_available: Option<u64>,
}

/// The disk of a folder.
#[derive(Debug, Clone, Serialize)]
pub struct Disk {
    /// The folder.
    pub path: String,
    /// Free space in bytes.
    pub free: Option<u64>,
    /// Seconds to write and sync 4 MiB; None if the folder is not writable.
    pub fsync_seconds: Option<f64>,
    /// Why it is not writable.
    pub error: Option<String>,
}

impl Processor {
    /// Reads the information of the operating system, without measurements.
    pub fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let name = read("/proc/cpuinfo").lines().find_map(|line| {
            line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_string())
        });
        let meminfo = read("/proc/meminfo");
        let kib = |field: &str| -> Option<u64> {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
        };
        Self {
            name,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            pool: rayon::current_num_threads(),
            vectors: vectors(),
            memory_total: kib("MemTotal:"),
            memory_available: kib("MemAvailable:"),
        }
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

impl Disk {
    /// Measures the time to write and sync 4 MiB in a folder, and its free space.
    pub fn examine(dir: &Path) -> Self {
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
        Self {
            path: dir.display().to_string(),
            free: crate::disk::free_bytes(dir).ok(),
            fsync_seconds: measured.as_ref().ok().copied(),
            error: measured.err().map(|error| error.to_string()),
        }
    }
}

/// Speed of 1024 x 1024 matrix products over about a second, with the kernels of models and the current precision, in GFLOP/s.
pub fn matmul_gflops(device: &Device) -> f64 {
    const N: usize = 1024;
    let a = Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device);
    let b = Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device);
    // Reading a value waits for all earlier operations, on every backend.
    let wait = |x: Tensor<2>| x.slice([0..1, 0..1]).into_data();
    wait(fn_ops::linear(a.clone(), b.clone(), None)); // compiles and tunes kernels
    let clock = Instant::now();
    let mut products = 0_u32;
    while clock.elapsed().as_secs_f64() < 1.0 {
        wait(fn_ops::linear(a.clone(), b.clone(), None));
        products += 1;
    }
    f64::from(products) * 2.0 * (N as f64).powi(3) / clock.elapsed().as_secs_f64() / 1e9
}

/// Seconds of a forward and backward pass of a BERT with two layers of width 64 on 8 sequences of 32 tokens, after one pass as
/// warm-up.
pub fn train_step_seconds(device: &Device) -> f64 {
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
            gradient.sum().into_data(); // reading a value waits for all earlier operations
        }
        seconds = clock.elapsed().as_secs_f64();
    }
    seconds
}

/// Processor threads of the machine, whether this process may use them or not.
pub fn cores() -> usize {
    // SAFETY: `sysconf` only takes the number of a setting.
    #[allow(unsafe_code)]
    let cores = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(cores).unwrap_or(1).max(1)
}

/// Version, system and SHA-256 of the running program: equal where two processes run the same one.
pub fn this_program() -> String {
    let program = std::env::current_exe().and_then(std::fs::read);
    let hash = program.map(|bytes| hex(&Sha256::digest(bytes))).unwrap_or_default();
    format!("{} {} {} {hash}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH)
}

/// Peak resident memory of this process, in bytes.
pub fn peak_memory() -> u64 {
    // SAFETY: `getrusage` fills the struct that is passed to it; all zeros is a valid value of it.
    #[allow(unsafe_code)]
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    // In kilobytes, but in bytes on Apple's systems.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    usage.ru_maxrss.unsigned_abs() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_reported_and_not_fatal() {
        let disk = Disk::examine(Path::new("/no/such/folder"));
        assert!(disk.fsync_seconds.is_none());
        assert!(disk.error.is_some());
    }

    #[test]
    fn a_folder_that_can_be_written_is_measured_and_left_clean() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::examine(dir.path());
        assert!(disk.fsync_seconds.unwrap() >= 0.0);
        assert!(disk.free.unwrap() > 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_peak_of_memory_is_in_bytes() {
        let touched = vec![1u8; 64 << 20];
        let found = peak_memory();
        assert!(std::hint::black_box(touched).len() as u64 <= found);
        // The value includes the memory of the parent process (cargo), but an error of a factor of 1024 would be detected.
        assert!(found < 64 << 30, "{found}");
    }
}
