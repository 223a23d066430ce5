//! Learning where faces are.

mod boxes;
mod data;
mod framing;
mod measure;
mod record;
mod scene;
mod target;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::model::{self, Block, FaceMetadata, FaceWeights};
use crate::train::error::Result;
use crate::train::fit::recipe::Recipe;
use crate::train::fit::trainer::{Task, Trainer};

pub use crate::train::data::plane::Plane;
pub use boxes::FoundBoxes;
pub use data::{Face, FaceData, FaceFiles, Picture};
pub use measure::{Alarms, Found, Recall, Tally, View, measure};
pub use record::FaceRecord;
pub use scene::Scene;
use scene::Stock;
use target::{Grid, Target};

/// Width and height of the scenes that are learnt from, all of a batch alike: mostly small ones, of which more
/// are seen in the same time, and now and then one in which faces are as large as in whole frames.
const SCENES: [[usize; 2]; 2] = [[160, 128], [288, 224]];
/// How often a batch is of the larger ones.
const LARGE: f32 = 0.1;

/// Finding the faces in scenes made of the pictures given.
pub struct Faces<'a> {
    stock: Stock<'a>,
    metadata: FaceMetadata,
    strides: Vec<usize>,
}

impl<'a> Faces<'a> {
    /// For networks that `metadata` describes; scenes are put together from `pictures` alone.
    ///
    /// # Errors
    /// Where the architecture is no face detector's.
    pub fn new(metadata: FaceMetadata, pictures: &[&'a Picture]) -> Result<Self> {
        let strides = metadata.architecture.face_strides()?;
        let (faces, backgrounds) = pictures.iter().partition(|picture| !picture.faces.is_empty());
        Ok(Self { stock: Stock { faces, backgrounds }, metadata, strides })
    }

    /// The scene that this seed makes of a picture.
    pub fn scene(&self, picture: &Picture, seed: u64) -> Scene {
        self.scene_of(picture, SCENES[0], seed)
    }

    fn scene_of(&self, picture: &Picture, size: [usize; 2], seed: u64) -> Scene {
        self.stock.scene(picture, size, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    /// A trainer that goes on from `init`, or whose network at first takes nearly everything for background, as
    /// nearly everything is (Lin et al. 2017).
    ///
    /// # Errors
    /// Where the architecture is not sound, or `init` doesn't fit it.
    pub fn trainer(
        recipe: Recipe,
        task: Self,
        init: Option<&FaceWeights>,
        device: &Device,
    ) -> Result<Trainer<Self>> {
        if let Some(weights) = init {
            return Trainer::from_tensors(recipe, task, weights.tensors.clone(), device);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        let mut tensors = model::initial_tensors(&recipe.architecture, &mut rng)?;
        for (index, block) in recipe.architecture.blocks.iter().enumerate() {
            if let Block::Head { filters, .. } = *block {
                let mut bias = vec![0.0f32; filters];
                bias[0] = -4.0;
                tensors.insert(format!("{index}.bias"), Tensor::from_vec(bias, filters, &Device::Cpu)?);
            }
        }
        Trainer::from_tensors(recipe, task, tensors, device)
    }
}

impl Task for Faces<'_> {
    type Example = Picture;
    type Targets = Vec<Target>;

    fn batch(
        &self,
        pictures: &[&Picture],
        variation: Option<ChaCha8Rng>,
        device: &Device,
    ) -> Result<(Tensor, Vec<Target>)> {
        // What isn't to vary is still a scene made by chance, but always the same.
        let varies = variation.is_some();
        let mut chance = variation.unwrap_or_else(|| ChaCha8Rng::seed_from_u64(pictures.len() as u64));
        let size = SCENES[usize::from(varies && chance.random::<f32>() < LARGE)];
        let grids: Vec<Grid> = self.strides.iter().map(|&stride| Grid::new(stride, size)).collect();
        let seeds: Vec<u64> = pictures.iter().map(|_| chance.random()).collect();
        let FaceMetadata { scale, offset, .. } = self.metadata;
        let scenes: Vec<(Vec<f32>, Target)> = pictures
            .par_iter()
            .zip(seeds)
            .map(|(picture, seed)| {
                let scene = self.scene_of(picture, size, seed);
                let input = scene.plane.pixels.iter().map(|&byte| f32::from(byte) * scale + offset);
                (input.collect(), Target::new(&scene, &grids))
            })
            .collect();
        let (inputs, targets): (Vec<Vec<f32>>, Vec<Target>) = scenes.into_iter().unzip();
        let [width, height] = size;
        Ok((Tensor::from_vec(inputs.concat(), (targets.len(), 1, height, width), device)?, targets))
    }

    fn judge(&self, answers: &[Tensor], targets: &Vec<Target>) -> Result<(Tensor, usize)> {
        let values = answers.iter().map(|answer| answer.flatten_all()?.to_vec1::<f32>());
        let values = values.collect::<candle_core::Result<Vec<_>>>()?;
        let verdict = target::judge(targets, &values);
        // A sum that has the loss for its value and the loss's derivatives for its own.
        let mut sum = Tensor::new(verdict.loss, answers[0].device())?;
        for (answer, gradient) in answers.iter().zip(verdict.gradients) {
            let gradient = Tensor::from_vec(gradient, answer.shape(), answer.device())?;
            sum = (sum + ((answer - answer.detach())? * gradient)?.sum_all()?)?;
        }
        Ok((sum, verdict.right))
    }
}
