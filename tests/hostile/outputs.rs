//! What is written: to the place that was named, whatever it is, and never over what is read.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use crate::bounded::{command, finish, is_root, make, run};
use crate::generated::{jpeg, names, put, put_classes, tar_of};

const TRAIN: &str = "--preset paper-default --filters 4 --dense 8 --epochs 1 --device cpu --threads 2";

/// A folder with a picture `a.jpg`.
fn picture() -> TempDir {
    let folder = tempdir().unwrap();
    put(folder.path(), "a.jpg", jpeg(1, true));
    folder
}

fn locate(folder: &Path, csv: &str) -> crate::bounded::Outcome {
    run(folder, &format!("locate --data a.jpg --csv {csv} --threads 2"))
}

#[test]
fn devices_are_written_to_and_stay() {
    let folder = picture();
    if is_root() {
        make("mknod", &["-m", "666", "null", "c", "1", "3"], folder.path());
        locate(folder.path(), "null").ends(0, &[]);
        let kind = fs::symlink_metadata(folder.path().join("null")).unwrap().file_type();
        assert!(kind.is_char_device());
    } else {
        eprintln!("Only root can make a device: with one of its own nothing is tested");
    }
    symlink("/dev/full", folder.path().join("full")).unwrap();
    locate(folder.path(), "full").ends(1, &["cannot write full"]);
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
}

#[test]
fn pipes_are_written_to() {
    let folder = picture();
    make("mkfifo", &["pipe"], folder.path());
    let mut reader = Command::new("cat");
    let mut reader = reader.arg(folder.path().join("pipe")).stdout(Stdio::piped()).spawn().unwrap();
    let outcome = locate(folder.path(), "pipe");
    let kind = fs::symlink_metadata(folder.path().join("pipe")).unwrap().file_type();
    if outcome.code != Some(0) || !kind.is_fifo() {
        // It would wait for ever.
        reader.kill().unwrap();
    }
    outcome.ends(0, &[]);
    assert!(kind.is_fifo());
    let text = String::from_utf8(reader.wait_with_output().unwrap().stdout).unwrap();
    assert!(text.starts_with("file,x,y,w,h,score\na.jpg"), "{text}");
    assert_eq!(names(folder.path()), ["a.jpg", "pipe"]);
}

#[test]
fn standard_output_is_written_to_before_the_summary() {
    let folder = picture();
    // As /dev/stdout does, which must not be risked here: were it replaced, the whole machine would miss it.
    symlink("/proc/self/fd/1", folder.path().join("stdout")).unwrap();
    for name in ["stdout", "/proc/self/fd/1"] {
        // It is a file, as with `> table`.
        let outcome = locate(folder.path(), name);
        outcome.ends(0, &[]);
        assert!(outcome.out.starts_with("file,x,y,w,h,score\na.jpg"), "{outcome:?}");
        assert!(outcome.out.contains("in 1 pictures"), "{outcome:?}");
    }
}

#[test]
fn links_are_followed_and_modes_stay() {
    let folder = picture();
    put(folder.path(), "real/table.csv", "old");
    let [link, table] = ["table.csv", "real/table.csv"].map(|name| folder.path().join(name));
    symlink("real/table.csv", &link).unwrap();
    fs::set_permissions(&table, fs::Permissions::from_mode(0o600)).unwrap();
    locate(folder.path(), "table.csv").ends(0, &[]);
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&table).unwrap().starts_with("file,"));
    assert_eq!(fs::metadata(&table).unwrap().mode() & 0o777, 0o600);
    assert_eq!(names(&folder.path().join("real")), ["table.csv"]);
}

