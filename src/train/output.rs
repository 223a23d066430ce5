//! Files that the program writes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use crate::model::{destination, is_stream, write_atomically};
use crate::train::input::is_picture;

/// Makes sure that a file can be written there, without leaving anything behind: better now than
/// after an hour of training.
///
/// # Errors
/// [`Error::Write`] where its folder isn't there or can't be written to, or it may not be changed.
pub fn check_file(path: &Path) -> Result<()> {
    let failed = |source| Error::Write { path: path.into(), source };
    if path.is_dir() || path.file_name().is_none() {
        return Err(failed(io::Error::other("it is a folder; give the name of a file")));
    }
    check_name(path)?;
    // To open a pipe would wait for its reader.
    let Some(real) = destination(path).map_err(failed)? else { return Ok(()) };
    check_unprotected(&real).map_err(failed)?;
    check_name(&real)?;
    probe(folder_of(&real)).map_err(failed)
}

/// A file that is protected from changes must not be replaced by another, which its folder would allow.
fn check_unprotected(path: &Path) -> io::Result<()> {
    let Ok(there) = fs::metadata(path) else { return Ok(()) };
    // Root may open any file; the mode says what its owner wants.
    if there.permissions().readonly() {
        let reason = "it is protected from writing; allow that (chmod u+w), or give another name";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    OpenOptions::new().write(true).open(path).map(drop)
}

/// The same for weights, beside which others are written while they are learnt.
///
/// # Errors
/// Those of [`check_file`], and where it is no plain file.
pub fn check_weights(path: &Path) -> Result<()> {
    match is_stream(path) {
        true => Err(Error::Write {
            path: path.into(),
            source: io::Error::other("it is no plain file, beside which a checkpoint could lie"),
        }),
        false => check_file(path).and_then(|()| check_name(&beside(path, ".checkpoint"))),
    }
}

/// Longer names than a file system has show only when the file is made, after all the work.
fn check_name(path: &Path) -> Result<()> {
    // What is written stands under such a name first.
    match fs::symlink_metadata(beside(path, ".1234567890.partial")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Write { path: path.into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Makes sure that files can be written into this folder, which need not be there yet.
///
/// # Errors
/// [`Error::Write`] where neither it nor what would hold it can be written to.
pub fn check_folder(path: &Path) -> Result<()> {
    let failed = |reason| Error::Write { path: path.into(), source: io::Error::other(reason) };
    if path.exists() && !path.is_dir() {
        return Err(failed("it is a file; give the name of a folder"));
    }
    if path.is_symlink() && !path.exists() {
        return Err(failed(
            "it is a link that leads nowhere; make the folder that it leads to, or give another name",
        ));
    }
    check_name(path)?;
    let there = path.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    probe(there).map_err(|source| Error::Write { path: path.into(), source })
}

/// Writes a file whole or not at all, as [`write_atomically`] does.
///
/// # Errors
/// [`Error::Write`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes).map_err(|source| Error::Write { path: path.into(), source })
}

/// Whether it is or will be a plain file, beside which others can lie: no pipe, no device.
pub fn is_plain(path: &Path) -> bool {
    !is_stream(path)
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

/// What tells files apart, whatever their names.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let data = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((data.dev(), data.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    path.canonicalize().ok().filter(|path| path.is_file())
}

/// The files that a command will write, none of which may be one that it reads.
#[derive(Default)]
pub struct Outputs {
    files: Vec<Output>,
    /// Of those that are there.
    there: Vec<(usize, Identity)>,
}

struct Output {
    option: String,
    /// As it was given, and in its folder's one true form.
    path: PathBuf,
    place: PathBuf,
}

impl Outputs {
    /// Adds a file.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where it is another output, too; [`Error::Write`] where a file that is there can't be
    /// replaced.
    pub fn add(&mut self, option: &str, path: &Path) -> Result<()> {
        let failed = |source| Error::Write { path: path.into(), source };
        // Into a pipe or a device one may write as often as one likes.
        let Some(real) = destination(path).map_err(failed)? else { return Ok(()) };
        check_unprotected(&real).map_err(failed)?;
        let place = placed(&real);
        let same = self.files.iter().find(|other| other.place == place).or_else(|| self.same(path));
        if let Some(other) = same {
            return Err(Error::Mismatch(format!(
                "{option} and {} are both {}; give one of them another name",
                other.option,
                path.display()
            )));
        }
        if let Some(identity) = identity(path) {
            self.there.push((self.files.len(), identity));
        }
        self.files.push(Output { option: option.into(), path: path.into(), place });
        Ok(())
    }

    /// Makes sure that a file that is read is none of them, by whatever name.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn spare(&self, option: &str, path: &Path) -> Result<()> {
        match self.same(path) {
            None => Ok(()),
            Some(output) => Err(Error::Mismatch(format!(
                "{} {} would overwrite {}, which {option} reads; give another name",
                output.option,
                output.path.display(),
                path.display()
            ))),
        }
    }

    /// The same for all files of a data set.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn spare_all(&self, option: &str, paths: impl IntoIterator<Item = PathBuf>) -> Result<()> {
        // Looking up each picture takes time, and mostly nothing is there that could be one.
        if self.there.is_empty() {
            return Ok(());
        }
        paths.into_iter().try_for_each(|path| self.spare(option, &path))
    }

    /// Makes sure that no picture among them is written into a folder of which all pictures are read: the next run
    /// would take it for one of these.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn keep_out_of(&self, option: &str, folder: &Path) -> Result<()> {
        let Ok(real) = folder.canonicalize() else { return Ok(()) };
        let is_inside = |output: &&Output| {
            let name = output.place.file_name().unwrap_or_default();
            is_picture(&name.to_string_lossy()) && output.place.starts_with(&real)
        };
        match self.files.iter().find(is_inside) {
            None => Ok(()),
            Some(output) => Err(Error::Mismatch(format!(
                "{} would write the picture {} into {}, of which {option} reads all pictures, so that it would be \
                 one of them from then on; give another folder",
                output.option,
                output.path.display(),
                folder.display()
            ))),
        }
    }

    /// The output that is this file.
    fn same(&self, path: &Path) -> Option<&Output> {
        let identity = identity(path)?;
        let (index, _) = self.there.iter().find(|(_, other)| *other == identity)?;
        Some(&self.files[*index])
    }
}

