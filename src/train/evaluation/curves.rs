//! Curves over the threshold and over the probability.

use serde::{Deserialize, Serialize};

use crate::train::dataset::Sample;
use crate::train::metrics::answers;

/// One threshold's point of the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The share of pictures without a smile that are taken for smiles.
    pub false_positives: f64,
    /// The share of smiles that are seen.
    pub true_positives: f64,
}

/// Pictures whose probability lies in one of ten ranges of equal width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    pub pictures: usize,
    /// Mean probability of smiling; 0 for an empty bin.
    pub said: f64,
    /// The share that smiles; 0 for an empty bin.
    pub seen: f64,
}

/// The ROC curve from (0, 0) to (1, 1), a point a distinct probability. Samples without an answer are
/// left out.
pub fn roc(samples: &[&Sample], probabilities: &[f32]) -> Vec<Point> {
    let mut answers = answers(samples, probabilities);
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let smiling = answers.iter().filter(|answer| answer.1).count();
    let totals = [answers.len() - smiling, smiling].map(|total| total.max(1) as f64);
    let mut counts = [0.0; 2];
    let mut points = vec![Point { false_positives: 0.0, true_positives: 0.0 }];
    for equal in answers.chunk_by(|a, b| a.0 == b.0) {
        equal.iter().for_each(|answer| counts[usize::from(answer.1)] += 1.0);
        let [false_positives, true_positives] = [counts[0] / totals[0], counts[1] / totals[1]];
        points.push(Point { false_positives, true_positives });
    }
    points
}

/// How often it smiles where a probability is said, in ten bins. Samples without an answer are left
/// out.
pub fn reliability(samples: &[&Sample], probabilities: &[f32]) -> Vec<Bin> {
    let mut bins = vec![Bin { pictures: 0, said: 0.0, seen: 0.0 }; 10];
    for (probability, smiling) in answers(samples, probabilities) {
        let bin = &mut bins[((probability * 10.0) as usize).min(9)];
        bin.pictures += 1;
        bin.said += f64::from(probability);
        bin.seen += f64::from(u8::from(smiling));
    }
    for bin in &mut bins {
        let count = bin.pictures.max(1) as f64;
        (bin.said, bin.seen) = (bin.said / count, bin.seen / count);
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::metrics::tests::samples;

    #[test]
    fn the_roc_curve_climbs_a_step_a_smile() {
        let samples = samples(&[true, false, true, false, true]);
        let samples: Vec<&Sample> = samples.iter().collect();
        let points = roc(&samples, &[0.9, 0.8, 0.7, 0.1, f32::NAN]);
        let places: Vec<_> =
            points.iter().map(|point| (point.false_positives, point.true_positives)).collect();
        assert_eq!(places, [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]);
    }

    #[test]
    fn bins_compare_what_is_said_with_what_is_seen() {
        let samples = samples(&[true, false, true, true]);
        let samples: Vec<&Sample> = samples.iter().collect();
        let bins = reliability(&samples, &[0.25, 0.21, 1.0, f32::NAN]);
        assert_eq!((bins[2].pictures, bins[2].seen), (2, 0.5));
        assert!((bins[2].said - 0.23).abs() < 1e-6);
        assert_eq!((bins[9].pictures, bins[9].seen, bins[0].pictures), (1, 1.0, 0));
    }
}
