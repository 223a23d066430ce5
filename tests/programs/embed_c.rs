//! embed.c, compiled as its first lines say.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{built, command, run};
use crate::{ASTRONAUT, failure, film, text};

/// The program in `folder`, or `None` where there is nothing to compile it with; with the element within it where
/// `within` has its library.
fn compile(folder: &Path, within: Option<&Path>) -> Option<PathBuf> {
    let flags = Command::new("pkg-config")
        .args([
            "--cflags",
            "--libs",
            "gstreamer-app-1.0",
            "gstreamer-video-1.0",
            "gstreamer-base-1.0",
            "gio-2.0",
        ])
        .args(cfg!(feature = "analytics").then_some("gstreamer-analytics-1.0"))
        .output()
        .ok()
        .filter(|output| output.status.success());
    let has_compiler = Command::new("cc").arg("--version").output().is_ok();
    let (Some(flags), true) = (flags, has_compiler) else {
        println!(
            "There is no C compiler (cc), pkg-config or GStreamer's app and video libraries here: embed.c is left out."
        );
        return None;
    };
    let program = folder.join("embed");
    let flags = String::from_utf8(flags.stdout).unwrap();
    let compiled = command("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg("pipelines/embed.c")
        .args(within.map(|_| "-DSMILE_STATIC"))
        .args(within)
        .args(flags.split_whitespace())
        .args(["-lm", "-ldl", "-lpthread"])
        .output()
        .unwrap();
    text(compiled);
    Some(program)
}

/// The places in lines such as "  face 1 at 78,55 of 99x127: smiles": left, top, width and height.
fn places(told: &str) -> Vec<[f64; 4]> {
    let numbers = |line: &str| {
        let place = line.strip_prefix("  face 1 at ")?.split(':').next()?;
        let numbers = place.split([',', ' ', 'x']).filter_map(|word| word.parse().ok());
        numbers.collect::<Vec<f64>>().try_into().ok()
    };
    told.lines().filter_map(numbers).collect()
}

#[test]
fn embed_c_may_have_the_element_within_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path(), Some(&built("libgstsmile.a"))) else { return };
    let told = text(Command::new(program).arg(ASTRONAUT).env("GST_PLUGIN_PATH", "").output().unwrap());
    assert!(told.contains("message: smile-started 1"), "{told}");
}

#[test]
fn embed_c_reads_messages_and_buffers_behind_a_scaler() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path(), None) else { return };
    let program = program.to_str().unwrap();
    let told = text(run(program, ASTRONAUT));
    for words in [
        "message: face-appeared 1",
        "message: smile-started 1",
        "frame of 320x320 at 0:00:00",
        "right eye at",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
    // Two messages in pixels of the picture, and the frame in its own.
    let [first, second, scaled] = places(&told)[..] else { panic!("{told}") };
    assert_eq!(first, second, "{told}");
    let near = |(a, b): (f64, f64)| (a * 320.0 / 256.0 - b).abs() < 2.0;
    assert!(first.into_iter().zip(scaled).all(near), "{told}");

    let told = text(run(program, film(folder.path()).to_str().unwrap()));
    let frames: Vec<&str> = told.split("frame of 320x320").skip(1).collect();
    assert_eq!(frames.len(), 45, "{told}");
    assert!(frames.iter().all(|frame| frame.contains("  face 1 at ")), "{told}");
    for (file, words) in [("README.md", "text file"), ("/no/such/file", "/no/such/file")] {
        let told = failure(run("timeout", &format!("60 {program} {file}")));
        assert!(told.contains(words), "{told}");
    }
}
