//! The thread that writes what the cameras tell, many records at a time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Transaction, params};
use tracing::error;

use super::{Store, spool};
use crate::hub::{Hub, Record, Told};
use crate::now;

/// How long records wait for others to be written with.
const GATHER: Duration = Duration::from_millis(100);
const MOST_AT_ONCE: usize = 1000;
/// How often what is too old is deleted, and after a failure tried again.
const SWEEP: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(500);
/// How often the last records are tried again at the end.
const LAST_TRIES: u32 = 3;

/// Writes records until [`Record::End`].
pub fn start(store: Arc<Store>, hub: Arc<Hub>, records: Receiver<Record>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store".into()).spawn(move || run(&store, &hub, &records))
}

fn run(store: &Store, hub: &Hub, records: &Receiver<Record>) {
    let mut swept: Option<Instant> = None;
    let mut is_last = false;
    while !is_last {
        let (batch, end) = gather(records);
        is_last = end;
        let mut tries = 0;
        // What can't be written is kept: meanwhile records queue up, and the hub counts those that find no place.
        while let Err(error) = store.write(&batch) {
            tries += 1;
            if tries == 1 {
                error!("history can't be written: {error}; it is tried again");
            }
            if is_last && tries >= LAST_TRIES {
                return error!("{} records could not be written", batch.len());
            }
            std::thread::sleep(AGAIN);
            // Whether the end has come can't be seen while the queue is full, but the process ends without it.
        }
        hub.written(&batch);
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
            swept = Some(Instant::now());
            if let Err(error) = store.sweep(now()) {
                error!("old history can't be deleted: {error}");
            }
        }
    }
}

/// Waits for records and takes those that come soon after, and whether they are the last.
fn gather(records: &Receiver<Record>) -> (Vec<Record>, bool) {
    let mut batch = Vec::new();
    let mut until: Option<Instant> = None;
    loop {
        let left = until.map_or(SWEEP, |until| until.saturating_duration_since(Instant::now()));
        match records.recv_timeout(left) {
            Ok(Record::End) | Err(RecvTimeoutError::Disconnected) => return (batch, true),
            Ok(record) => batch.push(record),
            Err(RecvTimeoutError::Timeout) => return (batch, false),
        }
        until = until.or_else(|| Some(Instant::now() + GATHER));
        if batch.len() >= MOST_AT_ONCE {
            return (batch, false);
        }
    }
}

