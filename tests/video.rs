//! What upstream may send: any raw video, cropped or turned, from any memory.

mod common;

use std::process::{Command, Stdio};

use common::{Bench, astronaut, at, bytes, flat, info};
use gst::prelude::*;
use gst_video::VideoFormat::*;
use gst_video::prelude::*;
use gst_video::{VideoCropMeta, VideoFormatInfo, VideoMeta};
use gstsmile::smilefilter::Results;

/// The formats that an element of GStreamer's takes, by its template.
fn formats_of(factory: &str) -> Vec<String> {
    let factory = gst::ElementFactory::find(factory).unwrap();
    let templates = factory.static_pad_templates();
    let sink = templates.iter().find(|template| template.direction() == gst::PadDirection::Sink).unwrap();
    let formats = sink.caps().structure(0).unwrap().get::<gst::List>("format").unwrap();
    formats.iter().map(|format| format.get::<String>().unwrap()).collect()
}

#[test]
fn any_raw_video_passes_without_a_converter() {
    common::init();
    let formats = formats_of("videoconvert");
    assert!(formats.len() > 100);
    for name in &formats {
        let format = name.parse::<gst_video::VideoFormat>().unwrap();
        assert!(common::formats().contains(&format), "{name}: GStreamer unpacks it");
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc num-buffers=3 ! video/x-raw,format={name},width=321,height=241 \
             ! smilefilter device=cpu region=center updates=every-frame ! fakesink"
        ));
        let pipeline = pipeline.unwrap();
        let bus = pipeline.bus().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut frames = 0;
        loop {
            let message = bus.timed_pop(gst::ClockTime::from_seconds(60)).expect(name);
            match message.view() {
                gst::MessageView::Eos(_) => break,
                gst::MessageView::Element(_) => {
                    let results = Results::try_from(message.structure().unwrap()).unwrap();
                    frames += usize::from(results.event == gstsmile::smilefilter::Event::Update);
                }
                // The built-in weights weren't trained on whole pictures.
                gst::MessageView::Warning(warning)
                    if warning.error().matches(gst::ResourceError::Settings) => {}
                gst::MessageView::Error(_) | gst::MessageView::Warning(_) => panic!("{name}: {message:?}"),
                _ => {}
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(frames, 3, "{name}");
    }
}

/// A row is unpacked from its beginning, as far as it is needed; what lies behind must be left alone.
#[test]
fn no_more_pixels_are_unpacked_than_are_asked_for() {
    use gstsmile::analysis::Pixel;
    for &format in common::formats().iter() {
        for width in [1, 2, 3, 5, 6, 7, 17, 48, 97] {
            let info = info(format, width, 9);
            let buffer = flat(&info, [50.0, 120.0, 200.0]);
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
            let picture = gstsmile::smilefilter::picture(&frame).unwrap();
            let Some(unpack) = picture.unpack else { continue };
            for len in 1..=width as usize {
                let untouched = Pixel([0x5a5a; 4]);
                let mut line = vec![untouched; width as usize + 16];
                unpack.unpack(8, &mut line[..len]);
                assert!(line[len..].iter().all(|&pixel| pixel == untouched), "{format:?} {len} of {width}");
            }
        }
    }
}

/// Answers allocation queries as a sink does that shows a part of a picture alone.
fn understand_crops(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        let Some(gst::QueryViewMut::Allocation(query)) = info.query_mut().map(|query| query.view_mut())
        else {
            return gst::PadProbeReturn::Ok;
        };
        query.add_allocation_meta::<VideoMeta>(None);
        query.add_allocation_meta::<VideoCropMeta>(None);
        gst::PadProbeReturn::Handled
    });
}

/// What is told of the astronaut behind `crop`: for each message, where the faces are.
fn cropped(crop: &str, mode: &str, understands_crops: bool) -> Vec<Results> {
    let (info, picture) = astronaut();
    let mut harness = gst_check::Harness::new_parse(&format!(
        "{crop} ! smilefilter device=cpu mode={mode} region=faces updates=every-frame detection-interval=1"
    ));
    let bus = gst::Bus::new();
    let element = harness.element().unwrap();
    element.set_bus(Some(&bus));
    if understands_crops {
        understand_crops(&harness.sinkpad().unwrap());
    }
    harness.set_src_caps(info.to_caps().unwrap());
    for time in 0..3 {
        let output = harness.push_and_pull(at(&picture, 33 * time)).unwrap();
        let caps = harness.sinkpad().unwrap().current_caps().unwrap();
        let said = gst_video::VideoInfo::from_caps(&caps).unwrap();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&output, &said).unwrap();
        assert_eq!((frame.width(), frame.height()), (said.width(), said.height()), "{crop} {mode}");
    }
    harness.push_event(gst::event::Eos::new());
    let mut told: Vec<Results> = Vec::new();
    while let Some(message) = bus.pop() {
        match message.view() {
            gst::MessageView::Element(_) => {
                told.push(Results::try_from(message.structure().unwrap()).unwrap())
            }
            gst::MessageView::Warning(_) => panic!("{crop} {mode}: {message:?}"),
            _ => {}
        }
    }
    element.set_bus(None);
    for results in &mut told {
        results.inference_time = gst::ClockTime::ZERO;
        (results.utc, results.source) = (None, String::new());
    }
    told
}

