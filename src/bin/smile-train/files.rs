//! The files beside the weights that an interrupted training goes on from.

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde_json::Value;

use gstsmile::model::Describe;
use gstsmile::train::{self, Error, Result, Task, Trainer};

/// What must be the same for a checkpoint to be gone on from: where it stands, and the option.
const FIXED: [(&str, &str); 20] = [
    ("/architecture", "--preset, --filters or --dense"),
    ("/region", "--region"),
    ("/training/extra", "--extra"),
    ("/training/init", "--init"),
    ("/training/teachers", "--teachers, --teacher-filters or --trust"),
    ("/training/soft_labels", "--soft-labels or --trust"),
    ("/training/extra_share", "--extra-share"),
    ("/training/unlabelled", "--unlabelled"),
    ("/training/unlabelled_share", "--unlabelled-share"),
    ("/training/variation", "--variation"),
    ("/training/data", "--data"),
    ("/training/split/seed", "--split-seed"),
    ("/training/split/fold", "--folds"),
    ("/training/split/test_fraction", "--test-fraction"),
    ("/training/split/validation_fraction", "--validation-fraction"),
    ("/training/seed", "--seed"),
    ("/training/loss", "--loss"),
    ("/training/l2", "--l2"),
    ("/training/batch", "--batch"),
    ("/training/learning_rate", "--learning-rate"),
];

/// The files that training goes on from.
pub struct Files {
    pub checkpoint: PathBuf,
    /// What the checkpoint was trained on and how, to compare a resuming command with.
    facts: PathBuf,
}

impl Files {
    /// Whether an earlier run that is resumed has written `out` and left nothing to go on from.
    pub fn are_finished(&self, resume: bool, out: &Path) -> bool {
        resume && out.is_file() && !self.checkpoint.is_file()
    }

    pub fn new(out: &Path) -> Self {
        Self { checkpoint: train::beside(out, ".checkpoint"), facts: train::beside(out, ".checkpoint.json") }
    }

    pub fn check_checkpoint(&self, wanted: bool) -> Result<()> {
        let there = self.checkpoint.is_file() && self.facts.is_file();
        match (wanted, there) {
            (true, false) => Err(Error::Mismatch(format!(
                "--resume: there is no checkpoint {} to go on from; leave --resume out to start",
                self.checkpoint.display()
            ))),
            (false, true) => {
                eprintln!("starting afresh; --resume would go on from {}", self.checkpoint.display());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub fn write_facts(&self, metadata: &impl Describe) -> Result<()> {
        train::write(&self.facts, facts(metadata).to_string().as_bytes())
    }

    /// # Errors
    /// Where the checkpoint was made from other data or with other options.
    pub fn resume<T: Task>(
        &self,
        metadata: &impl Describe,
        epochs: usize,
        task: T,
        device: &Device,
    ) -> Result<Trainer<T>> {
        let failed = |source| Error::Read { path: self.facts.clone(), source };
        let before: Value = serde_json::from_slice(&std::fs::read(&self.facts).map_err(failed)?)
            .map_err(|error| failed(error.into()))?;
        let now = facts(metadata);
        for (place, option) in FIXED {
            let (before, now) = (before.pointer(place), now.pointer(place));
            if before != now {
                return Err(Error::Mismatch(format!(
                    "--resume: {option} differs: the checkpoint has {}, this command {}; give what it was started with, or leave --resume out to start afresh",
                    text(before),
                    text(now)
                )));
            }
        }
        let mut trainer = Trainer::resume(&self.checkpoint, task, device)?;
        let done = trainer.history().len();
        if epochs < done {
            return Err(Error::Mismatch(format!(
                "--resume: --epochs {epochs} is less than the {done} epochs of the checkpoint"
            )));
        }
        trainer.recipe_mut().epochs = epochs;
        eprintln!("going on after epoch {done}");
        Ok(trainer)
    }

    pub fn remove_checkpoint(&self) {
        for path in [&self.checkpoint, &self.facts] {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// # Errors
/// Where finished weights say of themselves something else than what is wanted, beside the command
/// and what was measured.
pub fn check_finished<M: Describe>(out: &Path, found: &M, wanted: &M) -> Result<()> {
    const LEFT_OUT: [&str; 4] = ["command", "measured_on", "accuracy", "confusion"];
    let flat = |facts: Value| {
        let training = facts["training"].as_object().cloned().unwrap_or_default();
        let mut flat = facts.as_object().cloned().unwrap_or_default();
        flat.remove("training");
        flat.extend(training);
        flat.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
        flat
    };
    let [found, wanted] = [flat(facts(found)), flat(facts(wanted))];
    match found.keys().chain(wanted.keys()).find(|name| found.get(*name) != wanted.get(*name)) {
        None => Ok(()),
        Some(name) => Err(Error::Mismatch(format!(
            "--resume: {} was trained with another {name} ({}, not {}); give what it was trained with, or another --out",
            out.display(),
            text(found.get(name)),
            text(wanted.get(name))
        ))),
    }
}

/// As a file gives it back: numbers have gone through text.
fn facts(metadata: &impl Describe) -> Value {
    let text = serde_json::to_string(metadata).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn text(value: Option<&Value>) -> String {
    value.map_or("nothing".into(), Value::to_string)
}
