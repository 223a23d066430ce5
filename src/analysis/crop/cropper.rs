//! Bringing a region to the output size: rows are summed where they lie in memory, then blocks of
//! output rows go through the horizontal pass together.

use std::ops::Range;

use super::filter::Filter;
use super::sample::place;
use super::{Color, Component, Picture, Pixel, Rect, Sample, Unpack};
use crate::ops::transpose;

/// Output rows that go through the horizontal pass together, as lanes of a vector.
const BLOCK: usize = 8;

/// Brings regions to `width` × `height`, as bytes of three RGB planes. Keeps its buffers, so that
/// one used for frame after frame allocates nothing.
pub struct Cropper {
    width: usize,
    height: usize,
    components: [Resampled; 3],
    /// One output row before the horizontal pass: samples of the plane, weighted and summed.
    sums: Vec<f32>,
    /// A row of the picture, where they have to be unpacked.
    unpacked: Vec<Pixel>,
    turned: Turned,
}

/// A block of output rows of one component, with the rows' values side by side.
#[derive(Default)]
struct Turned {
    /// For each sample that the filter needs.
    samples: Vec<f32>,
    /// For each output value.
    filtered: Vec<f32>,
}

/// One component on its way to the output size.
#[derive(Default)]
struct Resampled {
    horizontal: Filter,
    vertical: Filter,
    /// A block of output rows before the horizontal pass: the samples that it needs, row by row.
    lines: Vec<f32>,
    values: Vec<f32>,
}

/// What becomes of the components of a plane.
#[derive(Clone, Copy, PartialEq)]
enum Mix {
    /// Each one is resampled for itself.
    Apart,
    /// Those sampled alike are added up beforehand with these weights: one pass instead of three.
    Weighted([f32; 3]),
}

impl Cropper {
    /// # Panics
    /// If a side is 0.
    pub fn new(width: usize, height: usize) -> Self {
        assert!(width > 0 && height > 0, "a crop without pixels");
        let component = || Resampled { values: vec![0.0; width * height], ..Resampled::default() };
        let components = [component(), component(), component()];
        let (sums, unpacked) = (Vec::new(), Vec::new());
        Self { width, height, components, sums, unpacked, turned: Turned::default() }
    }

    /// Resamples `region` of `picture` into `output` (3 × height × width bytes, R, G and B planes).
    /// Outside the picture its edge goes on; parts of the region further away than the picture is
    /// large are cut off.
    ///
    /// # Panics
    /// If `output` has another length, or a component's plane is shorter than it says.
    pub fn crop(&mut self, picture: &Picture, region: Rect, output: &mut [u8]) {
        assert_eq!(output.len(), 3 * self.width * self.height, "output is not three planes");
        pulp::Arch::new().dispatch(Crop { cropper: self, picture, region, mix: Mix::Apart, output });
    }

    /// As [`Cropper::crop`], but only the brightness (height × width bytes).
    ///
    /// # Panics
    /// If `output` has another length, or a component's plane is shorter than it says.
    pub fn crop_grey(&mut self, picture: &Picture, region: Rect, output: &mut [u8]) {
        assert_eq!(output.len(), self.width * self.height, "output is not one plane");
        let picture = &Picture { color: picture.color.brightness(), ..*picture };
        let mix = Mix::Weighted(picture.color.matrix[0]);
        pulp::Arch::new().dispatch(Crop { cropper: self, picture, region, mix, output });
    }

    /// Resamples what the picture's colour needs; tells which components then hold values.
    #[inline(always)]
    fn resample(&mut self, picture: &Picture, region: Rect, mix: Mix) -> [bool; 3] {
        let columns = limits(region.x, region.width, picture.width);
        let rows = limits(region.y, region.height, picture.height);
        let mut waiting = [0, 1, 2].map(|index| picture.color.uses(index));
        let mut results = waiting;
        for (index, (component, resampled)) in picture.components.iter().zip(&mut self.components).enumerate()
        {
            if waiting[index] {
                resampled.horizontal.prepare(columns, component.horizontal, self.width);
                resampled.vertical.prepare(rows, component.vertical, self.height);
            }
        }
        for leader in 0..3 {
            if !waiting[leader] {
                continue;
            }
            let first = &picture.components[leader];
            let members = [0, 1, 2].map(|index| {
                let other = &picture.components[index];
                let alike = (first.pixel_stride, first.horizontal) == (other.pixel_stride, other.horizontal);
                waiting[index]
                    && std::ptr::eq(first.plane, other.plane)
                    && (first.row_stride, first.vertical, first.sample)
                        == (other.row_stride, other.vertical, other.sample)
                    && (mix == Mix::Apart || alike)
            });
            self.resample_plane(picture, members, mix);
            for index in (0..3).filter(|&index| members[index]) {
                waiting[index] = false;
                results[index] = index == leader || mix == Mix::Apart;
            }
        }
        results
    }

