//! Sixteen streams with labels in one picture.
//!
//! ```sh
//! cargo run --release --example smile-wall -- rtsp://hall/stream rtsp://door/stream
//! cargo run --release --example smile-wall -- --help
//! ```

mod common;

use std::ffi::OsString;
use std::process::ExitCode;

use common::decode::link_video;
use common::input::{Input, text};
use common::play::Play;
use common::{Error, Usage, add, capsfilter, make, shown, smilefilter};
use gst::prelude::*;

const HELP: &str = "\
Labels sixteen streams in one picture.

  smile-wall [--sink WORDS] [INPUT ...]

INPUT is a file, a URI such as rtsp://camera/stream, or camera (the webcam); there may be up to sixteen, and they are
repeated until all places are taken. Without any there are test pictures. --sink is where the picture goes, in the words
of gst-launch-1.0 (default: autovideosink).";

const COLUMNS: usize = 4;
const WIDTH: usize = 320;
const HEIGHT: usize = 240;

fn main() -> ExitCode {
    common::main(HELP, run)
}

fn run(arguments: Vec<OsString>) -> Result<(), Error> {
    let mut arguments = arguments.into_iter().peekable();
    let mut sink = "autovideosink".to_string();
    while let Some(option) = arguments.next_if(|argument| argument.to_string_lossy().starts_with("--")) {
        if option != "--sink" {
            return Err(Usage(format!("there is no option {}", shown(&option))).into());
        }
        sink = text(arguments.next().ok_or_else(|| Usage("--sink takes words".into()))?)?;
    }
    let inputs = arguments.map(|argument| Input::new(&argument)).collect::<Result<Vec<_>, _>>()?;
    if inputs.len() > COLUMNS * COLUMNS {
        return Err(Usage(format!(
            "{} are too many, the wall has {} places",
            inputs.len(),
            COLUMNS * COLUMNS
        ))
        .into());
    }
    let pipeline = gst::Pipeline::new();
    let wall = make("compositor")?;
    wall.set_property_from_str("background", "black");
    let size = format!("video/x-raw,width={},height={}", COLUMNS * WIDTH, COLUMNS * HEIGHT);
    add(&pipeline, &[wall.clone(), capsfilter(&size)?, make("videoconvert")?, common::sink(&sink)?])?;
    for place in 0..COLUMNS * COLUMNS {
        let pad = wall.request_pad_simple("sink_%u").ok_or("the compositor has no more room")?;
        pad.set_property("xpos", (place % COLUMNS * WIDTH) as i32);
        pad.set_property("ypos", (place / COLUMNS * HEIGHT) as i32);
        let input = inputs.get(place % inputs.len().max(1));
        stream(&pipeline, input, &pad).map_err(|error| match input {
            Some(input) => format!("{}: {error}", input.name()).into(),
            None => error,
        })?;
    }
    Play { pipeline: &pipeline, name: None, is_live: true }.run(|_| Ok(()))
}

/// Leads an input, or a test picture, to its place.
fn stream(pipeline: &gst::Pipeline, input: Option<&Input>, place: &gst::Pad) -> Result<(), Error> {
    let size = format!("video/x-raw,width={WIDTH},height={HEIGHT},pixel-aspect-ratio=1/1");
    let mut row = vec![smilefilter(&["mode=async".into()])?, make("queue")?, make("videoscale")?];
    row.extend([capsfilter(&size)?, make("queue")?]);
    if let Some(input) = input {
        let upright = input.upright()?;
        let first = upright[0].clone();
        row.splice(0..0, upright);
        add(pipeline, &row)?;
        link_video(&input.add_to(pipeline)?, &first, |_| {})?;
    } else {
        let source = make("videotestsrc")?;
        source.set_property("is-live", true);
        source.set_property_from_str("pattern", "ball");
        row.splice(0..0, [source, capsfilter("video/x-raw,width=640,height=480,framerate=30/1")?]);
        add(pipeline, &row)?;
    }
    row.last().and_then(|last| last.static_pad("src")).ok_or("no source pad")?.link(place)?;
    Ok(())
}
