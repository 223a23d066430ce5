//! Convolution as the sum of its taps: any kernel, any stride.

use candle_core::Result;
use pulp::Simd;

use super::buffer::{Buffer, Layout};
use super::finish::Finish;
use super::kernel::{Packed, Product, multiply, rows_from};

#[derive(Clone, Debug)]
pub struct Direct {
    /// Taps by kernel row, kernel column and channel: a kernel row of the input is one run.
    packed: Packed,
    size: usize,
    stride: usize,
    /// Sums of one row of the output, or of the two that are pooled.
    sums: Buffer,
    /// Width before pooling.
    width: usize,
    pool: bool,
}

impl Direct {
    /// For `kernel` (filters × channels × `size` × `size`) over pictures as in `input`, whose frame
    /// is at least `size` / 2 wide.
    pub fn new(
        kernel: &[f32],
        filters: usize,
        [size, stride]: [usize; 2],
        pool: bool,
        input: Layout,
        lanes: usize,
    ) -> Result<Self> {
        let run = size * input.stride;
        let packed = Packed::new(size * run, filters, lanes, |tap, filter| {
            let (row, column, channel) = (tap / run, tap % run / input.stride, tap % input.stride);
            if channel < input.channels {
                kernel[((filter * input.channels + channel) * size + row) * size + column]
            } else {
                0.0
            }
        })?;
        let width = input.width.div_ceil(stride);
        let rows = if pool { 2 } else { 1 };
        let sums = Buffer::new(rows * width * filters.next_multiple_of(lanes))?;
        Ok(Self { packed, size, stride, sums, width, pool })
    }

    #[inline(always)]
    pub fn run<S: Simd>(
        &mut self,
        simd: S,
        (input, from): (&[f32], &Layout),
        (output, to): (&mut [f32], &Layout),
        finish: &Finish,
    ) {
        let line_len = self.width * to.stride;
        let rows = if self.pool { 2 } else { 1 };
        // The frame may be wider than this kernel needs.
        let skip = from.margin - self.size / 2;
        for y in 0..to.height {
            for (row, line) in self.sums.values_mut().chunks_exact_mut(line_len).enumerate() {
                let above = (y * rows + row) * self.stride + skip;
                let first = above * from.row_len() + skip * from.stride;
                let mut product = Row {
                    packed: &self.packed,
                    input: &input[first..],
                    row_len: from.row_len(),
                    step: self.stride * from.stride,
                    runs: self.size,
                    run: self.size * from.stride,
                    sums: S::as_mut_simd_f32s(line).0,
                    vectors: to.stride / S::F32_LANES,
                };
                for group in self.packed.groups() {
                    product.compute(simd, self.width, group);
                }
            }
            let row = &mut output[to.row(y)..][..to.width * to.stride];
            store(simd, self.sums.values(), (self.width, self.pool), row, to.stride, finish);
        }
    }
}

/// One row of sums.
struct Row<'a, S: Simd> {
    packed: &'a Packed,
    input: &'a [f32],
    row_len: usize,
    /// Floats from one output pixel's first tap to the next one's.
    step: usize,
    /// Kernel rows, and taps of each.
    runs: usize,
    run: usize,
    sums: &'a mut [S::f32s],
    /// Vectors of one pixel.
    vectors: usize,
}

impl<S: Simd> Product<S> for Row<'_, S> {
    #[inline(always)]
    fn block<const P: usize, const V: usize>(&mut self, simd: S, x: usize, first: usize) {
        let weights = self.packed.group::<V, S>(simd, first);
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        for (row, weights) in weights.chunks_exact(self.run).take(self.runs).enumerate() {
            let pixels = rows_from(self.input, row * self.row_len + x * self.step, self.step);
            multiply(simd, &mut sums, pixels, weights);
        }
        for (pixel, sums) in self.sums.chunks_exact_mut(self.vectors).skip(x).zip(&sums) {
            pixel[first..first + V].copy_from_slice(sums);
        }
    }
}

/// Pools and finishes the `sums` of one row, or of two, into a row of pixels.
#[inline(always)]
fn store<S: Simd>(
    simd: S,
    sums: &[f32],
    (width, pool): (usize, bool),
    row: &mut [f32],
    stride: usize,
    finish: &Finish,
) {
    let vectors = stride / S::F32_LANES;
    let (upper, lower) = S::as_simd_f32s(sums).0.split_at(width * vectors);
    let row = S::as_mut_simd_f32s(row).0;
    for vector in 0..vectors {
        let finish = finish.vector(simd, vector);
        let pixels = row.iter_mut().skip(vector).step_by(vectors);
        if pool {
            let upper = upper.chunks_exact(2 * vectors);
            let lower = lower.chunks_exact(2 * vectors);
            for ((to, upper), lower) in pixels.zip(upper).zip(lower) {
                let left = simd.max_f32s(upper[vector], lower[vector]);
                let right = simd.max_f32s(upper[vectors + vector], lower[vectors + vector]);
                *to = finish.apply(simd, simd.max_f32s(left, right));
            }
        } else {
            for (to, from) in pixels.zip(upper.iter().skip(vector).step_by(vectors)) {
                *to = finish.apply(simd, *from);
            }
        }
    }
}
