//! The program while it runs, and a client for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The program, which ends with its test.
pub struct Serve {
    child: Child,
    pub address: SocketAddr,
}

impl Serve {
    /// Starts it on a free port with its data in a folder, and waits for its address.
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smile-serve"));
        command.args(["--port", "0", "--data"]).arg(data).args(arguments).stdout(Stdio::piped());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("log")).unwrap();
        let mut child = command.stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("it said {line:?}")).parse().unwrap();
        Self { child, address }
    }

    /// Sends a request and reads the whole answer.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.send(method, path, headers, body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::new(&bytes)
    }

    /// Sends a request, whose answer may never end.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(method, path, &[("Content-Type", "application/json")], &body.to_string())
    }

    pub fn camera(&self, name: &str) -> Value {
        self.get(&format!("/api/cameras/{name}")).json()
    }

    /// Waits until a camera is as wanted.
    pub fn wait_for(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait(&format!("{name}: {what}"), || Some(self.camera(name)).filter(&is_so))
    }

    pub fn wait_for_state(&self, name: &str, state: &str) -> Value {
        self.wait_for(name, state, |camera| camera["state"] == state)
    }

    /// Sends SIGTERM, and gives the time that it took to end well.
    pub fn terminate(mut self) -> Duration {
        let start = Instant::now();
        signal(self.child.id(), "TERM");
        let status = wait("its end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
        start.elapsed()
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().unwrap();
    assert!(sent.success());
}

/// Tries until there is an answer.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn new(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

/// Runs it for what it says at once.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smile-serve")).args(arguments).output().unwrap()
}

/// The path of a fixture.
pub fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The counter of a metric for a camera or a sink.
pub fn metric(serve: &Serve, name: &str, label: &str) -> f64 {
    let text = serve.get("/metrics").text();
    let line =
        text.lines().find(|line| line.starts_with(&format!("smile_serve_{name}{{")) && line.contains(label));
    let line = line.unwrap_or_else(|| panic!("no {name} of {label} in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap()
}
