//! Analytics relation metas: what is told by them, and detections of upstream's. Needs the feature `analytics`.

mod common;

use common::{Bench, at, bytes, flat, info};
use gst_analytics::prelude::*;
use gst_analytics::{
    AnalyticsAnyMtd, AnalyticsClassificationMtd, AnalyticsODMtd, AnalyticsRelationMeta, AnalyticsTrackingMtd,
    RelTypes,
};
use gst_video::VideoFormat::*;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::smilefilter::Results;
use proptest::prelude::*;

const WHITE: [f64; 3] = [255.0; 3];

/// A detection as others read it.
#[derive(Clone, Debug, PartialEq)]
struct Detection {
    kind: String,
    place: [i32; 4],
    confidence: f32,
    /// The classifications that are related to it, by the flags that readers ask for: names with their probabilities.
    classes: Vec<Vec<(String, f32)>>,
    /// Number, first and last observation in milliseconds, and whether it is lost.
    tracks: Vec<(u64, u64, u64, bool)>,
}

fn detections(buffer: &gst::BufferRef) -> Vec<Detection> {
    let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else { return Vec::new() };
    let read = |detection: gst_analytics::AnalyticsMtdRef<AnalyticsODMtd>| {
        let id = detection.id();
        let at = detection.location().unwrap();
        let classes: Vec<_> = meta
            .iter_direct_related::<AnalyticsClassificationMtd>(id, RelTypes::RELATE_TO)
            .map(|class| {
                (0..class.len())
                    .map(|index| (class.quark(index).as_str().to_string(), class.level(index)))
                    .collect()
            })
            .collect();
        let contained = meta.iter_direct_related::<AnalyticsClassificationMtd>(id, RelTypes::CONTAIN);
        assert_eq!(contained.count(), classes.len(), "not for all readers");
        let tracks = meta.iter_direct_related::<AnalyticsTrackingMtd>(id, RelTypes::ANY).map(|track| {
            let (number, first, last, lost) = track.info();
            (number, first.mseconds(), last.mseconds(), lost)
        });
        Detection {
            kind: detection.obj_type().map_or(String::new(), |name| name.as_str().to_string()),
            place: [at.x, at.y, at.w, at.h],
            confidence: detection.confidence_level(),
            classes,
            tracks: tracks.collect(),
        }
    };
    meta.iter::<AnalyticsODMtd>().map(read).collect()
}

/// Adds a detection, as a detector upstream does, and returns its id.
fn detect(buffer: &mut gst::Buffer, kind: &str, [x, y, width, height]: [i32; 4]) -> u32 {
    let mut meta = AnalyticsRelationMeta::add(buffer.make_mut());
    meta.add_od_mtd(glib::Quark::from_str(kind), x, y, width, height, 0.625).unwrap().id()
}

