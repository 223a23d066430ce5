//! The CPU engine against candle, over random networks, on every instruction set of the machine.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use gstsmile::model::{
    Architecture, Block, Classifier, Detector, DeviceChoice, FACE_VALUES, FaceMetadata, FaceWeights,
    Metadata, Network, SmileWeights, Weights, initial_tensors,
};
use gstsmile::ops::Isa;
use gstsmile::ops::inference::{Engine, Layer, Norm};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn conv_block() -> impl Strategy<Value = Block> {
    let filters = prop_oneof![1..=40usize, Just(8), Just(16), Just(32), Just(64)];
    (filters, prop_oneof![3 => Just(3usize), 1 => Just(1)], prop_oneof![3 => Just(1usize), 1 => Just(2)])
        .prop_flat_map(|(filters, kernel, stride)| {
            any::<[bool; 3]>().prop_map(move |[norm, relu, pool]| Block::Conv {
                filters,
                kernel,
                stride,
                norm,
                relu,
                pool,
            })
        })
}

/// Networks whose sizes are odd, small and large, and whose blocks all fit.
fn architecture() -> impl Strategy<Value = Architecture> {
    let convs = prop::collection::vec(conv_block(), 0..5);
    let dense = prop::collection::vec((1..70usize, any::<bool>()), 0..3);
    (8..40usize, 8..40usize, convs, dense)
        .prop_map(|(height, width, mut blocks, dense)| {
            blocks.push(Block::Flatten);
            blocks.extend(dense.into_iter().map(|(units, relu)| Block::Dense { units, relu }));
            blocks.push(Block::Dense { units: 1, relu: false });
            Architecture { input: [3, height, width], blocks }
        })
        .prop_filter("fits", |architecture| architecture.shapes().is_ok())
}

/// Random parameters; also normalisations that switch channels off, and all but constant ones.
fn weights(architecture: Architecture, seed: u64) -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = initial_tensors(&architecture, &mut rng).unwrap();
    let mut names: Vec<_> = tensors.keys().filter(|name| !is_kernel(name)).cloned().collect();
    names.sort();
    for name in names {
        let values: Vec<f32> = (0..tensors[&name].elem_count())
            .map(|_| match (name.ends_with("running_var"), rng.random_range(0..8)) {
                (true, 0) => 1e-6,
                (true, _) => rng.random_range(0.2..3.0),
                (false, 0) => 0.0,
                (false, _) => rng.random_range(-1.0..1.0),
            })
            .collect();
        let len = values.len();
        tensors.insert(name, Tensor::from_vec(values, len, &Device::Cpu).unwrap());
    }
    let mut metadata = Metadata::new(architecture);
    metadata.offset = rng.random_range(-0.5..0.5);
    Weights { metadata, tensors }
}

fn is_kernel(name: &str) -> bool {
    name.ends_with("weight") && !name.contains("norm")
}

fn expected(weights: &Weights, pictures: &[u8]) -> Vec<f32> {
    let Metadata { architecture, scale, offset, .. } = &weights.metadata;
    let tensors = VarBuilder::from_tensors(weights.tensors.clone(), DType::F32, &Device::Cpu);
    let network = Network::new(architecture, &tensors).unwrap();
    let [channels, height, width] = architecture.input;
    let values: Vec<f32> = pictures.iter().map(|&byte| f32::from(byte) * scale + offset).collect();
    let shape = (pictures.len() / architecture.input_len(), channels, height, width);
    let pictures = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    network.forward(&pictures).unwrap()[0].flatten_all().unwrap().to_vec1().unwrap()
}

/// How large the terms are that the logits are sums of: where these all but cancel each other, what
/// is left is no measure for rounding.
fn scale(weights: &Weights, pictures: &[u8]) -> f32 {
    let mut positive = weights.clone();
    let last = positive.metadata.architecture.blocks.len() - 1;
    for name in ["weight", "bias"].map(|kind| format!("{last}.{kind}")) {
        let values = positive.tensors[&name].abs().unwrap();
        positive.tensors.insert(name, values);
    }
    let logits = [expected(weights, pictures), expected(&positive, pictures)].concat();
    logits.iter().fold(1e-3, |scale, value| scale.max(value.abs()))
}

fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn networks_agree_with_candle(architecture in architecture(), seed: u64, batch in 1..12usize) {
        let mut weights = weights(architecture, seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        let pictures: Vec<u8> =
            (0..batch * weights.metadata.architecture.input_len()).map(|_| rng.random()).collect();
        // Keeps the sigmoid where it can be inverted.
        let scale = scale(&weights, &pictures);
        let expected = expected(&weights, &pictures);
        weights.metadata.temperature = scale;
        for isa in Isa::available() {
            let mut probabilities = Vec::new();
            Classifier::with_isa(&weights, isa).unwrap().probabilities(&pictures, &mut probabilities).unwrap();
            prop_assert_eq!(probabilities.len(), batch);
            for (value, expected) in probabilities.iter().zip(&expected) {
                let difference = (logit(*value) - expected / scale).abs();
                prop_assert!(difference < 1e-4, "{isa:?}: {difference} of {expected}, scale {scale}");
            }
        }
    }
}

/// A single convolution.
#[derive(Clone, Debug)]
struct Case {
    channels: usize,
    height: usize,
    width: usize,
    filters: usize,
    size: usize,
    stride: usize,
    relu: bool,
    pool: bool,
    norm: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let channels = || prop_oneof![1..=40usize, Just(16), Just(32), Just(48)];
    let sides = (prop_oneof![Just(1usize), Just(3)], 1..=2usize);
    (channels(), 1..30usize, 1..30usize, channels(), sides, any::<[bool; 3]>())
        .prop_map(|(channels, height, width, filters, (size, stride), [relu, pool, norm])| Case {
            channels,
            height,
            width,
            filters,
            size,
            stride,
            relu,
            pool,
            norm,
        })
        .prop_filter("something is left to pool", |case| {
            !case.pool || case.height.min(case.width).div_ceil(case.stride) > 1
        })
}

impl Case {
    fn norm(&self, rng: &mut ChaCha8Rng) -> Option<Norm> {
        let mut values =
            |low, high| (0..self.channels).map(|_| rng.random_range(low..high)).collect::<Vec<f32>>();
        self.norm.then(|| Norm {
            weight: values(-2.0, 2.0),
            bias: values(-1.0, 1.0),
            mean: values(0.0, 1.0),
            variance: values(0.0, 0.5),
            epsilon: 1e-3,
        })
    }
}

