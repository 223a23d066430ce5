//! What users of the same weights in one process share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use super::error::{Error, Result};

/// Values made from weights files, by file and another part of the key, for as long as somebody
/// uses them.
pub struct Cache<K, T> {
    entries: Mutex<Vec<Entry<K, T>>>,
}

struct Entry<K, T> {
    key: (Option<File>, K),
    value: Weak<T>,
}

/// A file as it was when it was read.
#[derive(PartialEq)]
struct File {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
}

impl<K: PartialEq, T> Cache<K, T> {
    pub const fn new() -> Self {
        Self { entries: Mutex::new(Vec::new()) }
    }

    /// The value for `file`, or where it is `None` for what is built in: one that is in use, or what
    /// `make` makes. Whoever asks for the same meanwhile waits for it.
    ///
    /// # Errors
    /// Where the file can't be read, and those of `make`.
    pub fn get(&self, file: Option<&Path>, key: K, make: impl FnOnce() -> Result<Arc<T>>) -> Result<Arc<T>> {
        let key = (file.map(File::new).transpose()?, key);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.value.strong_count() > 0);
        let known = entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.upgrade());
        if let Some(value) = known {
            return Ok(value);
        }
        let value = make()?;
        entries.push(Entry { key, value: Arc::downgrade(&value) });
        Ok(value)
    }
}

impl File {
    fn new(path: &Path) -> Result<Self> {
        let read = |source| Error::Read { path: path.into(), source };
        let metadata = path.metadata().map_err(read)?;
        let modified = metadata.modified().ok();
        Ok(Self { path: path.canonicalize().map_err(read)?, len: metadata.len(), modified })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(cache: &Cache<u8, u32>, file: Option<&Path>, key: u8, value: u32) -> Arc<u32> {
        cache.get(file, key, || Ok(Arc::new(value))).unwrap()
    }

    #[test]
    fn a_value_is_shared_while_it_is_used_and_its_file_the_same() {
        let cache = Cache::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let (built_in, of_file) = (get(&cache, None, 0, 1), get(&cache, Some(file.path()), 0, 2));
        assert_eq!([*get(&cache, None, 0, 3), *get(&cache, Some(file.path()), 0, 4)], [1, 2]);
        assert_eq!(*get(&cache, Some(file.path()), 1, 5), 5, "another key");
        std::fs::write(file.path(), "other").unwrap();
        assert_eq!(*get(&cache, Some(file.path()), 0, 6), 6, "the file has changed");
        drop((built_in, of_file));
        assert_eq!(*get(&cache, None, 0, 7), 7, "nobody uses it");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Cache::<(), ()>::new().get(Some(Path::new("/no/such/file")), (), || Ok(Arc::new(())));
        assert!(error.unwrap_err().to_string().contains("/no/such/file"));
    }
}
