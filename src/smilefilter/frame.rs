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

/// Width of a pixel on the screen divided by its height.
pub fn pixel_aspect(info: &gst_video::VideoInfo) -> f32 {
    let aspect = info.par().numer() as f32 / info.par().denom() as f32;
    if aspect.is_finite() && aspect > 0.0 { aspect } else { 1.0 }
}

fn component<'a>(
    frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>,
    index: usize,
) -> Result<Component<'a>, glib::BoolError> {
    let (info, format) = (frame.info(), frame.format_info());
    let plane = format.plane()[index];
    let row_stride = usize::try_from(frame.plane_stride()[plane as usize])
        .map_err(|_| glib::bool_error!("rows of plane {plane} go backwards"))?;
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
    let last = (component.vertical.len - 1) * row_stride
        + component.offset
        + (component.horizontal.len - 1) * component.pixel_stride;
    if component.plane.len() <= last {
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
