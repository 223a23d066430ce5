//! Measuring a face detector.

use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use rayon::prelude::*;
use serde_json::json;

use gstsmile::analysis::crop;
use gstsmile::analysis::locate::Locator;
use gstsmile::model::{self, FaceWeights};
use gstsmile::train::{
    self, Error, FaceData, FaceFiles, FaceRecord, FaceView, Found, FoundBoxes, Outputs, Picture, Recall,
    Result, TablePart, last_component,
};

use crate::arguments::{EvalArguments, Part, named_path};
use crate::terminal::print;
use crate::{face, outputs};

/// Boxes count for the average precision from this score on.
const LEAST_SCORE: f32 = 0.05;

/// Measures as told.
pub fn run(arguments: &EvalArguments, mut weights: FaceWeights, outputs: &Outputs) -> Result<ExitCode> {
    if let Some(threshold) = arguments.threshold {
        weights.metadata.threshold = threshold;
    }
    let [path] = &arguments.data[..] else {
        return Err(Error::Mismatch("--data: a face detector is measured on one data set at a time".into()));
    };
    outputs::spare_pictures(outputs, "--data", path)?;
    if let Some(things) = &arguments.no_face {
        outputs::spare_pictures(outputs, "--no-face", things)?;
    }
    let peers = peers(arguments, outputs)?;
    let data = face::read(&FaceFiles {
        data: path,
        boxes: &arguments.boxes,
        ignored: &arguments.ignore_boxes,
        parts: &arguments.parts,
        no_face: arguments.no_face.as_deref(),
        extra: &[],
        extra_no_face: &[],
    })?;
    let views = views(&chosen(arguments, &weights, &data)?, arguments.turn);
    let found = locate(&weights, &views, arguments.min_face_size)?;
    let measure = |found: Vec<&[Found]>, threshold: f32| {
        train::measure(views.iter().zip(found), threshold, arguments.min_face_size)
    };
    let ours = measure(found.iter().map(Vec::as_slice).collect(), weights.metadata.threshold);
    let mut others = Vec::new();
    for (name, boxes) in &peers {
        // A detector's own threshold is in its table. Of quarters it knows nothing.
        let boxes = views.iter().map(|view| boxes.of(&view.name).unwrap_or_default());
        others.push((name.clone(), measure(boxes.collect(), f32::NEG_INFINITY)));
    }
    print(&format!("{}\n", table(&ours, &others)));
    if let Some(path) = &arguments.json {
        let results = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": last_component(&arguments.model),
            "data": data.names,
            "part": arguments.split.name(),
            "threshold": weights.metadata.threshold,
            "min_face_size": arguments.min_face_size,
            "turn": arguments.turn,
            "results": ours,
            "peers": others,
        });
        train::write(path, format!("{results:#}\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What others found.
fn peers(arguments: &EvalArguments, outputs: &Outputs) -> Result<Vec<(String, FoundBoxes)>> {
    let read = |peer: &String| {
        let (name, path) = named_path("--peer", "FILE.csv", peer)?;
        outputs::spare_some(outputs, "--peer", Some(path))?;
        Ok((name.to_string(), FoundBoxes::read(path)?))
    };
    if arguments.turn != 0.0 && !arguments.peer.is_empty() {
        return Err(Error::Mismatch(
            "--peer: what others found is of pictures that aren't turned; leave --turn out".into(),
        ));
    }
    arguments.peer.iter().map(read).collect()
}

/// The pictures of the part that is asked for: the table's, or the one that the weights were trained with.
fn chosen<'a>(
    arguments: &EvalArguments,
    weights: &FaceWeights,
    data: &'a FaceData,
) -> Result<Vec<&'a Picture>> {
    let of_table =
        |part: TablePart| data.pictures.iter().filter(|picture| picture.part == Some(part)).collect();
    let chosen: Vec<&Picture> = match (arguments.split, arguments.parts.is_empty()) {
        (Part::All, _) => data.pictures.iter().collect(),
        (Part::Train, false) => of_table(TablePart::Train),
        (Part::Validation, false) => of_table(TablePart::Validation),
        (_, false) => of_table(TablePart::Test),
        (part, true) => {
            let parts = FaceRecord::from_metadata(&weights.metadata.training)?.parts(data)?;
            let indices = match part {
                Part::Train => parts.training,
                Part::Validation => parts.validation,
                _ => parts.test,
            };
            indices.into_iter().map(|index| &data.pictures[index]).collect()
        }
    };
    match chosen.is_empty() {
        true => Err(Error::Mismatch(format!(
            "--split {}: no picture belongs to this part",
            arguments.split.name()
        ))),
        false => Ok(chosen),
    }
}

/// Pictures as they are, or turned; of those without a face the quarters, too.
fn views(pictures: &[&Picture], degrees: f32) -> Vec<FaceView> {
    let view = |picture: &&Picture| match degrees == 0.0 {
        true => FaceView::new(picture),
        false => FaceView::turned(picture, degrees),
    };
    let quarters = |picture: &&Picture| FaceView::quarters(picture);
    pictures.par_iter().map(view).chain(pictures.par_iter().flat_map_iter(quarters)).collect()
}

/// The boxes of each view, the surest first.
fn locate(weights: &FaceWeights, views: &[FaceView], least_height: f32) -> Result<Vec<Vec<Found>>> {
    let least = LEAST_SCORE.min(weights.metadata.threshold);
    let locator = || Locator::with_least_height(weights, least_height);
    // Where one can be had, each thread can have its own.
    locator()?;
    let find = |locator: &mut model::Result<Locator>, view: &FaceView| {
        let locator = locator.as_mut().map_err(|error| Error::Mismatch(error.to_string()))?;
        let picture = crop::Picture::grey(view.plane.width, view.plane.height, &view.plane.pixels);
        let mut found = Vec::new();
        locator.locate_from(&picture, least, &mut found)?;
        Ok(found.iter().map(|face| (face.rect, face.score)).collect())
    };
    views.par_iter().map_init(locator, find).collect()
}

fn table(ours: &Recall, others: &[(String, Recall)]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let names = others.iter().map(|(name, _)| name.as_str());
    table.set_header(["", "number", "ours", "mean overlap"].into_iter().chain(names));
    for row in ours.rows(others.iter().map(|(_, measured)| measured)) {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
