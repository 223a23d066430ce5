//! One pass of the network over a part of a picture.

use super::{Detection, odds};
use crate::analysis::crop::{Cropper, Picture, Rect};
use crate::model::{Detector, HeadAnswer, Result};

/// Brings parts of pictures before the network and reads what its heads say. Keeps its buffers.
pub struct Pass {
    pub detector: Detector,
    /// What it ran over last, in pixels of its picture.
    part: Rect,
    view: View,
    cropper: Cropper,
    /// The part as the network's pixels, and the same with its edges going on as far as the network
    /// wants it.
    small: Vec<u8>,
    padded: Vec<u8>,
}

/// The size of a part before the network, without and with what fills it up.
#[derive(Clone, Copy, Debug, PartialEq)]
struct View {
    width: usize,
    height: usize,
    padded: [usize; 2],
}

impl Pass {
    pub fn new(detector: Detector) -> Self {
        Self {
            detector,
            part: Rect { x: 0.0, y: 0.0, width: 1.0, height: 1.0 },
            view: View { width: 1, height: 1, padded: [0; 2] },
            cropper: Cropper::new(1, 1),
            small: Vec::new(),
            padded: Vec::new(),
        }
    }

    /// Runs over `part`, brought to `width` × `height`.
    ///
    /// # Errors
    /// Where there is no memory for pictures of this shape.
    pub fn run(&mut self, picture: &Picture, part: Rect, [width, height]: [usize; 2]) -> Result<()> {
        let multiple = self.detector.multiple();
        let view = View { width, height, padded: [height, width].map(|len| len.next_multiple_of(multiple)) };
        if view != self.view {
            self.cropper = Cropper::new(width, height);
            self.small.resize(width * height, 0);
            self.padded.resize(view.padded.iter().product(), 0);
            self.view = view;
        }
        self.cropper.crop_grey(picture, part, &mut self.small);
        pad(&self.small, view, &mut self.padded);
        self.part = part;
        self.detector.run(&self.padded, view.padded)
    }

    /// Adds what was seen there and scores at least `least` to `seen`, in pixels of the picture.
    pub fn faces(&self, least: f32, seen: &mut Vec<Detection>) {
        let Self { part, view, .. } = self;
        let scale = [part.width / view.width as f32, part.height / view.height as f32];
        for head in self.detector.answers() {
            decode(head, least, [part.x, part.y], scale, seen);
        }
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

/// Adds the faces that a head sees with at least this score; `scale` are pixels of the picture for one
/// of the network's, which begin at `origin`.
fn decode(head: HeadAnswer, least: f32, origin: [f32; 2], scale: [f32; 2], seen: &mut Vec<Detection>) {
    let area = head.rows * head.columns;
    let stride = head.stride as f32;
    let least = odds(least).ln();
    for (place, &logit) in head.values[..area].iter().enumerate() {
        if logit.is_nan() || logit < least {
            continue;
        }
        let value = |index: usize| head.values[index * area + place];
        let place = [(place % head.columns) as f32 + 0.5, (place / head.columns) as f32 + 0.5];
        let point = |index: usize| {
            [0, 1].map(|axis| origin[axis] + (place[axis] + value(index + axis)) * stride * scale[axis])
        };
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
            seen.push(detection);
        }
    }
}
