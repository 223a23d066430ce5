//! What GObject and GStreamer ask of the element: its class, properties, pads, states, caps, queries and events.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::element::{CAT, Engine, SmileFilter, Snapshot, State, Streaming};
use super::properties;
use super::swap::{Network, Swaps, explain};
use super::utc::clock_time;
use super::worker::Worker;
use super::{Mode, caps};
use crate::model::Error;

impl SmileFilter {
    /// Forgets all faces, and counts anew.
    fn reset(&self) {
        self.state().forget();
        self.stats.reset();
    }

    /// What a frame needs to know, and what it is worked on with.
    fn begin(&self, buffer: &gst::BufferRef) -> Option<(Snapshot, Box<Streaming>)> {
        let settings = self.settings().frame.clone();
        let info = self.state().info.clone()?;
        let times = self.times(buffer, &info);
        let qos = self.obj().property::<bool>("qos");
        self.stats.counts().frames += 1;
        let mut state = self.state();
        let shows_rate = settings.display.contains(super::Display::FPS);
        let rate = state.rate.tick(Instant::now()).filter(|_| shows_rate);
        // Where nothing was before, there is nothing to repeat.
        let repeats = state.running && buffer.flags().contains(gst::BufferFlags::GAP);
        let late = !repeats && state.is_late(times.running_time.filter(|_| qos));
        let frame = Snapshot {
            info,
            settings,
            pool: state.pool.clone(),
            anew: !std::mem::replace(&mut state.running, true),
            late,
            repeats,
            rate,
        };
        let mut streaming = state.streaming.take()?;
        streaming.times = times;
        Some((frame, streaming))
    }

    /// Loads the networks and gets ready for frames.
    fn start_streaming(&self) -> Result<(), gst::ErrorMessage> {
        let begun = Instant::now();
        for words in std::mem::take(&mut *self.refused()).into_values() {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{words}"));
        }
        let swaps = Arc::new(Swaps::default());
        // From here on, a change of the model is loaded aside; settings read after that miss none.
        self.state().swaps = Some(swaps.clone());
        let settings = self.settings().clone();
        swaps.started(settings.clone());
        let worker = Worker::new(&settings, swaps.clone(), self.stats.clone()).map_err(|error| {
            let kind = match error {
                Error::Device { .. } => gst::ResourceError::NotFound,
                Error::Read { .. } => gst::ResourceError::OpenRead,
                _ => gst::ResourceError::Read,
            };
            gst::error_msg!(kind, ("{}", explain(&error)))
        })?;
        swaps.started_on(worker.trained_on());
        self.warn_where_unsuited(&swaps);
        let engine = match settings.mode {
            Mode::Sync => Engine::Sync(Box::new(worker)),
            Mode::Async => Engine::Async(self.spawn(Box::new(worker)).map_err(|error| {
                gst::error_msg!(gst::ResourceError::Failed, ("There is no thread for mode=async: {error}"))
            })?),
        };
        let streaming = Some(Box::new(Streaming::new(engine)));
        *self.state() = State { streaming, swaps: Some(swaps), ..State::default() };
        let (device, reason) = {
            let counts = self.stats.counts();
            (counts.device.clone(), counts.device_reason.clone())
        };
        let took = begun.elapsed();
        gst::info!(CAT, imp = self, "Ready on {device} ({reason}) after {took:?}, with {settings:?}");
        Ok(())
    }

    /// Waits for frames that are still looked at.
    fn finish(&self) {
        let settings = self.settings().frame.clone();
        let streaming = {
            let mut state = self.state();
            if state.running { state.streaming.take() } else { None }
        };
        if let Some(mut streaming) = streaming {
            self.drain(&mut streaming, &settings);
            self.state().streaming = Some(streaming);
        }
    }
}

/// A pool that frames like `info` are copied into.
fn pool(caps: &gst::Caps, info: &gst_video::VideoInfo) -> Result<gst::BufferPool, glib::BoolError> {
    let pool = gst_video::VideoBufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(caps), info.size() as u32, 0, 0);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
    pool.set_config(config)?;
    pool.set_active(true)?;
    Ok(pool.upcast())
}

