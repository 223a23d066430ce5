//! Labelled pictures, decoded and cropped once and kept in memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;

use super::classes::Classes;
use super::decode::decode;
use super::layout::{Labelled, Layout, poses};
use super::part_tables::{PartTables, TablePart};
use super::source::Source;
use super::split::{Parts, Split};
use crate::analysis::crop::{Cropper, Picture, Rect};
use crate::analysis::locate::{self, Detection, Locator};
use crate::model::{FaceWeights, Metadata, Region};
use crate::train::error::{Error, Result, Skipped};

/// A picture as the network sees it, with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The file's name in the data set, such as `files/file0001.jpg`.
    pub name: String,
    /// Bytes of R, G and B planes: 3 × height × width. Empty where no face was found.
    pub pixels: Box<[u8]>,
    /// The same with [`WIDE`] times as much of the picture in both directions, at the same scale;
    /// empty where nobody asked for it.
    pub wide: Box<[u8]>,
    /// What its label says.
    pub smiling: bool,
    /// The share of people who saw a smile, where some were asked: see [`crate::train::Votes`].
    pub votes: Option<f32>,
}

/// How much more than the network's input what is varied for training shows, in each direction.
pub const WIDE: usize = 2;

/// What is cut out of a picture, and its size.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Of the network's input, in pixels.
    pub width: usize,
    /// Of the network's input, in pixels.
    pub height: usize,
    /// What of a picture is cut out.
    pub region: Region,
    /// See [`Metadata::margin`].
    pub margin: f32,
    /// What finds the faces; without one, every picture as a whole is a face.
    pub locator: Option<&'a FaceWeights>,
    /// Whether [`Sample::wide`] is kept, to be varied.
    pub wide: bool,
}

impl<'a> View<'a> {
    /// What weights with this metadata look at.
    pub fn of(metadata: &Metadata, locator: Option<&'a FaceWeights>) -> Self {
        let [_, height, width] = metadata.architecture.input;
        let Metadata { region, margin, .. } = *metadata;
        Self { width, height, region, margin, locator, wide: false }
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
    /// How it was laid out.
    pub layout: Layout,
    /// One for each picture that could be read.
    pub samples: Vec<Sample>,
    /// Pictures that could not be read.
    pub skipped: Vec<Skipped>,
}

impl Catalog {
    /// Lists the data set in a folder or archive.
    ///
    /// # Errors
    /// Where there is none, its layout is unknown, a label is missing, or it has no pictures.
    pub fn open(path: &Path) -> Result<Self> {
        Self::with_classes(path, &Classes::default())
    }

    /// The same, where folders are classes that `classes` knows.
    ///
    /// # Errors
    /// Those of [`Self::open`], and where a folder has pictures and is no class.
    pub fn with_classes(path: &Path, classes: &Classes) -> Result<Self> {
        let mut source = Source::open(path)?;
        let (layout, pictures) = Layout::find(&mut source, classes)?;
        Ok(Self { source, layout, pictures })
    }

    /// How many pictures it lists.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Never, since listing fails without pictures.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// How it is laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The plain files that it is read from: an archive, or pictures and what labels them.
    pub fn files(&self) -> Vec<PathBuf> {
        let pictures = self.pictures.iter().map(|picture| picture.name.as_str());
        let mut files: Vec<PathBuf> = pictures
            .chain(self.layout.tables().iter().copied())
            .filter_map(|name| self.source.file_of(name))
            .collect();
        files.dedup();
        files
    }

    /// The folders of which every picture belongs to it, those in folders within them, too.
    pub fn folders(&self) -> Vec<PathBuf> {
        let root = self.source.root();
        let first = |picture: &Labelled| match picture.name.split_once('/') {
            Some((folder, _)) => root.join(folder),
            None => root.clone(),
        };
        let mut folders: Vec<PathBuf> = self.pictures.iter().map(first).collect();
        folders.dedup();
        folders
    }

    /// GENKI-4K's angles of each head, in radians: yaw, pitch, roll. Empty for other data.
    pub fn poses(&self) -> HashMap<String, [f32; 3]> {
        poses(&self.source)
    }

    /// Decodes one picture, upright.
    ///
    /// # Errors
    /// Where it isn't there or is broken.
    pub fn read(&self, name: &str) -> Result<RgbImage> {
        read(&self.source, name).map_err(|reason| Error::Read {
            path: self.source.path().join(name),
            source: std::io::Error::other(reason),
        })
    }

