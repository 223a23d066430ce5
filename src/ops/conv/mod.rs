//! The convolution that networks train with, as a candle custom op for the CPU.

mod elsewhere;
mod kernels;
mod sample;
mod winograd;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::simd::Isa;
use super::slice_of;
use sample::{Backward, Forward, Geometry, Kernel, Pack, PackRows, ParameterGradients};
use winograd::Sums;

/// What a convolution does besides convolving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Pixels from one output to the next, 1 or 2 being usual.
    pub stride: usize,
    /// Rectify the result.
    pub relu: bool,
    /// Keep the largest value of each 2×2 square; an odd last row or column is left out.
    pub pool: bool,
}

/// Convolution of `x` (batch × channels × height × width) with `kernel` (filters × channels × k ×
/// k, k odd) and same padding (k / 2 zeros on each side), plus `bias` (filters), then ReLU and
/// pooling as `options` say. Differentiable with respect to all three.
///
/// On the CPU the samples are spread over rayon's threads, in groups that don't depend on their
/// number: the same input gives the same bits on every machine with the same instruction set.
///
/// # Errors
/// Where shapes don't fit together.
pub fn conv2d(x: &Tensor, kernel: &Tensor, bias: &Tensor, options: ConvOptions) -> Result<Tensor> {
    if x.device().is_cpu() {
        return conv2d_with(Isa::best(), x, kernel, bias, options);
    }
    let ConvOptions { stride, relu, pool } = options;
    let mut y = elsewhere::conv2d(x, kernel, stride)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)?;
    if pool {
        y = y.max_pool2d(2)?;
    }
    if relu { y.relu() } else { Ok(y) }
}

/// [`conv2d`] on the CPU with the given instruction set.
pub fn conv2d_with(
    isa: Isa,
    x: &Tensor,
    kernel: &Tensor,
    bias: &Tensor,
    options: ConvOptions,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3(
        &kernel.contiguous()?,
        &bias.contiguous()?,
        Conv2d { isa, options, origins: Arc::default() },
    )
}

/// Places in a padded sample and in a kernel are kept in 32 bits.
const MOST_VALUES: usize = 1 << 31;

/// Samples that are computed one after the other, and whose kernel gradients are summed in place.
const GROUP: usize = 4;

struct Conv2d {
    isa: Isa,
    options: ConvOptions,
    /// Which input each output came from, kept from forward for backward.
    origins: Arc<OnceLock<Vec<u8>>>,
}

impl Conv2d {
    fn geometry(&self, x: &Shape, kernel: &Shape, bias: &Shape) -> Result<Geometry> {
        let (_, channels, height, width) = x.dims4()?;
        let (filters, kernel_channels, size, size_too) = kernel.dims4()?;
        let ConvOptions { stride, relu, pool } = self.options;
        let geometry = Geometry {
            channels,
            height,
            width,
            filters,
            kernel: size,
            stride,
            relu,
            pool: if pool { 2 } else { 1 },
        };
        let sound = kernel_channels == channels
            && size == size_too
            && size % 2 == 1
            && stride > 0
            && bias.dims() == [filters]
            && (1..=MOST_VALUES).contains(&x.elem_count())
            && geometry.output_len() > 0;
        if !sound {
            bail!("convolution of {x:?} with kernel {kernel:?}, bias {bias:?} and {:?}", self.options);
        }
        Ok(geometry)
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = self.geometry(x_layout.shape(), kernel_layout.shape(), bias_layout.shape())?;
        let (x, kernel, bias) =
            (slice_of(x, x_layout)?, slice_of(kernel, kernel_layout)?, slice_of(bias, bias_layout)?);
        let samples = x.len() / geometry.input_len();
        let mut output = vec![0.0; samples * geometry.output_len()];
        let mut origins = vec![0; output.len()];
        let kernel = &match Sums::of_input(&geometry, kernel, self.isa.lanes())? {
            Some(sums) => Kernel::Winograd(Box::new(sums)),
            None => Kernel::Direct(self.isa.dispatch(Pack { geometry, kernel })),
        };
        let groups = x
            .par_chunks(GROUP * geometry.input_len())
            .zip(output.par_chunks_mut(GROUP * geometry.output_len()))
            .zip(origins.par_chunks_mut(GROUP * geometry.output_len()));
        groups.for_each(|((input, output), origins)| {
            self.isa.dispatch(Forward { geometry, input, kernel, bias, output, origins });
        });
        let _ = self.origins.set(origins);
        let [height, width] = geometry.pooled();
        Ok((CpuStorage::F32(output), (samples, geometry.filters, height, width).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let geometry = self.geometry(x.shape(), kernel.shape(), bias.shape())?;
        let Some(origins) = self.origins.get() else { bail!("conv2d: backward without forward") };
        let gradient = gradient.contiguous()?;
        let (x_storage, x_layout) = x.storage_and_layout();
        let (kernel_storage, kernel_layout) = kernel.storage_and_layout();
        let (gradient_storage, gradient_layout) = gradient.storage_and_layout();
        let x_values = super::values_of(&x_storage, x_layout)?;
        let kernel_values = super::values_of(&kernel_storage, kernel_layout)?;
        let gradient_values = super::values_of(&gradient_storage, gradient_layout)?;
        let kernel_rows = &self.isa.dispatch(PackRows { geometry, kernel: kernel_values });
        let of_gradient = &Sums::of_gradient(&geometry, kernel_values, self.isa.lanes())?;
        let mut input_gradient = vec![0.0; x_values.len()];
        let parts: Vec<ParameterGradients> = x_values
            .par_chunks(GROUP * geometry.input_len())
            .zip(input_gradient.par_chunks_mut(GROUP * geometry.input_len()))
            .zip(gradient_values.par_chunks(GROUP * geometry.output_len()))
            .zip(origins.par_chunks(GROUP * geometry.output_len()))
            .map(|(((input, input_gradient), output_gradient), origins)| {
                self.isa.dispatch(Backward {
                    geometry,
                    input,
                    kernel: kernel_rows,
                    of_gradient,
                    origins,
                    output_gradient,
                    input_gradient,
                })
            })
            .collect();
        // In order, so that the sum doesn't depend on which thread was faster.
        let sum = |of: fn(&ParameterGradients) -> &[f32]| {
            let mut total = vec![0.0; of(&parts[0]).len()];
            for part in &parts {
                total.iter_mut().zip(of(part)).for_each(|(total, value)| *total += value);
            }
            total
        };
        let kernel_gradient = kernel_rows.unpack(&sum(|part| &part.kernel));
        let kernel_gradient = Tensor::from_vec(kernel_gradient, kernel.shape(), x.device())?;
        let bias_gradient = Tensor::from_vec(sum(|part| &part.bias), bias.shape(), x.device())?;
        let input_gradient = Tensor::from_vec(input_gradient, x.shape(), x.device())?;
        Ok((Some(input_gradient), Some(kernel_gradient), Some(bias_gradient)))
    }
}
