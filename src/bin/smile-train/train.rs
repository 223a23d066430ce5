//! Training: from a data set to a weights file and a report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::Device;

use gstsmile::model::{Classifier, Metadata, SmileWeights, Weights};
use gstsmile::train::report::Report;
use gstsmile::train::{
    self, Confusion, DataFacts, Dataset, Error, Examples, Extra, HeldOut, Lock, Measured, Outcome, Parts,
    Recipe, Record, Result, Sample, Smiles, Split, SplitFacts, Trainer,
};

use crate::arguments::TrainArguments;
use crate::files::{self, Files};
use crate::material::Material;
use crate::outputs;
use crate::terminal::{self, Watch, print, say};
use crate::{command, limit_threads};

pub const INTERRUPTED: u8 = 130;

/// Trains as told.
pub fn run(arguments: &TrainArguments) -> Result<ExitCode> {
    let started = Instant::now();
    arguments.check()?;
    limit_threads(arguments.threads);
    let outputs = outputs::of_training(arguments)?;
    let _lock = Lock::take(&arguments.out)?;
    Files::new(&arguments.out).check_checkpoint(arguments.resume)?;
    let material = Material::read(arguments, &outputs)?;
    // The test part stays untouched while options are chosen.
    let part = if arguments.validation_fraction > 0.0 { HeldOut::Validation } else { HeldOut::Test };
    let stop = terminal::catch_interrupts()?;
    let learnt = learn(arguments, &material, (arguments.split(), part), &arguments.out, &stop)?;
    let Some(Learnt { session, weights, probabilities }) = learnt else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    if let Some(folder) = &arguments.report {
        let report = Report {
            record: &session.record,
            history: session.trainer.history(),
            held_out: &session.held_out,
            probabilities: &probabilities,
            metadata: &weights.metadata,
        };
        report.write(folder)?;
    }
    if let Some(measured) = &session.record.result {
        print(&train::report::confusion_text(measured.measured_on.name(), &measured.confusion));
    }
    let report = arguments.report.as_ref();
    let report = report.map_or(String::new(), |folder| format!(", report in {}", folder.display()));
    say!("weights in {}{report}; {}", arguments.out.display(), terminal::duration(started));
    Ok(ExitCode::SUCCESS)
}

/// A trained network with its answers to what was held out.
pub struct Learnt<'a> {
    pub session: Session<'a>,
    pub weights: SmileWeights,
    pub probabilities: Vec<f32>,
}

/// Trains a network and writes it to `out`. With `--resume`, what an earlier run has finished is taken as it is.
/// `None` where the user ends it.
pub fn learn<'a>(
    arguments: &'a TrainArguments,
    material: &'a Material,
    what: (Split, HeldOut),
    out: &Path,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Learnt<'a>>> {
    Session::new(arguments, material, what, Files::new(out))?.run(out, stop)
}

/// The training of one network.
pub struct Session<'a> {
    arguments: &'a TrainArguments,
    files: Files,
    training: Vec<&'a Sample>,
    extra: Vec<Extra<'a, Sample>>,
    /// What is measured on.
    pub held_out: Vec<&'a Sample>,
    part: HeldOut,
    /// The validation parts of other data sets, by their names.
    others: Vec<(&'a str, Vec<&'a Sample>)>,
    record: Record,
    metadata: Metadata,
    trainer: Trainer<Smiles>,
    device: Device,
}

