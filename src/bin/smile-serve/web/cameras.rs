//! Cameras through the API: listed, added, changed and removed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, Failure, Shared};
use crate::camera::Handle;
use crate::config::properties::{OF_THE_MACHINE, Properties};
use crate::config::source::Source;
use crate::config::{Camera, check_name};
use crate::fleet::Refused;

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Unknown(_) => StatusCode::NOT_FOUND,
            Refused::Taken(_) | Refused::Fixed(_) | Refused::TooMany | Refused::Elsewhere(..) => {
                StatusCode::CONFLICT
            }
            Refused::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, refused.to_string())
    }
}

/// How a camera is, for the page and the API.
pub fn describe(handle: &Handle) -> Value {
    let camera = &handle.camera;
    let counter = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &handle.shared.counters;
    let (width, height) = handle.shared.size();
    let mut value = json!({
        "name": camera.name,
        "title": camera.title,
        "source": camera.shown_source(),
        "tags": camera.tags,
        "loop": camera.repeat,
        "properties": camera.properties,
        "fixed": handle.is_fixed,
        "width": width,
        "height": height,
        "frames": counter(&counters.frames),
        "events": counter(&counters.events),
        "viewers": handle.shared.preview.viewers(),
    });
    if let (Value::Object(all), Ok(Value::Object(status))) =
        (&mut value, serde_json::to_value(handle.shared.status()))
    {
        all.extend(status);
    }
    value
}

pub async fn list(State(app): Shared) -> Json<Value> {
    let cameras: Vec<Value> = app.fleet.all().iter().map(|camera| describe(camera)).collect();
    Json(json!({ "name": app.name, "cameras": cameras, "instances": app.instances }))
}

pub async fn one(State(app): Shared, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    let camera = app.fleet.get(&name).ok_or_else(|| Failure::unknown(&name))?;
    Ok(Json(describe(&camera)))
}

/// What may be changed of a camera.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Change {
    #[serde(default)]
    title: Option<String>,
    source: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default, rename = "loop")]
    repeat: bool,
    #[serde(default)]
    properties: Properties,
}

pub async fn add(
    State(app): Shared,
    body: Result<Json<Camera>, JsonRejection>,
) -> Result<impl IntoResponse, Failure> {
    let Json(camera) = body.map_err(rejected)?;
    let place = format!("/api/cameras/{}", camera.name);
    let camera = aside(move || {
        check(&app, &camera)?;
        let name = camera.name.clone();
        app.fleet.add(camera)?;
        app.fleet.get(&name).map(|camera| describe(&camera)).ok_or_else(|| Failure::unknown(&name))
    })
    .await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(camera)))
}

pub async fn change(
    State(app): Shared,
    Path(name): Path<String>,
    body: Result<Json<Change>, JsonRejection>,
) -> Result<Json<Value>, Failure> {
    let Json(Change { title, mut source, tags, repeat, properties }) = body.map_err(rejected)?;
    aside(move || {
        // Whoever sends back what was shown means the address with its password.
        if let Some(known) = app.fleet.get(&name)
            && known.camera.shown_source() == source
        {
            source.clone_from(&known.camera.source);
        }
        let camera = Camera { name: name.clone(), title, source, tags, repeat, properties };
        check(&app, &camera)?;
        app.fleet.change(camera)?;
        let camera = app.fleet.get(&name).ok_or_else(|| Failure::unknown(&name))?;
        Ok(Json(describe(&camera)))
    })
    .await
}

pub async fn remove(State(app): Shared, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    aside(move || Ok(app.fleet.remove(&name)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What takes its time is done where nobody else waits.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure(StatusCode::SERVICE_UNAVAILABLE, format!("it failed: {error}"))))
}

fn rejected(rejection: JsonRejection) -> Failure {
    Failure(rejection.status(), rejection.body_text())
}

/// Whether a camera may be added from outside.
fn check(app: &Arc<App>, camera: &Camera) -> Result<(), Failure> {
    check_name(&camera.name).map_err(Failure::bad)?;
    let source = Source::new(&camera.source).map_err(Failure::bad)?;
    let scheme = source.scheme();
    if !app.allow.contains(&scheme) {
        let allowed = app.allow.join(", ");
        return Err(Failure::bad(format!(
            "sources of the kind {scheme} can't be added here, only {allowed}; --allow says which"
        )));
    }
    if let Some(name) = OF_THE_MACHINE.iter().find(|name| camera.properties.contains_key(**name)) {
        return Err(Failure::bad(format!(
            "smilefilter's property {name} is about this machine; the configuration file may set it"
        )));
    }
    match camera.wrongs().into_iter().next() {
        Some(wrong) => Err(Failure::bad(wrong.text)),
        None => Ok(()),
    }
}