fn candle_convolution(case: &Case, picture: &[u8], layer: &Layer) -> candle_core::Result<Vec<f32>> {
    let Layer::Conv { norm, kernel, bias, .. } = layer else { unreachable!() };
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu);
    let values: Vec<f32> = picture.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let mut x = tensor(&values, &[1, case.channels, case.height, case.width])?;
    if let Some(norm) = norm {
        let channel = |values: &[f32]| tensor(values, &[1, case.channels, 1, 1]);
        let deviation = (channel(&norm.variance)? + norm.epsilon)?.sqrt()?;
        x = x.broadcast_sub(&channel(&norm.mean)?)?.broadcast_div(&deviation)?;
        x = x.broadcast_mul(&channel(&norm.weight)?)?.broadcast_add(&channel(&norm.bias)?)?;
    }
    let kernel = tensor(kernel, &[case.filters, case.channels, case.size, case.size])?;
    x = x.conv2d(&kernel, case.size / 2, case.stride, 1, 1)?;
    x = x.broadcast_add(&tensor(bias, &[1, case.filters, 1, 1])?)?;
    if case.relu {
        x = x.relu()?;
    }
    if case.pool {
        x = x.max_pool2d(2)?;
    }
    x.flatten_all()?.to_vec1()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn convolutions_agree_with_candle(case in case(), seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weights = case.filters * case.channels * case.size * case.size;
        let layer = Layer::Conv {
            norm: case.norm(&mut rng),
            kernel: (0..weights).map(|_| rng.random_range(-1.0..1.0)).collect(),
            bias: (0..case.filters).map(|_| rng.random_range(-1.0..1.0)).collect(),
            size: case.size,
            stride: case.stride,
            relu: case.relu,
            pool: case.pool,
        };
        let input = [case.channels, case.height, case.width];
        let picture: Vec<u8> = (0..input.iter().product()).map(|_| rng.random()).collect();
        let expected = candle_convolution(&case, &picture, &layer).unwrap();
        let scale = expected.iter().fold(1e-3f32, |scale, value| scale.max(value.abs()));
        for isa in Isa::available() {
            let mut engine =
                Engine::new(input, [1.0 / 255.0, 0.0], std::slice::from_ref(&layer), isa).unwrap();
            let mut outputs = vec![f32::NAN; engine.output_len()];
            engine.run(&picture, &mut outputs);
            prop_assert_eq!(outputs.len(), expected.len());
            for (value, expected) in outputs.iter().zip(&expected) {
                let difference = (value - expected).abs() / scale;
                prop_assert!(difference < 1e-4, "{isa:?}: {value}, not {expected}, scale {scale}");
            }
        }
    }
}

#[test]
fn wrong_weights_are_named_and_odd_values_do_no_harm() {
    let embedded = SmileWeights::embedded().unwrap();
    let cpu = DeviceChoice::Cpu.open().unwrap();

    let mut weights = embedded.clone();
    weights.tensors.remove("2.conv.weight");
    let message = Classifier::new(&weights, &cpu).err().unwrap().to_string();
    assert!(message.contains("2.conv.weight"), "{message}");

    let mut weights = embedded.clone();
    weights.tensors.insert("1.norm.bias".into(), Tensor::zeros(31, DType::F32, &cpu).unwrap());
    let message = Classifier::new(&weights, &cpu).err().unwrap().to_string();
    assert!(message.contains("1.norm.bias"), "{message}");

    let pictures = vec![7; embedded.metadata.architecture.input_len()];
    for value in [f32::NAN, f32::INFINITY, -1.0, 1e38] {
        for name in ["0.norm.running_var", "1.conv.weight", "6.bias"] {
            let mut weights = embedded.clone();
            let shape = weights.tensors[name].shape().clone();
            weights.tensors.insert(name.into(), Tensor::full(value, shape, &cpu).unwrap());
            let mut probabilities = Vec::new();
            Classifier::new(&weights, &cpu).unwrap().probabilities(&pictures, &mut probabilities).unwrap();
            assert_eq!(probabilities.len(), 1);
        }
    }
}

