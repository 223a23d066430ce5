//! The cameras of this process: those of the command line or file, and those that were added while it ran.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::camera::Handle;
use crate::config::Camera;
use crate::hub::Hub;
use crate::shard::Shard;
use crate::store::Store;

/// The most cameras of one process that the API adds.
const MOST: usize = 1000;

#[derive(Debug)]
pub struct Fleet {
    cameras: RwLock<BTreeMap<String, Arc<Handle>>>,
    /// One change at a time.
    changes: Mutex<()>,
    hub: Arc<Hub>,
    store: Arc<Store>,
    shard: Option<Shard>,
}

/// Why a camera can't be added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no camera \"{0}\"")]
    Unknown(String),
    #[error("the name {0} is taken; change that camera with PUT, or take another name")]
    Taken(String),
    #[error("the camera {0} comes from the command line or the configuration file; change it there")]
    Fixed(String),
    #[error("there are {MOST} cameras already; remove one, or add it to another process")]
    TooMany,
    #[error("the camera {0} belongs to another shard than this one ({1}); add it there")]
    Elsewhere(String, Shard),
    #[error("it can't be kept: {0}")]
    Failed(crate::Error),
}

impl Fleet {
    /// Starts the cameras that are given, and those that were added before.
    pub fn start(
        fixed: Vec<Camera>,
        shard: Option<Shard>,
        hub: Arc<Hub>,
        store: Arc<Store>,
    ) -> Result<Self, crate::Error> {
        let added = store.cameras()?;
        let fleet = Self { cameras: RwLock::default(), changes: Mutex::new(()), hub, store, shard };
        for camera in fixed.into_iter().filter(|camera| fleet.is_ours(&camera.name)) {
            fleet.run(camera, true)?;
        }
        for camera in added {
            if fleet.get(&camera.name).is_some() {
                warn!(
                    "{}: it was added before, but the configuration has one of that name, which runs",
                    camera.name
                );
            } else if fleet.is_ours(&camera.name) {
                fleet.run(camera, false)?;
            }
        }
        Ok(fleet)
    }

    fn is_ours(&self, name: &str) -> bool {
        self.shard.is_none_or(|shard| shard.has(name))
    }

    pub fn all(&self) -> Vec<Arc<Handle>> {
        self.cameras.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub fn get(&self, name: &str) -> Option<Arc<Handle>> {
        self.cameras.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub fn add(&self, camera: Camera) -> Result<(), Refused> {
        let _change = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if self.get(&camera.name).is_some() {
            return Err(Refused::Taken(camera.name));
        }
        self.put(camera)
    }

    /// Adds a camera, or stops the one of that name and starts it anew.
    pub fn change(&self, camera: Camera) -> Result<(), Refused> {
        let _change = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        match self.get(&camera.name) {
            Some(old) if old.is_fixed => return Err(Refused::Fixed(camera.name)),
            Some(old) if old.camera == camera => return Ok(()),
            Some(old) => {
                old.stop();
                old.join();
            }
            None => {}
        }
        self.put(camera)
    }

    pub fn remove(&self, name: &str) -> Result<(), Refused> {
        let _change = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let camera = self.get(name).ok_or_else(|| Refused::Unknown(name.into()))?;
        if camera.is_fixed {
            return Err(Refused::Fixed(name.into()));
        }
        self.store.forget_camera(name).map_err(Refused::Failed)?;
        self.cameras.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        camera.stop();
        camera.join();
        self.hub.changed(name);
        Ok(())
    }

    fn put(&self, camera: Camera) -> Result<(), Refused> {
        if let Some(shard) = self.shard.filter(|shard| !shard.has(&camera.name)) {
            return Err(Refused::Elsewhere(camera.name, shard));
        }
        let is_new = self.get(&camera.name).is_none();
        if is_new && self.all().len() >= MOST {
            return Err(Refused::TooMany);
        }
        self.store.keep_camera(&camera).map_err(Refused::Failed)?;
        self.run(camera, false).map_err(Refused::Failed)
    }

    fn run(&self, camera: Camera, is_fixed: bool) -> Result<(), crate::Error> {
        let name = camera.name.clone();
        self.hub.begin(&name, self.store.sequence(&name)?);
        let handle = Handle::start(camera, is_fixed, &self.hub)
            .map_err(|error| format!("{name}: no thread can be had: {error}"))?;
        let handle = Arc::new(handle);
        self.cameras.write().unwrap_or_else(PoisonError::into_inner).insert(name, handle);
        Ok(())
    }

    /// Stops all cameras, those that hang no longer than until then.
    pub fn stop(&self, until: Instant) {
        let cameras = self.all();
        cameras.iter().for_each(|camera| camera.stop());
        let (done, wait) = std::sync::mpsc::channel();
        for camera in cameras {
            let done = done.clone();
            let joins = std::thread::Builder::new().name("stop".into()).spawn(move || {
                camera.join();
                let _ = done.send(());
            });
            if let Err(error) = joins {
                warn!("no thread can be had: {error}");
            }
        }
        drop(done);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if wait.recv_timeout(left.max(Duration::from_millis(1))).is_err() {
                break;
            }
        }
    }
}
