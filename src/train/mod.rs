//! Training and measuring networks: data sets, fitting, metrics, reports.

mod adam;
mod archive;
mod attributes;
mod augment;
mod average;
mod card;
mod classes;
mod dataset;
mod decode;
mod error;
mod evaluation;
mod face;
mod fingerprint;
mod fit;
mod input;
mod layout;
mod locate;
mod loss;
mod metrics;
mod output;
mod part_tables;
mod plane;
mod recipe;
mod record;
pub mod report;
mod smile;
mod soft_labels;
mod source;
mod split;
mod table;
mod teachers;
mod vary;
mod votes;

pub use attributes::{Attributes, Slice};
pub use card::Card;
pub use classes::{Class, Classes};
pub use dataset::{Catalog, Dataset, Sample, Skipped, View, WIDE, last_component};
pub use error::{Error, Result};
pub use evaluation::{Band, Bin, Evaluation, Item, Kind, Level, Mistake, Perturbation, Point, robustness};
pub use face::{
    Alarms, Face, FaceData, FaceFiles, FaceRecord, Faces, Found, FoundBoxes, Picture, Plane, Recall, Scene,
    Tally, View as FaceView, measure,
};
pub use fingerprint::Fingerprint;
pub use fit::{Checkpoint, EpochResult, Examples, Extra, Observer, Outcome, Progress, Task, Trainer};
pub use layout::Layout;
pub use locate::{Located, Pictures};
pub use metrics::{
    CLASSES, Confusion, area_under_curve, best_temperature, best_threshold, calibration_error, wilson,
};
pub use output::{Lock, Outputs, beside, check_file, check_folder, check_weights, is_plain, write};
pub use part_tables::{PartTables, TablePart};
pub use recipe::{Loss, Preset, Recipe, Schedule};
pub use record::{
    DataFacts, ExtraFacts, HeldOut, Measured, Record, SoftFacts, SplitFacts, TeacherFacts, UnlabelledFacts,
};
pub use smile::{Smiles, predict};
pub use soft_labels::SoftLabels;
pub use split::{Fold, Parts, Split};
pub use teachers::Teachers;
pub use votes::Votes;
