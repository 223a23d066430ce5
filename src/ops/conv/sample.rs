//! Forward and backward pass of one sample.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::kernels::{PackedKernel, Term, add_terms, convolve_row};
use super::winograd::Sums;
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

/// Lays out a kernel (filters × channels × size × size) for [`Forward`].
pub(super) struct Pack<'a> {
    pub geometry: Geometry,
    pub kernel: &'a [f32],
}

impl WithSimd for Pack<'_> {
    type Output = PackedKernel;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> PackedKernel {
        let Geometry { channels, filters, kernel: size, .. } = self.geometry;
        PackedKernel::new::<S>([filters, channels, size], |filter, channel, row, column| {
            self.kernel[((filter * channels + channel) * size + row) * size + column]
        })
    }
}

/// A kernel laid out for [`Forward`], in one of two ways to convolve.
pub(super) enum Kernel {
    Direct(PackedKernel),
    Winograd(Box<Sums>),
}

/// Outputs of some samples, one after the other, and for each output where it came from.
pub(super) struct Forward<'a> {
    pub geometry: Geometry,
    pub input: &'a [f32],
    pub kernel: &'a Kernel,
    pub bias: &'a [f32],
    pub output: &'a mut [f32],
    pub origins: &'a mut [u8],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { geometry, kernel, .. } = self;
        let Geometry { filters, .. } = geometry;
        let [_, width] = geometry.convolved();
        let [pooled_height, pooled_width] = geometry.pooled();
        let mut pixels = vec![0.0; pooled_height * pooled_width * filters];
        let mut pixel_origins = vec![0; pixels.len()];
        let mut source = match kernel {
            Kernel::Direct(kernel) => Source::Direct(Rows::new(geometry, kernel)),
            Kernel::Winograd(sums) => Source::Winograd(sums.clone()),
        };
        let samples = self.input.chunks_exact(geometry.input_len());
        let outputs = self.output.chunks_exact_mut(geometry.output_len());
        let origins = self.origins.chunks_exact_mut(geometry.output_len());
        for ((input, output), origins) in samples.zip(outputs).zip(origins) {
            let lines = pixels
                .chunks_exact_mut(pooled_width * filters)
                .zip(pixel_origins.chunks_exact_mut(pooled_width * filters));
            match &mut source {
                Source::Direct(rows) => {
                    rows.pad(input);
                    for (y, (pixels, origins)) in lines.enumerate() {
                        let stride = rows.kernel.padded_filters;
                        let sums = rows.convolve(simd, y);
                        pool_row(&geometry, sums, stride, self.bias, pixels, origins);
                    }
                }
                Source::Winograd(sums) => {
                    let stride = sums.stride();
                    let sums = sums.compute(simd, input);
                    for (y, (pixels, origins)) in lines.enumerate() {
                        let first = y * geometry.pool * width * stride;
                        pool_row(&geometry, &sums[first..], stride, self.bias, pixels, origins);
                    }
                }
            }
            layout::to_planes(&pixels, filters, output);
            layout::to_planes(&pixel_origins, filters, origins);
        }
    }
}

/// Where the sums of a sample come from.
enum Source<'a> {
    Direct(Rows<'a>),
    Winograd(Box<Sums>),
}

/// Sums of some rows at a time, of a padded sample.
struct Rows<'a> {
    geometry: Geometry,
    kernel: &'a PackedKernel,
    padded: Vec<f32>,
    sums: Vec<f32>,
}

impl<'a> Rows<'a> {
    fn new(geometry: Geometry, kernel: &'a PackedKernel) -> Self {
        let [_, width] = geometry.convolved();
        let padded = vec![0.0; geometry.padded_len(geometry.channels)];
        Self { geometry, kernel, padded, sums: vec![0.0; geometry.pool * width * kernel.padded_filters] }
    }

    #[inline(always)]
    fn pad(&mut self, input: &[f32]) {
        let Geometry { channels, height, width, .. } = self.geometry;
        layout::pad_planes(input, [channels, height, width], self.geometry.padding(), &mut self.padded);
    }

