//! Events and states to an MQTT broker.
//!
//! An event leaves the spool when the broker has acknowledged it. When the connection breaks, all that was not
//! acknowledged is sent again: each event arrives once or more.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport,
};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::topics::Topics;
use super::{BATCH, Complaint, Context, GOODBYE, MQTT, Pause, password, tls};
use crate::hub::Notice;
use crate::{Error, config, stopped};

/// Messages that wait for the broker's acknowledgement.
const WINDOW: usize = 64;
/// Requests that fit into the client's queue: never full, since no more than the window is on its way.
const REQUESTS: usize = 2 * WINDOW;
/// The largest message: an event of a hundred faces has some fifty kilobytes.
const MOST_BYTES: usize = 1 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub struct Sink {
    options: MqttOptions,
    topics: Topics,
    has_discovery: bool,
    broker: String,
    context: Context,
}

impl Sink {
    pub fn new(config: &config::Mqtt, context: Context) -> Result<Self, Error> {
        let topics = Topics::new(&config.topic, &context.name);
        let client = format!("smile-serve-{}-{}", context.name, std::process::id());
        let mut options = MqttOptions::new(client, &config.host, config.port());
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true).set_inflight(WINDOW as u16);
        options.set_max_packet_size(MOST_BYTES, MOST_BYTES);
        options.set_last_will(LastWill::new(topics.status(), "offline", QoS::AtLeastOnce, true));
        if let Some(user) = &config.user {
            options.set_credentials(user, password(config.secrets())?);
        }
        if config.tls {
            let client = tls::client(config.secrets())?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(client)));
        }
        let broker = format!("{}:{}", config.host, config.port());
        Ok(Self { options, topics, has_discovery: config.home_assistant, broker, context })
    }

    /// Connects again and again until it is to stop.
    pub async fn run(self) {
        let mut complaint = Complaint::default();
        let mut pause = Pause::default();
        let mut stop = self.context.stop.clone();
        loop {
            let mut connection = Connection::new(&self);
            let error = connection.run().await;
            if connection.was_up {
                complaint.forget();
                pause = Pause::default();
            }
            let Some(error) = error else { return };
            complaint.say(format!("the MQTT broker {}: {error}; events wait in the spool", self.broker));
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = sleep(pause.next()) => {}
            }
        }
    }
}

/// One connection to the broker, from its start to its end.
struct Connection<'a> {
    sink: &'a Sink,
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, String>>,
    /// What was published and has no packet identifier yet: events of the spool by their number, and states.
    requested: VecDeque<Option<i64>>,
    /// What waits for its acknowledgement, by packet identifier.
    unacknowledged: HashMap<u16, Option<i64>>,
    in_flight: BTreeSet<i64>,
    /// Whether events were acknowledged that the store doesn't know of yet.
    is_news: bool,
    /// The last event that was published.
    last: i64,
    /// Cameras whose state is to be published.
    changed: BTreeSet<String>,
    /// Cameras that Home Assistant was told of.
    discovered: BTreeSet<String>,
    was_up: bool,
}

impl<'a> Connection<'a> {
    fn new(sink: &'a Sink) -> Self {
        let (client, event_loop) = AsyncClient::new(sink.options.clone(), REQUESTS);
        let (sender, events) = mpsc::channel(WINDOW);
        // On a task of its own, since a connection that is being made must not be given up for other news.
        tokio::spawn(forward(event_loop, sender));
        Self {
            sink,
            client,
            events,
            requested: VecDeque::new(),
            unacknowledged: HashMap::new(),
            in_flight: BTreeSet::new(),
            is_news: false,
            last: 0,
            changed: BTreeSet::new(),
            discovered: BTreeSet::new(),
            was_up: false,
        }
    }

    /// Runs until the connection breaks, which is told, or it is to stop.
    async fn run(&mut self) -> Option<String> {
        let mut notices = self.sink.context.hub.listen();
        let mut spooled = self.sink.context.store.spooled();
        let mut stop = self.sink.context.stop.clone();
        let mut news = Vec::new();
        loop {
            if self.was_up
                && let Err(error) = self.fill()
            {
                return Some(error.to_string());
            }
            tokio::select! {
                count = self.events.recv_many(&mut news, WINDOW) => {
                    let taken = news.drain(..).try_for_each(|event| self.take(&event?));
                    // Also of what came before the connection broke.
                    if let Err(error) = taken.and(self.acknowledge()) {
                        return Some(error.to_string());
                    }
                    if count == 0 {
                        return Some("the connection has ended".into());
                    }
                },
                notice = notices.recv() => match notice {
                    Ok(Notice::Changed(name)) => drop(self.changed.insert(name.to_string())),
                    Ok(Notice::Event(_)) => {}
                    Err(RecvError::Lagged(_)) => self.all_changed(),
                    Err(RecvError::Closed) => return None,
                },
                _ = spooled.changed() => {}
                () = stopped(&mut stop) => {
                    self.goodbye().await;
                    return None;
                }
            }
        }
    }

