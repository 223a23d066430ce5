//! What the user can set.

use std::sync::LazyLock;

use glib::prelude::*;
use gst::prelude::*;

use super::{Display, Region, Updates};
use crate::analysis::Search;
use crate::model::DeviceChoice;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Empty: the weights that are built in.
    pub model_file: String,
    pub device: String,
    pub frame: FrameSettings,
}

/// The settings that each frame reads, as one snapshot.
#[derive(Clone, Copy, Debug)]
pub struct FrameSettings {
    pub region: Region,
    /// The type of upstream's regions that count; `None`: all.
    pub roi_type: Option<glib::Quark>,
    pub display: Display,
    pub updates: Updates,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model_file: String::new(),
            device: DeviceChoice::default().to_string(),
            frame: FrameSettings {
                region: Region::default(),
                roi_type: None,
                display: Display::all(),
                updates: Updates::default(),
            },
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
    pub fn specs() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut specs = start_specs();
            specs.extend(frame_specs());
            specs
        });
        &PROPERTIES
    }

    /// # Panics
    /// If there is no such property, or it has another type.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        const TYPE: &str = "type checked upstream";
        let text = || value.get::<Option<String>>().expect(TYPE);
        match name {
            "model-file" => self.model_file = text().unwrap_or_default(),
            "device" => self.device = text().unwrap_or_else(|| Self::default().device),
            "region" => self.frame.region = value.get().expect(TYPE),
            "roi-type" => {
                let named = text().filter(|name| !name.is_empty());
                self.frame.roi_type = named.map(glib::Quark::from_str);
            }
            "display" => self.frame.display = value.get().expect(TYPE),
            "updates" => self.frame.updates = value.get().expect(TYPE),
            name => unreachable!("property {name}"),
        }
    }

    /// # Panics
    /// If there is no such property.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "model-file" => self.model_file.to_value(),
            "device" => self.device.to_value(),
            "region" => self.frame.region.to_value(),
            "roi-type" => self.frame.roi_type.map_or("", |quark| quark.as_str().as_str()).to_value(),
            "display" => self.frame.display.to_value(),
            "updates" => self.frame.updates.to_value(),
            name => unreachable!("property {name}"),
        }
    }
}

/// Properties that are read when the element starts.
fn start_specs() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecString::builder("model-file")
            .nick("Model file")
            .blurb("Weights that smile-train wrote (empty: the built-in ones)")
            .default_value(Some(default.model_file.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("device")
            .nick("Device")
            .blurb(
                "Where the network runs: auto (a CUDA GPU if one works, else the CPU), cpu, cuda or cuda:N",
            )
            .default_value(Some(default.device.as_str()))
            .mutable_ready()
            .build(),
    ]
}

/// Properties that each frame reads.
fn frame_specs() -> Vec<glib::ParamSpec> {
    let default = Settings::default().frame;
    vec![
        glib::ParamSpecEnum::builder_with_default("region", default.region)
            .nick("Region")
            .blurb("Which part of the frame is looked at")
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("roi-type")
            .nick("ROI type")
            .blurb("The type of the GstVideoRegionOfInterestMeta that count as faces (empty: all)")
            .default_value(Some(""))
            .mutable_playing()
            .build(),
        glib::ParamSpecFlags::builder::<Display>("display")
            .nick("Display")
            .blurb("What is drawn onto the frame (0: nothing, pixels stay as they are)")
            .default_value(default.display)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("updates", default.updates)
            .nick("Updates")
            .blurb(
                "When results are posted as element messages; a change is another set of faces, or \
                 another answer (smiling or not), than the frame before had, and the first result \
                 after the start, a flush or a change of format",
            )
            .mutable_playing()
            .build(),
    ]
}
