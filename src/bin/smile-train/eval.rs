//! Measuring: any weights on any data set.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use gstsmile::model::{self, Classifier, FaceWeights, Region, Weights};
use gstsmile::train::{
    self, Catalog, Classes, DataFacts, Dataset, Error, Evaluation, Item, Level, Outputs, Record, Result,
    Sample, View, last_component,
};

use crate::arguments::{EvalArguments, Part};
use crate::terminal::{self, print};
use crate::{eval_face, limit_threads, outputs};

/// Measures as told.
pub fn run(arguments: &EvalArguments) -> Result<ExitCode> {
    limit_threads(arguments.threads);
    let outputs = outputs(arguments)?;
    match FaceWeights::read(&arguments.model) {
        Ok(weights) => return eval_face::run(arguments, weights, &outputs),
        Err(model::Error::Kind { .. }) => {}
        Err(error) => return Err(error.into()),
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
    if arguments.robustness && view.region != Region::Faces {
        return Err(Error::Mismatch(
            "--robustness: it is about faces that the locator finds; leave it out with another --region"
                .into(),
        ));
    }
    let classes = Classes::told(&arguments.classes)?;
    let catalog = Catalog::with_classes(&arguments.data, &classes)?;
    outputs::spare_data(&outputs, "--data", &catalog)?;
    let dataset = terminal::read_data(catalog, view)?;
    let samples = select(&dataset, &weights, arguments.split)?;
    let probabilities = train::predict(&mut classifier, &samples)?;
    let threshold = weights.metadata.threshold;
    let catalog = Catalog::with_classes(&arguments.data, &classes)?;
    let evaluation = evaluate(&catalog, &samples, &probabilities, threshold);
    let part = part_of(arguments.split, &dataset);
    print(&train::report::confusion_text(&part, &evaluation.confusion));
    let levels = match (arguments.robustness, &locator) {
        (true, Some(locator)) => {
            let item =
                |sample: &&Sample| Item { name: sample.name.clone(), smiling: sample.smiling, network: 0 };
            let items: Vec<Item> = samples.iter().map(item).collect();
            Some(robustness(&catalog, &items, std::slice::from_ref(&weights), locator)?)
        }
        _ => None,
    };
    if let Some(folder) = &arguments.report {
        let title = format!("{}, {part}", last_component(&arguments.model));
        write_report(folder, &title, &evaluation, levels.as_deref())?;
    }
    if let Some(path) = &arguments.predictions {
        train::write(path, predictions(&samples, &probabilities, threshold).as_bytes())?;
    }
    if let Some(path) = &arguments.json {
        let mut results = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": last_component(&arguments.model),
            "data": DataFacts::of(&dataset),
            "part": arguments.split.name(),
            "region": view.region,
            "threshold": threshold,
            "robustness": levels,
        });
        merge(&mut results, &evaluation);
        train::write(path, format!("{results:#}\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is written, none of which may be one of the files that are read.
fn outputs(arguments: &EvalArguments) -> Result<Outputs> {
    let mut outputs = Outputs::default();
    for (option, path) in [("--json", &arguments.json), ("--predictions", &arguments.predictions)] {
        path.as_deref().map_or(Ok(()), |path| outputs::add(&mut outputs, option, path))?;
    }
    if let Some(folder) = &arguments.report {
        outputs::add_measured(&mut outputs, folder)?;
    }
    outputs.spare("--model", &arguments.model)?;
    outputs.spare("--data", &arguments.data)?;
    arguments.boxes.iter().try_for_each(|path| outputs.spare("--boxes", path))?;
    outputs::spare_some(&outputs, "--no-face", arguments.no_face.as_deref())?;
    outputs::spare_some(&outputs, "--face-model", arguments.face_model.as_deref())?;
    Ok(outputs)
}

/// All that answers tell of a network, with what the data set says of heads.
pub fn evaluate(catalog: &Catalog, samples: &[&Sample], probabilities: &[f32], threshold: f32) -> Evaluation {
    let poses = catalog.poses();
    let poses: Vec<_> = samples.iter().map(|sample| poses.get(&sample.name).copied()).collect();
    Evaluation::new(samples, probabilities, threshold, &poses)
}

/// Measures robustness behind a progress bar, and prints what it came to.
pub fn robustness(
    catalog: &Catalog,
    items: &[Item],
    networks: &[Weights],
    locator: &FaceWeights,
) -> Result<Vec<Level>> {
    let bar = ProgressBar::new(items.len() as u64)
        .with_style(terminal::style("{bar:40} {pos}/{len} pictures made harder, {eta} left"));
    let levels = train::robustness(catalog, items, networks, locator, || bar.inc(1));
    bar.finish_and_clear();
    let levels = levels?;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "level", "accuracy", "difference"]);
    let plain = levels.iter().find(|level| level.perturbation.is_none()).map_or(0.0, |level| level.accuracy);
    for Level { perturbation, accuracy } in &levels {
        let (name, level) = perturbation
            .map_or(("as they are", String::new()), |change| (change.kind.name(), change.level.to_string()));
        let difference = format!("{:+.2}", 100.0 * (accuracy - plain));
        table.add_row([name, &level, &format!("{:.2} %", 100.0 * accuracy), &difference]);
    }
    print(&format!("{table}\n"));
    Ok(levels)
}

/// Draws an evaluation and, where it was measured, what a network bears.
pub fn write_report(
    folder: &Path,
    title: &str,
    evaluation: &Evaluation,
    levels: Option<&[Level]>,
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.into(), source })?;
    train::write(&folder.join("evaluation.png"), &train::report::evaluation(title, evaluation)?)?;
    if let Some(levels) = levels {
        train::write(&folder.join("robustness.png"), &train::report::robustness(title, levels)?)?;
    }
    Ok(())
}

/// Adds an evaluation's fields to some results.
pub fn merge(results: &mut Value, evaluation: &Evaluation) {
    if let Ok(Value::Object(fields)) = serde_json::to_value(evaluation) {
        fields.into_iter().for_each(|(name, value)| results[name] = value);
    }
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
