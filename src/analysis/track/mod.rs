//! Multi-object tracking: boxes that are found in frame after frame become faces with an identity.
//!
//! Tracking by detection as in SORT (Bewley et al. 2016): each track is predicted, observations are assigned to where tracks
//! should be, and what nobody gets begins a track. As in ByteTrack (Zhang et al. 2022), observations of low confidence
//! keep a track that is there and begin none. All spans are of stream time, so that the frame rate doesn't matter.

mod matching;
mod motion;

use std::time::Duration;

use super::Landmarks;
use super::answer::{self, Answer};
use super::crop::Rect;
use matching::Matcher;
use motion::Motion;

/// How faces are followed. Times are of the stream, so that the frame rate doesn't matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// A face that is not seen is reported for so long, at the place where it should be; where frames are
    /// farther apart, until the second of them without an observation.
    pub max_coast: Duration,
    /// A face that is seen again within this time is the same one; where frames are farther apart, one that was
    /// missing in a single one of them.
    pub max_age: Duration,
    /// How steady the answers are.
    pub answer: answer::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_coast: Duration::from_millis(200),
            max_age: Duration::from_millis(500),
            answer: answer::Settings::default(),
        }
    }
}

/// A box in one frame that may be a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// In pixels; both sides above 0.
    pub rect: Rect,
    /// What it is worth.
    pub confidence: Confidence,
    /// In pixels; `None` where only the box is known.
    pub landmarks: Option<Landmarks>,
    /// How sure whoever saw it is that it is a face, from 0 to 1.
    pub score: f32,
}

impl Observation {
    fn with_landmarks(&self) -> Option<(Rect, Landmarks)> {
        Some((self.rect, self.landmarks?))
    }
}

/// What an observation is worth.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Confidence {
    /// No face by itself, but enough for one that was there before (Zhang et al., "ByteTrack", 2022).
    Low,
    /// Counts with the next observation.
    Medium,
    /// Counts at once.
    High,
}

/// Tracks that are kept at most: those of an update and as many that may come back. More would come from boxes
/// that are elsewhere in each frame, which nobody could follow.
const MOST_TRACKS: usize = 512;
/// How much a face counts that is seen faintly, where its smile is asked for.
const LOW_WEIGHT: f32 = 0.1;

/// A face from its first observation to its last.
#[derive(Clone, Debug)]
pub struct Track {
    /// From 1 on, never given twice; 0 before the face counts.
    pub id: u32,
    /// Where it is: what was seen with its jitter taken out, or where it should be if it is coasting.
    pub rect: Rect,
    /// Its place among the last observations, or `None` where it is coasting: not among them.
    pub observation: Option<usize>,
    /// Whether it smiles, once that was asked.
    pub answer: Option<Answer>,
    /// The score of the last observation.
    pub score: f32,
    /// The landmarks of the last observation, with the box that it had.
    seen_with: Option<(Rect, Landmarks)>,
    /// Whether the last observation was one of low confidence.
    faint: bool,
    /// Whether it takes a better one.
    doubted: bool,
    motion: Motion,
    seen: Duration,
    /// In how many updates since then it was missing.
    missed: u32,
}

/// Follows faces through a stream.
///
/// A observation goes to the track whose predicted box it overlaps most; what is left of the tracks gets
/// the observations of low confidence that are in the same place, and failing these what is near by: small boxes can
/// leave their place from one frame to the next. In the first picture, which may be the only one,
/// likely observations count at once.
#[derive(Debug, Default)]
pub struct Tracker {
    /// May change between two updates.
    pub settings: Settings,
    tracks: Vec<Track>,
    matcher: Matcher,
    last_id: u32,
    /// The time of the last picture, and of the last one with observations, if there was one.
    time: Option<Duration>,
    updated: Option<Duration>,
}

impl Tracker {
    /// A tracker that knows no face yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Forgets all faces: what comes next has nothing to do with what was. Identities go on counting.
    pub fn forget(&mut self) {
        self.tracks.clear();
        self.time = None;
        self.updated = None;
    }

