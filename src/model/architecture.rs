//! What a network looks like, as data: the list of blocks that travels in the weights file.

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// A network as a list of blocks, applied in order to a picture of `input` size.
///
/// It answers with what its heads say, in their order, and with what the last block gives where
/// that is no head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Channels, height and width of the input.
    pub input: [usize; 3],
    /// In the order in which they compute.
    pub blocks: Vec<Block>,
}

/// What a network may have of numbers that are learnt, its normalisations included: more than
/// `--preset smile --filters 1024` has, and than anybody runs in time. 256 MiB in a file.
pub(super) const MOST_PARAMETERS: u64 = 1 << 26;

/// What one picture of the architecture's own size may cost, in multiplications: as above. It is about a second of
/// a core's time; a small foreign file must not be able to ask for hours.
const MOST_MULTIPLICATIONS: u64 = 1 << 36;

/// One step of an [`Architecture`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "each block says what its fields mean")]
pub enum Block {
    /// Batch normalisation (where `norm`), convolution with `kernel` × `kernel` weights and same
    /// padding (`kernel / 2` zeros on each side), ReLU (where `relu`), 2×2 max pooling with stride
    /// 2 (where `pool`; an odd last row or column is left out), in this order.
    Conv { filters: usize, kernel: usize, stride: usize, norm: bool, relu: bool, pool: bool },
    /// Channels × height × width to one row, channels first.
    Flatten,
    /// Fully connected, with bias; ReLU where `relu`.
    Dense { units: usize, relu: bool },
    /// A 1×1 convolution whose result is an answer; the picture before it goes on to the next block, which
    /// must not normalise it.
    ///
    /// It reads that picture, or where `merge` ReLU(it + what the next head reads), as in feature pyramids (Lin et
    /// al. 2017): the latter after a 1×1 convolution to as many channels as the picture has, and at twice its size,
    /// each value standing for a square of 2×2.
    Head {
        filters: usize,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        merge: bool,
    },
}

/// Shape of what flows between two blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields say it all")]
pub enum Shape {
    /// Planes of values.
    Picture { channels: usize, height: usize, width: usize },
    /// So many values in a row.
    Row(usize),
}

impl Architecture {
    /// The paper's network: `blocks` times [batch normalisation, 3×3 convolution with ReLU, 2×2
    /// max pooling], then a dense layer with ReLU and the logit, on 64×64 RGB.
    pub fn paper(blocks: usize, filters: usize, dense: usize) -> Self {
        let conv = Block::Conv { filters, kernel: 3, stride: 1, norm: true, relu: true, pool: true };
        let mut list = vec![conv; blocks];
        list.push(Block::Flatten);
        list.push(Block::Dense { units: dense, relu: true });
        list.push(Block::Dense { units: 1, relu: false });
        Self { input: [3, 64, 64], blocks: list }
    }

    /// Our own network for smiles, on 64×64 RGB: the first convolution strides, so that little is
    /// spent where the picture is large, and filters grow while it shrinks.
    pub fn smile() -> Self {
        let conv =
            |filters, stride, pool| Block::Conv { filters, kernel: 3, stride, norm: true, relu: true, pool };
        let blocks = vec![
            conv(16, 2, false),
            conv(32, 1, true),
            conv(64, 1, true),
            conv(96, 1, false),
            conv(96, 1, true),
            Block::Flatten,
            Block::Dense { units: 32, relu: true },
            Block::Dense { units: 1, relu: false },
        ];
        Self { input: [3, 64, 64], blocks }
    }

