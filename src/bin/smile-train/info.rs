//! What a weights file says of itself, for people.

use std::collections::BTreeMap;
use std::process::ExitCode;

use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};
use serde_json::Value;

use gstsmile::model::{
    self, Architecture, Block, FaceMetadata, FaceWeights, Metadata, Region, Shape, SmileWeights, Weights,
};
use gstsmile::train::{Confusion, Result};

use crate::arguments::InfoArguments;
use crate::terminal::print;

/// Training facts in the order in which one wants to know them; others follow.
const FIRST: [&str; 11] = [
    "command",
    "preset",
    "loss",
    "l2",
    "batch",
    "learning_rate",
    "epochs",
    "interrupted_after",
    "seed",
    "data",
    "split",
];
/// Facts that the table above and the confusion matrix beneath tell.
const TOLD: [&str; 4] = ["architecture", "measured_on", "accuracy", "confusion"];

/// Prints as told.
pub fn run(arguments: &InfoArguments) -> Result<ExitCode> {
    match FaceWeights::read(&arguments.file) {
        Ok(weights) => {
            let blocks = blocks(&weights.metadata.architecture, &weights)?;
            let facts = face_facts(&weights.metadata);
            print(&format!("{}\n\n{blocks}\n\n{facts}\n", arguments.file.display()));
            return Ok(ExitCode::SUCCESS);
        }
        Err(model::Error::Kind { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let weights = SmileWeights::read(&arguments.file)?;
    let blocks = blocks(&weights.metadata.architecture, &weights)?;
    let mut text = format!("{}\n\n{blocks}\n\n", arguments.file.display());
    text += &format!("{}\n", facts(&weights.metadata));
    if let Some(confusion) = weights.metadata.training.get("confusion")
        && let Ok(confusion) = serde_json::from_value::<Confusion>(confusion.clone())
    {
        let part = weights.metadata.training.get("measured_on").and_then(Value::as_str);
        text +=
            &format!("\n{}", gstsmile::train::report::confusion_text(part.unwrap_or("held-out"), &confusion));
    }
    print(&text);
    Ok(ExitCode::SUCCESS)
}

fn blocks<M>(architecture: &Architecture, weights: &Weights<M>) -> Result<Table> {
    let mut table = table(["", "block", "output", "parameters"]);
    let shapes = architecture.shapes()?;
    table.add_row(["", "input", &shape(shapes[0]), ""]);
    for (index, block) in architecture.blocks.iter().enumerate() {
        let count = thousands(parameters(weights, &format!("{index}.")));
        table.add_row([&index.to_string(), &describe(block), &shape(shapes[index + 1]), &count]);
    }
    table.add_row(["", "all", "", &thousands(parameters(weights, ""))]);
    for column in [0, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(table)
}

/// Numbers of all tensors with this start of their name; running averages are among them.
fn parameters<M>(weights: &Weights<M>, start: &str) -> usize {
    weights.tensors.iter().filter(|(name, _)| name.starts_with(start)).map(|(_, t)| t.elem_count()).sum()
}

fn facts(metadata: &Metadata) -> Table {
    let mut table = table(["what", "value"]);
    let region = match metadata.region {
        Region::Full => "full: whole picture, squeezed",
        Region::Center => "center: largest centred square",
        Region::Faces => "faces: square around each face",
    };
    let rows = [
        ("looks at", region.to_string()),
        ("margin about a face", metadata.margin.to_string()),
        ("input", format!("byte × {} + {}", metadata.scale, metadata.offset)),
        ("answers", metadata.labels.join(" / ")),
        ("smiles from", metadata.threshold.to_string()),
        ("temperature", metadata.temperature.to_string()),
    ];
    for (name, value) in rows {
        table.add_row([name, &value]);
    }
    add_training(&mut table, &metadata.training, ["not smiling", "smiling"]);
    table
}

fn face_facts(metadata: &FaceMetadata) -> Table {
    let mut table = table(["what", "value"]);
    let rows = [
        (
            "looks at",
            "faces: brightness of the whole picture, in the size in which they are large enough".into(),
        ),
        ("input", format!("byte × {} + {}", metadata.scale, metadata.offset)),
        ("a face from", metadata.threshold.to_string()),
        ("one face from an overlap of", metadata.overlap.to_string()),
        ("smallest face, in pixels", metadata.smallest.to_string()),
    ];
    for (name, value) in rows {
        table.add_row([name, &value]);
    }
    add_training(&mut table, &metadata.training, ["with a face", "without"]);
    table
}

/// Rows for the facts of training; `classes` are what pairs of numbers count.
fn add_training(table: &mut Table, training: &BTreeMap<String, Value>, classes: [&str; 2]) {
    let others = training.keys().map(String::as_str).filter(|name| !FIRST.contains(name));
    for name in FIRST.into_iter().chain(others).filter(|name| !TOLD.contains(name)) {
        if let Some(value) = training.get(name) {
            add(table, &name.replace('_', " "), value, classes);
        }
    }
}

/// A row for a plain value, rows for each field of an object.
fn add(table: &mut Table, name: &str, value: &Value, classes: [&str; 2]) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                add(table, &format!("{name}: {}", field.replace('_', " ")), value, classes);
            }
        }
        Value::Array(counts) if counts.len() == 2 && counts.iter().all(Value::is_number) => {
            let [first, second] = classes;
            table.add_row([name, &format!("{} {first}, {} {second}", counts[0], counts[1])]);
        }
        Value::Array(values) => {
            for value in values {
                add(table, name, value, classes);
            }
        }
        Value::String(text) => {
            table.add_row([name, text]);
        }
        other => {
            table.add_row([name, &other.to_string()]);
        }
    }
}

fn describe(block: &Block) -> String {
    match *block {
        Block::Conv { filters, kernel, stride, norm, relu, pool } => {
            let parts = [
                norm.then(|| "batch norm".into()),
                Some(format!("{kernel}×{kernel} convolution, {filters} filters")),
                (stride > 1).then(|| format!("stride {stride}")),
                relu.then(|| "ReLU".into()),
                pool.then(|| "2×2 max pool".into()),
            ];
            parts.into_iter().flatten().collect::<Vec<String>>().join(", ")
        }
        Block::Flatten => "flatten".into(),
        Block::Head { filters, merge } => {
            let merged = if merge { ", merged with what the next one reads" } else { "" };
            format!("head, {filters} values a place{merged}")
        }
        Block::Dense { units, relu } => {
            let plural = if units == 1 { "" } else { "s" };
            format!("dense, {units} unit{plural}{}", if relu { ", ReLU" } else { "" })
        }
    }
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape::Picture { channels, height, width } => format!("{channels} × {height} × {width}"),
        Shape::Row(width) => width.to_string(),
    }
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    for line in [TableComponent::HorizontalLines, TableComponent::MiddleIntersections] {
        table.remove_style(line);
    }
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head);
    table
}

/// 123456 as `123 456`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}
