//! What is done to one frame: faces are found in it and followed, cut out, brought to the network's
//! size and classified.

pub mod analyzer;
pub mod answer;
pub mod crop;
pub mod locate;
pub mod scene;
pub mod track;

pub use analyzer::{Analyzer, Effort, Face, Request, Search, Settings};
pub use crop::{Color, Component, Cropper, Picture, Rect, Sampling};