    /// A network that finds faces in grey pictures whose longer side is `side`, with a head at each
    /// of the strides 8, 16, 32 and 64, each of which but the last merges what the next one reads. `filters` are those of the first four convolutions; the rest has as
    /// many as the last of them. The picture is a sixteenth of its size after the first convolution, so that
    /// little is spent where it is large.
    pub fn face(side: usize, [first, second, third, rest]: [usize; 4]) -> Self {
        let conv =
            |filters, stride, norm, pool| Block::Conv { filters, kernel: 3, stride, norm, relu: true, pool };
        let head = |merge| Block::Head { filters: FACE_VALUES, merge };
        let mut blocks = vec![
            conv(first, 2, true, true),
            conv(second, 1, true, false),
            conv(third, 1, true, true),
            conv(rest, 1, true, false),
            conv(rest, 1, true, false),
            head(true),
        ];
        for stride in [16, 32, 64] {
            // What a head reads isn't normalised.
            blocks.extend([conv(rest, 2, false, false), conv(rest, 1, true, false), head(stride < 64)]);
        }
        Self { input: [1, side, side], blocks }
    }

    /// Filters of each convolution.
    pub fn filters(&self) -> Vec<usize> {
        let filters = |block: &Block| match *block {
            Block::Conv { filters, .. } => Some(filters),
            _ => None,
        };
        self.blocks.iter().filter_map(filters).collect()
    }

    /// Bytes of one input picture.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// The shape before each block, and after the last.
    ///
    /// # Errors
    /// [`Error::Architecture`] where blocks don't fit together, or the network is too large. Sizes are bounded, so
    /// that a foreign file can't ask for all memory, nor for more time than anybody has.
    pub fn shapes(&self) -> Result<Vec<Shape>> {
        let [channels, height, width] = self.input;
        if !matches!(channels, 1 | 3) || !(8..=512).contains(&height) || !(8..=512).contains(&width) {
            return Err(Error::Architecture(format!(
                "input {:?} is not 1 or 3 channels of 8 to 512 pixels a side",
                self.input
            )));
        }
        if self.blocks.len() > 64 {
            return Err(Error::Architecture(format!("{} blocks, at most 64", self.blocks.len())));
        }
        let mut shapes = vec![Shape::Picture { channels, height, width }];
        for (index, block) in self.blocks.iter().enumerate() {
            let next = block
                .output(shapes[index])
                .map_err(|reason| Error::Architecture(format!("block {index}: {reason}")))?;
            shapes.push(next);
        }
        let norm_after_head =
            |pair: &[Block]| matches!(pair, [Block::Head { .. }, Block::Conv { norm: true, .. }]);
        match self.blocks.windows(2).position(norm_after_head) {
            Some(index) => Err(Error::Architecture(format!("block {} normalises after a head", index + 1))),
            None => self.check_cost(&shapes).map(|()| shapes),
        }
    }

    /// For each block the picture that is merged into what it reads: what the next head reads.
    ///
    /// # Errors
    /// As [`Architecture::shapes`].
    pub fn merged(&self) -> Result<Vec<Option<Shape>>> {
        self.merged_of(&self.shapes()?)
    }

    fn merged_of(&self, shapes: &[Shape]) -> Result<Vec<Option<Shape>>> {
        let merged = |(index, block): (usize, &Block)| match block {
            Block::Head { merge: true, .. } => self.next_head(index).map(|next| Some(shapes[next])),
            _ => Ok(None),
        };
        self.blocks.iter().enumerate().map(merged).collect()
    }

    /// The head after the one at `index`, which merges what that reads.
    fn next_head(&self, index: usize) -> Result<usize> {
        let unfit = |reason: String| Err(Error::Architecture(format!("block {index}: {reason}")));
        if !self.blocks[..index].iter().any(|block| matches!(block, Block::Conv { .. })) {
            return unfit("a head that merges follows a convolution".into());
        }
        let mut stride = 1;
        for (next, block) in self.blocks.iter().enumerate().skip(index + 1) {
            match *block {
                Block::Conv { pool: false, stride: step, .. } => stride *= step,
                // Pooling leaves out an odd last row, and then half of the picture doesn't cover it.
                Block::Conv { .. } => return unfit("a head can't merge across pooling".into()),
                Block::Head { .. } if stride == 2 => return Ok(next),
                Block::Head { .. } => {
                    return unfit(format!(
                        "a head merges one of twice its stride, the next has {stride} times it"
                    ));
                }
                _ => break,
            }
        }
        unfit("the last head has none after it to merge".into())
    }

