//! Where a data set's files come from: a folder or a tar archive, read the same way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use super::error::{Error, Result};

/// How deep folders are searched; links that lead back up end here.
const MAX_DEPTH: usize = 16;

/// A tree of files. Names are relative to its root, with `/` between their parts.
pub(super) struct Source {
    path: PathBuf,
    /// What stands before every name: empty, or folders with a `/` at the end.
    prefix: String,
    store: Store,
}

enum Store {
    Folder,
    /// Offset and length of each file's content.
    Tar {
        archive: Mutex<File>,
        files: BTreeMap<String, (u64, u64)>,
    },
}

impl Source {
    /// Opens a folder, or reads the index of a tar archive.
    ///
    /// # Errors
    /// [`Error::Read`] where there is neither.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::Read { path: path.into(), source };
        let store = match fs::metadata(path).map_err(failed)?.is_dir() {
            true => Store::Folder,
            false => {
                let archive = File::open(path).map_err(failed)?;
                let files = index(&archive).map_err(|error| {
                    failed(io::Error::other(format!("neither a folder nor a sound tar archive ({error})")))
                })?;
                Store::Tar { archive: Mutex::new(archive), files }
            }
        };
        Ok(Self { path: path.into(), prefix: String::new(), store })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of files and folders at the top, sorted.
    pub fn top(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.store {
            Store::Folder => fs::read_dir(self.full(""))
                .map(|entries| {
                    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
                })
                .unwrap_or_default(),
            Store::Tar { .. } => {
                self.stored("").map(|name| name.split('/').next().unwrap_or(name).to_string()).collect()
            }
        };
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Makes the folder `name` the root.
    pub fn enter(&mut self, name: &str) {
        self.prefix = format!("{}{name}/", self.prefix);
    }

    /// Whether there is a file or a folder of this name.
    pub fn has(&self, name: &str) -> bool {
        match &self.store {
            Store::Folder => self.full(name).exists(),
            Store::Tar { files, .. } => {
                files.contains_key(&format!("{}{name}", self.prefix)) || self.has_folder(name)
            }
        }
    }

    pub fn has_folder(&self, name: &str) -> bool {
        match &self.store {
            Store::Folder => self.full(name).is_dir(),
            Store::Tar { .. } => self.stored(&format!("{name}/")).next().is_some(),
        }
    }

    /// Names of all files in and below `folder`, sorted; hidden ones are left out.
    pub fn files_below(&self, folder: &str) -> Vec<String> {
        let mut names = match &self.store {
            Store::Folder => {
                let mut names = Vec::new();
                self.walk(folder, MAX_DEPTH, &mut names);
                names
            }
            Store::Tar { .. } => self.stored(&format!("{folder}/")).map(String::from).collect(),
        };
        names.retain(|name| !name.split('/').any(|part| part.starts_with('.')));
        names.sort_unstable();
        names
    }

    /// The content of a file.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match &self.store {
            Store::Folder => fs::read(self.full(name)),
            Store::Tar { archive, files } => {
                let &(offset, len) =
                    files.get(&format!("{}{name}", self.prefix)).ok_or(io::ErrorKind::NotFound)?;
                let mut bytes = Vec::new();
                let mut archive = archive.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                archive.seek(SeekFrom::Start(offset))?;
                (&mut *archive).take(len).read_to_end(&mut bytes)?;
                if bytes.len() as u64 == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        }
    }

    fn full(&self, name: &str) -> PathBuf {
        self.path.join(&self.prefix).join(name)
    }

    /// Names in the archive that start with `start`.
    fn stored<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let start = format!("{}{start}", self.prefix);
        let files = match &self.store {
            Store::Tar { files, .. } => Some(files),
            Store::Folder => None,
        };
        files
            .into_iter()
            .flat_map(move |files| {
                let start = start.clone();
                files.range(start.clone()..).take_while(move |(name, _)| name.starts_with(&start))
            })
            .map(|(name, _)| &name[self.prefix.len()..])
    }

    fn walk(&self, folder: &str, depth: usize, names: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(self.full(folder)) else { return };
        for entry in entries.flatten() {
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            // Follows links, which data sets are often put together from.
            match self.full(&name).is_dir() {
                true if depth > 1 => self.walk(&name, depth - 1, names),
                true => {}
                false => names.push(name),
            }
        }
    }
}

fn index(archive: &File) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries_with_seek()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let parts: Vec<String> = entry
            .path()?
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        files.insert(parts.join("/"), (entry.raw_file_position(), entry.size()));
    }
    Ok(files)
}
