//! Our side of `compare.sh`: runs what it is asked to on standard input and answers with the
//! nanoseconds that it took.
//!
//! - `cnn WEIGHTS BATCH ITERATIONS` → `NANOSECONDS`
//! - `faces WEIGHTS RGB WIDTH HEIGHT ITERATIONS` → `NANOSECONDS COUNT` of locating faces in a file of
//!   packed RGB
//! - `outputs WEIGHTS BATCH` → the probabilities
//! - `losses WEIGHTS BATCH STEPS` → the losses of a training's first steps
//! - `train WEIGHTS BATCH STEPS` → `NANOSECONDS` of further steps of one training
//!
//! Pictures are made by the same formula as in `compare.py`.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use gstsmile::analysis::crop::Picture;
use gstsmile::analysis::locate::Locator;
use gstsmile::model::{Classifier, DeviceChoice, FaceWeights, Weights};
use train_step::{Training, pictures};

mod train_step;

fn main() -> Result<(), Box<dyn Error>> {
    let mut classifiers = HashMap::new();
    let mut locator = None;
    let mut training = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["cnn", weights, batch, iterations] => {
                let classifier = classifier(&mut classifiers, weights)?;
                let pictures = pictures(batch.parse()?, classifier.metadata().architecture.input_len());
                let mut probabilities = Vec::new();
                classifier.probabilities(&pictures, &mut probabilities)?;
                let start = Instant::now();
                for _ in 0..iterations.parse()? {
                    classifier.probabilities(black_box(&pictures), &mut probabilities)?;
                }
                println!("{}", start.elapsed().as_nanos());
            }
            ["faces", weights, rgb, width, height, iterations] => {
                let locator = match &mut locator {
                    Some(locator) => locator,
                    none => none.insert(Locator::new(&FaceWeights::read(Path::new(weights))?)?),
                };
                let data = std::fs::read(rgb)?;
                let picture = Picture::rgb(width.parse()?, height.parse()?, &data);
                let mut found = Vec::new();
                locator.locate(&picture, &mut found)?;
                let start = Instant::now();
                for _ in 0..iterations.parse()? {
                    locator.locate(black_box(&picture), &mut found)?;
                }
                println!("{} {}", start.elapsed().as_nanos(), found.len());
            }
            ["outputs", weights, batch] => {
                let classifier = classifier(&mut classifiers, weights)?;
                let pictures = pictures(batch.parse()?, classifier.metadata().architecture.input_len());
                let mut probabilities = Vec::new();
                classifier.probabilities(&pictures, &mut probabilities)?;
                println!("{}", probabilities.iter().map(f32::to_string).collect::<Vec<_>>().join(" "));
            }
            ["losses", weights, batch, steps] => {
                let mut training = Training::new(&Weights::read(Path::new(weights))?, batch.parse()?)?;
                let losses = (0..steps.parse()?).map(|_| Ok(training.loss_and_step()?.to_string()));
                println!("{}", losses.collect::<Result<Vec<_>, Box<dyn Error>>>()?.join(" "));
            }
            ["train", weights, batch, steps] => {
                let training = match &mut training {
                    Some(training) => training,
                    none => none.insert(Training::new(&Weights::read(Path::new(weights))?, batch.parse()?)?),
                };
                let start = Instant::now();
                for _ in 0..steps.parse()? {
                    training.step()?;
                }
                println!("{}", start.elapsed().as_nanos());
            }
            _ => return Err(format!("unknown request: {line}").into()),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn classifier<'a>(
    classifiers: &'a mut HashMap<String, Classifier>,
    path: &str,
) -> Result<&'a mut Classifier, Box<dyn Error>> {
    if !classifiers.contains_key(path) {
        let weights = Weights::read(Path::new(path))?;
        classifiers.insert(path.into(), Classifier::new(&weights, &DeviceChoice::Cpu.open()?)?);
    }
    Ok(classifiers.get_mut(path).expect("just inserted"))
}
