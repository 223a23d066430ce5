//! Interrupted training goes on to the very weights that it would have reached.

use std::path::Path;

use candle_core::Device;
use gstsmile::model::{Architecture, Metadata, Weights};
use gstsmile::train::{
    Dataset, EpochResult, Error, Examples, Extra, Loss, Observer, Outcome, Preset, Progress, Recipe, Sample,
    Schedule, Smiles, Trainer,
};
use tempfile::tempdir;

use crate::pictures::{put_classes, read};

/// Stops after so many batches.
#[derive(Default)]
struct Stopper {
    after: Option<usize>,
    batches: usize,
    epochs: Vec<usize>,
}

impl Observer for Stopper {
    fn batch(&mut self, progress: &Progress) {
        assert!(progress.batch <= progress.batches && progress.epoch <= progress.epochs);
        self.batches += 1;
    }

    fn epoch(&mut self, result: &EpochResult) {
        self.epochs.push(result.epoch);
    }

    fn stopped(&self) -> bool {
        self.after.is_some_and(|after| self.batches >= after)
    }
}

fn recipe() -> Recipe {
    Recipe { architecture: Architecture::paper(3, 4, 8), epochs: 3, batch: 8, ..Preset::PaperDeep.recipe() }
}

fn task() -> Smiles {
    Smiles::new(Loss::CrossEntropy, Metadata::new(recipe().architecture))
}

fn samples(dataset: &Dataset) -> (Vec<&Sample>, Vec<&Sample>) {
    dataset.samples.iter().enumerate().fold(
        (vec![], vec![]),
        |(mut training, mut held_out), (index, sample)| {
            if index % 4 == 0 {
                held_out.push(sample)
            } else {
                training.push(sample)
            }
            (training, held_out)
        },
    )
}

/// The weights' bytes after a run that is stopped after each of `stops` batches and gone on with.
fn train(recipe: &Recipe, dataset: &Dataset, stops: &[usize], checkpoint: &Path) -> Vec<u8> {
    let (training, held_out) = samples(dataset);
    // Half as many again, of the same.
    let extra = vec![Extra { examples: training.clone(), share: 0.5 }];
    let extra = Examples { extra, ..Examples::new(&training, &held_out) };
    let examples = if recipe.average > 0.0 { extra } else { Examples::new(&training, &held_out) };
    let mut trainer = Trainer::new(recipe.clone(), task(), &Device::Cpu).unwrap();
    for &after in stops {
        let mut stopper = Stopper { after: Some(after), ..Stopper::default() };
        let outcome = trainer.run(&examples, Some(checkpoint), &mut stopper).unwrap();
        assert!(matches!(outcome, Outcome::Interrupted));
        assert_eq!(stopper.batches, after, "it ends after the running batch");
        trainer = Trainer::resume(checkpoint, task(), &Device::Cpu).unwrap();
    }
    let mut watcher = Stopper::default();
    let outcome = trainer.run(&examples, Some(checkpoint), &mut watcher).unwrap();
    assert!(matches!(outcome, Outcome::Finished));
    let epochs: Vec<_> = trainer.history().iter().map(|result| result.epoch).collect();
    assert_eq!(epochs, [1, 2, 3], "no epoch is lost or doubled");
    let metadata = Metadata::new(recipe.architecture.clone());
    Weights { metadata, tensors: trainer.tensors().unwrap() }.to_bytes().unwrap()
}

#[test]
fn training_that_comes_apart_ends_and_leaves_the_last_good_checkpoint() {
    let folder = tempdir().unwrap();
    put_classes(folder.path(), 14);
    let dataset = read(folder.path()).unwrap();
    let checkpoint = folder.path().join("checkpoint");
    let (training, held_out) = samples(&dataset);
    let examples = Examples::new(&training, &held_out);
    let sound = Trainer::new(Recipe { epochs: 1, ..recipe() }, task(), &Device::Cpu);
    sound.unwrap().run(&examples, Some(&checkpoint), &mut Stopper::default()).unwrap();
    let before = std::fs::read(&checkpoint).unwrap();
    let wild = Recipe { learning_rate: 1e30, ..recipe() };
    let mut trainer = Trainer::new(wild, task(), &Device::Cpu).unwrap();
    let error = trainer.run(&examples, Some(&checkpoint), &mut Stopper::default()).unwrap_err();
    assert!(matches!(error, Error::Diverged { epoch: 1 }), "{error}");
    assert!(error.is_bad_input() && error.to_string().contains("--learning-rate"), "{error}");
    assert!(std::fs::read(&checkpoint).unwrap() == before);
    // Nor would such weights be written.
    let out = folder.path().join("out");
    std::fs::write(&out, "good").unwrap();
    let metadata = Metadata::new(recipe().architecture);
    let tensors = trainer.tensors().unwrap();
    assert!(Weights { metadata, tensors }.write(&out).is_err());
    assert_eq!(std::fs::read(&out).unwrap(), b"good");
}

#[test]
fn interruptions_leave_no_trace_in_the_weights() {
    let folder = tempdir().unwrap();
    put_classes(folder.path(), 14);
    let dataset = read(folder.path()).unwrap();
    let checkpoint = folder.path().join("checkpoint");
    let averaged = Recipe { schedule: Schedule::Cosine, average: 0.9, ..recipe() };
    for recipe in [recipe(), averaged] {
        let straight = train(&recipe, &dataset, &[], &checkpoint);
        // 21 training pictures make batches of 8, 8 and 5 (or 31 of 8, 8, 8 and 7): in the middle
        // of an epoch, at its end, and twice.
        for stops in [&[1][..], &[3], &[2, 3]] {
            let stopped = train(&recipe, &dataset, stops, &checkpoint);
            assert!(stopped == straight, "stopped after {stops:?} with {recipe:?}");
        }
    }
}
