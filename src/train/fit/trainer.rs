//! The training loop.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adam::Adam;
use super::average::Average;
use super::recipe::Recipe;
use crate::model::{self, BatchStatistics, Network};
use crate::train::error::{Error, Result};
use crate::train::{input, output};

/// How fast the running averages of a normalisation follow the batches; Keras' default.
const NORM_MOMENTUM: f64 = 0.99;

/// What one pass over the training samples came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochResult {
    /// From 1.
    pub epoch: usize,
    /// Means over the epoch's batches as they were trained on, without regularisation.
    pub loss: f64,
    /// The share that is told as labelled, from 0 to 1.
    pub accuracy: f64,
    /// After the epoch; `None` where nothing is held out.
    pub held_out_loss: Option<f64>,
    /// The same of what is held out, where something is.
    pub held_out_accuracy: Option<f64>,
}

/// Where training stands within an epoch.
#[derive(Clone, Debug)]
pub struct Progress {
    /// From 1.
    pub epoch: usize,
    /// How many there will be.
    pub epochs: usize,
    /// Batches done.
    pub batch: usize,
    /// How many an epoch has.
    pub batches: usize,
    /// Means over the epoch so far.
    pub loss: f64,
    /// The share that is told as labelled, from 0 to 1.
    pub accuracy: f64,
}

/// Watches a training run, and may end it.
pub trait Observer {
    /// After each step.
    fn batch(&mut self, _: &Progress) {}
    /// After each epoch.
    fn epoch(&mut self, _: &EpochResult) {}
    /// Asked after every batch.
    fn stopped(&self) -> bool {
        false
    }
}

/// How a training run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// By the observer; [`Trainer::resume`] goes on.
    Interrupted,
}

/// What there is to learn: how examples become batches, and answers a loss.
pub trait Task {
    /// What is learnt from, such as a picture with its label.
    type Example;
    /// What is expected of a batch.
    type Targets;

    /// The inputs `(batch, channels, height, width)` of some examples, and what to expect. With
    /// `variation`, a source of chance of this batch's own, they vary as training wants them to;
    /// without, they are always the same.
    ///
    /// # Errors
    /// Where the device fails.
    fn batch(
        &self,
        examples: &[&Self::Example],
        variation: Option<ChaCha8Rng>,
        device: &Device,
    ) -> Result<(Tensor, Self::Targets)>;

    /// The batch's mean loss, and for how many of its examples the network's answers are right.
    ///
    /// # Errors
    /// Where the device fails.
    fn judge(&self, answers: &[Tensor], targets: &Self::Targets) -> Result<(Tensor, usize)>;
}

/// What is learnt from, and what is not.
pub struct Examples<'a, E> {
    /// Seen once in every epoch.
    pub training: &'a [&'a E],
    /// What is learnt from beside.
    pub extra: Vec<Extra<'a, E>>,
    /// Measured on after each epoch.
    pub held_out: &'a [&'a E],
}

/// More to learn from. An epoch sees `share` times as many of these as there are in training, if there are,
/// chosen anew.
#[derive(Clone)]
pub struct Extra<'a, E> {
    /// To be drawn from.
    pub examples: Vec<&'a E>,
    /// How many of them an epoch sees for each of the training examples.
    pub share: f64,
}

impl<'a, E> Examples<'a, E> {
    /// Without anything beside.
    pub fn new(training: &'a [&'a E], held_out: &'a [&'a E]) -> Self {
        Self { training, extra: Vec::new(), held_out }
    }

    /// One epoch's examples in their order.
    fn of_epoch(&self, rng: &mut ChaCha8Rng) -> Vec<&'a E> {
        let mut order = self.training.to_vec();
        for Extra { examples, share } in self.extra.iter().filter(|extra| !extra.examples.is_empty()) {
            let mut examples = examples.clone();
            examples.shuffle(rng);
            let count = (share * self.training.len() as f64).round() as usize;
            order.extend(examples.into_iter().take(count));
        }
        order.shuffle(rng);
        order
    }
}

