//! The inner loops of training's convolution, on one sample whose channels lie side by side (height
//! × width × channels), with the filters as SIMD lanes.

use pulp::Simd;

use crate::ops::simd::multiply_add;

/// Vectors of filters that are computed side by side.
const VECTORS: usize = 2;

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
        let block = VECTORS * S::F32_LANES;
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
    Row { input, row_len, step: stride * kernel.channels, kernel }.convolve(simd, output);
}

struct Row<'a> {
    input: &'a [f32],
    row_len: usize,
    /// Values from one output pixel's input to the next one's.
    step: usize,
    kernel: &'a PackedKernel,
}

impl Row<'_> {
    #[inline(always)]
    fn convolve<S: Simd>(&self, simd: S, output: &mut [f32]) {
        let PackedKernel { size, channels, padded_filters, ref values } = *self.kernel;
        let block = VECTORS * S::F32_LANES;
        let width = output.len() / padded_filters;
        for (index, weights) in values.chunks_exact(size * size * channels * block).enumerate() {
            let (weights, _) = S::as_simd_f32s(weights);
            let (weights, _) = weights.as_chunks::<VECTORS>();
            let mut store = |x: usize, sums: &[[S::f32s; VECTORS]]| {
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
                    6 | 10.. => store(x, &self.tile::<S, 6>(simd, x, weights)),
                    4.. => store(x, &self.tile::<S, 4>(simd, x, weights)),
                    _ => store(x, &self.tile::<S, 1>(simd, x, weights)),
                };
            }
        }
    }

    /// Sums of `P` neighbouring pixels from `x` on.
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(
        &self,
        simd: S,
        x: usize,
        weights: &[[S::f32s; VECTORS]],
    ) -> [[S::f32s; VECTORS]; P] {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; P];
        for (row, weights) in weights.chunks_exact(self.kernel.size * self.kernel.channels).enumerate() {
            let start = row * self.row_len + x * self.step;
            let pixels: [&[f32]; P] =
                std::array::from_fn(|pixel| &self.input[start + pixel * self.step..][..weights.len()]);
            for (tap, weight) in weights.iter().enumerate() {
                for pixel in 0..P {
                    let value = simd.splat_f32s(pixels[pixel][tap]);
                    for vector in 0..VECTORS {
                        sums[pixel][vector] = multiply_add(simd, value, weight[vector], sums[pixel][vector]);
                    }
                }
            }
        }
        sums
    }
}

/// A row of values somewhere in an array, and what to multiply it with.
#[derive(Clone, Copy, Default)]
pub(super) struct Term {
    pub factor: f32,
    /// Half of a `usize`, so that twice as many fit into the first-level cache.
    pub start: u32,
}

impl Term {
    #[inline(always)]
    fn row<S: Simd>(self, source: &[f32], len: usize) -> &[S::f32s] {
        S::as_simd_f32s(&source[self.start as usize..][..len]).0
    }
}

/// Adds rows of `source` times their factors to `target`, whose length is whole vectors.
#[inline(always)]
pub(super) fn add_terms<S: Simd>(simd: S, target: &mut [f32], source: &[f32], terms: &[Term]) {
    let mut first = 0;
    while first < target.len() {
        let (rest, source) = (&mut target[first..], &source[first..]);
        // 12 sums, a factor and a value fit into the sixteen registers of AVX2; where the target
        // has fewer vectors, several terms at a time keep the multipliers busy.
        first += match rest.len() / S::F32_LANES {
            12.. => add_vectors::<S, 12, 1>(simd, rest, source, terms),
            6.. => add_vectors::<S, 6, 2>(simd, rest, source, terms),
            3.. => add_vectors::<S, 3, 4>(simd, rest, source, terms),
            2 => add_vectors::<S, 2, 4>(simd, rest, source, terms),
            _ => add_vectors::<S, 1, 8>(simd, rest, source, terms),
        };
    }
}

/// [`add_terms`] for the first `N` vectors, `T` terms at a time; returns how many values those are.
#[inline(always)]
fn add_vectors<S: Simd, const N: usize, const T: usize>(
    simd: S,
    target: &mut [f32],
    source: &[f32],
    terms: &[Term],
) -> usize {
    let len = N * S::F32_LANES;
    let (target, _) = S::as_mut_simd_f32s(&mut target[..len]);
    let mut sums = [[simd.splat_f32s(0.0); N]; T];
    let (groups, rest) = terms.as_chunks::<T>();
    for group in groups {
        for term in 0..T {
            let values = group[term].row::<S>(source, len);
            let factor = simd.splat_f32s(group[term].factor);
            for vector in 0..N {
                sums[term][vector] = multiply_add(simd, factor, values[vector], sums[term][vector]);
            }
        }
    }
    for (term, sums) in rest.iter().zip(&mut sums) {
        let values = term.row::<S>(source, len);
        let factor = simd.splat_f32s(term.factor);
        for vector in 0..N {
            sums[vector] = multiply_add(simd, factor, values[vector], sums[vector]);
        }
    }
    for vector in 0..N {
        for sums in &sums {
            target[vector] = simd.add_f32s(target[vector], sums[vector]);
        }
    }
    len
}
