//! Finding faces: the network against candle, brightness, and boxes in pixels of any picture.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use gstsmile::analysis::crop::{Color, Cropper, Picture, Rect};
use gstsmile::analysis::locate::{Detection, Locator};
use gstsmile::model::{
    Architecture, Block, Detector, FACE_VALUES, FaceMetadata, FaceWeights, Network, initial_tensors,
};
use gstsmile::ops::Isa;
use gstsmile::ops::inference::{Engine, Layer, Norm};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A locator with random parameters.
fn random(filters: [usize; 4], seed: u64) -> FaceWeights {
    let architecture = Architecture::face(160, filters);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // In an order, so that the same seed gives the same weights.
    let mut tensors: BTreeMap<_, _> = initial_tensors(&architecture, &mut rng).unwrap().into_iter().collect();
    for (name, tensor) in &mut tensors {
        if tensor.rank() == 1 {
            let low = if name.ends_with("running_var") { 0.3 } else { -0.5 };
            let values: Vec<f32> = (0..tensor.elem_count()).map(|_| rng.random_range(low..1.0)).collect();
            *tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
        }
    }
    FaceWeights { metadata: FaceMetadata::new(architecture), tensors: tensors.into_iter().collect() }
}

/// A locator that takes white spots of 4×4 pixels for the middles of faces 12 pixels wide and 20
/// high, whose eyes are 4 pixels above the middle and 3 to its sides.
fn spots() -> FaceWeights {
    let conv = Block::Conv { filters: 1, kernel: 1, stride: 2, norm: false, relu: true, pool: true };
    let head = Block::Head { filters: FACE_VALUES };
    let architecture = Architecture { input: [1, 160, 160], blocks: vec![conv, head] };
    let mut weight = [0.0f32; FACE_VALUES];
    weight[0] = 40.0;
    let mut bias = [0.0f32; FACE_VALUES];
    bias[0] = -30.0;
    (bias[3], bias[4]) = (3.0f32.ln(), 5.0f32.ln());
    bias[5..9].copy_from_slice(&[-0.75, -1.0, 0.75, -1.0]);
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let tensors = HashMap::from([
        ("0.conv.weight".into(), tensor(&[1.0], &[1, 1, 1, 1])),
        ("0.conv.bias".into(), tensor(&[0.0], &[1])),
        ("1.weight".into(), tensor(&weight, &[FACE_VALUES, 1, 1, 1])),
        ("1.bias".into(), tensor(&bias, &[FACE_VALUES])),
    ]);
    FaceWeights { metadata: FaceMetadata::new(architecture), tensors }
}

/// A black picture with a white rectangle.
fn white(width: usize, height: usize, rect: Rect) -> Vec<u8> {
    let inside = |index: usize| {
        let (x, y) = ((index % width) as f32 + 0.5, (index / width) as f32 + 0.5);
        (rect.x..rect.x + rect.width).contains(&x) && (rect.y..rect.y + rect.height).contains(&y)
    };
    (0..width * height).flat_map(|index| [if inside(index) { 255 } else { 0 }; 3]).collect()
}

fn locate(weights: &FaceWeights, picture: &Picture) -> Vec<Detection> {
    let mut found = Vec::new();
    Locator::new(weights).unwrap().locate(picture, &mut found).unwrap();
    found
}

