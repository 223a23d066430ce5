//! Memory that the engine computes in, and how pictures lie in it.

use candle_core::{Result, bail};

/// Floats of one cache line, which is also the widest vector.
const LINE: usize = 16;

/// What one engine may take for its activations, in floats (256 MiB): a small foreign file must not
/// be able to ask for all memory.
const LIMIT: usize = 1 << 26;

/// What one buffer may hold, in floats (1 GiB): packed weights are padded, to many times what a file
/// has of them.
const MOST: usize = 1 << 28;

/// What an engine may still take for its activations, in floats.
pub struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(LIMIT)
    }
}

impl Room {
    /// # Errors
    /// Where so much isn't left.
    pub fn take(&mut self, len: usize) -> Result<Buffer> {
        match self.0.checked_sub(len) {
            Some(left) => self.0 = left,
            None => bail!("a network that computes in more than {LIMIT} values"),
        }
        Buffer::new(len)
    }
}

/// Zeroed floats that begin with a cache line.
#[derive(Debug)]
pub struct Buffer {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(len: usize) -> Result<Self> {
        let mut values = Vec::new();
        if len > MOST || values.try_reserve_exact(len + LINE).is_err() {
            bail!("no memory for {len} values");
        }
        values.resize(len + LINE, 0.0f32);
        Ok(Self::aligned(values, len))
    }

    fn aligned(values: Vec<f32>, len: usize) -> Self {
        let start = values.as_ptr().align_offset(4 * LINE).min(LINE);
        Self { values, start, len }
    }

    #[inline(always)]
    pub fn values(&self) -> &[f32] {
        &self.values[self.start..][..self.len]
    }

    #[inline(always)]
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.len]
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::aligned(vec![0.0; self.values.len()], self.len);
        // The copy may begin elsewhere in its memory.
        copy.values_mut().copy_from_slice(self.values());
        copy
    }
}

/// How a picture lies in a [`Buffer`]: height × width × channels, the channels filled up with zeros
/// to `stride`, within a frame of zeros that stands for a convolution's padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Floats from one pixel to the next.
    pub stride: usize,
    /// Zeros above and to the left, in pixels.
    pub margin: usize,
    /// Height and width with the frame.
    pub rows: usize,
    pub columns: usize,
}

impl Layout {
    pub fn new([channels, height, width]: [usize; 3], stride: usize) -> Self {
        Self { height, width, channels, stride, margin: 0, rows: height, columns: width }
    }

    /// With a frame of `margin` zeros on each side, and more to the right and below where the
    /// height and width don't divide by `multiple`.
    pub fn framed(self, margin: usize, multiple: usize) -> Self {
        let framed = |side: usize| side.next_multiple_of(multiple) + 2 * margin;
        Self { margin, rows: framed(self.height), columns: framed(self.width), ..self }
    }

    pub fn len(&self) -> usize {
        self.rows * self.row_len()
    }

    /// Floats from one row to the next.
    #[inline(always)]
    pub fn row_len(&self) -> usize {
        self.columns * self.stride
    }

    /// Where the row `y` of the picture begins.
    #[inline(always)]
    pub fn row(&self, y: usize) -> usize {
        ((y + self.margin) * self.columns + self.margin) * self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_bounded() {
        for len in [0, 1, 100] {
            let mut buffer = Buffer::new(len).unwrap();
            assert_eq!(buffer.values_mut().as_ptr().align_offset(64), 0);
            assert_eq!(buffer.values(), vec![0.0; len]);
        }
        assert!(Buffer::new(usize::MAX / 8).is_err());
    }

    #[test]
    fn room_is_taken_up() {
        let mut room = Room(100);
        assert!(room.take(60).is_ok() && room.take(60).is_err() && room.take(40).is_ok());
    }

    #[test]
    fn frames_surround_the_picture() {
        let layout = Layout::new([20, 5, 7], 24).framed(1, 4);
        assert_eq!((layout.rows, layout.columns), (10, 10));
        assert_eq!(layout.row(0), 11 * 24);
        assert_eq!(layout.len(), 100 * 24);
    }
}
