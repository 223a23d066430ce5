//! Events reach files and brokers, whatever happens in between.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::serve::{Serve, metric, wait};
use super::stub::{Mood, Stub};

/// A message that was published, by its topic.
type Published = Arc<Mutex<Vec<(String, String)>>>;

/// A broker that does what is needed of MQTT 3.1.1, and can refuse to.
struct Broker {
    address: SocketAddr,
    published: Published,
    /// While it is away, nothing is acknowledged, and connections are closed with the first event.
    is_away: Arc<AtomicBool>,
}

impl Broker {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (published, is_away) = (Published::default(), Arc::new(AtomicBool::new(false)));
        let (messages, away) = (published.clone(), is_away.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (messages, away) = (messages.clone(), away.clone());
                std::thread::spawn(move || serve(stream, &messages, &away));
            }
        });
        Self { address, published, is_away }
    }

    /// The numbers of the events of each camera, as they arrived.
    fn sequences(&self) -> BTreeMap<String, Vec<u64>> {
        let mut sequences = BTreeMap::<String, Vec<u64>>::new();
        for (topic, text) in
            self.published.lock().unwrap().iter().filter(|(topic, _)| topic.ends_with("/event"))
        {
            let event: Value = serde_json::from_str(text).unwrap();
            assert_eq!(topic.split('/').nth(2), event["source"].as_str());
            let sequence = event["sequence"].as_u64().unwrap();
            sequences.entry(topic.clone()).or_default().push(sequence);
        }
        sequences
    }

    fn last(&self, topic: &str) -> Option<String> {
        let published = self.published.lock().unwrap();
        published.iter().rev().find(|(known, _)| known == topic).map(|(_, text)| text.clone())
    }
}

fn serve(mut stream: TcpStream, published: &Published, is_away: &AtomicBool) -> Option<()> {
    loop {
        let (kind, body) = packet(&mut stream)?;
        let is_away = is_away.load(Ordering::Relaxed);
        match kind >> 4 {
            // States have no end: it goes in the middle of an event.
            3 if is_away && !body.windows(6).any(|part| part == b"/event") => {}
            _ if is_away => return None,
            1 => stream.write_all(&[0x20, 2, 0, 0]).ok()?,
            3 => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
                let (id, text) = body[2 + length..].split_at(2);
                let text = String::from_utf8(text.to_vec()).unwrap();
                published.lock().unwrap().push((topic, text));
                stream.write_all(&[0x40, 2, id[0], id[1]]).ok()?;
            }
            12 => stream.write_all(&[0xd0, 0]).ok()?,
            _ => return None,
        }
    }
}

/// The first byte and the rest of a packet.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let kind = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((kind, body))
}

fn configure(folder: &Path, stub: &Stub, rest: &str) -> String {
    let file = folder.join("cameras.toml");
    let camera = |name: &str| format!("[[camera]]\nname = \"{name}\"\nsource = \"{}\"\n", stub.source());
    let text = format!("name = \"house\"\n{}{}{rest}", camera("door"), camera("hall"));
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().into()
}

/// The numbers of the events that history has of a camera, as anybody may see them.
fn numbers(serve: &Serve, camera: &str) -> Vec<u64> {
    let history = serve.get(&format!("/api/history?camera={camera}")).json();
    let events = history["events"].as_array().unwrap().iter();
    events.map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[test]
fn no_event_is_lost_while_the_broker_is_away_or_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (stub, broker) = (Stub::start(Mood::Flicker), Broker::start());
    let mqtt =
        format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nhome-assistant = true\n", broker.address.port());
    let events = format!("{mqtt}[files]\nfolder = \"{}\"\n", folder.path().join("events").display());
    let file = configure(folder.path(), &stub, &events);
    let count = || broker.sequences().values().map(Vec::len).sum::<usize>();
    let serve = Serve::start(folder.path(), &[&file]);
    wait("events", || (count() >= 6).then_some(()));
    assert_eq!(broker.last("smilefilter/house/status").as_deref(), Some("online"));
    let state = broker.last("smilefilter/house/door/state").unwrap();
    assert!(state.contains("\"state\":\"live\""), "{state}");
    assert!(broker.last("homeassistant/sensor/smilefilter-house-door/faces/config").is_some());
    broker.is_away.store(true, Ordering::Relaxed);
    wait("a full spool", || (metric(&serve, "spool_waiting", "mqtt") >= 8.0).then_some(()));
    let before = count();
    // In the middle of writing, with the broker away, and again and again.
    let mut serve = serve;
    for _ in 0..4 {
        let written = numbers(&serve, "door");
        serve.kill();
        serve = Serve::start(folder.path(), &[&file]);
        assert!(numbers(&serve, "door").starts_with(&written), "history has lost what it had: {written:?}");
        wait("an event more", || (numbers(&serve, "door").len() > written.len()).then_some(()));
    }
    broker.is_away.store(false, Ordering::Relaxed);
    wait("what was spooled", || (count() >= before + 8).then_some(()));
    wait("an empty spool", || (metric(&serve, "spool_waiting", "mqtt") <= 2.0).then_some(()));
    assert_eq!(metric(&serve, "spool_dropped_total", "mqtt"), 0.0);
    assert!(serve.terminate().as_secs_f64() < 5.5);
    assert_eq!(broker.last("smilefilter/house/status").as_deref(), Some("offline"));
    let serve = Serve::start(folder.path(), &[]);
    let history = BTreeMap::from(["door", "hall"].map(|camera| (camera, numbers(&serve, camera))));
    let lines = std::fs::read_to_string(folder.path().join("events/events.jsonl")).unwrap();
    for (topic, mut numbers) in broker.sequences() {
        numbers.sort_unstable();
        numbers.dedup();
        let whole: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, whole, "{topic} has gaps");
        let camera = topic.split('/').nth(2).unwrap();
        assert_eq!(history[camera], whole, "history of {camera} has gaps");
        let of_file = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut of_file: Vec<u64> = of_file
            .filter(|event| event["source"] == camera)
            .map(|event| event["sequence"].as_u64().unwrap())
            .collect();
        // What was written and not acknowledged when it was killed is there again.
        of_file.sort_unstable();
        of_file.dedup();
        assert_eq!(of_file, whole, "the file of {camera} has gaps");
    }
}

#[test]
fn a_full_spool_counts_what_it_drops() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(Mood::Flicker);
    let rest = "[spool]\nmost-events = 5\n[mqtt]\nhost = \"127.0.0.1\"\nport = 9\n";
    let serve = Serve::start(folder.path(), &[&configure(folder.path(), &stub, rest)]);
    wait("drops", || (metric(&serve, "spool_dropped_total", "mqtt") >= 3.0).then_some(()));
    assert_eq!(metric(&serve, "spool_waiting", "mqtt"), 5.0);
}
