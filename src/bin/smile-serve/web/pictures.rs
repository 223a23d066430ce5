//! Pictures: one, a stream of one camera's, and a stream of many cameras' for the wall.

use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio_stream::StreamMap;
use tokio_stream::wrappers::WatchStream;

use super::{Failure, Shared};
use crate::camera::preview::{Interest, Picture};
use crate::config::check_name;

/// How long a picture is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How old a picture may be to be one of now.
const FRESH: Duration = Duration::from_millis(500);
/// Cameras of one wall.
const MOST_ON_WALL: usize = 100;
const BOUNDARY: &str = "picture";

pub async fn snapshot(State(app): Shared, Path(name): Path<String>) -> Result<Response, Failure> {
    let camera = app.fleet.get(&name).ok_or_else(|| Failure::unknown(&name))?;
    let _place = app.admit()?;
    let mut viewer = camera.shared.preview.look(Interest::Camera);
    let is_fresh =
        |picture: &Picture| SystemTime::now().duration_since(picture.at).is_ok_and(|age| age < FRESH);
    let found = tokio::time::timeout(
        PATIENCE,
        viewer.pictures.wait_for(|picture| picture.as_ref().is_some_and(|picture| is_fresh(picture))),
    );
    let picture = match found.await {
        Ok(Ok(picture)) => picture.clone(),
        _ => None,
    };
    let Some(picture) = picture else {
        let state = camera.shared.status().state.as_str();
        return Err(Failure(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{name} has no picture: it is {state}"),
        ));
    };
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], picture.jpeg.clone()).into_response())
}

/// One camera, as browsers and other programs show it by itself.
pub async fn stream(State(app): Shared, Path(name): Path<String>) -> Result<Response, Failure> {
    let camera = app.fleet.get(&name).ok_or_else(|| Failure::unknown(&name))?;
    let place = app.admit()?;
    let viewer = camera.shared.preview.look(Interest::Camera);
    let pictures = WatchStream::new(viewer.pictures.clone());
    let parts = pictures.filter_map(move |picture| {
        // Both are held for as long as somebody reads.
        let _held = (&place, &viewer);
        std::future::ready(picture.map(|picture| part(&name, &picture)))
    });
    Ok(multipart("multipart/x-mixed-replace", parts))
}

#[derive(Deserialize)]
pub struct Wall {
    cameras: String,
}

/// The cameras of a wall in one response: browsers open only six connections to a server. Each part has the camera's
/// name in the header `Camera`.
pub async fn wall(
    State(app): Shared,
    query: Result<Query<Wall>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(wall) = query.map_err(Failure::bad)?;
    let names: Vec<&str> = wall.cameras.split(',').filter(|name| !name.is_empty()).collect();
    if names.len() > MOST_ON_WALL {
        return Err(Failure::bad(format!(
            "{} cameras are too many for a wall; {MOST_ON_WALL} fit",
            names.len()
        )));
    }
    let place = app.admit()?;
    let (mut pictures, mut viewers) = (StreamMap::new(), Vec::new());
    for name in names {
        check_name(name).map_err(Failure::bad)?;
        // One that was removed in this moment has no pictures.
        if let Some(camera) = app.fleet.get(name) {
            let viewer = camera.shared.preview.look(Interest::Wall);
            pictures.insert(name.to_string(), WatchStream::new(viewer.pictures.clone()));
            viewers.push(viewer);
        }
    }
    // Where there is nothing to be seen, nothing comes until the page asks for something else.
    let parts = pictures.chain(stream::pending()).filter_map(move |(name, picture)| {
        let _held = (&place, &viewers);
        std::future::ready(picture.map(|picture| part(&name, &picture)))
    });
    Ok(multipart("multipart/mixed", parts))
}

fn part(camera: &str, picture: &Picture) -> Bytes {
    let length = picture.jpeg.len();
    let mut part = Vec::with_capacity(length + 200);
    let head = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\nCamera: {camera}\r\n\r\n"
    );
    part.extend_from_slice(head.as_bytes());
    part.extend_from_slice(&picture.jpeg);
    part.extend_from_slice(b"\r\n");
    part.into()
}

/// A response whose parts are made when the one before was taken: who reads slowly misses pictures.
fn multipart(kind: &str, parts: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let kind = format!("{kind}; boundary={BOUNDARY}");
    let body = Body::from_stream(parts.map(Ok::<_, std::convert::Infallible>));
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}
