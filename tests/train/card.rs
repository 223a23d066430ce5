//! Results in a model card.

use std::fs;
use std::path::Path;

use gstsmile::train::{Confusion, Evaluation, Kind, Level, Perturbation, Sample};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::pictures::put;
use crate::program::{errors, run, succeeded};

const CARD: &str = "\
# Weights
<!-- a comment in words stays -->
<!-- folds -->
old numbers
<!-- /folds -->
Between.
<!-- bands --><!-- /bands -->
<!-- robustness --><!-- /robustness -->
<!-- mistakes --><!-- /mistakes -->
<!-- locator -->
<!-- /locator -->
<!-- recipe -->
<!-- /recipe -->
The end.
";

fn results() -> Value {
    let sample = |index: usize| Sample {
        name: format!("files/file{index:04}.jpg"),
        pixels: vec![90; 12].into(),
        wide: Box::default(),
        smiling: index % 2 == 1,
        votes: None,
    };
    let all: Vec<Sample> = (0..8).map(sample).collect();
    let samples: Vec<&Sample> = all.iter().collect();
    let probabilities = [0.1, 0.9, 0.2, 0.8, 0.95, 0.9, 0.1, f32::NAN];
    let turned = Some([12f32.to_radians(), 0.0, 0.0]);
    let level = |perturbation, accuracy| Level { perturbation, accuracy };
    let darker = Perturbation { kind: Kind::Brightness, level: 0.5 };
    let mut results =
        serde_json::to_value(Evaluation::new(&samples, &probabilities, 0.5, &[turned; 8])).unwrap();
    results["command"] = "smile-train cross-validate --data genki4k --out folds".into();
    results["mean_accuracy"] = 0.75.into();
    let half =
        |range: std::ops::Range<usize>| Confusion::count(&samples[range.clone()], &probabilities[range], 0.5);
    results["confusions"] = json!([half(0..4), half(4..8)]);
    results["robustness"] = json!([level(None, 0.75), level(Some(darker), 0.625)]);
    results
}

/// A card, a cross-validation, another run, and results of face detectors.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    put(folder.path(), "card/README.md", CARD);
    put(folder.path(), "folds/results.json", results().to_string());
    put(folder.path(), "folds/evaluation.png", "a drawing");
    let plain = json!({"accuracy": 0.7, "area_under_curve": 0.8, "calibration_error": 0.1, "pictures": 8});
    put(folder.path(), "plain.json", plain.to_string());
    let measured = |groups: &[&str], found: usize, boxes: usize| {
        let tally = |group: &&str| json!({"group": group, "faces": 8, "found": found, "overlap": 0.8});
        json!({
            "tallies": groups.iter().map(tally).collect::<Vec<_>>(),
            "alarms": [{"group": "pictures with faces", "pictures": 8, "boxes": boxes}],
            "average_precision": 0.5,
        })
    };
    let results = measured(&["from 10 % on", "tilt 0 to 15°"], 6, 3);
    let peers = json!([["Haar", measured(&["from 10 % on"], 2, 5)]]);
    put(
        folder.path(),
        "ours.json",
        json!({"threshold": 0.7, "results": results, "peers": peers}).to_string(),
    );
    folder
}

fn card(folder: &Path) -> String {
    fs::read_to_string(folder.join("card/README.md")).unwrap()
}

const ALL: &str = "card --card card/README.md --folds folds --prefix new- --locator ours.json \
    --marker recipe --run plain=plain.json --run folds=folds";

#[test]
fn numbers_stand_where_they_belong() {
    let folder = folder();
    succeeded(&run(folder.path(), ALL));
    let text = card(folder.path());
    for part in [
        "# Weights\n<!-- a comment in words stays -->\n<!-- folds -->\n```sh\nsmile-train cross-validate",
        "| fold 1 | 100.00 % | 2 0 / 0 2 |\n| fold 2 | 50.00 % |",
        "| **mean of the folds** | **75.00 %** |",
        "no face found in 1 of 8 pictures.\n<!-- /folds -->\nBetween.\n<!-- bands -->\n",
        "| yaw 10 to 20° | 8 | 75.00 % |",
        "| brightness × | 0.5: −12.50 |\n",
        "| `files/file0004.jpg` | not smiling | 95.0 % |\n<!-- /mistakes -->",
        "|  | number | ours, 0.7 | mean overlap | Haar |\n| --- | --- | --- | --- | --- |\n",
        "| from 10 % on | 8 | 75.0 % (40.9 to 92.9) | 0.80 | 25.0 % |\n| tilt 0 to 15° | 8 | 75.0 % (40.9 to 92.9) | 0.80 | – |\n",
        "| false boxes in pictures with faces | 8 | 3 |  | 5 |\n| average precision |  | 0.500 |  | 0.500 |\n",
        "| plain | 8 | 70.00 % |  | 0.8000 | 0.1000 |\n| folds | 8 | 75.00 % | +5.00 |",
        "<!-- /recipe -->\nThe end.\n",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
    assert!(!text.contains("old numbers"), "{text}");
    assert_eq!(fs::read(folder.path().join("card/new-evaluation.png")).unwrap(), b"a drawing");
    // Once more changes nothing, and what nothing is given for stays.
    succeeded(&run(folder.path(), ALL));
    assert_eq!(card(folder.path()), text);
    succeeded(&run(folder.path(), "card --card card/README.md --locator ours.json"));
    assert_eq!(card(folder.path()), text);
}

#[test]
fn what_is_missing_is_named_and_the_card_stays() {
    let folder = folder();
    put(folder.path(), "short/README.md", CARD.replace("<!-- bands --><!-- /bands -->", ""));
    put(folder.path(), "open/README.md", CARD.replace("<!-- /bands -->", ""));
    put(folder.path(), "empty.json", "{}");
    for (arguments, message) in [
        ("--card short/README.md --folds folds", "there is no marker <!-- bands -->"),
        ("--card open/README.md --folds folds", "comes before <!-- /bands -->"),
        ("--card card/README.md --marker ablation --run a=plain.json", "no marker <!-- ablation -->"),
        ("--card card/README.md --folds absent", "absent/results.json"),
        ("--card card/README.md --marker recipe --run a=empty.json", "empty.json"),
        ("--card card/README.md --marker recipe --run plain", "NAME=PATH"),
        ("--card absent.md --folds folds", "cannot read absent.md"),
    ] {
        let output = run(folder.path(), &format!("card {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(errors(&output).contains(message), "{arguments}: {}", errors(&output));
    }
    assert_eq!(card(folder.path()), CARD);
}
