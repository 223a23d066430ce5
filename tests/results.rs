//! What the results say beside the answers: landmarks, wall-clock time, source and sequence; and their JSON.

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Bench, astronaut, at, flat, info};
use gst::prelude::*;
use gst_video::VideoFormat::*;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::analysis::track::{Confidence, Observation, Settings, Tracker};
use gstsmile::analysis::{Landmarks, Rect};
use gstsmile::smilefilter::{Event, Face, Results};
use proptest::prelude::*;
use serde_json::{Value, json};

const WHITE: [f64; 3] = [255.0; 3];

/// Where landmarks lie in a box, as shares of its sides.
fn shares(rect: Rect, landmarks: Landmarks) -> Landmarks {
    landmarks.map(|point| rect.carry(point, Rect { x: 0.0, y: 0.0, width: 1.0, height: 1.0 }))
}

#[track_caller]
fn assert_near(a: Landmarks, b: Landmarks, most: f32) {
    let apart = a.as_flattened().iter().zip(b.as_flattened()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < most, "{a:?} and {b:?}");
}

#[test]
fn landmarks_move_with_the_box_where_it_is_predicted() {
    const SEEN: Landmarks = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 1.1]];
    let unit = Rect { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
    let mut tracker = Tracker::new(Settings::default());
    let frame = |index: u32| Duration::from_millis(33) * index;
    let rect = |index: u32| Rect { x: 100.0 + 6.0 * index as f32, y: 50.0, width: 80.0, height: 100.0 };
    for index in 0..20 {
        let landmarks = Some(SEEN.map(|point| unit.carry(point, rect(index))));
        let observation =
            Observation { rect: rect(index), confidence: Confidence::High, landmarks, score: 1.0 };
        tracker.update(&[observation], frame(index));
        let track = tracker.tracks().next().unwrap();
        assert_near(shares(track.rect, track.landmarks().unwrap()), SEEN, 1e-3);
    }
    let before = tracker.tracks().next().unwrap().landmarks().unwrap();
    tracker.carry(frame(20));
    let track = tracker.tracks().next().unwrap();
    assert_near(shares(track.rect, track.landmarks().unwrap()), SEEN, 1e-3);
    let moved = track.landmarks().unwrap()[0][0] - before[0][0];
    assert!(moved > 2.0, "the nose stays behind: {moved} pixels");
    tracker.update(&[], frame(21));
    assert!(tracker.tracks().next().unwrap().landmarks().is_some(), "it is only out of sight");
    // What only has a box says nothing of landmarks, nor do those from before count any more.
    tracker.update(
        &[Observation { rect: rect(22), confidence: Confidence::High, landmarks: None, score: 1.0 }],
        frame(22),
    );
    assert_eq!(tracker.tracks().next().unwrap().landmarks(), None);
}

#[test]
fn faces_that_the_element_finds_have_landmarks_in_message_and_meta() {
    let (info, picture) = astronaut();
    let properties =
        [("region", "auto"), ("updates", "every-frame"), ("detection-interval", "3"), ("display", "0")];
    let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
    let mut predicted = 0;
    for time in 0..6 {
        let output = bench.run(at(&picture, 33 * time));
        let told = bench.results().pop().unwrap();
        let face = &told.faces[0];
        let [right_eye, left_eye, nose, right_mouth, left_mouth] = face.landmarks.expect("landmarks");
        // The person's right is on the picture's left.
        assert!(
            right_eye[0] < nose[0] && nose[0] < left_eye[0] && right_mouth[0] < left_mouth[0],
            "{face:?}"
        );
        assert!(right_eye[1] < nose[1] && nose[1] < left_mouth[1], "{face:?}");
        for [x, y] in face.landmarks.unwrap() {
            let inside = (face.x as f32..(face.x + face.width) as f32).contains(&x)
                && (face.y as f32..(face.y + face.height) as f32).contains(&y);
            assert!(inside, "{face:?}");
        }
        let carried = Results::from_buffer(&output).unwrap().faces[0].landmarks;
        assert_near(carried.unwrap(), face.landmarks.unwrap(), 1e-3);
        predicted += u32::from(face.predicted);
    }
    assert!(predicted > 0, "no frame without a detection");
    // The same place, told by upstream.
    let mut input = at(&picture, 200);
    RegionMeta::add(input.make_mut(), "face", (80, 30, 90, 110));
    bench.run(input);
    let told = bench.results().pop().unwrap();
    assert_eq!((told.faces.len(), told.faces[0].landmarks), (1, None));
}

