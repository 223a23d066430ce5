//! Frames made by exact maths.

use std::ffi::c_int;

use glib::translate::ToGlibPtr;
use gst_video::VideoChromaSite;
use gst_video::prelude::*;

/// A frame coloured by a function of the place in pixels that gives red, green and blue from 0 to 255. Rows and
/// planes are padded with bytes that must never show.
pub fn frame(info: &gst_video::VideoInfo, color: impl Fn(f64, f64) -> [f64; 3]) -> gst::Buffer {
    let format = info.format_info();
    let planes = info.n_planes() as usize;
    let tiled = format.is_tiled();
    let padding = |plane: usize| if tiled { 0 } else { 12 + 4 * plane as i32 };
    let strides: Vec<i32> = (0..planes).map(|plane| info.stride()[plane] + padding(plane)).collect();
    let mut offsets = vec![20];
    for plane in 0..planes {
        let component = format.plane().iter().position(|&of| of as usize == plane);
        let len = match component {
            _ if tiled => info.offset().get(plane + 1).unwrap_or(&info.size()) - info.offset()[plane],
            Some(component) if !(format.has_palette() && plane == 1) => {
                info.comp_height(component as u8) as usize * strides[plane] as usize
            }
            _ => 1024,
        };
        offsets.push((offsets[plane] + len + 28).next_multiple_of(4));
    }
    let size = offsets.pop().unwrap();
    let mut bytes = vec![0xA7; size];
    if is_plain(info) {
        fill(info, &color, &offsets, &strides, &mut bytes);
    } else {
        pack(info, &color, &offsets, &strides, &mut bytes);
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(gst::ClockTime::ZERO);
    writable.set_duration(gst::ClockTime::from_mseconds(40));
    gst_video::VideoMeta::add_full(
        writable,
        gst_video::VideoFrameFlags::empty(),
        info.format(),
        info.width(),
        info.height(),
        &offsets,
        &strides,
    )
    .unwrap();
    buffer
}

/// Whether samples are bytes, each at a place that GStreamer's table gives.
fn is_plain(info: &gst_video::VideoInfo) -> bool {
    use gst_video::VideoFormat::*;
    matches!(
        info.format(),
        Yuy2 | Uyvy
            | Nv12
            | Nv21
            | I420
            | Yv12
            | Y42b
            | Y444
            | Gray8
            | Rgb
            | Bgr
            | Rgbx
            | Bgrx
            | Xrgb
            | Xbgr
            | Rgba
            | Bgra
            | Argb
            | Abgr
    )
}

/// Where a sample of a component sits, in pixels.
fn place(info: &gst_video::VideoInfo, component: usize, column: u32, row: u32) -> (f64, f64) {
    let format = info.format_info();
    let along = |sample: u32, subsampling: u32, cosited: VideoChromaSite| match subsampling {
        0 => f64::from(sample) + 0.5,
        by if info.chroma_site().contains(cosited) => f64::from(sample << by) + 0.5,
        by => f64::from(sample << by) + f64::from(1 << by) / 2.0,
    };
    (
        along(column, format.w_sub()[component], VideoChromaSite::H_COSITED),
        along(row, format.h_sub()[component], VideoChromaSite::V_COSITED),
    )
}

/// Writes sample by sample.
fn fill(
    info: &gst_video::VideoInfo,
    color: &dyn Fn(f64, f64) -> [f64; 3],
    offsets: &[usize],
    strides: &[i32],
    bytes: &mut [u8],
) {
    let format = info.format_info();
    for component in 0..info.n_components().min(3) as usize {
        let plane = format.plane()[component] as usize;
        for row in 0..info.comp_height(component as u8) {
            for column in 0..info.comp_width(component as u8) {
                let (x, y) = place(info, component, column, row);
                let index = offsets[plane]
                    + row as usize * strides[plane] as usize
                    + column as usize * format.pixel_stride()[component] as usize
                    + format.poffset()[component] as usize;
                bytes[index] = encode(info, color(x, y), 8)[component] as u8;
            }
        }
    }
}

/// Has GStreamer pack pixels, of which all that share a sample have it.
fn pack(
    info: &gst_video::VideoInfo,
    color: &dyn Fn(f64, f64) -> [f64; 3],
    offsets: &[usize],
    strides: &[i32],
    bytes: &mut [u8],
) {
    let format = info.format_info();
    let bits = unpacked_bits(info);
    let raw: *const gst_video::ffi::GstVideoFormatInfo = format.to_glib_none().0;
    let mut data = [std::ptr::null_mut(); 4];
    for (pointer, &offset) in data.iter_mut().zip(offsets) {
        *pointer = bytes[offset..].as_mut_ptr().cast();
    }
    // A word a pixel, so that pixels lie at multiples of their size.
    let mut line = vec![0u64; info.width() as usize + 8];
    for y in 0..info.height() {
        let mut samples = Vec::new();
        for x in 0..info.width() {
            samples.push(if bits == 16 { 0xffff } else { 0xff });
            for component in 0..3 {
                let of = component.min(format.w_sub().len() - 1);
                let (column, row) = match format.has_palette() {
                    true => (x, y),
                    false => (x >> format.w_sub()[of], y >> format.h_sub()[of]),
                };
                let of = if format.has_palette() { 0 } else { of };
                let (x, y) = place(info, of, column, row);
                samples.push(encode(info, color(x, y), bits)[component]);
            }
        }
        write(&samples, bits, &mut line);
        // SAFETY: `bytes` has all planes of a frame like `info`, and the line has all its pixels.
        unsafe {
            (*raw).pack_func.unwrap()(
                raw,
                0,
                line.as_mut_ptr().cast(),
                8 * line.len() as c_int,
                data.as_mut_ptr(),
                strides.as_ptr(),
                info.chroma_site().bits(),
                y as c_int,
                info.width() as c_int,
            );
        }
    }
    if format.has_palette() {
        palette(&mut bytes[offsets[1]..][..1024]);
    }
}

/// The palette that GStreamer packs for: six steps of red, green and blue, and nothing.
fn palette(bytes: &mut [u8]) {
    for (index, color) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let step = |by: usize| 51 * (index / by % 6) as u32;
        let argb = (0xff << 24) | (step(36) << 16) | (step(6) << 8) | step(1);
        *color = if index < 216 { argb.to_ne_bytes() } else { [0; 4] };
    }
}

