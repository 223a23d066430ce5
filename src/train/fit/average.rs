//! An exponential moving average of the weights, which generalises better than the last ones.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Tensor, Var};

use crate::model::Network;
use crate::train::error::Result;

pub(super) struct Average {
    parameters: BTreeMap<String, Var>,
    network: Network,
    kept: f64,
    steps: i32,
}

impl Average {
    /// Starts at `parameters`; each step keeps the share `kept` of the average.
    pub fn new(
        parameters: &BTreeMap<String, Var>,
        kept: f64,
        network: impl FnOnce(&BTreeMap<String, Var>) -> Result<Network>,
    ) -> Result<Self> {
        let parameters = parameters
            .iter()
            .map(|(name, var)| Ok((name.clone(), Var::from_tensor(&var.as_tensor().detach().copy()?)?)))
            .collect::<Result<_>>()?;
        let network = network(&parameters)?;
        Ok(Self { parameters, network, kept, steps: 0 })
    }

    /// Lets the average follow `parameters`, faster at first.
    pub fn follow(&mut self, parameters: &BTreeMap<String, Var>) -> Result<()> {
        self.steps += 1;
        let steps = f64::from(self.steps);
        let kept = self.kept.min(steps / (steps + 10.0));
        for (name, average) in &self.parameters {
            let now = parameters[name].as_tensor().detach();
            average.set(&((average.as_tensor().detach() * kept)? + (now * (1.0 - kept))?)?)?;
        }
        Ok(())
    }

    pub fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.parameters
    }

    /// The network with the averaged weights.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The averages by name.
    pub fn state(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.parameters.iter().map(|(name, var)| (format!("average.{name}"), var.as_tensor().detach()))
    }

    /// Takes a saved state back. `None` where an average is missing or of another shape.
    pub fn restore(&mut self, steps: i32, averages: &HashMap<String, Tensor>) -> Option<()> {
        self.steps = steps;
        for (name, var) in &self.parameters {
            let saved = averages.get(&format!("average.{name}"))?;
            var.set(&saved.to_device(var.device()).ok()?).ok()?;
        }
        Some(())
    }
}
