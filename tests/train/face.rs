//! Training a face detector on generated pictures.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use candle_core::Device;
use gstsmile::model::{Architecture, Block, FaceMetadata, FaceWeights};
use gstsmile::train::{FaceData, FaceFiles, Faces, Task};
use image::ImageFormat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::{TempDir, tempdir};

use crate::pictures::{encoded, face, put};

const HEAD: &str = "file,x,y,w,h,reye_x,reye_y,leye_x,leye_y,nose_x,nose_y,rmouth_x,rmouth_y,lmouth_x,\
    lmouth_y,score,nfaces\n";
const BOX: &str = "20,16,40,64,30,40,50,40,40,50,32,62,48,62,0.9";

/// Faces, a table of their boxes, and pictures of plain noise.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let mut table = String::from(HEAD);
    for index in 0..12 {
        put(
            folder.path(),
            &format!("faces/files/{index:02}.png"),
            encoded(&face(index, true), ImageFormat::Png),
        );
        table += &format!("{index:02}.png,{BOX},1\n");
    }
    // No face, two faces, and no word about one more picture.
    table = table.replace(&format!("03.png,{BOX},1"), "03.png,,,,,,,,,,,,,,,,0");
    table = table.replace(&format!("04.png,{BOX},1"), &format!("04.png,{BOX},2"));
    put(folder.path(), "faces/files/99.png", encoded(&face(99, true), ImageFormat::Png));
    put(folder.path(), "boxes.csv", table);
    for index in 0..4 {
        let noise = image::RgbImage::from_fn(90, 70, |x, y| image::Rgb([(x * y + index) as u8; 3]));
        put(folder.path(), &format!("things/{index}.png"), encoded(&noise, ImageFormat::Png));
    }
    put(folder.path(), "things/broken.png", "no picture");
    folder
}

fn read(folder: &Path) -> FaceData {
    let files = FaceFiles {
        data: &folder.join("faces"),
        boxes: &[folder.join("boxes.csv")],
        ignored: &[],
        parts: &[],
        no_face: Some(&folder.join("things")),
        extra: &[],
        extra_no_face: &[],
    };
    FaceData::read(&files, |_, _| ()).unwrap()
}

fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smile-train"));
    command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

#[test]
fn only_pictures_whose_faces_are_all_known_or_that_surely_have_none_are_taken() {
    let folder = folder();
    let data = read(folder.path());
    let count = |with: bool| data.pictures.iter().filter(|picture| picture.faces.is_empty() != with).count();
    assert_eq!((count(true), count(false), data.unclear, data.skipped.len()), (10, 4, 3, 1));
    assert_eq!(data.names, ["faces", "things"]);
    let [face] = data.pictures[0].faces[..] else { panic!("{:?}", data.pictures[0].faces) };
    assert_eq!((face.rect.x, face.rect.height, face.landmarks.unwrap()[4]), (20.0, 64.0, [48.0, 62.0]));
}

#[test]
fn extra_pictures_are_not_split_and_those_with_faces_have_a_table() {
    let folder = folder();
    put(folder.path(), "more/smile/a.png", encoded(&face(1, true), ImageFormat::Png));
    put(folder.path(), "more/smile/b.png", encoded(&face(2, true), ImageFormat::Png));
    put(folder.path(), "more.csv", format!("{HEAD}smile/a.png,{BOX},1\n"));
    let path = |name| folder.path().join(name);
    let tables = [path("boxes.csv"), path("more.csv")];
    let (data, extra, things) = (path("faces"), [path("more")], [path("things")]);
    let files = FaceFiles {
        data: &data,
        boxes: &tables,
        ignored: &[],
        parts: &[],
        no_face: None,
        extra: &extra,
        extra_no_face: &things,
    };
    let data = FaceData::read(&files, |_, _| ()).unwrap();
    assert_eq!(data.extra_no_face.len(), 4);
    let names: Vec<&str> = data.extra[0].iter().map(|picture| picture.name.as_str()).collect();
    assert_eq!((data.pictures.len(), &names[..]), (10, &["smile/a.png"][..]));
    assert!(data.pictures.iter().all(|picture| !picture.name.contains("smile")));
    let alone = FaceData::read(&FaceFiles { boxes: &tables[..1], ..files }, |_, _| ());
    assert!(alone.is_err_and(|error| error.to_string().contains("more: none of its pictures")));
}