    fn check_cost(&self, shapes: &[Shape]) -> Result<()> {
        let merges = self.blocks.iter().zip(shapes).zip(self.merged_of(shapes)?);
        let merges = merges.map(|((_, picture), merged)| match (picture, merged) {
            (&Shape::Picture { channels: filters, .. }, Some(coarse)) => {
                let point =
                    Block::Conv { filters, kernel: 1, stride: 1, norm: false, relu: false, pool: false };
                point.cost(coarse)
            }
            _ => [0; 2],
        });
        let costs = self.blocks.iter().zip(shapes).map(|(block, input)| block.cost(*input)).chain(merges);
        let [parameters, multiplications] = costs
            .fold([0; 2], |sum: [u64; 2], cost| [0, 1].map(|index| sum[index].saturating_add(cost[index])));
        let bounds = [
            ("parameters", parameters, MOST_PARAMETERS),
            ("multiplications a picture", multiplications, MOST_MULTIPLICATIONS),
        ];
        match bounds.into_iter().find(|(_, count, most)| count > most) {
            Some((what, count, most)) => Err(Error::Architecture(format!("{count} {what}, at most {most}"))),
            None => Ok(()),
        }
    }

    /// # Errors
    /// As [`Architecture::shapes`], and where the network doesn't turn an RGB picture into one logit.
    pub fn check_classifier(&self) -> Result<()> {
        let shapes = self.shapes()?;
        let heads = self.blocks.iter().any(|block| matches!(block, Block::Head { .. }));
        match (self.input[0], shapes.last()) {
            (3, Some(Shape::Row(1))) if !heads => Ok(()),
            (3, last) => Err(Error::Architecture(format!("ends in {last:?}, not in one logit"))),
            (channels, _) => Err(Error::Architecture(format!("{channels} input channels, not 3"))),
        }
    }

    /// The strides of a face detector's heads: pixels of the input from one place to the next.
    ///
    /// # Errors
    /// As [`Architecture::shapes`], and where the network is no face detector: a fully convolutional
    /// one on grey pictures that ends in a head, each with [`FACE_VALUES`] values.
    pub fn face_strides(&self) -> Result<Vec<usize>> {
        self.shapes()?;
        let unfit = |reason: &str| Err(Error::Architecture(reason.into()));
        if self.input[0] != 1 {
            return unfit("a face detector looks at grey pictures");
        }
        let (mut stride, mut strides) = (1, Vec::new());
        for block in &self.blocks {
            match *block {
                Block::Conv { stride: step, pool, .. } => stride *= step * if pool { 2 } else { 1 },
                Block::Head { filters: FACE_VALUES, .. } => strides.push(stride),
                Block::Head { .. } => return unfit("a head of a face detector has 15 values"),
                _ => return unfit("a face detector has convolutions and heads only"),
            }
        }
        match self.blocks.last() {
            Some(Block::Head { .. }) if stride <= MOST_STRIDE => Ok(strides),
            _ => unfit("a face detector ends in a head whose stride is at most 64"),
        }
    }
}

/// What a face detector's head says of each place, in units of its stride: the logit of a face
/// being there, the face's middle (x, y) counted from the place's, the logarithms of its width and
/// height, and five landmarks (x, y) counted from the place's middle: right eye, left eye, nose,
/// right and left corner of the mouth, as the person has them.
pub const FACE_VALUES: usize = 15;

const MOST_STRIDE: usize = 64;

