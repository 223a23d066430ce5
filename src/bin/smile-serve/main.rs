//! Keeps many cameras running, shows them in a browser, and brings their events to where they are used.
//!
//! ```text
//! camera (a thread and a pipeline each) ─▶ hub ─▶ store (history, spool) ─▶ web (browsers)
//!                                                                        └▶ sinks (files, MQTT)
//! ```

mod arguments;
mod camera;
mod config;
mod fleet;
mod hub;
mod shard;
mod sinks;
mod store;
mod web;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tokio::sync::watch;
use tracing::{info, warn};

use arguments::Arguments;
use config::Config;
use fleet::Fleet;
use hub::Hub;
use store::Store;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Records on their way to the disk: some seconds of many cameras.
const RECORDS: usize = 20_000;
/// How long the cameras and the disk may take when the process ends.
const CAMERAS_TIME: Duration = Duration::from_millis(1800);
const STORE_TIME: Duration = Duration::from_millis(1000);

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Waits until the process is to end.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Where nobody is left to say so, it ends as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,rumqttc=warn"));
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "smile-serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    gst::init()?;
    gstsmile::plugin_register_static()?;
    let config = configure(arguments)?;
    if arguments.check {
        let cameras = config.camera.len();
        let ours =
            config.camera.iter().filter(|camera| arguments.shard.is_none_or(|shard| shard.has(&camera.name)));
        writeln!(std::io::stdout(), "all is well: {cameras} cameras, {} of them here", ours.count())?;
        return Ok(());
    }
    let guard = guard(arguments)?;
    let folder = arguments.data.clone().map_or_else(default_folder, Ok)?;
    let store = Arc::new(Store::open(&folder, &config, &sinks::names(&config))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let address = SocketAddr::new(arguments.listen, arguments.port);
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(|error| {
        format!("{address} can't be listened on: {error}; --port names another port, 0 any that is free")
    })?;
    let page = format!("http://{}/", listener.local_addr()?);
    let (records, inbox) = sync_channel(RECORDS);
    let hub = Arc::new(Hub::new(records));
    let writer = store::start(store.clone(), hub.clone(), inbox)?;
    let fleet = Arc::new(Fleet::start(config.camera.clone(), arguments.shard, hub.clone(), store.clone())?);
    let name = config.name.clone().unwrap_or_else(|| default_name(arguments));
    let (stop_sinks, sinks_stop) = watch::channel(false);
    let context = sinks::Context {
        store: store.clone(),
        hub: hub.clone(),
        fleet: fleet.clone(),
        name: name.clone(),
        stop: sinks_stop,
    };
    let sinks = sinks::start(&config, &context)?;
    let (stop, stopped) = watch::channel(false);
    let app = Arc::new(web::App {
        fleet: fleet.clone(),
        hub: hub.clone(),
        store,
        name,
        instances: config.instance,
        allow: arguments.allow.iter().map(|scheme| scheme.trim().to_ascii_lowercase()).collect(),
        guard,
        viewers: web::App::viewers(),
        stop: stopped,
    });
    runtime.spawn(web::serve(listener, app));
    writeln!(std::io::stdout(), "{page}")?;
    info!("{} cameras; the page is at {page}", fleet.all().len());
    runtime.block_on(signal())?;
    info!("it ends: cameras stop, events are brought away");
    let _ = stop.send(true);
    fleet.stop(Instant::now() + CAMERAS_TIME);
    finish("history", STORE_TIME, move || {
        hub.end();
        let _ = writer.join();
    });
    let _ = stop_sinks.send(true);
    finish("events", sinks::GOODBYE + Duration::from_millis(300), move || {
        sinks.into_iter().for_each(|sink| drop(sink.join()));
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(())
}

/// Does something that may hang, for some time only.
fn finish(what: &str, time: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, wait) = sync_channel(1);
    std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    if wait.recv_timeout(time).is_err() {
        warn!("{what}: not everything could be brought away in time");
    }
}

/// SIGTERM or Ctrl-C.
async fn signal() -> Result<(), Error> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn configure(arguments: &Arguments) -> Result<Config, Error> {
    let is_config = |input: &String| {
        Path::new(input).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
    };
    let mut config = match &arguments.inputs[..] {
        [file] if is_config(file) => config::check::read(Path::new(file))?,
        inputs if inputs.iter().any(is_config) => {
            return Err("a configuration file comes alone; put the other sources into it".into());
        }
        inputs => {
            let mut config = Config::default();
            for input in inputs {
                let camera = config::Camera::of_source(input, arguments.repeat, &config.camera)?;
                config.camera.push(camera);
            }
            config
        }
    };
    if arguments.repeat {
        config.camera.iter_mut().for_each(|camera| camera.repeat = true);
    }
    Ok(config)
}

fn guard(arguments: &Arguments) -> Result<web::Guard, Error> {
    let token = arguments.token_file.as_deref().map(web::read_token).transpose()?;
    if !arguments.listen.is_loopback() && token.is_none() && arguments.proxy_header.is_none() {
        return Err(format!(
            "on {} others could see the cameras; --token-file names a file with a token, or --proxy-header a header \
             of the proxy that authenticates",
            arguments.listen
        )
        .into());
    }
    let proxy_header = arguments.proxy_header.as_ref().map(|name| name.to_ascii_lowercase());
    Ok(web::Guard { token, proxy_header, hosts: arguments.hosts.clone(), ..web::Guard::default() })
}

fn default_folder() -> Result<PathBuf, Error> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    Ok(state.ok_or("there is no HOME to keep the history in; --data names a folder")?.join("smile-serve"))
}

/// The name of this machine, with the shard.
fn default_name(arguments: &Arguments) -> String {
    let host = gst::glib::host_name();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let host: String = host.chars().map(safe).take(40).collect();
    let host = if host.is_empty() { "host".into() } else { host };
    arguments.shard.map_or(host.clone(), |shard| format!("{host}-{}", shard.to_string().replace('/', "of")))
}
