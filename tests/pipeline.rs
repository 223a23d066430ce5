//! The plugin as its users meet it: loaded by GStreamer's own programs, and on real pictures.

mod common;

use std::path::{Path, PathBuf};

use common::run;

#[track_caller]
fn succeed(program: &str, arguments: &str) -> String {
    let output = run(program, arguments);
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{program} {arguments}\n{text}");
    text
}

fn astronaut() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg")
}

#[test]
fn gst_launch_labels_a_real_picture() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, labelled) = (common::file(&common::always_smiling()), folder.path().join("labelled.mkv"));
    let text = succeed(
        "gst-launch-1.0",
        &format!(
            "-m filesrc location={} ! jpegdec ! videoconvert ! smilefilter model-file={} ! videoconvert \
             ! jpegenc ! matroskamux ! filesink location={}",
            astronaut().display(),
            weights.display(),
            labelled.display(),
        ),
    );
    assert!(text.contains("smilefilter, timestamp=(guint64)"), "{text}");
    assert!(text.contains("Smiling"), "{text}");
    assert!(labelled.metadata().unwrap().len() > 10_000);
}

#[test]
fn gst_launch_takes_every_property() {
    let properties = "device=cpu region=roi roi-type=face display=box+bar+fps updates=none mode=async \
                      min-face-size=0.2 max-faces=3 threshold=0.6 hysteresis=0.05 smoothing=0.5 \
                      inference-interval=2 detection-interval=4 smile-color=0xff00ff00 neutral-color=0x80ffffff \
                      font-scale=1.5 area=0.1,0.1,0.8,0.8 labels=No|Yes attach-metas=false post-messages=false source-id=door face-model-file=\"\"";
    let line = |properties: &str| format!("videotestsrc num-buffers=2 ! smilefilter {properties} ! fakesink");
    succeed("gst-launch-1.0", &line(properties));
    for region in ["auto", "faces", "center", "full"] {
        let properties = format!("device=auto region={region} display=0 updates=every-frame");
        succeed("gst-launch-1.0", &line(&properties));
    }
    let failed = run("gst-launch-1.0", &line("model-file=/no/such/file"));
    assert!(!failed.status.success());
    let text = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(text.matches("ERROR: from element").count(), 1, "{text}");
}

#[test]
fn gst_launch_shows_what_a_property_refuses() {
    let refused =
        [("labels=no,yes", "where two labels belong"), ("area=0.5,0.5,0.6,0.6", "fractions of the frame")];
    for (property, words) in refused {
        let line = format!("videotestsrc num-buffers=2 ! smilefilter region=center {property} ! fakesink");
        let text = succeed("gst-launch-1.0", &line);
        assert!(text.contains("WARNING: from element") && text.contains(words), "{text}");
    }
}

#[test]
fn gst_inspect_finds_the_element_in_its_version() {
    // Without a version it asks for that of GStreamer itself, which plugins have that are released with it.
    succeed("gst-inspect-1.0", "--exists --atleast-version=1.0.0 smilefilter");
}

#[test]
fn gst_inspect_knows_the_element() {
    let text = succeed("gst-inspect-1.0", "smilefilter");
    for line in [
        "Filter/Analyzer/Video",
        "SINK template",
        "SRC template",
        "model-file",
        "roi-type",
        "gst-plugin-smile",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
}

/// GENKI-4K where it lies, or `None` said aloud.
#[cfg(feature = "train")]
fn genki() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("SMILE_DATA").map_or(default, PathBuf::from);
    let folder = data.join("genki4k/files");
    let there = folder.join("file0001.jpg").exists();
    if !there {
        println!("GENKI-4K is not at {}: the test on it is left out. Set SMILE_DATA.", folder.display());
    }
    there.then_some(folder)
}

/// What the library says of a decoded file: the way of `smile-train eval`.
#[cfg(feature = "train")]
fn answer(
    file: &Path,
    classifier: &mut gstsmile::model::Classifier,
    cropper: &mut gstsmile::analysis::Cropper,
) -> f32 {
    let image = image::open(file).unwrap().into_rgb8();
    let (width, height) = image.dimensions();
    let picture = gstsmile::analysis::Picture::rgb(width as usize, height as usize, image.as_raw());
    let mut crop = vec![0; classifier.metadata().architecture.input_len()];
    cropper.crop(&picture, picture.bounds(), &mut crop);
    let mut probabilities = Vec::new();
    classifier.probabilities(&crop, &mut probabilities).unwrap();
    probabilities[0]
}

/// Pictures sent through a pipeline get the labels that the library gives the files.
#[cfg(feature = "train")]
#[test]
fn genki_pictures_in_a_stream_get_the_labels_of_the_files() {
    use gst::prelude::*;
    use gstsmile::{analysis::Cropper, model, smilefilter::Results};

    const FILES: usize = 400;
    let Some(folder) = genki() else { return };
    common::init();
    // These weights answer by brightness alone, and many of the pictures are near their threshold. The
    // fast inverse transform that jpegdec has as its default darkens all pictures by almost one step
    // of 255, which is not the crop's doing.
    let mut brightness = common::weights(12.0, -5.0);
    brightness.metadata.architecture.input = [3, 64, 64];
    let kernel = 12.0 / (3.0 * 64.0 * 64.0);
    let kernel = candle_core::Tensor::full(kernel as f32, (1, 3 * 64 * 64), &candle_core::Device::Cpu);
    brightness.tensors.insert("1.weight".into(), kernel.unwrap());
    let built_in = model::SmileWeights::embedded().unwrap();
    for (name, weights, decoder) in
        [("brightness", brightness, "jpegdec idct-method=islow"), ("built-in", built_in, "jpegdec")]
    {
        let file = common::file(&weights);
        let pipeline = gst::parse::launch(&format!(
            "multifilesrc location={}/file%04d.jpg start-index=1 stop-index={FILES} \
             caps=image/jpeg,framerate=1/1 ! {decoder} ! videoconvert \
             ! smilefilter region=full updates=every-frame device=cpu model-file={} ! fakesink",
            folder.display(),
            file.display(),
        ))
        .unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut streamed = vec![None; FILES];
        for message in pipeline.bus().unwrap().iter_timed(gst::ClockTime::NONE) {
            match message.view() {
                gst::MessageView::Element(_) => {
                    let results = Results::try_from(message.structure().unwrap()).unwrap();
                    streamed[results.timestamp.unwrap().seconds() as usize] = results.faces.first().cloned();
                }
                gst::MessageView::Eos(_) => break,
                gst::MessageView::Error(error) => panic!("{error:?}"),
                _ => {}
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();

        let mut classifier = model::Classifier::new(&weights, &candle_core::Device::Cpu).unwrap();
        let mut cropper = Cropper::new(64, 64);
        let (mut equal, mut difference) = (0, 0.0);
        for (index, face) in streamed.iter().enumerate() {
            let face = face.as_ref().unwrap_or_else(|| panic!("no result for file {}", index + 1));
            let path = folder.join(format!("file{:04}.jpg", index + 1));
            let probability = answer(&path, &mut classifier, &mut cropper);
            equal += usize::from((probability >= weights.metadata.threshold) == face.smiling);
            difference += f64::from((probability - face.probability as f32).abs()) / FILES as f64;
        }
        println!(
            "{name}: {equal} of {FILES} labels equal, probabilities differ by {difference:.5} on average"
        );
        assert!(equal * 100 >= FILES * 99, "{name}: only {equal} of {FILES} labels are equal");
    }
}
