//! Faces followed through made-up sequences of boxes.

use std::time::Duration;

use gstsmile::analysis::Rect;
use gstsmile::analysis::answer;
use gstsmile::analysis::answer::Answer;
use gstsmile::analysis::track::{Confidence, Observation, Settings, Tracker};
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const FPS: f32 = 30.0;

/// A square box by its middle and side.
fn square(x: f32, y: f32, side: f32) -> Rect {
    Rect { x: x - side / 2.0, y: y - side / 2.0, width: side, height: side }
}

fn middle(rect: Rect) -> (f32, f32) {
    (rect.x + rect.width / 2.0, rect.y + rect.height / 2.0)
}

/// From -1 to 1, more often near 0.
fn noise(rng: &mut impl Rng) -> f32 {
    rng.random_range(-1.0..1.0f32) * rng.random_range(0.0..1.0f32)
}

/// A box whose place and size are off by up to `share` of its side.
fn shaken(rect: Rect, share: f32, rng: &mut impl Rng) -> Rect {
    let (x, y) = middle(rect);
    let side = rect.width;
    let mut off = || share * noise(rng);
    square(x + side * off(), y + side * off(), side * (1.0 + off()))
}

/// A tracker and the time.
struct Stream {
    tracker: Tracker,
    frame: u32,
    fps: f32,
}

impl Stream {
    fn new(fps: f32) -> Self {
        Self { tracker: Tracker::new(Settings::default()), frame: 0, fps }
    }

    /// One frame with these sure boxes.
    fn see(&mut self, boxes: &[Rect]) {
        let sure =
            |&rect: &Rect| Observation { rect, confidence: Confidence::High, landmarks: None, score: 1.0 };
        self.see_observations(&boxes.iter().map(sure).collect::<Vec<_>>());
    }

    fn see_observations(&mut self, observations: &[Observation]) {
        let time = Duration::from_secs_f32(self.frame as f32 / self.fps);
        self.tracker.update(observations, time);
        self.frame += 1;
    }

    /// The identities of all faces reported, and of those seen.
    fn ids(&self) -> Vec<u32> {
        self.tracker.tracks().map(|track| track.id).collect()
    }

    /// The identities in the order of the last frame's observations.
    fn ids_of_sightings(&self) -> Vec<u32> {
        let mut seen: Vec<_> =
            self.tracker.tracks().filter_map(|track| Some((track.observation?, track.id))).collect();
        seen.sort_unstable();
        seen.into_iter().map(|(_, id)| id).collect()
    }

    fn rect(&self) -> Rect {
        self.tracker.tracks().next().expect("a face").rect
    }
}

#[test]
fn a_still_face_stands_calmer_than_its_sightings() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut stream = Stream::new(FPS);
    let (mut before, mut seen_before) = ((0.0, 0.0), (0.0, 0.0));
    let (mut jitter, mut seen_jitter) = (0.0, 0.0);
    for frame in 0..300 {
        let rect = shaken(square(300.0, 200.0, 100.0), 0.04, &mut rng);
        stream.see(&[rect]);
        assert_eq!(stream.ids(), [1]);
        let (now, seen) = (middle(stream.rect()), middle(rect));
        if frame > 10 {
            jitter += (now.0 - before.0).hypot(now.1 - before.1);
            seen_jitter += (seen.0 - seen_before.0).hypot(seen.1 - seen_before.1);
            assert!((now.0 - 300.0).hypot(now.1 - 200.0) < 4.0, "{now:?}");
        }
        (before, seen_before) = (now, seen);
    }
    assert!(jitter < 0.3 * seen_jitter, "{jitter} of {seen_jitter}");
}

#[test]
fn a_fast_face_is_followed_without_lag_and_stops_where_it_stops() {
    let mut stream = Stream::new(FPS);
    let place = |frame: u32| 100.0 + 400.0 * (frame.min(60) as f32 / FPS);
    for frame in 0..120 {
        stream.see(&[square(place(frame), 200.0, 100.0)]);
        let off = middle(stream.rect()).0 - place(frame);
        assert_eq!(stream.ids(), [1]);
        assert!(off.abs() < 6.0, "frame {frame}: {off} pixels off");
        assert!(off.abs() < 1.0 || !(30..60).contains(&frame) && frame < 90, "frame {frame}: {off}");
    }
}

#[test]
fn a_small_face_that_leaves_its_place_in_one_frame_is_still_the_same() {
    let mut stream = Stream::new(FPS);
    for frame in 0..30 {
        stream.see(&[square(20.0 + 25.0 * frame as f32, 200.0, 24.0), square(500.0, 60.0, 24.0)]);
        assert_eq!(stream.ids_of_sightings(), [1, 2], "frame {frame}");
    }
}

