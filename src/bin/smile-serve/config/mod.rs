//! What is to run: cameras, where events go, and how much is kept.

pub mod check;
pub mod properties;
pub mod source;

use std::path::{Path, PathBuf};

use gst::prelude::*;
use serde::{Deserialize, Serialize};

use properties::Properties;
use source::{Source, masked};

/// A camera, in the configuration file as through the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Camera {
    /// Letters, digits, `-`, `_` and `.`: a part of addresses, of topics and of file names.
    pub name: String,
    /// What people read instead of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub source: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether a file starts again when it ends.
    #[serde(default, rename = "loop")]
    pub repeat: bool,
    /// Properties of `smilefilter`.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
}

/// A configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The name of this process among others, in topics and on the page.
    pub name: Option<String>,
    pub camera: Vec<Camera>,
    pub history: History,
    pub spool: Spool,
    pub files: Option<Files>,
    pub mqtt: Option<Mqtt>,
    pub kafka: Option<Kafka>,
    /// Other processes, which the page links to.
    pub instance: Vec<Instance>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct History {
    /// How long events and minutes are kept.
    pub days: u32,
    /// How many events are kept at most, whatever their age.
    pub most_events: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { days: 30, most_events: 1_000_000 }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spool {
    /// How many events wait at most for a broker that is away; the oldest are dropped then.
    pub most_events: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { most_events: 100_000 }
    }
}

/// Events as JSON lines in files that rotate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Files {
    pub folder: PathBuf,
    #[serde(default = "Files::most_bytes")]
    pub most_bytes: u64,
    /// How many full files are kept.
    #[serde(default = "Files::keep")]
    pub keep: usize,
}

impl Files {
    fn most_bytes() -> u64 {
        64 << 20
    }

    fn keep() -> usize {
        10
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mqtt {
    pub host: String,
    /// By default 1883, with TLS 8883.
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: bool,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate and its key.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    /// What topics begin with.
    #[serde(default = "Mqtt::topic")]
    pub topic: String,
    /// Whether Home Assistant is told about the cameras.
    #[serde(default)]
    pub home_assistant: bool,
}

impl Mqtt {
    fn topic() -> String {
        "smilefilter".into()
    }

    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 8883 } else { 1883 })
    }
}

/// Read by every smile-serve, also by one without the feature `kafka`, which says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kafka {
    /// Some of the cluster's, as host:port.
    pub brokers: Vec<String>,
    #[serde(default = "Mqtt::topic")]
    pub topic: String,
    #[serde(default)]
    pub tls: bool,
    pub ca_file: Option<PathBuf>,
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    /// How the user logs in (SASL).
    #[serde(default)]
    #[cfg_attr(not(feature = "kafka"), expect(dead_code))]
    pub mechanism: Mechanism,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub enum Mechanism {
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[default]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// What a section says of who may read along, and of who it is that writes.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    pub tls: bool,
    pub ca_file: Option<&'a Path>,
    pub certificate_file: Option<&'a Path>,
    pub key_file: Option<&'a Path>,
    pub user: Option<&'a str>,
    pub password_file: Option<&'a Path>,
}

macro_rules! secrets {
    ($section:ty) => {
        impl $section {
            pub fn secrets(&self) -> Secrets<'_> {
                Secrets {
                    tls: self.tls,
                    ca_file: self.ca_file.as_deref(),
                    certificate_file: self.certificate_file.as_deref(),
                    key_file: self.key_file.as_deref(),
                    user: self.user.as_deref(),
                    password_file: self.password_file.as_deref(),
                }
            }
        }
    };
}
secrets!(Mqtt);
secrets!(Kafka);

/// Another process with a page of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Instance {
    pub name: String,
    pub url: String,
}

/// Something wrong with a camera, and the keys that lead to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    pub at: Vec<String>,
    pub text: String,
}

/// Bounds on what comes from outside.
const MOST_TEXT: usize = 200;
const MOST_SOURCE: usize = 2000;
const MOST_TAGS: usize = 32;

impl Camera {
    /// A camera for a source of the command line.
    pub fn of_source(source: &str, repeat: bool, taken: &[Self]) -> Result<Self, String> {
        let short = Source::new(source)?.short_name();
        let is_free = |name: &String| taken.iter().all(|camera| camera.name != *name);
        let name = std::iter::once(short.clone()).chain((2..).map(|number| format!("{short}-{number}")));
        let name = name.into_iter().find(is_free).unwrap_or(short);
        Ok(Self {
            name,
            title: None,
            source: source.into(),
            tags: vec![],
            repeat,
            properties: Properties::new(),
        })
    }

    /// All that is wrong with it.
    pub fn wrongs(&self) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        let mut wrong = |at: &[&str], text: String| {
            wrongs.push(Wrong { at: at.iter().map(|key| key.to_string()).collect(), text });
        };
        if let Err(text) = check_name(&self.name) {
            wrong(&["name"], text);
        }
        if self.source.len() > MOST_SOURCE {
            wrong(&["source"], format!("the source has more than {MOST_SOURCE} bytes"));
        } else if let Err(text) = Source::new(&self.source) {
            wrong(&["source"], text);
        }
        for (key, texts) in [("title", self.title.as_slice()), ("tags", self.tags.as_slice())] {
            if texts.len() > MOST_TAGS || texts.iter().any(|text| text.len() > MOST_TEXT) {
                wrong(&[key], format!("{key} takes at most {MOST_TAGS} texts of {MOST_TEXT} bytes"));
            }
        }
        match gst::ElementFactory::make("smilefilter").build() {
            Err(error) => wrong(&[], error.to_string()),
            Ok(element) => {
                for (name, value) in &self.properties {
                    if let Err(text) = apply(&element, name, value) {
                        wrong(&["properties", name], text);
                    }
                }
            }
        }
        wrongs
    }

    pub fn shown_source(&self) -> String {
        masked(&self.source)
    }
}

/// Sets a property of `smilefilter`.
pub fn apply(element: &gst::Element, name: &str, value: &properties::Value) -> Result<(), String> {
    let set = properties::value(element, name, value)?;
    element.set_property_from_value(name, &set);
    // The element keeps what it had where it can't read a text.
    let is_text = ["area", "labels"].contains(&name);
    if is_text && !value.to_string().is_empty() && element.property::<String>(name).is_empty() {
        return Err(format!(
            "smilefilter's property {name} can't be \"{value}\"; README.md says what it takes"
        ));
    }
    Ok(())
}

/// Names are safe in addresses, topics and file names.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(is_safe) && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!("{name:?} can't be a name; take 1 to 64 letters, digits, -, _ and ., and no . at the start"))
}
