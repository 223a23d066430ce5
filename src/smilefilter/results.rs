//! What the element says about a frame, as other programs read it.

use std::str::FromStr;

use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::json::{nanoseconds, nanoseconds_or_null};
use super::metas::regions;
use crate::analysis::{self, Landmarks, Rect};

/// The results of one frame: what an element message of the name [`Results::NAME`] holds, and on the frame's buffer
/// the meta [`Results::META`].
///
/// ```
/// # use gstsmile::smilefilter::Results;
/// # gst::init().unwrap();
/// fn smiling(message: &gst::MessageRef) -> Option<usize> {
///     let results = Results::try_from(message.structure()?).ok()?;
///     Some(results.faces.iter().filter(|face| face.smiling).count())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Results {
    /// The frame's own time, or `None` where it has none.
    #[serde(with = "nanoseconds_or_null")]
    pub timestamp: Option<gst::ClockTime>,
    /// The frame's position in the stream.
    #[serde(with = "nanoseconds_or_null")]
    pub stream_time: Option<gst::ClockTime>,
    /// The time of its display on the pipeline's clock.
    #[serde(with = "nanoseconds_or_null")]
    pub running_time: Option<gst::ClockTime>,
    /// How long the frame lasts.
    #[serde(with = "nanoseconds_or_null")]
    pub duration: Option<gst::ClockTime>,
    /// The wall-clock time of the frame, since 1970 in UTC: of a reference timestamp meta on the buffer (Unix or NTP),
    /// else by the pipeline's clock, when it was captured or, where the source isn't live, is to be shown.
    #[serde(with = "nanoseconds_or_null")]
    pub utc: Option<gst::ClockTime>,
    /// Who tells this: the property `source-id`, else the element's name.
    pub source: String,
    /// The number of this message among those of the element since its start, from 1 on, so that a gap shows that some
    /// are missing; on a buffer that of the last message before its frame, 0 where there was none.
    pub sequence: u64,
    /// Why this is told.
    pub event: Event,
    /// Whose event it is; 0 for [`Event::Update`], and where the answer is not of a face.
    pub identity: u32,
    /// Whoever is there.
    pub faces: Vec<Face>,
    /// Pixels in a row of the frame that was analysed, to which the places of faces refer.
    pub width: u32,
    /// Rows of that frame.
    pub height: u32,
    /// How long the last analysis with a network has taken, from the frame to its faces: detection, crops,
    /// classification and tracking.
    #[serde(with = "nanoseconds")]
    pub inference_time: gst::ClockTime,
    /// Whether nothing of the result is of this frame: no network has run on it, and it had no regions of
    /// interest. Boxes are then predicted, or an earlier frame's with `mode=async`, and answers an earlier frame's.
    /// Where the faces were classified in this frame at predicted places, the result isn't stale, but they are
    /// [`Face::predicted`].
    pub stale: bool,
    /// How much earlier in the stream the last frame was of which the result holds something; 0 where it is this
    /// one, or where that is not known.
    #[serde(with = "nanoseconds")]
    pub age: gst::ClockTime,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A face that didn't smile does.
    SmileStarted,
    /// A face that smiled doesn't any more.
    SmileEnded,
    /// There is a face that wasn't there before.
    FaceAppeared,
    /// A face that is lost smiles no more; nothing else is told of that.
    FaceLost,
    /// Nothing: this says how things are.
    #[default]
    Update,
}

impl Event {
    const ALL: [Self; 5] =
        [Self::SmileStarted, Self::SmileEnded, Self::FaceAppeared, Self::FaceLost, Self::Update];

    /// The name in the message, such as `smile-started`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SmileStarted => "smile-started",
            Self::SmileEnded => "smile-ended",
            Self::FaceAppeared => "face-appeared",
            Self::FaceLost => "face-lost",
            Self::Update => "update",
        }
    }
}

impl FromStr for Event {
    type Err = ResultsError;

    fn from_str(name: &str) -> Result<Self, ResultsError> {
        let event = Self::ALL.into_iter().find(|event| event.as_str() == name);
        event.ok_or_else(|| ResultsError::Field(format!("event: there is no \"{name}\"")))
    }
}

