//! Cross-validation: every picture is judged by a network that never saw it.

use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use gstsmile::model::SmileWeights;
use gstsmile::train::{
    self, Catalog, Classes, Confusion, Error, Evaluation, Fold, Item, Level, Lock, Preset, Result, Sample,
    Split,
};

use crate::arguments::{CrossValidateArguments, Measured, TrainArguments};
use crate::eval::{self, field};
use crate::leave;
use crate::material::Material;
use crate::outputs;
use crate::terminal::{self, print, say};
use crate::train::{INTERRUPTED, Learnt, learn};
use crate::{command, limit_threads};

/// The answers of one fold's network.
struct Answers<'a> {
    fold: usize,
    samples: Vec<&'a Sample>,
    probabilities: Vec<f32>,
    weights: SmileWeights,
}

/// Trains and measures as told.
pub fn run(arguments: &CrossValidateArguments) -> Result<ExitCode> {
    let started = Instant::now();
    let train = &arguments.train;
    train.check()?;
    if train.preset == Preset::Face {
        return Err(Error::Mismatch(
            "cross-validate is not for --preset face, which holds a part out".into(),
        ));
    }
    limit_threads(train.threads);
    if arguments.measure_on == Measured::Validation && train.validation_fraction == 0.0 {
        return Err(Error::Mismatch(
            "--measure-on validation: there is no validation part; cut one with --validation-fraction 0.25"
                .into(),
        ));
    }
    if arguments.robustness {
        eval::check_robustness(train.region().0)?;
    }
    if let Some(number) = arguments.only_fold.iter().find(|&&number| !(1..=arguments.folds).contains(&number))
    {
        return Err(Error::Mismatch(format!("--only-fold {number}: folds are 1 to {}", arguments.folds)));
    }
    if arguments.leave_collection {
        return leave::run(arguments);
    }
    let folder = &train.out;
    std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
    let outputs = outputs::of_folds(train, arguments.folds)?;
    let material = Material::read(train, &outputs)?;
    let stop = terminal::catch_interrupts()?;
    let mut all = Vec::new();
    let wanted = |number: &usize| arguments.only_fold.is_empty() || arguments.only_fold.contains(number);
    for number in (1..=arguments.folds).filter(wanted) {
        say!("");
        say!("fold {number} of {}", arguments.folds);
        match fold(arguments, &material, Fold { number, of: arguments.folds }, &stop)? {
            Some(answers) => {
                // What was measured of other weights goes when the first new ones have come.
                if all.is_empty() && !train.resume {
                    forget(folder)?;
                }
                all.push(answers);
            }
            None => return Ok(ExitCode::from(INTERRUPTED)),
        }
    }
    if !arguments.only_fold.is_empty() {
        say!("weights in {}; {}", folder.display(), terminal::duration(started));
        return Ok(ExitCode::SUCCESS);
    }
    let catalog = Catalog::with_classes(&train.data, &Classes::told(&train.classes)?)?;
    let samples: Vec<&Sample> = all.iter().flat_map(|answers| answers.samples.iter().copied()).collect();
    let probabilities: Vec<f32> =
        all.iter().flat_map(|answers| answers.probabilities.iter().copied()).collect();
    // All folds have the preset's threshold.
    let threshold = all.first().map_or(0.5, |first| first.weights.metadata.threshold);
    let evaluation = eval::evaluate(&catalog, &samples, &probabilities, threshold);
    let mut results = results(arguments, &all, &evaluation);
    // Test parts must not choose anything.
    if arguments.measure_on == Measured::Validation {
        results["best_temperature"] = train::best_temperature(&[(&samples, &probabilities)]).into();
    }
    train::write(&folder.join("predictions.csv"), predictions(&all).as_bytes())?;
    train::write(&folder.join("results.json"), format!("{results:#}\n").as_bytes())?;
    print(&format!("{}\n", table(&all, &results)));
    let mut levels = None;
    if arguments.robustness {
        let found = robustness(&catalog, &all, train)?;
        results["robustness"] = serde_json::to_value(&found).unwrap_or_default();
        train::write(&folder.join("results.json"), format!("{results:#}\n").as_bytes())?;
        levels = Some(found);
    }
    let title = format!("{} folds of {}", arguments.folds, material.dataset.name);
    eval::write_report(folder, &title, &evaluation, levels.as_deref())?;
    say!("weights and answers in {}; {}", folder.display(), terminal::duration(started));
    Ok(ExitCode::SUCCESS)
}

