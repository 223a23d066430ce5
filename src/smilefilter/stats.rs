//! Counting: how much was done, how long it took, how many frames pass.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::Classifier;

/// What the property `stats` is made of, for the threads that have a part in it.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Counts>);

#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub frames: u64,
    pub inferences: u64,
    pub skipped: u64,
    pub total: Duration,
    pub longest: Duration,
    pub device: String,
    /// Why it is that device.
    pub device_reason: String,
}

impl Stats {
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew, on the same device as before.
    pub fn reset(&self) {
        let mut counts = self.counts();
        let Counts { device, device_reason, .. } = std::mem::take(&mut *counts);
        *counts = Counts { device, device_reason, ..Counts::default() };
    }

    /// Takes down where the network runs from now on.
    pub fn set_device(&self, classifier: &Classifier) {
        let mut counts = self.counts();
        counts.device = classifier.device();
        counts.device_reason = classifier.device_reason().into();
    }

    pub fn count_inference(&self, took: Duration) {
        let mut counts = self.counts();
        counts.inferences += 1;
        counts.total += took;
        counts.longest = counts.longest.max(took);
    }
}

impl Counts {
    pub fn structure(&self, faces: u32) -> gst::Structure {
        let mean = self.total.checked_div(self.inferences.try_into().unwrap_or(u32::MAX));
        gst::Structure::builder("smilefilter-stats")
            .field("frames", self.frames)
            .field("inferences", self.inferences)
            .field("skipped", self.skipped)
            .field("inference-time-mean", nanoseconds(mean.unwrap_or_default()))
            .field("inference-time-max", nanoseconds(self.longest))
            .field("faces", faces)
            .field("device", &self.device)
            .field("device-reason", &self.device_reason)
            .build()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// Frames in a second of the clock on the wall.
#[derive(Debug, Default)]
pub struct Rate {
    since: Option<Instant>,
    frames: u32,
    last: Option<u32>,
}

impl Rate {
    /// How often it is told anew.
    const PERIOD: Duration = Duration::from_secs(1);

    /// Counts a frame that passes `now`, and tells the rate of the last period, if one is over.
    pub fn tick(&mut self, now: Instant) -> Option<u32> {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= Self::PERIOD {
            self.last = Some((f64::from(self.frames) / elapsed.as_secs_f64()).round() as u32);
            (self.since, self.frames) = (Some(now), 0);
        }
        self.frames += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_whole_second() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let mut told = |milliseconds: u64| rate.tick(start + Duration::from_millis(milliseconds));
        assert!((0..25).all(|frame| told(40 * frame).is_none()), "a second isn't over yet");
        assert!((25..50).all(|frame| told(40 * frame) == Some(25)));
        assert_eq!(told(4000), Some(8), "a pause counts");
    }

    #[test]
    fn means_are_of_inferences_and_a_reset_keeps_the_device() {
        gst::init().unwrap();
        let stats = Stats::default();
        stats.counts().device = "cpu".into();
        assert_eq!(stats.counts().structure(0).get::<u64>("inference-time-mean"), Ok(0));
        [1, 2, 6].into_iter().for_each(|time| stats.count_inference(Duration::from_nanos(time)));
        let structure = stats.counts().structure(2);
        assert_eq!(structure.get::<u64>("inference-time-mean"), Ok(3));
        assert_eq!(structure.get::<u64>("inference-time-max"), Ok(6));
        stats.reset();
        let structure = stats.counts().structure(0);
        assert_eq!(structure.get::<u64>("inferences"), Ok(0));
        assert_eq!(structure.get::<&str>("device"), Ok("cpu"));
    }
}
