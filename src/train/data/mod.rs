//! Pictures and labels: where they come from, what they are cut to, and how they are varied.

pub mod archive;
pub mod augment;
pub mod classes;
pub mod dataset;
pub mod decode;
pub mod fingerprint;
pub mod layout;
pub mod located;
pub mod part_tables;
pub mod plane;
pub mod source;
pub mod split;
pub mod table;
pub mod vary;
pub mod votes;
