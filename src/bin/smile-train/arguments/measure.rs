//! The arguments of `eval` and `locate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use gstsmile::analysis::locate::LEAST_HEIGHT;
use gstsmile::model::{DeviceChoice, Region};

use super::numbers::*;

/// What is only for a face detector's weights.
const LOCATOR: &str = "With a face detector's weights";

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
    /// With --region faces: weights of the face detector that finds them, if not the built-in ones
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
    /// Weights of the face detector, if not the built-in ones
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RegionArgument {
    /// The whole picture, squeezed
    Full,
    /// The largest centred square
    Center,
    /// The face that the face detector finds
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
