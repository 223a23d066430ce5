//! From a list of layers to an engine: shapes checked, methods chosen, weights packed.

use candle_core::{Result, bail};

use super::buffer::{Layout, Room};
use super::dense::Dense;
use super::direct::Direct;
use super::finish::Finish;
use super::head::heads;
use super::load::Load;
use super::winograd::{TILE, Winograd};
use super::{Conv, Engine, Isa, Layer, Method, Norm, ROWS};

/// How the answers lie in the last of the engine's rows.
#[derive(Clone, Debug)]
pub struct Output {
    pub layout: Layout,
}

impl Output {
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    pub fn shape(&self) -> [usize; 3] {
        [self.layout.channels, self.layout.height, self.layout.width]
    }

    pub fn write(&self, rows: &[f32], outputs: &mut [f32]) {
        let Layout { height, width, channels, stride, .. } = self.layout;
        let area = height * width;
        let rows = rows.chunks_exact(self.layout.len());
        for (row, output) in rows.zip(outputs.chunks_exact_mut(self.len())) {
            for (pixel, values) in row.chunks_exact(stride).take(area).enumerate() {
                for channel in 0..channels {
                    output[channel * area + pixel] = values[channel];
                }
            }
        }
    }
}

pub fn plan(input: [usize; 3], affine: [f32; 2], layers: &[Layer], isa: Isa) -> Result<Engine> {
    let lanes = isa.lanes();
    if input.contains(&0) {
        bail!("a picture of {input:?}");
    }
    let pictures =
        layers.iter().take_while(|layer| matches!(layer, Layer::Conv { .. } | Layer::Head { .. })).count();
    let (all, rest) = layers.split_at(pictures);
    let convs: Vec<&Layer> = all.iter().filter(|layer| matches!(layer, Layer::Conv { .. })).collect();
    let pictures = convs.len();
    let layouts = layouts(input, &convs, lanes)?;
    let first = layouts[0];
    let last = layouts[pictures];
    let load = Load::new(load_affine(affine, input[0], convs.first().copied())?, first);
    let mut room = Room::default();
    let heads = heads(all, rest, &layouts, lanes, &mut room)?;
    let convs = convs
        .iter()
        .enumerate()
        .map(|(index, conv)| {
            let after = convs.get(index + 1).copied();
            Conv::new(conv, after, [layouts[index], layouts[index + 1]], lanes)
                .map_err(|error| candle_core::Error::msg(format!("layer {index}: {error}")))
        })
        .collect::<Result<_>>()?;
    let (denses, output) = denses(last, rest, lanes)?;
    let pictures = pictures + usize::from(!heads.is_empty());
    let pictures = layouts[..pictures].iter().map(|layout| room.take(layout.len())).collect::<Result<_>>()?;
    let lens = std::iter::once(last.len()).chain(denses.iter().map(Dense::padded_units));
    let rows = lens.map(|len| room.take(ROWS * len)).collect::<Result<_>>()?;
    let output = Output { layout: output };
    Ok(Engine { isa, load, convs, pictures, heads, denses, rows, last, output })
}

/// How the picture lies before each convolution and after the last.
fn layouts(input: [usize; 3], convs: &[&Layer], lanes: usize) -> Result<Vec<Layout>> {
    let mut layouts = vec![Layout::new(input, input[0])];
    for (index, conv) in convs.iter().enumerate() {
        let Layer::Conv { kernel, bias, size, stride, pool, .. } = conv else { continue };
        let before = layouts[index];
        let (filters, size, stride) = (bias.len(), *size, *stride);
        if !matches!(size, 1 | 3) || !matches!(stride, 1 | 2) {
            bail!("layer {index}: kernel {size} with stride {stride} is not 1 or 3 with 1 or 2");
        }
        if filters == 0 || kernel.len() != filters * before.channels * size * size {
            bail!(
                "layer {index}: {} weights for {filters} filters of {} channels and side {size}",
                kernel.len(),
                before.channels
            );
        }
        let tile = if suits_winograd(&before, filters, [size, stride], lanes) { TILE } else { 1 };
        layouts[index] = before.framed(size / 2, tile);
        let shrink = |side: usize| side.div_ceil(stride) / if *pool { 2 } else { 1 };
        let after = [filters, shrink(before.height), shrink(before.width)];
        if after.contains(&0) {
            bail!("layer {index}: nothing is left to pool");
        }
        layouts.push(Layout::new(after, filters.next_multiple_of(lanes)));
    }
    Ok(layouts)
}