/// A face, or with `region` `center` and `full` the part of the frame that was analysed, and the
/// answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Face {
    /// Whose face it is: the same number from frame to frame, from 1 on; 0 where it is no face.
    pub id: u32,
    /// In pixels of the frame.
    pub x: i32,
    /// Upper edge, in pixels.
    pub y: i32,
    /// In pixels.
    pub width: i32,
    /// In pixels.
    pub height: i32,
    /// The answer.
    pub smiling: bool,
    /// Of smiling, from 0 to 1.
    pub probability: f64,
    /// What the answer is called, such as "Not smiling": from the property `labels`, else from the weights.
    pub label: String,
    /// Whether the box is where the face should be by its motion: no detection ran on the frame, or it did not
    /// find this face.
    pub predicted: bool,
    /// The id of the region of interest on the buffer that has this face's box. `None` where metas aren't attached, for
    /// what is no face, and where a region of upstream's was cut off at an edge or has moved on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<i32>,
    /// In pixels of the frame (x, y): right eye, left eye, nose, right and left corner of the mouth, as the person has
    /// them; where they should be if the box is predicted. They may lie outside of the frame. `None` for regions of
    /// upstream, and where no face was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<Landmarks>,
}

/// Why a structure or a text is not a [`Results`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultsError {
    /// A structure of another name, which is here.
    #[error("the structure is a \"{0}\"")]
    Name(String),
    /// A field is missing, or of another type or range; its name.
    #[error("{0}")]
    Field(String),
    /// No JSON of a result, and why.
    #[error("{0}")]
    Json(String),
}

impl Results {
    /// The name of the message's structure.
    pub const NAME: &str = "smilefilter";

    /// Sets the fields of a structure, whatever its name is.
    pub(super) fn fill(&self, structure: &mut gst::StructureRef) {
        let faces = self.faces.iter().map(|face| gst::Structure::from(face).to_send_value());
        structure.set("timestamp", self.timestamp);
        structure.set("stream-time", self.stream_time);
        structure.set("running-time", self.running_time);
        structure.set("duration", self.duration);
        structure.set("utc", self.utc);
        structure.set("source", &self.source);
        structure.set("sequence", self.sequence);
        structure.set("event", self.event.as_str());
        structure.set("identity", self.identity);
        structure.set("faces", gst::Array::from_iter(faces));
        structure.set("width", self.width);
        structure.set("height", self.height);
        structure.set("inference-time", self.inference_time);
        structure.set("stale", self.stale);
        structure.set("age", self.age);
    }

    /// Reads what [`Results::fill`] wrote.
    pub(super) fn read(structure: &gst::StructureRef) -> Result<Self, ResultsError> {
        let faces: gst::ArrayRef = field(structure, "faces")?;
        let face = |value: &glib::SendValue| match value.get::<gst::Structure>() {
            Ok(structure) => Face::try_from(structure.as_ref()),
            Err(error) => Err(ResultsError::Field(format!("faces: {error}"))),
        };
        Ok(Self {
            timestamp: field(structure, "timestamp")?,
            stream_time: field(structure, "stream-time")?,
            running_time: field(structure, "running-time")?,
            duration: field(structure, "duration")?,
            utc: field(structure, "utc")?,
            source: field(structure, "source")?,
            sequence: field(structure, "sequence")?,
            event: field::<&str>(structure, "event")?.parse()?,
            identity: field(structure, "identity")?,
            faces: faces.iter().map(face).collect::<Result<_, _>>()?,
            width: field(structure, "width")?,
            height: field(structure, "height")?,
            inference_time: field(structure, "inference-time")?,
            stale: field(structure, "stale")?,
            age: field(structure, "age")?,
        })
    }
}

impl Face {
    /// What is to be said of a face, with what the answer is called.
    pub fn new(face: &analysis::Face, label: &str) -> Self {
        let (x, y, width, height) = regions::pixels(face.rect);
        Self {
            id: face.id,
            x,
            y,
            width,
            height,
            smiling: face.smiling,
            probability: face.probability.into(),
            label: label.into(),
            predicted: face.predicted,
            region: None,
            landmarks: face.landmarks,
        }
    }

