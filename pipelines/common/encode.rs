//! What a file's name asks for: its container, and encoders that are here and fit into it.

use std::path::Path;

use gst::prelude::*;

use super::{Error, exists, make, shown};

/// A format of files by its ending, and the element that writes it.
const CONTAINERS: [(&str, &str); 6] = [
    ("mkv", "matroskamux"),
    ("webm", "webmmux"),
    ("mp4", "mp4mux"),
    ("m4v", "mp4mux"),
    ("mov", "qtmux"),
    ("avi", "avimux"),
];

pub enum Format {
    /// A still picture, by the name of its encoder.
    Picture(&'static str),
    /// A video, by the name of its muxer.
    Video(&'static str),
}

impl Format {
    pub fn of(file: &Path) -> Result<Self, Error> {
        let ending =
            file.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "png" => return Ok(Self::Picture("pngenc")),
            "jpg" | "jpeg" => return Ok(Self::Picture("jpegenc")),
            _ => {}
        }
        let container = CONTAINERS.iter().find(|(of, _)| *of == ending).ok_or_else(|| {
            let known = CONTAINERS.map(|(ending, _)| format!(".{ending}")).join(", ");
            format!("{}: the name has to end in {known}, or for a picture in .png or .jpg", shown(file))
        })?;
        Ok(Self::Video(container.1))
    }
}

/// Elements with properties in a row, as text.
type Row = &'static [(&'static str, &'static [(&'static str, &'static str)])];

/// A video encoder, and the property that takes its bit rate with the bits of that unit.
struct Encoder {
    codec: &'static str,
    row: Row,
    rate: Option<(&'static str, f64)>,
}

/// For files, the best first.
const FOR_FILES: [Encoder; 5] = [
    Encoder {
        codec: "H.264",
        row: &[("x264enc", &[("speed-preset", "veryfast"), ("pass", "qual"), ("quantizer", "21")])],
        rate: None,
    },
    Encoder {
        codec: "H.264",
        row: &[("openh264enc", &[]), ("h264parse", &[])],
        rate: Some(("bitrate", 1.0)),
    },
    Encoder {
        codec: "H.264",
        row: &[("vtenc_h264", &[]), ("h264parse", &[])],
        rate: Some(("bitrate", 1000.0)),
    },
    Encoder {
        codec: "VP8",
        row: &[(
            "vp8enc",
            &[("deadline", "1"), ("cpu-used", "4"), ("threads", "4"), ("keyframe-max-dist", "120")],
        )],
        rate: Some(("target-bitrate", 1.0)),
    },
    Encoder { codec: "Motion JPEG", row: &[("jpegenc", &[])], rate: None },
];

/// For streams, which can't wait.
const FOR_STREAMS: [Encoder; 2] = [
    Encoder {
        codec: "H.264",
        row: &[(
            "x264enc",
            &[
                ("tune", "zerolatency"),
                ("speed-preset", "veryfast"),
                ("bitrate", "2000"),
                ("key-int-max", "60"),
            ],
        )],
        rate: None,
    },
    Encoder {
        codec: "VP8",
        row: &[(
            "vp8enc",
            &[
                ("deadline", "1"),
                ("cpu-used", "8"),
                ("target-bitrate", "2000000"),
                ("keyframe-max-dist", "60"),
            ],
        )],
        rate: None,
    },
];

/// Encoders of sound, the most widely understood first.
const SOUND: [&str; 7] =
    ["fdkaacenc", "avenc_aac", "voaacenc", "opusenc", "vorbisenc", "lamemp3enc", "flacenc"];

/// The elements that encode video for a muxer, and the name of their codec.
pub fn video(muxer: &gst::Element) -> Result<(Vec<gst::Element>, &'static str), Error> {
    let fits = |encoder: &&Encoder| {
        encoder.row.iter().all(|(factory, _)| exists(factory))
            && encoder.row.last().is_some_and(|(factory, _)| takes_from(muxer, factory))
    };
    let encoder = FOR_FILES.iter().find(fits).ok_or(
        "no encoder is here for such a file; install x264enc (Debian: gstreamer1.0-plugins-ugly), or name it .mkv",
    )?;
    let mut elements = vec![make("videocrop")?];
    elements.extend(build(encoder.row)?);
    adapt(&elements[0], &elements[1], encoder);
    Ok((elements, encoder.codec))
}

/// The elements that encode video for a stream, and whether that is H.264.
pub fn stream() -> Result<(Vec<gst::Element>, bool), Error> {
    let encoder = FOR_STREAMS.iter().find(|encoder| exists(encoder.row[0].0)).ok_or(
        "no encoder is here; install x264enc (Debian: gstreamer1.0-plugins-ugly) or vp8enc (gstreamer1.0-plugins-good)",
    )?;
    Ok((build(encoder.row)?, encoder.codec == "H.264"))
}

/// The elements that encode sound for a muxer.
pub fn sound(muxer: &gst::Element) -> Result<Vec<gst::Element>, Error> {
    let encoder = SOUND.iter().find(|factory| exists(factory) && takes_from(muxer, factory)).ok_or(
        "no encoder of sound is here for such a file; install opusenc (Debian: gstreamer1.0-plugins-base), or name it .mkv",
    )?;
    ["audioconvert", "audioresample", encoder].map(make).into_iter().collect()
}

/// Whether a muxer takes a stream as it is.
pub fn takes(muxer: &gst::Element, caps: &gst::Caps) -> bool {
    sinks(muxer).any(|template| caps.is_subset(template.caps()))
}

fn takes_from(muxer: &gst::Element, factory: &str) -> bool {
    let Some(factory) = gst::ElementFactory::find(factory) else { return false };
    let gives = |template: &gst::PadTemplate| {
        factory.static_pad_templates().iter().any(|source| {
            source.direction() == gst::PadDirection::Src && source.caps().can_intersect(template.caps())
        })
    };
    sinks(muxer).any(|template| gives(&template))
}

fn sinks(muxer: &gst::Element) -> impl Iterator<Item = gst::PadTemplate> {
    muxer.pad_template_list().into_iter().filter(|template| template.direction() == gst::PadDirection::Sink)
}

fn build(row: Row) -> Result<Vec<gst::Element>, Error> {
    row.iter()
        .map(|(factory, properties)| {
            let element = make(factory)?;
            for (name, value) in *properties {
                element.set_property_from_str(name, value);
            }
            Ok(element)
        })
        .collect()
}

/// Fits encoder and picture to each other when the size is known: encoders of 4:2:0 fail with odd sizes, of
/// which the last row or column is cut off, and bit rates by default are those of a postage stamp.
fn adapt(crop: &gst::Element, encoder: &gst::Element, of: &Encoder) {
    let (cropper, encoder, rate) = (crop.downgrade(), encoder.downgrade(), of.rate);
    let sink = crop.static_pad("sink").expect("filters have one");
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) else {
            return gst::PadProbeReturn::Ok;
        };
        if let (Some(crop), Some(encoder), Ok(video)) =
            (cropper.upgrade(), encoder.upgrade(), gst_video::VideoInfo::from_caps(caps.caps()))
        {
            let (width, height) = (video.width(), video.height());
            crop.set_property("right", (width % 2) as i32);
            crop.set_property("bottom", (height % 2) as i32);
            if let Some((property, unit)) = rate {
                let frames = if video.fps().numer() > 0 {
                    f64::from(video.fps().numer()) / f64::from(video.fps().denom())
                } else {
                    30.0
                };
                // A sixth of a bit a pixel: 10 Mbit/s for 1080p30.
                let bits = f64::from(width) * f64::from(height) * frames.min(60.0) / 6.0;
                let value = (bits.clamp(5e5, 5e7) / unit).round();
                encoder.set_property_from_str(property, &format!("{value:.0}"));
            }
        }
        gst::PadProbeReturn::Ok
    });
}
