//! Learning who smiles.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::dataset::Sample;
use super::error::Result;
use super::fit::Task;
use super::recipe::Loss;
use crate::model::{Classifier, Metadata};

/// Telling smiling pictures from others.
pub struct Smiles {
    loss: Loss,
    metadata: Metadata,
}

impl Smiles {
    /// For networks that `metadata` describes.
    pub fn new(loss: Loss, metadata: Metadata) -> Self {
        Self { loss, metadata }
    }
}

impl Task for Smiles {
    type Example = Sample;
    /// Shape `(batch,)`: 1 for smiling, else 0.
    type Targets = Tensor;

    fn batch(&self, samples: &[&Sample], _: Option<ChaCha8Rng>, device: &Device) -> Result<(Tensor, Tensor)> {
        let Metadata { scale, offset, ref architecture, .. } = self.metadata;
        let [channels, height, width] = architecture.input;
        let pixels = samples.iter().flat_map(|sample| sample.pixels.iter());
        let values: Vec<f32> = pixels.map(|&byte| f32::from(byte) * scale + offset).collect();
        let targets: Vec<f32> = samples.iter().map(|sample| f32::from(u8::from(sample.smiling))).collect();
        Ok((
            Tensor::from_vec(values, (samples.len(), channels, height, width), device)?,
            Tensor::from_vec(targets, samples.len(), device)?,
        ))
    }

    fn judge(&self, answers: &[Tensor], targets: &Tensor) -> Result<(Tensor, usize)> {
        let logits = answers[0].squeeze(1)?;
        let loss = self.loss.mean(&logits, targets)?;
        let (logits, targets) = (logits.to_vec1::<f32>()?, targets.to_vec1::<f32>()?);
        let right = logits.iter().zip(targets).filter(|(logit, target)| (**logit >= 0.0) == (*target > 0.5));
        Ok((loss, right.count()))
    }
}

/// Probability of smiling for each sample.
///
/// # Errors
/// Where the device fails.
pub fn predict(classifier: &mut Classifier, samples: &[&Sample]) -> Result<Vec<f32>> {
    let mut all = Vec::with_capacity(samples.len());
    let mut probabilities = Vec::new();
    for batch in samples.chunks(64) {
        let pixels: Vec<u8> = batch.iter().flat_map(|sample| sample.pixels.iter().copied()).collect();
        classifier.probabilities(&pixels, &mut probabilities)?;
        all.extend_from_slice(&probabilities);
    }
    Ok(all)
}
