//! Labelled pictures, decoded and cropped once and kept in memory.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
use rayon::prelude::*;

use super::error::{Error, Result};
use super::layout::{Labelled, Layout};
use super::source::Source;
use crate::analysis::crop::{Cropper, Picture};
use crate::analysis::locate;
use crate::model::{Metadata, Region};

/// A picture as the network sees it, with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The file's name in the data set, such as `files/file0001.jpg`.
    pub name: String,
    /// Bytes of R, G and B planes: 3 × height × width.
    pub pixels: Box<[u8]>,
    pub smiling: bool,
}

/// What is cut out of a picture, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub width: usize,
    pub height: usize,
    pub region: Region,
}

impl View {
    /// What these weights were trained to look at.
    pub fn of(metadata: &Metadata) -> Self {
        let [_, height, width] = metadata.architecture.input;
        Self { width, height, region: metadata.region }
    }
}

/// A data set's pictures by name, with their labels; nothing is decoded yet.
pub struct Catalog {
    source: Source,
    layout: Layout,
    pictures: Vec<Labelled>,
}

/// Samples in the order of their names.
pub struct Dataset {
    /// The last component of the path that it was read from.
    pub name: String,
    pub layout: Layout,
    pub samples: Vec<Sample>,
    /// Pictures that could not be read.
    pub skipped: Vec<Skipped>,
}

/// A picture that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub name: String,
    pub reason: String,
}

impl Catalog {
    /// Lists the data set in a folder or tar archive.
    ///
    /// # Errors
    /// Where there is none, its layout is unknown, a label is missing, or it has no pictures.
    pub fn open(path: &Path) -> Result<Self> {
        let mut source = Source::open(path)?;
        let (layout, pictures) = Layout::find(&mut source)?;
        Ok(Self { source, layout, pictures })
    }

    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Decodes and crops all pictures on all cores; calls `decoded` after each one.
    ///
    /// # Errors
    /// [`Error::NoPictures`] where not a single one can be read.
    pub fn decode(self, view: View, decoded: impl Fn() + Sync) -> Result<Dataset> {
        let results: Vec<_> = self
            .pictures
            .into_par_iter()
            .map_init(
                || Cropper::new(view.width, view.height),
                |cropper, picture| {
                    let pixels = read(&self.source, &picture.name).map(|image| crop(&image, view, cropper));
                    decoded();
                    match pixels {
                        Ok(pixels) => Ok(Sample { name: picture.name, pixels, smiling: picture.smiling }),
                        Err(reason) => Err(Skipped { name: picture.name, reason }),
                    }
                },
            )
            .collect();
        let mut samples = Vec::with_capacity(results.len());
        let mut skipped = Vec::new();
        for result in results {
            match result {
                Ok(sample) => samples.push(sample),
                Err(broken) => skipped.push(broken),
            }
        }
        let path = self.source.path();
        match samples.is_empty() {
            true => Err(Error::NoPictures { path: path.into(), skipped: skipped.len() }),
            false => Ok(Dataset { name: last_component(path), layout: self.layout, samples, skipped }),
        }
    }
}

impl Dataset {
    /// Whether each sample smiles.
    pub fn labels(&self) -> Vec<bool> {
        self.samples.iter().map(|sample| sample.smiling).collect()
    }

    /// References to the samples with these indices.
    pub fn select(&self, indices: &[usize]) -> Vec<&Sample> {
        indices.iter().map(|&index| &self.samples[index]).collect()
    }
}

/// The last component of a path, which says nothing about the machine it lies on.
pub fn last_component(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    name(path).or_else(|| name(&path.canonicalize().ok()?)).unwrap_or_else(|| "data".into())
}

pub(super) fn read(source: &Source, name: &str) -> std::result::Result<RgbImage, String> {
    let bytes = source.read(name).map_err(|error| error.to_string())?;
    decode(&bytes).map_err(|error| error.to_string())
}

/// Upright RGB, whatever the file's name claims it to be.
fn decode(bytes: &[u8]) -> image::ImageResult<RgbImage> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn crop(image: &RgbImage, view: View, cropper: &mut Cropper) -> Box<[u8]> {
    let picture = Picture::rgb(image.width() as usize, image.height() as usize, image.as_raw());
    let mut pixels = vec![0; 3 * view.width * view.height].into_boxed_slice();
    cropper.crop(&picture, locate::region(&picture, view.region), &mut pixels);
    pixels
}
