//! Cameras: those that give no raw video, or only at a few frames a second, and recordings.

use super::*;

#[test]
fn a_mode_is_fast_before_it_is_large_and_raw() {
    common::init();
    let best = |offered: &str| {
        let mode = shared::camera::best_mode(&offered.parse::<gst::Caps>().unwrap())?;
        Some(mode.to_string().replace("(int)", "").replace("(fraction)", ""))
    };
    // As webcams have them: raw video at full speed is small.
    let raw = "video/x-raw,format=YUY2,width=1920,height=1080,framerate=5/1; \
               video/x-raw,format=YUY2,width=1280,height=720,framerate={10/1,5/1}; \
               video/x-raw,format=YUY2,width=640,height=480,framerate={30/1,15/1}";
    assert_eq!(best(raw).unwrap(), "video/x-raw, width=640, height=480, framerate=30/1");
    let jpeg = "image/jpeg,width=1920,height=1080,framerate={60/1,30/1,5/1}; image/jpeg,width=640,height=480,framerate=30/1";
    assert_eq!(
        best(&format!("{raw}; {jpeg}")).unwrap(),
        "image/jpeg, width=1920, height=1080, framerate=30/1"
    );
    // Of one size and speed, what needs no decoder.
    let same = "video/x-h264,width=640,height=480,framerate=30/1; image/jpeg,width=640,height=480,framerate=30/1; \
                video/x-raw,format=NV12,width=640,height=480,framerate=30/1";
    assert_eq!(best(same).unwrap(), "video/x-raw, width=640, height=480, framerate=30/1");
    // All that there is, however slow.
    let slow = "video/x-raw,format=YUY2,width=1600,height=1200,framerate=5/1; \
                video/x-raw,format=YUY2,width=640,height=480,framerate=10/1";
    assert_eq!(best(slow).unwrap(), "video/x-raw, width=640, height=480, framerate=10/1");
    let large =
        "image/jpeg,width=3840,height=2160,framerate=30/1; image/jpeg,width=1280,height=720,framerate=30/1";
    assert_eq!(best(large).unwrap(), "image/jpeg, width=1280, height=720, framerate=30/1");
    // Converters offer ranges, of which nothing can be concluded.
    assert_eq!(
        best("image/jpeg,width=[1,65535],height=[1,65535],framerate=[0/1,2147483647/1]").unwrap(),
        "image/jpeg"
    );
    assert_eq!(best("audio/x-raw"), None);
}

/// A camera of JPEG alone, as many webcams are.
const JPEG: &str = "videotestsrc num-buffers=20 ! video/x-raw,width=320,height=240,framerate=20/1 ! jpegenc";

#[test]
fn a_camera_may_give_jpeg_or_h264_alone() {
    let folder = tempfile::tempdir().unwrap();
    common::init();
    let mut cameras = vec![JPEG.to_string()];
    if gst::ElementFactory::find("openh264enc").is_some()
        && gst::ElementFactory::find("openh264dec").is_some()
    {
        cameras.push(JPEG.replace("jpegenc", "openh264enc ! video/x-h264,stream-format=byte-stream"));
    } else {
        println!("There is no openh264enc here (gstreamer1.0-plugins-bad): a camera of H.264 is left out.");
    }
    for camera in &cameras {
        let run = |name: &str, arguments: &[&str]| {
            program(name, folder.path()).env("SMILE_CAMERA", camera).args(arguments).output().unwrap()
        };
        text(run("smile-label", &["camera", "none"]));
        let log = text(run("smile-log", &["--frames", "camera"]));
        assert_eq!(log.lines().filter(|line| line.contains("\"update\"")).count(), 20, "{log}");
        text(run("smile-shutter", &["no-%d.jpg", camera, "fakesink"]));
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_is_no_camera_is_told_from_one() {
    let folder = tempfile::tempdir().unwrap();
    // Not negotiated, no such device, no such element.
    let none = ["audiotestsrc num-buffers=9", "v4l2src device=/no/such/device", "nosuchsrc"];
    for camera in none {
        for output in ["none", "film.mkv"] {
            let mut label = program("smile-label", folder.path());
            let label = label.env("SMILE_CAMERA", camera).args(["--frames", "1", "camera", output]);
            let told = failure(label.output().unwrap());
            assert!(told.contains(camera), "{told}");
        }
    }
    assert_eq!(names(folder.path()), [""; 0], "without a camera nothing is left behind");
    // One that never ends.
    let camera = JPEG.replace("num-buffers=20", "");
    let mut label = program("smile-label", folder.path());
    text(label.env("SMILE_CAMERA", camera).args(["--frames", "3", "camera", "none"]).output().unwrap());
}

#[cfg(unix)]
#[test]
fn a_recording_is_whole_however_it_is_ended_and_never_overwritten() {
    // By the keyboard, by the system that shuts down, by a terminal that is closed.
    for signal in ["-INT", "-TERM", "-HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let camera = JPEG.replace("num-buffers=20", "is-live=true");
        let film = folder.path().join("film.mkv");
        let mut record = program("smile-label", folder.path());
        let mut child = record.env("SMILE_CAMERA", &camera).args(["camera", "film.mkv"]).spawn().unwrap();
        let written =
            || folder.path().read_dir().unwrap().any(|file| file.unwrap().metadata().unwrap().len() > 0);
        while !written() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_ne!(names(folder.path()), ["film.mkv"], "a file has its name when it is whole");
        text(Command::new("kill").args([signal, &child.id().to_string()]).output().unwrap());
        assert!(child.wait().unwrap().success(), "{signal}");
        assert_eq!(names(folder.path()), ["film.mkv"], "{signal}");
        launch(&format!("filesrc location={} ! decodebin ! fakesink", film.display()));

        let before = std::fs::read(&film).unwrap();
        let mut label = program("smile-label", folder.path());
        let told = failure(label.env("SMILE_CAMERA", JPEG).args(["camera", "film.mkv"]).output().unwrap());
        assert!(told.contains("film.mkv is there already"), "{told}");
        assert_eq!(std::fs::read(&film).unwrap(), before);
    }
}

#[test]
fn what_was_recorded_before_a_camera_fails_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let camera = JPEG.replace("! jpegenc", "! identity error-after=15 ! jpegenc");
    let mut label = program("smile-label", folder.path());
    let told = failure(label.env("SMILE_CAMERA", camera).args(["camera", "film.mkv"]).output().unwrap());
    assert!(told.contains("what came before is in film.mkv"), "{told}");
    assert_eq!(names(folder.path()), ["film.mkv"]);
    launch(&format!("filesrc location={}/film.mkv ! decodebin ! fakesink", folder.path().display()));
}
