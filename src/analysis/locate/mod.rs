//! Face detection in a whole picture: a fully convolutional network on an image pyramid of two sizes, then a second pass
//! over what is in doubt, enlarged (a cascade of one network), then non-maximum suppression.
//!
//! What a pass costs goes with its pixels, so that the picture is shrunk until the smallest face that is asked for has
//! the smallest height that the network knows.

mod pass;
mod suppression;

use super::Landmarks;
use super::crop::{Picture, Rect};
use crate::model::{Detector, FaceWeights, Region, Result};
use crate::ops::Isa;
use pass::Pass;
use suppression::suppress;

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
    /// How sure the face detector is, from 0 to 1.
    pub score: f32,
    /// In pixels of the picture (x, y): right eye, left eye, nose, right and left corner of the
    /// mouth, as the person has them.
    pub landmarks: Landmarks,
}

/// The square, as displayed, around the middle of a face's box: its side is the box's longer one
/// and on each side `margin` times as much more.
pub fn face_square(face: Rect, margin: f32, pixel_aspect: f32) -> Rect {
    square(face, longer_side(face, pixel_aspect) * (1.0 + 2.0 * margin), pixel_aspect)
}

/// The square, as displayed, of `side` rows around the middle of `rect`.
fn square(rect: Rect, side: f32, pixel_aspect: f32) -> Rect {
    let width = side / pixel_aspect;
    let (x, y) = (rect.x + rect.width / 2.0, rect.y + rect.height / 2.0);
    Rect { x: x - width / 2.0, y: y - side / 2.0, width, height: side }
}

/// As displayed, in rows.
fn longer_side(rect: Rect, pixel_aspect: f32) -> f32 {
    rect.height.max(rect.width * pixel_aspect)
}

/// As displayed, in rows.
fn shorter_side(rect: Rect, pixel_aspect: f32) -> f32 {
    rect.height.min(rect.width * pixel_aspect)
}

/// Finds the faces in pictures of any size and format. Keeps its buffers, so that one used for frame
/// after frame allocates nothing.
///
/// The network is run over the whole picture, at a size in which the smallest face that has to be found
/// ([`Locator::set_least_height`]) is as large as the smallest that the network finds well. Where that makes the
/// picture so large that large faces would be larger than the network knows them, it is run over the picture at a
/// third of the size, too: an image pyramid (Adelson et al., "Pyramid methods in image processing", 1984), of few
/// levels since each of the network's heads answers for a range of sizes.
pub struct Locator {
    threshold: f32,
    /// The intersection over union of two boxes that mean different faces is less.
    overlap: f32,
    /// Of the smallest face that has to be found, as a share of the picture's.
    least_height: f32,
    /// Over the whole picture, from the largest size on.
    levels: Vec<Pass>,
    /// Over the surroundings of a face.
    near: Pass,
    /// Where the picture was looked at near faces.
    parts: Vec<Rect>,
    candidates: Vec<Detection>,
}

