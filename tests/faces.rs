//! The element and faces: regions that upstream found, metadata, identities, what is drawn.

mod common;

use common::{Bench, bytes, flat, frame, info, pixels, unpack};
use gst::prelude::*;
use gst_video::VideoFormat::*;
use gst_video::VideoOverlayCompositionMeta as OverlayMeta;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::smilefilter::Event::{self, *};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Region = (u32, u32, u32, u32);

const MID_GREY: [f64; 3] = [120.0; 3];
const LEFT: Region = (20, 60, 100, 120);
const RIGHT: Region = (200, 40, 100, 120);

/// Adds regions of a type to a buffer.
fn mark(mut buffer: gst::Buffer, roi_type: &str, regions: &[Region]) -> gst::Buffer {
    for &region in regions {
        RegionMeta::add(buffer.make_mut(), roi_type, region);
    }
    buffer
}

/// Sets the time of a frame.
fn at(mut buffer: gst::Buffer, milliseconds: u64) -> gst::Buffer {
    buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(milliseconds));
    buffer
}

/// Dark on the left, bright on the right.
fn halves(info: &gst_video::VideoInfo) -> gst::Buffer {
    let middle = f64::from(info.width()) / 2.0;
    frame(info, |x, _| if x < middle { [20.0; 3] } else { [240.0; 3] })
}

/// A region's answer: probability, smiling, identity.
fn answer(meta: &RegionMeta) -> Option<(f64, bool, u32)> {
    let smile = meta.param("smile")?;
    Some((smile.get("probability").unwrap(), smile.get("smiling").unwrap(), smile.get("identity").unwrap()))
}

fn bench(properties: &[(&str, &str)], info: &gst_video::VideoInfo) -> Bench {
    let properties: Vec<_> =
        [("region", "roi"), ("updates", "every-frame")].iter().chain(properties).copied().collect();
    Bench::new(&common::bright_smiles(), &properties).caps(info)
}

#[test]
fn of_two_faces_the_one_in_view_stays() {
    let info = info(I420, 320, 240);
    let mut bench = bench(&[("max-faces", "1")], &info);
    let mut seen = |time, regions: &[Region]| {
        bench.run(at(mark(flat(&info, MID_GREY), "face", regions), time));
        bench.results().pop().unwrap().faces.iter().map(|face| face.id).collect::<Vec<_>>()
    };
    let (large, small) = ((20, 20, 100, 100), (180, 20, 92, 92));
    assert_eq!(seen(0, &[large, small]), [1]);
    // The large one is away for a moment, and isn't so much larger that it would come back.
    assert_eq!(seen(33, &[small]), [2]);
    assert_eq!(seen(66, &[large, small]), [2]);
    assert_eq!(seen(99, &[large, small]), [2]);
}

#[test]
fn regions_of_upstream_get_their_answers_and_no_twins() {
    for format in [I420, Nv12, Bgrx, Gray8] {
        let info = info(format, 320, 240);
        for region in ["roi", "auto"] {
            let mut bench = bench(&[("region", region)], &info);
            let input = mark(halves(&info), "face", &[LEFT, RIGHT]);
            let held = input.clone();
            let output = bench.run(input);
            let answers: Vec<_> = output.iter_meta::<RegionMeta>().map(|meta| answer(&meta)).collect();
            let [Some((dark, false, 1)), Some((bright, true, 2))] = answers[..] else {
                panic!("{format:?} {region}: {answers:?}")
            };
            assert!(dark < 0.05 && bright > 0.95, "{dark} {bright}");
            assert!(held.iter_meta::<RegionMeta>().all(|meta| meta.params().next().is_none()));
            let results = &bench.results()[0];
            let places: Vec<_> = results.faces.iter().map(|f| (f.id, f.x, f.y, f.width, f.height)).collect();
            assert_eq!(places, [(1, 20, 60, 100, 120), (2, 200, 40, 100, 120)]);
            assert_eq!(results.faces[1].probability, bright);
            assert_eq!((results.faces[0].label.as_str(), results.faces[1].smiling), ("Not smiling", true));
        }
    }
}

