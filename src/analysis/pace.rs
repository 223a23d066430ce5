//! Time in a stream, and whose turn it is.

use std::time::Duration;

/// Whose turn comes with every Nth picture.
#[derive(Default)]
pub struct Turn {
    /// Pictures since the last turn, and its time, where there was one.
    last: Option<(u32, Duration)>,
}

impl Turn {
    /// Makes the next picture one's turn.
    pub fn force(&mut self) {
        self.last = None;
    }

    /// It was one's turn with this picture.
    pub fn restart(&mut self, now: Duration) {
        self.last = Some((0, now));
    }

    /// Whether it is one's turn with this picture, unless that is skipped: the last turn was `every` pictures or
    /// at least `longest` ago.
    pub fn due(&mut self, every: u32, longest: Duration, now: Duration, skip: bool) -> bool {
        self.last = self.last.map(|(passed, time)| (passed.saturating_add(1), time));
        let over = |(passed, time): (u32, Duration)| passed >= every || now.saturating_sub(time) >= longest;
        let due = !skip && self.last.is_none_or(over);
        if due {
            self.restart(now);
        }
        due
    }
}

/// The time that has passed in a stream.
#[derive(Default)]
pub struct Clock {
    pub now: Duration,
    /// From the picture before to this one.
    pub step: Duration,
    last: Option<Duration>,
}

impl Clock {
    /// The step where none is known.
    const USUAL: Duration = Duration::from_nanos(33_333_333);
    /// The longest step after which pictures before still say something.
    const LONGEST: Duration = Duration::from_secs(2);

    /// Goes on to a picture of this time; `false` where that does not follow the last one.
    pub fn tick(&mut self, time: Option<Duration>) -> bool {
        let last = std::mem::replace(&mut self.last, time);
        let step = match (last, time) {
            (Some(last), Some(time)) if time != last => time.checked_sub(last),
            _ => Some(Self::USUAL),
        };
        let step = step.filter(|&step| step <= Self::LONGEST);
        self.step = step.unwrap_or(Self::USUAL);
        self.now += self.step;
        step.is_some()
    }
}
