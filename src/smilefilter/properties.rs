//! What the user can set and read.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use glib::prelude::*;
use gst::prelude::*;

use super::{Display, Mode, Region, Updates};
use crate::analysis::area::{Area, AreaError};
use crate::analysis::{self, Search, answer, track};
use crate::model::DeviceChoice;

/// What the answers are called: not smiling, smiling.
pub type Labels = Arc<[String; 2]>;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Empty: the weights that are built in.
    pub model_file: String,
    pub face_model_file: String,
    pub device: String,
    pub mode: Mode,
    pub frame: FrameSettings,
}

/// The settings that each frame reads, as one snapshot.
#[derive(Clone, Debug)]
pub struct FrameSettings {
    pub region: Region,
    /// `None`: the whole frame.
    pub area: Option<Area>,
    /// The type of upstream's regions that count; `None`: all.
    pub roi_type: Option<glib::Quark>,
    /// As a share of the frame's height.
    pub min_face_size: f32,
    pub max_faces: u32,
    /// Below 0: as the weights say.
    pub threshold: f32,
    /// The width of the band around the threshold within which answers don't change.
    pub hysteresis: f32,
    /// The time constant, in seconds.
    pub smoothing: f64,
    pub inference_interval: u32,
    pub detection_interval: u32,
    pub display: Display,
    /// Alpha, red, green and blue, from the highest byte on.
    pub smile_color: u32,
    pub neutral_color: u32,
    pub font_scale: f64,
    /// `None`: as the weights say.
    pub labels: Option<Labels>,
    pub attach_metas: bool,
    pub post_messages: bool,
    pub updates: Updates,
    /// `None`: the element's name.
    pub source_id: Option<Arc<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model_file: String::new(),
            face_model_file: String::new(),
            device: DeviceChoice::default().to_string(),
            mode: Mode::default(),
            frame: FrameSettings::default(),
        }
    }
}

impl Default for FrameSettings {
    fn default() -> Self {
        let analysis::Settings { least_height, track, .. } = analysis::Settings::default();
        Self {
            region: Region::default(),
            area: None,
            roi_type: None,
            min_face_size: least_height,
            max_faces: 8,
            threshold: -1.0,
            hysteresis: 2.0 * track.answer.hysteresis,
            smoothing: track.answer.smoothing.as_secs_f64(),
            inference_interval: 1,
            detection_interval: 3,
            display: Display::LABEL | Display::BOX | Display::BAR,
            smile_color: 0xff52_e876,
            neutral_color: 0xffd4_d4d4,
            font_scale: 1.0,
            labels: None,
            attach_metas: true,
            post_messages: true,
            updates: Updates::default(),
            source_id: None,
        }
    }
}

impl From<&FrameSettings> for analysis::Settings {
    fn from(settings: &FrameSettings) -> Self {
        Self {
            area: settings.area,
            most_faces: settings.max_faces as usize,
            least_height: settings.min_face_size,
            locate_every: settings.detection_interval,
            classify_every: settings.inference_interval,
            threshold: (settings.threshold >= 0.0).then_some(settings.threshold),
            track: track::Settings {
                answer: answer::Settings {
                    smoothing: Duration::from_secs_f64(settings.smoothing),
                    hysteresis: settings.hysteresis / 2.0,
                },
                ..track::Settings::default()
            },
            ..Self::default()
        }
    }
}

impl From<Region> for Search {
    fn from(region: Region) -> Self {
        match region {
            Region::Auto => Self::Auto,
            Region::Faces => Self::Faces,
            Region::Roi => Self::Regions,
            Region::Center => Self::Center,
            Region::Full => Self::Full,
        }
    }
}

impl Settings {
    /// The properties that are settings.
    pub fn specs() -> Vec<glib::ParamSpec> {
        let mut specs = start_specs();
        specs.extend(network_specs());
        specs.extend(analysis_specs());
        specs.extend(picture_specs());
        specs.extend(result_specs());
        specs
    }

