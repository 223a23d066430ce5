//! From grey pictures to what a face detector's heads say.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::engine::engine;
use super::error::Result;
use super::shared::Cache;
use super::weights::{FaceMetadata, FaceWeights};
use crate::ops::Isa;
use crate::ops::inference::Engine;

/// A face detector's network on the CPU, for pictures of one size at a time.
pub struct Detector {
    parts: Arc<Parts>,
    /// For pictures of the size that was looked at last. Its buffers are much of what an element takes, so that
    /// there are none before they are needed.
    engine: Option<([usize; 2], Engine)>,
    answers: Vec<f32>,
}

/// What detectors with the same weights share.
struct Parts {
    weights: FaceWeights,
    isa: Isa,
    strides: Vec<usize>,
    /// Engines for the sizes (height, width) that were asked for last.
    engines: Mutex<Vec<([usize; 2], Engine)>>,
}

const MOST_MULTIPLE: usize = 32;

/// Sizes of pictures whose engines are kept to be shared.
const MOST_SIZES: usize = 4;

static SHARED: Cache<(), Parts> = Cache::new();

/// What one head says of a picture; see [`super::FACE_VALUES`].
#[derive(Clone, Copy, Debug)]
pub struct HeadAnswer<'a> {
    /// Pixels from one place to the next.
    pub stride: usize,
    /// Places from top to bottom.
    pub rows: usize,
    /// Places from left to right.
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
        Self::of(Arc::new(Parts::new(weights.clone(), isa)?))
    }

    /// A detector with the weights in `file`, or with the built-in ones. As long as one with the same
    /// weights is in use anywhere in the process, others share what it has loaded.
    ///
    /// # Errors
    /// Where the file can't be read, or its weights don't work.
    pub fn shared(file: Option<&Path>) -> Result<Self> {
        let name = file.map_or("the built-in face detector".into(), |file| file.display().to_string());
        let load = || {
            let weights = file.map_or_else(FaceWeights::embedded, FaceWeights::read)?;
            Ok(Arc::new(Parts::new(weights, Isa::best())?))
        };
        SHARED.get(file, (), load).and_then(Self::of).map_err(|error| error.of_weights(&name))
    }

    /// # Errors
    /// Where the weights don't work for pictures of their architecture's size.
    fn of(parts: Arc<Parts>) -> Result<Self> {
        let [_, height, width] = parts.weights.metadata.architecture.input;
        parts.engine([height, width])?;
        Ok(Self { parts, engine: None, answers: Vec::new() })
    }

    /// Another one with the same weights, which are in memory once.
    ///
    /// # Errors
    /// None at present: memory is taken by [`Detector::run`].
    pub fn another(&self) -> Result<Self> {
        Ok(Self { parts: self.parts.clone(), engine: None, answers: Vec::new() })
    }

    /// What the weights say of themselves.
    pub fn metadata(&self) -> &FaceMetadata {
        &self.parts.weights.metadata
    }

    /// What the sides of pictures must divide by: the greatest stride, but no more than 32. Beyond, the network's
    /// convolutions go on over the edge, which costs less than a picture filled up further.
    pub fn multiple(&self) -> usize {
        multiple(&self.parts.strides)
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
        let engine = match &mut self.engine {
            Some((known, engine)) if *known == size => engine,
            other => &mut other.insert((size, self.parts.engine(size)?)).1,
        };
        self.answers.resize(engine.output_len(), 0.0);
        engine.run(picture, &mut self.answers);
        Ok(())
    }

    /// What the heads say of the picture that was looked at last.
    pub fn answers(&self) -> impl Iterator<Item = HeadAnswer<'_>> {
        let mut rest = self.answers.as_slice();
        let heads = self.engine.iter().flat_map(|(_, engine)| engine.heads());
        self.parts.strides.iter().zip(heads).map_while(move |(&stride, [channels, rows, columns])| {
            let (values, others) = rest.split_at_checked(channels * rows * columns)?;
            rest = others;
            Some(HeadAnswer { stride, rows, columns, values })
        })
    }
}

/// What the sides of pictures must divide by, for heads of these strides; see [`Detector::multiple`].
pub(super) fn multiple(strides: &[usize]) -> usize {
    strides.iter().copied().max().unwrap_or(1).min(MOST_MULTIPLE)
}

impl Parts {
    fn new(weights: FaceWeights, isa: Isa) -> Result<Self> {
        let strides = weights.metadata.architecture.face_strides()?;
        Ok(Self { weights, isa, strides, engines: Mutex::default() })
    }

    /// An engine for pictures of `size`, laid out unless somebody has needed one of late.
    fn engine(&self, size: [usize; 2]) -> Result<Engine> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, engine)) = engines.iter().find(|(known, _)| *known == size) {
            return Ok(engine.clone());
        }
        let FaceMetadata { ref architecture, scale, offset, .. } = self.weights.metadata;
        let engine = engine(architecture, [scale, offset], &self.weights.tensors, Some(size), self.isa)?;
        if engines.len() == MOST_SIZES {
            engines.remove(0);
        }
        engines.push((size, engine.clone()));
        Ok(engine)
    }
}
