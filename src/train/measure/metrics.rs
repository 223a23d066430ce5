//! Numbers that say how good a network is.

use serde::{Deserialize, Serialize};

use crate::train::data::dataset::Sample;

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

    /// All pictures.
    pub fn total(&self) -> usize {
        self.0.iter().flatten().sum()
    }

    /// Pictures that are told as labelled.
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

    /// The mean of both classes' shares of right answers, which doesn't depend on how many there are of each.
    pub fn balanced_accuracy(&self) -> f64 {
        (self.row_share(0, 0) + self.row_share(1, 1)) / 2.0
    }

    /// 95 % interval of the accuracy.
    pub fn interval(&self) -> [f64; 2] {
        wilson(self.correct(), self.total())
    }
}

/// The probability that a smiling sample has a higher probability of smiling than one that doesn't
/// smile (the area under the ROC curve), ties counting half. Samples without an answer are left out;
/// 0.5 where a class is missing.
pub fn area_under_curve(samples: &[&Sample], probabilities: &[f32]) -> f64 {
    let mut answers = answers(samples, probabilities);
    answers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs) = (0.0, 0.0);
    for equal in answers.chunk_by(|a, b| a.0 == b.0) {
        let smiling = equal.iter().filter(|answer| answer.1).count() as f64;
        let others = equal.len() as f64 - smiling;
        pairs += smiling * (below + others / 2.0);
        below += others;
    }
    let smiling = answers.len() as f64 - below;
    if below * smiling > 0.0 { pairs / (below * smiling) } else { 0.5 }
}

/// The threshold with the best balanced accuracy, and that; samples without an answer count as wrong. It says how
/// far a network's own threshold is from what would suit these samples: it is not to be set by them.
pub fn best_threshold(samples: &[&Sample], probabilities: &[f32]) -> (f32, f64) {
    let mut answers = answers(samples, probabilities);
    answers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count =
        |smiling: bool| samples.iter().filter(|sample| sample.smiling == smiling).count().max(1) as f64;
    let (smiling, others) = (count(true), count(false));
    // From 0 on everybody smiles; each step up takes the answers of one probability from those who do.
    let mut right = [0.0, answers.iter().filter(|answer| answer.1).count() as f64];
    let balanced = |right: [f64; 2]| (right[0] / others + right[1] / smiling) / 2.0;
    let mut best = (0.0, balanced(right));
    let mut groups = answers.chunk_by(|a, b| a.0 == b.0).peekable();
    while let Some(group) = groups.next() {
        let smiles = group.iter().filter(|answer| answer.1).count() as f64;
        right = [right[0] + group.len() as f64 - smiles, right[1] - smiles];
        if balanced(right) > best.1 {
            let next = groups.peek().map_or(1.0, |next| next[0].0);
            best = ((group[0].0 + next) / 2.0, balanced(right));
        }
    }
    best
}

/// Expected calibration error (Naeini et al. 2015): how far probabilities are from the share of
/// smiles, on average over ten bins of equal width. Samples without an answer are left out.
pub fn calibration_error(samples: &[&Sample], probabilities: &[f32]) -> f64 {
    let bins = reliability(samples, probabilities);
    let total: usize = bins.iter().map(|bin| bin.pictures).sum();
    let errors = bins.iter().map(|bin| bin.pictures as f64 * (bin.said - bin.seen).abs());
    errors.sum::<f64>() / total.max(1) as f64
}

/// What logits have to be divided by for their probabilities to have the least cross-entropy with
/// the samples (Guo et al. 2017), from 0.1 to 10; of several collections each counts as much as another, however
/// many samples it has. Probabilities are those of undivided logits.
pub fn best_temperature(collections: &[(&[&Sample], &[f32])]) -> f32 {
    let logits = |&(samples, probabilities): &(&[&Sample], &[f32])| {
        let logit = |(probability, smiling): (f32, bool)| {
            let probability = f64::from(probability).clamp(1e-6, 1.0 - 1e-6);
            ((probability / (1.0 - probability)).ln(), smiling)
        };
        answers(samples, probabilities).into_iter().map(logit).collect::<Vec<(f64, bool)>>()
    };
    let collections: Vec<Vec<(f64, bool)>> = collections.iter().map(logits).collect();
    let entropy = |log_temperature: f64| {
        let term = |&(logit, smiling): &(f64, bool)| {
            let x = if smiling { -logit } else { logit } / log_temperature.exp();
            x.max(0.0) + (-x.abs()).exp().ln_1p()
        };
        let mean =
            |logits: &Vec<(f64, bool)>| logits.iter().map(term).sum::<f64>() / logits.len().max(1) as f64;
        collections.iter().map(mean).sum::<f64>()
    };
    // Golden-section search: the entropy has one minimum.
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.1f64.ln(), 10f64.ln());
    for _ in 0..60 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if entropy(a) <= entropy(b) { high = b } else { low = a }
    }
    ((low + high) / 2.0).exp() as f32
}

