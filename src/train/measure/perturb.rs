//! What can happen to a picture, or to a face's box, on the way to the network.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::analysis::crop::Rect;
use crate::train::data::augment;
use crate::train::data::plane::bilinear_rgb;

/// A way to make things harder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All values multiplied by the level.
    Brightness,
    /// Normal noise of this standard deviation, of 255.
    Noise,
    /// A Gaussian blur whose standard deviation is this share of the face's height.
    Blur,
    /// The picture shrunk until its face is so many pixels high; smaller ones stay.
    FaceHeight,
    /// Written as a JPEG of this quality and read again.
    Jpeg,
    /// Without colour; the level doesn't matter.
    Grey,
    /// Turned about the face by so many degrees, both ways.
    Rotation,
    /// This share of the face hidden from above, below or a side.
    Occlusion,
    /// The box shifted by this share of its sides, in four directions.
    BoxShift,
    /// The box's sides multiplied by the level.
    BoxScale,
}

/// A kind with how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Perturbation {
    /// What is done.
    pub kind: Kind,
    /// How much of it, in the kind's own unit.
    pub level: f32,
}

impl Kind {
    /// In the order in which they are told of.
    pub const ALL: [Self; 10] = [
        Self::Brightness,
        Self::Noise,
        Self::Blur,
        Self::FaceHeight,
        Self::Jpeg,
        Self::Grey,
        Self::Rotation,
        Self::Occlusion,
        Self::BoxShift,
        Self::BoxScale,
    ];

    /// The levels that are measured.
    pub fn levels(self) -> &'static [f32] {
        match self {
            Self::Brightness => &[0.3, 0.5, 0.7, 1.5, 2.0],
            Self::Noise => &[5.0, 10.0, 20.0, 30.0],
            Self::Blur => &[0.02, 0.04, 0.06, 0.08],
            Self::FaceHeight => &[64.0, 48.0, 32.0, 24.0, 16.0],
            Self::Jpeg => &[70.0, 50.0, 30.0, 15.0, 5.0],
            Self::Grey => &[1.0],
            Self::Rotation => &[5.0, 10.0, 15.0, 20.0, 30.0],
            Self::Occlusion => &[0.1, 0.2, 0.3, 0.4],
            Self::BoxShift => &[0.05, 0.1, 0.15, 0.2],
            Self::BoxScale => &[0.75, 0.85, 0.9, 1.1, 1.15, 1.3],
        }
    }

    /// What a person calls it, with the unit of its levels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brightness => "brightness ×",
            Self::Noise => "noise, standard deviation",
            Self::Blur => "blur, share of the face",
            Self::FaceHeight => "face height, px",
            Self::Jpeg => "JPEG quality",
            Self::Grey => "grey",
            Self::Rotation => "rotation, °",
            Self::Occlusion => "hidden share of the face",
            Self::BoxShift => "box shifted by share",
            Self::BoxScale => "box scaled ×",
        }
    }

    /// Whether it is done to the box that the face detector found instead of to the picture.
    pub fn is_of_box(self) -> bool {
        matches!(self, Self::BoxShift | Self::BoxScale)
    }
}

impl Perturbation {
    /// All kinds at all their levels.
    pub fn all() -> Vec<Self> {
        Kind::ALL
            .iter()
            .flat_map(|&kind| kind.levels().iter().map(move |&level| Self { kind, level }))
            .collect()
    }

    /// How many ways there are to do it: directions and sides.
    pub fn variants(self) -> usize {
        match self.kind {
            Kind::Rotation => 2,
            Kind::BoxShift => 4,
            _ => 1,
        }
    }

    /// The picture after it, where it is done to pictures. `face` is where the face is, and `index` that
    /// of the picture, which chance depends on.
    pub fn picture(self, image: &RgbImage, face: Rect, variant: usize, index: usize) -> RgbImage {
        let level = self.level;
        let mut image = image.clone();
        match self.kind {
            Kind::Brightness => augment::gain(&mut image, level),
            Kind::Noise => augment::noise(&mut image, level, &mut ChaCha8Rng::seed_from_u64(index as u64)),
            Kind::Blur => image = imageops::blur(&image, (level * face.height).max(0.1)),
            Kind::FaceHeight => {
                let side = |len: u32| ((len as f32 * level / face.height).round() as u32).max(1);
                if level < face.height {
                    let (width, height) = (side(image.width()), side(image.height()));
                    image = imageops::resize(&image, width, height, FilterType::Triangle);
                }
            }
            Kind::Jpeg => image = jpeg(&image, level as u8),
            Kind::Grey => image = grey(&image),
            Kind::Rotation => {
                let angle = if variant == 0 { level } else { -level }.to_radians();
                image = rotated(&image, face, angle);
            }
            Kind::Occlusion => hide(&mut image, face, level, index),
            Kind::BoxShift | Kind::BoxScale => {}
        }
        image
    }

    /// The box after it.
    pub fn face(self, face: Rect, variant: usize) -> Rect {
        let Rect { x, y, width, height } = face;
        match (self.kind, variant) {
            (Kind::BoxShift, 0) => Rect { x: x - self.level * width, ..face },
            (Kind::BoxShift, 1) => Rect { x: x + self.level * width, ..face },
            (Kind::BoxShift, 2) => Rect { y: y - self.level * height, ..face },
            (Kind::BoxShift, _) => Rect { y: y + self.level * height, ..face },
            (Kind::BoxScale, _) => {
                let more = (self.level - 1.0) / 2.0;
                let (x, y) = (x - more * width, y - more * height);
                Rect { x, y, width: self.level * width, height: self.level * height }
            }
            _ => face,
        }
    }
}

