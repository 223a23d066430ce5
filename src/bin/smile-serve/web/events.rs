//! What happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError::Lagged;

use super::cameras::describe;
use super::{Failure, Shared};
use crate::hub::{Notice, Told};
use crate::stopped;

#[derive(Deserialize)]
pub struct Filter {
    /// Only this camera's.
    camera: Option<String>,
}

/// `event`: what a camera saw; `camera`: how one is, when that changes; `gone`: one was removed; `missed`: how many
/// notices were lost because they were read too slowly.
pub async fn stream(
    State(app): Shared,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let Query(filter) = query.map_err(Failure::bad)?;
    let place = app.admit()?;
    let notices = BroadcastStream::new(app.hub.listen());
    let mut stop = app.stop.clone();
    let is_wanted = move |camera: &str| filter.camera.as_deref().is_none_or(|wanted| wanted == camera);
    let events = notices.filter_map(move |notice| {
        let _held = &place;
        let event = match notice {
            Ok(Notice::Event(told)) if is_wanted(&told.camera) => {
                Some(Event::default().event("event").data(data(&told)))
            }
            Ok(Notice::Changed(name)) if is_wanted(&name) => Some(match app.fleet.get(&name) {
                Some(camera) => Event::default().event("camera").data(describe(&camera).to_string()),
                None => Event::default().event("gone").data(&*name),
            }),
            Ok(_) => None,
            Err(Lagged(count)) => Some(Event::default().event("missed").data(count.to_string())),
        };
        std::future::ready(event.map(Ok))
    });
    let events = events.take_until(async move { stopped(&mut stop).await });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The same fields as an event of the history.
fn data(told: &Told) -> String {
    // Names need no escapes.
    format!(
        "{{\"camera\":\"{}\",\"time\":{},\"sequence\":{},\"event\":\"{}\",\"identity\":{},\"results\":{}}}",
        told.camera,
        told.time,
        told.sequence,
        told.event.as_str(),
        told.identity,
        told.json
    )
}
