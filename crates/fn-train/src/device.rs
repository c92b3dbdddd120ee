//! Parses device names: `flex`, `vulkan:0`, `cuda:1`. Which backends are available depends on the Cargo features of the
//! program.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use crate::config::nearest;

/// A name that is not a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(String);

/// All backends, whether or not they are compiled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Pure Rust on the CPU.
    Flex,
    /// Vulkan through wgpu, with SPIR-V kernels.
    Vulkan,
    /// Any API that wgpu finds.
    Wgpu,
    /// Apple's Metal.
    Metal,
    /// NVIDIA CUDA.
    Cuda,
    /// AMD ROCm.
    Rocm,
}

impl Backend {
    /// All backends.
    pub const ALL: [Self; 6] = [Self::Flex, Self::Vulkan, Self::Wgpu, Self::Metal, Self::Cuda, Self::Rocm];

    /// Name on the command line, of the Cargo feature, and in `BURN_DEVICE`.
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
}

/// Which device of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The default device of the backend.
    Default,
    /// The device with this index.
    Index(usize),
    /// A software driver on the CPU (`vulkan:cpu`).
    Cpu,
}

/// A device on the command line: `flex`, `vulkan`, `vulkan:0`, `vulkan:cpu`, `wgpu`, `metal`, `cuda:1`, `rocm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Backend of the device.
    pub backend: Backend,
    /// Which device of the backend.
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
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let (name, which) = match text.split_once(':') {
            Some((name, which)) => (name, Some(which)),
            None => (text, None),
        };
        let names: Vec<&str> = Backend::ALL.iter().map(|backend| backend.name()).collect();
        let Some(backend) = Backend::ALL.into_iter().find(|backend| backend.name() == name) else {
            let nearest = nearest(name, names.iter().copied())
                .map(|nearest| format!(" Did you mean `{nearest}`?"))
                .unwrap_or_default();
            return Err(DeviceError(format!(
                "unknown device `{text}`: expected one of {}, with `:0`, `:1`, ... for the graphics card where there are \
                 several.{nearest}",
                names.join(", ")
            )));
        };
        let graphics = matches!(backend, Backend::Vulkan | Backend::Wgpu | Backend::Metal);
        let which = match which {
            None => Which::Default,
            Some(_) if backend == Backend::Flex => {
                return Err(DeviceError(format!(
                    "unknown device `{text}`: flex is the CPU, there is only one such device; write `flex`"
                )));
            }
            Some("cpu") if graphics => Which::Cpu,
            Some(index) => Which::Index(index.parse().map_err(|_| {
                let cpu = if graphics { " or `cpu` for a software driver" } else { "" };
                DeviceError(format!(
                    "unknown device `{text}`: expected a number{cpu} after `{name}:`, found `{index}`"
                ))
            })?),
        };
        Ok(Self { backend, which })
    }
}

/// Runs `work`; a panic in it becomes an error with its message. Burn panics where a driver is missing or broken. Nothing is printed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_name_is_parsed_and_printed_unchanged() {
        for text in ["flex", "vulkan", "vulkan:0", "vulkan:cpu", "wgpu", "metal", "cuda:1", "rocm"] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap().to_string(), text);
        }
        for text in ["", "cpu", "flex:0", "cuda:cpu", "cuda:x", "vulkan:-1", "CUDA"] {
            assert!(text.parse::<DeviceSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_near_miss_is_suggested() {
        let error = "vulcan".parse::<DeviceSpec>().unwrap_err().to_string();
        assert!(error.contains("Did you mean `vulkan`?"), "{error}");
    }
}
