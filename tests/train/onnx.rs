//! Exported networks in ONNX Runtime beside ours, where there is a Python with it.

use std::fs;
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use gstsmile::analysis::crop::{Picture, Rect};
use gstsmile::analysis::{Analyzer, Request};
use gstsmile::model::{
    Architecture, Block, Classifier, Detector, DeviceChoice, FaceWeights, Metadata, SmileWeights,
    initial_tensors,
};
use gstsmile::ops::Isa;
use image::imageops::{self, FilterType};
use image::{GrayImage, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::tempdir;

use crate::pictures::{face, names, put};
use crate::program::{errors, run, succeeded};

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/astronaut.jpg");
const PICTURES: usize = 200;
const TOLERANCE: f32 = 1e-4;

/// Writes the outputs for the pictures in a file, each to a file of its name.
const SCRIPT: &str = "
import sys, numpy, onnxruntime
model, pictures = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
image, outputs = session.get_inputs()[0], [output.name for output in session.get_outputs()]
pictures = numpy.fromfile(pictures, numpy.uint8).reshape(-1, *image.shape[1:])
step = 1 if image.shape[0] == 1 else 37
answers = [session.run(outputs, {image.name: pictures[at : at + step]}) for at in range(0, len(pictures), step)]
for name, values in zip(outputs, zip(*answers)):
    numpy.concatenate(values).tofile(name)
";

/// Python with ONNX Runtime and what else `modules` names, or a word on why a test is left out.
fn python(modules: &str) -> Option<String> {
    let bench = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-venv/bin/python");
    let named = std::env::var("PYTHON").ok();
    let has_all = |python: &String| {
        let tried = Command::new(python).args(["-c", &format!("import onnxruntime, {modules}")]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let python = named.into_iter().chain([bench.into(), "python3".into()]).find(has_all);
    if python.is_none() {
        println!(
            "no Python with onnxruntime, {modules} (PYTHON may name one): a test of exports is left out."
        );
    }
    python
}

/// What ONNX Runtime makes of pictures, for each output in its order.
fn elsewhere(python: &str, folder: &Path, outputs: &[&str], pictures: &[u8]) -> Vec<Vec<f32>> {
    put(folder, "pictures", pictures);
    let output = Command::new(python)
        .args(["-c", SCRIPT, "network.onnx", "pictures"])
        .current_dir(folder)
        .output()
        .unwrap();
    succeeded(&output);
    let floats = |name: &&str| {
        let bytes = fs::read(folder.join(name)).unwrap();
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    outputs.iter().map(floats).collect()
}

/// Generated faces, each second one with noise, as planes.
fn faces(width: u32, height: u32, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut pictures = Vec::new();
    for index in 0..PICTURES {
        let picture = face(index as u64, index % 3 == 0);
        let picture = imageops::resize(&picture, width, height, FilterType::Triangle);
        for channel in 0..3 {
            pictures.extend(picture.pixels().map(|pixel| noisy(pixel[channel], index, rng)));
        }
    }
    pictures
}

/// The bytes of each pixel side by side, of pictures in planes of so many.
fn interleaved(pictures: &[u8], area: usize) -> Vec<u8> {
    let pixels = |planes: &[u8]| {
        (0..area).flat_map(|at| [planes[at], planes[area + at], planes[2 * area + at]]).collect::<Vec<_>>()
    };
    pictures.chunks_exact(3 * area).flat_map(pixels).collect()
}

fn noisy(value: u8, index: usize, rng: &mut ChaCha8Rng) -> u8 {
    if index.is_multiple_of(2) { value } else { value.wrapping_add(rng.random_range(0..60)) }
}

#[test]
fn exported_smile_networks_answer_as_ours() {
    let Some(python) = python("numpy") else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let shipped = SmileWeights::embedded().unwrap();
    let mut darker = shipped.clone();
    (darker.metadata.offset, darker.metadata.temperature) = (-0.1, 2.5);
    let conv =
        |kernel, stride, norm, relu, pool| Block::Conv { filters: 5, kernel, stride, norm, relu, pool };
    let blocks = vec![
        conv(3, 1, false, true, true),
        conv(1, 2, true, false, false),
        conv(3, 2, true, true, false),
        Block::Flatten,
        Block::Dense { units: 1, relu: false },
    ];
    let odd = Architecture { input: [3, 33, 46], blocks };
    let tensors = initial_tensors(&odd, &mut rng).unwrap();
    let odd = SmileWeights { metadata: Metadata::new(odd), tensors };
    for weights in [shipped, darker, odd] {
        let folder = tempdir().unwrap();
        weights.write(&folder.path().join("smile.safetensors")).unwrap();
        succeeded(&run(folder.path(), "export smile.safetensors --onnx network.onnx"));
        assert_eq!(names(folder.path()), ["network.onnx", "network.onnx.modelinfo", "smile.safetensors"]);
        let [_, height, width] = weights.metadata.architecture.input;
        let pictures = faces(width as u32, height as u32, &mut rng);
        let mut ours = Vec::new();
        Classifier::new(&weights, &Device::Cpu).unwrap().probabilities(&pictures, &mut ours).unwrap();
        let pictures = interleaved(&pictures, width * height);
        let theirs = elsewhere(&python, folder.path(), &["probability"], &pictures).remove(0);
        assert_eq!(theirs.len(), PICTURES);
        let difference = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("probabilities of {height}×{width} differ by {difference:e}");
        assert!(difference < TOLERANCE, "{difference:e}");
    }
}

/// The built-in locator, with heads that merge something.
fn merging(rng: &mut ChaCha8Rng) -> FaceWeights {
    let weights = FaceWeights::embedded().unwrap();
    let mut architecture = weights.metadata.architecture.clone();
    let heads = architecture.blocks.iter_mut().filter_map(|block| match block {
        Block::Head { merge, .. } => Some(merge),
        _ => None,
    });
    heads.rev().skip(1).for_each(|merge| *merge = true);
    let mut weights = weights.for_architecture(&architecture).unwrap().unwrap();
    let mut merges: Vec<_> = weights.tensors.iter_mut().filter(|(name, _)| name.contains("merge")).collect();
    merges.sort_by_key(|(name, _)| (*name).clone());
    assert_eq!(merges.len(), 6);
    for (_, tensor) in merges {
        let values: Vec<f32> = (0..tensor.elem_count()).map(|_| rng.random_range(-0.1..0.1)).collect();
        *tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
        assert_eq!(tensor.dtype(), DType::F32);
    }
    weights
}

/// Parts of the astronaut's picture, each second one with noise.
fn parts(width: u32, height: u32, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let astronaut: GrayImage = image::open(ASTRONAUT).unwrap().into_luma8();
    let mut pictures = Vec::new();
    for index in 0..PICTURES {
        let side = rng.random_range(80..240);
        let [x, y] = [0; 2].map(|_| rng.random_range(0..256 - side));
        let part = imageops::crop_imm(&astronaut, x, y, side, side).to_image();
        let part = imageops::resize(&part, width, height, FilterType::Triangle);
        pictures.extend(part.into_raw().into_iter().map(|value| noisy(value, index, rng)));
    }
    pictures
}

/// The faces of a picture as a file of ours has them: boxes, scores and landmarks of all places, and for each number of
/// the boxes and landmarks how large an error would be one of the network's own values.
#[derive(Default)]
struct Decoded {
    values: [Vec<f32>; 3],
    units: [Vec<f32>; 3],
}

impl Decoded {
    fn add(&mut self, detector: &Detector) {
        for head in detector.answers() {
            let (area, stride) = (head.rows * head.columns, head.stride as f32);
            for place in 0..area {
                let value = |index: usize| head.values[index * area + place];
                let middle = [place % head.columns, place / head.columns].map(|at| at as f32 + 0.5);
                let point = |index: usize| [0, 1].map(|axis| (middle[axis] + value(index + axis)) * stride);
                let size = [3, 4].map(|index| value(index).exp() * stride);
                let [x, y] = point(1);
                self.push(
                    0,
                    &[x - size[0] / 2.0, y - size[1] / 2.0, size[0], size[1]],
                    stride.max(size[0]).max(size[1]),
                );
                self.push(1, &[1.0 / (1.0 + (-value(0)).exp())], 1.0);
                self.push(2, [5, 7, 9, 11, 13].map(point).as_flattened(), stride);
            }
        }
    }

    fn push(&mut self, output: usize, values: &[f32], unit: f32) {
        self.values[output].extend_from_slice(values);
        self.units[output].extend(values.iter().map(|_| unit));
    }
}

#[test]
fn exported_locators_answer_as_ours() {
    let Some(python) = python("numpy") else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    let shipped = FaceWeights::embedded().unwrap();
    let mut merging = merging(&mut rng);
    merging.metadata.offset = -0.05;
    // Heads of stride 64 read 3×2 places beneath 5×3 of stride 32.
    let (width, height) = (160, 96);
    for weights in [shipped, merging] {
        let folder = tempdir().unwrap();
        weights.write(&folder.path().join("face.safetensors")).unwrap();
        succeeded(&run(folder.path(), "export face.safetensors --onnx network.onnx --size 160x96"));
        let pictures = parts(width, height, &mut rng);
        let mut detector = Detector::new(&weights, Isa::best()).unwrap();
        let mut ours = Decoded::default();
        for picture in pictures.chunks_exact((width * height) as usize) {
            detector.run(picture, [height as usize, width as usize]).unwrap();
            ours.add(&detector);
        }
        let outputs = ["boxes", "scores", "landmarks"];
        let theirs = elsewhere(&python, folder.path(), &outputs, &pictures);
        assert!(ours.values[1].iter().any(|&score| score > 0.9), "no face is seen");
        for (index, name) in outputs.into_iter().enumerate() {
            assert_eq!(ours.values[index].len(), theirs[index].len(), "{name}");
            let pairs = ours.values[index].iter().zip(&theirs[index]).zip(&ours.units[index]);
            let difference = pairs.map(|((a, b), unit)| (a - b).abs() / unit).fold(0.0, f32::max);
            println!("{name} differ by {difference:e}");
            assert!(difference < TOLERANCE, "{name}: {difference:e}");
        }
    }
}

#[test]
fn the_program_without_the_element_sees_what_it_sees() {
    let Some(python) = python("numpy, PIL") else { return };
    let folder = tempdir().unwrap();
    let (smile, locator) = (SmileWeights::embedded().unwrap(), FaceWeights::embedded().unwrap());
    smile.write(&folder.path().join("smile.safetensors")).unwrap();
    locator.write(&folder.path().join("face.safetensors")).unwrap();
    for name in ["smile", "face"] {
        succeeded(&run(folder.path(), &format!("export {name}.safetensors --onnx {name}.onnx")));
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/smile-onnx.py");
    let output = Command::new(python)
        .args([program, "face.onnx", "smile.onnx", ASTRONAUT])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = succeeded(&output);
    let numbers: Vec<f32> = told.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let picture: RgbImage = image::open(ASTRONAUT).unwrap().into_rgb8();
    let mut analyzer = Analyzer::new(&smile, Some(&locator), DeviceChoice::Cpu).unwrap();
    let faces = analyzer.analyze(&Picture::rgb(256, 256, &picture), None, &Request::default()).unwrap();
    let [face] = faces else { panic!("{faces:?}") };
    // It looks at another size, and takes the surest box where ours is the mean of several.
    let &[x, y, width, height, probability] = &numbers[..] else { panic!("{told}") };
    assert!(face.rect.overlap(Rect { x, y, width, height }) > 0.75, "{told} {:?}", face.rect);
    assert!((probability - face.probability).abs() < 0.05, "{told} {face:?}");
}

#[test]
fn what_can_not_be_exported_is_refused_and_nothing_is_written() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    SmileWeights::embedded().unwrap().write(&place.join("smile.safetensors")).unwrap();
    FaceWeights::embedded().unwrap().write(&place.join("face.safetensors")).unwrap();
    fs::copy(place.join("face.safetensors"), place.join("a.onnx.modelinfo")).unwrap();
    put(place, "text", "no weights");
    let before = names(place);
    for (arguments, code, message) in [
        ("smile.safetensors", 2, "--onnx"),
        ("absent --onnx a.onnx", 2, "cannot read weights"),
        ("text --onnx b.onnx", 2, "not a weights file"),
        (
            "smile.safetensors --onnx b.onnx --size 320x256",
            2,
            "--size is only for weights of a face detector",
        ),
        ("face.safetensors --onnx b.onnx --size 320x240", 2, "multiples of 32"),
        ("face.safetensors --onnx b.onnx --size 320", 2, "a width and a height in pixels"),
        ("face.safetensors --onnx face.safetensors", 2, "would overwrite face.safetensors"),
        ("a.onnx.modelinfo --onnx a.onnx", 2, "would overwrite a.onnx.modelinfo"),
        ("face.safetensors --onnx absent/b.onnx", 1, "no folder absent"),
    ] {
        let output = run(place, &format!("export {arguments}"));
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", errors(&output));
        assert!(errors(&output).contains(message), "{arguments}: {}", errors(&output));
        assert_eq!(names(place), before, "{arguments}");
    }
}
