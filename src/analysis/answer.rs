//! Whether someone smiles, over time.

use std::time::Duration;

/// The answer to a frame longer ago says nothing of now: pictures shown one a second stand for themselves, while a
/// stream of two frames a second still goes on with the answer before.
const MEMORY: Duration = Duration::from_millis(750);

/// How steady answers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The time constant of the smile's average; with 0, each answer stands alone.
    pub smoothing: Duration,
    /// How far from the threshold the average has to be for another answer, in probability.
    pub hysteresis: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { smoothing: Duration::from_millis(200), hysteresis: 0.05 }
    }
}

/// A smile's probability smoothed over time, and an answer that doesn't waver.
///
/// Probabilities are averaged, not logits: a network that is very sure of one blurred frame then
/// counts no more than one that is sure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Of smiling, from 0 to 1.
    pub probability: f32,
    /// The answer, which hysteresis keeps steady.
    pub smiling: bool,
    /// How many frames of a face that is seen well the average is made of.
    weight: f32,
    time: Duration,
}

impl Answer {
    /// The answer at `time`, where the network gives `probability`, after the one of a frame before. What the
    /// network saw counts `share` as much as a face that is seen well, above 0 and up to 1: time and the average pass
    /// so much slower.
    ///
    /// Frames before weigh less by the time constant `settings.smoothing`; a last one more than 0.75 s ago says
    /// nothing of now. The first answer is a smile from `threshold` on. After
    /// that a smile begins where the average reaches `threshold` plus `settings.hysteresis`, and ends
    /// below `threshold` minus it; near 0 and 1 less is asked for, so that both can be reached.
    pub fn after(
        before: Option<Self>,
        probability: f32,
        share: f32,
        threshold: f32,
        time: Duration,
        settings: &Settings,
    ) -> Self {
        let elapsed = |answer: &Self| time.saturating_sub(answer.time).mul_f32(share);
        let Some(before) = before.filter(|answer| elapsed(answer) <= MEMORY) else {
            return Self { probability, smiling: probability >= threshold, weight: share, time };
        };
        let decay = match settings.smoothing.as_secs_f32() {
            0.0 => 0.0,
            constant => (-elapsed(&before).as_secs_f32() / constant).exp(),
        };
        let weight = before.weight * decay + share;
        let probability = before.probability + (probability - before.probability) * share / weight;
        let margin = settings.hysteresis.min(threshold / 2.0).min((1.0 - threshold) / 2.0);
        let limit = if before.smiling { threshold - margin } else { threshold + margin };
        Self { probability, smiling: probability >= limit, weight, time }
    }
}
