//! Measuring: any weights on any data set.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use gstsmile::model::{self, Classifier, FaceWeights, Region, Weights};
use gstsmile::train::{
    self, Attributes, Catalog, Classes, DataFacts, Dataset, Error, Evaluation, Item, Level, Outputs,
    PartTables, Parts, Record, Result, Sample, Slice, Split, View, Votes, last_component,
};

use crate::arguments::{EvalArguments, Part};
use crate::material::count_votes;
use crate::terminal::{self, print};
use crate::{eval_face, eval_tables as tables, limit_threads, outputs};

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
    if arguments.robustness {
        check_robustness(view.region)?;
    }
    let several = arguments.data.len() > 1;
    for (option, given) in [("--robustness", arguments.robustness), ("--report", arguments.report.is_some())]
    {
        if given && several {
            return Err(Error::Mismatch(format!("{option}: it is about one data set; give --data once")));
        }
    }
    let reader = Reader {
        arguments,
        outputs: &outputs,
        weights: &weights,
        view,
        classes: Classes::told(&arguments.classes)?,
        votes: Votes::read(&arguments.votes)?,
        parts: PartTables::read(&arguments.parts)?,
        attributes: Attributes::read(&arguments.attributes)?,
    };
    let all = arguments.data.iter().map(|path| reader.measure(path, &mut classifier));
    let all: Vec<Collection> = all.collect::<Result<_>>()?;
    let names = || all.iter().flat_map(|collection| &collection.names).map(String::as_str);
    reader.parts.require(names())?;
    reader.attributes.require(names())?;
    let first = &all[0];
    match several {
        false => print(&train::report::confusion_text(&first.title, &first.evaluation.confusion)),
        true => print(&format!("{}\n", tables::collections(&all))),
    }
    for collection in all.iter().filter(|collection| !collection.slices.is_empty()) {
        print(&format!("{}\n", tables::slices(collection)));
    }
    let levels = match (arguments.robustness, &locator) {
        (true, Some(locator)) => {
            let item =
                |(name, smiling): &(String, bool)| Item { name: name.clone(), smiling: *smiling, network: 0 };
            let items: Vec<Item> = first.pictures.iter().map(item).collect();
            let catalog = Catalog::with_classes(&arguments.data[0], &reader.classes)?;
            Some(robustness(&catalog, &items, std::slice::from_ref(&weights), locator)?)
        }
        _ => None,
    };
    if let Some(folder) = &arguments.report {
        let title = format!("{}, {}", last_component(&arguments.model), first.title);
        write_report(folder, &title, &first.evaluation, levels.as_deref())?;
    }
    if let Some(path) = &arguments.predictions {
        train::write(path, predictions(&all, weights.metadata.threshold).as_bytes())?;
    }
    if let Some(path) = &arguments.json {
        let collections: Vec<Value> = all.iter().map(Collection::results).collect();
        let mut results = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": last_component(&arguments.model),
            "part": arguments.split.name(),
            "region": view.region,
            "threshold": weights.metadata.threshold,
            "robustness": levels,
        });
        match several {
            true => results["collections"] = collections.into(),
            false => fields(&mut results, &collections[0]),
        }
        train::write(path, format!("{results:#}\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was measured on one data set.
pub struct Collection {
    /// The data set and its part.
    pub title: String,
    facts: DataFacts,
    /// All of its pictures, those of other parts, too.
    names: Vec<String>,
    /// Names, and whether their labels say that they smile.
    pictures: Vec<(String, bool)>,
    probabilities: Vec<f32>,
    pub evaluation: Evaluation,
    pub slices: Vec<Slice>,
}

impl Collection {
    /// Of a network's answers to samples.
    pub fn new(
        (title, facts): (String, DataFacts),
        (samples, probabilities): (&[&Sample], Vec<f32>),
        evaluation: Evaluation,
    ) -> Self {
        let pictures = samples.iter().map(|sample| (sample.name.clone(), sample.smiling)).collect();
        Self { title, facts, names: Vec::new(), pictures, probabilities, evaluation, slices: Vec::new() }
    }

    pub fn results(&self) -> Value {
        let mut results = json!({ "data": self.facts, "slices": self.slices });
        merge(&mut results, &self.evaluation);
        results
    }
}

/// Reads and measures data sets as told.
struct Reader<'a> {
    arguments: &'a EvalArguments,
    outputs: &'a Outputs,
    weights: &'a Weights,
    view: View<'a>,
    classes: Classes,
    votes: Votes,
    parts: PartTables,
    attributes: Attributes,
}

impl Reader<'_> {
    fn measure(&self, path: &Path, classifier: &mut Classifier) -> Result<Collection> {
        let catalog = Catalog::with_classes(path, &self.classes)?;
        outputs::spare_data(self.outputs, "--data", &catalog)?;
        let poses = catalog.poses();
        let mut dataset = terminal::read_data(catalog, self.view)?;
        count_votes(&self.votes, &mut dataset);
        let facts = DataFacts::of(&dataset);
        let split = self.arguments.split;
        let title = part_of(split, &dataset);
        let names = dataset.samples.iter().map(|sample| sample.name.clone()).collect();
        let samples = self.select(dataset)?;
        let all: Vec<&Sample> = samples.iter().collect();
        let probabilities = train::predict(classifier, &all)?;
        let threshold = self.weights.metadata.threshold;
        let poses: Vec<_> = all.iter().map(|sample| poses.get(&sample.name).copied()).collect();
        let evaluation = Evaluation::new(&all, &probabilities, threshold, &poses);
        let slices = self.attributes.slices(&all, &probabilities, threshold);
        Ok(Collection { names, slices, ..Collection::new((title, facts), (&all, probabilities), evaluation) })
    }

    /// The samples of a part: as tables say, or as the weights' record splits the data set if they learnt from it.
    fn select(&self, dataset: Dataset) -> Result<Vec<Sample>> {
        let part = self.arguments.split;
        if part == Part::All {
            return Ok(dataset.samples);
        }
        let split = match dataset.samples.iter().any(|sample| self.parts.of(&sample.name).is_some()) {
            // What the tables don't name is in no part but train.
            true => Split { seed: 0, test_fraction: 0.0, validation_fraction: 0.0, fold: None },
            false => recorded_split(&dataset, self.weights, part)?,
        };
        let Parts { training, validation, test } = dataset.parts(split, &self.parts);
        let indices = match part {
            Part::Train => training,
            Part::Validation => validation,
            _ => test,
        };
        if indices.is_empty() {
            return Err(Error::Mismatch(format!(
                "--split {}: the weights were trained without such a part of {}",
                part.name(),
                dataset.name
            )));
        }
        Ok(dataset.select(&indices).into_iter().cloned().collect())
    }
}

