//! How faces and pictures are cut and turned for scenes.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::data::{Face, Picture};
use crate::analysis::crop::Rect;
use crate::train::data::augment::{chance, log_uniform, normal};

/// A picture is looked at through a window, with what is around its faces, where its largest face takes less than
/// this share of it; larger ones are cut out and put elsewhere, for want of surroundings.
const ROOMY: f32 = 0.45;

/// A scale that mirrors with this probability.
pub fn mirror(scale: f32, probability: f32, rng: &mut ChaCha8Rng) -> f32 {
    if chance(rng, probability) { -scale } else { scale }
}

/// Whether a picture shows more than its faces.
pub fn roomy(picture: &Picture) -> bool {
    let bounds = picture.grey.bounds();
    let share = |face: &Face| (face.rect.height / bounds.height).max(face.rect.width / bounds.width);
    picture.faces.iter().map(share).fold(0.0, f32::max) < ROOMY
}

/// A tilt in radians: mostly little, sometimes as far as people bend.
pub fn tilt(rng: &mut ChaCha8Rng) -> f32 {
    match rng.random_range(0..20) {
        0..12 => normal(rng, 0.12),
        12..16 => rng.random_range(-0.6..0.6),
        _ => rng.random_range(-1.25..1.25),
    }
}

/// The share of a box's points for which something holds.
pub fn share(rect: Rect, holds: impl Fn([f32; 2]) -> bool) -> f32 {
    let grid = [0.1, 0.3, 0.5, 0.7, 0.9];
    let points = grid.iter().flat_map(|x| grid.map(|y| [rect.x + x * rect.width, rect.y + y * rect.height]));
    points.filter(|&point| holds(point)).count() as f32 / 25.0
}

/// What of a picture lies to the left of a face, to its right, above and below it.
pub fn beside(face: Rect, bounds: Rect) -> [Rect; 4] {
    let (right, bottom) = (bounds.x + bounds.width, bounds.y + bounds.height);
    let (after, below) = (face.x + face.width, face.y + face.height);
    [
        Rect { width: face.x - bounds.x, ..bounds },
        Rect { x: after, width: right - after, ..bounds },
        Rect { height: face.y - bounds.y, ..bounds },
        Rect { y: below, height: bottom - below, ..bounds },
    ]
}

/// Less or little more than a face's box, within the picture.
pub fn filled_by(face: Rect, bounds: Rect, rng: &mut ChaCha8Rng) -> Rect {
    // What is cut off stays below a tenth on each side, so that the face is asked for.
    let mut side = |edge: f32, outwards: f32| edge + outwards * rng.random_range(-0.1..0.12);
    let left = side(face.x, -face.width).max(bounds.x);
    let top = side(face.y, -face.height).max(bounds.y);
    let right = side(face.x + face.width, face.width).min(bounds.x + bounds.width);
    let bottom = side(face.y + face.height, face.height).min(bounds.y + bounds.height);
    Rect { x: left, y: top, width: (right - left).max(1.0), height: (bottom - top).max(1.0) }
}

/// A face's box with some of what is around it, within the picture.
pub fn around(face: Rect, bounds: Rect, rng: &mut ChaCha8Rng) -> Rect {
    let mut side = |edge: f32, length: f32, limit: f32| {
        let margin = length * log_uniform(rng, 0.08, 1.0);
        if edge < limit { (edge + margin).min(limit) } else { (edge - margin).max(limit) }
    };
    let left = side(face.x, face.width, bounds.x.min(face.x));
    let top = side(face.y, face.height, bounds.y.min(face.y));
    let right = side(face.x + face.width, face.width, bounds.width.max(face.x + face.width + 1e-3));
    let bottom = side(face.y + face.height, face.height, bounds.height.max(face.y + face.height + 1e-3));
    Rect { x: left, y: top, width: right - left, height: bottom - top }
}
