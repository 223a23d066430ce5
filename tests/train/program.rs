//! The program `smile-train`, run as a person runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use gstsmile::model::SmileWeights;
use gstsmile::train::Record;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::pictures::{names, put, put_classes};

const PROGRAM: &str = env!("CARGO_BIN_EXE_smile-train");
/// A network that learns the generated faces in seconds.
const TRAIN: &str = "--data faces --preset paper-default --filters 4 --dense 8 --batch 8 \
    --learning-rate 0.005 --device cpu --out smile.safetensors";

/// Runs with these arguments, split at blanks, in `folder`.
pub fn run(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments).output().unwrap()
}

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments.split_whitespace()).current_dir(folder);
    command
}

pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn faces(count: u64) -> TempDir {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("faces"), count);
    folder
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn it_learns_reports_and_measures_the_same_again() {
    let folder = faces(60);
    put(&folder.path().join("faces"), "smile/broken.jpg", "no picture");
    let arguments = format!("{TRAIN} --epochs 10 --report report");
    let output = run(folder.path(), &arguments);
    let text = succeeded(&output);
    let log = errors(&output);
    assert!(log.contains("smile/broken.jpg") && log.contains("1 broken picture skipped"), "{log}");
    assert_eq!(log.lines().filter(|line| line.contains(" s") && line.contains(" | ")).count(), 10, "{log}");

    let report = folder.path().join("report");
    let files = ["confusion.png", "confusion.txt", "curves.png", "metrics.json", "sheet.png"];
    assert_eq!(names(&report), files);
    assert_eq!(names(folder.path()), ["faces", "report", "smile.safetensors"], "no checkpoint is left");
    for name in files.iter().filter(|name| name.ends_with("png")) {
        image::open(report.join(name)).unwrap();
    }
    assert_eq!(fs::read_to_string(report.join("confusion.txt")).unwrap(), text);
    let metrics = json(&report.join("metrics.json"));
    assert!(metrics["accuracy"].as_f64().unwrap() > 0.95, "{metrics}");
    assert_eq!(metrics["history"].as_array().unwrap().len(), 10);
    assert_eq!(metrics["final_epoch"], 10);
    assert_eq!(metrics["counts"]["test"], serde_json::json!([12, 12]));
    assert_eq!(metrics["command"], format!("smile-train {}", words(&arguments)));

    measures_the_same(folder.path(), &metrics);
    describes_itself(folder.path());
    let first = fs::read(folder.path().join("smile.safetensors")).unwrap();
    succeeded(&run(folder.path(), &arguments));
    let second = fs::read(folder.path().join("smile.safetensors")).unwrap();
    assert!(first == second, "the same command gives the same bytes");
}

fn measures_the_same(folder: &Path, metrics: &Value) {
    let eval = "eval --model smile.safetensors --data faces --device cpu --json eval.json";
    succeeded(&run(folder, &format!("{eval} --split test --predictions answers.csv")));
    let eval_json = json(&folder.join("eval.json"));
    for field in ["accuracy", "confusion", "interval"] {
        assert_eq!(eval_json[field], metrics[field], "{field}");
    }
    let answers = fs::read_to_string(folder.join("answers.csv")).unwrap();
    let mut lines = answers.lines();
    assert_eq!(lines.next(), Some("name,smiling,probability,predicted"));
    let right = lines.clone().filter(|line| {
        let fields: Vec<_> = line.split(',').collect();
        assert!((0.0..=1.0).contains(&fields[2].parse::<f32>().unwrap()), "{line}");
        assert_eq!(fields[1] == "1", fields[0].starts_with("smile/"), "{line}");
        fields[1] == fields[3]
    });
    let right = right.count() as f64 / lines.count() as f64;
    assert_eq!(Some(right), metrics["accuracy"].as_f64());
    succeeded(&run(folder, eval));
    assert_eq!(json(&folder.join("eval.json"))["pictures"], 120);
    let other = run(folder, &format!("{eval} --split validation"));
    assert_eq!(other.status.code(), Some(2));
    assert!(errors(&other).contains("without such a part"), "{}", errors(&other));
}

