//! The face detector: from pixels to boxes, which others suppress.

use super::graph::{Builder, Kind, Value, int, ints};
use super::layers::{self, Answer};
use super::{Export, Interface, export};
use crate::model::architecture::FACE_VALUES;
use crate::model::detector::multiple;
use crate::model::engine;
use crate::model::error::{Error, Result};
use crate::model::weights::{FaceMetadata, FaceWeights};

/// The width and height of the pictures of an export, where nobody says another size.
pub const DEFAULT_SIZE: [usize; 2] = [320, 256];

/// Pixels a side of the largest pictures.
pub const MOST_SIDE: usize = 4096;

/// Logarithms of sizes beyond mean nothing, and their exponentials might be infinite.
const MOST_LOGARITHM: f64 = 6.0;

impl FaceWeights {
    /// The network as an ONNX file for pictures of `size` (width, height): `image` (1 × 1 × height × width bytes) to
    /// `boxes` (places × 4), `scores` (places) and `landmarks` (places × 10), in pixels. Of the places that mean the same
    /// face, whoever runs it chooses.
    ///
    /// # Errors
    /// [`Error::Size`] where the network can't look at pictures of this size; where a tensor that the architecture
    /// needs is missing or has another shape.
    pub fn to_onnx(&self, size: [usize; 2]) -> Result<Export> {
        let FaceMetadata { ref architecture, scale, offset, .. } = self.metadata;
        let strides = architecture.face_strides()?;
        let multiple = multiple(&strides);
        if !size.iter().all(|&side| side.is_multiple_of(multiple) && (1..=MOST_SIDE).contains(&side)) {
            return Err(Error::Size { size, multiple, most: MOST_SIDE });
        }
        let [width, height] = size;
        let network = engine::layers(architecture, &self.tensors)?;
        let mut graph = Builder::default();
        let (answers, _) = layers::add(&mut graph, &network, "image", [height, width], [scale, offset]);
        let places: Vec<Place> =
            answers.iter().zip(&strides).flat_map(|(answer, &stride)| places(answer, stride)).collect();
        let values = add_rows(&mut graph, &answers);
        add_decoding(&mut graph, &values, &places);
        Ok(export(&self.metadata, interface(&self.metadata, size, places.len()), graph))
    }
}

/// Where the network looks for a face, in pixels.
struct Place {
    middle: [f32; 2],
    stride: f32,
}

/// Row by row, as they lie in the answer.
fn places(answer: &Answer, stride: usize) -> impl Iterator<Item = Place> {
    let (columns, stride) = (answer.columns, stride as f32);
    (0..answer.rows * columns).map(move |index| {
        let middle = [index % columns, index / columns].map(|place| (place as f32 + 0.5) * stride);
        Place { middle, stride }
    })
}

/// Adds the nodes to one row for each place, of its values.
fn add_rows(graph: &mut Builder, answers: &[Answer]) -> String {
    let shape = graph.ints("row.shape", &[FACE_VALUES as i64, -1]);
    let rows: Vec<String> = answers
        .iter()
        .map(|Answer { name, .. }| {
            let flat = graph.node("Reshape", format!("{name}.flat"), &[name, &shape], Vec::new());
            graph.node("Transpose", format!("{name}.rows"), &[&flat], vec![ints("perm", [1, 0])])
        })
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    graph.node("Concat", "values", &rows, vec![int("axis", 0)])
}

/// Adds the nodes to the outputs; see [`FACE_VALUES`].
fn add_decoding(graph: &mut Builder, values: &str, places: &[Place]) {
    let middles: Vec<f32> = places.iter().flat_map(|place| place.middle).collect();
    let strides: Vec<f32> = places.iter().map(|place| place.stride).collect();
    let middles = graph.floats("places", &[places.len(), 2], &middles);
    let strides = graph.floats("strides", &[places.len(), 1], &strides);
    let parts = graph.ints("value.parts", &[1, 2, 2, 10]);
    let names = ["logit", "middle", "size", "points"];
    graph.node_of_many("Split", &names, &[values, &parts], vec![int("axis", 1)]);

    let all = graph.ints("score.shape", &[-1]);
    let logits = graph.node("Reshape", "logits", &["logit", &all], Vec::new());
    graph.node("Sigmoid", "scores", &[&logits], Vec::new());

    let [least, most] = [("size.least", -MOST_LOGARITHM), ("size.most", MOST_LOGARITHM)]
        .map(|(name, value)| graph.floats(name, &[], &[value as f32]));
    let logarithms = graph.node("Clip", "size.clipped", &["size", &least, &most], Vec::new());
    let sizes = graph.node("Exp", "size.of-stride", &[&logarithms], Vec::new());
    let sizes = graph.node("Mul", "size.pixels", &[&sizes, &strides], Vec::new());
    let half = graph.floats("half", &[], &[0.5]);
    let halves = graph.node("Mul", "size.halves", &[&sizes, &half], Vec::new());
    let middle = add_points(graph, "middle", "middle.pixels", &strides, &middles);
    let corner = graph.node("Sub", "corner", &[&middle, &halves], Vec::new());
    graph.node("Concat", "boxes", &[&corner, &sizes], vec![int("axis", 1)]);

    let five = graph.ints("point.repeats", &[1, 5]);
    let middles = graph.node("Tile", "point.places", &[&middles, &five], Vec::new());
    add_points(graph, "points", "landmarks", &strides, &middles);
}

/// Adds the nodes from points counted from their places, in strides, to pixels.
fn add_points(graph: &mut Builder, points: &str, name: &str, strides: &str, places: &str) -> String {
    let moved = graph.node("Mul", format!("{points}.moved"), &[points, strides], Vec::new());
    graph.node("Add", name, &[&moved, places], Vec::new())
}

fn interface(metadata: &FaceMetadata, [width, height]: [usize; 2], places: usize) -> Interface {
    let FaceMetadata { threshold, overlap, smallest, .. } = metadata;
    let output = |name, columns: Option<usize>, meaning| {
        let dims = std::iter::once(places).chain(columns).map(Some).collect();
        Value { name, kind: Kind::Floats, dims, meaning }
    };
    Interface {
        name: "face",
        meaning: format!(
            "Where faces are, from {smallest} pixels of height on: a box for each place that the network looks at. A face \
             is where the score reaches {threshold}; of boxes whose intersection over union reaches {overlap}, the one \
             with the highest score is to stay (non-maximum suppression). Of smilefilter."
        ),
        input: Value {
            name: "image",
            kind: Kind::Bytes,
            dims: [1, 1, height, width].map(Some).into(),
            meaning: "Brightness from 0 to 255: 0.299 red + 0.587 green + 0.114 blue".into(),
        },
        outputs: vec![
            output("boxes", Some(4), "Left, top, width and height in pixels of the input".into()),
            output("scores", None, format!("That there is a face, from 0 to 1: one from {threshold} on")),
            output(
                "landmarks",
                Some(10),
                "x and y in pixels of the input: right eye, left eye, nose, right and left corner of the mouth, as the \
                 person has them"
                    .into(),
            ),
        ],
    }
}
