//! How a face detector's weights came about, as it stands in their metadata under `training`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data::FaceData;
use crate::train::data::split::{Parts, Split};
use crate::train::error::{Error, Result};
use crate::train::fit::recipe::{Preset, Recipe};

/// Facts that are the same for every run of the same command: no dates, durations or machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceRecord {
    /// As it was given.
    pub command: String,
    /// Version of this crate.
    pub version: String,
    /// Always that of face detectors.
    pub preset: Preset,
    /// The last component of each path that was read.
    pub data: Vec<String>,
    /// Pictures left out: broken, and with no box or several.
    pub skipped: usize,
    /// Pictures left out because no table says where all their faces are.
    pub unclear: usize,
    /// How the pictures were parted.
    pub split: Split,
    /// More pictures with faces from each path, and how many of them an epoch saw for each of the training part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Vec<(usize, f64)>>,
    /// More pictures without a face.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub extra_no_face: usize,
    /// Pictures of each part: with a face, without.
    pub training: [usize; 2],
    /// Pictures with a face, and without one.
    pub validation: [usize; 2],
    /// Pictures with a face, and without one.
    pub test: [usize; 2],
    /// Network and training.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// What the weights say that training started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<BTreeMap<String, Value>>,
    /// The last whole epoch, where training was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted_after: Option<usize>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl FaceRecord {
    /// Of a training that is to begin.
    pub fn new(command: String, data: &FaceData, split: Split, parts: &Parts, recipe: &Recipe) -> Self {
        let count = |part: &[usize]| {
            let faces = part.iter().filter(|&&index| !data.pictures[index].faces.is_empty()).count();
            [faces, part.len() - faces]
        };
        Self {
            command,
            version: env!("CARGO_PKG_VERSION").into(),
            preset: Preset::Face,
            data: data.names.clone(),
            skipped: data.skipped.len(),
            unclear: data.unclear,
            extra: None,
            extra_no_face: data.extra_no_face.len(),
            split,
            training: count(&parts.training),
            validation: count(&parts.validation),
            test: count(&parts.test),
            recipe: recipe.clone(),
            init: None,
            interrupted_after: None,
        }
    }

    /// # Errors
    /// [`Error::Mismatch`] where weights don't say how they came about.
    pub fn from_metadata(training: &BTreeMap<String, Value>) -> Result<Self> {
        let fields = training.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        serde_json::from_value(Value::Object(fields)).map_err(|error| {
            Error::Mismatch(format!("these weights don't say how smile-train made them ({error})"))
        })
    }

    /// The parts of the data that the weights were trained with.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where this is other data.
    pub fn parts(&self, data: &FaceData) -> Result<Parts> {
        let parts = data.parts(self.split);
        let now = Self::new(String::new(), data, self.split, &parts, &self.recipe);
        let sizes = |record: &Self| [record.training, record.validation, record.test];
        match sizes(&now) == sizes(self) {
            true => Ok(parts),
            false => Err(Error::Mismatch(format!(
                "--split: the weights were trained on {:?} pictures (with a face, without), this is other data with {:?}; use the same data, or --split all",
                self.training, now.training
            ))),
        }
    }

    /// As [`crate::model::FaceMetadata::training`] holds it.
    pub fn to_metadata(&self) -> BTreeMap<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields.into_iter().collect(),
            other => unreachable!("a record is plain data, not {other:?}"),
        }
    }
}
