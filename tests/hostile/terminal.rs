//! What is said: nothing that a terminal would obey, and words that help.

use std::fs::File;

use gstsmile::model::{Architecture, Metadata, Weights};
use rand::SeedableRng;
use tempfile::tempdir;

use crate::bounded::{Outcome, command, finish, run};
use crate::generated::{jpeg, put, put_classes};

const ESCAPE: &str = "\u{1b}]0;owned\u{7}\u{9b}31m";

fn is_harmless(outcome: &Outcome) {
    let text = format!("{}{}", outcome.out, outcome.log);
    let obeyed = text.chars().find(|&c| c.is_control() && c != '\n');
    assert!(obeyed.is_none(), "{obeyed:?} in {text:?}");
}

#[test]
fn names_and_bytes_from_outside_are_made_visible() {
    let folder = tempdir().unwrap();
    let name = format!("a{ESCAPE}\n.jpg");
    put(folder.path(), &format!("d/{name}"), "broken");
    put(folder.path(), "d/good.jpg", jpeg(1, true));
    let mut archive = tar::Builder::new(File::create(folder.path().join("d.tar")).unwrap());
    archive.append_dir_all("", folder.path().join("d")).unwrap();
    archive.finish().unwrap();
    for data in ["d", "d.tar"] {
        let outcome = run(folder.path(), &format!("locate --data {data} --csv a.csv --threads 2"));
        is_harmless(outcome.ends(0, &[r"skipped a\u{1b}]0;owned\u{7}\u{9b}31m\n.jpg: "]));
    }
    let absent = format!("x{ESCAPE}");
    is_harmless(&finish(&mut command(folder.path(), &["locate", "--csv", "a.csv", "--data", &absent])));

    let architecture = Architecture::paper(2, 3, 4);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let tensors = gstsmile::model::initial_tensors(&architecture, &mut rng).unwrap();
    let mut metadata = Metadata::new(architecture);
    metadata.labels[1] = ESCAPE.into();
    metadata.training.insert(format!("key{ESCAPE}"), ESCAPE.into());
    Weights { metadata, tensors }.write(&folder.path().join("m.safetensors")).unwrap();
    let outcome = run(folder.path(), "info m.safetensors");
    is_harmless(outcome.ends(0, &[]));
    assert!(outcome.out.contains("owned"), "{outcome:?}");
}

#[test]
fn errors_say_what_is_there_and_not_more() {
    let folder = tempdir().unwrap();
    let train = "--preset paper-default --out a.safetensors --epochs 1 --device cpu --threads 2";
    put(folder.path(), "empty/smile/a.txt", "");
    let outcome = run(folder.path(), &format!("--data empty {train}"));
    outcome.ends(2, &["empty has no pictures;"]);
    assert!(!outcome.log.contains("broken"), "{outcome:?}");

    put_classes(&folder.path().join("few"), 1);
    let outcome = run(folder.path(), &format!("--data few {train} --test-fraction 0.9"));
    outcome.ends(2, &["no picture is left to learn from"]);
    assert!(!outcome.log.contains("all 0"), "{outcome:?}");

    put(folder.path(), "long/files/a.jpg", jpeg(1, true));
    put(folder.path(), "long/labels.txt", "x".repeat(1_000_000));
    let outcome = run(folder.path(), &format!("--data long {train}"));
    outcome.ends(2, &["line 1 labels files/a.jpg"]);
    assert!(outcome.log.len() < 1000, "{}", outcome.log.len());
}
