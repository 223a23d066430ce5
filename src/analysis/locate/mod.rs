//! Where in a picture to look.

mod look;

use super::crop::{Picture, Rect};
use crate::model::{Detector, FaceWeights, Region, Result};
use crate::ops::Isa;
use look::Look;

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
/// The network looks at the whole picture first, and then a second time where it is not sure. At a
/// face from nearer by: a small one shows more of itself there, a texture less of a face. At one that
/// fills the picture, and at a picture without faces, from farther away, where such a face has a size
/// that the network knows better; a wide picture is as far away in the first look. Where there is still
/// nobody, from so far away that blurred faces are sharp. A cascade (Zhang et al., "Joint Face Detection
/// and Alignment Using Multitask Cascaded Convolutional Networks", 2016) whose stages are one and the same
/// network.
pub struct Locator {
    threshold: f32,
    /// The intersection over union of two boxes that mean different faces is less.
    overlap: f32,
    first: Look,
    nearer: Look,
    farther: Look,
    blurred: [Look; 2],
    candidates: Vec<Detection>,
    others: Vec<Detection>,
}

/// Faces that are compared with each other, at most: those with the highest scores.
const MOST_CANDIDATES: usize = 256;
/// Of two boxes one of which lies in the other by this share, the one with the higher score stays.
const MOST_CONTAINED: f32 = 0.75;
/// What overlaps a face by this intersection over union is blended with it.
const BLENDED: f32 = 0.6;
/// Scores above this weigh no more in a blend.
const MOST_SURE: f32 = 1.0 - 1e-5;
/// Between these scores a face gets a second look, at most so many from nearer by in a picture.
const DOUBT: std::ops::Range<f32> = 0.4..0.85;
const MOST_LOOKS: usize = 8;
/// The width and height in pixels of the look from nearer by, and the longer side of the face in it.
const NEARER: usize = 96;
const NEARER_FACE: f32 = 0.4;
/// Two looks mean the same face from this intersection over union on.
const SAME: f32 = 0.35;
/// Scores from nearer by below this, or as near to 1, count as this.
const LEAST_NEARER: f32 = 1e-3;
/// The longer sides in pixels of the whole picture from so far away that blurred faces are sharp; those that
/// the first of these looks gives this score are faces by the mean logit of both and of the first look at the
/// picture, in which scores below the next count as that. Few other things look like faces at three sizes, so
/// that the odds count so many times what they seem.
const BLURRED: [usize; 2] = [64, 48];
const MAYBE_BLURRED: f32 = 0.3;
const LEAST_BLURRED: f32 = 0.03;
const BLURRED_ODDS: f32 = 2.0;
/// The shorter side in pixels of the whole picture from farther away.
const FARTHER: f32 = 96.0;
/// A face whose longer side is this share of the picture's shorter one leaves the network little of what is
/// around faces; but few other things fill pictures like this, so that from farther away its odds count as
/// so many times what they seem.
const FILLING: f32 = 0.7;
const FILLING_ODDS: f32 = 2.5;
/// Upright or square pictures of so few rows are no frames of a camera but cut out around something, mostly a
/// face, so that the odds of one that fills them count as so many times more.
const CUT_OUT: f32 = 128.0;
const CUT_OUT_ODDS: f32 = 3.0;

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
    /// Where there is no memory for the other looks.
    pub fn with_detector(detector: Detector) -> Result<Self> {
        Ok(Self {
            threshold: detector.metadata().threshold,
            overlap: detector.metadata().overlap,
            nearer: Look::new(detector.another()?),
            farther: Look::new(detector.another()?),
            blurred: [Look::new(detector.another()?), Look::new(detector.another()?)],
            first: Look::new(detector),
            candidates: Vec::new(),
            others: Vec::new(),
        })
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
        self.locate_from(picture, self.threshold, found)
    }

    /// As [`Locator::locate`], with what scores at least `least`, although below the threshold it is no face
    /// by itself.
    ///
    /// # Errors
    /// Where there is no memory for pictures of this shape.
    pub fn locate_from(&mut self, picture: &Picture, least: f32, found: &mut Vec<Detection>) -> Result<()> {
        self.first.whole(picture, self.side())?;
        self.candidates.clear();
        self.first.faces(least.min(DOUBT.start), &mut self.candidates);
        suppress(&mut self.candidates, self.overlap, found);
        let seen = found.len();
        found.retain(|face| !(DOUBT.contains(&face.score) && fills(face, picture)));
        let close = found.len() < seen;
        self.look_nearer(picture, found)?;
        if close || self.nobody(found) {
            self.look_farther(picture, least, found)?;
        }
        if self.nobody(found) {
            self.look_at_blurred(least, found)?;
        }
        found.retain(|face| face.score >= least);
        best_first(found);
        Ok(())
    }

    /// Gives faces in doubt the mean of the logits of two looks.
    fn look_nearer(&mut self, picture: &Picture, found: &mut [Detection]) -> Result<()> {
        let doubtful = found.iter_mut().filter(|face| DOUBT.contains(&face.score));
        for face in doubtful.take(MOST_LOOKS) {
            self.nearer.at(picture, around(face.rect, picture), [NEARER; 2])?;
            let second = again(face, &self.nearer, LEAST_NEARER, &mut self.others);
            face.score = score((odds(face.score) * second).sqrt());
        }
        Ok(())
    }

    /// Adds the faces that fill the picture.
    fn look_farther(&mut self, picture: &Picture, least: f32, found: &mut Vec<Detection>) -> Result<()> {
        let bounds = picture.bounds();
        let aspect = picture.pixel_aspect;
        let side = FARTHER * longer_side(bounds, aspect) / shorter_side(bounds, aspect);
        // The first look was from as far where the picture is wide.
        let look = match side < self.side() as f32 {
            true => {
                self.farther.whole(picture, side.round() as usize)?;
                &self.farther
            }
            false => &self.first,
        };
        self.candidates.clear();
        let times = FILLING_ODDS * if cut_out(picture) { CUT_OUT_ODDS } else { 1.0 };
        look.faces(score(odds(least) / times), &mut self.candidates);
        self.candidates.retain(|face| fills(face, picture));
        for face in &mut self.candidates {
            face.score = score(times * odds(face.score));
        }
        self.add_candidates(found);
        Ok(())
    }

    /// Adds the faces that are blurred.
    fn look_at_blurred(&mut self, least: f32, found: &mut Vec<Detection>) -> Result<()> {
        for (look, side) in self.blurred.iter_mut().zip(BLURRED) {
            look.back_from(&self.first, side)?;
        }
        let [larger, smaller] = &self.blurred;
        self.candidates.clear();
        larger.faces(MAYBE_BLURRED, &mut self.candidates);
        for face in &mut self.candidates {
            let others =
                [&self.first, smaller].map(|look| again(face, look, LEAST_BLURRED, &mut self.others));
            let product = others.iter().fold(odds(face.score), |product, other| product * other);
            face.score = score(BLURRED_ODDS * product.cbrt());
        }
        self.candidates.retain(|face| face.score >= least);
        self.add_candidates(found);
        Ok(())
    }

    fn add_candidates(&mut self, found: &mut Vec<Detection>) {
        // What is no face must not hide what may be one.
        let (threshold, overlap) = (self.threshold, self.overlap);
        let hides = |face: &Detection| found.iter().any(|other| !apart(face, other, overlap));
        self.candidates.retain(|face| face.score >= threshold || !hides(face));
        self.candidates.append(found);
        suppress(&mut self.candidates, self.overlap, found);
    }

    fn nobody(&self, found: &[Detection]) -> bool {
        found.iter().all(|face| face.score < self.threshold)
    }

    /// The longer side in pixels of the whole picture in the first look.
    fn side(&self) -> usize {
        let [_, _, side] = self.first.detector.metadata().architecture.input;
        side
    }
}

