//! Between candle's layout (channels × height × width) and the kernels' (height × width × channels).

/// Side of the squares that are turned over in registers.
const TILE: usize = 8;

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
        transpose(&planes[y * width..], height * width, [channels, width], row, channels);
    }
}

/// Planes into pixels.
#[inline(always)]
pub(crate) fn from_planes(planes: &[f32], channels: usize, pixels: &mut [f32]) {
    let area = planes.len() / channels;
    transpose(planes, area, [channels, area], pixels, channels);
}

/// Pixels into planes.
#[inline(always)]
pub(crate) fn to_planes(pixels: &[f32], channels: usize, planes: &mut [f32]) {
    let area = pixels.len() / channels;
    transpose(pixels, channels, [area, channels], planes, area);
}

/// Turns a matrix over: `target[x * target_row + y] = source[y * source_row + x]`.
#[inline(always)]
fn transpose(
    source: &[f32],
    source_row: usize,
    [height, width]: [usize; 2],
    target: &mut [f32],
    target_row: usize,
) {
    let whole = [height / TILE * TILE, width / TILE * TILE];
    for y in (0..whole[0]).step_by(TILE) {
        for x in (0..whole[1]).step_by(TILE) {
            let rows: [[f32; TILE]; TILE] = std::array::from_fn(|row| {
                *source[(y + row) * source_row + x..].first_chunk().expect("inside the matrix")
            });
            for (column, start) in (x * target_row + y..).step_by(target_row).take(TILE).enumerate() {
                target[start..start + TILE].copy_from_slice(&rows.map(|row| row[column]));
            }
        }
    }
    let mut copy = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        for y in rows {
            for x in columns.clone() {
                target[x * target_row + y] = source[y * source_row + x];
            }
        }
    };
    copy(0..whole[0], whole[1]..width);
    copy(whole[0]..height, 0..width);
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
