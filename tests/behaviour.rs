//! The element among others: late frames, latency, threads, odd frames, states in any order.

mod common;

use std::time::{Duration, Instant};

use common::{Bench, at, bytes, flat, info};
use gst::prelude::*;
use gst_video::VideoFormat::*;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::smilefilter::Event::*;
use gstsmile::smilefilter::Results;
use rand::{RngExt, SeedableRng};

const GREY: [f64; 3] = [120.0; 3];
const WHITE: [f64; 3] = [255.0; 3];
const BLACK: [f64; 3] = [0.0; 3];

fn count(bench: &Bench, name: &str) -> u64 {
    bench.element.property::<gst::Structure>("stats").get(name).unwrap()
}

/// Tells the element from downstream that a frame was late (or early) by so many milliseconds.
fn tell_late(bench: &mut Bench, running_time: u64, by: i64) {
    let event = gst::event::Qos::builder(gst::QOSType::Underflow, 1.5, 1_000_000 * by)
        .timestamp(gst::ClockTime::from_mseconds(running_time));
    assert!(bench.harness.push_upstream_event(event.build()));
    let upstream = std::iter::from_fn(|| bench.harness.try_pull_upstream_event());
    assert!(upstream.last().is_some_and(|event| event.type_() == gst::EventType::Qos), "upstream isn't told");
}

