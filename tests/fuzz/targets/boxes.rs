//! Any bytes as a table of boxes: refused, or faces with finite places.
#![no_main]

use std::sync::LazyLock;

use gstsmile::train::{FaceData, FaceFiles};
use smile_fuzz::Folder;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let boxes = [FOLDER.write("boxes.csv", bytes)];
    let files = FaceFiles {
        data: FOLDER.path(),
        boxes: &boxes,
        no_face: None,
        extra: &[],
        extra_no_face: &[],
        ignored: &[],
        parts: &[],
        hard: &[],
    };
    if let Ok(data) = FaceData::read(&files, |_, _| ()) {
        for face in data.pictures.iter().flat_map(|picture| &picture.faces) {
            assert!(
                face.rect.width > 0.0
                    && face
                        .landmarks
                        .iter()
                        .flat_map(|points| points.as_flattened())
                        .all(|value| value.is_finite())
            );
        }
    }
});
