//! Measuring a face locator.

use std::io::Cursor;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use comfy_table::{CellAlignment, Table, presets};
use image::{ImageFormat, RgbImage};
use serde_json::json;

use gstsmile::analysis::crop::{self, Rect};
use gstsmile::analysis::locate::Locator;
use gstsmile::model::FaceWeights;
use gstsmile::train::{
    self, Error, FaceFiles, FaceRecord, Outputs, Picture, Result, Tally, Truth, last_component,
};

use crate::arguments::{EvalArguments, Part};
use crate::terminal::print;
use crate::{face, outputs};

/// Measures as told.
pub fn run(arguments: &EvalArguments, mut weights: FaceWeights, outputs: &Outputs) -> Result<ExitCode> {
    if let Some(threshold) = arguments.threshold {
        weights.metadata.threshold = threshold;
    }
    let mut inputs = vec![("--data", arguments.data.as_path())];
    inputs.extend(arguments.no_face.as_deref().map(|path| ("--no-face", path)));
    for (option, path) in &inputs {
        outputs::spare_pictures(outputs, option, path)?;
    }
    if let Some(folder) = &arguments.frames {
        train::check_folder(folder)?;
        outputs::spare_folder("--frames", folder, &inputs)?;
        std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
    }
    let data = face::read(&FaceFiles {
        data: &arguments.data,
        boxes: &arguments.boxes,
        ignored: &[],
        parts: &[],
        no_face: arguments.no_face.as_deref(),
        extra: &[],
        extra_no_face: &[],
    })?;
    let pictures: Vec<&Picture> = match arguments.split {
        Part::All => data.pictures.iter().collect(),
        part => {
            let parts = FaceRecord::from_metadata(&weights.metadata.training)?.parts(&data)?;
            let indices = match part {
                Part::Train => parts.training,
                Part::Validation => parts.validation,
                _ => parts.test,
            };
            indices.into_iter().map(|index| &data.pictures[index]).collect()
        }
    };
    let mut results = measure(arguments, &weights, &pictures)?;
    // Frames come in the order in which threads were done with them.
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let tallies = train::tally(results.iter().map(|(_, truth, boxes)| (truth, &boxes[..])));
    print(&format!("{}\n", table(&tallies)));
    if let Some(folder) = &arguments.frames {
        write_truth(folder, &results)?;
    }
    if let Some(path) = &arguments.json {
        let results = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": last_component(&arguments.model),
            "data": data.names,
            "part": arguments.split.name(),
            "threshold": weights.metadata.threshold,
            "results": tallies,
        });
        train::write(path, format!("{results:#}\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

type Found = (String, Truth, Vec<Rect>);

fn measure(arguments: &EvalArguments, weights: &FaceWeights, pictures: &[&Picture]) -> Result<Vec<Found>> {
    let locators = Mutex::new(vec![Locator::new(weights)?]);
    let (results, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
    let take = || locators.lock().unwrap_or_else(|e| e.into_inner()).pop();
    train::frames(&arguments.data, arguments.no_face.as_deref(), pictures, |name, image, truth| {
        let Some(mut locator) = take().or_else(|| Locator::new(weights).ok()) else { return };
        let mut found = Vec::new();
        let picture = crop::Picture::rgb(image.width() as usize, image.height() as usize, image.as_raw());
        if let Err(error) = locator.locate(&picture, &mut found) {
            *failure.lock().unwrap_or_else(|e| e.into_inner()) = Some(error.into());
        }
        if let Some(folder) = &arguments.frames
            && let Err(error) = write_frame(folder, &name, &image)
        {
            *failure.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
        }
        let boxes = found.iter().map(|face| face.rect).collect();
        results.lock().unwrap_or_else(|e| e.into_inner()).push((name, truth, boxes));
        locators.lock().unwrap_or_else(|e| e.into_inner()).push(locator);
    })?;
    match failure.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(error) => Err(error),
        None => Ok(results.into_inner().unwrap_or_else(|e| e.into_inner())),
    }
}

fn table(tallies: &[Tally]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "pictures", "faces", "found", "share", "mean overlap", "false boxes"]);
    for tally in tallies {
        let share = 100.0 * tally.found as f64 / tally.faces.max(1) as f64;
        let of_faces = |text: String| if tally.faces > 0 { text } else { "-".into() };
        table.add_row([
            tally.group.clone(),
            tally.pictures.to_string(),
            tally.faces.to_string(),
            of_faces(tally.found.to_string()),
            of_faces(format!("{share:.1} %")),
            of_faces(format!("{:.2}", tally.overlap)),
            tally.false_boxes.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn write_frame(folder: &Path, name: &str, image: &RgbImage) -> Result<()> {
    let path = folder.join(name).with_extension("png");
    let failed =
        |error: image::ImageError| Error::Write { path: path.clone(), source: std::io::Error::other(error) };
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).map_err(failed)?;
    train::write(&path, bytes.get_ref())
}

/// What is known of each frame, as a table: for other detectors to be measured by.
fn write_truth(folder: &Path, results: &[Found]) -> Result<()> {
    let mut text = String::from("file,groups,x,y,w,h\n");
    for (name, truth, _) in results {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let face = truth.face.map_or(",,,".into(), |Rect { x, y, width, height }| {
            format!("{x:.2},{y:.2},{width:.2},{height:.2}")
        });
        text += &format!("{stem}.png,{},{face}\n", truth.groups.join(";"));
    }
    train::write(&folder.join("truth.csv"), text.as_bytes())
}
