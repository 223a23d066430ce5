//! The analysis of frames, on whichever thread that is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst_video::VideoFrameRef;

use super::frame;
use super::properties::{Labels, Settings};
use super::stats::Stats;
use super::swap::{Loaded, Network, Swaps};
use crate::analysis::{self, Analyzer, Effort, Face, Rect, Request, Search};
use crate::model::{Error, Region, Result};

/// What is asked about one frame.
#[derive(Clone, Debug)]
pub struct Task {
    /// The frame's place in the stream.
    pub time: Option<Duration>,
    pub settings: analysis::Settings,
    pub search: Search,
    /// Upstream's regions on the buffer.
    pub regions: Vec<Rect>,
    /// The frame has nothing to do with those before.
    pub anew: bool,
    /// There is no time for a network.
    pub skip: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub faces: Vec<Face>,
    /// What the weights call the answers.
    pub labels: Labels,
    /// The place in the stream of the last frame that the faces were seen in.
    pub time: Option<Duration>,
    pub effort: Effort,
    /// How long the networks took when they were last at work.
    pub took: Duration,
}

/// Tests put a fault into the frame of this time.
#[cfg(test)]
pub const FAULT: Duration = Duration::from_nanos(7_777_777);

/// Looks at frame after frame.
pub struct Worker {
    analyzer: Analyzer,
    swaps: Arc<Swaps>,
    stats: Arc<Stats>,
    outcome: Outcome,
}

impl Worker {
    /// # Errors
    /// Those of [`Network::load`].
    pub fn new(settings: &Settings, swaps: Arc<Swaps>, stats: Arc<Stats>) -> Result<Self> {
        let (Loaded::Smile(classifier), Loaded::Face(locator)) =
            (Network::Smile.load(settings)?, Network::Face.load(settings)?)
        else {
            unreachable!("each network loads its own kind")
        };
        stats.reset();
        stats.set_device(&classifier);
        let analyzer = Analyzer::with_networks(classifier, Some(*locator));
        let outcome = Outcome {
            faces: Vec::new(),
            labels: Arc::new(analyzer.labels().clone()),
            time: None,
            effort: Effort::default(),
            took: Duration::ZERO,
        };
        Ok(Self { analyzer, swaps, stats, outcome })
    }

    /// The part of pictures that the weights were trained on.
    pub fn trained_on(&self) -> Region {
        self.analyzer.trained_on()
    }

    /// Looks at the next frame of the stream.
    ///
    /// # Errors
    /// Where the frame can't be read, or a network fails on its device.
    pub fn look(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        task: &Task,
    ) -> std::result::Result<&Outcome, glib::BoolError> {
        #[cfg(test)]
        assert_ne!(task.time, Some(FAULT), "a fault for a test");
        self.take_over();
        if task.anew {
            self.analyzer.forget();
            self.outcome.time = None;
        }
        let picture = frame::picture(frame)?;
        let start = Instant::now();
        self.analyzer.configure(task.settings);
        let request = Request { search: task.search, regions: &task.regions, skip: task.skip };
        let faces = self.analyzer.analyze(&picture, task.time, &request);
        let faces = faces.map_err(|error| glib::bool_error!("{error}"))?;
        self.outcome.faces.clear();
        self.outcome.faces.extend_from_slice(faces);
        self.outcome.effort = self.analyzer.effort();
        if self.outcome.effort.fresh {
            self.outcome.time = task.time;
        }
        if self.outcome.effort.inferred {
            self.outcome.took = start.elapsed();
            self.stats.count_inference(self.outcome.took);
        }
        Ok(&self.outcome)
    }

    /// What made the GPU fail with the last frame, which the CPU then looked at.
    pub fn take_failure(&mut self) -> Option<Error> {
        let classifier = self.analyzer.classifier();
        let failure = classifier.take_failure()?;
        self.stats.set_device(classifier);
        Some(failure)
    }

    /// Takes over the networks that were loaded meanwhile.
    fn take_over(&mut self) {
        for loaded in self.swaps.take() {
            match loaded {
                Loaded::Smile(classifier) => {
                    self.stats.set_device(&classifier);
                    self.analyzer.set_classifier(classifier);
                    self.outcome.labels = Arc::new(self.analyzer.labels().clone());
                }
                Loaded::Face(locator) => self.analyzer.set_locator(*locator),
            }
        }
    }
}
