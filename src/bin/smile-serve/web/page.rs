//! What browsers load: all of it is in the program.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};

pub async fn index() -> Html<&'static str> {
    Html(include_str!("page/index.html"))
}

/// The page for those who have not said their token yet.
pub fn login() -> impl IntoResponse {
    (StatusCode::UNAUTHORIZED, Html(include_str!("page/login.html")))
}

pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page/style.css"))
}

pub async fn script() -> impl IntoResponse {
    let script = concat!(include_str!("page/live.js"), include_str!("page/app.js"));
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], script)
}

pub async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("page/icon.svg"))
}

pub async fn openapi() -> impl IntoResponse {
    let text = include_str!("page/openapi.json").replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    ([(header::CONTENT_TYPE, "application/json")], text)
}