    /// The rows that are pooled into row `y`.
    #[inline(always)]
    fn convolve<S: Simd>(&mut self, simd: S, y: usize) -> &[f32] {
        let Self { geometry, kernel, padded, sums } = self;
        let row_len = geometry.row_len(geometry.channels);
        let [_, width] = geometry.convolved();
        for (row, output) in sums.chunks_exact_mut(width * kernel.padded_filters).enumerate() {
            let first = (y * geometry.pool + row) * geometry.stride * row_len;
            convolve_row(simd, kernel, &padded[first..], row_len, geometry.stride, output);
        }
        sums
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
    // As wide as the values, so that both are compared in the same lanes.
    let mut winners = [0_u32; BLOCK];
    let outputs = pixels.chunks_exact_mut(filters).zip(origins.chunks_exact_mut(filters));
    for (x, (pixels, origins)) in outputs.enumerate() {
        let blocks = pixels.chunks_mut(BLOCK).zip(origins.chunks_mut(BLOCK)).zip(bias.chunks(BLOCK));
        for (block, ((pixels, origins), bias)) in blocks.enumerate() {
            let winners = &mut winners[..pixels.len()];
            let candidate = |index: usize| {
                let start = ((index / pool) * width + x * pool + index % pool) * padded_filters;
                &sums[start + block * BLOCK..][..bias.len()]
            };
            pixels.copy_from_slice(candidate(0));
            winners.fill(0);
            for index in 1..pool * pool {
                for ((best, winner), &value) in
                    pixels.iter_mut().zip(winners.iter_mut()).zip(candidate(index))
                {
                    let better = value > *best;
                    *best = if better { value } else { *best };
                    *winner = if better { index as u32 } else { *winner };
                }
            }
            for ((value, winner), &bias) in pixels.iter_mut().zip(winners.iter_mut()).zip(bias) {
                *value += bias;
                let cut = geometry.relu && *value <= 0.0;
                *value = if cut { 0.0 } else { *value };
                *winner = if cut { u32::from(CUT) } else { *winner };
            }
            origins.iter_mut().zip(&*winners).for_each(|(origin, &winner)| *origin = winner as u8);
        }
    }
}

/// Filters that are pooled at a time.
const BLOCK: usize = 32;

/// Lays out a kernel (filters × channels × size × size) for [`Backward`].
pub(super) struct PackRows<'a> {
    pub geometry: Geometry,
    pub kernel: &'a [f32],
}

impl WithSimd for PackRows<'_> {
    type Output = KernelRows;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> KernelRows {
        KernelRows::new::<S>(self.geometry, self.kernel)
    }
}

/// Gradients of some samples with respect to input, kernel and bias.
///
/// Pooling lets the gradient through to one pixel in four and ReLU to fewer, so the products are
/// taken of these alone, each with the row of channels × kernel columns that it touches.
pub(super) struct Backward<'a> {
    pub geometry: Geometry,
    pub input: &'a [f32],
    pub kernel: &'a KernelRows,
    /// Where the gradients of the input are faster all at once.
    pub of_gradient: &'a Option<Sums>,
    pub origins: &'a [u8],
    pub output_gradient: &'a [f32],
    pub input_gradient: &'a mut [f32],
}

/// Sums over the samples of a [`Backward`].
pub(super) struct ParameterGradients {
    /// Laid out as [`KernelRows`].
    pub kernel: Vec<f32>,
    pub bias: Vec<f32>,
}

