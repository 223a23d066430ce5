//! The scripts: front doors, which hand on what they are given.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder with a `cargo` that only says what it was called with.
fn with_cargo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let cargo = folder.path().join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\nprintf '<%s>' \"$@\"\n").unwrap();
    std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn scripts_hand_names_on_as_they_are() {
    let cargo = with_cargo();
    let path = format!("{}:/usr/bin:/bin", cargo.path().display());
    let name = "a b\t! $(x) '\"\\%*.mkv";
    for (script, arguments, called) in [
        ("files.sh", vec![name, "out"], format!("<smile-label><--><{name}><out>")),
        ("record.sh", vec![name], format!("<smile-label><--><camera><{name}>")),
        ("stream.sh", vec![name, "rtsp://x/y z"], format!("<smile-label><--><{name}><rtsp://x/y z>")),
        ("wall.sh", vec![name, "two"], format!("<smile-wall><--><{name}><two>")),
        ("webcam.sh", vec!["region=full"], "<smile-label><--><camera><window><region=full>".to_string()),
    ] {
        // Services have no HOME.
        let mut script = command(&format!("pipelines/{script}"));
        let told = text(script.args(arguments).env("PATH", &path).env_remove("HOME").output().unwrap());
        assert!(told.starts_with("<run>") && told.contains(&called), "{told}");
    }
}

#[test]
fn without_cargo_and_home_the_remedy_is_told() {
    let mut script = command("pipelines/files.sh");
    let script =
        script.args(["a", "b"]).env_remove("HOME").env_remove("CARGO_HOME").env("PATH", "/usr/bin:/bin");
    if Path::new("/usr/bin/cargo").exists() {
        println!("There is a cargo in /usr/bin: this test is left out.");
        return;
    }
    let told = failure(script.output().unwrap());
    assert!(told.contains("Rust is missing") && !told.contains("HOME"), "{told}");
}
