//! Events to a topic of Kafka, with the camera's name as their key.
//!
//! An event leaves the spool when all of its batch was acknowledged. What was not is sent again: each event arrives once
//! or more, and those of a camera in their order, apart from repetitions.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{ClientBuilder, Credentials, SaslConfig};
use rskafka::record::Record;
use rustls::ClientConfig;
use siphasher::sip::SipHasher13;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::{BATCH, Complaint, Context, GOODBYE, KAFKA, Pause, password, tls};
use crate::config::Mechanism;
use crate::store::spool::Entry;
use crate::{Error, config, now, stopped};

/// Bytes that are sent at once: brokers take a megabyte, if nobody has changed that.
const MOST_BYTES: usize = 500_000;
/// How long the client tries by itself, before it is said that it doesn't work.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Sink {
    config: config::Kafka,
    tls: Option<Arc<ClientConfig>>,
    login: Option<SaslConfig>,
    context: Context,
    /// Of the topic, while there is a connection.
    partitions: Vec<PartitionClient>,
}

impl Sink {
    pub fn new(config: &config::Kafka, context: Context) -> Result<Self, Error> {
        let tls = config.tls.then(|| tls::client(config.secrets())).transpose()?;
        let login = config.user.as_ref().map(|user| {
            let credentials = Credentials::new(user.clone(), password(config.secrets())?);
            Ok::<_, Error>(match config.mechanism {
                Mechanism::Plain => SaslConfig::Plain(credentials),
                Mechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
                Mechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
            })
        });
        Ok(Self { config: config.clone(), tls, login: login.transpose()?, context, partitions: Vec::new() })
    }

    /// Sends what is spooled until it is to stop.
    pub async fn run(mut self) {
        let mut complaint = Complaint::default();
        let mut pause = Pause::default();
        let mut spooled = self.context.store.spooled();
        let mut stop = self.context.stop.clone();
        loop {
            let sent = tokio::select! {
                sent = self.send_all() => sent,
                () = stopped(&mut stop) => {
                    let _ = timeout(GOODBYE, self.send_all()).await;
                    return;
                }
            };
            let Err(error) = sent else {
                complaint.forget();
                pause = Pause::default();
                tokio::select! {
                    _ = spooled.changed() => {}
                    () = stopped(&mut stop) => {}
                }
                continue;
            };
            self.partitions.clear();
            let brokers = self.config.brokers.join(", ");
            complaint.say(format!("Kafka ({brokers}): {error}; events wait in the spool"));
            tokio::select! {
                () = stopped(&mut stop) => {}
                () = sleep(pause.next()) => {}
            }
        }
    }

    async fn send_all(&mut self) -> Result<(), Error> {
        if self.partitions.is_empty() {
            self.partitions = self.connect().await?;
            info!("Kafka takes events");
        }
        loop {
            let mut batch = self.context.store.spool_batch(KAFKA, BATCH)?;
            shorten(&mut batch);
            let Some(last) = batch.last().map(|entry| entry.id) else { return Ok(()) };
            let mut parts = BTreeMap::<usize, Vec<Record>>::new();
            for entry in batch {
                let part = partition(&entry.camera, self.partitions.len());
                parts.entry(part).or_default().push(record(entry));
            }
            for (part, records) in parts {
                self.partitions[part].produce(records, Compression::NoCompression).await?;
            }
            self.context.store.acknowledge(KAFKA, last)?;
        }
    }

    async fn connect(&self) -> Result<Vec<PartitionClient>, Error> {
        let mut builder = ClientBuilder::new(self.config.brokers.clone())
            .client_id(format!("smile-serve-{}", self.context.name))
            .backoff_config(BackoffConfig { deadline: Some(PATIENCE), ..BackoffConfig::default() });
        if let Some(tls) = &self.tls {
            builder = builder.tls_config(tls.clone());
        }
        if let Some(login) = &self.login {
            builder = builder.sasl_config(login.clone());
        }
        let client = builder.build().await?;
        let name = &self.config.topic;
        let topic = client.list_topics().await?.into_iter().find(|topic| topic.name == *name);
        let topic =
            topic.ok_or_else(|| format!("there is no topic \"{name}\"; make it there, or name another"))?;
        let mut partitions = Vec::new();
        for number in topic.partitions {
            partitions.push(client.partition_client(name, number, UnknownTopicHandling::Error).await?);
        }
        if partitions.is_empty() {
            return Err(format!("the topic \"{name}\" has no partitions").into());
        }
        Ok(partitions)
    }
}

/// Leaves what fits into one message. One event always does: it has some fifty kilobytes at most.
fn shorten(batch: &mut Vec<Entry>) {
    let mut bytes = 0;
    let fits = batch.iter().take_while(|entry| {
        bytes += entry.json.len() + entry.camera.len() + 100;
        bytes <= MOST_BYTES
    });
    let count = fits.count().max(1);
    batch.truncate(count);
}

/// All of a camera's events go to one partition, where they keep their order.
fn partition(camera: &str, count: usize) -> usize {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(camera.as_bytes());
    (hasher.finish() % count as u64) as usize
}

fn record(entry: Entry) -> Record {
    Record {
        key: Some(entry.camera.into_bytes()),
        value: Some(entry.json.into_bytes()),
        headers: BTreeMap::new(),
        timestamp: DateTime::<Utc>::from_timestamp_millis(now() as i64).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_a_bound_and_at_least_one_event() {
        let entry = |bytes: usize| Entry { id: 1, camera: "door".into(), json: "x".repeat(bytes) };
        for (sizes, expected) in
            [(vec![700; 200], 200), (vec![50_000; 200], 9), (vec![2 * MOST_BYTES, 1], 1), (vec![], 0)]
        {
            let mut batch: Vec<_> = sizes.into_iter().map(entry).collect();
            shorten(&mut batch);
            assert_eq!(batch.len(), expected);
        }
    }
}