fn describes_itself(folder: &Path) {
    let info = succeeded(&run(folder, "info smile.safetensors"));
    for part in
        ["3×3 convolution, 4 filters", "4 × 8 × 8", "2 056", "paper-default", "--epochs 10", "predicted"]
    {
        assert!(info.contains(part), "{part}: {info}");
    }
    let weights = SmileWeights::read(&folder.join("smile.safetensors")).unwrap();
    let record = Record::from_metadata(&weights.metadata.training).unwrap();
    assert_eq!((record.data.counts, record.data.skipped), ([60, 60], 1));
    assert_eq!((record.split.test, record.split.training), ([12, 12], [48, 48]));
    assert_eq!(record.data.name, "faces");
}

/// Words with one blank between them.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn validation_leaves_the_test_part_untouched() {
    let folder = faces(20);
    let arguments = format!("{TRAIN} --epochs 1 --validation-fraction 0.25 --report report");
    succeeded(&run(folder.path(), &arguments));
    let metrics = json(&folder.path().join("report/metrics.json"));
    assert_eq!(metrics["measured_on"], "validation");
    let expected =
        serde_json::json!({"training": [12, 12], "validation": [4, 4], "test": [4, 4], "skipped": 0});
    assert_eq!(metrics["counts"], expected);
}

#[test]
fn nothing_held_out_is_fine() {
    let folder = faces(8);
    succeeded(&run(folder.path(), &format!("{TRAIN} --epochs 1 --test-fraction 0 --report report")));
    assert_eq!(names(&folder.path().join("report")), ["curves.png", "metrics.json"]);
    assert_eq!(json(&folder.path().join("report/metrics.json"))["accuracy"], Value::Null);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_goes_on_to_the_same_weights() {
    let folder = faces(16);
    let weights = folder.path().join("smile.safetensors");
    let short = format!("{TRAIN} --epochs 6");
    succeeded(&run(folder.path(), &short));
    let straight = fs::read(&weights).unwrap();
    // Finished weights would stay.
    fs::remove_file(&weights).unwrap();

    let long = format!("{TRAIN} --epochs 100000");
    let mut child = command(folder.path(), &long).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.path().join("smile.safetensors.checkpoint").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    assert!(errors(&output).contains("--resume"), "{}", errors(&output));
    assert!(
        Record::from_metadata(&SmileWeights::read(&weights).unwrap().metadata.training)
            .unwrap()
            .interrupted_after
            .is_some()
    );

    for (option, name) in [("--seed 2", "--seed"), ("--l2 0.5", "--l2"), ("--split-seed 3", "--split-seed")] {
        let output = run(folder.path(), &format!("{short} --resume {option}"));
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("{name} differs");
        assert!(errors(&output).contains(&expected), "{}", errors(&output));
    }
    succeeded(&run(folder.path(), &format!("{short} --resume")));
    assert!(fs::read(&weights).unwrap() == straight);
    assert_eq!(names(folder.path()), ["faces", "smile.safetensors"]);
}

#[test]
fn errors_have_their_exit_codes_and_leave_nothing() {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("faces"), 3);
    put(folder.path(), "unlabelled/files/a.jpg", "");
    put(folder.path(), "unlabelled/labels.txt", "");
    put(folder.path(), "foreign/a.jpg", "");
    put(folder.path(), "empty/smile/a.txt", "");
    put(folder.path(), "happy/smile/a.jpg", crate::pictures::jpeg(1, true));
    put(folder.path(), "happy/smile/b.jpg", crate::pictures::jpeg(2, true));
    let before = names(folder.path());
    let out = "--out smile.safetensors --device cpu --epochs 1";
    for (arguments, code, message) in [
        (format!("--data absent {out}"), 2, "cannot read absent"),
        (format!("--data unlabelled {out}"), 2, "files/a.jpg has none"),
        (format!("--data foreign {out}"), 2, "no data set of a known layout"),
        (format!("--data empty {out}"), 2, "no pictures"),
        (format!("--data happy {out}"), 2, "labelled \"smiling\""),
        (format!("--data faces {out} --resume"), 2, "no checkpoint"),
        (format!("--data faces {out} --test-fraction 1"), 2, "from 0 to less than 1"),
        (format!("--data faces {out} --batch 0"), 2, "--batch"),
        (format!("--data faces {out} --boxes a.csv"), 2, "--boxes is only for --preset face"),
        (format!("--data faces {out} --preset face --votes a.csv"), 2, "--votes is not for --preset face"),
        (
            format!("--data faces {out} --preset paper-deep --variation 0.5"),
            2,
            "--variation is only for --preset smile",
        ),
        (format!("cross-validate --data faces {out} --no-face faces"), 2, "--no-face is only for"),
        (format!("cross-validate --data faces {out} --preset face"), 2, "cross-validate is not for"),
        (format!("cross-validate --data faces {out} --only-fold 5"), 2, "--only-fold 5: folds are 1 to 4"),
        ("--data faces --device cuda:99 --out a.safetensors".into(), 2, "cuda:99"),
        ("--data faces --device cpu --out absent/a.safetensors".into(), 1, "no folder absent"),
        ("--data faces --device cpu --out faces".into(), 1, "it is a folder"),
        ("--data faces --device cpu --out a --report unlabelled/labels.txt/r".into(), 1, "cannot write"),
        ("--data faces".into(), 2, "--out"),
        ("eval --model absent --data faces".into(), 2, "cannot read weights"),
        ("eval --model unlabelled/labels.txt --data faces".into(), 2, "not a weights file"),
        ("info unlabelled/labels.txt".into(), 2, "not a weights file"),
        (String::new(), 2, "--data"),
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", errors(&output));
        assert!(errors(&output).contains(message), "{arguments}: {}", errors(&output));
        assert_eq!(names(folder.path()), before, "{arguments}");
    }
}