/// Waits until the element has done something on another thread.
#[track_caller]
fn wait(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn late_frames_pass_with_the_last_result_and_without_inference() {
    let info = info(I420, 64, 64);
    let properties = [("updates", "every-frame"), ("smoothing", "0")];
    let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
    let run = |bench: &mut Bench, time: u64| {
        let output = bench.run(at(&flat(&info, if time == 0 { WHITE } else { BLACK }), time));
        assert_eq!(output.pts(), Some(gst::ClockTime::from_mseconds(time)));
        let results = bench.results().pop().unwrap();
        (results.stale, results.faces[0].smiling, results.age.mseconds())
    };
    assert_eq!(run(&mut bench, 0), (false, true, 0));
    tell_late(&mut bench, 0, 100);
    assert_eq!(run(&mut bench, 40), (true, true, 40));
    assert_eq!(run(&mut bench, 80), (true, true, 80));
    assert_eq!(run(&mut bench, 120), (false, false, 0), "as far as it was late");
    tell_late(&mut bench, 120, -10);
    assert!(!run(&mut bench, 160).0, "early is not late");
    tell_late(&mut bench, 160, 60_000);
    let stale: Vec<bool> = (1..=60).map(|frame| run(&mut bench, 160 + 40 * frame).0).collect();
    let looks = stale.iter().filter(|stale| !*stale).count();
    assert_eq!(looks, 2, "a look a second, however late: {stale:?}");
    assert_eq!(count(&bench, "skipped"), 2 + 58);
    bench.element.set_property("qos", false);
    assert!(!run(&mut bench, 2600).0, "nobody asked for it");
}

#[test]
fn only_a_latency_of_more_than_a_frame_is_reported() {
    let info = |fps: i32| gst_video::VideoInfo::builder(I420, 64, 64).fps((fps, 1)).build().unwrap();
    for (fps, mode, reported) in [(1, "sync", false), (i32::MAX, "sync", true), (i32::MAX, "async", false)] {
        let info = info(fps);
        let mut bench = Bench::new(&common::always_smiling(), &[("mode", mode)]).caps(&info);
        (0..90).for_each(|time| drop(bench.run(at(&flat(&info, GREY), time))));
        let latency = bench.harness.query_latency();
        assert_eq!(latency.is_some_and(|latency| latency > gst::ClockTime::ZERO), reported, "{fps} {mode}");
        let message = bench.bus.pop_filtered(&[gst::MessageType::Latency]);
        assert_eq!(message.is_some(), reported, "{fps} {mode}");
    }
}

#[test]
fn in_async_frames_carry_the_newest_result_there_is_and_none_is_kept() {
    let info = info(I420, 64, 64);
    let properties = [("mode", "async"), ("updates", "every-frame"), ("smoothing", "0"), ("display", "0")];
    let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
    assert!(bench.run(at(&flat(&info, WHITE), 0)).is_writable(), "the element holds the frame");
    assert!(bench.messages().is_empty(), "nothing is known yet");
    wait(|| count(&bench, "inferences") == 1);
    let mut output = bench.run(at(&flat(&info, BLACK), 40));
    assert!(output.make_mut().peek_memory_mut(0).is_ok_and(|memory| memory.map_writable().is_ok()));
    let results = bench.results().pop().unwrap();
    assert!(results.faces[0].smiling && results.stale, "{results:?}");
    assert_eq!(results.age.mseconds(), 40);
    wait(|| count(&bench, "inferences") == 2);
    bench.run(at(&flat(&info, WHITE), 80));
    assert!(!bench.results().pop().unwrap().faces[0].smiling);
    let sum = |bench: &Bench| count(bench, "inferences") + count(bench, "skipped");
    for time in 3..50 {
        bench.run(at(&flat(&info, WHITE), 40 * time));
    }
    wait(|| sum(&bench) == 50);
}

#[test]
fn in_async_an_earlier_result_finds_its_region_again() {
    let info = info(I420, 320, 240);
    let properties = [("mode", "async"), ("region", "roi"), ("display", "0")];
    let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
    let marked = |regions: &[(u32, u32, u32, u32)], time: u64| {
        let mut buffer = at(&flat(&info, WHITE), time);
        for &region in regions {
            RegionMeta::add(buffer.make_mut(), "face", region);
        }
        buffer
    };
    let face = (200, 60, 100, 100);
    bench.run(marked(&[face], 0));
    wait(|| count(&bench, "inferences") == 1);
    let output = bench.run(marked(&[(0, 0, 50, 50), (205, 60, 100, 100)], 40));
    let told: Vec<bool> =
        output.iter_meta::<RegionMeta>().map(|meta| meta.param("smile").is_some()).collect();
    assert_eq!(told, [false, true]);
}

#[test]
fn in_async_the_end_of_the_stream_waits_for_the_last_frame() {
    let info = info(I420, 64, 64);
    for _ in 0..20 {
        let properties = [("mode", "async"), ("smoothing", "0")];
        let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
        bench.run(at(&flat(&info, BLACK), 0));
        bench.run(at(&flat(&info, WHITE), 5000));
        bench.harness.push_event(gst::event::Eos::new());
        let last: Results = bench.messages().pop().unwrap();
        assert_eq!((last.event, last.stale), (SmileStarted, false));
        assert_eq!(last.timestamp, Some(gst::ClockTime::from_seconds(5)));
    }
}

#[test]
fn in_async_a_flush_leaves_nothing_of_before() {
    let info = info(I420, 64, 64);
    let mut bench = Bench::new(&common::bright_smiles(), &[("mode", "async")]).caps(&info);
    for round in 0..50u64 {
        bench.run(at(&flat(&info, WHITE), 0));
        bench.run(at(&flat(&info, WHITE), 40));
        bench.harness.push_event(gst::event::FlushStart::new());
        bench.harness.push_event(gst::event::FlushStop::builder(true).build());
        bench.harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        bench.messages();
        bench.run(at(&flat(&info, BLACK), 0));
        assert!(bench.messages().is_empty(), "round {round}: of the frame before the flush");
        bench.harness.push_event(gst::event::FlushStart::new());
        bench.harness.push_event(gst::event::FlushStop::builder(true).build());
        bench.harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    }
}

#[test]
fn a_change_of_caps_in_async_draws_nothing_of_the_old_size() {
    let large = info(I420, 640, 480);
    let small = info(Yuy2, 64, 64);
    let mut bench = Bench::new(&common::always_smiling(), &[("mode", "async")]).caps(&large);
    bench.run(flat(&large, GREY));
    wait(|| count(&bench, "inferences") == 1);
    bench = bench.caps(&small);
    let input = flat(&small, GREY);
    assert!(bytes(&bench.run(input.clone())) == bytes(&input));
    wait(|| count(&bench, "inferences") == 2);
    bench.run(input);
    let results = bench.results().pop().unwrap();
    assert_eq!((results.faces[0].width, results.faces[0].height), (64, 64));
}

#[test]
fn flags_of_buffers_stay_and_do_not_disturb() {
    use gst::BufferFlags;
    let info = info(I420, 320, 240);
    let mut bench = Bench::new(&common::bright_smiles(), &[("region", "roi")]).caps(&info);
    for (index, flags) in
        [BufferFlags::DROPPABLE, BufferFlags::DISCONT, BufferFlags::RESYNC, BufferFlags::CORRUPTED]
            .into_iter()
            .enumerate()
    {
        let mut input = at(&flat(&info, WHITE), 33 * index as u64);
        RegionMeta::add(input.make_mut(), "face", (20, 20, 100, 100));
        input.make_mut().set_flags(flags);
        assert!(bench.run(input).flags().contains(flags));
    }
    assert_eq!(bench.events(), [(FaceAppeared, 1), (SmileStarted, 1)], "the same face all the time");
}

#[test]
fn a_repeated_picture_gets_the_last_answer_without_another_look() {
    let info = info(I420, 320, 240);
    for mode in ["sync", "async"] {
        let properties = [("updates", "every-frame"), ("mode", mode)];
        let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
        let picture = flat(&info, WHITE);
        bench.run(at(&picture, 0));
        wait(|| count(&bench, "inferences") == 1);
        bench.results();
        // After a flush, nothing is known that could be repeated.
        bench.element.emit_by_name::<()>("reset", &[]);
        let mut first = at(&picture, 33);
        first.make_mut().set_flags(gst::BufferFlags::GAP);
        bench.run(first);
        wait(|| count(&bench, "inferences") == 1);
        bench.results();
        let mut repeated = at(&picture, 66);
        repeated.make_mut().set_flags(gst::BufferFlags::GAP);
        let output = bench.run(repeated);
        assert!(bytes(&output) != bytes(&picture), "{mode}: without a label");
        assert!(!output.flags().contains(gst::BufferFlags::GAP), "{mode}: there is a label in it");
        let results = bench.results();
        assert!(results[0].faces[0].smiling && results[0].stale, "{mode}: {results:?}");
        assert_eq!((count(&bench, "inferences"), count(&bench, "skipped")), (1, 0), "{mode}");
    }
}

#[test]
fn a_frame_that_cannot_be_read_does_not_use_up_a_fresh_start() {
    let info = info(I420, 64, 64);
    let picture = |time| {
        let mut buffer = at(&flat(&info, WHITE), time);
        RegionMeta::add(buffer.make_mut(), "face", (10, 10, 40, 40));
        buffer
    };
    for mode in ["sync", "async"] {
        let properties = [("mode", mode), ("updates", "every-frame"), ("region", "roi")];
        let mut bench = Bench::new(&common::always_smiling(), &properties).caps(&info);
        bench.run(picture(0));
        wait(|| count(&bench, "inferences") == 1);
        bench.element.emit_by_name::<()>("reset", &[]);
        bench.run(gst::Buffer::from_slice([7; 16]));
        bench.run(picture(33));
        wait(|| count(&bench, "inferences") == 1);
        bench.run(picture(66));
        let results = bench.results().pop().unwrap();
        assert_eq!(results.faces[0].id, 2, "{mode}: the face of before");
    }
}

#[test]
fn settings_for_the_next_start_do_not_disturb_this_one() {
    let mut bench = Bench::new(&common::always_smiling(), &[("mode", "async"), ("updates", "every-frame")])
        .caps(&info(I420, 64, 64));
    bench.element.set_property_from_str("mode", "sync");
    let larger = info(I420, 128, 96);
    bench = bench.caps(&larger);
    bench.run(flat(&larger, WHITE));
    wait(|| count(&bench, "inferences") == 1);
    // A device that isn't there is no reason against another model.
    bench.element.set_property("device", "cuda:99");
    let file = common::file(&common::never_smiling());
    bench.element.set_property("model-file", file.to_str().unwrap());
    common::run_until(&mut bench, &flat(&larger, WHITE), |results, _| common::smiles(results) == Some(false));
    assert_eq!(
        bench.bus.pop_filtered(&[gst::MessageType::Warning]).map(|message| format!("{message:?}")),
        None
    );
}

#[test]
fn after_a_start_that_failed_files_are_only_read_by_the_next_one() {
    common::init();
    let element = gst::ElementFactory::make("smilefilter").property("device", "cpu").build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    for file in ["/no/such/file", "/nor/this/one"] {
        element.set_property("model-file", file);
        // Time for a loader to read it, if there were one.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(element.property::<String>("model-file"), file);
        assert!(element.set_state(gst::State::Paused).is_err(), "a start without weights");
        element.set_state(gst::State::Null).unwrap();
        let message = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]).unwrap();
        assert!(
            matches!(message.view(), gst::MessageView::Error(error) if error.error().message().contains(file))
        );
    }
    element.set_bus(None);
}

