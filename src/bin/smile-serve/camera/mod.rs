//! A camera that stays up: a thread of its own, which starts its pipeline anew whenever it fails.

#[path = "../../../../pipelines/common/camera.rs"]
mod best_mode;
#[path = "../../../../pipelines/common/decode.rs"]
mod decode;
pub mod minutes;
mod pipeline;
pub mod preview;
mod run;
pub mod state;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use gst::glib;
use serde::Serialize;

use crate::config;
use crate::hub::Hub;
use preview::Preview;
use state::State;

/// What reaches a camera's thread.
enum Note {
    /// A message of the pipeline with this number.
    Message(u64, gst::Message),
    /// The pipeline with this number can't be played.
    Failed(u64, String),
    Stop,
}

/// Messages on their way to the thread.
const NOTES: usize = 64;

/// What others read of a camera while it runs.
#[derive(Debug)]
pub struct Shared {
    pub status: Mutex<Status>,
    pub counters: Counters,
    pub preview: Arc<Preview>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    pub state: State,
    /// In milliseconds since 1970.
    pub since: u64,
    /// Why it isn't live.
    pub reason: Option<String>,
    /// When it is tried again, in milliseconds since 1970.
    pub retry: Option<u64>,
    pub faces: u32,
    pub smiling: u32,
    pub frames_per_second: f64,
    /// How often its pipeline was started anew.
    pub restarts: u64,
}

impl Status {
    fn new(time: u64) -> Self {
        Self {
            state: State::Connecting,
            since: time,
            reason: None,
            retry: None,
            faces: 0,
            smiling: 0,
            frames_per_second: 0.0,
            restarts: 0,
        }
    }
}

/// All but the last two only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames that were decoded.
    pub received: AtomicU64,
    /// Frames that went through the element.
    pub frames: AtomicU64,
    pub inferences: AtomicU64,
    /// Frames that no network looked at for lack of time.
    pub skipped: AtomicU64,
    pub events: AtomicU64,
    /// The mean time of an inference, in nanoseconds.
    pub inference_time: AtomicU64,
    /// Width and height of the video, the width in the upper half.
    pub size: AtomicU64,
}

impl Shared {
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn size(&self) -> (u32, u32) {
        let size = self.counters.size.load(Ordering::Relaxed);
        ((size >> 32) as u32, size as u32)
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A camera that runs.
#[derive(Debug)]
pub struct Handle {
    pub camera: config::Camera,
    /// Whether it comes from the command line or the configuration file, so that the API can't change it.
    pub is_fixed: bool,
    pub shared: Arc<Shared>,
    notes: SyncSender<Note>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    pub fn start(camera: config::Camera, is_fixed: bool, hub: &Arc<Hub>) -> std::io::Result<Self> {
        let (notes, inbox) = sync_channel(NOTES);
        let shared = Arc::new(Shared {
            status: Mutex::new(Status::new(crate::now())),
            counters: Counters::default(),
            preview: Arc::default(),
        });
        let run = run::Run::new(camera.clone(), shared.clone(), hub.clone(), notes.clone(), inbox);
        // The names of threads are short.
        let name = format!("cam-{}", glib::random_int_range(0, 1_000_000));
        let thread = std::thread::Builder::new().name(name).spawn(move || run.run())?;
        Ok(Self { camera, is_fixed, shared, notes, thread: Mutex::new(Some(thread)) })
    }

    /// Asks it to stop; [`Handle::join`] waits until it has.
    pub fn stop(&self) {
        // Whoever fills the queue is stopped as well, and it is emptied until then.
        let notes = self.notes.clone();
        if let Err(std::sync::mpsc::TrySendError::Full(note)) = notes.try_send(Note::Stop) {
            let _ = std::thread::Builder::new().name("stop".into()).spawn(move || notes.send(note));
        }
    }

    pub fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
