//! From 64×64 crops to probabilities.

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

use super::engine::engine;
use super::error::Result;
use super::network::Network;
use super::weights::{Metadata, Weights};
use crate::ops::Isa;
use crate::ops::inference::Engine;

/// A network ready to answer, on one device.
pub struct Classifier {
    metadata: Metadata,
    backend: Backend,
}

enum Backend {
    Cpu(Box<Engine>),
    Candle { network: Network, device: Device },
}

impl Classifier {
    /// # Errors
    /// Where a tensor that the architecture needs is missing or has another shape.
    pub fn new(weights: &Weights, device: &Device) -> Result<Self> {
        let metadata = weights.metadata.clone();
        let backend = if device.is_cpu() {
            Backend::Cpu(Box::new(cpu(weights, Isa::best())?))
        } else {
            let tensors = VarBuilder::from_tensors(weights.tensors.clone(), candle_core::DType::F32, device);
            let network = Network::new(&metadata.architecture, &tensors)?;
            Backend::Candle { network, device: device.clone() }
        };
        Ok(Self { metadata, backend })
    }

    /// As [`Classifier::new`] on the CPU, with the instructions of `isa`: for tests and measurements.
    ///
    /// # Panics
    /// If the machine does not have `isa`.
    pub fn with_isa(weights: &Weights, isa: Isa) -> Result<Self> {
        let backend = Backend::Cpu(Box::new(cpu(weights, isa)?));
        Ok(Self { metadata: weights.metadata.clone(), backend })
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Replaces `probabilities` by one probability of smiling for each picture in `pictures`:
    /// bytes of RGB planes (channels × height × width as the architecture says), one after the other.
    ///
    /// On the CPU, allocates nothing but the room that `probabilities` lacks.
    ///
    /// # Panics
    /// If `pictures` is not a whole number of pictures.
    pub fn probabilities(&mut self, pictures: &[u8], probabilities: &mut Vec<f32>) -> Result<()> {
        let len = self.metadata.architecture.input_len();
        assert_eq!(pictures.len() % len, 0, "part of a picture");
        probabilities.clear();
        if pictures.is_empty() {
            return Ok(());
        }
        probabilities.resize(pictures.len() / len, 0.0);
        match &mut self.backend {
            Backend::Cpu(engine) => engine.run(pictures, probabilities),
            Backend::Candle { network, device } => {
                let input = input(&self.metadata, pictures, device)?;
                let logits = &network.forward(&input)?[0];
                probabilities.copy_from_slice(&logits.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        for value in probabilities {
            *value = sigmoid(*value / self.metadata.temperature);
        }
        Ok(())
    }
}

fn cpu(weights: &Weights, isa: Isa) -> Result<Engine> {
    let Metadata { ref architecture, scale, offset, .. } = weights.metadata;
    engine(architecture, [scale, offset], &weights.tensors, None, isa)
}

fn input(metadata: &Metadata, pictures: &[u8], device: &Device) -> Result<Tensor> {
    let [channels, height, width] = metadata.architecture.input;
    let value = |&byte: &u8| f32::from(byte) * metadata.scale + metadata.offset;
    let values: Vec<f32> = pictures.iter().map(value).collect();
    let shape = (pictures.len() / metadata.architecture.input_len(), channels, height, width);
    Ok(Tensor::from_vec(values, shape, device)?)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
