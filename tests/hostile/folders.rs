//! Folders that lead back into themselves, and folders that nobody may look into.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::tempdir;

use crate::bounded::{as_nobody, command, finish, run};
use crate::generated::{jpeg, listing, put, put_classes, read};

#[test]
fn loops_of_links_show_each_picture_once() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("d6");
    put_classes(&data, 20);
    let plain = read(&data).unwrap();
    symlink(".", data.join("smile/a")).unwrap();
    symlink("..", data.join("smile/b")).unwrap();
    symlink("../no-smile", data.join("smile/c")).unwrap();
    symlink("ring", data.join("no-smile/ring")).unwrap();
    let looped = read(&data).unwrap();
    assert_eq!(listing(&looped), listing(&plain));
    let outcome = run(folder.path(), "locate --data d6 --csv faces.csv --threads 2");
    outcome.ends(0, &[]);
    assert!(outcome.out.contains("in 40 pictures"), "{outcome:?}");
}

#[test]
fn folders_that_are_links_are_followed() {
    let folder = tempdir().unwrap();
    put(folder.path(), "pool/good/a.jpg", jpeg(1, true));
    put(folder.path(), "pool/other/b.jpg", jpeg(1, false));
    fs::create_dir(folder.path().join("d")).unwrap();
    symlink("../pool/good", folder.path().join("d/smile")).unwrap();
    symlink("../pool/other", folder.path().join("d/no-smile")).unwrap();
    let dataset = read(&folder.path().join("d")).unwrap();
    assert_eq!(listing(&dataset), [("no-smile/b.jpg", false), ("smile/a.jpg", true)]);
}

#[test]
fn a_folder_that_can_not_be_read_is_an_error() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("d");
    put_classes(&data, 2);
    put(&data, "smile/closed/a.jpg", jpeg(9, true));
    let closed = data.join("smile/closed");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let arguments = ["locate", "--data", "d", "--csv", "faces.csv", "--threads", "2"];
    let mut run = command(folder.path(), &arguments);
    if !as_nobody(&mut run) {
        return;
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let outcome = finish(&mut run);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    outcome.ends(2, &["cannot read d/smile/closed", "ermission denied"]);
    assert!(!folder.path().join("faces.csv").exists());
}

#[test]
fn names_that_are_no_text_are_read_and_stay_different() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("d");
    fs::create_dir(&data).unwrap();
    for name in [b"a\xff.jpg", b"a\xfe.jpg"] {
        fs::write(data.join(std::ffi::OsStr::from_bytes(name)), jpeg(1, true)).unwrap();
    }
    run(folder.path(), "locate --data d --csv faces.csv --threads 2").ends(0, &[]);
    let table = fs::read_to_string(folder.path().join("faces.csv")).unwrap();
    assert!(table.contains(r"a\xff.jpg") && table.contains(r"a\xfe.jpg"), "{table}");
}
