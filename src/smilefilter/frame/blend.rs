//! Drawing on frames of any format.
//!
//! GStreamer's `gst_video_overlay_composition_blend` unpacks and packs whole rows, which costs more, needs
//! pixels at multiples of their size, leaves nothing of a palette, and takes all colours for those of
//! ITU-R BT.709. Here nothing is written but the samples of pixels that are drawn on.

use std::ops::Range;

use gst_video::prelude::*;
use gst_video::video_frame::IsVideoFrame;
use gst_video::{VideoFrameRef, VideoInfo, VideoOverlayComposition};

use super::layout::{self, Layout};
use super::{range, unpack, weights};
use crate::analysis::crop::Pixel;

/// Bytes that packing a row may write behind it, at most.
const PACKED_MORE: usize = 64;

/// Draws on frames. Keeps its buffers, so that one used for frame after frame allocates nothing.
#[derive(Default)]
pub struct Blender {
    stamps: Vec<Stamp>,
    /// How much of each pixel of a stamp is seen.
    shares: Vec<f32>,
    /// A row of the frame, where they have to be unpacked: as it is drawn on, and to be packed.
    line: Vec<Pixel>,
    packed: Vec<Pixel>,
    /// Rows packed again without and with what is drawn, laid out as the frame. The same but for rows at work.
    before: Vec<Pixel>,
    after: Vec<Pixel>,
}

/// A picture in ARGB, in the machine's byte order, and its place on the frame.
struct Stamp {
    x: i32,
    y: i32,
    width: i32,
    height: i32,
    pixels: gst::MappedBuffer<gst::buffer::Readable>,
}

impl Stamp {
    /// Its columns on a frame of this width.
    fn columns(&self, width: i32) -> Range<i32> {
        self.x.clamp(0, width)..(self.x + self.width).clamp(0, width)
    }

    fn rows(&self, height: i32) -> Range<i32> {
        self.y.clamp(0, height)..(self.y + self.height).clamp(0, height)
    }

    /// Alpha, red, green and blue at a place of the frame.
    #[inline(always)]
    fn pixel(&self, x: i32, y: i32) -> [u8; 4] {
        let index = (y - self.y) as usize * self.width as usize + (x - self.x) as usize;
        let bytes = self.pixels[4 * index..][..4].try_into().unwrap_or_default();
        u32::from_ne_bytes(bytes).to_be_bytes()
    }
}

/// How colours become samples.
struct Paint {
    /// For each component the weights of red, green and blue, and what comes on top.
    factors: [[f32; 4]; 3],
    /// The most that a sample of each component can be.
    most: [f32; 4],
}

impl Paint {
    fn new(info: &VideoInfo, layout: Option<Layout>) -> Self {
        let [zero, span] = range(info, layout);
        let rows = if info.is_rgb() {
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        } else {
            let (kr, kb) = weights(info);
            let luma = [kr, 1.0 - kr - kb, kb];
            let difference = |of: usize, weight: f32| {
                let mut row = luma.map(|luma| -luma / (2.0 * (1.0 - weight)));
                row[of] = 0.5;
                row
            };
            [luma, difference(2, kb), difference(0, kr)]
        };
        let factors = [0, 1, 2].map(|index| {
            let [red, green, blue] = rows[index].map(|factor| factor * span[index] / 255.0);
            [red, green, blue, zero[index]]
        });
        let format = info.format_info();
        let depth = |index: usize| match layout {
            Some(_) => format.depth().get(index).copied().unwrap_or(8),
            None if unpack::is_deep(format) => 16,
            None => 8,
        };
        let shift = layout.map_or(0, |layout| layout.shift);
        let most = [0, 1, 2, 3].map(|index| (((1u32 << depth(index)) - 1) << shift) as f32);
        Self { factors, most }
    }

    #[inline(always)]
    fn sample(&self, component: usize, [red, green, blue]: [u8; 3]) -> f32 {
        let [r, g, b, offset] = self.factors[component];
        r * f32::from(red) + g * f32::from(green) + b * f32::from(blue) + offset
    }
}

/// How much of a colour with `alpha` is seen over one with the alpha `below`, and the alpha of both; all from
/// 0 to 1.
fn over(alpha: f32, below: f32) -> (f32, f32) {
    let both = alpha + below * (1.0 - alpha);
    (if both > 0.0 { alpha / both } else { 0.0 }, both)
}

