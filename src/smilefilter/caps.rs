//! Which video the element takes, and how it negotiates overlays.

use gst_video::CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION as OVERLAY_FEATURE;
use gst_video::VideoMultiviewMode;

use super::FORMATS;

/// Of caps for buffers with a single field.
const FIELDS_FEATURE: &str = "format:Interlaced";

/// All that the element takes.
pub fn template() -> gst::Caps {
    let plain = gst_video::VideoCapsBuilder::new().format_list(FORMATS.iter().copied()).build();
    let mut caps = add_overlay_feature(&plain);
    caps.merge(plain);
    caps
}

/// What the pad lets in only for [`check`] to refuse it in words that say what to do, where upstream would just
/// say that it is not negotiated.
pub fn refused() -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .features([FIELDS_FEATURE])
        .format_list(FORMATS.iter().copied())
        .field("interlace-mode", "alternate")
        .build()
}

/// # Errors
/// Where a buffer has a single field; in words that say what to do.
pub fn check(caps: &gst::CapsRef) -> Result<(), String> {
    let mode = caps.structure(0).and_then(|structure| structure.get::<&str>("interlace-mode").ok());
    match mode {
        Some(mode @ ("fields" | "alternate")) => Err(format!(
            "The video comes as single fields (interlace-mode={mode}), which can't be analysed; put \
             deinterlace before smilefilter"
        )),
        _ => Ok(()),
    }
}

/// The description of raw video in `caps`.
///
/// # Errors
/// Where it has a form that isn't one picture a buffer; in words that say what to do.
pub fn parse(caps: &gst::CapsRef) -> Result<gst_video::VideoInfo, String> {
    check(caps)?;
    let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| format!("{caps} are not of raw video"))?;
    let mode = info.multiview_mode();
    use VideoMultiviewMode::{FrameByFrame, MultiviewFrameByFrame, Separated};
    if let FrameByFrame | MultiviewFrameByFrame | Separated = mode {
        return Err(format!(
            "The video has several views one after the other (multiview-mode={}), in which faces can't \
             be followed; have one view (mono, left or right), or the views in one picture (such as \
             side-by-side)",
            mode.to_caps_string().unwrap_or_else(|| "unknown".into())
        ));
    }
    Ok(info)
}

fn names_overlays(features: &gst::CapsFeaturesRef) -> bool {
    !features.is_any() && features.contains(OVERLAY_FEATURE)
}

pub fn name_overlays(caps: &gst::CapsRef) -> bool {
    caps.iter_with_features().any(|(_, features)| names_overlays(features))
}

pub fn name_fields(caps: &gst::CapsRef) -> bool {
    caps.iter_with_features().any(|(_, features)| !features.is_any() && features.contains(FIELDS_FEATURE))
}

/// The same caps for buffers that may carry overlay compositions.
pub fn add_overlay_feature(caps: &gst::CapsRef) -> gst::Caps {
    let mut overlay = gst::Caps::new_empty();
    for (structure, features) in caps.iter_with_features() {
        let mut features = features.to_owned();
        if !features.is_any() && !features.contains(OVERLAY_FEATURE) {
            features.add(OVERLAY_FEATURE);
        }
        overlay.make_mut().append_structure_full(structure.to_owned(), Some(features));
    }
    overlay
}

/// The caps, and also those without overlay compositions.
pub fn allow_plain(caps: &gst::CapsRef) -> gst::Caps {
    let mut plain = caps.to_owned();
    for (structure, features) in caps.iter_with_features() {
        if names_overlays(features) {
            let mut features = features.to_owned();
            features.remove(OVERLAY_FEATURE);
            plain.make_mut().append_structure_full(structure.to_owned(), Some(features));
        }
    }
    plain
}
