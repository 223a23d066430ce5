//! What was measured on several data sets, and on parts of them.

use comfy_table::{CellAlignment, Table, presets};

use gstsmile::train::{Confusion, Evaluation, Slice, wilson};

use crate::eval::Collection;

/// A row a data set.
pub fn collections(all: &[Collection]) -> Table {
    let mut table = table(&[
        "",
        "pictures",
        "no face found",
        "accuracy",
        "95 % interval",
        "balanced",
        "best balanced, from",
        "area under ROC",
        "calibration error",
    ]);
    for Collection { title, evaluation, .. } in all {
        let Evaluation { pictures, without_face, accuracy, interval: [low, high], .. } = *evaluation;
        let best = percent(evaluation.best_balanced_accuracy);
        table.add_row([
            title.clone(),
            pictures.to_string(),
            without_face.to_string(),
            percent(accuracy),
            format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high),
            percent(evaluation.balanced_accuracy),
            format!("{best}, {:.2}", evaluation.best_threshold),
            format!("{:.4}", evaluation.area_under_curve),
            format!("{:.4}", evaluation.calibration_error),
        ]);
    }
    align(table)
}

/// Two rows a property: of the people with it, and without.
pub fn slices(collection: &Collection) -> Table {
    let mut table =
        table(&[&collection.title, "", "pictures", "accuracy", "taken for smiles", "smiles missed"]);
    for Slice { attribute, has, confusion } in &collection.slices {
        table.add_row([
            attribute.as_str(),
            if *has { "yes" } else { "no" },
            &confusion.total().to_string(),
            &percent(confusion.accuracy()),
            &wrong(confusion, 0),
            &wrong(confusion, 1),
        ]);
    }
    align(table)
}

/// The share of a class that was taken for the other, with its 95 % interval.
fn wrong(Confusion(counts): &Confusion, class: usize) -> String {
    let (wrong, all) = (counts[class][1 - class], counts[class].iter().sum());
    match all {
        0 => "–".into(),
        _ => {
            let [low, high] = wilson(wrong, all);
            let share = percent(wrong as f64 / all as f64);
            format!("{share} of {all} ({:.1} to {:.1})", 100.0 * low, 100.0 * high)
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header.iter().copied());
    table
}

/// Numbers end at the right.
fn align(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