/// The odds of the same face in another look, where scores below `least`, or as near to 1, count as that.
fn again(face: &Detection, look: &Look, least: f32, seen: &mut Vec<Detection>) -> f32 {
    seen.clear();
    look.faces(least, seen);
    let same = seen.iter().filter(|other| other.rect.overlap(face.rect) >= SAME);
    odds(same.map(|other| other.score).fold(least, f32::max).min(1.0 - least))
}

/// Whether a picture was cut out around something.
fn cut_out(picture: &Picture) -> bool {
    let Rect { width, height, .. } = picture.bounds();
    width * picture.pixel_aspect <= height && height <= CUT_OUT
}

/// Whether there is little of the picture around a face.
fn fills(face: &Detection, picture: &Picture) -> bool {
    let aspect = picture.pixel_aspect;
    longer_side(face.rect, aspect) >= FILLING * shorter_side(picture.bounds(), aspect)
}

/// The square, as displayed, in which a face has the size of the look from nearer by. It reaches out of the
/// picture by no more than croppers bear.
fn around(face: Rect, picture: &Picture) -> Rect {
    let aspect = picture.pixel_aspect;
    let most = 2.0 * shorter_side(picture.bounds(), aspect);
    square(face, (longer_side(face, aspect) / NEARER_FACE).min(most), aspect)
}

/// How much likelier a face is than none.
fn odds(score: f32) -> f32 {
    score / (1.0 - score)
}

fn score(odds: f32) -> f32 {
    // A score of 1 has infinite odds.
    if odds.is_finite() { odds / (1.0 + odds) } else { 1.0 }
}

