//! A region of a picture, brought to a network's input size. The only resampling there is:
//! training calls it on decoded files, the element on video planes.
//!
//! Resampling is linear, so each component is resampled on its own plane with its own
//! subsampling, and only the small result is converted to RGB. The filter is a triangle that
//! widens with the reduction, so that nothing is skipped when large pictures shrink.

mod cropper;
mod filter;
mod sample;

use std::ops::Range;

pub use cropper::Cropper;
pub use sample::{Pixel, Sample, Unpack};

/// An upright rectangle in pixels of the picture; it may stick out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// To the right edge.
    pub width: f32,
    /// To the lower edge.
    pub height: f32,
}

impl Rect {
    /// Width times height.
    pub fn area(self) -> f32 {
        self.width * self.height
    }

    /// Intersection over union with another rectangle, from 0 to 1.
    pub fn overlap(self, other: Self) -> f32 {
        let both = self.shared(other);
        let either = self.area() + other.area() - both;
        if either > 0.0 { both / either } else { 0.0 }
    }

    /// The share of the smaller of two rectangles that lies in the other one, from 0 to 1.
    pub fn containment(self, other: Self) -> f32 {
        let smaller = self.area().min(other.area());
        if smaller > 0.0 { self.shared(other) / smaller } else { 0.0 }
    }

    /// Where a point (x, y) of this rectangle is once the rectangle has become `other`: moved and scaled with it.
    pub fn carry(self, [x, y]: [f32; 2], other: Self) -> [f32; 2] {
        let along = |at: f32, from: f32, len: f32, to: f32, to_len: f32| {
            let scale = if len > 0.0 { to_len / len } else { 1.0 };
            to + (at - from) * scale
        };
        [
            along(x, self.x, self.width, other.x, other.width),
            along(y, self.y, self.height, other.y, other.height),
        ]
    }

    /// The area that both have in common.
    fn shared(self, other: Self) -> f32 {
        let shared =
            |a: f32, a_len: f32, b: f32, b_len: f32| ((a + a_len).min(b + b_len) - a.max(b)).max(0.0);
        shared(self.x, self.width, other.x, other.width) * shared(self.y, self.height, other.y, other.height)
    }

    /// The part of it that lies within `bounds`, or `None` where that is less than a pixel wide or
    /// high, or where the rectangle is none.
    pub fn within(self, bounds: Self) -> Option<Self> {
        let (x, y) = (self.x.max(bounds.x), self.y.max(bounds.y));
        let width = (self.x + self.width).min(bounds.x + bounds.width) - x;
        let height = (self.y + self.height).min(bounds.y + bounds.height) - y;
        let sound = [self.x, self.y, self.width, self.height].iter().all(|value| value.is_finite());
        (sound && width >= 1.0 && height >= 1.0).then_some(Self { x, y, width, height })
    }
}

/// How samples of a component lie along one direction of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Samples there are, at least one.
    pub len: usize,
    /// Picture pixels from one sample to the next: 1, or 2 or 4 where chroma is subsampled.
    pub step: f32,
    /// How far samples sit before the middle of the pixels they stand for, in samples: 0, or where a
    /// sample sits on the first of its pixels, 0.25 for two and 0.375 for four of them.
    pub siting: f32,
}

impl Sampling {
    /// One sample a pixel.
    pub fn full(len: usize) -> Self {
        Self { len, step: 1.0, siting: 0.0 }
    }

    /// Leaves the samples of some of the picture's pixels, and tells how many are left out before them.
    fn narrow(&mut self, pixels: &Range<usize>) -> usize {
        let sample = |pixel: usize| pixel as f32 / self.step;
        let first = sample(pixels.start) as usize;
        // The last sample may stand for pixels that aren't there.
        self.len = (sample(pixels.end).ceil() as usize).min(self.len) - first;
        first
    }

    /// The position of the picture's `x` counted in samples; sample `i` reaches from `i` to `i + 1`.
    fn position(&self, x: f32) -> f32 {
        x / self.step + self.siting
    }
}

/// Where one colour component of a picture lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// The plane that the component is in; components that share a plane are read together. It is empty
    /// where the picture's rows are [unpacked](Picture::unpack): the component then lies in a plane of all
    /// rows as they are unpacked, one after the other.
    pub plane: &'a [u8],
    /// Bytes before the first sample; even where samples are words.
    pub offset: usize,
    /// Bytes from one sample to the next in a row, at least one; even where samples are words.
    pub pixel_stride: usize,
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// How its values are stored.
    pub sample: Sample,
    /// Where its samples lie in a row.
    pub horizontal: Sampling,
    /// Where its rows lie.
    pub vertical: Sampling,
}

/// How components become red, green and blue from 0 to 255: `matrix` × components + `offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Color {
    /// A row for each of R, G and B, a column for each component.
    pub matrix: [[f32; 3]; 3],
    /// Added to the products with the matrix, for R, G and B.
    pub offset: [f32; 3],
}

