//! The results on a buffer, and what is left of them behind other elements.

mod common;

use common::{Bench, at, bytes, flat, info};
use gst::meta::CustomMeta;
use gst_video::VideoFormat::*;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::smilefilter::{Event, Face, Results};
use proptest::prelude::*;

type Region = (u32, u32, u32, u32);

const WHITE: [f64; 3] = [255.0; 3];
const FACES: [Region; 2] = [(80, 60, 40, 48), (180, 60, 40, 48)];

fn mark(mut buffer: gst::Buffer, regions: &[Region]) -> gst::Buffer {
    for &region in regions {
        RegionMeta::add(buffer.make_mut(), "face", region);
    }
    buffer
}

/// What comes out of other elements behind the element, in the words of gst-launch-1.0, where [`FACES`] were marked.
fn behind(elements: &str) -> gst::Buffer {
    let info = info(I420, 320, 240);
    let weights = common::file(&common::bright_smiles());
    let mut harness = gst_check::Harness::new_parse(&format!(
        "smilefilter device=cpu region=roi display=0 source-id=door model-file={} ! {elements}",
        weights.display()
    ));
    harness.set_src_caps(info.to_caps().unwrap());
    // White, row by row: newer libvpx takes no frame with room between its rows.
    let mut white = vec![235; info.size()];
    white[info.offset()[1]..].fill(128);
    let input = mark(gst::Buffer::from_mut_slice(white), &FACES);
    for time in [0, 33, 66] {
        assert!(harness.push(at(&input, time)).is_ok(), "{elements}");
    }
    harness.push_event(gst::event::Eos::new());
    harness.pull().unwrap()
}

fn place(face: &Face) -> (i32, i32, i32, i32) {
    (face.x, face.y, face.width, face.height)
}

/// What the README says of results behind an element.
#[derive(Clone, Copy)]
enum Survives {
    /// All is as it was, the regions' answers too.
    Everything,
    /// Places are as wide and high as that times, and the regions have lost their answers.
    Scaled(f64, f64),
    /// Places are those of the frame that was analysed; from GStreamer 1.28 on, those of regions that the element moved.
    Analysed,
}

const BEHIND: [(&str, Survives); 16] = [
    ("identity", Survives::Everything),
    ("tee ! queue", Survives::Everything),
    ("videorate ! capsfilter caps=video/x-raw,framerate=60/1", Survives::Everything),
    ("videobalance saturation=0.5", Survives::Everything),
    ("timeoverlay", Survives::Everything),
    ("jpegenc ! jpegdec", Survives::Everything),
    ("theoraenc ! theoradec", Survives::Everything),
    ("vp8enc deadline=1 ! vp8dec", Survives::Everything),
    ("videoconvert ! capsfilter caps=video/x-raw,format=RGB", Survives::Scaled(1.0, 1.0)),
    ("videoscale ! capsfilter caps=video/x-raw,width=160,height=120", Survives::Scaled(0.5, 0.5)),
    (
        "videoconvert ! capsfilter caps=video/x-raw,format=RGB ! videoscale ! capsfilter caps=video/x-raw,width=640,height=240",
        Survives::Scaled(2.0, 1.0),
    ),
    ("videocrop left=40 top=20", Survives::Analysed),
    ("videobox left=40 top=20", Survives::Analysed),
    ("videoflip video-direction=horiz", Survives::Analysed),
    ("videoflip video-direction=90r", Survives::Analysed),
    ("alpha", Survives::Analysed),
];

#[test]
fn results_are_behind_other_elements_what_the_readme_says() {
    common::init();
    for (elements, survives) in BEHIND {
        let words = elements.split(" ! ").map(|element| element.split(' ').next().unwrap());
        if let Some(name) = words.into_iter().find(|name| gst::ElementFactory::find(name).is_none()) {
            println!("There is no {name} here: \"{elements}\" is left out.");
            continue;
        }
        let output = behind(elements);
        let results = Results::from_buffer(&output).unwrap_or_else(|| panic!("none behind {elements}"));
        assert_eq!((results.event, results.source.as_str()), (Event::Update, "door"), "{elements}");
        assert_eq!((results.width, results.height), (320, 240), "{elements}");
        assert!(results.faces.iter().all(|face| face.smiling && face.probability > 0.9), "{elements}");
        let ids: Vec<_> = results.faces.iter().map(|face| face.id).collect();
        assert_eq!(ids, [1, 2], "{elements}");
        let [across, down] = match survives {
            Survives::Scaled(across, down) => [across, down],
            _ => [1.0; 2],
        };
        let expected = FACES.map(|(x, y, width, height)| {
            let scale = |value: u32, by: f64| (f64::from(value) * by) as i32;
            (scale(x, across), scale(y, down), scale(width, across), scale(height, down))
        });
        let moved: Vec<_> = output.iter_meta::<RegionMeta>().map(|meta| meta.rect()).collect();
        let moves =
            matches!(survives, Survives::Analysed) && gst::version() >= (1, 28, 0, 0) && moved.len() == 2;
        let expected = if moves {
            moved
                .iter()
                .map(|&(x, y, width, height)| (x as i32, y as i32, width as i32, height as i32))
                .collect()
        } else {
            expected.to_vec()
        };
        assert_eq!(results.faces.iter().map(place).collect::<Vec<_>>(), expected, "{elements}");
        let (regions, answered) = match survives {
            Survives::Everything => (2, 2),
            Survives::Scaled(..) => (2, 0),
            Survives::Analysed if moves => (2, 0),
            Survives::Analysed => (0, 0),
        };
        assert_eq!(output.iter_meta::<RegionMeta>().count(), regions, "{elements}");
        assert_eq!(results.faces.iter().filter(|face| face.region.is_some()).count(), regions, "{elements}");
        let with_answer = output.iter_meta::<RegionMeta>().filter(|meta| meta.param("smile").is_some());
        assert_eq!(with_answer.count(), answered, "{elements}");
    }
}