#[test]
fn pictures_of_several_faces_are_taken_whole_and_a_table_parts_them() {
    let folder = folder();
    let path = |name| folder.path().join(name);
    let mut parts = String::from("file,part\n");
    for (name, part) in [("a", "train"), ("b", "validation"), ("c", "test"), ("d", "train")] {
        put(folder.path(), &format!("more/{name}.png"), encoded(&face(1, true), ImageFormat::Png));
        parts += &format!("{name}.png,{part}\n");
    }
    let two = "20,16,40,64,0.9,0\nNAME.png,70,16,10,16,0.4,0.9";
    let rows: String =
        ["a", "b", "c"].map(|name| format!("{name}.png,{two}\n").replace("NAME", name)).concat();
    put(folder.path(), "more.csv", format!("file,x,y,w,h,score,rfb\n{rows}d.png,,,,,,\n"));
    put(folder.path(), "ignored.csv", "file,x,y,w,h\na.png,0,0,8,8\n");
    put(folder.path(), "parts.csv", parts);
    let files = FaceFiles {
        data: &path("faces"),
        boxes: &[path("boxes.csv"), path("more.csv")],
        ignored: &[path("ignored.csv")],
        parts: &[path("parts.csv")],
        no_face: None,
        extra: &[path("more")],
        extra_no_face: &[],
    };
    let data = FaceData::read(&files, |_, _| ()).unwrap();
    let known = |pictures: &[gstsmile::train::Picture]| -> Vec<(String, usize, usize)> {
        let known = |picture: &gstsmile::train::Picture| {
            (picture.name.clone(), picture.faces.len(), picture.unclear.len())
        };
        pictures.iter().map(known).collect()
    };
    // The second box of each is unsure.
    assert_eq!(known(&data.extra[0]), [("a.png".into(), 1, 2), ("d.png".into(), 0, 0)]);
    assert_eq!(known(&data.extra_validation), [("b.png".into(), 1, 1)]);
}

#[test]
fn scenes_depend_on_the_seed_alone() {
    let folder = folder();
    let data = read(folder.path());
    let pictures: Vec<_> = data.pictures.iter().collect();
    let task = Faces::new(FaceMetadata::new(Architecture::face(160, [8; 4])), &pictures).unwrap();
    let batch = |threads: usize, seed: Option<u64>| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let rng = seed.map(ChaCha8Rng::seed_from_u64);
        let (inputs, _) = pool.install(|| task.batch(&pictures, rng, &Device::Cpu)).unwrap();
        inputs.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert!(batch(1, Some(1)) == batch(3, Some(1)) && batch(1, None) == batch(3, None));
    assert!(batch(1, Some(1)) != batch(1, Some(2)));
}

#[test]
fn faces_lie_where_a_scene_says() {
    let folder = folder();
    let data = read(folder.path());
    let pictures: Vec<_> = data.pictures.iter().collect();
    let task = Faces::new(FaceMetadata::new(Architecture::face(160, [8; 4])), &pictures).unwrap();
    let mut heights = Vec::new();
    for seed in 0..200 {
        let scene = task.scene(pictures[0], seed);
        let Some(main) = scene.faces.last() else {
            // Nothing covers the main face, but it can be too small, or lie too far outside once it is turned.
            assert!(!scene.unclear.is_empty(), "seed {seed}");
            continue;
        };
        let (x, y) = (main.rect.x + main.rect.width / 2.0, main.rect.y + main.rect.height / 2.0);
        assert!((0.0..160.0).contains(&x) && (0.0..128.0).contains(&y), "{main:?}");
        let [right, left, ..] = main.landmarks.unwrap();
        // Up to a tilt of 69 degrees.
        assert!(right[0] < left[0] + 1.0, "the person's right eye is on the left: {main:?}");
        heights.push(main.rect.height);
        assert!(task.scene(pictures[12], seed).faces.is_empty());
    }
    let least = heights.iter().copied().fold(f32::INFINITY, f32::min);
    let most = heights.iter().copied().fold(0.0, f32::max);
    assert!(least < 18.0 && most > 110.0, "{least} {most}");
}

