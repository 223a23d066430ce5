//! What can be set and read, and what it does.

mod common;

use common::{Bench, at, flat, frame, info, run_until, smiles};
use gst::prelude::*;
use gst_video::VideoFormat::*;
use gst_video::VideoOverlayCompositionMeta as OverlayMeta;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::model::FaceWeights;
use gstsmile::smilefilter::Event::*;
use gstsmile::smilefilter::Results;

const GREY: [f64; 3] = [120.0; 3];
const WHITE: [f64; 3] = [255.0; 3];
const BLACK: [f64; 3] = [0.0; 3];

fn rectangles(buffer: &gst::Buffer) -> Vec<(i32, i32, u32, u32)> {
    let Some(meta) = buffer.meta::<OverlayMeta>() else { return Vec::new() };
    meta.overlay().iter().map(|rectangle| rectangle.render_rectangle()).collect()
}

fn warning(bench: &Bench) -> String {
    let timeout = gst::ClockTime::from_seconds(30);
    let message = bench.bus.timed_pop_filtered(timeout, &[gst::MessageType::Warning]).expect("a warning");
    let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
    warning.error().message().to_string()
}

#[test]
fn properties_are_those_of_the_table() {
    common::init();
    let element = gst::ElementFactory::make("smilefilter").build().unwrap();
    let table = [
        ("model-file", "gchararray", "", "playing"),
        ("face-model-file", "gchararray", "", "playing"),
        ("device", "gchararray", "auto", "ready"),
        ("mode", "GstSmileFilterMode", "sync", "ready"),
        ("region", "GstSmileFilterRegion", "auto", "playing"),
        ("area", "gchararray", "", "playing"),
        ("roi-type", "gchararray", "", "playing"),
        ("min-face-size", "gfloat", "0.1", "playing"),
        ("max-faces", "guint", "8", "playing"),
        ("threshold", "gfloat", "-1", "playing"),
        ("hysteresis", "gfloat", "0.1", "playing"),
        ("smoothing", "gdouble", "0.2", "playing"),
        ("inference-interval", "guint", "1", "playing"),
        ("detection-interval", "guint", "3", "playing"),
        ("display", "GstSmileFilterDisplay", "label+box+bar", "playing"),
        ("smile-color", "guint", "4283623542", "playing"),
        ("neutral-color", "guint", "4292138196", "playing"),
        ("font-scale", "gdouble", "1", "playing"),
        ("labels", "gchararray", "", "playing"),
        ("attach-metas", "gboolean", "true", "playing"),
        ("post-messages", "gboolean", "true", "playing"),
        ("updates", "GstSmileFilterUpdates", "on-change", "playing"),
        ("source-id", "gchararray", "", "playing"),
        ("stats", "GstStructure", "", "read"),
        ("smiling", "gboolean", "false", "read"),
        ("num-faces", "guint", "0", "read"),
    ];
    for (name, value_type, default, mutable) in table {
        let spec = element.find_property(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(spec.value_type().name(), value_type, "{name}");
        assert!(spec.nick() != name && spec.blurb().is_some_and(|blurb| blurb.len() > 15), "{name}");
        let flags = spec.flags();
        let state = match (flags.contains(glib::ParamFlags::WRITABLE), flags) {
            (false, _) => "read",
            (_, flags) if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) => "playing",
            (_, flags) if flags.contains(gst::PARAM_FLAG_MUTABLE_READY) => "ready",
            _ => "null",
        };
        assert_eq!(state, mutable, "{name}");
        let written = |value: &glib::Value| match glib::FlagsValue::from_value(value) {
            Some(flags) => flags.1.iter().map(|flag| flag.nick()).collect::<Vec<_>>().join("+"),
            None => value.serialize().unwrap().trim_matches('"').to_string(),
        };
        let near = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => (a - b).abs() < 1e-6,
            _ => a == b,
        };
        if name != "stats" {
            for value in [element.property_value(name), spec.default_value().clone()] {
                let value = match value.get::<Option<String>>() {
                    Ok(text) => text.unwrap_or_default(),
                    Err(_) => written(&value),
                };
                assert!(near(&value, default), "{name}: {value} instead of {default}");
            }
        }
    }
    let own = element.list_properties().iter().filter(|spec| spec.owner_type() == element.type_()).count();
    assert_eq!(own, table.len());
    assert!(element.property::<bool>("qos"), "late frames are to be known");
}

