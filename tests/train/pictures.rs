//! Generated faces: a smiling one has a bright arc that opens upwards.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use gstsmile::model::Region;
use gstsmile::train::{Catalog, Dataset, Result, View};
use image::{ImageFormat, Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const VIEW: View =
    View { width: 64, height: 64, region: Region::Full, margin: 0.0, locator: None, wide: false };

/// The same picture for the same index.
pub fn face(index: u64, smiling: bool) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(2 * index + u64::from(smiling));
    let mut below = |bound: u32| rng.next_u32() % bound;
    let (x0, y0) = (36.0 + below(9) as f32, 52.0 + below(9) as f32);
    let depth = 10.0 + below(6) as f32;
    let skin = [90 + below(30) as u8, 60 + below(30) as u8, 40 + below(30) as u8];
    let noise: Vec<u8> = (0..80 * 96).map(|_| below(24) as u8).collect();
    RgbImage::from_fn(80, 96, |x, y| {
        let across = (x as f32 - x0) / 22.0;
        let bend = if smiling { -depth } else { depth } * across * across;
        let arc = across.abs() < 1.0 && (y as f32 - y0 - bend).abs() < 4.0;
        let noise = noise[(y * 80 + x) as usize];
        Rgb(if arc { [240 - noise; 3] } else { skin.map(|value| value + noise) })
    })
}

pub fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn jpeg(index: u64, smiling: bool) -> Vec<u8> {
    encoded(&face(index, smiling), ImageFormat::Jpeg)
}

/// Writes a file and the folders that it needs.
pub fn put(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A folder a class with `count` faces each.
pub fn put_classes(root: &Path, count: u64) {
    for index in 0..count {
        put(root, &format!("smile/{index:03}.jpg"), jpeg(index, true));
        put(root, &format!("no-smile/{index:03}.jpg"), jpeg(index, false));
    }
}

/// GENKI-4K's layout: as many faces as labels.
pub fn put_genki(root: &Path, labels: &[bool]) {
    let mut lines = Vec::new();
    for (index, &smiling) in labels.iter().enumerate() {
        put(root, &format!("files/file{:04}.jpg", index + 1), jpeg(index as u64, smiling));
        lines.push(format!("{} -0.021162 0.059530 -0.039662", u8::from(smiling)));
    }
    put(root, "labels.txt", lines.join("\n"));
}

/// An archive of everything in `folder`, its names beginning with `top`.
pub fn tar_of(folder: &Path, top: &str, to: &Path) -> PathBuf {
    let mut archive = tar::Builder::new(fs::File::create(to).unwrap());
    archive.append_dir_all(top, folder).unwrap();
    archive.finish().unwrap();
    to.into()
}

pub fn read(path: &Path) -> Result<Dataset> {
    Catalog::open(path)?.decode(VIEW, || {})
}

/// Names and labels.
pub fn listing(dataset: &Dataset) -> Vec<(&str, bool)> {
    dataset.samples.iter().map(|sample| (sample.name.as_str(), sample.smiling)).collect()
}

/// What lies in a folder, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
