//! What the element costs a pipeline, always beside `identity` in the same place:
//!
//! `cargo bench --bench realtime -- share` prints how much of a core 1080p60 YUY2 (or another format named behind
//! it) with one face takes in `sync`. `cargo bench --bench realtime -- depth` prints what 10 bits a sample cost
//! beside 8. `cargo bench --bench realtime -- streams` runs sixteen live streams of 640×480 at 30 frames a second
//! in `async` into sinks that drop late frames as video sinks do, and prints how many they dropped.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;

const ROUNDS: usize = 5;
/// Frames of a round at 1080p60.
const FRAMES: u32 = 1200;
const STREAMS: usize = 16;
/// Frames of each live stream: half a minute.
const LIVE_FRAMES: usize = 900;
/// Video sinks drop a frame that comes later than this after it was due; what is due in a live
/// pipeline includes the 20 ms that sinks give it for processing (their `processing-deadline`).
const MOST_LATENESS: Duration = Duration::from_millis(5);

fn main() {
    gst::init().unwrap();
    gstsmile::plugin_register_static().unwrap();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.first().map(String::as_str) {
        Some("share") => share(words.get(1).map_or("YUY2", String::as_str)),
        Some("depth") => depth(),
        Some("streams") => {
            streams("identity");
            streams("smilefilter mode=async device=cpu");
        }
        _ => panic!("usage: realtime share [FORMAT]|depth|streams"),
    }
}

/// The sample picture as a stream, and what it goes through.
fn line(format: &str, [width, height]: [u32; 2], fps: u32, freeze: &str, filter: &str) -> String {
    format!(
        "filesrc location={}/tests/data/astronaut.jpg ! jpegdec ! videoconvert ! videoscale \
         ! video/x-raw,format={format},width={width},height={height},pixel-aspect-ratio=1/1 \
         ! imagefreeze {freeze} ! video/x-raw,framerate={fps}/1 ! {filter}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// Plays to the end, where the pipeline stays.
fn play(pipeline: &gst::Element) {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
}

fn share(format: &str) {
    let seconds = f64::from(FRAMES) / 60.0;
    let shares = sorted((0..ROUNDS).map(|_| cost(format) / seconds));
    println!(
        "1080p60 {format} takes {:.3} of a core, from {:.3} to {:.3}",
        shares[ROUNDS / 2],
        shares[0],
        shares[ROUNDS - 1]
    );
}

fn depth() {
    let ratios = sorted((0..ROUNDS).map(|_| cost("P010_10LE") / cost("NV12")));
    println!(
        "1080p60 P010_10LE takes {:.2} times what NV12 takes, from {:.2} to {:.2}",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Seconds of CPU time that the element takes for the frames of a round.
fn cost(format: &str) -> f64 {
    cpu(format, "smilefilter device=cpu") - cpu(format, "identity")
}

/// Seconds of CPU time for the frames of a round.
fn cpu(format: &str, filter: &str) -> f64 {
    let freeze = format!("num-buffers={FRAMES}");
    let pipeline = line(format, [1920, 1080], 60, &freeze, &format!("{filter} name=filter ! fakesink"));
    let pipeline = gst::parse::launch(&pipeline).unwrap();
    let filter = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("filter").unwrap();
    // A camera's frames are its reader's to write on; those of imagefreeze are all the same one.
    filter.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, |_, info| {
        let buffer = info.buffer_mut().expect("a probe of buffers");
        *buffer = buffer.copy_deep().expect("memory");
        gst::PadProbeReturn::Ok
    });
    let before = ticks();
    play(&pipeline);
    pipeline.set_state(gst::State::Null).unwrap();
    // Linux counts in hundredths, whatever its clock does.
    (ticks() - before) as f64 / 100.0
}

/// CPU time of all threads so far, as Linux tells it.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

fn streams(filter: &str) {
    let freeze = format!("is-live=true num-buffers={LIVE_FRAMES}");
    let stream = line("I420", [640, 480], 30, &freeze, filter);
    let sink = format!("fakesink sync=true qos=true max-lateness={}", MOST_LATENESS.as_nanos());
    let lines: Vec<String> = (0..STREAMS).map(|n| format!("{stream} ! {sink} name=sink{n}")).collect();
    let pipeline = gst::parse::launch(&lines.join(" ")).unwrap();
    let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
    let sinks: Vec<gst::Element> = (0..STREAMS).map(|n| bin.by_name(&format!("sink{n}")).unwrap()).collect();
    let delays: Vec<_> = sinks.iter().map(watch).collect();
    let before = ticks();
    play(&pipeline);
    let cpu = (ticks() - before) as f64 / 100.0 / (LIVE_FRAMES as f64 / 30.0);
    let count = |name: &str| {
        let of = |sink: &gst::Element| sink.property::<gst::Structure>("stats").get::<u64>(name).unwrap();
        sinks.iter().map(of).sum::<u64>()
    };
    let (rendered, dropped) = (count("rendered"), count("dropped"));
    pipeline.set_state(gst::State::Null).unwrap();
    let mut delays: Vec<Duration> = delays.iter().flat_map(|delays| delays.lock().unwrap().clone()).collect();
    delays.sort_unstable();
    println!(
        "{STREAMS} streams through {filter}: of {} frames {rendered} were in time and {dropped} late; one in a \
         hundred took {:.1?} or more from the source, the slowest {:.1?}; {cpu:.2} of a core",
        STREAMS * LIVE_FRAMES,
        delays[delays.len() * 99 / 100],
        delays[delays.len() - 1],
    );
}

/// How long after its time at the source each frame comes to the sink.
fn watch(sink: &gst::Element) -> Arc<Mutex<Vec<Duration>>> {
    let delays = Arc::new(Mutex::new(Vec::with_capacity(LIVE_FRAMES)));
    let (told, of) = (delays.clone(), sink.downgrade());
    sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let now = of.upgrade().and_then(|sink| sink.current_running_time());
        if let (Some(now), Some(due)) = (now, info.buffer().and_then(|buffer| buffer.pts())) {
            told.lock().unwrap().push(now.saturating_sub(due).into());
        }
        gst::PadProbeReturn::Ok
    });
    delays
}
