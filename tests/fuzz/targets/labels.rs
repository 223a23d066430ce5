//! Any bytes as a table of votes, or where they begin with a `g` as the labels of GENKI-4K.
#![no_main]

use std::sync::LazyLock;

use gstsmile::train::{Catalog, Votes};
use smile_fuzz::Folder;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [b'g', labels @ ..] => {
            FOLDER.write("labels.txt", labels);
            if let Ok(catalog) = Catalog::open(FOLDER.path()) {
                assert_eq!(catalog.len(), 2);
                catalog.poses();
            }
        }
        [_, table @ ..] => {
            let _ = Votes::read(&[FOLDER.write("votes.csv", table)]);
        }
        [] => {}
    }
});
