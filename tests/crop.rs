//! The crop alone: what it makes of pictures whose resampling is known.

mod common;

use gstsmile::analysis::crop::{Cropper, Picture, Rect};

/// A packed RGB picture from a function of the pixel's middle.
fn picture(width: usize, height: usize, color: impl Fn(f32, f32) -> [f32; 3]) -> Vec<u8> {
    let pixel = |index: usize| color((index % width) as f32 + 0.5, (index / width) as f32 + 0.5);
    (0..width * height).flat_map(pixel).map(|value| (value + 0.5) as u8).collect()
}

fn crop(width: usize, height: usize, data: &[u8], region: Rect, side: usize) -> Vec<u8> {
    let mut output = vec![0; 3 * side * side];
    Cropper::new(side, side).crop(&Picture::rgb(width, height, data), region, &mut output);
    output
}

fn rect(x: f32, y: f32, width: f32, height: f32) -> Rect {
    Rect { x, y, width, height }
}

#[track_caller]
fn assert_near(actual: u8, expected: f32, tolerance: f32) {
    assert!((f32::from(actual) - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
}

#[test]
fn same_size_is_the_same_picture_in_planes() {
    let data: Vec<u8> = (0..3 * 16 * 16).map(|i| (i * 7919 % 251) as u8).collect();
    let output = crop(16, 16, &data, rect(0.0, 0.0, 16.0, 16.0), 16);
    let planes: Vec<u8> = (0..3).flat_map(|c| data.iter().skip(c).step_by(3).copied()).collect();
    assert_eq!(output, planes);
}

#[test]
fn regions_of_a_ramp_keep_its_values_at_every_scale() {
    for (width, height) in [(33, 47), (64, 64), (200, 101), (641, 479)] {
        let ramp = |x: f32, y: f32| {
            let (x, y) = (x / width as f32, y / height as f32);
            [20.0 + 200.0 * x, 230.0 - 210.0 * y, 100.0 + 60.0 * x + 60.0 * y]
        };
        let data = picture(width, height, ramp);
        // Off the edges, where the ramp ends, the filter would see it bend.
        let region = rect(width as f32 * 0.2, height as f32 * 0.3, width as f32 * 0.5, height as f32 * 0.4);
        let side = 24;
        let output = crop(width, height, &data, region, side);
        for (index, &value) in output.iter().enumerate() {
            let (plane, y, x) = (index / (side * side), index / side % side, index % side);
            let at = |i: usize, start: f32, length: f32| start + (i as f32 + 0.5) * length / side as f32;
            let expected = ramp(at(x, region.x, region.width), at(y, region.y, region.height))[plane];
            assert_near(value, expected, 1.01);
        }
    }
}

#[test]
fn shrinking_averages_instead_of_skipping() {
    // Stripes of one pixel: skipping pixels would give black or white, or waves of both.
    let data = picture(640, 640, |x, _| [if (x as usize).is_multiple_of(2) { 0.0 } else { 255.0 }; 3]);
    let output = crop(640, 640, &data, rect(0.0, 0.0, 640.0, 640.0), 64);
    // Next to the edges the stripe there is repeated.
    for row in output.chunks(64) {
        row[2..62].iter().for_each(|&value| assert_near(value, 127.5, 2.0));
    }
}

#[test]
fn outside_the_picture_its_edge_goes_on() {
    let data = picture(40, 40, |x, _| if x < 20.0 { [10.0, 20.0, 30.0] } else { [200.0, 210.0, 220.0] });
    let corners = |output: &[u8]| [output[0], output[63 * 64], output[63], output[64 * 64 - 1]];
    let around = crop(40, 40, &data, rect(-40.0, -40.0, 120.0, 120.0), 64);
    assert_eq!(corners(&around), [10, 10, 200, 200]);
    let beside = crop(40, 40, &data, rect(90.0, -500.0, 30.0, 30.0), 64);
    assert!(beside[..64 * 64].iter().all(|&value| value == 200));
}

#[test]
fn odd_regions_do_no_harm() {
    let data = vec![77; 3 * 5 * 3];
    let far = f32::MAX;
    for region in [
        Rect::default(),
        rect(2.0, 1.0, 0.0, 0.0),
        rect(4.0, 2.0, -3.0, -2.0),
        rect(-far, -far, far, far),
        rect(far, far, far, far),
        rect(f32::NAN, 0.0, f32::INFINITY, f32::NAN),
        rect(-1e6, -1e6, 2e6, 2e6),
    ] {
        assert!(crop(5, 3, &data, region, 64).iter().all(|&value| value == 77), "{region:?}");
    }
    assert!(crop(1, 1, &[9; 3], rect(0.0, 0.0, 1.0, 1.0), 64).iter().all(|&value| value == 9));
}

#[test]
fn a_used_cropper_forgets_what_it_did_before() {
    let first = picture(300, 200, |x, y| [x / 2.0, y, 50.0]);
    let second = picture(31, 77, |x, y| [y * 3.0, x * 8.0, 200.0]);
    let mut cropper = Cropper::new(64, 64);
    let mut output = vec![0; 3 * 64 * 64];
    for _ in 0..2 {
        for (width, height, data) in [(300, 200, &first), (31, 77, &second)] {
            let picture = Picture::rgb(width, height, data);
            cropper.crop(&picture, picture.bounds(), &mut output);
            assert_eq!(output, crop(width, height, data, picture.bounds(), 64));
        }
    }
}

/// The golden rule: the same picture gives the same crop, as a file and in every video format.
#[test]
fn every_video_format_gives_the_crop_that_the_file_gives() {
    let smooth = |width: f64, height: f64| {
        move |x: f64, y: f64| {
            let (x, y) = (x / width, y / height);
            [
                128.0 + 90.0 * (3.0 * x + y).sin(),
                128.0 + 80.0 * (2.0 * y - x + 1.0).cos(),
                128.0 + 70.0 * (4.0 * x * y).sin(),
            ]
        }
    };
    let colorimetries = ["bt601", "bt709", "1:4:0:0", "1:3:0:0"];
    let sites = ["jpeg", "mpeg2", "cosited"];
    for (width, height) in [(161, 121), (55, 90), (640, 361)] {
        let color = smooth(f64::from(width), f64::from(height));
        let file = picture(width as usize, height as usize, |x, y| {
            color(x.into(), y.into()).map(|value| value as f32)
        });
        let file = Picture::rgb(width as usize, height as usize, &file);
        for &format in common::formats() {
            for (colorimetry, site) in colorimetries.iter().flat_map(|c| sites.iter().map(move |s| (c, s))) {
                let info = info_with(format, width, height, colorimetry, site);
                // The rarer formats differ in where samples lie; colours and places of chroma are all the same.
                let usual = matches!((*colorimetry, *site), ("bt601", "jpeg") | ("bt709", "mpeg2"));
                if !common::formats()[..19].contains(&format) && (!usual || width > 161) {
                    continue;
                }
                // GStreamer 1.22 packs the last sample of colour the other way round where their number is odd.
                let swaps = matches!(format, gst_video::VideoFormat::Nv61 | gst_video::VideoFormat::Vyuy);
                if swaps && width % 2 == 1 {
                    continue;
                }
                // GStreamer 1.26 packs MediaTek's tiles rightly where they are full alone.
                if info.format_info().name().starts_with("MT2110") && width % 16 > 0 {
                    continue;
                }
                if !info.is_yuv() && (*colorimetry, *site) != ("bt601", "jpeg") {
                    continue;
                }
                let color: &dyn Fn(f64, f64) -> [f64; 3] = &color;
                let buffer = common::frame(&info, color);
                let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
                let video = gstsmile::smilefilter::picture(&frame).unwrap();
                let inner = rect(3.0, 5.0, width as f32 * 0.6, height as f32 * 0.7);
                for region in [file.bounds(), inner, rect(-9.0, -7.0, 60.0, 60.0)] {
                    let [expected, actual] = [&file, &video].map(|picture| {
                        let mut output = vec![0; 3 * 64 * 64];
                        Cropper::new(64, 64).crop(picture, region, &mut output);
                        output
                    });
                    let expected = if info.is_gray() { grey(&expected) } else { expected };
                    let tolerance = tolerance(&info);
                    let worst = expected.iter().zip(&actual).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                    assert!(
                        worst <= tolerance,
                        "{format:?} {width}×{height} {colorimetry} {site} {region:?}: off by {worst}"
                    );
                }
            }
        }
    }
}

/// What rounding in a format may cost.
fn tolerance(info: &gst_video::VideoInfo) -> u8 {
    use gst_video::VideoFormat::*;
    match info.format() {
        // Six steps of each colour, not the nearest one.
        Rgb8p => 46,
        Rgb15 | Bgr15 | Rgb16 | Bgr16 => 8,
        // At the edges, chroma is that of a place up to two pixels away.
        Y41b | Iyu1 | Yuv9 | Yvu9 => 12,
        _ if info.is_rgb() && info.format_info().bits() == 8 => 0,
        _ if info.is_rgb() || info.is_gray() => 1,
        _ => 3,
    }
}

fn info_with(
    format: gst_video::VideoFormat,
    width: u32,
    height: u32,
    colorimetry: &str,
    site: &str,
) -> gst_video::VideoInfo {
    let info = common::info(format, width, height);
    if !info.is_yuv() {
        return info;
    }
    let mut caps = info.to_caps().unwrap();
    caps.get_mut().unwrap().set("colorimetry", colorimetry);
    caps.get_mut().unwrap().set("chroma-site", site);
    gst_video::VideoInfo::from_caps(&caps).unwrap()
}

/// What a format without colour can know of a crop.
fn grey(crop: &[u8]) -> Vec<u8> {
    let (red, rest) = crop.split_at(64 * 64);
    let (green, blue) = rest.split_at(64 * 64);
    let luma = |((&r, &g), &b): ((&u8, &u8), &u8)| {
        (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b) + 0.5) as u8
    };
    let plane: Vec<u8> = red.iter().zip(green).zip(blue).map(luma).collect();
    plane.repeat(3)
}
