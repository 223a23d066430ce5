//! Results as tables in Markdown.

use serde::Deserialize;

use crate::train::face::Recall;
use crate::train::measure::attributes::Slice;
use crate::train::measure::bands::Band;
use crate::train::measure::evaluation::{Evaluation, Mistake};
use crate::train::measure::metrics::{CLASSES, Confusion, wilson};
use crate::train::measure::perturb::Kind;
use crate::train::measure::robust::Level;
use crate::train::report::record::DataFacts;

/// What a cross-validation says.
#[derive(Deserialize)]
pub struct Folds {
    command: String,
    mean_accuracy: f64,
    confusions: Vec<Confusion>,
    #[serde(flatten)]
    pub pooled: Evaluation,
    #[serde(default)]
    pub robustness: Option<Vec<Level>>,
}

/// What `eval --json` says of a face detector.
#[derive(Deserialize)]
pub struct Located {
    threshold: f32,
    results: Recall,
    #[serde(default)]
    peers: Vec<(String, Recall)>,
}

/// What `eval --json` says of several data sets.
#[derive(Deserialize)]
pub struct Collections {
    pub collections: Vec<Collection>,
}

/// What it says of one of them.
#[derive(Deserialize)]
pub struct Collection {
    data: DataFacts,
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(default)]
    slices: Vec<Slice>,
}

/// What tables of runs compare.
#[derive(Deserialize)]
pub struct Scores {
    accuracy: f64,
    area_under_curve: f64,
    calibration_error: f64,
    pictures: usize,
}

pub fn folds(results: &Folds) -> String {
    let pooled = &results.pooled;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (index, fold) in results.confusions.iter().enumerate() {
        rows.push(vec![format!("fold {}", index + 1), percent(fold.accuracy()), confusion(fold)]);
    }
    rows.push(vec![
        "**mean of the folds**".into(),
        format!("**{}**", percent(results.mean_accuracy)),
        confusion(&pooled.confusion),
    ]);
    format!(
        "```sh\n{}\n```\n\n{}\n95 % interval {}; area under the ROC curve {:.4}; expected \
         calibration error {:.4}; no face found in {} of {} pictures.\n",
        results.command,
        table(&["", "accuracy", "confusion"], rows),
        interval(pooled.interval),
        pooled.area_under_curve,
        pooled.calibration_error,
        pooled.without_face,
        pooled.pictures
    )
}

/// A row a data set.
pub fn collections(all: &[Collection]) -> String {
    let row = |Collection { data, evaluation, .. }: &Collection| {
        vec![
            format!("`{}`", data.name),
            evaluation.pictures.to_string(),
            evaluation.without_face.to_string(),
            format!("{} ({})", percent(evaluation.accuracy), interval(evaluation.interval)),
            percent(evaluation.balanced_accuracy),
            format!("{} from {:.2}", percent(evaluation.best_balanced_accuracy), evaluation.best_threshold),
            format!("{:.4}", evaluation.area_under_curve),
            format!("{:.4}", evaluation.calibration_error),
        ]
    };
    let header = [
        "",
        "pictures",
        "no face found",
        "accuracy",
        "balanced",
        "best balanced",
        "area under ROC",
        "calibration error",
    ];
    table(&header, all.iter().map(row))
}

/// Two rows a property of each data set: of the people with it, and without.
pub fn slices(all: &[Collection]) -> String {
    let wrong = |Confusion(counts): &Confusion, class: usize| {
        let (wrong, all) = (counts[class][1 - class], counts[class].iter().sum());
        match all {
            0 => "–".into(),
            _ => {
                format!("{} of {all} ({})", percent(wrong as f64 / all as f64), interval(wilson(wrong, all)))
            }
        }
    };
    let row = |name: &str, Slice { attribute, has, confusion }: &Slice| {
        let has = if *has { "" } else { "not " };
        vec![
            format!("`{name}`, {has}{}", attribute.replace('_', " ")),
            percent(confusion.accuracy()),
            wrong(confusion, 0),
            wrong(confusion, 1),
        ]
    };
    let rows = all.iter().flat_map(|Collection { data, slices, .. }| {
        slices.iter().map(|slice| row(&data.name, slice)).collect::<Vec<_>>()
    });
    table(&["", "accuracy", "taken for smiles", "smiles missed"], rows)
}

pub fn bands(bands: &[Band]) -> String {
    let row = |band: &Band| {
        vec![
            format!("{} {}", band.quantity, band.range),
            band.pictures.to_string(),
            percent(band.accuracy),
            interval(band.interval),
        ]
    };
    table(&["", "pictures", "accuracy", "95 % interval"], bands.iter().map(row))
}

/// All levels of a kind in one row.
pub fn robustness(levels: &[Level]) -> String {
    let plain = levels.iter().find(|level| level.perturbation.is_none()).map_or(0.0, |level| level.accuracy);
    let row = |kind: Kind| {
        let cell = |level: &Level| {
            let change = level.perturbation.filter(|change| change.kind == kind)?;
            Some(format!("{}: {}", change.level, points(level.accuracy - plain)))
        };
        vec![kind.name().into(), levels.iter().filter_map(cell).collect::<Vec<_>>().join(", ")]
    };
    let head = format!("difference in points to {}", percent(plain));
    table(&["", &head], Kind::ALL.into_iter().map(row))
}

pub fn mistakes(mistakes: &[Mistake]) -> String {
    let row = |mistake: &Mistake| {
        let label = CLASSES[usize::from(mistake.smiling)].to_string();
        vec![format!("`{}`", mistake.name), label, format!("{:.1} %", 100.0 * mistake.probability)]
    };
    table(&["file", "labelled", "probability of smiling"], mistakes.iter().map(row))
}

/// Shares of faces found, false boxes, and precision.
pub fn locator(located: &Located) -> String {
    let own = format!("ours, {}", located.threshold);
    let names = located.peers.iter().map(|(name, _)| name.as_str());
    let head: Vec<&str> = ["", "number", &own, "mean overlap"].into_iter().chain(names).collect();
    table(&head, located.results.rows(located.peers.iter().map(|(_, measured)| measured)))
}

/// A row a run, with the difference to the first one.
pub fn runs(runs: &[(String, Scores)]) -> String {
    let first = runs.first().map_or(0.0, |(_, scores)| scores.accuracy);
    let row = |(index, (name, scores)): (usize, &(String, Scores))| {
        vec![
            name.clone(),
            scores.pictures.to_string(),
            percent(scores.accuracy),
            if index > 0 { points(scores.accuracy - first) } else { String::new() },
            format!("{:.4}", scores.area_under_curve),
            format!("{:.4}", scores.calibration_error),
        ]
    };
    let head = ["", "pictures", "accuracy", "difference in points", "area under ROC", "calibration error"];
    table(&head, runs.iter().enumerate().map(row))
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|cell| cell.to_string()).collect();
    let rule = format!("|{}\n", " --- |".repeat(head.len()));
    let rows = rows.into_iter().map(|cells| {
        // A bar would end the cell.
        line(&cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>())
    });
    format!("{}{rule}{}", line(&head), rows.collect::<String>())
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn interval([low, high]: [f64; 2]) -> String {
    format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high)
}

fn confusion(Confusion([[a, b], [c, d]]): &Confusion) -> String {
    format!("{a} {b} / {c} {d}")
}

/// A difference of shares in points of a hundred.
fn points(difference: f64) -> String {
    format!("{:+.2}", 100.0 * difference).replace('-', "−")
}
