//! Finding faces in pictures.

use std::process::ExitCode;

use indicatif::ProgressBar;

use gstsmile::train::{self, Outputs, Pictures, Result};

use crate::arguments::LocateArguments;
use crate::terminal::{self, print, say};
use crate::{limit_threads, outputs};

/// Locates as told.
pub fn run(arguments: &LocateArguments) -> Result<ExitCode> {
    limit_threads(arguments.threads);
    let mut outputs = Outputs::default();
    outputs::add(&mut outputs, "--csv", &arguments.csv)?;
    if let Some(path) = &arguments.sheet {
        outputs::add(&mut outputs, "--sheet", path)?;
    }
    outputs::spare_some(&outputs, "--model", arguments.model.as_deref())?;
    let mut weights = terminal::face_weights(arguments.model.as_deref())?;
    if let Some(threshold) = arguments.threshold {
        weights.metadata.threshold = threshold;
    }
    let pictures = Pictures::list(&arguments.data)?;
    outputs::spare_listed(&outputs, "--data", &pictures)?;
    let bar = ProgressBar::new(pictures.len() as u64)
        .with_style(terminal::style("{bar:40} {pos}/{len} pictures, {eta} left"));
    let results = pictures.locate(&weights, arguments.min_face_size, || bar.inc(1));
    bar.finish_and_clear();
    let (located, skipped) = results?;
    for skipped in &skipped {
        say!("skipped {}: {}", skipped.name, skipped.reason);
    }
    train::write(&arguments.csv, &pictures.table(&located))?;
    let faces: usize = located.iter().map(|located| located.faces.len()).sum();
    let without = located.iter().filter(|located| located.faces.is_empty()).count();
    let summary = format!("{faces} faces in {} pictures, {without} without one", located.len());
    if let Some(path) = &arguments.sheet {
        let chosen = train::report::choose_for_sheet(&located);
        let title = match chosen.len() < located.len() {
            true => format!("{summary}; an even choice of {}", chosen.len()),
            false => summary.clone(),
        };
        train::write(
            path,
            &train::report::faces_sheet(&title, &chosen, |located| pictures.picture(located))?,
        )?;
    }
    print(&format!("{summary}\n"));
    Ok(ExitCode::SUCCESS)
}
