//! What a command writes, and that it is nothing of what it reads.

use std::path::{Path, PathBuf};

use gstsmile::train::{self, Catalog, Outputs, Pictures, Result};

use crate::arguments::TrainArguments;

/// What a report has, of training or of a measurement.
const REPORT: [&str; 6] =
    ["metrics.json", "curves.png", "confusion.txt", "confusion.png", "sheet.png", "scenes.png"];
const MEASURED: [&str; 2] = ["evaluation.png", "robustness.png"];
/// What a cross-validation leaves beside its drawings.
const ANSWERS: [&str; 2] = ["predictions.csv", "results.json"];

/// What is written of a training.
///
/// # Errors
/// Where it could not be written, or would overwrite what is read.
pub fn of_training(arguments: &TrainArguments) -> Result<Outputs> {
    train::check_weights(&arguments.out)?;
    let mut outputs = Outputs::default();
    add_weights(&mut outputs, &arguments.out)?;
    if let Some(folder) = &arguments.report {
        train::check_folder(folder)?;
        add_all(&mut outputs, "--report", folder, &REPORT)?;
    }
    spare_training(&outputs, arguments)?;
    Ok(outputs)
}

/// What is written into the folder of a cross-validation.
///
/// # Errors
/// Where it would overwrite what is read.
pub fn of_folds(arguments: &TrainArguments, folds: usize) -> Result<Outputs> {
    let mut outputs = Outputs::default();
    for number in 1..=folds {
        let out = arguments.out.join(format!("fold-{number}.safetensors"));
        add_weights(&mut outputs, &out)?;
    }
    add_all(&mut outputs, "--out", &arguments.out, &ANSWERS)?;
    add_all(&mut outputs, "--out", &arguments.out, &MEASURED)?;
    spare_training(&outputs, arguments)?;
    Ok(outputs)
}

/// Adds what a report of a measurement has.
///
/// # Errors
/// Where it could not be written.
pub fn add_measured(outputs: &mut Outputs, folder: &Path) -> Result<()> {
    train::check_folder(folder)?;
    add_all(outputs, "--report", folder, &MEASURED)
}

/// Adds a file.
///
/// # Errors
/// Where it could not be written.
pub fn add(outputs: &mut Outputs, option: &str, path: &Path) -> Result<()> {
    train::check_file(path)?;
    outputs.add(option, path)
}

/// Adds a weights file with what lies beside it while it is made.
///
/// # Errors
/// Where one of these could not be written.
pub fn add_weights(outputs: &mut Outputs, out: &Path) -> Result<()> {
    outputs.add("--out", out)?;
    outputs.add("the checkpoint beside --out", &train::beside(out, ".checkpoint"))
}

fn add_all(outputs: &mut Outputs, option: &str, folder: &Path, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| outputs.add(option, &folder.join(name)))
}

/// Spares the single files that training reads; pictures in folders are spared when they are listed.
///
/// # Errors
/// Where one would be overwritten.
pub fn spare_training(outputs: &Outputs, arguments: &TrainArguments) -> Result<()> {
    let TrainArguments { data, extra, no_face, extra_no_face, face_model, .. } = arguments;
    let files = |option: &'static str, paths: &[PathBuf]| {
        paths.iter().try_for_each(|path| outputs.spare(option, path))
    };
    outputs.spare("--data", data)?;
    files("--extra", extra)?;
    files("--extra-no-face", extra_no_face)?;
    files("--boxes", &arguments.boxes)?;
    files("--ignore-boxes", &arguments.ignore_boxes)?;
    files("--parts", &arguments.parts)?;
    files("--votes", &arguments.votes)?;
    spare_some(outputs, "--init", arguments.init.as_deref())?;
    spare_some(outputs, "--no-face", no_face.as_deref())?;
    spare_some(outputs, "--face-model", face_model.as_deref())
}

/// Makes sure that a file is not overwritten, if there is one.
///
/// # Errors
/// Where it would be.
pub fn spare_some(outputs: &Outputs, option: &str, path: Option<&Path>) -> Result<()> {
    path.map_or(Ok(()), |path| outputs.spare(option, path))
}

/// Makes sure that no file of a data set is overwritten.
///
/// # Errors
/// Where one would be.
pub fn spare_data(outputs: &Outputs, option: &str, catalog: &Catalog) -> Result<()> {
    outputs.spare_all(option, catalog.files())?;
    catalog.folders().iter().try_for_each(|folder| outputs.keep_out_of(option, folder))
}

/// Makes sure that no picture in a folder or archive is overwritten.
///
/// # Errors
/// Where one would be.
pub fn spare_pictures(outputs: &Outputs, option: &str, path: &Path) -> Result<()> {
    match Pictures::list(&[path]) {
        Ok(pictures) => spare_listed(outputs, option, &pictures),
        // Whoever reads them says so, if they are needed.
        Err(_) => Ok(()),
    }
}

/// The same where they are listed already.
///
/// # Errors
/// Where one would be overwritten, or a picture would come to lie among them.
pub fn spare_listed(outputs: &Outputs, option: &str, pictures: &Pictures) -> Result<()> {
    outputs.spare_all(option, pictures.files())?;
    pictures.folders().try_for_each(|folder| outputs.keep_out_of(option, folder))
}
