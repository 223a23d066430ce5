//! Every layout, from folders and archives, and what can be wrong with them.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use gstsmile::model::Region;
use gstsmile::train::{Catalog, Classes, Error, Layout, View};
use image::{ImageFormat, Rgb, RgbImage};
use tempfile::tempdir;

use crate::pictures::{VIEW, encoded, face, jpeg, listing, put, put_classes, put_genki, read, tar_of};

const LABELS: [bool; 5] = [true, false, false, true, false];

fn failure(path: &Path) -> (Error, String) {
    let error = read(path).err().expect("this data set is broken");
    let message = error.to_string();
    assert!(error.is_bad_input(), "{message}");
    (error, message)
}

#[test]
fn genki_as_published() {
    let folder = tempdir().unwrap();
    put_genki(folder.path(), &LABELS);
    let dataset = read(folder.path()).unwrap();
    assert_eq!(dataset.layout, Layout::Genki4k);
    assert_eq!(dataset.labels(), LABELS);
    assert_eq!(listing(&dataset)[0], ("files/file0001.jpg", true));
    assert!(dataset.samples.iter().all(|sample| sample.pixels.len() == 3 * 64 * 64));
    assert_eq!(dataset.name, folder.path().file_name().unwrap().to_str().unwrap());
}

#[test]
fn genki_r2009a_lists_names_beside_labels() {
    let folder = tempdir().unwrap();
    for index in [3, 1, 2] {
        put(folder.path(), &format!("files/face{index}.jpg"), jpeg(index, true));
    }
    put(folder.path(), "files/of-another-subset.jpg", jpeg(9, true));
    put(folder.path(), "Subsets/GENKI-4K/GENKI-4K_Images.txt", "face3.jpg\r\nface1.jpg\r\nface2.jpg\r\n");
    put(folder.path(), "Subsets/GENKI-4K/GENKI-4K_Labels.txt", "1 0 0 0\r\n0 0 0 0\r\n1 0 0 0\r\n");
    let dataset = read(folder.path()).unwrap();
    assert_eq!(dataset.layout, Layout::GenkiR2009a);
    let expected = [("files/face1.jpg", false), ("files/face2.jpg", true), ("files/face3.jpg", true)];
    assert_eq!(listing(&dataset), expected);
}

#[test]
fn a_folder_a_class_with_every_kind_of_picture() {
    let folder = tempdir().unwrap();
    for (name, format) in [
        ("smile/b.PNG", ImageFormat::Png),
        ("smile/deeper/a.webp", ImageFormat::WebP),
        ("no-smile/c.bmp", ImageFormat::Bmp),
        // A wrong name is no obstacle.
        ("no-smile/a.jpeg", ImageFormat::Png),
    ] {
        put(folder.path(), name, encoded(&face(1, name.starts_with("smile")), format));
    }
    put(folder.path(), "smile/notes.txt", "not a picture");
    put(folder.path(), "smile/._b.png", "left by another system");
    let dataset = read(folder.path()).unwrap();
    assert_eq!(dataset.layout, Layout::Classes);
    let expected = [
        ("no-smile/a.jpeg", false),
        ("no-smile/c.bmp", false),
        ("smile/b.PNG", true),
        ("smile/deeper/a.webp", true),
    ];
    assert_eq!(listing(&dataset), expected);
    assert!(dataset.skipped.is_empty());
}

/// The same data set as a packed archive of each kind.
fn packed(folder: &Path, to: &Path) -> Vec<PathBuf> {
    let tar = fs::read(tar_of(folder, "", &to.join("set.tar"))).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    // Two frames with one to be skipped between them, as programs write that pack in parallel.
    let frame =
        |part: &[u8]| ruzstd::encoding::compress_to_vec(part, ruzstd::encoding::CompressionLevel::Fastest);
    let (first, second) = tar.split_at(tar.len() / 2);
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'a', b'b', b'c'];
    let zstandard = [frame(first), skipped.to_vec(), frame(second)].concat();
    // Stored as they are; the tests of hostile archives have packed ones.
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            zip.start_file(entry.path().unwrap().to_str().unwrap(), stored).unwrap();
            std::io::copy(&mut entry, &mut zip).unwrap();
        }
    }
    let zip = zip.finish().unwrap().into_inner();
    let all = [("set.tar.gz", gzip.finish().unwrap()), ("set.tar.zst", zstandard), ("set.zip", zip)];
    all.into_iter()
        .map(|(name, bytes)| {
            put(to, name, bytes);
            to.join(name)
        })
        .collect()
}

