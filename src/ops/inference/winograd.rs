//! 3×3 convolution with a quarter of the multiplications: Winograd's minimal filtering F(4×4, 3×3)
//! (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks").
//!
//! Tiles of 6×6 pixels of the input and the kernels are transformed; there, each of the 36
//! positions is a matrix product of tiles × channels with channels × filters; the inverse transform
//! gives 4×4 pixels of the output.

use candle_core::Result;
use pulp::Simd;

use super::buffer::{Buffer, Layout};
use super::finish::Finish;
use super::kernel::{Packed, Product, multiply, rows_from};
use crate::ops::simd::multiply_add;

/// Pixels of a tile's side: of the output.
pub const TILE: usize = 4;
/// Of the input.
const PATCH: usize = 6;
const POSITIONS: usize = PATCH * PATCH;

/// Tiles that are transformed together, so that they stay in the cache.
const BATCH: usize = 16;

/// Floats between two positions' tiles beyond what they need: without it, all positions of a tile
/// would share few sets of the cache.
const GAP: usize = 16;

#[derive(Clone, Debug)]
pub struct Winograd {
    /// By position.
    kernels: Vec<Packed>,
    /// Transformed tiles: positions × tiles × channels.
    tiles: Buffer,
    /// Their products: positions × tiles × filters.
    products: Buffer,
    pool: bool,
}

impl Winograd {
    /// For `kernel` (filters × channels × 3 × 3), applied with stride 1 to pictures as in `input`,
    /// with a frame of one pixel and whole tiles.
    pub fn new(kernel: &[f32], filters: usize, pool: bool, input: Layout, lanes: usize) -> Result<Self> {
        let kernels: Vec<_> = kernel.as_chunks::<9>().0.iter().map(transform_kernel).collect();
        let kernels = (0..POSITIONS)
            .map(|position| {
                Packed::new(input.stride, filters, lanes, |channel, filter| {
                    if channel < input.channels {
                        kernels[filter * input.channels + channel][position]
                    } else {
                        0.0
                    }
                })
            })
            .collect::<Result<_>>()?;
        let buffer = |stride: usize| Buffer::new(POSITIONS * (BATCH * stride + GAP));
        Ok(Self {
            kernels,
            tiles: buffer(input.stride)?,
            products: buffer(filters.next_multiple_of(lanes))?,
            pool,
        })
    }

    #[inline(always)]
    pub fn run<S: Simd>(
        &mut self,
        simd: S,
        (input, from): (&[f32], &Layout),
        (output, to): (&mut [f32], &Layout),
        finish: &Finish,
    ) {
        let across = from.width.div_ceil(TILE);
        let count = across * from.height.div_ceil(TILE);
        for first in (0..count).step_by(BATCH) {
            let batch = BATCH.min(count - first);
            for tile in 0..batch {
                let (y, x) = ((first + tile) / across, (first + tile) % across);
                let patch = &input[(y * from.columns + x) * TILE * from.stride..];
                transform_patch(simd, patch, from, tile, self.tiles.values_mut());
            }
            for (position, kernel) in self.kernels.iter().enumerate() {
                let mut product = Position {
                    kernel,
                    tiles: plane(self.tiles.values(), position, from.stride),
                    channels: from.stride,
                    products: S::as_mut_simd_f32s(plane_mut(self.products.values_mut(), position, to.stride))
                        .0,
                    vectors: to.stride / S::F32_LANES,
                };
                for group in kernel.groups() {
                    product.compute(simd, batch, group);
                }
            }
            for tile in 0..batch {
                let place = [(first + tile) / across, (first + tile) % across];
                let products = S::as_simd_f32s(self.products.values()).0;
                let output = S::as_mut_simd_f32s(&mut *output).0;
                if self.pool {
                    store_pooled(simd, products, tile, place, output, to, finish);
                } else {
                    store(simd, products, tile, place, output, to, finish);
                }
            }
        }
    }
}

fn plane(values: &[f32], position: usize, stride: usize) -> &[f32] {
    &values[position * (BATCH * stride + GAP)..][..BATCH * stride]
}

fn plane_mut(values: &mut [f32], position: usize, stride: usize) -> &mut [f32] {
    &mut values[position * (BATCH * stride + GAP)..][..BATCH * stride]
}

/// Tiles × filters of one position.
struct Position<'a, S: Simd> {
    kernel: &'a Packed,
    tiles: &'a [f32],
    channels: usize,
    products: &'a mut [S::f32s],
    /// Vectors of filters.
    vectors: usize,
}

impl<S: Simd> Product<S> for Position<'_, S> {
    #[inline(always)]
    fn block<const P: usize, const V: usize>(&mut self, simd: S, tile: usize, first: usize) {
        let weights = self.kernel.group::<V, S>(simd, first);
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        let rows = rows_from(self.tiles, tile * self.channels, self.channels);
        multiply(simd, &mut sums, rows, weights);
        for (products, sums) in self.products.chunks_exact_mut(self.vectors).skip(tile).zip(&sums) {
            products[first..first + V].copy_from_slice(sums);
        }
    }
}

/// G · kernel · Gᵀ.
fn transform_kernel(kernel: &[f32; 9]) -> [f32; POSITIONS] {
    const G: [[f64; 3]; PATCH] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    std::array::from_fn(|position| {
        let (left, right) = (G[position / PATCH], G[position % PATCH]);
        let term = |tap: usize| left[tap / 3] * right[tap % 3] * f64::from(kernel[tap]);
        (0..9).map(term).sum::<f64>() as f32
    })
}

