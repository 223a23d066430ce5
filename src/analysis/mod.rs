//! What is done to one frame: a region cut out of it and brought to the network's size, then
//! classified.

pub mod analyzer;
pub mod crop;
pub mod locate;

pub use analyzer::{Analyzer, Face};
pub use crop::{Color, Component, Cropper, Picture, Rect, Sampling};