/// Probabilities that are some, with what is true.
pub(super) fn answers(samples: &[&Sample], probabilities: &[f32]) -> Vec<(f32, bool)> {
    let answers = samples.iter().zip(probabilities).map(|(sample, &p)| (p, sample.smiling));
    answers.filter(|(probability, _)| !probability.is_nan()).collect()
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

/// Pictures whose probability lies in one of ten ranges of equal width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// How many lie in it.
    pub pictures: usize,
    /// Mean probability of smiling; 0 for an empty bin.
    pub said: f64,
    /// The share that smiles; 0 for an empty bin.
    pub seen: f64,
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
    use crate::train::data::dataset::tests::samples;

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
    fn the_area_is_the_share_of_pairs_in_order() {
        let samples = samples(&[false, false, true, true, true]);
        let samples: Vec<&Sample> = samples.iter().collect();
        let area = |probabilities: &[f32]| area_under_curve(&samples, probabilities);
        assert_eq!(area(&[0.1, 0.2, 0.3, 0.9, f32::NAN]), 1.0);
        assert_eq!(area(&[0.5, 0.5, 0.5, 0.5, 0.5]), 0.5);
        // Of six pairs 0.4 is right about three, 0.6 about both of its own, one is a tie.
        assert!((area(&[0.4, 0.8, 0.6, 0.8, 0.1]) - 2.5 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn the_best_threshold_parts_the_classes_best() {
        let samples = samples(&[false, false, true, true, true, false]);
        let samples: Vec<&Sample> = samples.iter().collect();
        let (threshold, balanced) = best_threshold(&samples, &[0.1, 0.2, 0.3, 0.9, f32::NAN, 0.8]);
        // Two of three right on either side: one without an answer, one at 0.8.
        assert!(
            (threshold - 0.25).abs() < 1e-6 && (balanced - 2.0 / 3.0).abs() < 1e-12,
            "{threshold} {balanced}"
        );
        let confusion = Confusion([[2, 1], [1, 2]]);
        assert_eq!(confusion.balanced_accuracy(), balanced);
    }

    #[test]
    fn collections_count_alike_for_the_temperature_however_large_they_are() {
        // A small collection that is always right asks for a low temperature, a large one for a high one.
        let (sure, doubtful) = (samples(&[true, false]), samples(&[true, true, true, false].repeat(100)));
        let (sure, doubtful) = (sure.iter().collect::<Vec<_>>(), doubtful.iter().collect::<Vec<_>>());
        let answers = [0.98; 400];
        let alone = best_temperature(&[(&doubtful, &answers)]);
        let both = best_temperature(&[(&sure, &[0.98, 0.02]), (&doubtful, &answers)]);
        assert!(both < 0.8 * alone, "{both} {alone}");
    }

    #[test]
    fn temperature_makes_probabilities_mean_what_they_say() {
        // Logits of ±4 that are right three times of four ask for a temperature of 4 / ln 3.
        let labels: Vec<bool> = (0..400).map(|index| (index % 2 == 0) != (index % 8 < 2)).collect();
        let samples = samples(&labels);
        let samples: Vec<&Sample> = samples.iter().collect();
        let at = |temperature: f32| {
            let sigmoid = |logit: f32| 1.0 / (1.0 + (-logit / temperature).exp());
            (0..400).map(|index| sigmoid(if index % 2 == 0 { 4.0 } else { -4.0 })).collect::<Vec<f32>>()
        };
        let temperature = best_temperature(&[(&samples, &at(1.0))]);
        assert!((temperature - 4.0 / 3f32.ln()).abs() < 0.01, "{temperature}");
        assert!(calibration_error(&samples, &at(1.0)) > 0.2);
        assert!(calibration_error(&samples, &at(temperature)) < 1e-3);
    }

    #[test]
    fn rows_are_actual_and_columns_predicted() {
        let sample = |smiling| Sample {
            name: String::new(),
            pixels: Box::default(),
            wide: Box::default(),
            smiling,
            votes: None,
        };
        let (yes, no) = (sample(true), sample(false));
        let probabilities = [0.9, f32::NAN, 0.5, 0.1, f32::NAN];
        let confusion = Confusion::count(&[&no, &no, &yes, &yes, &yes], &probabilities, 0.5);
        assert_eq!(confusion, Confusion([[0, 2], [2, 1]]));
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