#[track_caller]
fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance;
    assert!(actual.iter().zip(expected).all(close), "{actual:?} is not {expected:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn heads_agree_with_candle(
        filters in [1..40usize, 1..40, 1..70, 1..70],
        (rows, columns) in (1..5usize, 1..6usize),
        seed: u64,
    ) {
        let weights = random(filters, seed);
        let size = [32 * rows, 32 * columns];
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        let picture: Vec<u8> = (0..size[0] * size[1]).map(|_| rng.random()).collect();
        let tensors = VarBuilder::from_tensors(weights.tensors.clone(), DType::F32, &Device::Cpu);
        let network = Network::new(&weights.metadata.architecture, &tensors).unwrap();
        let values: Vec<f32> = picture.iter().map(|&byte| f32::from(byte) * weights.metadata.scale).collect();
        let input = Tensor::from_vec(values, (1, 1, size[0], size[1]), &Device::Cpu).unwrap();
        let expected = network.forward(&input).unwrap();
        for isa in Isa::available() {
            let mut detector = Detector::new(&weights, isa).unwrap();
            detector.run(&picture, size).unwrap();
            let answers: Vec<_> = detector.answers().collect();
            prop_assert_eq!(answers.len(), 4);
            for (answer, expected) in answers.iter().zip(&expected) {
                prop_assert_eq!(
                    expected.dims(),
                    &[1, FACE_VALUES, size[0].div_ceil(answer.stride), size[1].div_ceil(answer.stride)][..]
                );
                let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
                for (value, expected) in answer.values.iter().zip(&expected) {
                    let difference = (value - expected).abs() / largest;
                    prop_assert!(difference < 1e-4, "{isa:?}: {value}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn any_picture_gives_finite_boxes(
        width in 1..400usize,
        height in 1..400usize,
        aspect in prop_oneof![Just(1.0f32), 0.05..20.0f32],
        seed: u64,
    ) {
        let mut weights = random([4; 4], seed);
        weights.metadata.threshold = 0.01;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let data: Vec<u8> = (0..3 * width * height).map(|_| rng.random()).collect();
        let picture = Picture { pixel_aspect: aspect, ..Picture::rgb(width, height, &data) };
        let found = locate(&weights, &picture);
        for (index, face) in found.iter().enumerate() {
            let Rect { x, y, width, height } = face.rect;
            prop_assert!([x, y, width, height].iter().all(|value| value.is_finite()), "{face:?}");
            prop_assert!(width > 0.0 && height > 0.0 && (0.01..=1.0).contains(&face.score), "{face:?}");
            for better in &found[..index] {
                prop_assert!(better.score >= face.score);
                prop_assert!(better.rect.overlap(face.rect) < weights.metadata.overlap);
            }
        }
    }
}

#[test]
fn boxes_are_in_pixels_of_the_picture() {
    let weights = spots();
    // Size, aspect, and how many of its pixels go across and down into one of the network's.
    for (width, height, aspect, [across, down]) in [
        (160, 120, 1.0, [1.0, 1.0]),
        (80, 60, 1.0, [0.5, 0.5]),
        (640, 480, 1.0, [4.0, 4.0]),
        (360, 960, 1.0, [6.0, 6.0]),
        (320, 480, 2.0, [2.0, 4.0]),
        (1440, 270, 0.5, [9.0, 4.5]),
    ] {
        // The network's pixels 40 to 44 across and 32 to 36 down are the middle of a place.
        let spot = Rect { x: 40.0 * across, y: 32.0 * down, width: 4.0 * across, height: 4.0 * down };
        let data = white(width, height, spot);
        let picture = Picture { pixel_aspect: aspect, ..Picture::rgb(width, height, &data) };
        let found = locate(&weights, &picture);
        let [face] = &found[..] else { panic!("{width}×{height}: {found:?}") };
        let Rect { x, y, width, height } = face.rect;
        assert_close(&[x, width], &[36.0 * across, 12.0 * across], 0.01 * across);
        assert_close(&[y, height], &[24.0 * down, 20.0 * down], 0.01 * down);
        assert_close(&face.landmarks[0], &[39.0 * across, 30.0 * down], 0.02 * across.max(down));
        assert_close(&face.landmarks[1], &[45.0 * across, 30.0 * down], 0.02 * across.max(down));
        assert_close(&[face.score], &[1.0], 1e-3);
    }
}

#[test]
fn a_threshold_of_its_own_is_kept_to() {
    let weights = spots();
    // Logits are 40 × brightness − 30: at 0.8 of white 2, a score of 0.88.
    let data: Vec<u8> = white(160, 120, Rect { x: 40.0, y: 32.0, width: 4.0, height: 4.0 })
        .iter()
        .map(|v| v / 5 * 4)
        .collect();
    let picture = Picture::rgb(160, 120, &data);
    let mut locator = Locator::new(&weights).unwrap();
    let mut found = Vec::new();
    for (threshold, count) in [(0.5, 1), (0.87, 1), (0.89, 0), (1.0, 0), (0.87, 1)] {
        locator.set_threshold(threshold);
        locator.locate(&picture, &mut found).unwrap();
        assert_eq!(found.len(), count, "{threshold}");
    }
}

#[test]
fn of_overlapping_faces_the_better_one_stays() {
    let mut weights = spots();
    weights.metadata.overlap = 0.3;
    let mut data = white(160, 120, Rect { x: 40.0, y: 32.0, width: 4.0, height: 4.0 });
    // One place to the right a little darker, and one far away.
    for (x, value) in [(44, 230), (80, 240)] {
        for (column, row) in (x..x + 4).flat_map(|x| (32..36).map(move |y| (x, y))) {
            data[3 * (row * 160 + column)..][..3].fill(value);
        }
    }
    let found = locate(&weights, &Picture::rgb(160, 120, &data));
    let middles: Vec<f32> = found.iter().map(|face| face.rect.x + face.rect.width / 2.0).collect();
    assert_close(&middles, &[42.0, 82.0], 0.1);
    assert_eq!(middles.len(), 2);
}

#[test]
fn brightness_is_the_same_from_every_format() {
    let grey = |picture: &Picture| {
        let mut output = [0; 1];
        Cropper::new(1, 1).crop_grey(picture, picture.bounds(), &mut output);
        f32::from(output[0])
    };
    let rgb: Vec<u8> = [200, 100, 50].repeat(16);
    let expected = 0.299 * 200.0 + 0.587 * 100.0 + 0.114 * 50.0;
    assert_close(&[grey(&Picture::rgb(4, 4, &rgb))], &[expected], 0.6);
    let bgr: Vec<u8> = [50, 100, 200].repeat(16);
    let mut swapped = Picture::rgb(4, 4, &bgr);
    swapped.components.swap(0, 2);
    assert_close(&[grey(&swapped)], &[expected], 0.6);
    // Whatever the matrix and the colour, brightness is the first component in its range.
    for (kr, kb) in [(0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)] {
        for [u, v] in [[128, 128], [20, 230], [240, 16]] {
            let data: Vec<u8> = [126, u, v].repeat(16);
            let limited = Color::yuv(kr, kb).with_range([16.0, 128.0, 128.0], [219.0, 224.0, 224.0]);
            let picture = Picture { color: limited, ..Picture::rgb(4, 4, &data) };
            assert_close(&[grey(&picture)], &[110.0 * 255.0 / 219.0], 0.6);
            let full = Color::yuv(kr, kb).with_range([0.0, 128.0, 128.0], [255.0; 3]);
            let picture = Picture { color: full, ..Picture::rgb(4, 4, &data) };
            assert_close(&[grey(&picture)], &[126.0], 0.6);
        }
    }
    assert_close(&[grey(&Picture::grey(4, 4, &[77; 16]))], &[77.0], 0.6);
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let conv = |norm: bool| Layer::Conv {
        norm: norm.then(|| {
            let values = || vec![1.0; 2];
            Norm { weight: values(), bias: values(), mean: values(), variance: values(), epsilon: 1e-3 }
        }),
        kernel: vec![0.0; 4],
        bias: vec![0.0; 2],
        size: 1,
        stride: 1,
        relu: false,
        pool: false,
    };
    let head = |weights: usize| Layer::Head { weight: vec![0.0; weights], bias: vec![0.0; 3] };
    let fits = |layers: &[Layer]| Engine::new([2, 4, 4], [1.0, 0.0], layers, Isa::Portable).is_ok();
    assert!(fits(&[conv(false), head(6), conv(false), head(6)]));
    assert!(!fits(&[conv(false), head(5)]), "too few weights");
    assert!(!fits(&[conv(false), head(6), conv(true), head(6)]), "normalised after a head");
    assert!(!fits(&[conv(false), head(6), conv(false)]), "ends without a head");
    assert!(!fits(&[head(6)]), "nothing before the head");
    assert!(!fits(&[conv(false), head(6), Layer::Flatten]), "goes on with rows");
}

/// A locator that takes bright places for faces, the surer the brighter they are: `side` pixels wide and
/// high, `aside` pixels to the right of the place.
fn bright(side: f32, aside: f32) -> FaceWeights {
    let mut weights = spots();
    let mut weight = [0.0f32; FACE_VALUES];
    weight[0] = 8.0;
    let mut bias = [0.0f32; FACE_VALUES];
    bias[..5].copy_from_slice(&[-4.0, aside / 4.0, 0.0, (side / 4.0).ln(), (side / 4.0).ln()]);
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    weights.tensors.insert("1.weight".into(), tensor(&weight, &[FACE_VALUES, 1, 1, 1]));
    weights.tensors.insert("1.bias".into(), tensor(&bias, &[FACE_VALUES]));
    weights
}

/// The highest score of one look at the whole of a picture of 640×480 pixels.
fn from_afar(weights: &FaceWeights, picture: &Picture) -> f32 {
    let mut small = vec![0; 160 * 120];
    Cropper::new(160, 120).crop_grey(picture, picture.bounds(), &mut small);
    let mut detector = Detector::new(weights, Isa::best()).unwrap();
    detector.run(&small, [120, 160]).unwrap();
    let head = detector.answers().next().unwrap();
    let logit = head.values[..head.rows * head.columns].iter().fold(f32::MIN, |most, &value| most.max(value));
    1.0 / (1.0 + (-logit).exp())
}

#[test]
fn doubtful_faces_get_a_second_look() {
    let spot = |side: f32, value: u8| {
        // In the middle of a place of the head.
        let rect = Rect { x: 328.0 - side / 2.0, y: 248.0 - side / 2.0, width: side, height: side };
        white(640, 480, rect).iter().map(|&byte| byte.min(value)).collect::<Vec<u8>>()
    };
    let scores = |weights: &FaceWeights, data: &[u8], threshold: f32| {
        let picture = Picture::rgb(640, 480, data);
        let doubt = from_afar(weights, &picture);
        assert!((0.4..0.85).contains(&doubt), "{doubt}");
        let mut found = Vec::new();
        let mut locator = Locator::new(weights).unwrap();
        locator.set_threshold(threshold);
        locator.locate(&picture, &mut found).unwrap();
        (doubt, found.first().map(|face| face.score))
    };
    // White, but so small that it seems grey from afar.
    let (doubt, score) = scores(&bright(24.0, 0.0), &spot(6.0, 255), 0.75);
    assert!(doubt < 0.75 && score > Some(0.75), "{doubt} {score:?}");
    // Grey from near, too.
    let (doubt, score) = scores(&bright(24.0, 0.0), &spot(60.0, 140), 0.1);
    assert!((score.unwrap() - doubt).abs() < 1e-3, "{doubt} {score:?}");
    // Not to be seen where the face would be.
    let (doubt, score) = scores(&bright(24.0, 60.0), &spot(60.0, 140), 0.3);
    assert!(doubt > 0.5 && score.is_none(), "{doubt} {score:?}");
}

#[test]
fn what_fills_the_picture_is_looked_at_from_farther_away() {
    // The same grey everywhere makes a face 0.6 likely.
    let score = |side: f32, width: usize, height: usize| {
        let data = vec![140; 3 * width * height];
        locate(&bright(side, 0.0), &Picture::rgb(width, height, &data)).first().map(|face| face.score)
    };
    for (width, height) in [(320, 320), (64, 64), (240, 320)] {
        // In the 96 pixels of the shorter side; in the first look it is half of it.
        assert!(score(80.0, width, height) > Some(0.75), "{width}×{height}");
        assert_eq!(score(60.0, width, height), None, "{width}×{height}");
    }
    // In the 90 pixels of the only look.
    assert!(score(80.0, 320, 180) > Some(0.75));
    assert_eq!(score(60.0, 320, 180), None);
}

#[test]
fn what_fills_a_small_picture_that_is_no_frame_is_more_likely_a_face() {
    // The same grey everywhere makes a face 0.35 likely.
    let found = |&(width, height, pixel_aspect): &(usize, usize, f32)| {
        let data = vec![108; 3 * width * height];
        let picture = Picture { pixel_aspect, ..Picture::rgb(width, height, &data) };
        !locate(&bright(80.0, 0.0), &picture).is_empty()
    };
    let small = [(64, 64, 1.0), (128, 128, 1.0), (90, 120, 1.0), (120, 64, 0.5)];
    assert!(small.iter().all(found));
    let others = [(130, 130, 1.0), (320, 320, 1.0), (72, 64, 1.0), (128, 96, 1.0), (64, 64, 1.1)];
    assert!(!others.iter().any(found));
}

#[test]
fn what_may_be_a_face_is_not_hidden_by_something_larger_that_is_none_either() {
    // A grey spot makes a face 0.35 likely: in the first look half as large as the picture, in the one from farther
    // away so large that it fills it, where its odds are raised to 0.57.
    let mut data = white(320, 320, Rect { x: 130.0, y: 130.0, width: 60.0, height: 60.0 });
    data.iter_mut().for_each(|byte| *byte = (*byte).min(108));
    let mut locator = Locator::new(&bright(80.0, 0.0)).unwrap();
    let mut found = Vec::new();
    locator.locate_from(&Picture::rgb(320, 320, &data), 0.3, &mut found).unwrap();
    let kept = |face: &Detection| (face.rect.width - 160.0).abs() < 1.0 && (face.score - 0.35).abs() < 0.02;
    assert!(found.iter().any(kept), "{found:?}");
}

#[test]
fn what_looks_like_a_face_at_one_size_alone_is_none() {
    // The same grey everywhere makes a face 0.62 likely, in each look elsewhere.
    let data = vec![143; 3 * 320 * 240];
    assert_eq!(locate(&bright(24.0, 0.0), &Picture::rgb(320, 240, &data)), []);
}

#[cfg(feature = "train")]
#[test]
fn a_blurred_face_is_found() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
    let blurred = image::imageops::blur(&image::open(path).unwrap().into_rgb8(), 6.3);
    let part = image::imageops::crop_imm(&blurred, 50, 30, 170, 170).to_image();
    let found = locate(&FaceWeights::embedded().unwrap(), &Picture::rgb(170, 170, part.as_raw()));
    let [face] = &found[..] else { panic!("{found:?}") };
    let expected = Rect { x: 35.0, y: 38.0, width: 89.0, height: 104.0 };
    assert!(face.rect.overlap(expected) > 0.5, "{face:?}");
}

#[cfg(feature = "train")]
#[test]
fn a_face_too_close_to_fit_is_found() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
    // From the eyebrows to the chin.
    let close = image::open(path).unwrap().crop_imm(97, 102, 60, 60);
    for side in [60, 600] {
        let close = close.resize(side, side, image::imageops::FilterType::Triangle).to_rgb8();
        let picture = Picture::rgb(side as usize, side as usize, close.as_raw());
        let found = locate(&FaceWeights::embedded().unwrap(), &picture);
        let [face] = &found[..] else { panic!("{side}: {found:?}") };
        assert!(face.rect.overlap(picture.bounds()) > 0.35, "{side}: {face:?}");
    }
}
