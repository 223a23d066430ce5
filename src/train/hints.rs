//! What a larger network makes of the pictures, to learn from beside their labels.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{D, DType, Device, Tensor};

use super::dataset::{Sample, last_component};
use super::error::{Error, Result};
use crate::model::{Architecture, Block, SmileWeights};

/// Some numbers for each of many pictures, such as features of another network.
///
/// A network that is to guess them beside its own answer learns more from a picture than its label tells
/// (hints, Romero et al. 2015). It has one output more for each number while it learns, and forgets these
/// afterwards.
pub struct Hints {
    /// Of the table that they come from.
    pub name: String,
    rows: HashMap<String, Vec<f32>>,
    columns: usize,
    weight: f64,
}

/// What the extra outputs of a batch are to be.
pub struct WantedHints {
    /// Shape `(batch, columns)`; 0 where there is no hint.
    values: Tensor,
    /// 1 for pictures with hints, else 0; shape `(batch, 1)`.
    known: Tensor,
}

impl Hints {
    /// Reads a CSV table with a column `file`, a picture's name within its data set, and one column for
    /// each number; those should have a mean near 0 and a deviation of at most about 1. `weight` is their
    /// weight in the loss.
    ///
    /// # Errors
    /// [`Error::Label`] where the table can't be read, has other columns, or a value is no number.
    pub fn read(path: &Path, weight: f64) -> Result<Self> {
        let failed = |reason: String| Error::Label { data: path.into(), file: "table".into(), reason };
        let unreadable = |error: csv::Error| failed(error.to_string());
        let mut table = csv::Reader::from_path(path).map_err(unreadable)?;
        let header = table.headers().map_err(unreadable)?.clone();
        let file = header.iter().position(|name| name == "file");
        let file = file.ok_or_else(|| failed("there is no column \"file\"".into()))?;
        let columns = header.len() - 1;
        if !(1..=MOST).contains(&columns) {
            return Err(failed(format!("{columns} columns beside \"file\"; 1 to {MOST} can be learnt")));
        }
        let mut rows = HashMap::new();
        for row in table.records() {
            let row = row.map_err(unreadable)?;
            let value = |(_, text): (usize, &str)| match text.trim().parse::<f32>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ => Err(failed(format!("{}: {text:?} is no number", &row[file]))),
            };
            let others = row.iter().enumerate().filter(|(column, _)| *column != file);
            rows.insert(row[file].to_string(), others.map(value).collect::<Result<_>>()?);
        }
        Ok(Self { name: last_component(path), rows, columns, weight })
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether the table names the picture.
    pub fn know(&self, sample: &Sample) -> bool {
        self.rows.contains_key(&sample.name)
    }

    /// The network with outputs for the hints after its own.
    pub fn widened(&self, architecture: &Architecture) -> Architecture {
        let mut architecture = architecture.clone();
        if let Some(Block::Dense { units, .. }) = architecture.blocks.last_mut() {
            *units += self.columns;
        }
        architecture
    }

    /// A network's tensors with outputs for the hints that know nothing yet.
    ///
    /// # Errors
    /// Where the tensors aren't those of a network that ends in one logit.
    pub fn widen(&self, weights: &SmileWeights) -> Result<HashMap<String, Tensor>> {
        let mut tensors = weights.tensors.clone();
        for name in last_tensors(weights) {
            if let Some(tensor) = tensors.get_mut(&name) {
                let mut shape = tensor.dims().to_vec();
                shape[0] = self.columns;
                *tensor = Tensor::cat(&[&*tensor, &Tensor::zeros(shape, DType::F32, tensor.device())?], 0)?;
            }
        }
        Ok(tensors)
    }

    /// The network without the hints' outputs again.
    ///
    /// # Errors
    /// Where the tensors aren't those of such a network.
    pub fn forget(weights: &mut SmileWeights) -> Result<()> {
        for name in last_tensors(weights) {
            if let Some(tensor) = weights.tensors.get_mut(&name) {
                *tensor = tensor.narrow(0, 0, 1)?.contiguous()?;
            }
        }
        Ok(())
    }

