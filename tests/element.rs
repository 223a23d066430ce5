//! The element, frame by frame.

mod common;

use common::{Bench, bytes, flat, frame, info, pixels};
use gst::prelude::*;
use gst_video::VideoFormat::*;
use gst_video::VideoOverlayCompositionMeta as OverlayMeta;
use gstsmile::model::{Architecture, Block, Metadata, Weights, initial_tensors};
use gstsmile::smilefilter::Display;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const MID_GREY: [f64; 3] = [120.0; 3];

/// Where a label is expected on a frame: x, y, width and height, as the overlay itself says.
fn label_rectangle(weights: &Weights, info: &gst_video::VideoInfo) -> (i32, i32, u32, u32) {
    let bench = Bench::new(weights, &[]);
    bench.draw_overlays_downstream();
    let output = bench.caps(info).run(flat(info, MID_GREY));
    output.meta::<OverlayMeta>().unwrap().overlay().rectangle(0).unwrap().render_rectangle()
}

/// Counts pixels that `before` and `after` differ in: within a rectangle, and outside of it.
fn differences(
    (x, y, width, height): (i32, i32, u32, u32),
    info: &gst_video::VideoInfo,
    before: &[u8],
    after: &[u8],
) -> (usize, usize) {
    let (frame_width, area) = (info.width() as i32, (info.width() * info.height()) as usize);
    let (mut inside, mut outside) = (0, 0);
    for index in 0..area {
        if [0, 1, 2].iter().any(|plane| before[plane * area + index] != after[plane * area + index]) {
            let (column, row) = (index as i32 % frame_width, index as i32 / frame_width);
            // Neighbours share chroma, which is interpolated between samples.
            let more = if info.format_info().w_sub().contains(&2) { 6 } else { 2 };
            let across = (x - more..x + width as i32 + more).contains(&column);
            let down = (y - more..y + height as i32 + more).contains(&row);
            if across && down { inside += 1 } else { outside += 1 }
        }
    }
    (inside, outside)
}

/// Pixels that are bright and green, and bright and grey.
fn letters(info: &gst_video::VideoInfo, planes: &[u8]) -> (usize, usize) {
    let area = (info.width() * info.height()) as usize;
    let pixel = |index: usize| [0, 1, 2].map(|plane| i32::from(planes[plane * area + index]));
    let green = |[r, g, b]: [i32; 3]| g > 160 && g > r + 60 && g > b + 60;
    let grey = |[r, g, b]: [i32; 3]| g > 160 && (r - g).abs() < 12 && (b - g).abs() < 12;
    let count = |is: &dyn Fn([i32; 3]) -> bool| (0..area).filter(|&index| is(pixel(index))).count();
    (count(&green), count(&grey))
}

/// Where a buffer's bytes are in memory.
fn address(buffer: &gst::BufferRef) -> usize {
    buffer.map_readable().unwrap().as_ptr() as usize
}

#[test]
fn every_format_gets_its_label_and_nothing_else_changes() {
    // Those that are read most, in all ways, and the others in one.
    let (first, rest) = common::formats().split_at(19);
    let all = [((161, 121), true), ((161, 121), false), ((320, 87), true), ((320, 87), false)];
    for (formats, cases) in [(first, &all[..]), (rest, &all[..1])] {
        for &format in formats {
            for &((width, height), smiling) in cases {
                let info = info(format, width, height);
                let weights = if smiling { common::always_smiling() } else { common::never_smiling() };
                let rectangle = label_rectangle(&weights, &info);
                let input = flat(&info, MID_GREY);
                let before = pixels(&info, &input);
                let output = Bench::new(&weights, &[]).caps(&info).run(input);
                let after = pixels(&info, &output);
                let (inside, outside) = differences(rectangle, &info, &before, &after);
                let size = (rectangle.2 * rectangle.3) as usize;
                let name = format!("{format:?} {width}×{height} smiling {smiling}");
                assert!(inside > size / 2, "{name}: only {inside} of {size} pixels are drawn on");
                assert_eq!(outside, 0, "{name}: pixels next to the label");
                // Letters are narrower than chroma that four pixels share.
                if info.format_info().w_sub().contains(&2) {
                    continue;
                }
                let (green, grey) = letters(&info, &after);
                let (green, grey) = if info.is_gray() { (grey, grey) } else { (green, grey) };
                assert!(if smiling { green } else { grey } > size / 20, "{name}: {green} green, {grey} grey");
                assert!(info.is_gray() || smiling != (grey > size / 20), "{name}: the other colour shows");
            }
        }
    }
}

