//! An [`Architecture`] with weights: the one description that trains and runs on every device.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use rand::{Rng, RngExt};

use super::architecture::{Architecture, Block, Shape};
use super::error::Result;
use crate::ops;

/// Keras' default, which the paper's recipe implies.
pub(super) const NORM_EPSILON: f64 = 1e-3;

/// A network whose parameters are candle tensors.
///
/// Block `i` reads its parameters under the name `i`: `0.norm.weight`, `0.conv.bias`, `5.weight` …
pub struct Network {
    layers: Vec<Layer>,
}

enum Layer {
    Conv { norm: Option<Norm>, kernel: Tensor, bias: Tensor, stride: usize, relu: bool, pool: bool },
    Flatten,
    Dense { weight: Tensor, bias: Tensor, relu: bool },
    Head(Head),
}

struct Head {
    kernel: Tensor,
    bias: Tensor,
    /// Kernel and bias for what the next head reads, where that is merged.
    merge: Option<[Tensor; 2]>,
}

struct Norm {
    name: String,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

/// Mean and variance of one batch at one normalisation, for its running averages.
pub struct BatchStatistics {
    /// The normalisation's name, such as `0.norm`.
    pub name: String,
    /// Of each channel; shape `(channels,)`.
    pub mean: Tensor,
    /// Of each channel; shape `(channels,)`.
    pub variance: Tensor,
}

impl Network {
    /// Builds the network from named tensors.
    ///
    /// # Errors
    /// Where the architecture is not sound, or a tensor is missing or of another shape.
    pub fn new(architecture: &Architecture, tensors: &VarBuilder) -> Result<Self> {
        let blocks = architecture.blocks.iter().zip(architecture.shapes()?).zip(architecture.merged()?);
        let layers = blocks
            .enumerate()
            .map(|(index, ((block, shape), merged))| Layer::new(block, shape, merged, &tensors.pp(index)))
            .collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// Answers to pictures `(batch, channels, height, width)`, with the running averages: one
    /// `(batch, filters, height, width)` a head, and one `(batch, units)` where the network ends in
    /// a dense layer. Networks without one take pictures of any size.
    pub fn forward(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        self.run(pictures, None)
    }

    /// Answers as [`Network::forward`] gives them, normalised over this batch, and the statistics
    /// that the running averages learn from.
    pub fn forward_train(&self, pictures: &Tensor) -> Result<(Vec<Tensor>, Vec<BatchStatistics>)> {
        let mut statistics = Vec::new();
        let answers = self.run(pictures, Some(&mut statistics))?;
        Ok((answers, statistics))
    }

    /// The kernels of all convolutions and dense layers, without biases and normalisations.
    pub fn kernels(&self) -> impl Iterator<Item = &Tensor> {
        self.layers.iter().flat_map(|layer| {
            let (kernel, merge) = match layer {
                Layer::Conv { kernel, .. } => (Some(kernel), None),
                Layer::Head(Head { kernel, merge, .. }) => (Some(kernel), merge.as_ref()),
                Layer::Dense { weight, .. } => (Some(weight), None),
                Layer::Flatten => (None, None),
            };
            kernel.into_iter().chain(merge.map(|[kernel, _]| kernel))
        })
    }

    fn run(
        &self,
        pictures: &Tensor,
        mut statistics: Option<&mut Vec<BatchStatistics>>,
    ) -> Result<Vec<Tensor>> {
        let (mut x, mut heads) = (pictures.clone(), Vec::new());
        for layer in &self.layers {
            match layer {
                Layer::Head(head) => heads.push((head, x.clone())),
                layer => x = layer.forward(x, statistics.as_deref_mut())?,
            }
        }
        let mut answers = answers(heads)?;
        if !matches!(self.layers.last(), Some(Layer::Head(_))) {
            answers.push(x);
        }
        Ok(answers)
    }
}

/// What the heads say of the pictures before them, from the last one to the first: each may need what the next reads.
fn answers(heads: Vec<(&Head, Tensor)>) -> Result<Vec<Tensor>> {
    let (mut answers, mut next) = (Vec::new(), None);
    for (Head { kernel, bias, merge }, picture) in heads.into_iter().rev() {
        let read = match (merge, &next) {
            (Some([kernel, bias]), Some(next)) => {
                ops::merge(&picture, &ops::conv2d(next, kernel, bias, POINTS)?)?
            }
            _ => picture,
        };
        answers.push(ops::conv2d(&read, kernel, bias, POINTS)?);
        next = Some(read);
    }
    answers.reverse();
    Ok(answers)
}

const POINTS: ops::ConvOptions = ops::ConvOptions { stride: 1, relu: false, pool: false };

impl Layer {
    fn new(block: &Block, input: Shape, merged: Option<Shape>, tensors: &VarBuilder) -> Result<Self> {
        Ok(match (*block, input) {
            (Block::Conv { filters, kernel, stride, norm, relu, pool }, Shape::Picture { channels, .. }) => {
                let conv = tensors.pp("conv");
                Self::Conv {
                    norm: norm.then(|| Norm::new(channels, &tensors.pp("norm"))).transpose()?,
                    kernel: conv.get((filters, channels, kernel, kernel), "weight")?,
                    bias: conv.get(filters, "bias")?,
                    stride,
                    relu,
                    pool,
                }
            }
            (Block::Dense { units, relu }, Shape::Row(width)) => Self::Dense {
                weight: tensors.get((units, width), "weight")?,
                bias: tensors.get(units, "bias")?,
                relu,
            },
            (Block::Flatten, _) => Self::Flatten,
            (Block::Head { filters, .. }, Shape::Picture { channels, .. }) => Self::Head(Head {
                kernel: tensors.get((filters, channels, 1, 1), "weight")?,
                bias: tensors.get(filters, "bias")?,
                merge: match merged {
                    Some(Shape::Picture { channels: others, .. }) => {
                        let tensors = tensors.pp("merge");
                        let kernel = tensors.get((channels, others, 1, 1), "weight")?;
                        Some([kernel, tensors.get(channels, "bias")?])
                    }
                    _ => None,
                },
            }),
            (block, shape) => unreachable!("shapes() let {block:?} take {shape:?}"),
        })
    }

