//! Faces as GStreamer's analytics metadata (`GstAnalyticsRelationMeta`, 1.24 and newer): those that upstream detected,
//! and what is told of faces, as a graph of entries on the buffer.
//!
//! Each face is an object detection that is related to a classification and to a tracking entry. Readers don't agree
//! on the kind of that relation: GStreamer's own overlay follows `RELATE_TO`, others `CONTAIN`, so it is both.

use std::collections::HashMap;

use gst::ClockTime;
use gst_analytics::prelude::*;
use gst_analytics::{AnalyticsMtdRef, AnalyticsODMtd, AnalyticsRelationMeta, AnalyticsTrackingMtd, RelTypes};

use super::regions::pixels;
use crate::analysis::{Face, Rect};

/// The type of the detections that are put onto buffers here.
const FACE: &str = "face";
/// What detectors call a face, in any case of letters: GStreamer's decoder for Ultra-Light-Fast, DL Streamer's models
/// and YOLO for faces; networks of Open Images.
const FACES: [&str; 2] = [FACE, "human face"];
/// For how long a face that is gone keeps the time of its first observation, should it come back.
const REMEMBERED: ClockTime = ClockTime::from_seconds(60);

type Relations<'a> = gst::MetaRefMut<'a, AnalyticsRelationMeta, gst::meta::Standalone>;

/// What has to be known of a stream's frames to tell of their faces.
#[derive(Debug, Default)]
pub struct Analytics {
    /// The ids of upstream's detections on the frame at work, by the index of the region that each is.
    detected: HashMap<usize, u32>,
    seen: Seen,
}

impl Analytics {
    /// Begins with a frame, which has nothing to do with those before if it is `anew`: after a seek, times haven't.
    pub fn begin(&mut self, anew: bool) {
        self.detected.clear();
        if anew {
            self.seen = Seen::default();
        }
    }

    /// Appends the frame's detections of one type to `rects`, its regions of interest as [`super::regions::read`] gives
    /// them; where `roi_type` is `None`, those of faces. A detection in the very place of a region of interest is that
    /// region: elements that write both tell of one face.
    pub fn read(&mut self, buffer: &gst::BufferRef, roi_type: Option<glib::Quark>, rects: &mut Vec<Rect>) {
        let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else { return };
        let places: HashMap<_, _> =
            rects.iter().enumerate().map(|(index, &rect)| (pixels(rect), index)).collect();
        for detection in meta.iter::<AnalyticsODMtd>().filter(|detection| is_of_type(detection, roi_type)) {
            let Ok(at) = detection.location() else { continue };
            let index = places.get(&(at.x, at.y, at.w, at.h)).copied().unwrap_or_else(|| {
                let [x, y, width, height] = [at.x, at.y, at.w, at.h].map(|value| value as f32);
                rects.push(Rect { x, y, width, height });
                rects.len() - 1
            });
            self.detected.insert(index, detection.id());
        }
    }

    /// Tells of the faces on the frame that was read: a face that is a detection of upstream's gets a classification,
    /// others become detections of the type `face` first. `labels` are the answers' names, not smiling first. Entries of
    /// upstream's stay as they are.
    ///
    /// # Errors
    /// Where the meta has no room for more.
    pub fn write(
        &mut self,
        buffer: &mut gst::BufferRef,
        faces: &[Face],
        labels: &[String; 2],
    ) -> Result<(), glib::BoolError> {
        self.seen.update(faces, buffer.pts());
        let labels = labels.each_ref().map(glib::Quark::from_str);
        // 0 is the frame or a part of it, which is no face.
        for face in faces.iter().filter(|face| face.id > 0) {
            let upstream = face.region.and_then(|index| self.detected.get(&index).copied());
            // What was a region in an earlier frame and has left this one's.
            if upstream.is_none() && face.region == Some(usize::MAX) {
                continue;
            }
            let detection = describe(&mut relations(buffer), upstream, face, labels)?;
            if upstream.is_none_or(|id| !is_tracked(buffer, id)) {
                track(buffer, detection, face, &self.seen)?;
            }
        }
        Ok(())
    }
}

fn is_of_type(detection: &AnalyticsMtdRef<AnalyticsODMtd>, wanted: Option<glib::Quark>) -> bool {
    let Some(name) = detection.obj_type() else { return false };
    match wanted {
        Some(wanted) => name == wanted,
        None => FACES.iter().any(|face| name.as_str().eq_ignore_ascii_case(face)),
    }
}

/// When faces were seen first and last, by the time of buffers.
#[derive(Debug, Default)]
struct Seen {
    faces: HashMap<u32, [ClockTime; 2]>,
}

impl Seen {
    /// Takes in the faces of a frame.
    fn update(&mut self, faces: &[Face], time: Option<ClockTime>) {
        let Some(time) = time else { return };
        for face in faces {
            let [_, last] = self.faces.entry(face.id).or_insert([time; 2]);
            if !face.predicted {
                *last = time;
            }
        }
        self.faces.retain(|_, [_, last]| time.saturating_sub(*last) <= REMEMBERED);
    }

    fn of(&self, id: u32) -> [Option<ClockTime>; 2] {
        self.faces.get(&id).map_or([None; 2], |times| times.map(Some))
    }
}

/// Adds the answer for a face, which becomes a detection first where it is none of `upstream`, and returns the id of its
/// detection.
fn describe(
    meta: &mut Relations,
    upstream: Option<u32>,
    face: &Face,
    labels: [glib::Quark; 2],
) -> Result<u32, glib::BoolError> {
    let detection = match upstream {
        Some(id) => id,
        None => {
            let (x, y, width, height) = pixels(face.rect);
            meta.add_od_mtd(glib::Quark::from_str(FACE), x, y, width, height, face.score)?.id()
        }
    };
    let (answer, other) = (usize::from(face.smiling), usize::from(!face.smiling));
    let levels = [face.confidence(), 1.0 - face.confidence()];
    let class = meta.add_cls_mtd(&levels, &[labels[answer], labels[other]])?.id();
    meta.set_relation(RelTypes::RELATE_TO | RelTypes::CONTAIN, detection, class)?;
    Ok(detection)
}

/// The buffer's meta: one for all who add to it.
fn relations(buffer: &mut gst::BufferRef) -> Relations<'_> {
    if buffer.meta::<AnalyticsRelationMeta>().is_none() {
        AnalyticsRelationMeta::add(buffer);
    }
    buffer.meta_mut().expect("it was there or is added")
}

/// Whether upstream says which object from frame to frame this is.
fn is_tracked(buffer: &gst::BufferRef, detection: u32) -> bool {
    let meta = buffer.meta::<AnalyticsRelationMeta>();
    meta.is_some_and(|meta| {
        meta.iter_direct_related::<AnalyticsTrackingMtd>(detection, RelTypes::ANY).next().is_some()
    })
}

/// Adds which face from frame to frame a detection is.
fn track(
    buffer: &mut gst::BufferRef,
    detection: u32,
    face: &Face,
    seen: &Seen,
) -> Result<(), glib::BoolError> {
    let [Some(first), Some(last)] = seen.of(face.id) else {
        // The frame has no time.
        return Ok(());
    };
    let mut meta = relations(buffer);
    let id = meta.add_tracking_mtd(face.id.into(), first)?.id();
    meta.set_relation(RelTypes::RELATE_TO | RelTypes::CONTAIN, detection, id)?;
    let mut entry = meta.mtd_mut::<AnalyticsTrackingMtd>(id).expect("it was added a moment ago");
    entry.update_last_seen(last)?;
    if face.predicted {
        entry.set_lost()?;
    }
    Ok(())
}