    /// Resamples the components that `members` names, which are in one plane with the same rows.
    /// Where they are mixed, the first of them gets the result.
    #[inline(always)]
    fn resample_plane(&mut self, picture: &Picture, members: [bool; 3], mix: Mix) {
        let Self { width, height, components: resampled, sums, unpacked, turned } = self;
        let components = &picture.components;
        let members = || (0..3).filter(|&index| members[index]);
        let Some(leader) = members().next() else { return };
        let bytes = |index: usize| {
            let (component, span) = (&components[index], &resampled[index].horizontal.span);
            let byte = |sample: usize| component.offset + sample * component.pixel_stride;
            byte(span.start)..byte(span.end - 1) + component.sample.size()
        };
        let start = members().map(|index| bytes(index).start).min().unwrap_or(0);
        let end = members().map(|index| bytes(index).end).max().unwrap_or(0);
        // Rows are unpacked from their beginning on, and summed pixel by pixel.
        let pixel = if picture.unpack.is_some() { Pixel::SIZE } else { 1 };
        let (start, end) = (start / pixel * pixel, end.next_multiple_of(pixel));
        let Component { plane, row_stride, sample, .. } = components[leader];
        let mut skips = [0; 3];
        members().for_each(|index| skips[index] = (bytes(index).start - start) / sample.size());
        sums.resize((end - start) / sample.size(), 0.0);
        for first in (0..*height).step_by(BLOCK) {
            let rows = BLOCK.min(*height - first);
            for row in 0..rows {
                let (above, weights) = resampled[leader].vertical.taps(first + row);
                match (picture.unpack, sample) {
                    (Some(unpack), _) => {
                        let first = start + above * row_stride;
                        sum_unpacked(unpack, first, row_stride, weights, unpacked, sums);
                    }
                    (None, sample) => {
                        let rows = &plane[above * row_stride..];
                        sum_rows(sample, rows, row_stride, start..end, weights, sums);
                    }
                }
                for index in members() {
                    let (target, weight) = match mix {
                        Mix::Apart => (index, 1.0),
                        Mix::Weighted(weights) => (leader, weights[index]),
                    };
                    let kept = if target == index { 0.0 } else { 1.0 };
                    let line = resampled[target].line(row);
                    let step = components[index].pixel_stride / sample.size();
                    spread(&sums[skips[index]..], step, line, |place, sample| {
                        *place = kept * *place + weight * sample;
                    });
                }
            }
            for index in members().filter(|&index| mix == Mix::Apart || index == leader) {
                resampled[index].filter(turned, first * *width..(first + rows) * *width);
            }
        }
    }

    #[inline(always)]
    fn convert(&self, color: &Color, output: &mut [u8]) {
        let [first, second, third] = self.components.each_ref().map(|component| &component.values);
        let planes = output.chunks_exact_mut(self.width * self.height);
        for ((plane, matrix), offset) in planes.zip(&color.matrix).zip(color.offset) {
            for (((value, a), b), c) in plane.iter_mut().zip(first).zip(second).zip(third) {
                // The cast keeps the result from 0 to 255.
                *value = (matrix[0] * a + matrix[1] * b + matrix[2] * c + offset + 0.5) as u8;
            }
        }
    }

    /// Adds up the components that hold values.
    #[inline(always)]
    fn add_up(&self, results: [bool; 3], offset: f32, output: &mut [u8]) {
        if results == [true, false, false] {
            let pixels = output.iter_mut().zip(&self.components[0].values);
            return pixels.for_each(|(pixel, value)| *pixel = (value + offset + 0.5) as u8);
        }
        let [a, b, c] = results.map(|used| f32::from(u8::from(used)));
        let [first, second, third] = self.components.each_ref().map(|component| &component.values);
        for (((value, x), y), z) in output.iter_mut().zip(first).zip(second).zip(third) {
            *value = (a * x + b * y + c * z + offset + 0.5) as u8;
        }
    }
}

impl Resampled {
    /// One row of the block.
    #[inline(always)]
    fn line(&mut self, row: usize) -> &mut [f32] {
        let len = self.horizontal.span.len();
        self.lines.resize(BLOCK * len, 0.0);
        &mut self.lines[row * len..][..len]
    }

    /// Filters the block into some rows of the values. Rows are lanes: output values differ in their
    /// samples, rows don't.
    #[inline(always)]
    fn filter(&mut self, turned: &mut Turned, target: Range<usize>) {
        let Self { horizontal, lines, values, .. } = self;
        let (span, width) = (horizontal.span.len(), horizontal.outputs());
        if horizontal.copies() {
            let len = target.len();
            return values[target].copy_from_slice(&lines[..len]);
        }
        turned.samples.resize(BLOCK * span, 0.0);
        turned.filtered.resize(BLOCK * width, 0.0);
        transpose(lines, span, [BLOCK, span], &mut turned.samples, BLOCK);
        let samples = turned.samples.as_chunks::<BLOCK>().0;
        for (x, filtered) in turned.filtered.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let (first, weights) = horizontal.taps(x);
            let mut sums = [0.0; BLOCK];
            for (sample, weight) in samples[first - horizontal.span.start..].iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(sample) {
                    *sum += weight * value;
                }
            }
            *filtered = sums;
        }
        transpose(&turned.filtered, BLOCK, [width, target.len() / width], &mut values[target], width);
    }
}