#[test]
fn labels_fit_frames_of_every_size_and_shape() {
    for (width, height) in [(64, 64), (48, 200), (1080, 1920), (3840, 2160), (200, 40)] {
        let info = info(I420, width, height);
        let (x, y, label_width, label_height) = label_rectangle(&common::never_smiling(), &info);
        assert!(x >= 0 && x as u32 + label_width <= width, "{width}×{height}: {x}+{label_width}");
        assert!(y >= 0 && y as u32 + label_height <= height, "{width}×{height}: {y}+{label_height}");
        assert!(label_height >= 10, "{width}×{height}: {label_height} is too low to read");
    }
    let tiny = info(I420, 8, 8);
    let output = Bench::new(&common::always_smiling(), &[]).caps(&tiny).run(flat(&tiny, MID_GREY));
    assert_eq!(bytes(&output), bytes(&flat(&tiny, MID_GREY)), "no room, yet something is drawn");
}

#[test]
fn letters_are_squeezed_where_pixels_are_wide() {
    let square = info(I420, 720, 576);
    let wide = gst_video::VideoInfo::builder(I420, 720, 576).par((2, 1)).build().unwrap();
    let (_, _, width, height) = label_rectangle(&common::never_smiling(), &square);
    let (_, _, wide_width, wide_height) = label_rectangle(&common::never_smiling(), &wide);
    assert_eq!(wide_height, height);
    assert!(wide_width.abs_diff(width / 2) <= 1, "{wide_width} is not half of {width}");
}

#[test]
fn downstream_that_draws_overlays_gets_them_and_no_pixel_is_copied() {
    let info = info(Nv12, 320, 240);
    let bench = Bench::new(&common::bright_smiles(), &[]);
    bench.draw_overlays_downstream();
    let mut bench = bench.caps(&info);
    let mut run = |color: [f64; 3]| {
        let input = flat(&info, color);
        let held = input.clone();
        let output = bench.run(input);
        assert_eq!(address(&output), address(&held), "the memory was copied");
        assert!(held.meta::<OverlayMeta>().is_none(), "the other holder's buffer has changed");
        assert_eq!(output.iter_meta::<OverlayMeta>().count(), 1);
        let overlay = output.meta::<OverlayMeta>().unwrap().overlay_owned();
        assert_eq!(overlay.n_rectangles(), 1);
        overlay
    };
    let (white, white_again, black) = (run([255.0; 3]), run([255.0; 3]), run([0.0; 3]));
    assert_eq!(white.seqnum(), white_again.seqnum(), "an unchanged label was drawn again");
    assert_ne!(white.seqnum(), black.seqnum(), "a changed label was not drawn again");
}

#[test]
fn caps_name_overlays_only_where_downstream_does() {
    let info = info(I420, 160, 120);
    let caps = info.to_caps().unwrap();
    let mut overlay_caps = caps.clone();
    let features = ["memory:SystemMemory", "meta:GstVideoOverlayComposition"];
    overlay_caps.make_mut().set_features(0, Some(gst::CapsFeatures::new(features)));
    let mut either = overlay_caps.clone();
    either.merge(caps.clone());
    let any = gst::Caps::new_any();
    for (downstream, expected) in
        [(&any, &caps), (&caps, &caps), (&overlay_caps, &overlay_caps), (&either, &overlay_caps)]
    {
        let mut bench = Bench::new(&common::always_smiling(), &[]);
        bench.harness.set_sink_caps(downstream.clone());
        let mut bench = bench.caps(&info);
        bench.run(flat(&info, MID_GREY));
        let negotiated = bench.harness.sinkpad().unwrap().current_caps().unwrap();
        assert!(negotiated.is_strictly_equal(expected), "{downstream} made it {negotiated}");
    }
}

#[test]
fn overlays_of_others_stay_next_to_ours() {
    let info = info(I420, 160, 120);
    let bench = Bench::new(&common::always_smiling(), &[]);
    bench.draw_overlays_downstream();
    let mut bench = bench.caps(&info);
    let first = bench.run(flat(&info, MID_GREY));
    let second = bench.run(first.clone());
    let overlay = |buffer: &gst::Buffer| buffer.meta::<OverlayMeta>().unwrap().overlay().n_rectangles();
    assert_eq!((overlay(&first), overlay(&second)), (1, 2));
}

