//! The properties of `smilefilter` that a camera's configuration sets.

use std::collections::BTreeMap;

use gst::glib;
use gst::prelude::*;
use serde::{Deserialize, Serialize};

/// A value as TOML and JSON have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

pub type Properties = BTreeMap<String, Value>;

/// Set by smile-serve itself.
const OURS: [&str; 6] = ["mode", "name", "parent", "post-messages", "source-id", "updates"];

/// Name files and devices of this machine, which is not for whoever may use the API.
pub const OF_THE_MACHINE: [&str; 3] = ["device", "face-model-file", "model-file"];

/// Reads a property's value, or says why it can't be set.
pub fn value(element: &gst::Element, name: &str, value: &Value) -> Result<glib::Value, String> {
    if OURS.contains(&name) {
        return Err(format!("smilefilter's property {name} is set by smile-serve itself; leave it out"));
    }
    let known =
        element.find_property(name).filter(|known| known.flags().contains(glib::ParamFlags::WRITABLE));
    let Some(known) = known else {
        return Err(format!(
            "smilefilter has no property \"{name}\" to be set; gst-inspect-1.0 smilefilter lists them"
        ));
    };
    let text = value.to_string();
    // It would be read as what it says, with quotes and backslashes in it.
    if known.value_type() == String::static_type() {
        return match text.contains('\0') {
            true => Err(format!("smilefilter's property {name} can't hold a zero byte")),
            false => Ok(text.to_value()),
        };
    }
    let value = glib::Value::deserialize(&text, known.value_type()).map_err(|_| {
        format!("smilefilter's property {name} can't be \"{text}\"; README.md says what it takes")
    })?;
    match range(&known).filter(|range| !range.contains(&number(&value))) {
        Some(range) => Err(format!(
            "smilefilter's property {name} can't be {text}: it takes {} to {}",
            range.start(),
            range.end()
        )),
        None => Ok(value),
    }
}

/// What a property's numbers have to lie in: a value outside would bring the program down.
fn range(known: &glib::ParamSpec) -> Option<std::ops::RangeInclusive<f64>> {
    use glib::{ParamSpecDouble, ParamSpecFloat, ParamSpecInt, ParamSpecUInt};
    if let Some(spec) = known.downcast_ref::<ParamSpecFloat>() {
        return Some(f64::from(spec.minimum())..=f64::from(spec.maximum()));
    }
    if let Some(spec) = known.downcast_ref::<ParamSpecDouble>() {
        return Some(spec.minimum()..=spec.maximum());
    }
    if let Some(spec) = known.downcast_ref::<ParamSpecInt>() {
        return Some(f64::from(spec.minimum())..=f64::from(spec.maximum()));
    }
    known.downcast_ref::<ParamSpecUInt>().map(|spec| f64::from(spec.minimum())..=f64::from(spec.maximum()))
}

/// A value of one of these types; nothing else is in any range.
fn number(value: &glib::Value) -> f64 {
    let float = value.get::<f32>().map(f64::from).or_else(|_| value.get::<f64>());
    let int = || value.get::<i32>().map(f64::from).or_else(|_| value.get::<u32>().map(f64::from));
    float.or_else(|_| int()).unwrap_or(f64::NAN)
}