#[test]
fn the_readme_has_a_row_for_all_that_is_tested() {
    let readme = include_str!("../README.md");
    for (elements, _) in BEHIND {
        for element in elements.split(" ! ").filter_map(|element| element.split(' ').next()) {
            assert!(element == "capsfilter" || readme.contains(&format!("`{element}`")), "{element}");
        }
    }
}

#[test]
fn landmarks_are_scaled_with_the_face() {
    let (info, picture) = common::astronaut();
    let run = |elements: &str| {
        let mut harness =
            gst_check::Harness::new_parse(&format!("smilefilter device=cpu display=0 ! {elements}"));
        harness.set_src_caps(info.to_caps().unwrap());
        let output = harness.push_and_pull(picture.clone()).unwrap();
        Results::from_buffer(&output).unwrap().faces.remove(0)
    };
    let (face, scaled) =
        (run("identity"), run("videoscale ! capsfilter caps=video/x-raw,width=128,height=512"));
    assert_eq!((scaled.x, scaled.y), (face.x / 2, face.y * 2));
    for ([x, y], [scaled_x, scaled_y]) in face.landmarks.unwrap().iter().zip(scaled.landmarks.unwrap()) {
        assert!((scaled_x - x / 2.0).abs() < 2.0 && (scaled_y - y * 2.0).abs() < 2.0, "{face:?} {scaled:?}");
    }
}

fn bench(properties: &[(&str, &str)], info: &gst_video::VideoInfo) -> Bench {
    let properties: Vec<_> = [("region", "roi"), ("updates", "every-frame"), ("display", "0")]
        .iter()
        .chain(properties)
        .copied()
        .collect();
    Bench::new(&common::bright_smiles(), &properties).caps(info)
}

#[test]
fn the_buffer_says_what_the_message_says() {
    let info = info(I420, 320, 240);
    for mode in ["sync", "async"] {
        let mut bench = bench(&[("mode", mode)], &info);
        // The third one is cut off at the frame's edges.
        let input = mark(flat(&info, WHITE), &[FACES[0], FACES[1], (300, 200, 4000, u32::MAX)]);
        let mut told = 0;
        while told < 3 {
            let output = bench.run(at(&input, 33 * told));
            // With mode=async, the first frames may have none.
            let Some(mut results) = bench.results().pop() else { continue };
            let on_buffer = Results::from_buffer(&output).unwrap();
            results.sequence = on_buffer.sequence;
            assert_eq!(on_buffer, results);
            assert!(results.stale || results.faces.len() == 3);
            let regions: Vec<_> = results.faces.iter().map(|face| face.region.is_some()).collect();
            assert!(regions == [true, true, false] || results.faces.is_empty(), "{results:?}");
            told += 1;
        }
    }
}

#[test]
fn no_meta_is_written_where_none_is_wanted() {
    let info = info(I420, 320, 240);
    let mut bench = bench(&[("attach-metas", "false")], &info);
    let output = bench.run(mark(flat(&info, WHITE), &FACES));
    assert_eq!(Results::from_buffer(&output), None);
    let faces = bench.results().pop().unwrap().faces;
    assert!(faces.len() == 2 && faces.iter().all(|face| face.region.is_none()));
    assert!(output.iter_meta::<RegionMeta>().all(|meta| meta.id() == 0));
}

#[test]
fn a_buffer_that_others_hold_gets_no_meta() {
    let info = info(I420, 320, 240);
    let input = mark(flat(&info, WHITE), &FACES);
    let held = input.clone();
    let output = bench(&[], &info).run(input);
    assert!(Results::from_buffer(&output).is_some() && Results::from_buffer(&held).is_none());
    assert!(bytes(&output) == bytes(&held));
}

