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

/// Padded pixels into planes without the padding.
#[inline(always)]
pub(crate) fn unpad_planes(
    padded: &[f32],
    [channels, height, width]: [usize; 3],
    padding: usize,
    planes: &mut [f32],
) {
    let row_len = (width + 2 * padding) * channels;
    for y in 0..height {
        let row = &padded[(y + padding) * row_len + padding * channels..];
        transpose(row, channels, [width, channels], &mut planes[y * width..], height * width);
    }
}

/// Pixels into planes.
#[inline(always)]
pub(crate) fn to_planes<T: Copy>(pixels: &[T], channels: usize, planes: &mut [T]) {
    let area = pixels.len() / channels;
    transpose(pixels, channels, [area, channels], planes, area);
}

/// Turns a matrix over: `target[x * target_row + y] = source[y * source_row + x]`.
#[inline(always)]
pub(crate) fn transpose<T: Copy>(
    source: &[T],
    source_row: usize,
    [height, width]: [usize; 2],
    target: &mut [T],
    target_row: usize,
) {
    let whole = [height / TILE * TILE, width / TILE * TILE];
    for y in (0..whole[0]).step_by(TILE) {
        for x in (0..whole[1]).step_by(TILE) {
            let rows: [[T; TILE]; TILE] = std::array::from_fn(|row| {
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
