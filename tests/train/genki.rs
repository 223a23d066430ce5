//! The real data sets, where they are there.

use std::path::PathBuf;

use gstsmile::train::{Catalog, DataFacts, Layout, Split, SplitFacts};

use crate::pictures::read;

/// A file or folder of the data sets; says so where it isn't there.
fn data(name: &str) -> Option<PathBuf> {
    let near = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let root = std::env::var_os("SMILE_DATA").map_or(PathBuf::from(near), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there; set SMILE_DATA to the folder that holds {name}", path.display());
    None
}

#[test]
fn genki_splits_as_in_the_paper() {
    let Some(path) = data("genki4k") else { return };
    let dataset = read(&path).unwrap();
    let facts = DataFacts::of(&dataset);
    assert_eq!((facts.layout, facts.counts, facts.skipped), (Layout::Genki4k, [1838, 2162], 0));
    assert_eq!(dataset.samples[3999].name, "files/file4000.jpg");
    let labels = dataset.labels();
    for seed in 1..=5 {
        let split = Split { seed, test_fraction: 0.2, validation_fraction: 0.0, fold: None };
        let facts = SplitFacts::new(split, &labels, &split.parts(&labels));
        assert_eq!((facts.test, facts.training), ([368, 432], [1470, 1730]));
    }
}

#[test]
fn a_large_archive_is_listed() {
    let Some(path) = data("fer2013-64.tar") else { return };
    let catalog = Catalog::open(&path).unwrap();
    assert_eq!((catalog.layout(), catalog.len()), (Layout::Classes, 35_887));
}
