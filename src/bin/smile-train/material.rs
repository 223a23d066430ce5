//! What training learns from, whatever is left out.

use std::path::{Path, PathBuf};

use candle_core::Device;

use gstsmile::model::{Architecture, FaceWeights, Metadata, Region, SmileWeights};
use gstsmile::train::{
    Catalog, Classes, Dataset, Error, ExtraFacts, Fingerprint, Outputs, PartTables, Result, Sample, Split,
    View, Votes,
};

use crate::arguments::TrainArguments;
use crate::outputs;
use crate::terminal::{self, say};

/// Data sets and weights that have been read.
pub struct Material {
    pub metadata: Metadata,
    pub dataset: Dataset,
    pub extra: Vec<Collection>,
    /// The one of them that nothing is learnt from.
    left_out: Option<usize>,
    /// The weights to start from.
    pub init: Option<SmileWeights>,
    /// The fingerprint of all that is learnt from.
    pub content: String,
    pub device: Device,
}

/// A data set that is learnt from beside the main one, but for its validation part.
pub struct Collection {
    dataset: Dataset,
    /// Indices of samples with a face.
    training: Vec<usize>,
    validation: Vec<usize>,
    pub share: f64,
    pub facts: ExtraFacts,
}

impl Collection {
    /// Parts a data set as tables say, and by chance what they don't name.
    fn new(dataset: Dataset, (split, tables): (Split, &PartTables), share: f64, region: Region) -> Self {
        let parts = dataset.parts(split, tables);
        let facts = ExtraFacts::new(&dataset, (split, &parts), share, region);
        let seen = |index: &usize| !dataset.samples[*index].pixels.is_empty();
        let training = parts.training.into_iter().filter(seen).collect();
        Self { training, validation: parts.validation, share, facts, dataset }
    }

    /// What is learnt from.
    pub fn training(&self) -> Vec<&Sample> {
        self.dataset.select(&self.training)
    }

    /// What is measured on instead.
    pub fn validation(&self) -> Vec<&Sample> {
        self.dataset.select(&self.validation)
    }

    pub fn all(&self) -> Vec<&Sample> {
        self.dataset.samples.iter().collect()
    }

    pub fn name(&self) -> &str {
        &self.dataset.name
    }
}

impl Material {
    /// Reads the data sets and the weights to start from.
    ///
    /// # Errors
    /// Where something can't be read, or `outputs` would overwrite it.
    pub fn read(arguments: &TrainArguments, outputs: &Outputs) -> Result<Self> {
        let device = arguments.device.open()?;
        let recipe = arguments.recipe()?;
        let init = arguments.init.as_deref().map(|path| initial(path, &recipe.architecture)).transpose()?;
        let mut metadata = Metadata::new(recipe.architecture);
        (metadata.region, metadata.margin) = arguments.region();
        metadata.temperature = arguments.temperature.unwrap_or(1.0) as f32;
        let regions = arguments.extra_regions()?;
        let locator = match metadata.region == Region::Faces || regions.contains(&Region::Faces) {
            true => Some(terminal::face_weights(arguments.face_model.as_deref())?),
            false => None,
        };
        let reader = Reader { arguments, outputs, metadata: &metadata, locator: locator.as_ref() };
        let votes = Votes::read(&arguments.votes)?;
        let classes = Classes::told(&arguments.classes)?;
        let catalog = Catalog::with_classes(&arguments.data, &classes)?;
        let mut dataset = reader.read("--data", catalog, metadata.region, false)?;
        count_votes(&votes, &mut dataset);
        let extra = reader.extra(&regions, (&classes, &votes))?;
        let content = content(&dataset, &extra);
        Ok(Self { metadata, dataset, extra, left_out: None, init, content, device })
    }

    /// Leaves one of the other data sets out, and those before back in.
    pub fn leave_out(&mut self, index: usize) {
        self.left_out = Some(index);
    }

    /// The other data sets that are learnt from.
    pub fn others(&self) -> impl Iterator<Item = &Collection> {
        let all = self.extra.iter().enumerate();
        all.filter(|(index, _)| self.left_out != Some(*index)).map(|(_, collection)| collection)
    }
}

/// Reads data sets for one network.
struct Reader<'a> {
    arguments: &'a TrainArguments,
    outputs: &'a Outputs,
    metadata: &'a Metadata,
    locator: Option<&'a FaceWeights>,
}

impl Reader<'_> {
    /// A data set of which the network sees a region; `whole` where each picture is as a whole that region.
    fn read(&self, option: &str, catalog: Catalog, region: Region, whole: bool) -> Result<Dataset> {
        outputs::spare_data(self.outputs, option, &catalog)?;
        let locator = self.locator.filter(|_| region == Region::Faces && !whole);
        let wide = self.arguments.variation().is_some();
        terminal::read_data(catalog, View { wide, region, ..View::of(self.metadata, locator) })
    }

    fn extra(&self, regions: &[Region], (classes, votes): (&Classes, &Votes)) -> Result<Vec<Collection>> {
        let tables = PartTables::read(&self.arguments.parts)?;
        let split = Split {
            seed: self.arguments.split_seed,
            test_fraction: 0.0,
            validation_fraction: self.arguments.extra_validation_fraction,
            fold: None,
        };
        let shares = self.arguments.extra_shares()?;
        let collection = |((path, &region), share): ((&PathBuf, &Region), f64)| {
            let whole = region == Region::Full;
            let seen = if whole { self.metadata.region } else { region };
            let mut dataset = self.read("--extra", Catalog::with_classes(path, classes)?, seen, whole)?;
            count_votes(votes, &mut dataset);
            Ok(Collection::new(dataset, (split, &tables), share, region))
        };
        let all = self.arguments.extra.iter().zip(regions).zip(shares).map(collection);
        let all: Vec<Collection> = all.collect::<Result<_>>()?;
        tables.require(all.iter().flat_map(Collection::all).map(|sample| sample.name.as_str()))?;
        Ok(all)
    }
}

/// Lets votes stand for a data set's labels, if they are about it, and says so.
pub fn count_votes(votes: &Votes, dataset: &mut Dataset) {
    let before = dataset.samples.len();
    if let Some(left) = votes.relabel(dataset) {
        let smiling = dataset.samples.iter().filter(|sample| sample.smiling).count();
        say!("{}: votes for {left} of {before} pictures, {smiling} of which smile for most", dataset.name);
    }
}

/// Weights to start from.
fn initial(path: &Path, network: &Architecture) -> Result<SmileWeights> {
    let weights = SmileWeights::read(path)?;
    match weights.metadata.architecture == *network {
        true => Ok(weights),
        false => Err(Error::Mismatch(format!(
            "--init: the network in {} is not the one of --preset, --filters and --dense; \
             `smile-train info` prints what it is",
            path.display()
        ))),
    }
}

/// The fingerprint of pictures as networks see them, so that it tells other files apart, faces cut otherwise, and
/// other votes and parts.
fn content(dataset: &Dataset, extra: &[Collection]) -> String {
    let mut all = Fingerprint::default();
    dataset.samples.iter().for_each(|sample| add(&mut all, sample, 0));
    for collection in extra {
        for (part, samples) in [(0, collection.training()), (1, collection.validation())] {
            samples.into_iter().for_each(|sample| add(&mut all, sample, part));
        }
    }
    all.text()
}

fn add(all: &mut Fingerprint, sample: &Sample, part: u8) {
    all.add(sample.name.as_bytes());
    all.add(&[part, u8::from(sample.smiling)]);
    all.add(&sample.votes.unwrap_or(f32::NAN).to_le_bytes());
    all.add(&sample.pixels);
}
