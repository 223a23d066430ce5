//! Data sets, splits, training and the program `smile-train`, on generated pictures; on GENKI-4K
//! where it is there.

mod card;
mod collections;
mod datasets;
mod face;
mod genki;
mod onnx;
mod pictures;
mod program;
mod report;
mod resume;
mod smile;
