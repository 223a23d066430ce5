//! Between candle's layout (channels × height × width) and the kernels' (height × width × channels).

/// Planes into pixels with `padding` pixels around them; the padding of `padded` isn't touched.
#[inline(always)]
pub(crate) fn pad_planes(
    planes: &[f32],
    [channels, height, width]: [usize; 3],
    padding: usize,
    padded: &mut [f32],
) {
    let row_len = (width + 2 * padding) * channels;
    for y in 0..height {
        let start = (y + padding) * row_len + padding * channels;
        let row = &mut padded[start..start + width * channels];
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let first = y * width + x;
            for (value, plane) in pixel.iter_mut().zip(planes.chunks_exact(height * width)) {
                *value = plane[first];
            }
        }
    }
}

/// Planes into pixels.
#[inline(always)]
pub(crate) fn from_planes(planes: &[f32], channels: usize, pixels: &mut [f32]) {
    let area = planes.len() / channels;
    pad_planes(planes, [channels, 1, area], 0, pixels);
}

/// Pixels into planes.
#[inline(always)]
pub(crate) fn to_planes(pixels: &[f32], channels: usize, planes: &mut [f32]) {
    let area = pixels.len() / channels;
    for (channel, plane) in planes.chunks_exact_mut(area).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(pixels.chunks_exact(channels)) {
            *value = pixel[channel];
        }
    }
}

/// A kernel from size × size × channels × padded filters to filters × channels × size × size.
pub(crate) fn kernel_to_planes(
    values: &[f32],
    [filters, channels, size]: [usize; 3],
    padded_filters: usize,
) -> Vec<f32> {
    let mut planes = Vec::with_capacity(filters * channels * size * size);
    for filter in 0..filters {
        for channel in 0..channels {
            planes.extend(
                (0..size * size).map(|tap| values[(tap * channels + channel) * padded_filters + filter]),
            );
        }
    }
    planes
}
