//! Figures for Prometheus, as OpenMetrics.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{App, Failure, Shared};
use crate::camera::state::State as CameraState;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCamera {
    camera: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfState {
    camera: String,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSink {
    sink: String,
}

type Float = Gauge<f64, AtomicU64>;

pub async fn metrics(State(app): Shared) -> Result<impl IntoResponse, Failure> {
    let mut registry = Registry::with_prefix("smile_serve");
    cameras(&app, &mut registry);
    let failed = |text: String| Failure(StatusCode::SERVICE_UNAVAILABLE, text);
    process(&app, &mut registry).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

fn cameras(app: &App, registry: &mut Registry) {
    let counters = [
        ("frames_received", "Frames that were decoded"),
        ("frames", "Frames that went through smilefilter"),
        ("inferences", "Frames that a network looked at"),
        ("frames_skipped", "Frames that no network looked at for lack of time"),
        ("events", "Events that were told"),
        ("restarts", "Pipelines that were started anew"),
    ]
    .map(|(name, help)| {
        let family = Family::<OfCamera, Counter>::default();
        registry.register(name, help, family.clone());
        family
    });
    let gauges = [
        ("faces", "Faces that are there"),
        ("smiling", "Faces that smile"),
        ("frames_per_second", "Frames in the last second"),
        ("viewers", "Streams of pictures that are read"),
    ]
    .map(|(name, help)| {
        let family = Family::<OfCamera, Float>::default();
        registry.register(name, help, family.clone());
        family
    });
    let inference = Family::<OfCamera, Float>::default();
    registry.register_with_unit("inference_time", "Mean of an inference", Unit::Seconds, inference.clone());
    let states = Family::<OfState, Gauge>::default();
    registry.register("camera_state", "1 for the state that a camera is in", states.clone());
    for camera in app.fleet.all() {
        let (name, shared) = (camera.camera.name.clone(), &camera.shared);
        let (label, status) = (OfCamera { camera: name.clone() }, shared.status());
        let seen = &shared.counters;
        let counts = [&seen.received, &seen.frames, &seen.inferences, &seen.skipped, &seen.events];
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        for (family, count) in counters.iter().zip(counts.into_iter().chain([status.restarts])) {
            family.get_or_create(&label).inc_by(count);
        }
        let viewers = shared.preview.viewers() as f64;
        let levels = [status.faces.into(), status.smiling.into(), status.frames_per_second, viewers];
        for (family, level) in gauges.iter().zip(levels) {
            family.get_or_create(&label).set(level);
        }
        inference.get_or_create(&label).set(seen.inference_time.load(Ordering::Relaxed) as f64 / 1e9);
        for state in CameraState::ALL {
            let label = OfState { camera: name.clone(), state: state.as_str() };
            states.get_or_create(&label).set(i64::from(state == status.state));
        }
    }
}

fn process(app: &App, registry: &mut Registry) -> Result<(), crate::Error> {
    let waiting = Family::<OfSink, Gauge>::default();
    registry.register("spool_waiting", "Events that a sink has not acknowledged", waiting.clone());
    let dropped = Family::<OfSink, Counter>::default();
    registry.register("spool_dropped", "Events that a sink never got", dropped.clone());
    for sink in app.store.sinks()? {
        let label = OfSink { sink: sink.name };
        waiting.get_or_create(&label).set(i64::try_from(sink.waiting).unwrap_or(i64::MAX));
        dropped.get_or_create(&label).inc_by(sink.dropped);
    }
    let waiting: Gauge = Gauge::default();
    waiting.set(i64::try_from(app.hub.waiting()).unwrap_or(i64::MAX));
    registry.register("records_waiting", "Records that are on their way to the disk", waiting);
    let lost: Counter = Counter::default();
    lost.inc_by(app.hub.dropped());
    registry.register("records_dropped", "Records that the disk was too slow for", lost);
    Ok(())
}
