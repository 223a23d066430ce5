//! Events reach Kafka: the cluster that librdkafka has for tests, in a Python with `confluent-kafka`, which PYTHON may name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::serve::{Serve, metric, wait};
use super::stub::{Mood, Stub};

/// Says where the cluster is, and then a line for each message that is there.
const CLUSTER: &str = r#"
import confluent_kafka as kafka
producer = kafka.Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
topic = producer.list_topics("smilefilter", timeout=20).topics["smilefilter"]
broker = producer.list_topics(timeout=20).brokers[1]
address = f"{broker.host}:{broker.port}"
print(address, flush=True)
consumer = kafka.Consumer({"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"})
consumer.assign([kafka.TopicPartition("smilefilter", number, 0) for number in range(4)])
while True:
    message = consumer.poll(1)
    if message and not message.error():
        print(message.partition(), message.key().decode(), message.value().decode(), flush=True)
"#;

struct Cluster {
    child: Child,
    address: String,
}

impl Cluster {
    fn start() -> Option<(Self, BufReader<ChildStdout>)> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let mut command = Command::new(python);
        let mut child =
            command.args(["-c", CLUSTER]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        lines.read_line(&mut address).unwrap();
        let cluster = Self { child, address: address.trim().into() };
        (!cluster.address.is_empty()).then_some((cluster, lines))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers of events by partition and camera, as they arrived.
type Heard = Arc<Mutex<BTreeMap<(String, String), Vec<u64>>>>;

fn listen(lines: BufReader<ChildStdout>, heard: &Heard) {
    let heard = heard.clone();
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let [partition, key, value] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let event: Value = serde_json::from_str(value).unwrap();
            assert_eq!(event["source"], key);
            let place = (partition.to_string(), key.to_string());
            heard.lock().unwrap().entry(place).or_default().push(event["sequence"].as_u64().unwrap());
        }
    });
}

#[test]
fn every_number_arrives_though_the_cluster_went_away() {
    let Some((cluster, lines)) = Cluster::start() else {
        return println!(
            "Python has no confluent-kafka, so that no cluster of Kafka is tried (PyPI: confluent-kafka)"
        );
    };
    let heard = Heard::default();
    listen(lines, &heard);
    let count = || heard.lock().unwrap().values().map(Vec::len).sum::<usize>();
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(Mood::Flicker);
    let file = folder.path().join("cameras.toml");
    let start = |address: &str| {
        let camera = |name: &str| format!("[[camera]]\nname = \"{name}\"\nsource = \"{}\"\n", stub.source());
        let kafka = format!("[kafka]\nbrokers = [\"{address}\"]\n");
        std::fs::write(&file, camera("door") + &camera("hall") + &kafka).unwrap();
        Serve::start(folder.path(), &[file.to_str().unwrap()])
    };
    let serve = start(&cluster.address);
    wait("events", || (count() >= 4).then_some(()));
    wait("all that there is", || (metric(&serve, "spool_waiting", "kafka") == 0.0).then_some(()));
    drop(cluster);
    wait("a full spool", || (metric(&serve, "spool_waiting", "kafka") >= 8.0).then_some(()));
    serve.kill();
    // Another one, at another address.
    let (cluster, lines) = Cluster::start().unwrap();
    listen(lines, &heard);
    let before = count();
    let serve = start(&cluster.address);
    wait("what was spooled", || (count() >= before + 10).then_some(()));
    assert_eq!(metric(&serve, "spool_dropped_total", "kafka"), 0.0);
    serve.terminate();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2, "a camera has one partition: {heard:?}");
    for ((_, camera), numbers) in heard.iter() {
        let numbers: Vec<u64> = numbers.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{camera}");
    }
}