/// The path in its folder's one true form; neither the file nor its last folders need be there.
fn placed(path: &Path) -> PathBuf {
    let there = path.ancestors().skip(1).find_map(|folder| {
        let real = if folder.as_os_str().is_empty() { Path::new(".") } else { folder }.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(folder).ok()?))
    });
    there.unwrap_or_else(|| path.into())
}

/// Holds what is written to one place for one process alone. The system lets go of it when the process ends, however
/// it ends.
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of `out`, a file beside it.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process has it, [`Error::Write`] where there can be none.
    pub fn take(out: &Path) -> Result<Self> {
        let path = beside(&out.canonicalize().unwrap_or_else(|_| out.into()), ".lock");
        let failed = |source| Error::Write { path: path.clone(), source };
        if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(failed(io::Error::other("it is no plain file; remove it")));
        }
        loop {
            let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: out.into() }),
                // Some network folders know no locks; then there is none, as before there were any.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Whoever had it before has removed the file after it was opened here: others would make a new one.
            if is_still(&file, &path) {
                return Ok(Self { path, file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still held, so that nobody can hold a file that isn't there any more. One with something in
        // it was there before.
        if self.file.metadata().is_ok_and(|data| data.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let there = fs::metadata(path).map(|data| (data.dev(), data.ino()));
    matches!((file.metadata(), there), (Ok(data), Ok(there)) if (data.dev(), data.ino()) == there)
}

/// Elsewhere a file that is open stays where it is.
#[cfg(not(unix))]
fn is_still(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_told_from_inputs_whatever_they_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        fs::hard_link(&a, &c).unwrap();
        let mut outputs = Outputs::default();
        outputs.add("--csv", &a).unwrap();
        outputs.spare("--data", &b).unwrap();
        let message = outputs.spare("--data", &c).unwrap_err().to_string();
        assert!(message.contains("--csv") && message.contains("--data"), "{message}");
        assert!(outputs.spare_all("--data", [b.clone(), c.clone()]).is_err());
        assert!(outputs.add("--sheet", &folder.path().join(".").join("a")).is_err());
        assert!(outputs.add("--sheet", &c).is_err());
        // Neither is there yet.
        outputs.add("--sheet", &folder.path().join("new")).unwrap();
        assert!(outputs.add("--json", &folder.path().join("new")).is_err());
    }

    #[test]
    fn only_one_has_the_lock_and_none_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let lock = Lock::take(&out).unwrap();
        assert!(matches!(Lock::take(&out), Err(Error::Busy { .. })));
        drop(lock);
        drop(Lock::take(&out).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
