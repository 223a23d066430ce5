//! Writes one line of JSON for each smile and each face that comes or goes in a video, and draws such
//! lines as a timeline.
//!
//! ```sh
//! cargo run --release --example smile-log -- holiday.mp4 > holiday.jsonl
//! cargo run --release --example smile-log -- --frames camera > every-frame.jsonl
//! cargo run --release --example smile-log -- --timeline holiday.jsonl > holiday.svg
//! ```

use std::collections::BTreeMap;
use std::io::Write;

use gst::prelude::*;
use gstsmile::smilefilter::{Event, Results};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--timeline", file] => {
            println!("{}", timeline(&std::fs::read_to_string(file)?)?);
            Ok(())
        }
        ["--frames", video] => log(video, "every-frame"),
        [video] if !video.starts_with('-') => log(video, "on-change"),
        _ => Err("usage: smile-log [--frames] FILE|URI|camera, or smile-log --timeline LOG.jsonl".into()),
    }
}

/// Plays a video as fast as it can be looked at, and writes a line for each message.
fn log(video: &str, updates: &str) -> Result<(), Error> {
    gst::init()?;
    gstsmile::plugin_register_static()?;
    let source = match video {
        "camera" if cfg!(target_os = "macos") => "avfvideosrc".into(),
        "camera" => "v4l2src".into(),
        uri if uri.contains("://") => format!("uridecodebin uri=\"{uri}\""),
        file => format!("filesrc location=\"{file}\" ! decodebin"),
    };
    let pipeline = gst::parse::launch(&format!(
        "{source} ! videoconvert ! smilefilter display=0 updates={updates} ! fakesink"
    ))?;
    // What goes wrong here is told by the bus, in better words.
    let _ = pipeline.set_state(gst::State::Playing);
    let mut output = std::io::stdout().lock();
    for message in pipeline.bus().expect("pipelines have one").iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Element(element) => {
                if let Some(Ok(results)) = element.structure().map(Results::try_from) {
                    writeln!(output, "{}", line(&results))?;
                }
            }
            gst::MessageView::Error(error) => {
                return Err(format!("{} {}", error.error(), error.debug().unwrap_or_default()).into());
            }
            gst::MessageView::Eos(_) => break,
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

fn line(results: &Results) -> Value {
    let faces = results.faces.iter().map(|face| {
        json!({
            "id": face.id, "x": face.x, "y": face.y, "width": face.width, "height": face.height,
            "smiling": face.smiling, "probability": face.probability,
        })
    });
    json!({
        "time": results.stream_time.map(|time| time.seconds_f64()),
        "event": results.event.as_str(),
        "identity": results.identity,
        "faces": faces.collect::<Vec<_>>(),
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
    let mut rows = BTreeMap::<u64, Row>::new();
    let (mut open, mut end) = (BTreeMap::<(u64, bool), f64>::new(), 0.0f64);
    for text in log.lines() {
        let line: Value = serde_json::from_str(text)?;
        let (Some(time), Some(event), Some(id)) =
            (line["time"].as_f64(), line["event"].as_str(), line["identity"].as_u64())
        else {
            continue;
        };
        end = end.max(time);
        let mut close = |id: u64, smile: bool| {
            if let Some(from) = open.remove(&(id, smile)) {
                let row = rows.entry(id).or_default();
                if smile { &mut row.smiles } else { &mut row.there }.push([from, time]);
            }
        };
        match event.parse()? {
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

fn draw(rows: &BTreeMap<u64, Row>, end: f64) -> String {
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
