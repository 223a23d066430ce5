//! Whatever comes from outside is survived: weights files, caps and buffers, regions of interest,
//! labels. A few hundred inputs of each kind here; `PROPTEST_CASES=1000000` is for long runs by hand.

mod common;

use std::cell::{Cell, RefCell};
use std::fmt::Debug;

use candle_core::Device;
use common::Bench;
use gst::prelude::*;
use gst_video::VideoFormat;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;
use gstsmile::analysis::locate::Locator;
use gstsmile::analysis::{Color, Component, Picture, Sample, Sampling};
use gstsmile::model::{Architecture, Classifier, FaceMetadata, FaceWeights, Metadata, SmileWeights, Weights};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use rand::SeedableRng;

/// Runs `few` cases, or as many as the environment asks for.
fn fuzz<T: Debug>(
    few: u32,
    strategy: impl Strategy<Value = T>,
    test: impl Fn(T) -> Result<(), TestCaseError>,
) {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let config =
        ProptestConfig { cases: asked.unwrap_or(few), failure_persistence: None, ..Default::default() };
    TestRunner::new(config).run(&strategy, test).unwrap();
}

/// A change to a file.
#[derive(Clone, Debug)]
enum Change {
    Byte(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    /// One of the header's numbers, which keeps its length right.
    Number(Index, &'static str),
    /// One of the header's words becomes another one of them.
    Word(Index, Index),
}

fn any_change() -> impl Strategy<Value = Change> {
    const NUMBERS: [&str; 14] = [
        "0",
        "1",
        "2",
        "3",
        "8",
        "64",
        "-1",
        "0.5",
        "1e39",
        "-1e38",
        "1e-45",
        "null",
        "4294967296",
        "18446744073709551615",
    ];
    prop_oneof![
        2 => (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Change::Byte(place, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(place, bytes)| Change::Insert(place, bytes)),
        6 => (any::<Index>(), select(NUMBERS.to_vec())).prop_map(|(place, text)| Change::Number(place, text)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(place, other)| Change::Word(place, other)),
    ]
}

/// The places of the longest runs of characters that `belong`.
fn runs(text: &str, belong: impl Fn(char) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in text.char_indices().filter(|(_, character)| belong(*character)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            _ if file.is_empty() => {}
            Self::Byte(place, byte) => *place.get_mut(file) = *byte,
            Self::Cut(place) => file.truncate(place.index(file.len())),
            Self::Insert(place, bytes) => {
                let at = place.index(file.len());
                file.splice(at..at, bytes.iter().copied());
            }
            Self::Number(..) | Self::Word(..) => self.apply_to_header(file),
        }
    }

    fn apply_to_header(&self, file: &mut Vec<u8>) {
        let Some((len, rest)) = file.split_first_chunk::<8>() else { return };
        let header = usize::try_from(u64::from_le_bytes(*len)).ok().and_then(|len| rest.get(..len));
        let Some(mut header) = header.and_then(|header| String::from_utf8(header.to_vec()).ok()) else {
            return;
        };
        let old = header.len();
        let number = |character: char| character.is_ascii_digit() || "-.".contains(character);
        let word = |character: char| character.is_ascii_alphabetic() || "_-".contains(character);
        let (runs, text) = match self {
            Self::Number(_, text) => (runs(&header, number), Some(text.to_string())),
            Self::Word(_, other) => {
                let runs = runs(&header, word);
                let text = (!runs.is_empty()).then(|| header[other.get(&runs).clone()].to_string());
                (runs, text)
            }
            _ => return,
        };
        let (Self::Number(place, _) | Self::Word(place, _), Some(text), false) =
            (self, text, runs.is_empty())
        else {
            return;
        };
        header.replace_range(place.get(&runs).clone(), &text);
        file.splice(8..8 + old, header.bytes());
        file[..8].copy_from_slice(&(header.len() as u64).to_le_bytes());
    }
}

/// A grey picture of any bytes.
fn picture(bytes: &[u8], width: usize) -> Picture<'_> {
    let sampling = |len| Sampling { len, step: 1.0, siting: 0.0 };
    let height = bytes.len() / width;
    let component = Component {
        plane: bytes,
        offset: 0,
        pixel_stride: 1,
        row_stride: width,
        sample: Sample::Byte,
        horizontal: sampling(width),
        vertical: sampling(height),
    };
    Picture { width, height, pixel_aspect: 1.0, components: [component; 3], color: Color::GREY, unpack: None }
}

fn face_file() -> Vec<u8> {
    let architecture = Architecture::face(32, [2, 2, 3, 3]);
    let tensors = tensors(&architecture);
    Weights { metadata: FaceMetadata::new(architecture), tensors }.to_bytes().unwrap()
}

fn smile_file() -> Vec<u8> {
    let mut architecture = Architecture::paper(2, 2, 3);
    architecture.input = [3, 12, 12];
    let tensors = tensors(&architecture);
    Weights { metadata: Metadata::new(architecture), tensors }.to_bytes().unwrap()
}

fn tensors(architecture: &Architecture) -> std::collections::HashMap<String, candle_core::Tensor> {
    gstsmile::model::initial_tensors(architecture, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1)).unwrap()
}

