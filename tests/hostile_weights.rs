//! Weights files that are no such files, never arrive or ask for too much: nothing hangs, no memory is taken
//! for them, frames pass, and one message says what to do. Whatever can hang runs under a watchdog.
#![cfg(unix)]

mod common;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use common::Bench;
use gst::prelude::*;
use gst_video::VideoFormat::I420;
use gstsmile::model::{FaceWeights, SmileWeights};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Does `work` on a thread of its own, which is left behind where it hangs.
#[track_caller]
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = channel();
    std::thread::spawn(move || done.send(work()));
    match result.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => panic!("it panicked"),
    }
}

/// A folder with one of each kind of file that is no plain one, each with the word for it.
fn odd_files() -> (tempfile::TempDir, Vec<(PathBuf, &'static str)>) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", at("link")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    std::fs::create_dir(at("folder")).unwrap();
    let files = vec![
        (at("pipe"), "named pipe"),
        (at("link"), "device"),
        (at("socket"), "socket"),
        (at("folder"), "folder"),
        ("/dev/zero".into(), "device"),
    ];
    (folder, files)
}

fn element(property: &str, file: &Path) -> (gst::Element, gst::Bus) {
    common::init();
    let element = gst::ElementFactory::make("smilefilter").property("device", "cpu").build().unwrap();
    element.set_property(property, file.to_str().unwrap());
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    (element, bus)
}

/// The one error of a start with this file.
fn start_error(property: &str, file: &Path) -> String {
    let (element, bus) = element(property, file);
    within(move || {
        assert!(element.set_state(gst::State::Paused).is_err());
        let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error message");
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none(), "more than one");
        element.set_state(gst::State::Null).unwrap();
        element.set_bus(None);
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        error.error().message().to_string()
    })
}

fn start_and_stop_another() {
    let (element, _bus) = element("model-file", Path::new(""));
    element.set_state(gst::State::Paused).expect("it has the built-in weights");
    element.set_state(gst::State::Null).unwrap();
    element.set_bus(None);
}

#[track_caller]
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

/// What reading this weights file as a program of its own gives: the error, and the most memory that it had
/// in kilobytes. It may have `most` kilobytes of addresses.
fn read_elsewhere(file: &Path, most: u64) -> (String, u64) {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v $1 && exec \"$0\" --exact reads_for_another --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(most.to_string())
        .env("SMILE_HOSTILE_FILE", file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("reading {file:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let line = |start: &str| {
        text.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_else(|| panic!("{text}"))
    };
    (line("error: ").into(), line("peak: ").parse().unwrap())
}

/// Other tests run it as a program of its own; by itself it has no file to read.
#[test]
fn reads_for_another() {
    let Some(file) = std::env::var_os("SMILE_HOSTILE_FILE") else { return };
    let error = SmileWeights::read(Path::new(&file)).err().map(|error| error.to_string());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    println!("error: {}", error.unwrap_or_else(|| "none".into()));
    println!("peak: {}", peak.trim_end_matches("kB").trim());
}

#[test]
fn a_pipe_instead_of_weights_holds_up_nobody() {
    let (_folder, files) = odd_files();
    let (pipe, _) = files[0].clone();
    within(move || {
        let info = common::info(I420, 64, 64);
        let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
        bench.run(common::flat(&info, [255.0; 3]));
        let before = bench.element.property::<String>("model-file");
        bench.element.set_property("model-file", pipe.to_str().unwrap());
        // Time for the loader to open it.
        std::thread::sleep(Duration::from_millis(300));
        start_and_stop_another();
        bench.run(common::flat(&info, [255.0; 3]));
        let warning =
            bench.bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Warning]);
        let warning = warning.expect("a warning");
        let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
        assert_says(warning.error().message(), &[pipe.to_str().unwrap(), "named pipe", "stay"]);
        assert_eq!(bench.element.property::<String>("model-file"), before);
        bench.element.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn only_plain_files_are_read() {
    let (_folder, files) = odd_files();
    for (file, kind) in files {
        let name = file.to_str().unwrap();
        // Without the bound on memory, endless files would take the machine's.
        assert_says(&read_elsewhere(&file, 1 << 20).0, &[name, kind, "plain file"]);
        for property in ["model-file", "face-model-file"] {
            assert_says(&start_error(property, &file), &[name, kind, "leave them empty"]);
        }
    }
}

#[test]
fn what_is_too_large_for_weights_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let name = file.path().to_str().unwrap();
    // Nothing of these lies on the disk. The first is larger than any weights may be, the second is not.
    for (size, words) in [(2 << 30, ["2147483648 bytes", name]), (200 << 20, ["safetensors", name])] {
        file.as_file().set_len(size).unwrap();
        let (error, peak) = read_elsewhere(file.path(), 1 << 20);
        assert_says(&error, &words);
        assert!(peak < 100_000, "{size} bytes took {peak} kB");
    }
}

#[test]
fn weights_of_the_other_kind_are_said_to_be_such() {
    let smile = common::file(&SmileWeights::embedded().unwrap());
    let face = common::file_of(&FaceWeights::embedded().unwrap().to_bytes().unwrap());
    for (property, file, is, wanted) in [
        ("face-model-file", &smile, "for smiles", "for finding faces"),
        ("model-file", &face, "for finding faces", "for smiles"),
    ] {
        let error = start_error(property, file);
        assert_says(&error, &[file.to_str().unwrap(), is, wanted, "model-file is", "face-model-file is"]);
        assert!(!error.contains("not a weights file"), "{error}");
    }
}

/// A file that the kernel lets nobody open for a while: we have a lease on it and don't give it back. To whoever
/// opens it, it is a disk that doesn't answer.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_does_not_answer_holds_up_nobody_for_long() {
    use std::os::fd::AsRawFd;
    // Of Linux' fcntl.h, on every architecture.
    const F_SETSIG: i32 = 10;
    let weights = common::file(&common::always_smiling());
    let held = std::fs::File::options().write(true).open(&weights).unwrap();
    let lease = || {
        // SAFETY: these set flags of an open file, and take no pointers.
        unsafe {
            // Else the signal that asks for the lease ends this program.
            libc::fcntl(held.as_raw_fd(), F_SETSIG, libc::SIGURG) == 0
                && libc::fcntl(held.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0
        }
    };
    // A program that another test is just starting has the file for a moment, too.
    let leased = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        lease()
    });
    if !leased {
        return println!("skipped: this file system has no leases");
    }
    let path = weights.to_path_buf();
    within(move || {
        let info = common::info(I420, 64, 64);
        let mut bench = Bench::new(&common::always_smiling(), &[]).caps(&info);
        bench.element.set_property("model-file", path.to_str().unwrap());
        let starts = std::thread::spawn({
            let path = path.clone();
            move || start_error("model-file", &path)
        });
        std::thread::sleep(Duration::from_millis(300));
        start_and_stop_another();
        bench.run(common::flat(&info, [255.0; 3]));
        bench.element.set_state(gst::State::Null).unwrap();
        assert_says(&starts.join().unwrap(), &[path.to_str().unwrap(), "seconds"]);
    });
    drop(held);
}
