//! Takes a full-resolution JPEG when everybody in the picture has smiled for a second, and counts down
//! to it on screen.
//!
//! ```sh
//! cargo run --release --example smile-shutter -- 'holiday-%03d.jpg'
//! ```
//!
//! Two more arguments name a source and a sink in the words of `gst-launch-1.0`.

mod common;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use common::decode::link_video;
use common::file::Output;
use common::input::{Input, text};
use common::play::Play;
use common::{Error, Usage, add, answer, make, shown, smilefilter};
use gst::prelude::*;
use gstsmile::smilefilter::{Event, Results};

const HELP: &str = "\
Takes a JPEG when everybody in the picture has smiled for a second.

  smile-shutter [PICTURES [SOURCE [SINK]]]

PICTURES is a name with one number in it, such as holiday-%03d.jpg or %d.jpg (default: smile-%03d.jpg; %% is a percent
sign). Numbers of pictures that are there already are passed over. SOURCE and SINK are words of gst-launch-1.0 (default:
the webcam, or what SMILE_CAMERA names; and autovideosink).";

/// So long everybody has to smile.
const HOLD: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// The shortest time from one picture to the next.
const PAUSE: gst::ClockTime = gst::ClockTime::from_seconds(3);

fn main() -> ExitCode {
    common::main(HELP, run)
}

fn run(arguments: Vec<OsString>) -> Result<(), Error> {
    let mut arguments = arguments.into_iter();
    let pictures = Pictures::new(&arguments.next().map_or(Ok("smile-%03d.jpg".into()), text)?)?;
    let input = match arguments.next() {
        Some(words) => Input::Camera(text(words)?),
        None => Input::new("camera".as_ref())?,
    };
    let sink = arguments.next().map_or(Ok("autovideosink".into()), text)?;
    if let Some(more) = arguments.next() {
        return Err(Usage(format!("{} is one argument too many", shown(more))).into());
    }
    let pipeline = gst::Pipeline::new();
    let tee = make("tee")?;
    let [convert, flip] = input.upright()?;
    add(&pipeline, &[convert.clone(), flip, tee.clone()])?;
    link_video(&input.add_to(&pipeline)?, &convert, |_| {})?;

    let countdown = make("textoverlay")?;
    countdown.set_property_from_str("valignment", "center");
    countdown.set_property("font-desc", "Sans 48");
    let smile = smilefilter(&["updates=every-frame".into()])?;
    let row = [
        make("queue")?,
        make("videoconvert")?,
        smile,
        countdown.clone(),
        make("videoconvert")?,
        common::sink(&sink)?,
    ];
    add(&pipeline, &row)?;
    tee.link(&row[0])?;

    // The shutter is open for one frame at a time; what it lets through has no labels on it.
    let queue = make("queue")?;
    queue.set_property_from_str("leaky", "downstream");
    queue.set_property("max-size-buffers", 2u32);
    let shutter = make("valve")?;
    shutter.set_property("drop", true);
    shutter.set_property_from_str("drop-mode", "forward-sticky-events");
    let open = shutter.clone();
    shutter.static_pad("src").expect("valves have one").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        open.set_property("drop", true);
        gst::PadProbeReturn::Ok
    });
    let encoder = make("jpegenc")?;
    encoder.set_property("quality", 95);
    let album = make("fakesink")?;
    album.set_property("async", false);
    album.set_property("signal-handoffs", true);
    let pictures = Arc::new(Mutex::new(pictures));
    album.connect("handoff", false, move |values| {
        let album = values[0].get::<gst::Element>().expect("the signal's first value");
        let taken = values[1].get::<gst::Buffer>().map_err(Error::from).and_then(|picture| {
            let picture = picture.into_mapped_buffer_readable().map_err(|_| "the picture can't be read")?;
            pictures.lock().unwrap_or_else(|error| error.into_inner()).keep(&picture)
        });
        if let Err(error) = taken {
            gst::element_error!(album, gst::ResourceError::Write, ["{}", error]);
        }
        None
    });
    let row = [queue, shutter.clone(), encoder, album];
    add(&pipeline, &row)?;
    tee.link(&row[0])?;

    let mut countdown_to = Countdown::default();
    Play { pipeline: &pipeline, name: Some(&input.name()), is_live: true }.run(|structure| {
        let Ok(results) = Results::try_from(structure) else { return Ok(()) };
        if let (Event::Update, Some(now)) = (results.event, results.running_time) {
            let left = countdown_to.left(&results, now);
            countdown.set_property("text", left.map_or(String::new(), |left| format!("{left:.1}")));
            if left == Some(0.0) {
                answer(format!("Smile! {} faces", results.faces.len()))?;
                shutter.set_property("drop", false);
            }
        }
        Ok(())
    })
}

/// The names of pictures, with a number in each.
struct Pictures {
    before: String,
    after: String,
    /// At least so many digits, with zeros in front.
    digits: usize,
    next: u64,
}

impl Pictures {
    fn new(pattern: &str) -> Result<Self, Error> {
        let wrong = || {
            Usage(format!(
                "\"{pattern}\" has to have one number in it, such as %03d or %d (a percent sign is %%)"
            ))
        };
        let (mut texts, mut digits) = (vec![String::new()], 1);
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('%') {
            let text = texts.last_mut().expect("there is always one");
            text.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                text.push('%');
                rest = after;
                continue;
            }
            let (width, after) = after.split_once('d').ok_or_else(wrong)?;
            let is_width =
                width.is_empty() || width.len() <= 2 && width.bytes().all(|digit| digit.is_ascii_digit());
            if texts.len() > 1 || !is_width {
                return Err(wrong().into());
            }
            digits = width.parse().unwrap_or(1);
            texts.push(String::new());
            rest = after;
        }
        texts.last_mut().expect("there is always one").push_str(rest);
        let [before, after] = <[String; 2]>::try_from(texts).map_err(|_| wrong())?;
        let pictures = Self { before, after, digits, next: 0 };
        // Better now than at the first smile.
        Output::new(Path::new(&pictures.name(pictures.free())), (false, ""), [])?;
        Ok(pictures)
    }

    fn name(&self, number: u64) -> String {
        format!("{}{number:0digits$}{}", self.before, self.after, digits = self.digits)
    }

    /// The next number whose name is free.
    fn free(&self) -> u64 {
        let is_free = |number: &u64| Path::new(&self.name(*number)).symlink_metadata().is_err();
        (self.next..).find(is_free).unwrap_or(u64::MAX)
    }

    /// Writes a picture under the next name that is free.
    fn keep(&mut self, picture: &[u8]) -> Result<(), Error> {
        let number = self.free();
        self.next = number.saturating_add(1);
        let file = Output::new(Path::new(&self.name(number)), (false, ""), [])?;
        std::fs::write(file.path(), picture)?;
        file.commit()?;
        Ok(())
    }
}

/// The time to the next picture.
#[derive(Default)]
struct Countdown {
    since: Option<gst::ClockTime>,
    last: Option<gst::ClockTime>,
}

impl Countdown {
    /// The seconds left, while everybody smiles; 0 when it is time.
    fn left(&mut self, results: &Results, now: gst::ClockTime) -> Option<f64> {
        let everybody = !results.faces.is_empty() && results.faces.iter().all(|face| face.smiling);
        let paused = self.last.is_some_and(|last| now.saturating_sub(last) < PAUSE);
        if !everybody || paused {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let left = HOLD.saturating_sub(now.saturating_sub(since));
        if left.is_zero() {
            (self.since, self.last) = (None, Some(now));
        }
        Some(left.seconds_f64())
    }
}