    /// Forgets all answers, but no face.
    pub fn forget_answers(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.answer = None);
    }

    /// Has each face seen with more than low confidence before observations of low confidence keep it again: another face detector may know
    /// nothing of it.
    pub fn doubt_faces(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.doubted = true);
    }

    /// Goes on to a picture at `time` in which nobody looked for faces: they are where they should be,
    /// and none comes or goes.
    pub fn carry(&mut self, time: Duration) {
        self.time = Some(time);
        for track in &mut self.tracks {
            track.rect = track.motion.predict(time.saturating_sub(track.seen)).rect();
        }
    }

    /// Takes in the observations of the frame at `time`. Where time goes backwards, all faces before
    /// are forgotten.
    pub fn update(&mut self, observations: &[Observation], time: Duration) {
        if self.time.is_some_and(|last| time < last) {
            self.forget();
        }
        let first = self.updated.is_none();
        let interval = time.saturating_sub(self.updated.unwrap_or(time));
        self.time = Some(time);
        self.updated = Some(time);
        let max_age = self.settings.max_age;
        self.tracks.retain(|track| track.missed_once() || time.saturating_sub(track.seen) <= max_age);
        for track in &mut self.tracks {
            track.rect = track.motion.predict(time.saturating_sub(track.seen)).rect();
        }
        let matched = self.matcher.assign(&self.tracks, observations, interval);
        for (track, &observation) in self.tracks.iter_mut().zip(matched.of_tracks) {
            track.observation = observation;
            track.missed = if observation.is_some() { 0 } else { track.missed + 1 };
            if let Some(index) = observation {
                track.motion.update(observations[index].rect, time.saturating_sub(track.seen));
                track.rect = track.motion.rect();
                track.seen = time;
                track.score = observations[index].score;
                track.seen_with = observations[index].with_landmarks();
                track.faint = observations[index].confidence == Confidence::Low;
                track.doubted = false;
            }
        }
        // A likely observation that nothing follows was none.
        self.tracks.retain(|track| track.id > 0 || track.observation.is_some());
        for track in self.tracks.iter_mut().filter(|track| track.id == 0) {
            track.id = next(&mut self.last_id);
        }
        for (index, observation) in
            observations.iter().enumerate().filter(|(index, _)| !matched.observations[*index])
        {
            let id = match observation.confidence {
                Confidence::Low => continue,
                Confidence::Medium if !first => 0,
                Confidence::Medium | Confidence::High => next(&mut self.last_id),
            };
            self.tracks.push(Track::new(id, index, observation, time));
        }
        self.forget_the_longest_unseen();
    }

    fn forget_the_longest_unseen(&mut self) {
        let mut surplus = self.tracks.len().saturating_sub(MOST_TRACKS);
        if surplus == 0 {
            return;
        }
        let mut seen: Vec<Duration> = self.tracks.iter().map(|track| track.seen).collect();
        let (_, &mut limit, _) = seen.select_nth_unstable(surplus - 1);
        self.tracks.retain(|track| {
            let kept = surplus == 0 || track.seen > limit;
            surplus -= usize::from(!kept);
            kept
        });
    }

    /// Where every face should be and everything that may be one, and whether it counts, as [`Tracker::tracks`] has
    /// it.
    pub fn expected(&self) -> impl Iterator<Item = (Rect, bool)> {
        self.tracks.iter().map(|track| (track.rect, self.counts(track)))
    }

    /// The faces that count: those seen in the last update, and those coasting within
    /// `settings.max_coast` or missing for the first time, older ones first.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| self.counts(track))
    }

    fn counts(&self, track: &Track) -> bool {
        let held = self.time.unwrap_or_default().saturating_sub(track.seen) <= self.settings.max_coast;
        track.id > 0 && (track.missed_once() || held)
    }

    /// Tells how probable it is that the face smiles in the last frame, where a smile counts from
    /// `threshold` on. A face that is seen faintly is turned away, blurred or in the dark, so that its answer
    /// follows slowly.
    pub fn answer(&mut self, id: u32, probability: f32, threshold: f32) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) else { return };
        let (before, now) = (track.answer, self.time.unwrap_or_default());
        let share = if track.faint { LOW_WEIGHT } else { 1.0 };
        track.answer = Some(Answer::after(before, probability, share, threshold, now, &self.settings.answer));
    }
}

impl Track {
    fn new(id: u32, index: usize, observation: &Observation, time: Duration) -> Self {
        Self {
            id,
            rect: observation.rect,
            observation: Some(index),
            answer: None,
            score: observation.score,
            seen_with: observation.with_landmarks(),
            faint: false,
            doubted: false,
            motion: Motion::new(observation.rect),
            seen: time,
            missed: 0,
        }
    }

    /// The landmarks of the last observation, moved and scaled with the box to where the face is now, in pixels. They may
    /// lie outside of the picture. `None` where that observation had none.
    pub fn landmarks(&self) -> Option<Landmarks> {
        let (seen, landmarks) = self.seen_with?;
        Some(landmarks.map(|point| seen.carry(point, self.rect)))
    }

    /// Whether it was missing in the last update at most: however far apart frames are, a single failed
    /// detection ends nothing.
    fn missed_once(&self) -> bool {
        self.missed <= 1
    }
}

fn next(last: &mut u32) -> u32 {
    *last = last.checked_add(1).unwrap_or(1);
    *last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_that_are_elsewhere_in_each_frame_fill_no_memory() {
        let mut tracker = Tracker::default();
        for frame in 0..20u32 {
            let observations: Vec<Observation> = (0..256)
                .map(|index| {
                    let (x, y) = (100.0 * index as f32, 1000.0 * frame as f32);
                    let rect = Rect { x, y, width: 10.0, height: 10.0 };
                    Observation { rect, confidence: Confidence::High, landmarks: None, score: 1.0 }
                })
                .collect();
            tracker.update(&observations, Duration::from_millis(10) * frame);
            assert!(tracker.tracks.len() <= MOST_TRACKS, "{} tracks", tracker.tracks.len());
            assert_eq!(tracker.tracks().filter(|track| track.observation.is_some()).count(), 256);
        }
    }
}
