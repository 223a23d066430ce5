//! How much latency is reported, where frames take longer than they last or than sinks allow for.

use std::time::Duration;

/// A reported latency and what speaks for another.
///
/// Renegotiation makes a live pipeline stutter, so a latency is reported only where frames take
/// longer than they last or than [`Latency::ALLOWED`], with room to spare; it goes up when a whole
/// window says so, and down only when many windows in a row say that it is twice too much.
#[derive(Debug, Default)]
pub struct Latency {
    reported: Duration,
    /// The two longest times of this window: the longest may be a hiccup.
    longest: [Duration; 2],
    frames: u32,
    /// The largest need of the windows in a row that say that less would do, and their number.
    less: (Duration, u32),
}

impl Latency {
    /// What video sinks allow for processing without being told (their `processing-deadline`).
    const ALLOWED: Duration = Duration::from_millis(15);
    /// Frames of a window.
    const WINDOW: u32 = 30;
    /// Windows in a row before the latency goes down.
    const PATIENCE: u32 = 10;

    pub fn reported(&self) -> Duration {
        self.reported
    }

    /// Takes in that a frame which lasts `frame` took `time`; tells whether there is another
    /// latency to report.
    pub fn record(&mut self, time: Duration, frame: Duration) -> bool {
        let [longest, second] = self.longest;
        self.longest = [longest.max(time), second.max(longest.min(time))];
        self.frames += 1;
        if self.frames < Self::WINDOW {
            return false;
        }
        let time = self.longest[1];
        (self.longest, self.frames) = ([Duration::ZERO; 2], 0);
        let need = if time > frame.min(Self::ALLOWED) { time + time / 4 } else { Duration::ZERO };
        if time > self.reported && need > Duration::ZERO {
            self.report(need)
        } else if need < self.reported / 2 {
            self.less = (self.less.0.max(need), self.less.1 + 1);
            self.less.1 == Self::PATIENCE && self.report(self.less.0)
        } else {
            self.less = Default::default();
            false
        }
    }

    fn report(&mut self, latency: Duration) -> bool {
        self.reported = latency;
        self.less = Default::default();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(33);

    /// What is reported after each of some windows whose frames take so many milliseconds, and how
    /// often that changed.
    fn reports(latency: &mut Latency, windows: &[u64]) -> (Vec<u128>, usize) {
        let mut changes = 0;
        let mut window = |&time: &u64| {
            for _ in 0..Latency::WINDOW {
                changes += usize::from(latency.record(Duration::from_millis(time), FRAME));
            }
            latency.reported().as_millis()
        };
        let reported = windows.iter().map(&mut window).collect();
        (reported, changes)
    }

    #[test]
    fn frames_that_are_done_in_their_time_add_no_latency() {
        assert_eq!(reports(&mut Latency::default(), &[1, 10, 15]), (vec![0, 0, 0], 0));
        // A sink would drop such frames, though there is time for them.
        assert_eq!(reports(&mut Latency::default(), &[20]), (vec![25], 1));
    }

    #[test]
    fn slow_frames_are_reported_once_though_their_times_differ() {
        assert_eq!(reports(&mut Latency::default(), &[40, 45, 38, 50, 41]), (vec![50; 5], 1));
        assert_eq!(reports(&mut Latency::default(), &[40, 60]), (vec![50, 75], 2));
    }

    #[test]
    fn a_single_hiccup_counts_for_nothing() {
        let mut latency = Latency::default();
        for frame in 0..300 {
            let time = if frame % 50 == 0 { 200 } else { 5 };
            assert!(!latency.record(Duration::from_millis(time), FRAME));
        }
    }

    #[test]
    fn less_is_reported_only_after_a_long_time_of_needing_less() {
        let mut latency = Latency::default();
        reports(&mut latency, &[80]);
        let (reported, changes) = reports(&mut latency, &[[5; 9].as_slice(), &[60], &[5; 9]].concat());
        assert_eq!((reported, changes), (vec![100; 19], 0));
        assert_eq!(reports(&mut latency, &[5, 5]), (vec![0, 0], 1));
    }
}