#[test]
fn packed_archives_give_what_folders_give() {
    let place = tempdir().unwrap();
    let genki = place.path().join("genki");
    put_genki(&genki, &LABELS);
    let from_folder = read(&genki).unwrap();
    for archive in packed(&genki, place.path()) {
        let from_archive = read(&archive).unwrap();
        assert_eq!(from_archive.samples, from_folder.samples, "{archive:?}");
        assert_eq!(from_archive.layout, from_folder.layout);
    }
    let refused = "neither a folder nor a sound archive (.tar, .tar.gz, .tar.zst or .zip)";
    put(place.path(), "set.7z", b"7z\xbc\xaf\x27\x1c and more".repeat(100));
    assert!(failure(&place.path().join("set.7z")).1.contains(refused));
    let cut = fs::read(place.path().join("set.tar.gz")).unwrap();
    put(place.path(), "cut.tar.gz", &cut[..cut.len() / 2]);
    assert!(failure(&place.path().join("cut.tar.gz")).1.contains("cut.tar.gz"));
}

#[test]
fn what_systems_leave_behind_is_no_picture_and_no_class() {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("set/faces"), 2);
    let expected = read(&folder.path().join("set")).unwrap();
    for name in [".DS_Store", "__MACOSX/faces/smile/._000.jpg", "faces/smile/._000.jpg", "faces/.DS_Store"] {
        put(folder.path(), &format!("set/{name}"), "left by another system");
    }
    put(folder.path(), "set/__MACOSX/smile/a.jpg", jpeg(7, true));
    for data in ["set", "set.tar"] {
        if data == "set.tar" {
            tar_of(&folder.path().join("set"), "", &folder.path().join(data));
        }
        let dataset = read(&folder.path().join(data)).unwrap();
        assert_eq!(dataset.samples, expected.samples);
        assert!(dataset.skipped.is_empty());
    }
}

#[test]
fn a_mark_of_byte_order_is_no_error() {
    let folder = tempdir().unwrap();
    put_genki(folder.path(), &LABELS);
    let labels = fs::read_to_string(folder.path().join("labels.txt")).unwrap();
    put(folder.path(), "labels.txt", format!("\u{feff}{labels}"));
    assert_eq!(read(folder.path()).unwrap().labels(), LABELS);
    assert_eq!(Catalog::open(folder.path()).unwrap().poses().len(), LABELS.len());
}

#[test]
fn class_folders_have_usual_names_or_those_that_are_told() {
    let folder = tempdir().unwrap();
    for name in ["happy/a.jpg", "Smiling/b.jpg", "no_smile/c.jpg", "neutral/d.jpg"] {
        put(folder.path(), name, jpeg(1, true));
    }
    let dataset = read(folder.path()).unwrap();
    assert_eq!(dataset.layout, Layout::Classes);
    let usual =
        [("Smiling/b.jpg", true), ("happy/a.jpg", true), ("neutral/d.jpg", false), ("no_smile/c.jpg", false)];
    assert_eq!(listing(&dataset), usual);

    // What is neither is never left out without a word.
    put(folder.path(), "surprise/e.jpg", jpeg(1, true));
    put(folder.path(), "notes/list.txt", "no picture");
    let message = failure(folder.path()).1;
    assert!(
        message.contains("surprise") && message.contains("--classes") && !message.contains("notes"),
        "{message}"
    );
    let with = |words: &[&str]| {
        let classes = Classes::told(words).unwrap();
        let dataset = Catalog::with_classes(folder.path(), &classes).unwrap().decode(VIEW, || {}).unwrap();
        listing(&dataset).iter().map(|&(name, smiling)| (name.to_string(), smiling)).collect::<Vec<_>>()
    };
    assert_eq!(with(&["ignore=surprise"]).len(), 4);
    let told = with(&["smile=surprise,neutral", "no-smile=happy"]);
    assert!(told.contains(&("surprise/e.jpg".into(), true)) && told.contains(&("happy/a.jpg".into(), false)));
    assert!(told.contains(&("neutral/d.jpg".into(), true)), "{told:?}");
}

#[test]
fn archives_give_what_folders_give() {
    let place = tempdir().unwrap();
    let genki = place.path().join("genki");
    put_genki(&genki, &LABELS);
    let classes = place.path().join("classes");
    put_classes(&classes, 2);
    for (folder, tops) in [(&genki, ["", ".", "some/top"]), (&classes, ["", "faces", "."])] {
        let from_folder = read(folder).unwrap();
        for top in tops {
            let archive = tar_of(folder, top, &place.path().join("set.tar"));
            let from_archive = read(&archive).unwrap();
            assert_eq!(from_archive.samples, from_folder.samples, "top {top:?}");
            assert_eq!(from_archive.layout, from_folder.layout);
            assert_eq!(from_archive.name, "set.tar");
        }
    }
}

