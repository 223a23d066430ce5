//! CUDA graphs: a batch's operations, recorded once for each size and launched all at once from then on.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, CudaStream, sys};
use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, DType, Device, Error, InplaceOp1, Layout, Result, Tensor,
};

use super::device::first_line;
use super::folded::Folded;
use super::stream::{STREAM, using_stream};

/// Batches that are recorded. Others are filled up to the next one, and large ones are cut.
const SIZES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// A network's graphs on one GPU.
pub(super) struct Graphs {
    /// By size, the smallest one first.
    recorded: Mutex<Vec<Recorded>>,
    /// Its memory is what the graphs read.
    _network: Arc<Folded>,
    /// Bytes of a picture.
    len: usize,
    /// Why larger batches are cut, where they are.
    cut: Option<String>,
}

struct Recorded {
    graph: CudaGraph,
    /// What the graph reads.
    pictures: Tensor,
    /// What the graph writes; one a picture.
    logits: Tensor,
}

// SAFETY: the driver lets any thread use a graph as long as no two do so at once, and those here are in a mutex.
unsafe impl Send for Recorded {}

impl Graphs {
    /// Records `network` for pictures of `input` (channels, height, width), in as many sizes as the GPU has room for.
    ///
    /// # Errors
    /// Where the GPU, its driver or its libraries can't record.
    pub fn new(network: &Arc<Folded>, input: [usize; 3], device: &Device) -> Result<Self> {
        let cuda = device.as_cuda_device()?;
        let (mut recorded, mut cut) = (Vec::new(), None);
        for size in SIZES {
            match Recorded::new(network, input, size, cuda) {
                Ok(one) => recorded.push(one),
                Err(error) if recorded.is_empty() => return Err(error),
                Err(error) => {
                    cut = Some(format!("no CUDA graph for {size} faces: {}", first_line(&error)));
                    break;
                }
            }
        }
        let len = input.iter().product();
        Ok(Self { recorded: Mutex::new(recorded), _network: network.clone(), len, cut })
    }

    /// Why there are fewer graphs than there could be, if there are.
    pub fn remark(&self) -> Option<String> {
        self.cut.clone()
    }

    /// One logit for each picture.
    ///
    /// # Errors
    /// Where the GPU fails.
    pub fn run(&self, pictures: &[u8], logits: &mut [f32]) -> Result<()> {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let most = SIZES[recorded.len() - 1];
        for (pictures, logits) in pictures.chunks(most * self.len).zip(logits.chunks_mut(most)) {
            let fits = SIZES.iter().position(|&size| size >= logits.len());
            recorded[fits.expect("chunks are as large at most")].run(pictures, logits)?;
        }
        Ok(())
    }
}

impl Recorded {
    fn new(
        network: &Folded,
        [channels, height, width]: [usize; 3],
        size: usize,
        cuda: &CudaDevice,
    ) -> Result<Self> {
        // Has candle keep what its kernels are told of shapes, for good: the graph points there.
        let _kept = cuda.enable_cuda_graph_htod_cache();
        let device = Device::Cuda(cuda.clone());
        let run = |pictures: &Tensor, logits: &Tensor| logits.slice_set(&network.forward(pictures)?, 0, 0);
        let prepare = || -> Result<(Tensor, Tensor)> {
            let _used = using_stream();
            let pictures = Tensor::zeros((size, channels, height, width), DType::U8, &device)?;
            let logits = Tensor::zeros((size, 1), DType::F32, &device)?;
            // Loads kernels and uploads shapes, neither of which can be recorded.
            run(&pictures, &logits)?;
            device.synchronize()?;
            Ok((pictures, logits))
        };
        let (pictures, logits) = prepare()?;
        match record(&cuda.cuda_stream(), || run(&pictures, &logits)) {
            Ok(graph) => Ok(Self { graph, pictures, logits }),
            Err(error) => {
                let _used = using_stream();
                drop((pictures, logits));
                Err(error)
            }
        }
    }

    fn run(&self, pictures: &[u8], logits: &mut [f32]) -> Result<()> {
        self.pictures.inplace_op1(&Upload(pictures))?;
        self.graph.launch().w()?;
        let answers = self.logits.flatten_all()?.to_vec1::<f32>()?;
        logits.copy_from_slice(&answers[..logits.len()]);
        Ok(())
    }
}