#[test]
fn a_face_is_a_detection_with_an_answer_and_a_track() {
    let (info, picture) = common::astronaut();
    let mut bench = Bench::new(
        &gstsmile::model::SmileWeights::embedded().unwrap(),
        &[("region", "faces"), ("display", "0"), ("detection-interval", "1")],
    )
    .caps(&info);
    let outputs = [0, 40, 80].map(|time| bench.run(at(&picture, time)));
    for (index, output) in outputs.iter().enumerate() {
        let found = detections(output);
        let [detection] = &found[..] else { panic!("{found:?}") };
        let face = Results::from_buffer(output).unwrap().faces.remove(0);
        assert_eq!(detection.kind, "face");
        assert_eq!(detection.place, [face.x, face.y, face.width, face.height]);
        assert!((0.74..=1.0).contains(&detection.confidence), "{detection:?}");
        let [classes] = &detection.classes[..] else { panic!("{detection:?}") };
        let [(answer, level), (other, rest)] = &classes[..] else { panic!("{classes:?}") };
        assert_eq!([answer.as_str(), other], ["Smiling", "Not smiling"]);
        assert!((f64::from(*level) - face.probability).abs() < 1e-6 && (level + rest - 1.0).abs() < 1e-6);
        assert_eq!(detection.tracks, [(face.id.into(), 0, 40 * index as u64, false)]);
    }
    // Gone, and for a moment where it should be.
    let output = bench.run(at(&flat(&info, [0.0; 3]), 120));
    let found = detections(&output);
    let [Detection { tracks, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(*tracks, [(1, 0, 80, true)]);
}

#[test]
fn nothing_is_attached_that_nobody_wants() {
    let (info, picture) = common::astronaut();
    for properties in [[("attach-metas", "false")], [("region", "center")]] {
        let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
        let output = bench.run(at(&picture, 0));
        assert_eq!(detections(&output), [], "{properties:?}");
    }
}

#[test]
fn detections_of_upstream_are_faces() {
    let info = info(Gray8, 320, 240);
    let place = [80, 60, 40, 48];
    for (kind, roi_type, counts) in [
        ("face", "", true),
        ("Human face", "", true),
        ("person", "", false),
        ("person", "person", true),
        ("face", "person", false),
    ] {
        let mut bench =
            Bench::new(&common::bright_smiles(), &[("roi-type", roi_type), ("region", "roi")]).caps(&info);
        let mut input = at(&flat(&info, WHITE), 0);
        let id = detect(&mut input, kind, place);
        let output = bench.run(input);
        let found = detections(&output);
        let [detection] = &found[..] else { panic!("{kind} {roi_type}: {found:?}") };
        assert_eq!((detection.place, detection.confidence), (place, 0.625));
        assert_eq!(detection.classes.len(), usize::from(counts), "{kind} {roi_type}");
        assert_eq!(detection.tracks.len(), usize::from(counts));
        assert_eq!(
            output.meta::<AnalyticsRelationMeta>().unwrap().iter::<AnalyticsODMtd>().next().unwrap().id(),
            id
        );
        let regions: Vec<_> = output.iter_meta::<RegionMeta>().map(|meta| meta.rect()).collect();
        assert_eq!(regions, if counts { vec![(80, 60, 40, 48)] } else { vec![] }, "{kind} {roi_type}");
        if counts {
            let face = Results::from_buffer(&output).unwrap().faces.remove(0);
            assert!(face.smiling && face.region.is_some());
            assert_eq!([face.x, face.y, face.width, face.height], place);
        }
    }
}

#[test]
fn a_track_of_upstream_keeps_its_number() {
    let info = info(Gray8, 320, 240);
    let mut bench = Bench::new(&common::bright_smiles(), &[("region", "roi")]).caps(&info);
    let mut input = at(&flat(&info, WHITE), 40);
    let detection = detect(&mut input, "face", [80, 60, 40, 48]);
    {
        let mut meta = input.make_mut().meta_mut::<AnalyticsRelationMeta>().unwrap();
        let track = meta.add_tracking_mtd(4711, gst::ClockTime::from_mseconds(7)).unwrap().id();
        meta.set_relation(RelTypes::IS_PART_OF, track, detection).unwrap();
        meta.set_relation(RelTypes::RELATE_TO, detection, track).unwrap();
    }
    let found = detections(&bench.run(input));
    assert_eq!(found[0].tracks.iter().map(|track| track.0).collect::<Vec<_>>(), [4711]);
    assert_eq!(found[0].classes.len(), 1);
}

#[test]
fn a_region_of_interest_in_the_place_of_a_detection_is_the_same_face() {
    let info = info(Gray8, 320, 240);
    let mut bench = Bench::new(&common::bright_smiles(), &[("region", "roi")]).caps(&info);
    let mut input = at(&flat(&info, WHITE), 0);
    RegionMeta::add(input.make_mut(), "face", (200, 60, 40, 48));
    RegionMeta::add(input.make_mut(), "face", (80, 60, 40, 48));
    detect(&mut input, "face", [80, 60, 40, 48]);
    let output = bench.run(input);
    // One for each face, and the upstream one first.
    let found = detections(&output);
    let places: Vec<_> = found.iter().map(|detection| detection.place).collect();
    assert_eq!(places, [[80, 60, 40, 48], [200, 60, 40, 48]]);
    assert!(
        found.iter().all(|detection| detection.classes.len() == 1 && detection.tracks.len() == 1),
        "{found:?}"
    );
    assert_eq!(output.iter_meta::<RegionMeta>().count(), 2);
    assert_eq!(Results::from_buffer(&output).unwrap().faces.len(), 2);
}

#[test]
fn the_overlay_of_gstreamer_draws_the_answers() {
    common::init();
    if gst::ElementFactory::find("objectdetectionoverlay").is_none() {
        println!("There is no objectdetectionoverlay here; skipped.");
        return;
    }
    let (info, picture) = common::astronaut();
    let mut harness = gst_check::Harness::new_parse(
        "videoconvert ! smilefilter device=cpu display=0 ! objectdetectionoverlay ! videoconvert ! \
         capsfilter caps=video/x-raw,format=I420",
    );
    harness.set_src_caps(info.to_caps().unwrap());
    let output = harness.push_and_pull(at(&picture, 0)).unwrap();
    let face = Results::from_buffer(&output).unwrap().faces.remove(0);
    let (before, after) = (bytes(&picture), bytes(&output));
    let changed = |row: i32| {
        // Of the brightness, which comes first.
        let row = (row * info.width() as i32) as usize;
        let len = info.width() as usize;
        before[row..row + len]
            .iter()
            .zip(&after[row..row + len])
            .filter(|(a, b)| a.abs_diff(**b) > 40)
            .count()
    };
    // The box's upper edge, and nothing far below.
    let edge: usize = (face.y - 2..=face.y + 2).map(changed).sum();
    assert!(edge > face.width as usize / 2, "{edge} {face:?}");
    assert_eq!(changed(info.height() as i32 - 1), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 16 } else { 64 }))]
    #[test]
    fn any_detections_and_relations_are_survived_and_stay(
        places in prop::collection::vec(any::<[i32; 4]>(), 0..40),
        confidence in prop::num::f32::ANY,
        relations in prop::collection::vec((0..60u32, 0..60u32), 0..60),
        repeated in 0..3usize,
        mode in prop::sample::select(vec!["sync", "async"]),
    ) {
        let info = info(Gray8, 64, 48);
        let mut bench = Bench::new(&common::bright_smiles(), &[("region", "roi"), ("mode", mode)]).caps(&info);
        for time in [0, 40] {
            let mut input = at(&flat(&info, WHITE), time);
            {
                let mut meta = AnalyticsRelationMeta::add(input.make_mut());
                for [x, y, width, height] in places.iter().flat_map(|place| std::iter::repeat_n(*place, repeated + 1)) {
                    // GStreamer refuses some; what it takes we have to bear.
                    let _ = meta.add_od_mtd(glib::Quark::from_str("face"), x, y, width, height, confidence);
                    let _ = meta.add_tracking_mtd(u64::MAX, gst::ClockTime::ZERO);
                    let _ = meta.add_one_cls_mtd(confidence, glib::Quark::from_str("Smiling"));
                }
                for &(first, second) in &relations {
                    let _ = meta.set_relation(RelTypes::CONTAIN | RelTypes::IS_PART_OF, first, second);
                }
            }
            let count = |buffer: &gst::BufferRef| {
                buffer.meta::<AnalyticsRelationMeta>().map_or(0, |meta| meta.iter::<AnalyticsAnyMtd>().count())
            };
            let before = count(&input);
            let places_before: Vec<_> = detections_places(&input);
            let output = bench.run(input);
            prop_assert!(count(&output) >= before);
            // Faces are upstream's alone, and these are as they were.
            let places_after = detections_places(&output);
            if mode == "sync" {
                prop_assert_eq!(&places_before, &places_after);
            } else {
                prop_assert_eq!(&places_before[..], &places_after[..places_before.len()]);
            }
        }
    }
}

/// Where detections are, whatever they are.
fn detections_places(buffer: &gst::BufferRef) -> Vec<[i32; 4]> {
    let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else { return Vec::new() };
    let places = meta.iter::<AnalyticsODMtd>().filter_map(|detection| detection.location().ok());
    places.map(|at| [at.x, at.y, at.w, at.h]).collect()
}
