//! A network of an [`Architecture`] for the CPU, as [`ops::inference`] wants to have it.

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

use super::architecture::{Architecture, Block, Shape};
use super::error::{Error, Result};
use super::network::NORM_EPSILON;
use super::weights::Weights;
use crate::ops::Isa;
use crate::ops::inference::{Engine, Layer, Norm};

/// # Errors
/// Where the architecture is not sound, or a tensor is missing or of another shape.
pub(super) fn engine(weights: &Weights, isa: Isa) -> Result<Engine> {
    let metadata = &weights.metadata;
    let Architecture { input, blocks } = &metadata.architecture;
    let tensors = VarBuilder::from_tensors(weights.tensors.clone(), candle_core::DType::F32, &Device::Cpu);
    let shapes = metadata.architecture.shapes()?;
    let layers = blocks
        .iter()
        .zip(shapes)
        .enumerate()
        .map(|(index, (block, shape))| layer(*block, shape, &tensors.pp(index)))
        .collect::<Result<Vec<_>>>()?;
    Engine::new(*input, [metadata.scale, metadata.offset], &layers, isa)
        .map_err(|error| Error::Architecture(error.to_string()))
}

fn layer(block: Block, input: Shape, tensors: &VarBuilder) -> Result<Layer> {
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
