//! A camera's pipeline: decoding, the element, and pictures for whoever looks.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use axum::body::Bytes;
use gst::glib;
use gst::prelude::*;

use super::decode::link_video;
use super::{Note, Shared, best_mode};
use crate::Error;
use crate::config::source::Source;
use crate::config::{self, apply};

/// The widest picture that is sent to viewers.
const MOST_WIDTH: i32 = 640;
const MOST_HEIGHT: i32 = 480;

/// Frames a second of what has no rate of its own.
const RATE: i32 = 10;

/// How long a camera may not answer on the network, in microseconds.
const PATIENCE: u64 = 10_000_000;

pub struct Pipeline {
    pub pipeline: gst::Pipeline,
    pub smile: gst::Element,
}

impl Pipeline {
    /// Builds it. What it says arrives as notes with this `generation`.
    pub fn new(
        camera: &config::Camera,
        shared: &Arc<Shared>,
        notes: &SyncSender<Note>,
        generation: u64,
    ) -> Result<Self, Error> {
        let source = Source::new(&camera.source)?;
        let pipeline = gst::Pipeline::new();
        pipeline.connect_deep_element_added(|_, _, element| {
            // Without this, a camera's first pictures are held back until megabytes of them are there.
            if element.factory().is_some_and(|factory| factory.name() == "multipartdemux") {
                element.set_property("single-stream", true);
            }
        });
        let smile = smilefilter(camera)?;
        let queue = make("queue")?;
        queue.set_property("max-size-buffers", 3u32);
        queue.set_property("max-size-bytes", 0u32);
        queue.set_property("max-size-time", 0u64);
        let sink = make("fakesink")?;
        // What could be read faster than it was filmed is held back.
        sink.set_property("sync", !source.is_live() || source.scheme().starts_with("http"));
        if source.is_live() {
            queue.set_property_from_str("leaky", "downstream");
        }
        let flip = make("videoflip")?;
        flip.set_property_from_str("video-direction", "auto");
        let tee = make("tee")?;
        let row = [queue.clone(), make("videoconvert")?, flip, smile.clone(), tee.clone(), sink];
        pipeline.add_many(&row)?;
        gst::Element::link_many(&row)?;
        preview(&pipeline, &tee, shared)?;
        count(&queue, &smile, shared);
        shared.preview.set_drawing(&smile);
        add_source(&pipeline, &source, &queue)?;
        listen(&pipeline, notes, generation);
        Ok(Self { pipeline, smile })
    }

    /// Plays a file from its beginning.
    pub fn rewind(&self) -> Result<(), Error> {
        self.pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)?;
        Ok(())
    }
}

fn make(factory: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        format!(
            "GStreamer's element {factory} is missing; install its base and good plugins (Debian: \
             gstreamer1.0-plugins-base, gstreamer1.0-plugins-good)"
        )
        .into()
    })
}

fn smilefilter(camera: &config::Camera) -> Result<gst::Element, Error> {
    let element = make("smilefilter")?;
    for (name, value) in &camera.properties {
        apply(&element, name, value)?;
    }
    element.set_property_from_str("mode", "async");
    element.set_property_from_str("updates", "on-change");
    element.set_property("source-id", &camera.name);
    Ok(element)
}

/// Hands messages to the camera's thread. One that comes faster than they are taken waits, and holds up itself only.
fn listen(pipeline: &gst::Pipeline, notes: &SyncSender<Note>, generation: u64) {
    let Some(bus) = pipeline.bus() else { return };
    let notes = notes.clone();
    bus.set_sync_handler(move |_, message| {
        use gst::MessageView::{Element, Eos, Error, Latency};
        if matches!(message.view(), Element(_) | Eos(_) | Error(_) | Latency(_)) {
            let _ = notes.send(Note::Message(generation, message.clone()));
        }
        gst::BusSyncReply::Drop
    });
}

/// Counts what comes in and what was looked at.
fn count(queue: &gst::Element, smile: &gst::Element, shared: &Arc<Shared>) {
    let counters = |element: &gst::Element, pad: &str, seen: Arc<Shared>, is_out: bool| {
        let Some(pad) = element.static_pad(pad) else { return };
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let counter = if is_out { &seen.counters.frames } else { &seen.counters.received };
            counter.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    };
    counters(queue, "sink", shared.clone(), false);
    counters(smile, "src", shared.clone(), true);
}

fn add_source(pipeline: &gst::Pipeline, source: &Source, to: &gst::Element) -> Result<(), Error> {
    match source {
        Source::Pattern(name) => {
            let test = make("videotestsrc")?;
            test.set_property("is-live", true);
            test.set_property_from_str("pattern", name);
            let filter = capsfilter(&format!("video/x-raw,width=640,height=480,framerate={RATE}/1"))?;
            pipeline.add_many([&test, &filter])?;
            gst::Element::link_many([&test, &filter, to])?;
            Ok(())
        }
        Source::Device(path) => add_device(pipeline, path, to),
        Source::File(path) => add_file(pipeline, path, to),
        Source::Uri(uri) => {
            let decoder = decoder(uri)?;
            pipeline.add(&decoder)?;
            Ok(link_video(&decoder, to, |_| {})?)
        }
    }
}

fn capsfilter(caps: &str) -> Result<gst::Element, Error> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps.parse::<gst::Caps>()?);
    Ok(filter)
}

