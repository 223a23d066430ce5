//! Where the cameras' events meet whoever wants them: the store first, and browsers when it has them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use gstsmile::smilefilter::{Event, Results};
use tokio::sync::broadcast;

use crate::camera::minutes::Minute;

/// Notices that a slow reader may lag behind.
const NOTICES: usize = 1024;

/// What the store writes.
#[derive(Clone, Debug)]
pub enum Record {
    Event(Arc<Told>),
    Minute(String, Minute),
    /// Write all that came before, and end.
    End,
}

/// An event of a camera.
#[derive(Debug)]
pub struct Told {
    pub camera: String,
    /// When it was told, in milliseconds since 1970.
    pub time: u64,
    pub sequence: u64,
    pub event: Event,
    pub identity: u32,
    /// The results after `pipelines/results.schema.json`.
    pub json: String,
}

/// What browsers hear.
#[derive(Clone, Debug)]
pub enum Notice {
    Event(Arc<Told>),
    /// The camera of this name has another state or other faces.
    Changed(Arc<str>),
}

#[derive(Debug)]
pub struct Hub {
    notices: broadcast::Sender<Notice>,
    records: SyncSender<Record>,
    /// Records on their way to the store.
    waiting: AtomicU64,
    dropped: AtomicU64,
    /// The number of each camera's last event.
    sequences: Mutex<HashMap<String, u64>>,
}

impl Hub {
    pub fn new(records: SyncSender<Record>) -> Self {
        Self {
            notices: broadcast::Sender::new(NOTICES),
            records,
            waiting: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            sequences: Mutex::default(),
        }
    }

    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Says how many events a camera had before this process started.
    pub fn begin(&self, camera: &str, sequence: u64) {
        let mut sequences = self.sequences.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sequences.entry(camera.into()).or_default();
        *known = sequence.max(*known);
    }

    /// Numbers an event in the order of the camera's events, over all of its pipelines, and hands it to the store.
    ///
    /// Nobody hears of it before it is on the disk: a number that was seen is never given to another event.
    pub fn event(&self, camera: &str, time: u64, results: &mut Results) {
        {
            let mut sequences = self.sequences.lock().unwrap_or_else(PoisonError::into_inner);
            let sequence = sequences.entry(camera.into()).or_default();
            *sequence += 1;
            results.sequence = *sequence;
        }
        let told = Arc::new(Told {
            camera: camera.into(),
            time,
            sequence: results.sequence,
            event: results.event,
            identity: results.identity,
            json: results.to_json(),
        });
        self.record(Record::Event(told));
    }

    /// Tells what the store has written.
    pub fn written(&self, batch: &[Record]) {
        self.waiting.fetch_sub(batch.len() as u64, Ordering::Relaxed);
        for record in batch {
            if let Record::Event(told) = record {
                let _ = self.notices.send(Notice::Event(told.clone()));
            }
        }
    }

    pub fn changed(&self, camera: &str) {
        let _ = self.notices.send(Notice::Changed(camera.into()));
    }

    /// Hands something to the store. A disk that doesn't keep up holds up no camera: what it has no time for is
    /// counted.
    pub fn record(&self, record: Record) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.records.try_send(record) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if let TrySendError::Full(_) = error {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Records that wait to be written.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How much the store was too slow for.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Has the store write what is left, however long that takes.
    pub fn end(&self) {
        let _ = self.records.send(Record::End);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    const RESULTS: &str = r#"{"timestamp":null,"stream-time":null,"running-time":null,"duration":null,"utc":null,
        "source":"door","sequence":1,"event":"face-appeared","identity":1,"faces":[],"width":1,"height":1,
        "inference-time":0,"stale":false,"age":0}"#;

    #[test]
    fn events_are_told_when_they_are_written_and_gaps_show() {
        let (records, inbox) = sync_channel(1);
        let hub = Hub::new(records);
        let mut notices = hub.listen();
        hub.begin("door", 4);
        let happen = || {
            let mut results = Results::from_json(RESULTS).unwrap();
            hub.event("door", 0, &mut results);
            results.sequence
        };
        // The second finds no place.
        assert_eq!([happen(), happen()], [5, 6]);
        assert_eq!((hub.waiting(), hub.dropped()), (1, 1));
        assert!(notices.try_recv().is_err());
        hub.written(&[inbox.recv().unwrap()]);
        assert!(matches!(notices.try_recv(), Ok(Notice::Event(told)) if told.sequence == 5));
        assert_eq!((happen(), hub.waiting()), (7, 1));
    }
}