/// Few channels don't pay for the transforms, nor do pictures much smaller than their tiles.
pub fn suits_winograd(input: &Layout, filters: usize, [size, stride]: [usize; 2], lanes: usize) -> bool {
    let tiles = input.height.div_ceil(TILE) * input.width.div_ceil(TILE);
    (size, stride) == (3, 1)
        && input.stride.is_multiple_of(lanes)
        && input.channels >= 16
        && filters >= 16
        && tiles * 36 * 3 <= input.height * input.width * 9 * 2
}

impl Conv {
    fn new(layer: &Layer, next: Option<&Layer>, [input, output]: [Layout; 2], lanes: usize) -> Result<Self> {
        let Layer::Conv { kernel, bias, size, stride, relu, pool, .. } = layer else {
            bail!("{layer:?} is no convolution");
        };
        let affine = next.and_then(norm_of).map(|norm| norm.affine(output.channels)).transpose()?;
        let finish = Finish::new(bias, *relu, affine.as_deref(), output.stride)?;
        let method = if suits_winograd(&input, bias.len(), [*size, *stride], lanes) {
            Method::Winograd(Winograd::new(kernel, bias.len(), *pool, input, lanes)?)
        } else {
            Method::Direct(Direct::new(kernel, bias.len(), [*size, *stride], *pool, input, lanes)?)
        };
        Ok(Self { method, input, output, finish })
    }
}

pub fn norm_of(layer: &Layer) -> Option<&Norm> {
    match layer {
        Layer::Conv { norm, .. } => norm.as_ref(),
        _ => None,
    }
}

impl Norm {
    /// Scale and shift of each channel.
    fn affine(&self, channels: usize) -> Result<Vec<[f32; 2]>> {
        let parameters = [&self.weight, &self.bias, &self.mean, &self.variance];
        if parameters.iter().any(|values| values.len() != channels) {
            bail!("a normalisation of other than {channels} channels");
        }
        let channel = |channel: usize| {
            let [weight, bias, mean, variance] = parameters.map(|values| f64::from(values[channel]));
            let scale = weight / (variance + self.epsilon).sqrt();
            [scale as f32, (bias - mean * scale) as f32]
        };
        Ok((0..channels).map(channel).collect())
    }
}

/// Scale and shift of values that count as value × `scale` + `offset`, with the normalisation that opens the layer
/// which reads them; one of each a channel.
pub fn load_affine(
    [scale, offset]: [f32; 2],
    channels: usize,
    reader: Option<&Layer>,
) -> Result<Vec<[f32; 2]>> {
    match reader.and_then(norm_of) {
        Some(norm) => {
            let affine = norm.affine(channels)?;
            Ok(affine.iter().map(|[by, plus]| [scale * by, offset * by + plus]).collect())
        }
        None => Ok(vec![[scale, offset]; channels]),
    }
}

/// The dense layers in `layers`, and how their answer lies.
fn denses(last: Layout, layers: &[Layer], lanes: usize) -> Result<(Vec<Dense>, Layout)> {
    let mut denses: Vec<Dense> = Vec::new();
    let mut picture = Some(last);
    let mut output = last;
    for layer in layers {
        match (layer, picture) {
            (Layer::Flatten, Some(_)) => {
                // The rows stay as they are; the next layer's weights are put in their order.
                picture = None;
            }
            (Layer::Dense { weight, bias, relu }, None) => {
                let inputs = output.channels * output.height * output.width;
                if bias.is_empty() || weight.len() != bias.len() * inputs {
                    bail!("{} weights for {} units of {inputs} inputs", weight.len(), bias.len());
                }
                let area = output.height * output.width;
                denses.push(Dense::new(output.len(), bias, *relu, lanes, |input, unit| {
                    let (pixel, channel) = (input / output.stride, input % output.stride);
                    if channel < output.channels {
                        weight[unit * inputs + channel * area + pixel]
                    } else {
                        0.0
                    }
                })?);
                output = Layout::new([bias.len(), 1, 1], bias.len().next_multiple_of(lanes));
            }
            _ => bail!("a layer that can't follow the one before"),
        }
    }
    Ok((denses, output))
}
