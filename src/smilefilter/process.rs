//! The way of a frame through the element.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoFrameRef;

use super::announce::labels;
use super::element::{CAT, Engine, Job, SmileFilter, Snapshot, Streaming};
use super::frame::Blender;
use super::mailbox::{Mailbox, Panic};
use super::metas::{self, regions};
use super::overlay::{Overlay, Style};
use super::properties::FrameSettings;
use super::utc::utc;
use super::worker::{Outcome, Task, Worker};
use super::{Results, frame};
use crate::analysis::{Effort, Search};
use crate::model::Error;

impl SmileFilter {
    /// A thread that has `worker` look at frames.
    pub fn spawn(&self, mut worker: Box<Worker>) -> std::io::Result<Mailbox<Job, Outcome>> {
        let (warns, fails) = (self.obj().downgrade(), self.obj().downgrade());
        let work = move |job: Job| {
            let frame = VideoFrameRef::from_buffer_ref_readable(&job.frame, &job.info);
            let outcome = frame.and_then(|frame| worker.look(&frame, &job.task).cloned());
            if let (Some(failure), Some(obj)) = (worker.take_failure(), warns.upgrade()) {
                obj.imp().warn_of_gpu(&failure);
            }
            outcome.inspect_err(|error| warns.upgrade().iter().for_each(|obj| obj.imp().warn(error))).ok()
        };
        let failed = move |panic: Panic| fails.upgrade().iter().for_each(|obj| obj.imp().fail(&panic));
        Mailbox::new("smilefilter", work, failed)
    }

    /// Ends the stream after a panic on a thread of the element's own.
    pub fn fail(&self, panic: &Panic) {
        let words = panic.downcast_ref::<&str>().copied();
        let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        gst::element_imp_error!(self, gst::LibraryError::Failed, ("Panicked: {}", words.unwrap_or("")));
    }

    /// Finds out about one frame, draws on it and tells about it.
    pub fn process(
        &self,
        streaming: &mut Streaming,
        frame: &Snapshot,
        buffer: &mut gst::BufferRef,
    ) -> Result<(), glib::BoolError> {
        frame::check(buffer, &frame.info)?;
        self.look(streaming, frame, buffer)?;
        let Some(outcome) = &streaming.outcome else { return Ok(()) };
        gst::trace!(CAT, imp = self, "{outcome:?}");
        let settings = &frame.settings;
        let results = settings.attach_metas.then(|| {
            let mut results = self.results(outcome, settings, &streaming.times);
            #[cfg(feature = "analytics")]
            if let Err(error) = streaming.analytics.write(buffer, &outcome.faces, labels(outcome, settings)) {
                gst::log!(CAT, imp = self, "Not all analytics metadata: {error}");
            }
            regions::write(buffer, settings.roi_type, &outcome.faces, &mut results.faces);
            if let Err(error) = metas::results::write(buffer, &results) {
                // Something else in the process has taken the name; messages and regions tell the same.
                gst::log!(CAT, imp = self, "No results meta: {error}");
            }
            results
        });
        self.announce(outcome, settings, &streaming.times, results);
        let Streaming { overlay, blender, .. } = streaming;
        self.draw(overlay, blender, outcome, frame, buffer)
    }

    /// Brings `streaming.outcome` up to date for this frame.
    fn look(
        &self,
        streaming: &mut Streaming,
        frame: &Snapshot,
        buffer: &gst::BufferRef,
    ) -> Result<(), glib::BoolError> {
        let Streaming { engine, regions, times, outcome, .. } = streaming;
        let search = Search::from(frame.settings.region);
        regions.clear();
        #[cfg(feature = "analytics")]
        streaming.analytics.begin(frame.anew);
        if matches!(search, Search::Auto | Search::Regions) {
            regions::read(buffer, frame.settings.roi_type, regions);
            #[cfg(feature = "analytics")]
            streaming.analytics.read(buffer, frame.settings.roi_type, regions);
        }
        let task = Task {
            time: times.time(),
            settings: (&frame.settings).into(),
            search,
            regions: std::mem::take(regions),
            anew: frame.anew,
            skip: frame.late || frame.repeats,
        };
        if frame.late {
            self.stats().counts().skipped += 1;
        }
        match engine {
            Engine::Sync(worker) => {
                let view = VideoFrameRef::from_buffer_ref_readable(buffer, &frame.info)?;
                let found = worker.look(&view, &task)?;
                match outcome {
                    Some(outcome) => outcome.clone_from(found),
                    none => *none = Some(found.clone()),
                }
                if let Some(failure) = worker.take_failure() {
                    self.warn_of_gpu(&failure);
                }
                *regions = task.regions;
            }
            Engine::Async(mailbox) => {
                if frame.anew {
                    mailbox.clear();
                    *outcome = None;
                }
                *outcome = mailbox.take().or_else(|| outcome.take()).map(|outcome| Outcome {
                    // Whatever was seen was seen in a frame before.
                    effort: Effort::default(),
                    ..outcome
                });
                if let Some(outcome) = outcome {
                    regions::assign(&mut outcome.faces, &task.regions);
                }
                if !task.skip {
                    self.hand_over(mailbox, frame, buffer, task)?;
                }
            }
        }
        Ok(())
    }

