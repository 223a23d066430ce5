//! Streams whose pictures are to be turned before they are shown.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoOrientationMethod;

use super::element::SmileFilter;

/// Elements of a line that are looked at, at most: no line is as long, and a loop ends there.
const MOST_ELEMENTS: usize = 64;

impl SmileFilter {
    /// Tells the user once a stream where its pictures come unturned.
    pub(super) fn heed_orientation(&self, tags: &gst::TagListRef) {
        let Some(orientation) = tags.get::<gst::tags::ImageOrientation>() else { return };
        let orientation = orientation.get();
        // GStreamer 1.22's videoflip turns pictures and leaves the tag as it was.
        if orientation == "rotate-0" || is_turned(self.obj().sink_pad()) {
            return;
        }
        if std::mem::replace(&mut self.state().turned, true) {
            return;
        }
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            ("The stream's pictures are to be turned before they are shown (image-orientation={orientation}), \
                 and faces are not found in pictures that lie on their side; put videoflip video-direction=auto \
                 before smilefilter")
        );
    }
}

/// Whether an element in the line before a sink pad turns pictures.
fn is_turned(sink: &gst::Pad) -> bool {
    let mut sink = sink.clone();
    for _ in 0..MOST_ELEMENTS {
        let Some(element) = before(&sink) else { return false };
        if element.has_property_with_type("video-direction", VideoOrientationMethod::static_type())
            && element.property::<VideoOrientationMethod>("video-direction")
                != VideoOrientationMethod::Identity
        {
            return true;
        }
        match &element.sink_pads()[..] {
            [only] => sink = only.clone(),
            // Where lines meet, each may be turned or not.
            _ => return false,
        }
    }
    false
}

/// The element that a sink pad is linked to, inside of bins and out of them.
fn before(sink: &gst::Pad) -> Option<gst::Element> {
    let mut peer = sink.peer()?;
    // Within a bin, the other side of its own pad.
    while let Some(outside) = peer.parent().and_downcast::<gst::GhostPad>() {
        peer = outside.peer()?;
    }
    while let Some(bin) = peer.downcast_ref::<gst::GhostPad>() {
        peer = bin.target()?;
    }
    peer.parent_element()
}