#[test]
fn a_box_far_away_is_somebody_else() {
    let mut stream = Stream::new(FPS);
    stream.see(&[square(100.0, 100.0, 50.0)]);
    stream.see(&[square(300.0, 100.0, 50.0)]);
    assert_eq!(stream.ids_of_sightings(), [2]);
    stream.see(&[square(300.0, 100.0, 50.0), square(340.0, 100.0, 20.0)]);
    assert_eq!(stream.ids_of_sightings(), [2, 3], "a box of another size close by");
}

#[test]
fn faces_that_cross_keep_their_identities_though_one_hides_the_other() {
    for (speed, fps) in [(150.0, 30.0), (300.0, 30.0), (150.0, 15.0)] {
        let mut stream = Stream::new(fps);
        let frames = (400.0 / speed * fps) as u32;
        for frame in 0..frames {
            let way = speed * frame as f32 / fps;
            let (front, back) = (square(100.0 + way, 200.0, 80.0), square(500.0 - way, 210.0, 72.0));
            let hidden = (front.x - back.x).abs() < 50.0;
            if hidden {
                stream.see(&[front]);
                assert_eq!(stream.ids_of_sightings(), [1], "{speed}, frame {frame}");
            } else {
                stream.see(&[front, back]);
                assert_eq!(stream.ids_of_sightings(), [1, 2], "{speed}, frame {frame}");
            }
        }
    }
}

#[test]
fn thirty_faces_that_cross_keep_their_identities() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut stream = Stream::new(FPS);
    let (mut first, mut wrong, mut seen) = (Vec::new(), 0, 0);
    for frame in 0..200 {
        let way = 6.0 * frame as f32;
        // In each row one to the right, and behind it one to the left.
        let places = (0..15).flat_map(|row| {
            let (y, start) = (40.0 + 70.0 * row as f32, 20.0 * (row % 4) as f32);
            [square(start + way, y, 60.0), square(1300.0 - start - way, y + 6.0, 54.0)]
        });
        let places: Vec<Rect> = places.collect();
        let mut boxes = Vec::new();
        for (index, &rect) in places.iter().enumerate() {
            let hidden = index % 2 == 1 && (rect.x - places[index - 1].x).abs() < 36.0;
            if frame == 0 || !hidden && rng.random_range(0..30) > 0 {
                boxes.push((index, shaken(rect, 0.04, &mut rng)));
            }
        }
        stream.see(&boxes.iter().map(|(_, rect)| *rect).collect::<Vec<_>>());
        let ids = stream.ids_of_sightings();
        assert_eq!(ids.len(), boxes.len());
        if frame == 0 {
            first = ids;
            continue;
        }
        seen += boxes.len();
        wrong += boxes.iter().zip(ids).filter(|((index, _), id)| first[*index] != *id).count();
    }
    assert!(wrong == 0, "{wrong} of {seen} observations under another number");
}

#[test]
fn a_face_that_is_missed_coasts_then_waits_then_is_forgotten() {
    let still = square(200.0, 200.0, 80.0);
    for (missed, reported, id) in [(1, true, 1), (6, true, 1), (7, false, 1), (14, false, 1), (16, false, 2)]
    {
        let mut stream = Stream::new(FPS);
        for _ in 0..10 {
            stream.see(&[still]);
        }
        for _ in 0..missed {
            stream.see(&[]);
        }
        assert_eq!(stream.ids(), if reported { vec![1] } else { vec![] }, "{missed} frames missed");
        assert!(stream.tracker.tracks().all(|track| track.observation.is_none()));
        stream.see(&[still]);
        assert_eq!(stream.ids_of_sightings(), [id], "after {missed} frames");
    }
}

#[test]
fn however_far_apart_frames_are_a_single_failed_detection_ends_nothing() {
    let still = square(200.0, 200.0, 80.0);
    for fps in [1.0, 2.0, 3.0, 5.0] {
        for (missed, reported, id) in [(1, true, 1), (3, false, 2)] {
            let mut stream = Stream::new(fps);
            (0..3).for_each(|_| stream.see(&[still]));
            (0..missed).for_each(|_| stream.see(&[]));
            assert_eq!(stream.ids() == [1], reported, "{missed} missed, {fps} frames a second");
            stream.see(&[still]);
            assert_eq!(stream.ids_of_sightings(), [id], "after {missed}, {fps} frames a second");
        }
    }
}

