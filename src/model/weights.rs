//! The weights file: safetensors whose metadata says everything that a program needs to run it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Block, MOST_PARAMETERS, Shape};
use super::error::{Error, Result};
use super::file;
use super::output::write_atomically;

static EMBEDDED: &[u8] = include_bytes!("../../models/smile.safetensors");
static EMBEDDED_FACE: &[u8] = include_bytes!("../../models/face.safetensors");

/// What may stand before the tensors, in bytes: their names and shapes and what the file says of itself. Files of
/// `smile-train` have some thousand; the memory that JSON takes is many times its length.
const MOST_HEADER: u64 = 4 << 20;

/// A weights file has no more bytes than this: those of the largest network that an [`Architecture`] may
/// describe.
const MOST_BYTES: u64 = MOST_HEADER + 4 * MOST_PARAMETERS;

/// Which part of a picture a network was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// The largest centred square.
    Center,
    /// The whole picture, squeezed.
    Full,
    /// A square around each face.
    Faces,
}

/// What a weights file says of itself, beside its tensors.
pub trait Describe: Clone + Serialize + DeserializeOwned {
    /// Name and version of the format, stored under the key `format`.
    const FORMAT: &str;
    /// What the network is for, in words that follow "weights for".
    const FOR: &str;

    /// What is wrong with the values, if anything.
    fn check(&self) -> std::result::Result<(), String>;
}

/// What the weights of a smile network say of themselves. Every field but `margin` and `training`
/// is needed to run them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The network's blocks.
    pub architecture: Architecture,
    /// Input = byte × `scale` + `offset`.
    pub scale: f32,
    /// Added to each scaled byte.
    pub offset: f32,
    /// What to call the two answers: not smiling, smiling.
    pub labels: [String; 2],
    /// What of a picture the network was trained on.
    pub region: Region,
    /// What is seen around a face, where `region` says faces: on each side this share of the face's
    /// longer side. The square has the longer side's length and twice this share of it.
    #[serde(default)]
    pub margin: f32,
    /// A face smiles from this probability on.
    pub threshold: f32,
    /// The logit is divided by this before the sigmoid.
    pub temperature: f32,
    /// How the weights came about, for people: data, split, seed, command, accuracy.
    #[serde(default)]
    pub training: BTreeMap<String, serde_json::Value>,
}

impl Metadata {
    /// Defaults of a freshly trained network: pixels from 0 to 1, threshold one half.
    pub fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            scale: 1.0 / 255.0,
            offset: 0.0,
            labels: ["Not smiling".into(), "Smiling".into()],
            region: Region::Full,
            margin: 0.0,
            threshold: 0.5,
            temperature: 1.0,
            training: BTreeMap::new(),
        }
    }
}

impl Describe for Metadata {
    const FORMAT: &str = "smilefilter-1";
    const FOR: &str = "smiles";

    fn check(&self) -> std::result::Result<(), String> {
        self.architecture.check_classifier().map_err(|e| e.to_string())?;
        let Self { scale, offset, margin, threshold, temperature, .. } = *self;
        check_limits(&[
            ("scale", scale, f32::MIN_POSITIVE, 1e6),
            ("offset", offset, -1e6, 1e6),
            ("margin", margin, -0.4, 2.0),
            ("threshold", threshold, 0.0, 1.0),
            ("temperature", temperature, 1e-3, 1e3),
        ])
    }
}

/// What the weights of a face detector say of themselves. Every field but `smallest` and `training` is needed to
/// run them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceMetadata {
    /// Its input is a size like those that it learnt from; it runs over pictures of any.
    pub architecture: Architecture,
    /// Input = brightness (0 to 255) × `scale` + `offset`.
    pub scale: f32,
    /// Added to each scaled byte.
    pub offset: f32,
    /// There is a face where the score, the logit's sigmoid, reaches this.
    pub threshold: f32,
    /// Of two boxes whose intersection over union reaches this, the one with the higher score stays.
    pub overlap: f32,
    /// The height in pixels, before the network, of the smallest faces that it finds well: the face detector shows it
    /// pictures at a size in which no face that has to be found is smaller.
    #[serde(default = "smallest_of_old")]
    pub smallest: f32,
    /// How the weights came about, for people: data, seed, command, accuracy.
    #[serde(default)]
    pub training: BTreeMap<String, serde_json::Value>,
}

