//! Which sighting belongs to which track.

use std::time::Duration;

use super::{Certainty, Sighting, Track};
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
/// Faint sightings are in the same place from this intersection over union on.
const FAINT_OVERLAP: f32 = 0.5;

/// Assigns the best pair first; the buffers are kept.
#[derive(Debug, Default)]
pub struct Matcher {
    /// Affinity, track, sighting.
    pairs: Vec<(f32, usize, usize)>,
    of_tracks: Vec<Option<usize>>,
    sightings: Vec<bool>,
}

/// Who got whom.
pub struct Matched<'a> {
    /// Each track's sighting.
    pub of_tracks: &'a [Option<usize>],
    /// Whether each sighting has a track.
    pub sightings: &'a [bool],
}

impl Matcher {
    /// Tracks stand where they should be, `interval` after the frame before.
    pub fn assign(&mut self, tracks: &[Track], sightings: &[Sighting], interval: Duration) -> Matched<'_> {
        let seconds = interval.as_secs_f32();
        let (reach, far) = ((SIDES_PER_SECOND * seconds).min(MOST_SIDES), LONE_SIDES_PER_SECOND * seconds);
        let lone = if far > reach { lone(tracks, sightings) } else { None };
        self.pairs.clear();
        for (track, expected) in tracks.iter().enumerate() {
            for (index, sighting) in sightings.iter().enumerate() {
                let affinity = match sighting.certainty {
                    Certainty::Faint => faint_affinity(expected, sighting.rect),
                    // However far it went, it comes before what is seen less well where it was.
                    _ if lone == Some(index) => {
                        affinity(expected.rect, sighting.rect, far).map(|affinity| 2.0 + affinity)
                    }
                    _ => affinity(expected.rect, sighting.rect, reach),
                };
                self.pairs.extend(affinity.map(|affinity| (affinity, track, index)));
            }
        }
        self.pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        self.of_tracks.clear();
        self.of_tracks.resize(tracks.len(), None);
        self.sightings.clear();
        self.sightings.resize(sightings.len(), false);
        for &(_, track, sighting) in &self.pairs {
            if self.of_tracks[track].is_none() && !self.sightings[sighting] {
                self.of_tracks[track] = Some(sighting);
                self.sightings[sighting] = true;
            }
        }
        Matched { of_tracks: &self.of_tracks, sightings: &self.sightings }
    }
}

/// Where one face counts and one sighting is better than all others, that sighting.
fn lone(tracks: &[Track], sightings: &[Sighting]) -> Option<usize> {
    let best = sightings.iter().map(|sighting| sighting.certainty).max()?;
    let mut those = (0..sightings.len()).filter(|&index| sightings[index].certainty == best);
    let (sighting, another) = (those.next(), those.next());
    let faces = tracks.iter().filter(|track| track.id > 0).count();
    sighting.filter(|_| faces == 1 && another.is_none() && best > Certainty::Faint)
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

/// How well a faint sighting fits a face that counts: less than another that overlaps, better than one near by.
fn faint_affinity(expected: &Track, seen: Rect) -> Option<f32> {
    let overlap = expected.rect.overlap(seen);
    let known = expected.id > 0 && !expected.doubted;
    (known && overlap >= FAINT_OVERLAP).then_some(1.0 + OVERLAP * overlap)
}
