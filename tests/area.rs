//! The property `area`: nothing outside of it is looked at.
#![cfg(feature = "train")]

mod common;

use std::path::Path;

use common::{Bench, flat, info};
use gst::prelude::*;
use gst_video::VideoFormat::*;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::model::{SmileWeights, Weights};
use gstsmile::smilefilter::{Event, Face};
use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const GREY: [u8; 3] = [128; 3];

/// NASA's portrait, so many pixels wide and high.
fn portrait(side: u32) -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
    let picture = image::open(path).unwrap().into_rgb8();
    image::imageops::resize(&picture, side, side, image::imageops::FilterType::Triangle)
}

/// Portraits of a size on a ground.
fn scene(mut ground: RgbImage, side: u32, places: &[(i64, i64)]) -> RgbImage {
    let portrait = portrait(side);
    places.iter().for_each(|&(x, y)| image::imageops::replace(&mut ground, &portrait, x, y));
    ground
}

fn grey() -> RgbImage {
    RgbImage::from_pixel(WIDTH, HEIGHT, image::Rgb(GREY))
}

fn noise(seed: u64) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    RgbImage::from_fn(WIDTH, HEIGHT, |_, _| image::Rgb([0; 3].map(|_| rng.random())))
}

fn bench(weights: &Weights, properties: &[(&str, &str)], frame: &RgbImage) -> Bench {
    let properties: Vec<_> =
        [("updates", "every-frame"), ("display", "0")].iter().chain(properties).copied().collect();
    let info = info(Rgb, frame.width(), frame.height());
    Bench::new(weights, &properties).caps(&info)
}

/// The faces of a frame at a time in milliseconds.
fn faces(bench: &mut Bench, frame: &RgbImage, time: u64) -> Vec<Face> {
    let mut buffer = gst::Buffer::from_mut_slice(frame.as_raw().clone());
    buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(time));
    bench.run(buffer);
    bench.results().pop().expect("an update").faces
}

#[test]
fn what_is_outside_changes_nothing() {
    let portrait = portrait(240);
    let built_in = SmileWeights::embedded().unwrap();
    for region in ["faces", "center", "full", "roi"] {
        // Where pixels outside were averaged in, or were in the margin around a face, the numbers would differ.
        let answers: Vec<Vec<Face>> = (0..3)
            .map(|seed| {
                let mut frame = noise(seed);
                image::imageops::replace(&mut frame, &portrait, 200, 120);
                // Odd places, and hardly any room around the face at its left.
                let area = "0.3953125,0.25416666,0.290625,0.49583333";
                let mut bench = bench(&built_in, &[("region", region), ("area", area)], &frame);
                let mut buffer = gst::Buffer::from_mut_slice(frame.into_raw());
                if region == "roi" {
                    RegionMeta::add(buffer.make_mut(), "face", (240, 150, 120, 140));
                }
                bench.run(buffer);
                bench.results().pop().unwrap().faces
            })
            .collect();
        assert_eq!(answers[0].len(), 1, "{region}");
        assert!(answers.iter().all(|faces| *faces == answers[0]), "{region}: {answers:?}");
        let Face { x, y, width, height, .. } = answers[0][0];
        let inside = x >= 253 && y >= 122 && x + width <= 439 && y + height <= 360;
        assert!(inside, "{region}: {:?}", answers[0]);
    }
}

#[test]
fn the_area_can_be_changed_while_frames_pass_and_faces_stay_who_they_are() {
    let frame = scene(grey(), 220, &[(20, 130), (400, 130)]);
    let mut bench =
        bench(&common::always_smiling(), &[("region", "faces"), ("detection-interval", "1")], &frame);
    let mut ids = |area: &str, time: u64| {
        bench.element.set_property("area", area);
        faces(&mut bench, &frame, time).iter().map(|face| (face.id, face.x > 320)).collect::<Vec<_>>()
    };
    let both = ids("", 0);
    let [(left, false), (right, true)] = both[..] else {
        let [(right, true), (left, false)] = both[..] else { panic!("{both:?}") };
        assert_eq!((left.min(right), left.max(right)), (1, 2));
        return;
    };
    assert_eq!(ids("0.5,0,0.5,1", 40), [(right, true)]);
    assert_eq!(ids("0,0,0.5,1", 80), [(left, false)]);
    assert_eq!(ids("0.45,0.2,0.1,0.6", 120), []);
    assert_eq!(ids("", 160), both);
}

