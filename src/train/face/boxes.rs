//! Tables of the faces in pictures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::data::Face;
use crate::analysis::crop::Rect;
use crate::train::data::dataset::last_component;
use crate::train::data::part_tables::{PartTables, TablePart};
use crate::train::data::table::{self, Table, by_name};
use crate::train::error::Result;

/// What tables say of one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub faces: Vec<Face>,
    /// Boxes of which nobody knows whether they are faces: they are neither learnt from nor counted.
    pub unclear: Vec<Rect>,
}

/// Tables of boxes and parts by file name.
#[derive(Default)]
pub struct Boxes {
    names: Vec<String>,
    files: HashMap<String, File>,
    parts: PartTables,
}

#[derive(Default)]
struct File {
    known: Known,
    /// Rows of faces, and how many there should be: pictures with faces that no row names are left out.
    rows: usize,
    wanted: Option<usize>,
}

const BOX: [&str; 4] = ["x", "y", "w", "h"];
const LANDMARKS: [&str; 10] = [
    "reye_x", "reye_y", "leye_x", "leye_y", "nose_x", "nose_y", "rmouth_x", "rmouth_y", "lmouth_x",
    "lmouth_y",
];

/// A box is sure where its detector's score is at least the first, or at least the second while another
/// detector's (column `rfb`) is at least the third. On pictures that people looked through, 99.8 % of boxes from
/// 0.8 on were faces, and few between 0.3 and 0.7.
const SURE: f32 = 0.8;
const SURE_TOGETHER: [f32; 2] = [0.5, 0.6];
/// Boxes of several tables mean the same face from this intersection over union on: detectors and people cut
/// faces differently.
const SAME: f32 = 0.3;

impl Boxes {
    /// Reads tables of boxes, tables of boxes to be ignored, and tables that say to which part a picture belongs.
    ///
    /// # Errors
    /// Where a table can't be read, lacks a column or has something else than a number in one.
    pub fn read(boxes: &[PathBuf], ignored: &[PathBuf], parts: &[PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        boxes.iter().try_for_each(|path| all.add(path, false))?;
        ignored.iter().try_for_each(|path| all.add(path, true))?;
        all.parts = PartTables::read(parts)?;
        Ok(all)
    }

    fn add(&mut self, path: &Path, ignored: bool) -> Result<()> {
        let bytes = table::read(path)?;
        let mut table = Table::new(path, &bytes)?;
        let [file, x, y, w, h] = table.columns(&["file", BOX[0], BOX[1], BOX[2], BOX[3]])?;
        let landmarks = match table.column(LANDMARKS[0]) {
            Some(_) => Some(table.columns(&LANDMARKS)?),
            None => None,
        };
        let (count, score, second) = (table.column("nfaces"), table.column("score"), table.column("rfb"));
        while let Some(row) = table.next()? {
            let name = row.text(file).to_string();
            let entry = self.files.entry(name).or_default();
            if let Some(count) = count {
                entry.wanted = Some(row.number(count)? as usize);
            }
            let Some(rect) = row.rect([x, y, w, h])? else { continue };
            if entry.known.faces.len() + entry.known.unclear.len() >= MOST_BOXES {
                return Err(row.failed(format!("more than {MOST_BOXES} boxes for one picture")));
            }
            let sure = match (score, second) {
                (Some(score), Some(second)) => {
                    let (score, second) = (row.number(score)?, row.number(second)?);
                    score >= SURE || score >= SURE_TOGETHER[0] && second >= SURE_TOGETHER[1]
                }
                _ => true,
            };
            if ignored || !sure {
                entry.known.ignore(rect);
                continue;
            }
            let landmarks = match landmarks {
                Some(columns) => {
                    let mut points = [[0.0; 2]; 5];
                    for (value, column) in points.as_flattened_mut().iter_mut().zip(columns) {
                        *value = row.number(column)?;
                    }
                    Some(points)
                }
                None => None,
            };
            entry.rows += 1;
            entry.known.add(Face { rect, landmarks });
        }
        self.names.push(last_component(path));
        Ok(())
    }

    /// The last components of the tables' paths.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the tables say of a file; `None` where they don't name it or leave faces out. Tables name files by
    /// their path or just by its last part.
    pub fn known(&self, name: &str) -> Option<Known> {
        let file = by_name(&self.files, name)?;
        file.wanted.is_none_or(|wanted| wanted > 0 && wanted == file.rows).then(|| file.known.clone())
    }

    pub fn part(&self, name: &str) -> Option<TablePart> {
        self.parts.of(name)
    }

    /// # Errors
    /// Where there are tables of parts that name none of these pictures.
    pub fn require_parts<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.parts.require(names)
    }
}

