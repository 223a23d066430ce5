//! Faces cut out by a face detector: for training, for measuring and as a table of boxes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use candle_core::{Device, Tensor};
use gstsmile::analysis::crop::{Cropper, Picture, Rect};
use gstsmile::analysis::locate::face_square;
use gstsmile::model::{
    Architecture, Block, FACE_VALUES, FaceMetadata, FaceWeights, Metadata, Region, SmileWeights,
};
use gstsmile::train::{Catalog, Loss, Pictures, Sample, Smiles, Task, View, WIDE};
use image::{ImageFormat, Rgb, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::{TempDir, tempdir};

use crate::pictures::{VIEW, encoded, names, put};

/// A face detector that takes a white spot of 4×4 pixels for the middle of a face 24 pixels wide and 32
/// high.
fn locator() -> FaceWeights {
    let conv = Block::Conv { filters: 1, kernel: 1, stride: 2, norm: false, relu: true, pool: true };
    let head = Block::Head { filters: FACE_VALUES, merge: false };
    let architecture = Architecture { input: [1, 96, 96], blocks: vec![conv, head] };
    let mut weight = [0.0f32; FACE_VALUES];
    weight[0] = 60.0;
    let mut bias = [0.0f32; FACE_VALUES];
    bias[0] = -50.0;
    (bias[3], bias[4]) = (6.0f32.ln(), 8.0f32.ln());
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let tensors = HashMap::from([
        ("0.conv.weight".into(), tensor(&[1.0], &[1, 1, 1, 1])),
        ("0.conv.bias".into(), tensor(&[0.0], &[1])),
        ("1.weight".into(), tensor(&weight, &[FACE_VALUES, 1, 1, 1])),
        ("1.bias".into(), tensor(&bias, &[FACE_VALUES])),
    ]);
    // Pictures are seen in their own size.
    FaceWeights { metadata: FaceMetadata { smallest: 8.0, ..FaceMetadata::new(architecture) }, tensors }
}

/// A network whose answer is its bias.
const CONSTANT: [Block; 2] = [Block::Flatten, Block::Dense { units: 1, relu: false }];

/// A picture with a spot that makes a face of the box (28, 18), 24×32, and a smile or none below it.
fn face(index: u32, smiling: bool) -> RgbImage {
    RgbImage::from_fn(96, 80, |x, y| match ((40..44).contains(&x), (32..36).contains(&y)) {
        (true, true) => Rgb([255; 3]),
        _ if smiling && (38..46).contains(&x) && (40..44).contains(&y) => Rgb([200; 3]),
        _ => Rgb([(40 + (x * 3 + y * 5 + index) % 50) as u8, 60, 50]),
    })
}

/// Faces of both classes, and one picture a class without a face.
fn faces(count: u32) -> TempDir {
    let folder = tempdir().unwrap();
    for (class, smiling) in [("smile", true), ("no-smile", false)] {
        for index in 0..count {
            let picture = encoded(&face(index, smiling), ImageFormat::Png);
            put(folder.path(), &format!("faces/{class}/{index:02}.png"), picture);
        }
        let empty = encoded(&RgbImage::from_pixel(50, 40, Rgb([70; 3])), ImageFormat::Png);
        put(folder.path(), &format!("faces/{class}/empty.png"), empty);
    }
    locator().write(&folder.path().join("locator.safetensors")).unwrap();
    folder
}

fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smile-train"));
    command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_sample_is_what_the_element_would_see() {
    let folder = faces(1);
    let locator = locator();
    let view = View { region: Region::Faces, margin: 0.25, locator: Some(&locator), wide: true, ..VIEW };
    let dataset = Catalog::open(&folder.path().join("faces")).unwrap().decode(view, || {}).unwrap();
    let sample = |name: &str| dataset.samples.iter().find(|sample| sample.name == name).unwrap();

    let image = face(0, true);
    let picture = Picture::rgb(96, 80, image.as_raw());
    let square = face_square(Rect { x: 30.0, y: 18.0, width: 24.0, height: 32.0 }, 0.25, 1.0);
    assert!((square.width - 48.0).abs() < 1e-4 && (square.x - 18.0).abs() < 1e-4, "{square:?}");
    let crop = |side: usize, rect: Rect| {
        let mut pixels = vec![0; 3 * side * side];
        Cropper::new(side, side).crop(&picture, rect, &mut pixels);
        pixels
    };
    let near = |a: &[u8], b: &[u8]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 2);
    let sample_of_face = sample("smile/00.png");
    assert!(near(&sample_of_face.pixels, &crop(64, square)));
    // Twice the square.
    let wide = Rect { x: square.x - 24.0, y: square.y - 24.0, width: 96.0, height: 96.0 };
    assert!(near(&sample_of_face.wide, &crop(64 * WIDE, wide)));
    assert!(sample("smile/empty.png").pixels.is_empty());

    // Without a face detector a picture as a whole is the face.
    let view = View { locator: None, wide: false, ..view };
    let dataset = Catalog::open(&folder.path().join("faces")).unwrap().decode(view, || {}).unwrap();
    let whole = dataset.samples.iter().find(|sample| sample.name == "smile/00.png").unwrap();
    assert!(near(&whole.pixels, &crop(64, face_square(picture.bounds(), 0.25, 1.0))));
    assert!(whole.wide.is_empty());
}