    /// Puts a copy of the frame into the mailbox.
    fn hand_over(
        &self,
        mailbox: &Mailbox<Job, Outcome>,
        frame: &Snapshot,
        buffer: &gst::BufferRef,
        mut task: Task,
    ) -> Result<(), glib::BoolError> {
        let pool = frame.pool.as_ref().ok_or_else(|| glib::bool_error!("no memory for copies"))?;
        let mut copy = pool.acquire_buffer(None).map_err(|error| glib::bool_error!("{error}"))?;
        {
            let from = VideoFrameRef::from_buffer_ref_readable(buffer, &frame.info)?;
            let mut to = VideoFrameRef::from_buffer_ref_writable(copy.make_mut(), &frame.info)?;
            frame::copy(&from, &mut to)?;
        }
        mailbox.put(|passed_over| {
            if let Some(passed_over) = passed_over {
                task.anew |= passed_over.task.anew;
                self.stats().counts().skipped += 1;
            }
            Job { frame: copy, info: frame.info.clone(), task }
        });
        Ok(())
    }

    /// Waits for the frames that are still looked at, and tells of them.
    pub fn drain(&self, streaming: &mut Streaming, settings: &FrameSettings) {
        let Engine::Async(mailbox) = &streaming.engine else { return };
        mailbox.drain();
        if let Some(mut outcome) = mailbox.take() {
            if outcome.time != streaming.times.time() {
                outcome.effort = Effort::default();
            }
            self.announce(&outcome, settings, &streaming.times, None);
        }
    }

    /// The times of a frame, without faces yet.
    pub fn times(&self, buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Results {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        let pts = buffer.pts();
        let running_time = segment.and_then(|segment| segment.to_running_time(pts));
        Results {
            timestamp: pts,
            stream_time: segment.and_then(|segment| segment.to_stream_time(pts)),
            running_time,
            utc: utc(&*self.obj(), buffer, running_time),
            duration: buffer.duration(),
            width: info.width(),
            height: info.height(),
            ..Results::default()
        }
    }

    fn draw(
        &self,
        overlay: &mut Overlay,
        blender: &mut Blender,
        outcome: &Outcome,
        frame: &Snapshot,
        buffer: &mut gst::BufferRef,
    ) -> Result<(), glib::BoolError> {
        let Snapshot { info, settings, rate, .. } = frame;
        let labels = labels(outcome, settings);
        let style = Style::from(settings);
        let Some(composition) = overlay.composition(&outcome.faces, labels, style, *rate, info)? else {
            return Ok(());
        };
        // There is something in it now.
        buffer.unset_flags(gst::BufferFlags::GAP);
        if self.attaches() { attach(composition, buffer) } else { blender.blend(composition, buffer, info) }
    }

    /// Whether downstream draws overlays itself. A transform in place makes no allocation query of
    /// its own, so this asks, once downstream has the caps.
    fn attaches(&self) -> bool {
        if let Some(attach) = self.state().attach {
            return attach;
        }
        let pad = self.obj().src_pad().clone();
        let caps = pad.current_caps();
        // Where upstream was promised that overlays are drawn, ours is one more of them.
        let promised =
            self.obj().sink_pad().current_caps().is_some_and(|caps| super::caps::name_overlays(&caps));
        let mut query = gst::query::Allocation::new(caps.as_ref(), false);
        let attach = promised
            || pad.peer_query(&mut query)
                && query.find_allocation_meta::<gst_video::VideoOverlayCompositionMeta>().is_some();
        gst::debug!(CAT, imp = self, "Overlays are {}", if attach { "attached" } else { "blended" });
        self.state().attach = Some(attach);
        attach
    }

    /// Tells the user once that frames pass without an answer.
    pub fn warn(&self, error: &glib::BoolError) {
        gst::warning!(CAT, imp = self, "Frame passed without an answer: {error}");
        if !std::mem::replace(&mut self.state().warned, true) {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("Frames pass without an answer; further failures are only logged"),
                ["{error}"]
            );
        }
    }

