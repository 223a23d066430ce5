//! Tables that say to which part pictures belong.

use std::collections::HashMap;
use std::path::PathBuf;

use super::table::{self, Table, by_name};
use crate::train::error::Result;

/// The part of the data that a picture belongs to, where a table says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TablePart {
    /// Learnt from.
    Train,
    /// What options are chosen by.
    Validation,
    /// Kept for the final measurement.
    Test,
}

/// Parts by file name.
#[derive(Default)]
pub struct PartTables {
    /// The tables' paths.
    paths: Vec<PathBuf>,
    files: HashMap<String, TablePart>,
}

impl PartTables {
    /// Reads tables with the columns `file` and `part`: train, validation or test.
    ///
    /// # Errors
    /// Where one can't be read, lacks a column or has another part.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all = HashMap::new();
        for path in paths {
            let bytes = table::read(path)?;
            let mut table = Table::new(path, &bytes)?;
            let [file, part] = table.columns(&["file", "part"])?;
            while let Some(row) = table.next()? {
                let part = match row.text(part) {
                    "train" => TablePart::Train,
                    "validation" => TablePart::Validation,
                    "test" => TablePart::Test,
                    other => {
                        return Err(row.failed(format!("{other:?} is no part: train, validation or test")));
                    }
                };
                all.insert(row.text(file).to_string(), part);
            }
        }
        Ok(Self { paths: paths.into(), files: all })
    }

    /// # Errors
    /// Where there are tables that name none of these pictures: they are about others.
    pub fn require<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        table::require_names("--parts", &self.paths, names, |name| self.of(name).is_some())
    }

    /// `None` where no table names the file.
    pub fn of(&self, name: &str) -> Option<TablePart> {
        by_name(&self.files, name).copied()
    }
}
