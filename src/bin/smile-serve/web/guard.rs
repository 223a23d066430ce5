//! Who may ask: the name that was asked for, where a request comes from, and its token.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use super::{App, Failure, REQUEST_TIME, Shared, page};
use crate::Error;

const COOKIE: &str = "smile-serve";
/// Shorter tokens could be guessed.
const LEAST_TOKEN: usize = 16;
const MOST_TOKEN: usize = 1000;
/// What guessing costs.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub struct Guard {
    pub token: Option<String>,
    /// A header by which a proxy says that it knows who asks.
    pub proxy_header: Option<String>,
    /// Names that may be asked for, beside localhost and addresses.
    pub hosts: Vec<String>,
    /// Logins come one after the other.
    pub logins: Mutex<()>,
}

/// Reads a token: the first line of a file.
pub fn read_token(file: &Path) -> Result<String, Error> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_safe = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte));
    if !(LEAST_TOKEN..=MOST_TOKEN).contains(&token.len()) || !is_safe {
        return Err(format!(
            "{name}: its first line has to be a token of {LEAST_TOKEN} to {MOST_TOKEN} letters, digits and -_.~+/=; \
             \"openssl rand -hex 32\" makes one"
        )
        .into());
    }
    Ok(token.into())
}

impl Guard {
    fn is_open(&self) -> bool {
        self.token.is_none() && self.proxy_header.is_none()
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        if self.is_open() {
            return true;
        }
        let by_proxy = self.proxy_header.as_ref().and_then(|name| headers.get(name));
        if by_proxy.is_some_and(|value| !value.is_empty()) {
            return true;
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies =
            cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let cookies = cookies.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
        bearer.into_iter().chain(cookies).any(|token| self.is_token(token.trim()))
    }

    /// Compared in a time that says nothing about where they differ.
    fn is_token(&self, text: &str) -> bool {
        self.token.as_ref().is_some_and(|token| bool::from(token.as_bytes().ct_eq(text.as_bytes())))
    }

    /// A page of somebody else's can have its own name lead here, but can't choose which name it asks for.
    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        name == "localhost"
            || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(&name))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a request that changes something comes from our own page, or from no page at all.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        let site = headers.get("sec-fetch-site");
        return site.is_none_or(|site| site == "same-origin" || site == "none");
    };
    let origin = origin.to_str().unwrap_or_default();
    origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host))
}

/// Lets through what may be asked.
pub async fn guard(State(app): Shared, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().host()).unwrap_or_default();
    if !app.guard.is_ours(host) {
        let text = format!("{host:?} is no name of this server; --host allows it");
        return Failure(StatusCode::FORBIDDEN, text).into_response();
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !is_same_origin(headers, host) {
        return Failure(StatusCode::FORBIDDEN, "another page may not ask for this".into()).into_response();
    }
    let path = request.uri().path();
    let is_public = ["/live", "/ready", "/login", "/style.css", "/icon.svg"].contains(&path);
    if !is_public && !app.guard.knows(headers) {
        let wants_page = path == "/";
        return if wants_page { page::login().into_response() } else { unauthorized().into_response() };
    }
    match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure(StatusCode::REQUEST_TIMEOUT, "the request took too long".into()).into_response(),
    }
}

fn unauthorized() -> impl IntoResponse {
    let text = "a token is needed: Authorization: Bearer TOKEN, or log in on the page";
    ([(header::WWW_AUTHENTICATE, "Bearer")], Failure(StatusCode::UNAUTHORIZED, text.into()))
}

#[derive(Deserialize)]
pub struct Login {
    token: String,
}

/// Takes a token and gives the browser a cookie for it.
pub async fn login(State(app): State<Arc<App>>, form: Result<Form<Login>, FormRejection>) -> Response {
    let token = form.map(|Form(login)| login.token).unwrap_or_default();
    let token = token.trim();
    if !app.guard.is_token(token) {
        // One after the other: more connections don't guess faster.
        let _turn = app.guard.logins.lock().await;
        tokio::time::sleep(PAUSE).await;
        return page::login().into_response();
    }
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000");
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, "/".into())]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn names_of_others_are_refused() {
        let guard = Guard { hosts: vec!["Cameras.lan".into()], ..Guard::default() };
        for host in
            ["localhost", "localhost:8470", "127.0.0.1:1", "[::1]:8470", "cameras.lan:8470", "10.0.0.7"]
        {
            assert!(guard.is_ours(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a:b:c", "cameras.lan."]
        {
            assert!(!guard.is_ours(host), "{host}");
        }
    }

    #[test]
    fn changes_come_from_our_own_page() {
        let host = "localhost:8470";
        assert!(is_same_origin(&headers(&[]), host));
        assert!(is_same_origin(&headers(&[("origin", "http://localhost:8470")]), host));
        for origin in ["http://evil.example", "null", "http://localhost:8471", "localhost:8470"] {
            assert!(!is_same_origin(&headers(&[("origin", origin)]), host), "{origin}");
        }
        assert!(!is_same_origin(&headers(&[("sec-fetch-site", "cross-site")]), host));
    }

    #[test]
    fn a_token_comes_as_a_header_or_a_cookie() {
        let guard = Guard { token: Some("0123456789abcdef".into()), ..Guard::default() };
        let knows = |pairs: &[(&'static str, &str)]| guard.knows(&headers(pairs));
        assert!(knows(&[("authorization", "Bearer 0123456789abcdef")]));
        assert!(knows(&[("cookie", "a=b; smile-serve=0123456789abcdef")]));
        assert!(!knows(&[]) && !knows(&[("authorization", "Bearer 0123456789abcdeF")]));
        assert!(!knows(&[("cookie", "smile-serve=")]) && !knows(&[("x-forwarded-user", "eve")]));
        let guard = Guard { proxy_header: Some("x-forwarded-user".into()), ..Guard::default() };
        assert!(guard.knows(&headers(&[("x-forwarded-user", "ann")])));
        assert!(!guard.knows(&headers(&[("x-forwarded-user", "")])) && !guard.knows(&headers(&[])));
    }
}
