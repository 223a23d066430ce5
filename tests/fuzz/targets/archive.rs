//! Any bytes as a tar archive: refused, or its pictures are listed. They aren't decoded, which is another library's work.
#![no_main]

use std::sync::LazyLock;

use gstsmile::train::Catalog;
use smile_fuzz::Folder;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let archive = FOLDER.write("archive.tar", bytes);
    for catalog in [Catalog::open(&archive), Catalog::unlabelled(&archive)].into_iter().flatten() {
        assert!(!catalog.is_empty());
        catalog.poses();
    }
});
