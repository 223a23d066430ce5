//! Pictures and videos that say which side is up.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::*;

/// The astronaut, of unequal sides.
fn upright() -> DynamicImage {
    image::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(ASTRONAUT)).unwrap().crop_imm(0, 0, 256, 200)
}

/// The same as a camera stores it that was held so that EXIF has to say this number.
fn as_stored(exif: u8) -> DynamicImage {
    let mut picture = upright();
    picture.apply_orientation(match Orientation::from_exif(exif).unwrap() {
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        // The others undo themselves.
        itself => itself,
    });
    picture
}

/// A JPEG with nothing in its EXIF but the orientation.
fn photograph(exif: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&as_stored(exif)).unwrap();
    let mut segment = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    segment.extend([exif, 0, 0, 0, 0, 0, 0]);
    assert_eq!(segment.len(), 2 + 0x22);
    jpeg.splice(2..2, segment);
    jpeg
}

/// The mean difference from the upright picture, of 255.
fn difference(picture: &RgbImage) -> f64 {
    let upright = upright().into_rgb8();
    assert_eq!(picture.dimensions(), upright.dimensions());
    let sum: u64 = picture.iter().zip(upright.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / picture.len() as f64
}

#[test]
fn photographs_are_turned_as_their_exif_says() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    for exif in 1..=8 {
        std::fs::write(pictures.join(format!("{exif}.jpg")), photograph(exif)).unwrap();
    }
    text(program("smile-label", folder.path()).args(["pictures", "labelled", "display=0"]).output().unwrap());
    for exif in 1..=8 {
        let labelled =
            image::open(folder.path().join(format!("labelled/{exif}.jpg.png"))).unwrap().into_rgb8();
        assert!(difference(&labelled) < 4.0, "{exif}: {}", difference(&labelled));
        let log = text(program("smile-log", &pictures).arg(format!("{exif}.jpg")).output().unwrap());
        assert!(log.contains("smile-started"), "{exif}: {log}");
    }
}

#[test]
fn embedding_programs_turn_photographs_where_the_parser_is() {
    common::init();
    if gst::ElementFactory::find("jpegparse").is_none() {
        println!("There is no jpegparse here (gstreamer1.0-plugins-bad): this test is left out.");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for exif in 1..=8 {
        let picture = folder.path().join("picture.jpg");
        std::fs::write(&picture, photograph(exif)).unwrap();
        let told = text(run(&example("embed"), picture.to_str().unwrap()));
        assert!(told.contains("smile-started"), "{exif}: {told}");
        if let Some(python) = python() {
            let told = text(run(python, &format!("pipelines/embed.py {}", picture.display())));
            assert!(told.contains("frame of 256x200") && told.contains("'smiling': True"), "{exif}: {told}");
        }
    }
}

/// A video of Motion JPEG in QuickTime, of so many tenths of a second, with the track's matrix of a telephone that was
/// turned.
fn film(folder: &Path, exif: u8, frames: u32) -> PathBuf {
    let mut jpeg = Vec::new();
    as_stored(exif).write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg).unwrap();
    let (picture, film) = (folder.join("stored.jpg"), folder.join(format!("film-{exif}.mov")));
    std::fs::write(&picture, jpeg).unwrap();
    launch(&format!(
        "filesrc location={} ! jpegdec ! videoconvert ! imagefreeze num-buffers={frames} ! video/x-raw,framerate=10/1 \
         ! jpegenc quality=95 ! qtmux ! filesink location={}",
        picture.display(),
        film.display()
    ));
    let mut bytes = std::fs::read(&film).unwrap();
    let header = bytes.windows(4).position(|window| window == b"tkhd").unwrap();
    let matrix: [i32; 9] = match exif {
        1 => [1, 0, 0, 0, 1, 0, 0, 0, 1],
        3 => [-1, 0, 0, 0, -1, 0, 0, 0, 1],
        6 => [0, 1, 0, -1, 0, 0, 0, 0, 1],
        8 => [0, -1, 0, 1, 0, 0, 0, 0, 1],
        _ => panic!("the format has these four"),
    };
    for (index, value) in matrix.into_iter().enumerate() {
        let unit = if index % 3 == 2 { 1 << 30 } else { 1 << 16 };
        let at = header + 4 + 40 + 4 * index;
        bytes[at..at + 4].copy_from_slice(&(value * unit).to_be_bytes());
    }
    std::fs::write(&film, bytes).unwrap();
    film
}

