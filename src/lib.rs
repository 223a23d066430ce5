//! A GStreamer plugin whose element `smilefilter` detects and tracks faces in live video and classifies who smiles, and
//! the library beneath it.
//!
//! # A frame's way
//!
//! ```text
//! buffer ─▶ smilefilter ─▶ analysis: locate ─▶ crop ─▶ classify ─▶ track ─▶ overlay, metas, message ─▶ buffer
//!                                      ▲                  ▲
//!                                      └────── model ─────┘     weights file ◀── train ◀── pictures
//!                                                ▲
//!                                               ops
//! ```
//!
//! - [`smilefilter`] is the element: properties, caps, overlay, metadata, and [`smilefilter::Results`], which it posts on
//!   the bus and puts on buffers.
//! - [`analysis`] is what is done to one frame, without GStreamer: [`analysis::Analyzer`].
//! - [`model`] holds networks as lists of blocks, their weights files and the devices they run on.
//! - [`ops`] are the kernels that make them fast on a CPU.
//! - `train` (feature `train`) is what the program `smile-train` is made of.
//!
//! # The element in a program
//!
//! Registered statically, the element needs no installed plugin. Its messages are read as [`smilefilter::Results`]:
//!
//! ```
//! use gst::prelude::*;
//! use gstsmile::smilefilter::{Event, Results};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! gst::init()?;
//! gstsmile::plugin_register_static()?;
//! let pipeline = gst::parse::launch("videotestsrc num-buffers=3 ! smilefilter ! fakesink")?;
//! pipeline.set_state(gst::State::Playing)?;
//! for message in pipeline.bus().expect("a pipeline has one").iter_timed(gst::ClockTime::from_seconds(10)) {
//!     match message.view() {
//!         gst::MessageView::Element(element) => {
//!             let Some(Ok(results)) = element.structure().map(Results::try_from) else { continue };
//!             if results.event == Event::SmileStarted {
//!                 println!("face {} smiles at {:?}", results.identity, results.timestamp);
//!             }
//!         }
//!         gst::MessageView::Eos(_) => break,
//!         gst::MessageView::Error(error) => panic!("{}", error.error()),
//!         _ => {}
//!     }
//! }
//! pipeline.set_state(gst::State::Null)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Results of each frame
//!
//! Every buffer behind the element carries its own results, which survive conversions and scalers:
//!
//! ```
//! use gstsmile::smilefilter::Results;
//!
//! /// To be called for each buffer, such as by an `appsink`.
//! fn smiles(buffer: &gst::BufferRef) -> usize {
//!     Results::from_buffer(buffer).map_or(0, |results| results.faces.iter().filter(|face| face.smiling).count())
//! }
//! # gst::init().unwrap();
//! # assert_eq!(smiles(&gst::Buffer::new()), 0);
//! ```
//!
//! # Pictures in memory
//!
//! Without GStreamer's pipelines, an analyzer takes pictures one after the other:
//!
//! ```
//! use gstsmile::analysis::{Analyzer, Picture, Request};
//! use gstsmile::model::{DeviceChoice, FaceWeights, SmileWeights};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (width, height) = (320, 240);
//! let pixels = vec![128; 3 * width * height];
//! let mut analyzer = Analyzer::new(&SmileWeights::embedded()?, Some(&FaceWeights::embedded()?), DeviceChoice::Cpu)?;
//! let faces = analyzer.analyze(&Picture::rgb(width, height, &pixels), None, &Request::default())?;
//! assert!(faces.is_empty(), "nobody is on a grey wall");
//! # Ok(())
//! # }
//! ```

#[warn(missing_docs)]
pub mod analysis;
#[warn(missing_docs)]
pub mod model;
#[warn(missing_docs)]
pub mod ops;
#[warn(missing_docs)]
pub mod smilefilter;
#[cfg(feature = "train")]
#[warn(missing_docs)]
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
