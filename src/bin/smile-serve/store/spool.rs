//! Events that wait for files and brokers, until each of these has acknowledged them.

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use tokio::sync::watch;

use super::Store;
use crate::Error;

/// An event that waits.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: i64,
    pub camera: String,
    pub json: String,
}

/// How it stands with one who reads the spool.
#[derive(Clone, Debug, Serialize)]
pub struct Sink {
    pub name: String,
    /// Events that it has not acknowledged.
    pub waiting: u64,
    /// Events that it never got, because it was away for too long.
    pub dropped: u64,
}

/// Those who are new begin after what is there; those who aren't configured any more hold up nothing.
pub(super) fn register(connection: &Connection, sinks: &[&str]) -> rusqlite::Result<()> {
    let mut query = connection.prepare("SELECT name FROM sinks")?;
    let known = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    for name in known.iter().filter(|name| !sinks.contains(&name.as_str())) {
        connection.execute("DELETE FROM sinks WHERE name = ?1", [name])?;
    }
    let last = last(connection)?;
    for name in sinks {
        connection.execute("INSERT OR IGNORE INTO sinks VALUES (?1, ?2, 0)", params![name, last])?;
    }
    shorten(connection)
}

/// The number of the last event that was ever put into the spool.
fn last(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'spool'), 0)";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Deletes what everybody has.
fn shorten(connection: &Connection) -> rusqlite::Result<()> {
    let sql =
        "DELETE FROM spool WHERE id <= coalesce((SELECT min(done) FROM sinks), (SELECT max(id) FROM spool))";
    connection.execute(sql, [])?;
    Ok(())
}

/// Drops the oldest events beyond a number, and counts them for each who didn't have them.
pub(super) fn bound(transaction: &Transaction<'_>, most: u64) -> rusqlite::Result<()> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    // Numbers have no gaps: events are deleted from the front only.
    let edge = last(transaction)?.saturating_sub(most);
    let sql = "UPDATE sinks SET dropped = dropped + ?1 - done, done = ?1 WHERE done < ?1";
    transaction.execute(sql, [edge])?;
    transaction.execute("DELETE FROM spool WHERE id <= ?1", [edge])?;
    Ok(())
}

impl Store {
    /// What a sink has not acknowledged, the oldest first.
    pub fn spool_batch(&self, sink: &str, most: usize) -> Result<Vec<Entry>, Error> {
        self.spool_after(sink, 0, most)
    }

    /// The same, without what is numbered up to `after`, which is on its way.
    pub fn spool_after(&self, sink: &str, after: i64, most: usize) -> Result<Vec<Entry>, Error> {
        let connection = self.connection();
        let mut query = connection.prepare_cached(
            "SELECT id, camera, json FROM spool
             WHERE id > max(?2, (SELECT done FROM sinks WHERE name = ?1)) ORDER BY id LIMIT ?3",
        )?;
        let entry =
            |row: &rusqlite::Row<'_>| Ok(Entry { id: row.get(0)?, camera: row.get(1)?, json: row.get(2)? });
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        Ok(query.query_map(params![sink, after, most], entry)?.collect::<Result<_, _>>()?)
    }

    /// Says that a sink has all up to a number.
    pub fn acknowledge(&self, sink: &str, id: i64) -> Result<(), Error> {
        let connection = self.connection();
        let sql = "UPDATE sinks SET done = ?2 WHERE name = ?1 AND done < ?2";
        connection.prepare_cached(sql)?.execute(params![sink, id])?;
        shorten(&connection)?;
        Ok(())
    }

    pub fn sinks(&self) -> Result<Vec<Sink>, Error> {
        let connection = self.connection();
        let last = last(&connection)?;
        let mut query = connection.prepare_cached("SELECT name, done, dropped FROM sinks ORDER BY name")?;
        let sink = |row: &rusqlite::Row<'_>| {
            let (done, dropped): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(Sink {
                name: row.get(0)?,
                waiting: (last - done).max(0) as u64,
                dropped: dropped.max(0) as u64,
            })
        };
        Ok(query.query_map([], sink)?.collect::<Result<_, _>>()?)
    }

    /// Changes whenever events were spooled.
    pub fn spooled(&self) -> watch::Receiver<i64> {
        self.spooled.subscribe()
    }

    pub(super) fn spooled_in_all(&self) -> rusqlite::Result<i64> {
        last(&self.connection())
    }
}