/// Of weights that don't say it: they were made for pictures of 160×120 and faces of a tenth of that.
fn smallest_of_old() -> f32 {
    12.0
}

impl FaceMetadata {
    /// Defaults of a freshly trained locator.
    pub fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            scale: 1.0 / 255.0,
            offset: 0.0,
            threshold: 0.74,
            overlap: 0.2,
            smallest: 18.0,
            training: BTreeMap::new(),
        }
    }
}

impl Describe for FaceMetadata {
    const FORMAT: &str = "smilefilter-face-1";
    const FOR: &str = "finding faces";

    fn check(&self) -> std::result::Result<(), String> {
        self.architecture.face_strides().map_err(|e| e.to_string())?;
        let Self { scale, offset, threshold, overlap, smallest, .. } = *self;
        check_limits(&[
            ("scale", scale, f32::MIN_POSITIVE, 1e6),
            ("offset", offset, -1e6, 1e6),
            ("threshold", threshold, 0.0, 1.0),
            ("overlap", overlap, 0.0, 1.0),
            ("smallest", smallest, 4.0, 64.0),
        ])
    }
}

/// Looks whether each named value is within its limits.
fn check_limits(values: &[(&str, f32, f32, f32)]) -> std::result::Result<(), String> {
    match values.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
        Some((name, value, least, most)) => Err(format!("its {name} is {value}, not from {least} to {most}")),
        None => Ok(()),
    }
}

/// Weights with their metadata, on the CPU: of a smile network, or with [`FaceMetadata`] of a face
/// locator.
#[derive(Clone, Debug)]
pub struct Weights<M = Metadata> {
    /// What they say of themselves.
    pub metadata: M,
    /// By the number of their block and what they are in it, such as `0.conv.weight`.
    pub tensors: HashMap<String, Tensor>,
}

/// Weights of a smile network.
pub type SmileWeights = Weights<Metadata>;

/// Weights of a face detector.
pub type FaceWeights = Weights<FaceMetadata>;

impl Weights {
    /// The smile network's weights that are built into the plugin.
    pub fn embedded() -> Result<Self> {
        Self::from_bytes(EMBEDDED, "the built-in model")
    }
}

impl FaceWeights {
    /// The face detector's weights that are built into the plugin.
    pub fn embedded() -> Result<Self> {
        Self::from_bytes(EMBEDDED_FACE, "the built-in face detector")
    }

    /// The same weights for `architecture`, where it is theirs but for heads that merge. What is merged is 0 at first,
    /// so that a network with a ReLU before each head answers as before. `None` for other architectures.
    ///
    /// # Errors
    /// Where an architecture is not sound.
    pub fn for_architecture(&self, architecture: &Architecture) -> Result<Option<Self>> {
        let mut weights = self.clone();
        let blocks = weights.metadata.architecture.blocks.iter_mut().enumerate();
        for ((index, block), (input, merged)) in
            blocks.zip(architecture.shapes()?.into_iter().zip(architecture.merged()?))
        {
            if let Block::Head { merge: merge @ false, .. } = block
                && let (Shape::Picture { channels, .. }, Some(Shape::Picture { channels: others, .. })) =
                    (input, merged)
            {
                *merge = true;
                let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
                weights.tensors.insert(format!("{index}.merge.weight"), zeros(&[channels, others, 1, 1])?);
                weights.tensors.insert(format!("{index}.merge.bias"), zeros(&[channels])?);
            }
        }
        Ok((weights.metadata.architecture == *architecture).then_some(weights))
    }
}