impl WithSimd for Backward<'_> {
    type Output = ParameterGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> ParameterGradients {
        let Self { geometry, kernel: taps, .. } = self;
        let Geometry { channels, height, width, filters, .. } = geometry;
        let mut kernel_gradient = vec![0.0; taps.values.len()];
        let mut bias_gradient = vec![0.0; filters];
        // A vector may reach past the last pixel.
        let mut padded = vec![0.0; geometry.padded_len(channels) + S::F32_LANES];
        let direct = self.of_gradient.is_none();
        let mut padded_gradient = if direct { padded.clone() } else { Vec::new() };
        // As many rows at a time as the first-level cache holds.
        let [pooled_height, pooled_width] = geometry.pooled();
        let band = (32 / pooled_width).max(1);
        let mut terms = Terms::new(&geometry, band);
        let mut of_gradient = self.of_gradient.clone();
        let mut passed = vec![0.0; if of_gradient.is_some() { geometry.output_len() } else { 0 }];
        let inputs = self.input.chunks_exact(geometry.input_len());
        let input_gradients = self.input_gradient.chunks_exact_mut(geometry.input_len());
        let gradients = self.output_gradient.chunks_exact(geometry.output_len());
        let origins = self.origins.chunks_exact(geometry.output_len());
        for (((input, input_gradient), gradient), origins) in
            inputs.zip(input_gradients).zip(gradients).zip(origins)
        {
            let shape = [channels, height, width];
            layout::pad_planes(input, shape, geometry.padding(), &mut padded);
            padded_gradient.fill(0.0);
            for first in (0..pooled_height).step_by(band) {
                let rows = first..(first + band).min(pooled_height);
                terms.collect(rows.clone(), gradient, origins, taps);
                terms.add_to_kernel(simd, taps, &padded, &mut kernel_gradient);
                if direct {
                    terms.collect_pixels(rows, gradient, origins, taps);
                    terms.add_to_input(simd, taps, &mut padded_gradient);
                }
            }
            for (sum, plane) in bias_gradient.iter_mut().zip(0..filters) {
                let area = gradient.len() / filters;
                let values = gradient[plane * area..].iter().zip(&origins[plane * area..]).take(area);
                *sum += values.map(|(value, &origin)| if origin == CUT { 0.0 } else { *value }).sum::<f32>();
            }
            if let Some(sums) = &mut of_gradient {
                for ((passed, &value), &origin) in passed.iter_mut().zip(gradient).zip(origins) {
                    *passed = if origin == CUT { 0.0 } else { value };
                }
                sums.compute_planes(simd, &passed, input_gradient);
            } else {
                layout::unpad_planes(&padded_gradient, shape, geometry.padding(), input_gradient);
            }
        }
        ParameterGradients { kernel: kernel_gradient, bias: bias_gradient }
    }
}

/// Kernel rows laid out like the input's: kernel row × filter × (kernel column × channel), the
/// latter padded to `row_len` values.
pub(super) struct KernelRows {
    geometry: Geometry,
    row_len: usize,
    values: Vec<f32>,
}

impl KernelRows {
    #[inline(always)]
    fn new<S: Simd>(geometry: Geometry, kernel: &[f32]) -> Self {
        let Geometry { channels, filters, kernel: size, .. } = geometry;
        let row_len = (size * channels).next_multiple_of(S::F32_LANES);
        let mut rows = Self { geometry, row_len, values: Vec::new() };
        let mut values = vec![0.0; size * filters * row_len];
        rows.for_each(|row, plane| values[row] = kernel[plane]);
        rows.values = values;
        rows
    }

    /// Values in this layout as filters × channels × size × size.
    pub fn unpack(&self, rows: &[f32]) -> Vec<f32> {
        let Geometry { channels, filters, kernel, .. } = self.geometry;
        let mut planes = vec![0.0; filters * channels * kernel * kernel];
        self.for_each(|row, plane| planes[plane] = rows[row]);
        planes
    }

    /// Where each weight lies in rows and in filters × channels × size × size.
    fn for_each(&self, mut visit: impl FnMut(usize, usize)) {
        let Geometry { channels, filters, kernel: size, .. } = self.geometry;
        for filter in 0..filters {
            for channel in 0..channels {
                for (row, column) in (0..size * size).map(|tap| (tap / size, tap % size)) {
                    visit(
                        (row * filters + filter) * self.row_len + column * channels + channel,
                        ((filter * channels + channel) * size + row) * size + column,
                    );
                }
            }
        }
    }
}

/// Output gradients of some rows that are not zero, once by filter and once by pixel.
struct Terms {
    /// Factors with the place of the input that they belong to.
    by_filter: Lists,
    /// Factors with the place of the kernel row that they belong to.
    by_pixel: Lists,
    /// For each square the places of the input that its pixels begin at; without pooling all are the only one's.
    places: Vec<[u32; POOLED]>,
}

/// Pixels of the largest square that is pooled.
const POOLED: usize = 4;

/// Lists of terms, all with the same room.
struct Lists {
    room: usize,
    terms: Vec<Term>,
    lens: Vec<usize>,
}

impl Lists {
    fn new(lists: usize, room: usize) -> Self {
        Self { room, terms: vec![Term::default(); lists * room], lens: vec![0; lists] }
    }

