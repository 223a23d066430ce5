//! Where events go beside history: each sink reads the spool and acknowledges what has arrived.

mod files;
#[cfg(feature = "kafka")]
mod kafka;
mod mqtt;
mod tls;
mod topics;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tracing::error;

use crate::Error;
use crate::config::{Config, Secrets};
use crate::fleet::Fleet;
use crate::hub::Hub;
use crate::store::Store;

const FILES: &str = "files";
const MQTT: &str = "mqtt";
const KAFKA: &str = "kafka";

/// Events that are read at once.
const BATCH: usize = 200;
/// How long a sink may take to get rid of what is left when the process ends.
pub const GOODBYE: Duration = Duration::from_millis(1500);

/// The names of what is configured.
pub fn names(config: &Config) -> Vec<&'static str> {
    let files = config.files.as_ref().map(|_| FILES);
    let mqtt = config.mqtt.as_ref().map(|_| MQTT);
    let kafka = config.kafka.as_ref().map(|_| KAFKA);
    files.into_iter().chain(mqtt).chain(kafka).collect()
}

/// What a sink works with.
#[derive(Clone)]
pub struct Context {
    pub store: Arc<Store>,
    pub hub: Arc<Hub>,
    pub fleet: Arc<Fleet>,
    /// The name of this process among others.
    pub name: String,
    /// Becomes true when it is to end.
    pub stop: watch::Receiver<bool>,
}

/// Starts what is configured, each on a thread of its own.
pub fn start(config: &Config, context: &Context) -> Result<Vec<JoinHandle<()>>, Error> {
    let mut threads = Vec::new();
    if let Some(files) = &config.files {
        let mut writer = files::Writer::open(files)?;
        let context = context.clone();
        threads.push(thread(FILES, async move { writer.run(context).await })?);
    }
    if let Some(mqtt) = &config.mqtt {
        let sink = mqtt::Sink::new(mqtt, context.clone())?;
        threads.push(thread(MQTT, sink.run())?);
    }
    #[cfg(feature = "kafka")]
    if let Some(kafka) = &config.kafka {
        let sink = kafka::Sink::new(kafka, context.clone())?;
        threads.push(thread(KAFKA, sink.run())?);
    }
    Ok(threads)
}

/// Disks and brokers that are slow hold up only their own thread.
fn thread(
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(std::thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(work))?)
}

/// The password of a section, without the end of its line.
fn password(secrets: Secrets<'_>) -> Result<String, Error> {
    let Some(file) = secrets.password_file else { return Ok(String::new()) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{}: {error}; password-file names it", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

/// How long a broker that can't be reached is left alone.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(500))
    }
}

impl Pause {
    /// Twice as long each time, with some chance in it, so that processes don't come back together.
    fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.5 + 0.5 * gst::glib::random_double());
        self.0 = (2 * self.0).min(Duration::from_secs(30));
        pause
    }
}

/// Says an error once, until it is another one.
#[derive(Default)]
struct Complaint(String);

impl Complaint {
    fn say(&mut self, text: String) {
        if self.0 != text {
            error!("{text}");
            self.0 = text;
        }
    }

    fn forget(&mut self) {
        self.0.clear();
    }
}
