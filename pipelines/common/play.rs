//! Playing a pipeline to its end, whatever that is.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::decode::reasons;
use super::{Error, say, shown};

static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTS.load(Ordering::Relaxed) > 0
}

/// Has Ctrl-C counted from now on.
pub fn catch_interrupts() {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        // Where that can't be had, Ctrl-C ends the program at once.
        let _ = ctrlc::set_handler(|| {
            INTERRUPTS.fetch_add(1, Ordering::Relaxed);
        });
    });
}

/// What stopped a pipeline.
#[derive(Debug)]
pub struct Stopped {
    text: String,
    /// Everything from before has reached its end nonetheless, so that a file is whole.
    pub is_whole: bool,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Stopped {}

pub struct Play<'a> {
    pub pipeline: &'a gst::Pipeline,
    /// What errors are about; where there are many inputs, the one that failed is named instead.
    pub name: Option<&'a str>,
    /// Ctrl-C ends it well, as the end of a stream; what isn't live is left unfinished by it.
    pub is_live: bool,
}

impl Play<'_> {
    /// Plays to the end, with the element messages on the way; the pipeline is in the state NULL afterwards, also
    /// after an error. An application message of the pipeline's own ends it well, too.
    pub fn run(&self, on_message: impl FnMut(&gst::StructureRef) -> Result<(), Error>) -> Result<(), Error> {
        catch_interrupts();
        let mut progress = Progress::new(self.is_live);
        let result = self.messages(on_message, &mut progress);
        progress.clear();
        let stopped = self.pipeline.set_state(gst::State::Null);
        result?;
        stopped.map_err(|_| format!("{}: it can't be stopped", self.name()))?;
        Ok(())
    }

    fn messages(
        &self,
        mut on_message: impl FnMut(&gst::StructureRef) -> Result<(), Error>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let bus = self.pipeline.bus().expect("pipelines have one");
        let starts = self.pipeline.set_state(gst::State::Playing).is_ok();
        let mut missing = Vec::new();
        let mut ending = false;
        loop {
            if interrupted() {
                if !self.is_live || INTERRUPTS.load(Ordering::Relaxed) > 1 {
                    return Err(format!("{}: interrupted", self.name()).into());
                }
                self.end(&mut ending);
            }
            let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) else {
                if !starts {
                    return Err(format!("{}: it can't be played", self.name()).into());
                }
                progress.show(self.pipeline, self.name());
                continue;
            };
            match message.view() {
                gst::MessageView::Element(element) => match element.structure() {
                    Some(structure) if structure.name() == "missing-plugin" => {
                        missing.extend(structure.get::<String>("name").ok());
                    }
                    Some(structure) => on_message(structure)?,
                    None => {}
                },
                gst::MessageView::Error(error) => {
                    let text = self.explain(error, &missing);
                    // A camera that was pulled out ends its stream. What was recorded before isn't lost.
                    let patience = gst::ClockTime::from_seconds(3);
                    let is_whole =
                        self.is_live && bus.timed_pop_filtered(patience, &[gst::MessageType::Eos]).is_some();
                    return Err(Stopped { text, is_whole }.into());
                }
                gst::MessageView::Warning(warning) => {
                    progress.clear();
                    say(format!("Warning: {}: {}", self.name(), warning.error()));
                }
                gst::MessageView::Latency(_) => drop(self.pipeline.recalculate_latency()),
                gst::MessageView::Application(_) => self.end(&mut ending),
                gst::MessageView::Eos(_) => return Ok(()),
                _ => {}
            }
        }
    }

    fn name(&self) -> &str {
        self.name.unwrap_or("the inputs")
    }

    fn end(&self, ending: &mut bool) {
        if !std::mem::replace(ending, true) {
            self.pipeline.send_event(gst::event::Eos::new());
        }
    }

    fn explain(&self, error: &gst::message::Error, missing: &[String]) -> String {
        let name = match self.name {
            Some(name) => name.to_string(),
            None => input_of(error.src()).unwrap_or_else(|| self.name().to_string()),
        };
        format!("{name}: {}{}", error.error(), reasons(error, missing))
    }
}

/// The file or URI that an element is part of reading.
fn input_of(element: Option<&gst::Object>) -> Option<String> {
    let mut element = element.cloned();
    while let Some(inner) = element {
        if inner.has_property_with_type("uri", String::static_type()) {
            let uri = inner.property::<Option<String>>("uri")?;
            return Some(gst::glib::filename_from_uri(&uri).map_or(shown(&uri), |(path, _)| shown(path)));
        }
        element = inner.parent();
    }
    None
}

/// Counts the frames that leave an element, and ends the pipeline well after as many as are wanted.
pub fn count(pipeline: &gst::Pipeline, element: &gst::Element, wanted: Option<u64>) -> Arc<AtomicU64> {
    let counter = Arc::new(AtomicU64::new(0));
    let (count, pipeline) = (counter.clone(), pipeline.downgrade());
    element.static_pad("src").expect("filters have one").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let before = count.load(Ordering::Relaxed);
        if wanted.is_none_or(|wanted| before < wanted) {
            count.store(before + 1, Ordering::Relaxed);
            return gst::PadProbeReturn::Ok;
        }
        if let Some(pipeline) = pipeline.upgrade() {
            let enough = gst::message::Application::new(gst::Structure::new_empty("enough"));
            let _ = pipeline.post_message(enough);
        }
        gst::PadProbeReturn::Drop
    });
    counter
}

/// How far it is, once a second, where a person can see it.
struct Progress {
    is_wanted: bool,
    last: Instant,
    is_shown: bool,
}

impl Progress {
    fn new(is_live: bool) -> Self {
        Self { is_wanted: !is_live && std::io::stderr().is_terminal(), last: Instant::now(), is_shown: false }
    }

    fn show(&mut self, pipeline: &gst::Pipeline, name: &str) {
        if !self.is_wanted || self.last.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.last = Instant::now();
        let (at, of) =
            (pipeline.query_position::<gst::ClockTime>(), pipeline.query_duration::<gst::ClockTime>());
        if let (Some(at), Some(of)) = (at, of) {
            let percent = 100 * at.mseconds() / of.mseconds().max(1);
            self.is_shown = write!(std::io::stderr(), "\r{name}: {percent:3} % ").is_ok();
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
