//! Networks that take the place of others between two frames.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::properties::Settings;
use crate::analysis::locate::Locator;
use crate::model::{Classifier, Detector, DeviceChoice, Result};

/// Which of the networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Smile,
    Face,
}

/// A network ready to be taken over.
pub enum Loaded {
    Smile(Classifier),
    Face(Box<Locator>),
}

impl Network {
    /// The network that a property names the weights of.
    pub fn of_property(name: &str) -> Option<Self> {
        match name {
            "model-file" => Some(Self::Smile),
            "face-model-file" => Some(Self::Face),
            _ => None,
        }
    }

    /// Loads what the settings ask for. This takes its time.
    ///
    /// # Errors
    /// Where the device can't be had, or the weights can't be read or don't work.
    pub fn load(self, settings: &Settings) -> Result<Loaded> {
        let file = |name| Some(Path::new(name)).filter(|path| !path.as_os_str().is_empty());
        Ok(match self {
            Self::Smile => {
                let device = settings.device.parse::<DeviceChoice>()?;
                Loaded::Smile(Classifier::shared(file(&settings.model_file), device)?)
            }
            Self::Face => {
                let detector = Detector::shared(file(&settings.face_model_file))?;
                Loaded::Face(Box::new(Locator::with_detector(detector)))
            }
        })
    }
}

/// What has been loaded and waits for the next frame.
#[derive(Default)]
pub struct Swaps(Mutex<[Place; 2]>);

#[derive(Default)]
struct Place {
    /// How many networks were asked for; only the last one counts.
    asked: u64,
    loaded: Option<Loaded>,
}

impl Swaps {
    fn places(&self) -> MutexGuard<'_, [Place; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces that another network will come, and gives the number to deliver it with.
    pub fn ask(&self, network: Network) -> u64 {
        let place = &mut self.places()[network as usize];
        place.asked += 1;
        place.loaded = None;
        place.asked
    }

    /// Whether no other network was asked for since.
    pub fn is_wanted(&self, network: Network, number: u64) -> bool {
        self.places()[network as usize].asked == number
    }

    /// Lays a network ready, unless another was asked for since.
    pub fn deliver(&self, network: Network, number: u64, loaded: Loaded) {
        let place = &mut self.places()[network as usize];
        if place.asked == number {
            place.loaded = Some(loaded);
        }
    }

    /// Takes what lies ready.
    pub fn take(&self) -> impl Iterator<Item = Loaded> {
        self.places().each_mut().map(|place| place.loaded.take()).into_iter().flatten()
    }
}
