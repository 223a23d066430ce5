//! What training makes small.

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;

use super::recipe::Loss;

impl Loss {
    /// Mean over a batch. `logits` and `targets` (1 for smiling, else 0) have shape `(batch,)`.
    pub(super) fn mean(self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match self {
            // log(1 + eˣ) − t·x, written so that no large x overflows.
            Self::CrossEntropy => {
                let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
                (softplus - logits.mul(targets)?)?.mean_all()
            }
            Self::MeanSquaredError => sigmoid(logits)?.sub(targets)?.sqr()?.mean_all(),
            // As Keras computes it on a network that ends in a sigmoid: labels −1 and 1 against
            // the probability.
            Self::Hinge => {
                let signs = targets.affine(2.0, -1.0)?;
                sigmoid(logits)?.mul(&signs)?.affine(-1.0, 1.0)?.relu()?.mean_all()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn mean(loss: Loss, logit: f32, target: f32) -> f32 {
        let tensor = |value| Tensor::new(&[value], &Device::Cpu).unwrap();
        loss.mean(&tensor(logit), &tensor(target)).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn losses_have_their_textbook_values() {
        let close =
            |value: f32, expected: f32| assert!((value - expected).abs() < 1e-6, "{value} {expected}");
        close(mean(Loss::CrossEntropy, 0.0, 1.0), std::f32::consts::LN_2);
        close(mean(Loss::CrossEntropy, 100.0, 0.0), 100.0);
        close(mean(Loss::CrossEntropy, -100.0, 0.0), 0.0);
        close(mean(Loss::MeanSquaredError, 0.0, 1.0), 0.25);
        close(mean(Loss::Hinge, 0.0, 1.0), 0.5);
        close(mean(Loss::Hinge, 0.0, 0.0), 1.5);
    }
}
