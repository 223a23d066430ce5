//! The arguments of training and of `cross-validate`.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

use gstsmile::model::DeviceChoice;
use gstsmile::train::{HeldOut, Loss, Preset};

use super::measure::RegionArgument;
use super::numbers::*;

#[derive(Debug, Args)]
pub struct TrainArguments {
    /// Data set: a folder or archive
    #[arg(long, help_heading = "Data")]
    pub data: PathBuf,
    /// Which folders are which class, as smile=happy,laughing no-smile=sad ignore=surprise, where their names
    /// aren't usual ones such as happy/, no_smile/ or neutral/; for --extra, too
    #[arg(long, value_name = "CLASS=DIR,…", num_args = 1.., help_heading = "Data")]
    pub classes: Vec<String>,
    /// With --preset face: table of faces with a header, a row a face, and the columns file, x, y, w, h in
    /// pixels; a file without numbers has no face. Landmarks, where there are any, are in reye_x, reye_y, leye_x,
    /// leye_y, nose_x, nose_y, rmouth_x, rmouth_y, lmouth_x, lmouth_y. With nfaces, pictures with another number of
    /// rows are left out. With score and rfb (scores of two detectors), boxes below 0.8, or below 0.5 and 0.6,
    /// are neither learnt from nor counted. Of boxes that overlap, the first table's stays. May be given several
    /// times
    #[arg(long, value_name = "FILE.csv", help_heading = "Data")]
    pub boxes: Vec<PathBuf>,
    /// With --preset face: table (file, x, y, w, h) of what may be a face or not. May be given several times
    #[arg(long, value_name = "FILE.csv", help_heading = "Data")]
    pub ignore_boxes: Vec<PathBuf>,
    /// Table (file, part) of pictures of --extra, each in train, validation (measured on after each epoch, and what
    /// the temperature is fitted to) or test (not used). May be given several times
    #[arg(long, value_name = "FILE.csv", help_heading = "Data")]
    pub parts: Vec<PathBuf>,
    /// Table of people's votes (file, happiness and other columns of numbers, as FER+ has it) that take the place of
    /// the labels of a data set; its pictures without a vote are left out. May be given several times
    #[arg(long, value_name = "FILE.csv", help_heading = "Data")]
    pub votes: Vec<PathBuf>,
    /// With --preset face: folder or archive of pictures without faces
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub no_face: Option<PathBuf>,
    /// With --preset face: more pictures without faces, of which none is held out. May be given several
    /// times
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub extra_no_face: Vec<PathBuf>,
    /// Part of each picture that the network sees, if not the preset's
    #[arg(long, value_enum, help_heading = "Data")]
    pub region: Option<RegionArgument>,
    /// With --region faces: weights of the face detector that finds them, if not the built-in ones
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub face_model: Option<PathBuf>,
    /// More pictures to learn from; may be given several times. With --preset smile each is as a
    /// whole a face, unless --extra-region says otherwise; with --preset face the tables of --boxes say where its
    /// face is
    #[arg(long, value_name = "DATA", help_heading = "Data")]
    pub extra: Vec<PathBuf>,
    /// What the network sees of them: one for each --extra, or one for all
    #[arg(
        long,
        value_enum,
        value_name = "PART,…",
        default_value = "full",
        value_delimiter = ',',
        help_heading = "Data"
    )]
    pub extra_region: Vec<RegionArgument>,
    /// Share of each class of every --extra that is held out as its validation part, where --parts doesn't say it
    #[arg(long, value_name = "F", default_value = "0", value_parser = fraction, help_heading = "Data")]
    pub extra_validation_fraction: f64,
    /// How many of them an epoch sees for each picture of --data: one number for each --extra, or one for all
    #[arg(long, value_name = "X,…", default_value = "2", value_delimiter = ',', value_parser = strength, help_heading = "Data")]
    pub extra_share: Vec<f64>,
    /// Share of each class that is kept for the final measurement
    #[arg(long, value_name = "F", default_value = "0.2", value_parser = fraction, help_heading = "Data")]
    pub test_fraction: f64,
    /// Share of the rest that is measured on instead, to choose options by; the test part then
    /// stays untouched
    #[arg(long, value_name = "F", default_value = "0", value_parser = fraction, help_heading = "Data")]
    pub validation_fraction: f64,
    /// Seed of the split alone
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Data")]
    pub split_seed: u64,

    /// Weights to start from, trained on other data or before. With --preset face, also weights whose heads don't merge
    /// what the coarser ones see
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub init: Option<PathBuf>,
    /// Network and recipe that the options below change
    #[arg(long, value_enum, default_value = "smile", help_heading = "Network")]
    pub preset: Preset,
    /// Filters of each convolution, or one number for all
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = count(1024), help_heading = "Network")]
    pub filters: Vec<usize>,
    /// Units of the dense layer
    #[arg(long, value_name = "N", value_parser = count(4096), help_heading = "Network")]
    pub dense: Option<usize>,

    /// Times to go through the training pictures
    #[arg(long, value_name = "N", value_parser = count(1_000_000), help_heading = "Training")]
    pub epochs: Option<usize>,
    /// With --preset smile: how strongly training pictures vary (moved, turned, lit otherwise, noisy,
    /// compressed, hidden in part, blurred, lightly so with --region full), from 0 to 1; if not given, 0.5
    #[arg(long, value_name = "F", value_parser = share, help_heading = "Training")]
    pub variation: Option<f64>,
    /// Seed of first weights and order of pictures
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Training")]
    pub seed: u64,
    /// What training makes small
    #[arg(long, value_enum, help_heading = "Training")]
    pub loss: Option<Loss>,
    /// Strength of L2 regularisation of all kernels
    #[arg(long, value_name = "X", value_parser = strength, help_heading = "Training")]
    pub l2: Option<f64>,
    /// Pictures a step
    #[arg(long, value_name = "N", value_parser = count(65536), help_heading = "Training")]
    pub batch: Option<usize>,
    /// Step size of Adam
    #[arg(long, value_name = "X", value_parser = rate, help_heading = "Training")]
    pub learning_rate: Option<f64>,
    /// What the logits are divided by, so that probabilities mean what they say; if not given, it is
    /// fitted to the validation part, or 1 without one
    #[arg(long, value_name = "X", value_parser = temperature, help_heading = "Training")]
    pub temperature: Option<f64>,
    /// Where to compute: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Machine")]
    pub device: DeviceChoice,
    /// Threads to use, if not one a core
    #[arg(long, value_name = "N", value_parser = count(1024), help_heading = "Machine")]
    pub threads: Option<usize>,

    /// Weights file to write
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub out: PathBuf,
    /// Folder for learning curves, confusion matrix, metrics and a sheet of pictures; with --preset face, for a sheet
    /// of the scenes that it learns from
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub report: Option<PathBuf>,
    /// Go on from the checkpoint that an interrupted run left beside --out
    #[arg(long, help_heading = "Output")]
    pub resume: bool,
}

