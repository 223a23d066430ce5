//! Cameras stay up, and one harms no other.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use super::serve::{Serve, data, metric, wait};
use super::stub::{Mood, Stub};

#[test]
fn a_picture_has_a_face_that_smiles_and_history_knows() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &["pattern:ball", &data("astronaut.jpg")]);
    let camera =
        serve.wait_for("astronaut", "a smile", |camera| camera["smiling"] == 1 && camera["state"] == "live");
    assert_eq!((&camera["state"], &camera["faces"]), (&"live".into(), &1.into()));
    let history = wait("history", || {
        let history = serve.get("/api/history?camera=astronaut").json();
        let is_whole = history["minutes"].as_array().is_some_and(|minutes| !minutes.is_empty());
        is_whole.then_some(history)
    });
    let events = history["events"].as_array().unwrap();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["face-appeared", "smile-started"]);
    let numbers: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2]);
    let results: gstsmile::smilefilter::Results =
        serde_json::from_value(events[0]["results"].clone()).unwrap();
    assert_eq!((results.source.as_str(), results.faces.len()), ("astronaut", 1));
    let csv = serve.get("/api/history.csv?camera=astronaut").text();
    assert!(csv.starts_with("time,live-seconds,mean-faces") && csv.lines().count() >= 2, "{csv}");
    assert!(metric(&serve, "frames_total", "astronaut") > 0.0);
    assert_eq!(metric(&serve, "events_total", "ball"), 0.0);
}

#[test]
fn pictures_are_made_for_whoever_looks() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &["pattern:ball", &data("astronaut.jpg")]);
    serve.wait_for_state("ball", "live");
    serve.wait_for_state("astronaut", "live");
    let snapshot = serve.get("/api/cameras/ball/snapshot.jpg");
    assert_eq!(snapshot.status, 200, "{}", snapshot.text());
    let picture = image::load_from_memory(&snapshot.body).unwrap();
    assert_eq!((picture.width(), picture.height()), (640, 480));
    wait("nobody looks", || (serve.camera("ball")["viewers"] == 0).then_some(()));
    // Five of twenty read nothing.
    let idle: Vec<_> =
        (0..5).map(|_| serve.send("GET", "/api/wall?cameras=ball,astronaut", &[], "")).collect();
    let readers: Vec<_> = (0..15)
        .map(|_| {
            let stream = serve.send("GET", "/api/wall?cameras=ball,astronaut,none", &[], "");
            std::thread::spawn(move || watch(stream))
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    drop(idle);
    wait("nobody looks", || (serve.camera("ball")["viewers"] == 0).then_some(()));
}

/// Reads a wall until there were some pictures of each camera.
fn watch(mut stream: TcpStream) {
    let (mut seen, mut part) = (String::new(), [0; 65536]);
    while ["Camera: ball", "Camera: astronaut"].iter().any(|camera| seen.matches(camera).count() < 5) {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the wall has ended");
        seen += &String::from_utf8_lossy(&part[..read]);
    }
}

#[test]
fn a_camera_that_fails_comes_back_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(Mood::Well);
    // Takes connections, and never says anything.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_source = format!("http://{}/", mute.local_addr().unwrap());
    let file = folder.path().join("cameras.toml");
    let text = format!(
        "[[camera]]\nname = \"stub\"\nsource = \"{}\"\n[[camera]]\nname = \"mute\"\nsource = \"{mute_source}\"\n\
         [[camera]]\nname = \"missing\"\nsource = \"{}\"\n[[camera]]\nname = \"ball\"\nsource = \"pattern:ball\"\n",
        stub.source(),
        folder.path().join("no-such-file.mp4").display()
    );
    std::fs::write(&file, text).unwrap();
    let serve = Serve::start(folder.path(), &[file.to_str().unwrap()]);
    serve.wait_for("stub", "a smile", |camera| camera["smiling"] == 1 && camera["state"] == "live");
    let missing = serve.wait_for_state("missing", "waiting");
    assert!(missing["reason"].as_str().unwrap().contains("no-such-file.mp4"), "{missing}");
    for (mood, state) in [(Mood::Silent, "stalled"), (Mood::Gone, "waiting"), (Mood::Rubbish, "waiting")] {
        stub.set(mood);
        let camera = serve.wait_for_state("stub", state);
        assert!(camera["reason"].is_string(), "{camera}");
        let before = serve.camera("ball");
        stub.set(Mood::Well);
        serve.wait_for_state("stub", "live");
        serve.wait_for("ball", "frames", |camera| camera["frames"].as_u64() > before["frames"].as_u64());
    }
    let ball = serve.camera("ball");
    assert_eq!((&ball["state"], &ball["restarts"]), (&"live".into(), &0.into()));
    assert!(serve.camera("mute")["state"] != "live");
    // Its password is nowhere.
    for path in ["/api/cameras", "/api/cameras/stub", "/metrics", "/api/history"] {
        assert!(!serve.get(path).text().contains("geheim"), "{path}");
    }
    assert!(serve.terminate().as_secs_f64() < 5.5, "a camera that hangs holds up the end");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!log.contains("geheim") && log.contains("stub: stalled"), "{log}");
}

#[test]
fn numbers_of_events_go_on_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(Mood::Well);
    let camera = serde_json::json!({ "name": "door", "source": stub.source() });
    let numbers = |serve: &Serve, least: usize| -> Vec<u64> {
        let events = wait("events", || {
            let history = serve.get("/api/history?camera=door").json();
            history["events"].as_array().filter(|events| events.len() >= least).cloned()
        });
        events.iter().map(|event: &Value| event["sequence"].as_u64().unwrap()).collect()
    };
    let serve = Serve::start(folder.path(), &[]);
    assert_eq!(serve.json("POST", "/api/cameras", &camera).status, 201);
    numbers(&serve, 2);
    // Of the camera's pipeline, whose element begins to count again,
    stub.set(Mood::Gone);
    serve.wait_for_state("door", "waiting");
    stub.set(Mood::Well);
    numbers(&serve, 4);
    // of the process, in the middle of whatever it does,
    serve.kill();
    let serve = Serve::start(folder.path(), &[]);
    numbers(&serve, 6);
    // and of the camera itself.
    assert_eq!(serve.ask("DELETE", "/api/cameras/door", &[], "").status, 204);
    assert_eq!(serve.json("POST", "/api/cameras", &camera).status, 201);
    let last = numbers(&serve, 8);
    assert_eq!(last, (1..=last.len() as u64).collect::<Vec<_>>());
    serve.terminate();
}
