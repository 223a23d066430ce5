//! What was: events and minutes, asked for by camera and time.

use rusqlite::{Transaction, params};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Store;
use crate::Error;
use crate::camera::minutes::Minute;

/// An event of the history.
#[derive(Debug, Serialize)]
pub struct Past {
    pub camera: String,
    /// In milliseconds since 1970.
    pub time: u64,
    pub sequence: u64,
    pub event: String,
    pub identity: u32,
    /// The results after `pipelines/results.schema.json`.
    pub results: Box<RawValue>,
}

/// Adds a part of a minute to what is there of it.
pub(super) fn add(transaction: &Transaction<'_>, camera: &str, minute: &Minute) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (camera, time) DO UPDATE SET
         live = live + excluded.live, faces = faces + excluded.faces, smiling = smiling + excluded.smiling,
         most = max(most, excluded.most), appeared = appeared + excluded.appeared, smiles = smiles + excluded.smiles",
    )?;
    let Minute { time, live, faces, smiling, most, appeared, smiles } = *minute;
    insert.execute(params![camera, time as i64, live, faces, smiling, most, appeared, smiles])?;
    Ok(())
}

/// SQLite's integers are signed.
fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

impl Store {
    /// The newest events in a span of time (without its end), the oldest of them first. An empty camera is all.
    pub fn events(&self, camera: &str, from: u64, to: u64, most: usize) -> Result<Vec<Past>, Error> {
        let connection = self.connection();
        let sql = format!(
            "SELECT camera, time, sequence, event, identity, json FROM events
             WHERE {} time >= ?2 AND time < ?3 ORDER BY time DESC, id DESC LIMIT ?4",
            if camera.is_empty() { "?1 = '' AND" } else { "camera = ?1 AND" }
        );
        let mut query = connection.prepare_cached(&sql)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = query.query_map(params![camera, signed(from), signed(to), most], |row| {
            let json: String = row.get(5)?;
            let past = |results| {
                Ok(Past {
                    camera: row.get(0)?,
                    time: row.get::<_, i64>(1)?.max(0) as u64,
                    sequence: row.get::<_, i64>(2)?.max(0) as u64,
                    event: row.get(3)?,
                    identity: row.get(4)?,
                    results,
                })
            };
            // It was JSON when it was written.
            RawValue::from_string(json).ok().map(past).transpose()
        })?;
        let mut events: Vec<Past> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        events.reverse();
        Ok(events)
    }

    /// The minutes that begin in a span of time, the newest `most` of them, the oldest first.
    pub fn minutes(&self, camera: &str, from: u64, to: u64, most: usize) -> Result<Vec<Minute>, Error> {
        let connection = self.connection();
        let mut query = connection.prepare_cached(
            "SELECT time, live, faces, smiling, most, appeared, smiles FROM minutes
             WHERE camera = ?1 AND time >= ?2 AND time < ?3 ORDER BY time DESC LIMIT ?4",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = query.query_map(params![camera, signed(from), signed(to), most], |row| {
            Ok(Minute {
                time: row.get::<_, i64>(0)?.max(0) as u64,
                live: row.get(1)?,
                faces: row.get(2)?,
                smiling: row.get(3)?,
                most: row.get(4)?,
                appeared: row.get(5)?,
                smiles: row.get(6)?,
            })
        })?;
        let mut minutes = rows.collect::<Result<Vec<_>, _>>()?;
        minutes.reverse();
        Ok(minutes)
    }
}