    /// # Errors
    /// What is wrong with the value; the setting then stays as it is.
    ///
    /// # Panics
    /// If there is no such property, or it has another type.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> Result<(), String> {
        const TYPE: &str = "type checked upstream";
        let text = || value.get::<Option<String>>().expect(TYPE).unwrap_or_default();
        let frame = &mut self.frame;
        match name {
            "model-file" => self.model_file = text(),
            "face-model-file" => self.face_model_file = text(),
            "device" => self.device = text(),
            "mode" => self.mode = value.get().expect(TYPE),
            "region" => frame.region = value.get().expect(TYPE),
            "area" => frame.area = area(&text())?,
            "roi-type" => {
                frame.roi_type = Some(text()).filter(|name| !name.is_empty()).map(glib::Quark::from_str);
            }
            "min-face-size" => frame.min_face_size = value.get().expect(TYPE),
            "max-faces" => frame.max_faces = value.get().expect(TYPE),
            "threshold" => frame.threshold = value.get().expect(TYPE),
            "hysteresis" => frame.hysteresis = value.get().expect(TYPE),
            "smoothing" => frame.smoothing = value.get().expect(TYPE),
            "inference-interval" => frame.inference_interval = value.get().expect(TYPE),
            "detection-interval" => frame.detection_interval = value.get().expect(TYPE),
            "display" => frame.display = value.get().expect(TYPE),
            "smile-color" => frame.smile_color = value.get().expect(TYPE),
            "neutral-color" => frame.neutral_color = value.get().expect(TYPE),
            "font-scale" => frame.font_scale = value.get().expect(TYPE),
            "labels" => frame.labels = labels(&text())?,
            "attach-metas" => frame.attach_metas = value.get().expect(TYPE),
            "post-messages" => frame.post_messages = value.get().expect(TYPE),
            "updates" => frame.updates = value.get().expect(TYPE),
            "source-id" => frame.source_id = Some(text()).filter(|id| !id.is_empty()).map(Into::into),
            name => unreachable!("property {name}"),
        }
        Ok(())
    }

    /// # Panics
    /// If there is no such property.
    pub fn get(&self, name: &str) -> glib::Value {
        let frame = &self.frame;
        match name {
            "model-file" => self.model_file.to_value(),
            "face-model-file" => self.face_model_file.to_value(),
            "device" => self.device.to_value(),
            "mode" => self.mode.to_value(),
            "region" => frame.region.to_value(),
            "area" => frame.area.map_or(String::new(), |area| area.to_string()).to_value(),
            "roi-type" => frame.roi_type.map_or("", |quark| quark.as_str().as_str()).to_value(),
            "min-face-size" => frame.min_face_size.to_value(),
            "max-faces" => frame.max_faces.to_value(),
            "threshold" => frame.threshold.to_value(),
            "hysteresis" => frame.hysteresis.to_value(),
            "smoothing" => frame.smoothing.to_value(),
            "inference-interval" => frame.inference_interval.to_value(),
            "detection-interval" => frame.detection_interval.to_value(),
            "display" => frame.display.to_value(),
            "smile-color" => frame.smile_color.to_value(),
            "neutral-color" => frame.neutral_color.to_value(),
            "font-scale" => frame.font_scale.to_value(),
            "labels" => frame.labels.as_ref().map_or(String::new(), |labels| join(labels)).to_value(),
            "attach-metas" => frame.attach_metas.to_value(),
            "post-messages" => frame.post_messages.to_value(),
            "updates" => frame.updates.to_value(),
            "source-id" => frame.source_id.as_deref().unwrap_or_default().to_value(),
            name => unreachable!("property {name}"),
        }
    }
}

fn area(text: &str) -> Result<Option<Area>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: AreaError| format!("{error}; the area stays"))
}

/// Two labels that are joined by a bar, or by a newline, so that one with a bar in it can be had as well.
fn labels(text: &str) -> Result<Option<Labels>, String> {
    let separator = if text.contains('\n') { '\n' } else { '|' };
    match text.split(separator).collect::<Vec<_>>()[..] {
        [""] => Ok(None),
        [neutral, smiling] => Ok(Some(Arc::new([neutral.into(), smiling.into()]))),
        ref labels => Err(format!(
            "{text:?} has {} where two labels belong, for not smiling and for smiling, joined by | as in \
             \"Sad|Happy\"; the labels stay",
            labels.len()
        )),
    }
}