/// The smallest faces that are looked for where nobody says another size, as a share of the picture's height.
pub const LEAST_HEIGHT: f32 = 0.1;
/// No smaller ones are looked for whatever is asked for, since time grows with the inverse of the square: at this a
/// pass is over some 0.8 megapixels.
pub const SMALLEST_HEIGHT: f32 = 0.03;
/// Pictures are enlarged so many times at most: there is nothing more to be seen.
const MOST_ENLARGED: f32 = 2.0;
/// Pixels of the largest pass at most, those of 1080p: more than any picture takes that is not some three times as wide as high.
const MOST_PIXELS: f32 = 1920.0 * 1080.0;
/// Rows up to which the network knows faces as high as its picture, and how many times smaller the next pass is.
const LARGE: f32 = 150.0;
const STEP: f32 = 3.0;
/// What is less than so many times as high as the smallest face there is in a smaller pass is known better in the one
/// before.
const COARSE: f32 = 1.5;
/// The width and height in pixels of a pass near a face, and the longer side of the face in it.
const NEAR: usize = 96;
const NEAR_FACE: f32 = 0.4;
/// A pass near one face shows others, too, whose longer side is of this share of it.
const SHOWN: std::ops::Range<f32> = 0.25..0.6;
/// Between these scores a face is in doubt. Scores of the second pass below the next, or as near to 1, count as that.
const DOUBT: std::ops::Range<f32> = 0.2..0.9;
/// The longer side of a face in doubt in its second pass: larger than where a face is followed, since it has not moved
/// since.
const AGAIN_FACE: f32 = 0.6;
/// How much of the logit is the second pass's.
const SECOND: f32 = 2.0 / 3.0;
/// Second passes cost at most so many times as much as the passes over the whole picture, in a crowd of doubtful faces.
const MOST_AGAIN: f32 = 2.0;
const LEAST_AGAIN: f32 = 1e-3;
/// A face that takes more than this share of the picture's shorter side shows no more of itself in a second pass, and
/// has nothing around it there.
const LARGEST_AGAIN: f32 = 0.6;
/// A face near an expected one is the same from this intersection over union on.
pub(super) const SAME: f32 = 0.25;

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
        Self::with_detector(Detector::new(weights, isa)?)
    }

    /// As [`Locator::new`], with a network that is ready.
    ///
    /// # Errors
    /// None at present: memory is taken when pictures come.
    pub fn with_detector(detector: Detector) -> Result<Self> {
        Ok(Self {
            threshold: detector.metadata().threshold,
            overlap: detector.metadata().overlap,
            least_height: LEAST_HEIGHT,
            near: Pass::new(detector.another()?),
            levels: vec![Pass::new(detector)],
            parts: Vec::new(),
            candidates: Vec::new(),
        })
    }

    /// As [`Locator::new`], for faces of at least a share of the picture's height: see [`Locator::set_least_height`].
    ///
    /// # Errors
    /// Those of [`Locator::new`].
    pub fn with_least_height(weights: &FaceWeights, share: f32) -> Result<Self> {
        let mut locator = Self::new(weights)?;
        locator.set_least_height(share);
        Ok(locator)
    }

    /// From which score on there is a face.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Sets from which score on there is a face, from 0 to 1.
    pub fn set_threshold(&mut self, threshold: f32) {
        self.threshold = threshold;
    }

    /// Sets how high the smallest faces are that have to be found, as a share of the picture's height; less than
    /// [`SMALLEST_HEIGHT`] is taken for that, more than 1 for 1. The time for a picture grows with the inverse of its
    /// square.
    pub fn set_least_height(&mut self, share: f32) {
        self.least_height = share.clamp(SMALLEST_HEIGHT, 1.0);
    }

    /// Replaces `found` by the faces of a picture, the highest score first.
    ///
    /// # Errors
    /// Where there is no memory for pictures of this shape.
    pub fn locate(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<()> {
        self.locate_from(picture, self.threshold, found)
    }

    /// As [`Locator::locate`], with what scores at least `least`, although below the threshold it is no face
    /// by itself.
    ///
    /// # Errors
    /// Where there is no memory for pictures of this shape.
    pub fn locate_from(&mut self, picture: &Picture, least: f32, found: &mut Vec<Detection>) -> Result<()> {
        self.candidates.clear();
        let smallest = self.near.detector.metadata().smallest;
        let mut size = self.largest(picture);
        for level in 0.. {
            if level == self.levels.len() {
                let detector = self.near.detector.another()?;
                self.levels.push(Pass::new(detector));
            }
            let pass = &mut self.levels[level];
            pass.run(picture, picture.bounds(), size.map(|side| side.round().max(1.0) as usize))?;
            let before = self.candidates.len();
            // What is in doubt may turn out surer.
            pass.faces(least.min(DOUBT.start), &mut self.candidates);
            if level > 0 {
                let smallest = COARSE * smallest * picture.bounds().height / size[1];
                let mut index = 0;
                self.candidates.retain(|face| {
                    index += 1;
                    index <= before || face.rect.height >= smallest
                });
            }
            if size[1] <= LARGE {
                break;
            }
            size = size.map(|side| side / STEP);
        }
        suppress(&mut self.candidates, self.overlap, found);
        self.look_again(picture, found)?;
        found.retain(|face| face.score >= least);
        Ok(())
    }

    /// Gives faces in doubt the mean of the logits of two passes, the second from near and with twice the weight: a
    /// small face shows more of itself there, a texture less of a face. A cascade (Zhang et al., "Joint Face Detection
    /// and Alignment Using Multitask Cascaded Convolutional Networks", 2016) whose stages are one network. The surest
    /// come first.
    fn look_again(&mut self, picture: &Picture, found: &mut [Detection]) -> Result<()> {
        let [width, height] = self.largest(picture);
        let most = (MOST_AGAIN * width * height) as usize / (NEAR * NEAR);
        let more = |face: &Detection| {
            longer_side(face.rect, picture.pixel_aspect)
                <= LARGEST_AGAIN * shorter_side(picture.bounds(), picture.pixel_aspect)
        };
        let doubtful = |face: &&mut Detection| DOUBT.contains(&face.score) && more(face);
        for face in found.iter_mut().filter(doubtful).take(most.max(1)) {
            self.near.run(picture, around(face.rect, AGAIN_FACE, picture), [NEAR; 2])?;
            self.candidates.clear();
            self.near.faces(LEAST_AGAIN, &mut self.candidates);
            let same = self.candidates.iter().filter(|other| other.rect.overlap(face.rect) >= SAME);
            let second = same.map(|other| other.score).fold(LEAST_AGAIN, f32::max).min(1.0 - LEAST_AGAIN);
            let odds = odds(face.score).powf(1.0 - SECOND) * odds(second).powf(SECOND);
            face.score = odds / (1.0 + odds);
        }
        found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        Ok(())
    }

    /// Looks for faces where some were before, each at the size that shows it best: replaces `found` by what scores at
    /// least `least` and lies where a face of `expected` should be. `false` where a look at the whole picture
    /// would cost less; then nothing was looked at.
    ///
    /// # Errors
    /// Where there is no memory for a picture of this size.
    pub fn locate_near(
        &mut self,
        picture: &Picture,
        expected: &[Rect],
        least: f32,
        found: &mut Vec<Detection>,
    ) -> Result<bool> {
        self.parts.clear();
        for &face in expected {
            if !self.parts.iter().any(|&part| shows(part, face, picture.pixel_aspect)) {
                self.parts.push(around(face, NEAR_FACE, picture));
            }
        }
        let [width, height] = self.largest(picture);
        if (self.parts.len() * NEAR * NEAR) as f32 >= width * height {
            return Ok(false);
        }
        self.candidates.clear();
        for &part in &self.parts {
            self.near.run(picture, part, [NEAR; 2])?;
            self.near.faces(least, &mut self.candidates);
        }
        // What is cut at the edge of a part seems elsewhere.
        self.candidates.retain(|seen| expected.iter().any(|face| seen.rect.overlap(*face) >= SAME));
        suppress(&mut self.candidates, self.overlap, found);
        Ok(true)
    }

    /// The width and height of the largest pass over a picture.
    fn largest(&self, picture: &Picture) -> [f32; 2] {
        let Rect { width, height, .. } = picture.bounds();
        let width = width * picture.pixel_aspect;
        let smallest = self.near.detector.metadata().smallest;
        let scale = (smallest / self.least_height / height).min(MOST_ENLARGED);
        let scale = scale.min((MOST_PIXELS / (width * height)).sqrt());
        // A side of less than a pixel is one.
        [width, height].map(|side| (side * scale).clamp(1.0, MOST_PIXELS))
    }
}

