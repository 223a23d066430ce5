//! Numbers that say how good a network is.

use serde::{Deserialize, Serialize};

use super::dataset::Sample;

/// Names of the classes in the order of [`Confusion`].
pub const CLASSES: [&str; 2] = ["not smiling", "smiling"];

/// How many pictures of each actual class (row) were given each class (column): not smiling,
/// smiling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confusion(pub [[usize; 2]; 2]);

impl Confusion {
    /// Counts samples against their probabilities of smiling. What is no number, as where no face
    /// was found, counts as the wrong answer.
    pub fn count(samples: &[&Sample], probabilities: &[f32], threshold: f32) -> Self {
        let mut counts = [[0; 2]; 2];
        for (sample, &probability) in samples.iter().zip(probabilities) {
            let predicted = match probability.is_nan() {
                true => !sample.smiling,
                false => probability >= threshold,
            };
            counts[usize::from(sample.smiling)][usize::from(predicted)] += 1;
        }
        Self(counts)
    }

    pub fn total(&self) -> usize {
        self.0.iter().flatten().sum()
    }

    pub fn correct(&self) -> usize {
        self.0[0][0] + self.0[1][1]
    }

    /// The share of right answers, 0 where nothing was asked.
    pub fn accuracy(&self) -> f64 {
        share(self.correct(), self.total())
    }

    /// The share of an actual class that was given a class.
    pub fn row_share(&self, row: usize, column: usize) -> f64 {
        share(self.0[row][column], self.0[row].iter().sum())
    }

    /// 95 % interval of the accuracy.
    pub fn interval(&self) -> [f64; 2] {
        wilson(self.correct(), self.total())
    }
}

/// Wilson's score interval of a share at 95 % (Wilson 1927), which holds near 0 and 1 too.
pub fn wilson(hits: usize, total: usize) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    if total == 0 {
        return [0.0, 1.0];
    }
    let n = total as f64;
    let p = hits as f64 / n;
    let z2 = Z * Z / n;
    let middle = (p + z2 / 2.0) / (1.0 + z2);
    let half = Z / (1.0 + z2) * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_matrix_gives_the_papers_accuracy() {
        let confusion = Confusion([[301, 67], [50, 382]]);
        assert_eq!(confusion.total(), 800);
        assert!((confusion.accuracy() - 0.85375).abs() < 1e-12);
        assert!((confusion.row_share(0, 0) - 301.0 / 368.0).abs() < 1e-12);
    }

    #[test]
    fn wilson_matches_published_values() {
        // Newcombe 1998, table I: 81 of 263, and 0 of 20.
        let [low, high] = wilson(81, 263);
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
        let [low, high] = wilson(0, 20);
        assert!(low == 0.0 && (high - 0.1611).abs() < 5e-5, "{low} {high}");
    }

    #[test]
    fn rows_are_actual_and_columns_predicted() {
        let sample =
            |smiling| Sample { name: String::new(), pixels: Box::default(), wide: Box::default(), smiling };
        let (yes, no) = (sample(true), sample(false));
        let probabilities = [0.9, f32::NAN, 0.5, 0.1, f32::NAN];
        let confusion = Confusion::count(&[&no, &no, &yes, &yes, &yes], &probabilities, 0.5);
        assert_eq!(confusion, Confusion([[0, 2], [2, 1]]));
    }
}
