//! The inner loops of training's convolution, on one sample whose channels lie side by side (height
//! × width × channels), with the filters as SIMD lanes.

use pulp::Simd;

/// Filters that one tile computes side by side: two vectors.
pub(super) fn filter_block<S: Simd>() -> usize {
    2 * S::F32_LANES
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
        let block = filter_block::<S>();
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
    let taps = kernel.size * kernel.channels;
    let block = filter_block::<S>();
    let width = output.len() / kernel.padded_filters;
    let row = Row { input, row_len, step: stride * kernel.channels, taps };
    for (index, weights) in kernel.values.chunks_exact(kernel.size * taps * block).enumerate() {
        let (weights, _) = S::as_simd_f32s(weights);
        let (weights, _) = weights.as_chunks::<2>();
        let mut store = |x: usize, sums: &[[S::f32s; 2]]| {
            for (pixel, sums) in sums.iter().enumerate() {
                let start = (x + pixel) * kernel.padded_filters + index * block;
                let (output, _) = S::as_mut_simd_f32s(&mut output[start..start + block]);
                output.copy_from_slice(sums);
            }
        };
        let mut x = 0;
        // Tiles of 6 keep all sixteen registers of AVX2 busy; 4 + 4 beats 6 + 2.
        while x < width {
            match width - x {
                6 | 10.. => {
                    store(x, &row.tile::<S, 6>(simd, x, weights));
                    x += 6;
                }
                4.. => {
                    store(x, &row.tile::<S, 4>(simd, x, weights));
                    x += 4;
                }
                _ => {
                    store(x, &row.tile::<S, 1>(simd, x, weights));
                    x += 1;
                }
            }
        }
    }
}

struct Row<'a> {
    input: &'a [f32],
    row_len: usize,
    step: usize,
    taps: usize,
}

impl Row<'_> {
    /// Sums of `P` neighbouring pixels from `x` on.
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(
        &self,
        simd: S,
        x: usize,
        weights: &[[S::f32s; 2]],
    ) -> [[S::f32s; 2]; P] {
        let mut sums = [[simd.splat_f32s(0.0); 2]; P];
        for (row, weights) in weights.chunks_exact(self.taps).enumerate() {
            let start = row * self.row_len + x * self.step;
            let pixels: [&[f32]; P] =
                std::array::from_fn(|pixel| &self.input[start + pixel * self.step..][..weights.len()]);
            for (tap, weight) in weights.iter().enumerate() {
                for pixel in 0..P {
                    let value = simd.splat_f32s(pixels[pixel][tap]);
                    for half in 0..2 {
                        sums[pixel][half] = simd.mul_add_e_f32s(value, weight[half], sums[pixel][half]);
                    }
                }
            }
        }
        sums
    }
}

/// Where the rows of a picture lie: `start` of the first, values from row to row and from pixel to
/// pixel.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub start: usize,
    pub row: usize,
    pub pixel: usize,
}

/// Adds to `gradient` (size × size × channels × padded filters) what `height` × `width` output
/// pixels contribute: input value times output gradient.
///
/// `input` lies at `at` for the kernel's first tap; `output` (gradients, padded filters side by
/// side) lies at `output_at`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) fn accumulate_kernel_gradient<S: Simd>(
    simd: S,
    [size, channels, padded_filters]: [usize; 3],
    (input, row_len, at): (&[f32], usize, Grid),
    (output, output_at): (&[f32], Grid),
    [height, width]: [usize; 2],
    gradient: &mut [f32],
) {
    let block = filter_block::<S>();
    // A few rows at a time stay in the first-level cache while all taps pass over them.
    let band = (256 / width).max(1);
    for y in (0..height).step_by(band) {
        let rows = y..(y + band).min(height);
        for (tap, gradient) in gradient.chunks_exact_mut(channels * padded_filters).enumerate() {
            let offset = at.start + (tap / size) * row_len + (tap % size) * channels;
            for filter in (0..padded_filters).step_by(block) {
                let mut channel = 0;
                while channel < channels {
                    let pixels = Pixels {
                        input,
                        input_at: Grid { start: offset + channel, ..at },
                        output,
                        output_at: Grid { start: output_at.start + filter, ..output_at },
                        width,
                    };
                    let start = channel * padded_filters + filter;
                    let target = &mut gradient[start..];
                    channel += match channels - channel {
                        4.. => pixels.accumulate::<S, 4>(simd, rows.clone(), target, padded_filters),
                        3 => pixels.accumulate::<S, 3>(simd, rows.clone(), target, padded_filters),
                        _ => pixels.accumulate::<S, 1>(simd, rows.clone(), target, padded_filters),
                    };
                }
            }
        }
    }
}

struct Pixels<'a> {
    input: &'a [f32],
    input_at: Grid,
    output: &'a [f32],
    output_at: Grid,
    width: usize,
}

impl Pixels<'_> {
    /// Adds the products of `C` neighbouring channels; returns `C`.
    #[inline(always)]
    fn accumulate<S: Simd, const C: usize>(
        &self,
        simd: S,
        rows: std::ops::Range<usize>,
        gradient: &mut [f32],
        padded_filters: usize,
    ) -> usize {
        let block = filter_block::<S>();
        let mut sums = [[simd.splat_f32s(0.0); 2]; C];
        for y in rows {
            let input = &self.input[self.input_at.start + y * self.input_at.row..];
            let output = &self.output[self.output_at.start + y * self.output_at.row..];
            let pixels = input.chunks(self.input_at.pixel).zip(output.chunks(self.output_at.pixel));
            for (input, output) in pixels.take(self.width) {
                let (output, _) = S::as_simd_f32s(&output[..block]);
                let input = &input[..C];
                for channel in 0..C {
                    let value = simd.splat_f32s(input[channel]);
                    for half in 0..2 {
                        sums[channel][half] = simd.mul_add_e_f32s(value, output[half], sums[channel][half]);
                    }
                }
            }
        }
        for (channel, sums) in sums.iter().enumerate() {
            let start = channel * padded_filters;
            let (gradient, _) = S::as_mut_simd_f32s(&mut gradient[start..start + block]);
            for half in 0..2 {
                gradient[half] = simd.add_f32s(gradient[half], sums[half]);
            }
        }
        C
    }
}
