//! What a network looks like, as data: the list of blocks that travels in the weights file.

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// A network as a list of blocks, applied in order to a picture of `input` size.
///
/// The last block must be a dense one with a single unit: the logit of "smiling".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Channels, height and width of the input.
    pub input: [usize; 3],
    pub blocks: Vec<Block>,
}

/// One step of an [`Architecture`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Block {
    /// Batch normalisation (where `norm`), convolution with `kernel` × `kernel` weights and same
    /// padding (`kernel / 2` zeros on each side), ReLU (where `relu`), 2×2 max pooling with stride
    /// 2 (where `pool`; an odd last row or column is left out), in this order.
    Conv { filters: usize, kernel: usize, stride: usize, norm: bool, relu: bool, pool: bool },
    /// Channels × height × width to one row, channels first.
    Flatten,
    /// Fully connected, with bias; ReLU where `relu`.
    Dense { units: usize, relu: bool },
}

/// Shape of what flows between two blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Picture { channels: usize, height: usize, width: usize },
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

    /// Bytes of one input picture.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// The shape before each block, and after the last.
    ///
    /// # Errors
    /// [`Error::Architecture`] where blocks don't fit together or don't end in one logit. Sizes
    /// are bounded, so that a foreign file can't ask for all memory.
    pub fn shapes(&self) -> Result<Vec<Shape>> {
        let [channels, height, width] = self.input;
        if channels != 3 || !(8..=512).contains(&height) || !(8..=512).contains(&width) {
            return Err(Error::Architecture(format!(
                "input {:?} is not 3 channels of 8 to 512 pixels a side",
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
        match shapes.last() {
            Some(Shape::Row(1)) => Ok(shapes),
            other => Err(Error::Architecture(format!("ends in {other:?}, not in one logit"))),
        }
    }
}

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
            (block, shape) => Err(format!("{block:?} can't take {shape:?}")),
        }
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
}
