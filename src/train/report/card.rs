//! The tables of a model card, written from results so that no number is copied by hand.
//!
//! What stands between `<!-- name -->` and `<!-- /name -->` is replaced; comments of more than one word
//! are left alone.

mod tables;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::train::error::{Error, Result};
use crate::train::{input, output};

/// A card, what its markers are to be replaced by, and the pictures to be put beside it.
pub struct Card {
    path: PathBuf,
    text: String,
    /// What is between the markers of each name.
    gaps: BTreeMap<String, Range<usize>>,
    filled: BTreeMap<String, String>,
    pictures: Vec<(PathBuf, PathBuf)>,
}

impl Card {
    /// # Errors
    /// Where the card can't be read, or has markers that come twice or are never closed.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|error| Error::Mismatch(format!("{}: it is no text: {error}", path.display())))?;
        let gaps = gaps(&text).map_err(|reason| Error::Mismatch(format!("{}: {reason}", path.display())))?;
        Ok(Self { path: path.into(), text, gaps, filled: BTreeMap::new(), pictures: Vec::new() })
    }

    /// Takes the results that a cross-validation left in a folder for the markers `folds`, `bands`,
    /// `mistakes` and, where it was measured, `robustness`; its drawings are copied to the names
    /// beside the card that begin with `prefix`.
    ///
    /// # Errors
    /// Where a result or a marker is missing.
    pub fn take_folds(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let results: tables::Folds = read_json(&folder.join("results.json"))?;
        self.fill("folds", tables::folds(&results))?;
        self.fill("bands", tables::bands(&results.pooled.bands))?;
        self.fill("mistakes", tables::mistakes(&results.pooled.mistakes))?;
        if let Some(levels) = &results.robustness {
            self.fill("robustness", tables::robustness(levels))?;
        }
        for name in ["evaluation.png", "robustness.png"] {
            let drawing = folder.join(name);
            if drawing.is_file() {
                self.pictures.push((drawing, self.path.with_file_name(format!("{prefix}{name}"))));
            }
        }
        Ok(())
    }

    /// Takes what `eval --json` wrote of a face detector, for the marker `locator`.
    ///
    /// # Errors
    /// Where a result or the marker is missing.
    pub fn take_locator(&mut self, results: &Path) -> Result<()> {
        let table = tables::locator(&read_json(results)?);
        self.fill("locator", table)
    }

    /// Takes what `eval --json` wrote of several data sets, for the marker `collections` and, where it is there,
    /// `slices`.
    ///
    /// # Errors
    /// Where a result or the marker is missing.
    pub fn take_collections(&mut self, results: &Path) -> Result<()> {
        let tables::Collections { collections } = read_json(results)?;
        self.fill("collections", tables::collections(&collections))?;
        match self.gaps.contains_key("slices") {
            true => self.fill("slices", tables::slices(&collections)),
            false => Ok(()),
        }
    }

    /// Compares runs, each with its name and what `eval --json` or `cross-validate` wrote of it, with
    /// the first of them, for the marker of that name.
    ///
    /// # Errors
    /// Where a result or the marker is missing.
    pub fn take_runs(&mut self, marker: &str, runs: &[(String, PathBuf)]) -> Result<()> {
        // A marker within a marker would spoil the card for the next run, and these end a cell of its table.
        if let Some((name, _)) =
            runs.iter().find(|(name, _)| name.contains("<!--") || name.contains(['|', '\n', '\r']))
        {
            return Err(Error::Mismatch(format!(
                "--run {name:?}: a name in the card can't have <!--, | or line breaks; give it another"
            )));
        }
        let read = |(name, path): &(String, PathBuf)| {
            let file = if path.is_dir() { path.join("results.json") } else { path.clone() };
            Ok((name.clone(), read_json(&file)?))
        };
        let runs: Vec<(String, tables::Scores)> = runs.iter().map(read).collect::<Result<_>>()?;
        self.fill(marker, tables::runs(&runs))
    }

    fn fill(&mut self, name: &str, text: String) -> Result<()> {
        if !self.gaps.contains_key(name) {
            return Err(Error::Mismatch(format!(
                "{}: there is no marker <!-- {name} -->; put it, and <!-- /{name} -->, where the results belong",
                self.path.display()
            )));
        }
        self.filled.insert(name.into(), text);
        Ok(())
    }

    /// Copies the pictures and writes the card; what nothing was taken for stays as it is. Says how
    /// many places were filled.
    ///
    /// # Errors
    /// Where something can't be written.
    pub fn write(self) -> Result<usize> {
        let mut gaps: Vec<(&String, &Range<usize>)> = self.gaps.iter().collect();
        gaps.sort_by_key(|(_, gap)| gap.start);
        let (mut text, mut end) = (String::new(), 0);
        for (name, gap) in gaps {
            if let Some(filling) = self.filled.get(name) {
                text += &format!("{}\n{}\n", &self.text[end..gap.start], filling.trim_end());
                end = gap.end;
            }
        }
        text += &self.text[end..];
        // All or nothing: a card whose pictures can't be written would tell of others.
        output::check_file(&self.path)?;
        self.pictures.iter().try_for_each(|(_, to)| output::check_file(to))?;
        for (from, to) in &self.pictures {
            output::write(to, &read(from)?)?;
        }
        output::write(&self.path, text.as_bytes())?;
        Ok(self.filled.len())
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let failed = |error: serde_json::Error| Error::Read { path: path.into(), source: error.into() };
    serde_json::from_slice(&read(path)?).map_err(failed)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    input::read(path, input::MOST_BYTES).map_err(|source| Error::Read { path: path.into(), source })
}

/// What lies between each pair of markers, or what is wrong with them.
fn gaps(text: &str) -> std::result::Result<BTreeMap<String, Range<usize>>, String> {
    let mut gaps = BTreeMap::new();
    let mut open: Option<(&str, usize)> = None;
    for (start, _) in text.match_indices("<!-- ") {
        let rest = &text[start + 5..];
        let Some(name) = rest.find(" -->").map(|len| &rest[..len]) else { break };
        if name.contains(char::is_whitespace) {
            continue;
        }
        open = match (open, name.strip_prefix('/')) {
            (None, None) => Some((name, start + 5 + name.len() + 4)),
            (Some((opened, from)), Some(closed)) if opened == closed => {
                if gaps.insert(opened.into(), from..start).is_some() {
                    return Err(format!("the marker <!-- {closed} --> comes twice"));
                }
                None
            }
            (Some((opened, _)), _) => {
                return Err(format!("<!-- {name} --> comes before <!-- /{opened} -->"));
            }
            (None, Some(closed)) => return Err(format!("<!-- /{closed} --> closes nothing")),
        };
    }
    match open {
        Some((opened, _)) => Err(format!("<!-- {opened} --> is never closed by <!-- /{opened} -->")),
        None => Ok(gaps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_that_make_no_sense_are_named() {
        let text = "<!-- some words -->a<!-- bands -->b<!-- /bands -->";
        assert_eq!(&text[gaps(text).unwrap()["bands"].clone()], "b");
        for (text, reason) in [
            ("<!-- bands -->", "<!-- bands --> is never closed"),
            ("<!-- /bands -->", "<!-- /bands --> closes nothing"),
            ("<!-- bands --><!-- /folds -->", "<!-- /folds --> comes before <!-- /bands -->"),
            ("<!-- bands --><!-- /bands --><!-- bands --><!-- /bands -->", "comes twice"),
        ] {
            let error = gaps(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
