//! What a camera's pipeline does next: a state machine without a clock or a pipeline of its own, so that it can be
//! tested.

use std::time::Duration;

use serde::Serialize;

/// How a camera is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its pipeline starts, and no frame has come yet.
    Connecting,
    /// Frames come.
    Live,
    /// Frames came, and come no more.
    Stalled,
    /// It has failed and is tried again later.
    Waiting,
    /// A file was played to its end.
    Ended,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Connecting, Self::Live, Self::Stalled, Self::Waiting, Self::Ended];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
        }
    }
}

/// What has happened to the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// At least one frame has come since the last input.
    Frame,
    /// It can't go on.
    Error,
    /// Its stream has ended.
    End,
    /// Nothing; time has passed.
    Tick,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    /// Build a new pipeline and play it.
    Start,
    /// Take the pipeline down.
    Stop,
    /// Play the file from its beginning.
    Rewind,
}

/// How patient it is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a start may take to its first frame.
    pub connect: Duration,
    /// How long no frame may come before the camera is said to be stalled.
    pub silence: Duration,
    /// How long it may be stalled before it is started anew.
    pub stalled: Duration,
    /// The first pause after a failure; each further one is twice as long.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// How long it has to be live for its failures to be forgotten.
    pub trusted: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            silence: Duration::from_secs(3),
            stalled: Duration::from_secs(7),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            trusted: Duration::from_secs(20),
        }
    }
}

/// What happens when a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// A camera's stream should not: it failed.
    Fail,
    Stay,
    Rewind,
}

#[derive(Debug)]
pub struct Machine {
    limits: Limits,
    at_end: AtEnd,
    state: State,
    /// When this state began.
    since: Duration,
    last_frame: Duration,
    /// In a row.
    failures: u32,
    pause: Duration,
    /// Whether frames have come since the last rewind: a file without any would be rewound for ever.
    has_played: bool,
}