#[test]
fn any_weights_file_works_or_is_refused() {
    let files = [smile_file(), face_file()];
    let bytes: Vec<u8> = (0..40 * 30).map(|index| (index * 7 % 256) as u8).collect();
    let counts = [const { Cell::new(0u64) }; 2];
    fuzz(400, (0..2usize, prop::collection::vec(any_change(), 0..6)), |(kind, changes)| {
        let mut file = files[kind].clone();
        changes.iter().for_each(|change| change.apply(&mut file));
        let works = if kind == 0 { smiles(&file, &bytes) } else { locates(&file, &bytes) };
        counts[usize::from(works)].update(|count| count + 1);
        Ok(())
    });
    let [refused, worked] = counts.map(Cell::into_inner);
    println!("{refused} weights files were refused, {worked} worked");
    assert!(refused > 0 && worked > 0, "only one of both was tried");
}

/// Whether the file holds a network for smiles, which then answers in probabilities or says that it can't.
fn smiles(file: &[u8], bytes: &[u8]) -> bool {
    let classifier = SmileWeights::from_bytes(file, "fuzz").and_then(|it| Classifier::new(&it, &Device::Cpu));
    let Ok(mut classifier) = classifier else { return false };
    let len = classifier.metadata().architecture.input_len();
    let input: Vec<u8> = bytes.iter().copied().cycle().take(len).collect();
    let mut probabilities = Vec::new();
    classifier.probabilities(&input, &mut probabilities).unwrap();
    assert_eq!(probabilities.len(), 1);
    Classifier::check(&probabilities).is_ok()
}

/// Whether the file holds a face detector, which then finds boxes that can be reckoned with.
fn locates(file: &[u8], bytes: &[u8]) -> bool {
    let locator = FaceWeights::from_bytes(file, "fuzz").and_then(|weights| Locator::new(&weights));
    let Ok(mut locator) = locator else { return false };
    let mut found = Vec::new();
    for width in [40, 1, 1200] {
        locator.locate(&picture(bytes, width), &mut found).unwrap();
        let finite = |value: f32| value.is_finite();
        assert!(
            found.iter().all(|face| finite(face.rect.x + face.rect.width) && finite(face.score)),
            "{found:?}"
        );
    }
    true
}