#[test]
fn another_model_is_taken_over_between_two_frames_and_a_bad_one_is_not() {
    let info = info(I420, 64, 64);
    for mode in ["sync", "async"] {
        let properties = [("updates", "every-frame"), ("mode", mode)];
        let mut bench = Bench::new(&common::never_smiling(), &properties).caps(&info);
        let grey = flat(&info, GREY);
        run_until(&mut bench, &grey, |results, _| smiles(results) == Some(false));
        let mut weights = common::weights_of(0.0, 3.0, [3, 12, 12]);
        weights.metadata.labels = ["ernst".into(), "heiter".into()];
        let file = common::file(&weights);
        bench.element.set_property("model-file", file.to_str().unwrap());
        run_until(&mut bench, &grey, |results, _| smiles(results) == Some(true));
        run_until(&mut bench, &grey, |results, _| results[0].faces[0].label == "heiter");
        for bad in ["/no/such/file", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            bench.element.set_property("model-file", bad);
            let text = warning(&bench);
            assert!(text.contains(bad) && text.contains("stay"), "{text}");
            assert_eq!(bench.element.property::<String>("model-file"), file.to_str().unwrap());
            bench.run(grey.clone());
            run_until(&mut bench, &grey, |results, _| smiles(results) == Some(true));
        }
        let late = common::file(&common::never_smiling());
        bench.element.set_property("model-file", "/no/such/file/again");
        bench.element.set_property("model-file", late.to_str().unwrap());
        run_until(&mut bench, &grey, |results, _| smiles(results) == Some(false));
        bench.element.set_property("model-file", "/no/such/file");
        warning(&bench);
        for state in [gst::State::Ready, gst::State::Playing] {
            bench.element.set_state(state).expect("a start with what was in use");
        }
    }
}

#[test]
fn weights_that_do_not_suit_the_region_make_a_warning_whenever_they_meet() {
    let whole = common::file(&{
        let mut weights = common::always_smiling();
        weights.metadata.region = gstsmile::model::Region::Full;
        weights
    });
    let info = info(I420, 64, 64);
    for mode in ["sync", "async"] {
        let mut bench =
            Bench::new(&common::always_smiling(), &[("mode", mode), ("region", "faces")]).caps(&info);
        bench.run(flat(&info, GREY));
        assert!(bench.bus.pop_filtered(&[gst::MessageType::Warning]).is_none(), "these suit");
        let expect = |seen: &str, region: &str, remedy: &str| {
            let text = warning(&bench);
            let words = [seen, &format!("region is {region}"), &format!("region to {remedy}"), "model-file"];
            assert!(words.iter().all(|words| text.contains(words)), "{text}");
        };
        bench.element.set_property("model-file", whole.to_str().unwrap());
        expect("whole pictures", "faces", "full");
        bench.element.set_property_from_str("region", "full");
        bench.element.set_property("model-file", "");
        expect("faces", "full", "auto");
        bench.element.set_property_from_str("region", "auto");
        bench.element.set_property_from_str("region", "center");
        expect("faces", "center", "auto");
        for state in [gst::State::Ready, gst::State::Playing] {
            bench.element.set_state(state).unwrap();
        }
        expect("faces", "center", "auto");
        assert!(bench.bus.pop_filtered(&[gst::MessageType::Warning]).is_none(), "each is told once");
    }
}