#[test]
fn an_area_moves_no_landmark() {
    let (info, picture) = astronaut();
    let run = |area: &str| {
        let properties = [("region", "faces"), ("updates", "every-frame"), ("area", area)];
        let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
        bench.run(at(&picture, 0));
        bench.results().pop().unwrap().faces[0].landmarks.unwrap()
    };
    // Seen at another scale; not moved by what the area leaves out, 51 pixels.
    assert_near(run(""), run("0.2,0,0.8,0.9"), 10.0);
}

#[test]
fn results_name_their_source_and_count() {
    let info = info(I420, 320, 240);
    let properties = [("region", "roi"), ("updates", "every-frame")];
    let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
    let mut last = 0;
    for (time, id) in [(0, ""), (33, "door"), (66, "Tür 🚪")] {
        bench.element.set_property("source-id", id);
        assert_eq!(bench.element.property::<String>("source-id"), id);
        let mut input = at(&flat(&info, WHITE), time);
        RegionMeta::add(input.make_mut(), "face", (20, 20, 50, 50));
        let output = bench.run(input);
        let source = if id.is_empty() { bench.element.name().to_string() } else { id.to_string() };
        let on_buffer = Results::from_buffer(&output).unwrap();
        assert_eq!((on_buffer.source, on_buffer.sequence), (source.clone(), last));
        for results in bench.messages() {
            last += 1;
            assert_eq!((results.source, results.sequence), (source.clone(), last));
            assert_eq!((results.width, results.height), (320, 240));
        }
    }
    // Two changes with the first frame, an update with each.
    assert_eq!(last, 5);
}

/// A frame's wall-clock time, with a reference timestamp of some kind on it.
fn utc(
    bench: &mut Bench,
    info: &gst_video::VideoInfo,
    reference: Option<(&str, gst::ClockTime)>,
) -> gst::ClockTime {
    let mut input = at(&flat(info, WHITE), 70_000);
    if let Some((name, time)) = reference {
        let caps = gst::Caps::new_empty_simple(name);
        gst::ReferenceTimestampMeta::add(input.make_mut(), &caps, time, gst::ClockTime::NONE);
    }
    let output = bench.run(input);
    let told = bench.results().pop().unwrap().utc;
    assert_eq!(told, Results::from_buffer(&output).unwrap().utc);
    told.unwrap()
}

#[test]
fn the_wall_clock_time_is_the_cameras_or_that_of_the_pipelines_clock() {
    let info = info(I420, 64, 64);
    let mut bench = Bench::new(&common::bright_smiles(), &[("updates", "every-frame")]).caps(&info);
    let (unix, between) = (gst::ClockTime::from_nseconds(1_780_000_000_123_456_789), 2_208_988_800);
    let ntp = unix + gst::ClockTime::from_seconds(between);
    assert_eq!(utc(&mut bench, &info, Some(("timestamp/x-unix", unix))), unix);
    assert_eq!(utc(&mut bench, &info, Some(("timestamp/x-ntp", ntp))), unix);

    let clock = gst_check::TestClock::with_start_time(gst::ClockTime::from_seconds(100));
    bench.element.set_clock(Some(&clock)).unwrap();
    bench.element.set_base_time(gst::ClockTime::from_seconds(40));
    let now =
        || -> gst::ClockTime { SystemTime::now().duration_since(UNIX_EPOCH).unwrap().try_into().unwrap() };
    // Due when the clock says 110, ten seconds from now. A clock of another kind says nothing of the day, nor does
    // a time before 1970.
    let odd = Some(("timestamp/x-drone-arm-time", unix));
    let early = Some(("timestamp/x-ntp", gst::ClockTime::SECOND));
    for reference in [None, odd, early] {
        let (before, ten) = (now(), gst::ClockTime::from_seconds(10));
        let told = utc(&mut bench, &info, reference);
        assert!(told >= before + ten && told <= now() + ten, "{told} after {before}");
    }
}