    /// The room of a list, and its length.
    #[inline(always)]
    fn list(&mut self, list: usize) -> (&mut [Term], &mut usize) {
        (&mut self.terms[list * self.room..][..self.room], &mut self.lens[list])
    }

    fn get(&self, list: usize) -> &[Term] {
        &self.terms[list * self.room..][..self.lens[list]]
    }
}

impl Terms {
    /// For up to `rows` pooled rows at a time.
    fn new(geometry: &Geometry, rows: usize) -> Self {
        let squares = rows * geometry.pooled()[1];
        Self {
            by_filter: Lists::new(geometry.filters, squares),
            by_pixel: Lists::new(squares * geometry.pool * geometry.pool, geometry.filters),
            places: Vec::new(),
        }
    }

    #[inline(always)]
    fn collect(&mut self, rows: Range<usize>, gradient: &[f32], origins: &[u8], taps: &KernelRows) {
        let geometry = &taps.geometry;
        let Geometry { channels, filters, stride, pool, .. } = *geometry;
        let [_, width] = geometry.pooled();
        let (area, squares) = (gradient.len() / filters, rows.len() * width);
        self.places.clear();
        self.places.extend((0..squares).map(|square| {
            let [y, x] = [rows.start + square / width, square % width];
            std::array::from_fn(|pixel| {
                let pixel = pixel % (pool * pool);
                let [y, x] = [y * pool + pixel / pool, x * pool + pixel % pool];
                (y * stride * geometry.row_len(channels) + x * stride * channels) as u32
            })
        }));
        for filter in 0..filters {
            let start = filter * area + rows.start * width;
            let outputs = gradient[start..start + squares].iter().zip(&origins[start..start + squares]);
            let (list, filled) = self.by_filter.list(filter);
            let mut len = 0;
            // What isn't wanted is written, too, and the next term over it: no processor could predict a branch.
            for ((&factor, &origin), places) in outputs.zip(&self.places) {
                list[len] = Term { factor, start: places[usize::from(origin) % POOLED] };
                len += usize::from(origin != CUT);
            }
            *filled = len;
        }
    }

    /// The same by the pixel that each output came from, where the input's gradients are summed from them.
    #[inline(always)]
    fn collect_pixels(&mut self, rows: Range<usize>, gradient: &[f32], origins: &[u8], taps: &KernelRows) {
        let Geometry { filters, pool, .. } = taps.geometry;
        let [_, width] = taps.geometry.pooled();
        let area = gradient.len() / filters;
        for square in 0..rows.len() * width {
            let first = rows.start * width + square;
            for pixel in 0..pool * pool {
                let (list, filled) = self.by_pixel.list(square * pool * pool + pixel);
                let mut len = 0;
                for filter in 0..filters {
                    let output = filter * area + first;
                    list[len] = Term { factor: gradient[output], start: (filter * taps.row_len) as u32 };
                    len += usize::from(usize::from(origins[output]) == pixel);
                }
                *filled = len;
            }
        }
    }

    #[inline(always)]
    fn add_to_kernel<S: Simd>(&self, simd: S, taps: &KernelRows, padded: &[f32], gradient: &mut [f32]) {
        let Geometry { channels, filters, .. } = taps.geometry;
        let rows = gradient.chunks_exact_mut(filters * taps.row_len);
        for (row, gradient) in rows.enumerate() {
            let input = &padded[row * taps.geometry.row_len(channels)..];
            for (filter, target) in gradient.chunks_exact_mut(taps.row_len).enumerate() {
                add_terms(simd, target, input, self.by_filter.get(filter));
            }
        }
    }

    #[inline(always)]
    fn add_to_input<S: Simd>(&self, simd: S, taps: &KernelRows, padded: &mut [f32]) {
        let Geometry { channels, filters, pool, .. } = taps.geometry;
        for (row, kernel) in taps.values.chunks_exact(filters * taps.row_len).enumerate() {
            let padded = &mut padded[row * taps.geometry.row_len(channels)..];
            let pixels = self.places.iter().flat_map(|places| &places[..pool * pool]);
            for (pixel, &place) in pixels.enumerate() {
                let place = place as usize;
                let terms = self.by_pixel.get(pixel);
                if !terms.is_empty() {
                    add_terms(simd, &mut padded[place..place + taps.row_len], kernel, terms);
                }
            }
        }
    }
}
