//! Pictures with a known face, and pictures without any.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::analysis::crop::Rect;
use crate::train::dataset::{self, Skipped, last_component};
use crate::train::error::{Error, Result};
use crate::train::layout::all_pictures;
use crate::train::plane::Grey;
use crate::train::source::Source;
use crate::train::split::{Parts, Split};

/// A face, in pixels of its picture or scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    pub rect: Rect,
    /// Right eye, left eye, nose, right and left corner of the mouth, as the person has them.
    pub landmarks: [[f32; 2]; 5],
}

/// A picture with what is known of it.
pub struct Picture {
    /// The file's name in the folder or archive that it comes from.
    pub name: String,
    pub grey: Grey,
    /// The only face in it, or none at all.
    pub face: Option<Face>,
}

/// Where pictures for a face locator are.
#[derive(Clone, Copy)]
pub struct FaceFiles<'a> {
    pub data: &'a Path,
    /// CSV tables of the faces in `data` and `extra`.
    pub boxes: &'a [PathBuf],
    /// Pictures without faces, parted as those of `data` are.
    pub no_face: Option<&'a Path>,
    /// More pictures with one face, and without any, for training alone.
    pub extra: &'a [PathBuf],
    pub extra_no_face: &'a [PathBuf],
}

/// What a face locator is trained on and measured with.
#[derive(Default)]
pub struct FaceData {
    /// The last component of each path that was read.
    pub names: Vec<String>,
    /// Pictures with one face and without any, in the order of their names.
    pub pictures: Vec<Picture>,
    /// More pictures with one face, which are only learnt from.
    pub extra: Vec<Picture>,
    /// More pictures without any, which are only learnt from.
    pub extra_no_face: Vec<Picture>,
    /// Pictures that could not be read.
    pub skipped: Vec<Skipped>,
    /// Pictures left out because more than one face was seen in them, or none at all, by who made
    /// the boxes.
    pub unclear: usize,
}

impl FaceData {
    /// Reads pictures; calls `decoded` after each one with how many there are.
    ///
    /// # Errors
    /// Where a folder, archive or table can't be read, or no box fits a picture.
    pub fn read(files: &FaceFiles, decoded: impl Fn(usize) + Sync) -> Result<Self> {
        let FaceFiles { data, boxes, no_face, extra, extra_no_face } = *files;
        let boxes = Boxes::read(boxes)?;
        let mut all = Self::default();
        for path in extra_no_face {
            all.take(path, &decoded, |_| Some(None))?;
        }
        all.extra_no_face = std::mem::take(&mut all.pictures);
        for path in extra {
            all.take(path, &decoded, |name| boxes.face(name))?;
            let more = std::mem::take(&mut all.pictures);
            boxes.require(path, &more)?;
            all.extra.extend(more);
        }
        all.take(data, &decoded, |name| boxes.face(name))?;
        boxes.require(data, &all.pictures)?;
        if let Some(path) = no_face {
            all.take(path, &decoded, |_| Some(None))?;
        }
        Ok(all)
    }

    /// Adds the pictures of a folder or archive for which `face` has an answer.
    fn take(
        &mut self,
        path: &Path,
        decoded: &(impl Fn(usize) + Sync),
        face: impl Fn(&str) -> Option<Option<Face>> + Sync,
    ) -> Result<()> {
        let source = Source::open(path)?;
        let names = all_pictures(&source);
        let wanted: Vec<_> =
            names.iter().filter_map(|name| face(name).map(|face| (name.clone(), face))).collect();
        self.unclear += names.len() - wanted.len();
        let count = wanted.len();
        let results: Vec<_> = wanted
            .into_par_iter()
            .map(|(name, face)| {
                let picture = dataset::read(&source, &name);
                decoded(count);
                match picture {
                    Ok(image) => Ok(Picture { name, grey: Grey::new(&image), face }),
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
        let labels: Vec<bool> = self.pictures.iter().map(|picture| picture.face.is_some()).collect();
        split.parts(&labels)
    }
}

/// Tables of boxes by file name.
struct Boxes {
    names: Vec<String>,
    /// What they say of each file: its only face, or `None` where it has none or several.
    faces: HashMap<String, Option<Face>>,
}

/// Columns that a table must have, of which the first names the file.
const COLUMNS: [&str; 15] = [
    "file", "x", "y", "w", "h", "reye_x", "reye_y", "leye_x", "leye_y", "nose_x", "nose_y", "rmouth_x",
    "rmouth_y", "lmouth_x", "lmouth_y",
];

impl Boxes {
    fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Self { names: Vec::new(), faces: HashMap::new() };
        paths.iter().try_for_each(|path| all.add(path))?;
        Ok(all)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let failed = |reason: String| Error::Label { data: path.into(), file: "table".into(), reason };
        let mut table = csv::Reader::from_path(path).map_err(|error| failed(error.to_string()))?;
        let head = table.headers().map_err(|error| failed(error.to_string()))?.clone();
        let column = |name: &str| head.iter().position(|column| column == name);
        let places = COLUMNS.map(|name| column(name).ok_or(name));
        if let Some(Err(name)) = places.iter().find(|place| place.is_err()) {
            return Err(failed(format!("it has no column {name}; it needs {}", COLUMNS.join(","))));
        }
        let places = places.map(|place| place.unwrap_or_default());
        let count = column("nfaces");
        for (index, row) in table.records().enumerate() {
            let row = row.map_err(|error| failed(error.to_string()))?;
            let number = |place: usize| row.get(place).unwrap_or_default().trim().parse::<f32>();
            let alone = count.is_none_or(|place| number(place).is_ok_and(|count| count == 1.0));
            let empty = row.get(places[1]).unwrap_or_default().is_empty();
            let mut values = [0.0; 14];
            if !empty {
                for (value, &place) in values.iter_mut().zip(&places[1..]) {
                    *value = number(place).ok().filter(|value| value.is_finite()).ok_or_else(|| {
                        let text = row.get(place).unwrap_or_default();
                        failed(format!("line {}: {text:?} is no number", index + 2))
                    })?;
                }
            }
            let [x, y, width, height, ..] = values;
            let rect = Rect { x, y, width, height };
            let landmarks = [4, 6, 8, 10, 12].map(|at| [values[at], values[at + 1]]);
            let sound = alone && !empty && width > 0.0 && height > 0.0;
            let file = row.get(places[0]).unwrap_or_default().to_string();
            // A file with a row a face has several.
            let several = self.faces.contains_key(&file);
            self.faces.insert(file, (sound && !several).then_some(Face { rect, landmarks }));
        }
        self.names.push(last_component(path));
        Ok(())
    }

    /// # Errors
    /// Where there is no picture with a box.
    fn require(&self, path: &Path, pictures: &[Picture]) -> Result<()> {
        match pictures.is_empty() {
            true => Err(Error::Mismatch(format!(
                "{}: none of its pictures has a single box in {}",
                path.display(),
                self.names.join(", ")
            ))),
            false => Ok(()),
        }
    }

    /// The only face of a file; tables name files by their path or just by their last part.
    fn face(&self, name: &str) -> Option<Option<Face>> {
        let last = name.rsplit('/').next().unwrap_or(name);
        let found = self.faces.get(name).or_else(|| self.faces.get(last));
        found.copied().flatten().map(Some)
    }
}
