//! What the targets begin with: small sound files, and files on the disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use gstsmile::model::{Architecture, FaceMetadata, Metadata, Weights, initial_tensors};
use gstsmile::train::{Examples, Loss, Observer, Preset, Recipe, Sample, Smiles, Trainer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The keys that the texts of weights and checkpoints stand under.
pub const WEIGHTS: &str = "smilefilter";
pub const CHECKPOINT: &str = "smilefilter-checkpoint";

fn tensors(architecture: &Architecture) -> HashMap<String, Tensor> {
    initial_tensors(architecture, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
}

fn architecture() -> Architecture {
    let mut architecture = Architecture::paper(2, 2, 3);
    architecture.input = [3, 12, 12];
    architecture
}

pub fn smile_file() -> Vec<u8> {
    let metadata = Metadata::new(architecture());
    Weights { tensors: tensors(&metadata.architecture), metadata }.to_bytes().unwrap()
}

pub fn face_file() -> Vec<u8> {
    let metadata = FaceMetadata::new(Architecture::face(32, [2, 2, 3, 3]));
    Weights { tensors: tensors(&metadata.architecture), metadata }.to_bytes().unwrap()
}

pub fn task() -> Smiles {
    Smiles::new(Loss::CrossEntropy, Metadata::new(architecture()))
}

/// What training leaves that is stopped after its first batch.
pub fn checkpoint_file() -> Vec<u8> {
    struct Stop;
    impl Observer for Stop {
        fn stopped(&self) -> bool {
            true
        }
    }
    let sample = |smiling: bool| Sample {
        name: smiling.to_string(),
        pixels: vec![if smiling { 200 } else { 50 }; 3 * 12 * 12].into(),
        wide: Box::default(),
        smiling,
        votes: None,
    };
    let samples = [sample(true), sample(false)];
    let training: Vec<&Sample> = samples.iter().collect();
    let recipe = Recipe { architecture: architecture(), epochs: 2, batch: 1, ..Preset::PaperDeep.recipe() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut trainer = Trainer::new(recipe, task(), &Device::Cpu).unwrap();
    trainer.run(&Examples::new(&training, &[]), Some(&path), &mut Stop).unwrap();
    std::fs::read(path).unwrap()
}

/// The text that a file has under `key`.
pub fn text_of(file: &[u8], key: &str) -> String {
    header(file)["__metadata__"][key].as_str().unwrap().into()
}

/// A file whose tensors are those of `file` and whose text is another one, so that mutations needn't get lengths and
/// quotes right to come as far as what reads the text.
pub fn with_text(file: &[u8], key: &str, text: &str) -> Vec<u8> {
    let mut header = header(file);
    header["__metadata__"] = json!({ key: text });
    let tensors = &file[8 + header_len(file)..];
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), tensors].concat()
}

fn header(file: &[u8]) -> Value {
    serde_json::from_slice(&file[8..][..header_len(file)]).unwrap()
}

fn header_len(file: &[u8]) -> usize {
    u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}

/// A folder of this process' own.
pub struct Folder(TempDir);

impl Folder {
    /// With two pictures of two pixels, `files/a.bmp` and `files/b.bmp`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(format!("files/{name}.bmp")), BMP).unwrap();
        }
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

/// Two pixels, 24 bits each.
const BMP: &[u8] = &[
    b'B', b'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 24, 0, 0, 0,
    0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 20, 30, 200, 210, 220, 0, 0,
];
