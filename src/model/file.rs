//! Reading files that come from outside: plain ones only, of a bounded size, and never for ever.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

use super::error::{Error, Result};

/// How long a file system may take for the next piece. Who loads weights holds up a change of state, which
/// has to return although a network drive is gone; a disk that spins up takes less.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read at a time.
const PIECE: usize = 1 << 20;

/// A file as it was when it was looked at.
#[derive(PartialEq)]
pub struct Identity {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
}

impl Identity {
    /// # Errors
    /// [`Error::Read`] where there is no plain file.
    pub fn of(path: &Path) -> Result<Self> {
        watched(path, |path, _| {
            let metadata = path.metadata()?;
            check_plain(&metadata)?;
            Ok(Self { path: path.canonicalize()?, len: metadata.len(), modified: metadata.modified().ok() })
        })
    }
}

/// The content of a plain file of at most `most` bytes. Where its first piece is not `wanted`, the rest isn't
/// read.
///
/// # Errors
/// [`Error::Read`] where it can't be read, is no plain file or too large, or where nothing comes for
/// [`PATIENCE`].
pub fn read(path: &Path, most: u64, wanted: fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    watched(path, move |path, alive| {
        // Opening a device or a pipe can have effects, and can wait for ever. The name may mean another file by
        // the time that it is opened, so that what was opened is checked, too.
        check_plain(&path.metadata()?)?;
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        check_plain(&metadata)?;
        if metadata.len() > most {
            return Err(refused(format!(
                "it has {} bytes, and the largest network that runs here has {most}: is it a weights file?",
                metadata.len()
            )));
        }
        let mut bytes = Vec::new();
        // It may grow meanwhile; and what a kernel makes up, as in /proc, has no length.
        let mut rest = file.take(most);
        loop {
            let before = bytes.len();
            (&mut rest).take(PIECE as u64).read_to_end(&mut bytes)?;
            if bytes.len() == before || before == 0 && !wanted(&bytes) {
                return Ok(bytes);
            }
            bytes.reserve_exact(usize::try_from(metadata.len()).unwrap_or(0).saturating_sub(bytes.len()));
            alive()?;
        }
    })
}

/// Does `work` on a thread of its own and waits for it as long as it says that it is `alive`. A thread that
/// a file system keeps can't be stopped; it is left behind, and ends when the system call does.
fn watched<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path, &dyn Fn() -> io::Result<()>) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |source| Error::Read { path: path.into(), source };
    let (tell, told) = channel();
    let worker = std::thread::Builder::new().name("smile-read".into());
    let path = path.to_owned();
    let spawned = worker.spawn(move || {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let done = work(&path, &|| tell.send(None).map_err(gone));
        // Nobody may be waiting any more.
        let _ = tell.send(Some(done));
    });
    spawned.map_err(failed)?;
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(None) => {}
            Ok(Some(done)) => return done.map_err(failed),
            Err(RecvTimeoutError::Timeout) => {
                let words = format!(
                    "the file system hasn't answered for {} seconds; copy the file to a local disk",
                    PATIENCE.as_secs()
                );
                return Err(failed(io::Error::new(io::ErrorKind::TimedOut, words)));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(failed(io::Error::other("the thread that reads it has failed")));
            }
        }
    }
}

/// Makes sure that this is a plain file: pipes and devices may never end or never begin.
///
/// # Errors
/// Where it is something else, which the error names.
pub fn check_plain(metadata: &Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(refused(format!("it is {}, not a plain file", kind(metadata.file_type())))),
    }
}

#[cfg(unix)]
fn kind(of: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match of {
        of if of.is_dir() => "a folder",
        of if of.is_fifo() => "a named pipe",
        of if of.is_socket() => "a socket",
        of if of.is_char_device() || of.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn kind(of: FileType) -> &'static str {
    if of.is_dir() { "a folder" } else { "something else" }
}

fn refused(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}
