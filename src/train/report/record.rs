//! How weights came about, as it stands in their metadata under `training`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Region;
use crate::train::data::dataset::Dataset;
use crate::train::data::layout::Layout;
use crate::train::data::split::{Parts, Split};
use crate::train::error::{Error, Result};
use crate::train::fit::recipe::{Loss, Preset};
use crate::train::measure::metrics::Confusion;

/// Facts that are the same for every run of the same command: no dates, durations or machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// As it was given.
    pub command: String,
    /// Version of this crate.
    pub version: String,
    /// The recipe that options changed.
    pub preset: Preset,
    /// The data set.
    pub data: DataFacts,
    /// A fingerprint of all that was read, which older files don't have: pictures as the network sees them, and their
    /// labels, votes and parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// How it was parted.
    pub split: SplitFacts,
    /// Of first weights, order and variation.
    pub seed: u64,
    /// How many were wanted.
    pub epochs: usize,
    /// The last whole epoch, where training was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted_after: Option<usize>,
    /// What training made small.
    pub loss: Loss,
    /// Strength of L2 regularisation.
    pub l2: f64,
    /// Pictures a step.
    pub batch: usize,
    /// Step size of Adam at the start.
    pub learning_rate: f64,
    /// What else was learnt from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<ExtraFacts>,
    /// How many of each for each of the training pictures: older files say it once for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_share: Option<f64>,
    /// Tables of votes that stand for labels, and tables of the parts of `extra`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<String>,
    /// See `votes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// How strongly pictures were varied; in full where older files don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation: Option<f64>,
    /// How the weights came about that training started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<BTreeMap<String, Value>>,
    /// What the finished network reached.
    #[serde(flatten)]
    pub result: Option<Measured>,
    /// What the finished network reached on the validation parts of `extra`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured_extra: BTreeMap<String, Confusion>,
}

/// A data set in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// The last component of its path.
    pub name: String,
    /// How it was laid out.
    pub layout: Layout,
    /// Pictures used: not smiling, smiling.
    pub counts: [usize; 2],
    /// Pictures that could not be read.
    pub skipped: usize,
}

/// A data set beside the one that is split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtraFacts {
    /// The data set.
    #[serde(flatten)]
    pub data: DataFacts,
    /// How many of it an epoch sees for each of the training pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// What of each picture the network sees; the whole as a face where older files don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Its parts, where some of it is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitFacts>,
}

/// A split with the sizes of its parts: not smiling, smiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitFacts {
    /// How, and from which seed.
    #[serde(flatten)]
    pub split: Split,
    /// Learnt from.
    pub training: [usize; 2],
    /// What options are chosen by.
    pub validation: [usize; 2],
    /// Kept for the final measurement.
    pub test: [usize; 2],
}

/// What the finished network reached on pictures that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// On which part.
    pub measured_on: HeldOut,
    /// From 0 to 1.
    pub accuracy: f64,
    /// Answers by labels.
    pub confusion: Confusion,
}

/// A part that nothing is learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldOut {
    /// What options are chosen by.
    Validation,
    /// Kept for the final measurement.
    Test,
}

impl HeldOut {
    /// As users know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl DataFacts {
    /// Of a data set that was read.
    pub fn of(dataset: &Dataset) -> Self {
        Self {
            name: dataset.name.clone(),
            layout: dataset.layout,
            counts: counts(&dataset.labels(), 0..dataset.samples.len()),
            skipped: dataset.skipped.len(),
        }
    }
}

impl ExtraFacts {
    /// Of a data set that was read and parted.
    pub fn new(dataset: &Dataset, (split, parts): (Split, &Parts), share: f64, region: Region) -> Self {
        let held_out = !parts.validation.is_empty() || !parts.test.is_empty();
        let split = held_out.then(|| SplitFacts::new(split, &dataset.labels(), parts));
        Self { data: DataFacts::of(dataset), share: Some(share), region: Some(region), split }
    }
}

impl SplitFacts {
    /// Of the parts of samples with these labels.
    pub fn new(split: Split, labels: &[bool], parts: &Parts) -> Self {
        let count = |part: &[usize]| counts(labels, part.iter().copied());
        Self {
            split,
            training: count(&parts.training),
            validation: count(&parts.validation),
            test: count(&parts.test),
        }
    }
}

impl Measured {
    /// Of answers to a part.
    pub fn new(measured_on: HeldOut, confusion: Confusion) -> Self {
        Self { measured_on, accuracy: confusion.accuracy(), confusion }
    }
}

impl Record {
    /// As [`crate::model::Metadata::training`] holds it.
    pub fn to_metadata(&self) -> BTreeMap<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields.into_iter().collect(),
            other => unreachable!("a record is plain data, not {other:?}"),
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
}

fn counts(labels: &[bool], part: impl Iterator<Item = usize>) -> [usize; 2] {
    let mut counts = [0; 2];
    for index in part {
        counts[usize::from(labels[index])] += 1;
    }
    counts
}
