//! What is in an archive, and where: tar, plain or compressed, and zip.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path};
use std::sync::Mutex;

use flate2::Crc;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use tar::EntryType;

use crate::train::input;

/// Files of an archive or a folder, at most: the largest sets of faces have ten millions, of which no memory that
/// pictures are kept in holds a fifth.
pub(in crate::train) const MOST_FILES: usize = 2_000_000;
/// Bytes of what stands before a member of an archive, such as its name and attributes.
const MOST_EXTENSION: u64 = 1 << 17;
/// Bytes of a member's name: what systems end paths at. All beginnings of a name are kept, for the folders in it.
const MOST_NAME: usize = 4096;
/// What a compressed archive may unpack to, whatever its own size. Pictures hardly become smaller by packing.
const MOST_UNPACKED: u64 = 1 << 30;
/// How many times its own size an archive may unpack to beyond that.
const MOST_GROWTH: u64 = 20;
/// How many links are followed from one to the next.
const MOST_LINKS: usize = 8;

/// Files by name, in an archive that can be read anywhere.
pub(in crate::train) struct Archive {
    file: Mutex<File>,
}

/// Where a file's content is.
#[derive(Clone, Debug)]
pub(in crate::train) enum Packed {
    /// Bytes as they are.
    Plain { offset: u64, len: u64 },
    /// A member of a zip archive.
    Zip { offset: u64, packed: u64, len: u64, deflated: bool, crc: u32 },
    /// There is a name but nothing to read, for this reason.
    Unreadable(String),
}

/// What is in an archive by name, with `/` between the parts of names.
pub(in crate::train) type Index = BTreeMap<String, Packed>;

impl Archive {
    /// Takes an archive for what its first bytes say.
    ///
    /// # Errors
    /// Where it is none that can be read, or too much.
    pub fn open(mut file: File) -> io::Result<(Self, Index)> {
        let mut start = [0; 4];
        let count = read_start(&mut file, &mut start)?;
        file.rewind()?;
        let index = match &start[..count] {
            [0x1f, 0x8b, ..] => {
                file = unpack_gzip(file)?;
                tar_index(&file)?
            }
            [0x28, 0xb5, 0x2f, 0xfd] => {
                file = unpack_zstandard(file)?;
                tar_index(&file)?
            }
            [b'P', b'K', 3 | 5, 4 | 6] => zip_index(&file)?,
            _ => tar_index(&file)?,
        };
        Ok((Self { file: Mutex::new(file) }, index))
    }

    /// The content of one of its files.
    pub fn read(&self, place: &Packed) -> io::Result<Vec<u8>> {
        match *place {
            Packed::Plain { offset, len } => self.part(offset, len),
            Packed::Zip { len, .. } if len > input::MOST_BYTES => {
                Err(input::too_large(len, input::MOST_BYTES))
            }
            Packed::Zip { offset, packed, len, deflated, crc } => {
                let bytes = self.part(offset, packed)?;
                let bytes = match deflated {
                    true => input::bounded(DeflateDecoder::new(&bytes[..]), len, len)?,
                    false => bytes,
                };
                let mut sum = Crc::new();
                sum.update(&bytes);
                match sum.sum() == crc {
                    true => Ok(bytes),
                    false => Err(io::Error::other("its checksum is wrong")),
                }
            }
            Packed::Unreadable(ref reason) => Err(io::Error::other(reason.clone())),
        }
    }

