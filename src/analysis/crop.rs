//! A region of a picture, brought to a network's input size. The only resampling there is:
//! training calls it on decoded files, the element on video planes.

/// An upright rectangle in pixels of the picture; it may stick out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

/// Where one colour component of a picture lies in memory.
#[derive(Clone, Copy)]
pub struct Component<'a> {
    /// From the component's first sample on.
    pub data: &'a [u8],
    /// Bytes from one sample to the next in a row.
    pub pixel_stride: usize,
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// Samples a row, and rows.
    pub width: usize,
    pub height: usize,
}

/// A picture in memory, without a copy.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    pub width: usize,
    pub height: usize,
    pub components: [Component<'a>; 3],
}

impl<'a> Picture<'a> {
    /// Packed RGB, 3 bytes a pixel, rows without padding.
    pub fn rgb(width: usize, height: usize, data: &'a [u8]) -> Self {
        let component = |offset| Component {
            data: &data[offset..],
            pixel_stride: 3,
            row_stride: 3 * width,
            width,
            height,
        };
        Self { width, height, components: [component(0), component(1), component(2)] }
    }

    /// The whole picture.
    pub fn bounds(&self) -> Rect {
        Rect { x: 0.0, y: 0.0, width: self.width as f32, height: self.height as f32 }
    }
}

/// Brings regions to `width` × `height`, as bytes of three RGB planes.
pub struct Cropper {
    width: usize,
    height: usize,
}

impl Cropper {
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    /// Resamples `region` of `picture` into `output` (3 × height × width bytes, R, G and B planes).
    ///
    /// # Panics
    /// If `output` has another length.
    pub fn crop(&mut self, picture: &Picture, region: Rect, output: &mut [u8]) {
        assert_eq!(output.len(), 3 * self.width * self.height);
        for (plane, component) in output.chunks_exact_mut(self.width * self.height).zip(&picture.components) {
            for (y, row) in plane.chunks_exact_mut(self.width).enumerate() {
                let source_y = region.y + (y as f32 + 0.5) * region.height / self.height as f32;
                for (x, value) in row.iter_mut().enumerate() {
                    let source_x = region.x + (x as f32 + 0.5) * region.width / self.width as f32;
                    let column = (source_x as usize).min(component.width - 1);
                    let line = (source_y as usize).min(component.height - 1);
                    *value = component.data[line * component.row_stride + column * component.pixel_stride];
                }
            }
        }
    }
}
