//! The layouts of data sets: where pictures lie and where their labels stand.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::archive::MOST_FILES;
use super::classes::{Class, Classes};
use super::source::Source;
use crate::train::error::{Error, Result};
use crate::train::input::{self, is_picture};

const R2009A_IMAGES: &str = "Subsets/GENKI-4K/GENKI-4K_Images.txt";
const R2009A_LABELS: &str = "Subsets/GENKI-4K/GENKI-4K_Labels.txt";
/// Folders that may wrap a data set, as archives often have one.
const MAX_WRAPPERS: usize = 4;

/// How a data set is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// `files/` and `labels.txt`: line N labels file N in name order.
    #[serde(rename = "GENKI-4K")]
    Genki4k,
    /// `files/` and, in `Subsets/GENKI-4K/`, a list of names and a list of their labels.
    #[serde(rename = "GENKI-R2009a")]
    GenkiR2009a,
    /// `smile/` and `no-smile/`, or other names that [`Classes`] knows.
    #[serde(rename = "folder a class")]
    Classes,
}

/// A picture's name in its source, with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::train) struct Labelled {
    pub name: String,
    pub smiling: bool,
}

impl Layout {
    /// Those with labels, in the order in which they are tried: what is named most specially comes first.
    const LABELLED: [Self; 3] = [Self::GenkiR2009a, Self::Classes, Self::Genki4k];

    /// As it stands in weights files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Genki4k => "GENKI-4K",
            Self::GenkiR2009a => "GENKI-R2009a",
            Self::Classes => "folder a class",
        }
    }

    /// Files beside the pictures that say what they are.
    pub(in crate::train) fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Genki4k => &["labels.txt"],
            Self::GenkiR2009a => &[R2009A_IMAGES, R2009A_LABELS],
            Self::Classes => &[],
        }
    }

    /// Finds the source's layout, goes into the folder that wraps it, if any, and lists its
    /// pictures in name order.
    ///
    /// # Errors
    /// Where no layout fits, or a picture has no label.
    pub(in crate::train) fn find(source: &mut Source, classes: &Classes) -> Result<(Self, Vec<Labelled>)> {
        let found = source.top();
        for _ in 0..=MAX_WRAPPERS {
            if let Some(layout) = Self::LABELLED.into_iter().find(|layout| layout.fits(source, classes)) {
                return Ok((layout, layout.pictures(source, classes)?));
            }
            match source.top().as_slice() {
                [only] if source.has_folder(only) => source.enter(only),
                _ => break,
            }
        }
        Err(Error::Layout {
            path: source.path().into(),
            found: enumerate(&found),
            wanted: Self::LABELLED.map(Self::description).join(", or "),
        })
    }

    fn description(self) -> String {
        let parts = match self {
            Self::Genki4k => "`files/` and `labels.txt`".into(),
            Self::GenkiR2009a => format!("`files/`, `{R2009A_IMAGES}` and `{R2009A_LABELS}`"),
            Self::Classes => {
                "`smile/` and `no-smile/`, or others that --classes smile=… no-smile=… names".into()
            }
        };
        format!("{parts} ({})", self.name())
    }

    fn fits(self, source: &Source, classes: &Classes) -> bool {
        match self {
            Self::Genki4k => source.has("labels.txt") || source.has_folder("files"),
            Self::GenkiR2009a => source.has(R2009A_IMAGES) || source.has(R2009A_LABELS),
            Self::Classes => folders(source).iter().any(|folder| classes.of(folder).is_some()),
        }
    }

    /// In name order.
    pub(in crate::train) fn pictures(self, source: &Source, classes: &Classes) -> Result<Vec<Labelled>> {
        let mut pictures = match self {
            Self::Genki4k => pair(source, "labels.txt", pictures_in(source, "files"))?,
            Self::GenkiR2009a => {
                let names = lines(source, R2009A_IMAGES)?.into_iter().map(|name| {
                    let inside = format!("files/{name}");
                    if !source.has(&inside) && source.has(&name) { name } else { inside }
                });
                pair(source, R2009A_LABELS, names.collect())?
            }
            Self::Classes => by_folder(source, classes)?,
        };
        pictures.sort_by(|a, b| a.name.cmp(&b.name));
        match pictures.is_empty() {
            true => Err(Error::NoPictures { path: source.path().into(), skipped: 0, first: None }),
            false => Ok(pictures),
        }
    }
}

fn folders(source: &Source) -> Vec<String> {
    source.top().into_iter().filter(|name| source.has_folder(name)).collect()
}