#[test]
fn only_regions_of_the_type_asked_for_count() {
    let info = info(I420, 320, 240);
    let mut bench = bench(&[("roi-type", "face")], &info);
    let mut input = mark(halves(&info), "car", &[RIGHT]);
    // SAFETY: The buffer is ours alone. Safe code can't make a region without a type, but C can.
    unsafe {
        let buffer = input.make_mut().as_mut_ptr();
        gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(buffer, 0, 1, 2, 30, 40);
    }
    let output = bench.run(mark(input, "face", &[LEFT]));
    let answers: Vec<_> = output.iter_meta::<RegionMeta>().map(|meta| answer(&meta).is_some()).collect();
    assert_eq!(answers, [false, false, true]);
    assert_eq!(bench.results()[0].faces.len(), 1);
    bench.element.set_property("roi-type", "");
    bench.run(output);
    assert_eq!(bench.results()[0].faces.len(), 3, "all types");
}

#[test]
fn regions_that_stick_out_are_cut_and_those_of_nothing_ignored() {
    let info = info(I420, 320, 240);
    let regions =
        [(300, 200, 100, 100), (0, 0, u32::MAX, u32::MAX), (320, 0, 9, 9), (5, 5, 0, 9), (5, 5, 9, 0)];
    let mut bench = bench(&[("display", "0")], &info);
    let output = bench.run(mark(flat(&info, MID_GREY), "face", &regions));
    let answers: Vec<_> = output.iter_meta::<RegionMeta>().map(|meta| answer(&meta).is_some()).collect();
    assert_eq!(answers, [true, true, false, false, false]);
    let results = bench.results();
    let places: Vec<_> = results[0].faces.iter().map(|f| (f.x, f.y, f.width, f.height)).collect();
    assert_eq!(places, [(300, 200, 20, 40), (0, 0, 320, 240)]);
}

#[test]
fn of_any_number_of_regions_a_bounded_one_is_followed_the_largest() {
    use gstsmile::analysis::MOST_REGIONS;
    let info = info(I420, 640, 480);
    let regions: Vec<Region> = (0..20_000u32)
        .map(|n| {
            // A prime that leaves no order.
            let size = 10 + n * 7919 % 20_000 % 400;
            (n * 31 % 640, n * 17 % 480, size, size)
        })
        .collect();
    let properties = [("max-faces", "100000"), ("display", "0"), ("updates", "every-frame")];
    let mut bench = bench(&properties, &info);
    let (width, height) = (info.width(), info.height());
    let area = |&(x, y, across, down): &Region| across.min(width - x) * down.min(height - y);
    let mut largest: Vec<u32> = regions.iter().map(area).collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    for time in [0, 33, 66] {
        let output = bench.run(at(mark(flat(&info, MID_GREY), "face", &regions), time));
        let results = bench.results().pop().unwrap();
        let mut kept: Vec<u32> = results.faces.iter().map(|face| (face.width * face.height) as u32).collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(kept, largest[..MOST_REGIONS]);
        let answers = output.iter_meta::<RegionMeta>().filter(|meta| answer(meta).is_some()).count();
        assert_eq!(answers, MOST_REGIONS, "regions of upstream with an answer");
    }
    assert_eq!(bench.element.property::<u32>("num-faces"), MOST_REGIONS as u32);
}

#[test]
fn of_a_crowd_the_eight_largest_are_looked_at() {
    let info = info(I420, 640, 480);
    let regions: Vec<Region> = (0..12).map(|n| (50 * n, 200, 10 + 3 * n, 40)).collect();
    let mut bench = bench(&[], &info);
    let output = bench.run(mark(flat(&info, MID_GREY), "face", &regions));
    let answers: Vec<_> = output.iter_meta::<RegionMeta>().map(|meta| answer(&meta).is_some()).collect();
    assert_eq!(answers, [[false; 4].as_slice(), &[true; 8]].concat());
    assert_eq!(bench.results()[0].faces.len(), 8);
}

#[test]
fn the_weights_say_how_much_is_seen_around_a_face() {
    let info = info(I420, 320, 240);
    let dark_in_bright = || {
        let inside = |x: f64, y: f64| (100.0..200.0).contains(&x) && (60.0..160.0).contains(&y);
        mark(
            frame(&info, |x, y| if inside(x, y) { [0.0; 3] } else { [255.0; 3] }),
            "face",
            &[(100, 60, 100, 100)],
        )
    };
    for (margin, smiling) in [(0.0, false), (0.5, true)] {
        let mut weights = common::bright_smiles();
        weights.metadata.margin = margin;
        let mut bench = Bench::new(&weights, &[("region", "roi")]).caps(&info);
        bench.run(dark_in_bright());
        assert_eq!(bench.results()[0].faces[0].smiling, smiling, "margin {margin}");
    }
}

