//! Training's convolutions by Winograd's minimal filtering, where the pictures are large enough for it: the kernels
//! are inference's, with nothing done to the sums.

use candle_core::Result;
use pulp::Simd;

use super::sample::Geometry;
use crate::ops::inference::buffer::{Buffer, Layout};
use crate::ops::inference::finish::Finish;
use crate::ops::inference::suits_winograd;
use crate::ops::inference::winograd::{TILE, Winograd};
use crate::ops::layout;

/// Sums of a 3×3 convolution with stride 1. Clones share the kernel and compute in memory of their own.
#[derive(Clone)]
pub(super) struct Sums {
    winograd: Winograd,
    from: Layout,
    to: Layout,
    finish: Finish,
    framed: Buffer,
    sums: Buffer,
}

impl Sums {
    /// The sums of `kernel` (filters × channels × 3 × 3) with pictures of a convolution's input; `None` where
    /// another way is faster.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn of_input(geometry: &Geometry, kernel: &[f32], lanes: usize) -> Result<Option<Self>> {
        Self::new(geometry, [geometry.channels, geometry.filters], lanes, || kernel.to_vec())
    }

    /// The gradients of a convolution's input, which are the sums of the turned kernel with the gradients of its
    /// output; `None` where another way is faster. Pooling leaves so few of these that are not zero that it is.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn of_gradient(geometry: &Geometry, kernel: &[f32], lanes: usize) -> Result<Option<Self>> {
        let Geometry { channels, filters, pool, .. } = *geometry;
        if pool > 1 {
            return Ok(None);
        }
        Self::new(geometry, [filters, channels], lanes, || {
            let mut turned = vec![0.0; kernel.len()];
            for (index, weights) in kernel.as_chunks::<9>().0.iter().enumerate() {
                let (filter, channel) = (index / channels, index % channels);
                let place = &mut turned[(channel * filters + filter) * 9..][..9];
                place.copy_from_slice(weights);
                place.reverse();
            }
            turned
        })
    }

    fn new(
        geometry: &Geometry,
        [channels, filters]: [usize; 2],
        lanes: usize,
        kernel: impl FnOnce() -> Vec<f32>,
    ) -> Result<Option<Self>> {
        let Geometry { height, width, kernel: size, stride, .. } = *geometry;
        let layout =
            |channels: usize| Layout::new([channels, height, width], channels.next_multiple_of(lanes));
        let (from, to) = (layout(channels), layout(filters));
        if !suits_winograd(&from, filters, [size, stride], lanes) {
            return Ok(None);
        }
        let from = from.framed(1, TILE);
        Ok(Some(Self {
            winograd: Winograd::new(&kernel(), filters, false, from, lanes)?,
            finish: Finish::new(&vec![0.0; filters], false, None, to.stride)?,
            framed: Buffer::new(from.len())?,
            sums: Buffer::new(to.len())?,
            from,
            to,
        }))
    }

    /// Values from one pixel of the sums to the next.
    pub fn stride(&self) -> usize {
        self.to.stride
    }

    /// Height × width × filters, the latter filled up to [`Sums::stride`], of channels × height × width.
    #[inline(always)]
    pub fn compute<S: Simd>(&mut self, simd: S, planes: &[f32]) -> &[f32] {
        let Layout { height, width, channels, stride, .. } = self.from;
        let area = height * width;
        for y in 0..height {
            let row = &mut self.framed.values_mut()[self.from.row(y)..][..width * stride];
            layout::transpose(&planes[y * width..], area, [channels, width], row, stride);
        }
        let input = (self.framed.values(), &self.from);
        self.winograd.run(simd, input, (self.sums.values_mut(), &self.to), &self.finish);
        self.sums.values()
    }

    /// As [`Sums::compute`], to filters × height × width.
    #[inline(always)]
    pub fn compute_planes<S: Simd>(&mut self, simd: S, planes: &[f32], target: &mut [f32]) {
        let Layout { height, width, channels, stride, .. } = self.to;
        let sums = self.compute(simd, planes);
        layout::transpose(sums, stride, [height * width, channels], target, height * width);
    }
}