#[test]
fn a_shared_buffer_is_labelled_without_a_change_for_its_other_holder() {
    for format in [I420, Yuy2, Bgrx] {
        let info = info(format, 161, 121);
        let input = flat(&info, MID_GREY);
        let (held, before) = (input.clone(), bytes(&input));
        let output = Bench::new(&common::always_smiling(), &[]).caps(&info).run(input);
        assert_eq!(bytes(&held), before, "{format:?}: the other holder sees the label");
        let alone = Bench::new(&common::always_smiling(), &[]).caps(&info).run(flat(&info, MID_GREY));
        assert_eq!(bytes(&output), bytes(&alone), "{format:?}: a shared buffer looks different");
        assert_eq!(output.pts(), held.pts());
    }
}

#[test]
fn an_empty_display_leaves_every_byte_where_it_is() {
    for &format in common::formats() {
        let info = info(format, 67, 45);
        let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
        bench.element.set_property("display", Display::empty());
        let input = flat(&info, MID_GREY);
        let (memory, before) = (address(&input), bytes(&input));
        let output = bench.run(input);
        assert_eq!(address(&output), memory, "{format:?}: the memory was copied");
        assert!(bytes(&output) == before, "{format:?}: bytes changed");
        assert_eq!(bench.results().len(), 1);
    }
}

#[test]
fn read_only_memory_is_looked_at_and_drawn_on_as_a_copy() {
    let info = info(Rgb, 160, 120);
    let data = vec![200; info.size()];
    for (display, label) in [(Display::empty(), false), (Display::LABEL, true)] {
        let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
        bench.element.set_property("display", display);
        let output = bench.run(gst::Buffer::from_slice(data.clone()));
        assert_eq!(bytes(&output) != data, label);
        assert_eq!(bench.results().len(), 1);
    }
}

#[test]
fn a_change_of_caps_in_the_stream_is_followed() {
    let mut bench = Bench::new(&common::bright_smiles(), &[]);
    for (format, width, height) in [(I420, 320, 240), (Bgrx, 161, 99), (Yuy2, 161, 99), (Gray8, 64, 512)] {
        let info = info(format, width, height);
        bench = bench.caps(&info);
        let output = bench.run(flat(&info, [255.0; 3]));
        let results = bench.results();
        assert_eq!(results.len(), 1, "{format:?}: a new format's first result is a change");
        let side = width.min(height) as i32;
        assert_eq!((results[0].faces[0].width, results[0].faces[0].height), (side, side));
        let expected = Bench::new(&common::bright_smiles(), &[]).caps(&info).run(flat(&info, [255.0; 3]));
        assert!(bytes(&output) == bytes(&expected), "{format:?}: looks different than in a fresh stream");
    }
}

#[test]
fn messages_say_when_and_where() {
    let info = info(Nv12, 320, 180);
    let mut bench = Bench::new(&common::always_smiling(), &[("updates", "every-frame")]).caps(&info);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(2));
    segment.set_time(gst::ClockTime::from_seconds(7));
    segment.set_base(gst::ClockTime::from_seconds(1));
    bench.harness.push_event(gst::event::Segment::new(&segment));
    let mut input = flat(&info, MID_GREY);
    input.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(2500));
    bench.run(input);
    let mut timeless = flat(&info, MID_GREY);
    timeless.get_mut().unwrap().set_pts(gst::ClockTime::NONE);
    timeless.get_mut().unwrap().set_duration(gst::ClockTime::NONE);
    bench.run(timeless);

    let results = bench.results();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0].timestamp, Some(gst::ClockTime::from_mseconds(2500)));
    assert_eq!(results[0].stream_time, Some(gst::ClockTime::from_mseconds(7500)));
    assert_eq!(results[0].running_time, Some(gst::ClockTime::from_mseconds(1500)));
    assert_eq!(results[0].duration, Some(gst::ClockTime::from_mseconds(40)));
    let [face] = &results[0].faces[..] else { panic!("{results:?}") };
    assert_eq!((face.x, face.y, face.width, face.height), (70, 0, 180, 180));
    assert_eq!((face.smiling, face.label.as_str()), (true, "Smiling"));
    assert!((face.probability - 0.952_574).abs() < 1e-4, "{face:?}");
    let times = (results[1].timestamp, results[1].stream_time, results[1].running_time, results[1].duration);
    assert_eq!(times, (None, None, None, None));
}