    /// Whether all numbers are in their ranges.
    pub(super) fn check(&self) -> Result<(), ResultsError> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(ResultsError::Field(format!("probability: {} is none", self.probability)));
        }
        if self.landmarks.is_some_and(|points| points.as_flattened().iter().any(|at| !at.is_finite())) {
            return Err(ResultsError::Field("landmarks: they aren't anywhere".into()));
        }
        Ok(())
    }

    pub(super) fn rect(&self) -> Rect {
        let [x, y, width, height] = [self.x, self.y, self.width, self.height].map(|value| value as f32);
        Rect { x, y, width, height }
    }
}

impl From<&Results> for gst::Structure {
    fn from(results: &Results) -> Self {
        let mut structure = Self::new_empty(Results::NAME);
        results.fill(&mut structure);
        structure
    }
}

impl From<&Face> for gst::Structure {
    fn from(face: &Face) -> Self {
        Self::builder("face")
            .field("id", face.id)
            .field("x", face.x)
            .field("y", face.y)
            .field("width", face.width)
            .field("height", face.height)
            .field("smiling", face.smiling)
            .field("probability", face.probability)
            .field("label", &face.label)
            .field("predicted", face.predicted)
            .field_if_some("region", face.region)
            .field_if_some("landmarks", face.landmarks.map(numbers))
            .build()
    }
}

impl TryFrom<&gst::StructureRef> for Results {
    type Error = ResultsError;

    fn try_from(structure: &gst::StructureRef) -> Result<Self, Self::Error> {
        expect_name(structure, Self::NAME)?;
        Self::read(structure)
    }
}

impl TryFrom<&gst::StructureRef> for Face {
    type Error = ResultsError;

    fn try_from(structure: &gst::StructureRef) -> Result<Self, Self::Error> {
        expect_name(structure, "face")?;
        let face = Self {
            id: field(structure, "id")?,
            x: field(structure, "x")?,
            y: field(structure, "y")?,
            width: field(structure, "width")?,
            height: field(structure, "height")?,
            smiling: field(structure, "smiling")?,
            probability: field(structure, "probability")?,
            label: field(structure, "label")?,
            predicted: field(structure, "predicted")?,
            region: optional(structure, "region")?,
            landmarks: optional(structure, "landmarks")?.map(points).transpose()?,
        };
        face.check()?;
        Ok(face)
    }
}

/// Landmarks as x and y in turn, which languages without nested arrays can read.
fn numbers(landmarks: Landmarks) -> gst::Array {
    gst::Array::new(landmarks.as_flattened().iter().map(|&number| f64::from(number)))
}

/// What [`numbers`] wrote.
fn points(numbers: gst::ArrayRef) -> Result<Landmarks, ResultsError> {
    let mut landmarks = Landmarks::default();
    let points = landmarks.as_flattened_mut();
    let wrong = || ResultsError::Field("landmarks: they aren't five points".into());
    if numbers.len() != points.len() {
        return Err(wrong());
    }
    for (point, number) in points.iter_mut().zip(numbers.iter()) {
        *point = number.get::<f64>().map_err(|_| wrong())? as f32;
    }
    Ok(landmarks)
}

fn expect_name(structure: &gst::StructureRef, name: &str) -> Result<(), ResultsError> {
    if structure.name() == name {
        return Ok(());
    }
    Err(ResultsError::Name(structure.name().to_string()))
}

fn field<'a, T: glib::value::FromValue<'a>>(
    structure: &'a gst::StructureRef,
    name: &str,
) -> Result<T, ResultsError> {
    structure.get(name).map_err(|error| ResultsError::Field(error.to_string()))
}