#[test]
fn a_lone_face_is_matched_by_its_distance_and_the_time() {
    // Three sides in half a second, which in a thirtieth of one would be somebody else.
    let place = |frame: u32| square(100.0 + 150.0 * (frame % 2) as f32, 100.0, 50.0);
    let mut stream = Stream::new(2.0);
    for frame in 0..8 {
        stream.see(&[place(frame)]);
        assert_eq!(stream.ids_of_sightings(), [1], "frame {frame}");
    }
    // Of another size it is another face, and of two faces either may be it.
    stream.see(&[square(100.0, 100.0, 100.0)]);
    assert_eq!(stream.ids_of_sightings(), [2]);
    let mut stream = Stream::new(2.0);
    stream.see(&[place(0)]);
    stream.see(&[place(1), square(100.0, 300.0, 50.0)]);
    assert_eq!(stream.ids_of_sightings(), [2, 3]);
    // What is seen less well where it was is not it.
    for confidence in [Confidence::Low, Confidence::Medium] {
        let mut stream = Stream::new(2.0);
        stream.see(&[place(0)]);
        let worse = Observation { rect: place(0), confidence, landmarks: None, score: 1.0 };
        stream.see_observations(&[
            worse,
            Observation { rect: place(1), confidence: Confidence::High, landmarks: None, score: 1.0 },
        ]);
        assert!(stream.tracker.tracks().all(|track| track.id == 1 && track.observation == Some(1)));
    }
}

#[test]
fn a_moving_face_coasts_on_its_way() {
    let mut stream = Stream::new(FPS);
    for frame in 0..30 {
        stream.see(&[square(100.0 + 6.0 * frame as f32, 200.0, 80.0)]);
    }
    for frame in 30..34 {
        stream.see(&[]);
        let off = middle(stream.rect()).0 - (100.0 + 6.0 * frame as f32);
        assert!(off.abs() < 10.0, "frame {frame}: {off} pixels off");
    }
}

#[test]
fn a_weak_sighting_counts_when_it_comes_again_and_costs_no_number_when_not() {
    let weak = Observation {
        rect: square(100.0, 100.0, 60.0),
        confidence: Confidence::Medium,
        landmarks: None,
        score: 1.0,
    };
    let other = Observation {
        rect: square(400.0, 100.0, 60.0),
        confidence: Confidence::Medium,
        landmarks: None,
        score: 1.0,
    };
    let mut stream = Stream::new(FPS);
    stream.see_observations(&[]);
    stream.see_observations(&[weak]);
    assert!(stream.ids().is_empty());
    stream.see_observations(&[other]);
    assert!(stream.ids().is_empty());
    stream.see_observations(&[weak]);
    assert!(stream.ids().is_empty(), "two observations, but not in a row");
    stream.see_observations(&[weak]);
    assert_eq!(stream.ids(), [1]);
    stream.see_observations(&[weak, Observation { confidence: Confidence::High, ..other }]);
    assert_eq!(stream.ids(), [1, 2]);
    stream.tracker.forget();
    stream.see_observations(&[weak]);
    assert_eq!(stream.ids(), [3], "the first picture, which may be the only one");
}

#[test]
fn a_faint_sighting_keeps_a_face_and_makes_none() {
    let faint = |x: f32| Observation {
        rect: square(x, 100.0, 60.0),
        confidence: Confidence::Low,
        landmarks: None,
        score: 1.0,
    };
    let likely = |x: f32| Observation { confidence: Confidence::Medium, ..faint(x) };
    let mut stream = Stream::new(FPS);
    // None in the first picture, and none where a likely one was.
    for observation in [faint(100.0), likely(100.0), faint(100.0), faint(100.0)] {
        stream.see_observations(&[observation]);
        assert!(stream.ids().is_empty());
    }
    stream.see(&[square(100.0, 100.0, 60.0)]);
    let [id] = stream.ids()[..] else { panic!("{:?}", stream.ids()) };
    // For much longer than a face without any observation is remembered.
    for frame in 0..60 {
        stream.see_observations(&[faint(100.0 + frame as f32)]);
        assert_eq!(stream.ids(), [id]);
        assert!(stream.tracker.tracks().all(|track| track.observation == Some(0)));
    }
    // Whatever is seen better comes first, and a faint one has to be in the same place.
    stream.see_observations(&[faint(161.0), likely(165.0)]);
    assert!(stream.tracker.tracks().all(|track| track.observation == Some(1)));
    // A newcomer beside it is not it.
    stream.see_observations(&[faint(165.0), likely(240.0)]);
    assert!(stream.tracker.tracks().all(|track| track.observation == Some(0)));
    stream.see_observations(&[faint(220.0)]);
    assert!(stream.tracker.tracks().all(|track| track.observation.is_none()));
    // Another locator has to see it well first.
    stream.see(&[square(100.0, 100.0, 60.0)]);
    stream.tracker.doubt_faces();
    for (observation, seen) in [(faint(100.0), false), (likely(100.0), true), (faint(100.0), true)] {
        stream.see_observations(&[observation]);
        assert_eq!(stream.tracker.tracks().any(|track| track.observation.is_some()), seen);
    }
}