#[test]
fn faces_not_found_are_left_out_of_training_and_count_as_mistakes() {
    let folder = faces(20);
    let train = "--preset smile --data faces --extra faces --extra-share 0.5 --face-model locator.safetensors \
        --device cpu --epochs 1 --batch 8 --test-fraction 0 --out smile.safetensors";
    let output = run(folder.path(), train);
    succeeded(&output);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("2 without a face") && log.contains("each as a whole a face"), "{log}");
    let metadata = SmileWeights::read(&folder.path().join("smile.safetensors")).unwrap().metadata;
    assert_eq!((metadata.region, metadata.margin), (Region::Faces, 0.0));
    assert_eq!(metadata.training["extra"][0]["share"], 0.5);

    let eval = "eval --model smile.safetensors --data faces --face-model locator.safetensors --json e.json \
        --predictions p.csv";
    succeeded(&run(folder.path(), &format!("{eval} --report r")));
    image::open(folder.path().join("r/evaluation.png")).unwrap();
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("e.json")).unwrap()).unwrap();
    assert_eq!((&results["pictures"], &results["without_face"]), (&42.into(), &2.into()));
    assert_eq!(results["region"], "faces");
    let [[_, wrong], [missed, _]]: [[u64; 2]; 2] =
        serde_json::from_value(results["confusion"].clone()).unwrap();
    assert!(wrong >= 1 && missed >= 1, "{results}");
    let predictions = fs::read_to_string(folder.path().join("p.csv")).unwrap();
    assert!(predictions.contains("smile/empty.png,1,,\n"), "{predictions}");
    let whole = run(folder.path(), &format!("{eval} --region full"));
    succeeded(&whole);
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("e.json")).unwrap()).unwrap();
    assert_eq!(results["without_face"], 0);
}

#[test]
fn labels_are_smoothed_in_training_only_and_votes_count_as_they_are() {
    let folder = faces(2);
    let dataset = Catalog::open(&folder.path().join("faces")).unwrap().decode(VIEW, || {}).unwrap();
    let mut samples = dataset.samples.clone();
    let metadata = Metadata::new(Architecture { input: [3, 64, 64], blocks: CONSTANT.into() });
    let task = Smiles::new(Loss::CrossEntropy, metadata).with_doubt(0.5);
    // What an answer that fits the labels costs.
    let cost = |samples: &[Sample], variation: Option<ChaCha8Rng>| {
        let samples: Vec<&Sample> = samples.iter().collect();
        let (_, wanted) = task.batch(&samples, variation, &Device::Cpu).unwrap();
        let logits: Vec<f32> = samples.iter().map(|sample| if sample.smiling { 3.0 } else { -3.0 }).collect();
        let answers = [Tensor::from_vec(logits, (samples.len(), 1), &Device::Cpu).unwrap()];
        let (loss, right) = task.judge(&answers, &wanted).unwrap();
        assert_eq!(right, samples.len(), "right is what the label says");
        loss.to_scalar::<f32>().unwrap()
    };
    let training = || Some(ChaCha8Rng::seed_from_u64(1));
    // A target of 3/4 costs a quarter of the logit more than one of 1.
    let label = (-3.0f32).exp().ln_1p();
    assert!((cost(&samples, None) - label).abs() < 1e-5);
    assert!((cost(&samples, training()) - (label + 0.75)).abs() < 1e-5);
    for sample in &mut samples {
        sample.votes = Some(if sample.smiling { 0.9 } else { 0.1 });
    }
    assert!((cost(&samples, training()) - (label + 0.3)).abs() < 1e-5);
}