fn optional<'a, T: glib::value::FromValue<'a>>(
    structure: &'a gst::StructureRef,
    name: &str,
) -> Result<Option<T>, ResultsError> {
    structure.get_optional(name).map_err(|error| ResultsError::Field(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        Results {
            timestamp: Some(gst::ClockTime::from_seconds(3)),
            stream_time: Some(gst::ClockTime::from_mseconds(2500)),
            running_time: None,
            duration: None,
            utc: Some(gst::ClockTime::from_seconds(1_780_000_000)),
            source: "Tür 🚪".into(),
            sequence: 1 << 40,
            event: Event::SmileStarted,
            identity: 7,
            width: 640,
            height: 480,
            inference_time: gst::ClockTime::from_useconds(700),
            stale: true,
            age: gst::ClockTime::from_mseconds(66),
            faces: vec![
                Face {
                    id: 7,
                    x: 80,
                    y: -1,
                    width: 480,
                    height: 481,
                    smiling: true,
                    probability: 0.75,
                    label: "Smiling".into(),
                    predicted: true,
                    region: Some(-3),
                    landmarks: Some([[1.5, 2.0], [3.0, 4.0], [-5.0, 6.0], [7.0, 8.0], [9.0, 1e4]]),
                },
                Face { label: "Not smiling 🙁".into(), ..Face::default() },
            ],
        }
    }

    #[test]
    fn results_survive_the_way_there_and_back() {
        gst::init().unwrap();
        for results in [results(), Results::default()] {
            for event in Event::ALL {
                let results = Results { event, ..results.clone() };
                let structure = gst::Structure::from(&results);
                assert_eq!(Results::try_from(structure.as_ref()).unwrap(), results);
            }
        }
    }

    #[test]
    fn fields_have_the_types_that_other_languages_see() {
        gst::init().unwrap();
        let structure = gst::Structure::from(&results());
        assert_eq!(structure.name(), "smilefilter");
        assert_eq!(structure.get::<u64>("stream-time"), Ok(2_500_000_000));
        assert_eq!(structure.get::<u64>("duration"), Ok(u64::MAX));
        assert_eq!(structure.get::<&str>("event"), Ok("smile-started"));
        assert_eq!(structure.get::<u32>("identity"), Ok(7));
        assert_eq!(structure.get::<u64>("inference-time"), Ok(700_000));
        assert_eq!(structure.get::<bool>("stale"), Ok(true));
        assert_eq!(structure.get::<u64>("age"), Ok(66_000_000));
        assert_eq!(structure.get::<u64>("utc"), Ok(1_780_000_000_000_000_000));
        assert_eq!(structure.get::<&str>("source"), Ok("Tür 🚪"));
        assert_eq!(structure.get::<u64>("sequence"), Ok(1 << 40));
        assert_eq!((structure.get::<u32>("width"), structure.get::<u32>("height")), (Ok(640), Ok(480)));
        let faces = structure.get::<gst::Array>("faces").unwrap();
        let face = faces[0].get::<gst::Structure>().unwrap();
        assert_eq!(face.name(), "face");
        assert_eq!(face.get::<u32>("id"), Ok(7));
        assert_eq!(face.get::<i32>("width"), Ok(480));
        assert_eq!(face.get::<bool>("smiling"), Ok(true));
        assert_eq!(face.get::<f64>("probability"), Ok(0.75));
        assert_eq!(face.get::<&str>("label"), Ok("Smiling"));
        assert_eq!(face.get::<bool>("predicted"), Ok(true));
        assert_eq!(face.get::<i32>("region"), Ok(-3));
        let landmarks = face.get::<gst::Array>("landmarks").unwrap();
        let numbers: Vec<f64> = landmarks.iter().map(|number| number.get().unwrap()).collect();
        assert_eq!(numbers, [1.5, 2.0, 3.0, 4.0, -5.0, 6.0, 7.0, 8.0, 9.0, 1e4]);
        let other = faces[1].get::<gst::Structure>().unwrap();
        assert!(!other.has_field("landmarks") && !other.has_field("region"));
    }

    #[test]
    fn other_structures_are_refused() {
        gst::init().unwrap();
        let refused = |structure: &gst::Structure| Results::try_from(structure.as_ref()).unwrap_err();
        let foreign = gst::Structure::new_empty("level");
        assert_eq!(refused(&foreign), ResultsError::Name("level".into()));
        let mut broken = gst::Structure::from(&results());
        broken.remove_field("duration");
        assert!(refused(&broken).to_string().contains("duration"));
        let mut broken = gst::Structure::from(&results());
        broken.set("event", "yawn");
        assert!(refused(&broken).to_string().contains("yawn"));
        let mut broken = gst::Structure::from(&results());
        broken.set("faces", gst::Array::new([1i32]));
        assert!(refused(&broken).to_string().contains("faces"));
        for landmarks in [gst::Array::new([0.5; 9]), gst::Array::new([1i32; 10])] {
            let mut face = gst::Structure::from(&results().faces[0]);
            face.set("landmarks", landmarks);
            assert!(Face::try_from(face.as_ref()).unwrap_err().to_string().contains("landmarks"));
        }
    }
}
