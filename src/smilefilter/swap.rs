//! Networks that take the place of others between two frames.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::properties::Settings;
use crate::analysis::locate::Locator;
use crate::model::{Classifier, Detector, DeviceChoice, Error, Region, Result};

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
        [Self::Smile, Self::Face].into_iter().find(|network| network.property() == name)
    }

    pub fn property(self) -> &'static str {
        match self {
            Self::Smile => "model-file",
            Self::Face => "face-model-file",
        }
    }

    /// The file that the settings ask for, empty for the built-in weights.
    pub fn file(self, settings: &mut Settings) -> &mut String {
        match self {
            Self::Smile => &mut settings.model_file,
            Self::Face => &mut settings.face_model_file,
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
                Loaded::Face(Box::new(Locator::with_detector(detector)?))
            }
        })
    }
}

/// Why a network could not be loaded, and what to do about it in a pipeline.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Read { .. } => format!(
            "{error}; set model-file and face-model-file to weights files or leave them empty for the built-in \
             weights"
        ),
        Error::Kind { .. } => {
            format!("{error}: model-file is for smiles, and face-model-file is for finding faces")
        }
        error => error.to_string(),
    }
}

/// What has been loaded and waits for the next frame.
#[derive(Default)]
pub struct Swaps {
    places: Mutex<[Place; 2]>,
    /// Where the network for smiles runs, once that is settled.
    device: OnceLock<String>,
    /// What the network for smiles was trained on, once there is one.
    trained_on: Mutex<Option<Region>>,
}

#[derive(Default)]
struct Place {
    /// How many networks were asked for; only the last one counts.
    asked: u64,
    /// Nobody has begun to load it.
    waits: bool,
    loaded: Option<Loaded>,
    /// Of the weights in use, or of those that lie ready.
    file: String,
}

impl Swaps {
    fn places(&self) -> MutexGuard<'_, [Place; 2]> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what the element has started with.
    pub fn started(&self, mut settings: Settings) {
        for network in [Network::Smile, Network::Face] {
            self.places()[network as usize].file = std::mem::take(network.file(&mut settings));
        }
        let _ = self.device.set(settings.device);
    }

    /// The device that the element has started with; the setting may be for the next start already.
    pub fn device(&self) -> Option<&String> {
        self.device.get()
    }

    /// Takes down what the network that the element has started with was trained on.
    pub fn started_on(&self, region: Region) {
        // Another may have been delivered meanwhile.
        self.trained().get_or_insert(region);
    }

    /// What the network for smiles was trained on that is in use or lies ready.
    pub fn trained_on(&self) -> Option<Region> {
        *self.trained()
    }

    fn trained(&self) -> MutexGuard<'_, Option<Region>> {
        self.trained_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of the weights in use, empty for the built-in ones.
    pub fn file(&self, network: Network) -> String {
        self.places()[network as usize].file.clone()
    }

    /// Asks for another network, in the place of one that was asked for before.
    pub fn ask(&self, network: Network) {
        let place = &mut self.places()[network as usize];
        place.asked += 1;
        (place.waits, place.loaded) = (true, None);
    }

    /// A network that is to be loaded next, and the number to deliver it with.
    pub fn next(&self) -> Option<(Network, u64)> {
        let mut places = self.places();
        let waits = |network: &Network| std::mem::take(&mut places[*network as usize].waits);
        let network = [Network::Smile, Network::Face].into_iter().find(waits)?;
        Some((network, places[network as usize].asked))
    }

    /// Whether no other network was asked for since.
    pub fn is_wanted(&self, network: Network, number: u64) -> bool {
        self.places()[network as usize].asked == number
    }

    /// Lays a network of `file` ready, unless another was asked for since.
    pub fn deliver(&self, network: Network, number: u64, file: String, loaded: Loaded) {
        let place = &mut self.places()[network as usize];
        if place.asked == number {
            if let Loaded::Smile(classifier) = &loaded {
                *self.trained() = Some(classifier.metadata().region);
            }
            (place.loaded, place.file) = (Some(loaded), file);
        }
    }

    /// Takes what lies ready.
    pub fn take(&self) -> impl Iterator<Item = Loaded> {
        self.places().each_mut().map(|place| place.loaded.take()).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_loaded_once_for_all_who_asked() {
        let swaps = Swaps::default();
        for network in [Network::Smile, Network::Face, Network::Smile] {
            swaps.ask(network);
        }
        let waiting: Vec<_> = std::iter::from_fn(|| swaps.next()).collect();
        assert_eq!(waiting, [(Network::Smile, 2), (Network::Face, 1)]);
        assert!(swaps.is_wanted(Network::Smile, 2) && !swaps.is_wanted(Network::Smile, 1));
    }
}
