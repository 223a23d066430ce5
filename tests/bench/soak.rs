//! The element at full speed for a long time, 640×480 with one face:
//!
//! `cargo bench --bench soak -- sync|async [MINUTES]`
//!
//! With `async`, another thread changes properties and models all the time. Prints every few seconds
//! how much memory the process holds and how long frames took through the element, and in the end
//! the last quarter beside the first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use rand::{RngExt, SeedableRng};

const PERIOD: Duration = Duration::from_secs(5);

/// What one period was like.
#[derive(Clone, Copy, Debug)]
struct Sample {
    frames: usize,
    /// Resident memory in KiB.
    memory: f64,
    /// Microseconds through the element: the median, and what one frame in a hundred exceeds.
    median: f64,
    slow: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let (mode, minutes) = match &arguments[..] {
        [mode] => (mode, 60.0),
        [mode, minutes] => (mode, minutes.parse::<f64>().expect("MINUTES is a number")),
        _ => panic!("usage: soak sync|async [MINUTES]"),
    };
    gst::init().unwrap();
    gstsmile::plugin_register_static().unwrap();
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={}/tests/data/astronaut.jpg ! jpegdec ! videoconvert ! videoscale \
         ! video/x-raw,format=YUY2,width=640,height=480,pixel-aspect-ratio=1/1 \
         ! imagefreeze ! video/x-raw,framerate=30/1 \
         ! smilefilter name=filter mode={mode} device=cpu updates=every-frame ! fakesink",
        env!("CARGO_MANIFEST_DIR")
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let filter = pipeline.by_name("filter").unwrap();
    let times = watch(&filter);
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();

    let over = AtomicBool::new(false);
    let samples = std::thread::scope(|scope| {
        if mode == "async" {
            scope.spawn(|| meddle(&filter, &over));
        }
        let samples = record(&bus, &times, Duration::from_secs_f64(60.0 * minutes));
        over.store(true, Ordering::Relaxed);
        samples
    });
    pipeline.set_state(gst::State::Null).unwrap();
    compare(&samples);
}

/// Collects how many microseconds each buffer takes from pad to pad.
fn watch(filter: &gst::Element) -> Arc<Mutex<Vec<u32>>> {
    let times = Arc::new(Mutex::new(Vec::new()));
    let (entered, left) = (Arc::new(Mutex::new(None::<Instant>)), times.clone());
    let enter = entered.clone();
    filter.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        *enter.lock().unwrap() = Some(Instant::now());
        gst::PadProbeReturn::Ok
    });
    filter.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if let Some(start) = entered.lock().unwrap().take() {
            left.lock().unwrap().push(start.elapsed().as_micros() as u32);
        }
        gst::PadProbeReturn::Ok
    });
    times
}

/// Samples until `length` is over. Messages are read as they come, or they would pile up.
fn record(bus: &gst::Bus, times: &Mutex<Vec<u32>>, length: Duration) -> Vec<Sample> {
    let start = Instant::now();
    let (mut samples, mut next) = (Vec::new(), start + PERIOD);
    while start.elapsed() < length {
        if let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(20)) {
            assert!(!matches!(message.view(), gst::MessageView::Error(_)), "{message:?}");
        }
        if Instant::now() < next {
            continue;
        }
        next += PERIOD;
        let mut times = std::mem::take(&mut *times.lock().unwrap());
        if times.is_empty() {
            println!("{} s: no frame", start.elapsed().as_secs());
            continue;
        }
        times.sort_unstable();
        let rank = |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]);
        let sample = Sample { frames: times.len(), memory: memory(), median: rank(0.5), slow: rank(0.99) };
        println!("{} s: {sample:?}", start.elapsed().as_secs());
        samples.push(sample);
    }
    samples
}

/// Changes properties, with good and bad values, as fast as a person could never do.
fn meddle(filter: &gst::Element, over: &AtomicBool) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/models/smile.safetensors");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    while !over.load(Ordering::Relaxed) {
        match rng.random_range(0..11) {
            0 => filter.set_property_from_str("region", ["auto", "faces", "full"][rng.random_range(0..3)]),
            1 => filter.set_property_from_str("display", ["0", "box+label+bar+fps"][rng.random_range(0..2)]),
            2 => filter.set_property("model-file", ["", file, "/no/such/file"][rng.random_range(0..3)]),
            3 => filter.set_property("face-model-file", ["", "/no/such/file"][rng.random_range(0..2)]),
            4 => filter.emit_by_name::<()>("reset", &[]),
            5 => filter.set_property("labels", ["", "no\nyes", "one"][rng.random_range(0..3)]),
            6 => filter.set_property("detection-interval", rng.random_range(1..9u32)),
            7 => filter.set_property("font-scale", rng.random_range(0.1..10.0)),
            8 => filter.set_property("smile-color", rng.random::<u32>()),
            9 => filter.set_property("smoothing", rng.random_range(0.0..1.0)),
            _ => drop(filter.property::<gst::Structure>("stats")),
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..50)));
    }
}

/// Resident memory in KiB, as Linux tells it.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}

fn compare(samples: &[Sample]) {
    let quarter = samples.len().div_ceil(4);
    let (first, last) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    println!("{} frames", samples.iter().map(|sample| sample.frames).sum::<usize>());
    let told = |name: &str, of: fn(&Sample) -> f64| {
        let mean = |samples: &[Sample]| samples.iter().map(of).sum::<f64>() / samples.len() as f64;
        let (first, last) = (mean(first), mean(last));
        println!("{name}: {first:.0} in the first quarter, {last:.0} in the last, ratio {:.3}", last / first);
    };
    told("memory", |sample| sample.memory);
    told("median time", |sample| sample.median);
    told("99th percentile of time", |sample| sample.slow);
}
