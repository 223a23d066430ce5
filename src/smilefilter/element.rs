//! The element's own data: what its properties say, what a stream has to remember, and what one frame is worked on with.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use gst::subclass::prelude::*;

use super::Results;
use super::changes::Known;
use super::frame::Blender;
use super::latency::Latency;
use super::mailbox::Mailbox;
#[cfg(feature = "analytics")]
use super::metas;
use super::overlay::Overlay;
use super::properties::{FrameSettings, Settings};
use super::stats::{Rate, Stats};
use super::swap::Swaps;
use super::worker::{Outcome, Task, Worker};
use crate::analysis::Rect;

pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("smilefilter", gst::DebugColorFlags::empty(), Some("Smile classification"))
});

/// Frames that are late still get a look as often as this, so that results don't grow old without
/// end: as sinks show at least a frame a second.
const LONGEST_SKIP: gst::ClockTime = gst::ClockTime::SECOND;

#[derive(Default)]
pub struct State {
    pub info: Option<gst_video::VideoInfo>,
    /// Whether downstream draws overlays itself; `None` where it hasn't been asked.
    pub attach: Option<bool>,
    /// Out of here while a frame is worked on.
    pub streaming: Option<Box<Streaming>>,
    /// Where networks are delivered, once started.
    pub swaps: Option<Arc<Swaps>>,
    /// The caps that were refused last, unless others were taken since.
    pub refused_caps: Option<gst::Caps>,
    /// Where frames are copied to, once there are caps.
    pub pool: Option<gst::BufferPool>,
    pub known: Known,
    /// Whether frames before the next one count: not after a start, a flush or a change of format.
    pub running: bool,
    /// Whether anything was told since then.
    pub told: bool,
    /// Messages posted since the start.
    pub sequence: u64,
    /// Whether the user has heard that frames can't be analysed.
    pub warned: bool,
    /// Whether the user has heard that this stream's pictures are to be turned.
    pub turned: bool,
    /// Frames up to this running time come too late downstream.
    pub late_until: Option<gst::ClockTime>,
    /// The running time of the last frame that wasn't late.
    pub looked: Option<gst::ClockTime>,
    pub latency: Latency,
    pub rate: Rate,
}

#[derive(Default)]
pub struct SmileFilter {
    pub settings: Mutex<Settings>,
    pub state: Mutex<State>,
    pub stats: Arc<Stats>,
    /// Of properties that were set to something impossible before there was a bus: what to say of them at the start.
    pub refused: Mutex<BTreeMap<String, String>>,
    /// Since the first network that was exchanged.
    pub loader: Mutex<Option<Mailbox<Arc<Swaps>, ()>>>,
}

#[glib::object_subclass]
impl ObjectSubclass for SmileFilter {
    const NAME: &'static str = "GstSmileFilter";
    type Type = super::SmileFilter;
    type ParentType = gst_base::BaseTransform;
}

impl SmileFilter {
    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where networks are delivered, once started.
    pub fn swaps(&self) -> Option<Arc<Swaps>> {
        self.state().swaps.clone()
    }

    pub fn refused(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

impl State {
    /// What was before has nothing to do with what comes.
    pub fn forget(&mut self) {
        (self.running, self.told) = (false, false);
        (self.late_until, self.looked) = (None, None);
    }

    /// Whether a frame at this running time is late; where it is not known, it isn't.
    pub fn is_late(&mut self, running_time: Option<gst::ClockTime>) -> bool {
        let Some(now) = running_time else { return false };
        let waited = self.looked.is_none_or(|then| now < then || now - then >= LONGEST_SKIP);
        let late = !waited && self.late_until.is_some_and(|until| now <= until);
        if !late {
            self.looked = Some(now);
        }
        late
    }
}

/// What only the streaming thread uses.
pub struct Streaming {
    pub engine: Engine,
    pub overlay: Overlay,
    pub blender: Blender,
    /// Upstream's regions on the buffer.
    pub regions: Vec<Rect>,
    /// Of the frame at work or the last one, without faces.
    pub times: Results,
    /// The newest there is.
    pub outcome: Option<Outcome>,
    #[cfg(feature = "analytics")]
    pub analytics: metas::analytics::Analytics,
}

/// Who looks at frames.
pub enum Engine {
    /// The streaming thread.
    Sync(Box<Worker>),
    /// A thread of its own.
    Async(Mailbox<Job, Outcome>),
}

/// A copy of a frame, and what is asked about it.
///
/// The frame itself is not kept: a worker that holds a reference takes a buffer out of upstream's pool for
/// as long as it works, of which a camera has few; and what is held twice can't be drawn on in place, so
/// that the element would copy the frame for downstream instead. The crops that the networks read are
/// far smaller than a frame, but where they lie is only known after the faces were found, and making the
/// locator's view costs more than a copy, for frames too that nobody comes to look at. So a plain copy
/// into memory of our own, which the pool reuses, is the cheapest that can wait.
pub struct Job {
    pub frame: gst::Buffer,
    pub info: gst_video::VideoInfo,
    pub task: Task,
}

/// What one frame needs to know of the element.
pub struct Snapshot {
    pub info: gst_video::VideoInfo,
    pub settings: FrameSettings,
    /// Where frames are copied to.
    pub pool: Option<gst::BufferPool>,
    /// The frame has nothing to do with those before.
    pub anew: bool,
    /// The frame is late.
    pub late: bool,
    /// The frame's picture is that of the last one, as videorate and livesync mark it.
    pub repeats: bool,
    /// Frames in a second.
    pub rate: Option<u32>,
}

impl Streaming {
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            overlay: Overlay::new(),
            blender: Blender::default(),
            regions: Vec::new(),
            times: Results::default(),
            outcome: None,
            #[cfg(feature = "analytics")]
            analytics: metas::analytics::Analytics::default(),
        }
    }

    /// Whether frames are copied for another thread.
    pub fn copies(&self) -> bool {
        matches!(self.engine, Engine::Async(_))
    }
}
