//! What can be said on the command line.

use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use gstsmile::analysis::locate::{LEAST_HEIGHT, SMALLEST_HEIGHT};
use gstsmile::model::{DeviceChoice, Region};
use gstsmile::train::{Error, HeldOut, Loss, Preset};

/// Trains and measures the networks of smilefilter
///
/// Without a subcommand it trains. DATA is GENKI-4K as published (files/ and labels.txt), the
/// layout of GENKI-R2009a (files/ and Subsets/GENKI-4K/), a folder a class (smile/ and no-smile/,
/// or happy/, neutral/ and such), or an archive of any of these (.tar, .tar.gz, .tar.zst or .zip).
#[derive(Debug, Parser)]
#[command(name = "smile-train", version, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_long_help = "\
Examples:
  Adapt the weights that come with it to a few hundred pictures of your own, in happy/ and neutral/:
    smile-train --init models/smile.safetensors --data mine --epochs 2 --out my.safetensors
  Train from many pictures alone, and draw learning curves:
    smile-train --data genki4k --out smile.safetensors --report report
  Choose the strength of L2 without a look at the test part:
    smile-train --data genki4k --validation-fraction 0.2 --l2 3e-4 --out try.safetensors
  Go on after Ctrl-C:
    smile-train --data genki4k --out smile.safetensors --report report --resume
  Train one of the paper's networks, which look at whole pictures (region=full in the element):
    smile-train --data genki4k --preset paper-deep --out paper.safetensors
  Train a face locator from boxes:
    smile-train --preset face --data genki4k --boxes boxes.csv --no-face things --out face.safetensors
  Find faces:
    smile-train locate --data holiday --csv faces.csv --sheet faces.png
  Measure weights on any pictures:
    smile-train eval --model smile.safetensors --data pictures.tar --predictions answers.csv
  Run them elsewhere, as pipelines/smile-onnx.py does:
    smile-train export smile.safetensors --onnx smile.onnx
  Use them:
    gst-launch-1.0 v4l2src ! videoconvert ! smilefilter model-file=smile.safetensors ! autovideosink

Exit codes: 0 done, 1 could not write or compute, 2 something wrong with what was given,
130 interrupted (what was learnt is kept).")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub train: Option<TrainArguments>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trains once for each part of a data set that is left out, and measures on all of them
    CrossValidate(Box<CrossValidateArguments>),
    /// Measures weights on a data set
    Eval(Box<EvalArguments>),
    /// Finds the faces in pictures and writes their boxes
    Locate(LocateArguments),
    /// Writes results between the markers of a model card
    Card(CardArguments),
    /// Writes weights as an ONNX file, for ONNX Runtime and others
    Export(ExportArguments),
    /// Prints what a weights file says of itself
    Info(InfoArguments),
}

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
    /// With --preset face: table of boxes as locate writes it of pictures to learn from; those where there is no face are
    /// shown more often. May be given several times
    #[arg(long, value_name = "FILE.csv", help_heading = "Data")]
    pub hard_boxes: Vec<PathBuf>,
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
    /// With --region faces: weights of the locator that finds them, if not the built-in ones
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
    /// Pictures without labels, in which the locator finds the faces: folder or archive. Those that
    /// --soft-labels names are learnt from, the others are left out. May be given several times
    #[arg(long, value_name = "DIR", requires = "soft_labels", help_heading = "Data")]
    pub unlabelled: Vec<PathBuf>,
    /// How many of them an epoch sees for each picture of --data
    #[arg(long, value_name = "X", default_value = "2", value_parser = strength, help_heading = "Data")]
    pub unlabelled_share: f64,
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

    /// Weights to start from, trained on other data or before; of several, teachers start in turn from those
    /// that have their network, and the network itself from the first that has its own. With --preset face, also weights
    /// whose heads don't merge what the coarser ones see
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub init: Vec<PathBuf>,
    /// Networks to train first, each with a seed of its own, whose answers the network learns from
    #[arg(long, value_name = "N", default_value = "0", value_parser = RangedU64ValueParser::<usize>::new().range(..=16), help_heading = "Network")]
    pub teachers: usize,
    /// Filters of each convolution of the teachers, if not those of the network itself
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = count(1024), help_heading = "Network")]
    pub teacher_filters: Vec<usize>,
    /// Table of what others make of pictures to learn from, with the columns file (a name within its
    /// data set) and probability; {fold} in its name stands for the number of the fold
    #[arg(long, value_name = "FILE.csv", help_heading = "Network")]
    pub soft_labels: Option<PathBuf>,
    /// Share of each label that the teachers' mean answer replaces, and before it what --soft-labels says
    #[arg(long, value_name = "F", default_value = "0.7", value_parser = share, help_heading = "Network")]
    pub trust: f64,
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