/// The pictures of each folder that is a class.
///
/// # Errors
/// Where there are pictures in a folder that is none.
fn by_folder(source: &Source, classes: &Classes) -> Result<Vec<Labelled>> {
    let (mut all, mut others) = (Vec::new(), Vec::new());
    for folder in folders(source) {
        let names = pictures_in(source, &folder);
        let label = |smiling| names.iter().map(move |name| Labelled { name: name.clone(), smiling });
        match classes.of(&folder) {
            Some(Class::Smiling) => all.extend(label(true)),
            Some(Class::NotSmiling) => all.extend(label(false)),
            Some(Class::Ignored) => {}
            None if names.is_empty() => {}
            None => others.push(folder),
        }
    }
    match others.is_empty() {
        true => Ok(all),
        false => Err(Error::Mismatch(format!(
            "{}: whether people in {} smile is not known; say it with --classes smile=… no-smile=…, or leave them \
             out with --classes ignore=…",
            source.path().display(),
            enumerate(&others)
        ))),
    }
}

/// All pictures of a folder or archive, whatever its layout.
pub(in crate::train) fn all_pictures(source: &Source) -> Vec<String> {
    let (folders, files): (Vec<_>, Vec<_>) =
        source.top().into_iter().partition(|name| source.has_folder(name));
    let mut names: Vec<String> = folders.iter().flat_map(|folder| pictures_in(source, folder)).collect();
    names.extend(files.into_iter().filter(|name| is_picture(name)));
    names.sort_unstable();
    names
}

fn pictures_in(source: &Source, folder: &str) -> Vec<String> {
    let mut names = source.files_below(folder);
    names.retain(|name| is_picture(name));
    names
}

/// Lines without the blanks around them; empty ones at the end are none.
fn lines(source: &Source, name: &str) -> Result<Vec<String>> {
    let bytes = source.read(name).map_err(|error| Error::Label {
        data: source.path().into(),
        file: name.into(),
        reason: format!("it labels the pictures, but cannot be read: {error}"),
    })?;
    let text = String::from_utf8_lossy(input::text(&bytes));
    let mut lines = text.trim_end().lines().map(|line| line.trim().to_string());
    let most: Vec<String> = lines.by_ref().take(MOST_FILES).collect();
    match lines.next() {
        None => Ok(most),
        Some(_) => Err(Error::Label {
            data: source.path().into(),
            file: name.into(),
            reason: format!("it has more than {MOST_FILES} lines"),
        }),
    }
}

/// Line N of `file` belongs to name N.
fn pair(source: &Source, file: &str, names: Vec<String>) -> Result<Vec<Labelled>> {
    let failed = |reason| Error::Label { data: source.path().into(), file: file.into(), reason };
    let labels = lines(source, file)?;
    let count = format!("{} labels for {} pictures", labels.len(), names.len());
    if let Some(name) = names.get(labels.len()) {
        return Err(failed(format!("{count}; {name} has none")));
    }
    if labels.len() > names.len() && !names.is_empty() {
        return Err(failed(format!("{count}; a picture is missing, so that labels can't be told apart")));
    }
    names
        .into_iter()
        .zip(labels)
        .enumerate()
        .map(|(index, (name, label))| {
            let smiling = match label.split_whitespace().next() {
                Some("1") => true,
                Some("0") => false,
                _ => {
                    let line = index + 1;
                    return Err(failed(format!(
                        "line {line} labels {name} {:?}; it must start with 1 (smiling) or 0",
                        shortened(&label)
                    )));
                }
            };
            Ok(Labelled { name, smiling })
        })
        .collect()
}

/// GENKI-4K's angles of each picture, in radians: yaw, pitch, roll. Empty for other data.
pub(in crate::train) fn poses(source: &Source) -> HashMap<String, [f32; 3]> {
    let names = source.files_below("files");
    let text = source.read("labels.txt").unwrap_or_default();
    let text = String::from_utf8_lossy(input::text(&text));
    let angles = text.lines().map(|line| {
        let mut numbers = line.split_whitespace().skip(1).map(|word| word.parse::<f32>().ok());
        Some([numbers.next()??, numbers.next()??, numbers.next()??])
    });
    names.into_iter().zip(angles).filter_map(|(name, angles)| Some((name, angles?))).collect()
}

/// The start of a text, for a message: a file that isn't what its name says may have a single line.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// The first few names, for a message.
fn enumerate(names: &[String]) -> String {
    const SHOWN: usize = 6;
    match names.len() {
        0 => "nothing in it".into(),
        1..=SHOWN => names.join(", "),
        more => format!("{} and {} more", names[..SHOWN].join(", "), more - SHOWN),
    }
}
