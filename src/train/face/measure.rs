//! How well a locator finds faces: in portraits, in frames where they are small, by pose, and where
//! there are none.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::data::Picture;
use crate::analysis::crop::Rect;
use crate::train::dataset;
use crate::train::error::Result;
use crate::train::layout::poses;
use crate::train::source::Source;

/// Width and height of the frames that faces are put into.
const FRAME: [u32; 2] = [640, 480];
/// Heights of faces in such frames, as shares of the frame's.
const SHARES: [f32; 8] = [0.12, 0.16, 0.2, 0.25, 0.35, 0.5, 0.7, 1.0];
/// Portraits that are put into frames, at most: an even choice of those given.
const MOST_FRAMED: usize = 250;
/// Bands of the head's turn to the side and of its tilt, in degrees either way.
const YAWS: [f32; 4] = [0.0, 10.0, 20.0, 30.0];
const ROLLS: [f32; 3] = [0.0, 10.0, 20.0];

/// Where a quarter of a picture without a face is a frame.
const QUARTERS: &str = "quarters of these";

/// What is known of a frame.
#[derive(Clone, Debug)]
pub struct Truth {
    /// What it is counted under, such as "portraits" or "height 12 %".
    pub groups: Vec<String>,
    pub face: Option<Rect>,
}

/// What was found in the frames of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub group: String,
    pub pictures: usize,
    /// Faces that are there.
    pub faces: usize,
    /// Those with a box whose intersection over union with theirs is at least one half.
    pub found: usize,
    /// Boxes on nothing, or one too many on a face.
    pub false_boxes: usize,
    /// Mean intersection over union of the faces found.
    pub overlap: f64,
}

/// Counts the boxes that were found in each frame.
pub fn tally<'a>(results: impl IntoIterator<Item = (&'a Truth, &'a [Rect])>) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = Vec::new();
    for (truth, boxes) in results {
        let best = truth.face.map(|face| boxes.iter().map(|&found| found.overlap(face)).fold(0.0, f32::max));
        let hit = best.is_some_and(|best| best >= 0.5);
        for group in &truth.groups {
            let index = tallies.iter().position(|tally| tally.group == *group).unwrap_or_else(|| {
                let group = group.clone();
                tallies.push(Tally { group, pictures: 0, faces: 0, found: 0, false_boxes: 0, overlap: 0.0 });
                tallies.len() - 1
            });
            let tally = &mut tallies[index];
            tally.pictures += 1;
            tally.faces += usize::from(best.is_some());
            tally.found += usize::from(hit);
            tally.false_boxes += boxes.len() - usize::from(hit);
            tally.overlap += best.filter(|_| hit).map_or(0.0, f64::from);
        }
    }
    for tally in &mut tallies {
        tally.overlap /= tally.found.max(1) as f64;
    }
    tallies.sort_by_key(|tally| order(&tally.group));
    tallies
}

/// Portraits first, then pictures without faces, then the rest as the groups are listed.
fn order(group: &str) -> usize {
    groups().iter().position(|name| name == group).unwrap_or(usize::MAX)
}

fn groups() -> Vec<String> {
    let names = ["portraits".to_string(), "no face".into(), QUARTERS.into()].into_iter();
    let heights = SHARES.iter().map(|&share| height(share));
    let yaws = (0..YAWS.len()).map(|band| band_name("yaw", &YAWS, band));
    let rolls = (0..ROLLS.len()).map(|band| band_name("roll", &ROLLS, band));
    names.chain(heights).chain(yaws).chain(rolls).collect()
}

fn height(share: f32) -> String {
    format!("height {:.0} %", 100.0 * share)
}

fn band_name(axis: &str, bands: &[f32], band: usize) -> String {
    match bands.get(band + 1) {
        Some(next) => format!("{axis} {}–{next}°", bands[band]),
        None => format!("{axis} {}° and more", bands[band]),
    }
}

fn band(axis: &str, bands: &[f32], radians: f32) -> String {
    let degrees = radians.to_degrees().abs();
    let index = bands.iter().rposition(|&from| degrees >= from).unwrap_or(0);
    band_name(axis, bands, index)
}

