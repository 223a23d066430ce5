//! Grey pictures that can be looked at from any distance and angle.

use image::RgbImage;

use crate::analysis::crop::Rect;

/// Brightness at full size and at halves of it, down to a few pixels: minification without aliasing.
pub struct Grey {
    levels: Vec<Plane>,
}

/// Brightness, row by row without padding.
#[derive(Clone, Debug)]
pub struct Plane {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Height × width of them, row by row.
    pub pixels: Vec<u8>,
}

/// Where a picture's points come to lie on a canvas: turned, scaled and moved.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// This point of the picture …
    pub from: [f32; 2],
    /// … lies at this one of the canvas.
    pub to: [f32; 2],
    /// Canvas pixels for a pixel of the picture along its own axes; a negative first one mirrors.
    pub scale: [f32; 2],
    /// Clockwise on the screen, in radians.
    pub angle: f32,
}

impl Plane {
    /// A plane of one value.
    pub fn new(width: usize, height: usize, value: u8) -> Self {
        Self { width, height, pixels: vec![value; width * height] }
    }

    /// The same with its right and lower edge going on, as the face detector fills frames up.
    pub fn padded(&self, [width, height]: [usize; 2]) -> Self {
        let mut padded = Self::new(width, height, 0);
        for (y, row) in padded.pixels.chunks_exact_mut(width).enumerate() {
            let line = &self.pixels[y.min(self.height - 1) * self.width..][..self.width];
            row[..self.width].copy_from_slice(line);
            row[self.width..].fill(line[self.width - 1]);
        }
        padded
    }

    /// The part of this size that begins at a place.
    pub fn part(&self, [x, y]: [usize; 2], [width, height]: [usize; 2]) -> Self {
        let rows = self.pixels.chunks_exact(self.width).skip(y).take(height);
        Self { width, height, pixels: rows.flat_map(|row| &row[x..x + width]).copied().collect() }
    }

    /// Half the size, each pixel the mean of four. `None` where too little would be left.
    fn halved(&self) -> Option<Self> {
        let (width, height) = (self.width / 2, self.height / 2);
        if width.min(height) < 4 {
            return None;
        }
        let mut half = Self::new(width, height, 0);
        for (y, row) in half.pixels.chunks_exact_mut(width).enumerate() {
            let upper = &self.pixels[2 * y * self.width..][..2 * width];
            let lower = &self.pixels[(2 * y + 1) * self.width..][..2 * width];
            for ((value, a), b) in row.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
                *value = ([a[0], a[1], b[0], b[1]].map(u16::from).iter().sum::<u16>().div_ceil(4)) as u8;
            }
        }
        Some(half)
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        bilinear(&self.pixels, [self.width, self.height], [x, y])
    }
}

/// The value of a plane at a point, between pixels in a straight line; the edge goes on outside.
pub fn bilinear(pixels: &[u8], [width, height]: [usize; 2], [x, y]: [f32; 2]) -> f32 {
    let place = |x: f32, len: usize| {
        let x = (x - 0.5).clamp(0.0, (len - 1) as f32);
        (x as usize, ((x as usize) + 1).min(len - 1), x.fract())
    };
    let (left, right, across) = place(x, width);
    let (top, bottom, down) = place(y, height);
    let pixel = |x: usize, y: usize| f32::from(pixels[y * width + x]);
    let row = |y: usize| pixel(left, y) + across * (pixel(right, y) - pixel(left, y));
    row(top) + down * (row(bottom) - row(top))
}

/// A picture's colour at a point, as [`bilinear`] gives it.
pub fn bilinear_rgb(image: &RgbImage, [x, y]: [f32; 2]) -> image::Rgb<u8> {
    let (x, y) = ((x - 0.5).max(0.0), (y - 0.5).max(0.0));
    let last = [image.width() - 1, image.height() - 1];
    let (left, top) = ((x as u32).min(last[0]), (y as u32).min(last[1]));
    let (right, bottom) = ((left + 1).min(last[0]), (top + 1).min(last[1]));
    let mix = |a: u8, b: u8, share: f32| f32::from(a) + share * (f32::from(b) - f32::from(a));
    let [a, b, c, d] =
        [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| image.get_pixel(x, y).0);
    let across = (x - left as f32).min(1.0);
    let down = (y - top as f32).min(1.0);
    image::Rgb(std::array::from_fn(|channel| {
        let upper = mix(a[channel], b[channel], across);
        let lower = mix(c[channel], d[channel], across);
        (upper + down * (lower - upper) + 0.5) as u8
    }))
}

impl Grey {
    /// Brightness with the weights of ITU-R BT.601, as the face detector takes it from RGB frames.
    pub fn new(image: &RgbImage) -> Self {
        let brightness = |rgb: &image::Rgb<u8>| {
            let [r, g, b] = rgb.0.map(f32::from);
            (0.299 * r + 0.587 * g + 0.114 * b + 0.5) as u8
        };
        let pixels = image.pixels().map(brightness).collect();
        let plane = Plane { width: image.width() as usize, height: image.height() as usize, pixels };
        let mut levels = vec![plane];
        while let Some(half) = levels.last().and_then(Plane::halved) {
            levels.push(half);
        }
        Self { levels }
    }

    /// A picture of one brightness.
    pub fn flat(value: u8) -> Self {
        Self { levels: vec![Plane::new(1, 1, value)] }
    }

