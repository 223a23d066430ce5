//! Files that are there whole or not at all.

use std::path::{Path, PathBuf};

use super::{Error, shown};

/// A file to be written. What is written lies beside it under another name until [`Output::commit`]; without that
/// nothing is left of it, and what was there before stays.
pub struct Output {
    /// The name that was given.
    name: PathBuf,
    /// The file itself, links followed.
    file: PathBuf,
    /// None: a device or a pipe, which is written to itself.
    part: Option<tempfile::TempPath>,
    may_replace: bool,
}

impl Output {
    /// Checks that a file can be written and is none of the inputs, by device and inode where there are such. `hint`
    /// is what else helps where a file is there that may not be replaced.
    pub fn new<'a>(
        path: &Path,
        (may_replace, hint): (bool, &str),
        inputs: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, Error> {
        let name = shown(path);
        let mut builder = tempfile::Builder::new();
        let file = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                return Err(format!("{name} is a folder; name a file").into());
            }
            Ok(metadata) if !metadata.is_file() => {
                return Ok(Self { name: path.into(), file: path.into(), part: None, may_replace });
            }
            Ok(metadata) => {
                if let Some(input) = inputs.into_iter().find(|input| is_same(path, input)) {
                    return Err(format!(
                        "{name} is the same file as {}, which is read; name another",
                        shown(input)
                    )
                    .into());
                }
                if !may_replace {
                    return Err(format!(
                        "{name} is there already and isn't overwritten; name another file, or remove it{}",
                        hint
                    )
                    .into());
                }
                std::fs::OpenOptions::new()
                    .append(true)
                    .open(path)
                    .map_err(|error| format!("{name} can't be written: {error}"))?;
                builder.permissions(metadata.permissions());
                path.canonicalize()?
            }
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
            {
                allow_what_umask_allows(&mut builder);
                path.into()
            }
            Err(error) => return Err(format!("{name} can't be written: {error}").into()),
        };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = builder
            .prefix(".smile-")
            .suffix(".part")
            .tempfile_in(folder)
            .map_err(|error| format!("{name} can't be written in {}: {error}", shown(folder)))?
            .into_temp_path();
        Ok(Self { name: path.into(), file, part: Some(part), may_replace })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.part.as_deref().unwrap_or(&self.file)
    }

    /// Whether it is a file that is there afterwards.
    pub fn is_file(&self) -> bool {
        self.part.is_some()
    }

    /// Leaves what was written under the name that it has while it is written, and says which that is; `None` where
    /// there is nothing.
    pub fn keep(self) -> Option<PathBuf> {
        let part = self.part.filter(|part| part.metadata().is_ok_and(|metadata| metadata.len() > 0))?;
        part.keep().ok()
    }

    /// Gives the file its name, and says which that is.
    pub fn commit(self) -> Result<PathBuf, Error> {
        let Some(part) = self.part else { return Ok(self.name) };
        let name = shown(&self.name);
        if part.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            return Err(format!("{name}: nothing was written").into());
        }
        let persisted =
            if self.may_replace { part.persist(&self.file) } else { part.persist_noclobber(&self.file) };
        let Err(failed) = persisted else { return Ok(self.name) };
        // The work isn't thrown away because its name was taken meanwhile.
        let error = failed.error;
        Err(match failed.path.keep() {
            Ok(kept) => format!("{name}: {error}; what was written is {}", shown(kept)).into(),
            Err(_) => format!("{name}: {error}").into(),
        })
    }
}

/// Temporary files are otherwise for their owner alone, which a finished file shouldn't be.
#[cfg(unix)]
fn allow_what_umask_allows(builder: &mut tempfile::Builder) {
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
}

#[cfg(not(unix))]
fn allow_what_umask_allows(_: &mut tempfile::Builder) {}

/// Whether two names are of one file.
#[cfg(unix)]
pub fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

#[cfg(not(unix))]
pub fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().is_some_and(|one| other.canonicalize().ok() == Some(one))
}