impl Blender {
    /// Draws `composition`, which isn't scaled and has no alpha of its own, on a frame.
    ///
    /// # Errors
    /// Where the frame can't be written, or its samples aren't where it says.
    pub fn blend(
        &mut self,
        composition: &VideoOverlayComposition,
        buffer: &mut gst::BufferRef,
        info: &VideoInfo,
    ) -> Result<(), glib::BoolError> {
        self.stamps.clear();
        for rectangle in composition {
            let (x, y, width, height) = rectangle.render_rectangle();
            let pixels = rectangle.pixels_unscaled_raw(rectangle.flags()).into_mapped_buffer_readable();
            let pixels = pixels.map_err(|_| glib::bool_error!("what is drawn can't be read"))?;
            if pixels.len() != 4 * width as usize * height as usize {
                return Err(glib::bool_error!("what is drawn is scaled"));
            }
            self.stamps.push(Stamp { x, y, width: width as i32, height: height as i32, pixels });
        }
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, info)?;
        let format = frame.format_info();
        let layout = Layout::new(format);
        let paint = Paint::new(frame.info(), layout);
        match layout {
            Some(layout) => {
                let Self { stamps, shares, .. } = self;
                stamps.iter().try_for_each(|stamp| draw(stamp, &mut frame, layout, &paint, shares))?;
            }
            None if format.has_palette() => self.draw_on_palette(&mut frame)?,
            None => self.draw_unpacked(&mut frame, &paint)?,
        }
        self.stamps.clear();
        Ok(())
    }

    /// Draws on rows that have to be unpacked.
    fn draw_unpacked(
        &mut self,
        frame: &mut VideoFrameRef<&mut gst::BufferRef>,
        paint: &Paint,
    ) -> Result<(), glib::BoolError> {
        let Self { stamps, line, packed, before, after, .. } = self;
        unpack::check(frame)?;
        let (width, height) = (frame.width() as i32, frame.height() as i32);
        let format = frame.format_info();
        let has_alpha = format.n_components() == 4;
        let mut begins = [0; 4];
        let mut end = 0;
        let planes = frame.n_planes() as usize;
        for (plane, begin) in begins.iter_mut().enumerate().take(planes) {
            *begin = end;
            // Some of GStreamer's functions write the last pixel of an odd number as two.
            end += (layout::place(frame, plane)?.1 + PACKED_MORE).div_ceil(Pixel::SIZE);
        }
        if before.len() != end {
            before.clear();
            before.resize(end, Pixel::default());
            after.clone_from(before);
        }
        line.resize(width as usize, Pixel::default());
        let covers =
            |stamp: &&Stamp, y: i32| stamp.rows(height).contains(&y) && !stamp.columns(width).is_empty();
        let mut touched = 0..0;
        for y in 0..height {
            if !stamps.iter().any(|stamp| covers(&stamp, y)) {
                continue;
            }
            touched = if touched.is_empty() { y..y + 1 } else { touched.start..y + 1 };
            let to = |scratch: &mut Vec<Pixel>| {
                let base = scratch.as_mut_ptr();
                begins.map(|begin| base.wrapping_add(begin).cast::<u8>())
            };
            // SAFETY: `check` has seen that all rows are in memory, of which this is one, and there is as much
            // memory for those that are packed.
            unsafe { unpack::row(frame.as_raw(), format, y as usize, line) };
            packed.clone_from(line);
            // SAFETY: As above.
            unsafe { unpack::pack(frame.as_raw(), format, to(before), y as usize, packed) };
            for stamp in stamps.iter().filter(|stamp| covers(stamp, y)) {
                for x in stamp.columns(width) {
                    draw_pixel(&mut line[x as usize], stamp.pixel(x, y), has_alpha, paint);
                }
            }
            packed.clone_from(line);
            // SAFETY: As above.
            unsafe { unpack::pack(frame.as_raw(), format, to(after), y as usize, packed) };
        }
        for (plane, &begin) in begins.iter().enumerate().take(planes) {
            let rows = bytes_of_rows(frame, plane, &touched)?;
            let target = layout::plane_mut(frame, plane)?;
            let rows = rows.start.min(target.len())..rows.end.min(target.len());
            let scratch = begin..begin + target.len().div_ceil(Pixel::SIZE);
            let [before, after] = [&mut before[scratch.clone()], &mut after[scratch]].map(bytes);
            merge(&mut target[rows.clone()], &mut before[rows.clone()], &after[rows]);
        }
        Ok(())
    }

    /// Draws with the colours of the palette that come nearest.
    fn draw_on_palette(
        &mut self,
        frame: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), glib::BoolError> {
        let (width, height) = (frame.width() as i32, frame.height() as i32);
        let row_stride = layout::row_stride(0, frame.plane_stride()[0])?;
        let mut palette = [[0; 4]; 256];
        for (color, bytes) in palette.iter_mut().zip(layout::plane_mut(frame, 1)?.as_chunks::<4>().0) {
            *color = u32::from_ne_bytes(*bytes).to_be_bytes();
        }
        let indices = layout::plane_mut(frame, 0)?;
        for stamp in &self.stamps {
            // Neighbours are mostly of the same colours.
            let mut last = None;
            for y in stamp.rows(height) {
                for x in stamp.columns(width) {
                    let pixel = stamp.pixel(x, y);
                    let index = &mut indices[y as usize * row_stride + x as usize];
                    let (key, alpha) = ((*index, pixel), f32::from(pixel[0]) / 255.0);
                    if pixel[0] == 0 {
                        continue;
                    }
                    *index = match last {
                        Some((drawn, found)) if drawn == key => found,
                        _ => {
                            let below = palette[usize::from(*index)];
                            let (share, both) = over(alpha, f32::from(below[0]) / 255.0);
                            let mix = |below: u8, above: u8| {
                                f32::from(below) + share * (f32::from(above) - f32::from(below))
                            };
                            let [_, red, green, blue] = [0, 1, 2, 3].map(|k| mix(below[k], pixel[k]));
                            nearest(&palette, [255.0 * both, red, green, blue])
                        }
                    };
                    last = Some((key, *index));
                }
            }
        }
        Ok(())
    }
}

