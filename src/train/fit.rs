//! The training loop.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::dataset::Sample;
use super::error::{Error, Result};
use super::recipe::Recipe;
use crate::model::{self, BatchStatistics, Classifier, Metadata, Network, Weights};

/// How fast the running averages of a normalisation follow the batches; Keras' default.
const NORM_MOMENTUM: f64 = 0.99;

/// What one pass over the training samples came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochResult {
    /// From 1.
    pub epoch: usize,
    /// Means over the epoch's batches as they were trained on, without regularisation.
    pub loss: f64,
    pub accuracy: f64,
    /// After the epoch; `None` where nothing is held out.
    pub held_out_loss: Option<f64>,
    pub held_out_accuracy: Option<f64>,
}

/// Where training stands within an epoch.
#[derive(Clone, Debug)]
pub struct Progress {
    /// From 1.
    pub epoch: usize,
    pub epochs: usize,
    /// Batches done.
    pub batch: usize,
    pub batches: usize,
    /// Means over the epoch so far.
    pub loss: f64,
    pub accuracy: f64,
}

/// Watches a training run, and may end it.
pub trait Observer {
    fn batch(&mut self, _: &Progress) {}
    fn epoch(&mut self, _: &EpochResult) {}
    /// Asked after every batch.
    fn stopped(&self) -> bool {
        false
    }
}

/// How a training run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// By the observer; [`Trainer::resume`] goes on.
    Interrupted,
}

/// A network in training.
///
/// The same recipe and samples give the same weights, bit for bit, on machines with the same
/// instruction set, whether or not training was interrupted and resumed.
pub struct Trainer {
    recipe: Recipe,
    device: Device,
    parameters: BTreeMap<String, Var>,
    network: Network,
    adam: Adam,
    position: Position,
}

/// How far training has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    history: Vec<EpochResult>,
    /// Of the epoch after those: batches done, and sums over their samples.
    batches: usize,
    samples: usize,
    loss: f64,
    right: usize,
}

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    recipe: Recipe,
    position: Position,
    steps: i32,
}

const CHECKPOINT_KEY: &str = "smilefilter-checkpoint";

