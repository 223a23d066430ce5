//! What was, as JSON and as CSV.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, Shared};
use crate::camera::minutes::Minute;
use crate::{Error, now};

/// Five weeks of minutes.
const MOST_MINUTES: usize = 50_400;
const MOST_EVENTS: usize = 1000;
const HOUR: u64 = 3_600_000;

#[derive(Debug, Deserialize)]
pub struct Span {
    /// Empty: events of all cameras, and no minutes.
    #[serde(default)]
    camera: String,
    /// In milliseconds since 1970; by default an hour before `to`.
    from: Option<u64>,
    /// By default now.
    to: Option<u64>,
    /// How many events there may be, the newest.
    events: Option<usize>,
}

impl Span {
    fn times(&self) -> Result<(u64, u64), Failure> {
        let to = self.to.unwrap_or_else(|| now() + 1);
        let from = self.from.unwrap_or_else(|| to.saturating_sub(HOUR));
        if from > to {
            return Err(Failure::bad(format!("from ({from}) is after to ({to})")));
        }
        Ok((from, to))
    }
}

type Asked = Result<Query<Span>, QueryRejection>;

pub async fn json(State(app): Shared, query: Asked) -> Result<Json<Value>, Failure> {
    let Query(span) = query.map_err(Failure::bad)?;
    let (from, to) = span.times()?;
    let most = span.events.unwrap_or(MOST_EVENTS).min(MOST_EVENTS);
    let camera = span.camera.clone();
    let (minutes, events) = read(move || {
        let minutes = app.store.minutes(&camera, from, to, MOST_MINUTES)?;
        Ok((minutes, app.store.events(&camera, from, to, most)?))
    })
    .await?;
    Ok(Json(json!({ "camera": span.camera, "from": from, "to": to, "minutes": minutes, "events": events })))
}

pub async fn csv(State(app): Shared, query: Asked) -> Result<impl IntoResponse, Failure> {
    let Query(span) = query.map_err(Failure::bad)?;
    let (from, to) = span.times()?;
    let text = read(move || table(&app.store.minutes(&span.camera, from, to, MOST_MINUTES)?)).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"minutes.csv\""),
    ];
    Ok((headers, text))
}

fn table(minutes: &[Minute]) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "time",
        "live-seconds",
        "mean-faces",
        "share-smiling",
        "most-faces",
        "faces-appeared",
        "smiles-started",
    ])?;
    for minute in minutes {
        let Minute { time, live, faces, smiling, most, appeared, smiles } = *minute;
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let numbers = [
            format!("{live:.1}"),
            format!("{:.3}", share(faces, live)),
            format!("{:.3}", share(smiling, faces)),
        ];
        let counts = [most, appeared, smiles].map(|count| count.to_string());
        writer.write_record(std::iter::once(time.to_string()).chain(numbers).chain(counts))?;
    }
    Ok(writer.into_inner().map_err(|error| error.to_string())?)
}

/// Reads from the database where nobody else waits.
async fn read<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    let failed =
        |text: String| Failure(StatusCode::SERVICE_UNAVAILABLE, format!("history can't be read: {text}"));
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| failed(error.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}
