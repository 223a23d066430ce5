//! The command line: what is wrong is said at once, and how to mend it.

use super::serve::{Serve, data, run};

fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} was taken");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn check_says_what_is_wrong_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cameras.toml");
    let path = file.to_str().unwrap();
    std::fs::write(
        &file,
        "[[camera]]\nname = \"a b\"\nsource = \"pattern:bal\"\n[camera.properties]\nmax-faces = 0\n",
    )
    .unwrap();
    let said = refused(&[path, "--check"]);
    for expected in ["cameras.toml:2: ", "cameras.toml:3: ", "cameras.toml:5: ", "max-faces"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    std::fs::write(&file, "[kafka]\nbrokers = []\n").unwrap();
    let said = refused(&[path, "--check"]);
    assert!(said.contains("cameras.toml:1: ") && said.contains("host:9092"), "{said}");
    assert_eq!(said.contains("built without Kafka"), !cfg!(feature = "kafka"), "{said}");
    std::fs::write(&file, "[[camera]]\nname = \"door\"\nsource = \"pattern:ball\"\n").unwrap();
    let output = run(&[path, "--check"]);
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 cameras"),
        "{output:?}"
    );
    assert!(refused(&[path, "pattern:ball", "--check"]).contains("alone"));
    assert!(refused(&["no-such.toml", "--check"]).contains("no-such.toml"));
}

#[test]
fn others_are_let_in_with_a_token_only() {
    assert!(refused(&["--listen", "0.0.0.0", "--port", "0"]).contains("--token-file"));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "short\n").unwrap();
    assert!(refused(&["--token-file", token.to_str().unwrap()]).contains("16"));
    assert!(refused(&["nonsense://user:geheim@host/"]).contains("nonsense"));
    assert!(!refused(&["nonsense://user:geheim@host/"]).contains("geheim"));
}

#[test]
fn a_folder_and_a_port_have_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[]);
    let data_folder = folder.path().to_str().unwrap();
    assert!(refused(&["--port", "0", "--data", data_folder]).contains("--data"));
    let other = tempfile::tempdir().unwrap();
    let port = serve.address.port().to_string();
    assert!(refused(&["--port", &port, "--data", other.path().to_str().unwrap()]).contains("--port"));
}

#[test]
fn each_camera_runs_in_one_of_three_shards() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cameras.toml");
    let names: Vec<String> = (1..=9).map(|number| format!("camera-{number}")).collect();
    let camera =
        |name: &String| format!("[[camera]]\nname = \"{name}\"\nsource = \"{}\"\n", data("astronaut.jpg"));
    std::fs::write(&file, names.iter().map(camera).collect::<String>()).unwrap();
    let start = |index: u32| {
        let folder = tempfile::tempdir().unwrap();
        let shard = format!("{index}/3");
        let serve = Serve::start(folder.path(), &[file.to_str().unwrap(), "--shard", &shard]);
        (serve, folder)
    };
    let served = |serve: &Serve| -> Vec<String> {
        let cameras = serve.get("/api/cameras").json();
        let cameras = cameras["cameras"].as_array().unwrap().iter();
        cameras.map(|camera| camera["name"].as_str().unwrap().to_string()).collect()
    };
    let mut shards: Vec<_> = (1..=3).map(start).collect();
    let before: Vec<_> = shards.iter().map(|(serve, _)| served(serve)).collect();
    let mut all = before.concat();
    all.sort();
    assert_eq!(all, names, "{before:?}");
    // One is killed and started again.
    let (serve, _folder) = shards.remove(1);
    serve.kill();
    let (again, _folder) = start(2);
    assert_eq!(served(&again), before[1]);
}