#[test]
fn without_a_face_nothing_is_drawn_and_the_message_has_none() {
    let info = info(I420, 320, 240);
    for region in ["roi", "auto", "faces"] {
        let mut bench = bench(&[("region", region), ("updates", "on-change")], &info);
        let input = flat(&info, MID_GREY);
        let before = bytes(&input);
        for time in [0, 33, 66] {
            let output = bench.run(at(input.clone(), time));
            assert!(bytes(&output) == before && output.iter_meta::<RegionMeta>().next().is_none());
        }
        let results = bench.results();
        assert_eq!(results.len(), 1, "{region}");
        assert!(results[0].faces.is_empty());
    }
}

#[test]
fn faces_that_come_and_go_are_changes_and_keep_their_identities() {
    let info = info(I420, 320, 240);
    let mut bench = bench(&[("updates", "on-change")], &info);
    let stages: [&[Region]; 6] = [&[], &[LEFT], &[LEFT, RIGHT], &[RIGHT, LEFT], &[RIGHT], &[RIGHT, LEFT]];
    let mut told = Vec::new();
    for (index, regions) in stages.iter().enumerate() {
        for frame in 0..3 {
            let time = 33 * (3 * index as u64 + frame);
            bench.run(at(mark(halves(&info), "face", regions), time));
            told.extend(bench.messages().into_iter().map(|results| {
                let ids = results.faces.iter().map(|face| face.id).collect();
                (index, frame, results.event, results.identity, ids)
            }));
        }
    }
    let expected: [(usize, u64, Event, u32, Vec<u32>); 6] = [
        (0, 0, Update, 0, vec![]),
        (1, 0, FaceAppeared, 1, vec![1]),
        (2, 0, FaceAppeared, 2, vec![1, 2]),
        (2, 0, SmileStarted, 2, vec![1, 2]),
        (4, 0, FaceLost, 1, vec![2]),
        (5, 0, FaceAppeared, 1, vec![1, 2]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_moving_region_is_the_same_face_and_a_steady_answer() {
    let info = info(I420, 640, 240);
    let mut bench = bench(&[("updates", "on-change")], &info);
    for index in 0..60u32 {
        // Brightness about the threshold, which alone would change the answer with every frame.
        let color = if index % 2 == 0 { [132.0; 3] } else { [124.0; 3] };
        let region = (8 * index, 60, 100, 120);
        let output = bench.run(at(mark(flat(&info, color), "face", &[region]), 33 * u64::from(index)));
        let meta = output.meta::<RegionMeta>().unwrap();
        assert_eq!(answer(&meta).unwrap().2, 1, "frame {index}");
        assert_eq!(meta.rect(), region);
    }
    assert_eq!(bench.events(), [(FaceAppeared, 1), (SmileStarted, 1)], "the answer wavers");
}

#[test]
fn what_was_before_a_break_is_forgotten_and_numbers_go_on() {
    let info = info(I420, 320, 240);
    let mut bench = bench(&[], &info);
    let input = || mark(halves(&info), "face", &[LEFT]);
    let identity = |bench: &mut Bench, buffer: gst::Buffer| {
        bench.run(buffer);
        bench.results().pop().unwrap().faces[0].id
    };
    assert_eq!(identity(&mut bench, at(input(), 1000)), 1);
    assert_eq!(identity(&mut bench, at(input(), 1033)), 1);
    assert_eq!(identity(&mut bench, at(input(), 500)), 2, "time goes backwards");
    assert_eq!(identity(&mut bench, at(input(), 9500)), 3, "a long break");
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::builder(true).build());
    bench.harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(identity(&mut bench, at(input(), 9533)), 4, "a flush");
    let other = gst_video::VideoInfo::builder(Nv12, 320, 240).fps((30, 1)).build().unwrap();
    bench = bench.caps(&other);
    assert_eq!(identity(&mut bench, at(mark(halves(&other), "face", &[LEFT]), 9566)), 5, "other caps");
    let mirrored = frame(&other, |x, _| if x < 160.0 { [240.0; 3] } else { [20.0; 3] });
    assert_eq!(identity(&mut bench, at(mark(mirrored, "face", &[LEFT]), 9600)), 6, "a cut");
}

#[test]
fn frames_without_times_are_followed() {
    let info = info(I420, 320, 240);
    let mut bench = bench(&[], &info);
    for _ in 0..5 {
        let mut input = mark(halves(&info), "face", &[LEFT, RIGHT]);
        input.make_mut().set_pts(gst::ClockTime::NONE);
        bench.run(input);
    }
    for results in bench.results() {
        assert_eq!(results.faces.iter().map(|face| face.id).collect::<Vec<_>>(), [1, 2]);
    }
}

/// The overlay's rectangles for regions, where downstream draws.
fn overlay(display: &str, info: &gst_video::VideoInfo, regions: &[Region]) -> Vec<(i32, i32, u32, u32)> {
    let bench = Bench::new(&common::bright_smiles(), &[("region", "roi"), ("display", display)]);
    bench.draw_overlays_downstream();
    let output = bench.caps(info).run(mark(flat(info, MID_GREY), "face", regions));
    let Some(meta) = output.meta::<OverlayMeta>() else { return Vec::new() };
    meta.overlay().iter().map(|rectangle| rectangle.render_rectangle()).collect()
}

#[test]
fn each_part_of_the_display_can_be_left_out() {
    let info = info(I420, 640, 480);
    let face = (200, 200, 120, 140);
    assert_eq!(overlay("0", &info, &[face]), []);
    let around = overlay("box", &info, &[face]);
    let (left, top) = (around.iter().map(|r| r.0).min(), around.iter().map(|r| r.1).min());
    let right = around.iter().map(|r| r.0 + r.2 as i32).max();
    let bottom = around.iter().map(|r| r.1 + r.3 as i32).max();
    assert_eq!([left, top, right, bottom], [200, 200, 320, 340].map(Some));
    let [label] = overlay("label", &info, &[face])[..] else { panic!() };
    let [bar] = overlay("bar", &info, &[face])[..] else { panic!() };
    let [both] = overlay("label+bar", &info, &[face])[..] else { panic!() };
    assert!(bar.3 < label.3 && label.3 < both.3, "{bar:?} {label:?} {both:?}");
    assert!(label.1 + label.3 as i32 <= 200, "the label is on the face");
    assert_eq!(overlay("label+box+bar", &info, &[face]).len(), around.len() + 1);
}

#[test]
fn what_is_drawn_shows_the_answer_and_touches_nothing_else() {
    for &format in common::formats() {
        let info = info(format, 321, 241);
        let regions = [LEFT, RIGHT];
        let drawn = overlay("label+box+bar", &info, &regions);
        let input = mark(halves(&info), "face", &regions);
        let before = pixels(&info, &input);
        let mut bench = bench(&[], &info);
        let after = pixels(&info, &bench.run(input));
        let (width, area) = (info.width() as usize, (info.width() * info.height()) as usize);
        for index in 0..area {
            let (x, y) = ((index % width) as i32, (index / width) as i32);
            // Neighbours share chroma, which is interpolated between samples.
            let more = if info.format_info().w_sub().contains(&2) { 6 } else { 2 };
            let covered = drawn.iter().any(|&(left, top, width, height)| {
                (left - more..left + width as i32 + more).contains(&x)
                    && (top - more..top + height as i32 + more).contains(&y)
            });
            let same =
                [0, 1, 2].iter().all(|plane| before[plane * area + index] == after[plane * area + index]);
            assert!(covered || same, "{format:?}: pixel {x}, {y}");
        }
        let at = |x: usize, y: usize| [0, 1, 2].map(|plane| i32::from(after[plane * area + y * width + x]));
        let [red, green, blue] = at(RIGHT.0 as usize + 50, RIGHT.1 as usize + 1);
        // A thin line has a share of chroma that is sampled more coarsely.
        let least = if info.format_info().w_sub().contains(&2) { 30 } else { 60 };
        let is_green = green > red + least && green > blue + least;
        assert!(info.is_gray() || is_green, "{format:?}: {red} {green} {blue}");
        let [red, green, blue] = at(LEFT.0 as usize + 50, LEFT.1 as usize + 1);
        assert!(red > 150 && green > 150 && blue > 150, "{format:?}: {red} {green} {blue}");
    }
}

/// A frame of noise, with all that lies between samples.
fn noise(info: &gst_video::VideoInfo) -> gst::Buffer {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut buffer = flat(info, MID_GREY);
    rng.fill(buffer.get_mut().unwrap().map_writable().unwrap().as_mut_slice());
    buffer
}

#[test]
fn beside_what_is_drawn_every_bit_stays() {
    for &format in common::formats() {
        let info = info(format, 321, 241);
        let drawn = overlay("label+box+bar", &info, &[LEFT, RIGHT]);
        let input = mark(noise(&info), "face", &[LEFT, RIGHT]);
        let (before, bits) = (unpack(&info, &input), bytes(&input));
        let output = bench(&[], &info).run(input);
        let after = unpack(&info, &output);
        // All pixels that share a sample with one that is drawn on.
        let share = |component: &[u32]| component.iter().take(3).max().copied().unwrap_or(0);
        let [across, down] = [info.format_info().w_sub(), info.format_info().h_sub()].map(share);
        let reach = |from: i32, len: u32, by: u32| {
            ((from >> by) << by)..((((from + len as i32 - 1) >> by) + 1) << by)
        };
        let covered = |x: i32, y: i32| {
            drawn.iter().any(|&(left, top, width, height)| {
                reach(left, width, across).contains(&x) && reach(top, height, down).contains(&y)
            })
        };
        let mut changed = 0;
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            let (x, y) = ((index % 321) as i32, (index / 321) as i32);
            assert!(before == after || covered(x, y), "{format:?}: pixel {x}, {y}: {before:?} {after:?}");
            changed += u32::from(before != after);
        }
        assert!(changed > 2000, "{format:?}: only {changed} pixels are drawn on");
        // Nor does anything change that isn't a pixel: each row has much that isn't drawn on.
        let changed = bits.iter().zip(bytes(&output)).filter(|(before, after)| *before != after).count();
        assert!(changed < bits.len() / 3, "{format:?}: {changed} of {} bytes", bits.len());
    }
}

#[test]
fn a_still_face_is_drawn_once_and_a_moving_one_again() {
    let info = info(I420, 640, 480);
    let bench = Bench::new(&common::bright_smiles(), &[("region", "roi")]);
    bench.draw_overlays_downstream();
    let mut bench = bench.caps(&info);
    let mut seqnum = |x: u32, time: u64| {
        let output = bench.run(at(mark(halves(&info), "face", &[(x, 100, 120, 150)]), time));
        output.meta::<OverlayMeta>().unwrap().overlay().seqnum()
    };
    let first = seqnum(100, 0);
    assert_eq!(seqnum(101, 33), first, "a pixel is no move");
    assert_ne!(seqnum(112, 66), first);
}

fn any_region() -> impl Strategy<Value = Region> {
    let value = prop_oneof![0u32..400, Just(u32::MAX), any::<u32>()];
    (value.clone(), value.clone(), value.clone(), value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_regions_on_any_frame_are_survived(
        width in 1u32..200,
        height in 1u32..200,
        frames in prop::collection::vec(prop::collection::vec(any_region(), 0..12), 1..5),
        par in prop::sample::select(vec![(1, 1), (2, 1), (8, 9), (1, 10)]),
        format in prop::sample::select(vec![I420, Yuy2, Bgrx]),
    ) {
        common::init();
        let info = gst_video::VideoInfo::builder(format, width, height).par(par).build().unwrap();
        let mut bench = bench(&[], &info);
        for (index, regions) in frames.iter().enumerate() {
            bench.run(at(mark(flat(&info, MID_GREY), "face", regions), 33 * index as u64));
            let results = bench.results().pop().expect("a frame without results");
            for face in results.faces {
                let inside = face.x >= 0
                    && face.y >= 0
                    && face.x + face.width <= width as i32
                    && face.y + face.height <= height as i32
                    && face.width > 0
                    && face.height > 0;
                prop_assert!(inside && face.id > 0, "{:?}", face);
            }
        }
        prop_assert!(bench.bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
    }
}