#[test]
fn training_starts_from_other_weights() {
    let folder = faces(8);
    let train =
        "--preset smile --data faces --face-model locator.safetensors --device cpu --epochs 1 --batch 8";
    succeeded(&run(folder.path(), &format!("{train} --out first.safetensors")));
    let options = "--init first.safetensors --seed 2 --learning-rate 1e-9 --out second.safetensors";
    succeeded(&run(folder.path(), &format!("{train} {options}")));
    let kernel = |name: &str| {
        let weights = SmileWeights::read(&folder.path().join(name)).unwrap();
        let record = weights.metadata.training.get("init").cloned();
        (weights.tensors["1.conv.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap(), record)
    };
    let ((first, none), (second, record)) = (kernel("first.safetensors"), kernel("second.safetensors"));
    assert!(first.iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(none.is_none() && record.unwrap()["seed"] == 1, "the second tells of the first");

    let output = run(folder.path(), &format!("{train} {options} --dense 7"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && log.contains("first.safetensors is not the one"), "{log}");
}

#[test]
fn every_picture_is_judged_by_a_network_that_never_saw_it() {
    let folder = faces(8);
    let options = "cross-validate --preset smile --data faces --face-model locator.safetensors --device cpu \
        --epochs 1 --batch 8 --folds 3 --out folds";
    let output = run(folder.path(), &format!("{options} --robustness --region full"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && log.contains("leave it out with another --region"), "{log}");
    let log = succeeded(&run(folder.path(), &format!("{options} --robustness")));
    assert!(
        log.contains("fold 3") && log.contains("mean of the folds") && log.contains("JPEG quality"),
        "{log}"
    );
    let read = |name: &str| fs::read(folder.path().join("folds").join(name)).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&read("results.json")).unwrap();
    assert_eq!((&results["pictures"], &results["without_face"]), (&18.into(), &2.into()));
    assert_eq!(results["accuracies"].as_array().unwrap().len(), 3);
    let plain = &results["robustness"][0];
    assert!(plain["perturbation"].is_null());
    assert_eq!(plain["accuracy"], results["accuracy"], "the same chain, from the file on");
    for name in ["evaluation.png", "robustness.png"] {
        image::load_from_memory(&read(name)).unwrap();
    }
    let predictions = String::from_utf8(read("predictions.csv")).unwrap();
    let judged: HashSet<&str> =
        predictions.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(judged.len(), 18);
    // What is finished isn't trained again, and other options are refused.
    let again = run(folder.path(), &format!("{options} --resume"));
    succeeded(&again);
    let log = String::from_utf8_lossy(&again.stderr);
    assert!(log.contains("fold-3.safetensors is trained already"), "{log}");
    assert_eq!(String::from_utf8(read("predictions.csv")).unwrap(), predictions);
    for (option, name) in [("--seed 5", "seed"), ("--variation 1", "variation")] {
        let other = run(folder.path(), &format!("{options} --resume {option}"));
        let log = String::from_utf8_lossy(&other.stderr);
        assert!(other.status.code() == Some(2) && log.contains(&format!("with another {name}")), "{log}");
    }
    let unmeasured = run(folder.path(), &format!("{options} --measure-on validation"));
    assert!(String::from_utf8_lossy(&unmeasured.stderr).contains("--validation-fraction"));
}

#[test]
fn one_fold_alone_is_trained_and_the_others_are_left_to_other_processes() {
    let folder = faces(8);
    let options = "cross-validate --preset smile --data faces --face-model locator.safetensors --device cpu \
        --epochs 1 --batch 8 --folds 3 --out";
    let predictions =
        |out: &str| fs::read_to_string(folder.path().join(out).join("predictions.csv")).unwrap();
    succeeded(&run(folder.path(), &format!("{options} straight")));
    succeeded(&run(folder.path(), &format!("{options} shared --only-fold 2")));
    assert_eq!(names(&folder.path().join("shared")), ["fold-2.safetensors"]);
    succeeded(&run(folder.path(), &format!("{options} shared --resume")));
    assert_eq!(predictions("shared"), predictions("straight"));
    // Results of networks that are no longer there would be taken for those of the new ones.
    succeeded(&run(folder.path(), &format!("{options} straight --only-fold 2 --seed 5")));
    for stale in ["results.json", "predictions.csv", "evaluation.png"] {
        assert!(!folder.path().join("straight").join(stale).exists(), "{stale}");
    }
}

#[test]
fn a_fold_with_more_to_it_than_what_is_asked_for_is_refused() {
    let folder = faces(8);
    let options = "cross-validate --preset smile --data faces --face-model locator.safetensors --device cpu \
        --epochs 1 --batch 8 --folds 2 --only-fold 1 --out";
    succeeded(&run(folder.path(), &format!("{options} first")));
    for (option, name) in [
        ("--init first/fold-1.safetensors", "init"),
        ("--variation 1", "variation"),
        ("--temperature 2", "temperature"),
        ("--dense 7", "architecture"),
    ] {
        succeeded(&run(folder.path(), &format!("{options} other {option}")));
        let resumed = run(folder.path(), &format!("{options} other --resume"));
        let log = String::from_utf8_lossy(&resumed.stderr);
        assert!(log.contains(&format!("with another {name}")), "{option}: {log}");
    }
}

#[test]
fn weights_to_start_from_and_filters_fit_the_network() {
    let folder = faces(8);
    let options =
        "--preset smile --data faces --face-model locator.safetensors --device cpu --epochs 1 --batch 8";
    succeeded(&run(
        folder.path(),
        &format!("{options} --seed 7 --filters 8,8,16,16,16 --out wide.safetensors"),
    ));
    let again = format!("{options} --filters 8,8,16,16,16 --init wide.safetensors --out more.safetensors");
    succeeded(&run(folder.path(), &again));
    let metadata = SmileWeights::read(&folder.path().join("more.safetensors")).unwrap().metadata;
    assert_eq!(metadata.training["init"]["seed"], 7);
    for (wrong, message) in [
        ("--filters 8,16", "--filters: 2 numbers for 5 convolutions"),
        ("--init wide.safetensors", "--init: the network in wide.safetensors"),
    ] {
        let output = run(folder.path(), &format!("{options} {wrong} --out never.safetensors"));
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && log.contains(message), "{wrong}: {log}");
    }
}

#[test]
fn pictures_of_one_name_in_two_folders_stay_apart() {
    let folder = tempdir().unwrap();
    let paths = ["one", "other"].map(|name| folder.path().join(name));
    for (index, path) in paths.iter().enumerate() {
        put(path, "a.png", encoded(&face(7 * index as u32, index == 0), ImageFormat::Png));
    }
    let pictures = Pictures::list(&paths).unwrap();
    let (located, _) = pictures.locate(&locator(), 0.1, || ()).unwrap();
    for (located, (index, smiling)) in located.iter().zip([(0, true), (7, false)]) {
        assert_eq!(pictures.picture(located).unwrap(), face(index, smiling));
    }
}

#[test]
fn located_faces_are_written_and_drawn() {
    let folder = faces(2);
    put(folder.path(), "faces/smile/broken.png", "no picture");
    let options = "--model locator.safetensors --csv boxes.csv --sheet sheet.png";
    let output = run(folder.path(), &format!("locate --data faces faces/smile/00.png {options}"));
    assert_eq!(succeeded(&output), "5 faces in 7 pictures, 2 without one\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("smile/broken.png"));
    let table = fs::read_to_string(folder.path().join("boxes.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((lines[0], lines.len()), ("file,x,y,w,h,score", 8));
    assert!(lines.contains(&"no-smile/empty.png,,,,,"), "{table}");
    let numbers: Vec<f32> = lines.last().unwrap().split(',').skip(1).map(|n| n.parse().unwrap()).collect();
    for (number, expected) in numbers.iter().zip([30.0, 18.0, 24.0, 32.0, 1.0]) {
        assert!((number - expected).abs() < 0.05, "{table}");
    }
    image::open(folder.path().join("sheet.png")).unwrap();

    // Nothing reaches a score of 1.
    let output = run(folder.path(), &format!("locate --data faces {options} --threshold 1"));
    assert_eq!(succeeded(&output), "0 faces in 6 pictures, 6 without one\n");
    for (arguments, message) in [
        ("--data absent", "cannot read absent"),
        ("--data locator.safetensors", "neither a folder nor a sound archive"),
        ("--data faces --threshold 2", "from 0 to 1"),
        ("--data faces --csv absent/boxes.csv", "no folder absent"),
    ] {
        let csv = if arguments.contains("--csv") { "" } else { "--csv other.csv" };
        let output = run(folder.path(), &format!("locate {arguments} --model locator.safetensors {csv}"));
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && log.contains(message), "{arguments}: {log}");
    }
    let output = run(folder.path(), "locate --data faces --model boxes.csv --csv other.csv");
    assert!(String::from_utf8_lossy(&output.stderr).contains("boxes.csv"), "the weights are named");
}
