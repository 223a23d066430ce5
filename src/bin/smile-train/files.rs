//! The files beside the weights that an interrupted training goes on from.

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::Serialize;
use serde_json::Value;

use gstsmile::model::{Describe, FaceWeights, SmileWeights};
use gstsmile::train::{self, Checkpoint, Error, Recipe, Result, Task, Trainer};

use crate::terminal::say;

/// What must be the same for a checkpoint to be gone on from: where it stands, and the option.
const FIXED: [(&str, &str); 18] = [
    ("/architecture", "--preset, --filters or --dense"),
    ("/region", "--region"),
    ("/training/extra", "--extra, --extra-share, --extra-region or --extra-validation-fraction"),
    ("/training/init", "--init"),
    ("/training/votes", "--votes"),
    ("/training/parts", "--parts"),
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
    ("/content", "what is in --data, --extra and the like, or what --face-model finds there,"),
];

/// What training goes on from.
pub struct Files {
    pub checkpoint: PathBuf,
}

impl Files {
    /// Whether an earlier run that is resumed has written `out` and left nothing to go on from.
    pub fn are_finished(&self, resume: bool, out: &Path) -> bool {
        resume && out.is_file() && !self.checkpoint.is_file()
    }

    pub fn new(out: &Path) -> Self {
        Self { checkpoint: train::beside(out, ".checkpoint") }
    }

    /// Whether `out` is to stay as it is when training is interrupted: what is half learnt is in the checkpoint, too,
    /// and must not replace finished weights, or what else is there. Weights of an earlier interruption are replaced.
    pub fn stays(out: &Path) -> bool {
        let training = SmileWeights::read(out)
            .map(|weights| weights.metadata.training)
            .or_else(|_| FaceWeights::read(out).map(|weights| weights.metadata.training));
        let is_interrupted = training.is_ok_and(|training| training.contains_key("interrupted_after"));
        train::is_plain(out) && out.exists() && !is_interrupted
    }

    /// Says that training was interrupted, and where what was learnt is.
    pub fn say_interrupted(&self, [done, epochs]: [usize; 2], out: &Path, stays: bool) {
        let place = match stays {
            false => out.display().to_string(),
            true => format!("{} ({} stays as it was)", self.checkpoint.display(), out.display()),
        };
        say!(
            "interrupted after {done} of {epochs} epochs; what was learnt is in {place}; \
             the same command with --resume goes on"
        );
    }

    /// # Errors
    /// Where there is none to go on from, or a file that would be lost is no checkpoint.
    pub fn check_checkpoint(&self, wanted: bool) -> Result<()> {
        match (wanted, self.checkpoint.is_file()) {
            (true, false) => Err(Error::Mismatch(format!(
                "--resume: there is no checkpoint {} to go on from; leave --resume out to start",
                self.checkpoint.display()
            ))),
            (false, true) => {
                self.check_ours()?;
                say!("starting afresh; --resume would go on from {}", self.checkpoint.display());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Where a file has the checkpoint's name that is none: it would be replaced by one, and then removed.
    pub fn check_ours(&self) -> Result<()> {
        if !self.checkpoint.exists() {
            return Ok(());
        }
        Checkpoint::read(&self.checkpoint).map(drop).map_err(|error| {
            Error::Mismatch(format!(
                "{error}; training would replace it: move it away, or give another --out"
            ))
        })
    }

    /// # Errors
    /// Where the checkpoint was made from other data or with other options.
    pub fn resume<T: Task>(
        &self,
        facts: &Value,
        recipe: &Recipe,
        task: T,
        device: &Device,
    ) -> Result<Trainer<T>> {
        let checkpoint = Checkpoint::read(&self.checkpoint)?;
        for (place, option) in FIXED {
            let (before, now) = (checkpoint.about().pointer(place), facts.pointer(place));
            if before != now {
                return Err(Error::Mismatch(format!(
                    "--resume: {option} differs: the checkpoint has {}, this command {}; give what it was started with, or leave --resume out to start afresh",
                    text(before),
                    text(now)
                )));
            }
        }
        let before = Recipe { epochs: recipe.epochs, ..checkpoint.recipe().clone() };
        if through_text(&before) != through_text(recipe) {
            return Err(Error::Mismatch(format!(
                "--resume: {} was written by another version or for another --preset; leave --resume out to start afresh",
                self.checkpoint.display()
            )));
        }
        let done = checkpoint.epochs();
        if recipe.epochs < done {
            return Err(Error::Mismatch(format!(
                "--resume: --epochs {} is less than the {done} epochs of the checkpoint",
                recipe.epochs
            )));
        }
        let mut trainer = Trainer::from_checkpoint(checkpoint, task, device)?;
        trainer.recipe_mut().epochs = recipe.epochs;
        say!("going on after epoch {done}");
        Ok(trainer)
    }

    pub fn remove_checkpoint(&self) {
        let _ = std::fs::remove_file(&self.checkpoint);
    }
}

/// # Errors
/// Where finished weights say of themselves something else than what is wanted, beside the command
/// and what was measured.
pub fn check_finished<M: Describe>(out: &Path, found: &M, wanted: &M) -> Result<()> {
    const LEFT_OUT: [&str; 5] = ["command", "measured_on", "accuracy", "confusion", "measured_extra"];
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
        Some(name) if name == "content" => Err(Error::Mismatch(format!(
            "--resume: {} was trained on other pictures, labels or parts, or with faces cut otherwise; give what it \
             was trained on, or another --out",
            out.display()
        ))),
        Some(name) => Err(Error::Mismatch(format!(
            "--resume: {} was trained with another {name} ({}, not {}); give what it was trained with, or another --out",
            out.display(),
            text(found.get(name)),
            text(wanted.get(name))
        ))),
    }
}

/// What a checkpoint says that it is of: weights to come, and the fingerprint of what they learn from.
pub fn facts_of_run(metadata: &impl Describe, content: &str) -> Value {
    let mut facts = facts(metadata);
    facts["content"] = content.into();
    facts
}

fn facts(metadata: &impl Describe) -> Value {
    through_text(metadata)
}

/// As a file gives it back: numbers have gone through text.
fn through_text(value: &impl Serialize) -> Value {
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn text(value: Option<&Value>) -> String {
    value.map_or("nothing".into(), Value::to_string)
}
