//! Any bytes as a weights file, or where they begin with a brace as what a weights file says of itself: refused, or a
//! network that answers.
#![no_main]

use std::sync::LazyLock;

use candle_core::Device;
use gstsmile::analysis::Picture;
use gstsmile::analysis::locate::Locator;
use gstsmile::model::{Classifier, FaceWeights, SmileWeights};
use smile_fuzz::{WEIGHTS, face_file, smile_file, with_text};

static FILES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [smile_file(), face_file()]);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let files = match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with('{') => FILES.each_ref().map(|file| with_text(file, WEIGHTS, text)),
        _ => [bytes.to_vec(), bytes.to_vec()],
    };
    let smile = SmileWeights::from_bytes(&files[0], "fuzz");
    if let Ok(mut classifier) = smile.and_then(|weights| Classifier::new(&weights, &Device::Cpu)) {
        let picture = vec![100; classifier.metadata().architecture.input_len()];
        let mut probabilities = Vec::new();
        classifier.probabilities(&picture, &mut probabilities).unwrap();
        assert_eq!(probabilities.len(), 1);
    }
    let face = FaceWeights::from_bytes(&files[1], "fuzz");
    if let Ok(mut locator) = face.and_then(|weights| Locator::new(&weights)) {
        let grey: Vec<u8> = (0..40 * 30).map(|index| (index * 7 % 256) as u8).collect();
        let mut found = Vec::new();
        locator.locate(&Picture::grey(40, 30, &grey), &mut found).unwrap();
        assert!(found.iter().all(|face| face.score.is_finite() && face.rect.x.is_finite()));
    }
});