/// Bᵀ · patch · B, for all channels, to the place of `tile` in `tiles`.
#[inline(always)]
fn transform_patch<S: Simd>(simd: S, patch: &[f32], layout: &Layout, tile: usize, tiles: &mut [f32]) {
    let vectors = layout.stride / S::F32_LANES;
    let mut rows = [&[] as &[S::f32s]; PATCH];
    for (y, row) in rows.iter_mut().enumerate() {
        *row = S::as_simd_f32s(&patch[y * layout.row_len()..][..PATCH * layout.stride]).0;
    }
    let gap = (BATCH * layout.stride + GAP) / S::F32_LANES;
    let tiles = &mut S::as_mut_simd_f32s(tiles).0[tile * vectors..];
    for vector in 0..vectors {
        let mut half = [[simd.splat_f32s(0.0); PATCH]; PATCH];
        for x in 0..PATCH {
            let mut column = [simd.splat_f32s(0.0); PATCH];
            for y in 0..PATCH {
                column[y] = rows[y][x * vectors + vector];
            }
            column = analyse(simd, column);
            for y in 0..PATCH {
                half[y][x] = column[y];
            }
        }
        for y in 0..PATCH {
            for (x, value) in analyse(simd, half[y]).into_iter().enumerate() {
                tiles[(y * PATCH + x) * gap + vector] = value;
            }
        }
    }
}

#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, a: S::f32s, b: S::f32s) -> S::f32s {
    multiply_add(simd, simd.splat_f32s(factor), a, b)
}

/// Bᵀ · d.
#[inline(always)]
fn analyse<S: Simd>(simd: S, d: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    let even = times(simd, -4.0, d[2], d[4]);
    let odd = times(simd, -4.0, d[1], d[3]);
    let outer = simd.sub_f32s(d[4], d[2]);
    let inner = simd.sub_f32s(d[3], d[1]);
    [
        times(simd, 4.0, d[0], times(simd, -5.0, d[2], d[4])),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        times(simd, 2.0, inner, outer),
        times(simd, -2.0, inner, outer),
        times(simd, 4.0, d[1], times(simd, -5.0, d[3], d[5])),
    ]
}

/// Aᵀ · m.
#[inline(always)]
fn synthesise<S: Simd>(simd: S, m: [S::f32s; PATCH]) -> [S::f32s; TILE] {
    let (near, near_odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (far, far_odd) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(near, far)),
        times(simd, 2.0, far_odd, near_odd),
        times(simd, 4.0, far, near),
        times(simd, 8.0, far_odd, simd.add_f32s(near_odd, m[5])),
    ]
}

/// The 4×4 sums of a tile for one vector of filters.
#[inline(always)]
fn sums<S: Simd>(
    simd: S,
    products: &[S::f32s],
    tile: usize,
    vector: usize,
    vectors: usize,
) -> [[S::f32s; TILE]; TILE] {
    let gap = BATCH * vectors + GAP / S::F32_LANES;
    let products = &products[tile * vectors + vector..];
    let mut half = [[simd.splat_f32s(0.0); PATCH]; TILE];
    for x in 0..PATCH {
        let mut column = [simd.splat_f32s(0.0); PATCH];
        for y in 0..PATCH {
            column[y] = products[(y * PATCH + x) * gap];
        }
        let column = synthesise(simd, column);
        for y in 0..TILE {
            half[y][x] = column[y];
        }
    }
    let mut sums = [[simd.splat_f32s(0.0); TILE]; TILE];
    for y in 0..TILE {
        sums[y] = synthesise(simd, half[y]);
    }
    sums
}

#[inline(always)]
fn store<S: Simd>(
    simd: S,
    products: &[S::f32s],
    tile: usize,
    place: [usize; 2],
    output: &mut [S::f32s],
    to: &Layout,
    finish: &Finish,
) {
    let vectors = to.stride / S::F32_LANES;
    for vector in 0..vectors {
        let finish = finish.vector(simd, vector);
        for (row, sums) in sums(simd, products, tile, vector, vectors).iter().enumerate() {
            let y = place[0] * TILE + row;
            if y >= to.height {
                break;
            }
            for (column, &sum) in sums.iter().enumerate() {
                let x = place[1] * TILE + column;
                if x < to.width {
                    let start = to.row(y) / S::F32_LANES;
                    output[start + x * vectors + vector] = finish.apply(simd, sum);
                }
            }
        }
    }
}

#[inline(always)]
fn store_pooled<S: Simd>(
    simd: S,
    products: &[S::f32s],
    tile: usize,
    place: [usize; 2],
    output: &mut [S::f32s],
    to: &Layout,
    finish: &Finish,
) {
    let vectors = to.stride / S::F32_LANES;
    for vector in 0..vectors {
        let finish = finish.vector(simd, vector);
        let sums = sums(simd, products, tile, vector, vectors);
        for row in 0..TILE / 2 {
            let y = place[0] * TILE / 2 + row;
            if y >= to.height {
                break;
            }
            for column in 0..TILE / 2 {
                let x = place[1] * TILE / 2 + column;
                if x < to.width {
                    let (upper, lower) = (&sums[2 * row][2 * column..], &sums[2 * row + 1][2 * column..]);
                    let (upper, lower) =
                        (simd.max_f32s(upper[0], upper[1]), simd.max_f32s(lower[0], lower[1]));
                    let start = to.row(y) / S::F32_LANES;
                    output[start + x * vectors + vector] = finish.apply(simd, simd.max_f32s(upper, lower));
                }
            }
        }
    }
}
