//! Frames of raw video: as pictures that the analysis reads, copied, and drawn on.

mod blend;
mod layout;
mod unpack;

use std::sync::LazyLock;

use gst_video::VideoFormat::{self, *};
use gst_video::prelude::*;
use gst_video::{VideoFormatInfo, VideoFrameRef};

use crate::analysis::crop::{Pixel, Sample};
use crate::analysis::{Color, Component, Picture, Sampling};
pub use blend::Blender;
use layout::Layout;
pub use layout::check;

/// All formats of raw video that GStreamer can unpack into pixels. First those that are cheap to read, which
/// are preferred where upstream has the choice.
///
/// # Panics
/// If GStreamer isn't initialised.
pub static FORMATS: LazyLock<Vec<VideoFormat>> = LazyLock::new(|| {
    let first = [
        Yuy2, Uyvy, Nv12, Nv21, I420, Yv12, Y42b, Y444, Gray8, Rgb, Bgr, Rgbx, Bgrx, Xrgb, Xbgr, Rgba, Bgra,
        Argb, Abgr,
    ];
    let rest = VideoFormat::iter_raw().filter(|&format| unpack::can(VideoFormatInfo::from_format(format)));
    let mut formats = first.to_vec();
    formats.extend(rest.filter(|format| !first.contains(format)));
    formats
});

/// Views a frame in one of [`FORMATS`] as a picture, without a copy. What its caps leave open is
/// taken as GStreamer's own converters take it.
///
/// # Errors
/// Where rows go backwards in memory, or the frame has less of them than it says.
pub fn picture<'a>(frame: &'a VideoFrameRef<&gst::BufferRef>) -> Result<Picture<'a>, glib::BoolError> {
    let (info, format) = (frame.info(), frame.format_info());
    let layout = Layout::new(format);
    let unpack = if layout.is_none() { Some(unpack::checked(frame)?) } else { None };
    let component = |index: usize| {
        let index = index.min(info.n_components() as usize - 1);
        match layout {
            Some(layout) => component(frame, index, layout),
            None => Ok(unpacked_component(info, index)),
        }
    };
    Ok(Picture {
        width: info.width() as usize,
        height: info.height() as usize,
        pixel_aspect: pixel_aspect(info),
        components: if format.has_palette() {
            [0, 1, 2].map(|index| unpacked_component(info, index))
        } else {
            [component(0)?, component(1)?, component(2)?]
        },
        color: color(info, layout),
        unpack,
    })
}

/// A component whose samples lie in memory.
fn component<'a>(
    frame: &'a VideoFrameRef<&gst::BufferRef>,
    index: usize,
    layout: Layout,
) -> Result<Component<'a>, glib::BoolError> {
    let (info, format) = (frame.info(), frame.format_info());
    let plane = format.plane()[index] as usize;
    let [horizontal, vertical] = samplings(info, index);
    Ok(Component {
        plane: layout::plane(frame, plane)?,
        offset: layout.offsets[index],
        pixel_stride: format.pixel_stride()[index] as usize,
        row_stride: layout::row_stride(plane, frame.plane_stride()[plane])?,
        sample: layout.sample,
        horizontal,
        vertical,
    })
}

/// A component as it lies in unpacked rows. Those with fewer samples than pixels are repeated there, and read
/// once.
fn unpacked_component<'a>(info: &gst_video::VideoInfo, index: usize) -> Component<'a> {
    let format = info.format_info();
    let of = if format.has_palette() { 0 } else { index };
    let [horizontal, vertical] = samplings(info, of);
    Component {
        plane: &[],
        // Alpha comes first.
        offset: 2 * (1 + index),
        pixel_stride: Pixel::SIZE << format.w_sub()[of],
        row_stride: (Pixel::SIZE * info.width() as usize) << format.h_sub()[of],
        sample: Sample::NATIVE,
        horizontal,
        vertical,
    }
}

