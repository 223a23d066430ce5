//! The training kernels against candle's own operations and their gradients.

use candle_core::{Device, Result, Tensor, Var};
use gstsmile::ops::{ConvOptions, Isa, batch_norm, conv2d_with};
use proptest::prelude::*;

/// Fails unless the two agree within `tolerance` of the larger one's greatest value.
fn assert_close(name: &str, ours: &Tensor, theirs: &Tensor, tolerance: f32) -> Result<()> {
    assert_eq!(ours.dims(), theirs.dims(), "{name}");
    let largest = |t: &Tensor| t.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
    let scale = largest(theirs)?.max(1e-3);
    let difference = largest(&(ours - theirs)?)?;
    assert!(difference <= tolerance * scale, "{name}: {difference} apart at a scale of {scale}");
    Ok(())
}

/// Values that repeat for a seed, without ties that pooling could break either way.
fn random(shape: &[usize], seed: u64) -> Tensor {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The convolution as candle computes it.
fn reference(x: &Tensor, kernel: &Tensor, bias: &Tensor, options: ConvOptions) -> Result<Tensor> {
    let padding = kernel.dim(3)? / 2;
    // candle's gradient at stride 2 wants a square; every second of all pixels is the same.
    let mut y = x.conv2d(kernel, padding, 1, 1, 1)?;
    for side in [2, 3] {
        let kept: Vec<u32> = (0..y.dim(side)? as u32).step_by(options.stride).collect();
        y = y.index_select(&Tensor::new(kept, &Device::Cpu)?, side)?;
    }
    let y = y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?;
    let y = if options.relu { y.relu()? } else { y };
    if !options.pool {
        return Ok(y);
    }
    // Not candle's `max_pool2d`: its gradient is a quarter of the true one where a square has one
    // largest value, and it wants even sides.
    let (batch, filters, height, width) = y.dims4()?;
    let y = y.narrow(2, 0, height & !1)?.narrow(3, 0, width & !1)?;
    y.reshape((batch, filters, height / 2, 2, width / 2, 2))?.max(5)?.max(3)
}

/// The same tensor, but neither contiguous nor at the start of its storage.
fn awkward(x: &Tensor) -> Result<Tensor> {
    let wide = Tensor::cat(&[x, x], 1)?.transpose(2, 3)?.contiguous()?.transpose(2, 3)?;
    wide.narrow(1, x.dim(1)?, x.dim(1)?)
}

#[derive(Clone, Debug)]
struct Case {
    x: [usize; 4],
    filters: usize,
    size: usize,
    options: ConvOptions,
    awkward: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let options = (1..=2_usize, any::<bool>(), any::<bool>()).prop_map(|(stride, relu, pool)| ConvOptions {
        stride,
        relu,
        pool,
    });
    // From sixteen channels and filters on, large pictures go another way.
    let channels = prop_oneof![1..=9_usize, 16..=24_usize];
    let x = (1..=9_usize, channels, 4..=19_usize, 4..=19_usize)
        .prop_map(|(batch, channels, height, width)| [batch, channels, height, width]);
    (
        x,
        prop_oneof![1..=15_usize, 16..=37_usize],
        prop::sample::select(vec![1, 3]),
        options,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(x, filters, size, options, awkward, seed)| Case {
            x,
            filters,
            size,
            options,
            awkward,
            seed,
        })
}

fn check_convolution(isa: Isa, case: &Case) -> Result<()> {
    let &Case { x: shape, filters, size, options, .. } = case;
    let x = Var::from_tensor(&random(&shape, case.seed))?;
    let kernel = Var::from_tensor(&random(&[filters, shape[1], size, size], case.seed ^ 1))?;
    let bias = Var::from_tensor(&random(&[filters], case.seed ^ 2))?;
    let input = if case.awkward { awkward(&x)? } else { x.as_tensor().clone() };
    let ours = conv2d_with(isa, &input, &kernel, &bias, options)?;
    let theirs = reference(&input, &kernel, &bias, options)?;
    assert_close("output", &ours, &theirs, 1e-4)?;
    let weights = random(ours.dims(), case.seed ^ 3);
    let gradients = (&ours * &weights)?.sum_all()?.backward()?;
    let expected = (&theirs * &weights)?.sum_all()?.backward()?;
    for (name, var) in [("input", &x), ("kernel", &kernel), ("bias", &bias)] {
        assert_close(name, gradients.get(var).unwrap(), expected.get(var).unwrap(), 1e-4)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn convolution_and_its_gradients_are_candles(case in cases()) {
        for isa in Isa::available() {
            check_convolution(isa, &case).unwrap();
        }
    }

    #[test]
    fn batch_normalisation_and_its_gradients_are_composed_ones(
        shape in [1..=5_usize, 1..=5, 2..=11, 2..=11],
        seed in any::<u64>(),
    ) {
        let x = Var::from_tensor(&random(&shape, seed)).unwrap();
        let weight = Var::from_tensor(&random(&[shape[1]], seed ^ 1)).unwrap();
        let bias = Var::from_tensor(&random(&[shape[1]], seed ^ 2)).unwrap();
        let ours = batch_norm(&x, &weight, &bias, 1e-3).unwrap();
        let (theirs, mean, variance) = composed_norm(&x, &weight, &bias, 1e-3).unwrap();
        assert_close("output", &ours.output, &theirs, 1e-4).unwrap();
        assert_close("mean", &ours.mean, &mean, 1e-4).unwrap();
        assert_close("variance", &ours.variance, &variance, 1e-4).unwrap();
        let weights = random(&shape, seed ^ 3);
        let gradients = (&ours.output * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        let expected = (&theirs * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        for (name, var) in [("input", &x), ("weight", &weight), ("bias", &bias)] {
            assert_close(name, gradients.get(var).unwrap(), expected.get(var).unwrap(), 1e-3).unwrap();
        }
    }
}

fn composed_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<(Tensor, Tensor, Tensor)> {
    let mean = x.mean_keepdim((0, 2, 3))?;
    let centred = x.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim((0, 2, 3))?;
    let y = centred.broadcast_div(&(&variance + epsilon)?.sqrt()?)?;
    let y =
        y.broadcast_mul(&weight.reshape((1, (), 1, 1))?)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)?;
    Ok((y, mean.flatten_all()?, variance.flatten_all()?))
}

#[test]
fn shapes_that_do_not_fit_are_an_error() {
    let x = random(&[1, 3, 8, 8], 1);
    let options = ConvOptions { stride: 1, relu: true, pool: true };
    let bias = random(&[4], 2);
    assert!(conv2d_with(Isa::best(), &x, &random(&[4, 2, 3, 3], 3), &bias, options).is_err());
    assert!(conv2d_with(Isa::best(), &x, &random(&[4, 3, 2, 2], 3), &bias, options).is_err());
    assert!(batch_norm(&x, &bias, &bias, 1e-3).is_err());
}

/// Groups of samples don't depend on threads, so that trained weights can be made again.
#[test]
fn gradients_repeat_to_the_bit() {
    let options = ConvOptions { stride: 1, relu: true, pool: true };
    let (x, bias) = (random(&[19, 3, 16, 16], 5), random(&[8], 6));
    let kernel = Var::from_tensor(&random(&[8, 3, 3, 3], 7)).unwrap();
    let gradient = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let y = conv2d_with(Isa::best(), &x, &kernel, &bias, options).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            gradients.get(&kernel).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        })
    };
    assert_eq!(gradient(1), gradient(3));
}
