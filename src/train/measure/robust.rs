//! Accuracy through the whole chain while things get harder.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use image::RgbImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::perturb::Perturbation;
use crate::analysis::crop::{Cropper, Picture, Rect};
use crate::analysis::locate::{Detection, Locator, face_square};
use crate::model::{Classifier, FaceWeights, Weights};
use crate::train::data::dataset::{self, Catalog};
use crate::train::error::Result;

/// A picture, and which network answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name in the data set.
    pub name: String,
    /// What its label says.
    pub smiling: bool,
    /// Index of the network that has never seen it.
    pub network: usize,
}

/// What remains at one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// `None`: as they are.
    pub perturbation: Option<Perturbation>,
    /// A face not found counts as a mistake.
    pub accuracy: f64,
}

/// What one thread needs.
struct Chain {
    locator: Locator,
    found: Vec<Detection>,
    /// One a network, with its margin and threshold.
    classifiers: Vec<(Classifier, f32, f32)>,
    cropper: Cropper,
    pixels: Vec<u8>,
}

/// Measures `networks` on pictures of the catalogue as they are and at all levels of
/// [`Perturbation::all`], from the decoded picture to the answer; calls `done` after each picture.
/// All networks have the same input size.
///
/// # Errors
/// Where weights are not whole, or a picture can't be read.
pub fn robustness(
    catalog: &Catalog,
    items: &[Item],
    networks: &[Weights],
    locator: &FaceWeights,
    done: impl Fn() + Sync,
) -> Result<Vec<Level>> {
    let levels: Vec<Option<Perturbation>> =
        std::iter::once(None).chain(Perturbation::all().into_iter().map(Some)).collect();
    let right: Vec<AtomicUsize> = levels.iter().map(|_| AtomicUsize::new(0)).collect();
    let variants = |level: &Option<Perturbation>| level.map_or(1, Perturbation::variants);
    Chain::new(networks, locator)?;
    items.par_iter().enumerate().try_for_each_init(
        || Chain::new(networks, locator).ok(),
        |chain, (index, item)| -> Result<()> {
            // Built once above, so that it can be built here.
            let Some(chain) = chain else { return Ok(()) };
            let image = catalog.read(&item.name)?;
            let face = chain.locate(&image)?;
            for (level, right) in levels.iter().zip(&right) {
                for variant in 0..variants(level) {
                    let answer = chain.answer(&image, face, *level, variant, index, item.network)?;
                    right.fetch_add(usize::from(answer == Some(item.smiling)), Ordering::Relaxed);
                }
            }
            done();
            Ok(())
        },
    )?;
    let share = |(level, right): (&Option<Perturbation>, AtomicUsize)| Level {
        perturbation: *level,
        accuracy: right.into_inner() as f64 / (items.len() * variants(level)).max(1) as f64,
    };
    Ok(levels.iter().zip(right).map(share).collect())
}

impl Chain {
    fn new(networks: &[Weights], locator: &FaceWeights) -> Result<Self> {
        let classifier = |weights: &Weights| {
            let metadata = &weights.metadata;
            Ok((Classifier::new(weights, &Device::Cpu)?, metadata.margin, metadata.threshold))
        };
        let classifiers: Vec<_> = networks.iter().map(classifier).collect::<Result<_>>()?;
        let [_, height, width] =
            networks.first().map_or([3, 1, 1], |first| first.metadata.architecture.input);
        Ok(Self {
            locator: Locator::new(locator)?,
            found: Vec::new(),
            classifiers,
            cropper: Cropper::new(width, height),
            pixels: vec![0; 3 * width * height],
        })
    }

    fn locate(&mut self, image: &RgbImage) -> Result<Option<Rect>> {
        self.locator.locate(&picture(image), &mut self.found)?;
        Ok(dataset::main_face(&self.found))
    }

    /// Whether it smiles; `None` where no face is found. `face` is where it is in the picture as it is.
    fn answer(
        &mut self,
        image: &RgbImage,
        face: Option<Rect>,
        perturbation: Option<Perturbation>,
        variant: usize,
        index: usize,
        network: usize,
    ) -> Result<Option<bool>> {
        let changed = perturbation.filter(|change| !change.kind.is_of_box()).map(|change| {
            let whole = picture(image).bounds();
            change.picture(image, face.unwrap_or(whole), variant, index)
        });
        let face = match &changed {
            Some(changed) => self.locate(changed)?,
            None => face.map(|face| perturbation.map_or(face, |change| change.face(face, variant))),
        };
        let Some(face) = face else { return Ok(None) };
        let (classifier, margin, threshold) = &mut self.classifiers[network];
        let square = face_square(face, *margin, 1.0);
        self.cropper.crop(&picture(changed.as_ref().unwrap_or(image)), square, &mut self.pixels);
        let mut probabilities = Vec::new();
        classifier.probabilities(&self.pixels, &mut probabilities)?;
        Ok(probabilities.first().map(|probability| probability >= threshold))
    }
}

fn picture(image: &RgbImage) -> Picture<'_> {
    Picture::rgb(image.width() as usize, image.height() as usize, image.as_raw())
}
