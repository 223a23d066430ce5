//! Several collections at once: learnt from with parts, votes and regions of their own, and measured beside each
//! other.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use gstsmile::model::SmileWeights;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::pictures::{jpeg, put, put_classes};
use crate::program::{errors, run, succeeded};

const TRAIN: &str = "--preset paper-default --filters 4 --dense 8 --batch 8 --learning-rate 0.005 --device cpu \
    --test-fraction 0 --epochs 25 --data faces --out smile.safetensors";

/// `faces` and, under other names, `voted` and `parted`.
fn collections() -> TempDir {
    let folder = tempdir().unwrap();
    put_classes(&folder.path().join("faces"), 24);
    for index in 0..20 {
        for (class, smiling) in [("smile", true), ("no-smile", false)] {
            put(
                &folder.path().join("parted"),
                &format!("{class}/p{index:02}.jpg"),
                jpeg(100 + index, smiling),
            );
            // Labels of this collection mean nothing: votes do.
            put(
                &folder.path().join("voted"),
                &format!("{class}/v{index:02}.jpg"),
                jpeg(200 + index, index < 10),
            );
        }
    }
    let mut votes = String::from("file,neutral,happiness,NF\n");
    for index in 0..20 {
        for class in ["smile", "no-smile"] {
            let [happy, neutral] = if index < 10 { [9, 1] } else { [1, 9] };
            // Nobody voted on the last one; of the one before nobody sees that it is a face.
            match index {
                19 => {}
                18 => votes += &format!("{class}/v{index:02}.jpg,0,1,9\n"),
                _ => writeln!(votes, "{class}/v{index:02}.jpg,{neutral},{happy},0").unwrap(),
            }
        }
    }
    put(folder.path(), "votes.csv", votes);
    let mut people = String::from("file,part,hat,age\n");
    for index in 0..20 {
        let part = ["train", "train", "validation", "test"][index % 4];
        writeln!(people, "p{index:02}.jpg,{part},{},{index}", index % 2).unwrap();
    }
    put(folder.path(), "people.csv", people);
    folder
}

fn training(folder: &Path) -> Value {
    let metadata = SmileWeights::read(&folder.join("smile.safetensors")).unwrap().metadata;
    assert!(metadata.temperature != 1.0, "fitted to what is held out of the others");
    serde_json::to_value(metadata.training).unwrap()
}

#[test]
fn collections_are_learnt_from_by_their_votes_and_parts_and_measured_side_by_side() {
    let folder = collections();
    let folder = folder.path();
    let arguments = format!(
        "{TRAIN} --extra voted --extra parted --extra-share 1,0.5 --votes votes.csv --parts people.csv \
         --extra-validation-fraction 0.25"
    );
    let output = run(folder, &arguments);
    succeeded(&output);
    let log = errors(&output);
    assert!(log.contains("voted: votes for 36 of 40 pictures, 20 of which smile"), "{log}");
    assert!(log.contains("temperature fitted to the validation part"), "{log}");
    let training = training(folder);
    let [voted, parted] = [0, 1].map(|index| &training["extra"][index]);
    assert_eq!((&voted["share"], &parted["share"]), (&1.0.into(), &0.5.into()));
    // A quarter of each class by chance; of the other what its table says.
    assert_eq!(voted["split"]["validation"], serde_json::json!([4, 5]));
    assert_eq!(parted["split"]["validation"], serde_json::json!([5, 5]));
    assert_eq!(parted["split"]["test"], serde_json::json!([5, 5]));
    assert_eq!((&training["votes"][0], &training["parts"][0]), (&"votes.csv".into(), &"people.csv".into()));
    let right = |name: &str| {
        let matrix: [[u32; 2]; 2] = serde_json::from_value(training["measured_extra"][name].clone()).unwrap();
        (matrix[0][0] + matrix[1][1], matrix.as_flattened().iter().sum::<u32>())
    };
    // Half of the labels of what was voted on are wrong, so that a network that believed them would be right of half.
    assert!(right("voted").0 >= 8 && right("voted").1 == 9, "{training}");
    assert!(right("parted").0 >= 9 && right("parted").1 == 10, "{training}");

    let eval = "eval --model smile.safetensors --data voted --data parted --votes votes.csv --parts people.csv \
        --split validation --attributes people.csv --device cpu --json e.json --predictions p.csv";
    let text = succeeded(&run(folder, eval));
    assert!(
        text.contains("validation part of voted") && text.contains("validation part of parted"),
        "{text}"
    );
    assert!(text.contains("hat") && !text.contains("age"), "{text}");
    let results: Value = serde_json::from_slice(&fs::read(folder.join("e.json")).unwrap()).unwrap();
    for (collection, name) in results["collections"].as_array().unwrap().iter().zip(["voted", "parted"]) {
        assert_eq!(collection["confusion"], training["measured_extra"][name], "{name}");
        let [own, best] = ["balanced_accuracy", "best_balanced_accuracy"].map(|key| collection[key].as_f64());
        assert!(own > Some(0.5) && own <= best, "{collection}");
    }
    assert_eq!(results["collections"][1]["slices"].as_array().unwrap().len(), 1, "validation has no hats");
    put(folder, "card.md", "<!-- collections --><!-- /collections -->\n<!-- slices --><!-- /slices -->\n");
    succeeded(&run(folder, "card --card card.md --collections e.json"));
    let card = fs::read_to_string(folder.join("card.md")).unwrap();
    assert!(card.contains("\n| `voted` | 9 | 0 | ") && card.contains("\n| `parted`, not hat | "), "{card}");
    let predictions = fs::read_to_string(folder.join("p.csv")).unwrap();
    assert!(predictions.starts_with("data,name,smiling,probability,predicted\nvoted,"), "{predictions}");
    assert_eq!(predictions.lines().count(), 1 + 9 + 10);
}