#[test]
fn behind_a_crop_the_visible_picture_alone_is_looked_at_whatever_the_sink_can() {
    let crops = [
        ("videocrop", true),
        ("videocrop left=31", true),
        ("videocrop right=75", true),
        ("videocrop top=7 left=1", true),
        ("videocrop bottom=83", true),
        // The face is cut away.
        ("videocrop left=170", false),
    ];
    for (crop, visible) in crops {
        let whole = cropped(crop, "sync", false);
        assert_eq!(whole.iter().any(|results| !results.faces.is_empty()), visible, "{crop}");
        assert_eq!(cropped(crop, "sync", true), whole, "{crop}");
        // Which frames are looked at depends on the machine; the last one always is.
        let last = cropped(crop, "async", true).pop().map(|results| results.faces);
        let seen = |faces: Option<Vec<_>>| faces.is_some_and(|faces| !faces.is_empty());
        assert_eq!(seen(last), visible, "{crop} async");
    }
}

/// The same of a whole pipeline: `aspectratiocrop` is a bin, which no harness takes.
fn cropped_in_a_pipeline(crop: &str, understands_crops: bool) -> Vec<Results> {
    common::init();
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={}/tests/data/astronaut.jpg ! jpegdec ! imagefreeze num-buffers=3 ! videoconvert \
         ! video/x-raw,format=I420,framerate=30/1 ! {crop} \
         ! smilefilter device=cpu region=faces updates=every-frame detection-interval=1 ! fakesink name=sink",
        env!("CARGO_MANIFEST_DIR")
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    if understands_crops {
        understand_crops(&pipeline.by_name("sink").unwrap().static_pad("sink").unwrap());
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut told = Vec::new();
    for message in pipeline.bus().unwrap().iter_timed(gst::ClockTime::from_seconds(60)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{crop}: {error:?}"),
            gst::MessageView::Element(_) => told.extend(Results::try_from(message.structure().unwrap()).ok()),
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(told.len() >= 3, "{crop}");
    for results in &mut told {
        results.inference_time = gst::ClockTime::ZERO;
        (results.utc, results.source) = (None, String::new());
    }
    told
}

#[test]
fn behind_a_crop_to_an_aspect_ratio_the_visible_picture_alone_is_looked_at() {
    for (ratio, size, visible) in
        [("1/1", (256, 256), true), ("2/3", (172, 256), true), ("8/1", (256, 32), false)]
    {
        let crop = format!("aspectratiocrop aspect-ratio={ratio}");
        let whole = cropped_in_a_pipeline(&crop, false);
        assert_eq!((whole[0].width, whole[0].height), size, "{crop}");
        assert!(whole.iter().all(|results| results.faces.is_empty() != visible), "{crop}");
        assert_eq!(cropped_in_a_pipeline(&crop, true), whole, "{crop}");
    }
}

#[test]
fn a_buffer_of_which_a_part_is_to_be_shown_passes_without_an_answer() {
    let info = info(I420, 64, 48);
    for mode in ["sync", "async"] {
        let mut bench = Bench::new(&common::always_smiling(), &[("mode", mode)]).caps(&info);
        let mut input = flat(&info, [200.0; 3]);
        VideoCropMeta::add(input.make_mut(), (3, 5, 40, 30));
        let before = bytes(&input);
        assert!(bytes(&bench.run(input)) == before, "{mode}: drawn on");
        let message =
            bench.bus.pop_filtered(&[gst::MessageType::Warning, gst::MessageType::Element]).expect(mode);
        let gst::MessageView::Warning(warning) = message.view() else { panic!("{mode}: {message:?}") };
        assert!(warning.debug().is_some_and(|debug| debug.contains("GstVideoCropMeta")), "{warning:?}");
        // One that shows all of it says nothing new.
        let mut input = at(&flat(&info, [200.0; 3]), 33);
        VideoCropMeta::add(input.make_mut(), (0, 0, 64, 48));
        bench.run(input);
        bench.harness.push_event(gst::event::Eos::new());
        assert!(!bench.messages().is_empty(), "{mode}");
    }
}

#[test]
fn a_picture_that_is_to_be_turned_is_told_of_once() {
    let info = info(I420, 64, 48);
    let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
    let tag = |bench: &mut Bench, orientation: &str| {
        let mut tags = gst::TagList::new();
        let writable = tags.get_mut().unwrap();
        writable.add::<gst::tags::ImageOrientation>(&orientation, gst::TagMergeMode::Replace);
        bench.harness.push_event(gst::event::Tag::new(tags));
    };
    let warnings = |bench: &Bench| {
        let messages = std::iter::from_fn(|| bench.bus.pop_filtered(&[gst::MessageType::Warning]));
        let text = |message: gst::Message| match message.view() {
            gst::MessageView::Warning(warning) => warning.error().message().to_string(),
            _ => unreachable!(),
        };
        messages.map(text).collect::<Vec<_>>()
    };
    tag(&mut bench, "rotate-0");
    assert_eq!(warnings(&bench), Vec::<String>::new());
    for orientation in ["rotate-90", "rotate-90", "flip-rotate-180"] {
        tag(&mut bench, orientation);
    }
    let [told] = &warnings(&bench)[..] else { panic!("once") };
    assert!(told.contains("rotate-90") && told.contains("videoflip video-direction=auto"), "{told}");
    bench.harness.push_event(gst::event::StreamStart::new("another"));
    tag(&mut bench, "flip-rotate-270");
    assert_eq!(warnings(&bench).len(), 1, "a stream of its own");
}

/// How many warnings of turned pictures a line ends with, of which each stream has a tag that wants it turned.
fn warnings_of(line: &str) -> usize {
    let pipeline = gst::parse::launch(line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let inject = pipeline.by_name("inject").unwrap();
    inject.set_property_from_str("tags", "image-orientation=rotate-90");
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut warnings = 0;
    loop {
        let wanted = [gst::MessageType::Warning, gst::MessageType::Eos, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &wanted).expect("an end");
        match message.view() {
            gst::MessageView::Warning(warning) => {
                warnings += usize::from(warning.error().message().contains("image-orientation=rotate-90"));
            }
            gst::MessageView::Eos(_) => break,
            other => panic!("{line}: {other:?}"),
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    warnings
}

#[test]
fn nothing_is_told_of_pictures_that_are_turned_before_they_come() {
    common::init();
    let line = |before: &str| {
        let filter = "smilefilter device=cpu region=center ! fakesink";
        warnings_of(&format!("videotestsrc num-buffers=2 ! taginject name=inject ! {before} ! {filter}"))
    };
    assert_eq!(line("identity"), 1);
    assert_eq!(line("videoflip video-direction=auto ! queue ! videoconvert"), 0);
    assert_eq!(line("videoflip video-direction=identity"), 1);
    assert_eq!(line("bin.( videoflip video-direction=auto ! queue ) ! identity"), 0);
}

/// Why the line can't be run here, if it can't.
fn lacks_gl() -> Option<&'static str> {
    let there = |program: &str| {
        Command::new("sh").arg("-c").arg(format!("command -v {program}")).stdout(Stdio::null()).status()
    };
    if !there("xvfb-run").is_ok_and(|status| status.success()) {
        return Some("xvfb-run is not here (Debian: apt install xvfb xauth)");
    }
    let elements = ["glupload", "gldownload", "glcolorconvert"];
    if elements.iter().any(|element| gst::ElementFactory::find(element).is_none()) {
        return Some("glupload is not here (Debian: apt install gstreamer1.0-gl)");
    }
    None
}

#[test]
fn frames_in_a_gpus_memory_are_looked_at_by_way_of_gldownload() {
    common::init();
    if let Some(why) = lacks_gl() {
        println!("Skipped: {why}");
        return;
    }
    let line = "gst-launch-1.0 -m videotestsrc num-buffers=5 ! video/x-raw,width=320,height=240 ! glupload \
                ! glcolorconvert ! video/x-raw(memory:GLMemory),format=RGBA ! gldownload \
                ! smilefilter device=cpu region=center ! glupload ! fakesink";
    let mut command = common::command("xvfb-run");
    command.arg("-a").args(line.split_whitespace()).env("LIBGL_ALWAYS_SOFTWARE", "1");
    let output = command.output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("smilefilter, timestamp=(guint64)"), "{text}");
}

#[test]
fn what_the_readme_says_of_formats_is_so() {
    common::init();
    let all = gst_video::VideoFormat::iter_raw();
    let left_out: Vec<_> = all.filter(|format| !common::formats().contains(format)).collect();
    assert!(left_out.is_empty(), "the README names none of {left_out:?}");
    let deep =
        common::formats().iter().filter(|&&format| VideoFormatInfo::from_format(format).bits() > 8).count();
    assert!(deep > 50);
}
