//! Names stay names: nothing in them is obeyed by a pipeline, a printf or a terminal.

use std::ffi::OsString;

use super::*;

/// Names that mean something to a shell, a pipeline, a URI or a printf.
fn odd_names() -> Vec<OsString> {
    let mut names: Vec<OsString> = [
        "a.mkv\" ! fakesink filesrc location=\"x\" ! filesink location=\"victim",
        "a.mkv ! fakesink filesrc location=x ! filesink location=victim",
        "a\t!\tfakesink\tfilesrc\tlocation=x\t!\tfilesink\tlocation=victim",
        "my film.mkv",
        "100%.mkv",
        "%n%s.mkv",
        "number #1?.mkv",
        "back\\slash.mkv",
        "quote's \"two\".mkv",
        "new\nline.mkv",
        "$(touch victim);`touch victim`.mkv",
        "mode=async",
        "a://b.mkv",
    ]
    .map(OsString::from)
    .to_vec();
    // No name can have a slash.
    names.retain(|name| !name.to_string_lossy().contains('/'));
    #[cfg(unix)]
    names.push(std::os::unix::ffi::OsStringExt::from_vec(b"\xff\xfe.mkv".to_vec()));
    names
}

#[cfg(unix)]
#[test]
fn any_name_is_a_name_to_every_program() {
    let folder = tempfile::tempdir().unwrap();
    let (inputs, outputs) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::create_dir(&outputs).unwrap();
    std::fs::create_dir(&inputs).unwrap();
    let film = film(folder.path());
    for name in odd_names() {
        std::fs::copy(&film, inputs.join(&name)).unwrap();
        std::fs::write(inputs.join("x"), "an attacker's words").unwrap();
        std::fs::write(inputs.join("victim"), "unharmed").unwrap();
        let run = |program_name: &str, arguments: &[&std::ffi::OsStr]| {
            let output = program(program_name, &inputs).args(arguments).output().unwrap();
            assert!(
                output.status.success(),
                "{program_name} {name:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert!(run("smile-log", &[&name]).contains("smile-started"), "{name:?}");
        assert!(run("embed", &[&name]).contains("smile-started"), "{name:?}");
        let mut labelled = outputs.join(&name).into_os_string();
        labelled.push(".png");
        run("smile-label", &[&name, &labelled]);
        assert!(Path::new(&labelled).metadata().unwrap().len() > 1000, "{name:?}");
        if let Some(python) = python() {
            let embed = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/embed.py");
            let told = text(command(python).arg(embed).arg(&name).current_dir(&inputs).output().unwrap());
            assert!(told.contains("smile-started"), "{name:?} {told}");
        }
        assert_eq!(std::fs::read(inputs.join("victim")).unwrap(), b"unharmed", "{name:?}");
    }
    let sink = "pngenc snapshot=true ! filesink location=../wall.png";
    text(program("smile-wall", &inputs).args(["--sink", sink]).args(odd_names()).output().unwrap());
    assert_eq!(std::fs::read(inputs.join("victim")).unwrap(), b"unharmed");
    assert_eq!(outputs.read_dir().unwrap().count(), odd_names().len());
}

#[cfg(unix)]
#[test]
fn what_a_terminal_would_obey_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let name = "nope\u{1b}[31m\u{7}\u{9b}2J\u{202e}gpj.jpg";
    let is_calm = |told: &str| {
        assert!(told.contains("nope"), "{told:?}");
        assert!(!told.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{told:?}");
    };
    for program_name in ["smile-log", "smile-label", "smile-wall", "embed"] {
        let mut program = program(program_name, folder.path());
        is_calm(&failure(program.args([name, "out.png"]).output().unwrap()));
    }
    if let Some(python) = python() {
        is_calm(&failure(command(python).args(["pipelines/embed.py", name]).output().unwrap()));
    }
    // Names that succeed, and properties that don't.
    std::fs::copy(ASTRONAUT, folder.path().join(name)).unwrap();
    is_calm(&text(
        program("smile-label", folder.path()).args([name, &format!("{name}.png")]).output().unwrap(),
    ));
    is_calm(&text(program("smile-label", folder.path()).args([".", "out"]).output().unwrap()));
    is_calm(&failure(
        program("smile-log", folder.path()).args([name, &format!("{name}=1")]).output().unwrap(),
    ));
    is_calm(&failure(program("smile-label", folder.path()).arg(format!("--{name}")).output().unwrap()));
    std::fs::write(
        folder.path().join("log"),
        format!("{{\"time\":1,\"event\":\"{name}\",\"identity\":1}}")
            .replace('\u{1b}', "\\u001b")
            .replace('\u{7}', ""),
    )
    .unwrap();
    is_calm(&failure(program("smile-log", folder.path()).args(["--timeline", "log"]).output().unwrap()));
}

#[test]
fn a_shutter_takes_a_name_with_one_number() {
    let folder = tempfile::tempdir().unwrap();
    let still = format!(
        "filesrc location={}/{ASTRONAUT} ! jpegdec ! videoconvert ! imagefreeze num-buffers=75 \
         ! video/x-raw,framerate=30/1",
        env!("CARGO_MANIFEST_DIR")
    );
    let shoot = |name: &str| {
        program("smile-shutter", folder.path()).args([name, &still, "fakesink sync=true"]).output().unwrap()
    };
    for wrong in
        ["%n%n.jpg", "one.jpg", "%d-%d.jpg", "%s.jpg", "%ld.jpg", "%9999999d.jpg", "%.3d.jpg", "%", "%%d.jpg"]
    {
        let told = failure(shoot(wrong));
        assert!(told.contains(&format!("\"{wrong}\" has to have one number")), "{told}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
    // A picture of another day keeps its name.
    std::fs::write(folder.path().join("100% 000.jpg"), "of yesterday").unwrap();
    text(shoot("100%% %03d.jpg"));
    assert_eq!(names(folder.path()), ["100% 000.jpg", "100% 001.jpg"]);
    assert_eq!(std::fs::read(folder.path().join("100% 000.jpg")).unwrap(), b"of yesterday");
    assert_eq!(image::open(folder.path().join("100% 001.jpg")).unwrap().width(), 256);
}

#[test]
fn errors_end_in_one_line_and_nothing_runs_on() {
    common::init();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("words.txt"), "These are words. ".repeat(99)).unwrap();
    let line = gstsmile::smilefilter::Results::default().to_json();
    std::fs::write(folder.path().join("log"), format!("{line}\nwords")).unwrap();
    for (name, arguments, words) in [
        ("smile-log", &["words.txt"][..], "words.txt: "),
        ("smile-log", &["nope.mkv"], "nope.mkv: "),
        ("smile-log", &["."], ". is a folder"),
        ("smile-log", &["--timeline", "log"], "log, line 2: "),
        ("smile-log", &["--timeline", "nope"], "nope: "),
        ("smile-log", &["words.txt", "inference-interval=x"], "inference-interval can't be \"x\""),
        ("smile-label", &["words.txt", "out.mkv", "num-faces=3"], "no property \"num-faces\""),
        ("smile-wall", &["--sink", "fakesink", "words.txt"], "words.txt: "),
        ("smile-shutter", &["%d.jpg", "filesrc location=words.txt", "fakesink"], "text"),
        ("smile-shutter", &["%d.jpg", "nosuchsrc", "fakesink"], "nosuchsrc"),
        ("embed", &["words.txt"], "text"),
    ] {
        let told = failure(program(name, folder.path()).args(arguments).output().unwrap());
        assert!(told.lines().count() == 1 && told.contains(words), "{name} {arguments:?}: {told}");
    }
    // Where the sinks are missing, their errors say what to install.
    film(folder.path());
    for (target, sink) in [("rtsp://localhost:1/x", "rtspclientsink"), ("http://localhost:1/x", "whipsink")] {
        let told =
            failure(program("smile-label", folder.path()).args(["film.mkv", target]).output().unwrap());
        assert!(
            gst::ElementFactory::find(sink).is_some()
                || told.contains(&format!("{sink} is missing; install")),
            "{told}"
        );
    }
    let told = failure(
        program("smile-label", folder.path()).args(["film.mkv", "ftp://localhost/x"]).output().unwrap(),
    );
    assert!(told.contains("rtsp:// or http:// only"), "{told}");
    for name in ["smile-label", "smile-log", "smile-shutter", "smile-wall"] {
        let help = text(program(name, folder.path()).arg("--help").output().unwrap());
        assert!(help.contains(name), "{help}");
        let wrong = program(name, folder.path()).args(["--wrong", "%d", "x", "y", "z"]).output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{name}");
    }
}
