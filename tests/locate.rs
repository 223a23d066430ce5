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
use gstsmile::ops::inference::{Engine, Layer, Merge, Norm};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A face detector with random parameters, whose heads but the last merge or not.
fn random(filters: [usize; 4], seed: u64, merging: bool) -> FaceWeights {
    let mut architecture = Architecture::face(160, filters);
    for block in &mut architecture.blocks {
        if let Block::Head { merge, .. } = block {
            *merge &= merging;
        }
    }
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

/// A face detector that takes white spots of 4×4 pixels for the middles of faces 12 pixels wide and 20
/// high, whose eyes are 4 pixels above the middle and 3 to its sides.
fn spots() -> FaceWeights {
    let conv = Block::Conv { filters: 1, kernel: 1, stride: 2, norm: false, relu: true, pool: true };
    let head = Block::Head { filters: FACE_VALUES, merge: false };
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
    // Pictures are seen with 120 rows where nobody asks for more.
    let metadata = FaceMetadata { smallest: 12.0, ..FaceMetadata::new(architecture) };
    FaceWeights { metadata, tensors }
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
        merging: bool,
        seed: u64,
    ) {
        let weights = random(filters, seed, merging);
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
        let mut weights = random([4; 4], seed, true);
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
        (360, 960, 1.0, [8.0, 8.0]),
        (320, 480, 2.0, [2.0, 4.0]),
        (1440, 270, 0.5, [4.5, 2.25]),
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
fn weights_of_heads_that_do_not_merge_answer_as_before_where_they_do() {
    let old = random([8, 9, 10, 11], 5, false);
    let architecture = Architecture::face(160, [8, 9, 10, 11]);
    let mut new = old.for_architecture(&architecture).unwrap().unwrap();
    assert_eq!((new.tensors.len(), &new.metadata.architecture), (old.tensors.len() + 6, &architecture));
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let picture: Vec<u8> = (0..100 * 75).map(|_| rng.random()).collect();
    let answers = |weights: &FaceWeights| {
        let mut detector = Detector::new(weights, Isa::best()).unwrap();
        detector.run(&picture, [75, 100]).unwrap();
        detector.answers().flat_map(|answer| answer.values.to_vec()).collect::<Vec<f32>>()
    };
    assert_eq!(answers(&old), answers(&new));
    new.tensors.insert("8.merge.bias".into(), Tensor::full(0.1f32, 11, &Device::Cpu).unwrap());
    assert_ne!(answers(&old), answers(&new));
    // Those that merge already are taken as they are, others not at all.
    let same = new.for_architecture(&architecture).unwrap().unwrap();
    assert_eq!(answers(&same), answers(&new));
    assert!(new.for_architecture(&old.metadata.architecture).unwrap().is_none());
    for filters in [[8, 9, 10, 12], [7, 9, 10, 11]] {
        assert!(old.for_architecture(&Architecture::face(160, filters)).unwrap().is_none());
    }
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
    let head = |weights: usize| Layer::Head { weight: vec![0.0; weights], bias: vec![0.0; 3], merge: None };
    let fits = |layers: &[Layer]| Engine::new([2, 4, 4], [1.0, 0.0], layers, Isa::Portable).is_ok();
    assert!(fits(&[conv(false), head(6), conv(false), head(6)]));
    assert!(!fits(&[conv(false), head(5)]), "too few weights");
    assert!(!fits(&[conv(false), head(6), conv(true), head(6)]), "normalised after a head");
    assert!(!fits(&[conv(false), head(6), conv(false)]), "ends without a head");
    assert!(!fits(&[head(6)]), "nothing before the head");
    assert!(!fits(&[conv(false), head(6), Layer::Flatten]), "goes on with rows");
    let halving = || match conv(false) {
        Layer::Conv { norm, kernel, bias, size, relu, pool, .. } => {
            Layer::Conv { norm, kernel, bias, size, stride: 2, relu, pool }
        }
        other => other,
    };
    let merging = |weights: usize, channels: usize| {
        let merge = Some(Merge { weight: vec![0.0; weights], bias: vec![0.0; channels] });
        Layer::Head { weight: vec![0.0; 6], bias: vec![0.0; 3], merge }
    };
    assert!(fits(&[conv(false), merging(4, 2), halving(), head(6)]));
    assert!(!fits(&[conv(false), merging(5, 2), halving(), head(6)]), "too many weights to merge by");
    assert!(!fits(&[conv(false), merging(6, 3), halving(), head(6)]), "merges other channels");
    assert!(!fits(&[conv(false), merging(4, 2), conv(false), head(6)]), "merges what isn't smaller");
    assert!(!fits(&[conv(false), merging(4, 2)]), "merges a head that isn't there");
    assert!(!fits(&[merging(4, 2), halving(), head(6)]), "merges into what no convolution gave");
}

/// A face detector that takes bright places for faces, the surer the brighter they are: `side` pixels wide and
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

/// The highest score of one pass over the whole of a picture of 640×480 pixels.
fn from_afar(weights: &FaceWeights, picture: &Picture) -> f32 {
    let mut small = vec![0; 160 * 120];
    Cropper::new(160, 120).crop_grey(picture, picture.bounds(), &mut small);
    let mut detector = Detector::new(weights, Isa::best()).unwrap();
    detector.run(&small, [120, 160]).unwrap();
    let head = detector.answers().next().unwrap();
    let logit = head.values[..head.rows * head.columns].iter().fold(f32::MIN, |most, &value| most.max(value));
    1.0 / (1.0 + (-logit).exp())
}

/// A square spot of this brightness, in the middle of a place of the head.
fn spot(x: f32, y: f32, side: f32, value: u8) -> Vec<u8> {
    let rect = Rect { x: x - side / 2.0, y: y - side / 2.0, width: side, height: side };
    white(640, 480, rect).iter().map(|&byte| byte.min(value)).collect()
}

#[test]
fn doubtful_faces_are_looked_at_again_from_near() {
    let scores = |weights: &FaceWeights, data: &[u8], threshold: f32| {
        let picture = Picture::rgb(640, 480, data);
        let doubt = from_afar(weights, &picture);
        assert!((0.2..0.9).contains(&doubt), "{doubt}");
        let mut found = Vec::new();
        let mut locator = Locator::new(weights).unwrap();
        locator.set_threshold(threshold);
        locator.locate(&picture, &mut found).unwrap();
        (doubt, found.first().map(|face| face.score))
    };
    // White, but so small that it seems grey from afar.
    let (doubt, score) = scores(&bright(32.0, 0.0), &spot(328.0, 248.0, 6.0, 255), 0.75);
    assert!(doubt < 0.75 && score > Some(0.75), "{doubt} {score:?}");
    // Grey from near, too.
    let (doubt, score) = scores(&bright(32.0, 0.0), &spot(328.0, 248.0, 60.0, 140), 0.1);
    assert!((score.unwrap() - doubt).abs() < 1e-3, "{doubt} {score:?}");
    // Not to be seen where the face would be.
    let (doubt, score) = scores(&bright(32.0, 60.0), &spot(168.0, 248.0, 24.0, 140), 0.3);
    assert!(doubt > 0.5 && score.is_none(), "{doubt} {score:?}");
}

#[test]
fn no_more_is_looked_at_again_than_twice_what_the_first_pass_costs() {
    // Six that aren't seen where their faces would be, of which four passes of 96×96 fit into twice 160×120.
    let mut data = vec![0; 3 * 640 * 480];
    for (x, y) in [72.0, 184.0, 296.0].into_iter().flat_map(|x| [(x, 72.0), (x, 312.0)]) {
        data.iter_mut().zip(spot(x, y, 24.0, 140)).for_each(|(byte, spot)| *byte |= spot);
    }
    let mut locator = Locator::new(&bright(32.0, 60.0)).unwrap();
    let mut found = Vec::new();
    locator.locate_from(&Picture::rgb(640, 480, &data), 0.1, &mut found).unwrap();
    assert_eq!(found.iter().filter(|face| face.score > 0.3).count(), 2, "{found:?}");
}

/// Grey for who looks at it from afar, black for who sees every second pixel of each row.
fn stripes(width: usize, height: usize, rect: Rect) -> Vec<u8> {
    let mut data = white(width, height, rect);
    data.chunks_exact_mut(3).step_by(2).for_each(|pixel| pixel.fill(0));
    data
}

#[test]
fn large_faces_are_looked_for_in_a_smaller_picture() {
    let mut weights = bright(30.0, 0.0);
    weights.metadata.threshold = 0.3;
    let rect = Rect { x: 120.0, y: 96.0, width: 12.0, height: 12.0 };
    let data = stripes(800, 600, rect);
    let picture = Picture::rgb(800, 600, &data);
    let mut found = Vec::new();
    // The network sees 600 rows, and 200.
    weights.metadata.smallest = 18.0;
    let mut locator = Locator::new(&weights).unwrap();
    locator.set_least_height(18.0 / 600.0);
    locator.locate(&picture, &mut found).unwrap();
    let [face] = &found[..] else { panic!("{found:?}") };
    let Rect { x, y, width, height } = face.rect;
    assert_close(&[x, y, width, height], &[81.0, 57.0, 90.0, 90.0], 1.0);
    // The upper part is seen in its own size, and no smaller.
    let part = Picture::rgb(800, 150, &data[..3 * 800 * 150]);
    locator.set_least_height(18.0 / 150.0);
    locator.locate(&part, &mut found).unwrap();
    assert_eq!(found, []);
    // What is hardly larger there than the smallest face is left to the larger picture.
    let mut weights = weights;
    weights.metadata.smallest = 21.0;
    let mut locator = Locator::new(&weights).unwrap();
    locator.set_least_height(21.0 / 600.0);
    locator.locate(&picture, &mut found).unwrap();
    assert_eq!(found, []);
}

#[test]
fn the_smallest_face_that_is_asked_for_says_how_large_the_picture_is_seen() {
    let weights = spots();
    // Seen with 320 rows for what it is, with 120 for hardly anything.
    let data = white(640, 480, Rect { x: 48.0, y: 48.0, width: 5.0, height: 5.0 });
    let picture = Picture::rgb(640, 480, &data);
    let mut locator = Locator::new(&weights).unwrap();
    let mut count = |least: f32| {
        let mut found = Vec::new();
        locator.set_least_height(least);
        locator.locate(&picture, &mut found).unwrap();
        found.len()
    };
    assert_eq!([0.1, 0.0375, 0.1].map(&mut count), [0, 1, 0]);
    // Smaller ones aren't looked for, whatever is asked.
    let data = white(640, 480, Rect { x: 48.0, y: 48.0, width: 3.0, height: 3.0 });
    let picture = Picture::rgb(640, 480, &data);
    let mut found = Vec::new();
    for (least, rows) in [(0.0, 400), (0.03, 400), (1.0, 12)] {
        locator.set_least_height(least);
        locator.locate(&picture, &mut found).unwrap();
        assert!(
            found.iter().all(|face| (face.rect.height - 20.0 * 480.0 / rows as f32).abs() < 1.0),
            "{found:?}"
        );
    }
}

#[test]
fn near_looks_find_the_faces_that_are_expected_and_no_others() {
    let weights = spots();
    let mut data = white(640, 480, Rect { x: 160.0, y: 128.0, width: 16.0, height: 16.0 });
    let other = white(640, 480, Rect { x: 400.0, y: 320.0, width: 16.0, height: 16.0 });
    data.iter_mut().zip(other).for_each(|(byte, other)| *byte |= other);
    let picture = Picture::rgb(640, 480, &data);
    let mut locator = Locator::new(&weights).unwrap();
    let mut found = Vec::new();
    locator.locate(&picture, &mut found).unwrap();
    assert_eq!(found.len(), 2);
    let face = |x: f32, y: f32| Rect { x: x - 24.0, y: y - 40.0, width: 48.0, height: 80.0 };
    // It has moved by ten pixels. What the network says at another scale is elsewhere by some.
    let moved = face(178.0, 142.0);
    assert!(locator.locate_near(&picture, &[moved], 0.3, &mut found).unwrap());
    assert!(!found.is_empty() && found.iter().all(|found| found.rect.overlap(moved) > 0.25), "{found:?}");
    // There is none any more.
    assert!(locator.locate_near(&picture, &[face(500.0, 100.0)], 0.3, &mut found).unwrap());
    assert_eq!(found, []);
    // Many together cost less at once.
    let crowd: Vec<Rect> =
        (0..12).map(|index| face(50.0 * index as f32, 60.0 + 25.0 * index as f32)).collect();
    assert!(!locator.locate_near(&picture, &crowd, 0.3, &mut found).unwrap());
}

#[cfg(feature = "train")]
#[test]
fn a_blurred_face_is_found() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
    let blurred = image::imageops::blur(&image::open(path).unwrap().into_rgb8(), 4.5);
    let part = image::imageops::crop_imm(&blurred, 50, 30, 170, 170).to_image();
    let found = locate(&FaceWeights::embedded().unwrap(), &Picture::rgb(170, 170, part.as_raw()));
    let [face] = &found[..] else { panic!("{found:?}") };
    let expected = Rect { x: 35.0, y: 38.0, width: 89.0, height: 104.0 };
    assert!(face.rect.overlap(expected) > 0.5, "{face:?}");
}

#[cfg(feature = "train")]
#[test]
fn a_face_that_fills_the_picture_is_found() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
    let close = image::open(path).unwrap().crop_imm(80, 60, 95, 115);
    for times in [1, 6] {
        let (width, height) = (95 * times, 115 * times);
        let close = close.resize_exact(width, height, image::imageops::FilterType::Triangle).to_rgb8();
        let picture = Picture::rgb(width as usize, height as usize, close.as_raw());
        let found = locate(&FaceWeights::embedded().unwrap(), &picture);
        let [face] = &found[..] else { panic!("{times}: {found:?}") };
        assert!(face.rect.overlap(picture.bounds()) > 0.7, "{times}: {face:?}");
    }
}
