//! The smile network: from pixels to the probability.

use super::graph::{Builder, Kind, Value, ints};
use super::{Export, Interface, export, layers};
use crate::model::engine;
use crate::model::error::Result;
use crate::model::weights::{Metadata, Region, SmileWeights};

impl SmileWeights {
    /// The network as an ONNX file: `image` (batch × height × width × 3 bytes, R, G and B of each pixel of what
    /// [`Metadata::region`] says) to `probability` (batch × 1), as [`super::super::Classifier`] answers.
    ///
    /// # Errors
    /// Where a tensor that the architecture needs is missing or has another shape.
    pub fn to_onnx(&self) -> Result<Export> {
        let Metadata { ref architecture, scale, offset, temperature, .. } = self.metadata;
        let network = engine::layers(architecture, &self.tensors)?;
        let mut graph = Builder::default();
        let [_, height, width] = architecture.input;
        // Pixels as frames have them: GStreamer's onnxinference 1.28 doesn't sort bytes into planes.
        let planes = graph.node("Transpose", "planes", &["image"], vec![ints("perm", [0, 3, 1, 2])]);
        let (_, logit) = layers::add(&mut graph, &network, &planes, [height, width], [scale, offset]);
        let temperature = graph.floats("temperature", &[], &[temperature]);
        let calibrated = graph.node("Div", "calibrated", &[&logit, &temperature], Vec::new());
        graph.node("Sigmoid", "probability", &[&calibrated], Vec::new());
        Ok(export(&self.metadata, interface(&self.metadata), graph))
    }
}

fn interface(metadata: &Metadata) -> Interface {
    let [channels, height, width] = metadata.architecture.input;
    let shown = match metadata.region {
        Region::Full => "the whole picture, squeezed".into(),
        Region::Center => "the largest centred square of a picture".into(),
        Region::Faces => format!(
            "the square around the middle of a face's box, {} times as long as the box's longer side",
            1.0 + 2.0 * metadata.margin
        ),
    };
    let threshold = metadata.threshold;
    Interface {
        name: "smile",
        meaning: format!(
            "Who smiles: from pixels to the calibrated probability, a smile from {threshold} on. Of smilefilter."
        ),
        input: Value {
            name: "image",
            kind: Kind::Bytes,
            dims: vec![None, Some(height), Some(width), Some(channels)],
            meaning: format!("RGB from 0 to 255, pixel by pixel: {shown}"),
        },
        outputs: vec![Value {
            name: "probability",
            kind: Kind::Floats,
            dims: vec![None, Some(1)],
            meaning: format!("That the person smiles, from 0 to 1: a smile from {threshold} on"),
        }],
    }
}