impl Known {
    /// What can't be of a picture of this size, if anything: then its table is of other pictures, or of the same in
    /// another size. A face may reach out of its picture, and a landmark out of its box, but not by that much.
    pub(super) fn misfit(&self, (width, height): (u32, u32)) -> Option<String> {
        let size = [width as f32, height as f32];
        let is_outside = |rect: &&Rect| {
            let [right, bottom] = [rect.x + rect.width, rect.y + rect.height];
            right <= 0.0 || bottom <= 0.0 || rect.x >= size[0] || rect.y >= size[1]
        };
        let is_far = |face: &&Face| {
            let Rect { x, y, width, height } = face.rect;
            let is_far = |[left, top]: [f32; 2]| {
                !(x - width..=x + 2.0 * width).contains(&left)
                    || !(y - height..=y + 2.0 * height).contains(&top)
            };
            face.landmarks.is_some_and(|points| points.into_iter().any(is_far))
        };
        let rects = self.faces.iter().map(|face| &face.rect).chain(&self.unclear);
        if let Some(Rect { x, y, .. }) = rects.clone().find(is_outside) {
            return Some(format!("a table has a box at {x}, {y}, outside of its {width} × {height} pixels"));
        }
        let face = self.faces.iter().find(is_far)?;
        Some(format!(
            "a table has landmarks far from the box at {}, {} that is theirs",
            face.rect.x, face.rect.y
        ))
    }

    /// A face; where an earlier table has it, that one's box stays. Of what was unclear there, it is sure now.
    fn add(&mut self, face: Face) {
        self.unclear.retain(|unclear| unclear.overlap(face.rect) < SAME);
        if self.faces.iter().all(|other| other.rect.overlap(face.rect) < SAME) {
            self.faces.push(face);
        }
    }

    fn ignore(&mut self, rect: Rect) {
        if self.faces.iter().all(|face| face.rect.overlap(rect) < SAME) {
            self.unclear.push(rect);
        }
    }
}

/// Boxes that `locate` or another detector found, with their scores, by file name.
#[derive(Default)]
pub struct FoundBoxes(HashMap<String, Vec<(Rect, f32)>>);

impl FoundBoxes {
    /// Reads a table as `locate` writes it: `file,x,y,w,h,score`.
    ///
    /// # Errors
    /// Where the table can't be read, lacks a column or has something else than a number in one.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = table::read(path)?;
        let mut table = Table::new(path, &bytes)?;
        let [file, x, y, w, h, score] = table.columns(&["file", BOX[0], BOX[1], BOX[2], BOX[3], "score"])?;
        let mut all = HashMap::<String, Vec<_>>::new();
        while let Some(row) = table.next()? {
            let boxes = all.entry(row.text(file).to_string()).or_default();
            if let Some(rect) = row.rect([x, y, w, h])? {
                boxes.push((rect, row.number(score)?));
            }
        }
        Ok(Self(all))
    }

    /// The boxes of a file; `None` where the table doesn't name it.
    pub fn of(&self, name: &str) -> Option<&[(Rect, f32)]> {
        by_name(&self.0, name).map(Vec::as_slice)
    }
}

/// Boxes of one picture at most: each is compared with all others.
const MOST_BOXES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tables: &[&str], ignored: &[&str]) -> Result<Boxes> {
        let folder = tempfile::tempdir().unwrap();
        let write = |(index, text): (usize, &&str)| {
            let path = folder.path().join(format!("{index}-{}.csv", text.len()));
            std::fs::write(&path, text).unwrap();
            path
        };
        let paths = |texts: &[&str]| texts.iter().enumerate().map(write).collect::<Vec<_>>();
        Boxes::read(&paths(tables), &paths(ignored), &[])
    }

    const SCORED: &str = "file,x,y,w,h,score,rfb\n\
        a.png,0,0,10,10,0.9,0\na.png,50,0,10,10,0.5,0.7\na.png,100,0,10,10,0.6,0.5\nb.png,,,,,,\n";

    #[test]
    fn boxes_of_low_scores_are_unclear_and_pictures_without_any_have_no_face() {
        let boxes = read(&[SCORED], &["file,x,y,w,h\na.png,1,0,10,10\na.png,200,0,10,10\n"]).unwrap();
        let known = boxes.known("folder/a.png").unwrap();
        let places = |rects: Vec<Rect>| rects.iter().map(|rect| rect.x).collect::<Vec<_>>();
        assert_eq!(places(known.faces.iter().map(|face| face.rect).collect()), [0.0, 50.0]);
        // What overlaps a face is that face.
        assert_eq!(places(known.unclear), [100.0, 200.0]);
        assert_eq!(boxes.known("b.png"), Some(Known::default()));
        assert_eq!(boxes.known("c.png"), None);
    }

    #[test]
    fn another_table_makes_the_unclear_sure_and_adds_what_is_missing() {
        let boxes = read(&[SCORED, "file,x,y,w,h\na.png,102,0,10,10\na.png,1,0,10,10\n"], &[]).unwrap();
        let known = boxes.known("a.png").unwrap();
        assert_eq!(known.faces.iter().map(|face| face.rect.x).collect::<Vec<_>>(), [0.0, 50.0, 102.0]);
        assert!(known.unclear.is_empty());
    }

    #[test]
    fn bad_values_are_named_with_their_line() {
        let error = |table| read(&[table], &[]).err().unwrap().to_string();
        assert!(error("file,x,y,w,h\na,1,2,3,4\nb,1,2,0,4\n").contains("line 3: a box of 0 × 4 pixels"));
        assert!(error("file,x,y,w,h\na,,2,3,4\n").contains("line 2: \"\" is no number"));
        assert!(error("file,x,y,w,h\na,1,2,many,4\n").contains("line 2: \"many\" is no number"));
        assert!(error("file,x,y,w\n").contains("no column h"));
        assert!(error("file,x,y,w,h,reye_x\n").contains("no column reye_y"));
    }
}
