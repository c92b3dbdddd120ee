//! Opens the Burn device for `--device`, e.g. `vulkan:0`.
//!
//! Backends are compiled in by Cargo features and chosen at run time. A backend that is not compiled in is an error that names
//! the feature.

use burn::tensor::{Device, Tensor};
use fn_train::collective::Launch;
use fn_train::device::{Backend, DeviceSpec, quietly};

use crate::error::CliError;

/// Whether this binary contains a backend.
pub fn compiled(backend: Backend) -> bool {
    match backend {
        Backend::Flex => cfg!(feature = "flex"),
        Backend::Vulkan => cfg!(feature = "vulkan"),
        Backend::Wgpu => cfg!(feature = "wgpu"),
        Backend::Metal => cfg!(feature = "metal"),
        Backend::Cuda => cfg!(feature = "cuda"),
        Backend::Rocm => cfg!(feature = "rocm"),
    }
}

/// Checks that this binary contains the backend.
pub fn check_compiled(spec: &DeviceSpec) -> Result<(), CliError> {
    if compiled(spec.backend) {
        return Ok(());
    }
    let name = spec.backend.name();
    let compiled: Vec<&str> =
        Backend::ALL.into_iter().filter(|backend| compiled(*backend)).map(Backend::name).collect();
    Err(CliError::usage(format!(
        "device `{spec}` is not compiled into this fnlm (it has: {}); build with `cargo build --release --features {name}`",
        if compiled.is_empty() { "none".to_string() } else { compiled.join(", ") }
    )))
}

/// The Burn device, without autodiff, before any operation on it.
fn device(spec: &DeviceSpec) -> Result<Device, CliError> {
    check_compiled(spec)?;
    #[cfg(feature = "kernel-cache")]
    keep_kernels();
    #[cfg(any(feature = "vulkan", feature = "wgpu", feature = "metal"))]
    let kind = {
        use burn::tensor::DeviceKind;
        match spec.which {
            fn_train::device::Which::Default => DeviceKind::DefaultDevice,
            fn_train::device::Which::Index(index) => DeviceKind::DiscreteGpu(index),
            fn_train::device::Which::Cpu => DeviceKind::Cpu,
        }
    };
    #[cfg(any(feature = "cuda", feature = "rocm"))]
    let index = match spec.which {
        fn_train::device::Which::Index(index) => index,
        _ => 0,
    };
    match spec.backend {
        #[cfg(feature = "flex")]
        Backend::Flex => Ok(Device::flex()),
        #[cfg(feature = "vulkan")]
        Backend::Vulkan => Ok(Device::vulkan(kind)),
        #[cfg(feature = "wgpu")]
        Backend::Wgpu => Ok(Device::wgpu(kind)),
        #[cfg(feature = "metal")]
        Backend::Metal => Ok(Device::metal(kind)),
        #[cfg(feature = "cuda")]
        Backend::Cuda => Ok(Device::cuda(index)),
        #[cfg(feature = "rocm")]
        Backend::Rocm => Ok(Device::rocm(index)),
        #[allow(unreachable_patterns)]
        // Not reached: `check_compiled` has returned an error for backends whose feature is off.
        _ => Err(CliError::failed(format!("device `{spec}` passed the check but is not compiled in"))),
    }
}

/// The Burn device, without autodiff, after a small matrix product as a test. Burn panics if a driver is missing or broken;
/// such a panic becomes an error.
pub fn open_spec(spec: &DeviceSpec) -> Result<Device, CliError> {
    let device = device(spec)?;
    quietly(|| {
        let ones = Tensor::<2>::ones([4, 4], &device);
        ones.clone().matmul(ones).sum().into_scalar::<f32>()
    })
    .map_err(|cause| {
        CliError::failed(format!(
            "device `{spec}` cannot be used: {cause}; `fnlm doctor` lists what works on this machine"
        ))
    })
    .and_then(|sum| {
        if sum == 64.0 {
            Ok(device)
        } else {
            Err(CliError::failed(format!(
                "device `{spec}` computes wrongly: a 4x4 product of ones adds up to {sum}, not 64"
            )))
        }
    })
}

/// Stores compiled kernels and the results of autotuning in the user's cache directory, where the next run finds them. A
/// cubecl.toml in the working directory or above it that names another place takes precedence.
#[cfg(feature = "kernel-cache")]
fn keep_kernels() {
    use cubecl_runtime::config::cache::CacheConfig;
    use cubecl_runtime::config::{CubeClRuntimeConfig, RuntimeConfig};
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = true;
    // CubeCL's default is a folder beside the nearest Cargo.toml, which does not suit an installed program.
    if matches!(config.environment.path, CacheConfig::Target) {
        config.environment.path = CacheConfig::Global;
    }
    // False if a device was opened before; then its settings apply.
    let _ = CubeClRuntimeConfig::try_set(config);
}

/// Opens a device by its name on the command line.
pub fn open(spec: &str) -> Result<Device, CliError> {
    open_spec(&spec.parse()?)
}

/// [`open`]s the device of this process: of several ranks on a machine each takes another card.
///
/// # Errors
/// As `open`.
pub fn of_rank(name: &str, launch: Option<Launch>) -> Result<Device, CliError> {
    let spec = name.parse()?;
    open_spec(&launch.map_or(spec, |launch| launch.device(spec)))
}

/// Runs `work` on a thread of the pool of the flex device, which has `threads` threads, by default one for each core. From a
/// thread outside of the pool, each parallel operation would block and wake the caller, about a thousand times in a training
/// step.
pub fn on_pool<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> R {
    // The stack size of a main thread, because the whole program runs in the pool.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).stack_size(8 << 20);
    // Fails only if the pool exists already, as in tests; then its size applies.
    let _ = pool.build_global();
    rayon::scope(|_| work())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        let error = open("cuda:1").unwrap_err();
        assert_eq!(error.code(), 2);
        assert!(error.to_string().contains("cargo build --release --features cuda"), "{error}");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn flex_opens() {
        open("flex").unwrap();
    }
}
