//! The same with a broker as people run it. Left out where mosquitto isn't installed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;

use super::serve::{PATIENCE, Serve, data, metric, signal, wait};
use super::stub::{Mood, Stub};

/// The broker, which ends with its test.
struct Mosquitto(Child);

impl Mosquitto {
    /// Starts one that keeps what it has in a folder. `None` where there is no mosquitto.
    fn start(folder: &Path, port: u16, more: &str) -> Option<Self> {
        let file = folder.join("mosquitto.conf");
        // Root would become somebody who can't read the folder.
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {}/\nmax_queued_messages 0\n{more}",
            folder.display()
        );
        std::fs::write(&file, text).unwrap();
        // Debian has it where only root looks.
        let child = ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find_map(|name| {
            let mut command = Command::new(name);
            command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        });
        if child.is_none() {
            println!("mosquitto isn't installed, so that no real broker is tried (Debian: mosquitto)");
        }
        child.map(Self)
    }

    /// Has it keep what it knows, as a restart of its service does.
    fn stop(mut self) {
        signal(self.0.id(), "TERM");
        self.0.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn configure(folder: &Path, source: &str, mqtt: &str) -> String {
    let file = folder.join("cameras.toml");
    let text = format!(
        "name = \"house\"\n[[camera]]\nname = \"door\"\nsource = \"{source}\"\n[mqtt]\nhost = \"127.0.0.1\"\n{mqtt}"
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().into()
}

fn no_event_waits(serve: &Serve) {
    wait("no event waits", || {
        let camera = serve.camera("door");
        (camera["events"] == 2 && metric(serve, "spool_waiting", "mqtt") == 0.0).then_some(())
    });
}

#[test]
fn it_tells_who_comes_later_how_things_are() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let Some(_mosquitto) = Mosquitto::start(folder.path(), port, "") else { return };
    let file = configure(folder.path(), &data("astronaut.jpg"), &format!("port = {port}\n"));
    let serve = Serve::start(folder.path(), &[&file]);
    no_event_waits(&serve);
    let state = retained(port, "smilefilter/house/door/state");
    assert!(state.contains("\"smiling\":1"), "{state}");
    assert_eq!(retained(port, "smilefilter/house/status"), "online");
    serve.kill();
    wait("the last will", || (retained(port, "smilefilter/house/status") == "offline").then_some(()));
}

/// What the broker keeps under a topic.
fn retained(port: u16, topic: &str) -> String {
    let options = MqttOptions::new(format!("test-{topic}"), "127.0.0.1", port);
    let (client, mut connection) = Client::new(options, 10);
    client.subscribe(topic, QoS::AtLeastOnce).unwrap();
    while let Ok(Ok(event)) = connection.recv_timeout(PATIENCE) {
        if let Event::Incoming(Packet::Publish(message)) = event {
            return String::from_utf8(message.payload.to_vec()).unwrap();
        }
    }
    panic!("nothing is kept under {topic}");
}

/// SMILE_OUTAGE is how many seconds it is away at least.
#[test]
fn every_number_arrives_though_it_was_stopped_for_a_while() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let Some(mosquitto) = Mosquitto::start(folder.path(), port, "") else { return };
    let stub = Stub::start(Mood::Flicker);
    let file = configure(folder.path(), &stub.source(), &format!("port = {port}\n"));
    let heard = listen(port);
    let count = || heard.lock().unwrap().values().map(BTreeSet::len).sum::<usize>();
    let serve = Serve::start(folder.path(), &[&file]);
    wait("events", || (count() >= 4).then_some(()));
    mosquitto.stop();
    let before = count();
    let outage = std::env::var("SMILE_OUTAGE").map_or(0, |seconds| seconds.parse().unwrap());
    std::thread::sleep(Duration::from_secs(outage));
    wait("a full spool", || (metric(&serve, "spool_waiting", "mqtt") >= 8.0).then_some(()));
    let waiting = metric(&serve, "spool_waiting", "mqtt") as usize;
    let _mosquitto = Mosquitto::start(folder.path(), port, "").unwrap();
    wait("what was spooled", || (count() >= before + waiting).then_some(()));
    assert_eq!(metric(&serve, "spool_dropped_total", "mqtt"), 0.0);
    serve.terminate();
    let heard = heard.lock().unwrap();
    let numbers: Vec<u64> = heard["door"].iter().copied().collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    println!("{waiting} events waited, all of {} arrived", numbers.len());
}

/// The numbers of all cameras' events, for which the broker keeps what comes while this is away.
fn listen(port: u16) -> Arc<Mutex<BTreeMap<String, BTreeSet<u64>>>> {
    let mut options = MqttOptions::new("listener", "127.0.0.1", port);
    options.set_clean_session(false).set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut connection) = Client::new(options, 10);
    client.subscribe("smilefilter/house/+/event", QoS::AtLeastOnce).unwrap();
    let heard = Arc::new(Mutex::new(BTreeMap::<_, BTreeSet<_>>::new()));
    let (told, ready) = (heard.clone(), std::sync::mpsc::sync_channel(1));
    std::thread::spawn(move || {
        let _client = client;
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    let event: Value = serde_json::from_slice(&message.payload).unwrap();
                    let camera = event["source"].as_str().unwrap().to_string();
                    told.lock()
                        .unwrap()
                        .entry(camera)
                        .or_default()
                        .insert(event["sequence"].as_u64().unwrap());
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.0.try_send(())),
                Ok(_) => {}
                // It comes back.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    });
    ready.1.recv_timeout(PATIENCE).expect("a subscription");
    heard
}

#[test]
fn it_is_told_by_certificates_who_is_who() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let path = |name: &str| folder.path().join(name).display().to_string();
    if !certify(folder.path()) {
        return println!("openssl isn't installed, so that certificates aren't tried");
    }
    let more = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        path("ca.pem"),
        path("server.pem"),
        path("server.key")
    );
    let Some(_mosquitto) = Mosquitto::start(folder.path(), port, &more) else { return };
    let tls = format!("port = {port}\ntls = true\nca-file = \"{}\"\n", path("ca.pem"));
    let serve = Serve::start(folder.path(), &[&configure(folder.path(), &data("astronaut.jpg"), &tls)]);
    wait("a refusal", || {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        log.contains("events wait in the spool").then_some(())
    });
    assert!(metric(&serve, "spool_waiting", "mqtt") > 0.0 || serve.camera("door")["events"] != 2);
    serve.terminate();
    let certificate =
        format!("certificate-file = \"{}\"\nkey-file = \"{}\"\n", path("client.pem"), path("client.key"));
    let file = configure(folder.path(), &data("astronaut.jpg"), &(tls + &certificate));
    no_event_waits(&Serve::start(folder.path(), &[&file]));
}

/// Makes an authority, and a server's and a client's certificate. False where there is no openssl.
fn certify(folder: &Path) -> bool {
    let script = "
        key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $key -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
        for name in server client; do
            openssl req $key -subj /CN=$name -keyout $name.key -out $name.csr
            echo 'subjectAltName=IP:127.0.0.1' >$name.ext
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
        done";
    if Command::new("openssl").arg("version").output().is_err() {
        return false;
    }
    let made = Command::new("sh").args(["-euc", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    true
}
