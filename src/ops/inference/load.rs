//! Bytes of planes to a picture in the engine's layout.

use super::buffer::Layout;

#[derive(Clone, Debug)]
pub struct Load {
    /// Value = byte × scale + shift, for each channel.
    affine: Vec<[f32; 2]>,
    layout: Layout,
}

impl Load {
    pub fn new(affine: Vec<[f32; 2]>, layout: Layout) -> Self {
        Self { affine, layout }
    }

    /// Bytes of a picture.
    pub fn len(&self) -> usize {
        self.layout.channels * self.layout.height * self.layout.width
    }

    /// Writes `picture` (channels × height × width) into `output`, normalised.
    #[inline(always)]
    pub fn run(&self, picture: &[u8], output: &mut [f32]) {
        let Layout { height, width, stride, .. } = self.layout;
        for (y, line) in picture.chunks_exact(width).take(height).enumerate() {
            let row = &mut output[self.layout.row(y)..][..width * stride];
            if let (3, 3, [red, green, blue]) = (self.layout.channels, stride, self.affine.as_slice()) {
                let plane = height * width;
                let green_line = &picture[plane + y * width..][..width];
                let blue_line = &picture[2 * plane + y * width..][..width];
                let bytes = line.iter().zip(green_line).zip(blue_line);
                for (pixel, ((&r, &g), &b)) in row.as_chunks_mut::<3>().0.iter_mut().zip(bytes) {
                    *pixel = [value(r, red), value(g, green), value(b, blue)];
                }
            } else {
                for (channel, affine) in self.affine.iter().enumerate() {
                    let line = &picture[(channel * height + y) * width..][..width];
                    for (pixel, &byte) in row.chunks_exact_mut(stride).zip(line) {
                        pixel[channel] = value(byte, affine);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn value(byte: u8, affine: &[f32; 2]) -> f32 {
    f32::from(byte) * affine[0] + affine[1]
}
