//! Training and measuring networks.
//!
//! Four rooms in a line, each of which knows those after it alone: [`report`] (what is written of a training or a
//! measurement), `face` (the face detector), `fit` and `measure` (training, and telling how good a network is), `data`
//! (pictures and labels).

mod data;
mod error;
mod face;
mod fit;
mod input;
mod measure;
mod output;
pub mod report;

pub use data::classes::{Class, Classes};
pub use data::dataset::{Catalog, Dataset, Sample, View, WIDE, last_component};
pub use data::fingerprint::Fingerprint;
pub use data::layout::Layout;
pub use data::located::{Located, Pictures};
pub use data::part_tables::{PartTables, TablePart};
pub use data::split::{Fold, Parts, Split};
pub use data::votes::Votes;
pub use error::{Error, Result, Skipped};
pub use face::{
    Alarms, Face, FaceData, FaceFiles, FaceRecord, Faces, Found, FoundBoxes, Picture, Plane, Recall, Scene,
    Tally, View as FaceView, measure,
};
pub use fit::recipe::{Loss, Preset, Recipe, Schedule};
pub use fit::smile::{Smiles, predict};
pub use fit::trainer::{
    Checkpoint, EpochResult, Examples, Extra, Observer, Outcome, Progress, Task, Trainer,
};
pub use measure::attributes::{Attributes, Slice};
pub use measure::bands::Band;
pub use measure::curves::Point;
pub use measure::evaluation::{Evaluation, Mistake};
pub use measure::metrics::{
    Bin, CLASSES, Confusion, area_under_curve, best_temperature, best_threshold, calibration_error, wilson,
};
pub use measure::perturb::{Kind, Perturbation};
pub use measure::robust::{Item, Level, robustness};
pub use output::{Lock, Outputs, beside, check_file, check_folder, check_weights, is_plain, write};
pub use report::card::Card;
pub use report::record::{DataFacts, ExtraFacts, HeldOut, Measured, Record, SplitFacts};
