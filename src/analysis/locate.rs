//! Where in a picture to look.

use super::crop::{Cropper, Picture, Rect};
use crate::model::{Detector, FaceWeights, HeadAnswer, Region, Result};
use crate::ops::Isa;

/// The part of `picture` that `region` means.
pub fn region(picture: &Picture, region: Region) -> Rect {
    match region {
        Region::Full | Region::Faces => picture.bounds(),
        Region::Center => center(picture),
    }
}

/// What a face was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// In pixels of the picture; it may stick out of it.
    pub rect: Rect,
    /// How sure the locator is, from 0 to 1.
    pub score: f32,
    /// In pixels of the picture (x, y): right eye, left eye, nose, right and left corner of the
    /// mouth, as the person has them.
    pub landmarks: [[f32; 2]; 5],
}

/// The square, as displayed, around the middle of a face's box: its side is the box's longer one
/// and on each side `margin` times as much more.
pub fn face_square(face: Rect, margin: f32, pixel_aspect: f32) -> Rect {
    let side = face.height.max(face.width * pixel_aspect) * (1.0 + 2.0 * margin);
    let width = side / pixel_aspect;
    let (x, y) = (face.x + face.width / 2.0, face.y + face.height / 2.0);
    Rect { x: x - width / 2.0, y: y - side / 2.0, width, height: side }
}

/// Finds the faces in pictures of any size and format. Keeps its buffers, so that one used for frame
/// after frame allocates nothing.
pub struct Locator {
    detector: Detector,
    threshold: f32,
    view: View,
    cropper: Cropper,
    /// The picture shrunk, and the same with its edges going on as far as the network wants it.
    small: Vec<u8>,
    padded: Vec<u8>,
    candidates: Vec<Detection>,
}

/// How a picture is brought before the network.
#[derive(Clone, Copy, Debug, PartialEq)]
struct View {
    width: usize,
    height: usize,
    padded: [usize; 2],
}

/// Faces that are compared with each other, at most: those with the highest scores.
const MOST_CANDIDATES: usize = 256;
/// Of two boxes one of which lies in the other by this share, the one with the higher score stays.
const MOST_CONTAINED: f32 = 0.75;

impl Locator {
    /// # Errors
    /// Where a tensor that the weights' architecture needs is missing or has another shape.
    pub fn new(weights: &FaceWeights) -> Result<Self> {
        Self::with_isa(weights, Isa::best())
    }

    /// As [`Locator::new`], with the instructions of `isa`: for tests and measurements.
    ///
    /// # Panics
    /// If the machine does not have `isa`.
    pub fn with_isa(weights: &FaceWeights, isa: Isa) -> Result<Self> {
        Ok(Self::with_detector(Detector::new(weights, isa)?))
    }

