//! What is easily done by mistake: it is said, and nothing is lost by it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::tempdir;

use crate::bounded::{command, finish, run, until, wait};
use crate::generated::{jpeg, names, put, put_classes};

const TRAIN: &str = "--preset paper-default --filters 4 --dense 8 --device cpu --threads 2";

fn start(folder: &Path, arguments: &str) -> Child {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    command(folder, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Starts a training and ends it by Ctrl-C after its first epoch.
fn interrupt(folder: &Path, arguments: &str, checkpoint: &str) {
    let mut child = start(folder, arguments);
    until(&mut child, || folder.join(checkpoint).exists());
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(wait(&mut child), Some(130));
}

#[test]
fn finished_weights_are_not_replaced_by_an_interrupted_run() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    put(place, "boxes.csv", "file,x,y,w,h\n000.jpg,8,8,40,40\n001.jpg,8,8,40,40\n002.jpg,8,8,40,40\n");
    let face = "--data faces/smile --preset face --filters 4 --boxes boxes.csv --device cpu --threads 2";
    for (command, out) in [
        (format!("--data faces {TRAIN} --out m"), "m"),
        (format!("cross-validate --data faces {TRAIN} --folds 2 --out folds"), "folds/fold-1.safetensors"),
        (format!("{face} --out f"), "f"),
    ] {
        run(place, &format!("{command} --epochs 1")).ends(0, &[]);
        let finished = fs::read(place.join(out)).unwrap();
        let checkpoint = format!("{out}.checkpoint");
        interrupt(place, &format!("{command} --epochs 100000"), &checkpoint);
        assert!(fs::read(place.join(out)).unwrap() == finished, "{command}");
        assert!(place.join(&checkpoint).exists(), "{command}");
        // What an interruption left is replaced by the next one's, as ever.
        for name in [out, &checkpoint] {
            fs::remove_file(place.join(name)).unwrap();
        }
        interrupt(place, &format!("{command} --epochs 100000"), &checkpoint);
        assert!(place.join(out).exists(), "{command}");
    }
}

#[test]
fn finished_folds_are_of_the_same_pictures() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    let validate = format!("cross-validate --data faces {TRAIN} --epochs 1 --folds 2 --out folds");
    run(place, &validate).ends(0, &[]);
    run(place, &format!("{validate} --resume")).ends(0, &["trained already"]);
    put(place, "faces/smile/000.jpg", jpeg(77, true));
    run(place, &format!("{validate} --resume")).ends(2, &["other pictures"]);
}

#[test]
fn protected_files_stay() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    let validate = format!("cross-validate --data faces {TRAIN} --epochs 1 --folds 2 --out folds");
    run(place, &validate).ends(0, &[]);
    put(
        place,
        "card.md",
        "<!-- folds -->\n<!-- /folds -->\n<!-- bands -->\n<!-- /bands -->\n<!-- mistakes -->\n<!-- /mistakes -->\n",
    );
    put(place, "smile-evaluation.png", "my drawing");
    put(place, "report/curves.png", "my curves");
    put(place, "table.csv", "my table");
    let protect = |name: &str| {
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o444)).unwrap();
        (name.to_string(), fs::read(place.join(name)).unwrap())
    };
    for (name, arguments) in [
        ("smile-evaluation.png", "card --card card.md --folds folds".to_string()),
        ("card.md", "card --card card.md --folds folds --prefix new-".into()),
        ("report/curves.png", format!("--data faces {TRAIN} --epochs 1 --out m --report report")),
        ("folds/results.json", validate.clone()),
        ("folds/fold-2.safetensors", validate.clone()),
        ("table.csv", "locate --data faces --csv table.csv".into()),
    ] {
        let before = protect(name);
        run(place, &arguments).ends(1, &["cannot write", name.rsplit('/').next().unwrap(), "protected"]);
        assert_eq!(protect(name), before);
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert!(!place.join("m").exists());
    assert!(
        fs::read_to_string(place.join("card.md")).unwrap().starts_with("<!-- folds -->\n<!-- /folds -->")
    );
}

