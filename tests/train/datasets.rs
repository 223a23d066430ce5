//! Every layout, from folders and archives, and what can be wrong with them.

use std::fs;
use std::path::Path;

use gstsmile::model::Region;
use gstsmile::train::{Catalog, Error, Layout, View};
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
    put(folder.path(), "happy/a.jpg", jpeg(1, true));
    put(folder.path(), "sad/a.jpg", jpeg(1, false));
    let (error, message) = failure(folder.path());
    assert!(matches!(error, Error::Layout { .. }));
    for part in ["happy, sad", "labels.txt", "GENKI-4K_Images.txt", "no-smile/"] {
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
