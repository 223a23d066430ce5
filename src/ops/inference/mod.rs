//! A trained network on the CPU: packed once, then run on plain slices without any allocation.
//!
//! Pictures lie as height × width × channels with the channels as SIMD lanes. Normalisation, bias,
//! ReLU and pooling happen where a convolution's sums are stored.

pub(super) mod buffer;
mod dense;
mod direct;
pub(super) mod finish;
mod head;
mod kernel;
mod load;
mod plan;
pub(super) mod winograd;

use candle_core::Result;
use pulp::{Simd, WithSimd};

use super::Isa;
use buffer::{Buffer, Layout};
use dense::Dense;
use direct::Direct;
use finish::Finish;
use head::Head;
use load::Load;
pub(crate) use plan::load_affine;
pub(super) use plan::suits_winograd;
use winograd::Winograd;

/// Pictures that share one pass over the dense layers' weights.
const ROWS: usize = 8;

/// One step of a network, with its parameters.
#[derive(Clone, Debug)]
pub enum Layer {
    /// Normalisation, convolution with zeros as padding (`size` / 2 on each side), ReLU, 2×2 max
    /// pooling (an odd last row or column is left out).
    Conv {
        /// The batch normalisation before it.
        norm: Option<Norm>,
        /// Filters × channels × `size` × `size`.
        kernel: Vec<f32>,
        /// One value a filter.
        bias: Vec<f32>,
        /// 1 or 3.
        size: usize,
        /// From one place of the kernel to the next, in pixels.
        stride: usize,
        /// Whether values below 0 become 0.
        relu: bool,
        /// Whether the largest of 2×2 values stays.
        pool: bool,
    },
    /// Picture to row, channels first.
    Flatten,
    /// Every unit sees every value.
    Dense {
        /// Units × inputs.
        weight: Vec<f32>,
        /// One value a unit.
        bias: Vec<f32>,
        /// Whether values below 0 become 0.
        relu: bool,
    },
    /// A 1×1 convolution whose result is an answer; the next layer reads the picture before it. A network
    /// with heads has no rows, and ends in one.
    Head {
        /// Filters × channels.
        weight: Vec<f32>,
        /// One value a filter.
        bias: Vec<f32>,
        /// What it reads besides, if anything.
        merge: Option<Merge>,
    },
}

/// A 1×1 convolution of what the next head reads. That has half of the height and width, rounded up; a head that
/// merges reads ReLU(the picture before it + the result at twice its size).
#[derive(Clone, Debug)]
pub struct Merge {
    /// Channels of the picture × channels of what the next head reads.
    pub weight: Vec<f32>,
    /// One value a channel of the picture.
    pub bias: Vec<f32>,
}

/// Batch normalisation with its running averages; one value a channel.
#[derive(Clone, Debug)]
pub struct Norm {
    /// What a channel is multiplied by after it was normalised (γ).
    pub weight: Vec<f32>,
    /// What is added then (β).
    pub bias: Vec<f32>,
    /// Running mean of each channel.
    pub mean: Vec<f32>,
    /// Running variance of each channel.
    pub variance: Vec<f32>,
    /// Added to the variance before its root is taken.
    pub epsilon: f64,
}

/// A network ready to run. Clones share the packed weights and compute in memory of their own.
#[derive(Clone, Debug)]
pub struct Engine {
    isa: Isa,
    load: Load,
    convs: Vec<Conv>,
    /// What each convolution reads, and where there are heads what the last one gives.
    pictures: Vec<Buffer>,
    heads: Vec<Head>,
    denses: Vec<Dense>,
    /// What each dense layer reads, [`ROWS`] times, and at the end the answer.
    rows: Vec<Buffer>,
    /// How a picture lies in the first of `rows`.
    last: Layout,
    output: plan::Output,
}

#[derive(Clone, Debug)]
struct Conv {
    method: Method,
    input: Layout,
    output: Layout,
    finish: Finish,
}

#[derive(Clone, Debug)]
enum Method {
    Direct(Direct),
    Winograd(Winograd),
}

impl Engine {
    /// Packs `layers` for pictures of `input` (channels, height, width) whose bytes count as
    /// byte × `scale` + `offset`.
    ///
    /// # Errors
    /// Where a layer can't follow the one before, a parameter has the wrong length, or the
    /// network needs too much memory.
    ///
    /// # Panics
    /// If the machine does not have `isa`.
    pub fn new(input: [usize; 3], [scale, offset]: [f32; 2], layers: &[Layer], isa: Isa) -> Result<Self> {
        plan::plan(input, [scale, offset], layers, isa)
    }