/// Moves fields of one result into another.
fn fields(results: &mut Value, others: &Value) {
    for (name, value) in others.as_object().into_iter().flatten() {
        results[name] = value.clone();
    }
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
    arguments.data.iter().try_for_each(|path| outputs.spare("--data", path))?;
    arguments.votes.iter().try_for_each(|path| outputs.spare("--votes", path))?;
    arguments.parts.iter().try_for_each(|path| outputs.spare("--parts", path))?;
    arguments.attributes.iter().try_for_each(|path| outputs.spare("--attributes", path))?;
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

/// Whether robustness can be measured of what networks look at.
pub fn check_robustness(region: Region) -> Result<()> {
    match region {
        Region::Faces => Ok(()),
        _ => Err(Error::Mismatch(
            "--robustness: it is about faces that the face detector finds; leave it out with another --region"
                .into(),
        )),
    }
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

/// How the weights' record splits a data set that they were trained on.
fn recorded_split(dataset: &Dataset, weights: &Weights, part: Part) -> Result<Split> {
    let record = Record::from_metadata(&weights.metadata.training)?;
    let facts = DataFacts::of(dataset);
    let same = |known: &DataFacts| (facts.counts, facts.skipped) == (known.counts, known.skipped);
    if same(&record.data) {
        return Ok(record.split.split);
    }
    let extra = record.extra.iter().find(|extra| same(&extra.data));
    if let Some(facts) = extra.and_then(|extra| extra.split.as_ref()) {
        return Ok(facts.split);
    }
    Err(Error::Mismatch(format!(
        "--split {}: the weights were trained on {} with {:?} pictures (not smiling, smiling), but {} has {:?}; use the same data, or --split all",
        part.name(),
        record.data.name,
        record.data.counts,
        facts.name,
        facts.counts
    )))
}

fn part_of(part: Part, dataset: &Dataset) -> String {
    match part {
        Part::All => format!("all of {}", dataset.name),
        part => format!("{} part of {}", part.name(), dataset.name),
    }
}

/// One line a picture, of several data sets with theirs before it; without an answer where no face was found.
pub fn predictions(all: &[Collection], threshold: f32) -> String {
    let several = all.len() > 1;
    let mut text = format!("{}name,smiling,probability,predicted\n", if several { "data," } else { "" });
    for Collection { facts, pictures, probabilities, .. } in all {
        for ((name, smiling), &probability) in pictures.iter().zip(probabilities) {
            let actual = u8::from(*smiling);
            let answer = match probability.is_nan() {
                true => ",".into(),
                false => format!("{probability},{}", u8::from(probability >= threshold)),
            };
            let data = if several { format!("{},", field(&facts.name)) } else { String::new() };
            let _ = writeln!(text, "{data}{},{actual},{answer}", field(name));
        }
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
