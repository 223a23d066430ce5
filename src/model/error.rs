use std::path::PathBuf;

/// What can be wrong with weights, a network or a device, in words that say what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read weights {path:?}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {path:?}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "{name} is not a weights file of smile-train: {reason}; make one with `smile-train` or leave the name empty for the built-in weights"
    )]
    Weights { name: String, reason: String },
    #[error("network description: {0}")]
    Architecture(String),
    #[error("device \"{name}\": {reason}")]
    Device { name: String, reason: String },
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// The same with the name of the weights, where it is they that are wrong.
    pub(super) fn of_weights(self, name: &str) -> Self {
        match self {
            Self::Weights { reason, .. } => Self::Weights { name: name.into(), reason },
            error @ (Self::Candle(_) | Self::Architecture(_)) => {
                Self::Weights { name: name.into(), reason: error.to_string() }
            }
            other => other,
        }
    }
}

pub type Result<T> = std::result::Result<T, Error>;
