//! The inner loops of training's convolution, on one sample whose channels lie side by side (height
//! × width × channels), with the filters as SIMD lanes.

use std::ops::Range;

use pulp::Simd;

/// Filters that are computed side by side: two vectors, or one where that is enough.
pub(super) fn filter_block<S: Simd>(filters: usize) -> usize {
    if filters <= S::F32_LANES { S::F32_LANES } else { 2 * S::F32_LANES }
}

/// A kernel (filters × channels × size × size) laid out for [`convolve_row`]: by block of filters,
/// then kernel row, kernel column and channel, each with its block of filters side by side.
pub(super) struct PackedKernel {
    pub size: usize,
    pub channels: usize,
    /// Filters rounded up to whole blocks.
    pub padded_filters: usize,
    values: Vec<f32>,
}

impl PackedKernel {
    /// `weight(filter, channel, row, column)` gives the values.
    #[inline(always)]
    pub fn new<S: Simd>(
        [filters, channels, size]: [usize; 3],
        weight: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> Self {
        let block = filter_block::<S>(filters);
        let padded_filters = filters.next_multiple_of(block);
        let mut values = Vec::with_capacity(padded_filters * channels * size * size);
        for first in (0..padded_filters).step_by(block) {
            for row in 0..size {
                for column in 0..size {
                    for channel in 0..channels {
                        values.extend((first..first + block).map(|filter| {
                            if filter < filters { weight(filter, channel, row, column) } else { 0.0 }
                        }));
                    }
                }
            }
        }
        Self { size, channels, padded_filters, values }
    }
}

/// One row of a convolution: `output` (width × padded filters) from the kernel's `size` rows of
/// `input` that it covers (rows of `row_len` values, padding included).
#[inline(always)]
pub(super) fn convolve_row<S: Simd>(
    simd: S,
    kernel: &PackedKernel,
    input: &[f32],
    row_len: usize,
    stride: usize,
    output: &mut [f32],
) {
    let row = Row { input, row_len, step: stride * kernel.channels, kernel };
    if filter_block::<S>(kernel.padded_filters) == S::F32_LANES {
        row.convolve::<S, 1>(simd, output);
    } else {
        row.convolve::<S, 2>(simd, output);
    }
}

struct Row<'a> {
    input: &'a [f32],
    row_len: usize,
    /// Values from one output pixel's input to the next one's.
    step: usize,
    kernel: &'a PackedKernel,
}

impl Row<'_> {
    /// All pixels, with blocks of `V` vectors.
    #[inline(always)]
    fn convolve<S: Simd, const V: usize>(&self, simd: S, output: &mut [f32]) {
        let PackedKernel { size, channels, padded_filters, ref values } = *self.kernel;
        let block = V * S::F32_LANES;
        let width = output.len() / padded_filters;
        for (index, weights) in values.chunks_exact(size * size * channels * block).enumerate() {
            let (weights, _) = S::as_simd_f32s(weights);
            let (weights, _) = weights.as_chunks::<V>();
            let mut store = |x: usize, sums: &[[S::f32s; V]]| {
                for (pixel, sums) in sums.iter().enumerate() {
                    let start = (x + pixel) * padded_filters + index * block;
                    let (output, _) = S::as_mut_simd_f32s(&mut output[start..start + block]);
                    output.copy_from_slice(sums);
                }
                x + sums.len()
            };
            let mut x = 0;
            // Tiles of 6 keep all sixteen registers of AVX2 busy; 4 + 4 beats 6 + 2.
            while x < width {
                x = match width - x {
                    6 | 10.. => store(x, &self.tile::<S, 6, V>(simd, x, weights)),
                    4.. => store(x, &self.tile::<S, 4, V>(simd, x, weights)),
                    _ => store(x, &self.tile::<S, 1, V>(simd, x, weights)),
                };
            }
        }
    }

    /// Sums of `P` neighbouring pixels from `x` on.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        x: usize,
        weights: &[[S::f32s; V]],
    ) -> [[S::f32s; V]; P] {
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        for (row, weights) in weights.chunks_exact(self.kernel.size * self.kernel.channels).enumerate() {
            let start = row * self.row_len + x * self.step;
            let pixels: [&[f32]; P] =
                std::array::from_fn(|pixel| &self.input[start + pixel * self.step..][..weights.len()]);
            for (tap, weight) in weights.iter().enumerate() {
                for pixel in 0..P {
                    let value = simd.splat_f32s(pixels[pixel][tap]);
                    for vector in 0..V {
                        sums[pixel][vector] = simd.mul_add_e_f32s(value, weight[vector], sums[pixel][vector]);
                    }
                }
            }
        }
        sums
    }
}

