//! The matrix product that convolutions and dense layers come down to.

use std::sync::Arc;

use candle_core::Result;
use pulp::Simd;

use super::buffer::Buffer;
use crate::ops::simd::multiply_add;

/// Vectors of filters that are computed side by side, at most.
const GROUP: usize = 4;

/// A matrix of `taps` rows and one column for each filter, laid out for [`Product`]: by groups of
/// up to [`GROUP`] vectors of filters, and in a group by taps. Clones share it.
#[derive(Clone, Debug)]
pub struct Packed {
    weights: Arc<Buffer>,
    taps: usize,
    /// Filters in vectors, rounded up.
    vectors: usize,
}

impl Packed {
    /// `weight` gives the value for a tap and a filter.
    pub fn new(
        taps: usize,
        filters: usize,
        lanes: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Result<Self> {
        let vectors = filters.div_ceil(lanes);
        let mut weights = Buffer::new(taps * vectors * lanes)?;
        for (first, count) in groups(vectors) {
            let group = &mut weights.values_mut()[first * lanes * taps..];
            for (tap, row) in group.chunks_exact_mut(count * lanes).take(taps).enumerate() {
                for (lane, value) in row.iter_mut().enumerate() {
                    let filter = first * lanes + lane;
                    if filter < filters {
                        *value = weight(tap, filter);
                    }
                }
            }
        }
        Ok(Self { weights: Arc::new(weights), taps, vectors })
    }

    /// First vector and number of vectors of each group.
    #[inline(always)]
    pub fn groups(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        groups(self.vectors)
    }

    /// The taps of the group that begins with the vector `first`.
    #[inline(always)]
    pub fn group<const V: usize, S: Simd>(&self, _: S, first: usize) -> &[[S::f32s; V]] {
        let weights = &self.weights.values()[first * S::F32_LANES * self.taps..];
        &S::as_simd_f32s(weights).0.as_chunks().0[..self.taps]
    }
}

#[inline(always)]
fn groups(vectors: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..vectors).step_by(GROUP).map(move |first| (first, GROUP.min(vectors - first)))
}

// Here and in what is built on it, closures and the arrays' own `map` and `from_fn` stay away from
// vectors: compiled without the instruction set, they would not be inlined.

/// Adds to `sums` the products of `rows` with `weights`.
#[inline(always)]
pub fn multiply<S: Simd, const P: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; P],
    rows: [&[f32]; P],
    weights: &[[S::f32s; V]],
) {
    let mut rows = rows;
    for row in &mut rows {
        *row = &row[..weights.len()];
    }
    for (tap, weights) in weights.iter().enumerate() {
        // The side that is held in registers is the smaller one: with 12 sums there are 4 left.
        if P < V {
            let mut values = [simd.splat_f32s(0.0); P];
            for p in 0..P {
                values[p] = simd.splat_f32s(rows[p][tap]);
            }
            for v in 0..V {
                let weight = weights[v];
                for p in 0..P {
                    sums[p][v] = multiply_add(simd, values[p], weight, sums[p][v]);
                }
            }
        } else {
            let weights = *weights;
            for p in 0..P {
                let value = simd.splat_f32s(rows[p][tap]);
                for v in 0..V {
                    sums[p][v] = multiply_add(simd, value, weights[v], sums[p][v]);
                }
            }
        }
    }
}

/// The rest of `values` from `first` on, then from `step` further on for each of the others.
#[inline(always)]
pub fn rows_from<const P: usize>(values: &[f32], first: usize, step: usize) -> [&[f32]; P] {
    let mut rows = [&values[..0]; P];
    for (p, row) in rows.iter_mut().enumerate() {
        *row = &values[first + p * step..];
    }
    rows
}

/// Something computed for rows side by side: `P` rows times `V` vectors of filters at a time.
pub trait Product<S: Simd> {
    /// Computes the rows from `row` on, for the `V` vectors of filters from `first` on.
    fn block<const P: usize, const V: usize>(&mut self, simd: S, row: usize, first: usize);

    /// Computes `rows` rows for a group of vectors, in blocks whose sums fit the registers. Blocks
    /// may overlap, so that a row may be computed twice.
    #[inline(always)]
    fn compute(&mut self, simd: S, rows: usize, (first, vectors): (usize, usize)) {
        match (vectors, S::REGISTER_COUNT >= 32) {
            (1, false) => sweep::<S, Self, 8, 4, 1>(self, simd, rows, first),
            (2, false) => sweep::<S, Self, 6, 3, 2>(self, simd, rows, first),
            (3, false) => sweep::<S, Self, 4, 2, 3>(self, simd, rows, first),
            (_, false) => sweep::<S, Self, 3, 2, 4>(self, simd, rows, first),
            (1, true) => sweep::<S, Self, 12, 6, 1>(self, simd, rows, first),
            (2, true) => sweep::<S, Self, 12, 6, 2>(self, simd, rows, first),
            (3, true) => sweep::<S, Self, 8, 4, 3>(self, simd, rows, first),
            (_, true) => sweep::<S, Self, 6, 3, 4>(self, simd, rows, first),
        }
    }
}

#[inline(always)]
fn sweep<S: Simd, O: Product<S> + ?Sized, const P: usize, const HALF: usize, const V: usize>(
    op: &mut O,
    simd: S,
    rows: usize,
    first: usize,
) {
    let mut row = 0;
    while row + P <= rows {
        op.block::<P, V>(simd, row, first);
        row += P;
    }
    let rest = rows - row;
    if rest > HALF && rows >= P {
        op.block::<P, V>(simd, rows - P, first);
    } else if rest > 0 && rows >= HALF && rest <= HALF {
        op.block::<HALF, V>(simd, rows - HALF, first);
    } else if rest > 0 {
        for row in row..rows {
            op.block::<1, V>(simd, row, first);
        }
    }
}
