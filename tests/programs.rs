//! The programs in pipelines/, run as a reader would run them.

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::{command, run};

const ASTRONAUT: &str = "tests/data/astronaut.jpg";

/// A program among the examples, which cargo builds with the tests.
fn example(name: &str) -> String {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let path =
        deps.parent().unwrap().join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} isn't built; run `cargo build --examples`", path.display());
    path.to_str().unwrap().into()
}

#[track_caller]
fn text(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A film of the astronaut, a second and a half long.
fn film(folder: &Path) -> PathBuf {
    let film = folder.join("film.mkv");
    text(run(
        "gst-launch-1.0",
        &format!(
            "-q multifilesrc location={ASTRONAUT} loop=true num-buffers=45 caps=image/jpeg,framerate=30/1 \
             ! jpegdec ! videoconvert ! jpegenc ! matroskamux ! filesink location={}",
            film.display()
        ),
    ));
    film
}

#[test]
fn embed_tells_of_a_picture_by_message_and_signal() {
    let told = text(run(&example("embed"), ASTRONAUT));
    for words in ["signal: face Ok(1) smiles: Ok(true)", "face-appeared (face 1)", "smile-started (face 1)"] {
        assert!(told.contains(words), "{told}");
    }
    let failed = run(&example("embed"), "/no/such/file");
    assert!(!failed.status.success() && String::from_utf8_lossy(&failed.stderr).contains("/no/such/file"));
}

#[test]
fn smile_log_writes_a_line_an_event_and_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let log = text(run(&example("smile-log"), film.to_str().unwrap()));
    let events: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].to_string())
        .collect();
    assert_eq!(events, ["\"face-appeared\"", "\"smile-started\""]);
    let frames = text(run(&example("smile-log"), &format!("--frames {}", film.display())));
    assert_eq!(frames.lines().filter(|line| line.contains("\"update\"")).count(), 45);
    let file = folder.path().join("log.jsonl");
    std::fs::write(&file, frames).unwrap();
    let svg = text(run(&example("smile-log"), &format!("--timeline {}", file.display())));
    assert!(
        svg.contains("face 1") && svg.contains("width=\"900.0\" height=\"22\" fill=\"#34b35a\""),
        "{svg}"
    );
    assert!(!run(&example("smile-log"), "--wrong film").status.success());
}

#[test]
fn smile_shutter_takes_one_picture_of_a_smile_and_none_of_a_grey_wall() {
    let folder = tempfile::tempdir().unwrap();
    let take = |name: &str, source: &str| {
        let pictures = folder.path().join(name);
        let output = command(&example("smile-shutter"))
            .args([pictures.to_str().unwrap(), source, "fakesink sync=true"])
            .output()
            .unwrap();
        text(output);
        let all = std::fs::read_dir(folder.path()).unwrap();
        let prefix = name.split('%').next().unwrap();
        all.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with(prefix)).count()
    };
    let still = format!(
        "filesrc location={ASTRONAUT} ! jpegdec ! videoconvert ! imagefreeze num-buffers=75 \
         ! video/x-raw,framerate=30/1"
    );
    assert_eq!(take("smile-%d.jpg", &still), 1);
    let wall = "videotestsrc pattern=solid-color foreground-color=0xff808080 num-buffers=75 ! video/x-raw,width=320,height=240,framerate=30/1";
    assert_eq!(take("wall-%d.jpg", wall), 0);
}

#[test]
fn embed_py_has_frames_and_results() {
    let python = "/usr/bin/python3";
    let has_gi = "import gi; gi.require_version('GstApp', '1.0')";
    if !command(python).args(["-c", has_gi]).output().is_ok_and(|output| output.status.success()) {
        println!("{python} has no PyGObject with GStreamer (python3-gi): the test of embed.py is left out.");
        return;
    }
    let told = text(run(python, &format!("pipelines/embed.py {ASTRONAUT}")));
    assert!(told.contains("frame of 256x256"), "{told}");
    assert!(told.contains("update 0 [{'id': 1") && told.contains("'smiling': True"), "{told}");
    assert!(!run(python, "pipelines/embed.py /no/such/file").status.success());
}

#[cfg(unix)]
#[test]
fn stream_labels_a_film_for_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (film, labelled) = (film(folder.path()), folder.path().join("labelled.mkv"));
    text(run("pipelines/stream.sh", &format!("{} {}", film.display(), labelled.display())));
    assert!(labelled.metadata().unwrap().len() > 10_000);
    assert!(!run("pipelines/stream.sh", "").status.success());
}

#[cfg(unix)]
#[test]
fn wall_shows_sixteen_streams() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let shown = |arguments: &[&str], frames: &str| {
        let picture = folder.path().join("wall.png");
        let output = command("pipelines/wall.sh")
            .args(arguments)
            .env("WALL_FRAMES", frames)
            .env("WALL_SINK", format!("pngenc snapshot=true ! filesink location={}", picture.display()))
            .output()
            .unwrap();
        text(output);
        let bytes = std::fs::read(picture).unwrap();
        // A PNG's width and height.
        [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
    };
    assert_eq!(shown(&[], "5"), [1280, 960]);
    assert_eq!(shown(&[film.to_str().unwrap()], "5"), [1280, 960]);
}

#[cfg(unix)]
#[test]
fn virtual_camera_says_what_is_missing() {
    let failed = run("pipelines/virtual-camera.sh", "/no/such/device");
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        !failed.status.success() && told.contains("/no/such/device") && told.contains("modprobe"),
        "{told}"
    );
}