/// Where the pixels of a picture lie: the first, and values from row to row and pixel to pixel.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub start: usize,
    pub row: usize,
    pub pixel: usize,
}

/// What a kernel's gradient is made of: a convolution's input and its output's gradient.
pub(super) struct KernelGradient<'a> {
    pub size: usize,
    pub channels: usize,
    pub padded_filters: usize,
    pub input: &'a [f32],
    /// Values of an input row, padding included.
    pub row_len: usize,
    /// The input of the kernel's first tap.
    pub input_at: Grid,
    pub output: &'a [f32],
    pub output_at: Grid,
    /// Output pixels.
    pub height: usize,
    pub width: usize,
}

impl KernelGradient<'_> {
    /// Adds to `gradient` (size × size × channels × padded filters) input value times output
    /// gradient of every pixel.
    #[inline(always)]
    pub fn accumulate<S: Simd>(&self, simd: S, gradient: &mut [f32]) {
        if filter_block::<S>(self.padded_filters) == S::F32_LANES {
            self.accumulate_with::<S, 1>(simd, gradient);
        } else {
            self.accumulate_with::<S, 2>(simd, gradient);
        }
    }

    #[inline(always)]
    fn accumulate_with<S: Simd, const V: usize>(&self, simd: S, gradient: &mut [f32]) {
        // A few rows at a time stay in the first-level cache while all taps pass over them.
        let band = (256 / self.width).max(1);
        for y in (0..self.height).step_by(band) {
            let rows = y..(y + band).min(self.height);
            let taps = gradient.chunks_exact_mut(self.channels * self.padded_filters);
            for (tap, gradient) in taps.enumerate() {
                let offset = (tap / self.size) * self.row_len + (tap % self.size) * self.channels;
                for filter in (0..self.padded_filters).step_by(V * S::F32_LANES) {
                    let mut channel = 0;
                    while channel < self.channels {
                        let target = &mut gradient[channel * self.padded_filters + filter..];
                        let at = [offset + channel, filter];
                        channel += match self.channels - channel {
                            6 | 10.. => self.add_rows::<S, 6, V>(simd, rows.clone(), at, target),
                            4.. => self.add_rows::<S, 4, V>(simd, rows.clone(), at, target),
                            3 => self.add_rows::<S, 3, V>(simd, rows.clone(), at, target),
                            _ => self.add_rows::<S, 1, V>(simd, rows.clone(), at, target),
                        };
                    }
                }
            }
        }
    }

    /// Adds the products of `C` neighbouring channels with `V` vectors of filters, whose first
    /// values lie `input_start` and `filter` into their pixels; returns `C`.
    #[inline(always)]
    fn add_rows<S: Simd, const C: usize, const V: usize>(
        &self,
        simd: S,
        rows: Range<usize>,
        [input_start, filter]: [usize; 2],
        gradient: &mut [f32],
    ) -> usize {
        let block = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; C];
        for y in rows {
            let input = &self.input[self.input_at.start + y * self.input_at.row + input_start..];
            let output = &self.output[self.output_at.start + y * self.output_at.row + filter..];
            let pixels = input.chunks(self.input_at.pixel).zip(output.chunks(self.output_at.pixel));
            for (input, output) in pixels.take(self.width) {
                let (output, _) = S::as_simd_f32s(&output[..block]);
                let (input, output) = (&input[..C], &output[..V]);
                for channel in 0..C {
                    let value = simd.splat_f32s(input[channel]);
                    for vector in 0..V {
                        sums[channel][vector] =
                            simd.mul_add_e_f32s(value, output[vector], sums[channel][vector]);
                    }
                }
            }
        }
        for (channel, sums) in sums.iter().enumerate() {
            let start = channel * self.padded_filters;
            let (gradient, _) = S::as_mut_simd_f32s(&mut gradient[start..start + block]);
            for vector in 0..V {
                gradient[vector] = simd.add_f32s(gradient[vector], sums[vector]);
            }
        }
        C
    }
}
