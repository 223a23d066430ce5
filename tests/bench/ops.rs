//! Single operations, a picture, a batch and a training step:
//! `cargo bench --bench ops`.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use gstsmile::model::{
    Architecture, Block, Classifier, Detector, FaceMetadata, FaceWeights, Network, SmileWeights,
    initial_tensors,
};
use gstsmile::ops::Isa;
use gstsmile::ops::inference::{Engine, Layer};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

mod train_step;

/// Channels, side of the picture, filters, side of the kernel and stride.
const CONVOLUTIONS: [[usize; 5]; 5] =
    [[3, 64, 32, 3, 1], [32, 32, 32, 3, 1], [32, 16, 32, 3, 1], [32, 32, 32, 3, 2], [32, 32, 32, 1, 1]];

fn convolution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convolution");
    for [channels, side, filters, size, stride] in CONVOLUTIONS {
        let layer = Layer::Conv {
            norm: None,
            kernel: (0..filters * channels * size * size).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect(),
            bias: vec![0.1; filters],
            size,
            stride,
            relu: true,
            pool: true,
        };
        let picture: Vec<u8> = (0..channels * side * side).map(|i| (i % 251) as u8).collect();
        for isa in Isa::available() {
            let input = [channels, side, side];
            let mut engine =
                Engine::new(input, [1.0 / 255.0, 0.0], std::slice::from_ref(&layer), isa).unwrap();
            let mut output = vec![0.0; engine.output_len()];
            let name = format!("{channels}x{side}x{side} to {filters}, {size}x{size}/{stride}");
            group.bench_function(BenchmarkId::new(name, format!("{isa:?}")), |bencher| {
                bencher.iter(|| engine.run(black_box(&picture), &mut output));
            });
        }
    }
}

fn pictures(criterion: &mut Criterion) {
    let weights = SmileWeights::embedded().unwrap();
    let len = weights.metadata.architecture.input_len();
    let bytes: Vec<u8> = (0..8 * len).map(|index| (index % 251) as u8).collect();
    let mut group = criterion.benchmark_group("paper-deep");
    for batch in [1, 8] {
        for isa in Isa::available() {
            let mut classifier = Classifier::with_isa(&weights, isa).unwrap();
            let mut probabilities = Vec::new();
            group.bench_function(
                BenchmarkId::new(format!("batch of {batch}"), format!("{isa:?}")),
                |bencher| {
                    bencher.iter(|| {
                        classifier
                            .probabilities(black_box(&bytes[..batch * len]), &mut probabilities)
                            .unwrap();
                    });
                },
            );
        }
        let tensors = VarBuilder::from_tensors(weights.tensors.clone(), DType::F32, &Device::Cpu);
        let network = Network::new(&weights.metadata.architecture, &tensors).unwrap();
        let input = Tensor::zeros((batch, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
        group.bench_function(
            BenchmarkId::new(format!("batch of {batch}"), "training's network"),
            |bencher| {
                bencher.iter(|| network.forward(black_box(&input)).unwrap());
            },
        );
    }
}

/// The face detector, and the same without heads that merge.
fn locator(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("locator");
    for size in [[128, 160], [480, 640]] {
        let picture: Vec<u8> = (0..size[0] * size[1]).map(|index| (index % 251) as u8).collect();
        for (name, merging) in [("plain", false), ("merging", true)] {
            let mut architecture = Architecture::face(160, [16, 24, 48, 64]);
            for block in &mut architecture.blocks {
                if let Block::Head { merge, .. } = block {
                    *merge &= merging;
                }
            }
            let tensors = initial_tensors(&architecture, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
            let weights = FaceWeights { metadata: FaceMetadata::new(architecture), tensors };
            let mut detector = Detector::new(&weights, Isa::best()).unwrap();
            group.bench_function(BenchmarkId::new(format!("{}x{}", size[1], size[0]), name), |bencher| {
                bencher.iter(|| detector.run(black_box(&picture), size).unwrap());
            });
        }
    }
}

fn training(criterion: &mut Criterion) {
    let weights = SmileWeights::embedded().unwrap();
    let mut group = criterion.benchmark_group("training");
    group.sample_size(10);
    group.bench_function("step of paper-deep at batch 64", |bencher| {
        let mut training = train_step::Training::new(&weights, 64, &candle_core::Device::Cpu).unwrap();
        bencher.iter_batched(|| (), |()| training.step().unwrap(), BatchSize::PerIteration);
    });
}

criterion_group!(benches, convolution, pictures, locator, training);
criterion_main!(benches);
