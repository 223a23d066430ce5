//! Files from outside: the one place through which they come in.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::model::check_plain;

/// Bytes of a picture or a table, at most: four times what a picture of 100 megapixels takes in the best quality
/// of JPEG, and a hundred thousand times what one line of labels does.
pub(super) const MOST_BYTES: u64 = 1 << 28;

/// What names of pictures end in.
const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// Whether a file of this name is taken for a picture.
pub(super) fn is_picture(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| EXTENSIONS.contains(&end.to_ascii_lowercase().as_str()))
}

/// Opens a plain file. Pipes and devices, which may never end or never begin, are refused before they are opened.
///
/// # Errors
/// Where it isn't there, can't be read or is none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    check_plain(&fs::metadata(path)?)?;
    File::open(path)
}

/// The whole content of a plain file.
///
/// # Errors
/// Those of [`open`], and where it has more than `most` bytes, which are then not read.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let len = file.metadata()?.len();
    if len > most {
        return Err(too_large(len, most));
    }
    // A file may grow while it is read.
    bounded(file, len, most)
}

/// Reads to the end of what has `expected` bytes or so, and `most` at most.
pub(super) fn bounded(source: impl Read, expected: u64, most: u64) -> io::Result<Vec<u8>> {
    // Room that isn't used costs no memory; to grow into it would take twice as much.
    let mut bytes = Vec::with_capacity(expected.min(most) as usize + 1);
    source.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        len if len > most => Err(too_large(len, most)),
        _ => Ok(bytes),
    }
}

pub(super) fn too_large(len: u64, most: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it has {len} bytes or more; at most {most} are read"),
    )
}

/// A text of a plain file, without the mark of byte order that some editors begin with.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