#[test]
fn reports_do_not_become_pictures_of_the_data() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    run(place, &format!("--data faces {TRAIN} --epochs 1 --out m")).ends(0, &[]);
    let before = names(&place.join("faces/smile"));
    for arguments in [
        format!("--data faces {TRAIN} --epochs 1 --out n --report faces/smile"),
        format!("--data faces {TRAIN} --epochs 1 --out n --report faces/smile/report"),
        "eval --model m --data faces --report faces/no-smile".into(),
        format!("cross-validate --data faces {TRAIN} --epochs 1 --folds 2 --out faces/smile"),
        "locate --data faces/smile --csv f.csv --sheet faces/smile/sheet.png".into(),
        "locate --data faces --csv f.csv --sheet faces/sheet.png".into(),
    ] {
        run(place, &arguments).ends(2, &["would be one of them"]);
        assert_eq!(names(&place.join("faces/smile")), before, "{arguments}");
    }
    // Beside the classes, and what is no picture, is no harm.
    run(place, "eval --model m --data faces --report faces --json faces/smile/results.json").ends(0, &[]);
    run(place, "eval --model m --data faces").ends(0, &[]);
}

#[test]
fn two_outputs_are_not_one_file_by_a_link_that_leads_nowhere_yet() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put(place, "a.jpg", jpeg(1, true));
    symlink("table.csv", place.join("sheet.png")).unwrap();
    run(place, "locate --data a.jpg --csv table.csv --sheet sheet.png").ends(2, &["are both"]);
    assert_eq!(names(place), ["a.jpg", "sheet.png"]);
}

#[test]
fn places_that_can_not_be_are_noticed_before_the_work() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    symlink("absent/table.csv", place.join("nowhere")).unwrap();
    symlink("absent", place.join("gone")).unwrap();
    fs::create_dir_all(place.join("report/metrics.json")).unwrap();
    fs::create_dir_all(place.join("folds/results.json")).unwrap();
    let long = "n".repeat(300);
    for (arguments, reason) in [
        ("locate --data faces --csv nowhere".to_string(), "no folder"),
        (format!("--data faces {TRAIN} --epochs 1 --out m --report gone"), "leads nowhere"),
        (format!("--data faces {TRAIN} --epochs 1 --out m --report report"), "metrics.json"),
        (format!("--data faces {TRAIN} --epochs 1 --out m --report {long}/report"), "too long"),
        (format!("cross-validate --data faces {TRAIN} --epochs 1 --folds 2 --out folds"), "results.json"),
        ("card --card gone --folds folds".into(), "gone"),
    ] {
        let outcome = run(place, &arguments);
        assert_ne!(outcome.code, Some(0), "{arguments}: {outcome:?}");
        assert!(outcome.log.contains(reason), "{arguments}: {outcome:?}");
        assert!(!outcome.log.contains("pictures"), "it was noticed after the work: {outcome:?}");
    }
    assert!(!place.join("m").exists());
}

#[test]
fn a_checkpoint_of_another_network_is_named() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    let train = format!("--data faces {TRAIN} --out m --epochs 100000");
    interrupt(place, &train, "m.checkpoint");
    let bytes = fs::read(place.join("m.checkpoint")).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut head: serde_json::Value = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    // All weights lie in a row instead of their own shape.
    for (_, tensor) in head.as_object_mut().unwrap().iter_mut().filter(|(name, _)| *name != "__metadata__") {
        let shape = tensor["shape"].as_array().unwrap();
        let count: u64 = shape.iter().map(|side| side.as_u64().unwrap()).product();
        tensor["shape"] = serde_json::json!([count, 1]);
    }
    let head = head.to_string().into_bytes();
    let changed = [&(head.len() as u64).to_le_bytes()[..], &head, &bytes[8 + size..]].concat();
    put(place, "m.checkpoint", changed);
    run(place, &format!("{train} --resume")).ends(2, &["m.checkpoint", "no checkpoint"]);
}