    fn forward(&self, x: Tensor, statistics: Option<&mut Vec<BatchStatistics>>) -> Result<Tensor> {
        match self {
            Self::Conv { norm, kernel, bias, stride, relu, pool } => {
                let x = match norm {
                    Some(norm) => norm.forward(&x, statistics)?,
                    None => x,
                };
                let options = ops::ConvOptions { stride: *stride, relu: *relu, pool: *pool };
                Ok(ops::conv2d(&x, kernel, bias, options)?)
            }
            Self::Flatten => Ok(x.flatten_from(1)?),
            Self::Dense { weight, bias, relu } => {
                let x = x.matmul(&weight.t()?)?.broadcast_add(bias)?;
                Ok(if *relu { x.relu()? } else { x })
            }
            Self::Head(_) => Ok(x),
        }
    }
}

impl Norm {
    fn new(channels: usize, tensors: &VarBuilder) -> Result<Self> {
        Ok(Self {
            name: tensors.prefix(),
            weight: tensors.get(channels, "weight")?,
            bias: tensors.get(channels, "bias")?,
            running_mean: tensors.get(channels, "running_mean")?,
            running_var: tensors.get(channels, "running_var")?,
        })
    }

    fn forward(&self, x: &Tensor, statistics: Option<&mut Vec<BatchStatistics>>) -> Result<Tensor> {
        let Some(statistics) = statistics else {
            let scale = (&self.weight / (&self.running_var + NORM_EPSILON)?.sqrt()?)?;
            let shift = (&self.bias - (&self.running_mean * &scale)?)?;
            let channel = (1, x.dim(1)?, 1, 1);
            return Ok(x.broadcast_mul(&scale.reshape(channel)?)?.broadcast_add(&shift.reshape(channel)?)?);
        };
        let normalised = ops::batch_norm(x, &self.weight, &self.bias, NORM_EPSILON)?;
        statistics.push(BatchStatistics {
            name: self.name.clone(),
            mean: normalised.mean,
            variance: normalised.variance,
        });
        Ok(normalised.output)
    }
}

/// Fresh parameters: kernels from the normal Glorot distribution (Glorot and Bengio 2010, cut off
/// at two standard deviations as Keras' `glorot_normal` is), biases 0, normalisations neutral.
pub fn initial_tensors(architecture: &Architecture, rng: &mut impl Rng) -> Result<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    let constant = |value: f32, len: usize| Tensor::full(value, len, &Device::Cpu);
    let merged = architecture.merged()?;
    for (index, (block, &shape)) in architecture.blocks.iter().zip(&architecture.shapes()?).enumerate() {
        match (*block, shape) {
            (Block::Conv { filters, kernel, norm, .. }, Shape::Picture { channels, .. }) => {
                if norm {
                    for (name, value) in
                        [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)]
                    {
                        tensors.insert(format!("{index}.norm.{name}"), constant(value, channels)?);
                    }
                }
                let area = kernel * kernel;
                let weight = glorot_normal(channels * area, filters * area, filters * channels * area, rng);
                let weight = Tensor::from_vec(weight, (filters, channels, kernel, kernel), &Device::Cpu)?;
                tensors.insert(format!("{index}.conv.weight"), weight);
                tensors.insert(format!("{index}.conv.bias"), constant(0.0, filters)?);
            }
            (Block::Dense { units, .. }, Shape::Row(width)) => {
                let weight = glorot_normal(width, units, units * width, rng);
                tensors.insert(
                    format!("{index}.weight"),
                    Tensor::from_vec(weight, (units, width), &Device::Cpu)?,
                );
                tensors.insert(format!("{index}.bias"), constant(0.0, units)?);
            }
            (Block::Head { filters, .. }, Shape::Picture { channels, .. }) => {
                let weight = glorot_normal(channels, filters, filters * channels, rng);
                let weight = Tensor::from_vec(weight, (filters, channels, 1, 1), &Device::Cpu)?;
                tensors.insert(format!("{index}.weight"), weight);
                tensors.insert(format!("{index}.bias"), constant(0.0, filters)?);
                if let Some(Shape::Picture { channels: others, .. }) = merged[index] {
                    let weight = glorot_normal(others, channels, channels * others, rng);
                    let weight = Tensor::from_vec(weight, (channels, others, 1, 1), &Device::Cpu)?;
                    tensors.insert(format!("{index}.merge.weight"), (weight * MERGED_SHARE)?);
                    tensors.insert(format!("{index}.merge.bias"), constant(0.0, channels)?);
                }
            }
            _ => {}
        }
    }
    Ok(tensors)
}

