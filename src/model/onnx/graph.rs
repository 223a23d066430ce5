//! A graph as it is put together.

use super::proto::{
    Attribute, Dimension, FLOAT, Graph, INT64, Node, OF_FLOAT, OF_INT, OF_INTS, OF_STRING, Shape, Tensor,
    TensorType, Type, UINT8, ValueInfo,
};

/// Nodes in the order in which they run, and their constants. Values are named after what gives them.
#[derive(Default)]
pub struct Builder {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl Builder {
    /// Adds a node and gives back the name of what it gives, which is the node's own.
    pub fn node(
        &mut self,
        kind: &str,
        name: impl Into<String>,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        let name = name.into();
        self.node_of_many(kind, &[&name], inputs, attributes);
        name
    }

    /// The same with several outputs; the first one's name is the node's.
    pub fn node_of_many(&mut self, kind: &str, outputs: &[&str], inputs: &[&str], attribute: Vec<Attribute>) {
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        self.nodes.push(Node {
            input: owned(inputs),
            output: owned(outputs),
            name: outputs[0].into(),
            op_type: kind.into(),
            attribute,
        });
    }

    /// Adds a constant and gives back its name.
    pub fn floats(&mut self, name: impl Into<String>, dims: &[usize], values: &[f32]) -> String {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name.into(), FLOAT, dims, bytes)
    }

    /// The same of whole numbers in a row.
    pub fn ints(&mut self, name: impl Into<String>, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name.into(), INT64, &[values.len()], bytes)
    }

    fn constant(&mut self, name: String, data_type: i32, dims: &[usize], raw_data: Vec<u8>) -> String {
        let dims = dims.iter().map(|&len| len as i64).collect();
        self.constants.push(Tensor { dims, data_type, name: name.clone(), raw_data });
        name
    }

    /// The whole.
    pub fn finish(self, name: &str, input: &Value, outputs: &[Value]) -> Graph {
        Graph {
            node: self.nodes,
            name: name.into(),
            initializer: self.constants,
            input: vec![input.info()],
            output: outputs.iter().map(Value::info).collect(),
        }
    }
}

/// An input or an output.
pub struct Value {
    pub name: &'static str,
    pub kind: Kind,
    /// `None` where it is for whoever runs the network to choose.
    pub dims: Vec<Option<usize>>,
    /// For people.
    pub meaning: String,
}

/// What a [`Value`] consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Bytes,
    Floats,
}

impl Kind {
    /// As NumPy and GStreamer say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "uint8",
            Self::Floats => "float32",
        }
    }
}

impl Value {
    /// For people, in a line.
    pub fn summary(&self) -> String {
        let dim = |len: &Option<usize>| len.map_or("batch".into(), |len| len.to_string());
        let dims = self.dims.iter().map(dim).collect::<Vec<_>>().join(" × ");
        format!("{} ({}, {dims}): {}", self.name, self.kind.name(), self.meaning)
    }

    fn info(&self) -> ValueInfo {
        let dim = |len: &Option<usize>| match len {
            Some(len) => Dimension { dim_value: Some(*len as i64), dim_param: None },
            None => Dimension { dim_value: None, dim_param: Some("batch".into()) },
        };
        let elem_type = match self.kind {
            Kind::Bytes => UINT8,
            Kind::Floats => FLOAT,
        };
        let shape = Some(Shape { dim: self.dims.iter().map(dim).collect() });
        ValueInfo {
            name: self.name.into(),
            kind: Some(Type { tensor_type: Some(TensorType { elem_type, shape }) }),
            doc_string: self.meaning.clone(),
        }
    }
}

pub fn int(name: &str, value: usize) -> Attribute {
    Attribute { i: Some(value as i64), ..attribute(name, OF_INT) }
}

pub fn ints<const N: usize>(name: &str, values: [usize; N]) -> Attribute {
    Attribute { ints: values.map(|value| value as i64).into(), ..attribute(name, OF_INTS) }
}

pub fn float(name: &str, value: f64) -> Attribute {
    Attribute { f: Some(value as f32), ..attribute(name, OF_FLOAT) }
}

pub fn string(name: &str, value: &str) -> Attribute {
    Attribute { s: Some(value.into()), ..attribute(name, OF_STRING) }
}

fn attribute(name: &str, kind: i32) -> Attribute {
    Attribute { name: name.into(), kind, ..Attribute::default() }
}