/// Bits of an unpacked sample.
fn unpacked_bits(info: &gst_video::VideoInfo) -> u32 {
    gst_video::VideoFormatInfo::from_format(info.format_info().unpack_format()).bits()
}

fn write(samples: &[u16], bits: u32, line: &mut [u64]) {
    let bytes: Vec<u8> = match bits {
        16 => samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect(),
        _ => samples.iter().map(|&sample| sample as u8).collect(),
    };
    for (word, chunk) in line.iter_mut().zip(bytes.chunks(8)) {
        let mut word_bytes = [0; 8];
        word_bytes[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(word_bytes);
    }
}

/// All pixels of a frame as GStreamer unpacks them: alpha and three components each.
pub fn unpack(info: &gst_video::VideoInfo, buffer: &gst::BufferRef) -> Vec<[u16; 4]> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let bits = unpacked_bits(info);
    let format = info.format_info();
    let raw: *const gst_video::ffi::GstVideoFormatInfo = format.to_glib_none().0;
    let mut line = vec![0u64; info.width() as usize + 8];
    let mut pixels = Vec::new();
    for y in 0..info.height() {
        // SAFETY: The frame has this row, and the line is long enough for it.
        unsafe {
            let frame = &*frame.as_ptr();
            (*raw).unpack_func.unwrap()(
                raw,
                0,
                line.as_mut_ptr().cast(),
                frame.data.as_ptr(),
                frame.info.stride.as_ptr(),
                0,
                y as c_int,
                info.width() as c_int,
            );
        }
        let bytes: Vec<u8> = line.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let samples: Vec<u16> = match bits {
            16 => bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_ne_bytes(*bytes)).collect(),
            _ => bytes.iter().map(|&byte| byte.into()).collect(),
        };
        pixels.extend_from_slice(&samples.as_chunks::<4>().0[..info.width() as usize]);
    }
    pixels
}

/// The components of one colour as the standards define them (ITU-R BT.601, BT.709 and BT.2100).
fn encode(info: &gst_video::VideoInfo, [red, green, blue]: [f64; 3], bits: u32) -> [u16; 3] {
    let full = info.colorimetry().range() == gst_video::VideoColorRange::Range0_255;
    let (kr, kb) = match info.colorimetry().matrix() {
        gst_video::VideoColorMatrix::Bt709 => (0.2126, 0.0722),
        _ => (0.299, 0.114),
    };
    let luma = kr * red + (1.0 - kr - kb) * green + kb * blue;
    let (u, v) = ((blue - luma) / (2.0 * (1.0 - kb)), (red - luma) / (2.0 * (1.0 - kr)));
    let most = f64::from((1u32 << bits) - 1);
    let (all, step) = (most / 255.0, f64::from(1 << (bits - 8)));
    let values = if info.is_rgb() {
        [all * red, all * green, all * blue]
    } else if full {
        [all * luma, 128.0 * step + all * u, 128.0 * step + all * v]
    } else {
        [16.0 + luma * 219.0 / 255.0, 128.0 + u * 224.0 / 255.0, 128.0 + v * 224.0 / 255.0]
            .map(|value| step * value)
    };
    values.map(|value| value.round().clamp(0.0, most) as u16)
}
