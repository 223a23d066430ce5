//! Where samples lie in memory.

use gst_video::VideoFormat::*;
use gst_video::prelude::*;
use gst_video::video_frame::IsVideoFrame;
use gst_video::{VideoFormatInfo, VideoFrameRef, VideoInfo};

use crate::analysis::crop::Sample;

/// How samples lie in formats in which each has bytes of its own.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub sample: Sample,
    /// For each component, bytes before its first sample in a row.
    pub offsets: [usize; 4],
    /// Unused bits below each sample.
    pub shift: u32,
}

impl Layout {
    /// `None` where samples have to be unpacked: where some share bytes, or are in tiles or a palette.
    pub fn new(format: VideoFormatInfo) -> Option<Self> {
        // GStreamer 1.22 doesn't call IYU1 complex.
        let strided = format.pixel_stride().iter().all(|&stride| stride > 0);
        if format.is_complex() || format.is_tiled() || format.has_palette() || !strided {
            return None;
        }
        let sample = match (format.depth()[0] > 8, format.is_le()) {
            (false, _) => Sample::Byte,
            (true, true) => Sample::Little,
            (true, false) => Sample::Big,
        };
        let mut offsets = [0; 4];
        offsets.iter_mut().zip(format.poffset()).for_each(|(to, from)| *to = *from as usize);
        let mut layout = Self { sample, offsets, shift: format.shift()[0] };
        // What GStreamer 1.22 says of these isn't what its own unpacking does.
        match format.format() {
            P01010le | P01010be | P012Le | P012Be | P016Le | P016Be => layout.offsets = [0, 0, 2, 0],
            Y210 => layout = Self { sample: Sample::Little, offsets: [0, 2, 6, 0], shift: 6 },
            Y212Le | Y212Be => layout.offsets = [0, 2, 6, 0],
            Y412Le | Y412Be => layout.offsets = [2, 0, 4, 6],
            V216 => layout.sample = Sample::Little,
            Vyuy => layout.offsets = [1, 2, 0, 0],
            _ => {}
        }
        let size = layout.sample.size();
        let apart = |a: usize, b: usize| {
            format.plane()[a] != format.plane()[b] || layout.offsets[a].abs_diff(layout.offsets[b]) >= size
        };
        let components = format.n_components() as usize;
        let all_apart = (0..components).all(|a| (0..a).all(|b| apart(a, b)));
        all_apart.then_some(layout)
    }

    /// Bytes of a row from its beginning to the end of the last sample in it.
    pub fn row_len(&self, format: &VideoFormatInfo, plane: usize, width: u32) -> usize {
        let end = |index: usize| {
            let columns = format.scale_width(index as u8, width) as usize;
            self.offsets[index] + (columns - 1) * format.pixel_stride()[index] as usize + self.sample.size()
        };
        components(format, plane).map(end).max().unwrap_or(0)
    }
}

/// The components in a plane.
fn components(format: &VideoFormatInfo, plane: usize) -> impl Iterator<Item = usize> {
    (0..format.n_components() as usize).filter(move |&index| format.plane()[index] as usize == plane)
}

/// Bytes from one row to the next.
///
/// # Errors
/// Where rows go backwards in memory.
pub fn row_stride(plane: usize, stride: i32) -> Result<usize, glib::BoolError> {
    usize::try_from(stride).map_err(|_| glib::bool_error!("rows of plane {plane} go backwards"))
}

/// Looks whether all samples of a frame lie where its buffer has memory, and the buffer is what its caps say.
///
/// Mapping a frame only looks for where planes begin: rows that a wrong [`gst_video::VideoMeta`] describes
/// would be read, and drawn on, outside of the buffer.
///
/// # Errors
/// Where they don't, rows go backwards in memory, the buffer has another format or size than its caps, or
/// only a part of it is to be shown.
pub fn check(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), glib::BoolError> {
    check_crop(buffer, info)?;
    let Some(meta) = buffer.meta::<gst_video::VideoMeta>() else { return Ok(()) };
    if meta.format() != info.format() {
        return Err(glib::bool_error!("the buffer is in {}, its caps say {}", meta.format(), info.format()));
    }
    let (size, said) = ([meta.width(), meta.height()], [info.width(), info.height()]);
    if size != said {
        return Err(glib::bool_error!("the buffer is of {size:?} pixels, its caps say {said:?}"));
    }
    for plane in 0..info.n_planes() as usize {
        let len = len(info, plane, meta.stride()[plane])?;
        let begin = meta.offset()[plane];
        let memories = buffer.find_memory(begin..begin.saturating_add(len));
        if memories.is_none_or(|(memories, _)| memories.len() != 1) {
            return Err(glib::bool_error!("plane {plane} ends outside of its memory"));
        }
    }
    Ok(())
}