impl Trainer {
    /// A network with fresh parameters drawn from the recipe's seed.
    ///
    /// # Errors
    /// Where the architecture is not sound.
    pub fn new(recipe: Recipe, device: &Device) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        let tensors = model::initial_tensors(&recipe.architecture, &mut rng)?;
        Self::with_tensors(recipe, tensors, device)
    }

    /// A network that goes on from trained weights, with the recipe's loss, steps and seed but a
    /// fresh optimiser.
    ///
    /// # Errors
    /// Where the weights don't fit the recipe's architecture.
    pub fn from_weights(recipe: Recipe, weights: &Weights, device: &Device) -> Result<Self> {
        Self::with_tensors(recipe, weights.tensors.clone(), device)
    }

    fn with_tensors(recipe: Recipe, tensors: HashMap<String, Tensor>, device: &Device) -> Result<Self> {
        let parameters: BTreeMap<String, Var> = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor.to_device(device)?)?)))
            .collect::<Result<_>>()?;
        let tensors = parameters.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let tensors = VarBuilder::from_tensors(tensors.collect(), DType::F32, device);
        let network = Network::new(&recipe.architecture, &tensors)?;
        let trained = parameters.iter().filter(|(name, _)| !name.contains("running_"));
        let adam = Adam::new(trained.map(|(name, var)| (name.clone(), var.clone())))?;
        Ok(Self { recipe, device: device.clone(), parameters, network, adam, position: Position::default() })
    }

    /// Goes on where the run that wrote `checkpoint` was, in the middle of an epoch too.
    ///
    /// # Errors
    /// Where the file can't be read or is no checkpoint.
    pub fn resume(checkpoint: &Path, device: &Device) -> Result<Self> {
        let failed = |source| Error::Read { path: checkpoint.into(), source };
        let foreign = |reason: String| {
            failed(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("no checkpoint: {reason}")))
        };
        let bytes = std::fs::read(checkpoint).map_err(failed)?;
        let (text, mut tensors) = model::from_safetensors(&bytes, CHECKPOINT_KEY).map_err(foreign)?;
        let saved: Checkpoint = serde_json::from_str(&text).map_err(|error| foreign(error.to_string()))?;
        let moments = tensors.extract_if(|name, _| name.starts_with("first.") || name.starts_with("second."));
        let moments = moments.collect();
        let mut trainer = Self::with_tensors(saved.recipe, tensors, device)?;
        let restored = trainer.adam.restore(saved.steps, &moments);
        restored.ok_or_else(|| foreign("moments are missing".into()))?;
        trainer.position = saved.position;
        Ok(trainer)
    }

    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// For changes that a running training bears, such as more epochs.
    pub fn recipe_mut(&mut self) -> &mut Recipe {
        &mut self.recipe
    }

    /// The epochs done so far.
    pub fn history(&self) -> &[EpochResult] {
        &self.position.history
    }

    /// Trains until the recipe's epochs are done or the observer stops it, measuring on `held_out`
    /// after each epoch without learning from it. A checkpoint is written after each epoch and on
    /// interruption.
    ///
    /// # Errors
    /// Where the checkpoint can't be written, or the device fails.
    pub fn run(
        &mut self,
        training: &[&Sample],
        held_out: &[&Sample],
        checkpoint: Option<&Path>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        while self.position.history.len() < self.recipe.epochs {
            let outcome = self.run_epoch(training, observer)?;
            if outcome == Outcome::Finished {
                let result = self.finish_epoch(held_out)?;
                observer.epoch(&result);
                self.position = Position {
                    history: [std::mem::take(&mut self.position.history), vec![result]].concat(),
                    ..Position::default()
                };
            }
            if let Some(path) = checkpoint {
                self.save(path)?;
            }
            if outcome == Outcome::Interrupted {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Finished)
    }

    /// The rest of the current epoch.
    fn run_epoch(&mut self, training: &[&Sample], observer: &mut dyn Observer) -> Result<Outcome> {
        let epoch = self.position.history.len() + 1;
        let mut order = training.to_vec();
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        // Stream 0 drew the parameters.
        rng.set_stream(epoch as u64);
        order.shuffle(&mut rng);
        let batches = order.len().div_ceil(self.recipe.batch);
        for batch in order.chunks(self.recipe.batch).skip(self.position.batches) {
            self.step(batch)?;
            let position = &self.position;
            let samples = position.samples as f64;
            observer.batch(&Progress {
                epoch,
                epochs: self.recipe.epochs,
                batch: position.batches,
                batches,
                loss: position.loss / samples,
                accuracy: position.right as f64 / samples,
            });
            if observer.stopped() {
                return Ok(Outcome::Interrupted);
            }
        }
        Ok(Outcome::Finished)
    }

    /// One step of the optimiser.
    fn step(&mut self, batch: &[&Sample]) -> Result<()> {
        let (pictures, targets) = self.tensors(batch)?;
        let (logits, statistics) = self.network.forward_train(&pictures)?;
        let loss = self.recipe.loss.mean(&logits, &targets)?;
        let gradients = self.penalised(&loss)?.backward()?;
        self.adam.step(&gradients, self.recipe.learning_rate)?;
        self.follow(statistics)?;
        self.position.batches += 1;
        self.position.samples += batch.len();
        self.position.loss += f64::from(loss.to_scalar::<f32>()?) * batch.len() as f64;
        self.position.right += count_right(&logits, batch)?;
        Ok(())
    }

    /// The loss with L2 regularisation of every kernel added, as Keras' `kernel_regularizer` does.
    fn penalised(&self, loss: &Tensor) -> Result<Tensor> {
        let mut total = loss.clone();
        if self.recipe.l2 > 0.0 {
            for kernel in self.network.kernels() {
                total = (total + (kernel.sqr()?.sum_all()? * self.recipe.l2)?)?;
            }
        }
        Ok(total)
    }

    /// Lets the running averages follow a batch.
    fn follow(&self, statistics: Vec<BatchStatistics>) -> Result<()> {
        for BatchStatistics { name, mean, variance } in statistics {
            for (kind, value) in [("running_mean", mean), ("running_var", variance)] {
                let average = &self.parameters[&format!("{name}.{kind}")];
                let kept = (average.as_tensor().detach() * NORM_MOMENTUM)?;
                average.set(&(kept + (value * (1.0 - NORM_MOMENTUM))?)?)?;
            }
        }
        Ok(())
    }

    fn finish_epoch(&self, held_out: &[&Sample]) -> Result<EpochResult> {
        let position = &self.position;
        let (mut loss, mut right) = (0.0, 0);
        for batch in held_out.chunks(self.recipe.batch) {
            let (pictures, targets) = self.tensors(batch)?;
            let logits = self.network.forward(&pictures)?.detach();
            let mean = self.recipe.loss.mean(&logits, &targets)?.to_scalar::<f32>()?;
            loss += f64::from(mean) * batch.len() as f64;
            right += count_right(&logits, batch)?;
        }
        let mean = |sum: f64| (!held_out.is_empty()).then_some(sum / held_out.len() as f64);
        Ok(EpochResult {
            epoch: position.history.len() + 1,
            loss: position.loss / position.samples as f64,
            accuracy: position.right as f64 / position.samples as f64,
            held_out_loss: mean(loss),
            held_out_accuracy: mean(right as f64),
        })
    }

    /// The network as it is now; who trains fills in where it comes from.
    pub fn weights(&self) -> Result<Weights> {
        let mut tensors = HashMap::new();
        for (name, var) in &self.parameters {
            tensors.insert(name.clone(), var.as_tensor().detach().to_device(&Device::Cpu)?);
        }
        Ok(Weights { metadata: Metadata::new(self.recipe.architecture.clone()), tensors })
    }

    fn save(&self, path: &Path) -> Result<()> {
        let (steps, mut tensors) = self.adam.state();
        tensors.extend(self.weights()?.tensors);
        let state = Checkpoint { recipe: self.recipe.clone(), position: self.position.clone(), steps };
        let text = serde_json::to_string(&state).expect("a checkpoint is plain data");
        let bytes = model::to_safetensors(&tensors, CHECKPOINT_KEY, text)?;
        model::write_atomically(path, &bytes).map_err(|source| Error::Write { path: path.into(), source })
    }

    /// Pictures `(batch, channels, height, width)` and targets `(batch,)`.
    fn tensors(&self, samples: &[&Sample]) -> Result<(Tensor, Tensor)> {
        let Metadata { scale, offset, .. } = Metadata::new(self.recipe.architecture.clone());
        let [channels, height, width] = self.recipe.architecture.input;
        let pixels = samples.iter().flat_map(|sample| sample.pixels.iter());
        let values: Vec<f32> = pixels.map(|&byte| f32::from(byte) * scale + offset).collect();
        let targets: Vec<f32> = samples.iter().map(|sample| f32::from(u8::from(sample.smiling))).collect();
        Ok((
            Tensor::from_vec(values, (samples.len(), channels, height, width), &self.device)?,
            Tensor::from_vec(targets, samples.len(), &self.device)?,
        ))
    }
}

fn count_right(logits: &Tensor, samples: &[&Sample]) -> Result<usize> {
    let logits = logits.to_vec1::<f32>()?;
    Ok(logits.iter().zip(samples).filter(|(logit, sample)| (**logit >= 0.0) == sample.smiling).count())
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