impl Machine {
    /// A camera that waits for its start, which the first input brings.
    pub fn new(limits: Limits, at_end: AtEnd, now: Duration) -> Self {
        Self {
            limits,
            at_end,
            state: State::Waiting,
            since: now,
            last_frame: now,
            failures: 0,
            pause: Duration::ZERO,
            has_played: false,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// How long it waits in all, where it does.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Takes an input. `jitter`, from 0 to 1, is chance, so that cameras that failed together don't come back together.
    /// Times only grow.
    pub fn step(&mut self, input: Input, now: Duration, jitter: f64) -> Action {
        if input == Input::Frame && self.state != State::Waiting {
            self.last_frame = now;
            self.has_played = true;
        }
        let is_running = matches!(self.state, State::Connecting | State::Live | State::Stalled);
        match (self.state, input) {
            (_, Input::Error) if is_running => self.fail(now, jitter),
            (_, Input::End) if is_running => self.end(now, jitter),
            (State::Connecting | State::Stalled, Input::Frame) => self.enter(State::Live, now),
            (State::Connecting, Input::Tick) if now - self.since >= self.limits.connect => {
                self.fail(now, jitter)
            }
            (State::Live, Input::Frame | Input::Tick) => self.watch(now),
            (State::Stalled, Input::Tick) if now - self.since >= self.limits.stalled => {
                self.fail(now, jitter)
            }
            (State::Waiting, _) if now - self.since >= self.pause => {
                self.enter(State::Connecting, now);
                Action::Start
            }
            _ => Action::Nothing,
        }
    }

    fn watch(&mut self, now: Duration) -> Action {
        if now - self.last_frame >= self.limits.silence {
            return self.enter(State::Stalled, now);
        }
        if now - self.since >= self.limits.trusted {
            self.failures = 0;
        }
        Action::Nothing
    }

    fn end(&mut self, now: Duration, jitter: f64) -> Action {
        match self.at_end {
            AtEnd::Rewind if self.has_played => {
                self.has_played = false;
                self.last_frame = now;
                Action::Rewind
            }
            AtEnd::Stay if self.has_played => {
                self.enter(State::Ended, now);
                Action::Stop
            }
            _ => self.fail(now, jitter),
        }
    }

    fn fail(&mut self, now: Duration, jitter: f64) -> Action {
        let doubled = self.limits.first_pause.saturating_mul(1 << self.failures.min(16));
        let longest = doubled.min(self.limits.longest_pause);
        // Half of it is certain, so that nobody is asked without a pause.
        self.pause = longest.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        self.failures += 1;
        self.has_played = false;
        self.enter(State::Waiting, now);
        Action::Stop
    }

    fn enter(&mut self, state: State, now: Duration) -> Action {
        self.state = state;
        self.since = now;
        Action::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn started(at_end: AtEnd) -> Machine {
        let mut machine = Machine::new(Limits::default(), at_end, s(0));
        assert_eq!(machine.step(Input::Tick, s(0), 0.0), Action::Start);
        assert_eq!(machine.state(), State::Connecting);
        machine
    }

    fn live(at_end: AtEnd) -> Machine {
        let mut machine = started(at_end);
        assert_eq!(machine.step(Input::Frame, s(1), 0.0), Action::Nothing);
        assert_eq!(machine.state(), State::Live);
        machine
    }

    #[test]
    fn silence_stalls_a_camera_and_then_restarts_it() {
        let mut machine = live(AtEnd::Fail);
        assert_eq!(machine.step(Input::Tick, s(3), 0.0), Action::Nothing);
        assert_eq!(machine.state(), State::Live);
        machine.step(Input::Tick, s(4), 0.0);
        assert_eq!(machine.state(), State::Stalled);
        assert_eq!(machine.step(Input::Tick, s(11), 1.0), Action::Stop);
        assert_eq!((machine.state(), machine.pause()), (State::Waiting, s(1)));
        // Frames that were still on their way don't wake it.
        assert_eq!(machine.step(Input::Frame, s(11), 0.0), Action::Nothing);
        assert_eq!(machine.step(Input::Tick, s(12), 0.0), Action::Start);
    }

    #[test]
    fn a_stalled_camera_comes_back_by_a_frame() {
        let mut machine = live(AtEnd::Fail);
        machine.step(Input::Tick, s(5), 0.0);
        assert_eq!(machine.state(), State::Stalled);
        machine.step(Input::Frame, s(6), 0.0);
        assert_eq!(machine.state(), State::Live);
        machine.step(Input::Tick, s(8), 0.0);
        assert_eq!(machine.state(), State::Live);
    }

    #[test]
    fn a_start_without_a_frame_fails() {
        let mut machine = started(AtEnd::Fail);
        assert_eq!(machine.step(Input::Tick, s(19), 0.0), Action::Nothing);
        assert_eq!(machine.step(Input::Tick, s(20), 0.0), Action::Stop);
        assert_eq!(machine.state(), State::Waiting);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_forgotten_after_a_good_time() {
        let mut machine = Machine::new(Limits::default(), AtEnd::Fail, s(0));
        let (mut now, mut pauses) = (s(0), Vec::new());
        for _ in 0..9 {
            assert_eq!(machine.step(Input::Tick, now, 1.0), Action::Start);
            machine.step(Input::Frame, now, 1.0);
            assert_eq!(machine.step(Input::Error, now, 1.0), Action::Stop);
            pauses.push(machine.pause().as_secs());
            now += machine.pause();
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        machine.step(Input::Tick, now, 1.0);
        for second in 0..30 {
            machine.step(Input::Frame, now + s(second), 1.0);
        }
        machine.step(Input::Error, now + s(30), 0.0);
        assert_eq!(machine.pause(), Duration::from_millis(500));
    }

    #[test]
    fn files_end_or_start_again_as_asked() {
        let mut machine = live(AtEnd::Stay);
        assert_eq!(machine.step(Input::End, s(2), 0.0), Action::Stop);
        assert_eq!(machine.state(), State::Ended);
        for input in [Input::Tick, Input::Error, Input::End, Input::Frame] {
            assert_eq!(machine.step(input, s(99), 0.0), Action::Nothing);
        }
        let mut machine = live(AtEnd::Rewind);
        assert_eq!(machine.step(Input::End, s(2), 0.0), Action::Rewind);
        assert_eq!(machine.step(Input::Frame, s(3), 0.0), Action::Nothing);
        assert_eq!(machine.step(Input::End, s(4), 0.0), Action::Rewind);
        // Nothing came of it.
        assert_eq!(machine.step(Input::End, s(5), 0.0), Action::Stop);
        let mut machine = live(AtEnd::Fail);
        assert_eq!(machine.step(Input::End, s(2), 0.0), Action::Stop);
        assert_eq!(machine.state(), State::Waiting);
    }
}
