//! Learning who smiles.

use std::borrow::Cow;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::dataset::Sample;
use super::error::Result;
use super::fit::Task;
use super::recipe::Loss;
use super::vary::vary;
use crate::model::{Classifier, Metadata};

/// Telling smiling pictures from others.
pub struct Smiles {
    loss: Loss,
    metadata: Metadata,
    doubt: f32,
}

impl Smiles {
    /// For networks that `metadata` describes.
    pub fn new(loss: Loss, metadata: Metadata) -> Self {
        Self { loss, metadata, doubt: 0.0 }
    }

    /// Takes the share `doubt` of each label back in training and gives one half instead, since
    /// some labels are wrong (label smoothing, Szegedy et al. 2016).
    pub fn with_doubt(self, doubt: f32) -> Self {
        Self { doubt, ..self }
    }
}

impl Task for Smiles {
    type Example = Sample;
    /// Shape `(batch,)`: 1 for smiling, else 0.
    type Targets = Tensor;

    fn batch(
        &self,
        samples: &[&Sample],
        variation: Option<ChaCha8Rng>,
        device: &Device,
    ) -> Result<(Tensor, Tensor)> {
        let Metadata { scale, offset, ref architecture, .. } = self.metadata;
        let [channels, height, width] = architecture.input;
        let doubt = if variation.is_some() { self.doubt } else { 0.0 };
        let target = |sample: &&Sample| (1.0 - doubt) * f32::from(u8::from(sample.smiling)) + doubt / 2.0;
        let targets: Vec<f32> = samples.iter().map(target).collect();
        let mut chance = variation;
        let seeds: Vec<Option<u64>> =
            samples.iter().map(|_| chance.as_mut().map(|chance| chance.random())).collect();
        let pictures: Vec<Cow<[u8]>> = samples
            .par_iter()
            .zip(seeds)
            .map(|(sample, seed)| match seed {
                Some(seed) if !sample.wide.is_empty() => {
                    vary(&sample.wide, [width, height], &mut ChaCha8Rng::seed_from_u64(seed)).into()
                }
                _ => sample.pixels[..].into(),
            })
            .collect();
        let bytes = pictures.iter().flat_map(|picture| picture.iter());
        let values: Vec<f32> = bytes.map(|&byte| f32::from(byte) * scale + offset).collect();
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

/// Probability of smiling for each sample; no number where no face was found.
///
/// # Errors
/// Where the device fails.
pub fn predict(classifier: &mut Classifier, samples: &[&Sample]) -> Result<Vec<f32>> {
    let mut all = Vec::with_capacity(samples.len());
    let mut probabilities = Vec::new();
    for batch in samples.chunks(64) {
        let pixels: Vec<u8> = batch.iter().flat_map(|sample| sample.pixels.iter().copied()).collect();
        classifier.probabilities(&pixels, &mut probabilities)?;
        let mut answers = probabilities.iter().copied();
        all.extend(batch.iter().map(|sample| match sample.pixels.is_empty() {
            true => f32::NAN,
            false => answers.next().unwrap_or(f32::NAN),
        }));
    }
    Ok(all)
}
