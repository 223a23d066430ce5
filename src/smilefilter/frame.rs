//! A mapped video frame as a picture that the analysis reads.

use gst_video::prelude::*;

use crate::analysis::{Color, Component, Picture, Sampling};

/// The formats that [`picture`] reads: 8 bits a sample, whole bytes, no tiles.
pub const FORMATS: [gst_video::VideoFormat; 19] = {
    use gst_video::VideoFormat::*;
    [
        Yuy2, Uyvy, Nv12, Nv21, I420, Yv12, Y42b, Y444, Gray8, Rgb, Bgr, Rgbx, Bgrx, Xrgb, Xbgr, Rgba, Bgra,
        Argb, Abgr,
    ]
};

/// Views a frame in one of [`FORMATS`] as a picture, without a copy. What its caps leave open is
/// taken as GStreamer's own converters take it.
///
/// # Errors
/// Where rows go backwards in memory, or the frame has less of them than it says.
pub fn picture<'a>(
    frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>,
) -> Result<Picture<'a>, glib::BoolError> {
    let info = frame.info();
    let component = |index: usize| component(frame, index.min(info.n_components() as usize - 1));
    Ok(Picture {
        width: info.width() as usize,
        height: info.height() as usize,
        pixel_aspect: pixel_aspect(info),
        components: [component(0)?, component(1)?, component(2)?],
        color: color(info),
    })
}

/// Looks whether all samples of a frame lie where its buffer has memory.
///
/// Mapping a frame only looks for where planes begin: rows that a wrong [`gst_video::VideoMeta`] describes
/// would be read, and drawn on, outside of the buffer.
///
/// # Errors
/// Where they don't, rows go backwards in memory, or the buffer has another format than its caps.
pub fn check_layout(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<(), glib::BoolError> {
    let Some(meta) = buffer.meta::<gst_video::VideoMeta>() else { return Ok(()) };
    if meta.format() != info.format() {
        return Err(glib::bool_error!("the buffer is in {}, its caps say {}", meta.format(), info.format()));
    }
    let format = info.format_info();
    for index in 0..info.n_components() as usize {
        let plane = format.plane()[index] as usize;
        let (_, len) = extent(&format, index, [meta.width(), meta.height()], meta.stride()[plane])?;
        let begin = meta.offset()[plane];
        let memories = buffer.find_memory(begin..begin.saturating_add(len));
        if memories.is_none_or(|(memories, _)| memories.len() != 1) {
            return Err(glib::bool_error!("plane {plane} ends outside of its memory"));
        }
    }
    Ok(())
}

/// Bytes from one row of a component to the next, and from its plane's beginning to the end of its last
/// sample.
///
/// # Errors
/// Where rows go backwards in memory.
fn extent(
    format: &gst_video::VideoFormatInfo,
    component: usize,
    [width, height]: [u32; 2],
    stride: i32,
) -> Result<(usize, usize), glib::BoolError> {
    let row_stride = usize::try_from(stride)
        .map_err(|_| glib::bool_error!("rows of plane {} go backwards", format.plane()[component]))?;
    let rows = format.scale_height(component as u8, height) as usize;
    let before_last = (rows - 1).saturating_mul(row_stride);
    Ok((row_stride, before_last.saturating_add(row_len(format, component, width))))
}

/// Bytes of a row from its beginning to the end of a component's last sample.
fn row_len(format: &gst_video::VideoFormatInfo, component: usize, width: u32) -> usize {
    let columns = format.scale_width(component as u8, width) as usize;
    format.poffset()[component] as usize + (columns - 1) * format.pixel_stride()[component] as usize + 1
}

/// Copies all samples. GStreamer's own copy leaves out the last sample of colour where pixels are packed
/// in twos and their number is odd.
///
/// # Errors
/// Where the frames are of different sizes or formats, or rows overlap.
pub fn copy(
    from: &gst_video::VideoFrameRef<&gst::BufferRef>,
    to: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
) -> Result<(), glib::BoolError> {
    if (from.format(), from.width(), from.height()) != (to.format(), to.width(), to.height()) {
        return Err(glib::bool_error!("the buffer is not of the size that its caps say"));
    }
    let format = from.format_info();
    for plane in 0..from.n_planes() {
        let components = (0..from.n_components() as usize).filter(|&index| format.plane()[index] == plane);
        let len = components.map(|index| row_len(&format, index, from.width())).max().unwrap_or(0);
        let strides = [from.plane_stride()[plane as usize], to.plane_stride()[plane as usize]];
        let [from_stride, to_stride] = strides.map(|stride| usize::try_from(stride).unwrap_or(0));
        if from_stride.min(to_stride) < len {
            return Err(glib::bool_error!("rows of plane {plane} overlap"));
        }
        let from_rows = from.plane_data(plane)?.chunks(from_stride);
        let to_rows = to.plane_data_mut(plane)?.chunks_mut(to_stride);
        to_rows.zip(from_rows).for_each(|(to, from)| to[..len].copy_from_slice(&from[..len]));
    }
    Ok(())
}

/// Draws `composition` on a frame, whose rows may lie anywhere in memory.
pub fn blend(
    composition: &gst_video::VideoOverlayComposition,
    buffer: &mut gst::BufferRef,
    info: &gst_video::VideoInfo,
) -> Result<(), glib::BoolError> {
    use gst_video::VideoFrameRef;
    let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, info)?;
    if is_aligned(&frame)? {
        return composition.blend(&mut frame);
    }
    // GStreamer writes whole pixels with instructions that fault elsewhere.
    drop(frame);
    let mut even = gst_video::VideoFrame::from_buffer_writable(gst::Buffer::with_size(info.size())?, info)
        .map_err(|_| glib::bool_error!("no memory to draw in"))?;
    let mut drawn = even.as_mut_video_frame_ref();
    copy(&VideoFrameRef::from_buffer_ref_readable(buffer, info)?, &mut drawn)?;
    composition.blend(&mut drawn)?;
    drop(drawn);
    copy(&even.as_video_frame_ref(), &mut VideoFrameRef::from_buffer_ref_writable(buffer, info)?)
}

