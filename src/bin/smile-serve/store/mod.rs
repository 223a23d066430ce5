//! What is kept, in one SQLite database: events, minutes, cameras that were added, and the spool for brokers.
//!
//! SQLite's write-ahead log makes each batch there whole or not at all, also after SIGKILL, and is synced with each, so
//! that a loss of power takes nothing back that a broker or a browser was told.

pub mod history;
pub mod spool;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::watch;

use crate::Error;
use crate::config::{self, Config};

pub use writer::start;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, time INTEGER NOT NULL, sequence INTEGER NOT NULL,
    event TEXT NOT NULL, identity INTEGER NOT NULL, json TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_camera ON events (camera, time);
CREATE INDEX IF NOT EXISTS events_by_time ON events (time);
CREATE TABLE IF NOT EXISTS minutes (
    camera TEXT NOT NULL, time INTEGER NOT NULL, live REAL NOT NULL, faces REAL NOT NULL, smiling REAL NOT NULL,
    most INTEGER NOT NULL, appeared INTEGER NOT NULL, smiles INTEGER NOT NULL, PRIMARY KEY (camera, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (camera TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cameras (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spool (id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sinks (
    name TEXT PRIMARY KEY, done INTEGER NOT NULL, dropped INTEGER NOT NULL) WITHOUT ROWID;
";

/// The version of the tables.
const VERSION: i64 = 1;

#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    /// The last number in the spool; sinks wait for it to change.
    spooled: watch::Sender<i64>,
    limits: Limits,
    /// Held for as long as the process lives.
    _lock: File,
}

#[derive(Clone, Debug)]
struct Limits {
    history: config::History,
    spool: u64,
    has_sinks: bool,
}

impl Store {
    /// Opens the database in a folder, or makes it. `sinks` are the names of those who read the spool.
    pub fn open(folder: &Path, config: &Config, sinks: &[&str]) -> Result<Self, Error> {
        let name = folder.display();
        make_folder(folder).map_err(|error| format!("{name}: {error}; --data names another folder"))?;
        let lock = lock(folder)?;
        let file = folder.join("history.sqlite");
        let explain = |error: rusqlite::Error| -> Error {
            format!("{}: {error}; move the file away to start with an empty history", file.display()).into()
        };
        let connection = open(&file, sinks).map_err(explain)?;
        let limits = Limits {
            history: config.history.clone(),
            spool: config.spool.most_events,
            has_sinks: !sinks.is_empty(),
        };
        let store =
            Self { connection: Mutex::new(connection), spooled: watch::Sender::new(0), limits, _lock: lock };
        let last = store.spooled_in_all().map_err(explain)?;
        store.spooled.send_replace(last);
        Ok(store)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a camera's last event, 0 where it had none.
    pub fn sequence(&self, camera: &str) -> Result<u64, Error> {
        let connection = self.connection();
        let mut query = connection.prepare_cached("SELECT sequence FROM sequences WHERE camera = ?1")?;
        let sequence: Option<i64> = query.query_row([camera], |row| row.get(0)).optional()?;
        Ok(sequence.unwrap_or(0).max(0) as u64)
    }

    /// The cameras that were added while it ran.
    pub fn cameras(&self) -> Result<Vec<config::Camera>, Error> {
        let connection = self.connection();
        let mut query = connection.prepare("SELECT json FROM cameras ORDER BY name")?;
        let texts = query.query_map([], |row| row.get::<_, String>(0))?;
        texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
    }

    pub fn keep_camera(&self, camera: &config::Camera) -> Result<(), Error> {
        let json = serde_json::to_string(camera)?;
        let sql = "INSERT INTO cameras VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET json = excluded.json";
        self.connection().execute(sql, params![camera.name, json])?;
        Ok(())
    }

    pub fn forget_camera(&self, name: &str) -> Result<(), Error> {
        self.connection().execute("DELETE FROM cameras WHERE name = ?1", [name])?;
        Ok(())
    }
}

fn open(file: &Path, sinks: &[&str]) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(rusqlite::Error::ToSqlConversionFailure("a newer smile-serve wrote it".into()));
    }
    connection.execute_batch(SCHEMA)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    spool::register(&connection, sinks)?;
    Ok(connection)
}

/// A folder that others can't read: addresses of cameras have passwords.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Two processes would each think that the spool is theirs.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let name = path.display();
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| format!("{name}: {error}; --data names another folder"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "{} belongs to another smile-serve that runs; give this one a folder of its own with --data",
            folder.display()
        )
        .into()),
        Err(TryLockError::Error(error)) => Err(format!("{name}: {error}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_kept_and_a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let camera: config::Camera =
            serde_json::from_str(r#"{"name": "door", "source": "rtsp://u:p@door/", "loop": true}"#).unwrap();
        let store = Store::open(&path, &Config::default(), &[]).unwrap();
        store.keep_camera(&camera).unwrap();
        store.keep_camera(&camera).unwrap();
        let taken = Store::open(&path, &Config::default(), &[]).unwrap_err().to_string();
        assert!(taken.contains("--data"), "{taken}");
        drop(store);
        let store = Store::open(&path, &Config::default(), &[]).unwrap();
        assert_eq!(store.cameras().unwrap(), [camera]);
        store.forget_camera("door").unwrap();
        assert!(store.cameras().unwrap().is_empty());
    }
}