/// The tallies and alarms of what `eval` measures.
fn measured(folder: &Path, arguments: &str) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
    let output = run(folder, &format!("{arguments} --json results.json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    let list = |name: &str| results["results"][name].as_array().unwrap().clone();
    (list("tallies"), list("alarms"))
}

/// Faces of a group, and those found.
fn count(tallies: &[serde_json::Value], group: &str) -> (u64, u64) {
    let tally = tallies.iter().find(|tally| tally["group"] == group);
    tally.map_or((0, 0), |tally| (tally["faces"].as_u64().unwrap(), tally["found"].as_u64().unwrap()))
}

#[test]
fn what_is_known_of_a_table_s_part_is_measured_beside_what_others_found() {
    let folder = folder();
    let parts: String = (0..12)
        .map(|index| format!("{index:02}.png,{}\n", if index < 6 { "train" } else { "validation" }))
        .collect();
    put(folder.path(), "parts.csv", format!("file,part\n{parts}"));
    put(folder.path(), "ignored.csv", "file,x,y,w,h\n06.png,0,0,5,5\n");
    // All six but one that is elsewhere and one that a table doesn't have.
    let rows: String = (6..11)
        .map(|index| format!("{index:02}.png,{},16,40,64,0.9\n", if index == 7 { 65 } else { 22 }))
        .collect();
    put(folder.path(), "peer.csv", format!("file,x,y,w,h,score\n{rows}"));
    let weights = Architecture::face(160, [4; 4]);
    let tensors = gstsmile::model::initial_tensors(&weights, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let metadata = FaceMetadata { threshold: 1.0, ..FaceMetadata::new(weights) };
    FaceWeights { metadata, tensors }.write(&folder.path().join("m.safetensors")).unwrap();
    let eval = "eval --model m.safetensors --data faces --boxes boxes.csv --ignore-boxes ignored.csv --parts parts.csv \
                --split validation --peer other=peer.csv";
    let (found, _) = measured(folder.path(), eval);
    assert_eq!(count(&found, "from 10 % on"), (6, 0));
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    let [name, peer] = &results["peers"][0].as_array().unwrap()[..] else { panic!("{results}") };
    assert_eq!((name, count(peer["tallies"].as_array().unwrap(), "from 10 % on")), (&"other".into(), (6, 4)));
    assert_eq!(peer["alarms"][0]["boxes"], 1);
    let table = String::from_utf8(run(folder.path(), eval).stdout).unwrap();
    assert!(table.contains("66.7 %") && table.contains("average precision"), "{table}");
    for (arguments, message) in [
        ("--split test", "no picture belongs to this part"),
        ("--peer peer.csv", "NAME=FILE.csv"),
        ("--peer o=peer.csv --turn 30", "leave --turn out"),
        ("--json peer.csv --peer o=peer.csv", "--peer"),
    ] {
        let output = run(
            folder.path(),
            &format!(
                "eval --model m.safetensors --data faces --boxes boxes.csv --parts parts.csv {arguments}"
            ),
        );
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && log.contains(message), "{arguments}: {log}");
    }
}

#[test]
fn training_goes_on_from_weights() {
    let folder = folder();
    let options =
        "--preset face --data faces --boxes boxes.csv --no-face things --device cpu --batch 4 --epochs 1";
    let train = |rest: &str| run(folder.path(), &format!("{options} {rest}"));
    assert!(train("--filters 4 --out a.safetensors").status.success());
    assert!(
        train("--filters 4 --init a.safetensors --learning-rate 1e-9 --out b.safetensors").status.success()
    );
    let [first, second] =
        ["a", "b"].map(|name| FaceWeights::read(&folder.path().join(format!("{name}.safetensors"))).unwrap());
    let values = |weights: &FaceWeights| {
        weights.tensors["0.conv.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let pairs = values(&first).into_iter().zip(values(&second));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
    assert_eq!(second.metadata.training["init"]["command"], first.metadata.training["command"]);
    let output = train("--filters 8 --init a.safetensors --out c.safetensors");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && log.contains("is not the one of --preset face"), "{log}");
}

#[test]
fn heads_learn_to_merge_from_weights_that_do_not() {
    let folder = folder();
    let mut architecture = Architecture::face(160, [4; 4]);
    for block in &mut architecture.blocks {
        if let Block::Head { merge, .. } = block {
            *merge = false;
        }
    }
    let tensors = gstsmile::model::initial_tensors(&architecture, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let old = FaceWeights { metadata: FaceMetadata::new(architecture), tensors };
    old.write(&folder.path().join("old.safetensors")).unwrap();
    let options = "--preset face --filters 4 --data faces --boxes boxes.csv --no-face things --device cpu --batch 4 \
                   --epochs 2 --init old.safetensors";
    let train = |name: &str, rest: &str| {
        let output = run(folder.path(), &format!("{options} {rest} --out {name}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        FaceWeights::read(&folder.path().join(name)).unwrap()
    };
    let largest = |weights: &FaceWeights, name: &str| {
        weights.tensors[name].abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
    };
    let (hardly, learnt) = (train("a", "--learning-rate 1e-9"), train("b", "--learning-rate 1e-2"));
    let network = Architecture::face(160, [4; 4]);
    assert!([&hardly, &learnt].iter().all(|weights| weights.metadata.architecture == network));
    for name in [5, 8, 11].map(|index| format!("{index}.merge.weight")) {
        assert!(largest(&hardly, &name) < 1e-6 && largest(&learnt, &name) > 1e-3, "{name}");
    }
    for (name, before) in &old.tensors {
        let change = (before - &hardly.tensors[name]).unwrap().abs().unwrap().max_all().unwrap();
        assert!(name.contains("running") || change.to_scalar::<f32>().unwrap() < 1e-6, "{name}");
    }
    let text = String::from_utf8(run(folder.path(), "info b").stdout).unwrap();
    assert_eq!(text.matches("head, 15 values a place, merged").count(), 3, "{text}");
    assert_eq!(text.matches("head, 15 values a place").count(), 4, "{text}");
}

#[test]
fn the_program_trains_and_says_what_on() {
    let folder = folder();
    let options = "--preset face --data faces --device cpu --batch 4 --epochs 1 --validation-fraction 0.3";
    let output =
        run(folder.path(), &format!("{options} --boxes boxes.csv --no-face things --out a.safetensors"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("skipped broken.png"), "{log}");
    let weights = FaceWeights::read(&folder.path().join("a.safetensors")).unwrap();
    let training = &weights.metadata.training;
    assert_eq!(training["data"], serde_json::json!(["faces", "things"]));
    assert!(training["command"].as_str().unwrap().contains("--no-face things"), "{training:?}");
    assert!(!fs::exists(folder.path().join("a.safetensors.checkpoint")).unwrap());

    let output = run(folder.path(), "info a.safetensors");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["head, 15 values a place", "with a face", "a face from", "--no-face things"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let measure = "eval --model a.safetensors --data faces --boxes boxes.csv --no-face things";
    // Of ten faces and four things a fifth is kept for tests, and of the rest three in ten.
    let (found, alarms) = measured(folder.path(), &format!("{measure} --split validation"));
    assert_eq!(count(&found, "height 50 % and more"), (2, 0));
    assert_eq!(count(&found, "tilt 0 to 15°"), (2, 0));
    assert_eq!(alarms.len(), 3);
    // Turned by more than the eyes' line is bent.
    let (found, alarms) = measured(folder.path(), &format!("{measure} --split validation --turn -60"));
    assert_eq!((count(&found, "tilt 45° and more"), alarms.len()), ((2, 0), 3));
    put(folder.path(), "more/files/00.png", encoded(&face(0, true), ImageFormat::Png));
    let other = measure.replace("--data faces", "--data more");
    let output = run(folder.path(), &format!("{other} --split test"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && log.contains("--split all"), "{log}");

    put(folder.path(), "poor.csv", "file,x,y,w\n00.png,1,2,3\n");
    put(folder.path(), "odd.csv", format!("{HEAD}00.png,1,two,{},1\n", &BOX[6..]));
    put(folder.path(), "others.csv", format!("{HEAD}elsewhere.png,{BOX},1\n"));
    for (arguments, message) in [
        ("", "--boxes"),
        ("--boxes absent.csv", "absent.csv"),
        ("--boxes poor.csv", "no column h"),
        ("--boxes odd.csv", "line 2: \"two\" is no number"),
        ("--boxes others.csv", "none of its pictures has boxes"),
        ("--boxes boxes.csv --no-face absent", "cannot read absent"),
    ] {
        let output = run(folder.path(), &format!("{options} {arguments} --out b.safetensors"));
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {log}");
        assert!(log.contains(message), "{arguments}: {log}");
    }
}
