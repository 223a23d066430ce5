//! Fully connected layers, for several rows at once.

use candle_core::Result;
use pulp::Simd;

use super::buffer::Buffer;
use super::kernel::{Packed, Product, multiply, rows_from};

#[derive(Clone, Debug)]
pub struct Dense {
    packed: Packed,
    bias: Buffer,
    relu: bool,
    inputs: usize,
}

impl Dense {
    /// `weight` gives the value for an input and a unit.
    pub fn new(
        inputs: usize,
        bias: &[f32],
        relu: bool,
        lanes: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Result<Self> {
        let packed = Packed::new(inputs, bias.len(), lanes, weight)?;
        let mut padded = Buffer::new(bias.len().next_multiple_of(lanes))?;
        padded.values_mut()[..bias.len()].copy_from_slice(bias);
        Ok(Self { packed, bias: padded, relu, inputs })
    }

    /// Values of one row of the output.
    pub fn padded_units(&self) -> usize {
        self.bias.values().len()
    }

    /// Computes `rows` rows of `output` from those of `input`.
    #[inline(always)]
    pub fn run<S: Simd>(&self, simd: S, rows: usize, input: &[f32], output: &mut [f32]) {
        let mut product = Rows { dense: self, input, output: S::as_mut_simd_f32s(output).0 };
        for group in self.packed.groups() {
            product.compute(simd, rows, group);
        }
    }
}

struct Rows<'a, S: Simd> {
    dense: &'a Dense,
    input: &'a [f32],
    output: &'a mut [S::f32s],
}

impl<S: Simd> Product<S> for Rows<'_, S> {
    #[inline(always)]
    fn block<const P: usize, const V: usize>(&mut self, simd: S, row: usize, first: usize) {
        let bias = S::as_simd_f32s(self.dense.bias.values()).0;
        let floor = simd.splat_f32s(if self.dense.relu { 0.0 } else { f32::NEG_INFINITY });
        let mut sums = [[floor; V]; P];
        for sums in &mut sums {
            sums.copy_from_slice(&bias[first..first + V]);
        }
        let rows = rows_from(self.input, row * self.dense.inputs, self.dense.inputs);
        multiply(simd, &mut sums, rows, self.dense.packed.group::<V, S>(simd, first));
        for (output, sums) in self.output.chunks_exact_mut(bias.len()).skip(row).zip(sums) {
            for (output, sum) in output[first..first + V].iter_mut().zip(sums) {
                *output = simd.max_f32s(sum, floor);
            }
        }
    }
}
