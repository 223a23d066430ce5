//! What the element says about a frame, as other programs read it.

use std::str::FromStr;

use gst::prelude::*;

use super::regions;
use crate::analysis;

/// The results of one frame: what an element message of the name [`Results::NAME`] holds.
///
/// ```
/// # use gstsmile::smilefilter::Results;
/// # gst::init().unwrap();
/// fn smiling(message: &gst::MessageRef) -> Option<usize> {
///     let results = Results::try_from(message.structure()?).ok()?;
///     Some(results.faces.iter().filter(|face| face.smiling).count())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The frame's own time, or `None` where it has none.
    pub timestamp: Option<gst::ClockTime>,
    /// The frame's position in the stream.
    pub stream_time: Option<gst::ClockTime>,
    /// The time of its display on the pipeline's clock.
    pub running_time: Option<gst::ClockTime>,
    pub duration: Option<gst::ClockTime>,
    /// Why this is told.
    pub event: Event,
    /// Whose event it is; 0 for [`Event::Update`], and where the answer is not of a face.
    pub identity: u32,
    pub faces: Vec<Face>,
    /// How long the last analysis with a network has taken, from the frame to its faces: detection, crops,
    /// classification and tracking.
    pub inference_time: gst::ClockTime,
    /// Whether nothing of the result is of this frame: no network has run on it, and it had no regions of
    /// interest. Boxes are then predicted, or an earlier frame's with `mode=async`, and answers an earlier frame's.
    /// Where the faces were classified in this frame at predicted places, the result isn't stale, but they are
    /// [`Face::predicted`].
    pub stale: bool,
    /// How much earlier in the stream the last frame was of which the result holds something; 0 where it is this
    /// one, or where that is not known.
    pub age: gst::ClockTime,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Event {
    SmileStarted,
    SmileEnded,
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

/// A face, or with `region` `center` and `full` the part of the frame that was looked at, and the
/// answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Face {
    /// Whose face it is: the same number from frame to frame, from 1 on; 0 where it is no face.
    pub id: u32,
    /// In pixels of the frame.
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
    pub smiling: bool,
    /// Of smiling, from 0 to 1.
    pub probability: f64,
    /// What the answer is called, such as "Not smiling": from the property `labels`, else from the weights.
    pub label: String,
    /// Whether the box is where the face should be by its motion: no detection ran on the frame, or it did not
    /// find this face.
    pub predicted: bool,
}

/// Why a structure is not a [`Results`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultsError {
    #[error("the structure is a \"{0}\"")]
    Name(String),
    #[error("{0}")]
    Field(String),
}

impl Results {
    /// The name of the message's structure.
    pub const NAME: &str = "smilefilter";
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
        }
    }
}

impl From<&Results> for gst::Structure {
    fn from(results: &Results) -> Self {
        let faces = results.faces.iter().map(|face| Self::from(face).to_send_value());
        Self::builder(Results::NAME)
            .field("timestamp", results.timestamp)
            .field("stream-time", results.stream_time)
            .field("running-time", results.running_time)
            .field("duration", results.duration)
            .field("event", results.event.as_str())
            .field("identity", results.identity)
            .field("faces", gst::Array::from_iter(faces))
            .field("inference-time", results.inference_time)
            .field("stale", results.stale)
            .field("age", results.age)
            .build()
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
            .build()
    }
}

impl TryFrom<&gst::StructureRef> for Results {
    type Error = ResultsError;

    fn try_from(structure: &gst::StructureRef) -> Result<Self, Self::Error> {
        expect_name(structure, Self::NAME)?;
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
            event: field::<&str>(structure, "event")?.parse()?,
            identity: field(structure, "identity")?,
            faces: faces.iter().map(face).collect::<Result<_, _>>()?,
            inference_time: field(structure, "inference-time")?,
            stale: field(structure, "stale")?,
            age: field(structure, "age")?,
        })
    }
}

impl TryFrom<&gst::StructureRef> for Face {
    type Error = ResultsError;

    fn try_from(structure: &gst::StructureRef) -> Result<Self, Self::Error> {
        expect_name(structure, "face")?;
        Ok(Self {
            id: field(structure, "id")?,
            x: field(structure, "x")?,
            y: field(structure, "y")?,
            width: field(structure, "width")?,
            height: field(structure, "height")?,
            smiling: field(structure, "smiling")?,
            probability: field(structure, "probability")?,
            label: field(structure, "label")?,
            predicted: field(structure, "predicted")?,
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        Results {
            timestamp: Some(gst::ClockTime::from_seconds(3)),
            stream_time: Some(gst::ClockTime::from_mseconds(2500)),
            running_time: None,
            duration: None,
            event: Event::SmileStarted,
            identity: 7,
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
        let faces = structure.get::<gst::Array>("faces").unwrap();
        let face = faces[0].get::<gst::Structure>().unwrap();
        assert_eq!(face.name(), "face");
        assert_eq!(face.get::<u32>("id"), Ok(7));
        assert_eq!(face.get::<i32>("width"), Ok(480));
        assert_eq!(face.get::<bool>("smiling"), Ok(true));
        assert_eq!(face.get::<f64>("probability"), Ok(0.75));
        assert_eq!(face.get::<&str>("label"), Ok("Smiling"));
        assert_eq!(face.get::<bool>("predicted"), Ok(true));
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
    }
}