    /// Bytes of one picture.
    pub fn input_len(&self) -> usize {
        self.load.len()
    }

    /// Values that one picture gives.
    pub fn output_len(&self) -> usize {
        match self.heads.is_empty() {
            true => self.output.len(),
            false => self.heads.iter().map(|head| head.output.len()).sum(),
        }
    }

    /// Channels, height and width of each head's answer; empty for a network without heads.
    pub fn heads(&self) -> impl Iterator<Item = [usize; 3]> {
        self.heads.iter().map(|head| head.output.shape())
    }

    /// Runs the network on `pictures`, bytes of channels × height × width one after the other, and
    /// writes the answer to each into `outputs`: a row, or a picture of channels × height × width,
    /// or such a picture from each head.
    ///
    /// # Panics
    /// If `pictures` is not a whole number of pictures or `outputs` has not room for the answers.
    pub fn run(&mut self, pictures: &[u8], outputs: &mut [f32]) {
        let count = pictures.len() / self.input_len();
        assert_eq!(pictures.len(), count * self.input_len(), "part of a picture");
        assert_eq!(outputs.len(), count * self.output_len(), "room for the answers");
        if !self.heads.is_empty() {
            let outputs = outputs.chunks_exact_mut(self.output_len());
            return pictures.chunks_exact(self.input_len()).zip(outputs).for_each(|(picture, outputs)| {
                self.run_heads(picture, outputs);
            });
        }
        let pictures = pictures.chunks(ROWS * self.input_len());
        for (pictures, outputs) in pictures.zip(outputs.chunks_mut(ROWS * self.output_len())) {
            self.run_some(pictures, outputs);
        }
    }

    fn run_heads(&mut self, picture: &[u8], outputs: &mut [f32]) {
        let isa = self.isa;
        isa.dispatch(RunLoad { load: &self.load, picture, output: self.pictures[0].values_mut() });
        for (index, conv) in self.convs.iter_mut().enumerate() {
            let (input, output) = self.pictures.split_at_mut(index + 1);
            isa.dispatch(RunConv { conv, input: input[index].values(), output: output[0].values_mut() });
        }
        head::run(&mut self.heads, isa, &self.pictures, outputs);
    }

    fn run_some(&mut self, pictures: &[u8], outputs: &mut [f32]) {
        let isa = self.isa;
        let len = self.last.len();
        let mut count = 0;
        for (picture, row) in
            pictures.chunks_exact(self.load.len()).zip(self.rows[0].values_mut().chunks_exact_mut(len))
        {
            count += 1;
            let first = self.pictures.first_mut().map_or(&mut *row, Buffer::values_mut);
            isa.dispatch(RunLoad { load: &self.load, picture, output: first });
            for (index, conv) in self.convs.iter_mut().enumerate() {
                let (input, output) = self.pictures.split_at_mut(index + 1);
                let input = input[index].values();
                let output = output.first_mut().map_or(&mut *row, Buffer::values_mut);
                isa.dispatch(RunConv { conv, input, output });
            }
        }
        for (index, dense) in self.denses.iter().enumerate() {
            let (input, output) = self.rows.split_at_mut(index + 1);
            let (input, output) = (input[index].values(), output[0].values_mut());
            isa.dispatch(RunDense { dense, rows: count, input, output });
        }
        if let Some(rows) = self.rows.last() {
            self.output.write(rows.values(), outputs);
        }
    }
}

struct RunLoad<'a> {
    load: &'a Load,
    picture: &'a [u8],
    output: &'a mut [f32],
}

impl WithSimd for RunLoad<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.load.run(self.picture, self.output);
    }
}

struct RunConv<'a> {
    conv: &'a mut Conv,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for RunConv<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Conv { method, input, output, finish } = self.conv;
        let (from, to) = ((self.input, &*input), (self.output, &*output));
        match method {
            Method::Direct(direct) => direct.run(simd, from, to, finish),
            Method::Winograd(winograd) => winograd.run(simd, from, to, finish),
        }
    }
}

struct RunDense<'a> {
    dense: &'a Dense,
    rows: usize,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for RunDense<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.dense.run(simd, self.rows, self.input, self.output);
    }
}