#[test]
fn what_does_not_fit_together_is_said() {
    let folder = collections();
    let eval = "eval --model smile.safetensors --data voted --data parted";
    succeeded(&run(folder.path(), &TRAIN.replace("--epochs 25", "--epochs 1")));
    for (arguments, reason) in [
        (
            format!("{TRAIN} --extra voted --extra parted --extra-share 1,2,3"),
            "--extra-share: 3 numbers for 2 times",
        ),
        (
            format!("{TRAIN} --extra voted --extra-region full,faces"),
            "--extra-region: 2 values for 1 times --extra; give one for each",
        ),
        (format!("{TRAIN} --extra voted --votes people.csv"), "people.csv"),
        (format!("{eval} --report r"), "--report: it is about one data set"),
        (format!("{eval} --split validation"), "--split validation: the weights were trained on faces"),
        (format!("{eval} --predictions voted/smile/v00.jpg"), "v00.jpg"),
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(errors(&output).contains(reason), "{arguments}: {}", errors(&output));
    }
}

#[test]
fn each_collection_is_left_out_once_and_measured_on() {
    let folder = collections();
    let arguments = TRAIN.replace("smile.safetensors", "left").replace("--epochs 25", "--epochs 30");
    let arguments = format!(
        "cross-validate --leave-collection {arguments} --extra voted --extra parted --votes votes.csv"
    );
    let text = succeeded(&run(folder.path(), &arguments));
    assert!(text.contains("voted") && text.contains("parted"), "{text}");
    let left = folder.path().join("left");
    let names = crate::pictures::names(&left);
    assert_eq!(names, ["left-out.json", "without-parted.safetensors", "without-voted.safetensors"]);
    let weights = SmileWeights::read(&left.join("without-voted.safetensors")).unwrap();
    let learnt_from = &weights.metadata.training["extra"];
    assert_eq!((learnt_from[0]["name"].as_str(), learnt_from[1].as_object()), (Some("parted"), None));
    let results: Value = serde_json::from_slice(&fs::read(left.join("left-out.json")).unwrap()).unwrap();
    for (index, pictures) in [36, 40].into_iter().enumerate() {
        let result = &results["left_out"][index];
        assert_eq!(result["pictures"], pictures);
        assert!(result["accuracy"].as_f64() > Some(0.8), "{result}");
    }
    let none = run(folder.path(), &format!("cross-validate --leave-collection {TRAIN}"));
    assert!(none.status.code() == Some(2) && errors(&none).contains("no --extra"), "{}", errors(&none));
}
