//! A picture and a coarser one put together, as a feature pyramid does (Lin et al. 2017, "Feature Pyramid Networks
//! for Object Detection"): a candle custom op for the CPU.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{slice_of, values_of};

/// ReLU of `fine` (batch × channels × height × width) plus `coarse` (batch × channels × ⌈height / 2⌉ × ⌈width / 2⌉)
/// at twice its size: each of its values stands for a square of 2×2, cut off at an odd last row or column.
/// Differentiable with respect to both; where the result is 0 the gradient is.
///
/// # Errors
/// Where shapes don't fit together.
pub fn merge(fine: &Tensor, coarse: &Tensor) -> Result<Tensor> {
    if fine.device().is_cpu() {
        return fine.contiguous()?.apply_op2(&coarse.contiguous()?, Merge);
    }
    composed(fine, coarse)
}

/// Of candle's operations. Its own enlargement has a gradient that is a convolution for each channel, and is taken for
/// all that there is of the gradient.
fn composed(fine: &Tensor, coarse: &Tensor) -> Result<Tensor> {
    let ([channels, height, width], [rows, columns]) = geometry(fine.shape(), coarse.shape())?;
    let batch = fine.dim(0)?;
    let enlarged = coarse
        .reshape((batch * channels, rows, 1, columns, 1))?
        .broadcast_as((batch * channels, rows, 2, columns, 2))?
        .reshape((batch, channels, 2 * rows, 2 * columns))?;
    (fine + enlarged.narrow(2, 0, height)?.narrow(3, 0, width)?)?.relu()
}

/// Channels, height and width of the fine picture; height and width of the coarse one.
fn geometry(fine: &Shape, coarse: &Shape) -> Result<([usize; 3], [usize; 2])> {
    let (batch, channels, height, width) = fine.dims4()?;
    let [rows, columns] = [height.div_ceil(2), width.div_ceil(2)];
    if coarse.dims() != [batch, channels, rows, columns] || fine.elem_count() == 0 {
        bail!("{coarse:?} is not half of {fine:?}, rounded up");
    }
    Ok(([channels, height, width], [rows, columns]))
}

struct Merge;

impl CustomOp2 for Merge {
    fn name(&self) -> &'static str {
        "merge"
    }

    fn cpu_fwd(
        &self,
        fine: &CpuStorage,
        fine_layout: &Layout,
        coarse: &CpuStorage,
        coarse_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ([_, height, width], [rows, columns]) = geometry(fine_layout.shape(), coarse_layout.shape())?;
        let mut output = slice_of(fine, fine_layout)?.to_vec();
        let coarse = slice_of(coarse, coarse_layout)?;
        let planes = output.par_chunks_mut(height * width).zip(coarse.par_chunks(rows * columns));
        planes.for_each(|(plane, coarse)| {
            for (y, line) in plane.chunks_exact_mut(width).enumerate() {
                for (pair, value) in line.chunks_mut(2).zip(&coarse[y / 2 * columns..]) {
                    pair.iter_mut().for_each(|pixel| *pixel = (*pixel + value).max(0.0));
                }
            }
        });
        Ok((CpuStorage::F32(output), fine_layout.shape().clone()))
    }

    fn bwd(
        &self,
        fine: &Tensor,
        coarse: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ([_, height, width], [rows, columns]) = geometry(fine.shape(), coarse.shape())?;
        let gradient = gradient.contiguous()?;
        let (result_storage, result_layout) = result.storage_and_layout();
        let (gradient_storage, gradient_layout) = gradient.storage_and_layout();
        let result = values_of(&result_storage, result_layout)?;
        let mut fine_gradient = values_of(&gradient_storage, gradient_layout)?.to_vec();
        let mut coarse_gradient = vec![0.0; coarse.elem_count()];
        let planes = fine_gradient
            .par_chunks_mut(height * width)
            .zip(result.par_chunks(height * width))
            .zip(coarse_gradient.par_chunks_mut(rows * columns));
        planes.for_each(|((plane, result), coarse)| {
            let lines = plane.chunks_exact_mut(width).zip(result.chunks_exact(width));
            for (y, (line, result)) in lines.enumerate() {
                line.iter_mut().zip(result).filter(|(_, result)| **result <= 0.0).for_each(|(g, _)| *g = 0.0);
                let sums = coarse[y / 2 * columns..].iter_mut();
                sums.zip(line.chunks(2)).for_each(|(sum, pair)| *sum += pair.iter().sum::<f32>());
            }
        });
        Ok((
            Some(Tensor::from_vec(fine_gradient, fine.shape(), fine.device())?),
            Some(Tensor::from_vec(coarse_gradient, coarse.shape(), coarse.device())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(shape: &[usize], rng: &mut ChaCha8Rng) -> Var {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn assert_close(ours: &Tensor, theirs: &Tensor) {
        assert_eq!(ours.dims(), theirs.dims());
        let pairs = values(ours).into_iter().zip(values(theirs));
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5), "{ours} is not {theirs}");
    }

    #[test]
    fn the_op_and_its_gradients_are_those_of_candles_operations() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for [batch, channels, height, width] in [[1, 1, 1, 1], [2, 3, 4, 6], [3, 2, 5, 8], [1, 4, 7, 3]] {
            let fine = random(&[batch, channels, height, width], &mut rng);
            let coarse = random(&[batch, channels, height.div_ceil(2), width.div_ceil(2)], &mut rng);
            let factors = random(&[batch, channels, height, width], &mut rng);
            let [ours, theirs] =
                [merge(&fine, &coarse).unwrap(), composed(fine.as_tensor(), coarse.as_tensor()).unwrap()];
            assert_close(&ours, &theirs);
            let [ours, theirs] = [ours, theirs]
                .map(|merged| (merged * factors.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap());
            for var in [&fine, &coarse] {
                assert_close(ours.get(var).unwrap(), theirs.get(var).unwrap());
            }
        }
    }

    #[test]
    fn each_value_stands_for_its_square() {
        let fine = Tensor::new(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &Device::Cpu).unwrap();
        let coarse = Tensor::new(&[10.0f32, -20.0, -3.5, 100.0], &Device::Cpu).unwrap();
        let merged =
            merge(&fine.reshape((1, 1, 3, 3)).unwrap(), &coarse.reshape((1, 1, 2, 2)).unwrap()).unwrap();
        assert_eq!(values(&merged), [10.0, 11.0, 0.0, 13.0, 14.0, 0.0, 2.5, 3.5, 108.0]);
    }

    #[test]
    fn pictures_that_are_not_halves_are_an_error() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let fine = random(&[1, 2, 5, 6], &mut rng);
        for shape in [[1, 2, 2, 3], [1, 2, 3, 4], [1, 1, 3, 3], [2, 2, 3, 3]] {
            assert!(merge(&fine, &random(&shape, &mut rng)).is_err(), "{shape:?}");
        }
    }
}
