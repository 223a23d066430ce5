//! What to train, and how.

use serde::{Deserialize, Serialize};

use crate::model::Architecture;

/// A named recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The paper's network of three convolutions
    PaperDefault,
    /// The paper's network of four convolutions, with L2 regularisation
    PaperDeep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    CrossEntropy,
    MeanSquaredError,
    Hinge,
}

/// Everything that training depends on, besides the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub architecture: Architecture,
    pub loss: Loss,
    pub l2: f64,
    pub epochs: usize,
    pub batch: usize,
    pub learning_rate: f64,
    pub seed: u64,
}

impl Preset {
    pub fn recipe(self) -> Recipe {
        let (blocks, l2) = match self {
            Self::PaperDefault => (3, 0.0),
            // The best on a validation part (models/README.md); the paper doesn't say its own.
            Self::PaperDeep => (4, 0.03),
        };
        Recipe {
            architecture: Architecture::paper(blocks, 32, 128),
            loss: Loss::CrossEntropy,
            l2,
            epochs: 50,
            batch: 64,
            learning_rate: 1e-3,
            seed: 1,
        }
    }
}
