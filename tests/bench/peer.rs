//! Our side of `compare.sh`: runs what it is asked to on standard input and answers with the
//! nanoseconds that it took.
//!
//! - `cnn WEIGHTS BATCH ITERATIONS` → `NANOSECONDS`
//! - `faces WEIGHTS RGB WIDTH HEIGHT ITERATIONS` → `NANOSECONDS COUNT` of locating faces in a file of
//!   packed RGB
//! - `outputs WEIGHTS BATCH` → the probabilities
//! - `losses WEIGHTS BATCH STEPS` → the losses of a training's first steps
//! - `train WEIGHTS BATCH STEPS` → `NANOSECONDS` of further steps of one training
//! - `streams WEIGHTS THREADS ITERATIONS` → `NANOSECONDS` in which each of some threads asked about single
//!   pictures so many times
//! - `frames WEIGHTS PICTURE ITERATIONS` → `NANOSECONDS PROBABILITY…` of a picture file as so many frames, from
//!   its pixels to its faces, as the element does it
//!
//! Smile networks run on `SMILE_DEVICE`, if that is set, else on the CPU.
//! Pictures are made by the same formula as in `compare.py`.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Barrier;
use std::time::Instant;

use gstsmile::analysis::crop::Picture;
use gstsmile::analysis::locate::Locator;
use gstsmile::analysis::{Analyzer, Request};
use gstsmile::model::{Classifier, DeviceChoice, FaceWeights, Weights};
use train_step::{Training, pictures};

mod train_step;

fn main() -> Result<(), Box<dyn Error>> {
    let device = std::env::var("SMILE_DEVICE").map_or(Ok(DeviceChoice::Cpu), |device| device.parse())?;
    let mut classifiers = Classifiers { device, known: HashMap::new() };
    let mut locator = None;
    let mut training = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["cnn", weights, batch, iterations] => {
                let classifier = classifiers.of(weights)?;
                let pictures = pictures(batch.parse()?, classifier.metadata().architecture.input_len());
                let mut probabilities = Vec::new();
                classifier.probabilities(&pictures, &mut probabilities)?;
                let start = Instant::now();
                for _ in 0..iterations.parse()? {
                    classifier.probabilities(black_box(&pictures), &mut probabilities)?;
                }
                let span = start.elapsed().as_nanos();
                unfailed(classifier)?;
                println!("{span}");
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
                let classifier = classifiers.of(weights)?;
                let pictures = pictures(batch.parse()?, classifier.metadata().architecture.input_len());
                let mut probabilities = Vec::new();
                classifier.probabilities(&pictures, &mut probabilities)?;
                unfailed(classifier)?;
                println!("{}", probabilities.iter().map(f32::to_string).collect::<Vec<_>>().join(" "));
            }
            ["losses", weights, batch, steps] => {
                let weights = Weights::read(Path::new(weights))?;
                let mut training = Training::new(&weights, batch.parse()?, &device.open()?)?;
                let losses = (0..steps.parse()?).map(|_| Ok(training.loss_and_step()?.to_string()));
                println!("{}", losses.collect::<Result<Vec<_>, Box<dyn Error>>>()?.join(" "));
            }
            ["train", weights, batch, steps] => {
                let training = match &mut training {
                    Some(training) => training,
                    none => {
                        let weights = Weights::read(Path::new(weights))?;
                        none.insert(Training::new(&weights, batch.parse()?, &device.open()?)?)
                    }
                };
                let start = Instant::now();
                for _ in 0..steps.parse()? {
                    training.step()?;
                }
                println!("{}", start.elapsed().as_nanos());
            }
            ["streams", weights, threads, iterations] => {
                println!("{}", streams(device, Path::new(weights), threads.parse()?, iterations.parse()?)?);
            }
            ["frames", weights, picture, iterations] => {
                println!("{}", frames(device, Path::new(weights), Path::new(picture), iterations.parse()?)?);
            }
            _ => return Err(format!("unknown request: {line}").into()),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

struct Classifiers {
    device: DeviceChoice,
    known: HashMap<String, Classifier>,
}

impl Classifiers {
    fn of(&mut self, path: &str) -> Result<&mut Classifier, Box<dyn Error>> {
        if !self.known.contains_key(path) {
            let classifier = Classifier::shared(Some(Path::new(path)), self.device)?;
            self.known.insert(path.into(), classifier);
        }
        Ok(self.known.get_mut(path).expect("just inserted"))
    }
}

fn frames(
    device: DeviceChoice,
    weights: &Path,
    picture: &Path,
    iterations: u32,
) -> Result<String, Box<dyn Error>> {
    let image = image::open(picture)?.into_rgb8();
    let picture = Picture::rgb(image.width() as usize, image.height() as usize, &image);
    let mut analyzer = Analyzer::new(&Weights::read(weights)?, Some(&FaceWeights::embedded()?), device)?;
    let start = Instant::now();
    for _ in 1..iterations {
        analyzer.analyze(&picture, None, &Request::default())?;
    }
    let faces = analyzer.analyze(&picture, None, &Request::default())?;
    let span = start.elapsed().as_nanos();
    let answers: String = faces.iter().map(|face| format!(" {}", face.probability)).collect();
    unfailed(analyzer.classifier())?;
    Ok(format!("{span}{answers}"))
}

/// # Errors
/// Where the device has failed and the CPU gone on, so that what was measured isn't the device.
fn unfailed(classifier: &mut Classifier) -> gstsmile::model::Result<()> {
    classifier.take_failure().map_or(Ok(()), Err)
}

/// Nanoseconds from when all threads are ready until the last one is through.
fn streams(
    device: DeviceChoice,
    weights: &Path,
    threads: usize,
    iterations: usize,
) -> Result<u128, Box<dyn Error>> {
    let classifiers: Result<Vec<_>, _> =
        (0..threads).map(|_| Classifier::shared(Some(weights), device)).collect();
    let ready = Barrier::new(threads + 1);
    let work = |mut classifier: Classifier| {
        let picture = pictures(1, classifier.metadata().architecture.input_len());
        let mut probabilities = Vec::new();
        ready.wait();
        (0..iterations).try_for_each(|_| classifier.probabilities(&picture, &mut probabilities))?;
        unfailed(&mut classifier)
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> =
            classifiers?.into_iter().map(|classifier| scope.spawn(move || work(classifier))).collect();
        ready.wait();
        let start = Instant::now();
        for worker in workers {
            worker.join().expect("no thread panics")?;
        }
        Ok(start.elapsed().as_nanos())
    })
}
