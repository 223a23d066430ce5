//! How good a network is, where it fails, and what it bears.

use serde::{Deserialize, Serialize};

use super::metrics::{Bin, Confusion, area_under_curve, best_threshold, calibration_error, reliability};
use crate::train::data::dataset::Sample;

use super::bands::{Band, bands};
use super::curves::{Point, roc};

/// Everything that a network's answers to labelled pictures tell of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How many were answered or not.
    pub pictures: usize,
    /// Pictures in which no face was found; each counts as a mistake.
    pub without_face: usize,
    /// From 0 to 1.
    pub accuracy: f64,
    /// 95 % interval of the accuracy.
    pub interval: [f64; 2],
    /// Answers by labels.
    pub confusion: Confusion,
    /// The mean of both classes' accuracies, the threshold at which it would be best, and what it would be there.
    #[serde(default)]
    pub balanced_accuracy: f64,
    /// The threshold of the best balanced accuracy.
    #[serde(default)]
    pub best_threshold: f32,
    /// The balanced accuracy there.
    #[serde(default)]
    pub best_balanced_accuracy: f64,
    /// Under the ROC curve, from 0 to 1.
    pub area_under_curve: f64,
    /// Expected calibration error over ten bins.
    pub calibration_error: f64,
    /// The ROC curve, from (0, 0) to (1, 1).
    pub roc: Vec<Point>,
    /// The reliability curve, in ten bins.
    pub reliability: Vec<Bin>,
    /// By head pose and brightness.
    pub bands: Vec<Band>,
    /// The answers that are furthest from their labels, the furthest first.
    pub mistakes: Vec<Mistake>,
}

/// A wrong answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The picture's.
    pub name: String,
    /// What the label says.
    pub smiling: bool,
    /// Of smiling.
    pub probability: f32,
}

/// How many mistakes are listed.
const MOST_MISTAKES: usize = 20;

impl Evaluation {
    /// Of `probabilities` of smiling, no number where no face was found; a smile counts from
    /// `threshold` on. `poses` are yaw, pitch and roll of each head in radians, where they are known.
    pub fn new(
        samples: &[&Sample],
        probabilities: &[f32],
        threshold: f32,
        poses: &[Option<[f32; 3]>],
    ) -> Self {
        let confusion = Confusion::count(samples, probabilities, threshold);
        let (best_threshold, best_balanced_accuracy) = best_threshold(samples, probabilities);
        Self {
            balanced_accuracy: confusion.balanced_accuracy(),
            best_threshold,
            best_balanced_accuracy,
            pictures: samples.len(),
            without_face: probabilities.iter().filter(|probability| probability.is_nan()).count(),
            accuracy: confusion.accuracy(),
            interval: confusion.interval(),
            confusion,
            area_under_curve: area_under_curve(samples, probabilities),
            calibration_error: calibration_error(samples, probabilities),
            roc: roc(samples, probabilities),
            reliability: reliability(samples, probabilities),
            bands: bands(samples, probabilities, threshold, poses),
            mistakes: mistakes(samples, probabilities, threshold),
        }
    }
}

fn mistakes(samples: &[&Sample], probabilities: &[f32], threshold: f32) -> Vec<Mistake> {
    let answers = samples.iter().zip(probabilities).filter(|(_, probability)| !probability.is_nan());
    let wrong = answers.filter(|&(sample, &probability)| (probability >= threshold) != sample.smiling);
    let mut mistakes: Vec<Mistake> = wrong
        .map(|(sample, &probability)| Mistake {
            name: sample.name.clone(),
            smiling: sample.smiling,
            probability,
        })
        .collect();
    let away = |mistake: &Mistake| (mistake.probability - f32::from(u8::from(mistake.smiling))).abs();
    mistakes.sort_by(|a, b| away(b).total_cmp(&away(a)).then_with(|| a.name.cmp(&b.name)));
    mistakes.truncate(MOST_MISTAKES);
    mistakes
}
