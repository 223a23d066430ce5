//! What the element says about a frame, as other programs read it.

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
    pub faces: Vec<Face>,
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
    /// What the weights call the answer, such as "Not smiling".
    pub label: String,
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
    /// What is to be said of a face, with the answer in the weights' words.
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
            .field("faces", gst::Array::from_iter(faces))
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
            faces: faces.iter().map(face).collect::<Result<_, _>>()?,
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
                },
                Face { label: "Not smiling 🙁".into(), ..Face::default() },
            ],
        }
    }

    #[test]
    fn results_survive_the_way_there_and_back() {
        gst::init().unwrap();
        for results in [results(), Results::default()] {
            let structure = gst::Structure::from(&results);
            assert_eq!(Results::try_from(structure.as_ref()).unwrap(), results);
        }
    }

    #[test]
    fn fields_have_the_types_that_other_languages_see() {
        gst::init().unwrap();
        let structure = gst::Structure::from(&results());
        assert_eq!(structure.name(), "smilefilter");
        assert_eq!(structure.get::<u64>("stream-time"), Ok(2_500_000_000));
        assert_eq!(structure.get::<u64>("duration"), Ok(u64::MAX));
        let faces = structure.get::<gst::Array>("faces").unwrap();
        let face = faces[0].get::<gst::Structure>().unwrap();
        assert_eq!(face.name(), "face");
        assert_eq!(face.get::<u32>("id"), Ok(7));
        assert_eq!(face.get::<i32>("width"), Ok(480));
        assert_eq!(face.get::<bool>("smiling"), Ok(true));
        assert_eq!(face.get::<f64>("probability"), Ok(0.75));
        assert_eq!(face.get::<&str>("label"), Ok("Smiling"));
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
        broken.set("faces", gst::Array::new([1i32]));
        assert!(refused(&broken).to_string().contains("faces"));
    }
}
