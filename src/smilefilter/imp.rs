use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::{CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION as OVERLAY_FEATURE, VideoFrameRef};

use super::overlay::Overlay;
use super::properties::Settings;
use super::{Display, FORMATS, Region, Results, Updates, frame, regions, results};
use crate::analysis::{Analyzer, Face, Rect, Request, Search};
use crate::model::{self, DeviceChoice, Error, FaceWeights, SmileWeights};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("smilefilter", gst::DebugColorFlags::empty(), Some("Smile classification"))
});

#[derive(Default)]
struct State {
    info: Option<gst_video::VideoInfo>,
    /// Whether downstream draws overlays itself; `None` where it hasn't been asked.
    attach: Option<bool>,
    /// Out of here while a frame is worked on.
    worker: Option<Worker>,
    /// Identities and answers in the last frame.
    announced: Vec<(u32, bool)>,
    /// Whether frames before the next one count: not after a start, a flush or a change of format.
    running: bool,
    /// Whether the user has heard that frames can't be analysed.
    warned: bool,
}

/// What only the streaming thread uses.
struct Worker {
    analyzer: Analyzer,
    labels: [String; 2],
    /// Upstream's regions on the buffer.
    regions: Vec<Rect>,
    overlay: Overlay,
}

#[derive(Default)]
pub struct SmileFilter {
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

impl SmileFilter {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Analyses one frame, draws on it and tells about it.
    fn process(
        &self,
        worker: &mut Worker,
        info: &gst_video::VideoInfo,
        buffer: &mut gst::BufferRef,
        running: bool,
    ) -> Result<(), glib::BoolError> {
        let settings = self.settings().frame;
        let Worker { analyzer, labels, regions, overlay } = worker;
        if !running {
            analyzer.forget();
        }
        let search = Search::from(settings.region);
        regions.clear();
        if matches!(search, Search::Auto | Search::Regions) {
            regions::read(buffer, settings.roi_type, regions);
        }
        let times = self.times(buffer);
        let faces = {
            let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
            let time = times.running_time.or(times.timestamp).map(Into::into);
            let analyzed = analyzer.analyze(&frame::picture(&frame)?, time, &Request { search, regions });
            analyzed.map_err(|error| glib::bool_error!("{error}"))?
        };
        gst::trace!(CAT, imp = self, "{faces:?}");
        regions::write(buffer, settings.roi_type, faces);
        self.post(faces, labels, times, settings.updates);
        self.draw(overlay, faces, settings.display, info, buffer)
    }

    /// The times of a frame, without faces yet.
    fn times(&self, buffer: &gst::BufferRef) -> Results {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        let pts = buffer.pts();
        Results {
            timestamp: pts,
            stream_time: segment.and_then(|segment| segment.to_stream_time(pts)),
            running_time: segment.and_then(|segment| segment.to_running_time(pts)),
            duration: buffer.duration(),
            faces: Vec::new(),
        }
    }

    fn draw(
        &self,
        overlay: &mut Overlay,
        faces: &[Face],
        display: Display,
        info: &gst_video::VideoInfo,
        buffer: &mut gst::BufferRef,
    ) -> Result<(), glib::BoolError> {
        let Some(composition) = overlay.composition(faces, display, info)? else { return Ok(()) };
        if self.attaches() {
            attach(composition, buffer)
        } else {
            composition.blend(&mut VideoFrameRef::from_buffer_ref_writable(buffer, info)?)
        }
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
        let promised = self.obj().sink_pad().current_caps().is_some_and(|caps| caps_name_overlays(&caps));
        let mut query = gst::query::Allocation::new(caps.as_ref(), false);
        let attach = promised
            || pad.peer_query(&mut query)
                && query.find_allocation_meta::<gst_video::VideoOverlayCompositionMeta>().is_some();
        gst::debug!(CAT, imp = self, "Overlays are {}", if attach { "attached" } else { "blended" });
        self.state().attach = Some(attach);
        attach
    }

    fn post(&self, faces: &[Face], labels: &[String; 2], mut results: Results, updates: Updates) {
        let changed = {
            let mut state = self.state();
            let answers = || faces.iter().map(|face| (face.id, face.smiling));
            let same = state.running && answers().eq(state.announced.iter().copied());
            state.running = true;
            state.announced.clear();
            state.announced.extend(answers());
            !same
        };
        if updates == Updates::None || updates == Updates::OnChange && !changed {
            return;
        }
        results.faces =
            faces.iter().map(|face| results::Face::new(face, &labels[usize::from(face.smiling)])).collect();
        let message = gst::message::Element::builder(gst::Structure::from(&results)).src(&*self.obj());
        if self.obj().post_message(message.build()).is_err() {
            gst::log!(CAT, imp = self, "Nobody listens to the results");
        }
    }

    /// Tells the user once that frames pass without an answer.
    fn warn(&self, error: &glib::BoolError) {
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
}

impl Worker {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let device = settings.device.parse::<DeviceChoice>()?;
        let (weights, name) = match settings.model_file.as_str() {
            "" => (SmileWeights::embedded()?, "the built-in model"),
            path => (SmileWeights::read(Path::new(path))?, path),
        };
        let faces = FaceWeights::embedded()?;
        let analyzer = Analyzer::new(&weights, Some(&faces), device).map_err(|error| match error {
            Error::Weights { reason, .. } => Error::Weights { name: name.into(), reason },
            Error::Candle(reason) => Error::Weights { name: name.into(), reason: reason.to_string() },
            other => other,
        })?;
        let labels = analyzer.labels().clone();
        let overlay = Overlay::new(&labels);
        Ok(Self { analyzer, labels, regions: Vec::new(), overlay })
    }

