//! From 64×64 crops to probabilities.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, DeviceLocation, Tensor};
use candle_nn::VarBuilder;

use super::device::DeviceChoice;
use super::engine::engine;
use super::error::{Error, Result};
use super::network::Network;
use super::shared::Cache;
use super::weights::{Metadata, SmileWeights, Weights};
use crate::ops::Isa;
use crate::ops::inference::Engine;

/// A network ready to answer, on one device.
pub struct Classifier {
    parts: Arc<Parts>,
    backend: Backend,
}

/// What classifiers with the same weights on the same device share.
struct Parts {
    metadata: Metadata,
    prototype: Backend,
}

#[derive(Clone)]
enum Backend {
    Cpu(Box<Engine>),
    Candle { network: Arc<Network>, device: Device },
}

static SHARED: Cache<DeviceLocation, Parts> = Cache::new();

impl Classifier {
    /// # Errors
    /// Where a tensor that the architecture needs is missing or has another shape.
    pub fn new(weights: &Weights, device: &Device) -> Result<Self> {
        Ok(Self::of(Arc::new(Parts::new(weights, device)?)))
    }

    /// A classifier with the weights in `file`, or with the built-in ones. As long as one with the
    /// same weights is in use anywhere in the process, others share what it has loaded.
    ///
    /// # Errors
    /// Where the device can't be had, the file can't be read, or its weights don't work.
    pub fn shared(file: Option<&Path>, device: DeviceChoice) -> Result<Self> {
        let device = device.open()?;
        let parts = SHARED.get(file, device.location(), || {
            let name = file.map_or("the built-in model".into(), |file| file.display().to_string());
            let parts = Parts::new(&file.map_or_else(SmileWeights::embedded, SmileWeights::read)?, &device);
            let tried = parts.map(Arc::new).and_then(|parts| {
                Self::of(parts.clone()).try_out()?;
                Ok(parts)
            });
            tried.map_err(|error| error.of_weights(&name))
        })?;
        Ok(Self::of(parts))
    }

    fn of(parts: Arc<Parts>) -> Self {
        let backend = parts.prototype.clone();
        Self { parts, backend }
    }

    /// Where the network runs: `cpu` or `cuda:N`.
    pub fn device(&self) -> String {
        match &self.backend {
            Backend::Cpu(_) => DeviceChoice::Cpu.to_string(),
            Backend::Candle { device, .. } => match device.location() {
                DeviceLocation::Cuda { gpu_id } => DeviceChoice::Cuda(gpu_id).to_string(),
                other => format!("{other:?}").to_lowercase(),
            },
        }
    }

    /// As [`Classifier::new`] on the CPU, with the instructions of `isa`: for tests and measurements.
    ///
    /// # Panics
    /// If the machine does not have `isa`.
    pub fn with_isa(weights: &Weights, isa: Isa) -> Result<Self> {
        let prototype = Backend::Cpu(Box::new(cpu(weights, isa)?));
        Ok(Self::of(Arc::new(Parts { metadata: weights.metadata.clone(), prototype })))
    }

    pub fn metadata(&self) -> &Metadata {
        &self.parts.metadata
    }

    /// Replaces `probabilities` by one probability of smiling for each picture in `pictures`:
    /// bytes of RGB planes (channels × height × width as the architecture says), one after the other.
    ///
    /// On the CPU, allocates nothing but the room that `probabilities` lacks.
    ///
    /// # Panics
    /// If `pictures` is not a whole number of pictures.
    pub fn probabilities(&mut self, pictures: &[u8], probabilities: &mut Vec<f32>) -> Result<()> {
        let metadata = &self.parts.metadata;
        let len = metadata.architecture.input_len();
        assert_eq!(pictures.len() % len, 0, "part of a picture");
        probabilities.clear();
        if pictures.is_empty() {
            return Ok(());
        }
        probabilities.resize(pictures.len() / len, 0.0);
        match &mut self.backend {
            Backend::Cpu(engine) => engine.run(pictures, probabilities),
            Backend::Candle { network, device } => {
                let input = input(metadata, pictures, device)?;
                let logits = &network.forward(&input)?[0];
                probabilities.copy_from_slice(&logits.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        for value in probabilities {
            *value = sigmoid(*value / metadata.temperature);
        }
        Ok(())
    }

    /// Runs once, so that neither broken weights nor a slow first run show up later.
    ///
    /// # Errors
    /// Where the device fails, or the answer is no probability.
    pub fn try_out(&mut self) -> Result<()> {
        let grey = vec![128; self.metadata().architecture.input_len()];
        let mut probabilities = Vec::new();
        self.probabilities(&grey, &mut probabilities)?;
        Self::check(&probabilities)
    }

    /// # Errors
    /// Where a value is no probability.
    pub fn check(probabilities: &[f32]) -> Result<()> {
        match probabilities.iter().find(|probability| !(0.0..=1.0).contains(*probability)) {
            None => Ok(()),
            Some(value) => Err(Error::Weights {
                name: "the model".into(),
                reason: format!("it answers {value}, which is no probability"),
            }),
        }
    }
}

impl Parts {
    fn new(weights: &Weights, device: &Device) -> Result<Self> {
        let metadata = weights.metadata.clone();
        let prototype = if device.is_cpu() {
            Backend::Cpu(Box::new(cpu(weights, Isa::best())?))
        } else {
            let tensors = VarBuilder::from_tensors(weights.tensors.clone(), candle_core::DType::F32, device);
            let network = Arc::new(Network::new(&metadata.architecture, &tensors)?);
            Backend::Candle { network, device: device.clone() }
        };
        Ok(Self { metadata, prototype })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_weights_on_the_same_device_are_there_once() {
        let [one, other] = [0; 2].map(|_| Classifier::shared(None, DeviceChoice::Cpu).unwrap());
        assert!(Arc::ptr_eq(&one.parts, &other.parts));
        let weights = SmileWeights::embedded().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), weights.to_bytes().unwrap()).unwrap();
        let [of_file, again] =
            [0; 2].map(|_| Classifier::shared(Some(file.path()), DeviceChoice::Cpu).unwrap());
        assert!(Arc::ptr_eq(&of_file.parts, &again.parts) && !Arc::ptr_eq(&one.parts, &again.parts));
    }

    #[test]
    fn those_that_share_weights_answer_alike_and_apart() {
        let weights = SmileWeights::embedded().unwrap();
        let alone = Classifier::new(&weights, &Device::Cpu).unwrap();
        let mut classifiers = [alone, Classifier::shared(None, DeviceChoice::Cpu).unwrap()];
        let len = weights.metadata.architecture.input_len();
        for seed in 1..5 {
            let picture: Vec<u8> = (0..len).map(|index| (index * seed % 251) as u8).collect();
            let [one, other] = classifiers.each_mut().map(|classifier| {
                let mut probabilities = Vec::new();
                classifier.probabilities(&picture, &mut probabilities).unwrap();
                probabilities
            });
            assert_eq!(one, other);
        }
    }
}