/// A camera of this machine, in its best mode.
fn add_device(pipeline: &gst::Pipeline, path: &Path, to: &gst::Element) -> Result<(), Error> {
    let device = make("v4l2src")?;
    device.set_property("device", path);
    let (filter, decoder) = (make("capsfilter")?, make("decodebin")?);
    // Devices tell their modes when they are open. One that can't be opened says so when it is played.
    let pad = device.static_pad("src").ok_or("v4l2src has no output")?;
    if device.set_state(gst::State::Ready).is_ok()
        && let Some(mode) = best_mode::best_mode(&pad.query_caps(None))
    {
        filter.set_property("caps", mode);
    }
    let _ = device.set_state(gst::State::Null);
    pipeline.add_many([&device, &filter, &decoder])?;
    gst::Element::link_many([&device, &filter, &decoder])?;
    Ok(link_video(&decoder, to, |_| {})?)
}

fn add_file(pipeline: &gst::Pipeline, path: &Path, to: &gst::Element) -> Result<(), Error> {
    let name = path.display();
    let metadata = path.metadata().map_err(|error| format!("{name}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{name} is a folder, a pipe or a device, and not a file").into());
    }
    let decoder = decoder(&glib::filename_to_uri(std::path::absolute(path)?, None)?)?;
    pipeline.add(&decoder)?;
    if !is_photograph(path)? {
        return Ok(link_video(&decoder, to, |_| {})?);
    }
    let freeze = make("imagefreeze")?;
    freeze.set_property("is-live", true);
    let filter = capsfilter(&format!("video/x-raw,framerate={RATE}/1"))?;
    pipeline.add_many([&freeze, &filter])?;
    gst::Element::link_many([&freeze, &filter, to])?;
    Ok(link_video(&decoder, &freeze, |_| {})?)
}

/// A photograph is shown for as long as the camera is there.
fn is_photograph(path: &Path) -> std::io::Result<bool> {
    let mut head = [0; 12];
    let mut file = std::fs::File::open(path)?;
    let read = file.read(&mut head)?;
    let head = &head[..read];
    Ok(head.starts_with(b"\xff\xd8\xff")
        || head.starts_with(b"\x89PNG")
        || (head.starts_with(b"RIFF") && head.ends_with(b"WEBP")))
}

fn decoder(uri: &str) -> Result<gst::Element, Error> {
    let decoder = make("uridecodebin")?;
    decoder.set_property("uri", uri);
    // Sound isn't decoded.
    decoder.set_property("caps", "video/x-raw(ANY)".parse::<gst::Caps>()?);
    decoder.set_property("expose-all-streams", false);
    decoder.connect("source-setup", false, |values| {
        if let Some(source) = values.get(1).and_then(|value| value.get::<gst::Element>().ok()) {
            be_patient(&source);
        }
        None
    });
    Ok(decoder)
}

/// Has a source give up where its camera doesn't answer, and take packets in order.
fn be_patient(source: &gst::Element) {
    let Some(name) = source.factory().map(|factory| factory.name()) else { return };
    match name.as_str() {
        "rtspsrc" => {
            source.set_property("latency", 200u32);
            source.set_property("tcp-timeout", PATIENCE);
            source.set_property_from_str("protocols", "tcp+udp");
        }
        "souphttpsrc" => {
            source.set_property("timeout", (PATIENCE / 1_000_000) as u32);
            source.set_property("is-live", true);
            // Pictures of a multipart stream have no times of their own.
            source.set_property("do-timestamp", true);
            source.set_property("retries", 0i32);
        }
        _ => {}
    }
}

/// The branch that makes pictures. It gets only the frames that someone wants to see.
fn preview(pipeline: &gst::Pipeline, tee: &gst::Element, shared: &Arc<Shared>) -> Result<(), Error> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 1u32);
    queue.set_property_from_str("leaky", "downstream");
    let filter = make("capsfilter")?;
    let encoder = make("jpegenc")?;
    encoder.set_property("quality", 80i32);
    let sink = make("fakesink")?;
    sink.set_property("async", false);
    let row = [queue, make("videoscale")?, filter.clone(), make("videoconvert")?, encoder.clone(), sink];
    pipeline.add_many(&row)?;
    gst::Element::link_many(&row)?;
    tee.link(&row[0])?;
    let entry = row[0].static_pad("sink").ok_or("a queue has no input")?;
    let wanted = shared.clone();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    entry.add_probe(mask, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) {
            if let Some((caps, size)) = bounded(event.caps()) {
                filter.set_property("caps", caps);
                wanted.counters.size.store(size, Ordering::Relaxed);
            }
        } else if info.buffer().is_some() && !wanted.preview.wants(Instant::now()) {
            // Consumed here: of a dropped one GStreamer 1.22 warns.
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
    let exit = encoder.static_pad("src").ok_or("an encoder has no output")?;
    let shared = shared.clone();
    exit.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
            shared.preview.put(Bytes::copy_from_slice(&map));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// The caps of a picture that is no larger than viewers need, and the size of the whole one as one number.
fn bounded(caps: &gst::CapsRef) -> Option<(gst::Caps, u64)> {
    let structure = caps.structure(0)?;
    let (width, height) = (structure.get::<i32>("width").ok()?, structure.get::<i32>("height").ok()?);
    let aspect = structure.get::<gst::Fraction>("pixel-aspect-ratio").unwrap_or(gst::Fraction::new(1, 1));
    // Browsers know square pixels only.
    let shown = f64::from(width) * f64::from(aspect.numer().max(1)) / f64::from(aspect.denom().max(1));
    let factor =
        (f64::from(MOST_WIDTH) / shown).min(f64::from(MOST_HEIGHT) / f64::from(height.max(1))).min(1.0);
    let even = |size: f64| ((size * factor / 2.0).round() as i32 * 2).clamp(2, MOST_WIDTH);
    let caps = gst::Caps::builder("video/x-raw")
        .field("width", even(shown))
        .field("height", even(f64::from(height)))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build();
    Some((caps, (width as u64) << 32 | height as u64))
}