/// Hands every `step`th of `samples` to its place in `line`.
#[inline(always)]
fn spread(samples: &[f32], step: usize, line: &mut [f32], take: impl Fn(&mut f32, f32)) {
    // A step that is known when compiling makes a loop that vectorises.
    match step {
        1 => every::<1>(samples, line, take),
        2 => every::<2>(samples, line, take),
        3 => every::<3>(samples, line, take),
        4 => every::<4>(samples, line, take),
        _ => {
            line.iter_mut().zip(samples.iter().step_by(step)).for_each(|(place, &sample)| take(place, sample))
        }
    }
}

#[inline(always)]
fn every<const STEP: usize>(samples: &[f32], line: &mut [f32], take: impl Fn(&mut f32, f32)) {
    let (whole, rest) = samples.as_chunks::<STEP>();
    let samples = whole.iter().map(|chunk| chunk[0]).chain(rest.first().copied());
    line.iter_mut().zip(samples).for_each(|(place, sample)| take(place, sample));
}

/// One crop, compiled for the instructions that the machine has: the loops vectorise by themselves.
struct Crop<'a> {
    cropper: &'a mut Cropper,
    picture: &'a Picture<'a>,
    region: Rect,
    mix: Mix,
    output: &'a mut [u8],
}

impl pulp::WithSimd for Crop<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { cropper, picture, region, mix, output } = self;
        let results = cropper.resample(picture, region, mix);
        match mix {
            Mix::Apart => cropper.convert(&picture.color, output),
            Mix::Weighted(_) => cropper.add_up(results, picture.color.offset[0], output),
        }
    }
}

/// Where a region begins and ends, within one picture's length of a picture from 0 to `len`.
fn limits(start: f32, length: f32, len: usize) -> (f32, f32) {
    let len = len as f32;
    let limit = |x: f32| if x.is_finite() { x.clamp(-len, 2.0 * len) } else { 0.0 };
    (limit(start), limit(start + length))
}

/// Writes to `sums` the samples in the bytes `columns` of the first rows of `plane`, times the rows' weights.
#[inline(always)]
fn sum_rows(
    sample: Sample,
    plane: &[u8],
    row_stride: usize,
    columns: Range<usize>,
    weights: &[f32],
    sums: &mut [f32],
) {
    // Each with a loop of its own, which vectorises.
    match sample {
        Sample::Byte => sum_samples(|[byte]: [u8; 1]| byte.into(), plane, row_stride, columns, weights, sums),
        Sample::Little => {
            let value = |bytes: [u8; 2]| u16::from_le_bytes(bytes).into();
            sum_samples(value, plane, row_stride, columns, weights, sums);
        }
        Sample::Big => {
            let value = |bytes: [u8; 2]| u16::from_be_bytes(bytes).into();
            sum_samples(value, plane, row_stride, columns, weights, sums);
        }
    }
}

#[inline(always)]
fn sum_samples<const SIZE: usize>(
    value: impl Fn([u8; SIZE]) -> f32,
    plane: &[u8],
    row_stride: usize,
    columns: Range<usize>,
    weights: &[f32],
    sums: &mut [f32],
) {
    sums.fill(0.0);
    let row = |index: usize| plane[index * row_stride..][columns.clone()].as_chunks::<SIZE>().0;
    let used = used(weights);
    let mut pairs = weights[..used].chunks_exact(2);
    // Two rows at a time halve the trips of `sums` through memory.
    for (index, pair) in pairs.by_ref().enumerate() {
        for ((sum, &a), &b) in sums.iter_mut().zip(row(2 * index)).zip(row(2 * index + 1)) {
            *sum += pair[0] * value(a) + pair[1] * value(b);
        }
    }
    if let [weight] = pairs.remainder() {
        for (sum, &sample) in sums.iter_mut().zip(row(used - 1)) {
            *sum += weight * value(sample);
        }
    }
}

/// The same for rows that have to be unpacked, of which the first one's samples begin at the byte `first`.
#[inline(always)]
fn sum_unpacked(
    unpack: &dyn Unpack,
    first: usize,
    row_stride: usize,
    weights: &[f32],
    line: &mut Vec<Pixel>,
    sums: &mut [f32],
) {
    sums.fill(0.0);
    let sums = sums.as_chunks_mut::<4>().0;
    for (index, &weight) in weights[..used(weights)].iter().enumerate() {
        if weight == 0.0 {
            continue;
        }
        let (row, skip) = place(first + index * row_stride, unpack);
        let skip = skip / Pixel::SIZE;
        line.resize(skip + sums.len(), Pixel::default());
        unpack.unpack(row, line);
        for (sums, pixel) in sums.iter_mut().zip(&line[skip..]) {
            sums.iter_mut().zip(pixel.0).for_each(|(sum, sample)| *sum += weight * f32::from(sample));
        }
    }
}

/// How many weights there are up to the last that isn't 0.
fn used(weights: &[f32]) -> usize {
    weights.len() - weights.iter().rev().take_while(|&&weight| weight == 0.0).count()
}
