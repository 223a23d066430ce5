//! What the tests share: tiny weights whose answers are known, and frames made by exact maths.
#![allow(dead_code, reason = "each test program uses its part")]

mod frames;

use std::collections::HashMap;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstsmile::model::{self, Architecture, Block, Metadata, Weights};
use gstsmile::smilefilter::{Event, Region, Results, Updates};

#[allow(unused_imports, reason = "each test program uses its part")]
pub use frames::{frame, unpack};

pub fn init() {
    static INIT: std::sync::Once = std::sync::Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstsmile::plugin_register_static().unwrap();
    });
}

/// The formats that the element takes.
pub fn formats() -> &'static [gst_video::VideoFormat] {
    init();
    &gstsmile::smilefilter::FORMATS
}

/// Weights with the logit `gain` × (mean of all input bytes / 255) + `bias`.
pub fn weights(gain: f32, bias: f32) -> Weights {
    weights_of(gain, bias, [3, 8, 8])
}

/// The same for inputs of another shape.
pub fn weights_of(gain: f32, bias: f32, input: [usize; 3]) -> Weights {
    use candle_core::{Device, Tensor};
    let blocks = vec![Block::Flatten, Block::Dense { units: 1, relu: false }];
    let metadata = Metadata::new(Architecture { input, blocks });
    let len = metadata.architecture.input_len();
    let tensors = HashMap::from([
        ("1.weight".into(), Tensor::full(gain / len as f32, (1, len), &Device::Cpu).unwrap()),
        ("1.bias".into(), Tensor::new(&[bias], &Device::Cpu).unwrap()),
    ]);
    Weights { metadata, tensors }
}

/// Says "Smiling 95 %" of everything.
pub fn always_smiling() -> Weights {
    weights(0.0, 3.0)
}

/// Says "Not smiling 95 %" of everything.
pub fn never_smiling() -> Weights {
    weights(0.0, -3.0)
}

/// Takes brightness for a smile: black is not smiling, white is, both at 99.8 %.
pub fn bright_smiles() -> Weights {
    weights(12.0, -6.0)
}

/// A weights file that goes away with the value.
pub fn file(weights: &Weights) -> tempfile::TempPath {
    file_of(&weights.to_bytes().unwrap())
}

pub fn file_of(bytes: &[u8]) -> tempfile::TempPath {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The element with weights, a bus of its own and caps, ready for frames.
pub struct Bench {
    pub harness: gst_check::Harness,
    pub element: gst::Element,
    pub bus: gst::Bus,
    _file: tempfile::TempPath,
}

impl Bench {
    pub fn new(weights: &Weights, properties: &[(&str, &str)]) -> Self {
        init();
        let element = gst::ElementFactory::make("smilefilter")
            .property("device", "cpu")
            .property_from_str("region", "center")
            .build()
            .unwrap();
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        // As if they had been trained on what they will see.
        let mut weights = weights.clone();
        weights.metadata.region = match element.property("region") {
            Region::Center | Region::Full => model::Region::Full,
            _ => model::Region::Faces,
        };
        let file = file(&weights);
        element.set_property("model-file", file.to_str().unwrap());
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        Self { harness, element, bus, _file: file }
    }

    pub fn caps(mut self, info: &gst_video::VideoInfo) -> Self {
        self.harness.set_src_caps(info.to_caps().unwrap());
        self
    }

    /// Answers allocation queries as a sink does that draws overlays itself.
    pub fn draw_overlays_downstream(&self) {
        let sink = self.harness.sinkpad().unwrap();
        sink.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
            let Some(gst::QueryViewMut::Allocation(query)) = info.query_mut().map(|query| query.view_mut())
            else {
                return gst::PadProbeReturn::Ok;
            };
            query.add_allocation_meta::<gst_video::VideoOverlayCompositionMeta>(None);
            gst::PadProbeReturn::Handled
        });
    }

    pub fn run(&mut self, buffer: gst::Buffer) -> gst::Buffer {
        self.harness.push_and_pull(buffer).unwrap()
    }

    /// The results posted since the last call: where each frame has an update, only that.
    pub fn results(&self) -> Vec<Results> {
        let mut results = self.messages();
        if self.element.property::<Updates>("updates") == Updates::EveryFrame {
            results.retain(|results| results.event == Event::Update);
        }
        results
    }

    /// All element messages posted since the last call.
    pub fn messages(&self) -> Vec<Results> {
        let messages = std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Element]));
        messages.map(|message| Results::try_from(message.structure().unwrap()).unwrap()).collect()
    }

    /// Like [`Bench::messages`]: what has happened, and to whom.
    pub fn events(&self) -> Vec<(Event, u32)> {
        self.messages().iter().map(|results| (results.event, results.identity)).collect()
    }
}