    fn all_changed(&mut self) {
        self.changed.extend(self.sink.context.fleet.all().iter().map(|camera| camera.camera.name.clone()));
    }

    fn take(&mut self, event: &Event) -> Result<(), Error> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                info!("the MQTT broker {} takes events", self.sink.broker);
                self.was_up = true;
                self.publish(self.sink.topics.status(), "online".into(), true, None)?;
                self.all_changed();
            }
            // The broker acknowledges by packet identifiers, which are given in the order of requests.
            Event::Outgoing(Outgoing::Publish(id)) if *id != 0 => {
                if let Some(what) = self.requested.pop_front() {
                    self.unacknowledged.insert(*id, what);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                if let Some(Some(number)) = self.unacknowledged.remove(&ack.pkid) {
                    self.in_flight.remove(&number);
                    self.is_news = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Tells the store, for many events at once: each time is a write to the disk.
    fn acknowledge(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_news) {
            let until = self.in_flight.first().map_or(self.last, |first| first - 1);
            self.sink.context.store.acknowledge(MQTT, until)?;
        }
        Ok(())
    }

    fn room(&self) -> usize {
        WINDOW.saturating_sub(self.requested.len() + self.unacknowledged.len())
    }

    /// Publishes states and events as far as the window has room.
    fn fill(&mut self) -> Result<(), Error> {
        while self.room() > 4
            && let Some(camera) = self.changed.pop_first()
        {
            self.state(&camera)?;
        }
        let room = self.room().min(BATCH);
        if room == 0 {
            return Ok(());
        }
        for entry in self.sink.context.store.spool_after(MQTT, self.last, room)? {
            let topic = self.sink.topics.event(&entry.camera);
            self.publish(topic, entry.json, false, Some(entry.id))?;
            self.in_flight.insert(entry.id);
            self.last = entry.id;
        }
        Ok(())
    }

    /// Publishes how a camera is, and what Home Assistant wants to know of it.
    fn state(&mut self, name: &str) -> Result<(), Error> {
        let camera = self.sink.context.fleet.get(name);
        let is_told = self.discovered.contains(name) == camera.is_some();
        if self.sink.has_discovery && !is_told {
            for (topic, text) in self.sink.topics.discovery(name, camera.as_deref()) {
                self.publish(topic, text, true, None)?;
            }
            match camera {
                Some(_) => drop(self.discovered.insert(name.into())),
                None => drop(self.discovered.remove(name)),
            }
        }
        // An empty text takes a retained one away.
        let text = camera.map_or(String::new(), |camera| {
            let status = camera.shared.status();
            json!({
                "state": status.state, "since": status.since, "reason": status.reason,
                "faces": status.faces, "smiling": status.smiling,
            })
            .to_string()
        });
        self.publish(self.sink.topics.state(name), text, true, None)
    }

    fn publish(
        &mut self,
        topic: String,
        text: String,
        retain: bool,
        number: Option<i64>,
    ) -> Result<(), Error> {
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, text)?;
        self.requested.push_back(number);
        Ok(())
    }

    /// Sends what is left, as far as there is time, and leaves with a word.
    async fn goodbye(&mut self) {
        let until = Instant::now() + GOODBYE;
        let mut is_leaving = false;
        while self.was_up {
            if !is_leaving && self.fill().is_err() {
                return;
            }
            if self.requested.is_empty() && self.unacknowledged.is_empty() {
                if is_leaving {
                    break;
                }
                is_leaving = true;
                let _ = self.publish(self.sink.topics.status(), "offline".into(), true, None);
            }
            match timeout(until.saturating_duration_since(Instant::now()), self.events.recv()).await {
                Ok(Some(Ok(event))) => drop(self.take(&event).and_then(|()| self.acknowledge())),
                _ => break,
            }
        }
        if self.client.try_disconnect().is_ok() {
            // Until the connection is closed.
            let _ =
                timeout(Duration::from_millis(200), async { while self.events.recv().await.is_some() {} })
                    .await;
        }
    }
}

/// Hands on what happens until the connection breaks or nobody listens.
async fn forward(mut event_loop: EventLoop, sender: mpsc::Sender<Result<Event, String>>) {
    loop {
        let event = event_loop.poll().await.map_err(|error| error.to_string());
        let is_over = event.is_err();
        if sender.send(event).await.is_err() || is_over {
            return;
        }
    }
}