impl Block {
    fn output(&self, input: Shape) -> std::result::Result<Shape, String> {
        match (self, input) {
            (&Self::Conv { filters, kernel, stride, pool, .. }, Shape::Picture { height, width, .. }) => {
                if !matches!(kernel, 1 | 3) || !matches!(stride, 1 | 2) {
                    return Err(format!("kernel {kernel} with stride {stride} is not 1 or 3 with 1 or 2"));
                }
                if !(1..=1024).contains(&filters) {
                    return Err(format!("{filters} filters, not 1 to 1024"));
                }
                let shrink = |side: usize| side.div_ceil(stride) / if pool { 2 } else { 1 };
                let (height, width) = (shrink(height), shrink(width));
                if height == 0 || width == 0 {
                    return Err("nothing is left to pool".into());
                }
                Ok(Shape::Picture { channels: filters, height, width })
            }
            (Self::Flatten, Shape::Picture { channels, height, width }) => {
                Ok(Shape::Row(channels * height * width))
            }
            (&Self::Dense { units, .. }, Shape::Row(_)) => {
                if !(1..=4096).contains(&units) {
                    return Err(format!("{units} units, not 1 to 4096"));
                }
                Ok(Shape::Row(units))
            }
            (&Self::Head { filters, .. }, Shape::Picture { .. }) => {
                if !(1..=256).contains(&filters) {
                    return Err(format!("{filters} filters, not 1 to 256"));
                }
                Ok(input)
            }
            (block, shape) => Err(format!("{block:?} can't take {shape:?}")),
        }
    }

