//! The wall-clock time of a frame, by which results of many cameras can be put in order.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gst::prelude::*;

/// From the epoch of NTP, 1900, to that of Unix, 1970 (RFC 5905).
const NTP_TO_UNIX: gst::ClockTime = gst::ClockTime::from_seconds(2_208_988_800);

/// A duration in GStreamer's terms.
pub fn clock_time(duration: Duration) -> gst::ClockTime {
    duration.try_into().unwrap_or(gst::ClockTime::MAX)
}

/// What a camera says of the frame in a reference timestamp meta, as `rtspsrc add-reference-timestamp-meta=true` does;
/// else when the pipeline's clock has the frame at `running_time`: for live sources the time of capture, for others
/// that of display. Where there is no clock yet, the time is now.
pub fn utc(
    element: &impl IsA<gst::Element>,
    buffer: &gst::BufferRef,
    running_time: Option<gst::ClockTime>,
) -> Option<gst::ClockTime> {
    told(buffer).or_else(|| {
        let now = clock_time(SystemTime::now().duration_since(UNIX_EPOCH).ok()?);
        let due = running_time.zip(element.base_time()).and_then(|(time, base)| time.checked_add(base));
        match due.zip(element.current_clock_time()) {
            Some((due, clock)) => now.checked_add(due)?.checked_sub(clock),
            None => Some(now),
        }
    })
}

fn told(buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    buffer.iter_meta::<gst::ReferenceTimestampMeta>().find_map(|meta| {
        match meta.reference().structure(0)?.name().as_str() {
            "timestamp/x-unix" => Some(meta.timestamp()),
            "timestamp/x-ntp" => meta.timestamp().checked_sub(NTP_TO_UNIX),
            _ => None,
        }
    })
}
