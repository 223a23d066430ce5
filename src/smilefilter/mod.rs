//! The element `smilefilter`: who smiles in a video stream?
//!
//! It finds the faces in each frame and follows them, draws the answers, puts them onto the buffer as
//! regions of interest and posts an element message ([`Results`]). Frames keep their order, number,
//! timestamps and format.
//!
//! ```text
//! gst-launch-1.0 v4l2src ! videoconvert ! smilefilter ! videoconvert ! autovideosink
//! ```

use glib::prelude::*;

mod frame;
mod imp;
mod overlay;
mod properties;
mod regions;
mod results;

pub use frame::{FORMATS, picture};
pub use results::{Face, Results, ResultsError};

glib::wrapper! {
    pub struct SmileFilter(ObjectSubclass<imp::SmileFilter>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Which part of the frame is looked at: the property `region`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSmileFilterRegion")]
pub enum Region {
    #[default]
    #[enum_value(
        name = "Auto: the regions of interest on the buffer, or faces where it has none",
        nick = "auto"
    )]
    Auto,
    #[enum_value(name = "Faces: the faces that the element finds", nick = "faces")]
    Faces,
    #[enum_value(
        name = "ROI: the regions of interest on the buffer (GstVideoRegionOfInterestMeta)",
        nick = "roi"
    )]
    Roi,
    #[enum_value(name = "Center: the largest centred square", nick = "center")]
    Center,
    #[enum_value(name = "Full: the whole frame, squeezed", nick = "full")]
    Full,
}

/// When results are posted on the bus: the property `updates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSmileFilterUpdates")]
pub enum Updates {
    #[enum_value(name = "None: never", nick = "none")]
    None,
    #[default]
    #[enum_value(name = "On change: when faces or answers differ from those before", nick = "on-change")]
    OnChange,
    #[enum_value(name = "Every frame", nick = "every-frame")]
    EveryFrame,
}

/// What is drawn onto the frame: the property `display`.
#[glib::flags(name = "GstSmileFilterDisplay")]
pub enum Display {
    #[flags_value(name = "Label: the answer and how sure it is", nick = "label")]
    LABEL = 1 << 0,
    #[flags_value(name = "Box: a frame around each face", nick = "box")]
    BOX = 1 << 1,
    #[flags_value(name = "Bar: the probability of smiling as a length", nick = "bar")]
    BAR = 1 << 2,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "smilefilter", gst::Rank::NONE, SmileFilter::static_type())
}
