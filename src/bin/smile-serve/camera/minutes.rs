//! Adds up who was there, minute by minute.

use serde::Serialize;

/// A minute, or a part of it that is still to be added to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Minute {
    /// The minute's beginning, in milliseconds since 1970.
    pub time: u64,
    /// Seconds in which frames came.
    pub live: f64,
    /// Seconds times faces that were there.
    pub faces: f64,
    /// Seconds times faces that smiled.
    pub smiling: f64,
    /// The most faces at once.
    pub most: u32,
    pub appeared: u32,
    pub smiles: u32,
}

pub const MINUTE: u64 = 60_000;

/// Faces stay as they are until the next change, so that each change adds up what was before it.
#[derive(Debug)]
pub struct Adder {
    now: Minute,
    last: u64,
    is_live: bool,
    faces: u32,
    smiling: u32,
}

impl Adder {
    /// Times are milliseconds since 1970.
    pub fn new(time: u64) -> Self {
        let now = Minute { time: time - time % MINUTE, ..Minute::default() };
        Self { now, last: time, is_live: false, faces: 0, smiling: 0 }
    }

    /// Adds up the time until now, and hands each minute that has passed to `done`.
    pub fn advance(&mut self, time: u64, mut done: impl FnMut(Minute)) {
        // A clock that was set by more than a minute says nothing about how long anybody was there.
        if time < self.last || time - self.last > MINUTE {
            self.last = time;
        }
        while self.last < time || self.now.time + MINUTE <= time {
            let end = (self.now.time + MINUTE).min(time);
            let seconds = end.saturating_sub(self.last) as f64 / 1000.0;
            if self.is_live {
                self.now.live += seconds;
                self.now.faces += seconds * f64::from(self.faces);
                self.now.smiling += seconds * f64::from(self.smiling);
                self.now.most = self.now.most.max(self.faces);
            }
            self.last = self.last.max(end);
            if self.now.time + MINUTE > time {
                break;
            }
            self.flush(&mut done);
            let next = self.now.time + MINUTE;
            self.now = Minute { time: next.max(self.last - self.last % MINUTE), ..Minute::default() };
        }
        if self.now.time > time {
            self.flush(&mut done);
            self.now = Minute { time: time - time % MINUTE, ..Minute::default() };
        }
    }

    /// Hands out what there is of this minute, and goes on from nothing.
    pub fn flush(&mut self, mut done: impl FnMut(Minute)) {
        let empty = Minute { time: self.now.time, ..Minute::default() };
        if self.now != empty {
            done(std::mem::replace(&mut self.now, empty));
        }
    }

    /// Says how things are from now on.
    pub fn set(&mut self, is_live: bool, faces: u32, smiling: u32) {
        (self.is_live, self.faces, self.smiling) = (is_live, faces, smiling);
    }

    pub fn appeared(&mut self) {
        self.now.appeared += 1;
    }

    pub fn smile_started(&mut self) {
        self.now.smiles += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 30_000_000 * MINUTE;

    fn minutes(adder: &mut Adder, time: u64) -> Vec<Minute> {
        let mut minutes = Vec::new();
        adder.advance(START + time, |minute| minutes.push(minute));
        minutes
    }

    #[test]
    fn faces_are_added_up_by_the_minute() {
        let mut adder = Adder::new(START + 30_000);
        adder.set(true, 2, 1);
        adder.appeared();
        assert_eq!(minutes(&mut adder, 40_000), []);
        adder.set(true, 0, 0);
        assert_eq!(minutes(&mut adder, 50_000), []);
        let done = minutes(&mut adder, 70_000);
        let expected = Minute {
            time: START,
            live: 30.0,
            faces: 20.0,
            smiling: 10.0,
            most: 2,
            appeared: 1,
            ..Minute::default()
        };
        assert_eq!(done, [expected]);
        let mut rest = Vec::new();
        adder.flush(|minute| rest.push(minute));
        assert_eq!(rest, [Minute { time: START + MINUTE, live: 10.0, ..Minute::default() }]);
    }

    #[test]
    fn what_is_not_live_adds_nothing_and_clocks_may_be_set() {
        let mut adder = Adder::new(START);
        adder.set(false, 3, 3);
        assert_eq!(minutes(&mut adder, 59_000), []);
        adder.set(true, 1, 0);
        // Two hours ahead, and back.
        assert!(minutes(&mut adder, 7_200_000).iter().all(|minute| minute.live <= 60.0));
        let done = minutes(&mut adder, 1000);
        assert!(done.iter().all(|minute| minute.live <= 60.0), "{done:?}");
        minutes(&mut adder, 2000);
        let mut rest = Vec::new();
        adder.flush(|minute| rest.push(minute));
        assert_eq!(rest, [Minute { time: START, live: 1.0, faces: 1.0, most: 1, ..Minute::default() }]);
    }
}
