//! A camera over HTTP that behaves as badly as it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it does with everyone who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Sends ten pictures a second.
    Well,
    /// Sends a face for a second, and nobody for the next.
    Flicker,
    /// Sends nothing, and keeps the connection.
    Silent,
    /// Sends bytes that are no picture.
    Rubbish,
    /// Closes the connection.
    Gone,
}

pub struct Stub {
    pub address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
}

impl Stub {
    pub fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Arc::new(Mutex::new(mood));
        let moods = mood.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let moods = moods.clone();
                std::thread::spawn(move || serve(stream, &moods));
            }
        });
        Self { address, mood }
    }

    pub fn source(&self) -> String {
        format!("http://user:geheim@{}/video.mjpg", self.address)
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

/// Ends when the other side has gone.
fn serve(mut stream: TcpStream, mood: &Mutex<Mood>) -> Option<()> {
    let picture = std::fs::read(super::serve::data("astronaut.jpg")).ok()?;
    let _ = stream.read(&mut [0; 4096]).ok()?;
    let head = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n";
    if *mood.lock().unwrap() != Mood::Gone {
        stream.write_all(head.as_bytes()).ok()?;
    }
    let dark = dark();
    for number in 0.. {
        let mood = *mood.lock().unwrap();
        match mood {
            Mood::Well | Mood::Flicker => {
                let is_dark = mood == Mood::Flicker && number / 10 % 2 == 1;
                let picture = if is_dark { &dark } else { &picture };
                let head =
                    format!("--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
                stream.write_all(&[head.as_bytes(), picture, b"\r\n"].concat()).ok()?;
            }
            Mood::Silent => {}
            Mood::Rubbish => stream.write_all(&[0x5a; 5000]).ok()?,
            Mood::Gone => return None,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

/// A picture of nobody.
fn dark() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(256, 256).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}