/// Upstream is asked for whole pictures (see `propose_allocation`), but may not ask what is understood.
fn check_crop(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), glib::BoolError> {
    let whole = (0, 0, info.width(), info.height());
    match buffer.meta::<gst_video::VideoCropMeta>() {
        Some(meta) if meta.rect() != whole => Err(glib::bool_error!(
            "only a part of the buffer is to be shown (GstVideoCropMeta), which can't be analysed; put \
             videocrop or videoconvert before smilefilter, which cut it out"
        )),
        _ => Ok(()),
    }
}

/// Bytes from a plane's beginning to the end of its last sample, for frames like `info`, whatever the strides
/// there.
///
/// # Errors
/// Where rows go backwards in memory, or tiles don't cover the frame.
fn len(info: &VideoInfo, plane: usize, stride: i32) -> Result<usize, glib::BoolError> {
    let format = info.format_info();
    if format.has_palette() && plane == 1 {
        return Ok(256 * 4);
    }
    let rows = components(&format, plane).map(|index| format.scale_height(index as u8, info.height())).max();
    let rows = rows.unwrap_or(1) as usize;
    if let Some(layout) = Layout::new(format) {
        let before_last = (rows - 1).saturating_mul(row_stride(plane, stride)?);
        return Ok(before_last.saturating_add(layout.row_len(&format, plane, info.width())));
    }
    // How many bytes unpacking reads of a row is GStreamer's secret: those that it would allocate will do.
    let usual = VideoInfo::builder(info.format(), info.width(), info.height()).build()?;
    let row_len = usual.stride()[plane];
    if !format.is_tiled() {
        let before_last = (rows - 1).saturating_mul(row_stride(plane, stride)?);
        return Ok(before_last.saturating_add(row_len as usize));
    }
    let tiles = |stride: i32| [stride & 0xffff, stride >> 16];
    let ([across, down], [least_across, least_down]) = (tiles(stride), tiles(row_len));
    // Some formats order them in pairs.
    let covers = |tiles: i32, least: i32| tiles >= least && (tiles - least) % 2 == 0;
    if !covers(across, least_across) || !covers(down, least_down) {
        return Err(glib::bool_error!("tiles of plane {plane} don't cover the frame"));
    }
    let end = usual.offset().get(plane + 1).copied().unwrap_or(usual.size());
    let tile = (end - usual.offset()[plane]) / (least_across * least_down) as usize;
    Ok(tile * across as usize * down as usize)
}

/// Where a plane begins in memory, and how many bytes there are to the end of its last sample.
///
/// # Errors
/// Those of [`len`], and where that isn't in memory.
pub fn place<T: IsVideoFrame>(frame: &T, plane: usize) -> Result<(*mut u8, usize), glib::BoolError> {
    let len = len(frame.info(), plane, frame.plane_stride()[plane])?;
    let raw = frame.as_raw();
    // A frame whose buffer says where planes are has each of them mapped, others are mapped as a whole.
    let map = &raw.map[if raw.meta.is_null() { 0 } else { plane }];
    let begin = raw.data[plane].cast::<u8>();
    let skip = begin.addr().checked_sub(map.data.addr());
    if skip.is_none_or(|skip| skip.saturating_add(len) > map.size) {
        return Err(glib::bool_error!("plane {plane} ends before its last sample"));
    }
    Ok((begin, len))
}

/// A plane to the end of its last sample.
///
/// # Errors
/// Where rows go backwards in memory, or there are fewer than the frame says.
pub fn plane<'a>(
    frame: &'a VideoFrameRef<&gst::BufferRef>,
    plane: usize,
) -> Result<&'a [u8], glib::BoolError> {
    let (begin, len) = place(frame, plane)?;
    // SAFETY: `place` has seen that this is within memory that stays mapped as long as the frame lives.
    // gstreamer-video's own `plane_data` knows neither tiles nor planes of other heights than its table says.
    Ok(unsafe { std::slice::from_raw_parts(begin, len) })
}

/// As [`plane`], to be written.
///
/// # Errors
/// Those of [`plane`].
pub fn plane_mut<'a>(
    frame: &'a mut VideoFrameRef<&mut gst::BufferRef>,
    plane: usize,
) -> Result<&'a mut [u8], glib::BoolError> {
    let (begin, len) = place(frame, plane)?;
    // SAFETY: As in `plane`; the frame was mapped to be written, and is borrowed by nobody else.
    Ok(unsafe { std::slice::from_raw_parts_mut(begin, len) })
}
