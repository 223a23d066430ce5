//! Chance variations of a cut-out face: what a camera, a face detector and a compressor do to it.
//!
//! Their strength, from 0 to 1, says how far faces are moved and how much the light changes, and how
//! often they are softened, noisy, compressed or hidden in part; not how often they are grey or
//! overexposed.

use image::imageops::{self, FilterType};
use image::{GrayImage, ImageBuffer};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::augment::{self, Light, chance, log_uniform, normal};
use super::dataset::WIDE;
use super::plane::{Placement, bilinear};
use crate::model::Region;

/// Standard deviation in pixels of the strongest blur.
const MOST_BLUR: f32 = 2.8;

/// How far faces get out of focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blur {
    /// As by one pass of ¼, ½, ¼: for whole pictures, which as faces are mostly small ones enlarged, and soft already.
    Light,
    /// By standard deviations from 0.5 pixels to [`MOST_BLUR`].
    Any,
}

impl Blur {
    /// That of pictures of which a network sees this.
    pub fn of(region: Region) -> Self {
        match region {
            Region::Full => Self::Light,
            Region::Center | Region::Faces => Self::Any,
        }
    }
}

/// A `width` × `height` input (R, G and B planes) out of one that shows [`WIDE`] times as much.
pub fn vary(
    wide: &[u8],
    [width, height]: [usize; 2],
    strength: f32,
    blur: Blur,
    rng: &mut ChaCha8Rng,
) -> Vec<u8> {
    let mut pixels = moved(wide, [width, height], strength, rng);
    if chance(rng, 0.2) {
        to_grey(&mut pixels);
    }
    let grey = pixels[..width * height] == pixels[width * height..][..width * height];
    // The same light for all three planes, which each have a little more or less of it.
    let (light, exposure) = lit(strength, rng);
    for plane in pixels.chunks_exact_mut(width * height) {
        if !grey {
            augment::gain(plane, normal(rng, 0.08 * strength).exp());
        }
        light.shine(plane, width);
        if exposure > 1.0 {
            augment::gain(plane, exposure);
        }
    }
    soften(&mut pixels, [width, height], strength, blur, rng);
    if chance(rng, 0.25 * strength) {
        let deviation = rng.random_range(0.0..10.0);
        match grey {
            // The same noise for all three, or grey would get a colour.
            true => {
                let (first, others) = pixels.split_at_mut(width * height);
                augment::noise(first, deviation, rng);
                others.chunks_exact_mut(width * height).for_each(|plane| plane.copy_from_slice(first));
            }
            false => augment::noise(&mut pixels, deviation, rng),
        }
    }
    if chance(rng, 0.15 * strength) {
        let quality = rng.random_range(20..80);
        pixels.chunks_exact_mut(width * height).for_each(|plane| augment::jpeg(plane, width, quality));
    }
    if chance(rng, 0.15 * strength) {
        erase(&mut pixels, [width, height], rng);
    }
    pixels
}

/// The light that a face is in, and by how much it is overexposed, of which neither says anything of the other.
fn lit(strength: f32, rng: &mut ChaCha8Rng) -> (Light, f32) {
    let exposure = if chance(rng, 0.2) { rng.random_range(1.0..1.8) } else { 1.0 };
    (Light::draw(strength, rng), exposure)
}

/// Turned, shifted, scaled and mirrored.
fn moved(wide: &[u8], [width, height]: [usize; 2], strength: f32, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let size = [WIDE * width, WIDE * height];
    // Mostly what a face detector does; now and then a tight crop, or a loose one.
    let scale = match chance(rng, 0.3 * strength) {
        true => log_uniform(rng, 0.6, 1.5),
        false => log_uniform(rng, 0.8, 1.25).powf(strength),
    };
    let stretch = normal(rng, 0.05 * strength).exp();
    let placement = Placement {
        from: size.map(|side| side as f32 / 2.0),
        to: [width, height].map(|side| side as f32 * (0.5 + normal(rng, 0.06 * strength))),
        scale: [if rng.random() { scale } else { -scale } * stretch, scale],
        angle: normal(rng, 0.17 * strength),
    };
    let mut pixels = vec![0; 3 * width * height];
    for y in 0..height {
        for x in 0..width {
            let point = placement.source([x as f32 + 0.5, y as f32 + 0.5]);
            for channel in 0..3 {
                let plane = &wide[channel * size[0] * size[1]..][..size[0] * size[1]];
                let value = bilinear(plane, size, point);
                pixels[(channel * height + y) * width + x] = (value + 0.5) as u8;
            }
        }
    }
    pixels
}