    /// Parameters and multiplications, of a block that takes `input`.
    fn cost(&self, input: Shape) -> [u64; 2] {
        let ([weights, others], places) = match (*self, input) {
            (
                Self::Conv { filters, kernel, stride, norm, .. },
                Shape::Picture { channels, height, width },
            ) => {
                let norm = if norm { 4 * channels } else { 0 };
                let places = height.div_ceil(stride) * width.div_ceil(stride);
                ([filters * channels * kernel * kernel, filters + norm], places)
            }
            (Self::Head { filters, .. }, Shape::Picture { channels, height, width }) => {
                ([filters * channels, filters], height * width)
            }
            (Self::Dense { units, .. }, Shape::Row(inputs)) => ([units.saturating_mul(inputs), units], 1),
            _ => ([0; 2], 0),
        };
        [weights.saturating_add(others) as u64, (weights as u64).saturating_mul(places as u64)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_networks_shrink_to_one_logit() {
        let shapes = Architecture::paper(4, 32, 128).shapes().unwrap();
        assert_eq!(shapes[4], Shape::Picture { channels: 32, height: 4, width: 4 });
        assert_eq!(shapes[5], Shape::Row(512));
        assert_eq!(shapes.last(), Some(&Shape::Row(1)));
    }

    #[test]
    fn blocks_that_do_not_fit_are_named() {
        let mut architecture = Architecture::paper(3, 32, 128);
        architecture.blocks.remove(3);
        let message = architecture.shapes().unwrap_err().to_string();
        assert!(message.contains("block 3"), "{message}");
        assert!(Architecture::paper(7, 32, 128).shapes().is_err());
    }

    #[test]
    fn networks_are_as_large_as_smile_train_makes_them_and_no_larger() {
        let widest = [
            Architecture::face(160, [768; 4]),
            Architecture::paper(4, 1024, 128),
            Architecture { blocks: wide(&Architecture::smile()), ..Architecture::smile() },
        ];
        for architecture in widest {
            architecture.shapes().unwrap();
        }
        let conv =
            |kernel| Block::Conv { filters: 256, kernel, stride: 1, norm: false, relu: true, pool: false };
        let slow = Architecture { input: [3, 512, 512], blocks: vec![conv(3); 3] };
        let message = slow.shapes().unwrap_err().to_string();
        assert!(message.contains("multiplications a picture, at most"), "{message}");
        let dense = Block::Dense { units: 4096, relu: false };
        let large = Architecture { input: [3, 512, 512], blocks: vec![conv(1), Block::Flatten, dense] };
        let message = large.shapes().unwrap_err().to_string();
        assert!(message.contains("parameters, at most"), "{message}");
    }

    fn wide(architecture: &Architecture) -> Vec<Block> {
        let widen = |block: &Block| match *block {
            Block::Conv { kernel, stride, norm, relu, pool, .. } => {
                Block::Conv { filters: 1024, kernel, stride, norm, relu, pool }
            }
            other => other,
        };
        architecture.blocks.iter().map(widen).collect()
    }

    #[test]
    fn a_classifier_is_no_locator_nor_the_other_way_round() {
        let (smile, face) = (Architecture::paper(4, 32, 128), Architecture::face(160, [8; 4]));
        assert!(smile.check_classifier().is_ok() && smile.face_strides().is_err());
        assert!(face.check_classifier().is_err());
        assert_eq!(face.face_strides().unwrap(), [8, 16, 32, 64]);
    }

    #[test]
    fn heads_merge_ones_of_twice_their_stride() {
        let conv =
            |stride, pool| Block::Conv { filters: 4, kernel: 3, stride, norm: false, relu: true, pool };
        let head = |merge| Block::Head { filters: FACE_VALUES, merge };
        let refused = |blocks: &[Block]| {
            let architecture = Architecture { input: [1, 64, 64], blocks: blocks.to_vec() };
            architecture.shapes().err().map(|error| error.to_string()).unwrap_or_default()
        };
        let (merging, last) = (head(true), head(false));
        assert_eq!(refused(&[conv(1, false), merging, conv(1, false), conv(2, false), last]), "");
        for (blocks, reason) in [
            (vec![conv(1, false), merging], "block 1: the last head has none after it to merge"),
            (vec![conv(1, false), last, merging], "block 2: the last head has none"),
            (
                vec![conv(1, false), merging, conv(2, false), Block::Flatten],
                "block 1: the last head has none",
            ),
            (
                vec![conv(1, false), merging, conv(1, false), last],
                "twice its stride, the next has 1 times it",
            ),
            (vec![conv(1, false), merging, conv(2, false), conv(2, false), last], "the next has 4 times it"),
            (
                vec![conv(1, false), merging, conv(1, true), last],
                "block 1: a head can't merge across pooling",
            ),
            (vec![merging, conv(2, false), last], "block 0: a head that merges follows a convolution"),
        ] {
            assert!(refused(&blocks).contains(reason), "{blocks:?}: {}", refused(&blocks));
        }
        // All but as many parameters as there may be; to merge takes one more share of 64.
        let wide = |kernel, stride| Block::Conv {
            filters: 1024,
            kernel,
            stride,
            norm: false,
            relu: true,
            pool: false,
        };
        for (merge, fits) in [(false, true), (true, false)] {
            let mut blocks = vec![wide(1, 1), head(merge), wide(3, 2)];
            blocks.extend([wide(3, 1); 6]);
            blocks.push(last);
            let architecture = Architecture { input: [1, 16, 16], blocks };
            assert_eq!(architecture.shapes().is_ok(), fits, "{merge}");
        }
    }

    #[test]
    fn heads_of_old_files_do_not_merge_and_are_written_as_before() {
        let old = r#"{"kind":"head","filters":15}"#;
        let head: Block = serde_json::from_str(old).unwrap();
        assert_eq!(head, Block::Head { filters: FACE_VALUES, merge: false });
        assert_eq!(serde_json::to_string(&head).unwrap(), old);
        let merging = r#"{"kind":"head","filters":15,"merge":true}"#;
        let head: Block = serde_json::from_str(merging).unwrap();
        assert_eq!(head, Block::Head { filters: FACE_VALUES, merge: true });
        assert_eq!(serde_json::to_string(&head).unwrap(), merging);
    }

    #[test]
    fn nothing_normalises_what_a_head_reads() {
        let mut face = Architecture::face(160, [8; 4]);
        let Block::Conv { norm, .. } = &mut face.blocks[6] else { panic!("{face:?}") };
        *norm = true;
        assert!(face.shapes().unwrap_err().to_string().contains("block 6"));
    }
}
