//! From 64×64 crops to probabilities.

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

use super::error::Result;
use super::network::Network;
use super::weights::{Metadata, Weights};

/// A network ready to answer, on one device.
pub struct Classifier {
    metadata: Metadata,
    network: Network,
    device: Device,
}

impl Classifier {
    /// # Errors
    /// Where a tensor that the architecture needs is missing or has another shape.
    pub fn new(weights: &Weights, device: &Device) -> Result<Self> {
        let tensors = VarBuilder::from_tensors(weights.tensors.clone(), candle_core::DType::F32, device);
        Ok(Self {
            network: Network::new(&weights.metadata.architecture, &tensors)?,
            metadata: weights.metadata.clone(),
            device: device.clone(),
        })
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Replaces `probabilities` by one probability of smiling for each picture in `pictures`:
    /// bytes of RGB planes (channels × height × width as the architecture says), one after the other.
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
        let [channels, height, width] = self.metadata.architecture.input;
        let values: Vec<f32> = pictures
            .iter()
            .map(|&byte| f32::from(byte) * self.metadata.scale + self.metadata.offset)
            .collect();
        let shape = (pictures.len() / len, channels, height, width);
        let logits = self.network.forward(&Tensor::from_vec(values, shape, &self.device)?)?;
        let temperature = self.metadata.temperature;
        probabilities.extend(logits.to_vec1::<f32>()?.iter().map(|logit| sigmoid(logit / temperature)));
        Ok(())
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