/// A network in training.
///
/// The same recipe, task and examples give the same weights, bit for bit, on machines with the same
/// instruction set, whether or not training was interrupted and resumed.
pub struct Trainer<T> {
    recipe: Recipe,
    task: T,
    device: Device,
    parameters: BTreeMap<String, Var>,
    network: Network,
    adam: Adam,
    average: Option<Average>,
    position: Position,
    about: Value,
}

/// How far training has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    history: Vec<EpochResult>,
    /// Of the epoch after those: batches done, and sums over their samples.
    batches: usize,
    examples: usize,
    loss: f64,
    right: usize,
}

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct State {
    recipe: Recipe,
    position: Position,
    steps: i32,
    /// What it is of: see [`Trainer::about`].
    #[serde(default)]
    about: Value,
}

/// Where an interrupted training was, as a file has it.
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    tensors: HashMap<String, Tensor>,
}

impl Checkpoint {
    /// # Errors
    /// Where the file can't be read, is no checkpoint, or has values that are no numbers.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            input::read(path, MOST_BYTES).map_err(|source| Error::Read { path: path.into(), source })?;
        Self::parse(path, &bytes).map_err(|reason| foreign(path, &reason))
    }

    fn parse(path: &Path, bytes: &[u8]) -> std::result::Result<Self, String> {
        let (text, tensors) = model::from_safetensors(bytes, CHECKPOINT_KEY)?;
        let state: State = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if let Some(name) = not_finite(&tensors) {
            return Err(format!("{name} has values that are no numbers"));
        }
        Ok(Self { path: path.into(), state, tensors })
    }

    /// What the run that wrote it said of itself; nothing where it said nothing.
    pub fn about(&self) -> &Value {
        &self.state.about
    }

    /// Network and training.
    pub fn recipe(&self) -> &Recipe {
        &self.state.recipe
    }

    /// The epochs done when it was written.
    pub fn epochs(&self) -> usize {
        self.state.position.history.len()
    }
}

fn foreign(path: &Path, reason: &str) -> Error {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, format!("no checkpoint: {reason}"));
    Error::Read { path: path.into(), source }
}

/// The name of a tensor with a value that is no number.
fn not_finite(tensors: &HashMap<String, Tensor>) -> Option<&str> {
    let is_finite = |tensor: &Tensor| {
        let values = tensor.flatten_all().and_then(|values| values.to_vec1::<f32>());
        values.is_ok_and(|values| values.iter().all(|value| value.is_finite()))
    };
    tensors.iter().find(|(_, tensor)| !is_finite(tensor)).map(|(name, _)| name.as_str())
}

/// Bytes of a checkpoint, at most: four times what the largest network that the program makes has.
const MOST_BYTES: u64 = 1 << 32;

const CHECKPOINT_KEY: &str = "smilefilter-checkpoint";

/// How the names of a checkpoint's tensors begin that are no parameters.
const STATES: [&str; 3] = ["first.", "second.", "average."];

