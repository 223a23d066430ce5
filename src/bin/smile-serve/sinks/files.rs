//! Events as JSON lines in files that rotate.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{BATCH, Complaint, Context, FILES};
use crate::store::spool::Entry;
use crate::{Error, config, now};

/// The file that grows, and what full ones begin with.
const NAME: &str = "events.jsonl";
const PREFIX: &str = "events-";
const AGAIN: Duration = Duration::from_secs(1);

pub struct Writer {
    config: config::Files,
    file: File,
    length: u64,
}

impl Writer {
    pub fn open(config: &config::Files) -> Result<Self, Error> {
        let folder = config.folder.display();
        let explain = |error: std::io::Error| format!("{folder}: {error}; [files] folder names another one");
        std::fs::create_dir_all(&config.folder).map_err(explain)?;
        let (file, length) = open(&config.folder.join(NAME)).map_err(explain)?;
        Ok(Self { config: config.clone(), file, length })
    }

    pub async fn run(&mut self, mut context: Context) {
        let mut spooled = context.store.spooled();
        let mut complaint = Complaint::default();
        loop {
            let is_last = *context.stop.borrow_and_update();
            let pause = match self.write_all(&context) {
                Ok(()) => {
                    complaint.forget();
                    Duration::from_secs(60)
                }
                Err(error) => {
                    let folder = self.config.folder.display();
                    complaint
                        .say(format!("{folder}: events can't be written: {error}; they wait in the spool"));
                    AGAIN
                }
            };
            if is_last {
                return;
            }
            tokio::select! {
                // Whoever stops has written before.
                _ = context.stop.changed() => {}
                _ = spooled.changed(), if pause > AGAIN => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Writes what is in the spool.
    fn write_all(&mut self, context: &Context) -> Result<(), Error> {
        loop {
            let batch = context.store.spool_batch(FILES, BATCH)?;
            let Some(last) = batch.last().map(|entry| entry.id) else { return Ok(()) };
            self.write(&batch)?;
            context.store.acknowledge(FILES, last)?;
        }
    }

    fn write(&mut self, batch: &[Entry]) -> Result<(), Error> {
        if self.length >= self.config.most_bytes {
            self.rotate()?;
        }
        let lines: String = batch.iter().flat_map(|entry| [entry.json.as_str(), "\n"]).collect();
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // No half line stays: these are written again.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(error.into());
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Gives the full file a name of its own, and deletes the oldest.
    fn rotate(&mut self) -> Result<(), Error> {
        let folder = &self.config.folder;
        // Of fixed width, so that names are in the order of time.
        let free = |number: u64| folder.join(format!("{PREFIX}{number:015}.jsonl"));
        let number = (now()..).find(|&number| !free(number).exists()).unwrap_or_default();
        std::fs::rename(folder.join(NAME), free(number))?;
        (self.file, self.length) = open(&folder.join(NAME))?;
        let mut full = full(folder)?;
        full.sort();
        for old in full.iter().rev().skip(self.config.keep) {
            std::fs::remove_file(old)?;
        }
        Ok(())
    }
}

/// The full files of ours: others' are left alone.
fn full(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut full = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(".jsonl"));
        if number.is_some_and(|number| number.len() == 15 && number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            full.push(path);
        }
    }
    Ok(full)
}

/// Opens the file to go on behind its last whole line: what follows was not acknowledged, and is written again.
fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = [0; 4096];
    let mut whole = 0;
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|&byte| byte == b'\n') {
            whole = from + at as u64 + 1;
            break;
        }
        end = from;
    }
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole))?;
    Ok((file, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(numbers: std::ops::Range<i64>) -> Vec<Entry> {
        let entry = |id| Entry { id, camera: "door".into(), json: format!("{{\"sequence\":{id}}}") };
        numbers.map(entry).collect()
    }

    #[test]
    fn a_half_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for (before, after) in [("{}\n{}\n{\"a", "{}\n{}\n"), ("half", ""), ("", ""), ("{}\n", "{}\n")]
            .map(|(b, a)| (b.to_string(), a.to_string()))
            .into_iter()
            .chain([(format!("{{}}\n{}", "x".repeat(9000)), "{}\n".to_string())])
        {
            std::fs::write(&path, before).unwrap();
            let (_, length) = open(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            assert_eq!(length, after.len() as u64);
        }
    }

    #[test]
    fn files_rotate_and_foreign_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let foreign = folder.path().join("events-mine.jsonl");
        std::fs::write(&foreign, "mine").unwrap();
        let config = config::Files { folder: folder.path().into(), most_bytes: 4096, keep: 2 };
        let mut writer = Writer::open(&config).unwrap();
        for batch in 0..30 {
            writer.write(&entries(batch * 100..batch * 100 + 100)).unwrap();
        }
        let full = full(folder.path()).unwrap();
        assert_eq!(full.len(), 2);
        assert!(full.iter().all(|file| file.metadata().unwrap().len() >= 4096));
        assert_eq!(std::fs::read_to_string(foreign).unwrap(), "mine");
        let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert!(text.ends_with("{\"sequence\":2999}\n"), "{text}");
    }
}