impl ObjectImpl for SmileFilter {
    fn properties() -> &'static [glib::ParamSpec] {
        properties::specs()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                // Identity, whether it smiles, probability of smiling.
                glib::subclass::Signal::builder("smile-changed")
                    .param_types([u32::static_type(), bool::static_type(), f64::static_type()])
                    .build(),
                glib::subclass::Signal::builder("reset")
                    .action()
                    .class_handler(|arguments| {
                        let element = arguments[0].get::<super::SmileFilter>();
                        element.expect("a signal of this element").imp().reset();
                        None
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let set = {
            let mut settings = self.settings();
            let set = settings.set(pspec.name(), value);
            gst::info!(CAT, imp = self, "{settings:?}");
            set
        };
        self.refused().remove(pspec.name());
        if let Err(error) = set {
            let words = format!("Property {}: {error}", pspec.name());
            gst::warning!(CAT, imp = self, "{words}");
            if self.obj().bus().is_some() {
                gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{words}"));
            } else {
                self.refused().insert(pspec.name().into(), words);
            }
            return;
        }
        if let Some(network) = Network::of_property(pspec.name()) {
            self.load(network);
        }
        if let ("region", Some(swaps)) = (pspec.name(), self.swaps()) {
            self.warn_where_unsuited(&swaps);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => {
                let faces = self.state().known.count();
                self.stats.counts().structure(faces).to_value()
            }
            "smiling" => self.state().known.smiling().to_value(),
            "num-faces" => self.state().known.count().to_value(),
            name => self.settings().get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_gap_aware(true);
        self.obj().set_property("qos", true);
    }
}

impl GstObjectImpl for SmileFilter {}

impl ElementImpl for SmileFilter {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Smile filter",
                "Filter/Analyzer/Video",
                "Finds faces, classifies them as smiling or not with a neural network, labels the video and \
                 posts results",
                "The smilefilter developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                    .expect("name and caps are sound")
            };
            let mut taken = caps::template();
            taken.merge(caps::refused());
            vec![
                template("sink", gst::PadDirection::Sink, &taken),
                template("src", gst::PadDirection::Src, &caps::template()),
            ]
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for SmileFilter {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        // What doesn't start isn't stopped either.
        self.start_streaming().inspect_err(|_| self.state().swaps = None)
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let state = std::mem::take(&mut *self.state());
        if let Some(pool) = &state.pool {
            let _ = pool.set_active(false);
        }
        // Where a thread looks at frames, its end is waited for here.
        drop(state);
        gst::info!(CAT, imp = self, "Stopped");
        Ok(())
    }

    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_propose_allocation(decide_query, query)?;
        // Downstream, which has answered in place of an element that works in place, may know how to show a
        // part of a picture alone; here, all of it would be looked at.
        while let Some(index) = query.find_allocation_meta::<gst_video::VideoCropMeta>() {
            query.remove_nth_allocation_meta(index);
        }
        Ok(())
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let answered = BaseTransformImplExt::parent_query(self, direction, query);
        if let (true, gst::QueryViewMut::Latency(latency)) = (answered, query.view_mut()) {
            let own = clock_time(self.state().latency.reported());
            let (live, min, max) = latency.result();
            latency.set(live, min + own, max.map(|max| max + own));
        }
        answered
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let other = if direction == gst::PadDirection::Sink {
            let mut caps_downstream = caps::add_overlay_feature(caps);
            caps_downstream.merge(caps.clone());
            if caps::name_fields(caps) {
                // As if they weren't refused: that has to come to light with the caps, and not as a failed link.
                caps_downstream.merge(caps::template());
            }
            caps_downstream
        } else {
            let mut caps_upstream = caps::allow_plain(caps);
            caps_upstream.merge(caps::refused());
            caps_upstream
        };
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }

