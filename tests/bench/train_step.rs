//! A training step as `compare_keras.py` does it: binary cross-entropy with L2 on the kernels, Adam.

use candle_core::Device;
use gstsmile::model::Weights;
use gstsmile::train::{Examples, Loss, Observer, Preset, Recipe, Result, Sample, Smiles, Trainer};

const L2: f64 = 1e-4;

/// A trainer whose epochs are one step long.
pub struct Training {
    trainer: Trainer<Smiles>,
    samples: Vec<Sample>,
}

struct Silent;

impl Observer for Silent {}

impl Training {
    /// On `batch` pictures that are made up, every other one with a smile.
    pub fn new(weights: &Weights, batch: usize, device: &Device) -> Result<Self> {
        let architecture = weights.metadata.architecture.clone();
        let len = architecture.input_len();
        let recipe = Recipe { architecture, l2: L2, batch, epochs: 0, ..Preset::PaperDeep.recipe() };
        let pixels = pictures(batch, len);
        let sample = |(index, pixels): (usize, &[u8])| Sample {
            name: index.to_string(),
            pixels: pixels.into(),
            wide: Box::default(),
            smiling: index % 2 == 1,
            votes: None,
        };
        let task = Smiles::new(Loss::CrossEntropy, weights.metadata.clone());
        let trainer = Trainer::from_tensors(recipe, task, weights.tensors.clone(), device)?;
        Ok(Self { trainer, samples: pixels.chunks_exact(len).enumerate().map(sample).collect() })
    }

    /// One step.
    pub fn step(&mut self) -> Result<()> {
        self.trainer.recipe_mut().epochs += 1;
        let samples: Vec<&Sample> = self.samples.iter().collect();
        self.trainer.run(&Examples::new(&samples, &[]), None, &mut Silent)?;
        Ok(())
    }

    /// One step; gives the loss before it, with the penalty of L2 as Keras counts it.
    #[allow(dead_code, reason = "the benchmark of single operations asks for no losses")]
    pub fn loss_and_step(&mut self) -> Result<f64> {
        let mut squares = 0.0;
        for (name, tensor) in self.trainer.tensors()? {
            if name.ends_with("weight") && tensor.rank() > 1 {
                squares += f64::from(tensor.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        self.step()?;
        let last = self.trainer.history().last().expect("a step was made");
        Ok(last.loss + L2 * squares)
    }
}

/// Made by the same formula as in `compare.py`.
pub fn pictures(count: usize, len: usize) -> Vec<u8> {
    (0..count * len).map(|index| ((index * 7919 + index / 251 * 104_729) % 256) as u8).collect()
}