impl Drop for Bench {
    /// The bus keeps messages, and those keep the element, which keeps the bus.
    fn drop(&mut self) {
        self.element.set_bus(None);
    }
}

/// Runs frames of a colour until one gives what is asked for, or too much time has passed.
#[track_caller]
pub fn run_until(bench: &mut Bench, input: &gst::Buffer, asked: impl Fn(&[Results], &gst::Buffer) -> bool) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        let output = bench.run(input.clone());
        if asked(&bench.results(), &output) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never came");
}

/// What is said of the last frame's first face.
pub fn smiles(results: &[Results]) -> Option<bool> {
    Some(results.last()?.faces.first()?.smiling)
}

pub fn info(format: gst_video::VideoFormat, width: u32, height: u32) -> gst_video::VideoInfo {
    init();
    gst_video::VideoInfo::builder(format, width, height).fps((30, 1)).build().unwrap()
}

/// NASA's portrait in I420, with one large face.
pub fn astronaut() -> (gst_video::VideoInfo, gst::Buffer) {
    init();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
    let mut harness =
        gst_check::Harness::new_parse("jpegdec ! videoconvert ! capsfilter caps=video/x-raw,format=I420");
    harness
        .set_src_caps(gst::Caps::builder("image/jpeg").field("framerate", gst::Fraction::new(30, 1)).build());
    let mut picture = gst::Buffer::from_slice(std::fs::read(path).unwrap());
    picture.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    let decoded = harness.push_and_pull(picture).unwrap();
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    (gst_video::VideoInfo::from_caps(&caps).unwrap(), decoded)
}

/// The same pixels in a frame of another time.
pub fn at(buffer: &gst::Buffer, milliseconds: u64) -> gst::Buffer {
    let mut buffer = buffer.copy();
    let writable = buffer.make_mut();
    writable.set_pts(gst::ClockTime::from_mseconds(milliseconds));
    writable.set_duration(gst::ClockTime::from_mseconds(33));
    buffer
}

/// A frame of one colour.
pub fn flat(info: &gst_video::VideoInfo, color: [f64; 3]) -> gst::Buffer {
    frame(info, |_, _| color)
}

pub fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// Red, green and blue planes of a frame at its own size.
pub fn pixels(info: &gst_video::VideoInfo, buffer: &gst::BufferRef) -> Vec<u8> {
    use gstsmile::analysis::Cropper;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let picture = gstsmile::smilefilter::picture(&frame).unwrap();
    let mut output = vec![0; 3 * picture.width * picture.height];
    Cropper::new(picture.width, picture.height).crop(&picture, picture.bounds(), &mut output);
    output
}

/// The newest file of this name that cargo made of the library for the tests.
pub fn built(name: &str) -> std::path::PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    [deps.join(name), deps.parent().unwrap().join(name)]
        .into_iter()
        .filter(|path| path.exists())
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .expect("cargo builds the library before its tests")
}

/// A folder with the built plugin and nothing else, and a registry of our own.
pub static PLUGIN: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let name = format!("{}gstsmile{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let built = built(&name);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(built, folder.path().join(name)).unwrap();
    folder
});

/// Runs a program that may use the plugin.
pub fn run(program: &str, arguments: &str) -> Output {
    command(program)
        .args(arguments.split_whitespace())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// A program that may use the plugin, to be run in the repository.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("GST_PLUGIN_PATH", PLUGIN.path())
        .env("GST_REGISTRY", PLUGIN.path().join("registry.bin"));
    command
}