    fn part(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        if len > input::MOST_BYTES {
            return Err(input::too_large(len, input::MOST_BYTES));
        }
        let mut file = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        file.seek(SeekFrom::Start(offset))?;
        let bytes = input::bounded((&mut *file).take(len), len, len)?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// As many of the first bytes as there are.
fn read_start(file: &mut File, start: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < start.len() {
        match file.read(&mut start[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// An archive without its compression, in a file without a name: what is packed can't be read from its middle.
struct Unpacked {
    file: File,
    most: u64,
    len: u64,
}

impl Unpacked {
    fn of(packed: u64) -> io::Result<Self> {
        let most = MOST_UNPACKED.max(MOST_GROWTH.saturating_mul(packed));
        Ok(Self { file: tempfile::tempfile()?, most, len: 0 })
    }
}

impl Write for Unpacked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.len += bytes.len() as u64;
        if self.len > self.most {
            return Err(io::Error::other(format!(
                "it unpacks to more than {} bytes; unpack it by hand if you trust it",
                self.most
            )));
        }
        self.file.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn unpack_gzip(packed: File) -> io::Result<File> {
    let mut unpacked = Unpacked::of(packed.metadata()?.len())?;
    io::copy(&mut MultiGzDecoder::new(BufReader::new(packed)), &mut unpacked)?;
    Ok(unpacked.file)
}

/// Frame by frame, as several make one archive where it was packed in parallel.
fn unpack_zstandard(packed: File) -> io::Result<File> {
    let mut unpacked = Unpacked::of(packed.metadata()?.len())?;
    let mut packed = BufReader::new(packed);
    while !packed.fill_buf()?.is_empty() {
        match StreamingDecoder::new(&mut packed) {
            Ok(mut frame) => io::copy(&mut frame, &mut unpacked).map(drop)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                packed.seek_relative(length.into())?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(unpacked.file)
}

fn tar_index(file: &File) -> io::Result<Index> {
    refuse_long_names(file)?;
    let mut reader = file;
    reader.rewind()?;
    let mut index = Index::new();
    let mut links = Vec::new();
    for entry in tar::Archive::new(reader).entries_with_seek()? {
        let entry = entry?;
        let name = joined(&entry.path()?);
        require_short(&name)?;
        let target =
            |entry: &tar::Entry<_>| entry.link_name().ok().flatten().map(|target| target.into_owned());
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let place = Packed::Plain { offset: entry.raw_file_position(), len: entry.size() };
                index.insert(name, place);
            }
            EntryType::Link => links.push((name, target(&entry).map(|target| joined(&target)))),
            EntryType::Symlink => {
                let beside = Path::new(&name).parent().map(Path::to_path_buf).unwrap_or_default();
                let target = target(&entry).map(|target| joined(&beside.join(target)));
                links.push((name, target));
            }
            EntryType::GNUSparse => {
                index.insert(name, Packed::Unreadable("it is stored with holes, which isn't read".into()));
            }
            _ => {}
        }
        require_few(index.len() + links.len())?;
    }
    follow(links, &mut index);
    Ok(index)
}

/// The library reads names and other extensions whole, however long they claim to be.
fn refuse_long_names(mut file: &File) -> io::Result<()> {
    file.rewind()?;
    for entry in tar::Archive::new(file).entries_with_seek()?.raw(true) {
        let entry = entry?;
        let kind = entry.header().entry_type();
        let is_name = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if is_name && entry.size() > MOST_EXTENSION {
            return Err(io::Error::other(format!("a name in it has {} bytes", entry.size())));
        }
        // Sizes that replace those of headers would lead who heeds them elsewhere than here. Only members of 8 GB
        // and more need them.
        if kind.is_pax_local_extensions() || kind.is_pax_global_extensions() {
            let mut text = Vec::new();
            entry.take(MOST_EXTENSION).read_to_end(&mut text)?;
            if tar::PaxExtensions::new(&text).flatten().any(|record| record.key_bytes() == b"size") {
                return Err(io::Error::other("a member's size stands in an extension, which isn't read"));
            }
        }
    }
    Ok(())
}

/// # Errors
/// Where a name is longer than any system has it.
fn require_short(name: &str) -> io::Result<()> {
    match name.len() {
        len if len > MOST_NAME => Err(io::Error::other(format!("a name in it has {len} bytes"))),
        _ => Ok(()),
    }
}

/// Gives links what they lead to; those that lead nowhere stay, with the reason.
fn follow(links: Vec<(String, Option<String>)>, index: &mut Index) {
    let mut open = links;
    for _ in 0..MOST_LINKS {
        open.retain(|(name, target)| {
            let found = target.as_ref().and_then(|target| index.get(target)).cloned();
            let is_open = found.is_none();
            found.map(|place| index.insert(name.clone(), place));
            is_open
        });
    }
    for (name, target) in open {
        let target = target.unwrap_or_default();
        let reason = format!("it is a link to {target}, which is no file of the archive");
        index.entry(name).or_insert(Packed::Unreadable(reason));
    }
}

fn zip_index(file: &File) -> io::Result<Index> {
    const STORED: u16 = 0;
    const DEFLATED: u16 = 8;
    let mut archive = zip::ZipArchive::new(BufReader::new(file))?;
    require_few(archive.len())?;
    let mut index = Index::new();
    for number in 0..archive.len() {
        let member = archive.by_index_raw(number)?;
        let name = String::from_utf8_lossy(member.name_raw()).replace('\\', "/");
        require_short(&name)?;
        if name.ends_with('/') {
            continue;
        }
        #[allow(deprecated, reason = "the number is what says it, whatever the library can unpack by itself")]
        let method = member.compression().to_u16();
        let place = match (method, member.data_start()) {
            _ if member.encrypted() => Packed::Unreadable("it is encrypted".into()),
            _ if member.is_symlink() => {
                Packed::Unreadable("it is a link, which isn't followed in zip".into())
            }
            (STORED | DEFLATED, Some(offset)) => Packed::Zip {
                offset,
                packed: member.compressed_size(),
                len: member.size(),
                deflated: method == DEFLATED,
                crc: member.crc32(),
            },
            (method, _) => Packed::Unreadable(format!(
                "it is packed by method {method} of zip, of which only 0 and 8 are read"
            )),
        };
        index.insert(joined(Path::new(&name)), place);
    }
    Ok(index)
}

fn require_few(files: usize) -> io::Result<()> {
    match files > MOST_FILES {
        true => Err(io::Error::other(format!("it has more than {MOST_FILES} files"))),
        false => Ok(()),
    }
}

/// A name with `/` between its parts and no `.` or `..` among them, wherever the archive would have it unpacked.
fn joined(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(name_of(part)),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts.join("/")
}

/// A name as text. Bytes that are none stand as `\xff`, so that different names stay different.
pub(in crate::train) fn name_of(name: &OsStr) -> String {
    let chunks = name.as_encoded_bytes().utf8_chunks();
    let parts = chunks.map(|chunk| match chunk.invalid() {
        [] => Cow::Borrowed(chunk.valid()),
        bytes => {
            let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            Cow::Owned(format!("{}{escaped}", chunk.valid()))
        }
    });
    parts.collect()
}
