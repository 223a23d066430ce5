//! What `smile-label` makes of files: whole ones, with their sound, and nothing lost.

use std::path::Path;

use gst::prelude::*;

use super::*;

/// The kinds of streams in a file, and how many frames of video decode from it.
fn streams(file: &Path) -> (Vec<String>, usize) {
    common::init();
    let pipeline = gst::Pipeline::new();
    let [source, parser] =
        ["filesrc", "parsebin"].map(|name| gst::ElementFactory::make(name).build().unwrap());
    source.set_property("location", file);
    pipeline.add_many([&source, &parser]).unwrap();
    source.link(&parser).unwrap();
    let (sender, found) = std::sync::mpsc::channel();
    let inner = pipeline.downgrade();
    parser.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let sink = gst::ElementFactory::make("fakesink")
            .property("async", false)
            .property("sync", false)
            .build()
            .unwrap();
        inner.upgrade().unwrap().add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
        let name = caps.structure(0).unwrap().name().to_string();
        sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, {
            let (name, sender) = (name.clone(), sender.clone());
            move |_, _| {
                let _ = sender.send((name.clone(), 1));
                gst::PadProbeReturn::Ok
            }
        });
        let _ = sender.send((name, 0));
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    assert_eq!(end.map(|end| end.type_()), Some(gst::MessageType::Eos), "{}", file.display());
    pipeline.set_state(gst::State::Null).unwrap();
    let found: Vec<(String, usize)> = found.try_iter().collect();
    let is_sound = |name: &str| name.starts_with("audio/");
    let frames = found.iter().filter(|(name, _)| !is_sound(name)).map(|(_, count)| count).sum();
    let mut kinds: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
    kinds.sort();
    kinds.dedup();
    (kinds, frames)
}

/// A film with sound.
fn with_sound(folder: &Path) -> PathBuf {
    let film = folder.join("sound.mkv");
    launch(&format!(
        "audiotestsrc num-buffers=66 ! audioconvert ! opusenc ! queue ! all. {ASTRONAUT_FILM} ! jpegenc ! queue \
         ! all. matroskamux name=all ! filesink location={}",
        film.display()
    ));
    film
}

