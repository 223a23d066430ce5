//! A trained network for a GPU, where every operation costs a launch, however small it is.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

use super::architecture::{Architecture, Shape};
use super::engine;
use super::error::{Error, Result};
use crate::ops::inference::{Layer, load_affine};

/// A network for bytes, in candle's operations. The range of bytes and the normalisations have become part of
/// kernels and biases.
pub(super) struct Folded {
    steps: Vec<Step>,
}

enum Step {
    Conv {
        kernel: Tensor,
        /// What is added to the result: 1 × filters × height × width, where what a normalisation adds is missing at
        /// the padding, else 1 × filters × 1 × 1.
        shift: Tensor,
        stride: usize,
        relu: bool,
        pool: bool,
    },
    Flatten,
    Dense {
        /// Inputs × units.
        weight: Tensor,
        bias: Tensor,
        relu: bool,
    },
}

impl Folded {
    /// A network that takes bytes for byte × scale + offset, which are the `range`.
    ///
    /// # Errors
    /// Where the architecture is not sound or has heads, or a tensor is missing or of another shape.
    pub fn new(
        architecture: &Architecture,
        range: [f32; 2],
        tensors: &HashMap<String, Tensor>,
    ) -> Result<Self> {
        let layers = engine::layers(architecture, tensors)?;
        // Of bytes, for the first layer with parameters.
        let mut range = Some(range);
        let steps = layers.iter().zip(architecture.shapes()?).map(|(layer, input)| {
            let range = match layer {
                Layer::Flatten => None,
                _ => range.take(),
            };
            Step::new(layer, input, range.unwrap_or([1.0, 0.0]))
        });
        Ok(Self { steps: steps.collect::<Result<_>>()? })
    }

    /// The same on another device.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        Ok(Self {
            steps: self
                .steps
                .iter()
                .map(|step| step.to_device(device))
                .collect::<candle_core::Result<_>>()?,
        })
    }

    /// Logits (batch × 1) of pictures (batch × channels × height × width, bytes).
    ///
    /// # Errors
    /// Where the device fails.
    pub fn forward(&self, pictures: &Tensor) -> candle_core::Result<Tensor> {
        let x = pictures.to_dtype(DType::F32)?;
        self.steps.iter().try_fold(x, |x, step| step.forward(&x))
    }
}

impl Step {
    fn new(layer: &Layer, input: Shape, range: [f32; 2]) -> Result<Self> {
        Ok(match (layer, input) {
            (
                &Layer::Conv { ref kernel, ref bias, size, stride, relu, pool, .. },
                Shape::Picture { channels, height, width },
            ) => {
                let affine = load_affine(range, channels, Some(layer))?;
                let each = |index: usize| {
                    let values: Vec<f32> = affine.iter().map(|channel| channel[index]).collect();
                    Tensor::from_vec(values, (1, channels, 1, 1), &Device::Cpu)
                };
                let (scale, offset) = (each(0)?, each(1)?);
                let kernel = Tensor::from_slice(kernel, (bias.len(), channels, size, size), &Device::Cpu)?;
                let mut shift = Tensor::from_slice(bias, (1, (), 1, 1), &Device::Cpu)?;
                if affine.iter().any(|&[_, offset]| offset != 0.0) {
                    let offset = offset.broadcast_as((1, channels, height, width))?.contiguous()?;
                    shift = offset.conv2d(&kernel, size / 2, stride, 1, 1)?.broadcast_add(&shift)?;
                }
                Self::Conv { kernel: kernel.broadcast_mul(&scale)?, shift, stride, relu, pool }
            }
            (Layer::Dense { weight, bias, relu }, Shape::Row(inputs)) => {
                let [scale, offset] = range.map(f64::from);
                let weight = Tensor::from_slice(weight, (bias.len(), inputs), &Device::Cpu)?;
                let bias = (Tensor::new(&bias[..], &Device::Cpu)? + (weight.sum(1)? * offset)?)?;
                Self::Dense { weight: (weight.t()?.contiguous()? * scale)?, bias, relu: *relu }
            }
            (Layer::Flatten, _) => Self::Flatten,
            (layer, _) => return Err(Error::Architecture(format!("{layer:?} is for the CPU only"))),
        })
    }

    fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        Ok(match self {
            &Self::Conv { ref kernel, ref shift, stride, relu, pool } => Self::Conv {
                kernel: kernel.to_device(device)?,
                shift: shift.to_device(device)?,
                stride,
                relu,
                pool,
            },
            Self::Flatten => Self::Flatten,
            &Self::Dense { ref weight, ref bias, relu } => {
                Self::Dense { weight: weight.to_device(device)?, bias: bias.to_device(device)?, relu }
            }
        })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Conv { kernel, shift, stride, relu, pool } => {
                let padding = kernel.dim(3)? / 2;
                let mut y = x.conv2d(kernel, padding, *stride, 1, 1)?.broadcast_add(shift)?;
                if *pool {
                    y = y.max_pool2d(2)?;
                }
                if *relu { y.relu() } else { Ok(y) }
            }
            Self::Flatten => x.flatten_from(1),
            Self::Dense { weight, bias, relu } => {
                let y = x.matmul(weight)?.broadcast_add(bias)?;
                if *relu { y.relu() } else { Ok(y) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle_nn::VarBuilder;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::architecture::Block;
    use super::super::network::{Network, initial_tensors};
    use super::*;

    /// Fresh tensors, with normalisations and biases that do something.
    fn tensors(architecture: &Architecture, rng: &mut ChaCha8Rng) -> HashMap<String, Tensor> {
        // In an order, so that the same seed gives the same tensors.
        let mut tensors: BTreeMap<_, _> = initial_tensors(architecture, rng).unwrap().into_iter().collect();
        for (_, tensor) in tensors.iter_mut().filter(|(_, tensor)| tensor.rank() == 1) {
            let values: Vec<f32> = (0..tensor.elem_count()).map(|_| rng.random_range(0.2..1.5)).collect();
            *tensor = Tensor::new(values, &Device::Cpu).unwrap();
        }
        tensors.into_iter().collect()
    }

    #[test]
    fn a_folded_network_answers_as_the_network_itself() {
        let conv =
            |filters, stride, norm, relu, pool| Block::Conv { filters, kernel: 3, stride, norm, relu, pool };
        let point = Block::Conv { filters: 3, kernel: 1, stride: 2, norm: true, relu: true, pool: false };
        let dense = |units, relu| Block::Dense { units, relu };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for blocks in [
            vec![
                conv(4, 1, true, true, true),
                conv(6, 1, true, false, true),
                Block::Flatten,
                dense(1, false),
            ],
            vec![
                conv(5, 2, false, true, false),
                conv(3, 1, true, true, true),
                Block::Flatten,
                dense(7, true),
                dense(1, false),
            ],
            vec![point, conv(2, 2, true, true, false), Block::Flatten, dense(1, false)],
            vec![Block::Flatten, dense(4, true), dense(1, false)],
        ] {
            let architecture = Architecture { input: [3, 11, 14], blocks };
            let tensors = tensors(&architecture, &mut rng);
            let [scale, offset] = [1.0 / 255.0, -0.4];
            let folded = Folded::new(&architecture, [scale, offset], &tensors).unwrap();
            let network = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
            let network = Network::new(&architecture, &network).unwrap();
            let bytes: Vec<u8> = (0..2 * architecture.input_len()).map(|_| rng.random()).collect();
            let bytes = Tensor::from_vec(bytes, (2, 3, 11, 14), &Device::Cpu).unwrap();
            let input = bytes.to_dtype(DType::F32).unwrap().affine(scale.into(), offset.into()).unwrap();
            let [ours, wanted] =
                [folded.forward(&bytes).unwrap(), network.forward(&input).unwrap().remove(0)];
            let [ours, wanted] =
                [ours, wanted].map(|logits| logits.flatten_all().unwrap().to_vec1::<f32>().unwrap());
            for (ours, wanted) in ours.iter().zip(&wanted) {
                assert!(
                    (ours - wanted).abs() < 1e-4 * (1.0 + wanted.abs()),
                    "{ours} is not {wanted}: {architecture:?}"
                );
            }
        }
    }
}