#[test]
fn an_output_that_is_an_input_is_refused_and_stays() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    tar_of(&place.join("faces"), "", &place.join("faces.tar"));
    put(place, "soft.csv", "file,happiness,neutral\nsmile/000.jpg,5,5\n");
    put(place, "boxes.csv", "file,x,y,w,h\n");
    put(place, "more.csv", "file,x,y,w,h,part\n");
    put(place, "faces/smile/sheet.png", jpeg(99, true));
    put(place, "faces/smile/evaluation.png", jpeg(98, true));
    fs::hard_link(place.join("faces/smile/000.jpg"), place.join("hard")).unwrap();
    symlink("faces/smile/001.jpg", place.join("soft")).unwrap();
    run(place, &format!("--data faces {TRAIN} --out m.safetensors")).ends(0, &[]);
    fs::copy(place.join("m.safetensors"), place.join("init.safetensors")).unwrap();
    let all = || {
        let files = ["faces.tar", "m.safetensors", "init.safetensors", "soft.csv", "boxes.csv", "more.csv"];
        let pictures = ["000.jpg", "001.jpg", "sheet.png", "evaluation.png"];
        let pictures = pictures.map(|name| format!("faces/smile/{name}"));
        files
            .map(String::from)
            .into_iter()
            .chain(pictures)
            .map(|name| fs::read(place.join(name)).unwrap())
            .collect::<Vec<_>>()
    };
    let before = all();
    for arguments in [
        format!("--data faces.tar {TRAIN} --out faces.tar"),
        format!("--data faces {TRAIN} --out ./init.safetensors --init init.safetensors"),
        format!("--data faces {TRAIN} --out soft.csv --votes soft.csv"),
        format!("--data faces {TRAIN} --out hard"),
        format!("--data faces {TRAIN} --out soft"),
        format!("--data faces {TRAIN} --out new --report faces/smile"),
        format!("cross-validate --data faces {TRAIN} --out faces/smile"),
        "--data faces --preset face --boxes boxes.csv --out boxes.csv".into(),
        "--data faces --preset face --boxes boxes.csv --ignore-boxes more.csv --out more.csv".into(),
        "--data faces --preset face --boxes boxes.csv --parts more.csv --out more.csv".into(),
        "--data faces --preset face --boxes boxes.csv --out faces/no-smile/000.jpg".into(),
        "eval --data faces --model m.safetensors --predictions m.safetensors".into(),
        "eval --data faces --model m.safetensors --json faces/smile/000.jpg".into(),
        "eval --data faces.tar --model m.safetensors --json faces.tar".into(),
        "eval --data faces --model m.safetensors --json new --predictions new".into(),
        "locate --data faces/smile/000.jpg --csv faces/smile/000.jpg".into(),
        "locate --data faces/smile/000.jpg --csv hard".into(),
        "locate --data faces --csv soft".into(),
        "locate --data faces --csv new --sheet faces/smile/001.jpg".into(),
        "locate --data faces --csv new --sheet ./new".into(),
        "locate --data faces --model m.safetensors --csv m.safetensors".into(),
    ] {
        let outcome = run(place, &arguments);
        assert_eq!(outcome.code, Some(2), "{arguments}: {outcome:?}");
        let named = ["overwrite", "are both"].iter().any(|word| outcome.log.contains(word));
        assert!(named, "{arguments}: {outcome:?}");
        assert!(all() == before, "{arguments}");
        assert!(!place.join("new").exists(), "{arguments}");
    }
}

#[test]
fn what_a_run_would_remove_is_only_its_own() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    let name = "m.safetensors.checkpoint";
    put(place, name, "my notes");
    run(place, &format!("--data faces {TRAIN} --out m.safetensors")).ends(2, &[name, "move it away"]);
    assert_eq!(fs::read(place.join(name)).unwrap(), b"my notes");
    fs::remove_file(place.join(name)).unwrap();
    // Results stay until others have come in their place.
    put(place, "folds/results.json", "measured");
    let validate = format!("cross-validate --data faces {TRAIN} --folds 2 --out folds");
    put(place, "folds/fold-1.safetensors.checkpoint", "my notes");
    run(place, &validate).ends(2, &["move it away"]);
    assert_eq!(fs::read(place.join("folds/results.json")).unwrap(), b"measured");
    fs::remove_file(place.join("folds/fold-1.safetensors.checkpoint")).unwrap();
    run(place, &validate).ends(0, &[]);
    assert_ne!(fs::read(place.join("folds/results.json")).unwrap(), b"measured");
}

#[test]
fn names_that_can_not_be_are_refused_before_the_work() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    put(place, "report", "a file");
    let long = "n".repeat(250);
    run(place, &format!("--data faces {TRAIN} --out {long}")).ends(1, &["too long"]);
    run(place, &format!("locate --data faces --csv {long}")).ends(1, &["too long"]);
    run(place, &format!("--data faces {TRAIN} --out m --report report")).ends(1, &["it is a file"]);
    assert_eq!(names(place), ["faces", "report"]);
}

#[test]
fn writing_beside_what_is_read_is_fine() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(place, 6);
    // Twice: what the first run wrote is no input of the second.
    for _ in 0..2 {
        run(place, "locate --data smile no-smile --csv faces.csv --sheet faces.png").ends(0, &[]);
    }
}

#[test]
fn options_that_no_weights_could_have_are_refused() {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("faces"), 6);
    put(folder.path(), "good", "good weights");
    for option in [
        "--learning-rate 1e30",
        "--learning-rate nan",
        "--temperature 5000",
        "--temperature 1e-300",
        "--temperature inf",
        "--l2 1e300",
    ] {
        run(folder.path(), &format!("--data faces {TRAIN} --out good {option}"))
            .ends(2, &["it must be a number"]);
        assert_eq!(fs::read_to_string(folder.path().join("good")).unwrap(), "good weights");
        assert_eq!(names(folder.path()), ["faces", "good"]);
    }
}

#[test]
fn weights_go_into_plain_files_only() {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("faces"), 6);
    make("mkfifo", &["pipe"], folder.path());
    let words: Vec<String> =
        format!("--data faces {TRAIN} --out pipe").split(' ').map(String::from).collect();
    finish(&mut command(folder.path(), &words)).ends(1, &["no plain file"]);
    assert_eq!(names(folder.path()), ["faces", "pipe"]);
}
