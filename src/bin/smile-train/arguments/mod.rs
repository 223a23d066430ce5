//! What can be said on the command line.

mod measure;
mod numbers;
mod other;
mod train;

use std::path::Path;

use clap::{Parser, Subcommand};

use gstsmile::train::Error;

pub use measure::{EvalArguments, LocateArguments, Part, RegionArgument};
pub use other::{CardArguments, ExportArguments, InfoArguments};
pub use train::{CrossValidateArguments, Measured, TrainArguments};

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
    gst-launch-1.0 v4l2src ! decodebin ! videoconvert ! smilefilter model-file=smile.safetensors ! videoconvert ! autovideosink

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