fn zero_conv([weights, filters]: [usize; 2], [size, stride]: [usize; 2], pool: bool) -> Layer {
    Layer::Conv {
        norm: None,
        kernel: vec![0.0; weights],
        bias: vec![0.0; filters],
        size,
        stride,
        relu: false,
        pool,
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let conv = |kernel, size, stride, pool| zero_conv([kernel, 2], [size, stride], pool);
    let dense = || Layer::Dense { weight: vec![0.0; 12], bias: vec![0.0], relu: false };
    for layers in [
        vec![conv(8, 2, 1, false)],
        vec![conv(18, 3, 3, false)],
        vec![conv(17, 3, 1, false)],
        vec![conv(2, 1, 1, true), conv(4, 1, 1, true)],
        vec![dense()],
        vec![Layer::Flatten, dense(), Layer::Flatten],
        vec![Layer::Flatten, conv(2, 1, 1, false)],
    ] {
        assert!(Engine::new([1, 3, 4], [1.0, 0.0], &layers, Isa::Portable).is_err(), "{layers:?}");
    }
    assert!(Engine::new([1, 3, 4], [1.0, 0.0], &[Layer::Flatten, dense()], Isa::Portable).is_ok());
}

/// Random face detectors with heads of two sorts, some of which read the same picture, over pictures of any size.
fn pyramid() -> impl Strategy<Value = Architecture> {
    let filters = || prop_oneof![1..=40usize, Just(16), Just(32)];
    let level = (filters(), filters(), any::<[bool; 3]>());
    prop::collection::vec(level, 1..4).prop_map(|levels| {
        let conv = |filters, stride| Block::Conv {
            filters,
            kernel: 3,
            stride,
            norm: false,
            relu: true,
            pool: false,
        };
        let head = |merge| Block::Head { filters: FACE_VALUES, merge };
        let mut blocks = vec![conv(8, 1)];
        for (first, second, [before, merge, after]) in levels {
            blocks.extend([conv(first, 2), conv(second, 1)]);
            // Heads on the same picture, beside one that may merge; only the last can merge what comes next.
            blocks.extend(before.then_some(head(false)));
            blocks.push(head(merge));
            blocks.extend((after && !merge).then_some(head(false)));
        }
        blocks.extend([conv(5, 2), head(false)]);
        Architecture { input: [1, 160, 160], blocks }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn heads_that_merge_agree_with_candle(
        architecture in pyramid(),
        size in prop_oneof![
            [8..90usize, 8..90usize],
            Just([128, 160]),
            Just([75, 100]),
            Just([61, 37]),
        ],
        seed: u64,
    ) {
        let Weights { tensors, .. } = weights(architecture.clone(), seed);
        let weights = FaceWeights { metadata: FaceMetadata::new(architecture), tensors };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        let pictures = [0, 1].map(|_| (0..size[0] * size[1]).map(|_| rng.random()).collect::<Vec<u8>>());
        let tensors = VarBuilder::from_tensors(weights.tensors.clone(), DType::F32, &Device::Cpu);
        let network = Network::new(&weights.metadata.architecture, &tensors).unwrap();
        for isa in Isa::available() {
            let mut detector = Detector::new(&weights, isa).unwrap();
            // The second time in memory that isn't fresh.
            for picture in &pictures {
                let values: Vec<f32> = picture.iter().map(|&byte| f32::from(byte) / 255.0).collect();
                let input = Tensor::from_vec(values, (1, 1, size[0], size[1]), &Device::Cpu).unwrap();
                let expected = network.forward(&input).unwrap();
                detector.run(picture, size).unwrap();
                prop_assert_eq!(detector.answers().count(), expected.len());
                for (answer, expected) in detector.answers().zip(&expected) {
                    prop_assert_eq!(expected.dims(), &[1, FACE_VALUES, answer.rows, answer.columns][..]);
                    let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
                    for (value, expected) in answer.values.iter().zip(&expected) {
                        let difference = (value - expected).abs() / largest;
                        prop_assert!(difference < 1e-4, "{isa:?}: {value}, not {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn few_weights_do_not_ask_for_all_memory() {
    let conv = |channels, filters| zero_conv([channels * filters, filters], [1, 1], false);
    let head =
        |channels: usize| Layer::Head { weight: vec![0.0; 15 * channels], bias: vec![0.0; 15], merge: None };
    let wide = [conv(1, 1024), head(1024)];
    let many = [vec![conv(1, 1)], vec![head(1); 50]].concat();
    let deep = [vec![conv(1, 16)], vec![conv(16, 16); 50], vec![head(16)]].concat();
    for layers in [&wide[..], &many, &deep] {
        let error = Engine::new([1, 512, 512], [1.0, 0.0], layers, Isa::Portable).err().unwrap().to_string();
        assert!(error.contains("computes in more than"), "{error}");
        assert!(Engine::new([1, 32, 32], [1.0, 0.0], layers, Isa::Portable).is_ok());
    }
}