#[test]
fn videos_are_turned_as_their_track_says() {
    let folder = tempfile::tempdir().unwrap();
    let label = |arguments: &[&str]| {
        let mut label = program("smile-label", folder.path());
        text(label.arg("--overwrite").args(arguments).output().unwrap())
    };
    let mut walls = Vec::new();
    for exif in [1, 3, 6, 8] {
        let film = film(folder.path(), exif, 10);
        let film = film.file_name().unwrap().to_str().unwrap();
        label(&[film, "frame.png", "display=0"]);
        let frame = image::open(folder.path().join("frame.png")).unwrap().into_rgb8();
        assert!(difference(&frame) < 8.0, "{exif}: {}", difference(&frame));
        // What is written is upright itself, and isn't turned again.
        label(&[film, "out.mkv", "display=0"]);
        label(&["out.mkv", "frame.png", "display=0"]);
        let frame = image::open(folder.path().join("frame.png")).unwrap().into_rgb8();
        assert!(difference(&frame) < 8.0, "{exif}: {}", difference(&frame));
        for name in ["smile-log", "embed"] {
            let told = text(program(name, folder.path()).arg(film).output().unwrap());
            assert!(told.contains("smile-started"), "{name} {exif}: {told}");
        }
        if let Some(python) = python() {
            let told = text(run(python, &format!("pipelines/embed.py {}/{film}", folder.path().display())));
            assert!(told.contains("frame of 256x200") && told.contains("'smiling': True"), "{exif}: {told}");
        }
        let sink = "pngenc snapshot=true ! filesink location=wall.png";
        text(program("smile-wall", folder.path()).args(["--sink", sink, film]).output().unwrap());
        let wall = image::open(folder.path().join("wall.png")).unwrap().into_rgb8();
        walls.push(wall);
    }
    // Decoded and stored differently, but the same picture.
    for wall in &walls[1..] {
        let sum: u64 = wall.iter().zip(walls[0].iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(sum as f64 / (wall.len() as f64) < 6.0, "{}", sum as f64 / wall.len() as f64);
    }
}

#[test]
fn a_shutter_takes_upright_pictures_of_what_says_which_side_is_up() {
    let folder = tempfile::tempdir().unwrap();
    for exif in [1, 6] {
        let film = film(folder.path(), exif, 25);
        let source = format!("filesrc location={}", film.file_name().unwrap().to_str().unwrap());
        let name = format!("{exif}-%d.jpg");
        text(
            program("smile-shutter", folder.path())
                .args([&name, &source, "fakesink sync=true"])
                .output()
                .unwrap(),
        );
        let taken = image::open(folder.path().join(format!("{exif}-0.jpg"))).unwrap().into_rgb8();
        assert!(difference(&taken) < 8.0, "{exif}: {}", difference(&taken));
    }
}

#[test]
fn what_was_turned_says_that_it_is_upright() {
    use gst::prelude::*;
    common::init();
    let pipeline = gst::Pipeline::new();
    let make = |name: &str| gst::ElementFactory::make(name).build().unwrap();
    let (source, inject, sink) = (make("videotestsrc"), make("taginject"), make("fakesink"));
    source.set_property("num-buffers", 2);
    inject.set_property("tags", "image-orientation=rotate-90");
    let [convert, flip] = shared::input::Input::new("camera".as_ref()).unwrap().upright().unwrap();
    shared::add(&pipeline, &[source, inject, convert, flip, sink.clone()]).unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Tag(event)) = info.event().map(|event| event.view())
            && let Some(orientation) = event.tag().get::<gst::tags::ImageOrientation>()
        {
            sender.send(orientation.get().to_string()).unwrap();
        }
        gst::PadProbeReturn::Ok
    });
    shared::play::Play { pipeline: &pipeline, name: Some("the test"), is_live: false }
        .run(|_| Ok(()))
        .unwrap();
    let told: Vec<String> = told.try_iter().collect();
    assert!(!told.is_empty() && told.iter().all(|told| told == "rotate-0"), "{told:?}");
}
