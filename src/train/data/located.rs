//! Faces in folders of pictures.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;

use super::archive::name_of;
use super::dataset::{self, last_component};
use super::layout::all_pictures;
use super::source::Source;
use crate::analysis::crop::Picture;
use crate::analysis::locate::{Detection, Locator};
use crate::model::FaceWeights;
use crate::train::error::{Error, Result, Skipped};
use crate::train::input::is_picture;

/// Pictures by name, from folders, archives and single files; nothing is decoded yet.
pub struct Pictures {
    sources: Vec<Source>,
    /// Index of a source, and the name there.
    names: Vec<(usize, String)>,
    /// What a table has before the names of each source.
    prefixes: Vec<String>,
}

fn are_different<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let mut seen = HashSet::new();
    names.into_iter().all(|name| seen.insert(name))
}

/// The faces of one picture, the surest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The file's name in its folder or archive.
    pub name: String,
    /// The path that it comes from, counted from 0: several may have a picture of this name.
    pub source: usize,
    /// Those found in it.
    pub faces: Vec<Detection>,
}

impl Pictures {
    /// # Errors
    /// Where one of the paths can't be read or has no picture.
    pub fn list<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let mut all = Self { sources: Vec::new(), names: Vec::new(), prefixes: Vec::new() };
        for path in paths.iter().map(AsRef::as_ref) {
            let file = path.file_name().map(name_of);
            let (source, names) = match file.filter(|name| path.is_file() && is_picture(name)) {
                Some(name) => (Source::of_file(path, name.clone()), vec![name]),
                None => {
                    let source = Source::open(path)?;
                    let names = all_pictures(&source);
                    (source, names)
                }
            };
            if names.is_empty() {
                return Err(Error::NoPictures { path: path.into(), skipped: 0, first: None });
            }
            let index = all.sources.len();
            all.names.extend(names.into_iter().map(|name| (index, name)));
            all.sources.push(source);
        }
        all.prefixes = all.prefixes()?;
        Ok(all)
    }

    /// Nothing where all pictures have names of their own, else what tells those of several sources apart: the last part
    /// of each path where that does, as data sets that hold several folders name their pictures.
    fn prefixes(&self) -> Result<Vec<String>> {
        if are_different(self.names.iter().map(|(_, name)| name.as_str())) {
            return Ok(vec![String::new(); self.sources.len()]);
        }
        let last: Vec<String> = self.sources.iter().map(|source| last_component(source.path())).collect();
        if are_different(last.iter().map(String::as_str)) {
            return Ok(last.into_iter().map(|name| format!("{name}/")).collect());
        }
        let full: Vec<String> =
            self.sources.iter().map(|source| name_of(source.path().as_os_str())).collect();
        match are_different(full.iter().map(String::as_str)) {
            true => Ok(full.into_iter().map(|path| format!("{}/", path.trim_end_matches('/'))).collect()),
            false => Err(Error::Mismatch("--data: a folder or file is given twice; give it once".into())),
        }
    }

    /// A table with a row a face, in pixels of the upright picture, or an empty one where there is none:
    /// `file,x,y,w,h,score`. Where two pictures have one name, all have that of their folder or archive before theirs.
    pub fn table(&self, located: &[Located]) -> Vec<u8> {
        let mut table = csv::Writer::from_writer(Vec::new());
        let mut row = |fields: [String; 6]| table.write_record(fields).expect("memory can be written to");
        row(["file", "x", "y", "w", "h", "score"].map(String::from));
        for Located { name, source, faces } in located {
            let name = format!("{}{name}", self.prefixes.get(*source).map_or("", String::as_str));
            if faces.is_empty() {
                row([&name, "", "", "", "", ""].map(String::from));
            }
            for face in faces {
                let rect = face.rect;
                let [x, y, w, h] =
                    [rect.x, rect.y, rect.width, rect.height].map(|value| format!("{value:.2}"));
                row([name.clone(), x, y, w, h, format!("{:.4}", face.score)]);
            }
        }
        table.into_inner().expect("memory can be written to")
    }

    /// The plain files that they are read from.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.names.iter().filter_map(|(source, name)| self.sources[*source].file_of(name))
    }

    /// The folders of which all pictures are listed.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(Source::path).filter(|path| path.is_dir())
    }

    /// How many pictures are listed.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Finds the faces of all pictures on all cores, those of at least a share of a picture's height; calls `done`
    /// after each picture. The second list names the pictures that can't be read.
    ///
    /// # Errors
    /// Where the weights are not whole.
    pub fn locate(
        &self,
        weights: &FaceWeights,
        least_height: f32,
        done: impl Fn() + Sync,
    ) -> Result<(Vec<Located>, Vec<Skipped>)> {
        let locator = || Locator::with_least_height(weights, least_height);
        // Where one can be had, each thread can have its own.
        locator()?;
        let results: Vec<_> = self
            .names
            .par_iter()
            .map_init(locator, |locator, (source, name)| {
                let faces = dataset::read(&self.sources[*source], name).and_then(|image| {
                    let locator = locator.as_mut().map_err(|error| error.to_string())?;
                    find(locator, &image).map_err(|error| error.to_string())
                });
                done();
                match faces {
                    Ok(faces) => Ok(Located { name: name.clone(), source: *source, faces }),
                    Err(reason) => Err(Skipped { name: name.clone(), reason }),
                }
            })
            .collect();
        let (mut located, mut skipped) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(found) => located.push(found),
                Err(broken) => skipped.push(broken),
            }
        }
        Ok((located, skipped))
    }

    /// Decodes the picture in which these faces were found, if it is still there.
    pub fn picture(&self, located: &Located) -> Option<RgbImage> {
        dataset::read(self.sources.get(located.source)?, &located.name).ok()
    }
}

fn find(locator: &mut Locator, image: &RgbImage) -> crate::model::Result<Vec<Detection>> {
    let mut found = Vec::new();
    let picture = Picture::rgb(image.width() as usize, image.height() as usize, image.as_raw());
    locator.locate(&picture, &mut found)?;
    Ok(found)
}
