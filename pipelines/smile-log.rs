//! Writes one line of JSON for each smile and each face that comes or goes in a video, after
//! `results.schema.json`, and draws such lines as a timeline.
//!
//! ```sh
//! cargo run --release --example smile-log -- holiday.mp4 > holiday.jsonl
//! cargo run --release --example smile-log -- --frames camera > every-frame.jsonl
//! cargo run --release --example smile-log -- --timeline holiday.jsonl > holiday.svg
//! ```

mod common;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use common::decode::link_video;
use common::input::Input;
use common::play::Play;
use common::{Error, Usage, add, make, shown, smilefilter};
use gst::prelude::*;
use gstsmile::smilefilter::{Event, Results};

const HELP: &str = "\
Writes a line of JSON for each face that comes or goes and each smile that starts or ends.

  smile-log [--frames] INPUT [NAME=VALUE ...]
  smile-log --timeline LOG

INPUT is a file, a URI, or camera (the webcam, or what SMILE_CAMERA names in the words of gst-launch-1.0); NAME=VALUE are
properties of smilefilter. --frames adds a line for each frame. --timeline draws such lines, as SVG.";

/// A line is some hundred bytes: a day of them.
const MOST_BYTES: u64 = 256 << 20;
/// A hundred years.
const MOST_SECONDS: f64 = 3.2e9;

fn main() -> ExitCode {
    common::main(HELP, run)
}

fn run(arguments: Vec<OsString>) -> Result<(), Error> {
    match &arguments[..] {
        [option, file] if option == "--timeline" => {
            let name = shown(file);
            let lines = read(Path::new(file)).map_err(|error| format!("{name}: {error}"))?;
            let picture = timeline(&lines).map_err(|error| format!("{name}, {error}"))?;
            writeln!(std::io::stdout(), "{picture}")
                .map_err(|error| format!("the picture can't be written: {error}").into())
        }
        [option, video, properties @ ..] if option == "--frames" => log(video, "every-frame", properties),
        [video, properties @ ..] if !video.to_string_lossy().starts_with('-') => {
            log(video, "on-change", properties)
        }
        _ => Err(Usage("an INPUT is needed, or --timeline and a LOG".into()).into()),
    }
}

/// A log as a text. What never ends, or is no log of hours, is not taken into memory.
fn read(file: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = std::fs::File::open(file)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    match read as u64 > MOST_BYTES {
        true => Err(format!("it has more than {MOST_BYTES} bytes, so it is no log to be drawn").into()),
        false => Ok(text),
    }
}

/// Plays a video as fast as it can be looked at, and writes a line for each message.
fn log(video: &OsStr, updates: &str, properties: &[OsString]) -> Result<(), Error> {
    let input = Input::new(video)?;
    // What makes the log can't be had otherwise.
    for name in ["display", "post-messages", "updates"] {
        if properties.iter().any(|property| property.to_string_lossy().starts_with(&format!("{name}="))) {
            return Err(Usage(format!("{name} is set by smile-log itself; leave it out")).into());
        }
    }
    let smile = smilefilter(properties)?;
    smile.set_property_from_str("display", "0");
    smile.set_property_from_str("updates", updates);
    let pipeline = gst::Pipeline::new();
    let [convert, flip] = input.upright()?;
    add(&pipeline, &[convert.clone(), flip, smile, make("fakesink")?])?;
    link_video(&input.add_to(&pipeline)?, &convert, |_| {})?;
    let mut output = std::io::stdout().lock();
    Play { pipeline: &pipeline, name: Some(&input.name()), is_live: input.is_live() }.run(|structure| {
        if let Ok(results) = Results::try_from(structure) {
            writeln!(output, "{}", results.to_json())
                .map_err(|error| format!("the log can't be written: {error}"))?;
        }
        Ok(())
    })
}

/// When a face was there, and when it smiled: from and to, in seconds.
#[derive(Default)]
struct Row {
    there: Vec<[f64; 2]>,
    smiles: Vec<[f64; 2]>,
}

/// A picture of each face's smiles, as SVG.
fn timeline(log: &str) -> Result<String, Error> {
    let mut rows = BTreeMap::<u32, Row>::new();
    let (mut open, mut end) = (BTreeMap::<(u32, bool), f64>::new(), 0.0f64);
    for (number, text) in (1..).zip(log.lines()) {
        let results = Results::from_json(text).map_err(|error| format!("line {number}: {error}"))?;
        let (id, Some(time)) = (results.identity, results.stream_time) else { continue };
        let time = time.seconds_f64();
        if time >= MOST_SECONDS {
            return Err(format!("line {number}: {time} is no time of a log, in seconds").into());
        }
        end = end.max(time);
        let mut close = |id: u32, smile: bool| {
            if let Some(from) = open.remove(&(id, smile)) {
                let row = rows.entry(id).or_default();
                if smile { &mut row.smiles } else { &mut row.there }.push([from, time]);
            }
        };
        match results.event {
            Event::FaceLost => [true, false].into_iter().for_each(|smile| close(id, smile)),
            Event::SmileEnded => close(id, true),
            Event::FaceAppeared => drop(open.insert((id, false), time)),
            Event::SmileStarted => drop(open.insert((id, true), time)),
            Event::Update => {}
        }
    }
    for ((id, smile), from) in open {
        let row = rows.entry(id).or_default();
        if smile { &mut row.smiles } else { &mut row.there }.push([from, end]);
    }
    Ok(draw(&rows, end))
}

fn draw(rows: &BTreeMap<u32, Row>, end: f64) -> String {
    let x = |time: f64| 80.0 + 900.0 * time / end.max(1e-9);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"{}\" font-family=\"sans-serif\" \
         font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        30 * rows.len() + 40
    );
    for (index, (id, row)) in rows.iter().enumerate() {
        let y = 10 + 30 * index;
        svg += &format!("<text x=\"10\" y=\"{}\">face {id}</text>\n", y + 16);
        let bars = row.there.iter().map(|span| (span, "#d4d4d4"));
        for ([from, to], color) in bars.chain(row.smiles.iter().map(|span| (span, "#34b35a"))) {
            let (left, width) = (x(*from), (x(*to) - x(*from)).max(2.0));
            svg += &format!(
                "<rect x=\"{left:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"22\" fill=\"{color}\"/>\n"
            );
        }
    }
    let bottom = 30 * rows.len() + 30;
    svg + &format!(
        "<text x=\"80\" y=\"{bottom}\">0 s</text>\n<text x=\"940\" y=\"{bottom}\">{end:.1} s</text>\n</svg>"
    )
}