#[test]
fn labels_and_threshold_are_those_of_the_weights() {
    let info = info(I420, 64, 64);
    let mut weights = common::weights(0.0, 0.0);
    weights.metadata.labels = ["ernst".into(), "heiter".into()];
    for (threshold, smiling, label) in [(0.4, true, "heiter"), (0.6, false, "ernst")] {
        weights.metadata.threshold = threshold;
        let mut bench = Bench::new(&weights, &[]).caps(&info);
        bench.run(flat(&info, MID_GREY));
        let face = &bench.results()[0].faces[0];
        assert_eq!((face.smiling, face.label.as_str()), (smiling, label));
    }
}

#[test]
fn updates_come_as_often_as_asked_for() {
    let info = info(I420, 64, 64);
    let (white, black) = ([255.0; 3], [0.0; 3]);
    let stream = [white, white, black, black, black, white];
    for (updates, expected) in
        [("none", vec![]), ("on-change", vec![0, 2, 5]), ("every-frame", vec![0, 1, 2, 3, 4, 5])]
    {
        let mut bench = Bench::new(&common::bright_smiles(), &[("updates", updates)]).caps(&info);
        for (index, color) in stream.iter().enumerate() {
            let mut input = flat(&info, *color);
            input.get_mut().unwrap().set_pts(gst::ClockTime::from_seconds(index as u64));
            bench.run(input);
        }
        let results = bench.results();
        let seconds: Vec<u64> = results.iter().map(|r| r.timestamp.unwrap().seconds()).collect();
        assert_eq!(seconds, expected, "{updates}");
        assert!(
            results.iter().all(|r| r.faces[0].smiling != (2..5).contains(&r.timestamp.unwrap().seconds()))
        );
    }
}

#[test]
fn after_a_flush_the_first_result_is_a_change() {
    let info = info(I420, 64, 64);
    let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
    bench.run(flat(&info, MID_GREY));
    bench.run(flat(&info, MID_GREY));
    assert_eq!(bench.results().len(), 1);
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::builder(true).build());
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    bench.harness.push_event(gst::event::Segment::new(&segment));
    bench.run(flat(&info, MID_GREY));
    bench.run(flat(&info, MID_GREY));
    assert_eq!(bench.results().len(), 1);
}

#[test]
fn regions_are_what_they_say() {
    // White in the middle square, black beside it.
    let info = gst_video::VideoInfo::builder(I420, 400, 100).build().unwrap();
    let picture = || frame(&info, |x, _| if (150.0..250.0).contains(&x) { [255.0; 3] } else { [0.0; 3] });
    let mut bench = Bench::new(&common::bright_smiles(), &[("updates", "every-frame")]).caps(&info);
    bench.run(picture());
    bench.element.set_property_from_str("region", "full");
    bench.run(picture());
    let results = bench.results();
    let [center, full] = [0, 1].map(|index| &results[index].faces[0]);
    assert_eq!((center.smiling, center.x, center.width), (true, 150, 100));
    assert_eq!((full.smiling, full.x, full.width, full.height), (false, 0, 400, 100));
    // Pixels twice as wide as high: the square on the screen is half as many pixels wide.
    let wide = gst_video::VideoInfo::builder(I420, 400, 100).par((2, 1)).build().unwrap();
    let mut bench = Bench::new(&common::bright_smiles(), &[]).caps(&wide);
    bench.run(flat(&wide, MID_GREY));
    let results = bench.results();
    assert_eq!(
        (results[0].faces[0].x, results[0].faces[0].width, results[0].faces[0].height),
        (175, 50, 100)
    );
}

#[test]
fn gaps_pass_untouched() {
    let info = info(I420, 160, 120);
    let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
    let mut gap = gst::Buffer::new();
    gap.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    let output = bench.run(gap);
    assert!(output.flags().contains(gst::BufferFlags::GAP) && output.size() == 0);
    assert!(bench.results().is_empty() && bench.bus.pop().is_none());
}

