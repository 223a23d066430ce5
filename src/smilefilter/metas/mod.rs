//! What is known of a frame, as metadata of its buffer.

pub mod regions;
pub mod results;
