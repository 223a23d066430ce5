//! What users of the same weights in one process share.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::error::{Error, Result};
use super::file::Identity;

/// Values made from weights files, by file and another part of the key, for as long as somebody
/// uses them.
pub struct Cache<K, T> {
    entries: Mutex<Vec<Arc<Entry<K, T>>>>,
}

struct Entry<K, T> {
    key: (Option<Identity>, K),
    /// Locked while a value is made.
    slot: Mutex<Slot<T>>,
}

struct Slot<T> {
    value: Weak<T>,
    /// When and why the file could not be read at last.
    failed: Option<(Instant, Error)>,
}

impl<K: PartialEq, T> Cache<K, T> {
    pub const fn new() -> Self {
        Self { entries: Mutex::new(Vec::new()) }
    }

    /// The value for `file`, or where it is `None` for what is built in: one that is in use, or what
    /// `make` makes. Whoever asks for the same meanwhile waits for it; those who ask for others don't.
    ///
    /// # Errors
    /// Where the file can't be read, and those of `make`.
    pub fn get(&self, file: Option<&Path>, key: K, make: impl FnOnce() -> Result<Arc<T>>) -> Result<Arc<T>> {
        let asked = Instant::now();
        let entry = self.entry((file.map(Identity::of).transpose()?, key));
        let mut slot = lock(&entry.slot);
        if let Some(value) = slot.value.upgrade() {
            return Ok(value);
        }
        // Else those who wait for a drive that doesn't answer would wait one after the other.
        let failed = slot.failed.as_ref().filter(|(when, _)| *when > asked);
        if let Some(error) = failed.and_then(|(_, error)| error.for_another()) {
            return Err(error);
        }
        let made = make().inspect_err(|error| {
            slot.failed = error.for_another().map(|error| (Instant::now(), error));
        })?;
        slot.value = Arc::downgrade(&made);
        Ok(made)
    }

    fn entry(&self, key: (Option<Identity>, K)) -> Arc<Entry<K, T>> {
        let mut entries = lock(&self.entries);
        // Where nobody else has the entry, nobody locks its slot, so that this doesn't wait.
        entries.retain(|entry| Arc::strong_count(entry) > 1 || lock(&entry.slot).value.strong_count() > 0);
        if let Some(known) = entries.iter().find(|entry| entry.key == key) {
            return known.clone();
        }
        let slot = Mutex::new(Slot { value: Weak::new(), failed: None });
        let entry = Arc::new(Entry { key, slot });
        entries.push(entry.clone());
        entry
    }
}

/// What a panic left behind is sound: a value is there or it isn't.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn who_asks_for_another_value_does_not_wait_and_who_asks_for_the_same_shares_it() {
        let cache = Cache::new();
        let (begun, begins) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let cache = &cache;
            let make = move || {
                begun.send(()).unwrap();
                may_go.recv().unwrap();
                Ok(Arc::new(1))
            };
            let slow = scope.spawn(move || cache.get(None, 0, make).unwrap());
            begins.recv().unwrap();
            let (done, other) = std::sync::mpsc::channel();
            scope.spawn(move || done.send(get(cache, None, 1, 2)).unwrap());
            let other = other.recv_timeout(std::time::Duration::from_secs(60));
            let same = scope.spawn(|| get(cache, None, 0, 3));
            // Also where the test fails, so that it ends.
            go.send(()).unwrap();
            assert_eq!(*other.expect("another key waited"), 2);
            assert!(Arc::ptr_eq(&slow.join().unwrap(), &same.join().unwrap()));
        });
    }

    #[test]
    fn who_waits_for_a_file_that_cannot_be_read_does_not_try_it_again() {
        let cache = Cache::<u8, u32>::new();
        let waits =
            || cache.entries.lock().unwrap().first().is_some_and(|entry| Arc::strong_count(entry) == 3);
        let read = || {
            // The list, this one and who waits have the entry.
            while !waits() {
                std::thread::yield_now();
            }
            Err(Error::Read { path: "gone".into(), source: std::io::ErrorKind::TimedOut.into() })
        };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| cache.get(None, 0, read));
            let second = loop {
                if !cache.entries.lock().unwrap().is_empty() {
                    break scope.spawn(|| cache.get(None, 0, || panic!("it is read again")));
                }
            };
            for error in [first, second].map(|thread| thread.join().unwrap().unwrap_err().to_string()) {
                assert!(error.contains("gone") && error.contains("timed out"), "{error}");
            }
        });
        assert_eq!(*get(&cache, None, 0, 1), 1, "asked later, it is tried");
    }

    #[test]
    fn a_value_that_could_not_be_made_is_made_by_the_next() {
        let cache = Cache::<u8, u32>::new();
        let failed = cache.get(None, 0, || Err(Error::Architecture("a bad one".into())));
        assert!(failed.is_err());
        assert_eq!(*get(&cache, None, 0, 1), 1);
        assert_eq!(cache.entries.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Cache::<(), ()>::new().get(Some(Path::new("/no/such/file")), (), || Ok(Arc::new(())));
        assert!(error.unwrap_err().to_string().contains("/no/such/file"));
    }
}
