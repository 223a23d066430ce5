//! One frame in, its faces out.

use super::crop::{Cropper, Picture, Rect};
use super::locate;
use crate::model::{Classifier, DeviceChoice, Error, Region, Result, Weights};

/// What was found at one place of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// Where the network looked.
    pub rect: Rect,
    /// Of smiling, from 0 to 1.
    pub probability: f32,
    /// Whether `probability` reaches the weights' threshold.
    pub smiling: bool,
    /// What the weights call this answer.
    pub label: String,
}

impl Face {
    /// The probability of the answer given, from 0 to 1.
    pub fn confidence(&self) -> f32 {
        if self.smiling { self.probability } else { 1.0 - self.probability }
    }
}

/// Everything between a frame and its faces, with all buffers kept from frame to frame.
pub struct Analyzer {
    classifier: Classifier,
    cropper: Cropper,
    crops: Vec<u8>,
    probabilities: Vec<f32>,
}

impl Analyzer {
    /// Puts the network onto the device and tries it once, so that neither broken weights nor a
    /// slow first run show up in the stream.
    ///
    /// # Errors
    /// Where the device can't be had, or the weights lack a tensor or give no probability.
    pub fn new(weights: &Weights, device: DeviceChoice) -> Result<Self> {
        let classifier = Classifier::new(weights, &device.open()?)?;
        let [_, height, width] = weights.metadata.architecture.input;
        let mut analyzer = Self {
            classifier,
            cropper: Cropper::new(width, height),
            crops: vec![128; weights.metadata.architecture.input_len()],
            probabilities: Vec::new(),
        };
        analyzer.classify()?;
        Ok(analyzer)
    }

    /// The weights' names for the two answers: not smiling, smiling.
    pub fn labels(&self) -> &[String; 2] {
        &self.classifier.metadata().labels
    }

    /// Looks at one region of a picture.
    ///
    /// # Errors
    /// Where the network fails on its device.
    pub fn analyze(&mut self, picture: &Picture, region: Region) -> Result<Vec<Face>> {
        let rect = locate::region(picture, region);
        self.cropper.crop(picture, rect, &mut self.crops);
        self.classify()?;
        let metadata = self.classifier.metadata();
        let face = |&probability: &f32| {
            let smiling = probability >= metadata.threshold;
            Face { rect, probability, smiling, label: metadata.labels[usize::from(smiling)].clone() }
        };
        Ok(self.probabilities.iter().map(face).collect())
    }

    fn classify(&mut self) -> Result<()> {
        self.classifier.probabilities(&self.crops, &mut self.probabilities)?;
        match self.probabilities.iter().find(|probability| !(0.0..=1.0).contains(*probability)) {
            None => Ok(()),
            Some(value) => Err(Error::Weights {
                name: "the model".into(),
                reason: format!("it answers {value}, which is no probability"),
            }),
        }
    }
}
