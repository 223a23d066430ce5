//! Training that is disturbed: by another run, by a broken checkpoint, by a log that can't be written.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::{TempDir, tempdir};

use crate::bounded::{command, finish, run, until, wait};
use crate::generated::{jpeg, names, put_classes};

const TRAIN: &str = "--data faces --preset paper-default --filters 4 --dense 8 --batch 8 --learning-rate 0.005 \
    --device cpu --threads 2 --out smile.safetensors";

fn faces() -> TempDir {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("faces"), 16);
    folder
}

fn words(arguments: &str) -> Vec<&str> {
    arguments.split_whitespace().collect()
}

/// A training that has written a checkpoint and won't end soon.
fn running(folder: &Path, seed: usize) -> Child {
    let arguments = format!("{TRAIN} --epochs 1000000 --seed {seed}");
    let mut child =
        command(folder, &words(&arguments)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&mut child, || folder.join("smile.safetensors.checkpoint").exists());
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn two_runs_never_share_a_checkpoint() {
    let folder = faces();
    let mut first = running(folder.path(), 1);
    let second = run(folder.path(), &format!("{TRAIN} --epochs 1 --seed 2"));
    second.ends(2, &["another smile-train is writing smile.safetensors"]);
    // However it ends, it holds nothing any more.
    signal(&first, "-KILL");
    wait(&mut first);
    let foreign = run(folder.path(), &format!("{TRAIN} --epochs 1000000 --seed 2 --resume"));
    foreign.ends(2, &["--seed differs"]);
    fs::remove_file(folder.path().join("smile.safetensors.checkpoint")).unwrap();
    let mut again = running(folder.path(), 2);
    signal(&again, "-INT");
    assert_eq!(wait(&mut again), Some(130));
    assert!(!folder.path().join("smile.safetensors.lock").exists());
}

#[test]
fn a_checkpoint_is_of_its_pictures_whatever_they_are_called() {
    let folder = faces();
    let mut first = running(folder.path(), 1);
    signal(&first, "-INT");
    assert_eq!(wait(&mut first), Some(130));
    // As many pictures of the same names, one of them another.
    let place = folder.path().join("faces/smile/003.jpg");
    let kept = fs::read(&place).unwrap();
    fs::write(&place, jpeg(1000, true)).unwrap();
    let resumed = format!("{TRAIN} --epochs 1000000 --seed 1 --resume");
    run(folder.path(), &resumed).ends(2, &["--resume: what is in --data"]);
    fs::write(&place, kept).unwrap();
    let ends = format!("{TRAIN} --epochs 1 --seed 1 --resume");
    let outcome = run(folder.path(), &ends);
    // There is nothing else against it than that it has gone on for longer.
    assert!(outcome.code == Some(0) || outcome.log.contains("is less than the"), "{outcome:?}");
}

#[test]
fn a_checkpoint_with_values_that_are_no_numbers_is_refused() {
    let folder = faces();
    let mut child = running(folder.path(), 1);
    signal(&child, "-INT");
    assert_eq!(wait(&mut child), Some(130));
    let path = folder.path().join("smile.safetensors.checkpoint");
    let sound = fs::read(&path).unwrap();
    let resumed = format!("{TRAIN} --epochs 1000000 --resume");
    let end = sound.len();
    let no_numbers = [&sound[..end - 1000], &[0xff; 1000]].concat();
    for (bytes, words) in [(no_numbers, "no numbers"), (sound[..end / 2].to_vec(), "no checkpoint")] {
        fs::write(&path, bytes).unwrap();
        run(folder.path(), &resumed).ends(2, &[words, "smile.safetensors.checkpoint"]);
    }
    // One without an end is not read at all.
    OpenOptions::new().write(true).open(&path).unwrap().set_len(40 << 30).unwrap();
    run(folder.path(), &resumed).ends(2, &["at most"]);
}

#[test]
fn training_goes_on_where_nothing_can_be_said() {
    let folder = faces();
    for arguments in [format!("{TRAIN} --epochs 3"), "locate --data faces --csv a.csv --threads 2".into()] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut child = command(folder.path(), &words(&arguments));
        let mut child = child.stdout(full.try_clone().unwrap()).stderr(full).spawn().unwrap();
        // The work is done; that its summary couldn't be read is told by the exit code alone.
        assert_eq!(wait(&mut child), Some(1), "{arguments}");
    }
    // Nor where whoever listened has gone.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command(folder.path(), &words(&format!("{TRAIN} --epochs 3")));
    let mut child = child.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    assert_eq!(wait(&mut child), Some(0));
    assert_eq!(names(folder.path()), ["a.csv", "faces", "smile.safetensors"]);
    finish(&mut command(folder.path(), &["info", "smile.safetensors"])).ends(0, &[]);
}