/// Keeps of the candidates those that no better one overlaps, contains or lies in, the best first, each at the
/// mean place of all that mean the same face.
fn suppress(candidates: &mut Vec<Detection>, most: f32, found: &mut Vec<Detection>) {
    best_first(candidates);
    candidates.truncate(MOST_CANDIDATES);
    found.clear();
    for candidate in &*candidates {
        if found.iter().all(|better| apart(better, candidate, most)) {
            found.push(candidate.clone());
        }
    }
    for index in 0..found.len() {
        let mean = mean(&found[index], candidates);
        let mut others = found[..index].iter().chain(&found[index + 1..]);
        // What means two faces in part must not bring them together.
        if others.all(|other| apart(other, &mean, most)) {
            found[index] = mean;
        }
    }
}

/// A face at the mean place, weighted by odds, of the candidates that mean the same, of which it is one: a
/// mean hops less from frame to frame than the best of them (after Bazarevsky et al., "BlazeFace: Sub-millisecond
/// Neural Face Detection on Mobile GPUs", 2019).
fn mean(face: &Detection, candidates: &[Detection]) -> Detection {
    let same = || candidates.iter().filter(|other| other.rect.overlap(face.rect) >= BLENDED);
    let weight = |same: &Detection| odds(same.score.min(MOST_SURE));
    let total: f32 = same().map(weight).sum();
    if total == 0.0 {
        // Its box is empty, as faulty weights may have it, or its score 0.
        return face.clone();
    }
    let mut mean = [0.0; 14];
    for same in same() {
        let share = weight(same) / total;
        let Rect { x, y, width, height } = same.rect;
        let numbers = [x, y, width, height].into_iter().chain(same.landmarks.into_iter().flatten());
        mean.iter_mut().zip(numbers).for_each(|(mean, number)| *mean += share * number);
    }
    let [x, y, width, height, points @ ..] = mean;
    let mut landmarks = face.landmarks;
    landmarks.as_flattened_mut().copy_from_slice(&points);
    Detection { rect: Rect { x, y, width, height }, score: face.score, landmarks }
}

/// Whether two boxes neither overlap by `most` nor lie in each other.
fn apart(a: &Detection, b: &Detection, most: f32) -> bool {
    a.rect.overlap(b.rect) < most && a.rect.containment(b.rect) < MOST_CONTAINED
}

fn best_first(faces: &mut [Detection]) {
    faces.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
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

    #[test]
    fn a_box_inside_another_is_no_second_face() {
        let face = |x: f32, y: f32, side: f32, score: f32| Detection {
            rect: Rect { x, y, width: side, height: side },
            score,
            landmarks: [[0.0; 2]; 5],
        };
        let kept = |candidates: &[Detection]| {
            let mut found = Vec::new();
            suppress(&mut candidates.to_vec(), 0.3, &mut found);
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

    #[test]
    fn a_face_lies_where_those_that_mean_it_are_on_average() {
        let face = |x: f32, score: f32| Detection {
            rect: Rect { x, y: 10.0, width: 100.0, height: 80.0 },
            score,
            landmarks: [[x + 30.0, 40.0]; 5],
        };
        let mut found = Vec::new();
        // With odds of 9, 3 and 1 for the first face, 4 and 1 for the second.
        let candidates = [face(0.0, 0.9), face(8.0, 0.75), face(16.0, 0.5), face(60.0, 0.8), face(84.0, 0.5)];
        suppress(&mut candidates.to_vec(), 0.3, &mut found);
        let [first, second] = &found[..] else { panic!("{found:?}") };
        let mean = 40.0 / 13.0;
        assert_eq!((first.score, second.score), (0.9, 0.8));
        assert!((first.rect.x - mean).abs() < 1e-4 && (first.landmarks[4][0] - mean - 30.0).abs() < 1e-4);
        assert!((first.rect.width - 100.0).abs() < 1e-4 && (first.rect.y - 10.0).abs() < 1e-4);
        assert!((second.rect.x - (60.0 * 4.0 + 84.0) / 5.0).abs() < 1e-4);
        // What lies between two faces brings neither to the other.
        let wide = |x: f32, width: f32, score: f32| {
            let mut face = face(x, score);
            face.rect.width = width;
            face
        };
        suppress(
            &mut vec![wide(0.0, 61.0, 0.9), wide(39.0, 61.0, 0.88), wide(0.0, 100.0, 0.87)],
            0.3,
            &mut found,
        );
        let [first, second] = &found[..] else { panic!("{found:?}") };
        assert_eq!((first.rect.width, second.rect.x), (61.0, 39.0));
        // A score of 1 weighs much, but not without end.
        suppress(&mut vec![face(0.0, 1.0), face(8.0, 1.0)], 0.3, &mut found);
        assert_eq!(found[0].rect.x, 4.0);
    }
}
