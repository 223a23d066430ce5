//! Labels who smiles in pictures, videos, cameras and streams, and shows, writes or sends the result.
//!
//! ```sh
//! cargo run --release --example smile-label -- camera window
//! cargo run --release --example smile-label -- holiday.mp4 labelled.mp4
//! cargo run --release --example smile-label -- --help
//! ```

mod common;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use common::decode::link_video;
use common::encode::{self, Format};
use common::file::{Output, is_same};
use common::input::{Input, is_character_device, is_uri};
use common::play::{Play, Stopped, catch_interrupts, count, interrupted};
use common::{Error, Usage, add, answer, capsfilter, make, say, shown, smilefilter};
use gst::prelude::*;

const HELP: &str = "\
Labels who smiles.

  smile-label [--frames N] [--overwrite] INPUT OUTPUT [NAME=VALUE ...]

INPUT
  camera         the webcam, or what SMILE_CAMERA names in the words of gst-launch-1.0
  /dev/videoN    a video device of Linux
  FILE, URI      whatever GStreamer plays; rtsp:// is a camera in the network
  FOLDER         its JPEG and PNG files
OUTPUT
  window, none   shown; looked at only
  FILE           .mkv, .webm, .mp4, .m4v, .mov or .avi, with the sound of a file or URI; .png or .jpg: the first frame
  /dev/videoN    a virtual camera (v4l2loopback)
  rtsp://...     to an RTSP server
  http(s)://...  to a WebRTC server by WHIP
  FOLDER         where INPUT is a folder: a PNG for each picture

NAME=VALUE are properties of smilefilter. --frames ends after so many frames. A file that is there stays and nothing is
done, unless --overwrite comes first.
Ctrl-C ends what is live, and its file is whole. A file gets its name when it is finished. Of a recording that fails, what
was written before stays under a name that is told; of other files nothing does.";

/// What else can be done about a file that is there.
const HINT: &str = ", or say --overwrite first";

fn main() -> ExitCode {
    common::main(HELP, run)
}

fn run(arguments: Vec<OsString>) -> Result<(), Error> {
    let mut arguments = arguments.into_iter().peekable();
    let mut frames = None;
    let mut overwrite = false;
    while let Some(option) = arguments.next_if(|argument| argument.to_string_lossy().starts_with("--")) {
        if option == "--overwrite" {
            overwrite = true;
            continue;
        }
        if option != "--frames" {
            return Err(Usage(format!("there is no option {}", shown(&option))).into());
        }
        let count = arguments.next().and_then(|count| count.to_str()?.parse().ok());
        let count = count.filter(|&count: &u64| count > 0);
        frames = Some(count.ok_or_else(|| Usage("--frames takes a number from 1 on".into()))?);
    }
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err(Usage("INPUT and OUTPUT are needed".into()).into());
    };
    let properties: Vec<OsString> = arguments.collect();
    // Once, before there is anything to be undone.
    smilefilter(&properties)?;
    if Path::new(&input).is_dir() {
        return folder(Path::new(&input), Path::new(&output), overwrite, &properties);
    }
    let input = Input::new(&input)?;
    let target = Target::new(&output, overwrite, &input)?;
    label(&input, target, &properties, frames)
}

/// Labels each picture in a folder. Those that can't be are named, and counted in the end.
fn folder(input: &Path, output: &Path, overwrite: bool, properties: &[OsString]) -> Result<(), Error> {
    let name = shown(input);
    let pictures = pictures(input)?;
    if pictures.is_empty() {
        return Err(format!("there is no JPEG or PNG in {name}").into());
    }
    std::fs::create_dir_all(output).map_err(|error| format!("{}: {error}", shown(output)))?;
    if is_same(input, output) {
        return Err(format!("the pictures of {name} can't be written into it; name another folder").into());
    }
    let mut failed = 0;
    for picture in &pictures {
        let labelled = png_of(picture, output);
        let result = Output::new(&labelled, (overwrite, HINT), pictures.iter().map(PathBuf::as_path))
            .and_then(|file| Ok((file, Input::new(path_argument(picture).as_os_str())?)))
            .and_then(|(file, input)| {
                label(&input, Target::File(file, Format::Picture("pngenc")), properties, None)
            });
        if interrupted() {
            return Err(format!("{name}: interrupted").into());
        }
        if let Err(error) = result {
            failed += 1;
            say(format!("Error: {error}"));
        }
    }
    if failed > 0 {
        return Err(format!("{failed} of {} pictures in {name} couldn't be labelled", pictures.len()).into());
    }
    Ok(())
}