#[test]
fn nothing_breaks_without_a_bus() {
    let info = info(I420, 160, 120);
    let mut bench = Bench::new(&common::always_smiling(), &[("updates", "every-frame")]).caps(&info);
    bench.element.set_bus(None);
    bench.run(flat(&info, MID_GREY));
    bench.run(flat(&info, MID_GREY));
}

#[test]
fn a_frame_that_cannot_be_read_passes_with_one_warning() {
    let info = info(I420, 160, 120);
    let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
    for _ in 0..3 {
        assert_eq!(bench.run(gst::Buffer::from_slice([7; 16])).size(), 16);
    }
    let warnings = std::iter::from_fn(|| bench.bus.pop_filtered(&[gst::MessageType::Warning])).count();
    assert_eq!(warnings, 1);
    bench.run(flat(&info, MID_GREY));
    assert_eq!(bench.results().len(), 1, "the stream does not recover");
}

#[test]
fn stopping_and_starting_again_begins_anew() {
    let info = info(I420, 160, 120);
    let weights = common::file(&common::always_smiling());
    common::init();
    let element = gst::ElementFactory::make("smilefilter")
        .property("model-file", weights.to_str().unwrap())
        .build()
        .unwrap();
    for _ in 0..3 {
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps(info.to_caps().unwrap());
        for _ in 0..2 {
            harness.push_and_pull(flat(&info, MID_GREY)).unwrap();
        }
        let messages = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Element])).count();
        assert_eq!(messages, 1, "the first result of each run is a change");
        drop(harness);
        assert_eq!(element.current_state(), gst::State::Null);
    }
    element.set_bus(None);
}

/// Runs into the error that these settings must give, and returns its text.
fn start_error(model_file: &str, device: &str) -> String {
    common::init();
    let element = gst::ElementFactory::make("smilefilter")
        .property("model-file", model_file)
        .property("device", device)
        .build()
        .unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    let errors: Vec<_> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error])).collect();
    element.set_state(gst::State::Null).unwrap();
    element.set_bus(None);
    assert_eq!(errors.len(), 1, "{errors:?}");
    let gst::MessageView::Error(error) = errors[0].view() else { unreachable!() };
    error.error().message().to_string()
}

#[track_caller]
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn bad_weights_end_the_start_with_one_message_that_says_what_to_do() {
    let remedy = "leave";
    assert_says(&start_error("/no/such/file", "cpu"), &["/no/such/file", "model-file", remedy]);
    let whole = common::always_smiling().to_bytes().unwrap();
    let mut incomplete = common::always_smiling();
    incomplete.tensors.remove("1.bias");
    let not_finite = common::weights(f32::NAN, 0.0);
    let conv = |filters, pool| Block::Conv { filters, kernel: 1, stride: 1, norm: false, relu: true, pool };
    let blocks =
        vec![conv(1024, false), conv(1, true), Block::Flatten, Block::Dense { units: 1, relu: false }];
    let architecture = Architecture { input: [3, 512, 512], blocks };
    let tensors = initial_tensors(&architecture, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let too_large = Weights { metadata: Metadata::new(architecture), tensors };
    for bytes in [
        b"GIF89a, not weights at all".to_vec(),
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        incomplete.to_bytes().unwrap(),
        not_finite.to_bytes().unwrap(),
        too_large.to_bytes().unwrap(),
    ] {
        let file = common::file_of(&bytes);
        let name = file.to_str().unwrap();
        assert_says(&start_error(name, "cpu"), &[name, "smile-train", remedy]);
    }
}

#[test]
fn a_device_that_is_not_there_ends_the_start_with_one_message_that_says_what_to_do() {
    assert_says(&start_error("", "cuda:99"), &["cuda:99", "device=cpu"]);
    assert_says(&start_error("", "abacus"), &["abacus", "auto", "cpu", "cuda:N"]);
}

#[test]
fn memory_that_cannot_be_read_is_refused() {
    let mut bench = Bench::new(&common::always_smiling(), &[]);
    let caps = "video/x-raw(memory:GLMemory),format=RGBA,width=64,height=64,framerate=30/1";
    bench.harness.set_src_caps_str(caps);
    let pushed = bench.harness.push(gst::Buffer::with_size(4 * 64 * 64).unwrap());
    assert_eq!(pushed, Err(gst::FlowError::NotNegotiated));
}
