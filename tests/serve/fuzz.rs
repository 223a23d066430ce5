//! Whatever is asked of the API, it answers, and never with 500.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::serve::Serve;

fn path() -> impl Strategy<Value = String> {
    let part = || {
        prop_oneof![
            Just("ball".to_string()),
            Just("snapshot.jpg".to_string()),
            Just("live.mjpg".to_string()),
            "[a-zA-Z0-9_.-]{0,70}",
            "(%[0-9a-f]{2}){1,8}",
            "[!-~&&[^#?]]{0,20}",
        ]
    };
    let known = [
        "/",
        "/login",
        "/metrics",
        "/ready",
        "/api/cameras",
        "/api/wall",
        "/api/events",
        "/api/history",
        "/api/history.csv",
    ];
    let camera = (part(), part()).prop_map(|(name, rest)| format!("/api/cameras/{name}/{rest}"));
    let path = prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(String::from),
        part().prop_map(|name| format!("/api/cameras/{name}")),
        camera,
        part().prop_map(|name| format!("/{name}")),
    ];
    let value = || prop_oneof!["-?[0-9]{0,25}", "[a-z,_.-]{0,20}", "(%[0-9a-f]{2}){0,8}"];
    let pair = (proptest::sample::select(vec!["camera", "from", "to", "events", "cameras", "x"]), value())
        .prop_map(|(key, value)| format!("{key}={value}"));
    (path, proptest::collection::vec(pair, 0..4))
        .prop_map(|(path, pairs)| format!("{path}?{}", pairs.join("&")))
}

fn body() -> impl Strategy<Value = String> {
    let source = prop_oneof![
        "pattern:[a-z]{0,8}",
        Just("pattern:smpte".to_string()),
        "(rtsp|http|file|x)://[ -~]{0,30}",
        ".{0,40}",
    ];
    let property =
        proptest::sample::select(vec!["max-faces", "display", "area", "region", "hysteresis", "labels", "x"]);
    let value = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        ".{0,20}".prop_map(serde_json::Value::from),
        Just(serde_json::json!([null])),
    ];
    let camera = ("[a-z.-]{0,6}", source, property, value).prop_map(|(name, source, property, value)| {
        serde_json::json!({ "name": name, "source": source, "properties": { property: value } }).to_string()
    });
    let change = camera.clone().prop_map(|text| text.replacen("\"name\"", "\"title\"", 1));
    prop_oneof![camera, change, ".{0,100}", Just(String::new())]
}

#[test]
fn no_question_is_answered_with_500() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &["pattern:ball"]);
    let methods = proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "X"]);
    let kind =
        proptest::sample::select(vec!["application/json", "application/x-www-form-urlencoded", "text/plain"]);
    proptest!(ProptestConfig::with_cases(400), |(method in methods, path in path(), body in body(), kind in kind)| {
        // Some answers never end.
        let mut head = String::new();
        let stream = serve.send(method, &path, &[("Content-Type", kind)], &body);
        BufReader::new(stream).read_line(&mut head).unwrap();
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        prop_assert!((200..=504).contains(&status) && status != 500, "{method} {path} {body}: {head:?}");
    });
    assert_eq!(serve.get("/ready").status, 200);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

/// SCHEMATHESIS names the program where it isn't on the path.
#[test]
fn the_description_holds() {
    let program = std::env::var("SCHEMATHESIS").unwrap_or_else(|_| "schemathesis".into());
    if Command::new(&program).arg("--version").output().is_err() {
        return println!(
            "schemathesis isn't installed, so that the description isn't held against the API (PyPI: schemathesis)"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &["pattern:ball"]);
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let output = Command::new(program)
        .args(["run", &format!("http://{}/api/openapi.json", serve.address), "--checks", checks])
        // These never end.
        .args(["--exclude-path-regex", "live.mjpg|wall|/api/events", "--seed", "1", "--max-examples", "30"])
        .current_dir(Path::new(folder.path()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