#[test]
fn another_locator_is_taken_over_between_two_frames_and_a_bad_one_is_not() {
    let (info, picture) = common::astronaut();
    let properties = [("region", "faces"), ("updates", "every-frame"), ("smoothing", "0")];
    let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
    let faces = |results: &[Results]| results.last().map(|results| results.faces.len());
    run_until(&mut bench, &picture, |results, _| faces(results) == Some(1));
    let mut blind = FaceWeights::embedded().unwrap();
    blind.metadata.threshold = 1.0;
    let file = common::file_of(&blind.to_bytes().unwrap());
    bench.element.set_property("face-model-file", file.to_str().unwrap());
    run_until(&mut bench, &picture, |results, _| faces(results) == Some(0));
    bench.element.set_property("face-model-file", "/no/such/file");
    assert!(warning(&bench).contains("/no/such/file"));
    assert_eq!(bench.element.property::<String>("face-model-file"), file.to_str().unwrap());
    bench.element.set_property("face-model-file", "");
    run_until(&mut bench, &picture, |results, _| faces(results) == Some(1));
}

#[test]
fn the_threshold_is_that_of_the_weights_or_ones_own() {
    let info = info(I420, 64, 64);
    let mut weights = common::weights(0.0, 0.0);
    weights.metadata.threshold = 0.4;
    for (threshold, smiling) in [("-1", true), ("0.6", false), ("0.45", true), ("0", true), ("1", false)] {
        let mut bench = Bench::new(&weights, &[("threshold", threshold)]).caps(&info);
        bench.run(flat(&info, GREY));
        assert_eq!(smiles(&bench.results()), Some(smiling), "{threshold}");
    }
}

#[test]
fn hysteresis_is_the_band_in_which_answers_stay() {
    let info = info(I420, 64, 64);
    for (hysteresis, changes) in [("0", 8), ("0.08", 8), ("0.2", 1)] {
        let properties = [("hysteresis", hysteresis), ("smoothing", "0")];
        let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
        for time in 0..8 {
            // Probabilities of about 0.55 and 0.46.
            let color = if time % 2 == 0 { [132.0; 3] } else { [124.0; 3] };
            bench.run(at(&flat(&info, color), 33 * time));
        }
        assert_eq!(bench.events().len(), changes, "{hysteresis}");
    }
}

#[test]
fn smoothing_is_a_time_in_the_stream() {
    let info = info(I420, 64, 64);
    let after = |smoothing: &str, frames: u64| {
        let properties = [("smoothing", smoothing), ("updates", "every-frame")];
        let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
        bench.run(at(&flat(&info, WHITE), 0));
        (1..=frames).for_each(|index| drop(bench.run(at(&flat(&info, BLACK), 200 * index / frames))));
        bench.results().last().unwrap().faces[0].probability
    };
    assert!(after("0", 1) < 0.01);
    // Weights of 1 / (1 + e⁻¹) for the new frame and the rest for the old one.
    assert!((after("0.2", 1) - 0.27).abs() < 0.01);
    assert!((after("10", 1) - 0.5).abs() < 0.01);
    assert!(after("0.2", 20) < after("0.2", 1), "each frame has its say");
}

/// Which of six frames of a picture a network looked at, and in which the face was seen.
fn looked_at(
    info: &gst_video::VideoInfo,
    picture: &gst::Buffer,
    properties: &[(&str, &str)],
) -> (Vec<bool>, Vec<bool>) {
    let properties: Vec<_> = [("updates", "every-frame")].iter().chain(properties).copied().collect();
    let mut bench = Bench::new(&common::always_smiling(), &properties).caps(info);
    (0..6).for_each(|index| drop(bench.run(at(picture, 33 * index))));
    let results = bench.results();
    assert!(results.iter().all(|results| results.faces.len() == 1), "{results:?}");
    for pair in results.windows(2).filter(|pair| pair[1].stale) {
        assert_eq!(pair[1].age, pair[0].age + gst::ClockTime::from_mseconds(33));
    }
    let seen = results.iter().map(|results| !results.faces[0].predicted).collect();
    (results.iter().map(|results| !results.stale).collect(), seen)
}