impl Color {
    /// Components are red, green and blue from 0 to 255.
    pub const RGB: Self =
        Self { matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], offset: [0.0; 3] };

    /// The first component is brightness from 0 to 255; the others are not read.
    pub const GREY: Self = Self { matrix: [[1.0, 0.0, 0.0]; 3], offset: [0.0; 3] };

    /// Components are brightness and the differences of blue and red from it, where `kr` and `kb`
    /// are the weights of red and blue in brightness.
    pub fn yuv(kr: f32, kb: f32) -> Self {
        let kg = 1.0 - kr - kb;
        let (blue, red) = (2.0 * (1.0 - kb), 2.0 * (1.0 - kr));
        let matrix = [[1.0, 0.0, red], [1.0, -blue * kb / kg, -red * kr / kg], [1.0, blue, 0.0]];
        Self { matrix, offset: [0.0; 3] }
    }

    /// The same for components stored in a range of their own: `zero` means 0, and `span` more
    /// means 255. Those of components that aren't read don't matter.
    pub fn with_range(mut self, zero: [f32; 3], span: [f32; 3]) -> Self {
        for (row, offset) in self.matrix.iter_mut().zip(&mut self.offset) {
            for ((factor, zero), span) in row.iter_mut().zip(zero).zip(span) {
                if *factor != 0.0 {
                    *factor *= 255.0 / span;
                    *offset -= *factor * zero;
                }
            }
        }
        self
    }

    /// How components become brightness alone, three times over. Where the first component is
    /// brightness already, no other one is read; red, green and blue get the weights of ITU-R BT.601.
    pub fn brightness(&self) -> Self {
        let [red, green, blue] = self.matrix;
        if red[0] != green[0] || green[0] != blue[0] {
            return self.weighted([0.299, 0.587, 0.114]);
        }
        // Weights under which the differences of colour cancel out.
        let share = |of_green: f32, own: f32| if own == 0.0 { 0.0 } else { -of_green / own };
        let weights = [share(green[2], red[2]), 1.0, share(green[1], blue[1])];
        let sum: f32 = weights.iter().sum();
        let mut color = self.weighted(weights.map(|weight| weight / sum));
        color.matrix = [[red[0], 0.0, 0.0]; 3];
        color
    }

    /// A weighted sum of red, green and blue, three times over.
    fn weighted(&self, weights: [f32; 3]) -> Self {
        let sum = |of: &dyn Fn(usize) -> f32| (0..3).map(|row| weights[row] * of(row)).sum::<f32>();
        let row = [0, 1, 2].map(|component| sum(&|row| self.matrix[row][component]));
        Self { matrix: [row; 3], offset: [sum(&|row| self.offset[row]); 3] }
    }

    /// Whether red, green or blue depends on this component.
    fn uses(&self, component: usize) -> bool {
        self.matrix.iter().any(|row| row[component] != 0.0)
    }
}

/// A picture in memory, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Width of a pixel on the screen divided by its height, above 0.
    pub pixel_aspect: f32,
    /// Y, U and V or R, G and B.
    pub components: [Component<'a>; 3],
    /// How components become R, G and B.
    pub color: Color,
    /// Where rows come from whose samples can't be read where they lie.
    pub unpack: Option<&'a dyn Unpack>,
}

impl<'a> Picture<'a> {
    /// Packed RGB, 3 bytes a pixel, rows without padding.
    pub fn rgb(width: usize, height: usize, data: &'a [u8]) -> Self {
        Self::packed(width, height, data, [0, 1, 2], 3)
    }

    /// Brightness alone, a byte a pixel, rows without padding.
    pub fn grey(width: usize, height: usize, data: &'a [u8]) -> Self {
        Self { color: Color::GREY, ..Self::packed(width, height, data, [0; 3], 1) }
    }

    fn packed(width: usize, height: usize, data: &'a [u8], offsets: [usize; 3], stride: usize) -> Self {
        let component = |offset| Component {
            plane: data,
            offset,
            pixel_stride: stride,
            row_stride: stride * width,
            sample: Sample::Byte,
            horizontal: Sampling::full(width),
            vertical: Sampling::full(height),
        };
        let components = offsets.map(component);
        Self { width, height, pixel_aspect: 1.0, components, color: Color::RGB, unpack: None }
    }

    /// Some of its columns and rows as a picture of their own, without a copy. Both have to begin at whole samples
    /// of each component.
    pub fn part(&self, columns: Range<usize>, rows: Range<usize>) -> Self {
        let part = |component: &Component<'a>| {
            let (mut part, Component { pixel_stride, row_stride, .. }) = (*component, *component);
            part.offset += part.horizontal.narrow(&columns) * pixel_stride;
            part.offset += part.vertical.narrow(&rows) * row_stride;
            part
        };
        let components = self.components.each_ref().map(part);
        Self { width: columns.len(), height: rows.len(), components, ..*self }
    }

    /// The whole picture.
    pub fn bounds(&self) -> Rect {
        Rect { x: 0.0, y: 0.0, width: self.width as f32, height: self.height as f32 }
    }
}