impl<M: Describe> Weights<M> {
    /// Reads a weights file: a plain file of at most as many bytes as the largest network has. Gives up where
    /// the file system doesn't answer for ten seconds.
    ///
    /// # Errors
    /// [`Error::Read`] where the file can't be read, [`Error::Kind`] where it holds weights of the other kind,
    /// [`Error::Weights`] where its content is not that of a complete weights file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = file::read(path, MOST_BYTES, |start| check_header(start).is_ok())?;
        Self::from_bytes(&bytes, &path.display().to_string())
    }

    /// Takes weights from memory; `name` stands in error messages.
    ///
    /// # Errors
    /// As [`Weights::read`], but for [`Error::Read`].
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        let broken = |reason| Error::Weights { name: name.into(), reason };
        check_header(bytes).map_err(broken)?;
        let (text, tensors) = open(bytes, METADATA_KEY).map_err(broken)?;
        let text = serde_json::from_str(&text).map_err(|error| broken(format!("metadata: {error}")))?;
        if let Some(holds) = purpose(&text).filter(|holds| *holds != M::FOR) {
            return Err(Error::Kind { name: name.into(), holds, wanted: M::FOR });
        }
        let metadata = parse_metadata(text).map_err(broken)?;
        Self::new(metadata, &tensors).map_err(broken)
    }

    fn new(metadata: M, tensors: &SafeTensors) -> std::result::Result<Self, String> {
        metadata.check()?;
        let tensors = copies(tensors)?;
        for (name, tensor) in &tensors {
            // Kernels that take the larger of two values would hide what is not a number.
            let values = tensor.flatten_all().and_then(|values| values.to_vec1::<f32>());
            if !values.map_err(|e| e.to_string())?.iter().all(|value| value.is_finite()) {
                return Err(format!("tensor {name} has values that are not finite"));
            }
        }
        Ok(Self { metadata, tensors })
    }

    /// The file's bytes; the same weights always give the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_safetensors(&self.tensors, METADATA_KEY, print_metadata(&self.metadata))
    }

    /// Writes the file whole or not at all, as [`write_atomically`] does, once it is known that it can be read.
    ///
    /// # Errors
    /// [`Error::Unusable`] where [`Self::read`] would refuse it, [`Error::Write`] where it can't be written. Then
    /// what was there is still there.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        Self::from_bytes(&bytes, "").map_err(|error| match error {
            Error::Weights { reason, .. } => Error::Unusable { path: path.into(), reason },
            other => other,
        })?;
        write_atomically(path, &bytes).map_err(|source| Error::Write { path: path.into(), source })
    }
}

const METADATA_KEY: &str = "smilefilter";

fn print_metadata<M: Describe>(metadata: &M) -> String {
    let mut value = serde_json::to_value(metadata).expect("metadata is plain data");
    value["format"] = M::FORMAT.into();
    value.to_string()
}

/// What weights with this metadata are for, where that is known.
fn purpose(metadata: &serde_json::Value) -> Option<&'static str> {
    let purposes = [(Metadata::FORMAT, Metadata::FOR), (FaceMetadata::FORMAT, FaceMetadata::FOR)];
    purposes.into_iter().find(|(format, _)| metadata["format"] == *format).map(|(_, purpose)| purpose)
}

fn parse_metadata<M: Describe>(value: serde_json::Value) -> std::result::Result<M, String> {
    if value["format"] != M::FORMAT {
        return Err(format!("its format is {}, not {:?}", value["format"], M::FORMAT));
    }
    serde_json::from_value(value).map_err(|e| format!("metadata: {e}"))
}

/// Looks at the first bytes of a file, eight of which are its header's length.
fn check_header(start: &[u8]) -> std::result::Result<(), String> {
    let no_header = || "it is no whole safetensors file (it begins with no header)".to_string();
    let (len, header) = start.split_first_chunk::<8>().ok_or_else(no_header)?;
    let len = u64::from_le_bytes(*len);
    match header.first() {
        Some(b'{') if len <= MOST_HEADER => Ok(()),
        Some(b'{') => Err(format!("its header would have {len} bytes, at most {MOST_HEADER} are read")),
        _ => Err(no_header()),
    }
}

/// Named tensors with one text beside them, as safetensors.
///
/// The library keeps metadata in an order that changes from run to run; a single key keeps the
/// bytes the same.
pub(crate) fn to_safetensors(tensors: &HashMap<String, Tensor>, key: &str, text: String) -> Result<Vec<u8>> {
    let views: BTreeMap<&String, View> =
        tensors.iter().map(|(name, tensor)| Ok((name, View::new(tensor)?))).collect::<Result<_>>()?;
    safetensors::serialize(views, Some(HashMap::from([(key.to_string(), text)])))
        .map_err(|e| Error::Candle(candle_core::Error::wrap(e)))
}

/// The text under `key` and the tensors, or what is wrong with the bytes.
#[cfg(feature = "train")]
pub(crate) fn from_safetensors(
    bytes: &[u8],
    key: &str,
) -> std::result::Result<(String, HashMap<String, Tensor>), String> {
    let (text, tensors) = open(bytes, key)?;
    Ok((text, copies(&tensors)?))
}