fn schema() -> Value {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/results.schema.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// What validates JSON against the schema, which has to be one itself.
fn validator() -> impl Fn(&Value) -> Result<(), String> {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    let name = "https://localhost/results.schema.json";
    compiler.add_resource(name, schema()).unwrap();
    let index = compiler.compile(name, &mut schemas).unwrap();
    move |json| schemas.validate(json, index).map_err(|error| error.to_string())
}

/// Results with everything in them, and those of an element.
fn examples() -> Vec<Results> {
    let face = Face {
        id: 7,
        y: -1,
        width: 480,
        smiling: true,
        probability: 1.0,
        label: "Lächelt".into(),
        landmarks: Some([[1.5, 2.0], [3.1, 4.0], [-5.0, 6.0], [7.0, 8.0], [9.0, 1e4]]),
        region: Some(i32::MIN),
        ..Face::default()
    };
    let largest = Results {
        timestamp: Some(gst::ClockTime::from_nseconds(u64::MAX - 1)),
        event: Event::SmileEnded,
        identity: u32::MAX,
        sequence: u64::MAX,
        faces: vec![face, Face::default()],
        ..Results::default()
    };
    let (info, picture) = astronaut();
    let properties = [("region", "auto"), ("updates", "every-frame")];
    let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
    let output = bench.run(picture);
    let mut examples = bench.messages();
    examples.extend([Results::from_buffer(&output).unwrap(), largest, Results::default()]);
    examples
}

#[test]
fn results_as_json_follow_the_schema_and_come_back() {
    let (schema, validate) = (schema(), validator());
    for results in examples() {
        let text = results.to_json();
        let json: Value = serde_json::from_str(&text).unwrap();
        validate(&json).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(Results::from_json(&text).unwrap(), results);
    }
    // Nor does the schema have a field that results have not.
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let all: Value = serde_json::from_str(&examples().iter().rev().nth(1).unwrap().to_json()).unwrap();
    assert_eq!(names(&schema["properties"]), names(&all));
    assert_eq!(names(&schema["$defs"]["face"]["properties"]), names(&all["faces"][0]));
}

#[test]
fn what_the_schema_refuses_is_no_result_either() {
    let validate = validator();
    let good: Value = serde_json::from_str(&examples().iter().rev().nth(1).unwrap().to_json()).unwrap();
    let required = ["timestamp", "utc", "source", "sequence", "event", "faces", "width", "age", "stale"];
    let mut bad: Vec<Value> = required
        .iter()
        .map(|name| {
            let mut json = good.clone();
            json.as_object_mut().unwrap().remove(*name);
            json
        })
        .collect();
    for (pointer, value) in [
        ("/event", json!("yawn")),
        ("/utc", json!(-1)),
        ("/age", Value::Null),
        ("/sequence", json!(1.5)),
        ("/width", json!(1u64 << 32)),
        ("/source", json!(5)),
        ("/faces/0/probability", json!(1.1)),
        ("/faces/0/landmarks/4", json!([1.0])),
        ("/faces/0/landmarks", json!([[1.0, 2.0]])),
        ("/faces/0/region", json!("left")),
        ("/faces/1", json!({})),
    ] {
        let mut json = good.clone();
        *json.pointer_mut(pointer).unwrap() = value;
        bad.push(json);
    }
    for json in bad {
        assert!(validate(&json).is_err(), "{json}");
        assert!(Results::from_json(&json.to_string()).is_err(), "{json}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_survived_and_what_is_read_can_be_written(
        number in prop_oneof![any::<f64>().prop_map(Value::from), any::<i64>().prop_map(Value::from), Just(Value::Null)],
        place in 0usize..40,
        cut in 0usize..1000,
        noise in any::<String>(),
    ) {
        let face = Face { landmarks: Some([[0.5; 2]; 5]), region: Some(1), ..Face::default() };
        let mut json: Value =
            serde_json::from_str(&Results { faces: vec![face; 2], ..Results::default() }.to_json()).unwrap();
        let fields = json.as_object_mut().unwrap();
        let mut values: Vec<&mut Value> = Vec::new();
        for (_, value) in fields {
            match value {
                Value::Array(faces) => faces
                    .iter_mut()
                    .for_each(|face| values.extend(face.as_object_mut().unwrap().iter_mut().map(|(_, value)| value))),
                value => values.push(value),
            }
        }
        let place = place % values.len();
        *values[place] = number;
        let text = json.to_string();
        if let Ok(results) = Results::from_json(&text) {
            prop_assert!(Results::from_json(&results.to_json()).is_ok());
        }
        let cut: String = text.chars().take(cut.min(text.len() - 1)).collect();
        prop_assert!(Results::from_json(&cut).is_err() && Results::from_json(&noise).is_err());
    }
}
