//! Forward and backward pass of one sample.

use pulp::{Simd, WithSimd};

use super::kernels::{Grid, KernelGradient, PackedKernel, convolve_row, filter_block};
use crate::ops::layout;

/// Sizes and steps of a convolution with what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub filters: usize,
    pub kernel: usize,
    pub stride: usize,
    pub relu: bool,
    /// Side of the pooled squares; 1 for none.
    pub pool: usize,
}

impl Geometry {
    fn padding(&self) -> usize {
        self.kernel / 2
    }

    /// Height and width after the convolution.
    pub fn convolved(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| side.div_ceil(self.stride))
    }

    /// Height and width after pooling.
    pub fn pooled(&self) -> [usize; 2] {
        self.convolved().map(|side| side / self.pool)
    }

    pub fn input_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    pub fn output_len(&self) -> usize {
        self.filters * self.pooled().iter().product::<usize>()
    }

    /// Values of a row of the padded input.
    fn row_len(&self, channels: usize) -> usize {
        (self.width + 2 * self.padding()) * channels
    }

    fn padded_len(&self, channels: usize) -> usize {
        (self.height + 2 * self.padding()) * self.row_len(channels)
    }
}

/// Marks an output that ReLU cut to zero; smaller numbers say which pixel of the pooled square won.
const CUT: u8 = u8::MAX;

/// Outputs of some samples, one after the other, and for each output where it came from.
pub(super) struct Forward<'a> {
    pub geometry: Geometry,
    pub input: &'a [f32],
    pub kernel: &'a [f32],
    pub bias: &'a [f32],
    pub output: &'a mut [f32],
    /// In the order height × width × filters.
    pub origins: &'a mut [u8],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let Geometry { channels, filters, kernel: size, .. } = geometry;
        let kernel = PackedKernel::new::<S>([filters, channels, size], |filter, channel, row, column| {
            self.kernel[((filter * channels + channel) * size + row) * size + column]
        });
        let [_, width] = geometry.convolved();
        let [pooled_height, pooled_width] = geometry.pooled();
        let row_len = geometry.row_len(channels);
        let mut padded = vec![0.0; geometry.padded_len(channels)];
        let mut rows = vec![0.0; geometry.pool * width * kernel.padded_filters];
        let mut pixels = vec![0.0; pooled_height * pooled_width * filters];
        let samples = self.input.chunks_exact(geometry.input_len());
        let outputs = self.output.chunks_exact_mut(geometry.output_len());
        let origins = self.origins.chunks_exact_mut(geometry.output_len());
        for ((input, output), origins) in samples.zip(outputs).zip(origins) {
            layout::pad_planes(
                input,
                [channels, geometry.height, geometry.width],
                geometry.padding(),
                &mut padded,
            );
            let lines = pixels
                .chunks_exact_mut(pooled_width * filters)
                .zip(origins.chunks_exact_mut(pooled_width * filters));
            for (y, (pixels, origins)) in lines.enumerate() {
                for (row, output) in rows.chunks_exact_mut(width * kernel.padded_filters).enumerate() {
                    let first = (y * geometry.pool + row) * geometry.stride * row_len;
                    convolve_row(simd, &kernel, &padded[first..], row_len, geometry.stride, output);
                }
                pool_row(&geometry, &rows, kernel.padded_filters, self.bias, pixels, origins);
            }
            layout::to_planes(&pixels, filters, output);
        }
    }
}

/// Adds the bias to rows of sums, pools and rectifies.
#[inline(always)]
fn pool_row(
    geometry: &Geometry,
    sums: &[f32],
    padded_filters: usize,
    bias: &[f32],
    pixels: &mut [f32],
    origins: &mut [u8],
) {
    let pool = geometry.pool;
    let [_, width] = geometry.convolved();
    let filters = geometry.filters;
    let outputs = pixels.chunks_exact_mut(filters).zip(origins.chunks_exact_mut(filters));
    for (x, (pixels, origins)) in outputs.enumerate() {
        let candidate = |index: usize| {
            let start = ((index / pool) * width + x * pool + index % pool) * padded_filters;
            &sums[start..start + filters]
        };
        pixels.copy_from_slice(candidate(0));
        origins.fill(0);
        for index in 1..pool * pool {
            for ((best, origin), &value) in pixels.iter_mut().zip(origins.iter_mut()).zip(candidate(index)) {
                let better = value > *best;
                *best = if better { value } else { *best };
                *origin = if better { index as u8 } else { *origin };
            }
        }
        for ((value, origin), &bias) in pixels.iter_mut().zip(origins.iter_mut()).zip(bias) {
            *value += bias;
            let cut = geometry.relu && *value <= 0.0;
            *value = if cut { 0.0 } else { *value };
            *origin = if cut { CUT } else { *origin };
        }
    }
}

/// Gradients of some samples with respect to input, kernel and bias.
pub(super) struct Backward<'a> {
    pub geometry: Geometry,
    pub input: &'a [f32],
    pub kernel: &'a [f32],
    pub origins: &'a [u8],
    pub output_gradient: &'a [f32],
    pub input_gradient: &'a mut [f32],
}