#[test]
fn the_answer_of_a_face_that_is_seen_faintly_follows_slowly() {
    let mut stream = Stream::new(FPS);
    let mut smiling = |frames: usize, confidence: Confidence, probability: f32| {
        for _ in 0..frames {
            stream.see_observations(&[Observation {
                rect: square(100.0, 100.0, 60.0),
                confidence,
                landmarks: None,
                score: 1.0,
            }]);
            stream.tracker.answer(1, probability, 0.5);
        }
        stream.tracker.tracks().next().unwrap().answer.unwrap().smiling
    };
    assert!(smiling(15, Confidence::High, 0.9));
    assert!(smiling(20, Confidence::Low, 0.1), "a head that turns away for two thirds of a second");
    assert!(!smiling(100, Confidence::Low, 0.1), "a room that stays dark");
    assert!(smiling(15, Confidence::High, 0.9));
    assert!(!smiling(20, Confidence::High, 0.1));
}

#[test]
fn a_zoom_is_followed_in_size() {
    let mut stream = Stream::new(FPS);
    for frame in 0..90 {
        let side = 40.0 * (frame as f32 / 45.0).exp2().powi(2);
        stream.see(&[square(320.0, 240.0, side)]);
        assert_eq!(stream.ids(), [1]);
        let ratio = stream.rect().width / side;
        assert!((0.95..1.05).contains(&ratio), "frame {frame}: {ratio}");
    }
}

#[test]
fn identities_go_on_counting_after_a_cut_and_where_time_goes_backwards() {
    let mut stream = Stream::new(FPS);
    let face = [square(200.0, 200.0, 80.0)];
    stream.see(&face);
    stream.see(&face);
    stream.tracker.forget();
    assert!(stream.ids().is_empty());
    stream.see(&face);
    assert_eq!(stream.ids(), [2]);
    stream.frame = 1;
    stream.see(&face);
    assert_eq!(stream.ids(), [3]);
}

#[test]
fn a_slow_stream_keeps_identities_too() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut stream = Stream::new(1.0);
    for _ in 0..20 {
        stream.see(&[shaken(square(200.0, 200.0, 80.0), 0.2, &mut rng)]);
        assert_eq!(stream.ids(), [1]);
    }
}

/// Answers to one probability a frame.
fn answers(probabilities: impl IntoIterator<Item = f32>, threshold: f32, fps: f32) -> Vec<Answer> {
    let (mut before, settings) = (None, answer::Settings::default());
    let answer = |(frame, probability): (usize, f32)| {
        let time = Duration::from_secs_f32(frame as f32 / fps);
        let answer = Answer::after(before, probability, 1.0, threshold, time, &settings);
        before = Some(answer);
        answer
    };
    probabilities.into_iter().enumerate().map(answer).collect()
}

fn changes(answers: &[Answer]) -> usize {
    answers.windows(2).filter(|pair| pair[0].smiling != pair[1].smiling).count()
}

#[test]
fn an_answer_near_the_threshold_does_not_waver() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let probabilities: Vec<f32> = (0..3000).map(|_| 0.5 + 0.15 * noise(&mut rng)).collect();
    let steady = answers(probabilities.iter().copied(), 0.5, FPS);
    let raw = probabilities.windows(2).filter(|pair| (pair[0] < 0.5) != (pair[1] < 0.5)).count();
    assert!(raw > 1000 && changes(&steady) <= 2, "{raw} and {}", changes(&steady));
}

#[test]
fn a_smile_is_seen_within_a_quarter_of_a_second_at_every_frame_rate() {
    for fps in [10.0, 30.0, 60.0] {
        let seconds = |frame: usize| frame as f32 / fps;
        let frames = (3.0 * fps) as usize;
        let sequence = (0..frames).map(|frame| if seconds(frame) < 1.5 { 0.02 } else { 0.98 });
        let answers = answers(sequence, 0.5, fps);
        let first = answers.iter().position(|answer| answer.smiling).unwrap();
        assert!((1.55..1.75).contains(&seconds(first)), "{fps}: {}", seconds(first));
        assert_eq!(changes(&answers), 1);
    }
}

