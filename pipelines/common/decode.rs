//! What a decoder finds, and why it finds nothing.

use gst::prelude::*;

/// Links the first video that a decoder finds to an element; where there is none, the pipeline fails.
/// `also` is asked about everything else that is found and is audible.
pub fn link_video(
    decoder: &gst::Element,
    to: &gst::Element,
    also: impl Fn(&gst::Pad) + Send + Sync + 'static,
) -> Result<(), &'static str> {
    let sink = to.static_pad("sink").ok_or("no sink pad")?;
    let linked = sink.clone();
    decoder.connect_pad_added(move |decoder, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map(|structure| structure.name().to_string()).unwrap_or_default();
        if name.starts_with("audio/") {
            also(pad);
        } else if name.starts_with("video/") && !sink.is_linked() && pad.link(&sink).is_err() {
            gst::element_error!(decoder, gst::StreamError::Format, ["its video ({caps}) can't be used"]);
        }
    });
    decoder.connect_no_more_pads(move |decoder| {
        if !linked.is_linked() {
            gst::element_error!(
                decoder,
                gst::StreamError::WrongType,
                ["there is no video in it that can be decoded"]
            );
        }
    });
    Ok(())
}

/// What is to be added to an error: the system's reason, and the plugins that are `missing`.
pub fn reasons(error: &gst::message::Error, missing: &[String]) -> String {
    // The first lines of it name a place in the source; the last has the system's words.
    let debug = error.debug();
    let reason = debug.as_deref().and_then(|debug| debug.lines().skip(1).last());
    // Which says what the error says.
    let reason = reason.filter(|reason| *reason != "streaming stopped, reason error (-5)");
    let mut text = reason.map_or(String::new(), |reason| format!(" ({reason})"));
    if !missing.is_empty() {
        text += &format!(
            " It needs: {} (Debian: gstreamer1.0-libav or gstreamer1.0-plugins-bad)",
            missing.join(", ")
        );
    }
    text
}
