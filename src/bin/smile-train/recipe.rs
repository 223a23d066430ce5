//! What the options of training come to.

use gstsmile::model::{Block, Region};
use gstsmile::train::{Error, Loss, Preset, Recipe, Split};

use crate::arguments::{RegionArgument, TrainArguments};

impl TrainArguments {
    /// # Errors
    /// Where an option is given that the preset has no use for.
    pub fn check(&self) -> gstsmile::train::Result<()> {
        let face = self.preset == Preset::Face;
        let given = match face {
            true => vec![
                ("--region", self.region.is_some()),
                ("--face-model", self.face_model.is_some()),
                ("--classes", !self.classes.is_empty()),
                ("--votes", !self.votes.is_empty()),
                ("--extra-region", self.extra_region != [RegionArgument::Full]),
                ("--extra-validation-fraction", self.extra_validation_fraction > 0.0),
                ("--loss", self.loss.is_some()),
                ("--temperature", self.temperature.is_some()),
            ],
            false => vec![
                ("--boxes", !self.boxes.is_empty()),
                ("--ignore-boxes", !self.ignore_boxes.is_empty()),
                ("--no-face", self.no_face.is_some()),
                ("--extra-no-face", !self.extra_no_face.is_empty()),
            ],
        };
        if self.variation.is_some() && self.preset.variation().is_none() {
            return Err(Error::Mismatch("--variation is only for --preset smile; leave it out".into()));
        }
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Error::Mismatch(format!(
                "{option} is {} --preset face; leave it out",
                if face { "not for" } else { "only for" }
            ))),
        }
    }

    /// How many pictures of each `--extra` an epoch sees for each of `--data`.
    ///
    /// # Errors
    /// Where `--extra-share` has neither one number nor one for each.
    pub fn extra_shares(&self) -> gstsmile::train::Result<Vec<f64>> {
        each("--extra-share", "numbers", &self.extra_share, self.extra.len())
    }

    /// What the network sees of the pictures of each `--extra`.
    ///
    /// # Errors
    /// Where `--extra-region` has neither one value nor one for each.
    pub fn extra_regions(&self) -> gstsmile::train::Result<Vec<Region>> {
        let regions = each("--extra-region", "values", &self.extra_region, self.extra.len())?;
        Ok(regions.into_iter().map(Region::from).collect())
    }

    pub fn split(&self) -> Split {
        Split {
            seed: self.split_seed,
            test_fraction: self.test_fraction,
            validation_fraction: self.validation_fraction,
            fold: None,
        }
    }

    /// What the network is shown, with the margin about a face.
    pub fn region(&self) -> (Region, f32) {
        let (region, margin) = self.preset.region();
        (self.region.map_or(region, Region::from), margin)
    }

    pub fn variation(&self) -> Option<f64> {
        self.variation.or(self.preset.variation())
    }

    pub fn loss(&self) -> Loss {
        self.loss.unwrap_or(Loss::CrossEntropy)
    }

    /// The preset's recipe with what the other options change.
    ///
    /// # Errors
    /// Where `--filters` doesn't fit the number of convolutions.
    pub fn recipe(&self) -> gstsmile::train::Result<Recipe> {
        let mut recipe = self.preset.recipe();
        let last = recipe.architecture.blocks.len().saturating_sub(1);
        for (index, block) in recipe.architecture.blocks.iter_mut().enumerate() {
            if let (Block::Dense { units, .. }, Some(dense)) = (block, self.dense.filter(|_| index < last)) {
                *units = dense;
            }
        }
        set_filters(&mut recipe, &self.filters)?;
        recipe.seed = self.seed;
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.l2 = self.l2.unwrap_or(recipe.l2);
        recipe.batch = self.batch.unwrap_or(recipe.batch);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        Ok(recipe)
    }
}

/// One value for each `--extra`, where there are as many or one for all.
fn each<T: Copy>(option: &str, what: &str, values: &[T], count: usize) -> gstsmile::train::Result<Vec<T>> {
    match *values {
        [value] => Ok(vec![value; count]),
        _ if values.len() == count => Ok(values.to_vec()),
        _ => Err(Error::Mismatch(format!(
            "{option}: {} {what} for {count} times --extra; give one for each, or one for all",
            values.len()
        ))),
    }
}

/// Gives each convolution its filters: none to leave them, one number for all, or one for each.
fn set_filters(recipe: &mut Recipe, wanted: &[usize]) -> gstsmile::train::Result<()> {
    let blocks = &mut recipe.architecture.blocks;
    let convolutions: Vec<&mut usize> = blocks
        .iter_mut()
        .filter_map(|block| match block {
            Block::Conv { filters, .. } => Some(filters),
            _ => None,
        })
        .collect();
    if wanted.len() > 1 && wanted.len() != convolutions.len() {
        return Err(Error::Mismatch(format!(
            "--filters: {} numbers for {} convolutions; give one for each, or one for all",
            wanted.len(),
            convolutions.len()
        )));
    }
    for (filters, &wanted) in convolutions.into_iter().zip(wanted.iter().cycle()) {
        *filters = wanted;
    }
    Ok(())
}
