//! The element `smilefilter`: who smiles in a video stream?
//!
//! It finds the faces in each frame and follows them, draws the answers, puts them onto the buffer as
//! regions of interest and as a meta ([`Results::from_buffer`]), and posts an element message ([`Results`]). Frames keep their order, number,
//! timestamps and format.
//!
//! ```text
//! gst-launch-1.0 v4l2src ! videoconvert ! smilefilter ! videoconvert ! autovideosink
//! ```

use glib::prelude::*;

mod announce;
mod caps;
mod changes;
mod element;
mod frame;
mod imp;
mod json;
mod latency;
mod load;
mod mailbox;
mod metas;
mod orientation;
mod overlay;
mod process;
mod properties;
mod results;
mod stats;
mod swap;
mod utc;
mod worker;

pub use frame::{FORMATS, picture};
pub use results::{Event, Face, Results, ResultsError};

glib::wrapper! {
    pub struct SmileFilter(ObjectSubclass<element::SmileFilter>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Which part of the frame is analysed: the property `region`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSmileFilterRegion")]
pub enum Region {
    #[default]
    #[enum_value(
        name = "Auto: the regions of interest on the buffer, or faces where it has none",
        nick = "auto"
    )]
    /// The regions of interest on the buffer, or faces where it has none.
    Auto,
    /// The faces that the element finds.
    #[enum_value(name = "Faces: the faces that the element finds", nick = "faces")]
    Faces,
    #[enum_value(
        name = "ROI: the regions of interest on the buffer (GstVideoRegionOfInterestMeta)",
        nick = "roi"
    )]
    /// The regions of interest on the buffer.
    Roi,
    /// The largest centred square.
    #[enum_value(name = "Center: the largest centred square", nick = "center")]
    Center,
    /// The whole frame, squeezed.
    #[enum_value(name = "Full: the whole frame, squeezed", nick = "full")]
    Full,
}

/// When results are posted on the bus: the property `updates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSmileFilterUpdates")]
pub enum Updates {
    /// Never.
    #[enum_value(name = "None: never", nick = "none")]
    None,
    /// One message for each change.
    #[default]
    #[enum_value(name = "On change: what has changed, one message for each change", nick = "on-change")]
    OnChange,
    /// Changes, and an update for each frame with a face.
    #[enum_value(name = "On face: changes, and an update for each frame with a face", nick = "on-face")]
    OnFace,
    /// Changes, and an update for each frame.
    #[enum_value(name = "Every frame: changes, and an update for each frame", nick = "every-frame")]
    EveryFrame,
}

/// Whether frames wait for their own results: the property `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSmileFilterMode")]
pub enum Mode {
    /// Each frame waits for its own result.
    #[default]
    #[enum_value(name = "Sync: each frame waits for its own result", nick = "sync")]
    Sync,
    #[enum_value(
        name = "Async: frames pass at once with the newest result there is, and the newest frame is analysed next",
        nick = "async"
    )]
    /// Frames pass at once with the newest result there is.
    Async,
}

pub use display::Display;

#[allow(
    missing_docs,
    reason = "the macro leaves documentation out; the names say what each flag is, to users as well"
)]
mod display {
    /// What is drawn onto the frame: the property `display`.
    #[glib::flags(name = "GstSmileFilterDisplay")]
    pub enum Display {
        #[flags_value(name = "Label: the answer and how sure it is", nick = "label")]
        LABEL = 1 << 0,
        #[flags_value(name = "Box: a frame around each face", nick = "box")]
        BOX = 1 << 1,
        #[flags_value(name = "Bar: the probability of smiling as a length", nick = "bar")]
        BAR = 1 << 2,
        #[flags_value(name = "FPS: how many frames pass in a second", nick = "fps")]
        FPS = 1 << 3,
    }
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    metas::results::register();
    gst::Element::register(Some(plugin), "smilefilter", gst::Rank::NONE, SmileFilter::static_type())
}