    fn fixate_caps(&self, direction: gst::PadDirection, caps: &gst::Caps, other: gst::Caps) -> gst::Caps {
        // Who takes anything takes overlays too, but needn't draw them: only who names them counts.
        let peer = self.obj().src_pad().peer_query_caps(None);
        let downstream = direction == gst::PadDirection::Sink;
        let other = if downstream && !caps::name_overlays(&peer) && caps.can_intersect(&other) {
            caps.intersect(&other)
        } else {
            other
        };
        self.parent_fixate_caps(direction, caps, other)
    }

    fn set_caps(&self, incaps: &gst::Caps, outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "{incaps} to {outcaps}");
        let info = caps::parse(incaps).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            gst::loggable_error!(CAT, "{error}")
        })?;
        // The setting may be for the next start already.
        let copies = self.state().streaming.as_ref().is_some_and(|streaming| streaming.copies());
        let pool = copies.then(|| pool(incaps, &info)).transpose();
        let pool = pool.map_err(|error| gst::loggable_error!(CAT, "{error}"))?;
        let mut state = self.state();
        state.forget();
        state.info = Some(info);
        state.attach = None;
        if let Some(old) = std::mem::replace(&mut state.pool, pool) {
            let _ = old.set_active(false);
        }
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            // Before the base class finds that downstream can't have them, which it says in no words.
            gst::EventView::Caps(event) => {
                if let Err(error) = caps::check(event.caps()) {
                    let caps = event.caps_owned();
                    // Upstream tries again with each buffer and query.
                    if self.state().refused_caps.replace(caps.clone()) != Some(caps) {
                        gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                    }
                    return false;
                }
                self.state().refused_caps = None;
            }
            gst::EventView::FlushStop(_) => self.state().forget(),
            gst::EventView::StreamStart(_) => {
                let mut state = self.state();
                state.forget();
                state.turned = false;
            }
            gst::EventView::Tag(tags) => self.heed_orientation(tags.tag()),
            gst::EventView::Eos(_) => self.finish(),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Reconfigure(_) => self.state().attach = None,
            gst::EventView::Qos(qos) => {
                let (_, _, jitter, time) = qos.get();
                let until = time.map(|time| {
                    let jitter = i128::from(jitter) + i128::from(time.nseconds());
                    gst::ClockTime::from_nseconds(jitter.clamp(0, i64::MAX.into()) as u64)
                });
                self.state().late_until = until;
                // Past the base class, which would drop late frames.
                return self.obj().sink_pad().push_event(event);
            }
            _ => {}
        }
        self.parent_src_event(event)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        mut buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        // A buffer that others hold too gets a twin on the same memory; pixels are copied only
        // when they are drawn on.
        buffer.make_mut();
        self.parent_submit_input_buffer(is_discont, buffer)
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        if buffer.flags().contains(gst::BufferFlags::GAP) && buffer.size() == 0 {
            return Ok(gst::FlowSuccess::Ok);
        }
        let start = Instant::now();
        let Some((frame, mut streaming)) = self.begin(buffer) else {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ["A frame before start or caps"]);
            return Err(gst::FlowError::NotNegotiated);
        };
        let (mut waits, mut failed) = (true, false);
        let processed = self.process(&mut streaming, &frame, buffer);
        if let Engine::Async(mailbox) = &streaming.engine {
            (waits, failed) = (false, mailbox.has_failed());
        }
        self.state().streaming = Some(streaming);
        if failed {
            return Err(gst::FlowError::Error);
        }
        if let Err(error) = processed {
            // What it had nothing to do with, the next frame has not either.
            self.state().running &= !frame.anew;
            self.warn(&error);
        }
        if waits {
            let rate = frame.info.fps();
            let lasts = (rate.numer() > 0)
                .then(|| Duration::from_secs_f64(f64::from(rate.denom()) / f64::from(rate.numer())));
            self.account(start, lasts.or_else(|| buffer.duration().map(Into::into)));
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
