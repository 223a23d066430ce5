//! From 64×64 crops to probabilities.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, DeviceLocation};

use super::device::DeviceChoice;
use super::engine::engine;
use super::error::{Error, Result};
use super::runner::{Batches, Candle, Runner};
use super::shared::Cache;
use super::weights::{Metadata, SmileWeights, Weights};
use crate::ops::Isa;
use crate::ops::inference::Engine;

/// A network ready to answer, on one device.
pub struct Classifier {
    parts: Arc<Parts>,
    backend: Backend,
    reason: String,
    failure: Option<Error>,
}

/// What classifiers with the same weights on the same device share.
struct Parts {
    metadata: Metadata,
    prototype: Backend,
}

#[derive(Clone)]
enum Backend {
    Cpu(Box<Engine>),
    /// A GPU, and the engine that takes over where it fails.
    Gpu {
        runner: Arc<dyn Runner>,
        spare: Box<Engine>,
    },
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
        if device != DeviceChoice::Auto {
            let mut ordered = Self::shared_on(file, &device.open()?)?;
            ordered.reason = format!("device={device} is an order{}", ordered.remark());
            return Ok(ordered);
        }
        let mut cpu = Self::shared_on(file, &Device::Cpu)?;
        let first = DeviceChoice::Cuda(0);
        let gpu = first.open().and_then(|device| {
            let mut gpu = Self::shared_on(file, &device)?;
            Ok((gpu.pace()?, gpu))
        });
        match gpu {
            Ok((on_gpu, mut gpu)) => {
                let on_cpu = cpu.pace()?;
                let remark = gpu.remark();
                let reason = format!("a face takes {on_cpu:?} on the CPU and {on_gpu:?} on {first}{remark}");
                let faster = if on_gpu < on_cpu { &mut gpu } else { &mut cpu };
                faster.reason = reason;
                Ok(if on_gpu < on_cpu { gpu } else { cpu })
            }
            Err(error) => {
                cpu.reason = match error {
                    Error::Device { reason, .. } => reason,
                    error => format!("{first} fails: {error}"),
                };
                Ok(cpu)
            }
        }
    }

    /// What else there is to say of where it runs, as the end of a sentence.
    pub(super) fn remark(&self) -> String {
        match &self.backend {
            Backend::Gpu { runner, .. } => {
                runner.remark().map(|remark| format!(", {remark}")).unwrap_or_default()
            }
            Backend::Cpu(_) => String::new(),
        }
    }

    /// How long one face takes, at best.
    fn pace(&mut self) -> Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..10 {
            let start = Instant::now();
            self.try_out()?;
            best = best.min(start.elapsed());
        }
        Ok(best)
    }

    fn shared_on(file: Option<&Path>, device: &Device) -> Result<Self> {
        let parts = SHARED.get(file, device.location(), || {
            let name = file.map_or("the built-in model".into(), |file| file.display().to_string());
            let parts = Parts::new(&file.map_or_else(SmileWeights::embedded, SmileWeights::read)?, device);
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
        Self { parts, backend, reason: String::new(), failure: None }
    }

    /// Where the network runs: `cpu` or `cuda:N`.
    pub fn device(&self) -> String {
        match &self.backend {
            Backend::Cpu(_) => DeviceChoice::Cpu.to_string(),
            Backend::Gpu { runner, .. } => runner.device(),
        }
    }

    /// Why it runs there.
    pub fn device_reason(&self) -> &str {
        &self.reason
    }

    /// What made a GPU fail since the last call; the CPU does its work from then on.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// As [`Classifier::new`] on the CPU, with the instructions of `isa`: for tests and measurements.
    ///
    /// # Panics
    /// If the machine does not have `isa`.
    pub fn with_isa(weights: &Weights, isa: Isa) -> Result<Self> {
        let prototype = Backend::Cpu(Box::new(cpu(weights, isa)?));
        Ok(Self::of(Arc::new(Parts { metadata: weights.metadata.clone(), prototype })))
    }

    /// What the weights say of themselves.
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
            Backend::Gpu { runner, spare } => {
                if let Err(error) = runner.logits(pictures, probabilities) {
                    spare.run(pictures, probabilities);
                    self.reason = format!("{} has failed: {error}", runner.device());
                    self.failure = Some(error);
                    self.backend = Backend::Cpu(spare.clone());
                }
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
        match self.take_failure() {
            // Nothing has begun yet, so that nothing has to go on elsewhere.
            Some(error) => {
                self.backend = self.parts.prototype.clone();
                let name = self.device();
                Err(Error::Device {
                    name,
                    reason: format!("the network fails there ({error}); use device=cpu"),
                })
            }
            None => Self::check(&probabilities),
        }
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
        let engine = Box::new(cpu(weights, Isa::best())?);
        let prototype = if device.is_cpu() {
            Backend::Cpu(engine)
        } else {
            let runner = Batches::new(Candle::new(weights, device)?);
            Backend::Gpu { runner: Arc::new(runner), spare: engine }
        };
        Ok(Self { metadata, prototype })
    }
}

fn cpu(weights: &Weights, isa: Isa) -> Result<Engine> {
    let Metadata { ref architecture, scale, offset, .. } = weights.metadata;
    engine(architecture, [scale, offset], &weights.tensors, None, isa)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Answers as the runner does until it is to fail.
#[cfg(test)]
struct Failing(Candle, std::sync::atomic::AtomicUsize);

#[cfg(test)]
impl Runner for Failing {
    fn logits(&self, pictures: &[u8], logits: &mut [f32]) -> Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.1.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
            return Err(Error::Architecture("the GPU fell off the bus".into()));
        }
        self.0.logits(pictures, logits)
    }

    fn device(&self) -> String {
        "cuda:5".into()
    }
}

/// A classifier on a GPU that fails after so many runs.
#[cfg(test)]
pub fn failing_after(runs: usize) -> Classifier {
    let weights = SmileWeights::embedded().unwrap();
    let metadata = weights.metadata.clone();
    let candle = Candle::new(&weights, &Device::Cpu).unwrap();
    let runner: Arc<dyn Runner> = Arc::new(Batches::new(Failing(candle, runs.into())));
    let spare = Box::new(cpu(&weights, Isa::best()).unwrap());
    Classifier::of(Arc::new(Parts { metadata, prototype: Backend::Gpu { runner, spare } }))
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

    #[test]
    fn where_a_gpu_fails_the_cpu_answers_and_the_failure_is_told_once() {
        let mut classifier = failing_after(1);
        let len = classifier.metadata().architecture.input_len();
        let pictures: Vec<u8> = (0..2 * len).map(|index| (index * 7 % 251) as u8).collect();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        classifier.probabilities(&pictures, &mut before).unwrap();
        assert!(classifier.device() == "cuda:5" && classifier.take_failure().is_none());
        classifier.probabilities(&pictures, &mut after).unwrap();
        assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-4), "{before:?} {after:?}");
        assert_eq!(classifier.device(), "cpu");
        assert!(classifier.device_reason().contains("fell off"));
        assert!(classifier.take_failure().is_some() && classifier.take_failure().is_none());
    }

    #[test]
    fn a_gpu_that_fails_at_the_start_is_an_error() {
        let message = failing_after(0).try_out().unwrap_err().to_string();
        assert!(message.contains("cuda:5") && message.contains("fell off"), "{message}");
    }

    #[test]
    fn auto_says_why_it_took_the_device() {
        let classifier = Classifier::shared(None, DeviceChoice::Auto).unwrap();
        assert!(!classifier.device_reason().is_empty());
    }
}
