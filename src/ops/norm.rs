//! Batch normalisation that networks train with, as a candle custom op for the CPU.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{slice_of, values_of};

/// A batch normalised, and what it was normalised with.
pub struct BatchNorm {
    /// The normalised batch, of the input's shape.
    pub output: Tensor,
    /// Mean of each channel.
    pub mean: Tensor,
    /// Variance of each channel (mean of squares, without Bessel's correction).
    pub variance: Tensor,
}

/// Each channel of `x` (batch × channels × height × width) brought to mean 0 and variance 1, then
/// scaled by `weight` and shifted by `bias` (channels); Ioffe and Szegedy 2015. Differentiable with
/// respect to all three, through mean and variance too.
///
/// # Errors
/// Where shapes don't fit together.
pub fn batch_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<BatchNorm> {
    if !x.device().is_cpu() {
        return composed(x, weight, bias, epsilon);
    }
    let moments = Arc::new(OnceLock::new());
    let op = Normalise { epsilon, moments: moments.clone() };
    let output = x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
    let moments: &Vec<Moments> = moments.get().expect("forward has run");
    let tensor = |of: fn(&Moments) -> f32| Tensor::from_iter(moments.iter().map(of), &Device::Cpu);
    Ok(BatchNorm { output, mean: tensor(|m| m.mean)?, variance: tensor(|m| m.variance)? })
}

fn composed(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<BatchNorm> {
    let channel = (1, (), 1, 1);
    let mean = x.mean_keepdim((0, 2, 3))?;
    let centred = x.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim((0, 2, 3))?;
    let output = centred
        .broadcast_div(&(&variance + epsilon)?.sqrt()?)?
        .broadcast_mul(&weight.reshape(channel)?)?
        .broadcast_add(&bias.reshape(channel)?)?;
    let (mean, variance) = (mean.flatten_all()?.detach(), variance.flatten_all()?.detach());
    Ok(BatchNorm { output, mean, variance })
}

#[derive(Clone, Copy)]
struct Moments {
    mean: f32,
    variance: f32,
    /// One over the standard deviation.
    scale: f32,
}

struct Normalise {
    epsilon: f64,
    moments: Arc<OnceLock<Vec<Moments>>>,
}

/// Channels and pixels a plane, after a look at the shapes.
fn geometry(x: &Shape, weight: &Shape, bias: &Shape) -> Result<[usize; 2]> {
    let (_, channels, height, width) = x.dims4()?;
    if weight.dims() != [channels] || bias.dims() != [channels] || x.elem_count() == 0 {
        bail!("batch normalisation of {x:?} with weight {weight:?} and bias {bias:?}");
    }
    Ok([channels, height * width])
}

/// One channel's planes, one for each sample.
fn planes(values: &[f32], [channels, area]: [usize; 2], channel: usize) -> impl Iterator<Item = &[f32]> {
    values.chunks_exact(area).skip(channel).step_by(channels)
}

/// A sum that vectorises and loses little: eight lanes a plane, planes in double precision.
fn sum_planes<'a>(planes: impl Iterator<Item = &'a [f32]>, term: impl Fn(f32) -> f32) -> f64 {
    planes
        .map(|plane| {
            let (chunks, rest) = plane.as_chunks::<8>();
            let mut lanes = [0.0; 8];
            for chunk in chunks {
                for lane in 0..8 {
                    lanes[lane] += term(chunk[lane]);
                }
            }
            let rest: f32 = rest.iter().map(|&value| term(value)).sum();
            f64::from(lanes.iter().sum::<f32>() + rest)
        })
        .sum()
}

