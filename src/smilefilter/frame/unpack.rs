//! Pixels of formats whose samples share bytes, or lie in tiles or a palette, by GStreamer's own functions.

use gst_video::prelude::*;
use gst_video::video_frame::IsVideoFrame;
use gst_video::{VideoFormat, VideoFormatInfo, VideoFrameRef, VideoPackFlags};

use super::layout;
use crate::analysis::crop::{Pixel, Unpack};

/// Whether GStreamer can unpack a format into pixels of 8 or 16 bits a sample.
pub fn can(format: VideoFormatInfo) -> bool {
    let known = format.unpack_format() != VideoFormat::Unknown && format.pack_lines() == 1;
    known && matches!(VideoFormatInfo::from_format(format.unpack_format()).bits(), 8 | 16)
}

/// A frame of which [`checked`] has seen that all its samples are in memory.
#[derive(Debug)]
#[repr(transparent)]
struct Checked<'b>(VideoFrameRef<&'b gst::BufferRef>);

/// The rows of a frame.
///
/// # Errors
/// Where rows go backwards in memory, there are fewer than the frame says, or their words lie across those
/// of memory.
pub fn checked<'a>(frame: &'a VideoFrameRef<&gst::BufferRef>) -> Result<&'a dyn Unpack, glib::BoolError> {
    check(frame)?;
    // SAFETY: `Checked` is the same type by another name.
    Ok(unsafe { &*std::ptr::from_ref(frame).cast::<Checked>() })
}

/// What [`row`] and [`pack`] demand of a frame.
pub fn check<T: IsVideoFrame>(frame: &T) -> Result<(), glib::BoolError> {
    let format = frame.format_info();
    if !can(format) {
        return Err(glib::bool_error!("{} can't be unpacked", format.name()));
    }
    for plane in 0..frame.n_planes() as usize {
        let palette = format.has_palette() && plane == 1;
        let word = if palette { 4 } else { word(&format) };
        let address = layout::place(frame, plane)?.0.addr();
        let has_rows = !palette && !format.is_tiled();
        let stride = if has_rows { frame.plane_stride()[plane] as usize } else { 0 };
        if !(address | stride).is_multiple_of(word) {
            return Err(glib::bool_error!(
                "rows of plane {plane} don't begin at multiples of {word} bytes, as {} needs it",
                format.name()
            ));
        }
    }
    Ok(())
}

/// Bytes that GStreamer reads and writes at once, for which they have to lie at a multiple of their number.
fn word(format: &VideoFormatInfo) -> usize {
    use VideoFormat::*;
    match (format.format(), format.pixel_stride()[0]) {
        (V210 | Gray10Le32 | Nv1210le32 | Nv1610le32, _) => 4,
        (_, stride @ (2 | 4)) => stride as usize,
        _ => 1,
    }
}

impl Unpack for Checked<'_> {
    fn width(&self) -> usize {
        self.0.width() as usize
    }

    fn unpack(&self, y: usize, pixels: &mut [Pixel]) {
        assert!(y < self.0.height() as usize && pixels.len() <= self.width(), "no such pixels");
        // SAFETY: `checked` has seen that all rows are in memory; there is one of this number, which has as
        // many pixels.
        unsafe { row(self.0.as_raw(), self.0.format_info(), y, pixels) }
    }
}

