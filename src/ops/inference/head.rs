//! Convolutions beside the others, whose results are answers.

use candle_core::{Result, bail};
use pulp::{Simd, WithSimd};

use super::buffer::{Buffer, Layout, Room};
use super::direct::Direct;
use super::finish::Finish;
use super::plan::{Output, norm_of};
use super::{Conv, Isa, Layer, Merge, Method, RunConv};

/// A 1×1 convolution with an answer for its result.
#[derive(Clone, Debug)]
pub struct Head {
    conv: Conv,
    /// Which of the engine's pictures it reads, or merges into what it reads.
    picture: usize,
    merged: Option<Merged>,
    result: Buffer,
    pub output: Output,
}

/// What a head reads that merges. It has memory of its own, since other heads may read the picture itself.
#[derive(Clone, Debug)]
struct Merged {
    /// From what the next head reads to as many channels as the picture has.
    conv: Conv,
    /// Its result.
    coarse: Buffer,
    picture: Layout,
    layout: Layout,
    sum: Buffer,
}

/// The heads among `layers`, whose convolutions' pictures lie as in `layouts`. `rest` follows the layers.
pub fn heads(
    layers: &[Layer],
    rest: &[Layer],
    layouts: &[Layout],
    lanes: usize,
    room: &mut Room,
) -> Result<Vec<Head>> {
    let mut heads: Vec<Head> = Vec::new();
    let mut picture = layouts.len() - 1;
    // From the last one on: a head may need to know what the next one reads.
    for (index, layer) in layers.iter().enumerate().rev() {
        let Layer::Head { weight, bias, merge } = layer else {
            picture -= 1;
            continue;
        };
        if layers.get(index + 1).and_then(norm_of).is_some() {
            bail!("layer {index}: a head must not read what is normalised for the next layer");
        }
        let merged = match merge {
            Some(_) if picture == 0 => bail!("layer {index}: no convolution before a head that merges"),
            Some(merge) => Some(Merged::new(merge, layouts[picture], heads.last(), lanes, room)),
            None => None,
        };
        let named = |error| candle_core::Error::msg(format!("layer {index}: {error}"));
        let merged = merged.transpose().map_err(named)?;
        let input = merged.as_ref().map_or(layouts[picture], |merged| merged.layout);
        let conv = points(weight, bias, input, lanes).map_err(named)?;
        let output = conv.output;
        let result = room.take(output.len())?;
        heads.push(Head { conv, picture, merged, result, output: Output { layout: output } });
    }
    heads.reverse();
    match layers.last() {
        Some(Layer::Head { .. }) if rest.is_empty() && layouts.len() > 1 => Ok(heads),
        _ if heads.is_empty() => Ok(heads),
        _ => bail!("a network with heads ends in one and begins with a convolution"),
    }
}

/// A 1×1 convolution by `weight` (filters × channels).
fn points(weight: &[f32], bias: &[f32], input: Layout, lanes: usize) -> Result<Conv> {
    let (filters, channels) = (bias.len(), input.channels);
    if filters == 0 || weight.len() != filters * channels {
        bail!("{} weights for {filters} filters of {channels} channels", weight.len());
    }
    let stride = filters.next_multiple_of(lanes);
    let output = Layout::new([filters, input.height, input.width], stride);
    let direct = Direct::new(weight, filters, [1, 1], false, input, lanes)?;
    let finish = Finish::new(bias, false, None, stride)?;
    Ok(Conv { method: Method::Direct(direct), input, output, finish })
}

impl Merged {
    fn new(
        merge: &Merge,
        picture: Layout,
        next: Option<&Head>,
        lanes: usize,
        room: &mut Room,
    ) -> Result<Self> {
        let Some(next) = next else { bail!("no head after one that merges") };
        let Layout { channels, height, width, stride, .. } = picture;
        let coarse = next.conv.input;
        if merge.bias.len() != channels
            || [coarse.height, coarse.width] != [height.div_ceil(2), width.div_ceil(2)]
        {
            bail!(
                "{} channels of {}×{} are not half of {channels} of {width}×{height}, rounded up",
                merge.bias.len(),
                coarse.width,
                coarse.height
            );
        }
        let conv = points(&merge.weight, &merge.bias, coarse, lanes)?;
        let layout = Layout::new([channels, height, width], stride);
        let (coarse, sum) = (room.take(conv.output.len())?, room.take(layout.len())?);
        Ok(Self { conv, coarse, picture, layout, sum })
    }
}

impl Head {
    /// What it reads, where `pictures` are the engine's.
    fn read<'a>(&'a self, pictures: &'a [Buffer]) -> &'a [f32] {
        self.merged.as_ref().map_or(&pictures[self.picture], |merged| &merged.sum).values()
    }
}

/// Writes the answers of all heads to the engine's `pictures` into `outputs`, one after the other.
pub fn run(heads: &mut [Head], isa: Isa, pictures: &[Buffer], mut outputs: &mut [f32]) {
    // From the last one on, since a head may read what the next one does.
    for index in (0..heads.len()).rev() {
        let (heads, next) = heads.split_at_mut(index + 1);
        let head = &mut heads[index];
        if let Some(Merged { conv, coarse, picture, sum, .. }) = &mut head.merged {
            let next = next.first().expect("no head is planned to merge what isn't there");
            isa.dispatch(RunConv { conv, input: next.read(pictures), output: coarse.values_mut() });
            isa.dispatch(RunMerge {
                picture: (pictures[head.picture].values(), picture),
                coarse: (coarse.values(), &conv.output),
                sum: sum.values_mut(),
            });
        }
        let Head { conv, picture, merged, result, output } = head;
        let input = merged.as_ref().map_or(&pictures[*picture], |merged| &merged.sum).values();
        isa.dispatch(RunConv { conv, input, output: result.values_mut() });
        let (rest, answer) = outputs.split_at_mut(outputs.len() - output.len());
        output.write(result.values(), answer);
        outputs = rest;
    }
}

/// ReLU of a picture plus a coarse one at twice its size, into a `sum` without a frame.
struct RunMerge<'a> {
    picture: (&'a [f32], &'a Layout),
    coarse: (&'a [f32], &'a Layout),
    sum: &'a mut [f32],
}

impl WithSimd for RunMerge<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ((picture, from), (coarse, above)) = (self.picture, self.coarse);
        let len = from.width * from.stride;
        let vectors = from.stride / S::F32_LANES;
        let zero = simd.splat_f32s(0.0);
        for (y, sums) in self.sum.chunks_exact_mut(len).enumerate() {
            let sums = S::as_mut_simd_f32s(sums).0.chunks_mut(2 * vectors);
            let values = S::as_simd_f32s(&picture[from.row(y)..][..len]).0.chunks(2 * vectors);
            let coarse = S::as_simd_f32s(&coarse[above.row(y / 2)..]).0.chunks_exact(vectors);
            for ((sums, values), coarse) in sums.zip(values).zip(coarse) {
                for (sums, values) in sums.chunks_exact_mut(vectors).zip(values.chunks_exact(vectors)) {
                    for vector in 0..vectors {
                        sums[vector] = simd.max_f32s(simd.add_f32s(values[vector], coarse[vector]), zero);
                    }
                }
            }
        }
    }
}