/// The square, as displayed, that a pass near a face sees, where the face's longer side takes `share` of it. It reaches
/// out of the picture by no more than croppers bear.
fn around(face: Rect, share: f32, picture: &Picture) -> Rect {
    let aspect = picture.pixel_aspect;
    let side = (longer_side(face, aspect) / share).max(NEAR as f32 / MOST_ENLARGED);
    square(face, side.min(2.0 * shorter_side(picture.bounds(), aspect)), aspect)
}

/// Whether a pass over `part` shows a face whole, with what is around it, at a size that it knows well.
fn shows(part: Rect, face: Rect, pixel_aspect: f32) -> bool {
    let margin = [0.25 * face.width, 0.25 * face.height];
    let within = |start: f32, len: f32, from: f32, size: f32, margin: f32| {
        start >= from + margin && start + len <= from + size - margin
    };
    SHOWN.contains(&(longer_side(face, pixel_aspect) / part.height))
        && within(face.x, face.width, part.x, part.width, margin[0])
        && within(face.y, face.height, part.y, part.height, margin[1])
}

/// How much likelier a face is than none.
fn odds(score: f32) -> f32 {
    score / (1.0 - score)
}

/// The largest square in the middle, as displayed: pixels that aren't square make it a rectangle
/// in memory.
fn center(picture: &Picture) -> Rect {
    let bounds = picture.bounds();
    square(bounds, shorter_side(bounds, picture.pixel_aspect), picture.pixel_aspect)
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
}
