//! What to train, and how.

use serde::{Deserialize, Serialize};

use crate::model::{Architecture, Region};

/// A named recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The paper's network of three convolutions
    PaperDefault,
    /// The paper's network of four convolutions, with L2 regularisation
    PaperDeep,
    /// A network that finds faces, from boxes
    Face,
    /// Our own network for faces that the face detector found
    Smile,
}

/// What training makes small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Binary cross-entropy
    CrossEntropy,
    /// The squared difference of probability and label
    MeanSquaredError,
    /// Hinge loss as Keras computes it: of the probability, with labels of -1 and 1
    Hinge,
}

/// Everything that training depends on, besides the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The network's blocks.
    pub architecture: Architecture,
    /// Strength of L2 regularisation of all kernels.
    pub l2: f64,
    /// How often to go through the training pictures.
    pub epochs: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Of the optimiser at its highest.
    pub learning_rate: f64,
    /// How the step size changes.
    pub schedule: Schedule,
    /// How much of the averaged weights each step keeps; 0 takes the weights as they are.
    pub average: f64,
    /// Of first weights, order and variation.
    pub seed: u64,
}

/// How the learning rate goes over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same all the time.
    Constant,
    /// Up in a straight line over the first epoch, then down to 0 along half a cosine (Loshchilov
    /// and Hutter 2017).
    Cosine,
}

impl Schedule {
    /// The share of the highest learning rate at `step` of `steps`, where `first` are the first
    /// epoch's.
    pub(super) fn share(self, step: usize, first: usize, steps: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine if step < first => (step + 1) as f64 / first as f64,
            Self::Cosine => {
                let done = (step - first) as f64 / steps.saturating_sub(first).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}

impl Preset {
    /// The recipe with all that the preset says.
    pub fn recipe(self) -> Recipe {
        match self {
            Self::PaperDefault => paper(3, 0.0),
            // The best on a validation part (models/notebook.md); the paper doesn't say its own.
            Self::PaperDeep => paper(4, 0.03),
            Self::Smile => Recipe {
                architecture: Architecture::smile(),
                l2: 1e-5,
                epochs: 20,
                batch: 32,
                learning_rate: 1e-3,
                schedule: Schedule::Cosine,
                average: 0.998,
                seed: 1,
            },
            Self::Face => Recipe {
                architecture: Architecture::face(160, [16, 24, 48, 64]),
                l2: 0.0,
                epochs: 60,
                batch: 32,
                learning_rate: 2e-3,
                schedule: Schedule::Cosine,
                average: 0.998,
                seed: 1,
            },
        }
    }
}

impl Preset {
    /// What the network is shown, with the margin about a face.
    pub fn region(self) -> (Region, f32) {
        match self {
            Self::Smile => (Region::Faces, 0.0),
            _ => (Region::Full, 0.0),
        }
    }

    /// How strongly the pictures of faces that a network for smiles learns from vary by chance, from 0 to 1.
    pub fn variation(self) -> Option<f64> {
        (self == Self::Smile).then_some(0.5)
    }

    /// The share of each label that isn't believed.
    pub fn doubt(self) -> f32 {
        if self == Self::Smile { 0.05 } else { 0.0 }
    }
}

fn paper(blocks: usize, l2: f64) -> Recipe {
    Recipe {
        architecture: Architecture::paper(blocks, 32, 128),
        l2,
        epochs: 50,
        batch: 64,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        average: 0.0,
        seed: 1,
    }
}
