//! What people voted for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, last_component};
use super::table::{self, Table, by_name};
use crate::train::error::Result;

/// Shares of people who saw happiness in a picture, by its name: FER+'s (Barsoum et al. 2016, "Training Deep Networks
/// for Facial Expression Recognition with Crowd-Sourced Label Distribution") are the model.
#[derive(Default)]
pub struct Votes {
    /// The last components of the tables' paths.
    names: Vec<String>,
    shares: HashMap<String, Option<f32>>,
}

/// Columns of those who saw no face, or nothing that they could name.
const NOTHING: [&str; 2] = ["NF", "unknown"];
const HAPPINESS: &str = "happiness";

impl Votes {
    /// Reads tables with the columns `file`, `happiness` and others with numbers of votes. Those in `NF` (no face) and
    /// `unknown` are for nothing; where they are the most, the picture tells nothing.
    ///
    /// # Errors
    /// Where one can't be read, lacks a column or has something else than a number of votes in one.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        paths.iter().try_for_each(|path| all.add(path))?;
        Ok(all)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let bytes = table::read(path)?;
        let mut table = Table::new(path, &bytes)?;
        let [file, happiness] = table.columns(&["file", HAPPINESS])?;
        let nothing: Vec<usize> = NOTHING.iter().filter_map(|name| table.column(name)).collect();
        let columns: Vec<usize> = (0..table.width()).filter(|&column| column != file).collect();
        while let Some(row) = table.next()? {
            let mut votes = [0.0; 2];
            for &column in &columns {
                let count = row.number(column)?;
                if count < 0.0 {
                    return Err(row.failed(format!("{count} is no number of votes")));
                }
                votes[usize::from(nothing.contains(&column))] += count;
            }
            let [for_something, for_nothing] = votes;
            let tells = for_something > for_nothing;
            let share = if tells { Some(row.number(happiness)? / for_something) } else { None };
            self.shares.insert(row.text(file).to_string(), share);
        }
        self.names.push(last_component(path));
        Ok(())
    }

    /// Relabels a data set of which the tables name any pictures: each smiles as far as people said so, and those
    /// that nobody voted on, or of which votes tell nothing, are left out. Gives how many stay; `None` where the tables
    /// name none.
    pub fn relabel(&self, dataset: &mut Dataset) -> Option<usize> {
        let named = |name: &str| by_name(&self.shares, name).copied();
        if dataset.samples.iter().all(|sample| named(&sample.name).is_none()) {
            return None;
        }
        dataset.samples.retain_mut(|sample| {
            sample.votes = named(&sample.name).flatten();
            sample.smiling = sample.votes.is_some_and(|share| share >= 0.5);
            sample.votes.is_some()
        });
        Some(dataset.samples.len())
    }

    /// Whether there are no votes.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The last components of the tables' paths.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::tests::samples;
    use super::super::layout::Layout;
    use super::*;

    fn votes(text: &str) -> Result<Votes> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("votes.csv");
        std::fs::write(&path, text).unwrap();
        Votes::read(&[path])
    }

    fn dataset(names: &[&str]) -> Dataset {
        let mut samples = samples(&vec![true; names.len()]);
        samples.iter_mut().zip(names).for_each(|(sample, name)| sample.name = (*name).into());
        Dataset { name: "faces".into(), layout: Layout::Classes, samples, skipped: Vec::new() }
    }

    const TABLE: &str =
        "file,neutral,happiness,unknown,NF\nsmile/a.png,2,7,1,0\nb.png,6,3,1,0\nc.png,1,1,0,8\n";

    #[test]
    fn shares_of_happiness_replace_labels_and_what_nobody_can_tell_is_left_out() {
        let votes = votes(TABLE).unwrap();
        let mut dataset = dataset(&["smile/a.png", "smile/b.png", "smile/c.png", "smile/d.png"]);
        assert_eq!(votes.relabel(&mut dataset), Some(2));
        let said = dataset.samples.iter().map(|sample| (&sample.name[..], sample.votes, sample.smiling));
        let wanted = [("smile/a.png", Some(7.0 / 9.0), true), ("smile/b.png", Some(3.0 / 9.0), false)];
        assert_eq!(said.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn data_sets_that_no_table_names_stay_as_they_are() {
        let mut dataset = dataset(&["x.png"]);
        assert_eq!(votes(TABLE).unwrap().relabel(&mut dataset), None);
        assert!(dataset.samples[0].smiling && dataset.samples[0].votes.is_none());
    }

    #[test]
    fn what_is_no_vote_is_named_with_its_line() {
        for (text, reason) in [
            ("file,neutral\na,1\n", "no column happiness"),
            ("file,happiness\na,1\nb,many\n", "line 3: \"many\" is no number"),
            ("file,happiness\na,-1\n", "line 2: -1 is no number of votes"),
        ] {
            let message = votes(text).err().unwrap().to_string();
            assert!(message.contains(reason) && message.contains("votes.csv"), "{message}");
        }
    }
}