/// What [`labels`] reads.
fn join(labels: &[String; 2]) -> String {
    labels.join(if labels.iter().any(|label| label.contains('|')) { "\n" } else { "|" })
}

/// Properties that are read when the element starts.
fn start_specs() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecString::builder("device")
            .nick("Device")
            .blurb(
                "Where the network for smiles runs: auto (the first CUDA GPU if it works and is faster, else the \
                 CPU), cpu, cuda or cuda:N",
            )
            .default_value(Some(default.device.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("mode", default.mode)
            .nick("Mode")
            .blurb("Whether frames wait for their own results")
            .mutable_ready()
            .build(),
    ]
}

/// Properties whose change loads a network.
fn network_specs() -> Vec<glib::ParamSpec> {
    let weights = |name, nick, blurb| {
        glib::ParamSpecString::builder(name)
            .nick(nick)
            .blurb(blurb)
            .default_value(Some(""))
            .mutable_playing()
            .build()
    };
    vec![
        weights(
            "model-file",
            "Model file",
            "Weights for smiles that smile-train wrote (empty: the built-in ones). While frames pass, \
             they are loaded aside and taken over between two frames; if they can't be, the old ones stay, \
             the property names them again, and a warning message says why",
        ),
        weights(
            "face-model-file",
            "Face model file",
            "Weights for finding faces that smile-train wrote (empty: the built-in ones), taken over as \
             those of model-file are",
        ),
    ]
}

/// Properties that say what is analysed and how an answer is found.
fn analysis_specs() -> Vec<glib::ParamSpec> {
    let default = FrameSettings::default();
    let share = |name, nick, blurb, range: std::ops::RangeInclusive<f32>, default| {
        glib::ParamSpecFloat::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(*range.start())
            .maximum(*range.end())
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let count = |name, nick, blurb, default| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(1)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        glib::ParamSpecEnum::builder_with_default("region", default.region)
            .nick("Region")
            .blurb("Which part of the frame is analysed")
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("area")
            .nick("Area")
            .blurb(
                "The part of the frame outside of which nothing is analysed: x,y,width,height as fractions of the \
                 frame, such as 0.25,0.1,0.5,0.8 (empty: all of it)",
            )
            .default_value(Some(""))
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("roi-type")
            .nick("ROI type")
            .blurb(
                "The type of the GstVideoRegionOfInterestMeta, and with the feature analytics of the detections, that \
                 count as faces (empty: all regions, and detections of faces)",
            )
            .default_value(Some(""))
            .mutable_playing()
            .build(),
        share(
            "min-face-size",
            "Minimum face size",
            "The height of the smallest face that is looked for, as a fraction of the frame's height: how finely \
             frames are searched, which takes four times as long at half of it; below 0.03 no finer. Regions of \
             interest may have any size",
            0.0..=1.0,
            default.min_face_size,
        ),
        count(
            "max-faces",
            "Maximum faces",
            "How many faces are classified, at most; the largest ones",
            default.max_faces,
        ),
        share(
            "threshold",
            "Threshold",
            "The probability from which on a face smiles (-1: as the weights say)",
            -1.0..=1.0,
            default.threshold,
        ),
        share(
            "hysteresis",
            "Hysteresis",
            "The width of the band around the threshold that the probability has to leave for another answer",
            0.0..=1.0,
            default.hysteresis,
        ),
        glib::ParamSpecDouble::builder("smoothing")
            .nick("Smoothing")
            .blurb("The time constant of the probability's average, in seconds of stream time (0: off)")
            .minimum(0.0)
            .maximum(60.0)
            .default_value(default.smoothing)
            .mutable_playing()
            .build(),
        count(
            "inference-interval",
            "Inference interval",
            "Classify every Nth frame, and new faces at once; in between, answers stay",
            default.inference_interval,
        ),
        count(
            "detection-interval",
            "Detection interval",
            "Detect faces in every Nth frame, and at least every 150 ms of the stream; in between, their boxes are \
             predicted",
            default.detection_interval,
        ),
    ]
}

