//! Writing results into a model card.

use std::process::ExitCode;

use gstsmile::train::{Card, Outputs, Result};

use crate::arguments::{CardArguments, named_path};
use crate::outputs;
use crate::terminal::say;

/// Writes as told.
pub fn run(arguments: &CardArguments) -> Result<ExitCode> {
    let mut outputs = Outputs::default();
    outputs.add("--card", &arguments.card)?;
    outputs::spare_some(&outputs, "--locator", arguments.locator.as_deref())?;
    outputs::spare_some(&outputs, "--collections", arguments.collections.as_deref())?;
    let mut card = Card::read(&arguments.card)?;
    if let Some(folder) = &arguments.folds {
        card.take_folds(folder, &arguments.prefix)?;
    }
    if let Some(path) = &arguments.locator {
        card.take_locator(path)?;
    }
    if let Some(path) = &arguments.collections {
        card.take_collections(path)?;
    }
    if let Some(marker) = &arguments.marker {
        let runs = arguments.run.iter().map(|run| {
            named_path("--run", "PATH", run).map(|(name, path)| (name.to_string(), path.to_path_buf()))
        });
        card.take_runs(marker, &runs.collect::<Result<Vec<_>>>()?)?;
    }
    let places = card.write()?;
    say!("{places} places of {} filled", arguments.card.display());
    Ok(ExitCode::SUCCESS)
}