/// Sums over the samples of a [`Backward`].
pub(super) struct ParameterGradients {
    /// Filters × channels × size × size.
    pub kernel: Vec<f32>,
    pub bias: Vec<f32>,
}

impl WithSimd for Backward<'_> {
    type Output = ParameterGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> ParameterGradients {
        let geometry = self.geometry;
        let Geometry { channels, height, width, filters, kernel: size, stride, .. } = geometry;
        // The input's gradient is the convolution of the output's gradient with the kernel turned
        // by half a circle, its channels and filters swapped.
        let padded_filters = filters.next_multiple_of(filter_block::<S>(filters));
        let turned =
            PackedKernel::new::<S>([channels, padded_filters, size], |channel, filter, row, column| {
                let row_start = ((filter * channels + channel) * size + size - 1 - row) * size;
                if filter < filters { self.kernel[row_start + size - 1 - column] } else { 0.0 }
            });
        let [convolved_height, convolved_width] = geometry.convolved();
        let mut padded = vec![0.0; geometry.padded_len(channels)];
        let mut spread = SpreadGradient::new(&geometry, padded_filters);
        let mut line = vec![0.0; width * turned.padded_filters];
        let mut pixels = vec![0.0; height * width * channels];
        let mut kernel_gradient = vec![0.0; size * size * channels * padded_filters];
        let mut bias_gradient = vec![0.0; filters];
        let samples = self
            .input
            .chunks_exact(geometry.input_len())
            .zip(self.input_gradient.chunks_exact_mut(geometry.input_len()));
        let gradients = self
            .output_gradient
            .chunks_exact(geometry.output_len())
            .zip(self.origins.chunks_exact(geometry.output_len()));
        for ((input, input_gradient), (gradient, origins)) in samples.zip(gradients) {
            layout::pad_planes(input, [channels, height, width], geometry.padding(), &mut padded);
            spread.fill(&geometry, gradient, origins, &mut bias_gradient);
            let sums = KernelGradient {
                size,
                channels,
                padded_filters,
                input: &padded,
                row_len: geometry.row_len(channels),
                input_at: Grid {
                    start: 0,
                    row: stride * geometry.row_len(channels),
                    pixel: stride * channels,
                },
                output: &spread.values,
                output_at: spread.pixels,
                height: convolved_height,
                width: convolved_width,
            };
            sums.accumulate(simd, &mut kernel_gradient);
            let row_len = geometry.row_len(padded_filters);
            for (y, pixels) in pixels.chunks_exact_mut(width * channels).enumerate() {
                convolve_row(simd, &turned, &spread.values[y * row_len..], row_len, 1, &mut line);
                for (pixel, sums) in
                    pixels.chunks_exact_mut(channels).zip(line.chunks_exact(turned.padded_filters))
                {
                    pixel.copy_from_slice(&sums[..channels]);
                }
            }
            layout::to_planes(&pixels, channels, input_gradient);
        }
        let kernel = layout::kernel_to_planes(&kernel_gradient, [filters, channels, size], padded_filters);
        ParameterGradients { kernel, bias: bias_gradient }
    }
}

/// The output's gradient where the convolution's own pixels lie: spread over the pooled squares,
/// strides apart, with the padding of the input around it.
struct SpreadGradient {
    values: Vec<f32>,
    /// Where the pixels that the convolution computed lie.
    pixels: Grid,
    pooled: Vec<f32>,
    padded_filters: usize,
}

impl SpreadGradient {
    fn new(geometry: &Geometry, padded_filters: usize) -> Self {
        let row_len = geometry.row_len(padded_filters);
        let start = geometry.padding() * (row_len + padded_filters);
        Self {
            values: vec![0.0; geometry.padded_len(padded_filters)],
            pixels: Grid { start, row: geometry.stride * row_len, pixel: geometry.stride * padded_filters },
            pooled: vec![0.0; geometry.output_len()],
            padded_filters,
        }
    }

    /// Places the gradients of one sample and adds their sums to `bias`.
    #[inline(always)]
    fn fill(&mut self, geometry: &Geometry, gradient: &[f32], origins: &[u8], bias: &mut [f32]) {
        let filters = geometry.filters;
        let [_, pooled_width] = geometry.pooled();
        layout::from_planes(gradient, filters, &mut self.pooled);
        let pool = geometry.pool;
        let outputs = self.pooled.chunks_exact(filters).zip(origins.chunks_exact(filters));
        for (index, (gradient, origins)) in outputs.enumerate() {
            let [y, x] = [index / pooled_width, index % pooled_width];
            for candidate in 0..pool * pool {
                let [y, x] = [y * pool + candidate / pool, x * pool + candidate % pool];
                let start = self.pixels.start + y * self.pixels.row + x * self.pixels.pixel;
                let target = &mut self.values[start..start + self.padded_filters][..filters];
                for ((target, &gradient), &origin) in target.iter_mut().zip(gradient).zip(origins) {
                    *target = if origin == candidate as u8 { gradient } else { 0.0 };
                }
            }
            for ((sum, &gradient), &origin) in bias.iter_mut().zip(gradient).zip(origins) {
                *sum += if origin == CUT { 0.0 } else { gradient };
            }
        }
    }
}
