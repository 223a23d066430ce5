//! The element in a Rust program, linked statically: no plugin path, no installation.
//!
//! ```sh
//! cargo run --release --example embed -- tests/data/astronaut.jpg
//! ```

use gst::prelude::*;
use gstsmile::smilefilter::{Event, Results};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let file = std::env::args_os().nth(1).ok_or("usage: embed PICTURE_OR_VIDEO")?;
    gst::init()?;
    gstsmile::plugin_register_static()?;
    // A photograph's EXIF says which side is up. GStreamer 1.22 reads it only with this parser of plugins-bad,
    // which it leaves out by default.
    if let Some(parser) = gst::Registry::get().lookup_feature("jpegparse") {
        parser.set_rank(gst::Rank::PRIMARY + 1);
    }

    let pipeline = gst::parse::launch(
        "filesrc name=file ! decodebin ! videoconvert ! videoflip video-direction=auto ! smilefilter name=smile ! fakesink",
    )?;
    let bin = pipeline.clone().downcast::<gst::Bin>().map_err(|_| "a pipeline is a bin")?;
    // A name is a property. In the words above it could become a part of the pipeline.
    bin.by_name("file").expect("it is above").set_property("location", std::path::PathBuf::from(file));
    bin.by_name("smile").expect("it is above").connect("smile-changed", false, |values| {
        println!("signal: face {:?} smiles: {:?}", values[1].get::<u32>(), values[2].get::<bool>());
        None
    });

    // What goes wrong here is told by the bus, in better words.
    let _ = pipeline.set_state(gst::State::Playing);
    let result = watch(&pipeline.bus().expect("pipelines have one"));
    // Whatever happened: a pipeline that still runs can't be freed.
    pipeline.set_state(gst::State::Null)?;
    result
}

/// Tells of the results until the end.
fn watch(bus: &gst::Bus) -> Result<(), Error> {
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Element(element) => {
                let Some(Ok(results)) = element.structure().map(Results::try_from) else { continue };
                let at = results.stream_time.unwrap_or_default();
                match results.event {
                    Event::Update => println!("{at} {} faces", results.faces.len()),
                    event => println!("{at} {} (face {})", event.as_str(), results.identity),
                }
            }
            gst::MessageView::Error(error) => {
                return Err(format!("{} {}", error.error(), error.debug().unwrap_or_default()).into());
            }
            gst::MessageView::Eos(_) => break,
            _ => {}
        }
    }
    Ok(())
}