/// What is only for a face locator's weights.
const LOCATOR: &str = "With a face locator's weights";

#[derive(Debug, Args)]
pub struct EvalArguments {
    /// Weights file
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Data set: a folder or archive; may be given several times, for a row of results each
    #[arg(long, required = true)]
    pub data: Vec<PathBuf>,
    /// Which folders are which class, as for training
    #[arg(long, value_name = "CLASS=DIR,…", num_args = 1..)]
    pub classes: Vec<String>,
    /// Table of people's votes that stand for labels, as for training
    #[arg(long, value_name = "FILE.csv")]
    pub votes: Vec<PathBuf>,
    /// Table (file and columns of 0 and 1) of what is true of the people in pictures, such as mouth_open or
    /// eyeglasses: results are told for each
    #[arg(long, value_name = "FILE.csv")]
    pub attributes: Vec<PathBuf>,
    /// Pictures to measure on; parts are those that the weights were trained with
    #[arg(long, value_enum, default_value = "all", value_name = "PART")]
    pub split: Part,
    /// Table of faces, as for training
    #[arg(long, value_name = "FILE.csv", help_heading = LOCATOR)]
    pub boxes: Vec<PathBuf>,
    /// Table of boxes that may be faces or not, as for training
    #[arg(long, value_name = "FILE.csv", help_heading = LOCATOR)]
    pub ignore_boxes: Vec<PathBuf>,
    /// Table that says to which part a picture belongs, as for training; --split then means its parts
    #[arg(long, value_name = "FILE.csv")]
    pub parts: Vec<PathBuf>,
    /// Folder or archive of pictures without faces
    #[arg(long, value_name = "DIR", help_heading = LOCATOR)]
    pub no_face: Option<PathBuf>,
    /// Score from which on there is a face, if not what the weights say
    #[arg(long, value_name = "X", value_parser = score, help_heading = LOCATOR)]
    pub threshold: Option<f32>,
    /// Height of the smallest faces that have to be found, as a share of the picture's
    #[arg(long, value_name = "X", default_value_t = LEAST_HEIGHT, value_parser = height, help_heading = LOCATOR)]
    pub min_face_size: f32,
    /// Measure on the pictures turned clockwise by so many degrees
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = degrees, allow_negative_numbers = true,
          help_heading = LOCATOR)]
    pub turn: f32,
    /// What another detector found in the same pictures, to be measured beside: a name for it and a table as locate
    /// writes it; may be given several times
    #[arg(long, value_name = "NAME=FILE.csv", help_heading = LOCATOR)]
    pub peer: Vec<String>,
    /// Part of each picture to look at, if not what the weights say
    #[arg(long, value_enum)]
    pub region: Option<RegionArgument>,
    /// With --region faces: weights of the locator that finds them, if not the built-in ones
    #[arg(long, value_name = "FILE")]
    pub face_model: Option<PathBuf>,
    /// Write the results here
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write each picture's probability of smiling here
    #[arg(long, value_name = "FILE.csv")]
    pub predictions: Option<PathBuf>,
    /// Draw ROC curve and reliability into this folder, and with --robustness what the network bears
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Measure again with each picture darker, brighter, noisier, blurred, smaller, compressed, grey,
    /// turned and partly hidden, and with its face's box shifted and scaled
    #[arg(long)]
    pub robustness: bool,
    /// Where to compute: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Machine")]
    pub device: DeviceChoice,
    /// Threads to use, if not one a core
    #[arg(long, value_name = "N", value_parser = count(1024), help_heading = "Machine")]
    pub threads: Option<usize>,
}

#[derive(Debug, Args)]
pub struct LocateArguments {
    /// Folders or archives of pictures, or pictures
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub data: Vec<PathBuf>,
    /// Table to write: file, x, y, w, h, score; a row a face in pixels of the picture, an empty one
    /// where there is none
    #[arg(long, value_name = "FILE.csv")]
    pub csv: PathBuf,
    /// Draw the faces on a sheet of pictures, an even choice where there are many
    #[arg(long, value_name = "FILE.png")]
    pub sheet: Option<PathBuf>,
    /// Weights of the locator, if not the built-in ones
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Score from which on there is a face, if not what the weights say
    #[arg(long, value_name = "X", value_parser = score)]
    pub threshold: Option<f32>,
    /// Height of the smallest faces that have to be found, as a share of the picture's; the time for a picture grows
    /// with the inverse of its square
    #[arg(long, value_name = "X", default_value_t = LEAST_HEIGHT, value_parser = height)]
    pub min_face_size: f32,
    /// Threads to use, if not one a core
    #[arg(long, value_name = "N", value_parser = count(1024), help_heading = "Machine")]
    pub threads: Option<usize>,
}

