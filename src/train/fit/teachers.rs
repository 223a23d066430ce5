//! Trained networks whose answers another one learns from.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use rayon::prelude::*;

use crate::model::{Classifier, Weights};
use crate::train::error::Result;

/// Some networks for the same pictures. They run on the CPU's engine, which learns nothing but is
/// many times as fast as a step of training.
pub struct Teachers {
    weights: Vec<Weights>,
    /// A set of networks for each thread that has needed one; lent while it works.
    idle: Mutex<Vec<Vec<Classifier>>>,
}

/// Pictures that a thread takes at a time.
const SHARE: usize = 8;

impl Teachers {
    /// # Errors
    /// Where a network's tensors are not whole.
    pub fn new(weights: Vec<Weights>) -> Result<Self> {
        let teachers = Self { weights, idle: Mutex::default() };
        let first = teachers.set()?;
        teachers.give_back(first);
        Ok(teachers)
    }

    /// The mean of the networks' probabilities of smiling for each picture (bytes of R, G and B
    /// planes of their input's size).
    ///
    /// # Errors
    /// Where there is no memory for one more thread's networks.
    pub fn answers(&self, pictures: &[Cow<[u8]>]) -> Result<Vec<f32>> {
        let answers: Vec<Vec<f32>> =
            pictures.par_chunks(SHARE).map(|share| self.answer(&share.concat())).collect::<Result<_>>()?;
        Ok(answers.concat())
    }

    fn answer(&self, pictures: &[u8]) -> Result<Vec<f32>> {
        let mut set = match self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            Some(set) => set,
            None => self.set()?,
        };
        let (mut sums, mut probabilities) = (Vec::new(), Vec::new());
        for classifier in &mut set {
            classifier.probabilities(pictures, &mut probabilities)?;
            sums.resize(probabilities.len(), 0.0);
            sums.iter_mut().zip(&probabilities).for_each(|(sum, probability)| *sum += probability);
        }
        self.give_back(set);
        sums.iter_mut().for_each(|sum| *sum /= self.weights.len() as f32);
        Ok(sums)
    }

    fn set(&self) -> Result<Vec<Classifier>> {
        let classifier = |weights| Ok(Classifier::new(weights, &Device::Cpu)?);
        self.weights.iter().map(classifier).collect()
    }

    fn give_back(&self, set: Vec<Classifier>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(set);
    }
}
