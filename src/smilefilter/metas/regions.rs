//! Faces as metadata of a buffer: those that upstream found, and those that were found here.

use std::collections::HashMap;

use glib::translate::IntoGlib;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;

use crate::analysis::{Face, Rect};
use crate::smilefilter::results;

/// The type of the regions that are put onto buffers here.
const FACE: &str = "face";
/// The parameter of a region that holds the answer.
const SMILE: &str = "smile";

/// Replaces `rects` by the buffer's regions of one type, or all where it is `None`.
pub fn read(buffer: &gst::BufferRef, roi_type: Option<glib::Quark>, rects: &mut Vec<Rect>) {
    let metas = buffer.iter_meta::<RegionMeta>();
    rects.clear();
    rects.extend(metas.filter(|meta| is_of_type(meta.as_ptr(), roi_type)).map(|meta| rect(&meta)));
}

/// Tells the answers: faces that are regions which [`read`] listed get a parameter, others become
/// regions of the type `face`, also those that upstream detected by other metadata. Only metadata changes. `told` are
/// the same faces, which learn the ids of their regions.
pub fn write(
    buffer: &mut gst::BufferRef,
    roi_type: Option<glib::Quark>,
    faces: &[Face],
    told: &mut [results::Face],
) {
    let mut count = 0;
    let metas = buffer.iter_meta_mut::<RegionMeta>();
    for (index, mut meta) in metas.filter(|meta| is_of_type(meta.as_ptr(), roi_type)).enumerate() {
        count = index + 1;
        if let Some(place) = faces.iter().position(|face| face.region == Some(index)) {
            let face = &faces[place];
            meta.add_param(smile(face));
            // 0 is no id. Without one, nobody could tell later which region was which face.
            if meta.id() == 0 {
                meta.set_id(face.id as i32);
            }
            // One that was cut off, or is elsewhere by now, would not lead back to the face.
            if told[place].rect() == rect(&meta) {
                told[place].region = Some(meta.id());
            }
        }
    }
    let is_new = |face: &Face| face.region.is_none_or(|index| (count..usize::MAX).contains(&index));
    for (face, told) in faces.iter().zip(told).filter(|(face, _)| face.id > 0 && is_new(face)) {
        let (x, y, width, height) = pixels(face.rect);
        // Nothing within a frame is below 0.
        let rect = (x as u32, y as u32, width as u32, height as u32);
        let mut meta = RegionMeta::add(buffer, FACE, rect);
        meta.set_id(face.id as i32);
        meta.add_param(smile(face));
        told.region = Some(meta.id());
    }
}

/// Moves faces to where their regions are by now, which transforms may have scaled.
pub fn follow(buffer: &gst::BufferRef, faces: &mut [results::Face]) {
    if faces.is_empty() {
        return;
    }
    let mut places = HashMap::new();
    for meta in buffer.iter_meta::<RegionMeta>() {
        // An id that was given twice says nothing.
        let place = places.entry(meta.id()).or_insert(Some(meta.rect()));
        *place = place.filter(|&place| place == meta.rect());
    }
    for face in faces {
        let Some((x, y, width, height)) = face.region.and_then(|id| places.get(&id).copied().flatten())
        else {
            face.region = None;
            continue;
        };
        let before = face.rect();
        let [x, y, width, height] = [x, y, width, height].map(|value| value.try_into().unwrap_or(i32::MAX));
        (face.x, face.y, face.width, face.height) = (x, y, width, height);
        let now = face.rect();
        face.landmarks = face.landmarks.map(|points| points.map(|point| before.carry(point, now)));
    }
}

/// Finds the faces of an earlier frame among the regions that the buffer has: each by the region that it
/// overlaps most. A face that was a region and is none now stays without one.
pub fn assign(faces: &mut [Face], rects: &[Rect]) {
    for face in faces {
        if face.region.is_some() {
            let overlaps = rects.iter().map(|rect| rect.overlap(face.rect)).enumerate();
            let best = overlaps.filter(|(_, overlap)| *overlap > 0.0).max_by(|a, b| a.1.total_cmp(&b.1));
            face.region = Some(best.map_or(usize::MAX, |(index, _)| index));
        }
    }
}

/// The nearest whole pixels: x, y, width and height.
pub fn pixels(rect: Rect) -> (i32, i32, i32, i32) {
    let (x, y) = (rect.x.round() as i32, rect.y.round() as i32);
    let (right, bottom) = ((rect.x + rect.width).round() as i32, (rect.y + rect.height).round() as i32);
    (x, y, right - x, bottom - y)
}

fn rect(meta: &RegionMeta) -> Rect {
    let (x, y, width, height) = meta.rect();
    let [x, y, width, height] = [x, y, width, height].map(|value| value as f32);
    Rect { x, y, width, height }
}

fn smile(face: &Face) -> gst::Structure {
    gst::Structure::builder(SMILE)
        .field("probability", f64::from(face.probability))
        .field("smiling", face.smiling)
        .field("identity", face.id)
        .build()
}

fn is_of_type(
    meta: *const gst_video::ffi::GstVideoRegionOfInterestMeta,
    wanted: Option<glib::Quark>,
) -> bool {
    // SAFETY: `meta` was taken from a reference a moment ago. The safe `roi_type` reads a string, which
    // regions without a type don't have.
    wanted.is_none_or(|wanted| unsafe { (*meta).roi_type } == wanted.into_glib())
}