/// The index of the colour that comes nearest.
fn nearest(palette: &[[u8; 4]; 256], wanted: [f32; 4]) -> u8 {
    let distance =
        |color: &[u8; 4]| color.iter().zip(wanted).map(|(&a, b)| (f32::from(a) - b).powi(2)).sum::<f32>();
    let best = palette.iter().map(distance).enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map_or(0, |(index, _)| index as u8)
}

fn draw_pixel(pixel: &mut Pixel, [alpha, red, green, blue]: [u8; 4], has_alpha: bool, paint: &Paint) {
    if alpha == 0 {
        return;
    }
    let [below, samples @ ..] = &mut pixel.0;
    let most = paint.most[0];
    let below_alpha = if has_alpha { f32::from(*below) / most } else { 1.0 };
    let (share, both) = over(f32::from(alpha) / 255.0, below_alpha);
    if has_alpha {
        *below = (most * both).round() as u16;
    }
    for (component, sample) in samples.iter_mut().enumerate() {
        let (old, new) = (f32::from(*sample), paint.sample(component, [red, green, blue]));
        *sample = (old + share * (new - old)).round().clamp(0.0, most) as u16;
    }
}

/// The bytes of a plane in which rows of the frame are.
fn bytes_of_rows(
    frame: &VideoFrameRef<&mut gst::BufferRef>,
    plane: usize,
    rows: &Range<i32>,
) -> Result<Range<usize>, glib::BoolError> {
    let format = frame.format_info();
    if format.is_tiled() {
        return Ok(0..usize::MAX);
    }
    let index = format.plane().iter().position(|&of| of as usize == plane).unwrap_or(0);
    let row_stride = layout::row_stride(plane, frame.plane_stride()[plane])?;
    let down = format.h_sub()[index];
    let row = |y: i32| (y as usize >> down) * row_stride;
    Ok(if rows.is_empty() { 0..0 } else { row(rows.start)..row(rows.end - 1) + row_stride })
}

/// Takes over the bits that drawing has changed, and no others: what is packed again may lose what lies
/// between samples. Leaves `before` as `after`.
fn merge(target: &mut [u8], before: &mut [u8], after: &[u8]) {
    for ((target, before), after) in target.iter_mut().zip(before).zip(after) {
        let changed = *before ^ after;
        *target = (*target & !changed) | (after & changed);
        *before = *after;
    }
}

fn bytes(pixels: &mut [Pixel]) -> &mut [u8] {
    // SAFETY: A pixel is four numbers without anything between them, of which all bytes are sound.
    unsafe { std::slice::from_raw_parts_mut(pixels.as_mut_ptr().cast(), size_of_val(pixels)) }
}