#[test]
fn small_faces_in_an_area_are_found_as_in_the_whole_frame() {
    // A face of some 33 of 720 rows.
    let ground = RgbImage::from_pixel(1280, 720, image::Rgb(GREY));
    let frame = scene(ground, 72, &[(800, 300)]);
    let found = |least: &str, area: &str| {
        let properties = [("region", "faces"), ("min-face-size", least), ("area", area)];
        faces(&mut bench(&common::always_smiling(), &properties, &frame), &frame, 0)
    };
    let area = "0.575,0.333,0.16,0.28";
    assert_eq!(found("0.1", area), []);
    for area in ["", area] {
        let [face] = &found("0.04", area)[..] else { panic!("{area:?}: it isn't found") };
        assert!((810..835).contains(&face.x) && (300..330).contains(&face.y), "{face:?}");
        assert!((22..50).contains(&face.height), "{face:?}");
    }
}

#[test]
fn the_smallest_face_is_a_share_of_the_whole_frame() {
    // The face is a quarter of the frame's height, and half of the area's.
    let frame = scene(grey(), 240, &[(200, 120)]);
    for (least, count) in [("0.2", 1), ("0.35", 0)] {
        let properties = [("region", "faces"), ("min-face-size", least), ("area", "0.25,0.2,0.5,0.5")];
        let mut bench = bench(&common::always_smiling(), &properties, &frame);
        assert_eq!(faces(&mut bench, &frame, 0).len(), count, "{least}");
    }
}

#[test]
fn center_and_full_are_of_the_area() {
    let info = info(I420, 640, 480);
    for (region, expected) in [("center", (350, 100, 160, 160)), ("full", (320, 100, 220, 160))] {
        let area = "0.5,0.20833333,0.34375,0.3333334";
        let mut bench =
            Bench::new(&common::always_smiling(), &[("region", region), ("area", area)]).caps(&info);
        bench.run(flat(&info, [120.0; 3]));
        let face = &bench.results().pop().unwrap().faces[0];
        assert_eq!((face.x, face.y, face.width, face.height), expected, "{region}");
    }
}

#[test]
fn regions_outside_are_ignored_and_those_at_the_edge_cut_off() {
    let info = info(I420, 640, 480);
    let properties = [("region", "roi"), ("updates", "every-frame"), ("area", "0.5,0,0.5,1")];
    let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
    let mut input = flat(&info, [120.0; 3]);
    for region in [(100, 100, 100, 100), (270, 50, 100, 100), (400, 200, 80, 90), (0, 0, 320, 480)] {
        RegionMeta::add(input.make_mut(), "face", region);
    }
    let output = bench.run(input);
    let places: Vec<_> = bench.results()[0].faces.iter().map(|f| (f.x, f.y, f.width, f.height)).collect();
    assert_eq!(places, [(320, 50, 50, 100), (400, 200, 80, 90)]);
    let answered = output.iter_meta::<RegionMeta>().map(|meta| meta.param("smile").is_some());
    assert_eq!(answered.collect::<Vec<_>>(), [false, true, true, false]);
}

#[test]
fn an_area_that_is_none_is_refused_and_the_old_one_stays() {
    let info = info(I420, 64, 64);
    let mut bench = Bench::new(&common::always_smiling(), &[("area", "0.25,0.1,0.5,0.8")]).caps(&info);
    for bad in ["0.5", "0.5,0,0.6,1", "left", "0,0,0,0"] {
        bench.element.set_property("area", bad);
        let message = bench.bus.pop_filtered(&[gst::MessageType::Warning]).expect(bad);
        let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
        let text = warning.error().message().to_string();
        assert!(text.contains("area") && text.contains(bad) && text.contains("stays"), "{text}");
        assert_eq!(bench.element.property::<String>("area"), "0.25,0.1,0.5,0.8");
    }
    bench.run(flat(&info, [120.0; 3]));
    assert!(bench.messages().iter().any(|results| results.event == Event::SmileStarted));
    bench.element.set_property("area", "");
    assert_eq!(bench.element.property::<String>("area"), "");
}
