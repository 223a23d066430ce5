//! Takes a full-resolution JPEG when everybody in the picture has smiled for a second, and counts down
//! to it on screen.
//!
//! ```sh
//! cargo run --release --example smile-shutter -- 'holiday-%03d.jpg'
//! ```
//!
//! Two more arguments name a source and a sink in the words of `gst-launch-1.0`.

use gst::prelude::*;
use gstsmile::smilefilter::{Event, Results};

type Error = Box<dyn std::error::Error>;

/// So long everybody has to smile.
const HOLD: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// The shortest time from one picture to the next.
const PAUSE: gst::ClockTime = gst::ClockTime::from_seconds(3);

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let pictures = arguments.next().unwrap_or_else(|| "smile-%03d.jpg".into());
    let camera = if cfg!(target_os = "macos") { "avfvideosrc" } else { "v4l2src" };
    let source = arguments.next().unwrap_or_else(|| camera.into());
    let sink = arguments.next().unwrap_or_else(|| "autovideosink".into());
    gst::init()?;
    gstsmile::plugin_register_static()?;
    // The shutter is open for one frame at a time; what it lets through has no labels on it.
    let pipeline = gst::parse::launch(&format!(
        "{source} ! videoconvert ! tee name=tee \
         tee. ! queue ! videoconvert ! smilefilter name=smile updates=every-frame \
              ! textoverlay name=countdown valignment=center font-desc=\"Sans 48\" ! videoconvert ! {sink} \
         tee. ! queue leaky=downstream max-size-buffers=2 \
              ! valve name=shutter drop=true drop-mode=forward-sticky-events ! jpegenc quality=95 ! multifilesink async=false location=\"{pictures}\""
    ))?;
    let bin = pipeline.clone().downcast::<gst::Bin>().map_err(|_| "a pipeline is a bin")?;
    let [countdown, shutter] = ["countdown", "shutter"].map(|name| bin.by_name(name).expect("it is above"));
    let open = shutter.clone();
    shutter.static_pad("src").expect("valves have one").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        open.set_property("drop", true);
        gst::PadProbeReturn::Ok
    });
    let mut countdown_to = Countdown::default();
    // What goes wrong here is told by the bus, in better words.
    let _ = pipeline.set_state(gst::State::Playing);
    for message in pipeline.bus().expect("pipelines have one").iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Element(element) => {
                let Some(Ok(results)) = element.structure().map(Results::try_from) else { continue };
                if let (Event::Update, Some(now)) = (results.event, results.running_time) {
                    let left = countdown_to.left(&results, now);
                    countdown.set_property("text", left.map_or(String::new(), |left| format!("{left:.1}")));
                    if left == Some(0.0) {
                        println!("Smile! {} faces", results.faces.len());
                        shutter.set_property("drop", false);
                    }
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

/// The time to the next picture.
#[derive(Default)]
struct Countdown {
    since: Option<gst::ClockTime>,
    last: Option<gst::ClockTime>,
}

impl Countdown {
    /// The seconds left, while everybody smiles; 0 when it is time.
    fn left(&mut self, results: &Results, now: gst::ClockTime) -> Option<f64> {
        let everybody = !results.faces.is_empty() && results.faces.iter().all(|face| face.smiling);
        let paused = self.last.is_some_and(|last| now.saturating_sub(last) < PAUSE);
        if !everybody || paused {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let left = HOLD.saturating_sub(now.saturating_sub(since));
        if left.is_zero() {
            (self.since, self.last) = (None, Some(now));
        }
        Some(left.seconds_f64())
    }
}
