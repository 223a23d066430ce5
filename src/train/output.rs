//! Files that the program writes.

use std::io;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use crate::model::write_atomically;

/// Makes sure that a file can be written there, without leaving anything behind: better now than
/// after an hour of training.
///
/// # Errors
/// [`Error::Write`] where its folder isn't there or can't be written to.
pub fn check_file(path: &Path) -> Result<()> {
    let failed = |source| Error::Write { path: path.into(), source };
    if path.is_dir() || path.file_name().is_none() {
        return Err(failed(io::Error::other("it is a folder; give the name of a file")));
    }
    probe(folder_of(path)).map_err(failed)
}

/// Makes sure that files can be written into this folder, which need not be there yet.
///
/// # Errors
/// [`Error::Write`] where neither it nor what would hold it can be written to.
pub fn check_folder(path: &Path) -> Result<()> {
    let there = path.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or(Path::new("."));
    probe(there).map_err(|source| Error::Write { path: path.into(), source })
}

/// Writes a file whole or not at all.
///
/// # Errors
/// [`Error::Write`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes).map_err(|source| Error::Write { path: path.into(), source })
}

/// The path with `ending` after its name.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn probe(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        let reason = format!("there is no folder {}; make it first", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    tempfile::tempfile_in(folder).map(drop)
}