/// Draws on samples where they lie. `shares` is for how much of each pixel of the stamp is seen.
fn draw(
    stamp: &Stamp,
    frame: &mut VideoFrameRef<&mut gst::BufferRef>,
    layout: Layout,
    paint: &Paint,
    shares: &mut Vec<f32>,
) -> Result<(), glib::BoolError> {
    let (columns, rows) = (stamp.columns(frame.width() as i32), stamp.rows(frame.height() as i32));
    shares.clear();
    for y in rows.clone() {
        shares.extend(columns.clone().map(|x| f32::from(stamp.pixel(x, y)[0]) / 255.0));
    }
    if shares.is_empty() {
        return Ok(());
    }
    let format = frame.format_info();
    if format.n_components() == 4 {
        let mut alphas = Samples::new(frame, 3, layout)?;
        let mut shares = shares.iter_mut();
        for y in rows.clone() {
            for (x, share) in columns.clone().zip(&mut shares).filter(|(_, share)| **share > 0.0) {
                let sample = alphas.at(x, y);
                let below = f32::from(layout.sample.read(sample)) / paint.most[3];
                let both;
                (*share, both) = over(*share, below);
                layout.sample.write(sample, round(paint.most[3] * both, layout.shift, paint.most[3]));
            }
        }
    }
    for component in 0..format.n_components().min(3) as usize {
        let mut samples = Samples::new(frame, component, layout)?;
        samples.draw(stamp, component, [&columns, &rows], shares, layout, paint);
    }
    Ok(())
}

/// The samples of a component.
struct Samples<'a> {
    plane: &'a mut [u8],
    pixel_stride: usize,
    row_stride: usize,
    /// Subsampling across and down, as powers of 2.
    across: u32,
    down: u32,
    /// Of the frame.
    size: [i32; 2],
}

impl<'a> Samples<'a> {
    fn new(
        frame: &'a mut VideoFrameRef<&mut gst::BufferRef>,
        component: usize,
        layout: Layout,
    ) -> Result<Self, glib::BoolError> {
        let format = frame.format_info();
        let plane = format.plane()[component] as usize;
        let row_stride = layout::row_stride(plane, frame.plane_stride()[plane])?;
        let size = [frame.width() as i32, frame.height() as i32];
        Ok(Self {
            plane: &mut layout::plane_mut(frame, plane)?[layout.offsets[component]..],
            pixel_stride: format.pixel_stride()[component] as usize,
            row_stride,
            across: format.w_sub()[component],
            down: format.h_sub()[component],
            size,
        })
    }

    #[inline(always)]
    fn at(&mut self, column: i32, row: i32) -> &mut [u8] {
        &mut self.plane[row as usize * self.row_stride + column as usize * self.pixel_stride..]
    }

    /// Draws what is seen of a stamp in these columns and rows of the frame. A sample of several pixels
    /// becomes their mean.
    #[inline(always)]
    fn draw(
        &mut self,
        stamp: &Stamp,
        component: usize,
        [columns, rows]: [&Range<i32>; 2],
        shares: &[f32],
        layout: Layout,
        paint: &Paint,
    ) {
        let (across, down) = (self.across, self.down);
        let [width, height] = self.size;
        // Of one of several pixels: those that there are, and those of them that the stamp covers.
        let pixels = |sample: i32, by: u32, len: i32| (sample << by)..((sample + 1) << by).min(len);
        let within = |pixels: &Range<i32>, bounds: &Range<i32>| {
            pixels.start.max(bounds.start)..pixels.end.min(bounds.end)
        };
        for row in (rows.start >> down)..((rows.end - 1) >> down) + 1 {
            let all_rows = pixels(row, down, height);
            let rows_within = within(&all_rows, rows);
            for column in (columns.start >> across)..((columns.end - 1) >> across) + 1 {
                let all_columns = pixels(column, across, width);
                let (mut share, mut sum) = (0.0, 0.0);
                for y in rows_within.clone() {
                    for x in within(&all_columns, columns) {
                        let index = (y - rows.start) as usize * columns.len() + (x - columns.start) as usize;
                        if shares[index] > 0.0 {
                            let [_, red, green, blue] = stamp.pixel(x, y);
                            share += shares[index];
                            sum += shares[index] * paint.sample(component, [red, green, blue]);
                        }
                    }
                }
                if share > 0.0 {
                    let count = (all_rows.len() * all_columns.len()) as f32;
                    let sample = self.at(column, row);
                    let old = f32::from(layout.sample.read(sample));
                    let new = old + (sum - share * old) / count;
                    layout.sample.write(sample, round(new, layout.shift, paint.most[component]));
                }
            }
        }
    }
}

/// The nearest number that a sample can be: from 0 to `most`, without its `shift` lowest bits.
#[inline(always)]
fn round(value: f32, shift: u32, most: f32) -> u16 {
    let unit = (1u32 << shift) as f32;
    ((value.clamp(0.0, most) / unit + 0.5) as u16) << shift
}