#[test]
fn of_two_elements_the_last_one_counts() {
    let info = info(I420, 320, 240);
    let output = behind("smilefilter device=cpu region=full display=0 source-id=gate");
    let results = Results::from_buffer(&output).unwrap();
    assert_eq!((results.source.as_str(), results.faces.len()), ("gate", 1));
    assert_eq!(place(&results.faces[0]), (0, 0, info.width() as i32, info.height() as i32));
    let mut metas = 0;
    output.foreach_meta(|meta| {
        metas += u32::from(meta.try_as_custom_meta().is_some());
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(metas, 1);
}

#[test]
fn a_face_follows_its_region_by_an_id_that_is_its_own() {
    let info = info(I420, 320, 240);
    let mut input = flat(&info, WHITE);
    for (region, id) in FACES.into_iter().zip([7, -7]) {
        RegionMeta::add(input.make_mut(), "face", region).set_id(id);
    }
    let mut output = bench(&[], &info).run(input);
    let regions = |buffer: &gst::Buffer| -> Vec<_> {
        Results::from_buffer(buffer).unwrap().faces.iter().map(|face| (face.region, place(face).0)).collect()
    };
    assert_eq!(regions(&output), [(Some(7), 80), (Some(-7), 180)], "upstream's ids stay");
    // A second region of the same id elsewhere: which of them is the face?
    RegionMeta::add(output.make_mut(), "car", (1, 2, 3, 4)).set_id(7);
    RegionMeta::add(output.make_mut(), "face", FACES[1]).set_id(-7);
    assert_eq!(regions(&output), [(None, 80), (Some(-7), 180)]);
    // Nor can a region be larger than numbers are.
    let mut output = behind("identity");
    output.make_mut().iter_meta_mut::<RegionMeta>().for_each(|mut meta| meta.set_id(9));
    RegionMeta::add(output.make_mut(), "face", (u32::MAX, 1, u32::MAX, 1)).set_id(1);
    assert_eq!(regions(&output), [(Some(1), i32::MAX), (None, 180)]);
}

fn set(structure: &mut gst::StructureRef, name: &str, kind: u8) {
    match kind {
        0 => structure.set(name, -1i32),
        1 => structure.set(name, f64::NAN),
        2 => structure.set(name, "update"),
        3 => structure.set(name, gst::Array::new(vec![f64::INFINITY; 10_000])),
        4 => structure.set(name, gst::Array::new([gst::Structure::new_empty("face")])),
        5 => structure.set(name, u64::MAX),
        6 => structure.set(name, gst::List::new([1i32])),
        7 => structure.set(name, None::<String>),
        8 => structure.set(name, None::<gst::Structure>),
        _ => structure.remove_field(name),
    }
}

const NAMES: [&str; 15] = [
    "timestamp",
    "stream-time",
    "running-time",
    "duration",
    "utc",
    "source",
    "sequence",
    "event",
    "identity",
    "faces",
    "width",
    "height",
    "inference-time",
    "stale",
    "age",
];
const FACE_NAMES: [&str; 11] = [
    "id",
    "x",
    "y",
    "width",
    "height",
    "smiling",
    "probability",
    "label",
    "predicted",
    "region",
    "landmarks",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn metas_of_others_by_that_name_are_survived_and_replaced(
        fields in prop::collection::vec((0..NAMES.len(), 0u8..11), 0..6),
        of_face in prop::collection::vec((0..FACE_NAMES.len(), 0u8..11), 0..4),
        attach in any::<bool>(),
    ) {
        let info = info(I420, 64, 64);
        let mut input = mark(flat(&info, WHITE), &[(8, 8, 40, 40)]);
        {
            let face = Face { probability: 0.5, region: Some(0), ..Face::default() };
            let mut face = gst::Structure::from(&face);
            of_face.iter().for_each(|&(name, kind)| set(&mut face, FACE_NAMES[name], kind));
            let mut meta = CustomMeta::add(input.make_mut(), Results::META).unwrap();
            let structure = meta.mut_structure();
            for (name, value) in gst::Structure::from(&Results::default()).iter() {
                structure.set_value(name, value.clone());
            }
            structure.set("faces", gst::Array::new([face]));
            fields.iter().for_each(|&(name, kind)| set(structure, NAMES[name], kind));
        }
        // Whether or not it is one: all numbers are in their ranges, and it goes into JSON and back.
        if let Some(results) = Results::from_buffer(&input) {
            prop_assert!(results.faces.iter().all(|face| (0.0..=1.0).contains(&face.probability)));
            prop_assert_eq!(Results::from_json(&results.to_json()).unwrap(), results);
        }
        let mut bench = bench(&[("attach-metas", if attach { "true" } else { "false" })], &info);
        let foreign = Results::from_buffer(&input);
        let output = bench.run(at(&input, 0));
        let results = Results::from_buffer(&output);
        match attach {
            true => prop_assert_eq!(results.unwrap().faces[0].id, 1),
            false => prop_assert_eq!(results, foreign),
        }
        prop_assert!(bench.bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
    }
}

#[test]
fn any_number_of_regions_is_survived() {
    let mut output = behind("identity");
    for id in 0..20_000 {
        RegionMeta::add(output.make_mut(), "face", (1, 2, 3, 4)).set_id(id % 10_000);
    }
    let results = Results::from_buffer(&output).unwrap();
    assert!(results.faces.iter().all(|face| face.region.is_none()));
}
