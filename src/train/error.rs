use std::path::PathBuf;

use crate::model;

/// What can go wrong around training, in words that say what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{} is no data set of a known layout: it has {found}; it needs {wanted}", path.display())]
    Layout { path: PathBuf, found: String, wanted: String },
    #[error("{file} of {}: {reason}", data.display())]
    Label { data: PathBuf, file: String, reason: String },
    #[error("{} has no pictures that can be read ({skipped} broken); they are jpg, png, webp or bmp", path.display())]
    NoPictures { path: PathBuf, skipped: usize },
    #[error(
        "{data}: all {count} pictures are labelled \"{label}\"; a network learns only from both smiling and not smiling ones"
    )]
    OneClass { data: String, count: usize, label: &'static str },
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
