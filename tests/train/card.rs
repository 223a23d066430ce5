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
        labelled: true,
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

/// A card, a cross-validation, another run, and results of locators.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    put(folder.path(), "card/README.md", CARD);
    put(folder.path(), "folds/results.json", results().to_string());
    put(folder.path(), "folds/evaluation.png", "a drawing");
    let plain = json!({"accuracy": 0.7, "area_under_curve": 0.8, "calibration_error": 0.1, "pictures": 8});
    put(folder.path(), "plain.json", plain.to_string());
    let group = |group: &str, faces: usize| json!({"group": group, "pictures": 8, "faces": faces, "found": 6, "false_boxes": 3, "overlap": 0.8});
    let ours = json!({"threshold": 0.7, "results": [group("portraits", 8), group("no face", 0), group("yaw 0–10°", 8)]});
    put(folder.path(), "ours.json", ours.to_string());
    let peers = json!({
        "detectors": ["Haar"],
        "groups": {"portraits": {"Haar": [8, 2]}, "no face": {"Haar": [8, 5]}},
    });
    put(folder.path(), "peers.json", peers.to_string());
    folder
}

fn card(folder: &Path) -> String {
    fs::read_to_string(folder.join("card/README.md")).unwrap()
}

const ALL: &str = "card --card card/README.md --folds folds --prefix new- --locator ours.json \
    --peers peers.json --marker recipe --run plain=plain.json --run folds=folds";

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
        "|  | ours, 0.7 | Haar |\n| --- | --- | --- |\n| portraits | 75.0 % | 25.0 % |\n| yaw 0–10° | 75.0 % | – |\n| no face | 3 in 8 | 5 in 8 |\n",
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
    let shorter = card(folder.path());
    assert!(!shorter.contains("Haar") && shorter.contains("mean of the folds"), "{shorter}");
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
        ("--card card/README.md --peers peers.json", "--locator"),
        ("--card absent.md --folds folds", "cannot read absent.md"),
    ] {
        let output = run(folder.path(), &format!("card {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(errors(&output).contains(message), "{arguments}: {}", errors(&output));
    }
    assert_eq!(card(folder.path()), CARD);
}
