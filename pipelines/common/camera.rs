//! Which mode of a camera is used.

use gst::prelude::*;

/// A camera that is slower looks as if it hung, and faces move far between two of its frames.
const ENOUGH: f64 = 15.0;

/// The largest picture that is asked for.
const WIDTH: i32 = 1920;
const HEIGHT: i32 = 1080;

/// The caps of the best mode: at least 15 frames a second before anything else (webcams have their largest raw
/// pictures at 5, but as JPEG at 30), then the most pixels up to 1920×1080, and of the same size raw video before
/// JPEG before H.264. None: nothing is known that could be chosen from.
pub fn best_mode(offered: &gst::CapsRef) -> Option<gst::Caps> {
    let modes = offered.iter_with_features().filter_map(|(structure, features)| {
        let kind = ["video/x-h264", "image/jpeg", "video/x-raw"]
            .iter()
            .position(|kind| structure.name() == *kind)?;
        let in_memory = features.is_any() || features.contains(gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY);
        if !in_memory {
            return None;
        }
        let mut mode = structure.to_owned();
        mode.fixate_field_nearest_int("width", WIDTH);
        mode.fixate_field_nearest_int("height", HEIGHT);
        mode.fixate_field_nearest_fraction("framerate", gst::Fraction::new(30, 1));
        let (width, height) = (mode.get::<i32>("width").ok()?, mode.get::<i32>("height").ok()?);
        let rate = mode.get::<gst::Fraction>("framerate");
        let rate = rate.map_or(30.0, |rate| f64::from(rate.numer()) / f64::from(rate.denom()));
        // A range is no offer: converters and encoders in the source's words say that they can do anything.
        let offered = ["width", "height", "framerate"].into_iter().filter(|name| {
            structure.value(*name).is_ok_and(|value| {
                [i32::static_type(), gst::Fraction::static_type(), gst::List::static_type()]
                    .contains(&value.type_())
            })
        });
        let mut caps = gst::Structure::new_empty(structure.name());
        for name in offered {
            caps.set_value(name, mode.value(name).ok()?.clone());
        }
        let fits = width <= WIDTH && height <= HEIGHT;
        let pixels = i64::from(width) * i64::from(height);
        // The lowest frame rate is the first thing to be avoided, too large a picture the second.
        let rank = (rate.min(ENOUGH), fits, if fits { pixels } else { -pixels }, kind);
        Some((rank, caps))
    });
    let best = modes.reduce(|best, mode| {
        if mode.0.partial_cmp(&best.0).is_some_and(|order| order.is_gt()) { mode } else { best }
    })?;
    Some(gst::Caps::from_iter([best.1]))
}