    /// Decodes and crops all pictures on all cores; calls `decoded` after each one.
    ///
    /// # Errors
    /// [`Error::NoPictures`] where not a single one can be read, and where the face detector's weights
    /// are not whole.
    pub fn decode(self, view: View, decoded: impl Fn() + Sync) -> Result<Dataset> {
        // Where one can be had, each thread can have its own.
        view.locator.map(Locator::new).transpose()?;
        let results: Vec<_> = self
            .pictures
            .into_par_iter()
            .map_init(
                || Cutter::new(view),
                |cutter, Labelled { name, smiling }| {
                    let cut = read(&self.source, &name).map(|image| cutter.cut(&image));
                    decoded();
                    match cut {
                        Ok([pixels, wide]) => Ok(Sample { name, pixels, wide, smiling, votes: None }),
                        Err(reason) => Err(Skipped { name, reason }),
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
            true => Err(Error::NoPictures {
                path: path.into(),
                skipped: skipped.len(),
                first: skipped.into_iter().next(),
            }),
            false => Ok(Dataset { name: last_component(path), layout: self.layout, samples, skipped }),
        }
    }
}

impl Dataset {
    /// Whether each sample smiles.
    pub fn labels(&self) -> Vec<bool> {
        self.samples.iter().map(|sample| sample.smiling).collect()
    }

    /// The parts that tables put the samples in; those that they don't name are split.
    pub fn parts(&self, split: Split, tables: &PartTables) -> Parts {
        let named: Vec<Option<TablePart>> =
            self.samples.iter().map(|sample| tables.of(&sample.name)).collect();
        let others: Vec<usize> = (0..named.len()).filter(|&index| named[index].is_none()).collect();
        let labels: Vec<bool> = others.iter().map(|&index| self.samples[index].smiling).collect();
        let Parts { training, validation, test } = split.parts(&labels);
        let part = |of_others: Vec<usize>, part: TablePart| {
            let told = (0..named.len()).filter(|&index| named[index] == Some(part));
            let mut all: Vec<usize> = of_others.into_iter().map(|index| others[index]).chain(told).collect();
            all.sort_unstable();
            all
        };
        Parts {
            training: part(training, TablePart::Train),
            validation: part(validation, TablePart::Validation),
            test: part(test, TablePart::Test),
        }
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

pub(in crate::train) fn read(source: &Source, name: &str) -> std::result::Result<RgbImage, String> {
    let bytes = source.read(name).map_err(|error| error.to_string())?;
    decode(&bytes)
}

/// Cuts out of pictures what a view names.
struct Cutter<'a> {
    view: View<'a>,
    locator: Option<Locator>,
    found: Vec<Detection>,
    cropper: Cropper,
    wide: Cropper,
}

impl<'a> Cutter<'a> {
    fn new(view: View<'a>) -> Self {
        Self {
            view,
            locator: view.locator.and_then(|weights| Locator::new(weights).ok()),
            found: Vec::new(),
            cropper: Cropper::new(view.width, view.height),
            wide: Cropper::new(WIDE * view.width, WIDE * view.height),
        }
    }

    /// The network's input, and the same with more around it.
    fn cut(&mut self, image: &RgbImage) -> [Box<[u8]>; 2] {
        let picture = Picture::rgb(image.width() as usize, image.height() as usize, image.as_raw());
        let Some(part) = self.look(&picture) else { return Default::default() };
        let part = match self.view.region {
            Region::Faces => locate::face_square(part, self.view.margin, picture.pixel_aspect),
            _ => part,
        };
        let len = 3 * self.view.width * self.view.height;
        let mut pixels = vec![0; len].into_boxed_slice();
        self.cropper.crop(&picture, part, &mut pixels);
        let mut wide = Box::default();
        if self.view.wide {
            wide = vec![0; WIDE * WIDE * len].into_boxed_slice();
            self.wide.crop(&picture, widened(part), &mut wide);
        }
        [pixels, wide]
    }

    /// The region to look at, or the face: of several the one that is largest and surest.
    fn look(&mut self, picture: &Picture) -> Option<Rect> {
        match (self.view.region, &mut self.locator) {
            (Region::Faces, None) => Some(picture.bounds()),
            (Region::Faces, Some(locator)) => {
                locator.locate(picture, &mut self.found).ok()?;
                main_face(&self.found)
            }
            (region, _) => Some(locate::region(picture, region)),
        }
    }
}

/// Of several faces the one that is largest and surest.
pub(in crate::train) fn main_face(found: &[Detection]) -> Option<Rect> {
    let rank = |face: &Detection| face.score * face.rect.area();
    found.iter().max_by(|a, b| rank(a).total_cmp(&rank(b))).map(|face| face.rect)
}

/// [`WIDE`] times as much around the same middle.
fn widened(rect: Rect) -> Rect {
    let more = (WIDE as f32 - 1.0) / 2.0;
    Rect {
        x: rect.x - more * rect.width,
        y: rect.y - more * rect.height,
        width: WIDE as f32 * rect.width,
        height: WIDE as f32 * rect.height,
    }
}

#[cfg(test)]
pub(in crate::train) mod tests {
    use super::*;

    /// Samples with these labels.
    pub fn samples(labels: &[bool]) -> Vec<Sample> {
        let sample = |&smiling: &bool| Sample {
            name: String::new(),
            pixels: Box::default(),
            wide: Box::default(),
            smiling,
            votes: None,
        };
        labels.iter().map(sample).collect()
    }
}