/// What is pushed into the element.
#[derive(Clone, Debug)]
enum Op {
    Caps(gst::Caps),
    Frame(Frame),
    Flush,
    Eos,
    Segment(Option<u64>),
    Region(&'static str),
}

#[derive(Clone, Debug)]
struct Frame {
    /// Bytes more or less than the caps ask for.
    more: i64,
    byte: u8,
    pts: Option<u64>,
    duration: Option<u64>,
    flags: u32,
    /// The format that a video meta names, bytes between its planes, and bytes more a row.
    layout: Option<(VideoFormat, i64, i32)>,
    regions: Vec<Region>,
}

type Region = ((u32, u32, u32, u32), String, Option<f64>);

fn any_caps() -> impl Strategy<Value = gst::Caps> {
    let formats: Vec<&str> = common::formats().iter().map(|format| format.to_str().as_str()).collect();
    let format = prop_oneof![8 => select(formats), 1 => select(vec!["ENCODED", ""])];
    let side = prop_oneof![20 => 1..90i32, 1 => select(vec![0, -1, 32767, i32::MAX])];
    let ratio = select(vec![(1, 1), (30, 1), (0, 1), (8, 9), (i32::MAX, 1), (1, i32::MAX), (-1, 1)]);
    let color = select(vec!["", "bt601", "bt709", "sRGB", "2:0:0:0", "1:4:0:1", "nonsense"]);
    let mode = select(vec!["", "progressive", "interleaved", "alternate", "fields", "mixed"]);
    let site = select(vec!["", "mpeg2", "jpeg", "dv", "cosited"]);
    let views = select(vec!["", "mono", "left", "frame-by-frame", "side-by-side"]);
    let common = (format, side.clone(), side, ratio.clone(), ratio);
    (common, color, mode, site, views).prop_map(
        |((format, width, height, fps, par), color, mode, site, views)| {
            let fraction = |(numerator, denominator)| gst::Fraction::new(numerator, denominator);
            let mut caps =
                gst::Structure::builder("video/x-raw").field("width", width).field("height", height).build();
            caps.set("framerate", fraction(fps));
            caps.set("pixel-aspect-ratio", fraction(par));
            let texts = [
                ("format", format),
                ("colorimetry", color),
                ("interlace-mode", mode),
                ("chroma-site", site),
                ("multiview-mode", views),
            ];
            for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
                caps.set(name, text);
            }
            gst::Caps::from(caps)
        },
    )
}

fn any_region() -> impl Strategy<Value = Region> {
    let value = prop_oneof![4 => 0u32..100, 1 => Just(u32::MAX), 1 => any::<u32>()];
    let rect = (value.clone(), value.clone(), value.clone(), value);
    (rect, "(face)?|\\PC{1,5}", prop::option::of(any::<f64>()))
}

fn any_frame() -> impl Strategy<Value = Op> {
    let more = prop_oneof![6 => Just(0i64), 1 => -4..400i64, 1 => -30_000..0i64];
    let time =
        prop_oneof![4 => (0..1u64 << 36).prop_map(Some), 1 => Just(None), 1 => (0..u64::MAX).prop_map(Some)];
    let format = prop_oneof![4 => Just(VideoFormat::Unknown), 1 => select(common::formats().to_vec())];
    let stride = prop_oneof![3 => 0..40i32, 1 => -200..0i32, 1 => any::<i32>()];
    let gap = prop_oneof![3 => 0..40i64, 1 => -2000..100_000i64];
    let layout = prop::option::weighted(0.3, (format, gap, stride));
    let flags = prop_oneof![3 => Just(0), 1 => any::<u32>()];
    let regions = prop::collection::vec(any_region(), 0..6);
    (more, any::<u8>(), time.clone(), time, flags, layout, regions).prop_map(
        |(more, byte, pts, duration, flags, layout, regions)| {
            Op::Frame(Frame { more, byte, pts, duration, flags, layout, regions })
        },
    )
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => any_caps().prop_map(Op::Caps),
        14 => any_frame(),
        1 => Just(Op::Flush),
        1 => Just(Op::Eos),
        1 => prop::option::of(any::<u64>()).prop_map(Op::Segment),
        2 => select(vec!["auto", "faces", "roi", "center", "full"]).prop_map(Op::Region),
    ]
}

