//! Where a network runs. The one place that knows which devices there are.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use super::error::{Error, Result};

/// A user's wish: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA GPU that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// This GPU and no other.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let cuda = text.strip_prefix("cuda").map(|rest| match rest.strip_prefix(':') {
            Some(ordinal) => ordinal.parse().ok(),
            None => rest.is_empty().then_some(0),
        });
        match (text, cuda) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(Some(ordinal))) => Ok(Self::Cuda(ordinal)),
            _ => Err(Error::Device {
                name: text.into(),
                reason: "unknown; use auto, cpu, cuda or cuda:N with N from 0".into(),
            }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Device`] where a GPU was ordered that can't be had; `auto` never fails.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(cuda(0).unwrap_or(Device::Cpu)),
            Self::Cuda(ordinal) => cuda(ordinal).map_err(|reason| Error::Device {
                name: self.to_string(),
                reason: format!("{reason}; use device=cpu, or device=auto to take a GPU where one works"),
            }),
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> std::result::Result<Device, String> {
    Err("this build has no CUDA support (pipelines/build-cuda.sh makes one that has)".into())
}

/// A GPU with one stream for all threads, opened once in a process.
#[cfg(feature = "cuda")]
fn cuda(ordinal: usize) -> std::result::Result<Device, String> {
    use std::sync::{Mutex, PoisonError};

    use candle_core::cuda_backend::cudarc::driver::{DriverError, result, sys::CUresult};

    static OPEN: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = open.iter().find(|(known, _)| *known == ordinal) {
        return Ok(device.clone());
    }
    let reason = |DriverError(code): DriverError| match code {
        CUresult::CUDA_ERROR_STUB_LIBRARY => "there is no NVIDIA driver here (libcuda.so.1)".into(),
        CUresult::CUDA_ERROR_NO_DEVICE => "the NVIDIA driver finds no GPU here".into(),
        other => format!("the NVIDIA driver doesn't work ({other:?})"),
    };
    result::init().map_err(reason)?;
    let count = result::device::get_count().map_err(reason)?;
    if i32::try_from(ordinal).map_or(true, |ordinal| ordinal >= count) {
        return Err(format!("there is no such GPU here, of {count} counted from 0"));
    }
    let device = Device::new_cuda_with_stream(ordinal).map_err(|error| match first_line(&error) {
        reason if reason.contains("OUT_OF_MEMORY") => "the GPU has no memory left".into(),
        reason => format!(
            "the GPU can't be used ({reason}); besides the driver it takes CUDA's libraries cublas, cublasLt and curand"
        ),
    })?;
    if let Ok(device) = device.as_cuda_device() {
        // SAFETY: everything is allocated, used and freed in the order of the one stream.
        unsafe { device.disable_event_tracking() };
        // GPUs without memory pools allocate as they always do.
        let _ = i32::try_from(ordinal).map(keep_memory);
    }
    open.push((ordinal, device.clone()));
    Ok(device)
}

/// Has what a batch frees lie ready for the next one. CUDA's pool of memory otherwise gives all of it back
/// to the driver wherever the host waits, and so after each batch.
#[cfg(feature = "cuda")]
fn keep_memory(
    ordinal: i32,
) -> std::result::Result<(), candle_core::cuda_backend::cudarc::driver::DriverError> {
    use candle_core::cuda_backend::cudarc::driver::{result, sys::CUmemPool_attribute};

    let device = result::device::get(ordinal)?;
    let mut kept = u64::MAX;
    // SAFETY: the device is one that the driver has just named, its pool lives as long as the device, and
    // this attribute is read as one u64.
    unsafe {
        let pool = result::device::get_default_mem_pool(device)?;
        let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, threshold, (&raw mut kept).cast())
    }
}

/// What candle says, without the backtrace that may follow.
#[cfg(feature = "cuda")]
pub(super) fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for name in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for name in ["", "gpu", "cuda:", "cuda:x", "cuda0", "CPU"] {
            assert!(name.parse::<DeviceChoice>().is_err(), "{name}");
        }
    }

    #[test]
    fn auto_always_opens_and_an_absent_gpu_is_named() {
        DeviceChoice::Auto.open().unwrap();
        let message = DeviceChoice::Cuda(99).open().unwrap_err().to_string();
        assert!(message.contains("cuda:99") && message.contains("device=cpu"), "{message}");
    }
}
