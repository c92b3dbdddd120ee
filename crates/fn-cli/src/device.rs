//! From `--device vulkan:0` to a Burn device.
//!
//! A backend is compiled in by a Cargo feature and chosen here, at run time. Asking for one that this binary lacks is an
//! error that names the feature to build with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};
use fn_train::device::{Backend, DeviceSpec};

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

/// Refuses a backend that this binary does not contain.
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

/// The Burn device, without autodiff. Nothing has run on it yet.
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
        // reachable exactly where a feature is off; `check_compiled` refused those
        _ => Err(CliError::failed(format!("device `{spec}` passed the check but is not compiled in"))),
    }
}

/// The Burn device, without autodiff, after a first small product on it. Drivers that are missing or broken panic
/// inside of Burn; here that becomes an error.
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

/// Keeps kernels that were compiled, and which of them were fastest, in the user's cache directory: the next run starts with
/// them. A cubecl.toml above the working directory that names another place is obeyed.
#[cfg(feature = "kernel-cache")]
fn keep_kernels() {
    use cubecl_runtime::config::cache::CacheConfig;
    use cubecl_runtime::config::{CubeClRuntimeConfig, RuntimeConfig};
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = true;
    // The default is a folder beside the nearest Cargo.toml, which has nothing to do with a run.
    if matches!(config.environment.path, CacheConfig::Target) {
        config.environment.path = CacheConfig::Global;
    }
    // False where a device was opened before: then its settings stand.
    let _ = CubeClRuntimeConfig::try_set(config);
}

/// Runs `work`; a panic in it becomes the text that it would have printed.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    result.map_err(|payload| {
        payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "it panicked without a message".to_string())
    })
}

/// Opens a device by its name on the command line.
pub fn open(spec: &str) -> Result<Device, CliError> {
    open_spec(&spec.parse()?)
}

/// Runs `work` on one of the threads of the flex device, of which there are `threads`, or as many as cores. From any other
/// thread each parallel operation would put the caller to sleep and wake it again: some thousand times in a training step.
pub fn on_pool<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> R {
    // As much as the main thread has: what runs here is the whole program.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).stack_size(8 << 20);
    // Only fails where the pool exists already, as in tests; then its size stands.
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
