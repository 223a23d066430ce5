//! Measuring: any weights on any data set.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::json;

use gstsmile::model::{Classifier, FaceWeights, Region, Weights};
use gstsmile::train::{
    self, Confusion, DataFacts, Dataset, Error, Record, Result, Sample, View, last_component,
};

use crate::arguments::{EvalArguments, Part};
use crate::{eval_face, limit_threads, print, terminal};

/// Measures as told.
pub fn run(arguments: &EvalArguments) -> Result<ExitCode> {
    limit_threads(arguments.threads);
    for path in arguments.json.iter().chain(&arguments.predictions) {
        train::check_file(path)?;
    }
    if let Ok(weights) = FaceWeights::read(&arguments.model) {
        return eval_face::run(arguments, weights);
    }
    let weights = Weights::read(&arguments.model)?;
    let mut classifier = Classifier::new(&weights, &arguments.device.open()?)?;
    let mut view = View::of(&weights.metadata, None);
    if let Some(region) = arguments.region {
        view.region = region.into();
    }
    let locator = match view.region {
        Region::Faces => Some(terminal::face_weights(arguments.face_model.as_deref())?),
        _ => None,
    };
    view.locator = locator.as_ref();
    let dataset = terminal::read_data(&arguments.data, view)?;
    let samples = select(&dataset, &weights, arguments.split)?;
    let probabilities = train::predict(&mut classifier, &samples)?;
    let threshold = weights.metadata.threshold;
    let confusion = Confusion::count(&samples, &probabilities, threshold);

    print(&train::report::confusion_text(&part_of(arguments.split, &dataset), &confusion));
    if let Some(path) = &arguments.predictions {
        train::write(path, predictions(&samples, &probabilities, threshold).as_bytes())?;
    }
    if let Some(path) = &arguments.json {
        let results = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": last_component(&arguments.model),
            "data": DataFacts::of(&dataset),
            "part": arguments.split.name(),
            "region": view.region,
            "threshold": threshold,
            "pictures": samples.len(),
            "without_face": probabilities.iter().filter(|probability| probability.is_nan()).count(),
            "accuracy": confusion.accuracy(),
            "interval": confusion.interval(),
            "confusion": confusion,
            "area_under_curve": train::area_under_curve(&samples, &probabilities),
            "calibration_error": train::calibration_error(&samples, &probabilities),
        });
        train::write(path, format!("{results:#}\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The samples of a part, as the weights' record splits the data set that they were trained on.
fn select<'a>(dataset: &'a Dataset, weights: &Weights, part: Part) -> Result<Vec<&'a Sample>> {
    if part == Part::All {
        return Ok(dataset.samples.iter().collect());
    }
    let record = Record::from_metadata(&weights.metadata.training)?;
    let facts = DataFacts::of(dataset);
    if (facts.counts, facts.skipped) != (record.data.counts, record.data.skipped) {
        return Err(Error::Mismatch(format!(
            "--split {}: the weights were trained on {} with {:?} pictures (not smiling, smiling), but {} has {:?}; use the same data, or --split all",
            part.name(),
            record.data.name,
            record.data.counts,
            facts.name,
            facts.counts
        )));
    }
    let parts = record.split.split.parts(&dataset.labels());
    let indices = match part {
        Part::Train => parts.training,
        Part::Validation => parts.validation,
        _ => parts.test,
    };
    match indices.is_empty() {
        true => Err(Error::Mismatch(format!(
            "--split {}: the weights were trained without such a part",
            part.name()
        ))),
        false => Ok(dataset.select(&indices)),
    }
}

fn part_of(part: Part, dataset: &Dataset) -> String {
    match part {
        Part::All => format!("all of {}", dataset.name),
        part => format!("{} part of {}", part.name(), dataset.name),
    }
}

/// One line a picture; without an answer where no face was found.
fn predictions(samples: &[&Sample], probabilities: &[f32], threshold: f32) -> String {
    let mut text = String::from("name,smiling,probability,predicted\n");
    for (sample, &probability) in samples.iter().zip(probabilities) {
        let actual = u8::from(sample.smiling);
        let answer = match probability.is_nan() {
            true => ",".into(),
            false => format!("{probability},{}", u8::from(probability >= threshold)),
        };
        let _ = writeln!(text, "{},{actual},{answer}", field(&sample.name));
    }
    text
}

/// A field of a CSV file (RFC 4180).
pub fn field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}
