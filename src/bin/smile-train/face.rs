//! Training a face detector.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use image::{Rgb, RgbImage};
use indicatif::ProgressBar;

use gstsmile::analysis::locate::Detection;
use gstsmile::model::{FaceMetadata, FaceWeights};
use gstsmile::train::{
    self, Error, Examples, Extra, FaceData, FaceFiles, FaceRecord, Faces, Fingerprint, Located, Lock,
    Outcome, Outputs, Picture, Recipe, Result,
};

use crate::arguments::TrainArguments;
use crate::files::{self, Files};
use crate::outputs;
use crate::terminal::{self, Watch, say};
use crate::train::INTERRUPTED;
use crate::{command, limit_threads};

/// How often an epoch goes through the pictures without faces.
const EMPTY_SHARE: usize = 5;

/// Trains as told.
pub fn run(arguments: &TrainArguments) -> Result<ExitCode> {
    let started = Instant::now();
    arguments.check()?;
    limit_threads(arguments.threads);
    let device = arguments.device.open()?;
    let files = Files::new(&arguments.out);
    let outputs = outputs::of_training(arguments)?;
    let inputs = [("--data", &arguments.data)].into_iter();
    let inputs = inputs.chain(arguments.no_face.iter().map(|path| ("--no-face", path)));
    let inputs = inputs.chain(arguments.extra.iter().map(|path| ("--extra", path)));
    for (option, path) in inputs.chain(arguments.extra_no_face.iter().map(|path| ("--extra-no-face", path))) {
        outputs::spare_pictures(&outputs, option, path)?;
    }
    let _lock = Lock::take(&arguments.out)?;
    files.check_checkpoint(arguments.resume)?;

    if let Some(folder) = &arguments.report {
        std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
    }
    let recipe = arguments.recipe()?;
    let init = arguments.init.as_deref().map(|path| initial(path, &recipe, &outputs)).transpose()?;
    let data = read(&FaceFiles {
        data: &arguments.data,
        boxes: &arguments.boxes,
        ignored: &arguments.ignore_boxes,
        parts: &arguments.parts,
        no_face: arguments.no_face.as_deref(),
        extra: &arguments.extra,
        extra_no_face: &arguments.extra_no_face,
    })?;
    let split = arguments.split();
    let parts = data.parts(split);
    let mut metadata = FaceMetadata::new(recipe.architecture.clone());
    let mut record = FaceRecord::new(command::recorded(), &data, split, &parts, &recipe);
    let shares = arguments.extra_shares()?;
    let counts = data.extra.iter().map(Vec::len).zip(shares.iter().copied());
    record.init = init.as_ref().map(|weights| weights.metadata.training.clone());
    record.extra = (!data.extra.is_empty()).then(|| counts.collect());
    metadata.training = record.to_metadata();
    let select = |part: &[usize]| part.iter().map(|&index| &data.pictures[index]).collect::<Vec<&Picture>>();
    // Pictures without faces are few, and each one looks different every time.
    let mut training = select(&parts.training);
    let empty: Vec<_> = training.iter().copied().filter(|picture| picture.faces.is_empty()).collect();
    training.extend(std::iter::repeat_n(empty, EMPTY_SHARE - 1).flatten());
    training.extend(&data.extra_no_face);
    // The test part stays untouched in any case: `locate` and `eval` measure on it.
    let mut held_out = select(&parts.validation);
    held_out.extend(&data.extra_validation);
    // Scenes put faces of all that is learnt from together, and before backgrounds of all.
    let all: Vec<&Picture> = training.iter().copied().chain(data.extra.iter().flatten()).collect();
    let task = Faces::new(metadata.clone(), &all)?;
    if let Some(folder) = &arguments.report {
        let path = folder.join("scenes.png");
        train::write(&path, &scenes(&task, &all)?)?;
        say!("scenes that are learnt from are drawn in {}", path.display());
    }
    say!(
        "training on {} pictures with and {} without a face, measuring on {}; seed {}, split seed {}",
        record.training[0],
        record.training[1] + data.extra_no_face.len(),
        held_out.len(),
        recipe.seed,
        split.seed
    );

    let facts = files::facts_of_run(&metadata, &content(&all));
    let mut trainer = match arguments.resume {
        true => files.resume(&facts, &recipe, task, &device)?,
        false => {
            // An older checkpoint must not be taken for one of this run.
            files.remove_checkpoint();
            Faces::trainer(recipe, task, init.as_ref(), &device)?
        }
    };
    trainer = trainer.about(facts);
    let mut watch = Watch::new(terminal::catch_interrupts()?);
    let extra = data.extra.iter().zip(shares);
    let extra = extra.map(|(pictures, share)| Extra { examples: pictures.iter().collect(), share }).collect();
    let examples = Examples { extra, ..Examples::new(&training, &held_out) };
    let outcome = trainer.run(&examples, Some(&files.checkpoint), &mut watch);
    watch.finish();
    let outcome = outcome?;
    if outcome == Outcome::Interrupted {
        record.interrupted_after = Some(trainer.history().len());
        metadata.training = record.to_metadata();
    }
    let stays = outcome == Outcome::Interrupted && Files::stays(&arguments.out);
    if !stays {
        FaceWeights { metadata, tensors: trainer.tensors()? }.write(&arguments.out)?;
    }
    if outcome == Outcome::Interrupted {
        files.say_interrupted([trainer.history().len(), trainer.recipe().epochs], &arguments.out, stays);
        return Ok(ExitCode::from(INTERRUPTED));
    }
    files.remove_checkpoint();
    say!("weights in {}; {}", arguments.out.display(), terminal::duration(started));
    Ok(ExitCode::SUCCESS)
}