impl Frame {
    fn buffer(&self, caps: &gst::Caps) -> gst::Buffer {
        let info = gst_video::VideoInfo::from_caps(caps).ok();
        let size = info.as_ref().map_or(100, |info| info.size().min(1 << 20)) as i64;
        let mut buffer = gst::Buffer::from_mut_slice(vec![self.byte; (size + self.more).max(0) as usize]);
        let writable = buffer.make_mut();
        writable.set_pts(self.pts.map(gst::ClockTime::from_nseconds));
        writable.set_duration(self.duration.map(gst::ClockTime::from_nseconds));
        // The others are those of memory, which aren't a sender's to set.
        let known = gst::BufferFlags::all() - gst::BufferFlags::TAG_MEMORY;
        writable.set_flags(gst::BufferFlags::from_bits_truncate(self.flags) & known);
        if let (Some((format, gap, stride)), Some(info)) = (self.layout, info) {
            add_layout(writable, &info, format, gap, stride);
        }
        for (rect, roi_type, probability) in &self.regions {
            let mut meta = RegionMeta::add(writable, roi_type, *rect);
            if let Some(probability) = probability {
                meta.add_param(gst::Structure::builder("smile").field("probability", probability).build());
            }
        }
        buffer
    }
}

/// Adds a video meta, if GStreamer lets it.
fn add_layout(
    buffer: &mut gst::BufferRef,
    info: &gst_video::VideoInfo,
    format: VideoFormat,
    gap: i64,
    more: i32,
) {
    let format = if format == VideoFormat::Unknown { info.format() } else { format };
    let Ok(other) = gst_video::VideoInfo::builder(format, info.width(), info.height()).build() else {
        return;
    };
    let offset = |(plane, offset): (usize, &usize)| (*offset as i64 + plane as i64 * gap).max(0) as usize;
    let offsets: Vec<usize> = other.offset().iter().enumerate().map(offset).collect();
    let strides: Vec<i32> = other.stride().iter().map(|stride| stride.wrapping_add(more)).collect();
    let (flags, width, height) = (gst_video::VideoFrameFlags::empty(), info.width(), info.height());
    let _ = gst_video::VideoMeta::add_full(buffer, flags, format, width, height, &offsets, &strides);
}

/// Pushes something; says how many frames came through.
fn push(bench: &mut Bench, op: &Op, caps: &mut gst::Caps) -> u64 {
    let flush = |bench: &mut Bench| {
        bench.harness.push_event(gst::event::FlushStart::new());
        bench.harness.push_event(gst::event::FlushStop::new(true));
        bench.harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    };
    match op {
        Op::Caps(new) => {
            *caps = new.clone();
            bench.harness.push_event(gst::event::Caps::new(new));
        }
        Op::Flush => flush(bench),
        Op::Eos => {
            bench.harness.push_event(gst::event::Eos::new());
            flush(bench);
        }
        Op::Segment(Some(start)) => {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_start(gst::ClockTime::from_nseconds((*start).min(u64::MAX - 1)));
            bench.harness.push_event(gst::event::Segment::new(&segment));
        }
        Op::Segment(None) => {
            bench
                .harness
                .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new()));
        }
        Op::Region(region) => bench.element.set_property_from_str("region", region),
        Op::Frame(frame) => {
            let buffer = frame.buffer(caps);
            let (size, pts) = (buffer.size(), buffer.pts());
            let pushed = bench.harness.push(buffer);
            let out = bench.harness.try_pull();
            match pushed {
                Ok(_) => {
                    let out = out.expect("a frame is lost");
                    assert!((out.size(), out.pts()) == (size, pts));
                    return 1;
                }
                Err(error) => assert_eq!(error, gst::FlowError::NotNegotiated),
            }
        }
    }
    0
}

