//! From grey pictures to what a face locator's heads say.

use super::engine::engine;
use super::error::Result;
use super::weights::{FaceMetadata, FaceWeights};
use crate::ops::Isa;
use crate::ops::inference::Engine;

/// A face locator's network on the CPU, for pictures of one size at a time.
pub struct Detector {
    weights: FaceWeights,
    isa: Isa,
    strides: Vec<usize>,
    size: [usize; 2],
    engine: Engine,
    answers: Vec<f32>,
}

/// What one head says of a picture; see [`super::FACE_VALUES`].
#[derive(Clone, Copy, Debug)]
pub struct HeadAnswer<'a> {
    /// Pixels from one place to the next.
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
    /// Values × rows × columns.
    pub values: &'a [f32],
}

impl Detector {
    /// # Errors
    /// Where a tensor that the architecture needs is missing or has another shape.
    ///
    /// # Panics
    /// If the machine does not have `isa`.
    pub fn new(weights: &FaceWeights, isa: Isa) -> Result<Self> {
        let strides = weights.metadata.architecture.face_strides()?;
        let [_, height, width] = weights.metadata.architecture.input;
        let size = [height, width];
        let engine = plan(weights, size, isa)?;
        Ok(Self { weights: weights.clone(), isa, strides, size, engine, answers: Vec::new() })
    }

    pub fn metadata(&self) -> &FaceMetadata {
        &self.weights.metadata
    }

    /// The greatest stride, by which the sides of pictures must divide.
    pub fn multiple(&self) -> usize {
        self.strides.iter().copied().max().unwrap_or(1)
    }

    /// Looks at a picture of `size` (height, width); another size than before costs the time to
    /// lay out the network anew.
    ///
    /// # Errors
    /// Where there is no memory for pictures of this size.
    ///
    /// # Panics
    /// If `picture` has not height × width bytes.
    pub fn run(&mut self, picture: &[u8], size: [usize; 2]) -> Result<()> {
        assert_eq!(picture.len(), size[0] * size[1], "a grey picture of {size:?}");
        if self.size != size {
            self.engine = plan(&self.weights, size, self.isa)?;
            self.size = size;
        }
        self.answers.resize(self.engine.output_len(), 0.0);
        self.engine.run(picture, &mut self.answers);
        Ok(())
    }

    /// What the heads say of the picture that was looked at last.
    pub fn answers(&self) -> impl Iterator<Item = HeadAnswer<'_>> {
        let mut rest = self.answers.as_slice();
        self.strides.iter().zip(self.engine.heads()).map_while(move |(&stride, [channels, rows, columns])| {
            let (values, others) = rest.split_at_checked(channels * rows * columns)?;
            rest = others;
            Some(HeadAnswer { stride, rows, columns, values })
        })
    }
}

fn plan(weights: &FaceWeights, size: [usize; 2], isa: Isa) -> Result<Engine> {
    let FaceMetadata { ref architecture, scale, offset, .. } = weights.metadata;
    engine(architecture, [scale, offset], &weights.tensors, Some(size), isa)
}
