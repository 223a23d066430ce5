//! The optimiser, with a state that can be saved: candle's own keeps its moments to itself.

use std::collections::{BTreeMap, HashMap};

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
/// Keras' default, added to the root before bias correction ("epsilon hat" in the paper).
const EPSILON: f64 = 1e-7;

/// Adam (Kingma and Ba 2015).
pub(super) struct Adam {
    parameters: BTreeMap<String, Parameter>,
    steps: i32,
}

struct Parameter {
    var: Var,
    first_moment: Tensor,
    second_moment: Tensor,
}

impl Adam {
    pub fn new(vars: impl IntoIterator<Item = (String, Var)>) -> Result<Self> {
        let parameters = vars.into_iter().map(|(name, var)| {
            let zeros = var.zeros_like()?;
            Ok((name, Parameter { var, first_moment: zeros.clone(), second_moment: zeros }))
        });
        Ok(Self { parameters: parameters.collect::<Result<_>>()?, steps: 0 })
    }

    /// Moves every parameter that has a gradient.
    pub fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        let correction = (1.0 - BETA2.powi(self.steps)).sqrt() / (1.0 - BETA1.powi(self.steps));
        let rate = learning_rate * correction;
        for parameter in self.parameters.values_mut() {
            let Some(gradient) = gradients.get(&parameter.var) else { continue };
            // A gradient that still knew where it came from would keep every step's graph alive.
            let gradient = gradient.detach();
            parameter.first_moment = ((&parameter.first_moment * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
            parameter.second_moment =
                ((&parameter.second_moment * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
            let step =
                (&parameter.first_moment * rate)?.div(&(parameter.second_moment.sqrt()? + EPSILON)?)?;
            parameter.var.set(&parameter.var.as_tensor().detach().sub(&step)?)?;
        }
        Ok(())
    }

    /// Steps taken, and the moments by name.
    pub fn state(&self) -> (i32, HashMap<String, Tensor>) {
        let moments = self.parameters.iter().flat_map(|(name, parameter)| {
            let Parameter { first_moment, second_moment, .. } = parameter;
            [
                (format!("first.{name}"), first_moment.clone()),
                (format!("second.{name}"), second_moment.clone()),
            ]
        });
        (self.steps, moments.collect())
    }

    /// Takes a saved state back. `None` where a moment is missing or of another shape.
    pub fn restore(&mut self, steps: i32, moments: &HashMap<String, Tensor>) -> Option<()> {
        self.steps = steps;
        for (name, parameter) in &mut self.parameters {
            for (kind, moment) in
                [("first", &mut parameter.first_moment), ("second", &mut parameter.second_moment)]
            {
                let saved = moments.get(&format!("{kind}.{name}"))?;
                if saved.dims() != moment.dims() {
                    return None;
                }
                *moment = saved.to_device(moment.device()).ok()?;
            }
        }
        Some(())
    }
}
