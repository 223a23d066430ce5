//! Leaving a collection out: what a recipe is worth on faces from elsewhere.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use candle_core::Device;
use serde_json::{Value, json};

use gstsmile::model::Classifier;
use gstsmile::train::{self, Error, Evaluation, HeldOut, Lock, Outputs, Result, Sample, last_component};

use crate::arguments::{CrossValidateArguments, TrainArguments};
use crate::eval::Collection;
use crate::material::Material;
use crate::terminal::{self, print, say};
use crate::train::{INTERRUPTED, Learnt, learn};
use crate::{command, eval_tables, outputs};

/// Trains without each `--extra` in turn, and measures on all of it.
pub fn run(arguments: &CrossValidateArguments) -> Result<ExitCode> {
    let started = Instant::now();
    let train = &arguments.train;
    if train.extra.is_empty() {
        return Err(Error::Mismatch("--leave-collection: there is no --extra to leave out".into()));
    }
    let outputs = written(train)?;
    let mut material = Material::read(train, &outputs)?;
    let stop = terminal::catch_interrupts()?;
    let mut all = Vec::new();
    for (index, path) in train.extra.iter().enumerate() {
        say!("");
        say!("without {} ({} of {})", last_component(path), index + 1, train.extra.len());
        material.leave_out(index);
        let out = weights_file(&train.out, path);
        let _lock = Lock::take(&out)?;
        let learnt = learn(train, &material, (train.split(), HeldOut::Test), &out, &stop)?;
        let Some(Learnt { weights, .. }) = learnt else { return Ok(ExitCode::from(INTERRUPTED)) };
        let left_out = &material.extra[index];
        let samples: Vec<&Sample> = left_out.all();
        let probabilities = train::predict(&mut Classifier::new(&weights, &Device::Cpu)?, &samples)?;
        let evaluation = Evaluation::new(&samples, &probabilities, weights.metadata.threshold, &[]);
        let facts = (left_out.name().to_string(), left_out.facts.data.clone());
        all.push(Collection::new(facts, (&samples, probabilities), evaluation));
    }
    let collections: Vec<Value> = all.iter().map(Collection::results).collect();
    let results = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command": command::recorded(),
        "left_out": collections,
    });
    train::write(&train.out.join(RESULTS), format!("{results:#}\n").as_bytes())?;
    print(&format!("{}\n", eval_tables::collections(&all)));
    say!("weights and answers in {}; {}", train.out.display(), terminal::duration(started));
    Ok(ExitCode::SUCCESS)
}

const RESULTS: &str = "left-out.json";

/// The weights that learnt without a collection.
fn weights_file(folder: &Path, collection: &Path) -> PathBuf {
    let name = last_component(collection);
    let name = name.split('.').next().unwrap_or_default();
    folder.join(format!("without-{name}.safetensors"))
}

/// What is written, none of which may be one of the files that are read.
fn written(train: &TrainArguments) -> Result<Outputs> {
    std::fs::create_dir_all(&train.out).map_err(|source| Error::Write { path: train.out.clone(), source })?;
    let mut all = Outputs::default();
    for path in &train.extra {
        outputs::add_weights(&mut all, &weights_file(&train.out, path))?;
    }
    all.add("--out", &train.out.join(RESULTS))?;
    outputs::spare_training(&all, train)?;
    Ok(all)
}