#[derive(Debug, Args)]
pub struct CrossValidateArguments {
    /// Parts of the data set, each of which is left out once; --test-fraction doesn't count
    #[arg(long, value_name = "N", default_value = "4", value_parser = RangedU64ValueParser::<usize>::new().range(2..=100))]
    pub folds: usize,
    /// What to measure on: the part left out, or the validation part (--validation-fraction) of the
    /// others, to choose options by
    #[arg(long, value_enum, default_value = "test", value_name = "PART")]
    pub measure_on: Measured,
    /// Train this fold only: several processes can share the folds, and the same command with --resume in
    /// its place then tells of all; may be given several times
    #[arg(long, value_name = "N", conflicts_with = "robustness")]
    pub only_fold: Vec<usize>,
    /// Leave each --extra out in turn instead, and measure on all of it: what the recipe is worth on faces from
    /// elsewhere
    #[arg(long, conflicts_with_all = ["folds", "only_fold", "robustness", "measure_on"])]
    pub leave_collection: bool,
    /// Measure again with each picture made harder in many ways, as `eval --robustness` does
    #[arg(long)]
    pub robustness: bool,
    /// As for training, but --out is the folder for weights, predictions.csv and results.json
    #[command(flatten)]
    pub train: TrainArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measured {
    Test,
    Validation,
}

impl Measured {
    pub fn part(self) -> HeldOut {
        match self {
            Self::Test => HeldOut::Test,
            Self::Validation => HeldOut::Validation,
        }
    }
}
