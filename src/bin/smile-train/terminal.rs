//! What a person sees while the program works; all of it goes to standard error.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use gstsmile::model::{FaceWeights, Region};
use gstsmile::train::{Catalog, DataFacts, Dataset, EpochResult, Error, Observer, Progress, Result, View};

/// Says something in a line of its own, as `eprintln!` does; see [`say_line`].
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::say_line(&format!($($text)*)) };
}
pub(crate) use say;

/// Writes a line to standard error. Where that can't be written, training is worth more than what is said of it.
pub fn say_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escaped(line));
}

/// Whether results couldn't be printed.
static IS_UNPRINTED: AtomicBool = AtomicBool::new(false);

/// Prints results. A reader that has seen enough and went away is no failure; any other shows in [`is_printed`], once
/// the rest of the work is done.
pub fn print(text: &str) {
    let lines: Vec<Cow<str>> = text.split('\n').map(escaped).collect();
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(lines.join("\n").as_bytes()).and_then(|()| out.flush());
    if let Err(error) = printed
        && error.kind() != ErrorKind::BrokenPipe
        && !IS_UNPRINTED.swap(true, Ordering::Relaxed)
    {
        say!("smile-train: standard output can't be written to: {error}");
    }
}

/// Whether all results were printed that anybody wanted to read.
pub fn is_printed() -> bool {
    !IS_UNPRINTED.load(Ordering::Relaxed)
}

/// A line with what a terminal would obey made visible: names of files and what is in files may come from anybody.
fn escaped(line: &str) -> Cow<'_, str> {
    let is_command =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match line.contains(is_command) {
        false => line.into(),
        true => {
            let visible = |c: char| if is_command(c) { c.escape_default().to_string() } else { c.into() };
            line.chars().map(visible).collect()
        }
    }
}

/// The face detector's weights in a file, or the built-in ones.
pub fn face_weights(path: Option<&Path>) -> Result<FaceWeights> {
    Ok(match path {
        Some(path) => FaceWeights::read(path)?,
        None => FaceWeights::embedded()?,
    })
}

/// Reads a data set behind a progress bar, and says what it found.
pub fn read_data(catalog: Catalog, view: View) -> Result<Dataset> {
    let bar = ProgressBar::new(catalog.len() as u64)
        .with_style(style("{bar:40} {pos}/{len} pictures read, {eta} left"));
    let dataset = catalog.decode(view, || bar.inc(1));
    bar.finish_and_clear();
    let dataset = dataset?;
    for skipped in &dataset.skipped {
        say!("skipped {}: {}", skipped.name, skipped.reason);
    }
    let facts = DataFacts::of(&dataset);
    let faceless = dataset.samples.iter().filter(|sample| sample.pixels.is_empty()).count();
    let [not_smiling, smiling] = facts.counts;
    say!(
        "{}: {} pictures ({}; {}){}{}",
        facts.name,
        dataset.samples.len(),
        format_args!("{smiling} smiling, {not_smiling} not smiling; layout {}", dataset.layout.name()),
        match view.region {
            Region::Full => "whole pictures",
            Region::Center => "largest centred squares",
            Region::Faces if view.locator.is_none() => "each as a whole a face",
            Region::Faces => "faces",
        },
        if faceless > 0 { format!("; {faceless} without a face that is found") } else { String::new() },
        match facts.skipped {
            0 => String::new(),
            1 => "; 1 broken picture skipped".into(),
            skipped => format!("; {skipped} broken pictures skipped"),
        }
    );
    Ok(dataset)
}

/// Ends training cleanly at the first Ctrl-C, and at once at the second.
pub fn catch_interrupts() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        say!("");
        say!("ending after this batch; Ctrl-C again ends at once");
    })
    .map_err(|error| Error::Signals(error.to_string()))?;
    Ok(stop)
}

/// A bar that runs through all epochs, and a table row for each one.
pub struct Watch {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    epoch_started: Instant,
    started: bool,
}

impl Watch {
    pub fn new(stop: Arc<AtomicBool>) -> Self {
        let bar = ProgressBar::no_length().with_style(style("{bar:30} {msg}, {eta} left"));
        Self { bar, stop, epoch_started: Instant::now(), started: false }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn print(&self, line: &str) {
        self.bar.suspend(|| say_line(line));
    }
}

impl Observer for Watch {
    fn batch(&mut self, progress: &Progress) {
        self.bar.set_length((progress.epochs * progress.batches) as u64);
        self.bar.set_position(((progress.epoch - 1) * progress.batches + progress.batch) as u64);
        if !self.started {
            // A resumed run starts in the middle, which says nothing of its speed.
            self.bar.reset_eta();
            self.started = true;
            self.print(" epoch |      loss  accuracy | held-out:  loss  accuracy |   time");
            self.print("-------+---------------------+---------------------------+-------");
        }
        self.bar.set_message(format!(
            "epoch {}/{}, loss {:.4}, accuracy {:.1} %",
            progress.epoch,
            progress.epochs,
            progress.loss,
            100.0 * progress.accuracy
        ));
    }

    fn epoch(&mut self, result: &EpochResult) {
        let held_out = match (result.held_out_loss, result.held_out_accuracy) {
            (Some(loss), Some(accuracy)) => format!("{loss:>15.4} {:>7.1} %", 100.0 * accuracy),
            _ => format!("{:>15} {:>9}", "-", "-"),
        };
        let seconds = self.epoch_started.elapsed().as_secs_f64();
        let (loss, accuracy) = (result.loss, 100.0 * result.accuracy);
        self.print(&format!(
            "{:>6} | {loss:>9.4} {accuracy:>7.1} % | {held_out} | {seconds:>4.0} s",
            result.epoch
        ));
        self.epoch_started = Instant::now();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A duration in words.
pub fn duration(since: Instant) -> String {
    HumanDuration(since.elapsed()).to_string()
}

pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is sound").progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        assert_eq!(escaped("ü — plain\u{a0}text"), "ü — plain\u{a0}text");
        assert_eq!(escaped("\u{1b}[31m\r\n\u{9b}\u{202e}"), r"\u{1b}[31m\r\n\u{9b}\u{202e}");
    }
}
