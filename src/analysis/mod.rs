//! What is done to one frame: faces are found in it and followed, cut out, brought to the network's
//! size and classified.

pub mod analyzer;
pub mod answer;
pub mod area;
pub mod crop;
pub mod locate;
mod pace;
pub mod scene;
pub mod track;

pub use analyzer::{Analyzer, Effort, Face, MOST_REGIONS, Request, Search, Settings};
pub use area::Area;
pub use crop::{Color, Component, Cropper, Picture, Pixel, Rect, Sample, Sampling, Unpack};

/// Five points of a face, in pixels of the picture (x, y): right eye, left eye, nose, right and left corner of the
/// mouth, as the person has them.
pub type Landmarks = [[f32; 2]; 5];
