//! Accuracy by pose, brightness and size.

use serde::{Deserialize, Serialize};

use super::metrics::{Confusion, wilson};
use crate::train::data::dataset::Sample;

/// The pictures of one range of a quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Such as "yaw".
    pub quantity: String,
    /// Such as "10 to 20°".
    pub range: String,
    /// How many lie in it.
    pub pictures: usize,
    /// From 0 to 1.
    pub accuracy: f64,
    /// 95 % interval of the accuracy.
    pub interval: [f64; 2],
}

/// A quantity with the lower ends of its ranges, in ascending order; what is below the first is in the
/// first.
struct Quantity {
    name: &'static str,
    unit: &'static str,
    from: &'static [f32],
    /// Of a sample and its head's yaw, pitch and roll in radians, where they are known.
    value: fn(&Sample, Option<[f32; 3]>) -> Option<f32>,
}

fn degrees(pose: Option<[f32; 3]>, axis: usize) -> Option<f32> {
    pose.map(|pose| pose[axis].to_degrees())
}

/// Mean of all values that the network sees.
fn brightness(sample: &Sample) -> Option<f32> {
    let sum: u64 = sample.pixels.iter().map(|&byte| u64::from(byte)).sum();
    (!sample.pixels.is_empty()).then(|| sum as f32 / sample.pixels.len() as f32)
}

const QUANTITIES: [Quantity; 4] = [
    Quantity {
        name: "yaw",
        unit: "°",
        from: &[0.0, 10.0, 20.0, 30.0],
        value: |_, pose| degrees(pose, 0).map(f32::abs),
    },
    Quantity {
        name: "pitch",
        unit: "°",
        from: &[-90.0, -10.0, 0.0, 10.0],
        value: |_, pose| degrees(pose, 1),
    },
    Quantity {
        name: "roll",
        unit: "°",
        from: &[0.0, 5.0, 10.0, 15.0],
        value: |_, pose| degrees(pose, 2).map(f32::abs),
    },
    Quantity {
        name: "brightness",
        unit: "",
        from: &[0.0, 80.0, 100.0, 120.0, 140.0],
        value: |sample, _| brightness(sample),
    },
];

impl Quantity {
    fn range(&self, index: usize) -> String {
        let Self { unit, from, .. } = self;
        match (index, from.get(index + 1)) {
            (0, Some(next)) => format!("below {next}{unit}"),
            (_, Some(next)) => format!("{} to {next}{unit}", from[index]),
            (_, None) => format!("{}{unit} and more", from[index]),
        }
    }
}

/// Accuracy in each range of each quantity that is known of some picture; empty ranges are left out.
/// `poses` are yaw, pitch and roll of each sample's head in radians, where they are known.
pub fn bands(
    samples: &[&Sample],
    probabilities: &[f32],
    threshold: f32,
    poses: &[Option<[f32; 3]>],
) -> Vec<Band> {
    let mut all = Vec::new();
    for quantity in &QUANTITIES {
        for index in 0..quantity.from.len() {
            let within = |place: &usize| {
                let value = (quantity.value)(samples[*place], poses.get(*place).copied().flatten());
                value.is_some_and(|value| {
                    index == quantity.from.iter().rposition(|&from| value >= from).unwrap_or(0)
                })
            };
            let places: Vec<usize> = (0..samples.len()).filter(within).collect();
            let (some, answers): (Vec<&Sample>, Vec<f32>) =
                places.iter().map(|&place| (samples[place], probabilities[place])).unzip();
            let confusion = Confusion::count(&some, &answers, threshold);
            if confusion.total() > 0 {
                all.push(Band {
                    quantity: quantity.name.into(),
                    range: quantity.range(index),
                    pictures: confusion.total(),
                    accuracy: confusion.accuracy(),
                    interval: wilson(confusion.correct(), confusion.total()),
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_counted_in_their_range() {
        let sample = |byte: u8, smiling| Sample {
            name: String::new(),
            pixels: vec![byte; 12].into(),
            wide: Box::default(),
            smiling,
            votes: None,
        };
        let all = [sample(90, true), sample(90, false), sample(200, true)];
        let samples: Vec<&Sample> = all.iter().collect();
        let turned = Some([-0.4, 0.0, 0.0]);
        let bands = bands(&samples, &[0.9, 0.8, f32::NAN], 0.5, &[turned, turned, None]);
        let of = |quantity: &str, range: &str| {
            let band = bands.iter().find(|band| (&*band.quantity, &*band.range) == (quantity, range));
            band.map(|band| (band.pictures, band.accuracy))
        };
        assert_eq!(of("yaw", "20 to 30°"), Some((2, 0.5)));
        assert_eq!(of("pitch", "0 to 10°"), Some((2, 0.5)));
        assert_eq!(of("brightness", "80 to 100"), Some((2, 0.5)));
        assert_eq!(of("brightness", "140 and more"), Some((1, 0.0)));
        assert!(bands.iter().all(|band| band.pictures > 0));
    }
}