/// Takes the results of other networks out of their folder before new ones come in.
fn forget(folder: &Path) -> Result<()> {
    let names = ["results.json", "predictions.csv", "evaluation.png", "robustness.png"];
    for path in names.map(|name| folder.join(name)) {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(Error::Write { path, source }),
            _ => {}
        }
    }
    Ok(())
}

/// Trains one fold's network, unless an earlier run has; `None` where the user stopped it.
fn fold<'a>(
    arguments: &'a CrossValidateArguments,
    material: &'a Material,
    fold: Fold,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Answers<'a>>> {
    let train = &arguments.train;
    let out = train.out.join(format!("fold-{}.safetensors", fold.number));
    let split = Split { fold: Some(fold), test_fraction: 0.0, ..train.split() };
    let _lock = Lock::take(&out)?;
    let learnt = learn(train, material, (split, arguments.measure_on.part()), &out, stop)?;
    Ok(learnt.map(|Learnt { session, weights, probabilities }| Answers {
        fold: fold.number,
        samples: session.held_out,
        probabilities,
        weights,
    }))
}

/// Every picture made harder, judged by the network that never saw it.
fn robustness(catalog: &Catalog, all: &[Answers], train: &TrainArguments) -> Result<Vec<Level>> {
    let networks: Vec<SmileWeights> = all.iter().map(|answers| answers.weights.clone()).collect();
    let item = |(network, answers): (usize, &Answers)| {
        let item = |sample: &&Sample| Item { name: sample.name.clone(), smiling: sample.smiling, network };
        answers.samples.iter().map(item).collect::<Vec<_>>()
    };
    let items: Vec<Item> = all.iter().enumerate().flat_map(item).collect();
    let locator = terminal::face_weights(train.face_model.as_deref())?;
    eval::robustness(catalog, &items, &networks, &locator)
}

fn results(arguments: &CrossValidateArguments, all: &[Answers], evaluation: &Evaluation) -> Value {
    let folds: Vec<Confusion> = all.iter().map(Answers::confusion).collect();
    let accuracies: Vec<f64> = folds.iter().map(Confusion::accuracy).collect();
    let mut results = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command": command::recorded(),
        "measured_on": arguments.measure_on.part(),
        "mean_accuracy": accuracies.iter().sum::<f64>() / accuracies.len() as f64,
        "accuracies": accuracies,
        "confusions": folds,
    });
    eval::merge(&mut results, evaluation);
    results
}

fn table(all: &[Answers], results: &Value) -> Table {
    let percent = |value: &Value| format!("{:.2} %", 100.0 * value.as_f64().unwrap_or(f64::NAN));
    let number = |name: &str| format!("{:.4}", results[name].as_f64().unwrap_or(f64::NAN));
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "pictures", "accuracy"]);
    for (answers, accuracy) in all.iter().zip(results["accuracies"].as_array().into_iter().flatten()) {
        table.add_row([
            format!("fold {}", answers.fold),
            answers.samples.len().to_string(),
            percent(accuracy),
        ]);
    }
    let pictures = results["pictures"].to_string();
    table.add_row(["mean of the folds", &pictures, &percent(&results["mean_accuracy"])]);
    let [low, high] = [0, 1].map(|end| percent(&results["interval"][end]));
    table.add_row(["95 % interval", "", &format!("{low} to {high}")]);
    table.add_row(["area under the ROC curve", "", &number("area_under_curve")]);
    table.add_row(["calibration error", "", &number("calibration_error")]);
    table.add_row(["faces not found", "", &results["without_face"].to_string()]);
    if results["best_temperature"].is_number() {
        table.add_row(["best --temperature", "", &number("best_temperature")]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// One line a picture; without an answer where no face was found.
fn predictions(all: &[Answers]) -> String {
    let mut text = String::from("name,smiling,fold,probability,predicted\n");
    for Answers { fold, samples, probabilities, weights } in all {
        let threshold = weights.metadata.threshold;
        for (sample, &probability) in samples.iter().zip(probabilities) {
            let answer = match probability.is_nan() {
                true => ",".into(),
                false => format!("{probability},{}", u8::from(probability >= threshold)),
            };
            let _ = writeln!(text, "{},{},{fold},{answer}", field(&sample.name), u8::from(sample.smiling));
        }
    }
    text
}

impl Answers<'_> {
    fn confusion(&self) -> Confusion {
        Confusion::count(&self.samples, &self.probabilities, self.weights.metadata.threshold)
    }
}