fn to_grey(pixels: &mut [u8]) {
    let (red, rest) = pixels.split_at_mut(pixels.len() / 3);
    let (green, blue) = rest.split_at_mut(red.len());
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let brightness = 0.299 * f32::from(*red) + 0.587 * f32::from(*green) + 0.114 * f32::from(*blue);
        let brightness = (brightness + 0.5) as u8;
        (*red, *green, *blue) = (brightness, brightness, brightness);
    }
}

/// Less sharp, as from a small, blurred or moving face.
fn soften(pixels: &mut [u8], [width, height]: [usize; 2], strength: f32, blur: Blur, rng: &mut ChaCha8Rng) {
    let often = match blur {
        Blur::Light => 0.2,
        Blur::Any => 0.3,
    };
    if chance(rng, 0.25 * strength) {
        let share = rng.random_range(0.35..0.8);
        for plane in pixels.chunks_exact_mut(width * height) {
            coarsen(plane, [width, height], share);
        }
    } else if chance(rng, often * strength) {
        let (directions, passes) = match blur {
            Blur::Light => ([rng.random(), true], 1),
            Blur::Any => {
                let directions = [chance(rng, 0.7), true];
                (directions, augment::passes(log_uniform(rng, 0.5, MOST_BLUR)))
            }
        };
        for plane in pixels.chunks_exact_mut(width * height) {
            (0..passes).for_each(|_| augment::blur(plane, width, directions));
        }
    }
}

/// Shrinks a plane to this share of its sides and enlarges it again.
fn coarsen(plane: &mut [u8], [width, height]: [usize; 2], share: f32) {
    let side = |side: usize| ((side as f32 * share) as u32).max(1);
    let image: GrayImage =
        ImageBuffer::from_raw(width as u32, height as u32, plane.to_vec()).expect("a plane of this size");
    let small = imageops::resize(&image, side(width), side(height), FilterType::Triangle);
    let large = imageops::resize(&small, width as u32, height as u32, FilterType::Triangle);
    plane.copy_from_slice(large.as_raw());
}