#[test]
fn classes_are_told_for_all_data_sets() {
    let folder = tempdir().unwrap();
    for (data, count) in [("faces", 8), ("more", 4)] {
        put_classes(&folder.path().join(data), count);
        for (from, to) in [("smile", "grin"), ("no-smile", "bored")] {
            fs::rename(folder.path().join(data).join(from), folder.path().join(data).join(to)).unwrap();
        }
    }
    let train = format!("{TRAIN} --epochs 1 --extra more");
    let output = run(folder.path(), &train);
    assert!(output.status.code() == Some(2) && errors(&output).contains("--classes"), "{}", errors(&output));
    let classes = "--classes smile=grin no-smile=bored";
    let output = run(folder.path(), &format!("{train} {classes}"));
    succeeded(&output);
    let log = errors(&output);
    assert!(
        log.contains("faces: 16 pictures (8 smiling, 8") && log.contains("more: 8 pictures (4 smiling"),
        "{log}"
    );
    succeeded(&run(folder.path(), &format!("eval --model smile.safetensors --data faces {classes}")));
    let output = run(folder.path(), &format!("{train} --classes grin=smile"));
    assert!(errors(&output).contains("--classes: \"grin=smile\""), "{}", errors(&output));
}

#[test]
fn the_usual_preset_is_the_one_that_the_element_likes() {
    let folder = tempdir().unwrap();
    let help = succeeded(&run(folder.path(), "--help"));
    let [examples, presets] =
        ["Examples:", "--preset <PRESET>"].map(|word| &help[help.find(word).unwrap()..]);
    let first = examples.lines().nth(2).unwrap();
    assert!(first.contains("--init models/smile.safetensors") && !first.contains("--preset"), "{first}");
    let default = &presets[presets.find("[default: ").unwrap_or_default()..];
    assert!(default.starts_with("[default: smile]"), "{default}");
}

#[test]
fn help_and_version() {
    let folder = tempdir().unwrap();
    let help = succeeded(&run(folder.path(), "--help"));
    for part in ["eval", "info", "--validation-fraction", "Examples:", "Exit codes"] {
        assert!(help.contains(part), "{part}");
    }
    assert!(succeeded(&run(folder.path(), "--version")).contains(env!("CARGO_PKG_VERSION")));
}
