//! Neural network kernels: the operations that our networks are made of, for training and inference.

use candle_core::{D, Result, Tensor};

/// Convolution of `x` (batch × channels × height × width) with `kernel` (filters × channels × k ×
/// k) and same padding (k / 2 zeros on each side), plus `bias` (filters).
pub fn conv2d(x: &Tensor, kernel: &Tensor, bias: &Tensor, stride: usize) -> Result<Tensor> {
    let padding = kernel.dim(D::Minus1)? / 2;
    x.conv2d(kernel, padding, stride, 1, 1)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)
}

/// The largest value of each 2×2 square; an odd last row or column is left out.
pub fn max_pool2d(x: &Tensor) -> Result<Tensor> {
    x.max_pool2d(2)
}

/// A batch normalised, and what it was normalised with.
pub struct BatchNorm {
    pub output: Tensor,
    /// Mean of each channel.
    pub mean: Tensor,
    /// Variance of each channel (mean of squares, without Bessel's correction).
    pub variance: Tensor,
}

/// Each channel of `x` (batch × channels × height × width) brought to mean 0 and variance 1, then
/// scaled by `weight` and shifted by `bias` (channels); Ioffe and Szegedy 2015.
pub fn batch_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<BatchNorm> {
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