impl<T: Task> Trainer<T> {
    /// A network with fresh parameters drawn from the recipe's seed.
    ///
    /// # Errors
    /// Where the architecture is not sound.
    pub fn new(recipe: Recipe, task: T, device: &Device) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        let tensors = model::initial_tensors(&recipe.architecture, &mut rng)?;
        Self::from_tensors(recipe, task, tensors, device)
    }

    /// A network that goes on from trained weights' tensors, with the recipe's steps and seed but a
    /// fresh optimiser.
    ///
    /// # Errors
    /// Where the tensors don't fit the recipe's architecture.
    pub fn from_tensors(
        recipe: Recipe,
        task: T,
        tensors: HashMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self> {
        let parameters: BTreeMap<String, Var> = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor.to_device(device)?)?)))
            .collect::<Result<_>>()?;
        let network = network_of(&recipe, &parameters, device)?;
        let trained = parameters.iter().filter(|(name, _)| !name.contains("running_"));
        let adam = Adam::new(trained.map(|(name, var)| (name.clone(), var.clone())))?;
        let average = match recipe.average > 0.0 {
            true => {
                Some(Average::new(&parameters, recipe.average, |vars| network_of(&recipe, vars, device))?)
            }
            false => None,
        };
        let (device, position, about) = (device.clone(), Position::default(), Value::Null);
        Ok(Self { recipe, task, device, parameters, network, adam, average, position, about })
    }

    /// Goes on where the run that wrote `checkpoint` was, in the middle of an epoch too.
    ///
    /// # Errors
    /// Where the file can't be read or is no checkpoint.
    pub fn resume(checkpoint: &Path, task: T, device: &Device) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::read(checkpoint)?, task, device)
    }

    /// The same from what was read.
    ///
    /// # Errors
    /// Where its tensors aren't those of its network.
    pub fn from_checkpoint(checkpoint: Checkpoint, task: T, device: &Device) -> Result<Self> {
        let Checkpoint { path, state: saved, mut tensors } = checkpoint;
        let state = |name: &String, _: &mut Tensor| STATES.iter().any(|state| name.starts_with(state));
        let states: HashMap<String, Tensor> = tensors.extract_if(state).collect();
        let mut trainer = Self::from_tensors(saved.recipe, task, tensors, device)
            .map_err(|error| foreign(&path, &error.to_string()))?;
        let mut restored = trainer.adam.restore(saved.steps, &states);
        if let Some(average) = &mut trainer.average {
            restored = restored.and_then(|()| average.restore(saved.steps, &states));
        }
        restored.ok_or_else(|| foreign(&path, "the optimiser's state is missing"))?;
        trainer.position = saved.position;
        trainer.about = saved.about;
        Ok(trainer)
    }

    /// What its checkpoints are to say that they are of: nobody must go on from those of another run.
    pub fn about(self, about: Value) -> Self {
        Self { about, ..self }
    }

    /// Network and training.
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

    /// Trains until the recipe's epochs are done or the observer stops it, measuring on what is held
    /// out after each epoch without learning from it. A checkpoint is written after each epoch and on
    /// interruption.
    ///
    /// # Errors
    /// [`Error::Diverged`] where numbers are none any more; then the last checkpoint is still there. Where the
    /// checkpoint can't be written, or the device fails.
    pub fn run(
        &mut self,
        examples: &Examples<T::Example>,
        checkpoint: Option<&Path>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        while self.position.history.len() < self.recipe.epochs {
            let outcome = self.run_epoch(examples, observer)?;
            let diverged = Error::Diverged { epoch: self.position.history.len() + 1 };
            if outcome == Outcome::Finished {
                let result = self.finish_epoch(examples.held_out)?;
                observer.epoch(&result);
                self.position = Position {
                    history: [std::mem::take(&mut self.position.history), vec![result]].concat(),
                    ..Position::default()
                };
            }
            if let Some(path) = checkpoint
                && !self.save(path)?
            {
                return Err(diverged);
            }
            if outcome == Outcome::Interrupted {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Finished)
    }

    /// The rest of the current epoch.
    fn run_epoch(&mut self, examples: &Examples<T::Example>, observer: &mut dyn Observer) -> Result<Outcome> {
        let epoch = self.position.history.len() + 1;
        // Stream 0 drew the parameters.
        let order = examples.of_epoch(&mut self.chance(epoch as u64));
        let batches = order.len().div_ceil(self.recipe.batch);
        for batch in order.chunks(self.recipe.batch).skip(self.position.batches) {
            self.step(batch, epoch, batches)?;
            if !self.position.loss.is_finite() {
                return Err(Error::Diverged { epoch });
            }
            let position = &self.position;
            let examples = position.examples as f64;
            observer.batch(&Progress {
                epoch,
                epochs: self.recipe.epochs,
                batch: position.batches,
                batches,
                loss: position.loss / examples,
                accuracy: position.right as f64 / examples,
            });
            if observer.stopped() {
                return Ok(Outcome::Interrupted);
            }
        }
        Ok(Outcome::Finished)
    }

    /// One of the many independent sources of chance that the seed gives.
    fn chance(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        rng.set_stream(stream);
        rng
    }

    /// One step of the optimiser.
    fn step(&mut self, batch: &[&T::Example], epoch: usize, batches: usize) -> Result<()> {
        let done = self.position.batches;
        let variation = self.chance((epoch as u64) << 32 | (done as u64 + 1));
        let (inputs, targets) = self.task.batch(batch, Some(variation), &self.device)?;
        let (answers, statistics) = self.network.forward_train(&inputs)?;
        let (loss, right) = self.task.judge(&answers, &targets)?;
        let gradients = self.penalised(&loss)?.backward()?;
        let step = (epoch - 1) * batches + done;
        let share = self.recipe.schedule.share(step, batches, self.recipe.epochs * batches);
        self.adam.step(&gradients, self.recipe.learning_rate * share)?;
        self.follow(statistics)?;
        if let Some(average) = &mut self.average {
            average.follow(&self.parameters)?;
        }
        self.position.batches += 1;
        self.position.examples += batch.len();
        self.position.loss += f64::from(loss.to_scalar::<f32>()?) * batch.len() as f64;
        self.position.right += right;
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

    fn finish_epoch(&self, held_out: &[&T::Example]) -> Result<EpochResult> {
        let position = &self.position;
        let network = self.average.as_ref().map_or(&self.network, Average::network);
        let (mut loss, mut right) = (0.0, 0);
        for batch in held_out.chunks(self.recipe.batch) {
            let (inputs, targets) = self.task.batch(batch, None, &self.device)?;
            let answers: Vec<Tensor> = network.forward(&inputs)?.iter().map(Tensor::detach).collect();
            let (mean, count) = self.task.judge(&answers, &targets)?;
            loss += f64::from(mean.to_scalar::<f32>()?) * batch.len() as f64;
            right += count;
        }
        let mean = |sum: f64| (!held_out.is_empty()).then_some(sum / held_out.len() as f64);
        Ok(EpochResult {
            epoch: position.history.len() + 1,
            loss: position.loss / position.examples as f64,
            accuracy: position.right as f64 / position.examples as f64,
            held_out_loss: mean(loss),
            held_out_accuracy: mean(right as f64),
        })
    }

    /// The network's tensors as they are now, averaged where the recipe says so.
    pub fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        on_cpu(self.average.as_ref().map_or(&self.parameters, Average::parameters))
    }

    /// Writes a checkpoint, unless it would have values that are no numbers: then it is `false`.
    fn save(&self, path: &Path) -> Result<bool> {
        let (steps, mut tensors) = self.adam.state();
        if let Some(average) = &self.average {
            tensors.extend(average.state());
        }
        tensors.extend(on_cpu(&self.parameters)?);
        if not_finite(&tensors).is_some() {
            return Ok(false);
        }
        let (recipe, position, about) = (self.recipe.clone(), self.position.clone(), self.about.clone());
        let text = serde_json::to_string(&State { recipe, position, steps, about });
        let text = text.expect("a checkpoint is plain data");
        let bytes = model::to_safetensors(&tensors, CHECKPOINT_KEY, text)?;
        output::write(path, &bytes).map(|()| true)
    }
}

fn network_of(recipe: &Recipe, parameters: &BTreeMap<String, Var>, device: &Device) -> Result<Network> {
    let tensors = parameters.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
    let tensors = VarBuilder::from_tensors(tensors.collect(), DType::F32, device);
    Ok(Network::new(&recipe.architecture, &tensors)?)
}

fn on_cpu(parameters: &BTreeMap<String, Var>) -> Result<HashMap<String, Tensor>> {
    let tensor =
        |(name, var): (&String, &Var)| Ok((name.clone(), var.as_tensor().detach().to_device(&Device::Cpu)?));
    parameters.iter().map(tensor).collect()
}