/// Hides a part behind one colour.
fn erase(pixels: &mut [u8], [width, height]: [usize; 2], rng: &mut ChaCha8Rng) {
    let mut span = |side: usize| {
        let length = rng.random_range(side / 8..side / 2);
        let start = rng.random_range(0..side - length);
        start..start + length
    };
    let (columns, rows) = (span(width), span(height));
    for plane in pixels.chunks_exact_mut(width * height) {
        let value = rng.random();
        for row in plane.chunks_exact_mut(width).skip(rows.start).take(rows.len()) {
            row[columns.clone()].fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn faces_out_of_focus_are_among_the_variations() {
        // Stripes of four pixels, of which no loss of pixels leaves as little as a strong blur.
        let stripes: Vec<u8> = (0..3 * 64 * 64).map(|index| if index % 8 < 4 { 40 } else { 200 }).collect();
        let least_contrast = |blur| {
            let contrast = |seed| {
                let mut pixels = stripes.clone();
                soften(&mut pixels, [64, 64], 1.0, blur, &mut ChaCha8Rng::seed_from_u64(seed));
                let row = &pixels[32 * 64 + 16..32 * 64 + 48];
                row.iter().max().unwrap() - row.iter().min().unwrap()
            };
            (0..300).map(contrast).min().unwrap()
        };
        let [any, light] = [Region::Faces, Region::Full].map(|region| least_contrast(Blur::of(region)));
        assert!(any < 40 && light > 40, "{any}, {light}");
    }

    #[test]
    fn variations_differ_from_seed_to_seed_only() {
        let wide: Vec<u8> = (0..3 * 128 * 128).map(|index| (index % 251) as u8).collect();
        let varied = |seed| vary(&wide, [64, 64], 1.0, Blur::Any, &mut ChaCha8Rng::seed_from_u64(seed));
        assert!(varied(1) == varied(1) && varied(1) != varied(2));
        assert_eq!(varied(3).len(), 3 * 64 * 64);
    }

    #[test]
    fn a_lower_strength_changes_less() {
        let wide: Vec<u8> =
            (0..3 * 128 * 128).map(|index| ((128 + index % 128 + index / 128 % 128) / 2) as u8).collect();
        let middle = moved(&wide, [64, 64], 0.0, &mut ChaCha8Rng::seed_from_u64(1));
        // The middle as it is, or mirrored.
        let expected: Vec<u8> = (32..96).map(|x| wide[64 * 128 + x]).collect();
        let row = &middle[32 * 64..33 * 64];
        assert!(row == expected || row.iter().rev().eq(&expected));
        let difference = |strength| {
            let changed = |seed| {
                let varied = vary(&wide, [64, 64], strength, Blur::Any, &mut ChaCha8Rng::seed_from_u64(seed));
                let straight = moved(&wide, [64, 64], 0.0, &mut ChaCha8Rng::seed_from_u64(seed));
                let pairs = varied.iter().zip(&straight);
                pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
            };
            (0..40).map(changed).sum::<u64>()
        };
        let differences = [0.0, 0.5, 1.0].map(difference);
        assert!(differences.is_sorted_by(|a, b| 1.3 * *a as f64 <= *b as f64), "{differences:?}");
    }

    #[test]
    fn overexposed_faces_are_in_any_light() {
        let mut gammas = [Vec::new(), Vec::new()];
        for seed in 0..4000 {
            let (light, exposure) = lit(1.0, &mut ChaCha8Rng::seed_from_u64(seed));
            gammas[usize::from(exposure > 1.0)].push(light.gamma.ln());
        }
        let [plain, over] = gammas.map(|gammas| gammas.iter().sum::<f32>() / gammas.len() as f32);
        // By chance such means of 3,200 and 800 numbers with a deviation of 0.25 differ by 0.01.
        assert!((plain - over).abs() < 0.04, "{plain}, {over}");
    }

    #[test]
    fn grey_faces_stay_grey() {
        let plane: Vec<u8> = (0..128 * 128).map(|index| (index / 80) as u8).collect();
        let wide = [plane.clone(), plane.clone(), plane].concat();
        for seed in 0..50 {
            let varied = vary(&wide, [64, 64], 1.0, Blur::Any, &mut ChaCha8Rng::seed_from_u64(seed));
            let hidden = varied.chunks_exact(64 * 64).collect::<Vec<_>>();
            // What is erased may have a colour.
            let coloured = (0..64 * 64).filter(|&index| hidden[0][index] != hidden[1][index]).count();
            assert!(coloured <= 32 * 32, "seed {seed}: {coloured}");
        }
    }

    #[test]
    fn the_middle_of_the_face_stays_near_the_middle() {
        let mut wide = vec![0; 3 * 128 * 128];
        for (x, y) in (60..68).flat_map(|x| (60..68).map(move |y| (x, y))) {
            (0..3).for_each(|channel| wide[(channel * 128 + y) * 128 + x] = 255);
        }
        for seed in 0..50 {
            let moved = moved(&wide, [64, 64], 1.0, &mut ChaCha8Rng::seed_from_u64(seed));
            let brightest = (0..64 * 64).max_by_key(|&index| moved[index]).unwrap();
            let away = ((brightest % 64) as f32 - 32.0).hypot((brightest / 64) as f32 - 32.0);
            assert!(away < 20.0, "seed {seed}: {away}");
        }
    }
}
