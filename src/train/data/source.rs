//! Where a data set's files come from: a folder or an archive, read the same way.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::archive::{Archive, MOST_FILES, Packed, name_of};
use crate::train::error::{Error, Result};
use crate::train::input;

/// What systems leave in folders and archives that no one has put there.
const LEFT_BY_SYSTEMS: [&str; 4] = ["__MACOSX", "lost+found", "Thumbs.db", "desktop.ini"];

/// A tree of files. Names are relative to its root, with `/` between their parts; hidden files and what systems
/// leave are not among them.
pub(in crate::train) struct Source {
    path: PathBuf,
    /// What stands before every name: empty, or folders with a `/` at the end.
    prefix: String,
    files: BTreeMap<String, Place>,
    /// Empty ones, too.
    folders: BTreeSet<String>,
    archive: Option<Archive>,
}

/// Where a file is.
enum Place {
    /// In the folder, at its name.
    Named,
    /// In the folder, at a path that no name can say.
    At(PathBuf),
    Packed(Packed),
}

impl Source {
    /// Lists a folder with all in it, or what is in an archive.
    ///
    /// # Errors
    /// [`Error::Read`] where there is neither, a folder can't be read, or there are too many files.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::Read { path: path.into(), source };
        let mut source = Self {
            path: path.into(),
            prefix: String::new(),
            files: BTreeMap::new(),
            folders: BTreeSet::new(),
            archive: None,
        };
        if fs::metadata(path).map_err(failed)?.is_dir() {
            source.walk()?;
            return Ok(source);
        }
        let file = input::open(path).map_err(failed)?;
        let (archive, index) = Archive::open(file).map_err(|error| {
            failed(io::Error::other(format!(
                "neither a folder nor a sound archive (.tar, .tar.gz, .tar.zst or .zip): {error}"
            )))
        })?;
        source.archive = Some(archive);
        for (name, place) in index {
            if !name.is_empty() && !name.split('/').any(is_left_out) {
                source.add_folders(&name);
                source.files.insert(name, Place::Packed(place));
            }
        }
        Ok(source)
    }

    /// One file alone, which has this name.
    pub fn of_file(path: &Path, name: String) -> Self {
        Self {
            path: path.into(),
            prefix: String::new(),
            files: BTreeMap::from([(name, Place::At(path.into()))]),
            folders: BTreeSet::new(),
            archive: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that names begin in, if it is one.
    pub fn root(&self) -> PathBuf {
        self.path.join(&self.prefix)
    }

    /// The archive, or the plain file that is read for a name; `None` where there is no such file.
    pub fn file_of(&self, name: &str) -> Option<PathBuf> {
        let name = format!("{}{name}", self.prefix);
        match self.files.get(&name)? {
            Place::Named => Some(self.path.join(name)),
            Place::At(path) => Some(path.clone()),
            Place::Packed(_) => Some(self.path.clone()),
        }
    }

    /// Names of files and folders at the top, sorted.
    pub fn top(&self) -> Vec<String> {
        let first = |name: &str| name.split('/').next().unwrap_or(name).to_string();
        let files = self.stored("").map(first);
        let folders = self.folders.iter().filter_map(|name| name.strip_prefix(&self.prefix)).map(first);
        let names: BTreeSet<String> = files.chain(folders).filter(|name| !name.is_empty()).collect();
        names.into_iter().collect()
    }

    /// Makes the folder `name` the root.
    pub fn enter(&mut self, name: &str) {
        self.prefix = format!("{}{name}/", self.prefix);
    }

    /// Whether there is a file or a folder of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(&format!("{}{name}", self.prefix)) || self.has_folder(name)
    }

    pub fn has_folder(&self, name: &str) -> bool {
        self.folders.contains(&format!("{}{name}", self.prefix))
    }

    /// Names of all files in and below `folder`, sorted.
    pub fn files_below(&self, folder: &str) -> Vec<String> {
        self.stored(&format!("{folder}/")).map(String::from).collect()
    }

    /// The content of a file.
    ///
    /// # Errors
    /// Where there is none, it is no plain file, or it is too large for a picture or a table.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let full = format!("{}{name}", self.prefix);
        match (self.files.get(&full), &self.archive) {
            (Some(Place::Named), _) => input::read(&self.path.join(full), input::MOST_BYTES),
            (Some(Place::At(path)), _) => input::read(path, input::MOST_BYTES),
            (Some(Place::Packed(place)), Some(archive)) => archive.read(place),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Names that start with `start`.
    fn stored<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let start = format!("{}{start}", self.prefix);
        let len = self.prefix.len();
        self.files
            .range(start.clone()..)
            .map(|(name, _)| name.as_str())
            .take_while(move |name| name.starts_with(&start))
            .map(move |name| &name[len..])
    }

    fn add_folders(&mut self, name: &str) {
        for (end, _) in name.match_indices('/') {
            self.folders.insert(name[..end].into());
        }
    }

    /// Lists the folder. Links are followed, as data sets are often put together from them, but every real folder
    /// is listed once: at its own place if that is in the tree, else where the first link to it is.
    fn walk(&mut self) -> Result<()> {
        let mut seen = HashSet::new();
        let mut links = Vec::new();
        self.list(self.path.clone(), String::new(), &mut seen, &mut links)?;
        while !links.is_empty() {
            links.sort();
            for (name, path) in std::mem::take(&mut links) {
                self.list(path, name, &mut seen, &mut links)?;
            }
        }
        Ok(())
    }

    /// Lists a folder and the real ones below it, and puts links to folders aside.
    fn list(
        &mut self,
        path: PathBuf,
        name: String,
        seen: &mut HashSet<PathBuf>,
        links: &mut Vec<(String, PathBuf)>,
    ) -> Result<()> {
        let mut open = vec![(path, name)];
        while let Some((path, name)) = open.pop() {
            let failed = |source| Error::Read { path: path.clone(), source };
            if !seen.insert(path.canonicalize().map_err(failed)?) {
                continue;
            }
            for entry in fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let part = name_of(&entry.file_name());
                if is_left_out(&part) {
                    continue;
                }
                let name = if name.is_empty() { part } else { format!("{name}/{part}") };
                match kind_of(&entry.path(), entry.file_type().map_err(failed)?) {
                    Kind::Folder => {
                        self.folders.insert(name.clone());
                        open.push((entry.path(), name));
                    }
                    Kind::LinkToFolder => {
                        self.folders.insert(name.clone());
                        links.push((name, entry.path()));
                    }
                    Kind::File => {
                        let is_named = self.path.join(&name) == entry.path();
                        let place = if is_named { Place::Named } else { Place::At(entry.path()) };
                        self.files.insert(name, place);
                    }
                }
            }
            if self.files.len() + self.folders.len() > MOST_FILES {
                return Err(failed(io::Error::other(format!(
                    "with it there are more than {MOST_FILES} files; name a folder with fewer"
                ))));
            }
        }
        Ok(())
    }
}

enum Kind {
    File,
    Folder,
    LinkToFolder,
}

/// What leads nowhere counts as a file, which then can't be read and is named.
fn kind_of(path: &Path, kind: FileType) -> Kind {
    match () {
        () if kind.is_dir() => Kind::Folder,
        () if kind.is_symlink() && path.is_dir() => Kind::LinkToFolder,
        () => Kind::File,
    }
}

fn is_left_out(part: &str) -> bool {
    part.starts_with('.') || LEFT_BY_SYSTEMS.contains(&part)
}
