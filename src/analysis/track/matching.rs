//! Which observation belongs to which track: a greedy assignment of the best pairs first, by intersection over union and,
//! without overlap, by distance in sides of the box.
//!
//! The Hungarian method would give the best sum; with the few faces of a frame the greedy one differs where
//! people cross, and there the nearest is the likelier one.

use std::time::Duration;

use super::{Confidence, Observation, Track};
use crate::analysis::crop::Rect;

/// Boxes that overlap by this much (intersection over union) belong together whatever is near.
const OVERLAP: f32 = 0.2;
/// Without overlap: how far a box may be from where it should be, in its own sides: so much for
/// every second since the frame before, and at most.
const SIDES_PER_SECOND: f32 = 45.0;
const MOST_SIDES: f32 = 1.5;
/// The same where there is one face before and one now, which are rarely two people. A face is some 15 cm wide,
/// and who walks past a camera makes 1.5 m in a second.
const LONE_SIDES_PER_SECOND: f32 = 10.0;
/// How much larger one of two boxes without overlap may be.
const MOST_GROWTH: f32 = 1.6;
/// Observations of low confidence are in the same place from this intersection over union on.
const LOW_OVERLAP: f32 = 0.5;

/// Assigns the best pair first; the buffers are kept.
#[derive(Debug, Default)]
pub struct Matcher {
    /// Affinity, track, observation.
    pairs: Vec<(f32, usize, usize)>,
    of_tracks: Vec<Option<usize>>,
    observations: Vec<bool>,
}

/// Who got whom.
pub struct Matched<'a> {
    /// Each track's observation.
    pub of_tracks: &'a [Option<usize>],
    /// Whether each observation has a track.
    pub observations: &'a [bool],
}

impl Matcher {
    /// Tracks stand where they should be, `interval` after the frame before.
    pub fn assign(
        &mut self,
        tracks: &[Track],
        observations: &[Observation],
        interval: Duration,
    ) -> Matched<'_> {
        let seconds = interval.as_secs_f32();
        let (reach, far) = ((SIDES_PER_SECOND * seconds).min(MOST_SIDES), LONE_SIDES_PER_SECOND * seconds);
        let lone = if far > reach { lone(tracks, observations) } else { None };
        self.pairs.clear();
        for (track, expected) in tracks.iter().enumerate() {
            for (index, observation) in observations.iter().enumerate() {
                let affinity = match observation.confidence {
                    Confidence::Low => low_affinity(expected, observation.rect),
                    // However far it went, it comes before what is seen less well where it was.
                    _ if lone == Some(index) => {
                        affinity(expected.rect, observation.rect, far).map(|affinity| 2.0 + affinity)
                    }
                    _ => affinity(expected.rect, observation.rect, reach),
                };
                self.pairs.extend(affinity.map(|affinity| (affinity, track, index)));
            }
        }
        self.pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        self.of_tracks.clear();
        self.of_tracks.resize(tracks.len(), None);
        self.observations.clear();
        self.observations.resize(observations.len(), false);
        for &(_, track, observation) in &self.pairs {
            if self.of_tracks[track].is_none() && !self.observations[observation] {
                self.of_tracks[track] = Some(observation);
                self.observations[observation] = true;
            }
        }
        Matched { of_tracks: &self.of_tracks, observations: &self.observations }
    }
}

/// Where one face counts and one observation is better than all others, that observation.
fn lone(tracks: &[Track], observations: &[Observation]) -> Option<usize> {
    let best = observations.iter().map(|observation| observation.confidence).max()?;
    let mut those = (0..observations.len()).filter(|&index| observations[index].confidence == best);
    let (observation, another) = (those.next(), those.next());
    let faces = tracks.iter().filter(|track| track.id > 0).count();
    observation.filter(|_| faces == 1 && another.is_none() && best > Confidence::Low)
}

/// How well two boxes fit: from 1 on where they overlap, from 0 on where they are only near.
fn affinity(expected: Rect, seen: Rect, reach: f32) -> Option<f32> {
    let overlap = expected.overlap(seen);
    if overlap >= OVERLAP {
        return Some(1.0 + overlap);
    }
    let middle = |rect: Rect| (rect.x + rect.width / 2.0, rect.y + rect.height / 2.0);
    let ((x, y), (seen_x, seen_y)) = (middle(expected), middle(seen));
    let side = |rect: Rect| (rect.width * rect.height).sqrt();
    let (side, seen_side) = (side(expected), side(seen));
    let growth = side.max(seen_side) / side.min(seen_side);
    let distance = (seen_x - x).hypot(seen_y - y) / (reach * (side + seen_side) / 2.0);
    (growth <= MOST_GROWTH && distance < 1.0).then_some(1.0 - distance)
}

/// How well an observation of low confidence fits a face that counts: less than another that overlaps, better than one near by.
fn low_affinity(expected: &Track, seen: Rect) -> Option<f32> {
    let overlap = expected.rect.overlap(seen);
    let known = expected.id > 0 && !expected.doubted;
    (known && overlap >= LOW_OVERLAP).then_some(1.0 + OVERLAP * overlap)
}