impl Store {
    /// Writes records, all or none of them.
    fn write(&self, batch: &[Record]) -> rusqlite::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let mut last = None;
        for record in batch {
            match record {
                Record::Event(told) => last = self.write_event(&transaction, told)?.or(last),
                Record::Minute(camera, minute) => super::history::add(&transaction, camera, minute)?,
                Record::End => {}
            }
        }
        spool::bound(&transaction, self.limits.spool)?;
        transaction.commit()?;
        drop(connection);
        if let Some(last) = last {
            self.spooled.send_replace(last);
        }
        Ok(())
    }

    fn write_event(&self, transaction: &Transaction<'_>, told: &Told) -> rusqlite::Result<Option<i64>> {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO events (camera, time, sequence, event, identity, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let (time, sequence) = (told.time as i64, told.sequence as i64);
        insert.execute(params![
            told.camera,
            time,
            sequence,
            told.event.as_str(),
            told.identity,
            told.json
        ])?;
        let mut number = transaction.prepare_cached(
            "INSERT INTO sequences VALUES (?1, ?2) ON CONFLICT (camera) DO UPDATE SET sequence = excluded.sequence",
        )?;
        number.execute(params![told.camera, sequence])?;
        if !self.limits.has_sinks {
            return Ok(None);
        }
        let mut spool = transaction.prepare_cached("INSERT INTO spool (camera, json) VALUES (?1, ?2)")?;
        spool.execute(params![told.camera, told.json])?;
        Ok(Some(transaction.last_insert_rowid()))
    }

    /// Deletes what is too old or too much.
    fn sweep(&self, time: u64) -> rusqlite::Result<()> {
        let history = &self.limits.history;
        let oldest = time.saturating_sub(u64::from(history.days) * 24 * 3_600_000) as i64;
        let most = i64::try_from(history.most_events).unwrap_or(i64::MAX);
        let connection = self.connection();
        connection.execute("DELETE FROM events WHERE time < ?1", [oldest])?;
        connection.execute("DELETE FROM minutes WHERE time < ?1", [oldest])?;
        connection.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1", [most])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gstsmile::smilefilter::Event;

    use super::*;
    use crate::config::Config;

    fn told(camera: &str, sequence: u64) -> Record {
        Record::Event(Arc::new(Told {
            camera: camera.into(),
            time: sequence * 1000,
            sequence,
            event: Event::FaceAppeared,
            identity: 1,
            json: format!("{{\"sequence\":{sequence}}}"),
        }))
    }

    #[test]
    fn events_stay_in_the_spool_until_every_sink_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &Config::default(), &["a", "b"]).unwrap();
        store.write(&[told("door", 1), told("hall", 7), told("door", 2)]).unwrap();
        let batch = store.spool_batch("a", 2).unwrap();
        assert_eq!(batch.iter().map(|entry| entry.camera.as_str()).collect::<Vec<_>>(), ["door", "hall"]);
        store.acknowledge("a", batch[1].id).unwrap();
        drop(store);
        let store = Store::open(folder.path(), &Config::default(), &["a", "b"]).unwrap();
        assert_eq!(store.sequence("door").unwrap(), 2);
        assert_eq!(store.spool_batch("a", 9).unwrap().len(), 1);
        assert_eq!(store.spool_batch("b", 9).unwrap().len(), 3);
        let last = store.spool_batch("b", 9).unwrap()[2].id;
        store.acknowledge("a", last).unwrap();
        store.acknowledge("b", last).unwrap();
        let sinks = store.sinks().unwrap();
        assert!(sinks.iter().all(|sink| sink.waiting == 0 && sink.dropped == 0), "{sinks:?}");
    }

    #[test]
    fn a_full_spool_drops_the_oldest_and_says_how_many() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.spool.most_events = 10;
        let store = Store::open(folder.path(), &config, &["a", "b"]).unwrap();
        for sequence in 1..=10 {
            store.write(&[told("door", sequence)]).unwrap();
        }
        let first = store.spool_batch("a", 4).unwrap();
        store.acknowledge("a", first[3].id).unwrap();
        store.write(&(11..=16).map(|sequence| told("door", sequence)).collect::<Vec<_>>()).unwrap();
        let dropped: Vec<_> = store.sinks().unwrap().iter().map(|sink| sink.dropped).collect();
        assert_eq!(dropped, [2, 6]);
        let left = store.spool_batch("b", 99).unwrap();
        assert_eq!((left.len(), left[0].json.as_str()), (10, "{\"sequence\":7}"));
        // A sink that comes back late acknowledges what is gone.
        store.acknowledge("b", first[0].id).unwrap();
        assert_eq!(store.spool_batch("b", 99).unwrap().len(), 10);
    }

    #[test]
    fn a_new_sink_begins_with_what_comes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &Config::default(), &["a"]).unwrap();
        store.write(&[told("door", 1)]).unwrap();
        drop(store);
        let store = Store::open(folder.path(), &Config::default(), &["a", "b"]).unwrap();
        assert!(store.spool_batch("b", 9).unwrap().is_empty());
        assert_eq!(store.spool_batch("a", 9).unwrap().len(), 1);
    }

    #[test]
    fn history_has_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.history.most_events = 5;
        let store = Store::open(folder.path(), &config, &[]).unwrap();
        store.write(&(1..=20).map(|sequence| told("door", sequence)).collect::<Vec<_>>()).unwrap();
        store.sweep(20_000).unwrap();
        assert_eq!(store.events("door", 0, u64::MAX, 99).unwrap().len(), 5);
        store.sweep(31 * 24 * 3_600_000).unwrap();
        assert!(store.events("door", 0, u64::MAX, 99).unwrap().is_empty());
    }
}
