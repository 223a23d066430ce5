//! Convolution on other devices than the CPU, by candle's own operations.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp3, D, Layout, Result, Shape, Tensor};

/// Convolution with an odd kernel and same padding, without bias. Candle takes the gradient of its input from a
/// transposed convolution, which is slow on CUDA; at stride 1 it is also the convolution of the
/// result's gradient with the kernel turned by 180° and its filters and channels exchanged.
pub fn conv2d(x: &Tensor, kernel: &Tensor, stride: usize) -> Result<Tensor> {
    let padding = kernel.dim(D::Minus1)? / 2;
    let convolve = |x: &Tensor, kernel: &Tensor| x.conv2d(kernel, padding, stride, 1, 1);
    if stride != 1 || !(x.track_op() || kernel.track_op()) {
        return convolve(x, kernel);
    }
    let y = convolve(&x.detach(), &kernel.detach())?;
    x.apply_op3(kernel, &y, Gradient { input: x.track_op() })
}

/// Hands on the third argument, and says how it depends on the others.
struct Gradient {
    /// Whether anybody asks for the gradient of the input.
    input: bool,
}

impl CustomOp3 for Gradient {
    fn name(&self) -> &'static str {
        "conv2d-gradient"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        y: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        y: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        _y: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let padding = kernel.dim(D::Minus1)? / 2;
        let of_input = if self.input {
            let turned = turned(kernel)?.transpose(0, 1)?.contiguous()?;
            Some(gradient.conv2d(&turned, padding, 1, 1, 1)?)
        } else {
            None
        };
        // Every sample is a channel: the kernel's gradient sums over them.
        let (samples, results) = (x.transpose(0, 1)?.contiguous()?, gradient.transpose(0, 1)?.contiguous()?);
        let of_kernel = samples.conv2d(&results, padding, 1, 1, 1)?.transpose(0, 1)?;
        Ok((of_input, Some(of_kernel), None))
    }
}

/// The kernel turned by 180°.
fn turned(kernel: &Tensor) -> Result<Tensor> {
    kernel.flatten_from(2)?.flip(&[2])?.reshape(kernel.shape())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(shape: &[usize], rng: &mut ChaCha8Rng) -> Var {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients_agree_with_those_of_candle() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        // Samples, channels, filters, kernel size, height, width.
        for [samples, channels, filters, size, height, width] in [
            [1, 1, 1, 1, 1, 1],
            [3, 2, 5, 3, 7, 4],
            [2, 4, 3, 5, 6, 9],
            [5, 3, 2, 1, 8, 8],
            [4, 8, 8, 3, 16, 16],
        ] {
            let x = random(&[samples, channels, height, width], &mut rng);
            let kernel = random(&[filters, channels, size, size], &mut rng);
            let wanted = random(&[samples, filters, height, width], &mut rng);
            let ours = conv2d(x.as_tensor(), kernel.as_tensor(), 1).unwrap();
            let candles = x.conv2d(&kernel, size / 2, 1, 1, 1).unwrap();
            let gradients = [&ours, &candles].map(|y| {
                let gradients = (y * wanted.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
                [&x, &kernel].map(|of| gradients.get(of).unwrap().flatten_all().unwrap().to_vec1().unwrap())
            });
            let results = [ours, candles].map(|y| y.flatten_all().unwrap().to_vec1::<f32>().unwrap());
            assert_eq!(results[0], results[1]);
            let [ours, candles]: [[Vec<f32>; 2]; 2] = gradients;
            for (ours, candles) in ours.iter().flatten().zip(candles.iter().flatten()) {
                assert!((ours - candles).abs() < 1e-4 * (1.0 + candles.abs()), "{ours} is not {candles}");
            }
        }
    }
}
