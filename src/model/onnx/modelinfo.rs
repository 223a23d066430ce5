//! The file that GStreamer's `onnxinference` (1.28 and newer) reads beside a model: a key file of version 1.0, as
//! <https://gstreamer.freedesktop.org/documentation/analytics/GstAnalyticsModelInfo.html> describes it.

use super::graph::Value;

/// A section for each tensor. None of the ids is registered: elements that know them are yet to be written.
pub fn text(network: &str, input: &Value, outputs: &[Value]) -> String {
    // As many ranges as channels, of which there are fewer than rows or columns, each saying that bytes are to stay
    // bytes: normalisation is part of the network.
    let channels = input.dims[1..].iter().copied().flatten().min().unwrap_or(1);
    let ranges = vec!["0.0,255.0"; channels].join(";");
    let mut text = format!("[modelinfo]\nversion=1.0\ngroup-id=smilefilter-{network}\n\n");
    text += &section(network, input, &format!("dir=input\nranges={ranges}\n"));
    for output in outputs {
        text += "\n";
        text += &section(network, output, "dir=output\ndims-order=row-major\n");
    }
    text
}

fn section(network: &str, value: &Value, more: &str) -> String {
    let kind = value.kind.name();
    let dim = |len: &Option<usize>| len.map_or("-1".into(), |len| len.to_string());
    let dims = value.dims.iter().map(dim).collect::<Vec<_>>().join(",");
    let name = value.name;
    format!("[{name}]\nid=smilefilter-{network}-{name}\ntype={kind}\ndims={dims}\n{more}")
}