/// The pictures in a folder by their names, in order. Hidden files are other programs' notes.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let readable = |error: std::io::Error| format!("{} can't be read: {error}", shown(folder));
    let mut pictures = Vec::new();
    for entry in folder.read_dir().map_err(readable)? {
        let path = entry.map_err(readable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase()).unwrap_or_default();
        if !is_hidden && ["jpg", "jpeg", "png"].iter().any(|picture| ending == *picture) {
            pictures.push(path);
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// `picture.jpg.png` in another folder, so that `picture.png` has a name of its own.
fn png_of(picture: &Path, folder: &Path) -> PathBuf {
    let mut name = picture.file_name().unwrap_or_default().to_os_string();
    name.push(".png");
    folder.join(name)
}

/// A path that can't be taken for a word or a URI.
fn path_argument(path: &Path) -> PathBuf {
    if path.is_absolute() { path.into() } else { Path::new(".").join(path) }
}

/// Where labelled video goes.
enum Target {
    Window,
    None,
    Device(PathBuf),
    Rtsp(String),
    Whip(String),
    File(Output, Format),
}

impl Target {
    fn new(argument: &OsStr, overwrite: bool, input: &Input) -> Result<Self, Error> {
        match argument.to_str() {
            Some("window") => return Ok(Self::Window),
            Some("none") => return Ok(Self::None),
            Some(uri) if is_uri(uri) => {
                return match uri.split_once(':') {
                    Some(("rtsp" | "rtsps", _)) => Ok(Self::Rtsp(uri.into())),
                    Some(("http" | "https", _)) => Ok(Self::Whip(uri.into())),
                    _ => Err(format!("{}: video goes to rtsp:// or http:// only", shown(uri)).into()),
                };
            }
            _ => {}
        }
        let path = Path::new(argument);
        let output = Output::new(path, (overwrite, HINT), input.as_file())?;
        if output.is_file() {
            return Ok(Self::File(output, Format::of(path)?));
        }
        // Maybe by a link such as those in /dev/v4l.
        let is_video = path.canonicalize().is_ok_and(|path| path.to_string_lossy().starts_with("/dev/video"));
        if is_video && path.metadata().is_ok_and(|of| is_character_device(&of)) {
            return Ok(Self::Device(path.into()));
        }
        // A pipe or another device: what can be read while it is written.
        Ok(Self::File(output, Format::Video("matroskamux")))
    }

    /// Where a frame mustn't wait for its own result.
    fn is_fed_in_time(&self) -> bool {
        matches!(self, Self::Device(_) | Self::Rtsp(_) | Self::Whip(_))
    }

    /// What comes after the element, in a row, and what takes sound.
    fn elements(&self, is_live: bool) -> Result<(Vec<gst::Element>, Option<gst::Element>), Error> {
        let mut row = vec![make("videoconvert")?];
        let mut muxer = None;
        match self {
            Self::Window => {
                let sink = make("autovideosink")?;
                sink.set_property("sync", !is_live);
                row.push(sink);
            }
            Self::None => row.push(make("fakesink")?),
            Self::Device(path) => {
                let sink = make("v4l2sink")?;
                sink.set_property("device", path);
                sink.set_property("sync", false);
                row.extend([capsfilter("video/x-raw,format=YUY2")?, sink]);
            }
            Self::Rtsp(location) => {
                row.extend(encode::stream()?.0);
                let sink = make("rtspclientsink")?;
                sink.set_property("location", location);
                row.push(sink);
            }
            Self::Whip(endpoint) => {
                let (encoder, is_h264) = encode::stream()?;
                row.extend(encoder);
                let payload = make(if is_h264 { "rtph264pay" } else { "rtpvp8pay" })?;
                if is_h264 {
                    payload.set_property_from_str("aggregate-mode", "zero-latency");
                    payload.set_property("config-interval", -1);
                }
                let sink = make("whipsink")?;
                sink.set_property("whip-endpoint", endpoint);
                row.extend([payload, sink]);
            }
            Self::File(output, format) => {
                match format {
                    Format::Picture(encoder) => {
                        let encoder = make(encoder)?;
                        encoder.set_property("snapshot", true);
                        row.push(encoder);
                    }
                    Format::Video(name) => {
                        let mux = make(name)?;
                        if !output.is_file() && mux.has_property("streamable") {
                            mux.set_property("streamable", true);
                        }
                        let (encoder, codec) = encode::video(&mux)?;
                        if codec != "H.264" && *name != "webmmux" {
                            say(format!(
                                "There is no H.264 encoder here that fits (Debian: gstreamer1.0-plugins-ugly), so the video is {codec}."
                            ));
                        }
                        row.extend(encoder);
                        row.extend([make("queue")?, mux.clone()]);
                        muxer = Some(mux);
                    }
                }
                let sink = make("filesink")?;
                sink.set_property("location", output.path());
                row.push(sink);
            }
        }
        Ok((row, muxer))
    }
}

fn label(input: &Input, target: Target, properties: &[OsString], frames: Option<u64>) -> Result<(), Error> {
    let is_live = input.is_live();
    let mut all = Vec::new();
    if target.is_fed_in_time() || matches!(input, Input::Uri(_)) {
        all.push("mode=async".into());
    }
    all.extend_from_slice(properties);
    let smile = smilefilter(&all)?;
    let (after, muxer) = target.elements(is_live)?;
    let pipeline = gst::Pipeline::new();
    let mut row = input.upright()?.to_vec();
    row.push(smile.clone());
    row.extend(after);
    add(&pipeline, &row)?;
    let decoder = input.add_to(&pipeline)?;
    let parent = pipeline.downgrade();
    if let Some(muxer) = &muxer {
        keep_sound(&decoder, muxer);
    }
    link_video(&decoder, &row[0], move |pad| {
        if let (Some(pipeline), Some(muxer)) = (parent.upgrade(), &muxer)
            && let Err(error) = link_sound(&pipeline, muxer, pad)
        {
            gst::element_error!(muxer, gst::StreamError::Mux, ["{}", error]);
        }
    })?;
    let labelled = count(&pipeline, &smile, frames);
    // Only of a file that isn't whole nothing may be left.
    let is_ended_well = is_live || !matches!(target, Target::File(..));
    let _reader = match &target {
        Target::File(output, _) if !output.is_file() => wait_for_reader(output.path())?,
        _ => None,
    };
    let played =
        Play { pipeline: &pipeline, name: Some(&input.name()), is_live: is_ended_well }.run(|_| Ok(()));
    let is_labelled = labelled.load(Ordering::Relaxed) > 0;
    if let Err(error) = played {
        let is_whole = error.downcast_ref::<Stopped>().is_some_and(|stopped| stopped.is_whole);
        return Err(match target {
            Target::File(output, Format::Video(_)) if is_whole && is_labelled && output.is_file() => {
                format!("{error}; what came before is in {}", shown(output.commit()?)).into()
            }
            // Nobody can record it again.
            Target::File(output, Format::Video(_)) if is_live && is_labelled && output.is_file() => {
                match output.keep() {
                    Some(part) => {
                        format!("{error}; what was recorded before, without an end, is {}", shown(part))
                            .into()
                    }
                    None => error,
                }
            }
            _ => error,
        });
    }
    if !is_labelled {
        return Err(format!("{}: no frame of it can be decoded", input.name()).into());
    }
    if let Target::File(output, _) = target
        && output.is_file()
    {
        answer(output.commit()?)?;
    }
    Ok(())
}

/// Waits until somebody reads a pipe, which GStreamer would do without heeding Ctrl-C. While what this gives is held,
/// the pipe can be opened at once.
#[cfg(unix)]
fn wait_for_reader(pipe: &Path) -> Result<Option<std::fs::File>, Error> {
    use std::os::unix::fs::FileTypeExt;
    if !pipe.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return Ok(None);
    }
    catch_interrupts();
    let path = pipe.to_path_buf();
    let opening = std::thread::spawn(move || std::fs::OpenOptions::new().write(true).open(path));
    while !opening.is_finished() {
        if interrupted() {
            return Err(format!("{}: interrupted before anybody read it", shown(pipe)).into());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let opened = opening.join().map_err(|_| format!("{}: it can't be opened", shown(pipe)))?;
    Ok(Some(opened.map_err(|error| format!("{}: {error}", shown(pipe)))?))
}

#[cfg(not(unix))]
fn wait_for_reader(_: &Path) -> Result<Option<std::fs::File>, Error> {
    Ok(None)
}

/// Has sound that fits into the file as it is be left undecoded.
fn keep_sound(decoder: &gst::Element, muxer: &gst::Element) {
    if gst::glib::subclass::SignalId::lookup("autoplug-continue", decoder.type_()).is_none() {
        return;
    }
    let muxer = muxer.clone();
    decoder.connect("autoplug-continue", false, move |values| {
        let caps = values[2].get::<gst::Caps>().ok();
        let is_sound = |caps: &gst::Caps| {
            let name = caps.structure(0).map(|structure| structure.name().as_str()).unwrap_or_default();
            name.starts_with("audio/") && name != "audio/x-raw"
        };
        let is_kept =
            caps.is_some_and(|caps| caps.is_fixed() && is_sound(&caps) && encode::takes(&muxer, &caps));
        Some((!is_kept).to_value())
    });
    let warned = AtomicBool::new(false);
    decoder.connect("unknown-type", false, move |values| {
        if let Ok(caps) = values[2].get::<gst::Caps>()
            && let Some(structure) =
                caps.structure(0).filter(|structure| structure.name().starts_with("audio/"))
            && !warned.swap(true, Ordering::Relaxed)
        {
            say(format!(
                "The sound ({}) is left out: it has no decoder here (Debian: gstreamer1.0-libav).",
                structure.name()
            ));
        }
        None
    });
}

/// Links a stream of sound to the file, encoded unless it is already.
fn link_sound(pipeline: &gst::Pipeline, muxer: &gst::Element, pad: &gst::Pad) -> Result<(), Error> {
    let queue = make("queue")?;
    // An encoder of video keeps many frames back, and the muxer waits for them. If sound had no room meanwhile,
    // nothing more would be read from the file.
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-time", 0u64);
    queue.set_property("max-size-bytes", 64u32 << 20);
    let mut row = Vec::new();
    if pad.current_caps().is_none_or(|caps| {
        !encode::takes(muxer, &caps) || caps.structure(0).is_some_and(|of| of.name() == "audio/x-raw")
    }) {
        row.extend(encode::sound(muxer)?);
    }
    row.push(queue);
    add(pipeline, &row)?;
    let last = row.last().and_then(|last| last.static_pad("src")).ok_or("no source pad")?;
    last.link(&muxer.request_pad_simple("audio_%u").ok_or("the file takes no more sound")?)?;
    for element in &row {
        element.sync_state_with_parent()?;
    }
    pad.link(&row[0].static_pad("sink").expect("filters have one"))?;
    Ok(())
}