#[test]
fn between_inferences_answers_stay_and_say_so() {
    let info = info(I420, 64, 64);
    let grey = flat(&info, GREY);
    assert_eq!(looked_at(&info, &grey, &[]).0, [true; 6]);
    let third = [true, false, false, true, false, false];
    assert_eq!(looked_at(&info, &grey, &[("inference-interval", "3")]).0, third);
}

#[test]
fn between_detections_faces_are_predicted_and_say_so() {
    let (info, picture) = common::astronaut();
    let faces = ("region", "faces");
    let rarely = ("inference-interval", "100");
    let each = looked_at(&info, &picture, &[faces, rarely, ("detection-interval", "1")]);
    assert_eq!(each, (vec![true; 6], vec![true; 6]));
    let third = vec![true, false, false, true, false, false];
    let neither = looked_at(&info, &picture, &[faces, rarely, ("detection-interval", "3")]);
    assert_eq!(neither, (third.clone(), third.clone()));
    // Classified at predicted places: of this frame all the same.
    assert_eq!(looked_at(&info, &picture, &[faces, ("detection-interval", "3")]), (vec![true; 6], third));
    // After 150 ms faces are looked for, whatever the interval.
    let rare = looked_at(&info, &picture, &[faces, rarely, ("detection-interval", "100")]).1;
    assert_eq!(rare, [true, false, false, false, false, true]);
}

#[test]
fn small_faces_and_those_too_many_are_left_out() {
    let (info, picture) = common::astronaut();
    for (size, count) in [("0.1", 1), ("0.9", 0)] {
        let properties = [("region", "faces"), ("min-face-size", size)];
        let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
        bench.run(picture.clone());
        assert_eq!(bench.element.property::<u32>("num-faces"), count, "{size}");
    }
    for count in [1, 2, 5] {
        let most = count.to_string();
        let properties = [("region", "roi"), ("max-faces", most.as_str())];
        let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
        let mut input = picture.copy();
        for n in 0..5 {
            RegionMeta::add(input.make_mut(), "face", (30 * n, 20, 20 + n, 30));
        }
        bench.run(input);
        assert_eq!(bench.element.property::<u32>("num-faces"), count);
    }
}

#[test]
fn colors_are_what_is_drawn() {
    let info = info(Bgrx, 320, 240);
    for (weights, color) in
        [(common::always_smiling(), "smile-color"), (common::never_smiling(), "neutral-color")]
    {
        let count = |argb: &str| {
            let mut bench = Bench::new(&weights, &[(color, argb)]).caps(&info);
            let planes = common::pixels(&info, &bench.run(flat(&info, BLACK)));
            let area = planes.len() / 3;
            (0..area)
                .filter(|&i| planes[i] < 60 && planes[area + i] < 60 && planes[2 * area + i] > 150)
                .count()
        };
        assert!(count("0xff1020ff") > 100, "{color}");
        assert_eq!(count("0x001020ff"), 0, "{color} without alpha");
    }
}

#[test]
fn letters_are_as_large_as_asked_for() {
    let info = info(I420, 1280, 720);
    let height = |scale: &str| {
        let bench = Bench::new(&common::always_smiling(), &[("font-scale", scale)]);
        bench.draw_overlays_downstream();
        f64::from(rectangles(&bench.caps(&info).run(flat(&info, GREY)))[0].3)
    };
    let usual = height("1");
    assert!((height("0.5") / usual - 0.5).abs() < 0.1 && (height("1.5") / usual - 1.5).abs() < 0.1);
    assert!(height("10") < 720.0, "it has to fit");
}