impl CustomOp3 for Normalise {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape @ [channels, area] =
            geometry(x_layout.shape(), weight_layout.shape(), bias_layout.shape())?;
        let (x, weight, bias) =
            (slice_of(x, x_layout)?, slice_of(weight, weight_layout)?, slice_of(bias, bias_layout)?);
        let count = (x.len() / channels) as f64;
        let moments: Vec<Moments> = (0..channels)
            .into_par_iter()
            .map(|channel| {
                let mean = (sum_planes(planes(x, shape, channel), |value| value) / count) as f32;
                let squares = |value: f32| (value - mean) * (value - mean);
                let variance = sum_planes(planes(x, shape, channel), squares) / count;
                let scale = (1.0 / (variance + self.epsilon).sqrt()) as f32;
                Moments { mean, variance: variance as f32, scale }
            })
            .collect();
        let mut output = vec![0.0; x.len()];
        output.par_chunks_mut(area).zip(x.par_chunks(area)).enumerate().for_each(|(plane, (output, x))| {
            let channel = plane % channels;
            let scale = moments[channel].scale * weight[channel];
            let shift = bias[channel] - moments[channel].mean * scale;
            output.iter_mut().zip(x).for_each(|(output, x)| *output = x * scale + shift);
        });
        let _ = self.moments.set(moments);
        Ok((CpuStorage::F32(output), x_layout.shape().clone()))
    }

    /// With x̂ the normalised input and g the output's gradient: ∂bias = Σg, ∂weight = Σg·x̂ and
    /// ∂x = weight · scale · (g − mean(g) − x̂ · mean(g·x̂)).
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let shape @ [channels, area] = geometry(x.shape(), weight.shape(), bias.shape())?;
        let Some(moments) = self.moments.get() else { bail!("batch_norm: backward without forward") };
        let gradient = gradient.contiguous()?;
        let (x_storage, x_layout) = x.storage_and_layout();
        let (weight_storage, weight_layout) = weight.storage_and_layout();
        let (gradient_storage, gradient_layout) = gradient.storage_and_layout();
        let x_values = values_of(&x_storage, x_layout)?;
        let weight_values = values_of(&weight_storage, weight_layout)?;
        let gradients = values_of(&gradient_storage, gradient_layout)?;
        let count = (x_values.len() / channels) as f32;
        let sums: Vec<[f32; 2]> = (0..channels)
            .into_par_iter()
            .map(|channel| {
                let Moments { mean, scale, .. } = moments[channel];
                let total = sum_planes(planes(gradients, shape, channel), |value| value) as f32;
                let products = planes(x_values, shape, channel).zip(planes(gradients, shape, channel));
                let product: f64 = products.map(|(x, g)| dot_centred(x, mean, g)).sum();
                [total, product as f32 * scale]
            })
            .collect();
        let mut x_gradient = vec![0.0; x_values.len()];
        let planes =
            x_gradient.par_chunks_mut(area).zip(x_values.par_chunks(area)).zip(gradients.par_chunks(area));
        planes.enumerate().for_each(|(plane, ((output, x), g))| {
            let channel = plane % channels;
            let Moments { mean, scale, .. } = moments[channel];
            let [total, product] = sums[channel];
            let factor = weight_values[channel] * scale;
            let (mean_g, slope) = (total / count, product / count * scale);
            output.iter_mut().zip(x).zip(g).for_each(|((output, x), g)| {
                *output = factor * (g - mean_g - (x - mean) * slope);
            });
        });
        let parameter = |index: usize| Tensor::from_iter(sums.iter().map(move |sum| sum[index]), x.device());
        Ok((
            Some(Tensor::from_vec(x_gradient, x.shape(), x.device())?),
            Some(parameter(1)?),
            Some(parameter(0)?),
        ))
    }
}

/// Σ (x − mean) · g.
fn dot_centred(x: &[f32], mean: f32, g: &[f32]) -> f64 {
    let ((x_chunks, x_rest), (g_chunks, g_rest)) = (x.as_chunks::<8>(), g.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (x, g) in x_chunks.iter().zip(g_chunks) {
        for lane in 0..8 {
            lanes[lane] += (x[lane] - mean) * g[lane];
        }
    }
    let rest: f32 = x_rest.iter().zip(g_rest).map(|(x, g)| (x - mean) * g).sum();
    f64::from(lanes.iter().sum::<f32>() + rest)
}
