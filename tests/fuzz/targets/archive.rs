//! Any bytes as a tar archive: refused, or its pictures are listed. They aren't decoded, which is another library's work.
#![no_main]

use std::sync::LazyLock;

use gstsmile::train::{Catalog, Pictures};
use smile_fuzz::Folder;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let archive = FOLDER.write("archive.tar", bytes);
    if let Ok(catalog) = Catalog::open(&archive) {
        assert!(!catalog.is_empty());
        catalog.poses();
    }
    if let Ok(pictures) = Pictures::list(&[&archive]) {
        assert!(!pictures.is_empty());
    }
});
