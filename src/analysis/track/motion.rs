//! Where a box is and how it moves, seen through noise: an alpha-beta filter, which is a Kalman filter of steady state
//! without its matrices.

use std::time::Duration;

use crate::analysis::crop::Rect;

/// Time constant with which a box follows what is hardly more than noise.
const CALM: f32 = 0.15;
/// A deviation of this share of the box from where it should be is still likely to be noise.
const NOISE: f32 = 0.04;
/// The most that one observation changes the speed, as a share of what it seems to say.
const TRUST: f32 = 0.5;
/// Time constant with which a box that isn't seen comes to rest.
const COAST: f32 = 0.2;

/// A box and its speed: an alpha-beta filter on the middle (pixels) and on the logarithms of the
/// sides. Its gain grows with the deviation, so that a box at rest stays calm and a fast one is
/// followed without lag. Beta is α² / (2 − α), after Benedict and Bordner.
#[derive(Clone, Copy, Debug)]
pub struct Motion {
    /// Middle x and y, logarithms of width and height.
    values: [f32; 4],
    /// Their change in a second.
    speeds: [f32; 4],
}

impl Motion {
    pub fn new(rect: Rect) -> Self {
        Self { values: values(rect), speeds: [0.0; 4] }
    }

    pub fn rect(&self) -> Rect {
        let [x, y, width, height] = self.values;
        let (width, height) = (width.exp(), height.exp());
        Rect { x: x - width / 2.0, y: y - height / 2.0, width, height }
    }

    /// Where the box should be after `elapsed` without an observation.
    pub fn predict(&self, elapsed: Duration) -> Self {
        let way = COAST * (1.0 - (-elapsed.as_secs_f32() / COAST).exp());
        let mut predicted = *self;
        for (value, speed) in predicted.values.iter_mut().zip(self.speeds) {
            *value += speed * way;
        }
        predicted
    }

    /// Takes in an observation `elapsed` after the last one.
    pub fn update(&mut self, rect: Rect, elapsed: Duration) {
        let seconds = elapsed.as_secs_f32();
        if seconds == 0.0 {
            return;
        }
        let predicted = self.predict(elapsed);
        let [_, _, width, height] = predicted.values;
        let units = [width.exp(), height.exp(), 1.0, 1.0];
        for (index, seen) in values(rect).into_iter().enumerate() {
            let deviation = seen - predicted.values[index];
            let calm = CALM / (1.0 + (deviation / (NOISE * units[index])).powi(2));
            let alpha = 1.0 - (-seconds / calm).exp();
            let beta = (alpha * alpha / (2.0 - alpha)).min(TRUST);
            self.values[index] = predicted.values[index] + alpha * deviation;
            self.speeds[index] += beta * deviation / seconds;
        }
    }
}

fn values(Rect { x, y, width, height }: Rect) -> [f32; 4] {
    [x + width / 2.0, y + height / 2.0, width.ln(), height.ln()]
}
