//! What is done to one frame: a region cut out of it and brought to the network's size, then
//! classified.

pub mod crop;