#[test]
fn the_centre_is_a_square_and_the_whole_is_squeezed() {
    let folder = tempdir().unwrap();
    let striped =
        RgbImage::from_fn(
            128,
            64,
            |x, _| {
                if (32..96).contains(&x) { Rgb([0, 200, 0]) } else { Rgb([200, 0, 0]) }
            },
        );
    put(folder.path(), "smile/a.png", encoded(&striped, ImageFormat::Png));
    let pixels = |region| {
        let view = View { region, ..VIEW };
        let dataset = Catalog::open(folder.path()).unwrap().decode(view, || {}).unwrap();
        dataset.samples[0].pixels.clone()
    };
    let red_at_left = |pixels: &[u8]| pixels[32 * 64 + 4] > 100;
    assert!(red_at_left(&pixels(Region::Full)));
    assert!(!red_at_left(&pixels(Region::Center)));
}

#[test]
fn pictures_taken_sideways_are_turned_upright() {
    let folder = tempdir().unwrap();
    // Red above blue once turned by 90° clockwise, as the orientation 6 asks for.
    let lying = RgbImage::from_fn(64, 64, |x, _| if x < 32 { Rgb([200, 0, 0]) } else { Rgb([0, 0, 200]) });
    let mut bytes = encoded(&lying, ImageFormat::Jpeg);
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    bytes.splice(2..2, exif.iter().copied());
    put(folder.path(), "smile/a.jpg", bytes);
    let dataset = read(folder.path()).unwrap();
    let red = |x: usize, y: usize| dataset.samples[0].pixels[y * 64 + x] > 100;
    assert!(red(8, 8) && red(56, 8) && !red(8, 56) && !red(56, 56));
}

#[test]
fn broken_pictures_are_named_and_skipped() {
    let folder = tempdir().unwrap();
    put_genki(folder.path(), &LABELS);
    put(folder.path(), "files/file0002.jpg", "no picture at all");
    put(folder.path(), "files/file0004.jpg", "");
    let dataset = read(folder.path()).unwrap();
    let names: Vec<_> = dataset.skipped.iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!(names, ["files/file0002.jpg", "files/file0004.jpg"]);
    assert!(dataset.skipped.iter().all(|skipped| !skipped.reason.is_empty()));
    let expected =
        [("files/file0001.jpg", true), ("files/file0003.jpg", false), ("files/file0005.jpg", false)];
    assert_eq!(listing(&dataset), expected);
}

#[test]
fn an_archive_cut_short_loses_only_what_is_missing() {
    let place = tempdir().unwrap();
    put_classes(&place.path().join("set"), 3);
    let archive = tar_of(&place.path().join("set"), "", &place.path().join("set.tar"));
    let bytes = fs::read(&archive).unwrap();
    // The last file's content, before the two empty blocks that end an archive.
    fs::write(&archive, &bytes[..bytes.len() - 1024 - 600]).unwrap();
    let dataset = read(&archive).unwrap();
    assert_eq!((dataset.samples.len(), dataset.skipped.len()), (5, 1));
}

#[test]
fn a_missing_label_is_an_error() {
    let folder = tempdir().unwrap();
    put_genki(folder.path(), &LABELS);
    put(folder.path(), "labels.txt", "1 0 0 0\n0 0 0 0\n\n1 0 0 0\n0 0 0 0");
    assert!(failure(folder.path()).1.contains("line 3 labels files/file0003.jpg"));
    put(folder.path(), "labels.txt", "1 0 0 0\n0 0 0 0\n1 0 0 0\n1 0 0 0\n");
    let message = failure(folder.path()).1;
    assert!(message.contains("4 labels for 5 pictures; files/file0005.jpg has none"), "{message}");
    put(folder.path(), "labels.txt", "1\n0\n1\n1\n0\n1");
    assert!(failure(folder.path()).1.contains("6 labels for 5 pictures"));
    fs::remove_file(folder.path().join("labels.txt")).unwrap();
    assert!(failure(folder.path()).1.contains("labels.txt"));
}

#[test]
fn an_unknown_layout_says_what_was_looked_for() {
    let folder = tempdir().unwrap();
    let (_, message) = failure(folder.path());
    assert!(message.contains("nothing in it"), "{message}");
    put(folder.path(), "cats/a.jpg", jpeg(1, true));
    put(folder.path(), "dogs/a.jpg", jpeg(1, false));
    let (error, message) = failure(folder.path());
    assert!(matches!(error, Error::Layout { .. }));
    for part in ["cats, dogs", "labels.txt", "GENKI-4K_Images.txt", "no-smile/"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn no_pictures_and_no_data_are_errors() {
    let folder = tempdir().unwrap();
    put(folder.path(), "smile/a.txt", "");
    assert!(matches!(failure(folder.path()).0, Error::NoPictures { skipped: 0, .. }));
    put(folder.path(), "smile/a.jpg", "broken");
    assert!(matches!(failure(folder.path()).0, Error::NoPictures { skipped: 1, .. }));
    assert!(matches!(failure(&folder.path().join("absent")).0, Error::Read { .. }));
    put(folder.path(), "noise.tar", [7; 4096]);
    assert!(failure(&folder.path().join("noise.tar")).1.contains("tar"));
}
