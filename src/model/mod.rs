//! The networks, their weights files and the devices they run on.

mod architecture;
mod classifier;
mod detector;
mod device;
mod engine;
mod error;
mod file;
mod folded;
#[cfg(feature = "cuda")]
mod graphs;
mod network;
#[cfg(feature = "train")]
pub mod onnx;
mod output;
mod runner;
mod shared;
mod stream;
mod weights;

pub use architecture::{Architecture, Block, FACE_VALUES, Shape};
pub use classifier::Classifier;
#[cfg(test)]
pub(crate) use classifier::failing_after;
pub use detector::{Detector, HeadAnswer};
pub use device::DeviceChoice;
pub use error::{Error, Result};
#[cfg(feature = "train")]
pub(crate) use file::check_plain;
pub use network::{BatchStatistics, Network, initial_tensors};
pub use output::write_atomically;
#[cfg(feature = "train")]
pub(crate) use output::{destination, is_stream};
pub use weights::{Describe, FaceMetadata, FaceWeights, Metadata, Region, SmileWeights, Weights};
#[cfg(feature = "train")]
pub(crate) use weights::{from_safetensors, to_safetensors};
