//! Samples of more than 8 bits, and rows that have to be unpacked before they can be read.

use std::fmt::Debug;

use super::{Component, Picture};

/// How a sample lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A byte.
    Byte,
    /// Two bytes, the lower one first.
    Little,
    /// Two bytes, the higher one first.
    Big,
}

impl Sample {
    /// Two bytes in the machine's own order.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };

    /// Bytes of a sample.
    pub fn size(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Little | Self::Big => 2,
        }
    }

    /// The sample at the beginning of `bytes`.
    ///
    /// # Panics
    /// If there are fewer bytes than a sample has.
    #[inline(always)]
    pub fn read(self, bytes: &[u8]) -> u16 {
        match self {
            Self::Byte => bytes[0].into(),
            Self::Little => u16::from_le_bytes([bytes[0], bytes[1]]),
            Self::Big => u16::from_be_bytes([bytes[0], bytes[1]]),
        }
    }

    /// Puts a sample at the beginning of `bytes`, of which one that is a byte has the lower half.
    ///
    /// # Panics
    /// If there are fewer bytes than a sample has.
    #[inline(always)]
    pub fn write(self, bytes: &mut [u8], value: u16) {
        match self {
            Self::Byte => bytes[0] = value as u8,
            Self::Little => bytes[..2].copy_from_slice(&value.to_le_bytes()),
            Self::Big => bytes[..2].copy_from_slice(&value.to_be_bytes()),
        }
    }
}

/// An unpacked pixel: four samples, of which the first is alpha. Aligned as a whole, since who unpacks may
/// write it as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Pixel(pub [u16; 4]);

impl Pixel {
    /// Bytes of a pixel.
    pub const SIZE: usize = size_of::<Self>();
}

/// A picture whose rows have to be unpacked: with samples that share bytes, in tiles, or with a palette.
pub trait Unpack: Sync + Debug {
    /// Pixels of a row.
    fn width(&self) -> usize;

    /// Writes the first pixels of row `row`, as many as `pixels` has.
    ///
    /// # Panics
    /// If there is no such row, or it has fewer pixels.
    fn unpack(&self, row: usize, pixels: &mut [Pixel]);
}

/// Some row of a component.
pub(in crate::analysis) enum Row<'a> {
    /// From its first sample on.
    Memory(&'a [u8], Component<'a>),
    /// The pixels that it is in, with the index among their samples of its first one, and the number of
    /// samples from one of its own to the next.
    Unpacked(&'a [Pixel], usize, usize),
}

impl<'a> Picture<'a> {
    /// Row `y` of a component, unpacked into `line` where it has to be.
    pub(in crate::analysis) fn row<'r>(
        &'r self,
        component: usize,
        y: usize,
        line: &'r mut Vec<Pixel>,
    ) -> Row<'r> {
        let component = self.components[component];
        let begin = component.offset + y * component.row_stride;
        let Some(unpack) = self.unpack else { return Row::Memory(&component.plane[begin..], component) };
        let (row, skip) = place(begin, unpack);
        let end = skip + (component.horizontal.len - 1) * component.pixel_stride + component.sample.size();
        line.resize(end.div_ceil(Pixel::SIZE), Pixel::default());
        unpack.unpack(row, line);
        Row::Unpacked(line, skip / 2, component.pixel_stride / 2)
    }
}

impl Row<'_> {
    pub fn value(&self, x: usize) -> f32 {
        match *self {
            Self::Memory(bytes, component) => {
                component.sample.read(&bytes[x * component.pixel_stride..]).into()
            }
            Self::Unpacked(pixels, first, step) => {
                let index = first + x * step;
                pixels[index / 4].0[index % 4].into()
            }
        }
    }
}

/// The row that a byte of the plane of unpacked rows is in, and how far within.
pub(super) fn place(byte: usize, unpack: &dyn Unpack) -> (usize, usize) {
    let row = Pixel::SIZE * unpack.width();
    (byte / row, byte % row)
}
