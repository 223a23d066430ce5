//! Pictures that claim to be huge, and what only has a picture's name.

use std::fs::File;
use std::os::unix::fs::symlink;

use tempfile::tempdir;

use crate::bounded::{make, run};
use crate::bytes;
use crate::generated::{jpeg, put};

/// Locates in a folder of these files and a good picture, which has to be the only one that is looked at.
fn only_the_good_one_is_read(names: &[&str], make: impl Fn(&std::path::Path)) {
    let folder = tempdir().unwrap();
    put(folder.path(), "d/good.jpg", jpeg(1, true));
    make(&folder.path().join("d"));
    let outcome = run(folder.path(), "locate --data d --csv faces.csv --threads 2");
    outcome.ends(0, &[]);
    for name in names {
        assert!(outcome.log.contains(&format!("skipped {name}: ")), "{name}: {outcome:?}");
    }
    let table = std::fs::read_to_string(folder.path().join("faces.csv")).unwrap();
    assert!(table.contains("good.jpg") && table.lines().count() == 2, "{table}");
}

#[test]
fn what_claims_to_be_huge_is_skipped_before_it_is_decoded() {
    for (name, bytes) in [
        ("a.jpg", bytes::huge_jpeg()),
        ("a.png", bytes::huge_png()),
        ("a.webp", bytes::huge_webp()),
        ("b.webp", bytes::long_webp()),
    ] {
        assert!(bytes.len() < 10_000, "{name}");
        only_the_good_one_is_read(&[name], |folder| put(folder, name, &bytes));
    }
}

#[test]
fn a_colour_profile_that_unpacks_to_a_gigabyte_is_not_unpacked() {
    let folder = tempdir().unwrap();
    put(folder.path(), "d/a.png", bytes::profile_bomb());
    put(folder.path(), "d/good.jpg", jpeg(1, true));
    // The picture itself is sound: whether it is read or skipped, there is memory for it.
    run(folder.path(), "locate --data d --csv faces.csv --threads 2").ends(0, &[]);
}

#[test]
fn what_is_no_plain_file_or_never_ends_is_skipped() {
    let names = ["endless.jpg", "hole.jpg", "nowhere.jpg", "pipe.jpg"];
    only_the_good_one_is_read(&names, |folder| {
        symlink("/dev/zero", folder.join("endless.jpg")).unwrap();
        symlink("nothing", folder.join("nowhere.jpg")).unwrap();
        make("mkfifo", &["pipe.jpg"], folder);
        File::create(folder.join("hole.jpg")).unwrap().set_len(30 << 30).unwrap();
    });
}

#[test]
fn pipes_and_devices_are_refused_wherever_a_file_belongs() {
    let folder = tempdir().unwrap();
    crate::generated::put_classes(&folder.path().join("faces"), 4);
    make("mkfifo", &["pipe", "pipe.jpg"], folder.path());
    let train = "--data faces --preset paper-default --out a.safetensors --epochs 1";
    for arguments in [
        "info pipe",
        "info /dev/zero",
        "locate --data pipe --csv a.csv",
        "locate --data pipe.jpg --csv a.csv",
        "locate --data faces --model pipe --csv a.csv",
        "eval --model pipe --data faces",
        "--data pipe --out a.safetensors",
        "--data /dev/zero --out a.safetensors",
        &format!("{train} --votes pipe"),
        &format!("{train} --init pipe"),
        &format!("{train} --preset face --boxes pipe").replace(" --preset paper-default", ""),
        "card --card pipe",
    ] {
        let outcome = run(folder.path(), arguments);
        assert_eq!(outcome.code, Some(2), "{arguments}: {outcome:?}");
        let words = if arguments.contains("zero") { "a device" } else { "a named pipe" };
        assert!(outcome.log.contains(words), "{arguments}: {outcome:?}");
    }
}
