//! Results as JSON: an object with the names of the message's fields, as `pipelines/results.schema.json` has it.

use super::results::{Results, ResultsError};

impl Results {
    /// The results as one line of JSON, after the schema `pipelines/results.schema.json`: fields are called as in the
    /// message, times are whole nanoseconds or null where they are not known, and landmarks pairs of x and y.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("all keys are strings")
    }

    /// Reads what [`Results::to_json`] wrote; a probability may differ in its last bit. Fields that it doesn't know are
    /// passed over.
    ///
    /// # Errors
    /// Where the text is no JSON, or a field is missing, of another type or out of its range.
    pub fn from_json(text: &str) -> Result<Self, ResultsError> {
        let results: Self =
            serde_json::from_str(text).map_err(|error| ResultsError::Json(error.to_string()))?;
        results.faces.iter().try_for_each(|face| face.check())?;
        Ok(results)
    }
}

/// Times in nanoseconds.
pub mod nanoseconds {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(time: &gst::ClockTime, serializer: S) -> Result<S::Ok, S::Error> {
        time.nseconds().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<gst::ClockTime, D::Error> {
        super::time(u64::deserialize(deserializer)?)
    }
}

/// Times in nanoseconds, or null.
pub mod nanoseconds_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(time: &Option<gst::ClockTime>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(gst::ClockTime::nseconds).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<gst::ClockTime>, D::Error> {
        Option::<u64>::deserialize(deserializer)?.map(super::time).transpose()
    }
}

/// All bits set are no time, and [`gst::ClockTime::from_nseconds`] would panic.
fn time<E: serde::de::Error>(nanoseconds: u64) -> Result<gst::ClockTime, E> {
    if nanoseconds == u64::MAX {
        return Err(E::custom(format!("{nanoseconds} is no time in nanoseconds")));
    }
    Ok(gst::ClockTime::from_nseconds(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smilefilter::{Event, Face};

    fn results() -> Results {
        let face = Face {
            id: 7,
            y: -1,
            width: 480,
            smiling: true,
            probability: 0.3125,
            label: "Lächelt \"so\"\n🙂".into(),
            landmarks: Some([[1.5, 2.0], [3.1, 4.0], [-5.0, 6.0], [7.0, 8.0], [9.0, 1e4]]),
            ..Face::default()
        };
        Results {
            timestamp: Some(gst::ClockTime::from_nseconds(u64::MAX - 1)),
            utc: Some(gst::ClockTime::from_nseconds(1_780_000_000_123_456_789)),
            source: "door".into(),
            event: Event::SmileEnded,
            sequence: u64::MAX,
            faces: vec![face, Face { region: Some(-3), ..Face::default() }],
            age: gst::ClockTime::from_nseconds(66_666_667),
            ..Results::default()
        }
    }

    #[test]
    fn results_come_back_from_json() {
        for results in [results(), Results::default()] {
            let text = results.to_json();
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(Results::from_json(&text).unwrap(), results);
        }
    }

    #[test]
    fn fields_are_called_as_in_the_message() {
        gst::init().unwrap();
        let results = results();
        let json: serde_json::Value = serde_json::from_str(&results.to_json()).unwrap();
        let names = |value: &serde_json::Value| -> std::collections::BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let fields =
            |structure: &gst::StructureRef| structure.fields().map(|name| name.to_string()).collect();
        assert_eq!(names(&json), fields(&gst::Structure::from(&results)));
        for (index, face) in results.faces.iter().enumerate() {
            assert_eq!(names(&json["faces"][index]), fields(&gst::Structure::from(face)));
        }
        assert_eq!(json["event"], "smile-ended");
        assert_eq!(json["stream-time"], serde_json::Value::Null);
        assert_eq!(json["utc"], 1_780_000_000_123_456_789u64);
        assert_eq!(json["faces"][0]["landmarks"][4], serde_json::json!([9.0, 1e4]));
    }

    #[test]
    fn what_is_no_result_is_refused() {
        let text = results().to_json();
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{from} in {text}");
            Results::from_json(&text.replace(from, to)).unwrap_err().to_string()
        };
        assert!(changed("\"smile-ended\"", "\"yawn\"").contains("yawn"));
        assert!(changed("\"sequence\":", "\"number\":").contains("sequence"));
        assert!(changed("0.3125", "1.5").contains("probability"));
        assert!(changed("18446744073709551614", "18446744073709551615").contains("no time"));
        assert!(changed("[9.0,10000.0]", "[9.0,1e99]").contains("landmarks"));
        assert!(changed("[9.0,10000.0]", "[9.0]").contains("length"));
        assert!(Results::from_json("").is_err() && Results::from_json("[1]").is_err());
        let more = text.replacen('{', "{\"more\":[{}],", 1);
        assert_eq!(Results::from_json(&more).unwrap(), results());
    }
}
