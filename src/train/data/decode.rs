//! Pictures from bytes, whatever those claim to be.

use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

/// Pixels of a picture, at most: phones take pictures of 108 million, and few cameras of more. Some hundred bytes
/// can claim four thousand million.
const MOST_PIXELS: u64 = 1 << 27;
/// From so many pixels on, pictures are decoded one after the other: decoders take up to 16 bytes for each, which
/// every thread would take at once.
const LARGE: u64 = 1 << 24;
/// Bytes that a decoder may take for what isn't pixels. Colour profiles have a few megabytes at most, packed into
/// a thousandth of that if somebody means harm.
const MOST_BESIDE: u64 = 1 << 24;

static ONE_LARGE: Mutex<()> = Mutex::new(());

/// Upright RGB, whatever the file's name claims it to be.
///
/// # Errors
/// Why there is no picture: the bytes are none, or would make one of more than [`MOST_PIXELS`].
pub(in crate::train) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    let words = |error: image::ImageError| error.to_string();
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    if reader.format() == Some(ImageFormat::WebP) && !is_whole_webp(bytes) {
        return Err("it is cut short, or a part of it claims to be longer than it is".into());
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BESIDE);
    reader.limits(limits);
    // Reads headers and what stands before the pixels.
    let mut decoder = reader.into_decoder().map_err(words)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        return Err(format!("it claims {width}×{height} pixels; at most {MOST_PIXELS} are read"));
    }
    let _turn = (pixels > LARGE).then(|| ONE_LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    let orientation = decoder.orientation().map_err(words)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(words)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Whether the parts of a WebP file end where it does: its decoder makes room for what they claim.
fn is_whole_webp(bytes: &[u8]) -> bool {
    const HEADER: usize = 12;
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    while let Some((size, data)) = rest.get(4..).and_then(|rest| rest.split_first_chunk::<4>()) {
        let size = u32::from_le_bytes(*size) as usize;
        if size > data.len() {
            return false;
        }
        // Parts have even lengths.
        rest = data.get(size.next_multiple_of(2)..).unwrap_or_default();
    }
    true
}
