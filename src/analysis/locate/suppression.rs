//! Non-maximum suppression: of boxes that mean the same face, one is left.

use super::{Detection, odds};
use crate::analysis::crop::Rect;

/// Boxes that are compared with each other, at most: those with the highest scores. A face has some ten.
const MOST_CANDIDATES: usize = 2048;
/// Of two boxes one of which lies in the other by this share, the one with the higher score stays.
const MOST_CONTAINED: f32 = 0.75;
/// What overlaps a face by this intersection over union is blended with it.
const BLENDED: f32 = 0.6;
/// Scores above this weigh no more in a blend.
const MOST_SURE: f32 = 1.0 - 1e-5;

/// Keeps of the candidates those that no better one overlaps by `most` (intersection over union), contains or
/// lies in, the best first, each at the mean place of all that mean the same face.
pub fn suppress(candidates: &mut Vec<Detection>, most: f32, found: &mut Vec<Detection>) {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
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

#[cfg(test)]
mod tests {
    use super::*;

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
