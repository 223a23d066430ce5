//! Cameras added, changed and removed while it runs.

use std::io::{BufRead, BufReader};
use std::time::Instant;

use serde_json::{Value, json};

use super::serve::{PATIENCE, Serve, data};
use super::stub::{Mood, Stub};

#[test]
fn cameras_are_added_changed_and_removed_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(Mood::Well);
    let serve = Serve::start(folder.path(), &["pattern:ball"]);
    let camera = json!({
        "name": "door", "title": "The door", "source": stub.source(), "tags": ["outside"],
        "properties": { "min-face-size": 0.2, "display": "box" },
    });
    let added = serve.json("POST", "/api/cameras", &camera);
    assert_eq!(added.status, 201, "{}", added.text());
    assert!(!added.text().contains("geheim"));
    assert_eq!(serve.json("POST", "/api/cameras", &camera).status, 409);
    serve.wait_for("door", "a smile", |camera| camera["smiling"] == 1);
    // What was shown is sent back, without the password.
    let shown = serve.camera("door")["source"].clone();
    let change = json!({ "title": "Our door", "source": shown });
    let changed = serve.json("PUT", "/api/cameras/door", &change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    serve.wait_for_state("door", "live");
    serve.terminate();

    let serve = Serve::start(folder.path(), &["pattern:ball"]);
    assert_eq!(serve.camera("door")["title"], "Our door");
    serve.wait_for_state("door", "live");
    assert_eq!(serve.ask("DELETE", "/api/cameras/door", &[], "").status, 204);
    assert_eq!(serve.get("/api/cameras/door").status, 404);
    assert_eq!(serve.ask("DELETE", "/api/cameras/ball", &[], "").status, 409, "it is the command line's");
    serve.terminate();
    let serve = Serve::start(folder.path(), &[]);
    assert_eq!(serve.get("/api/cameras").json()["cameras"], json!([]));
}

#[test]
fn what_an_api_must_not_add_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[]);
    let picture = data("astronaut.jpg");
    let source = |source: &str| json!({ "name": "a", "source": source });
    let property = |name: &str, value: Value| json!({ "name": "a", "source": "pattern:ball", "properties": { name: value } });
    for (body, expected) in [
        (source(&picture), "--allow"),
        (source(&format!("file://{picture}")), "--allow"),
        (source("/dev/video0"), "--allow"),
        (source("videotestsrc ! identity"), "--allow"),
        (source("pattern:no"), "test picture"),
        (source(""), "empty"),
        (property("model-file", "/etc/passwd".into()), "model-file"),
        (property("mode", "sync".into()), "mode"),
        (property("max-faces", 0.into()), "max-faces"),
        (property("max-faces", json!([1])), "match"),
        (property("no", 1.into()), "gst-inspect"),
        (json!({ "name": "../a", "source": "pattern:ball" }), "name"),
        (json!({ "name": "a", "source": "pattern:ball", "more": 1 }), "more"),
        (json!({ "name": "a" }), "source"),
        (json!([]), "map"),
    ] {
        let answer = serve.json("POST", "/api/cameras", &body);
        assert!([400, 422].contains(&answer.status), "{body}: {} {}", answer.status, answer.text());
        let said = answer.json()["error"].as_str().unwrap().to_string();
        assert!(said.contains(expected) || expected == "map", "{body}: {said}");
    }
    assert_eq!(serve.ask("POST", "/api/cameras", &[("Content-Type", "application/json")], "{").status, 400);
    assert_eq!(serve.ask("PATCH", "/api/cameras", &[], "").status, 405);
    assert_eq!(serve.get("/api/cameras").json()["cameras"], json!([]));
}

#[test]
fn events_come_as_they_happen() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(Mood::Flicker);
    let serve = Serve::start(folder.path(), &[]);
    let stream = serve.send("GET", "/api/events", &[], "");
    assert_eq!(
        serve.json("POST", "/api/cameras", &json!({ "name": "door", "source": stub.source() })).status,
        201
    );
    let mut wanted = vec!["face-lost", "smile-started", "face-appeared"];
    let until = Instant::now() + PATIENCE;
    for line in BufReader::new(stream).lines() {
        assert!(Instant::now() < until, "in vain: {wanted:?}");
        let line = line.unwrap();
        assert!(!line.contains("geheim"));
        let Some(event) =
            line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok())
        else {
            continue;
        };
        if event["event"].as_str() == wanted.last().copied() {
            assert_eq!((&event["camera"], &event["results"]["event"]), (&"door".into(), &event["event"]));
            wanted.pop();
        }
        if wanted.is_empty() {
            return;
        }
    }
    panic!("the stream has ended before {wanted:?}");
}

#[test]
fn the_description_names_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &["pattern:ball"]);
    serve.wait_for_state("ball", "live");
    let description = serve.get("/api/openapi.json").json();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = description["paths"].as_object().unwrap();
    for (path, methods) in paths {
        if methods.get("get").is_none()
            || path.contains("live.mjpg")
            || path.contains("wall")
            || path.contains("events")
        {
            continue;
        }
        assert_eq!(serve.get(&path.replace("{name}", "ball")).status, 200, "{path}");
    }
    for query in
        ["from=2&to=1", "from=x", "to=-1", "events=99999999999999999999999", "from=18446744073709551616"]
    {
        let answer = serve.get(&format!("/api/history?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
    assert_eq!(serve.get("/api/history?from=0&to=18446744073709551615&camera=%F0%9F%98%80").status, 200);
}