/// Properties of what is drawn.
fn picture_specs() -> Vec<glib::ParamSpec> {
    let default = FrameSettings::default();
    let color = |name, nick, blurb, default| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        glib::ParamSpecFlags::builder::<Display>("display")
            .nick("Display")
            .blurb("What is drawn onto the frame (0: nothing, pixels stay as they are)")
            .default_value(default.display)
            .mutable_playing()
            .build(),
        color(
            "smile-color",
            "Smile color",
            "Of the box and the letters where someone smiles, as big-endian ARGB",
            default.smile_color,
        ),
        color(
            "neutral-color",
            "Neutral color",
            "Of the box and the letters where someone doesn't smile, as big-endian ARGB",
            default.neutral_color,
        ),
        glib::ParamSpecDouble::builder("font-scale")
            .nick("Font scale")
            .blurb("The size of letters as a multiple of the usual one, as far as the frame has room")
            .minimum(0.1)
            .maximum(10.0)
            .default_value(default.font_scale)
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("labels")
            .nick("Labels")
            .blurb(
                "What the two answers are called: not smiling and smiling, joined by | or a newline (empty: as \
                 the weights say)",
            )
            .default_value(Some(""))
            .mutable_playing()
            .build(),
    ]
}

/// Properties of how results leave the element.
fn result_specs() -> Vec<glib::ParamSpec> {
    let default = FrameSettings::default();
    vec![
        glib::ParamSpecBoolean::builder("attach-metas")
            .nick("Attach metas")
            .blurb(
                "Put the results onto the buffer, as GstSmileFilterMeta and as GstVideoRegionOfInterestMeta with a \
                 parameter smile",
            )
            .default_value(default.attach_metas)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("post-messages")
            .nick("Post messages")
            .blurb("Post element messages with the results")
            .default_value(default.post_messages)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("updates", default.updates)
            .nick("Updates")
            .blurb(
                "Which element messages are posted; a change is a face that appears or is lost, a smile \
                 that starts or ends, and the first result after the start, a flush or a change of format. \
                 Messages that nobody takes off the bus stay in memory: with every-frame some 2.3 kB a frame",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("source-id")
            .nick("Source ID")
            .blurb("What the results name as their source, such as a camera (empty: the element's name)")
            .default_value(Some(""))
            .mutable_playing()
            .build(),
    ]
}

/// Properties that tell how it goes; all are read-only.
pub fn status_specs() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "frames, inferences and skipped (guint64): frames seen, analysed by a network, and not \
                 analysed for lack of time; inference-time-mean and inference-time-max (guint64, in \
                 nanoseconds); faces (guint); device and device-reason (gchararray): where the network for smiles runs, and why",
            )
            .read_only()
            .build(),
        glib::ParamSpecBoolean::builder("smiling")
            .nick("Smiling")
            .blurb("Whether anybody smiles")
            .read_only()
            .build(),
        glib::ParamSpecUInt::builder("num-faces")
            .nick("Number of faces")
            .blurb("How many faces there are")
            .read_only()
            .build(),
    ]
}

/// All properties.
pub fn specs() -> &'static [glib::ParamSpec] {
    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let mut specs = Settings::specs();
        specs.extend(status_specs());
        specs
    });
    &PROPERTIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_two_or_none() {
        assert_eq!(labels(""), Ok(None));
        for text in ["ernst\nheiter 🙂", "ernst|heiter 🙂"] {
            assert_eq!(*labels(text).unwrap().unwrap(), ["ernst".to_string(), "heiter 🙂".into()]);
        }
        for text in ["no|yes", "n|o\ny|es"] {
            assert_eq!(join(&labels(text).unwrap().unwrap()), text);
        }
        for wrong in ["one", "one\ntwo\nthree", "\n\n", "one|two|three", "no,yes", "no;yes", "n\\no"] {
            assert!(labels(wrong).unwrap_err().contains("where two labels belong"), "{wrong:?}");
        }
    }
}
