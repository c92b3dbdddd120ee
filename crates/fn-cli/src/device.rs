//! From `--device vulkan:0` to a Burn device.
//!
//! A backend is compiled in by a Cargo feature and chosen here, at run time. Asking for one that this binary lacks is an
//! error that names the feature to build with.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use burn::tensor::{Device, Tensor};

use crate::error::CliError;

/// The backends that this program knows, compiled in or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Pure Rust on the processor.
    Flex,
    /// Vulkan through wgpu, kernels as SPIR-V.
    Vulkan,
    /// Whatever wgpu finds.
    Wgpu,
    /// Apple's Metal.
    Metal,
    /// NVIDIA.
    Cuda,
    /// AMD.
    Rocm,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Flex, Self::Vulkan, Self::Wgpu, Self::Metal, Self::Cuda, Self::Rocm];

    /// Its name on the command line, which is also its Cargo feature and its value of `BURN_DEVICE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
            Self::Metal => "metal",
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
        }
    }

    /// Whether this binary contains it.
    pub fn compiled(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Rocm => cfg!(feature = "rocm"),
        }
    }
}

/// Which of a backend's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The backend decides.
    Default,
    /// The n-th.
    Index(usize),
    /// A software driver on the processor (`vulkan:cpu`).
    Cpu,
}

/// A device as it is typed: `flex`, `vulkan`, `vulkan:0`, `vulkan:cpu`, `wgpu`, `metal`, `cuda:1`, `rocm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its backend.
    pub backend: Backend,
    /// Which one.
    pub which: Which,
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.backend.name())?;
        match self.which {
            Which::Default => Ok(()),
            Which::Index(index) => write!(f, ":{index}"),
            Which::Cpu => f.write_str(":cpu"),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = CliError;

    fn from_str(text: &str) -> Result<Self, CliError> {
        let (name, which) = match text.split_once(':') {
            Some((name, which)) => (name, Some(which)),
            None => (text, None),
        };
        let names: Vec<&str> = Backend::ALL.iter().map(|backend| backend.name()).collect();
        let Some(backend) = Backend::ALL.into_iter().find(|backend| backend.name() == name) else {
            let nearest = fn_train::config::nearest(name, names.iter().copied())
                .map(|nearest| format!(" Did you mean `{nearest}`?"))
                .unwrap_or_default();
            return Err(CliError::usage(format!(
                "unknown device `{text}`: expected one of {}, with `:0`, `:1`, ... for the graphics card where there are \
                 several.{nearest}",
                names.join(", ")
            )));
        };
        let graphics = matches!(backend, Backend::Vulkan | Backend::Wgpu | Backend::Metal);
        let which = match which {
            None => Which::Default,
            Some(_) if backend == Backend::Flex => {
                return Err(CliError::usage(format!(
                    "unknown device `{text}`: flex is the processor, there is only one; write `flex`"
                )));
            }
            Some("cpu") if graphics => Which::Cpu,
            Some(index) => Which::Index(index.parse().map_err(|_| {
                let cpu = if graphics { " or `cpu` for a software driver" } else { "" };
                CliError::usage(format!(
                    "unknown device `{text}`: expected a number{cpu} after `{name}:`, found `{index}`"
                ))
            })?),
        };
        Ok(Self { backend, which })
    }
}

impl DeviceSpec {
    /// Refuses a backend that this binary does not contain.
    pub fn check_compiled(&self) -> Result<(), CliError> {
        if self.backend.compiled() {
            return Ok(());
        }
        let name = self.backend.name();
        let compiled: Vec<&str> =
            Backend::ALL.into_iter().filter(|backend| backend.compiled()).map(Backend::name).collect();
        Err(CliError::usage(format!(
            "device `{self}` is not compiled into this fnlm (it has: {}); build with `cargo build --release --features {name}`",
            if compiled.is_empty() { "none".to_string() } else { compiled.join(", ") }
        )))
    }

    /// The Burn device, without autodiff. Nothing has run on it yet.
    fn device(&self) -> Result<Device, CliError> {
        self.check_compiled()?;
        #[cfg(feature = "kernel-cache")]
        keep_kernels();
        #[cfg(any(feature = "vulkan", feature = "wgpu", feature = "metal"))]
        let kind = {
            use burn::tensor::DeviceKind;
            match self.which {
                Which::Default => DeviceKind::DefaultDevice,
                Which::Index(index) => DeviceKind::DiscreteGpu(index),
                Which::Cpu => DeviceKind::Cpu,
            }
        };
        #[cfg(any(feature = "cuda", feature = "rocm"))]
        let index = match self.which {
            Which::Index(index) => index,
            _ => 0,
        };
        match self.backend {
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
            _ => Err(CliError::failed(format!("device `{self}` passed the check but is not compiled in"))),
        }
    }

    /// The Burn device, without autodiff, after a first small product on it. Drivers that are missing or broken panic
    /// inside of Burn; here that becomes an error.
    pub fn open(&self) -> Result<Device, CliError> {
        let device = self.device()?;
        quietly(|| {
            let ones = Tensor::<2>::ones([4, 4], &device);
            ones.clone().matmul(ones).sum().into_scalar::<f32>()
        })
        .map_err(|cause| {
            CliError::failed(format!(
                "device `{self}` cannot be used: {cause}; `fnlm doctor` lists what works on this machine"
            ))
        })
        .and_then(|sum| {
            if sum == 64.0 {
                Ok(device)
            } else {
                Err(CliError::failed(format!(
                    "device `{self}` computes wrongly: a 4x4 product of ones adds up to {sum}, not 64"
                )))
            }
        })
    }
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
    spec.parse::<DeviceSpec>()?.open()
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

    #[test]
    fn every_spelling_is_read_and_written_back() {
        for text in ["flex", "vulkan", "vulkan:0", "vulkan:cpu", "wgpu", "metal", "cuda:1", "rocm"] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap().to_string(), text);
        }
        for text in ["", "cpu", "flex:0", "cuda:cpu", "cuda:x", "vulkan:-1", "CUDA"] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap_err().code(), 2, "{text}");
        }
    }

    #[test]
    fn a_near_miss_is_suggested() {
        let error = "vulcan".parse::<DeviceSpec>().unwrap_err().to_string();
        assert!(error.contains("Did you mean `vulkan`?"), "{error}");
    }

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