/// The fingerprint of pictures with what is known of them.
fn content(pictures: &[&Picture]) -> String {
    let mut all = Fingerprint::default();
    for picture in pictures {
        all.add(picture.name.as_bytes());
        all.add(&picture.grey.plane().pixels);
        let rects = picture.faces.iter().map(|face| face.rect).chain(picture.unclear.iter().copied());
        for rect in rects {
            for value in [rect.x, rect.y, rect.width, rect.height] {
                all.add(&value.to_le_bytes());
            }
        }
    }
    all.text()
}

/// The weights that training starts from.
fn initial(path: &Path, recipe: &Recipe, outputs: &Outputs) -> Result<FaceWeights> {
    outputs::spare_some(outputs, "--init", Some(path))?;
    let weights = FaceWeights::read(path)?;
    weights.for_architecture(&recipe.architecture)?.ok_or_else(|| {
        Error::Mismatch(format!(
            "--init: the network in {} is not the one of --preset face and --filters, so it can't start from it",
            path.display()
        ))
    })
}

/// Reads pictures, their boxes and pictures without faces behind a progress bar.
pub fn read(files: &FaceFiles) -> Result<FaceData> {
    if files.boxes.is_empty() {
        return Err(Error::Mismatch(
            "a face detector is about boxes: give their table with --boxes FILE.csv".into(),
        ));
    }
    let bar = ProgressBar::no_length();
    let data = FaceData::read(files, |done, count| {
        bar.set_length(count as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let data = data?;
    for skipped in &data.skipped {
        say!("skipped {}: {}", skipped.name, skipped.reason);
    }
    if data.unclear > 0 {
        say!("left out {} pictures whose faces no table knows, or not all of them", data.unclear);
    }
    Ok(data)
}

/// Draws some of the scenes that training makes, with the faces that it asks for: what looks wrong here is learnt
/// wrong.
fn scenes(task: &Faces, pictures: &[&Picture]) -> Result<Vec<u8>> {
    let every = pictures.len().div_ceil(train::report::MOST_ON_SHEET).max(1);
    let scenes: Vec<(Located, RgbImage)> = pictures
        .iter()
        .step_by(every)
        .enumerate()
        .map(|(seed, picture)| {
            let scene = task.scene(picture, seed as u64);
            let (width, height) = (scene.plane.width, scene.plane.height);
            let image = RgbImage::from_fn(width as u32, height as u32, |x, y| {
                Rgb([scene.plane.pixels[y as usize * width + x as usize]; 3])
            });
            let faces = scene.faces.iter().map(|face| Detection {
                rect: face.rect,
                score: 1.0,
                landmarks: face.landmarks.unwrap_or([[0.0; 2]; 5]),
            });
            (Located { name: picture.name.clone(), source: 0, faces: faces.collect() }, image)
        })
        .collect();
    let drawn: Vec<&Located> = scenes.iter().map(|(located, _)| located).collect();
    let image = |located: &Located| {
        scenes.iter().find(|(other, _)| std::ptr::eq(other, located)).map(|(_, image)| image.clone())
    };
    train::report::faces_sheet("Scenes that are learnt from, and their faces", &drawn, image)
}