    /// Tells that the CPU looks at frames from now on.
    pub fn warn_of_gpu(&self, failure: &Error) {
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Failed,
            ("The GPU has failed: {failure}. The CPU does its work from now on; no frame was lost")
        );
    }

    /// Takes in how long a frame took that came at `start`, and tells the pipeline where that makes
    /// its latency another.
    pub fn account(&self, start: Instant, lasts: Option<Duration>) {
        let Some(lasts) = lasts else { return };
        if self.state().latency.record(start.elapsed(), lasts) {
            gst::info!(CAT, imp = self, "The latency is {:?} now", self.state().latency.reported());
            let message = gst::message::Latency::builder().src(&*self.obj()).build();
            // Without a bus nobody asks for the latency either.
            let _ = self.obj().post_message(message);
        }
    }
}

impl Results {
    /// The frame's place in the stream, for the analysis.
    pub(super) fn time(&self) -> Option<Duration> {
        self.running_time.or(self.timestamp).map(Into::into)
    }
}

/// Puts the composition onto the buffer, next to those that upstream put there.
fn attach(
    composition: &gst_video::VideoOverlayComposition,
    buffer: &mut gst::BufferRef,
) -> Result<(), glib::BoolError> {
    let Some(mut meta) = buffer.meta_mut::<gst_video::VideoOverlayCompositionMeta>() else {
        gst_video::VideoOverlayCompositionMeta::add(buffer, composition);
        return Ok(());
    };
    let rectangles: Vec<_> = meta.overlay().iter().chain(composition.iter()).collect();
    meta.set_overlay(&gst_video::VideoOverlayComposition::new(&rectangles)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failing_after;
    use crate::smilefilter::SmileFilter as Element;
    use crate::smilefilter::swap::{Loaded, Network};
    use crate::smilefilter::utc::clock_time;
    use crate::smilefilter::worker::FAULT;

    /// An element that takes grey frames on the CPU, with a bus of its own.
    fn started(mode: &str) -> (Element, gst::Bus, gst_check::Harness) {
        let element: Element = glib::Object::new();
        element.set_property_from_str("mode", mode);
        element.set_property("device", "cpu");
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps_str("video/x-raw,format=RGB,width=32,height=32,framerate=30/1");
        (element, bus, harness)
    }

    fn frame(time: Duration) -> gst::Buffer {
        let mut buffer = gst::Buffer::from_mut_slice([7; 32 * 32 * 3]);
        buffer.get_mut().unwrap().set_pts(clock_time(time));
        buffer
    }

    #[test]
    fn a_panic_is_an_error_of_the_element_and_the_host_lives_on() {
        gst::init().unwrap();
        for mode in ["sync", "async"] {
            let (element, bus, mut harness) = started(mode);
            assert!(harness.push(frame(Duration::ZERO)).is_ok());
            let _ = harness.push(frame(FAULT));
            let timeout = gst::ClockTime::from_seconds(30);
            let message = bus.timed_pop_filtered(timeout, &[gst::MessageType::Error]).expect(mode);
            let gst::MessageView::Error(error) = message.view() else { unreachable!() };
            assert!(error.error().message().contains("a fault for a test"), "{mode}: {error:?}");
            assert_eq!(harness.push(frame(Duration::from_millis(40))), Err(gst::FlowError::Error), "{mode}");
            drop(harness);
            element.set_bus(None);
        }
    }

    #[test]
    fn a_gpu_that_fails_costs_one_warning_and_no_frame() {
        gst::init().unwrap();
        for mode in ["sync", "async"] {
            let (element, bus, mut harness) = started(mode);
            element.set_property_from_str("region", "center");
            // The built-in weights were trained on faces.
            assert!(bus.pop_filtered(&[gst::MessageType::Warning]).is_some());
            let swaps = element.imp().state().swaps.clone().unwrap();
            swaps.ask(Network::Smile);
            let (_, number) = swaps.next().unwrap();
            swaps.deliver(Network::Smile, number, String::new(), Loaded::Smile(failing_after(1)));
            for time in 0..20 {
                let pushed = harness.push(frame(Duration::from_millis(33 * time)));
                assert!(pushed.is_ok() && harness.pull().is_ok());
                while mode == "async"
                    && element.property::<gst::Structure>("stats").get::<u64>("inferences").unwrap() <= time
                {
                    std::thread::yield_now();
                }
            }
            let warnings = bus.iter_filtered(&[gst::MessageType::Warning]).collect::<Vec<_>>();
            let [warning] = &warnings[..] else { panic!("{mode}: {warnings:?}") };
            let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
            assert!(warning.error().message().contains("fell off the bus"), "{mode}: {warning:?}");
            let stats = element.property::<gst::Structure>("stats");
            assert_eq!(stats.get::<&str>("device"), Ok("cpu"), "{mode}: {stats}");
            drop(harness);
            element.set_bus(None);
        }
    }
}