#[test]
fn rows_of_any_length_are_read() {
    for format in [Gray8, Rgb, I420, Nv12, Yuy2, Rgba] {
        let info = info(format, 63, 45);
        for extra in [1, 3, 7] {
            let planes = info.n_planes() as usize;
            let strides: Vec<i32> = (0..planes).map(|plane| info.stride()[plane] + extra).collect();
            let (mut offsets, mut size) = (Vec::new(), 1);
            for stride in &strides {
                offsets.push(size);
                size += 46 * *stride as usize + 5;
            }
            let mut buffer = gst::Buffer::from_mut_slice(vec![200; size]);
            let writable = buffer.get_mut().unwrap();
            writable.set_pts(gst::ClockTime::ZERO);
            let flags = gst_video::VideoFrameFlags::empty();
            gst_video::VideoMeta::add_full(writable, flags, format, 63, 45, &offsets, &strides).unwrap();
            let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
            let output = bench.run(buffer.clone());
            assert_eq!(bench.results().len(), 1, "{format:?} + {extra}");
            assert!(bytes(&output) != bytes(&buffer), "{format:?} + {extra}: nothing is drawn");
            assert!(bench.bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
        }
    }
}

/// Memory behind a file descriptor, as cameras and decoders hand it out: a file stands for the device.
#[cfg(target_os = "linux")]
#[test]
fn memory_behind_a_file_descriptor_is_mapped() {
    use gst_allocators::DmaBufAllocator;
    use gst_allocators::prelude::*;
    use std::io::Write;
    let info = info(Nv12, 320, 240);
    let size = info.size();
    let bright = vec![235; size];
    for (mode, drawn) in [("sync", true), ("async", false)] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bright).unwrap();
        // SAFETY: The descriptor is the file's own, which has `size` bytes and is given away.
        let memory = unsafe { DmaBufAllocator::new().alloc_dmabuf(file, size) }.unwrap();
        let mut buffer = gst::Buffer::new();
        buffer.make_mut().append_memory(memory);
        let mut bench = Bench::new(&common::bright_smiles(), &[("mode", mode)]).caps(&info);
        let output = bench.run(buffer);
        assert!(output.peek_memory(0).is_memory_type::<gst_allocators::DmaBufMemory>(), "{mode}: a copy");
        assert_eq!(bytes(&output) != bright, drawn, "{mode}");
        bench.harness.push_event(gst::event::Eos::new());
        assert!(bench.results().pop().expect(mode).faces[0].smiling, "{mode}");
    }
}

