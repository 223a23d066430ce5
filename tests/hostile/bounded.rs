//! Runs of the program within bounds.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

/// Address space, in KiB: more than twice what the program takes for small pictures on two threads. What it takes
/// for itself doesn't grow with the machine, as it is told how many threads to use.
const MEMORY: u64 = 1 << 20;
/// Long enough for a busy machine; what hangs takes longer.
const TIME: Duration = Duration::from_secs(120);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub log: String,
}

impl Outcome {
    /// Asserts the exit code, and that the log has these words.
    #[track_caller]
    pub fn ends(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.log.contains(word), "{word}: {self:?}");
        }
        self
    }
}

/// The program in `folder`, with bounds on memory and on the processor's time.
pub fn command<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new("sh");
    let bounds = format!("ulimit -v {MEMORY} && ulimit -t {} && exec \"$@\"", TIME.as_secs());
    command.args(["-c", &bounds, "sh", env!("CARGO_BIN_EXE_smile-train")]);
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::null()).env("RAYON_NUM_THREADS", "2");
    command
}

/// The same, split at blanks, to its end.
pub fn run(folder: &Path, arguments: &str) -> Outcome {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    finish(&mut command(folder, &words))
}

/// Runs a command to its end, which has to come in time.
pub fn finish(command: &mut Command) -> Outcome {
    let texts = tempdir().unwrap();
    let [out, log] = ["out", "log"].map(|name| File::create(texts.path().join(name)).unwrap());
    let child = command.stdout(out).stderr(log).spawn().unwrap();
    collect(child, &texts)
}

/// Waits for a child whose output goes into `texts`.
fn collect(mut child: Child, texts: &TempDir) -> Outcome {
    let code = wait(&mut child);
    let text = |name| String::from_utf8_lossy(&std::fs::read(texts.path().join(name)).unwrap()).into_owned();
    Outcome { code, out: text("out"), log: text("log") }
}

/// Waits for the end, which has to come in time.
pub fn wait(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > TIME {
            let _ = child.kill();
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `there` says so.
pub fn until(child: &mut Child, there: impl Fn() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        assert!(start.elapsed() < TIME, "it never comes");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Has a command run as somebody who isn't root, to whom nothing is forbidden; `false` where that can't be.
pub fn as_nobody(command: &mut Command) -> bool {
    const NOBODY: u32 = 65534;
    if !is_root() {
        return true;
    }
    command.uid(NOBODY).gid(NOBODY);
    let mut probe = Command::new(env!("CARGO_BIN_EXE_smile-train"));
    let can_run =
        probe.arg("--version").uid(NOBODY).gid(NOBODY).output().is_ok_and(|run| run.status.success());
    if !can_run {
        eprintln!("Nothing is tested: the program can't be run by nobody here");
    }
    can_run
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Runs a program that makes what Rust's library can't.
pub fn make(program: &str, arguments: &[&str], folder: &Path) {
    assert!(
        Command::new(program).args(arguments).current_dir(folder).status().unwrap().success(),
        "{program}"
    );
}
