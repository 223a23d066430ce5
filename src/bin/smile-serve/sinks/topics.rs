//! What is published under which topic.

use serde_json::json;

use crate::camera::Handle;

/// Topics of one process: `PREFIX/NAME/status`, and for each camera `PREFIX/NAME/CAMERA/state` and `…/event`.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
    name: String,
}

/// Under which Home Assistant looks for what there is.
const DISCOVERY: &str = "homeassistant";

impl Topics {
    pub fn new(prefix: &str, name: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').into(), name: name.into() }
    }

    pub fn status(&self) -> String {
        format!("{}/{}/status", self.prefix, self.name)
    }

    pub fn event(&self, camera: &str) -> String {
        format!("{}/{}/{camera}/event", self.prefix, self.name)
    }

    pub fn state(&self, camera: &str) -> String {
        format!("{}/{}/{camera}/state", self.prefix, self.name)
    }

    /// What Home Assistant is told of a camera: topics and texts, which are empty where the camera is gone.
    pub fn discovery(&self, name: &str, camera: Option<&Handle>) -> Vec<(String, String)> {
        // Names of objects there have no dots.
        let id = format!("smilefilter-{}-{name}", self.name).replace('.', "_");
        let kinds = [
            ("binary_sensor", "smile", "Smile", "{{ 'ON' if value_json.smiling > 0 else 'OFF' }}"),
            ("binary_sensor", "live", "Live", "{{ 'ON' if value_json.state == 'live' else 'OFF' }}"),
            ("sensor", "faces", "Faces", "{{ value_json.faces }}"),
        ];
        let entry = |(kind, key, label, template): (&str, &str, &str, &str)| {
            let topic = format!("{DISCOVERY}/{kind}/{id}/{key}/config");
            let Some(camera) = camera else { return (topic, String::new()) };
            let title = camera.camera.title.as_deref().unwrap_or(name);
            let text = json!({
                "name": label,
                "unique_id": format!("{id}-{key}"),
                "state_topic": self.state(name),
                "value_template": template,
                "availability_topic": self.status(),
                "device": { "identifiers": [id], "name": title, "manufacturer": "smilefilter" },
            });
            (topic, text.to_string())
        };
        kinds.map(entry).into()
    }
}
