//! A GStreamer plugin whose element `smilefilter` finds out who smiles in live video, and the
//! library beneath it.

pub mod analysis;
pub mod model;
pub mod ops;
#[cfg(feature = "train")]
pub mod train;