#[test]
fn rows_that_lie_outside_of_the_buffer_are_left_alone() {
    let info = info(Nv12, 64, 48);
    let input = flat(&info, WHITE);
    let [luma, chroma] = [0, 1].map(|plane| input.meta::<gst_video::VideoMeta>().unwrap().offset()[plane]);
    let stride = info.stride()[0];
    for (format, offsets, strides, words) in [
        (Nv12, [luma, chroma], [stride, 1 << 24], "outside"),
        (Nv12, [luma, input.size() - 10], [stride; 2], "outside"),
        (Nv12, [luma, chroma], [-stride, stride], "backwards"),
        (Nv21, [luma, chroma], [stride; 2], "NV21"),
    ] {
        let mut buffer = gst::Buffer::from_mut_slice(bytes(&input));
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_full(buffer.make_mut(), flags, format, 64, 48, &offsets, &strides).unwrap();
        for mode in ["sync", "async"] {
            let mut bench = Bench::new(&common::always_smiling(), &[("mode", mode)]).caps(&info);
            assert!(bytes(&bench.run(buffer.copy())) == bytes(&input), "{words}, {mode}");
            let warning = bench.bus.pop_filtered(&[gst::MessageType::Warning]).expect(words);
            let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
            assert!(warning.debug().is_some_and(|debug| debug.contains(words)), "{warning:?}");
        }
    }
}

