//! A GStreamer plugin whose element `smilefilter` finds out who smiles in live video, and the
//! library beneath it.
//!
//! - [`smilefilter`] is the element and what it posts on the bus.
//! - [`analysis`] finds the answer for one picture in memory, without GStreamer:
//!   [`analysis::Analyzer`].
//! - [`model`] holds networks as lists of blocks, their weights files and the devices they run on.
//! - [`ops`] are the kernels that make them fast on a CPU.
//! - `train` (feature `train`) is what the program `smile-train` is made of.

pub mod analysis;
pub mod model;
pub mod ops;
pub mod smilefilter;
#[cfg(feature = "train")]
pub mod train;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    smilefilter::register(plugin)
}

gst::plugin_define!(
    smile,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    // The nearest to "MIT OR Apache-2.0" among the names that GStreamer knows.
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("BUILD_REL_DATE")
);
