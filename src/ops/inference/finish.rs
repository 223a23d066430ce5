//! What is done to a convolution's sums before they are stored.

use candle_core::Result;
use pulp::Simd;

use super::buffer::Buffer;
use crate::ops::simd::multiply_add;

/// Bias, ReLU, and the batch normalisation that opens the next block.
///
/// That normalisation belongs to the side that writes the picture: normalised before it gets its
/// frame of zeros, the padding needs no correction at the borders.
#[derive(Clone, Debug)]
pub struct Finish {
    bias: Buffer,
    scale: Buffer,
    shift: Buffer,
    /// 0 for ReLU.
    floor: f32,
}

/// A [`Finish`] for one vector of channels.
#[derive(Clone, Copy)]
pub struct FinishVector<S: Simd> {
    bias: S::f32s,
    scale: S::f32s,
    shift: S::f32s,
    floor: S::f32s,
}

impl Finish {
    /// For as many channels as `bias` has, filled up to `stride`. `affine` holds the scale and shift
    /// of each channel.
    pub fn new(bias: &[f32], relu: bool, affine: Option<&[[f32; 2]]>, stride: usize) -> Result<Self> {
        let fill = |values: &mut dyn Iterator<Item = f32>| -> Result<Buffer> {
            let mut buffer = Buffer::new(stride)?;
            buffer.values_mut().iter_mut().zip(values).for_each(|(to, from)| *to = from);
            Ok(buffer)
        };
        let affine = |index: usize| {
            (0..bias.len()).map(move |channel| affine.map_or([1.0, 0.0], |affine| affine[channel])[index])
        };
        Ok(Self {
            bias: fill(&mut bias.iter().copied())?,
            scale: fill(&mut affine(0))?,
            shift: fill(&mut affine(1))?,
            floor: if relu { 0.0 } else { f32::NEG_INFINITY },
        })
    }

    #[inline(always)]
    pub fn vector<S: Simd>(&self, simd: S, index: usize) -> FinishVector<S> {
        FinishVector {
            bias: S::as_simd_f32s(self.bias.values()).0[index],
            scale: S::as_simd_f32s(self.scale.values()).0[index],
            shift: S::as_simd_f32s(self.shift.values()).0[index],
            floor: simd.splat_f32s(self.floor),
        }
    }
}

impl<S: Simd> FinishVector<S> {
    #[inline(always)]
    pub fn apply(&self, simd: S, sum: S::f32s) -> S::f32s {
        let value = simd.max_f32s(simd.add_f32s(sum, self.bias), self.floor);
        multiply_add(simd, value, self.scale, self.shift)
    }
}
