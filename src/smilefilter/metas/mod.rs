//! What is known of a frame, as metadata of its buffer.

#[cfg(feature = "analytics")]
pub mod analytics;
pub mod regions;
pub mod results;
