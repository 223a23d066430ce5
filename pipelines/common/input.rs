//! Where video comes from.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use gst::prelude::*;

use super::{Error, add, camera, make, shown, source};

/// In larger files no orientation is looked for: they would be read whole.
const MOST_BYTES: u64 = 1 << 28;

/// Pictures with more pixels aren't decoded: a file of a few bytes can claim as many as it likes.
const MOST_PIXELS: u64 = 1 << 28;

pub enum Input {
    /// The webcam, or what SMILE_CAMERA names in the words of `gst-launch-1.0`.
    Camera(String),
    /// A video device of Linux.
    Device(PathBuf),
    File(PathBuf),
    Uri(String),
}

impl Input {
    /// `camera`, a URI, or a path. A file of the name `camera` is `./camera`.
    pub fn new(argument: &OsStr) -> Result<Self, Error> {
        if argument == "camera" {
            let usual = if cfg!(target_os = "macos") { "avfvideosrc" } else { "v4l2src" };
            return Ok(Self::Camera(std::env::var("SMILE_CAMERA").unwrap_or_else(|_| usual.into())));
        }
        if let Some(uri) = argument.to_str().filter(|text| is_uri(text)) {
            return Ok(match gst::glib::filename_from_uri(uri) {
                Ok((path, _)) => Self::path(path)?,
                Err(_) => Self::Uri(uri.into()),
            });
        }
        Self::path(argument.into())
    }

    fn path(path: PathBuf) -> Result<Self, Error> {
        let name = shown(&path);
        let metadata = path.metadata().map_err(|error| format!("{name}: {error}"))?;
        if metadata.is_file() {
            return Ok(Self::File(path));
        }
        if is_character_device(&metadata) {
            return Ok(Self::Device(path));
        }
        // Whoever writes to a pipe may never come, and a folder holds no video.
        let what = if metadata.is_dir() { "a folder" } else { "a pipe or a device" };
        Err(format!("{name} is {what}, and not a file").into())
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    pub fn as_file(&self) -> Option<&Path> {
        if let Self::File(path) = self { Some(path) } else { None }
    }

    /// The name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Camera(words) => format!("the camera ({words})"),
            Self::Device(path) | Self::File(path) => shown(path),
            Self::Uri(uri) => shown(uri),
        }
    }

    /// Adds to a pipeline what decodes the input, and gives the element whose pads are what is in it. Names are
    /// properties, so that nothing in them can become a part of the pipeline.
    pub fn add_to(&self, pipeline: &gst::Pipeline) -> Result<gst::Element, Error> {
        let uri = match self {
            Self::Camera(words) => return add_source(pipeline, source(words)?),
            Self::Device(path) => {
                let source = make("v4l2src")?;
                source.set_property("device", path);
                return add_source(pipeline, source);
            }
            Self::File(path) => gst::glib::filename_to_uri(std::path::absolute(path)?, None)?.into(),
            Self::Uri(uri) => uri.clone(),
        };
        let decoder = make("uridecodebin")?;
        decoder.set_property("uri", uri);
        pipeline.add(&decoder)?;
        Ok(decoder)
    }

    /// What turns video upright: by the orientation in a photograph's EXIF, else by the video's tag. Of a
    /// photograph GStreamer 1.22 has no tag, unless plugins-bad are there and their parser is given a rank.
    pub fn upright(&self) -> Result<[gst::Element; 2], Error> {
        let flip = make("videoflip")?;
        let direction = self.as_file().map_or(Ok("auto"), photograph_direction)?;
        flip.set_property_from_str("video-direction", direction);
        say_upright(&flip);
        Ok([make("videoconvert")?, flip])
    }
}

/// Has the tag say what is true after turning. GStreamer 1.22 leaves it as it was, so that whoever heeds it downstream,
/// or in a file, would turn the video again.
fn say_upright(flip: &gst::Element) {
    let pad = flip.static_pad("src").expect("filters have one");
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::EventView::Tag(event)) = info.event().map(|event| event.view())
            && event.tag().get::<gst::tags::ImageOrientation>().is_some()
        {
            let mut tags = event.tag_owned();
            tags.make_mut().add::<gst::tags::ImageOrientation>(&"rotate-0", gst::TagMergeMode::ReplaceAll);
            info.data = Some(gst::PadProbeData::Event(gst::event::Tag::new(tags)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// A source of any caps, in the camera's best mode, decoded.
fn add_source(pipeline: &gst::Pipeline, source: gst::Element) -> Result<gst::Element, Error> {
    let pad = source.static_pad("src").ok_or("the source has no output")?;
    let (filter, decoder) = (make("capsfilter")?, make("decodebin")?);
    // Devices tell their modes when they are open. One that can't be opened says so when it is played.
    if source.set_state(gst::State::Ready).is_ok()
        && let Some(mode) = camera::best_mode(&pad.query_caps(None))
    {
        filter.set_property("caps", mode);
    }
    let _ = source.set_state(gst::State::Null);
    add(pipeline, &[source, filter, decoder.clone()])?;
    Ok(decoder)
}

/// How a photograph is to be turned, in the words of videoflip; `auto` where it isn't said, or where this is
/// no photograph.
fn photograph_direction(path: &Path) -> Result<&'static str, Error> {
    use image::ImageDecoder;
    use image::metadata::Orientation;

    if path.metadata().is_ok_and(|metadata| metadata.len() > MOST_BYTES) {
        return Ok("auto");
    }
    let Ok(reader) = image::ImageReader::open(path).and_then(|reader| reader.with_guessed_format()) else {
        return Ok("auto");
    };
    if !matches!(reader.format(), Some(image::ImageFormat::Jpeg | image::ImageFormat::Png)) {
        return Ok("auto");
    }
    // GStreamer may read what this can't.
    let Ok(mut decoder) = reader.into_decoder() else { return Ok("auto") };
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!("{}: a picture of {width}x{height} is too large", shown(path)).into());
    }
    Ok(match decoder.orientation().unwrap_or(Orientation::NoTransforms) {
        // Maybe the tag knows more.
        Orientation::NoTransforms => "auto",
        Orientation::Rotate90 => "90r",
        Orientation::Rotate180 => "180",
        Orientation::Rotate270 => "90l",
        Orientation::FlipHorizontal => "horiz",
        Orientation::FlipVertical => "vert",
        Orientation::Rotate90FlipH => "ul-lr",
        Orientation::Rotate270FlipH => "ur-ll",
    })
}

/// Whether a text begins as URIs do, with a scheme.
pub fn is_uri(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

#[cfg(unix)]
pub fn is_character_device(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_char_device(&metadata.file_type())
}

#[cfg(not(unix))]
pub fn is_character_device(_: &std::fs::Metadata) -> bool {
    false
}

/// An argument that has to be text.
pub fn text(argument: OsString) -> Result<String, Error> {
    argument.into_string().map_err(|argument| format!("{}: this isn't UTF-8", shown(argument)).into())
}