/// Whether pixels lie at multiples of their own size.
fn is_aligned(frame: &gst_video::VideoFrameRef<&mut gst::BufferRef>) -> Result<bool, glib::BoolError> {
    let format = frame.format_info();
    for index in 0..frame.n_components() as usize {
        let (plane, size) = (format.plane()[index], format.pixel_stride()[index] as usize);
        let (address, stride) =
            (frame.plane_data(plane)?.as_ptr().addr(), frame.plane_stride()[plane as usize]);
        if size.is_power_of_two() && !(address | stride as usize).is_multiple_of(size) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Width of a pixel on the screen divided by its height. What no screen could show counts as a thousandth
/// or a thousand, so that all sizes in pixels stay numbers.
pub fn pixel_aspect(info: &gst_video::VideoInfo) -> f32 {
    let aspect = info.par().numer() as f32 / info.par().denom() as f32;
    if aspect.is_finite() && aspect > 0.0 { aspect.clamp(1e-3, 1e3) } else { 1.0 }
}

fn component<'a>(
    frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>,
    index: usize,
) -> Result<Component<'a>, glib::BoolError> {
    let (info, format) = (frame.info(), frame.format_info());
    let plane = format.plane()[index];
    let size = [info.width(), info.height()];
    let (row_stride, len) = extent(&format, index, size, frame.plane_stride()[plane as usize])?;
    let (across, down) = (format.w_sub()[index], format.h_sub()[index]);
    let site = info.chroma_site();
    let sampling = |len: u32, subsampling: u32, cosited: gst_video::VideoChromaSite| Sampling {
        len: len as usize,
        step: (1 << subsampling) as f32,
        siting: if subsampling > 0 && site.contains(cosited) { 0.25 } else { 0.0 },
    };
    let component = Component {
        plane: frame.plane_data(plane)?,
        offset: format.poffset()[index] as usize,
        pixel_stride: format.pixel_stride()[index] as usize,
        row_stride,
        horizontal: sampling(
            format.scale_width(index as u8, info.width()),
            across,
            gst_video::VideoChromaSite::H_COSITED,
        ),
        vertical: sampling(
            format.scale_height(index as u8, info.height()),
            down,
            gst_video::VideoChromaSite::V_COSITED,
        ),
    };
    if component.plane.len() < len {
        return Err(glib::bool_error!("plane {plane} ends before its last sample"));
    }
    Ok(component)
}

fn color(info: &gst_video::VideoInfo) -> Color {
    let colorimetry = info.colorimetry();
    let (zero, span) = info.format_info().range_offsets(colorimetry.range());
    let first = |values: [i32; 4]| [values[0], values[1], values[2]].map(|value| value as f32);
    let color = if info.is_rgb() {
        Color::RGB
    } else if info.is_gray() {
        Color::GREY
    } else {
        let (kr, kb) = colorimetry
            .matrix()
            .kr_kb()
            .or_else(|_| gst_video::VideoColorMatrix::Bt601.kr_kb())
            .unwrap_or((0.299, 0.114));
        Color::yuv(kr as f32, kb as f32)
    };
    color.with_range(first(zero), first(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_aspect_is_out_of_bounds() {
        gst::init().unwrap();
        for (numerator, denominator, aspect) in
            [(1, 1, 1.0), (64, 45, 64.0 / 45.0), (1, i32::MAX, 1e-3), (i32::MAX, 1, 1e3)]
        {
            let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 8, 8)
                .par(gst::Fraction::new(numerator, denominator))
                .build();
            assert_eq!(pixel_aspect(&info.unwrap()), aspect);
        }
    }
}
