//! Where events go beside history: each sink reads the spool and acknowledges what has arrived.

mod files;
mod mqtt;
mod tls;
mod topics;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tracing::error;

use crate::Error;
use crate::config::Config;
use crate::fleet::Fleet;
use crate::hub::Hub;
use crate::store::Store;

const FILES: &str = "files";
const MQTT: &str = "mqtt";

/// Events that are read at once.
const BATCH: usize = 200;
/// How long a sink may take to get rid of what is left when the process ends.
pub const GOODBYE: Duration = Duration::from_millis(1500);

/// The names of what is configured.
pub fn names(config: &Config) -> Vec<&'static str> {
    let files = config.files.as_ref().map(|_| FILES);
    let mqtt = config.mqtt.as_ref().map(|_| MQTT);
    files.into_iter().chain(mqtt).collect()
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