/// Makes all frames of some pictures and gives each to `use_frame` with a name of its own: portraits
/// and pictures without faces as they are, quarters of these, and the portraits at several sizes before
/// the pictures without faces.
///
/// # Errors
/// Where a folder or archive can't be read.
pub fn frames(
    data: &Path,
    no_face: Option<&Path>,
    pictures: &[&Picture],
    use_frame: impl Fn(String, RgbImage, Truth) + Sync,
) -> Result<()> {
    let source = Source::open(data)?;
    let others = no_face.map(Source::open).transpose()?;
    let poses = poses(&source);
    let (faces, empty): (Vec<&Picture>, Vec<&Picture>) =
        pictures.iter().partition(|picture| !picture.faces.is_empty());
    let empty: Vec<(String, RgbImage)> = empty
        .par_iter()
        .filter_map(|picture| {
            let image = dataset::read(others.as_ref()?, &picture.name).ok()?;
            Some((picture.name.clone(), image))
        })
        .collect();
    let every = faces.len().div_ceil(MOST_FRAMED);
    faces.par_iter().enumerate().for_each(|(index, picture)| {
        let (Some(face), Ok(image)) = (picture.faces.first(), dataset::read(&source, &picture.name)) else {
            return;
        };
        let mut groups = vec!["portraits".to_string()];
        if let Some(&[yaw, _, roll]) = poses.get(&picture.name) {
            groups.extend([band("yaw", &YAWS, yaw), band("roll", &ROLLS, roll)]);
        }
        let stem = picture.name.rsplit('/').next().unwrap_or(&picture.name);
        let shares = if index % every == 0 { &SHARES[..] } else { &[] };
        for (row, &share) in shares.iter().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64((index * SHARES.len() + row) as u64);
            let background = (!empty.is_empty()).then(|| &empty[index % empty.len()].1);
            let (frame, face) = put(&image, face.rect, share, background, &mut rng);
            let truth = Truth { groups: vec![height(share)], face: Some(face) };
            use_frame(format!("{:03.0}-{stem}", 100.0 * share), frame, truth);
        }
        use_frame(stem.to_string(), image, Truth { groups, face: Some(face.rect) });
    });
    empty.into_par_iter().for_each(|(name, image)| {
        for (index, quarter) in quarters(&image).into_iter().enumerate() {
            let truth = Truth { groups: vec![QUARTERS.into()], face: None };
            use_frame(format!("{index}-{name}"), quarter, truth);
        }
        use_frame(name, image, Truth { groups: vec!["no face".into()], face: None });
    });
    Ok(())
}

/// What a picture shows nearer by.
fn quarters(image: &RgbImage) -> [RgbImage; 4] {
    let (width, height) = (image.width() / 2, image.height() / 2);
    [(0, 0), (width, 0), (0, height), (width, height)]
        .map(|(x, y)| imageops::crop_imm(image, x, y, width, height).to_image())
}

/// A frame with a portrait in it at the size that makes its face `share` of the frame's height.
fn put(
    portrait: &RgbImage,
    face: Rect,
    share: f32,
    background: Option<&RgbImage>,
    rng: &mut ChaCha8Rng,
) -> (RgbImage, Rect) {
    let [width, height] = FRAME;
    let mut frame = match background {
        Some(background) => {
            let (across, down) =
                (width as f32 / background.width() as f32, height as f32 / background.height() as f32);
            let scaled = resized(background, across.max(down));
            imageops::crop_imm(&scaled, 0, 0, width, height).to_image()
        }
        None => RgbImage::from_pixel(width, height, Rgb([128; 3])),
    };
    let scale = share * height as f32 / face.height;
    let scaled = resized(portrait, scale);
    // The whole face is in the frame, where there is room for it.
    let mut place = |len: u32, start: f32, size: f32| {
        let room = (len as f32 - size * scale).max(0.0);
        (rng.random::<f32>() * room - start * scale).round()
    };
    let (x, y) = (place(width, face.x, face.width), place(height, face.y, face.height));
    imageops::overlay(&mut frame, &scaled, x as i64, y as i64);
    let face = Rect {
        x: x + face.x * scale,
        y: y + face.y * scale,
        width: face.width * scale,
        height: face.height * scale,
    };
    (frame, face)
}

fn resized(image: &RgbImage, scale: f32) -> RgbImage {
    let side = |len: u32| (len as f32 * scale).ceil().max(1.0) as u32;
    imageops::resize(image, side(image.width()), side(image.height()), FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_counted_as_found_or_false() {
        let rect = |x: f32| Rect { x, y: 0.0, width: 10.0, height: 10.0 };
        let truth = |face| Truth { groups: vec!["portraits".into()], face };
        let (with, without) = (truth(Some(rect(0.0))), truth(None));
        let results = [
            (&with, &[rect(1.0), rect(30.0)][..]),
            (&with, &[rect(8.0)]),
            (&with, &[]),
            (&without, &[rect(0.0)]),
        ];
        let tallies = tally(results);
        let Tally { pictures, faces, found, false_boxes, overlap, .. } = tallies[0];
        assert_eq!((pictures, faces, found, false_boxes), (4, 3, 1, 3));
        assert!((overlap - 9.0 / 11.0).abs() < 1e-6);
    }

    #[test]
    fn a_face_is_put_at_the_share_of_the_frame() {
        let face = Rect { x: 20.0, y: 30.0, width: 40.0, height: 60.0 };
        let mut portrait = RgbImage::new(100, 120);
        portrait.put_pixel(40, 60, Rgb([255; 3]));
        for share in SHARES {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let (frame, put) = put(&portrait, face, share, None, &mut rng);
            assert!((put.height - share * 480.0).abs() < 1e-3);
            let (x, y) = (put.x + put.width / 2.0, put.y + put.height / 2.0);
            let brightest = frame.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 != [128; 3]);
            let (bx, by, _) = brightest.max_by_key(|(_, _, pixel)| pixel.0[0]).unwrap();
            assert!(
                (bx as f32 - x).hypot(by as f32 - y) < 2.0 + 3.0 * share * 8.0,
                "{share} {bx} {by} {x} {y}"
            );
        }
    }
}