/// Unpacks the first pixels of row `y`.
///
/// # Safety
/// The frame has passed [`check`], and has that row with as many pixels.
pub unsafe fn row(
    frame: &gst_video::ffi::GstVideoFrame,
    format: VideoFormatInfo,
    y: usize,
    pixels: &mut [Pixel],
) {
    // Brightness in few bits ends at another number than the most that fits, so that bits to fill up with are 0.
    let flags = if format.is_rgb() { VideoPackFlags::empty() } else { VideoPackFlags::TRUNCATE_RANGE };
    // SAFETY: A mapped frame has the description of its format, which is there for good.
    let info = unsafe { &*frame.info.finfo };
    let unpack = info.unpack_func.expect("`check` has seen that there is one");
    // GStreamer 1.22 reads two pixels where the last of an odd number is, for which rows have no room.
    let width = frame.info.width as usize;
    let lone = format.format() == VideoFormat::Uyvp && pixels.len() == width && width % 2 == 1;
    let count = pixels.len() - usize::from(lone);
    // Not all of its functions heed where in a row to begin.
    // SAFETY: The caller vouches for rows and pixels; a pixel of 16 bits a sample has 8 bytes, and of 8 bits fewer.
    unsafe {
        unpack(
            info,
            flags.bits(),
            pixels.as_mut_ptr().cast(),
            frame.data.as_ptr(),
            frame.info.stride.as_ptr(),
            0,
            y as i32,
            count as i32,
        );
    }
    if !is_deep(format) {
        widen(pixels);
    }
    if lone {
        let (row_stride, begin) = (frame.info.stride[0] as usize, count / 2 * 5);
        let mut group = [0u8; 8];
        // What `layout::len` has seen of each row.
        let seen = (10 * width).div_ceil(4).next_multiple_of(4);
        let len = group.len().min(seen.min(row_stride).saturating_sub(begin));
        // SAFETY: The row has these bytes, and the copy has those of a whole pair.
        unsafe {
            let bytes = frame.data[0].cast::<u8>().add(y * row_stride + begin);
            std::ptr::copy_nonoverlapping(bytes, group.as_mut_ptr(), len);
            let data = [group.as_mut_ptr().cast(); 4];
            unpack(
                info,
                flags.bits(),
                pixels[count..].as_mut_ptr().cast(),
                data.as_ptr(),
                [8; 4].as_ptr(),
                0,
                0,
                1,
            );
        }
    }
}

/// Packs a whole row into planes laid out as those of `frame`.
///
/// # Safety
/// The frame has passed [`check`], has a row `y` with as many pixels, and `planes` have as many bytes as its
/// own.
pub unsafe fn pack(
    frame: &gst_video::ffi::GstVideoFrame,
    format: VideoFormatInfo,
    planes: [*mut u8; 4],
    y: usize,
    pixels: &mut [Pixel],
) {
    if !is_deep(format) {
        narrow(pixels);
    }
    // SAFETY: A mapped frame has the description of its format, which is there for good.
    let info = unsafe { &*frame.info.finfo };
    let pack = info.pack_func.expect("what can be unpacked can be packed");
    let mut planes = planes.map(|plane| plane.cast());
    // SAFETY: The caller vouches for rows and pixels.
    unsafe {
        pack(
            info,
            VideoPackFlags::empty().bits(),
            pixels.as_mut_ptr().cast(),
            size_of_val(pixels) as i32,
            planes.as_mut_ptr(),
            frame.info.stride.as_ptr(),
            frame.info.chroma_site,
            y as i32,
            pixels.len() as i32,
        );
    }
}

/// Whether unpacked samples have 16 bits.
pub fn is_deep(format: VideoFormatInfo) -> bool {
    VideoFormatInfo::from_format(format.unpack_format()).bits() == 16
}

/// Makes of four bytes a pixel, one after the other, four samples a pixel.
fn widen(pixels: &mut [Pixel]) {
    // From the end on, so that none is overwritten before its turn.
    for index in (0..pixels.len()).rev() {
        let half = 2 * (index % 2);
        let [a, b] = [half, half + 1].map(|word| pixels[index / 2].0[word].to_ne_bytes());
        pixels[index] = Pixel([a[0], a[1], b[0], b[1]].map(u16::from));
    }
}

/// The way back.
fn narrow(pixels: &mut [Pixel]) {
    for index in 0..pixels.len() {
        let half = 2 * (index % 2);
        let [a, b, c, d] = pixels[index].0.map(|sample| sample as u8);
        pixels[index / 2].0[half] = u16::from_ne_bytes([a, b]);
        pixels[index / 2].0[half + 1] = u16::from_ne_bytes([c, d]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_bytes_are_widened_and_narrowed() {
        for len in 0..9u16 {
            let wide: Vec<Pixel> = (0..len).map(|index| Pixel([0, 1, 2, 3].map(|k| 4 * index + k))).collect();
            let mut pixels = wide.clone();
            narrow(&mut pixels);
            let bytes: Vec<u8> = pixels
                .iter()
                .flat_map(|pixel| pixel.0)
                .flat_map(u16::to_ne_bytes)
                .take(4 * len as usize)
                .collect();
            assert!(bytes.iter().enumerate().all(|(index, &byte)| usize::from(byte) == index));
            widen(&mut pixels);
            assert_eq!(pixels, wide);
        }
    }
}
