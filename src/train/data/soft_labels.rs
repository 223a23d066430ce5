//! What others make of the pictures, beside their labels.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::dataset::{Sample, last_component};
use super::fingerprint::Fingerprint;
use crate::train::error::{Error, Result};
use crate::train::input;

/// Probabilities of smiling by the names of pictures.
pub struct SoftLabels {
    /// Of the table that they come from.
    pub name: String,
    /// Of the table's bytes, to tell whether it is still the same one.
    pub fingerprint: String,
    probabilities: HashMap<String, f32>,
}

#[derive(Deserialize)]
struct Row {
    file: String,
    probability: f32,
}

impl SoftLabels {
    /// Reads a CSV table with the columns `file`, a picture's name within its data set, and
    /// `probability`, from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Label`] where the table can't be read, or a row is none of these.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |reason: String| Error::Label { data: path.into(), file: "table".into(), reason };
        let bytes = input::read(path, input::MOST_BYTES).map_err(|error| failed(error.to_string()))?;
        let mut table = csv::Reader::from_reader(input::text(&bytes));
        let mut probabilities = HashMap::new();
        for row in table.deserialize() {
            let Row { file, probability } = row.map_err(|error| failed(error.to_string()))?;
            if !(0.0..=1.0).contains(&probability) {
                return Err(failed(format!("{file}: {probability} is no probability from 0 to 1")));
            }
            probabilities.insert(file, probability);
        }
        Ok(Self { name: last_component(path), fingerprint: Fingerprint::of(&bytes), probabilities })
    }

    /// `None` where the table doesn't name the picture.
    pub fn of(&self, sample: &Sample) -> Option<f32> {
        self.probabilities.get(&sample.name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SoftLabels> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("soft.csv");
        std::fs::write(&path, text).unwrap();
        SoftLabels::read(&path)
    }

    fn sample(name: &str) -> Sample {
        Sample {
            name: name.into(),
            pixels: Box::default(),
            wide: Box::default(),
            smiling: true,
            labelled: true,
            votes: None,
        }
    }

    #[test]
    fn columns_are_found_by_name_and_pictures_may_be_missing() {
        let soft = read("fold,probability,file\n1,0.25,smile/a.jpg\n1,1,b.jpg\n").unwrap();
        assert_eq!(soft.name, "soft.csv");
        let answers = ["smile/a.jpg", "b.jpg", "c.jpg"].map(|name| soft.of(&sample(name)));
        assert_eq!(answers, [Some(0.25), Some(1.0), None]);
    }

    #[test]
    fn errors_name_the_table_and_the_place() {
        for (text, reason) in [
            ("file\na.jpg\n", "probability"),
            ("file,probability\na.jpg,0.5\nb.jpg,often\n", "line: 3"),
            ("file,probability\na.jpg,1.5\n", "a.jpg: 1.5 is no probability"),
            ("\u{feff}file,probability\na.jpg,1.5\n", "a.jpg: 1.5 is no probability"),
            ("file,probability\na.jpg,nan\n", "a.jpg: NaN is no probability"),
        ] {
            let message = read(text).err().unwrap().to_string();
            assert!(message.contains(reason) && message.contains("soft.csv"), "{message}");
        }
    }
}
