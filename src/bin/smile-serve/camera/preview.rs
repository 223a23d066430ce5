//! Pictures for whoever looks: nothing is drawn or encoded while nobody does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use gst::glib;
use gst::prelude::*;
use gstsmile::smilefilter::Display;
use tokio::sync::watch;

/// Pictures a second for a wall, and where someone looks at one camera.
const WALL_RATE: f64 = 4.0;
const CAMERA_RATE: f64 = 10.0;

/// A JPEG of the camera with its boxes.
#[derive(Debug)]
pub struct Picture {
    pub jpeg: Bytes,
    pub at: SystemTime,
}

/// How closely someone looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Wall,
    Camera,
}

#[derive(Debug)]
pub struct Preview {
    walls: AtomicUsize,
    cameras: AtomicUsize,
    last: Mutex<Option<Instant>>,
    pictures: watch::Sender<Option<Arc<Picture>>>,
    /// The element that draws, and what it draws while someone looks.
    drawing: Mutex<Option<(glib::WeakRef<gst::Element>, Display)>>,
}

impl Default for Preview {
    fn default() -> Self {
        Self {
            walls: AtomicUsize::new(0),
            cameras: AtomicUsize::new(0),
            last: Mutex::new(None),
            pictures: watch::Sender::new(None),
            drawing: Mutex::new(None),
        }
    }
}

impl Preview {
    /// Has pictures made for as long as the viewer is kept.
    pub fn look(self: &Arc<Self>, interest: Interest) -> Viewer {
        self.counter(interest).fetch_add(1, Ordering::Relaxed);
        self.draw();
        Viewer { preview: self.clone(), interest, pictures: self.pictures.subscribe() }
    }

    pub fn viewers(&self) -> usize {
        self.walls.load(Ordering::Relaxed) + self.cameras.load(Ordering::Relaxed)
    }

    /// Whether this frame is to become a picture.
    pub fn wants(&self, now: Instant) -> bool {
        let rate = match (self.cameras.load(Ordering::Relaxed), self.walls.load(Ordering::Relaxed)) {
            (0, 0) => return false,
            (0, _) => WALL_RATE,
            _ => CAMERA_RATE,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // A little early is in time: else a camera with just this rate would lose every second frame.
        let pause = Duration::from_secs_f64(0.8 / rate);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= pause);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    pub fn put(&self, jpeg: Bytes) {
        self.pictures.send_replace(Some(Arc::new(Picture { jpeg, at: SystemTime::now() })));
    }

    /// Forgets the last picture, which is not what the camera sees now.
    pub fn clear(&self) {
        self.pictures.send_replace(None);
    }

    /// Says which element draws, with the value of its property `display`.
    pub fn set_drawing(&self, element: &gst::Element) {
        let display = element.property::<Display>("display");
        *self.drawing.lock().unwrap_or_else(PoisonError::into_inner) = Some((element.downgrade(), display));
        self.draw();
    }

    fn draw(&self) {
        let drawing = self.drawing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((element, display)) = drawing.as_ref() else { return };
        let Some(element) = element.upgrade() else { return };
        let display = if self.viewers() > 0 { *display } else { Display::empty() };
        element.set_property("display", display);
    }

    fn counter(&self, interest: Interest) -> &AtomicUsize {
        match interest {
            Interest::Wall => &self.walls,
            Interest::Camera => &self.cameras,
        }
    }
}

/// Someone who looks. The newest picture is there for it; it misses those that it is too slow for.
#[derive(Debug)]
pub struct Viewer {
    preview: Arc<Preview>,
    interest: Interest,
    pub pictures: watch::Receiver<Option<Arc<Picture>>>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.preview.counter(self.interest).fetch_sub(1, Ordering::Relaxed);
        self.preview.draw();
    }
}
