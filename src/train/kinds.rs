//! Telling more kinds apart than are asked for, while a network learns.

use std::collections::{BTreeSet, HashMap};

use candle_core::{D, Device, Tensor};

use super::dataset::Sample;
use super::error::{Error, Result};
use crate::model::{Architecture, Block, SmileWeights};

/// The kinds of pictures that names tell: `smile/happy-12.jpg` is of the kind `happy`.
///
/// A network that is to tell them apart, too, learns more about faces (Caruana 1997). It answers with one
/// logit more for each kind while it learns, and forgets these afterwards.
pub struct Kinds {
    numbers: HashMap<String, u32>,
    weight: f64,
}

impl Kinds {
    /// The kinds of these pictures, which are to have this weight in the loss.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where there are less than three: two are told apart anyway.
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>, weight: f64) -> Result<Self> {
        let names: BTreeSet<&str> = samples.into_iter().map(|sample| kind(&sample.name)).collect();
        if names.len() < 3 || names.len() > 100 {
            return Err(Error::Mismatch(format!(
                "--kinds: the pictures' names tell of {} kinds (happy-1.jpg would be of the kind happy); \
                 3 to 100 can be learnt",
                names.len()
            )));
        }
        let numbers = names.into_iter().zip(0..).map(|(name, number)| (name.to_string(), number)).collect();
        Ok(Self { numbers, weight })
    }

    /// The network with logits for all kinds after its own.
    pub fn widened(&self, architecture: &Architecture) -> Architecture {
        let mut architecture = architecture.clone();
        if let Some(Block::Dense { units, .. }) = architecture.blocks.last_mut() {
            *units += self.numbers.len();
        }
        architecture
    }

    /// The network without the kinds' logits again.
    ///
    /// # Errors
    /// Where the tensors aren't those of such a network.
    pub fn forget(weights: &mut SmileWeights) -> Result<()> {
        let last = weights.metadata.architecture.blocks.len() - 1;
        for name in ["weight", "bias"] {
            if let Some(tensor) = weights.tensors.get_mut(&format!("{last}.{name}")) {
                *tensor = tensor.narrow(0, 0, 1)?.contiguous()?;
            }
        }
        Ok(())
    }

    /// The kind of each picture, shape `(batch,)`.
    pub(super) fn wanted(&self, samples: &[&Sample], device: &Device) -> Result<Tensor> {
        let number = |sample: &&Sample| self.numbers.get(kind(&sample.name)).copied().unwrap_or_default();
        Ok(Tensor::from_vec(samples.iter().map(number).collect(), samples.len(), device)?)
    }

    /// The weighted mean cross-entropy of the answers' last logits.
    pub(super) fn loss(&self, answers: &Tensor, wanted: &Tensor) -> Result<Tensor> {
        let logits = answers.narrow(D::Minus1, 1, self.numbers.len())?.contiguous()?;
        Ok((candle_nn::loss::cross_entropy(&logits, wanted)? * self.weight)?)
    }
}

fn kind(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('-').map_or("", |(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        let sample = |name: &str| Sample {
            name: name.into(),
            pixels: Box::default(),
            wide: Box::default(),
            smiling: false,
        };
        ["no-smile/sad-1.jpg", "smile/happy-2.jpg", "no-smile/very-cross-3.jpg"].map(sample).into()
    }

    #[test]
    fn names_tell_the_kind() {
        let samples = samples();
        let kinds = Kinds::of(&samples, 2.0).unwrap();
        let wanted = kinds.wanted(&samples.iter().collect::<Vec<_>>(), &Device::Cpu).unwrap();
        assert_eq!(wanted.to_vec1::<u32>().unwrap(), [1, 0, 2]);
        // The first logit is no kind's.
        let answers = Tensor::new(&[[9f32, 0.0, 0.0, 0.0]; 3], &Device::Cpu).unwrap();
        let loss = kinds.loss(&answers, &wanted).unwrap().to_scalar::<f32>().unwrap();
        assert!((loss - 2.0 * 3f32.ln()).abs() < 1e-5, "{loss}");
        assert!(Kinds::of(&samples[..2], 1.0).is_err());
    }

    #[test]
    fn what_is_forgotten_is_the_kinds() {
        let kinds = Kinds::of(&samples(), 1.0).unwrap();
        let mut weights = SmileWeights::embedded().unwrap();
        let own = weights.tensors.clone();
        let architecture = &weights.metadata.architecture;
        let last = architecture.blocks.len() - 1;
        assert_eq!(kinds.widened(architecture).shapes().unwrap().last(), Some(&crate::model::Shape::Row(4)));
        for name in [format!("{last}.weight"), format!("{last}.bias")] {
            let tensor = &own[&name];
            let more = Tensor::cat(&[tensor, tensor, tensor, tensor], 0).unwrap();
            weights.tensors.insert(name, more);
        }
        Kinds::forget(&mut weights).unwrap();
        for (name, tensor) in &own {
            assert_eq!(weights.tensors[name].dims(), tensor.dims(), "{name}");
        }
    }
}
