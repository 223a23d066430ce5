//! The element in a Rust program, linked statically: no plugin path, no installation.
//!
//! ```sh
//! cargo run --release --example embed -- tests/data/astronaut.jpg
//! ```

use gst::prelude::*;
use gstsmile::smilefilter::{Event, Results};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: embed PICTURE_OR_VIDEO")?;
    gst::init()?;
    gstsmile::plugin_register_static()?;

    let pipeline = gst::parse::launch(
        "filesrc name=file ! decodebin ! videoconvert ! smilefilter name=smile ! fakesink",
    )?;
    let bin = pipeline.clone().downcast::<gst::Bin>().map_err(|_| "a pipeline is a bin")?;
    bin.by_name("file").expect("it is above").set_property("location", file);
    bin.by_name("smile").expect("it is above").connect("smile-changed", false, |values| {
        println!("signal: face {:?} smiles: {:?}", values[1].get::<u32>(), values[2].get::<bool>());
        None
    });

    // What goes wrong here is told by the bus, in better words.
    let _ = pipeline.set_state(gst::State::Playing);
    for message in pipeline.bus().expect("pipelines have one").iter_timed(gst::ClockTime::NONE) {
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
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}