    pub(super) fn wanted(&self, samples: &[&Sample], device: &Device) -> Result<WantedHints> {
        let mut values = vec![0f32; samples.len() * self.columns];
        let mut known = vec![0f32; samples.len()];
        for (index, sample) in samples.iter().enumerate() {
            if let Some(row) = self.rows.get(&sample.name) {
                values[index * self.columns..][..self.columns].copy_from_slice(row);
                known[index] = 1.0;
            }
        }
        Ok(WantedHints {
            values: Tensor::from_vec(values, (samples.len(), self.columns), device)?,
            known: Tensor::from_vec(known, (samples.len(), 1), device)?,
        })
    }

    /// The weighted mean squared error of the answers' last outputs, over the pictures with hints as if
    /// they were all of the batch.
    pub(super) fn loss(&self, answers: &Tensor, wanted: &WantedHints) -> Result<Tensor> {
        let guesses = answers.narrow(D::Minus1, 1, self.columns)?;
        let errors = (guesses - &wanted.values)?.broadcast_mul(&wanted.known)?.sqr()?;
        Ok((errors.mean_all()? * self.weight)?)
    }
}

/// Columns of a table.
const MOST: usize = 1024;

fn last_tensors(weights: &SmileWeights) -> [String; 2] {
    let last = weights.metadata.architecture.blocks.len() - 1;
    ["weight", "bias"].map(|name| format!("{last}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Hints> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hints.csv");
        std::fs::write(&path, text).unwrap();
        Hints::read(&path, 0.5)
    }

    fn samples() -> [Sample; 2] {
        ["b.jpg", "c.jpg"].map(|name| Sample {
            name: name.into(),
            pixels: Box::default(),
            wide: Box::default(),
            smiling: false,
        })
    }

    #[test]
    fn the_loss_is_of_pictures_with_hints_and_not_of_the_first_output() {
        let hints = read("one,file,two\n9,a.jpg,9\n1,b.jpg,-2\n").unwrap();
        assert_eq!((hints.name.as_str(), hints.columns()), ("hints.csv", 2));
        let samples = samples();
        assert_eq!(samples.each_ref().map(|sample| hints.know(sample)), [true, false]);
        let wanted = hints.wanted(&samples.each_ref(), &Device::Cpu).unwrap();
        let answers = Tensor::new(&[[7f32, 2.0, 1.0], [7.0, 5.0, 5.0]], &Device::Cpu).unwrap();
        let loss = hints.loss(&answers, &wanted).unwrap().to_scalar::<f32>().unwrap();
        // (1² + 3² + 0 + 0) / 4, half of it.
        assert!((loss - 1.25).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn errors_name_the_table_and_the_place() {
        for (text, reason) in [
            ("name,one\na.jpg,1\n", "no column \"file\""),
            ("file\na.jpg\n", "0 columns beside"),
            ("file,one\na.jpg,0.5\nb.jpg,big\n", "b.jpg: \"big\" is no number"),
            ("file,one\na.jpg,inf\n", "a.jpg: \"inf\" is no number"),
            ("file,one\na.jpg,1,2\n", "line: 2"),
        ] {
            let message = read(text).err().unwrap().to_string();
            assert!(message.contains(reason) && message.contains("hints.csv"), "{message}");
        }
    }

    #[test]
    fn what_is_forgotten_is_what_was_added() {
        let hints = read("file,one,two\na.jpg,1,2\n").unwrap();
        let mut weights = SmileWeights::embedded().unwrap();
        let own = weights.tensors.clone();
        let architecture = &weights.metadata.architecture;
        assert_eq!(hints.widened(architecture).shapes().unwrap().last(), Some(&crate::model::Shape::Row(3)));
        let last = format!("{}.weight", architecture.blocks.len() - 1);
        weights.tensors = hints.widen(&weights).unwrap();
        assert_eq!(weights.tensors[&last].dims()[0], 3);
        Hints::forget(&mut weights).unwrap();
        for (name, tensor) in &own {
            let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(&weights.tensors[name]), numbers(tensor), "{name}");
        }
    }
}