/// Records what `run` has the stream do, without doing it.
fn record(stream: &Arc<CudaStream>, run: impl FnOnce() -> Result<()>) -> Result<CudaGraph> {
    let _alone = STREAM.write().unwrap_or_else(PoisonError::into_inner);
    stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).w()?;
    let ran = run();
    // What couldn't be freed in a recording that failed would keep it from ending, and the stream from going on.
    let freed = stream.context().check_err();
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
    ran?;
    freed.w()?;
    let graph = graph.w()?.ok_or_else(|| Error::Msg("nothing was recorded".into()))?;
    graph.upload().w()?;
    Ok(graph)
}

/// Writes bytes over the first ones of a tensor.
struct Upload<'a>(&'a [u8]);

impl InplaceOp1 for Upload<'_> {
    fn name(&self) -> &'static str {
        "upload"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        candle_core::bail!("only a GPU needs uploads")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> Result<()> {
        let stream = storage.device.cuda_stream();
        stream.memcpy_htod(self.0, storage.as_cuda_slice_mut::<u8>()?).w()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Classifier, DeviceChoice, SmileWeights};
    use super::*;

    /// A GPU, if there is one, and pictures for the built-in network.
    fn gpu_and_pictures(count: usize) -> Option<(Device, Vec<u8>, usize)> {
        let device = DeviceChoice::Cuda(0).open();
        if device.is_err() {
            eprintln!("Nothing is tested: there is no GPU here");
        }
        let len = SmileWeights::embedded().unwrap().metadata.architecture.input_len();
        let pictures = (0..count * len).map(|index| ((index * 7919 + index / 251) % 256) as u8).collect();
        Some((device.ok()?, pictures, len))
    }

    fn ask(classifier: &mut Classifier, pictures: &[u8]) -> Vec<f32> {
        let mut probabilities = Vec::new();
        classifier.probabilities(pictures, &mut probabilities).unwrap();
        assert!(classifier.take_failure().is_none());
        probabilities
    }

    fn fresh(device: &Device) -> Classifier {
        let classifier = Classifier::new(&SmileWeights::embedded().unwrap(), device).unwrap();
        assert_eq!(classifier.remark(), "", "all graphs are there");
        classifier
    }

    #[test]
    fn a_gpu_answers_as_the_cpu_whoever_asks_and_for_any_number_of_pictures() {
        let Some((gpu, pictures, len)) = gpu_and_pictures(70) else { return };
        let wanted = ask(&mut fresh(&Device::Cpu), &pictures);
        for count in [1, 3, 2, 8, 31, 32, 33, 70] {
            // The thread that records ends before another one launches.
            let recorded = std::thread::scope(|scope| scope.spawn(|| fresh(&gpu)).join());
            let answers = ask(&mut recorded.unwrap(), &pictures[..count * len]);
            for (answer, wanted) in answers.iter().zip(&wanted) {
                assert!((answer - wanted).abs() < 1e-4, "{answer} is not {wanted}, one of {count}");
            }
        }
    }

    #[test]
    fn answers_stay_right_while_other_networks_come_and_go() {
        let Some((gpu, pictures, _)) = gpu_and_pictures(5) else { return };
        let wanted = ask(&mut fresh(&gpu), &pictures);
        std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                (0..20).for_each(|_| assert_eq!(ask(&mut fresh(&gpu), &pictures), wanted));
            });
            let mut classifier = fresh(&gpu);
            while !others.is_finished() {
                assert_eq!(ask(&mut classifier, &pictures), wanted);
            }
        });
    }

    #[test]
    fn the_stream_goes_on_after_a_recording_that_failed() {
        let Some((gpu, pictures, _)) = gpu_and_pictures(1) else { return };
        let stream = gpu.as_cuda_device().unwrap().cuda_stream();
        let failed = record(&stream, || {
            let _freed_in_vain = Tensor::zeros(5, DType::F32, &gpu)?;
            // Nothing that waits can be recorded.
            gpu.synchronize()
        });
        assert!(failed.is_err());
        assert_eq!(ask(&mut fresh(&gpu), &pictures), ask(&mut fresh(&gpu), &pictures));
    }
}
