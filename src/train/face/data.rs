//! Pictures with known faces, and pictures without any.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::boxes::{Boxes, Known};
use crate::analysis::Landmarks;
use crate::analysis::crop::Rect;
use crate::train::data::dataset::{self, last_component};
use crate::train::data::layout::all_pictures;
use crate::train::data::part_tables::TablePart;
use crate::train::data::plane::Grey;
use crate::train::data::source::Source;
use crate::train::data::split::{Parts, Split};
use crate::train::error::{Error, Result, Skipped};

/// A face, in pixels of its picture or scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Its bounding box.
    pub rect: Rect,
    /// Right eye, left eye, nose, right and left corner of the mouth, as the person has them, where they are
    /// known.
    pub landmarks: Option<Landmarks>,
}

/// A picture with what is known of it.
pub struct Picture {
    /// The file's name in the folder or archive that it comes from.
    pub name: String,
    /// Its brightness.
    pub grey: Grey,
    /// Those that tables know.
    pub faces: Vec<Face>,
    /// What may be a face or not.
    pub unclear: Vec<Rect>,
    /// The part that a table puts it in.
    pub part: Option<TablePart>,
}

/// What overlaps a face or something unclear by this intersection over union is no false box.
pub(super) const NEAR: f32 = 0.2;

/// Where pictures for a face detector are.
#[derive(Clone, Copy)]
pub struct FaceFiles<'a> {
    /// The folder or archive that is split.
    pub data: &'a Path,
    /// CSV tables of the faces in `data` and `extra`.
    pub boxes: &'a [PathBuf],
    /// CSV tables of boxes there that may be faces or not.
    pub ignored: &'a [PathBuf],
    /// CSV tables that say to which part pictures of `extra` belong.
    pub parts: &'a [PathBuf],
    /// Pictures without faces, parted as those of `data` are.
    pub no_face: Option<&'a Path>,
    /// More pictures with faces, for training alone but for those that a table of `parts` holds out, and
    /// without any, for training alone.
    pub extra: &'a [PathBuf],
    /// The latter.
    pub extra_no_face: &'a [PathBuf],
}

/// What a face detector is trained on and measured with.
#[derive(Default)]
pub struct FaceData {
    /// The last component of each path that was read.
    pub names: Vec<String>,
    /// Pictures with faces and without any, in the order of their names.
    pub pictures: Vec<Picture>,
    /// More pictures, which are only learnt from: those of each path of [`FaceFiles::extra`].
    pub extra: Vec<Vec<Picture>>,
    /// Of these paths, the pictures that a table holds out for validation.
    pub extra_validation: Vec<Picture>,
    /// More pictures without any, which are only learnt from.
    pub extra_no_face: Vec<Picture>,
    /// Pictures that could not be read.
    pub skipped: Vec<Skipped>,
    /// Pictures left out because no table says where all their faces are.
    pub unclear: usize,
    /// The names of all pictures, those that were left out, too.
    listed: Vec<String>,
}

impl FaceData {
    /// Reads pictures; calls `decoded` after each one with how many of its folder or archive are done, and how many
    /// there are.
    ///
    /// # Errors
    /// Where a folder, archive or table can't be read, or no box fits a picture.
    pub fn read(files: &FaceFiles, decoded: impl Fn(usize, usize) + Sync) -> Result<Self> {
        let FaceFiles { data, boxes, ignored, parts, no_face, extra, extra_no_face } = *files;
        let boxes = Boxes::read(boxes, ignored, parts)?;
        let known = |name: &str| Some((boxes.known(name)?, boxes.part(name)));
        let mut all = Self::default();
        for path in extra_no_face {
            all.take(path, &decoded, |_| Some((Known::default(), None)))?;
        }
        all.extra_no_face = std::mem::take(&mut all.pictures);
        for path in extra {
            all.take(path, &decoded, |name| known(name).filter(|(_, part)| *part != Some(TablePart::Test)))?;
            let more = std::mem::take(&mut all.pictures);
            require(&boxes, path, &more)?;
            let held_out = |picture: &Picture| picture.part == Some(TablePart::Validation);
            let (held_out, more) = more.into_iter().partition(held_out);
            all.extra_validation.extend::<Vec<_>>(held_out);
            all.extra.push(more);
        }
        all.take(data, &decoded, known)?;
        require(&boxes, data, &all.pictures)?;
        if let Some(path) = no_face {
            all.take(path, &decoded, |_| Some((Known::default(), None)))?;
        }
        boxes.require_parts(std::mem::take(&mut all.listed).iter().map(String::as_str))?;
        Ok(all)
    }

    /// Adds the pictures of a folder or archive of which something is known.
    fn take(
        &mut self,
        path: &Path,
        decoded: &(impl Fn(usize, usize) + Sync),
        known: impl Fn(&str) -> Option<(Known, Option<TablePart>)> + Sync,
    ) -> Result<()> {
        let source = Source::open(path)?;
        let names = all_pictures(&source);
        let wanted: Vec<_> =
            names.iter().filter_map(|name| known(name).map(|known| (name.clone(), known))).collect();
        self.unclear += names.len() - wanted.len();
        self.listed.extend(names);
        let (done, count) = (AtomicUsize::new(0), wanted.len());
        let results: Vec<_> = wanted
            .into_par_iter()
            .map(|(name, (known, part))| {
                let picture =
                    dataset::read(&source, &name).and_then(|image| match known.misfit(image.dimensions()) {
                        Some(reason) => Err(reason),
                        None => Ok(image),
                    });
                let Known { faces, unclear } = known;
                decoded(done.fetch_add(1, Ordering::Relaxed) + 1, count);
                match picture {
                    Ok(image) => Ok(Picture { name, grey: Grey::new(&image), faces, unclear, part }),
                    Err(reason) => Err(Skipped { name, reason }),
                }
            })
            .collect();
        for result in results {
            match result {
                Ok(picture) => self.pictures.push(picture),
                Err(skipped) => self.skipped.push(skipped),
            }
        }
        self.names.push(last_component(path));
        Ok(())
    }

    /// Parts the pictures; those with and without a face are stratified.
    pub fn parts(&self, split: Split) -> Parts {
        let labels: Vec<bool> = self.pictures.iter().map(|picture| !picture.faces.is_empty()).collect();
        split.parts(&labels)
    }
}

/// # Errors
/// Where the tables know nothing of a folder's or archive's pictures.
fn require(boxes: &Boxes, path: &Path, pictures: &[Picture]) -> Result<()> {
    match pictures.is_empty() {
        true => Err(Error::Mismatch(format!(
            "{}: none of its pictures has boxes in {}",
            path.display(),
            boxes.names().join(", ")
        ))),
        false => Ok(()),
    }
}
