//! What the programs share: names that stay names, a camera in its best mode, video upright, pipelines that end
//! well, and files that are there whole or not at all.
#![allow(dead_code, reason = "each program uses its part")]

pub mod camera;
pub mod decode;
pub mod encode;
pub mod file;
pub mod input;
pub mod play;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::ExitCode;

use gst::prelude::*;

pub type Error = Box<dyn std::error::Error>;

/// An error in how a program is called: the help follows it.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Runs a program: `--help` is answered, errors are told in one line. Exit codes are 0, 1 after an error, and 2
/// where the call itself was wrong.
pub fn main(help: &str, run: fn(Vec<OsString>) -> Result<(), Error>) -> ExitCode {
    // Its windows are served by the first thread only.
    #[cfg(target_os = "macos")]
    return gst::macos_main(|| start(help, run));
    #[cfg(not(target_os = "macos"))]
    start(help, run)
}

fn start(help: &str, run: fn(Vec<OsString>) -> Result<(), Error>) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return if writeln!(std::io::stdout(), "{help}").is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let result = init().and_then(|()| run(arguments));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            say(format!("Error: {error}"));
            // The help is this program's own text, with lines of its own.
            let _ = writeln!(std::io::stderr(), "\n{help}");
            ExitCode::from(2)
        }
        Err(error) => {
            say(format!("Error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Starts GStreamer with the element in it.
fn init() -> Result<(), Error> {
    gst::init()?;
    gstsmile::plugin_register_static()?;
    // Automatic sinks try DirectFB's last, which takes the program down where there is nothing to draw on.
    if let Some(sink) = gst::Registry::get().lookup_feature("dfbvideosink") {
        sink.set_rank(gst::Rank::NONE);
    }
    Ok(())
}

/// A line for whoever watches. Where it can't be written (a full disk, a pipe that was closed), the work goes on.
pub fn say(line: impl AsRef<OsStr>) {
    let _ = writeln!(std::io::stderr(), "{}", shown(line));
}

/// A line of the program's answer.
pub fn answer(line: impl AsRef<OsStr>) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{}", shown(line))
        .map_err(|error| format!("the answer can't be written: {error}").into())
}

/// A text as a terminal may show it. Control characters would be obeyed and marks of direction would hide what a
/// name is, so that both are escaped.
pub fn shown(text: impl AsRef<OsStr>) -> String {
    let is_safe = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::new();
    for c in text.as_ref().to_string_lossy().chars() {
        if is_safe(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

/// An element, or an error that says where it comes from.
pub fn make(factory: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        let package = match factory {
            "rtspclientsink" => "gst-rtsp-server's plugin (Debian: gstreamer1.0-rtsp)",
            "whipsink" => "the plugin webrtchttp of gst-plugins-rs, and libnice's",
            _ => "GStreamer's base and good plugins (Debian: gstreamer1.0-plugins-base, gstreamer1.0-plugins-good)",
        };
        format!("GStreamer's element {factory} is missing; install {package}").into()
    })
}

pub fn exists(factory: &str) -> bool {
    gst::ElementFactory::find(factory).is_some()
}

/// A caps filter, in the words of `gst-launch-1.0`.
pub fn capsfilter(caps: &str) -> Result<gst::Element, Error> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps.parse::<gst::Caps>()?);
    Ok(filter)
}

/// Adds elements to a pipeline, each linked to the next.
pub fn add(pipeline: &gst::Pipeline, elements: &[gst::Element]) -> Result<(), Error> {
    pipeline.add_many(elements)?;
    gst::Element::link_many(elements)?;
    Ok(())
}

/// A sink from words of `gst-launch-1.0` that the user wrote as such.
pub fn sink(words: &str) -> Result<gst::Element, Error> {
    let bin =
        gst::parse::bin_from_description(words, true).map_err(|error| format!("\"{words}\": {error}"))?;
    Ok(bin.upcast())
}

/// A source from such words.
pub fn source(words: &str) -> Result<gst::Element, Error> {
    // Caps may come last, but not in a part of a pipeline.
    let bin = gst::parse::bin_from_description(&format!("{words} ! identity"), true)
        .map_err(|error| format!("\"{words}\": {error}"))?;
    Ok(bin.upcast())
}

/// The element with properties given as `name=value`.
pub fn smilefilter(properties: &[OsString]) -> Result<gst::Element, Error> {
    let element = make("smilefilter")?;
    for property in properties {
        let text = property.to_str().ok_or_else(|| format!("{}: this isn't UTF-8", shown(property)))?;
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Usage(format!("\"{text}\" is not a property of smilefilter; those are given as name=value"))
        })?;
        let known = element
            .find_property(name)
            .filter(|known| known.flags().contains(gst::glib::ParamFlags::WRITABLE));
        let Some(known) = known else {
            return Err(
                format!("smilefilter has no property \"{name}\" to be set; README.md lists them").into()
            );
        };
        let value = gst::glib::Value::deserialize(value, known.value_type()).map_err(|_| {
            format!("smilefilter's property {name} can't be \"{value}\"; README.md says what it takes")
        })?;
        if let Some(range) = range(&known).filter(|range| !range.contains(&number(&value))) {
            let (least, most) = range.into_inner();
            return Err(format!(
                "smilefilter's property {name} can't be {text}: it takes {least} to {most}",
                text = shown(text.split_once('=').map_or(text, |(_, value)| value))
            )
            .into());
        }
        element.set_property_from_value(name, &value);
    }
    Ok(element)
}

/// What a property's numbers have to lie in: a value outside would bring the program down.
fn range(known: &gst::glib::ParamSpec) -> Option<std::ops::RangeInclusive<f64>> {
    use gst::glib::{ParamSpecDouble, ParamSpecFloat, ParamSpecInt, ParamSpecUInt};
    let float = |spec: &ParamSpecFloat| f64::from(spec.minimum())..=f64::from(spec.maximum());
    let double = |spec: &ParamSpecDouble| spec.minimum()..=spec.maximum();
    let int = |spec: &ParamSpecInt| f64::from(spec.minimum())..=f64::from(spec.maximum());
    let uint = |spec: &ParamSpecUInt| f64::from(spec.minimum())..=f64::from(spec.maximum());
    (known.downcast_ref().map(float))
        .or_else(|| known.downcast_ref().map(double))
        .or_else(|| known.downcast_ref().map(int))
        .or_else(|| known.downcast_ref().map(uint))
}

/// A value of one of these types.
fn number(value: &gst::glib::Value) -> f64 {
    let float = value.get::<f32>().map(f64::from);
    let float = float.or_else(|_| value.get::<f64>());
    let int = || value.get::<i32>().map(f64::from).or_else(|_| value.get::<u32>().map(f64::from));
    float.or_else(|_| int()).unwrap_or(f64::NAN)
}
