//! CSV tables with a header, read row by row.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::analysis::crop::Rect;
use crate::train::error::{Error, Result};
use crate::train::input;

/// Bytes of a table at most, which has some hundred a box. Its fields take some ten times as much, if there is nothing
/// in them.
const MOST_BYTES: u64 = 64 << 20;

pub fn read(path: &Path) -> Result<Vec<u8>> {
    input::read(path, MOST_BYTES).map_err(|source| Error::Read { path: path.into(), source })
}

/// A table with a header, read row by row.
pub struct Table<'a> {
    path: &'a Path,
    head: csv::StringRecord,
    reader: csv::Reader<&'a [u8]>,
    record: csv::StringRecord,
}

pub struct Row<'a> {
    path: &'a Path,
    /// As an editor counts.
    line: u64,
    record: &'a csv::StringRecord,
}

fn failed(path: &Path, reason: String) -> Error {
    Error::Label { data: path.into(), file: "table".into(), reason }
}

impl<'a> Table<'a> {
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(bytes);
        let head = reader.headers().map_err(|error| failed(path, error.to_string()))?.clone();
        Ok(Self { path, head, reader, record: csv::StringRecord::new() })
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.head.len()
    }

    /// The columns' names in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.head.iter()
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.head.iter().position(|column| column == name)
    }

    pub fn columns<const N: usize>(&self, names: &[&str; N]) -> Result<[usize; N]> {
        let mut columns = [0; N];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = self.column(name).ok_or_else(|| {
                failed(self.path, format!("it has no column {name}; it needs {}", names.join(",")))
            })?;
        }
        Ok(columns)
    }

    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        let Self { path, reader, record, .. } = self;
        match reader.read_record(record) {
            Ok(more) => {
                let line = record.position().map_or(0, csv::Position::line);
                Ok(more.then_some(Row { path, line, record }))
            }
            Err(error) => Err(failed(path, error.to_string())),
        }
    }
}

impl Row<'_> {
    pub fn text(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default().trim()
    }

    pub fn number(&self, column: usize) -> Result<f32> {
        let text = self.text(column);
        let number = text.parse().ok().filter(|value: &f32| value.is_finite());
        number.ok_or_else(|| self.failed(format!("{text:?} is no number")))
    }

    /// The box in these columns, if there is one.
    pub fn rect(&self, [x, y, w, h]: [usize; 4]) -> Result<Option<Rect>> {
        // One number that is missing is a mistake: without any there is no face.
        if [x, y, w, h].iter().all(|&column| self.text(column).is_empty()) {
            return Ok(None);
        }
        let [x, y, width, height] = [self.number(x)?, self.number(y)?, self.number(w)?, self.number(h)?];
        match width > 0.0 && height > 0.0 {
            true => Ok(Some(Rect { x, y, width, height })),
            false => Err(self.failed(format!("a box of {width} × {height} pixels is empty"))),
        }
    }

    pub fn failed(&self, reason: String) -> Error {
        failed(self.path, format!("line {}: {reason}", self.line))
    }
}

/// # Errors
/// [`Error::Mismatch`] where there are tables and they name none of these pictures.
pub fn require_names<'a>(
    option: &str,
    tables: &[PathBuf],
    names: impl IntoIterator<Item = &'a str>,
    is_named: impl Fn(&str) -> bool,
) -> Result<()> {
    let mut names = names.into_iter().peekable();
    let Some(&first) = names.peek() else { return Ok(()) };
    if tables.is_empty() || names.any(is_named) {
        return Ok(());
    }
    let tables: Vec<String> = tables.iter().map(|path| path.display().to_string()).collect();
    Err(Error::Mismatch(format!(
        "{option}: {} names none of the pictures, the first of which is {first}; the column file holds names as this \
         one, or their last part",
        tables.join(", ")
    )))
}

/// Tables name files by their path or just by its last part.
pub fn by_name<'a, T>(table: &'a HashMap<String, T>, name: &str) -> Option<&'a T> {
    table.get(name).or_else(|| table.get(name.rsplit('/').next()?))
}