/// Brightness three times over.
fn grey(image: &RgbImage) -> RgbImage {
    let grey = imageops::colorops::grayscale(image);
    RgbImage::from_fn(image.width(), image.height(), |x, y| Rgb([grey.get_pixel(x, y)[0]; 3]))
}

fn jpeg(image: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(image)
        .expect("a picture can be written to memory");
    let read = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg);
    read.expect("what was just written can be read").into_rgb8()
}

/// Turned clockwise about the middle of the face; the edge goes on outside.
fn rotated(image: &RgbImage, face: Rect, angle: f32) -> RgbImage {
    let (middle_x, middle_y) = (face.x + face.width / 2.0, face.y + face.height / 2.0);
    let (sin, cos) = angle.sin_cos();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let (x, y) = (x as f32 + 0.5 - middle_x, y as f32 + 0.5 - middle_y);
        bilinear_rgb(image, [middle_x + cos * x + sin * y, middle_y + cos * y - sin * x])
    })
}

/// Covers a share of the face with grey, from another side from picture to picture.
fn hide(image: &mut RgbImage, face: Rect, share: f32, index: usize) {
    let Rect { x, y, width, height } = face;
    let part = match index % 4 {
        0 => Rect { height: share * height, ..face },
        1 => Rect { y: y + (1.0 - share) * height, height: share * height, ..face },
        2 => Rect { width: share * width, ..face },
        _ => Rect { x: x + (1.0 - share) * width, width: share * width, ..face },
    };
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        if (part.x..part.x + part.width).contains(&x) && (part.y..part.y + part.height).contains(&y) {
            *pixel = Rgb([128; 3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: Rect = Rect { x: 20.0, y: 10.0, width: 20.0, height: 40.0 };

    fn image() -> RgbImage {
        RgbImage::from_fn(60, 60, |x, y| Rgb([(2 * x + y) as u8, (3 * y) as u8, 90]))
    }

    fn perturbed(kind: Kind, level: f32, variant: usize) -> RgbImage {
        Perturbation { kind, level }.picture(&image(), FACE, variant, 0)
    }

    #[test]
    fn pictures_change_as_they_should() {
        assert_eq!(perturbed(Kind::Brightness, 0.5, 0).get_pixel(10, 10)[2], 45);
        assert_eq!(perturbed(Kind::FaceHeight, 20.0, 0).dimensions(), (30, 30));
        assert_eq!(perturbed(Kind::FaceHeight, 64.0, 0).dimensions(), (60, 60));
        let grey = perturbed(Kind::Grey, 1.0, 0);
        assert!(grey.pixels().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
        // Hidden from above: a tenth of the box's forty rows.
        let hidden = perturbed(Kind::Occlusion, 0.1, 0);
        assert_eq!((hidden.get_pixel(25, 13)[0], hidden.get_pixel(25, 14)[2]), (128, 90));
        let deviation = |other: &RgbImage| {
            let squares = image()
                .iter()
                .zip(other.iter())
                .map(|(a, b)| (f32::from(*a) - f32::from(*b)).powi(2))
                .sum::<f32>();
            (squares / (3.0 * 3600.0)).sqrt()
        };
        assert!((deviation(&perturbed(Kind::Noise, 10.0, 0)) - 10.0).abs() < 1.0);
        assert!(deviation(&perturbed(Kind::Jpeg, 5.0, 0)) > deviation(&perturbed(Kind::Jpeg, 70.0, 0)));
    }

    #[test]
    fn a_blurred_edge_is_as_soft_as_its_level_says() {
        let edge = RgbImage::from_fn(60, 60, |x, _| Rgb([if x < 30 { 0 } else { 240 }; 3]));
        for level in [0.05, 0.1] {
            let blurred = Perturbation { kind: Kind::Blur, level }.picture(&edge, FACE, 0, 0);
            let value = |x: u32| f32::from(blurred.get_pixel(x, 30)[0]);
            let steps = (1..60).map(|x| ((value(x) - value(x - 1)) / 240.0, x as f32 - 30.0));
            let variance: f32 = steps.map(|(step, x)| step * x * x).sum();
            let expected = level * FACE.height;
            assert!((variance.sqrt() / expected - 1.0).abs() < 0.05, "{} for {expected}", variance.sqrt());
        }
    }

    #[test]
    fn a_turned_picture_turns_about_its_face_and_back() {
        let once = Perturbation { kind: Kind::Rotation, level: 20.0 };
        let turned = once.picture(&image(), FACE, 0, 0);
        let back = once.picture(&turned, FACE, 1, 0);
        let near = |a: &RgbImage, x, y| {
            (0..3).all(|c| a.get_pixel(x, y)[c].abs_diff(image().get_pixel(x, y)[c]) <= 2)
        };
        assert!(near(&turned, 30, 30) && near(&back, 24, 36) && !near(&turned, 24, 45));
    }

    #[test]
    fn boxes_move_and_grow_about_their_middle() {
        let face = |kind, level, variant| Perturbation { kind, level }.face(FACE, variant);
        assert_eq!(face(Kind::BoxShift, 0.1, 1), Rect { x: 22.0, ..FACE });
        assert_eq!(face(Kind::BoxShift, 0.1, 2), Rect { y: 6.0, ..FACE });
        assert_eq!(face(Kind::BoxScale, 1.5, 0), Rect { x: 15.0, y: 0.0, width: 30.0, height: 60.0 });
        assert_eq!(face(Kind::Noise, 5.0, 0), FACE);
    }
}