#[test]
fn labels_are_in_any_language_and_stay_where_they_make_no_sense() {
    let info = info(I420, 320, 240);
    let labels = "нет улыбки|χαμόγελο 🙂";
    let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
    let before = bench.run(flat(&info, GREY));
    bench.element.set_property("labels", labels);
    let after = bench.run(flat(&info, GREY));
    assert!(common::bytes(&before) != common::bytes(&after), "the old label is drawn");
    for wrong in ["only one", "a|b|c", "no,yes", "a\nb\nc"] {
        bench.element.set_property("labels", wrong);
        assert!(warning(&bench).contains("where two labels belong"));
        assert_eq!(bench.element.property::<String>("labels"), labels);
    }
    bench.element.set_property("labels", labels.replace('|', "\n"));
    assert_eq!(bench.element.property::<String>("labels"), labels, "a newline does as well");
    bench.element.set_property_from_str("updates", "every-frame");
    bench.run(flat(&info, GREY));
    assert_eq!(bench.results().pop().unwrap().faces[0].label, "χαμόγελο 🙂");
    bench.element.set_property("labels", "");
    bench.run(flat(&info, GREY));
    assert_eq!(bench.results().pop().unwrap().faces[0].label, "Smiling");
}

#[test]
fn frames_in_a_second_are_shown_in_the_other_corner() {
    let info = info(I420, 320, 240);
    let bench = Bench::new(&common::always_smiling(), &[("display", "fps"), ("region", "roi")]);
    bench.draw_overlays_downstream();
    let mut bench = bench.caps(&info);
    let input = flat(&info, GREY);
    assert!(rectangles(&bench.run(input.clone())).is_empty(), "before the first second is over");
    run_until(&mut bench, &input, |_, output| !rectangles(output).is_empty());
    let [(x, y, width, height)] = rectangles(&bench.run(input.clone()))[..] else { panic!("one plate") };
    bench.element.set_property("font-scale", 0.9);
    assert_eq!(rectangles(&bench.run(input)).len(), 1, "other letters, the same number");
    assert!(x > 200 && x + width as i32 <= 320 && y >= 0 && height < 60, "{x} {y} {width} {height}");
}

#[test]
fn results_leave_only_by_the_ways_that_are_open() {
    let info = info(I420, 320, 240);
    for (metas, messages) in [(true, true), (false, true), (true, false)] {
        let mut bench = Bench::new(&common::bright_smiles(), &[("region", "roi")]).caps(&info);
        bench.element.set_property("attach-metas", metas);
        bench.element.set_property("post-messages", messages);
        let mut input = flat(&info, WHITE);
        RegionMeta::add(input.make_mut(), "face", (20, 20, 50, 50));
        let output = bench.run(input);
        assert_eq!(output.meta::<RegionMeta>().unwrap().param("smile").is_some(), metas);
        assert_eq!(!bench.messages().is_empty(), messages);
        assert!(bench.element.property::<bool>("smiling"), "this way is always open");
    }
}

#[test]
fn updates_on_face_come_with_each_frame_that_has_one() {
    let info = info(I420, 320, 240);
    let mut bench =
        Bench::new(&common::bright_smiles(), &[("region", "roi"), ("updates", "on-face")]).caps(&info);
    let mut events = Vec::new();
    for (time, there) in [false, false, true, true, false, false].into_iter().enumerate() {
        let mut input = at(&flat(&info, BLACK), 33 * time as u64);
        if there {
            RegionMeta::add(input.make_mut(), "face", (20, 20, 50, 50));
        }
        bench.run(input);
        events.push(bench.events().into_iter().map(|(event, _)| event).collect::<Vec<_>>());
    }
    let expected = [vec![Update], vec![], vec![FaceAppeared, Update], vec![Update], vec![FaceLost], vec![]];
    assert_eq!(events, expected);
}