impl<'a> Session<'a> {
    /// A network that learns from the training part of `split` and is measured on `part`.
    fn new(
        arguments: &'a TrainArguments,
        material: &'a Material,
        (split, part): (Split, HeldOut),
        files: Files,
    ) -> Result<Self> {
        let Material { dataset, init, device, .. } = material;
        let recipe = arguments.recipe()?;
        if !arguments.resume {
            files.check_ours()?;
        }
        let parts = split.parts(&dataset.labels());
        require_both_classes(dataset, &parts)?;
        let mut metadata =
            Metadata { architecture: recipe.architecture.clone(), ..material.metadata.clone() };
        let mut record = record(arguments, &recipe, material, split, &parts);
        record.init = init.as_ref().map(|weights| weights.metadata.training.clone());
        let training = dataset.select(&parts.training);
        let others = material.others().map(|collection| (collection.name(), collection.validation()));
        let others = others.filter(|(_, samples)| !samples.is_empty()).collect();
        let extra = material.others().map(|extra| Extra { examples: extra.training(), share: extra.share });
        let extra = extra.collect();
        metadata.training = record.to_metadata();
        let task = Smiles::new(arguments.loss(), metadata.clone())
            .with_doubt(arguments.preset.doubt())
            .with_variation(arguments.variation().unwrap_or_default() as f32);
        let facts = files::facts_of_run(&metadata, &material.content);
        let trainer = match (arguments.resume && files.checkpoint.is_file(), init) {
            (true, _) => files.resume(&facts, &recipe, task, device)?,
            (false, Some(weights)) => Trainer::from_tensors(recipe, task, weights.tensors.clone(), device)?,
            (false, None) => Trainer::new(recipe, task, device)?,
        };
        let trainer = trainer.about(facts);
        let held_out = match part {
            HeldOut::Validation => dataset.select(&parts.validation),
            HeldOut::Test => dataset.select(&parts.test),
        };
        let device = device.clone();
        Ok(Self {
            arguments,
            files,
            training,
            extra,
            held_out,
            part,
            others,
            record,
            metadata,
            trainer,
            device,
        })
    }

    /// Trains and measures, unless an earlier run has; `None` where the user ends it.
    fn run(mut self, out: &Path, stop: &Arc<AtomicBool>) -> Result<Option<Learnt<'a>>> {
        if let Some(weights) = self.finished(out)? {
            say!("{} is trained already", out.display());
            let mut classifier = Classifier::new(&weights, &self.device)?;
            let probabilities = train::predict(&mut classifier, &self.held_out)?;
            return Ok(Some(Learnt { session: self, weights, probabilities }));
        }
        let outcome = self.train(&mut Watch::new(stop.clone()))?;
        let stays = outcome == Outcome::Interrupted && Files::stays(out);
        if !stays {
            let (weights, probabilities) = self.finish(outcome, out)?;
            if outcome == Outcome::Finished {
                return Ok(Some(Learnt { session: self, weights, probabilities }));
            }
        }
        self.files.say_interrupted([self.trainer.history().len(), self.record.epochs], out, stays);
        Ok(None)
    }

    /// Whether the temperature isn't known before training.
    fn fits_temperature(&self) -> bool {
        self.arguments.temperature.is_none() && (self.part == HeldOut::Validation || !self.others.is_empty())
    }

    /// The weights in `out` where the command that is resumed has finished them.
    fn finished(&self, out: &Path) -> Result<Option<SmileWeights>> {
        if !self.files.are_finished(self.arguments.resume, out) {
            return Ok(None);
        }
        let weights = SmileWeights::read(out)?;
        let mut wanted = self.metadata.clone();
        if self.fits_temperature() {
            wanted.temperature = weights.metadata.temperature;
        }
        files::check_finished(out, &weights.metadata, &wanted)?;
        Ok(Some(weights))
    }

    /// Trains until done or interrupted.
    fn train(&mut self, watch: &mut Watch) -> Result<Outcome> {
        say!(
            "training on {}, measuring on {} {} pictures; seed {}, split seed {}",
            self.training.len(),
            self.held_out.len(),
            self.part.name(),
            self.record.seed,
            self.arguments.split_seed
        );
        if !self.arguments.resume {
            // An older checkpoint must not be taken for one of this run.
            self.files.remove_checkpoint();
        }
        let others = self.others.iter().flat_map(|(_, samples)| samples);
        let held_out: Vec<&Sample> = self.held_out.iter().chain(others).copied().collect();
        let [training, seen] = [&self.training, &held_out].map(|samples| with_face(samples));
        let examples = Examples { extra: self.extra.clone(), ..Examples::new(&training, &seen) };
        let outcome = self.trainer.run(&examples, Some(&self.files.checkpoint), watch);
        watch.finish();
        outcome
    }

    /// Measures and writes the weights; gives them with their answers to what is held out.
    fn finish(&mut self, outcome: Outcome, out: &Path) -> Result<(Weights, Vec<f32>)> {
        if outcome == Outcome::Interrupted {
            self.record.interrupted_after = Some(self.trainer.history().len());
        }
        let (weights, probabilities) = self.measure()?;
        weights.write(out)?;
        if outcome == Outcome::Finished {
            self.files.remove_checkpoint();
        }
        Ok((weights, probabilities))
    }

    /// The weights with their full record, and their answers to the held-out pictures.
    fn measure(&mut self) -> Result<(Weights, Vec<f32>)> {
        let mut weights = Weights { metadata: self.metadata.clone(), tensors: self.trainer.tensors()? };
        if self.fits_temperature() {
            weights.metadata.temperature = self.best_temperature(&weights)?;
            say!("temperature fitted to the validation part: {:.3}", weights.metadata.temperature);
        }
        let mut classifier = Classifier::new(&weights, &self.device)?;
        let threshold = weights.metadata.threshold;
        let mut confusion = |samples: &[&Sample]| -> Result<(Confusion, Vec<f32>)> {
            let probabilities = train::predict(&mut classifier, samples)?;
            Ok((Confusion::count(samples, &probabilities, threshold), probabilities))
        };
        let mut probabilities = Vec::new();
        if !self.held_out.is_empty() {
            let measured;
            (measured, probabilities) = confusion(&self.held_out)?;
            self.record.result = Some(Measured::new(self.part, measured));
        }
        for (name, samples) in &self.others {
            let (measured, _) = confusion(samples)?;
            say!("validation part of {name}: {}", train::report::accuracy_text(&measured));
            self.record.measured_extra.insert((*name).into(), measured);
        }
        weights.metadata.training = self.record.to_metadata();
        Ok((weights, probabilities))
    }

    /// The temperature that suits all validation parts. The test part must not choose anything, this neither.
    fn best_temperature(&self, weights: &Weights) -> Result<f32> {
        let mut classifier = Classifier::new(weights, &self.device)?;
        let own = (self.part == HeldOut::Validation).then_some(&self.held_out);
        let parts: Vec<&Vec<&Sample>> =
            own.into_iter().chain(self.others.iter().map(|(_, samples)| samples)).collect();
        let answers = parts.iter().map(|samples| train::predict(&mut classifier, samples));
        let answers: Vec<Vec<f32>> = answers.collect::<Result<_>>()?;
        let pairs: Vec<_> =
            parts.iter().zip(&answers).map(|(samples, answers)| (&samples[..], &answers[..])).collect();
        Ok(train::best_temperature(&pairs))
    }
}

