use std::path::PathBuf;

/// What can be wrong with weights, a network or a device, in words that say what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each is")]
pub enum Error {
    #[error("cannot read weights {path:?}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {path:?}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "{name} is not a weights file of smile-train: {reason}; make one with `smile-train` or leave the name empty for the built-in weights"
    )]
    Weights { name: String, reason: String },
    /// Of the other kind than is wanted; both in words such as "smiles".
    #[error(
        "{name} holds weights for {holds}, not for {wanted}; give a file with weights for {wanted}, or leave the name empty for the built-in ones"
    )]
    Kind { name: String, holds: &'static str, wanted: &'static str },
    #[error("what was to be written to {path:?} could not be used: {reason}; it is not written")]
    Unusable { path: PathBuf, reason: String },
    /// Of pictures (width, height), for a face detector.
    #[error(
        "{}x{} is no size for this face detector: width and height must be multiples of {multiple}, {most} at most; give another --size",
        size[0],
        size[1]
    )]
    Size { size: [usize; 2], multiple: usize, most: usize },
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

    /// The same for another who waited for the same file, where it couldn't be read.
    pub(super) fn for_another(&self) -> Option<Self> {
        match self {
            Self::Read { path, source } => {
                let source = std::io::Error::new(source.kind(), source.to_string());
                Some(Self::Read { path: path.clone(), source })
            }
            _ => None,
        }
    }
}

/// What comes of reading or running a network.
pub type Result<T> = std::result::Result<T, Error>;