#[test]
fn a_video_keeps_its_sound_in_the_container_that_the_name_says() {
    let folder = tempfile::tempdir().unwrap();
    with_sound(folder.path());
    let has_h264 = ["x264enc", "openh264enc"].iter().any(|name| {
        common::init();
        gst::ElementFactory::find(name).is_some()
    });
    for (name, magic) in [
        ("out.mkv", &b"matroska"[..]),
        ("out.webm", b"webm"),
        ("out.mp4", b"ftyp"),
        ("out.MOV", b"ftyp"),
        ("out.avi", b"AVI "),
    ] {
        if name == "out.mp4" && !has_h264 {
            println!("There is no H.264 encoder here: .mp4 is left out.");
            continue;
        }
        let output = program("smile-label", folder.path()).args(["sound.mkv", name]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text(output).trim(), name);
        let file = folder.path().join(name);
        let head = std::fs::read(&file).unwrap()[..64].to_vec();
        assert!(head.windows(magic.len()).any(|window| window == magic), "{name}: {head:x?}");
        let (kinds, frames) = streams(&file);
        assert_eq!(frames, 45, "{name}");
        assert!(kinds.len() == 2 && kinds[0].starts_with("audio/"), "{name}: {kinds:?}");
        if name != "out.webm" {
            assert_eq!(kinds[1] == "video/x-h264", has_h264, "{name}: {kinds:?}");
            assert_eq!(told.contains("no H.264 encoder"), !has_h264, "{told}");
        }
        if ["out.mkv", "out.webm", "out.mp4"].contains(&name) {
            assert_eq!(kinds[0], "audio/x-opus", "{name}: sound that fits is kept as it is");
        }
    }
    let told =
        failure(program("smile-label", folder.path()).args(["sound.mkv", "out.what"]).output().unwrap());
    assert!(told.contains("out.what") && told.contains(".mkv"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_folder_goes_on_at_what_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    std::fs::create_dir_all(pictures.join("folder.jpg")).unwrap();
    for name in ["a first.jpg", "z last.JPEG"] {
        std::fs::copy(ASTRONAUT, pictures.join(name)).unwrap();
    }
    std::fs::write(pictures.join("broken.jpg"), &std::fs::read(ASTRONAUT).unwrap()[..100]).unwrap();
    std::fs::write(pictures.join("empty.png"), "").unwrap();
    std::fs::write(pictures.join("words.png"), "no picture").unwrap();
    std::fs::write(pictures.join("._a first.jpg"), "a note of another system").unwrap();
    text(Command::new("mkfifo").arg(pictures.join("pipe.jpg")).output().unwrap());
    let mut label = program("smile-label", folder.path());
    let output = label.args(["pictures", "labelled"]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "labelled/a first.jpg.png\nlabelled/z last.JPEG.png\n"
    );
    assert_eq!(output.status.code(), Some(1));
    let told = failure(output);
    for name in ["broken.jpg", "empty.png", "folder.jpg", "pipe.jpg", "words.png"] {
        assert!(told.contains(&format!("pictures/{name}")), "{told}");
    }
    assert!(told.contains("5 of 7 pictures in pictures couldn't be labelled"), "{told}");
    assert_eq!(names(&folder.path().join("labelled")), ["a first.jpg.png", "z last.JPEG.png"]);

    let told = failure(program("smile-label", folder.path()).args(["labelled/..", "out"]).output().unwrap());
    assert!(told.contains("no JPEG or PNG"), "{told}");
}

#[cfg(unix)]
#[test]
fn an_output_that_is_an_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let before = std::fs::read(&film).unwrap();
    std::fs::hard_link(&film, folder.path().join("hard.mkv")).unwrap();
    std::os::unix::fs::symlink(&film, folder.path().join("soft.mkv")).unwrap();
    for output in ["film.mkv", "hard.mkv", "soft.mkv", "./film.mkv"] {
        let told =
            failure(program("smile-label", folder.path()).args(["film.mkv", output]).output().unwrap());
        assert!(told.contains("same file"), "{told}");
    }
    std::fs::copy(ASTRONAUT, folder.path().join("picture.jpg")).unwrap();
    let told = failure(program("smile-label", folder.path()).args([".", "."]).output().unwrap());
    assert!(told.contains("another folder"), "{told}");
    // A picture's output may be another picture of the same folder, by a link.
    std::fs::create_dir(folder.path().join("out")).unwrap();
    std::fs::hard_link(folder.path().join("picture.jpg"), folder.path().join("out/picture.jpg.png")).unwrap();
    let told = failure(program("smile-label", folder.path()).args([".", "out"]).output().unwrap());
    assert!(told.contains("same file"), "{told}");
    assert_eq!(std::fs::read(folder.path().join("picture.jpg")).unwrap(), std::fs::read(ASTRONAUT).unwrap());
    assert_eq!(std::fs::read(&film).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn a_failed_run_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("words.txt"), "These are words. ".repeat(99)).unwrap();
    std::fs::write(folder.path().join("out.mkv"), "of yesterday").unwrap();
    for output in ["out.mkv", "new.mkv", "new.png"] {
        let mut label = program("smile-label", folder.path());
        let told = failure(label.args(["--overwrite", "words.txt", output]).output().unwrap());
        assert!(told.contains("words.txt") && told.contains("text"), "{told}");
    }
    // Sound alone is no video.
    launch(&format!(
        "audiotestsrc num-buffers=9 ! audioconvert ! opusenc ! matroskamux ! filesink location={}/sound.mka",
        folder.path().display()
    ));
    let told =
        failure(program("smile-label", folder.path()).args(["sound.mka", "new.mkv"]).output().unwrap());
    assert!(told.contains("no video"), "{told}");
    let told =
        failure(program("smile-label", folder.path()).args(["words.txt", "no/new.mkv"]).output().unwrap());
    assert!(told.contains("no/new.mkv"), "{told}");
    assert_eq!(names(folder.path()), ["out.mkv", "sound.mka", "words.txt"]);
    assert_eq!(std::fs::read(folder.path().join("out.mkv")).unwrap(), b"of yesterday");
}

#[cfg(unix)]
#[test]
fn links_are_followed_modes_stay_and_devices_are_written_to() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    film(folder.path());
    std::fs::write(file("private.mkv"), "of yesterday").unwrap();
    std::fs::set_permissions(file("private.mkv"), PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("private.mkv", file("link.mkv")).unwrap();
    let mut label = program("smile-label", folder.path());
    text(label.args(["--overwrite", "film.mkv", "link.mkv"]).output().unwrap());
    assert!(file("link.mkv").symlink_metadata().unwrap().is_symlink());
    let metadata = file("private.mkv").metadata().unwrap();
    assert!(metadata.len() > 10_000 && metadata.permissions().mode() & 0o777 == 0o640);
    // A new file is not for its owner alone, as temporary ones are.
    text(program("smile-label", folder.path()).args(["film.mkv", "new.mkv"]).output().unwrap());
    let umask = text(Command::new("sh").args(["-c", "umask"]).output().unwrap());
    let umask = u32::from_str_radix(umask.trim(), 8).unwrap();
    assert_eq!(file("new.mkv").metadata().unwrap().permissions().mode() & 0o777, 0o666 & !umask);
    let piped = program("smile-label", folder.path()).args(["film.mkv", "/dev/stdout"]).output().unwrap();
    assert!(piped.status.success() && piped.stdout.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]));
    text(program("smile-label", folder.path()).args(["film.mkv", "/dev/null"]).output().unwrap());
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
}

