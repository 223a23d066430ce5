//! Chance changes of light and sharpness, on a plane of bytes.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat};
use rand::{Rng, RngExt};

/// Changes brightness, contrast, gamma and the light's direction, more so with a `strength` from 0 to 1.
pub fn light(pixels: &mut [u8], width: usize, strength: f32, rng: &mut impl Rng) {
    Light::draw(strength, rng).shine(pixels, width);
}

/// A change of light by chance, drawn once so that several planes can get the very same one.
#[derive(Clone, Copy, Debug)]
pub struct Light {
    /// The exponent of brightness from 0 to 1: less than 1 brightens.
    pub gamma: f32,
    gain: f32,
    /// Added to brightness, of 255.
    shift: f32,
    /// What is lost at the dark side, as a factor that falls along a direction.
    fall: f32,
    /// Sine and cosine of that direction.
    direction: (f32, f32),
}

impl Light {
    /// Changes more with a `strength` from 0 to 1.
    pub fn draw(strength: f32, rng: &mut impl Rng) -> Self {
        let gamma = normal(rng, 0.25 * strength).exp();
        let gain = match chance(rng, 0.1 * strength) {
            true => rng.random_range(0.25..0.6),
            false => normal(rng, 0.2 * strength).exp(),
        };
        let shift = normal(rng, 12.0 * strength);
        let fall = if chance(rng, 0.25 * strength) { rng.random_range(0.2..0.9) } else { 0.0 };
        let direction = rng.random_range(0.0..std::f32::consts::TAU).sin_cos();
        Self { gamma, gain, shift, fall, direction }
    }

    /// Puts a plane into this light.
    pub fn shine(&self, pixels: &mut [u8], width: usize) {
        let Self { gamma, gain, shift, fall, direction: (sin, cos) } = *self;
        let height = pixels.len() / width;
        let curve: Vec<f32> =
            (0..256u16).map(|value| (f32::from(value) / 255.0).powf(gamma) * 255.0).collect();
        for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
            let down = (y as f32 / height as f32 - 0.5) * sin;
            for (x, value) in row.iter_mut().enumerate() {
                let across = (x as f32 / width as f32 - 0.5) * cos;
                let lit = 1.0 - fall * (0.5 + (down + across) / std::f32::consts::SQRT_2);
                *value =
                    ((curve[usize::from(*value)] - 128.0) * gain * lit + 128.0 * gain.min(1.0) * lit + shift)
                        .clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// Multiplies all values.
pub fn gain(pixels: &mut [u8], factor: f32) {
    pixels.iter_mut().for_each(|value| *value = (f32::from(*value) * factor + 0.5) as u8);
}

/// How often to [`blur`] for this standard deviation in pixels: each time adds ½ to the variance.
pub fn passes(deviation: f32) -> usize {
    (2.0 * deviation * deviation).round().max(1.0) as usize
}

/// Blurs with the weights ¼, ½, ¼ along rows, columns or both.
pub fn blur(pixels: &mut [u8], width: usize, [along_rows, along_columns]: [bool; 2]) {
    let mean = |a: u8, b: u8, c: u8| ((u16::from(a) + 2 * u16::from(b) + u16::from(c) + 2) / 4) as u8;
    if along_rows {
        for row in pixels.chunks_exact_mut(width) {
            let mut before = row[0];
            for x in 0..width {
                let (now, after) = (row[x], row[(x + 1).min(width - 1)]);
                row[x] = mean(before, now, after);
                before = now;
            }
        }
    }
    if along_columns {
        let height = pixels.len() / width;
        for x in 0..width {
            let mut before = pixels[x];
            for y in 0..height {
                let (now, after) = (pixels[y * width + x], pixels[(y + 1).min(height - 1) * width + x]);
                pixels[y * width + x] = mean(before, now, after);
                before = now;
            }
        }
    }
}

/// Adds noise of this standard deviation.
pub fn noise(pixels: &mut [u8], deviation: f32, rng: &mut impl Rng) {
    for value in pixels {
        // Four bytes of chance: nearly normal, of variance 4 · 256² / 12.
        let sum: u16 = rng.random::<[u8; 4]>().map(u16::from).iter().sum();
        let normal = (f32::from(sum) - 510.0) / 147.8;
        *value = (f32::from(*value) + deviation * normal).clamp(0.0, 255.0) as u8;
    }
}

/// Writes the plane as a JPEG of this quality and reads it back.
pub fn jpeg(pixels: &mut [u8], width: usize, quality: u8) {
    let mut bytes = Vec::new();
    let (columns, rows) = (width as u32, (pixels.len() / width) as u32);
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(pixels, columns, rows, ExtendedColorType::L8)
        .expect("a plane of bytes can be written to memory");
    let read = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg);
    pixels.copy_from_slice(read.expect("what was just written can be read").into_luma8().as_raw());
}

pub fn chance(rng: &mut impl Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// A number that is nearly normal about 0: the sum of six even ones (Irwin and Hall), which has no tails and
/// ends at 3·√2, about 4.24 standard deviations.
pub fn normal(rng: &mut impl Rng, deviation: f32) -> f32 {
    let sum: f32 = (0..6).map(|_| rng.random::<f32>() - 0.5).sum();
    sum * std::f32::consts::SQRT_2 * deviation
}

/// A number from `least` to `most` whose logarithm is spread evenly.
pub fn log_uniform(rng: &mut impl Rng, least: f32, most: f32) -> f32 {
    least * (most / least).powf(rng.random())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn normal_numbers_have_the_deviation_asked_for_and_end_where_they_say() {
        /// Gives the largest number there is, again and again.
        struct Most;
        impl rand::TryRng for Most {
            type Error = std::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok(u32::MAX)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(u64::MAX)
            }
            fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
                bytes.fill(u8::MAX);
                Ok(())
            }
        }
        assert!((normal(&mut Most, 2.0) - 2.0 * 4.2426).abs() < 1e-3);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let squares = (0..20_000).map(|_| normal(&mut rng, 2.0).powi(2));
        let deviation = (squares.sum::<f32>() / 20_000.0).sqrt();
        assert!((deviation - 2.0).abs() < 0.05, "{deviation}");
    }
}