/// The text under `key`, and the tensors where they lie. The library has looked whether each has as many bytes
/// as its shape asks for, and whether they are all of the file.
fn open<'a>(bytes: &'a [u8], key: &str) -> std::result::Result<(String, SafeTensors<'a>), String> {
    let broken = |error| format!("it is no whole safetensors file ({error})");
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let text = header.metadata().as_ref().and_then(|fields| fields.get(key));
    let text = text.ok_or_else(|| format!("its metadata has no `{key}`"))?.clone();
    Ok((text, SafeTensors::deserialize(bytes).map_err(broken)?))
}

fn copies(tensors: &SafeTensors) -> std::result::Result<HashMap<String, Tensor>, String> {
    let copy = |(name, view): (String, TensorView)| {
        if view.dtype() != safetensors::Dtype::F32 {
            return Err(format!("tensor {name} is {:?}, not F32", view.dtype()));
        }
        let tensor = Tensor::from_raw_buffer(view.data(), DType::F32, view.shape(), &Device::Cpu)
            .map_err(|error| format!("tensor {name}: {error}"))?;
        Ok((name, tensor))
    };
    tensors.tensors().into_iter().map(copy).collect()
}

/// A tensor as the safetensors crate wants to see it.
struct View {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View {
    fn new(tensor: &Tensor) -> Result<Self> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok(Self {
            shape: tensor.dims().to_vec(),
            bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        })
    }
}

impl safetensors::View for View {
    fn dtype(&self) -> safetensors::Dtype {
        safetensors::Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        use rand::SeedableRng;
        let architecture = Architecture::paper(2, 3, 4);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let tensors = crate::model::initial_tensors(&architecture, &mut rng).unwrap();
        Weights { metadata: Metadata::new(architecture), tensors }
    }

    fn refusal(weights: &Weights) -> String {
        Weights::<Metadata>::from_bytes(&weights.to_bytes().unwrap(), "test").unwrap_err().to_string()
    }

    #[test]
    fn a_file_comes_back_as_it_was_with_the_same_bytes() {
        let written = weights();
        let bytes = written.to_bytes().unwrap();
        let read = Weights::<Metadata>::from_bytes(&bytes, "test").unwrap();
        assert_eq!(read.metadata, written.metadata);
        assert_eq!(read.tensors.len(), written.tensors.len());
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let mut odd = weights();
        odd.metadata.temperature = 0.0;
        assert!(refusal(&odd).contains("temperature is 0"));
        // What could not be read isn't written in the first place.
        let folder = tempfile::tempdir().unwrap();
        let unusable = odd.write(&folder.path().join("odd")).unwrap_err().to_string();
        assert!(unusable.contains("temperature is 0"), "{unusable}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut odd = weights();
        odd.tensors.insert("0.conv.bias".into(), Tensor::full(f32::NAN, 3, &Device::Cpu).unwrap());
        assert!(refusal(&odd).contains("0.conv.bias"));
    }

    #[test]
    fn weights_of_one_kind_are_not_taken_for_the_other() {
        let bytes = weights().to_bytes().unwrap();
        let refused = FaceWeights::from_bytes(&bytes, "test").unwrap_err().to_string();
        assert!(refused.contains("holds weights for smiles, not for finding faces"), "{refused}");
        let mut foreign = bytes.clone();
        let at = bytes.windows(13).position(|window| window == b"smilefilter-1").unwrap();
        foreign[at..at + 13].copy_from_slice(b"smilefilter-9");
        let refused = FaceWeights::from_bytes(&foreign, "test").unwrap_err().to_string();
        assert!(refused.contains("\"smilefilter-9\", not \"smilefilter-face-1\""), "{refused}");
    }

    #[test]
    fn a_header_has_a_length_that_can_be_read() {
        let mut bytes = weights().to_bytes().unwrap();
        for len in [MOST_HEADER + 1, 90_000_000, u64::MAX] {
            bytes[..8].copy_from_slice(&len.to_le_bytes());
            let refused = Weights::<Metadata>::from_bytes(&bytes, "test").unwrap_err().to_string();
            assert!(refused.contains(&format!("header would have {len} bytes")), "{refused}");
        }
    }

    #[test]
    fn every_cut_of_a_file_is_refused() {
        let bytes = weights().to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(Weights::<Metadata>::from_bytes(&bytes[..len], "test").is_err(), "{len}");
        }
    }
}