/// Fresh kernels of what is merged are half as large as others. Those keep the mean square of what they read, so that
/// it would grow by one with each head, to four times for the finest of four; with these it grows by a third in all.
const MERGED_SHARE: f64 = 0.5;

fn glorot_normal(fan_in: usize, fan_out: usize, len: usize, rng: &mut impl Rng) -> Vec<f32> {
    // Standard deviation of a unit normal distribution cut off at ±2.
    const CUT_DEVIATION: f64 = 0.879_625_661_034_239_8;
    let deviation = (2.0 / (fan_in + fan_out) as f64).sqrt() / CUT_DEVIATION;
    (0..len)
        .map(|_| {
            loop {
                // Box and Muller's transform.
                let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
                let value = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
                if value.abs() <= 2.0 {
                    break (value * deviation) as f32;
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};
    use candle_nn::VarMap;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A face detector of heads with other numbers of filters, whose pictures have odd sides; a loss of its answers.
    struct Small {
        parameters: VarMap,
        network: Network,
        picture: Tensor,
    }

    impl Small {
        fn new() -> Self {
            let conv = |filters, stride| Block::Conv {
                filters,
                kernel: 3,
                stride,
                norm: false,
                relu: true,
                pool: false,
            };
            let head = |merge| Block::Head { filters: 2, merge };
            let blocks = vec![conv(3, 1), head(true), conv(4, 2), head(true), conv(5, 2), head(false)];
            let architecture = Architecture { input: [1, 9, 11], blocks };
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            let parameters = VarMap::new();
            for (name, tensor) in initial_tensors(&architecture, &mut rng).unwrap() {
                parameters.data().lock().unwrap().insert(name, Var::from_tensor(&tensor).unwrap());
            }
            let tensors = VarBuilder::from_varmap(&parameters, DType::F32, &Device::Cpu);
            let network = Network::new(&architecture, &tensors).unwrap();
            let values: Vec<f32> = (0..2 * 99).map(|_| rng.random()).collect();
            let picture = Tensor::from_vec(values, (2, 1, 9, 11), &Device::Cpu).unwrap();
            Self { parameters, network, picture }
        }

        fn loss(&self) -> Tensor {
            let (answers, _) = self.network.forward_train(&self.picture).unwrap();
            let losses =
                answers.iter().map(|answer| (answer - 0.5).unwrap().sqr().unwrap().sum_all().unwrap());
            losses.reduce(|sum, loss| (sum + loss).unwrap()).unwrap()
        }

        fn var(&self, name: &str) -> Var {
            self.parameters.data().lock().unwrap()[name].clone()
        }
    }

    #[test]
    fn gradients_go_through_what_is_merged() {
        let small = Small::new();
        let gradients = small.loss().backward().unwrap();
        let names = ["1.merge.weight", "1.merge.bias", "3.merge.weight", "3.merge.bias", "4.conv.weight"];
        for name in names {
            let var = small.var(name);
            let before = var.as_tensor().copy().unwrap();
            let values = before.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let gradient = gradients.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let slope = |index: usize| {
                let loss = |step: f32| {
                    let mut values = values.clone();
                    values[index] += step;
                    var.set(&Tensor::from_vec(values, before.shape(), &Device::Cpu).unwrap()).unwrap();
                    small.loss().to_scalar::<f32>().unwrap()
                };
                (loss(2e-3) - loss(-2e-3)) / 4e-3
            };
            // All together, since single ones may be measured across a ReLU's bend.
            let size =
                |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
            let difference =
                size(&mut gradient.iter().enumerate().map(|(index, value)| slope(index) - value));
            let size = size(&mut gradient.iter().copied());
            assert!(difference < 0.05 * size, "{name}: {difference} off {size}");
            var.set(&before).unwrap();
        }
    }

    #[test]
    fn what_is_merged_is_no_part_of_the_way_up() {
        let small = Small::new();
        let answers = || {
            let answers = small.network.forward(&small.picture).unwrap();
            answers
                .iter()
                .map(|answer| answer.flatten_all().unwrap().to_vec1::<f32>().unwrap())
                .collect::<Vec<_>>()
        };
        let before = answers();
        small.var("1.merge.bias").set(&Tensor::full(0.7f32, 3, &Device::Cpu).unwrap()).unwrap();
        let after = answers();
        assert_ne!(before[0], after[0]);
        assert_eq!(before[1..], after[1..]);
        small.var("3.merge.bias").set(&Tensor::full(0.7f32, 4, &Device::Cpu).unwrap()).unwrap();
        let last = answers();
        assert!(after[0] != last[0] && after[1] != last[1] && after[2] == last[2]);
    }
}
