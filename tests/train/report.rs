//! Reports on histories of every length, also on odd ones.

use std::fs;

use gstsmile::model::{Architecture, Metadata};
use gstsmile::train::report::Report;
use gstsmile::train::{
    Confusion, DataFacts, EpochResult, HeldOut, Loss, Measured, Preset, Record, Sample, Split, SplitFacts,
};
use serde_json::Value;
use tempfile::tempdir;

use crate::pictures::{put_classes, read};

/// Curves as a network makes them that learns its training pictures by heart.
fn history(epochs: usize) -> Vec<EpochResult> {
    let result = |epoch: usize| {
        let (x, wobble) = (epoch as f64, 0.01 * ((epoch * 7919) % 13) as f64 / 13.0);
        EpochResult {
            epoch,
            loss: 0.7 * (-x / 15.0).exp(),
            accuracy: 1.0 - 0.45 * (-x / 12.0).exp(),
            held_out_loss: Some(0.35 + 0.35 * (-x / 6.0).exp() + 0.004 * x + wobble),
            held_out_accuracy: Some(0.85 - 0.35 * (-x / 6.0).exp() + wobble),
        }
    };
    (1..=epochs).map(result).collect()
}

fn record(dataset: &gstsmile::train::Dataset, result: Option<Measured>) -> Record {
    let recipe = Preset::PaperDeep.recipe();
    let split = Split { seed: 1, test_fraction: 0.2, validation_fraction: 0.0, fold: None };
    let labels = dataset.labels();
    Record {
        content: None,
        command: "smile-train --data faces --out smile.safetensors".into(),
        version: "1.2.3".into(),
        preset: Preset::PaperDeep,
        data: DataFacts::of(dataset),
        split: SplitFacts::new(split, &labels, &split.parts(&labels)),
        seed: recipe.seed,
        epochs: recipe.epochs,
        interrupted_after: None,
        loss: Loss::CrossEntropy,
        l2: recipe.l2,
        batch: recipe.batch,
        learning_rate: recipe.learning_rate,
        extra: vec![],
        extra_share: None,
        votes: vec![],
        parts: vec![],
        measured_extra: Default::default(),
        variation: None,
        init: None,
        result,
    }
}

#[test]
fn every_length_of_training_can_be_drawn() {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("faces"), 45);
    let dataset = read(&folder.path().join("faces")).unwrap();
    let held_out: Vec<&Sample> = dataset.samples.iter().collect();
    let probabilities: Vec<f32> = (0..90).map(|index| (index * 37 % 90) as f32 / 89.0).collect();
    let metadata = Metadata::new(Architecture::paper(4, 32, 128));
    let confusion = Confusion::count(&held_out, &probabilities, 0.5);
    let record = record(&dataset, Some(Measured::new(HeldOut::Test, confusion)));

    let mut odd = history(3);
    odd[1] = EpochResult { loss: f64::NAN, held_out_loss: Some(f64::INFINITY), ..odd[1].clone() };
    odd[2] = EpochResult { held_out_loss: None, held_out_accuracy: None, ..odd[2].clone() };
    for (name, history) in [("long", history(50)), ("one", history(1)), ("none", history(0)), ("odd", odd)] {
        let report = Report {
            record: &record,
            history: &history,
            held_out: &held_out,
            probabilities: &probabilities,
            metadata: &metadata,
        };
        let place = folder.path().join(name).join("deeper");
        report.write(&place).unwrap();
        for picture in ["curves.png", "confusion.png", "sheet.png"] {
            assert!(image::open(place.join(picture)).unwrap().width() > 600, "{name}/{picture}");
        }
        let metrics: Value = serde_json::from_slice(&fs::read(place.join("metrics.json")).unwrap()).unwrap();
        assert_eq!(metrics["accuracy"], confusion.accuracy());
        assert_eq!(metrics["history"].as_array().unwrap().len(), history.len());
    }
}

#[test]
fn records_survive_metadata() {
    let folder = tempdir().unwrap();
    put_classes(folder.path(), 5);
    let dataset = read(folder.path()).unwrap();
    for result in [None, Some(Measured::new(HeldOut::Validation, Confusion([[3, 1], [0, 4]])))] {
        let record = record(&dataset, result);
        assert_eq!(Record::from_metadata(&record.to_metadata()).unwrap(), record);
    }
}
