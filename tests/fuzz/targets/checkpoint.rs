//! Any bytes as a checkpoint, or where they begin with a brace as what a checkpoint says beside its tensors: refused, or
//! training goes on from it.
#![no_main]

use std::sync::LazyLock;

use candle_core::Device;
use gstsmile::train::Trainer;
use smile_fuzz::{CHECKPOINT, Folder, checkpoint_file, task, with_text};

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);
static FILE: LazyLock<Vec<u8>> = LazyLock::new(checkpoint_file);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with('{') => FOLDER.write("checkpoint", &with_text(&FILE, CHECKPOINT, text)),
        _ => FOLDER.write("checkpoint", bytes),
    };
    let _ = Trainer::resume(&path, task(), &Device::Cpu);
});
