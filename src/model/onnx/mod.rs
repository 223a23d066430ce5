//! Networks as ONNX files, with all that is between pixels and answers inside.
//!
//! Operators are those of opset 17, which ONNX Runtime has since 1.12 and every runtime of today.

mod face;
mod graph;
mod layers;
mod modelinfo;
mod proto;
mod smile;

use prost::Message;
use serde_json::Value as Json;

use super::weights::Describe;
use graph::{Builder, Value};
use proto::{Entry, Model, OperatorSet};

pub use face::{DEFAULT_SIZE, MOST_SIDE};

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// A network for other runtimes.
#[derive(Clone, Debug)]
pub struct Export {
    /// The ONNX file.
    pub model: Vec<u8>,
    /// What GStreamer's inference elements want to have beside it, under its name and `.modelinfo`.
    pub modelinfo: String,
    /// What goes in and what comes out, for people: a line for each.
    pub summary: Vec<String>,
}

/// What a network is to whoever runs it.
struct Interface {
    /// For the file and its tensors: `smile` or `face`.
    name: &'static str,
    meaning: String,
    input: Value,
    outputs: Vec<Value>,
}

/// Puts it all together; the same weights always give the same bytes.
fn export<M: Describe>(metadata: &M, interface: Interface, graph: Builder) -> Export {
    let Interface { name, meaning, input, outputs } = interface;
    let summary = std::iter::once(&input).chain(&outputs).map(Value::summary).collect();
    let modelinfo = modelinfo::text(name, &input, &outputs);
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "smile-train".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: meaning,
        graph: Some(graph.finish(name, &input, &outputs)),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: facts(metadata),
    };
    Export { model: model.encode_to_vec(), modelinfo, summary }
}

