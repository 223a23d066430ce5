//! Training any network, and the smile network by it.

pub mod adam;
pub mod average;
pub mod loss;
pub mod recipe;
pub mod smile;
pub mod trainer;
