use std::path::PathBuf;

use crate::model;

/// What can go wrong around training, in words that say what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each is")]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{} is no data set of a known layout: it has {found}; it needs {wanted}", path.display())]
    Layout { path: PathBuf, found: String, wanted: String },
    #[error("{file} of {}: {reason}", data.display())]
    Label { data: PathBuf, file: String, reason: String },
    #[error(
        "{} has no pictures{}; they are jpg, png, webp or bmp",
        path.display(),
        first.as_ref().map_or(String::new(), |Skipped { name, reason }| {
            format!(" that can be read ({skipped} broken, the first of them {name}: {reason})")
        })
    )]
    NoPictures { path: PathBuf, skipped: usize, first: Option<Skipped> },
    #[error(
        "{data}: {}; a network learns only from both smiling and not smiling ones",
        match count {
            0 => "no picture is left to learn from".into(),
            1 => format!("the only picture to learn from is labelled \"{label}\""),
            count => format!("all {count} pictures to learn from are labelled \"{label}\""),
        }
    )]
    OneClass { data: String, count: usize, label: &'static str },
    #[error("another smile-train is writing {}; wait for it, or give another --out", path.display())]
    Busy { path: PathBuf },
    #[error(
        "training came apart in epoch {epoch}: the loss or the weights are no finite numbers any more; try a smaller \
         --learning-rate. What was there before is kept"
    )]
    Diverged { epoch: usize },
    /// Inputs that are sound by themselves but don't go together.
    #[error("{0}")]
    Mismatch(String),
    #[error("drawing {name}: {reason}")]
    Drawing { name: String, reason: String },
    #[error("cannot watch for Ctrl-C: {0}")]
    Signals(String),
    #[error(transparent)]
    Model(#[from] model::Error),
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What comes of anything around training.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the remedy lies in what the program was given: data, weights, options.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Write { .. } | Self::Drawing { .. } | Self::Signals(_) | Self::Candle(_) => false,
            Self::Model(error) => !matches!(error, model::Error::Write { .. } | model::Error::Candle(_)),
            _ => true,
        }
    }
}

/// A picture that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The picture's.
    pub name: String,
    /// In words.
    pub reason: String,
}