#[derive(Debug, Args)]
pub struct CardArguments {
    /// A text in Markdown; what stands between <!-- NAME --> and <!-- /NAME --> is replaced
    #[arg(long, value_name = "FILE.md")]
    pub card: PathBuf,
    /// Folder of a cross-validation, for the markers folds, bands, mistakes and robustness; its
    /// drawings are copied beside the card
    #[arg(long, value_name = "DIR")]
    pub folds: Option<PathBuf>,
    /// What the names of these drawings begin with
    #[arg(long, value_name = "TEXT", default_value = "smile-")]
    pub prefix: String,
    /// What eval --json wrote of a face locator, for the marker locator
    #[arg(long, value_name = "FILE.json")]
    pub locator: Option<PathBuf>,
    /// What eval --json wrote of several data sets, for the markers collections and slices
    #[arg(long, value_name = "FILE.json")]
    pub collections: Option<PathBuf>,
    /// Marker of a table that compares runs
    #[arg(long, value_name = "NAME", requires = "run")]
    pub marker: Option<String>,
    /// A run of this table, compared with the first: its name and the folder of a cross-validation or
    /// what eval --json wrote; may be given several times
    #[arg(long, value_name = "NAME=PATH", requires = "marker")]
    pub run: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Weights file, of a smile network or a face locator
    pub weights: PathBuf,
    /// File to write: a network from pixels to answers. What GStreamer's onnxinference wants to know of it is
    /// written beside it, with .modelinfo after its name
    #[arg(long, value_name = "FILE.onnx")]
    pub onnx: PathBuf,
    /// With a face locator's weights: the size of its pictures, if not 320x256. Faces of 18 pixels height and more
    /// are found by the weights that come with it
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub size: Option<[usize; 2]>,
}

#[derive(Debug, Args)]
pub struct InfoArguments {
    /// Weights file
    pub file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RegionArgument {
    /// The whole picture, squeezed
    Full,
    /// The largest centred square
    Center,
    /// The face that the locator finds
    Faces,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    All,
    Train,
    Validation,
    Test,
}

impl From<RegionArgument> for Region {
    fn from(region: RegionArgument) -> Self {
        match region {
            RegionArgument::Full => Self::Full,
            RegionArgument::Center => Self::Center,
            RegionArgument::Faces => Self::Faces,
        }
    }
}

impl Measured {
    pub fn part(self) -> HeldOut {
        match self {
            Self::Test => HeldOut::Test,
            Self::Validation => HeldOut::Validation,
        }
    }
}

/// A name and a path, as in `YuNet=faces.csv`.
///
/// # Errors
/// Where there is no `=`.
pub fn named_path<'a>(
    option: &str,
    what: &str,
    text: &'a str,
) -> gstsmile::train::Result<(&'a str, &'a Path)> {
    match text.split_once('=') {
        Some((name, path)) => Ok((name, path.as_ref())),
        None => Err(Error::Mismatch(format!("{option} {text}: it must be NAME={what}"))),
    }
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let sides = text.split_once('x').map(|(width, height)| [width, height].map(|side| side.parse().ok()));
    match sides {
        Some([Some(width), Some(height)]) => Ok([width, height]),
        _ => Err("it must be a width and a height in pixels, such as 320x256".into()),
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..1.0).contains(&value), "a number from 0 to less than 1")
}

fn strength(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1e6).contains(&value), "a number from 0 to 1000000")
}

fn score(text: &str) -> Result<f32, String> {
    share(text).map(|value| value as f32)
}

fn height(text: &str) -> Result<f32, String> {
    let takes = |value: f64| (SMALLEST_HEIGHT..=1.0).contains(&(value as f32));
    number(text, takes, "a number from 0.03 to 1").map(|value| value as f32)
}

fn degrees(text: &str) -> Result<f32, String> {
    number(text, |value| (-180.0..=180.0).contains(&value), "a number from -180 to 180")
        .map(|value| value as f32)
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "a number from 0 to 1")
}

/// With steps of more than 1 Adam moves every weight by more than all of them are worth.
fn rate(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1.0, "a number above 0, and 1 at most")
}

/// What weights may say of themselves.
fn temperature(text: &str) -> Result<f64, String> {
    number(text, |value| (1e-3..=1e3).contains(&value), "a number from 0.001 to 1000")
}

fn number(text: &str, allowed: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&value| allowed(value)).ok_or_else(|| format!("it must be {wanted}"))
}
