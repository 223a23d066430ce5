//! The thread of a camera.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstsmile::smilefilter::{Event, Results};
use tracing::{info, warn};

use super::decode::reasons;
use super::minutes::Adder;
use super::pipeline::Pipeline;
use super::state::{Action, AtEnd, Input, Limits, Machine, State};
use super::{Note, Shared};
use crate::config::source::{Source, mask_in};
use crate::config::{self};
use crate::hub::{Hub, Record};
use crate::now;

/// How often time is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How often minutes are handed on before they are full, in milliseconds.
const HAND_ON: u64 = 5000;
/// Pipelines of one camera that still hang while they are taken down.
const MOST_STUCK: usize = 3;
/// How long a stop waits for a pipeline that hangs.
const GOODBYE: Duration = Duration::from_millis(1500);

pub struct Run {
    camera: config::Camera,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    notes: SyncSender<Note>,
    inbox: Receiver<Note>,
    machine: Machine,
    start: Instant,
    pipeline: Option<Pipeline>,
    /// The number of the pipeline, so that messages of an earlier one are known.
    generation: u64,
    stuck: Arc<AtomicUsize>,
    adder: Adder,
    handed_on: u64,
    frames: u64,
    /// When frames were last counted, and how many there were.
    rate: (Instant, u64),
    /// Inferences and skipped frames that this pipeline has told already.
    told: (u64, u64),
    missing: Vec<String>,
}

impl Run {
    pub fn new(
        camera: config::Camera,
        shared: Arc<Shared>,
        hub: Arc<Hub>,
        notes: SyncSender<Note>,
        inbox: Receiver<Note>,
    ) -> Self {
        let at_end = match Source::new(&camera.source) {
            Ok(source) if source.is_live() => AtEnd::Fail,
            _ if camera.repeat => AtEnd::Rewind,
            _ => AtEnd::Stay,
        };
        let start = Instant::now();
        Self {
            camera,
            shared,
            hub,
            notes,
            inbox,
            machine: Machine::new(Limits::default(), at_end, Duration::ZERO),
            start,
            pipeline: None,
            generation: 0,
            stuck: Arc::default(),
            adder: Adder::new(now()),
            handed_on: now(),
            frames: 0,
            rate: (start, 0),
            told: (0, 0),
            missing: Vec::new(),
        }
    }