#[test]
fn tables_that_name_no_picture_are_refused() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    put_classes(&place.join("more"), 6);
    put(place, "parts.csv", "file,part\nother/elsewhere.jpg,validation\n");
    put(place, "hats.csv", "file,hat\nother/elsewhere.jpg,1\n");
    put(place, "boxes.csv", "file,x,y,w,h\n000.jpg,8,8,40,40\n001.jpg,8,8,40,40\n");
    run(place, &format!("--data faces {TRAIN} --epochs 1 --out m")).ends(0, &[]);
    for (option, arguments) in [
        ("--parts", format!("--data faces --extra more {TRAIN} --epochs 1 --out n --parts parts.csv")),
        ("--parts", "eval --model m --data faces --parts parts.csv".into()),
        ("--attributes", "eval --model m --data faces --attributes hats.csv".into()),
        (
            "--parts",
            "--data faces/smile --extra faces/no-smile --preset face --boxes boxes.csv --parts parts.csv --out f \
             --epochs 1 --threads 2"
                .into(),
        ),
    ] {
        run(place, &arguments).ends(2, &[option, "names none of the pictures"]);
    }
}

#[test]
fn pictures_of_several_folders_are_told_apart() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 2);
    run(place, "locate --data faces/smile faces/no-smile --csv faces.csv").ends(0, &[]);
    let table = fs::read_to_string(place.join("faces.csv")).unwrap();
    let files: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert!(files.contains(&"smile/000.jpg") && files.contains(&"no-smile/000.jpg"), "{table}");
    run(place, "locate --data faces/smile faces/smile --csv twice.csv").ends(2, &["given twice"]);
    // Where names tell them apart they stay as they are.
    run(place, "locate --data faces/smile/000.jpg faces/no-smile/001.jpg --csv two.csv").ends(0, &[]);
    let table = fs::read_to_string(place.join("two.csv")).unwrap();
    assert!(table.contains("\n000.jpg") && table.contains("\n001.jpg"), "{table}");
}

#[test]
fn results_that_can_not_be_printed_are_an_error() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    let train = format!("--data faces {TRAIN} --epochs 1 --out m");
    run(place, &train).ends(0, &[]);
    for arguments in ["info m", "eval --model m --data faces", "locate --data faces --csv f.csv", &train] {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut run = command(place, &words);
        let mut child = run.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(wait(&mut child), Some(1), "{arguments}");
        let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert!(log.contains("standard output can't be written"), "{arguments}: {log}");
        assert!(place.join("m").exists());
    }
    // A reader that has seen enough is none.
    let mut head = Command::new("sh");
    let line = format!(
        "'{}' info m | head -1 >/dev/null; exit \"${{PIPESTATUS:-0}}\"",
        env!("CARGO_BIN_EXE_smile-train")
    );
    finish(head.args(["-c", &line]).current_dir(place)).ends(0, &[]);
}

#[test]
fn boxes_outside_of_their_picture_are_told() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put_classes(&place.join("faces"), 6);
    let head = "file,x,y,w,h,reye_x,reye_y,leye_x,leye_y,nose_x,nose_y,rmouth_x,rmouth_y,lmouth_x,lmouth_y";
    let good = "8,8,40,40,20,20,36,20,28,28,20,36,36,36";
    let rows = [
        format!("000.jpg,{good}"),
        format!("001.jpg,{good}"),
        "002.jpg,4000,4000,40,40,4020,4020,4036,4020,4028,4028,4020,4036,4036,4036".into(),
        "003.jpg,8,8,40,40,20,20,1e30,20,28,28,20,36,36,36".into(),
    ];
    put(place, "boxes.csv", format!("{head}\n{}\n", rows.join("\n")));
    run(
        place,
        "--data faces/smile --preset face --filters 4 --boxes boxes.csv --out f --epochs 1 --threads 2",
    )
    .ends(
        0,
        &[
            "skipped 002.jpg: a table has a box at 4000, 4000, outside",
            "skipped 003.jpg: a table has landmarks far",
        ],
    );
}

#[test]
fn names_in_the_card_are_plain() {
    let folder = tempdir().unwrap();
    let place = folder.path();
    put(place, "card.md", "<!-- runs -->\n<!-- /runs -->\n");
    put(place, "results.json", "{}");
    for name in ["<!--", "a|b"] {
        let run = format!("{name}=results.json");
        let words = ["card", "--card", "card.md", "--marker", "runs", "--run", &run];
        finish(&mut command(place, &words)).ends(2, &["a name in the card"]);
    }
}
