//! The page and the API, over HTTP.

mod cameras;
mod events;
mod guard;
mod history;
mod metrics;
mod page;
mod pictures;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tracing::debug;

use crate::config::Instance;
use crate::fleet::Fleet;
use crate::hub::Hub;
use crate::stopped;
use crate::store::Store;

pub use guard::{Guard, read_token};

/// Bounds on what one process gives to the network.
const MOST_CONNECTIONS: usize = 512;
const MOST_VIEWERS: usize = 128;
const MOST_BODY: usize = 64 << 10;
/// How long a client may take for the head of a request, and all of it.
const HEAD_TIME: Duration = Duration::from_secs(10);
const REQUEST_TIME: Duration = Duration::from_secs(20);

/// What requests are answered from.
#[derive(Debug)]
pub struct App {
    pub fleet: Arc<Fleet>,
    pub hub: Arc<Hub>,
    pub store: Arc<Store>,
    pub name: String,
    pub instances: Vec<Instance>,
    /// Schemes of sources that the API may add.
    pub allow: Vec<String>,
    pub guard: Guard,
    /// Streams of pictures and events that are still to be had.
    pub viewers: Arc<Semaphore>,
    pub stop: watch::Receiver<bool>,
}

impl App {
    pub fn viewers() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(MOST_VIEWERS))
    }

    /// A place for someone who watches a stream.
    fn admit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Failure> {
        self.viewers.clone().try_acquire_owned().map_err(|_| {
            Failure(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{MOST_VIEWERS} viewers are here already; try again later"),
            )
        })
    }
}

type Shared = State<Arc<App>>;

/// An answer that says what is wrong.
#[derive(Debug)]
struct Failure(StatusCode, String);

impl Failure {
    fn bad(text: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, text.to_string())
    }

    fn unknown(camera: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no camera {camera:?}"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/style.css", get(page::style))
        .route("/app.js", get(page::script))
        .route("/icon.svg", get(page::icon))
        .route("/login", post(guard::login))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics::metrics))
        .route("/api/openapi.json", get(page::openapi))
        .route("/api/cameras", get(cameras::list).post(cameras::add))
        .route("/api/cameras/{name}", get(cameras::one).put(cameras::change).delete(cameras::remove))
        .route("/api/cameras/{name}/snapshot.jpg", get(pictures::snapshot))
        .route("/api/cameras/{name}/live.mjpg", get(pictures::stream))
        .route("/api/wall", get(pictures::wall))
        .route("/api/events", get(events::stream))
        .route("/api/history", get(history::json))
        .route("/api/history.csv", get(history::csv))
        .fallback(async || Failure(StatusCode::NOT_FOUND, "there is no such page; / has them all".into()))
        .method_not_allowed_fallback(async || {
            Failure(
                StatusCode::METHOD_NOT_ALLOWED,
                "not with this method; /api/openapi.json lists them".into(),
            )
        })
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .layer(middleware::map_response(secure))
        .with_state(app)
}

/// Whether the process runs.
async fn live() -> &'static str {
    "live\n"
}

/// Whether it does its work: cameras are started, and it isn't about to end.
async fn ready(State(app): Shared) -> Result<&'static str, Failure> {
    if *app.stop.borrow() {
        return Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "it is about to end".into()));
    }
    Ok("ready\n")
}

/// Has browsers load nothing from elsewhere, and show the page nowhere else.
async fn secure(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                          img-src 'self' blob: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Answers requests until it is to stop.
pub async fn serve(listener: TcpListener, app: Arc<App>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut stop = app.stop.clone();
    let service = router(app);
    loop {
        // Whoever finds no place waits in the kernel's queue.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Such as too many open files, which pass.
                debug!("no connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(64 << 10)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                debug!("a connection has broken: {error}");
            }
            drop(place);
        });
    }
}