#[test]
fn a_file_that_is_there_stays_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    film(folder.path());
    std::fs::create_dir(folder.path().join("pictures")).unwrap();
    std::fs::create_dir(folder.path().join("labelled")).unwrap();
    std::fs::copy(ASTRONAUT, folder.path().join("pictures/a.jpg")).unwrap();
    for (input, output, file) in
        [("film.mkv", "recording.mkv", "recording.mkv"), ("pictures", "labelled", "labelled/a.jpg.png")]
    {
        let file = folder.path().join(file);
        std::fs::write(&file, "nobody can record it again").unwrap();
        let told = failure(program("smile-label", folder.path()).args([input, output]).output().unwrap());
        assert!(told.contains("is there already") && told.contains("--overwrite"), "{told}");
        assert_eq!(std::fs::read(&file).unwrap(), b"nobody can record it again");
        let mut label = program("smile-label", folder.path());
        text(label.args(["--overwrite", input, output]).output().unwrap());
        assert!(file.metadata().unwrap().len() > 10_000);
    }
    assert_eq!(names(folder.path()), ["film.mkv", "labelled", "pictures", "recording.mkv"]);
}

#[test]
fn odd_sizes_and_gaps_are_encoded() {
    let folder = tempfile::tempdir().unwrap();
    launch(&format!(
        "videotestsrc num-buffers=8 ! video/x-raw,width=321,height=241,framerate=5/1 ! jpegenc ! matroskamux \
         ! filesink location={}/odd.mkv",
        folder.path().display()
    ));
    text(program("smile-label", folder.path()).args(["odd.mkv", "out.mkv"]).output().unwrap());
    assert_eq!(streams(&folder.path().join("out.mkv")).1, 8);
}

/// Waits until something is there, a few seconds at most.
#[cfg(unix)]
fn until(there: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !there() {
        assert!(started.elapsed().as_secs() < 60, "nothing came");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    text(Command::new("kill").args(["-INT", &child.id().to_string()]).output().unwrap());
}

#[cfg(unix)]
#[test]
fn a_recording_that_fails_is_kept_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let size = || {
        let part = names(folder.path()).into_iter().find(|name| name.ends_with(".part"));
        part.and_then(|name| folder.path().join(name).metadata().ok()).map_or(0, |metadata| metadata.len())
    };
    let source = "videotestsrc is-live=true pattern=snow ! video/x-raw,width=160,height=120,framerate=30/1";
    let mut record = program("smile-label", folder.path());
    let record = record.env("SMILE_CAMERA", source).args(["camera", "party.mkv"]);
    let child = record.stderr(std::process::Stdio::piped()).spawn().unwrap();
    until(|| size() > 20_000);
    // Twice: it doesn't wait for the end of the file any more.
    interrupt(&child);
    interrupt(&child);
    let told = child.wait_with_output().unwrap();
    if told.status.success() {
        // It had come to its end in between.
        return assert_eq!(names(folder.path()), ["party.mkv"]);
    }
    let told = failure(told);
    let [kept] = &names(folder.path())[..] else { panic!("{:?}: {told}", names(folder.path())) };
    assert!(kept.ends_with(".part") && told.contains(kept.as_str()), "{told}");
    assert!(folder.path().join(kept).metadata().unwrap().len() > 20_000);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_waited_for_until_somebody_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    film(folder.path());
    text(Command::new("mkfifo").arg(folder.path().join("pipe")).output().unwrap());
    let label = || {
        let mut label = program("smile-label", folder.path());
        label.args(["film.mkv", "pipe"]).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let child = label();
    std::thread::sleep(std::time::Duration::from_millis(700));
    interrupt(&child);
    let told = failure(child.wait_with_output().unwrap());
    assert!(told.contains("before anybody read it"), "{told}");
    let child = label();
    let read = std::fs::read(folder.path().join("pipe")).unwrap();
    assert!(read.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) && read.len() > 10_000);
    assert!(child.wait_with_output().unwrap().status.success());
}