    /// More than any picture: its edge goes on there.
    pub const EVERYWHERE: Rect = Rect { x: -1e4, y: -1e4, width: 2e4, height: 2e4 };

    /// The picture at full size.
    pub fn plane(&self) -> &Plane {
        &self.levels[0]
    }

    pub fn bounds(&self) -> Rect {
        let Plane { width, height, .. } = self.levels[0];
        Rect { x: 0.0, y: 0.0, width: width as f32, height: height as f32 }
    }

    /// Draws the part `clip` of the picture onto the canvas.
    pub fn draw(&self, canvas: &mut Plane, placement: &Placement, clip: Rect) {
        let shrink = placement.scale[0].abs().min(placement.scale[1].abs()).max(1e-3).recip();
        let level = (shrink.log2().round().max(0.0) as usize).min(self.levels.len() - 1);
        let (plane, unit) = (&self.levels[level], (1 << level) as f32);
        let reach = placement.rect(clip);
        let span = |start: f32, length: f32, len: usize| {
            let limit = |x: f32| x.clamp(0.0, len as f32) as usize;
            limit(start.floor())..limit((start + length).ceil())
        };
        for y in span(reach.y, reach.height, canvas.height) {
            for x in span(reach.x, reach.width, canvas.width) {
                let point = [x as f32 + 0.5, y as f32 + 0.5];
                if placement.shows(point, clip) {
                    let [u, v] = placement.source(point);
                    canvas.pixels[y * canvas.width + x] = (plane.at(u / unit, v / unit) + 0.5) as u8;
                }
            }
        }
    }
}

impl Placement {
    /// Where a point of the picture lies on the canvas.
    pub fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let (x, y) = ((x - self.from[0]) * self.scale[0], (y - self.from[1]) * self.scale[1]);
        [self.to[0] + cos * x - sin * y, self.to[1] + sin * x + cos * y]
    }

    /// What point of the picture lies at one of the canvas.
    pub fn source(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let (x, y) = (x - self.to[0], y - self.to[1]);
        [
            self.from[0] + (cos * x + sin * y) / self.scale[0],
            self.from[1] + (cos * y - sin * x) / self.scale[1],
        ]
    }

    /// Whether this point of the canvas shows the part `clip` of the picture.
    pub fn shows(&self, point: [f32; 2], clip: Rect) -> bool {
        let [x, y] = self.source(point);
        (clip.x..clip.x + clip.width).contains(&x) && (clip.y..clip.y + clip.height).contains(&y)
    }

    /// The upright rectangle around the corners of a part of the picture.
    fn rect(&self, part: Rect) -> Rect {
        let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
            .map(|(x, y)| self.point([part.x + x * part.width, part.y + y * part.height]));
        let least = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
        let most = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
        Rect { x: least(0), y: least(1), width: most(0) - least(0), height: most(1) - least(1) }
    }

    /// The upright rectangle around the ellipse that fills a box of the picture: what a turned face
    /// takes up.
    pub fn ellipse(&self, face: Rect) -> Rect {
        let (sin, cos) = self.angle.sin_cos();
        let (a, b) = (face.width * self.scale[0].abs(), face.height * self.scale[1]);
        let (width, height) = ((a * cos).hypot(b * sin), (a * sin).hypot(b * cos));
        let [x, y] = self.point([face.x + face.width / 2.0, face.y + face.height / 2.0]);
        Rect { x: x - width / 2.0, y: y - height / 2.0, width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEMENT: Placement =
        Placement { from: [10.0, 20.0], to: [50.0, 40.0], scale: [-0.5, 0.7], angle: 0.4 };

    #[test]
    fn points_come_back_from_the_canvas() {
        for point in [[0.0, 0.0], [10.0, 20.0], [33.0, 7.0]] {
            let [x, y] = PLACEMENT.source(PLACEMENT.point(point));
            assert!((x - point[0]).abs() < 1e-3 && (y - point[1]).abs() < 1e-3, "{point:?} {x} {y}");
        }
    }

    #[test]
    fn a_bright_spot_is_drawn_where_its_point_lies() {
        let mut image = RgbImage::new(64, 64);
        for (x, y) in (28..33).flat_map(|x| (14..19).map(move |y| (x, y))) {
            image.put_pixel(x, y, image::Rgb([250; 3]));
        }
        let picture = Grey::new(&image);
        let mut canvas = Plane::new(80, 80, 0);
        picture.draw(&mut canvas, &PLACEMENT, picture.bounds());
        let brightest = (0..80 * 80).max_by_key(|&index| canvas.pixels[index]).unwrap();
        let [x, y] = PLACEMENT.point([30.5, 16.5]);
        let away = ((brightest % 80) as f32 + 0.5 - x).hypot((brightest / 80) as f32 + 0.5 - y);
        assert!(away < 2.0, "{away}");
    }

    #[test]
    fn a_turned_face_takes_up_what_its_ellipse_does() {
        let face = Rect { x: 0.0, y: 0.0, width: 30.0, height: 40.0 };
        let quarter = Placement { angle: std::f32::consts::FRAC_PI_2, scale: [1.0; 2], ..PLACEMENT };
        let turned = quarter.ellipse(face);
        assert!((turned.width - 40.0).abs() < 1e-3 && (turned.height - 30.0).abs() < 1e-3, "{turned:?}");
    }
}