/// A frame with regions that are white, for [`common::bright_smiles`], on black.
fn bright(info: &gst_video::VideoInfo, regions: &[(u32, u32, u32, u32)], time: u64) -> gst::Buffer {
    let white = |x: f64, y: f64| {
        let inside = |from: u32, len: u32, at: f64| (f64::from(from)..f64::from(from + len)).contains(&at);
        regions.iter().any(|&(left, top, width, height)| inside(left, width, x) && inside(top, height, y))
    };
    let mut buffer = at(&frame(info, |x, y| if white(x, y) { WHITE } else { BLACK }), time);
    for &region in regions {
        RegionMeta::add(buffer.make_mut(), "face", region);
    }
    buffer
}

#[test]
fn properties_and_signals_tell_of_changes_and_handlers_may_do_anything() {
    let info = info(I420, 320, 240);
    let properties = [("region", "roi"), ("smoothing", "0"), ("display", "0")];
    let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
    let (tell, told) = std::sync::mpsc::channel::<String>();
    // Reads and writes all that has a lock.
    let meddle = |element: &gst::Element| {
        element.list_properties().iter().for_each(|spec| drop(element.property_value(spec.name())));
        element.set_property("max-faces", 8u32);
        element.send_event(gst::event::Qos::builder(gst::QOSType::Underflow, 1.0, 0).build());
    };
    let handler = tell.clone();
    bench.element.connect_notify(Some("smiling"), move |element, _| {
        meddle(element);
        handler.send(format!("smiling {}", element.property::<bool>("smiling"))).unwrap();
    });
    let handler = tell.clone();
    bench.element.connect_notify(Some("num-faces"), move |element, _| {
        meddle(element);
        handler.send(format!("faces {}", element.property::<u32>("num-faces"))).unwrap();
    });
    bench.element.connect("smile-changed", false, move |values| {
        meddle(&values[0].get().unwrap());
        let (id, smiling) = (values[1].get::<u32>().unwrap(), values[2].get::<bool>().unwrap());
        let probability = values[3].get::<f64>().unwrap();
        tell.send(format!("{id} {smiling} {}", probability > 0.5)).unwrap();
        None
    });
    let region = (20, 20, 80, 80);
    let mut dark = at(&flat(&info, BLACK), 33);
    RegionMeta::add(dark.make_mut(), "face", region);
    // Black and white alike are flat for the eye that looks for cuts; so nothing is forgotten.
    for input in [bright(&info, &[region], 0), dark, at(&flat(&info, BLACK), 66)] {
        bench.run(input);
    }
    let told: Vec<String> = told.try_iter().collect();
    assert_eq!(told, ["faces 1", "smiling true", "1 true true", "smiling false", "1 false false", "faces 0"]);
}

#[test]
fn statistics_count_and_a_reset_begins_anew() {
    let info = info(I420, 64, 64);
    let properties = [("region", "roi"), ("inference-interval", "2")];
    let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
    let run = |bench: &mut Bench| {
        for time in 0..4 {
            bench.run(bright(&info, &[(8, 8, 40, 40)], 33 * time));
        }
        let stats = bench.element.property::<gst::Structure>("stats");
        let count = |name: &str| stats.get::<u64>(name).unwrap();
        assert!(
            count("inference-time-max") >= count("inference-time-mean") && count("inference-time-mean") > 0
        );
        assert_eq!(stats.get::<&str>("device"), Ok("cpu"));
        assert_eq!(stats.get::<u32>("faces"), Ok(1));
        [count("frames"), count("inferences"), count("skipped")]
    };
    assert_eq!(run(&mut bench), [4, 2, 0]);
    assert_eq!(bench.events(), [(FaceAppeared, 1), (SmileStarted, 1)]);
    bench.element.emit_by_name::<()>("reset", &[]);
    assert_eq!(run(&mut bench), [4, 2, 0]);
    assert_eq!(bench.events(), [(FaceLost, 1), (FaceAppeared, 2), (SmileStarted, 2)], "a stranger");
}
