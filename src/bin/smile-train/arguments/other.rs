//! The arguments of `card`, `export` and `info`.

use std::path::PathBuf;

use clap::Args;

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
    /// What eval --json wrote of a face detector, for the marker locator
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
    /// Weights file, of a smile network or a face detector
    pub weights: PathBuf,
    /// File to write: a network from pixels to answers. What GStreamer's onnxinference wants to know of it is
    /// written beside it, with .modelinfo after its name
    #[arg(long, value_name = "FILE.onnx")]
    pub onnx: PathBuf,
    /// With a face detector's weights: the size of its pictures, if not 320x256. Faces of 18 pixels height and more
    /// are found by the weights that come with it
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub size: Option<[usize; 2]>,
}

#[derive(Debug, Args)]
pub struct InfoArguments {
    /// Weights file
    pub file: PathBuf,
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let sides = text.split_once('x').map(|(width, height)| [width, height].map(|side| side.parse().ok()));
    match sides {
        Some([Some(width), Some(height)]) => Ok([width, height]),
        _ => Err("it must be a width and a height in pixels, such as 320x256".into()),
    }
}
