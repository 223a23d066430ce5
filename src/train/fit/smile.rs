//! Learning who smiles.

use std::borrow::Cow;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::recipe::Loss;
use super::trainer::Task;
use crate::model::{Classifier, Metadata};
use crate::train::data::dataset::Sample;
use crate::train::data::vary::{Blur, vary};
use crate::train::error::Result;

/// Telling smiling pictures from others.
pub struct Smiles {
    loss: Loss,
    metadata: Metadata,
    doubt: f32,
    variation: f32,
}

impl Smiles {
    /// For networks that `metadata` describes.
    pub fn new(loss: Loss, metadata: Metadata) -> Self {
        Self { loss, metadata, doubt: 0.0, variation: 0.0 }
    }

    /// Takes the share `doubt` of each label back in training and gives one half instead, since
    /// some labels are wrong (label smoothing, Szegedy et al. 2016).
    pub fn with_doubt(self, doubt: f32) -> Self {
        Self { doubt, ..self }
    }

    /// Varies what is kept to be varied by this strength, from 0 to 1, instead of 0.
    pub fn with_variation(self, variation: f32) -> Self {
        Self { variation, ..self }
    }

    /// What a picture counts as in training. Votes say themselves how sure they are.
    fn label(&self, sample: &Sample) -> f32 {
        let label = || (1.0 - self.doubt) * f32::from(u8::from(sample.smiling)) + self.doubt / 2.0;
        sample.votes.unwrap_or_else(label)
    }

    /// What the network is to see: each picture as it is, or varied by its seed.
    fn look<'a>(&self, samples: &[&'a Sample], seeds: Vec<Option<u64>>) -> Vec<Cow<'a, [u8]>> {
        let [_, height, width] = self.metadata.architecture.input;
        let blur = Blur::of(self.metadata.region);
        let see = |(sample, seed): (&&'a Sample, Option<u64>)| match seed {
            Some(seed) if !sample.wide.is_empty() => vary(
                &sample.wide,
                [width, height],
                self.variation,
                blur,
                &mut ChaCha8Rng::seed_from_u64(seed),
            )
            .into(),
            _ => sample.pixels[..].into(),
        };
        samples.par_iter().zip(seeds).map(see).collect()
    }
}

/// What is expected of a batch of pictures.
pub struct Wanted {
    /// Of smiling; shape `(batch,)`.
    probabilities: Tensor,
    /// The labels.
    smiling: Vec<bool>,
}

impl Task for Smiles {
    type Example = Sample;
    type Targets = Wanted;

    fn batch(
        &self,
        samples: &[&Sample],
        variation: Option<ChaCha8Rng>,
        device: &Device,
    ) -> Result<(Tensor, Wanted)> {
        let Metadata { scale, offset, ref architecture, .. } = self.metadata;
        let [channels, height, width] = architecture.input;
        let training = variation.is_some();
        let label = |sample: &&Sample| match training {
            true => self.label(sample),
            false => f32::from(u8::from(sample.smiling)),
        };
        let wanted: Vec<f32> = samples.iter().map(label).collect();
        let smiling = samples.iter().map(|sample| sample.smiling).collect();
        let mut chance = variation;
        let seeds = samples.iter().map(|_| chance.as_mut().map(|chance| chance.random())).collect();
        let pictures = self.look(samples, seeds);
        let bytes = pictures.iter().flat_map(|picture| picture.iter());
        let values: Vec<f32> = bytes.map(|&byte| f32::from(byte) * scale + offset).collect();
        let probabilities = Tensor::from_vec(wanted, samples.len(), device)?;
        Ok((
            Tensor::from_vec(values, (samples.len(), channels, height, width), device)?,
            Wanted { probabilities, smiling },
        ))
    }

    fn judge(&self, answers: &[Tensor], wanted: &Wanted) -> Result<(Tensor, usize)> {
        let logits = answers[0].squeeze(1)?;
        let loss = self.loss.mean(&logits, &wanted.probabilities)?;
        let logits = logits.to_vec1::<f32>()?;
        let right =
            logits.iter().zip(&wanted.smiling).filter(|(logit, smiling)| (**logit >= 0.0) == **smiling);
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
