//! The element `smilefilter`: who smiles in a video stream?
//!
//! It looks at each frame, draws the answer onto it and posts an element message ([`Results`]).
//! Frames keep their order, number, timestamps and format.
//!
//! ```text
//! gst-launch-1.0 v4l2src ! videoconvert ! smilefilter ! videoconvert ! autovideosink
//! ```

use glib::prelude::*;

mod frame;
mod imp;
mod overlay;
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
    #[enum_value(name = "On change: when an answer differs from the one before", nick = "on-change")]
    OnChange,
    #[enum_value(name = "Every frame", nick = "every-frame")]
    EveryFrame,
}

/// What is drawn onto the frame: the property `display`.
#[glib::flags(name = "GstSmileFilterDisplay")]
pub enum Display {
    #[flags_value(name = "Label: the answer and how sure it is", nick = "label")]
    LABEL = 1 << 0,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "smilefilter", gst::Rank::NONE, SmileFilter::static_type())
}