#[test]
fn video_that_is_not_one_picture_a_buffer_is_refused_in_plain_words() {
    use gst_video::{VideoInterlaceMode, VideoMultiviewMode};
    let builder = || gst_video::VideoInfo::builder(I420, 64, 64).fps((30, 1));
    let interlaced = |mode| builder().interlace_mode(mode).build().unwrap();
    let views = |mode| builder().multiview_mode(mode).build().unwrap();
    for (info, words) in [
        (interlaced(VideoInterlaceMode::Fields), "deinterlace"),
        (views(VideoMultiviewMode::FrameByFrame), "side-by-side"),
        (views(VideoMultiviewMode::MultiviewFrameByFrame), "multiview-mode"),
    ] {
        let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
        let pushed = bench.harness.push(gst::Buffer::with_size(info.size()).unwrap());
        assert_eq!(pushed, Err(gst::FlowError::NotNegotiated), "{words}");
        let error = bench.bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        assert!(error.error().message().contains(words), "{error:?}");
    }
    // Whether or not what comes behind would take them.
    for behind in ["", " ! video/x-raw"] {
        let line = format!(
            "fakesrc num-buffers=2 sizetype=fixed sizemax=6144 \
             ! video/x-raw(format:Interlaced),interlace-mode=alternate,format=I420,width=64,height=64,framerate=30/1 \
             ! smilefilter{behind} ! fakesink"
        );
        let pipeline = gst::parse::launch(&line).unwrap();
        let _ = pipeline.set_state(gst::State::Paused);
        let bus = pipeline.bus().unwrap();
        let errors = std::iter::from_fn(|| {
            let timeout = gst::ClockTime::from_seconds(30);
            let message = bus.timed_pop_filtered(timeout, &[gst::MessageType::Error]).expect("an error");
            let gst::MessageView::Error(error) = message.view() else { unreachable!() };
            let of_source = message.src().is_some_and(|source| source.name().starts_with("fakesrc"));
            (!of_source).then(|| error.error().message().to_string())
        });
        let errors: Vec<_> = errors.collect();
        let [text] = &errors[..] else { panic!("one error instead of {errors:?}") };
        assert!(text.contains("interlace-mode=alternate") && text.contains("put deinterlace"), "{text}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
    for info in [
        interlaced(VideoInterlaceMode::Interleaved),
        interlaced(VideoInterlaceMode::Mixed),
        views(VideoMultiviewMode::SideBySide),
        views(VideoMultiviewMode::Left),
    ] {
        let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
        bench.run(flat(&info, GREY));
        assert_eq!(bench.results().len(), 1, "{info:?}");
    }
}

#[test]
fn two_hundred_elements_work_side_by_side() {
    let info = info(I420, 64, 64);
    let weights = common::bright_smiles();
    let mut benches: Vec<Bench> = (0..200)
        .map(|index| {
            let mode = if index % 4 == 0 { "async" } else { "sync" };
            let region = if index % 2 == 0 { "center" } else { "auto" };
            Bench::new(&weights, &[("mode", mode), ("region", region)]).caps(&info)
        })
        .collect();
    for bench in &mut benches {
        bench.run(flat(&info, WHITE));
    }
    for bench in &benches {
        wait(|| count(bench, "inferences") == 1);
    }
}

/// Frames of a test source through the element, with its states and properties changed all the time.
fn shake(mode: &str, changes: usize) {
    common::init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=200/1 \
         ! smilefilter name=filter mode={mode} device=cpu ! fakesink sync=false"
    ))
    .unwrap();
    // Else all is forgotten that was said before the end.
    pipeline.set_property("auto-flush-bus", false);
    let filter = pipeline.clone().downcast::<gst::Bin>().unwrap().by_name("filter").unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let states = [gst::State::Null, gst::State::Ready, gst::State::Paused, gst::State::Playing];
    for _ in 0..changes {
        let target = states[rng.random_range(0..4)];
        pipeline.set_state(target).unwrap();
        match rng.random_range(0..8) {
            0 => filter.set_property_from_str("region", ["auto", "faces", "roi"][rng.random_range(0..3)]),
            1 => filter.set_property_from_str("display", ["0", "box+label+bar+fps"][rng.random_range(0..2)]),
            2 => filter.set_property("model-file", ""),
            3 => filter.emit_by_name::<()>("reset", &[]),
            4 => filter.set_property("labels", "no\nyes"),
            5 => filter.set_property("detection-interval", rng.random_range(1..9u32)),
            6 => std::thread::sleep(Duration::from_millis(rng.random_range(0..20))),
            _ => {
                // A pipeline holds its state lock while it sends an event: before the sink has prerolled, that
                // would keep it from ever playing, with or without this element.
                if target == gst::State::Playing && pipeline.state(gst::ClockTime::SECOND).1 == target {
                    pipeline.send_event(gst::event::Eos::new());
                }
            }
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let bus = pipeline.bus().unwrap();
    let bad = [gst::MessageType::Error, gst::MessageType::Warning];
    assert_eq!(bus.pop_filtered(&bad).map(|message| format!("{message:?}")), None);
    let weak = filter.downgrade();
    // Messages keep who has sent them.
    bus.set_flushing(true);
    drop((filter, bus));
    drop(pipeline);
    // A load that was still going on holds the element for a moment.
    wait(|| weak.upgrade().is_none());
}

#[test]
fn states_change_in_any_order_a_hundred_times() {
    shake("sync", 100);
    shake("async", 100);
}

#[test]
fn every_format_is_copied_for_the_worker_as_it_is_read_in_place() {
    for &format in common::formats() {
        let info = info(format, 161, 121);
        let input = common::frame(&info, |x, _| [x, 160.0 - x, 80.0]);
        let probability = |mode: &str| {
            let properties = [("mode", mode), ("updates", "every-frame")];
            let mut bench = Bench::new(&common::bright_smiles(), &properties).caps(&info);
            bench.run(input.clone());
            bench.harness.push_event(gst::event::Eos::new());
            bench.results().pop().unwrap().faces[0].probability
        };
        assert_eq!(probability("sync"), probability("async"), "{format:?}");
    }
}