/// Samples that there is something to see of.
fn with_face<'a>(samples: &[&'a Sample]) -> Vec<&'a Sample> {
    samples.iter().copied().filter(|sample| !sample.pixels.is_empty()).collect()
}

fn record(
    arguments: &TrainArguments,
    recipe: &Recipe,
    material: &Material,
    split: Split,
    parts: &Parts,
) -> Record {
    let names = |paths: &[PathBuf]| paths.iter().map(|path| train::last_component(path)).collect();
    Record {
        command: command::recorded(),
        version: env!("CARGO_PKG_VERSION").into(),
        preset: arguments.preset,
        data: DataFacts::of(&material.dataset),
        content: Some(material.content.clone()),
        split: SplitFacts::new(split, &material.dataset.labels(), parts),
        seed: recipe.seed,
        epochs: recipe.epochs,
        interrupted_after: None,
        loss: arguments.loss(),
        l2: recipe.l2,
        batch: recipe.batch,
        learning_rate: recipe.learning_rate,
        extra: material.others().map(|collection| collection.facts.clone()).collect(),
        extra_share: None,
        votes: names(&arguments.votes),
        parts: names(&arguments.parts),
        variation: arguments.variation(),
        init: None,
        result: None,
        measured_extra: BTreeMap::new(),
    }
}

fn require_both_classes(dataset: &Dataset, parts: &Parts) -> Result<()> {
    let labels = dataset.labels();
    let smiling = parts.training.iter().filter(|&&index| labels[index]).count();
    let label = match smiling {
        0 => train::CLASSES[0],
        all if all == parts.training.len() => train::CLASSES[1],
        _ => return Ok(()),
    };
    Err(Error::OneClass { data: dataset.name.clone(), count: parts.training.len(), label })
}