    /// As [`Locator::new`], with a network that is ready.
    pub fn with_detector(detector: Detector) -> Self {
        Self {
            threshold: detector.metadata().threshold,
            detector,
            view: View { width: 1, height: 1, padded: [0; 2] },
            cropper: Cropper::new(1, 1),
            small: Vec::new(),
            padded: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// From which score on there is a face.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Sets from which score on there is a face, from 0 to 1.
    pub fn set_threshold(&mut self, threshold: f32) {
        self.threshold = threshold;
    }

    /// Replaces `found` by the faces of a picture, the highest score first.
    ///
    /// # Errors
    /// Where there is no memory for pictures of this shape.
    pub fn locate(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<()> {
        let [_, _, side] = self.detector.metadata().architecture.input;
        let view = View::new(picture, side, self.detector.multiple());
        if view != self.view {
            self.cropper = Cropper::new(view.width, view.height);
            self.small.resize(view.width * view.height, 0);
            self.padded.resize(view.padded.iter().product(), 0);
            self.view = view;
        }
        self.cropper.crop_grey(picture, picture.bounds(), &mut self.small);
        pad(&self.small, view, &mut self.padded);
        self.detector.run(&self.padded, view.padded)?;

        self.candidates.clear();
        let scale = [picture.width as f32 / view.width as f32, picture.height as f32 / view.height as f32];
        for head in self.detector.answers() {
            decode(head, self.threshold, scale, &mut self.candidates);
        }
        self.candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        self.candidates.truncate(MOST_CANDIDATES);
        suppress(&self.candidates, self.detector.metadata().overlap, found);
        Ok(())
    }
}

impl View {
    /// The picture as displayed with its longer side no longer than `side`, filled up to sides that
    /// divide by `multiple`.
    fn new(picture: &Picture, side: usize, multiple: usize) -> Self {
        let (width, height) = (picture.width as f32 * picture.pixel_aspect, picture.height as f32);
        let scale = (side as f32 / width.max(height)).min(1.0);
        let pixels = |length: f32| ((length * scale).round() as usize).clamp(1, side);
        let (width, height) = (pixels(width), pixels(height));
        Self { width, height, padded: [height, width].map(|len| len.next_multiple_of(multiple)) }
    }
}

/// Copies a picture and lets its right and lower edge go on.
fn pad(small: &[u8], view: View, padded: &mut [u8]) {
    let columns = view.padded[1];
    let (rows, below) = padded.split_at_mut(view.height * columns);
    for (row, line) in rows.chunks_exact_mut(columns).zip(small.chunks_exact(view.width)) {
        let (inside, beyond) = row.split_at_mut(view.width);
        inside.copy_from_slice(line);
        beyond.fill(line[view.width - 1]);
    }
    let last = &rows[rows.len() - columns..];
    below.chunks_exact_mut(columns).for_each(|row| row.copy_from_slice(last));
}

/// Adds the faces that a head sees with at least this score, in pixels of the picture.
fn decode(head: HeadAnswer, threshold: f32, scale: [f32; 2], found: &mut Vec<Detection>) {
    let area = head.rows * head.columns;
    let stride = head.stride as f32;
    let least = (threshold / (1.0 - threshold)).ln();
    for (place, &logit) in head.values[..area].iter().enumerate() {
        if logit.is_nan() || logit < least {
            continue;
        }
        let value = |index: usize| head.values[index * area + place];
        let place = [(place % head.columns) as f32 + 0.5, (place / head.columns) as f32 + 0.5];
        let point =
            |index: usize| [0, 1].map(|axis| (place[axis] + value(index + axis)) * stride * scale[axis]);
        let size = [0, 1].map(|axis| value(3 + axis).clamp(-6.0, 6.0).exp() * stride * scale[axis]);
        let middle = point(1);
        let detection = Detection {
            rect: Rect {
                x: middle[0] - size[0] / 2.0,
                y: middle[1] - size[1] / 2.0,
                width: size[0],
                height: size[1],
            },
            score: 1.0 / (1.0 + (-logit).exp()),
            landmarks: [5, 7, 9, 11, 13].map(point),
        };
        let Rect { x, y, width, height } = detection.rect;
        if [x, y, width, height].iter().chain(detection.landmarks.as_flattened()).all(|x| x.is_finite()) {
            found.push(detection);
        }
    }
}

/// Keeps of candidates in descending order of score those that no better one overlaps, contains or
/// lies in.
fn suppress(candidates: &[Detection], most: f32, found: &mut Vec<Detection>) {
    found.clear();
    for candidate in candidates {
        let another = |better: &Detection| {
            better.rect.overlap(candidate.rect) < most
                && better.rect.containment(candidate.rect) < MOST_CONTAINED
        };
        if found.iter().all(another) {
            found.push(candidate.clone());
        }
    }
}

/// The largest square in the middle, as displayed: pixels that aren't square make it a rectangle
/// in memory.
fn center(picture: &Picture) -> Rect {
    let bounds = picture.bounds();
    let side = bounds.height.min(bounds.width * picture.pixel_aspect);
    let width = side / picture.pixel_aspect;
    Rect { x: (bounds.width - width) / 2.0, y: (bounds.height - side) / 2.0, width, height: side }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centred_square_is_square_on_the_screen() {
        let data = vec![0; 3 * 720 * 576];
        let mut picture = Picture::rgb(720, 576, &data);
        assert_eq!(center(&picture), Rect { x: 72.0, y: 0.0, width: 576.0, height: 576.0 });
        picture.pixel_aspect = 2.0;
        assert_eq!(center(&picture), Rect { x: 216.0, y: 0.0, width: 288.0, height: 576.0 });
        picture.pixel_aspect = 0.5;
        assert_eq!(center(&picture), Rect { x: 0.0, y: 108.0, width: 720.0, height: 360.0 });
        assert_eq!(region(&picture, Region::Full), picture.bounds());
    }

    #[test]
    fn a_box_inside_another_is_no_second_face() {
        let face = |x: f32, y: f32, side: f32, score: f32| Detection {
            rect: Rect { x, y, width: side, height: side },
            score,
            landmarks: [[0.0; 2]; 5],
        };
        let kept = |candidates: &[Detection]| {
            let mut found = Vec::new();
            suppress(candidates, 0.3, &mut found);
            found.iter().map(|face| face.score).collect::<Vec<_>>()
        };
        let (large, within) = (face(0.0, 0.0, 100.0, 0.9), face(60.0, 60.0, 40.0, 0.8));
        // Neither overlaps the other by much.
        assert!(large.rect.overlap(within.rect) < 0.2);
        assert_eq!(kept(&[large.clone(), within.clone()]), [0.9]);
        assert_eq!(kept(&[within, Detection { score: 0.7, ..large.clone() }]), [0.8]);
        let beside = face(80.0, 0.0, 40.0, 0.8);
        assert_eq!(kept(&[large, beside]), [0.9, 0.8]);
    }
}