/// How a component's samples lie across and down the frame.
fn samplings(info: &gst_video::VideoInfo, index: usize) -> [Sampling; 2] {
    use gst_video::VideoChromaSite;
    let format = info.format_info();
    let sampling = |len: u32, subsampling: u32, cosited: VideoChromaSite| {
        let step = (1 << subsampling) as f32;
        let siting = if info.chroma_site().contains(cosited) { 0.5 - 0.5 / step } else { 0.0 };
        Sampling { len: len as usize, step, siting }
    };
    let across = format.scale_width(index as u8, info.width());
    let down = format.scale_height(index as u8, info.height());
    [
        sampling(across, format.w_sub()[index], VideoChromaSite::H_COSITED),
        sampling(down, format.h_sub()[index], VideoChromaSite::V_COSITED),
    ]
}

/// Copies all samples. GStreamer's own copy leaves out the last sample of colour where pixels are packed
/// in twos and their number is odd.
///
/// # Errors
/// Where the frames are of different sizes or formats, or rows overlap.
pub fn copy(
    from: &VideoFrameRef<&gst::BufferRef>,
    to: &mut VideoFrameRef<&mut gst::BufferRef>,
) -> Result<(), glib::BoolError> {
    if (from.format(), from.width(), from.height()) != (to.format(), to.width(), to.height()) {
        return Err(glib::bool_error!("the buffer is not of the size that its caps say"));
    }
    let format = from.format_info();
    let Some(layout) = Layout::new(format) else { return from.copy(to) };
    for plane in 0..from.n_planes() as usize {
        let len = layout.row_len(&format, plane, from.width());
        let from_stride = layout::row_stride(plane, from.plane_stride()[plane])?;
        let to_stride = layout::row_stride(plane, to.plane_stride()[plane])?;
        if from_stride.min(to_stride) < len {
            return Err(glib::bool_error!("rows of plane {plane} overlap"));
        }
        let from_rows = layout::plane(from, plane)?.chunks(from_stride);
        let to_rows = layout::plane_mut(to, plane)?.chunks_mut(to_stride);
        to_rows.zip(from_rows).for_each(|(to, from)| to[..len].copy_from_slice(&from[..len]));
    }
    Ok(())
}

/// Width of a pixel on the screen divided by its height. What no screen could show counts as a thousandth
/// or a thousand, so that all sizes in pixels stay numbers.
pub fn pixel_aspect(info: &gst_video::VideoInfo) -> f32 {
    let aspect = info.par().numer() as f32 / info.par().denom() as f32;
    if aspect.is_finite() && aspect > 0.0 { aspect.clamp(1e-3, 1e3) } else { 1.0 }
}

/// The weights of red and blue in brightness. What caps leave open is ITU-R BT.601.
fn weights(info: &gst_video::VideoInfo) -> (f32, f32) {
    use gst_video::VideoColorMatrix;
    // As `gst_video_color_matrix_get_Kr_Kb` has them; its binding puts an error into words for each call.
    match info.colorimetry().matrix() {
        VideoColorMatrix::Fcc => (0.3, 0.11),
        VideoColorMatrix::Bt709 => (0.2126, 0.0722),
        VideoColorMatrix::Smpte240m => (0.212, 0.087),
        VideoColorMatrix::Bt2020 => (0.2627, 0.0593),
        _ => (0.299, 0.114),
    }
}

/// What of each component means 0, and how much more means 255, in samples as they lie in memory or are
/// unpacked.
fn range(info: &gst_video::VideoInfo, layout: Option<Layout>) -> [[f32; 3]; 2] {
    let own = info.format_info();
    let (format, shift) = match layout {
        Some(layout) => (own, layout.shift),
        None => (VideoFormatInfo::from_format(own.unpack_format()), 0),
    };
    let (zero, span) = format.range_offsets(info.colorimetry().range());
    [zero, span].map(|values| [0, 1, 2].map(|index| (values[index] << shift) as f32))
}

fn color(info: &gst_video::VideoInfo, layout: Option<Layout>) -> Color {
    let [zero, span] = range(info, layout);
    let color = if info.is_rgb() {
        Color::RGB
    } else if info.is_gray() {
        Color::GREY
    } else {
        let (kr, kb) = weights(info);
        Color::yuv(kr, kb)
    };
    color.with_range(zero, span)
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
