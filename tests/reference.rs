//! The table of properties in the README, made from the element so that it can't lie.

mod common;

use std::path::Path;

use gst::prelude::*;

const BEGIN: &str = "<!-- properties: written by tests/reference.rs from the element itself -->\n";
const END: &str = "<!-- /properties -->";

/// Set this to have the table written instead of compared.
const WRITE: &str = "SMILE_WRITE_REFERENCE";

/// The values that a property takes, and where the type has names for them what they mean.
fn values(spec: &glib::ParamSpec) -> String {
    let named = |values: Vec<(String, String)>| {
        let value = |(nick, name): (String, String)| match name.split_once(": ") {
            Some((_, meaning)) => format!("`{nick}` ({meaning})"),
            None => format!("`{nick}`"),
        };
        values.into_iter().map(value).collect::<Vec<_>>().join(", ")
    };
    let value_type = spec.value_type();
    if let Some(class) = glib::EnumClass::with_type(value_type) {
        let values = class.values().iter();
        return named(values.map(|value| (value.nick().into(), value.name().into())).collect());
    }
    if let Some(class) = glib::FlagsClass::with_type(value_type) {
        let values = class.values().iter();
        return named(values.map(|value| (value.nick().into(), value.name().into())).collect());
    }
    if spec.name().ends_with("-color") {
        return "`0x00000000` to `0xffffffff`".into();
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        return if spec.maximum() == u32::MAX {
            format!("from {}", spec.minimum())
        } else {
            format!("{} to {}", spec.minimum(), spec.maximum())
        };
    }
    let range = |low: f64, high: f64| format!("{low} to {high}");
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecFloat>() {
        return range(spec.minimum().into(), spec.maximum().into());
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        return range(spec.minimum(), spec.maximum());
    }
    match value_type.name() {
        "gboolean" => "`true`, `false`".into(),
        "gchararray" => "a text".into(),
        name => format!("`{name}`"),
    }
}

fn default(spec: &glib::ParamSpec) -> String {
    let value = spec.default_value();
    if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
        return "read only".into();
    }
    if let Some((_, values)) = glib::FlagsValue::from_value(value) {
        return format!("`{}`", values.iter().map(|value| value.nick()).collect::<Vec<_>>().join("+"));
    }
    if let Some((_, value)) = glib::EnumValue::from_value(value) {
        return format!("`{}`", value.nick());
    }
    if let Ok(text) = value.get::<Option<String>>() {
        return text.filter(|text| !text.is_empty()).map_or("empty".into(), |text| format!("`{text}`"));
    }
    match (value.get::<u32>(), value.get::<f32>()) {
        (Ok(color), _) if spec.name().ends_with("-color") => format!("`{color:#010x}`"),
        (_, Ok(number)) => format!("`{number}`"),
        _ => format!("`{}`", value.transform::<String>().unwrap().get::<String>().unwrap().to_lowercase()),
    }
}

fn table() -> String {
    common::init();
    let element = gst::ElementFactory::make("smilefilter").build().unwrap();
    let mut table = "| property | default | values | |\n| --- | --- | --- | --- |\n".to_string();
    for spec in element.list_properties().iter().filter(|spec| spec.owner_type() == element.type_()) {
        let when =
            if spec.flags().contains(gst::PARAM_FLAG_MUTABLE_READY) { "; before the start" } else { "" };
        let default = match spec.default_value().get::<f64>() {
            Ok(number) => format!("`{number}`"),
            Err(_) => default(spec),
        };
        let blurb = spec.blurb().unwrap_or_default().replace('|', "\\|");
        table += &format!("| `{}` | {default} | {} | {blurb}{when} |\n", spec.name(), values(spec));
    }
    table
}

#[test]
fn the_readme_has_the_properties_that_the_element_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let start = readme.find(BEGIN).expect("a place for the table") + BEGIN.len();
    let end = start + readme[start..].find(END).expect("an end of the table");
    let table = table();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, [&readme[..start], &table, &readme[end..]].concat()).unwrap();
    } else {
        assert_eq!(&readme[start..end], table, "run with {WRITE}=1 to write the table");
    }
}
