//! Writing files: the one place through which results leave.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// As many links in a row are followed as Linux follows.
const MOST_LINKS: usize = 40;

/// Writes a file whole or not at all: beside it first, then renamed.
///
/// Links are followed, and a file that is there keeps its mode and, where that is allowed, its owner. What is
/// no plain file, such as a pipe or a device, is written to and never replaced.
///
/// # Errors
/// Where it can't be written; then what was there is still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match place(path)? {
        Place::File(path) => replace(&path, bytes),
        Place::Stream => write_to(path, bytes),
    }
}

/// Whether what is written there goes on at once, into a pipe, a device or what standard output leads to.
#[cfg(feature = "train")]
pub(crate) fn is_stream(path: &Path) -> bool {
    matches!(destination(path), Ok(None))
}

/// The plain file that a path and its links lead to, which need not be there; `None` for a pipe, a device and the like.
///
/// # Errors
/// Where it is a folder, or its links lead nowhere.
#[cfg(feature = "train")]
pub(crate) fn destination(path: &Path) -> io::Result<Option<PathBuf>> {
    match place(path)? {
        Place::File(path) => Ok(Some(path)),
        Place::Stream => Ok(None),
    }
}

/// Where the bytes for a path go.
enum Place {
    /// The plain file that its links lead to, which need not be there.
    File(PathBuf),
    /// What can only be written to.
    Stream,
}

fn place(path: &Path) -> io::Result<Place> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::metadata(&path) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => return Ok(Place::Stream),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if !path.is_symlink() {
            return Ok(Place::File(path));
        }
        // What /dev/stdout leads to is open already, and others write there, too.
        let folder = folder_of(&path).canonicalize()?;
        if folder.starts_with("/proc") || folder.starts_with("/dev/fd") {
            return Ok(Place::Stream);
        }
        path = folder.join(fs::read_link(&path)?);
    }
    Err(io::Error::other("its links lead nowhere"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    // Left by a process of the same number that was killed; whatever it is, it must not be written through.
    let _ = fs::remove_file(partial);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(partial)
        .and_then(|mut file| {
            if let Ok(there) = fs::metadata(path) {
                keep_owner(partial, &there);
                fs::set_permissions(partial, there.permissions())?;
            }
            file.write_all(bytes).and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(partial, path));
    if written.is_err() {
        let _ = fs::remove_file(partial);
    }
    written
}

/// Only root may give files away; for others they become their own.
#[cfg(unix)]
fn keep_owner(path: &Path, there: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, chown};
    let _ = chown(path, Some(there.uid()), Some(there.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &fs::Metadata) {}

fn write_to(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_stdout(path) {
        // A file opened anew would be written from its start, over what else is printed.
        let mut stdout = io::stdout().lock();
        return stdout.write_all(bytes).and_then(|()| stdout.flush());
    }
    let mut stream = OpenOptions::new().append(true).open(path)?;
    stream.write_all(bytes).and_then(|()| stream.flush())
}

#[cfg(unix)]
fn is_stdout(path: &Path) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let of_stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| fs::File::from(fd).metadata());
    matches!((fs::metadata(path), of_stdout), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn is_stdout(_: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_others_get_the_usual_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, b"new").unwrap();
        let usual = fs::File::create(folder.path().join("b")).unwrap().metadata().unwrap().mode();
        assert_eq!(fs::metadata(&path).unwrap().mode(), usual);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write_atomically(&path, b"newer").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"newer");
    }

    #[test]
    fn links_are_followed_even_to_what_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("other")).unwrap();
        let [link, again, file] = ["link", "other/again", "other/file"].map(|name| folder.path().join(name));
        symlink("other/again", &link).unwrap();
        symlink("file", &again).unwrap();
        for bytes in [b"first", b"other"] {
            write_atomically(&link, bytes).unwrap();
            assert!(link.is_symlink() && again.is_symlink());
            assert_eq!(fs::read(&file).unwrap(), bytes);
        }
        symlink("ring", folder.path().join("ring")).unwrap();
        assert!(write_atomically(&folder.path().join("ring"), b"").is_err());
    }

    #[test]
    fn devices_stay_what_they_are() {
        let before = fs::metadata("/dev/null").unwrap();
        write_atomically(Path::new("/dev/null"), b"gone").unwrap();
        let after = fs::metadata("/dev/null").unwrap();
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
        assert!(!Path::new(&format!("/dev/null.{}.partial", std::process::id())).exists());
    }

    #[test]
    fn where_nothing_can_be_written_all_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("folder");
        fs::create_dir(&path).unwrap();
        assert!(write_atomically(&path, b"").is_err());
        assert!(write_atomically(&folder.path().join("absent/file"), b"").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