    /// Whether the weights were trained on what they will see.
    fn suits(&self, region: Region) -> bool {
        let trained_on = self.analyzer.trained_on();
        match region {
            Region::Auto | Region::Faces | Region::Roi => trained_on == model::Region::Faces,
            Region::Center | Region::Full => trained_on != model::Region::Faces,
        }
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

#[glib::object_subclass]
impl ObjectSubclass for SmileFilter {
    const NAME: &'static str = "GstSmileFilter";
    type Type = super::SmileFilter;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for SmileFilter {
    fn properties() -> &'static [glib::ParamSpec] {
        Settings::specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        settings.set(pspec.name(), value);
        gst::info!(CAT, imp = self, "{settings:?}");
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.settings().get(pspec.name())
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_gap_aware(true);
    }
}

impl GstObjectImpl for SmileFilter {}

impl ElementImpl for SmileFilter {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Smile filter",
                "Filter/Analyzer/Video",
                "Classifies faces as smiling or not with a neural network, labels the video and posts results",
                "The smilefilter developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let plain = gst_video::VideoCapsBuilder::new().format_list(FORMATS).build();
            let mut caps = add_overlay_feature(&plain);
            caps.merge(plain);
            let template = |name, direction| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                    .expect("name and caps are sound")
            };
            vec![template("sink", gst::PadDirection::Sink), template("src", gst::PadDirection::Src)]
        });
        &TEMPLATES
    }
}

fn names_overlays(features: &gst::CapsFeaturesRef) -> bool {
    !features.is_any() && features.contains(OVERLAY_FEATURE)
}

fn caps_name_overlays(caps: &gst::CapsRef) -> bool {
    caps.iter_with_features().any(|(_, features)| names_overlays(features))
}

/// The same caps for buffers that may carry overlay compositions.
fn add_overlay_feature(caps: &gst::CapsRef) -> gst::Caps {
    let mut overlay = gst::Caps::new_empty();
    for (structure, features) in caps.iter_with_features() {
        let mut features = features.to_owned();
        if !features.is_any() && !features.contains(OVERLAY_FEATURE) {
            features.add(OVERLAY_FEATURE);
        }
        overlay.make_mut().append_structure_full(structure.to_owned(), Some(features));
    }
    overlay
}

/// The caps, and also those without overlay compositions.
fn allow_plain(caps: &gst::CapsRef) -> gst::Caps {
    let mut plain = caps.to_owned();
    for (structure, features) in caps.iter_with_features() {
        if names_overlays(features) {
            let mut features = features.to_owned();
            features.remove(OVERLAY_FEATURE);
            plain.make_mut().append_structure_full(structure.to_owned(), Some(features));
        }
    }
    plain
}

impl BaseTransformImpl for SmileFilter {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings().clone();
        let worker = Worker::new(&settings).map_err(|error| match error {
            Error::Device { .. } => gst::error_msg!(gst::ResourceError::NotFound, ("{error}")),
            Error::Read { .. } => gst::error_msg!(
                gst::ResourceError::OpenRead,
                ("{error}; set model-file to a weights file or leave it empty for the built-in weights")
            ),
            error => gst::error_msg!(gst::ResourceError::Read, ("{error}")),
        })?;
        if !worker.suits(settings.frame.region) {
            gst::warning!(
                CAT,
                imp = self,
                "The weights were trained on {:?}, and region is {:?}: expect more mistakes",
                worker.analyzer.trained_on(),
                settings.frame.region
            );
        }
        *self.state() = State { worker: Some(worker), ..State::default() };
        gst::info!(CAT, imp = self, "Started with {settings:?}");
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state() = State::default();
        gst::info!(CAT, imp = self, "Stopped");
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let other = if direction == gst::PadDirection::Sink {
            let mut caps_downstream = add_overlay_feature(caps);
            caps_downstream.merge(caps.clone());
            caps_downstream
        } else {
            allow_plain(caps)
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
        let other = if downstream && !caps_name_overlays(&peer) && caps.can_intersect(&other) {
            caps.intersect(&other)
        } else {
            other
        };
        self.parent_fixate_caps(direction, caps, other)
    }

    fn set_caps(&self, incaps: &gst::Caps, outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "{incaps} to {outcaps}");
        let info = gst_video::VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "{incaps} are not caps of raw video"))?;
        let mut state = self.state();
        state.info = Some(info);
        state.running = false;
        state.attach = None;
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if let gst::EventView::FlushStop(_) | gst::EventView::StreamStart(_) = event.view() {
            self.state().running = false;
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        if let gst::EventView::Reconfigure(_) = event.view() {
            self.state().attach = None;
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
        if buffer.flags().contains(gst::BufferFlags::GAP) {
            return Ok(gst::FlowSuccess::Ok);
        }
        let (worker, info, running) = {
            let mut state = self.state();
            (state.worker.take(), state.info.clone(), state.running)
        };
        let (Some(mut worker), Some(info)) = (worker, info) else {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ["A frame before start or caps"]);
            return Err(gst::FlowError::NotNegotiated);
        };
        let processed = self.process(&mut worker, &info, buffer, running);
        self.state().worker = Some(worker);
        if let Err(error) = processed {
            self.warn(&error);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
