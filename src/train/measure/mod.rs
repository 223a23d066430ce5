//! How good a smile network is, where it fails, and what it bears.

pub mod attributes;
pub mod bands;
pub mod curves;
pub mod evaluation;
pub mod metrics;
pub mod perturb;
pub mod robust;
