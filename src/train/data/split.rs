//! Stratified parts of a data set, from a fixed seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How a data set is parted. The same split of the same labels always gives the same parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Of the random order.
    pub seed: u64,
    /// Of each class, rounded.
    pub test_fraction: f64,
    /// Of each class of what the test part leaves, rounded.
    pub validation_fraction: f64,
    /// Makes one of several test parts that leave no sample out, instead of one by `test_fraction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
}

/// One way of several to part a data set, for cross-validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// From 1.
    pub number: usize,
    /// How many folds there are.
    pub of: usize,
}

/// Ascending indices of samples; every sample is in one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Learnt from.
    pub training: Vec<usize>,
    /// What options are chosen by.
    pub validation: Vec<usize>,
    /// Kept for the final measurement.
    pub test: Vec<usize>,
}

impl Split {
    /// Parts samples with these labels. The test part doesn't depend on the validation fraction.
    pub fn parts(&self, labels: &[bool]) -> Parts {
        let all: Vec<usize> = (0..labels.len()).collect();
        let keys = self.keys(labels.len(), 0);
        let (rest, test) = match self.fold {
            Some(fold) => deal(&all, labels, fold, &keys),
            None => cut(&all, labels, self.test_fraction, &keys),
        };
        let (training, validation) =
            cut(&rest, labels, self.validation_fraction, &self.keys(labels.len(), 1));
        Parts { training, validation, test }
    }

    /// A random number for each sample. Sorting by them shuffles in a way that, unlike a library's
    /// shuffle, stays the same for good: old weights can be measured on their own test part.
    fn keys(&self, len: usize, stream: u64) -> Vec<u64> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(seed);
        rng.set_stream(stream);
        (0..len).map(|_| rng.next_u64()).collect()
    }
}

/// Deals each class of `indices` out to the folds in turn; gives the rest and the fold's own.
fn deal(indices: &[usize], labels: &[bool], fold: Fold, keys: &[u64]) -> (Vec<usize>, Vec<usize>) {
    let mut order = indices.to_vec();
    order.sort_by_key(|&index| (labels[index], keys[index], index));
    let own = |place: usize| place % fold.of == fold.number - 1;
    let (mut rest, mut part) = (Vec::new(), Vec::new());
    for (place, index) in order.into_iter().enumerate() {
        if own(place) { part.push(index) } else { rest.push(index) }
    }
    rest.sort_unstable();
    part.sort_unstable();
    (rest, part)
}

/// Parts `indices` into the rest and a random `fraction` of each class.
fn cut(indices: &[usize], labels: &[bool], fraction: f64, keys: &[u64]) -> (Vec<usize>, Vec<usize>) {
    let (mut rest, mut part) = (Vec::new(), Vec::new());
    for class in [false, true] {
        let mut members: Vec<usize> =
            indices.iter().copied().filter(|&index| labels[index] == class).collect();
        members.sort_by_key(|&index| (keys[index], index));
        let count = (members.len() as f64 * fraction).round() as usize;
        part.extend_from_slice(&members[..count]);
        rest.extend_from_slice(&members[count..]);
    }
    rest.sort_unstable();
    part.sort_unstable();
    (rest, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Split = Split { seed: 1, test_fraction: 0.0, validation_fraction: 0.0, fold: None };

    /// 2162 smiling and 1838 not smiling, mixed.
    fn genki() -> Vec<bool> {
        (0..4000).map(|index| (index * 2162) % 4000 < 2162).collect()
    }

    fn count(labels: &[bool], part: &[usize]) -> [usize; 2] {
        let smiling = part.iter().filter(|&&index| labels[index]).count();
        [part.len() - smiling, smiling]
    }

    #[test]
    fn test_part_has_the_counts_of_the_paper() {
        let labels = genki();
        assert_eq!(count(&labels, &(0..4000).collect::<Vec<_>>()), [1838, 2162]);
        let parts = Split { seed: 1, test_fraction: 0.2, ..NONE }.parts(&labels);
        assert_eq!(count(&labels, &parts.test), [368, 432]);
        assert_eq!(count(&labels, &parts.training), [1470, 1730]);
        assert!(parts.validation.is_empty());
    }

    #[test]
    fn validation_comes_out_of_training_and_leaves_the_test_part_alone() {
        let labels = genki();
        for seed in 0..5 {
            let split = Split { seed, test_fraction: 0.2, validation_fraction: 0.25, fold: None };
            let parts = split.parts(&labels);
            assert_eq!(parts.test, Split { validation_fraction: 0.0, ..split }.parts(&labels).test);
            assert_eq!(count(&labels, &parts.validation), [368, 433]);
            let mut all = [parts.training, parts.validation, parts.test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..4000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn folds_share_all_samples_between_them() {
        let labels = genki();
        let fold = |number: usize| {
            let fold = Some(Fold { number, of: 4 });
            Split { seed: 1, validation_fraction: 0.1, fold, ..NONE }.parts(&labels)
        };
        let mut tested = Vec::new();
        for parts in (1..=4).map(fold) {
            assert_eq!(parts.test.len(), 1000);
            let [others, smiling] = count(&labels, &parts.test);
            assert!((459..=460).contains(&others) && (540..=541).contains(&smiling));
            assert_eq!(parts.validation.len(), 300);
            let mut all = [parts.training, parts.validation, parts.test.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..4000).collect::<Vec<_>>());
            tested.extend(parts.test);
        }
        tested.sort_unstable();
        assert_eq!(tested, (0..4000).collect::<Vec<_>>());
        // Pinned, as the test part below.
        assert_eq!(fold(2).test[..4], [1, 5, 6, 8]);
    }

    #[test]
    fn the_seed_alone_decides() {
        let labels = genki();
        let split = Split { seed: 7, test_fraction: 0.2, validation_fraction: 0.1, fold: None };
        assert_eq!(split.parts(&labels), split.parts(&labels));
        assert_ne!(split.parts(&labels), Split { seed: 8, ..split }.parts(&labels));
        // Pinned: weights name their split by seed, so it must never change.
        assert_eq!(split.parts(&labels).test[..4], [2, 17, 18, 21]);
    }
}