    pub fn run(mut self) {
        let mut tick = Instant::now();
        loop {
            let left = TICK.saturating_sub(tick.elapsed());
            match self.inbox.recv_timeout(left) {
                Ok(Note::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(note) => self.note(note),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if tick.elapsed() >= TICK {
                tick = Instant::now();
                self.tick();
            }
        }
        self.goodbye();
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Message(generation, message) => match message.view() {
                gst::MessageView::Element(element) => self.element(element.structure(), generation),
                _ if generation != self.generation => {}
                gst::MessageView::Error(error) => {
                    let text = explain(error, &self.missing, &self.camera.source);
                    self.step(Input::Error, Some(text));
                }
                gst::MessageView::Eos(_) => self.step(Input::End, Some("the stream has ended".into())),
                gst::MessageView::Latency(_) => {
                    if let Some(pipeline) = &self.pipeline {
                        let _ = pipeline.pipeline.recalculate_latency();
                    }
                }
                _ => {}
            },
            Note::Failed(generation, text) if generation == self.generation => {
                self.step(Input::Error, Some(text));
            }
            Note::Failed(..) | Note::Stop => {}
        }
    }

    fn element(&mut self, structure: Option<&gst::StructureRef>, generation: u64) {
        let Some(structure) = structure else { return };
        if structure.name() == "missing-plugin" && generation == self.generation {
            self.missing.extend(structure.get::<String>("name").ok());
        }
        if let Ok(results) = Results::try_from(structure) {
            self.results(results, generation);
        }
    }

    /// Takes over how things are, and tells what has happened.
    fn results(&mut self, mut results: Results, generation: u64) {
        let time = now();
        self.add_up(time);
        if generation == self.generation && self.pipeline.is_some() {
            let faces = results.faces.len() as u32;
            let smiling = results.faces.iter().filter(|face| face.smiling).count() as u32;
            self.shared.change(|status| (status.faces, status.smiling) = (faces, smiling));
            self.adder.set(self.machine.state() == State::Live, faces, smiling);
        }
        match results.event {
            Event::Update => {}
            event => {
                if event == Event::FaceAppeared {
                    self.adder.appeared();
                } else if event == Event::SmileStarted {
                    self.adder.smile_started();
                }
                self.shared.counters.events.fetch_add(1, Ordering::Relaxed);
                self.hub.event(&self.camera.name, time, &mut results);
            }
        }
        self.hub.changed(&self.camera.name);
    }

    fn add_up(&mut self, time: u64) {
        let (hub, name) = (&self.hub, &self.camera.name);
        self.adder.advance(time, |minute| hub.record(Record::Minute(name.clone(), minute)));
    }

    fn tick(&mut self) {
        let frames = self.shared.counters.frames.load(Ordering::Relaxed);
        let input = if frames > self.frames { Input::Frame } else { Input::Tick };
        self.frames = frames;
        self.step(input, None);
        self.measure(frames);
        let time = now();
        self.add_up(time);
        if time.abs_diff(self.handed_on) >= HAND_ON {
            self.hand_on(time);
        }
    }

    fn hand_on(&mut self, time: u64) {
        self.handed_on = time;
        let (hub, name) = (&self.hub, &self.camera.name);
        self.adder.flush(|minute| hub.record(Record::Minute(name.clone(), minute)));
    }

    /// Reads the element's own figures, once a second or so.
    fn measure(&mut self, frames: u64) {
        let (last, before) = self.rate;
        let passed = last.elapsed().as_secs_f64();
        if passed < 1.0 {
            return;
        }
        self.rate = (Instant::now(), frames);
        let rate = frames.saturating_sub(before) as f64 / passed;
        self.shared.change(|status| status.frames_per_second = (rate * 10.0).round() / 10.0);
        let Some(pipeline) = &self.pipeline else { return };
        let stats = pipeline.smile.property::<gst::Structure>("stats");
        let number = |name| stats.get::<u64>(name).unwrap_or(0);
        let (inferences, skipped) = (number("inferences"), number("skipped"));
        let counters = &self.shared.counters;
        counters.inferences.fetch_add(inferences.saturating_sub(self.told.0), Ordering::Relaxed);
        counters.skipped.fetch_add(skipped.saturating_sub(self.told.1), Ordering::Relaxed);
        counters.inference_time.store(number("inference-time-mean"), Ordering::Relaxed);
        self.told = (inferences, skipped);
    }

    /// Moves the state machine, and does what it says.
    fn step(&mut self, input: Input, reason: Option<String>) {
        let before = self.machine.state();
        let jitter = gst::glib::random_double();
        match self.machine.step(input, self.start.elapsed(), jitter) {
            Action::Nothing => {}
            Action::Start => self.begin(),
            Action::Stop => drop(self.take_down()),
            Action::Rewind => {
                if let Some(Err(error)) = self.pipeline.as_ref().map(Pipeline::rewind) {
                    return self.step(Input::Error, Some(error.to_string()));
                }
            }
        }
        let after = self.machine.state();
        if before != after {
            self.enter(before, after, reason);
        }
    }

    fn enter(&mut self, before: State, after: State, reason: Option<String>) {
        let name = self.camera.name.clone();
        let silence = || match before {
            State::Connecting => "no frame came after the start".to_string(),
            _ => "no frame has come for a while".to_string(),
        };
        let reason = match after {
            State::Live | State::Connecting => None,
            _ => Some(reason.unwrap_or_else(silence)),
        };
        match &reason {
            None => info!("{name}: {}", after.as_str()),
            Some(reason) => warn!("{name}: {}: {reason}", after.as_str()),
        }
        let time = now();
        self.add_up(time);
        let pause = self.machine.pause();
        self.shared.change(|status| {
            (status.state, status.since) = (after, time);
            status.retry = (after == State::Waiting).then(|| time + pause.as_millis() as u64);
            // Why it failed is of interest until it is live again.
            if after != State::Connecting {
                status.reason = reason;
            }
            if after == State::Waiting || after == State::Ended {
                (status.faces, status.smiling) = (0, 0);
            }
        });
        let status = self.shared.status();
        self.adder.set(after == State::Live, status.faces, status.smiling);
        self.hub.changed(&name);
    }

    fn begin(&mut self) {
        self.generation += 1;
        self.missing.clear();
        self.told = (0, 0);
        if self.generation > 1 {
            self.shared.change(|status| status.restarts += 1);
        }
        let fail = |run: &Self, text: String| {
            let text = mask_in(&text, &run.camera.source);
            // The queue may be full; the start then fails by the time that it takes.
            let _ = run.notes.try_send(Note::Failed(run.generation, text));
        };
        if self.stuck.load(Ordering::Relaxed) >= MOST_STUCK {
            return fail(
                self,
                "earlier pipelines of this camera hang; it is tried again when one has ended".into(),
            );
        }
        let built = Pipeline::new(&self.camera, &self.shared, &self.notes, self.generation);
        let pipeline = match built {
            Ok(pipeline) => pipeline,
            Err(error) => return fail(self, error.to_string()),
        };
        let (inner, notes, generation) = (pipeline.pipeline.clone(), self.notes.clone(), self.generation);
        self.pipeline = Some(pipeline);
        // To open a camera may take as long as it likes.
        self.aside(move || {
            if inner.set_state(gst::State::Playing).is_err() {
                let text = "its pipeline can't be played".to_string();
                // The message with the cause comes first.
                let _ = notes.send(Note::Failed(generation, text));
            }
        });
    }

    /// Takes the pipeline down on a thread of its own, which may hang; says when it is done.
    fn take_down(&mut self) -> Option<Arc<AtomicBool>> {
        self.shared.preview.clear();
        let pipeline = self.pipeline.take()?;
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        self.aside(move || {
            let _ = pipeline.pipeline.set_state(gst::State::Null);
            is_done.store(true, Ordering::Release);
        });
        Some(done)
    }

    fn aside(&self, work: impl FnOnce() + Send + 'static) {
        let stuck = self.stuck.clone();
        stuck.fetch_add(1, Ordering::Relaxed);
        let spawned = std::thread::Builder::new().name("pipeline".into()).spawn(move || {
            work();
            stuck.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            self.stuck.fetch_sub(1, Ordering::Relaxed);
            warn!("{}: no thread can be had: {error}", self.camera.name);
        }
    }

    /// Stops, with the events that are still on their way.
    fn goodbye(mut self) {
        let until = Instant::now() + GOODBYE;
        if let Some(done) = self.take_down() {
            while !done.load(Ordering::Acquire) && Instant::now() < until {
                if let Ok(note) = self.inbox.recv_timeout(Duration::from_millis(10)) {
                    self.note_last(note);
                }
            }
        }
        while let Ok(note) = self.inbox.try_recv() {
            self.note_last(note);
        }
        let time = now();
        self.add_up(time);
        self.hand_on(time);
        self.hub.changed(&self.camera.name);
        drop(self.shared.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note_last(&mut self, note: Note) {
        if let Note::Message(generation, message) = note
            && let gst::MessageView::Element(element) = message.view()
        {
            self.element(element.structure(), generation);
        }
    }
}

/// An error in one line, without passwords.
fn explain(error: &gst::message::Error, missing: &[String], source: &str) -> String {
    let mut text = error.error().to_string();
    // Sources say no more where nobody answers, or the connection ends in the middle.
    if text.starts_with("Internal data stream error") {
        text = "its video can't be reached or has broken off".into();
    }
    text += &reasons(error, missing);
    mask_in(&text, source)
}
