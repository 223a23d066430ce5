//! A network of an [`Architecture`] for the CPU, as [`ops::inference`] wants to have it.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::architecture::{Architecture, Block, Shape};
use super::error::{Error, Result};
use super::network::NORM_EPSILON;
use crate::ops::Isa;
use crate::ops::inference::{Engine, Layer, Merge, Norm};

/// An engine for pictures of `size` (height, width), or of the architecture's own size.
///
/// # Errors
/// Where the architecture is not sound, or a tensor is missing or of another shape.
pub(super) fn engine(
    architecture: &Architecture,
    affine: [f32; 2],
    tensors: &HashMap<String, Tensor>,
    size: Option<[usize; 2]>,
    isa: Isa,
) -> Result<Engine> {
    let layers = layers(architecture, tensors)?;
    let [channels, height, width] = architecture.input;
    let [height, width] = size.unwrap_or([height, width]);
    Engine::new([channels, height, width], affine, &layers, isa)
        .map_err(|error| Error::Architecture(error.to_string()))
}

/// The layers of an architecture with their parameters.
///
/// # Errors
/// Where the architecture is not sound, or a tensor is missing or of another shape.
pub(super) fn layers(architecture: &Architecture, tensors: &HashMap<String, Tensor>) -> Result<Vec<Layer>> {
    let tensors = VarBuilder::from_tensors(tensors.clone(), DType::F32, &Device::Cpu);
    let blocks = architecture.blocks.iter().zip(architecture.shapes()?).zip(architecture.merged()?);
    let layers = blocks
        .enumerate()
        .map(|(index, ((block, shape), merged))| layer(*block, shape, merged, &tensors.pp(index)));
    layers.collect()
}

fn layer(block: Block, input: Shape, merged: Option<Shape>, tensors: &VarBuilder) -> Result<Layer> {
    Ok(match (block, input) {
        (Block::Conv { filters, kernel, stride, norm, relu, pool }, Shape::Picture { channels, .. }) => {
            let conv = tensors.pp("conv");
            Layer::Conv {
                norm: norm.then(|| normalisation(channels, &tensors.pp("norm"))).transpose()?,
                kernel: values(conv.get((filters, channels, kernel, kernel), "weight")?)?,
                bias: values(conv.get(filters, "bias")?)?,
                size: kernel,
                stride,
                relu,
                pool,
            }
        }
        (Block::Dense { units, relu }, Shape::Row(width)) => Layer::Dense {
            weight: values(tensors.get((units, width), "weight")?)?,
            bias: values(tensors.get(units, "bias")?)?,
            relu,
        },
        (Block::Flatten, _) => Layer::Flatten,
        (Block::Head { filters, .. }, Shape::Picture { channels, .. }) => Layer::Head {
            weight: values(tensors.get((filters, channels, 1, 1), "weight")?)?,
            bias: values(tensors.get(filters, "bias")?)?,
            merge: match merged {
                Some(Shape::Picture { channels: others, .. }) => {
                    let tensors = tensors.pp("merge");
                    let weight = values(tensors.get((channels, others, 1, 1), "weight")?)?;
                    Some(Merge { weight, bias: values(tensors.get(channels, "bias")?)? })
                }
                _ => None,
            },
        },
        (block, shape) => unreachable!("shapes() let {block:?} take {shape:?}"),
    })
}

fn normalisation(channels: usize, tensors: &VarBuilder) -> Result<Norm> {
    let get = |name| values(tensors.get(channels, name)?);
    Ok(Norm {
        weight: get("weight")?,
        bias: get("bias")?,
        mean: get("running_mean")?,
        variance: get("running_var")?,
        epsilon: NORM_EPSILON,
    })
}

fn values(tensor: Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}
