//! Weights for other runtimes.

use std::path::Path;
use std::process::ExitCode;

use gstsmile::model::onnx::{DEFAULT_SIZE, Export};
use gstsmile::model::{self, FaceWeights, SmileWeights};
use gstsmile::train::{self, Error, Outputs, Result};

use crate::arguments::ExportArguments;
use crate::outputs;
use crate::terminal::say;

/// Writes as told.
pub fn run(arguments: &ExportArguments) -> Result<ExitCode> {
    let ExportArguments { weights, onnx, size } = arguments;
    let mut outputs = Outputs::default();
    outputs::add(&mut outputs, "--onnx", onnx)?;
    // Nothing lies beside a pipe.
    let modelinfo = train::is_plain(onnx).then(|| train::beside(onnx, ".modelinfo"));
    if let Some(path) = &modelinfo {
        outputs::add(&mut outputs, "the modelinfo beside --onnx", path)?;
    }
    outputs.spare("WEIGHTS", weights)?;
    let export = export(weights, *size)?;
    train::write(onnx, &export.model)?;
    let mut written = onnx.display().to_string();
    if let Some(path) = &modelinfo {
        train::write(path, export.modelinfo.as_bytes())?;
        written += &format!(" and {}", path.display());
    }
    say!("{written}");
    export.summary.iter().for_each(|line| say!("  {line}"));
    Ok(ExitCode::SUCCESS)
}

fn export(weights: &Path, size: Option<[usize; 2]>) -> Result<Export> {
    match FaceWeights::read(weights) {
        Ok(weights) => return Ok(weights.to_onnx(size.unwrap_or(DEFAULT_SIZE))?),
        Err(model::Error::Kind { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let smile = SmileWeights::read(weights)?;
    match size {
        None => Ok(smile.to_onnx()?),
        Some(_) => Err(Error::Mismatch(format!(
            "--size is only for weights of a face detector; {} holds those for smiles, whose pictures have one size",
            weights.display()
        ))),
    }
}