#[test]
fn every_threshold_can_be_crossed_both_ways() {
    for threshold in [0.01, 0.04, 0.5, 0.97, 0.99] {
        let sequence = [0.0; 100].into_iter().chain([1.0; 100]).chain([0.0; 100]);
        assert_eq!(changes(&answers(sequence, threshold, FPS)), 2, "{threshold}");
    }
}

#[test]
fn at_few_frames_a_second_an_answer_near_the_threshold_does_not_waver_either() {
    for fps in [1.5, 2.0, 3.0, 5.0] {
        let sequence = [0.8, 0.48, 0.52, 0.47, 0.52, 0.1, 0.48, 0.52, 0.48];
        assert_eq!(changes(&answers(sequence, 0.5, fps)), 1, "{fps} frames a second");
    }
}

#[test]
fn what_was_long_ago_says_nothing() {
    let pictures = answers([0.1, 0.52, 0.48, 0.9], 0.5, 1.0);
    let said: Vec<_> = pictures.iter().map(|answer| (answer.probability, answer.smiling)).collect();
    assert_eq!(said, [(0.1, false), (0.52, true), (0.48, false), (0.9, true)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// A moving, zooming camera on a crowd, seen with noise and gaps in any order.
    #[test]
    fn a_crowd_keeps_its_identities(seed in any::<u64>(), people in 1usize..8, fps in 12.0f32..60.0) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut stream = Stream::new(fps);
        let sides: Vec<f32> = (0..people).map(|_| rng.random_range(50.0..90.0)).collect();
        let mut ids = vec![0; people];
        let (pan, tilt) = (rng.random_range(-200.0..200.0f32), rng.random_range(-100.0..100.0f32));
        let zoom = rng.random_range(0.8..1.25f32);
        for frame in 0..(2.0 * fps) as usize {
            let seconds = frame as f32 / fps;
            let scale = zoom.powf(seconds);
            let place = |person: usize| {
                let (x, y) = (150.0 * (person % 4) as f32, 150.0 * (person / 4) as f32);
                square(scale * x + pan * seconds, scale * y + tilt * seconds, scale * sides[person])
            };
            let mut seen: Vec<usize> = (0..people).filter(|_| frame == 0 || rng.random_bool(0.9)).collect();
            for index in (1..seen.len()).rev() {
                seen.swap(index, rng.random_range(0..=index));
            }
            let boxes: Vec<Rect> = seen.iter().map(|&person| shaken(place(person), 0.06, &mut rng)).collect();
            stream.see(&boxes);
            for (&person, id) in seen.iter().zip(stream.ids_of_sightings()) {
                if frame == 0 {
                    ids[person] = id;
                }
                prop_assert_eq!(ids[person], id, "person {} in frame {}", person, frame);
            }
        }
        prop_assert_eq!(ids.iter().max(), Some(&(people as u32)));
    }

    /// Whatever comes, at whatever time, the tracker takes it.
    #[test]
    fn any_sequence_is_survived(
        frames in prop::collection::vec(
            (0u64..5_000, prop::collection::vec((-1e4f32..1e4, -1e4f32..1e4, 1e-3f32..1e4, confidence()), 0..12)),
            0..20,
        )
    ) {
        let mut tracker = Tracker::new(Settings::default());
        for (time, boxes) in frames {
            let observation = |&(x, y, side, confidence): &(f32, f32, f32, Confidence)| {
                Observation { rect: Rect { x, y, width: side, height: 2.0 * side }, confidence, landmarks: None, score: 1.0 }
            };
            let observations: Vec<_> = boxes.iter().map(observation).collect();
            tracker.update(&observations, Duration::from_millis(time));
            let mut ids: Vec<_> = tracker.tracks().map(|track| track.id).collect();
            let count = ids.len();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), count, "an identity twice");
            for track in tracker.tracks() {
                let Rect { x, y, width, height } = track.rect;
                prop_assert!([x, y, width, height].iter().all(|value| value.is_finite()), "{:?}", track);
                prop_assert!(width > 0.0 && height > 0.0);
                tracker_index_is_sound(track.observation, observations.len())?;
            }
        }
    }
}

fn confidence() -> impl Strategy<Value = Confidence> {
    prop_oneof![Just(Confidence::Low), Just(Confidence::Medium), Just(Confidence::High)]
}

fn tracker_index_is_sound(observation: Option<usize>, observations: usize) -> Result<(), TestCaseError> {
    prop_assert!(observation.is_none_or(|index| index < observations));
    Ok(())
}
