//! What a training run leaves for people: curves, confusion matrix, numbers and a sheet of pictures.

mod canvas;
pub(super) mod card;
mod confusion;
mod curves;
mod evaluation;
mod faces;
pub(super) mod record;
mod sheet;

use std::path::Path;

use serde_json::{Value, json};

use crate::model::Metadata;
use crate::train::data::dataset::Sample;
use crate::train::error::{Error, Result};
use crate::train::fit::trainer::EpochResult;
use crate::train::output;
use crate::train::report::record::Record;

pub use confusion::{summary as accuracy_text, text as confusion_text};
pub use evaluation::{evaluation, robustness};
pub use faces::{MOST as MOST_ON_SHEET, choose_for_sheet, faces_sheet};

/// Everything that a report tells of.
pub struct Report<'a> {
    /// How the weights came about.
    pub record: &'a Record,
    /// One for each epoch.
    pub history: &'a [EpochResult],
    /// What was measured on; may be empty.
    pub held_out: &'a [&'a Sample],
    /// Of smiling, for each held-out sample.
    pub probabilities: &'a [f32],
    /// What the weights say of themselves.
    pub metadata: &'a Metadata,
}

impl Report<'_> {
    /// Writes `curves.png`, `metrics.json` and, where something was held out, `confusion.txt`,
    /// `confusion.png` and `sheet.png` into `folder`, which is made if need be.
    ///
    /// # Errors
    /// [`Error::Write`] where it can't be written to.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.into(), source })?;
        let write = |name: &str, bytes: &[u8]| output::write(&folder.join(name), bytes);
        write("metrics.json", format!("{:#}\n", self.metrics()).as_bytes())?;
        write("curves.png", &curves::draw(&self.title(), self.history)?)?;
        if let Some(measured) = &self.record.result {
            let part = measured.measured_on.name();
            write("confusion.txt", confusion::text(part, &measured.confusion).as_bytes())?;
            write("confusion.png", &confusion::draw(&self.title(), part, &measured.confusion)?)?;
            write("sheet.png", &sheet::draw(self)?)?;
        }
        Ok(())
    }

    /// The epoch of the highest held-out accuracy, the first of equals. For information only:
    /// weights are always those of the last epoch.
    fn best(&self) -> Option<&EpochResult> {
        best(self.history)
    }

    fn metrics(&self) -> Value {
        let confusion = self.record.result.map(|measured| measured.confusion);
        json!({
            "accuracy": confusion.map(|confusion| confusion.accuracy()),
            "interval": confusion.map(|confusion| confusion.interval()),
            "measured_on": self.record.result.map(|measured| measured.measured_on),
            "confusion": confusion,
            "best_epoch": self.best().map(|best| best.epoch),
            "best_accuracy": self.best().and_then(|best| best.held_out_accuracy),
            "final_epoch": self.history.last().map(|last| last.epoch),
            "seed": self.record.seed,
            "split_seed": self.record.split.split.seed,
            "counts": {
                "training": self.record.split.training,
                "validation": self.record.split.validation,
                "test": self.record.split.test,
                "skipped": self.record.data.skipped,
            },
            "command": self.record.command,
            "version": self.record.version,
            "history": self.history,
        })
    }

    fn title(&self) -> String {
        use clap::ValueEnum;
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map_or(String::new(), |value| value.get_name().to_string())
        };
        format!(
            "{}, {}, seed {}",
            name(self.record.preset.to_possible_value()),
            name(self.record.loss.to_possible_value()).replace('-', " "),
            self.record.seed
        )
    }
}

fn best(history: &[EpochResult]) -> Option<&EpochResult> {
    let accuracy = |result: &EpochResult| result.held_out_accuracy.unwrap_or(f64::NEG_INFINITY);
    history
        .iter()
        .filter(|result| result.held_out_accuracy.is_some())
        .max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)).then(b.epoch.cmp(&a.epoch)))
}