/// What the weights say of themselves: texts as they are, all else as JSON. The architecture is the graph.
fn facts<M: Describe>(metadata: &M) -> Vec<Entry> {
    let mut facts = serde_json::to_value(metadata).expect("metadata is plain data");
    facts["format"] = M::FORMAT.into();
    facts["purpose"] = M::FOR.into();
    // In an order, so that the bytes stay the same.
    let facts: std::collections::BTreeMap<String, Json> =
        facts.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let entry = |(key, value)| {
        let value = match value {
            Json::String(text) => text,
            other => other.to_string(),
        };
        Entry { key, value }
    };
    facts.into_iter().filter(|(key, _)| key != "architecture").map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::{Architecture, Block, FaceMetadata, FaceWeights, SmileWeights, initial_tensors};

    fn parsed(export: &Export) -> (Model, proto::Graph) {
        let model = Model::decode(&export.model[..]).unwrap();
        let graph = model.graph.clone().unwrap();
        (model, graph)
    }

    /// Whether each value comes from one place before it is needed, and constants are as large as they say.
    fn assert_sound(graph: &proto::Graph) {
        let mut known: HashSet<&str> = HashSet::from([""]);
        let constants = graph.initializer.iter().map(|tensor| &tensor.name);
        for name in graph.input.iter().map(|input| &input.name).chain(constants) {
            assert!(known.insert(name), "{name} is there twice");
        }
        for node in &graph.node {
            assert!(node.input.iter().all(|name| known.contains(&name[..])), "{node:?}");
            assert!(node.output.iter().all(|name| known.insert(name)), "{node:?}");
        }
        for output in &graph.output {
            assert!(graph.node.iter().any(|node| node.output.contains(&output.name)), "{output:?}");
        }
        for tensor in &graph.initializer {
            let size = if tensor.data_type == proto::INT64 { 8 } else { 4 };
            let len = size * tensor.dims.iter().product::<i64>();
            assert_eq!(tensor.raw_data.len() as i64, len, "{}", tensor.name);
        }
    }

    /// Name, kind of element, and dims, of which those to choose are 0.
    fn interface(values: &[proto::ValueInfo]) -> Vec<(String, i32, Vec<i64>)> {
        let described = |value: &proto::ValueInfo| {
            assert!(!value.doc_string.is_empty(), "{}", value.name);
            let tensor = value.kind.clone().unwrap().tensor_type.unwrap();
            let dims = tensor.shape.unwrap().dim.iter().map(|dim| dim.dim_value.unwrap_or(0)).collect();
            (value.name.clone(), tensor.elem_type, dims)
        };
        values.iter().map(described).collect()
    }

    fn count(graph: &proto::Graph, kind: &str) -> usize {
        graph.node.iter().filter(|node| node.op_type == kind).count()
    }

    fn face_weights(architecture: Architecture) -> FaceWeights {
        use rand::SeedableRng;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let tensors = initial_tensors(&architecture, &mut rng).unwrap();
        FaceWeights { metadata: FaceMetadata::new(architecture), tensors }
    }

    #[test]
    fn a_smile_network_goes_from_bytes_to_a_probability() {
        let weights = SmileWeights::embedded().unwrap();
        let export = weights.to_onnx().unwrap();
        let (model, graph) = parsed(&export);
        assert_sound(&graph);
        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
        assert_eq!(interface(&graph.input), [("image".into(), proto::UINT8, vec![0, 64, 64, 3])]);
        assert_eq!(interface(&graph.output), [("probability".into(), proto::FLOAT, vec![0, 1])]);
        let fact = |key: &str| model.metadata_props.iter().find(|entry| entry.key == key);
        assert_eq!(fact("purpose").unwrap().value, "smiles");
        assert_eq!(fact("threshold").unwrap().value.parse(), Ok(weights.metadata.threshold));
        assert_eq!(fact("region").unwrap().value, "faces");
        assert!(fact("training").unwrap().value.contains("genki4k") && fact("architecture").is_none());
        assert_eq!(weights.to_onnx().unwrap().model, export.model);
        assert_eq!(
            export.modelinfo,
            "[modelinfo]\nversion=1.0\ngroup-id=smilefilter-smile\n\n\
             [image]\nid=smilefilter-smile-image\ntype=uint8\ndims=-1,64,64,3\ndir=input\n\
             ranges=0.0,255.0;0.0,255.0;0.0,255.0\n\n\
             [probability]\nid=smilefilter-smile-probability\ntype=float32\ndims=-1,1\ndir=output\n\
             dims-order=row-major\n"
        );
    }

    #[test]
    fn a_locator_gives_a_box_for_each_place() {
        let architecture = Architecture::face(160, [4, 4, 4, 4]);
        let mut flat = architecture.clone();
        for block in &mut flat.blocks {
            if let Block::Head { merge, .. } = block {
                *merge = false;
            }
        }
        // At 224 rows the head of stride 32 reads 7, that of 64 reads 4.
        let places = 40 * 28 + 20 * 14 + 10 * 7 + 5 * 4;
        for (architecture, merges) in [(architecture, 3), (flat, 0)] {
            let export = face_weights(architecture).to_onnx([320, 224]).unwrap();
            let (_, graph) = parsed(&export);
            assert_sound(&graph);
            assert_eq!(interface(&graph.input), [("image".into(), proto::UINT8, vec![1, 1, 224, 320])]);
            let output = |name: &str, dims| (name.to_string(), proto::FLOAT, dims);
            let outputs = [
                output("boxes", vec![places, 4]),
                output("scores", vec![places]),
                output("landmarks", vec![places, 10]),
            ];
            assert_eq!(interface(&graph.output), outputs);
            assert_eq!([count(&graph, "Resize"), count(&graph, "Slice")], [merges, merges / 3]);
            assert!(export.modelinfo.contains("dims=1,1,224,320\ndir=input\nranges=0.0,255.0\n"));
        }
    }

    #[test]
    fn sizes_that_a_locator_can_not_look_at_are_refused() {
        let weights = face_weights(Architecture::face(160, [4, 4, 4, 4]));
        for size in [[320, 240], [0, 64], [64, 0], [330, 256], [4128, 64]] {
            let refused = weights.to_onnx(size).unwrap_err().to_string();
            let wanted = format!("{}x{} is no size", size[0], size[1]);
            assert!(refused.contains(&wanted) && refused.contains("multiples of 32"), "{refused}");
        }
        weights.to_onnx([32, 4096]).unwrap();
    }
}
