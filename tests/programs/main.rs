//! The programs in pipelines/, run as a reader would run them.

mod camera;
#[path = "../common/mod.rs"]
mod common;
mod embed_c;
mod files;
mod names;
mod scripts;
#[path = "../../pipelines/common/mod.rs"]
mod shared;
mod upright;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{command, run};
use gstsmile::smilefilter::Results;

const ASTRONAUT: &str = "tests/data/astronaut.jpg";
const ASTRONAUT_FILM: &str = "multifilesrc location=tests/data/astronaut.jpg loop=true num-buffers=45 \
     caps=image/jpeg,framerate=30/1 ! jpegdec ! videoconvert";

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

/// What a program says of an error, which it has to end with.
#[track_caller]
fn failure(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // A code: no signal has ended it, and no panic.
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?} {told}", output.status);
    for words in ["panicked", "refcounting", "CRITICAL", "WARNING"] {
        assert!(!told.contains(words), "{told}");
    }
    told
}

/// Runs a line of `gst-launch-1.0` to its end.
#[track_caller]
fn launch(line: &str) {
    text(run("gst-launch-1.0", &format!("-q {line}")));
}

/// A film of the astronaut, a second and a half long.
fn film(folder: &Path) -> PathBuf {
    let film = folder.join("film.mkv");
    launch(&format!("{ASTRONAUT_FILM} ! jpegenc ! matroskamux ! filesink location={}", film.display()));
    film
}

/// The command of an example, in a folder.
fn program(name: &str, folder: &Path) -> Command {
    let mut command = command(&example(name));
    command.current_dir(folder);
    command
}

/// The names in a folder, in order; those of files that weren't finished, too.
fn names(folder: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = folder.read_dir().unwrap().map(name).collect();
    names.sort();
    names
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
    let all: Vec<Results> = log.lines().map(|line| Results::from_json(line).unwrap()).collect();
    assert!(all.iter().zip(1..).all(|(results, number)| results.sequence == number), "{log}");
    assert!(all.iter().all(|results| results.faces[0].landmarks.is_some() && results.width == 256), "{log}");
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
fn what_can_not_be_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    film(folder.path());
    let told = |name: &str, arguments: &[&str]| {
        failure(program(name, folder.path()).args(arguments).output().unwrap())
    };
    for (property, words) in [
        ("threshold=7", "threshold can't be 7: it takes -1 to 1"),
        ("max-faces=0", "max-faces can't be 0: it takes 1 to"),
        ("smoothing=-1", "smoothing can't be -1"),
    ] {
        let told = told("smile-label", &["film.mkv", "none", property]);
        assert!(told.contains(words), "{told}");
    }
    let none = told("smile-label", &["--frames", "0", "film.mkv", "none"]);
    assert!(none.contains("--frames takes a number from 1 on"), "{none}");
    for property in ["post-messages=false", "updates=none", "display=box"] {
        let told = told("smile-log", &["film.mkv", property]);
        assert!(told.contains("is set by smile-log itself"), "{told}");
    }
    let shutter = told("smile-shutter", &["absent/%d.jpg", "videotestsrc num-buffers=9", "fakesink"]);
    assert!(shutter.contains("absent"), "{shutter}");
    let late = gst::ClockTime::from_seconds(4_000_000_000);
    let late = Results { stream_time: Some(late), identity: 1, ..Results::default() };
    let no_time = "{\"time\":1e308,\"event\":\"face-lost\",\"identity\":1}".to_string();
    for (line, words) in [(no_time, "line 1"), (late.to_json(), "line 1: 4000000000 is no time of a log")] {
        std::fs::write(folder.path().join("log"), line).unwrap();
        let told = told("smile-log", &["--timeline", "log"]);
        assert!(told.contains(words), "{told}");
    }
    #[cfg(unix)]
    assert!(told("smile-log", &["--timeline", "/dev/zero"]).contains("more than"));
    assert_eq!(names(folder.path()), ["film.mkv", "log"]);
}

/// Python with GStreamer, or a word on why a test is left out.
fn python() -> Option<&'static str> {
    let python = "/usr/bin/python3";
    let has_gi = "import gi; gi.require_version('GstApp', '1.0')";
    if command(python).args(["-c", has_gi]).output().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("{python} has no PyGObject with GStreamer (python3-gi): the test of embed.py is left out.");
    None
}

#[test]
fn embed_py_has_frames_and_their_results() {
    let Some(python) = python() else { return };
    let told = text(run(python, &format!("pipelines/embed.py {ASTRONAUT}")));
    assert!(told.contains("frame of 256x256"), "{told}");
    assert!(told.contains("update 0 [{'id': 1") && told.contains("'smiling': True"), "{told}");
    assert!(told.contains("on the frame [{'id': 1"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let told = text(run(python, &format!("pipelines/embed.py {}", film(folder.path()).display())));
    let frames: Vec<&str> = told.split("frame of 256x256").skip(1).collect();
    assert_eq!(frames.len(), 45, "{told}");
    for frame in frames {
        assert_eq!(frame.matches("update 0 ").count(), 1, "{told}");
    }
}

#[cfg(unix)]
#[test]
fn embed_py_ends_where_there_is_no_frame() {
    let Some(python) = python() else { return };
    for (file, words) in [("README.md", "text file"), ("/no/such/file", "/no/such/file")] {
        let told = failure(run("timeout", &format!("60 {python} pipelines/embed.py {file}")));
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn smile_wall_shows_sixteen_streams() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let shown = |arguments: &[&str]| {
        let mut wall = program("smile-wall", folder.path());
        text(
            wall.args(["--sink", "pngenc snapshot=true ! filesink location=wall.png"])
                .args(arguments)
                .output()
                .unwrap(),
        );
        image::open(folder.path().join("wall.png")).unwrap().into_rgb8()
    };
    assert_eq!(shown(&[]).dimensions(), (1280, 960));
    let wall = shown(&[film.to_str().unwrap()]);
    assert_eq!(wall.dimensions(), (1280, 960));
    // The film is in each place, the last included.
    for place in 0..16u32 {
        assert_ne!(wall.get_pixel(place % 4 * 320 + 160, place / 4 * 240 + 120).0, [0, 0, 0]);
    }
    let told = failure(program("smile-wall", folder.path()).arg("nope.mkv").output().unwrap());
    assert!(told.contains("nope.mkv"), "{told}");
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