/// Fails where the element has panicked, and leaves nothing in its queues.
fn tidy(bench: &Bench) -> Result<u64, TestCaseError> {
    let mut results = 0;
    while let Some(message) = bench.bus.pop() {
        match message.view() {
            gst::MessageView::Error(error) => {
                prop_assert!(!error.error().is::<gst::LibraryError>(), "{:?}", error)
            }
            gst::MessageView::Element(_) => results += 1,
            _ => {}
        }
    }
    Ok(results)
}

fn drain(harness: &mut gst_check::Harness) {
    while harness.try_pull_event().is_some() || harness.try_pull_upstream_event().is_some() {}
}

#[test]
fn any_caps_buffers_and_regions_are_survived() {
    let plain = common::info(VideoFormat::I420, 64, 64);
    let new = |mode| Bench::new(&common::bright_smiles(), &[("mode", mode), ("updates", "every-frame")]);
    let attaching = new("sync");
    attaching.draw_overlays_downstream();
    let benches = [new("sync"), new("async"), attaching];
    let benches = benches.map(|bench| RefCell::new((bench.caps(&plain), plain.to_caps().unwrap())));
    let counts = [const { Cell::new(0u64) }; 3];
    fuzz(200, (0..3usize, prop::collection::vec(any_op(), 1..24)), |(kind, ops)| {
        let (bench, caps) = &mut *benches[kind].borrow_mut();
        for op in &ops {
            counts[0].update(|count| count + u64::from(matches!(op, Op::Frame(_))));
            counts[1].update(|passed| passed + push(bench, op, caps));
        }
        counts[2].set(counts[2].get() + tidy(bench)?);
        drain(&mut bench.harness);
        Ok(())
    });
    let [frames, passed, results] = counts.map(Cell::into_inner);
    println!("{frames} frames, of which {passed} passed; {results} results");
    assert!(passed > frames / 4 && results > frames / 10, "too little came through");
}

#[test]
fn any_labels_are_drawn_or_refused() {
    let info = common::info(VideoFormat::Rgb, 160, 96);
    let bench = Bench::new(&common::bright_smiles(), &[("updates", "every-frame"), ("display", "label")]);
    let bench = RefCell::new(bench.caps(&info));
    let frame = common::flat(&info, [250.0; 3]);
    let counts = [const { Cell::new(0u64) }; 2];
    let line = || {
        prop_oneof![
            ".{0,40}",
            "\\PC{0,12}",
            "[\\p{Emoji}\u{200d}\u{fe0f}]{0,6}",
            "[\u{300}-\u{36f}א-ת]{0,30}"
        ]
    };
    let two = (line(), line()).prop_map(|(neutral, smiling)| format!("{neutral}\n{smiling}"));
    let any = prop_oneof![6 => two, 1 => "(?s).{0,60}"];
    fuzz(400, (any, 0.1..10.0f64), |(labels, scale)| {
        let bench = &mut *bench.borrow_mut();
        let labels = labels.replace('\0', "");
        bench.element.set_property("font-scale", scale);
        bench.element.set_property("labels", &labels);
        let refused = bench.bus.pop_filtered(&[gst::MessageType::Warning]).is_some();
        bench.run(frame.clone());
        let separator = if labels.contains('\n') { '\n' } else { '|' };
        prop_assert_eq!(refused, !labels.is_empty() && labels.matches(separator).count() != 1);
        counts[usize::from(!refused)].update(|count| count + 1);
        let told = bench.results().pop().expect("a result").faces.remove(0).label;
        if !refused && !labels.is_empty() {
            prop_assert_eq!(Some(told.as_str()), labels.split(separator).nth(1));
        }
        tidy(bench)?;
        drain(&mut bench.harness);
        Ok(())
    });
    let [refused, drawn] = counts.map(Cell::into_inner);
    println!("{refused} labels were refused, {drawn} drawn");
    assert!(refused > 0 && drawn > 0);
}
