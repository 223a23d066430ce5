//! The layers of a network as nodes.

use super::graph::{Builder, float, int, ints, string};
use super::proto::FLOAT;
use crate::ops::inference::{Layer, Merge, Norm};

/// What a head says of the picture before it: 1 × values × rows × columns.
pub struct Answer {
    pub name: String,
    pub rows: usize,
    pub columns: usize,
}

/// A value of the graph that is a picture.
#[derive(Clone)]
struct Plane {
    name: String,
    height: usize,
    width: usize,
}

struct Head<'a> {
    index: usize,
    layer: &'a Layer,
    picture: Plane,
}

/// Adds the nodes from bytes (batch × channels × `height` × `width`) under the name `input`, which count as byte ×
/// `scale` + `offset`, to the answers of the heads, in their order, and the name of what the last layer gives.
pub fn add(
    graph: &mut Builder,
    layers: &[Layer],
    input: &str,
    [height, width]: [usize; 2],
    [scale, offset]: [f32; 2],
) -> (Vec<Answer>, String) {
    let values = graph.node("Cast", "input.float", &[input], vec![int("to", FLOAT as usize)]);
    let scale = graph.floats("input.scale", &[], &[scale]);
    let scaled = graph.node("Mul", "input.scaled", &[&values, &scale], Vec::new());
    let offset = graph.floats("input.offset", &[], &[offset]);
    let name = graph.node("Add", "input.normalised", &[&scaled, &offset], Vec::new());
    let mut x = Plane { name, height, width };
    let mut heads = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        match layer {
            Layer::Head { .. } => heads.push(Head { index, layer, picture: x.clone() }),
            Layer::Conv { .. } => x = add_conv(graph, index, layer, &x),
            Layer::Flatten => {
                x.name = graph.node("Flatten", format!("{index}.flat"), &[&x.name], vec![int("axis", 1)]);
            }
            Layer::Dense { weight, bias, relu } => {
                let units = bias.len();
                let weight = graph.floats(format!("{index}.weight"), &[units, weight.len() / units], weight);
                let bias = graph.floats(format!("{index}.bias"), &[units], bias);
                let inputs = [&x.name[..], &weight, &bias];
                x.name = graph.node("Gemm", format!("{index}.dense"), &inputs, vec![int("transB", 1)]);
                x.name = add_relu(graph, *relu, index, x.name);
            }
        }
    }
    (add_heads(graph, heads), x.name)
}

fn add_conv(graph: &mut Builder, index: usize, layer: &Layer, x: &Plane) -> Plane {
    let Layer::Conv { norm, kernel, bias, size, stride, relu, pool } = layer else { return x.clone() };
    let mut name = x.name.clone();
    if let Some(norm) = norm {
        name = add_norm(graph, index, norm, &name);
    }
    name = add_kernel(graph, &format!("{index}.conv"), &name, (kernel, bias), [*size, *stride]);
    name = add_relu(graph, *relu, index, name);
    let [mut height, mut width] = [x.height, x.width].map(|side| side.div_ceil(*stride));
    if *pool {
        // An odd last row or column is left out, as in ours.
        let attributes = vec![ints("kernel_shape", [2; 2]), ints("strides", [2; 2])];
        name = graph.node("MaxPool", format!("{index}.pool"), &[&name], attributes);
        [height, width] = [height / 2, width / 2];
    }
    Plane { name, height, width }
}

/// Normalisations stay what they are: folded into a kernel, they would miss the padding.
fn add_norm(graph: &mut Builder, index: usize, norm: &Norm, x: &str) -> String {
    let fields = [
        ("weight", &norm.weight),
        ("bias", &norm.bias),
        ("running_mean", &norm.mean),
        ("running_var", &norm.variance),
    ];
    let constants =
        fields.map(|(name, values)| graph.floats(format!("{index}.norm.{name}"), &[values.len()], values));
    let [weight, bias, mean, variance] = &constants;
    let attributes = vec![float("epsilon", norm.epsilon)];
    graph.node("BatchNormalization", format!("{index}.norm"), &[x, weight, bias, mean, variance], attributes)
}

/// A convolution with zeros as padding; its name is what those of its parameters begin with.
fn add_kernel(
    graph: &mut Builder,
    name: &str,
    x: &str,
    (kernel, bias): (&[f32], &[f32]),
    [size, stride]: [usize; 2],
) -> String {
    let filters = bias.len();
    let channels = kernel.len() / (filters * size * size);
    let weight = graph.floats(format!("{name}.weight"), &[filters, channels, size, size], kernel);
    let bias = graph.floats(format!("{name}.bias"), &[filters], bias);
    let attributes =
        vec![ints("kernel_shape", [size; 2]), ints("strides", [stride; 2]), ints("pads", [size / 2; 4])];
    graph.node("Conv", name, &[x, &weight, &bias], attributes)
}

fn add_relu(graph: &mut Builder, wanted: bool, index: usize, x: String) -> String {
    if wanted { graph.node("Relu", format!("{index}.relu"), &[&x], Vec::new()) } else { x }
}

/// From the last to the first: each may need what the next one reads.
fn add_heads(graph: &mut Builder, heads: Vec<Head>) -> Vec<Answer> {
    let (mut answers, mut next): (Vec<Answer>, Option<Plane>) = (Vec::new(), None);
    for Head { index, layer, picture } in heads.into_iter().rev() {
        let Layer::Head { weight, bias, merge } = layer else { continue };
        let read = match (merge, next) {
            (Some(merge), Some(next)) => add_merge(graph, index, merge, &picture, &next),
            _ => picture,
        };
        let name = add_kernel(graph, &format!("{index}.head"), &read.name, (weight, bias), [1, 1]);
        answers.push(Answer { name, rows: read.height, columns: read.width });
        next = Some(read);
    }
    answers.reverse();
    answers
}

/// ReLU of a picture and of what a 1×1 convolution makes of the coarser one, at twice its size.
fn add_merge(graph: &mut Builder, index: usize, merge: &Merge, fine: &Plane, coarse: &Plane) -> Plane {
    let parameters = (&merge.weight[..], &merge.bias[..]);
    let points = add_kernel(graph, &format!("{index}.merge"), &coarse.name, parameters, [1, 1]);
    let scales = graph.floats(format!("{index}.merge.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
    let attributes = vec![
        string("mode", "nearest"),
        string("coordinate_transformation_mode", "asymmetric"),
        string("nearest_mode", "floor"),
    ];
    let inputs = [&points[..], "", &scales];
    let mut large = graph.node("Resize", format!("{index}.merge.large"), &inputs, attributes);
    if [2 * coarse.height, 2 * coarse.width] != [fine.height, fine.width] {
        let bounds = [("starts", [0, 0]), ("ends", [fine.height, fine.width]), ("axes", [2, 3])];
        let [starts, ends, axes] = bounds.map(|(name, values)| {
            graph.ints(format!("{index}.merge.{name}"), &values.map(|value| value as i64))
        });
        let inputs = [&large[..], &starts, &ends, &axes];
        large = graph.node("Slice", format!("{index}.merge.cut"), &inputs, Vec::new());
    }
    let sum = graph.node("Add", format!("{index}.merge.sum"), &[&fine.name, &large], Vec::new());
    let name = graph.node("Relu", format!("{index}.merge.relu"), &[&sum], Vec::new());
    Plane { name, ..fine.clone() }
}
