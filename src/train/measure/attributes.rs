//! What tables say of the people in pictures, and how a network fares with whom.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::metrics::Confusion;
use crate::train::data::dataset::Sample;
use crate::train::data::table::{self, Table, by_name};
use crate::train::error::Result;

/// Properties that a picture has or hasn't.
#[derive(Default)]
pub struct Attributes {
    paths: Vec<PathBuf>,
    tables: Vec<Attribute>,
}

/// One of them, by file name.
struct Attribute {
    name: String,
    files: HashMap<String, bool>,
}

/// How a network fares with the pictures that have a property, or haven't.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The table's column.
    pub attribute: String,
    /// Whether the pictures have it.
    pub has: bool,
    /// Answers to these pictures.
    pub confusion: Confusion,
}

/// A column of labels, which says nothing else than the data set does.
const LABEL: &str = "smile";

impl Attributes {
    /// Reads tables with the column `file` and others; those with nothing but 0, 1 and gaps, where it isn't known,
    /// are properties.
    ///
    /// # Errors
    /// Where one can't be read or has no column `file`.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Self { paths: paths.into(), tables: Vec::new() };
        paths.iter().try_for_each(|path| all.add(path))?;
        Ok(all)
    }

    /// # Errors
    /// Where there are tables of which no property is known of any of these pictures.
    pub fn require<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let is_named =
            |name: &str| self.tables.iter().any(|attribute| by_name(&attribute.files, name).is_some());
        table::require_names("--attributes", &self.paths, names, is_named)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let bytes = table::read(path)?;
        let mut table = Table::new(path, &bytes)?;
        let [file] = table.columns(&["file"])?;
        let mut columns: Vec<(usize, Option<Attribute>)> = table
            .names()
            .enumerate()
            .filter(|(column, name)| *column != file && *name != LABEL)
            .map(|(column, name)| (column, Some(Attribute { name: name.into(), files: HashMap::new() })))
            .collect();
        while let Some(row) = table.next()? {
            for (column, attribute) in &mut columns {
                let Some(known) = attribute else { continue };
                match row.text(*column) {
                    "0" => known.files.insert(row.text(file).into(), false),
                    "1" => known.files.insert(row.text(file).into(), true),
                    "" => None,
                    _ => {
                        *attribute = None;
                        None
                    }
                };
            }
        }
        let found = columns.into_iter().filter_map(|(_, attribute)| attribute);
        self.tables.extend(found.filter(|attribute| !attribute.files.is_empty()));
        Ok(())
    }

    /// Two slices for each property that is known of any of the samples.
    pub fn slices(&self, samples: &[&Sample], probabilities: &[f32], threshold: f32) -> Vec<Slice> {
        let slice = |(attribute, has): (&Attribute, bool)| {
            let answers = samples.iter().zip(probabilities);
            let wanted = answers.filter(|(sample, _)| by_name(&attribute.files, &sample.name) == Some(&has));
            let (samples, probabilities): (Vec<&Sample>, Vec<f32>) = wanted.unzip();
            let confusion = Confusion::count(&samples, &probabilities, threshold);
            (confusion.total() > 0).then(|| Slice { attribute: attribute.name.clone(), has, confusion })
        };
        self.tables
            .iter()
            .flat_map(|attribute| [(attribute, true), (attribute, false)])
            .filter_map(slice)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::dataset::tests::samples;

    #[test]
    fn columns_of_zeros_and_ones_part_the_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        let rows = "file,smile,hat,identity\na.png,0,1,7\nb.png,1,1,8\nc.png,0,0,8\nunknown.png,1,,9\n";
        std::fs::write(&path, rows).unwrap();
        let attributes = Attributes::read(&[path]).unwrap();
        let mut samples = samples(&[false, true, false, true]);
        for (sample, name) in samples.iter_mut().zip(["no/a.png", "b.png", "c.png", "unknown.png"]) {
            sample.name = name.into();
        }
        let samples: Vec<&Sample> = samples.iter().collect();
        let slices = attributes.slices(&samples, &[0.9, 0.8, 0.1, 0.9], 0.5);
        let slice = |has, matrix| Slice { attribute: "hat".into(), has, confusion: Confusion(matrix) };
        assert_eq!(slices, [slice(true, [[0, 1], [0, 1]]), slice(false, [[1, 0], [0, 0]])]);
    }
}
