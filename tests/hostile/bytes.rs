//! Bytes that claim to be more than they are.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use image::ImageFormat;

use crate::generated::{encoded, face};

/// A JPEG that claims to be of 65,535 × 65,535 pixels.
pub fn huge_jpeg() -> Vec<u8> {
    let mut bytes = encoded(&face(1, true), ImageFormat::Jpeg);
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    // After the marker: length, precision, height, width.
    bytes[frame + 5..frame + 9].fill(0xff);
    bytes
}

/// A part of a PNG.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.sum().to_be_bytes()].concat()
}

/// A grey PNG with the header's size and these parts after it.
fn png(side: u32, parts: &[Vec<u8>]) -> Vec<u8> {
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let start = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header)].concat();
    [start, parts.concat(), chunk(b"IEND", b"")].concat()
}

/// A PNG that claims to be of 60,000 × 60,000 pixels.
pub fn huge_png() -> Vec<u8> {
    png(60_000, &[chunk(b"IDAT", &zlib(1 << 16))])
}

/// A PNG of 16 × 16 pixels with a colour profile that unpacks to a gigabyte.
pub fn profile_bomb() -> Vec<u8> {
    let profile = [&b"profile\0\0"[..], &zlib(1 << 30)].concat();
    png(16, &[chunk(b"iCCP", &profile), chunk(b"IDAT", &zlib(16 * 17))])
}

/// A lossless WebP of 38 bytes that claims to be of 16,384 × 16,384 pixels.
pub fn huge_webp() -> Vec<u8> {
    let data = [&[0x2f][..], &((1u32 << 28) - 1).to_le_bytes(), &[0x88; 13]].concat();
    riff(&[(b"VP8L", data.len() as u32, data)])
}

/// A WebP with a part for EXIF that claims to have three gigabytes.
pub fn long_webp() -> Vec<u8> {
    let good = encoded(&face(1, true), ImageFormat::WebP);
    let canvas = [&[8, 0, 0, 0][..], &[79, 0, 0, 95, 0, 0]].concat();
    let pixels = good[20..].to_vec();
    riff(&[
        (b"VP8X", 10, canvas),
        (b"VP8L", pixels.len() as u32, pixels),
        (b"EXIF", 3_000_000_000, b"Exif\0\0".to_vec()),
    ])
}

fn riff(parts: &[(&[u8; 4], u32, Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, claimed, data) in parts {
        body.extend([&kind[..], &claimed.to_le_bytes(), data].concat());
    }
    // A size that lets decoders look for all parts.
    [b"RIFF", &u32::MAX.to_le_bytes()[..], &body].concat()
}

fn zlib(zeros: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    write_zeros(&mut encoder, zeros);
    encoder.finish().unwrap()
}

/// Zeros as gzip has them.
pub fn gzip_of_zeros(zeros: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write_zeros(&mut encoder, zeros);
    encoder.finish().unwrap()
}

fn write_zeros(to: &mut impl Write, count: usize) {
    let block = vec![0; 1 << 20];
    for start in (0..count).step_by(block.len()) {
        to.write_all(&block[..block.len().min(count - start)]).unwrap();
    }
}

/// A zip archive with packed members of these names. The second number is what a member claims to unpack to, if not
/// the truth.
pub fn zip(members: &[(&str, &[u8], Option<u32>)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data, claimed) in members {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        let packed = encoder.finish().unwrap();
        let mut sum = Crc::new();
        sum.update(data);
        // Version, flags (names in UTF-8), method, time, date.
        let common = [
            &[20, 0, 0, 8, 8, 0, 0, 0, 0, 0x21][..],
            &sum.sum().to_le_bytes(),
            &(packed.len() as u32).to_le_bytes(),
            &claimed.unwrap_or(data.len() as u32).to_le_bytes(),
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let offset = (bytes.len() as u32).to_le_bytes();
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
        let rest = [&[0; 10][..], &offset, name.as_bytes()].concat();
        directory.extend([b"PK\x01\x02", &[20, 0][..], &common, &rest].concat());
    }
    let count = (members.len() as u16).to_le_bytes();
    let (size, start) = ((directory.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &size, &start, &[0, 0]].concat();
    [bytes, directory, end].concat()
}
