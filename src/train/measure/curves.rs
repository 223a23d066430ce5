//! The ROC curve.

use serde::{Deserialize, Serialize};

use super::metrics::answers;
use crate::train::data::dataset::Sample;

/// One threshold's point of the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The share of pictures without a smile that are taken for smiles.
    pub false_positives: f64,
    /// The share of smiles that are seen.
    pub true_positives: f64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::dataset::tests::samples;

    #[test]
    fn the_roc_curve_climbs_a_step_a_smile() {
        let samples = samples(&[true, false, true, false, true]);
        let samples: Vec<&Sample> = samples.iter().collect();
        let points = roc(&samples, &[0.9, 0.8, 0.7, 0.1, f32::NAN]);
        let places: Vec<_> =
            points.iter().map(|point| (point.false_positives, point.true_positives)).collect();
        assert_eq!(places, [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]);
    }
}
