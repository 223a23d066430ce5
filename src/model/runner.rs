//! Networks on devices that may fail, and streams that share them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use candle_core::{Device, DeviceLocation, Tensor};

use super::device::DeviceChoice;
#[cfg(feature = "cuda")]
use super::device::first_line;
use super::error::{Error, Result};
use super::folded::Folded;
#[cfg(feature = "cuda")]
use super::graphs::Graphs;
use super::stream::using_stream;
use super::weights::{Metadata, Weights};

/// A network on a device that may fail.
pub trait Runner: Send + Sync {
    /// One logit for each picture.
    fn logits(&self, pictures: &[u8], logits: &mut [f32]) -> Result<()>;
    fn device(&self) -> String;
    /// Why it is slower than it could be, if it is.
    fn remark(&self) -> Option<&str> {
        None
    }
}

/// A network in candle's own operations: as a rule, a batch is one upload of bytes and one download of logits.
pub struct Candle {
    /// Always there until the end.
    network: Option<Placed>,
    device: Device,
    remark: Option<String>,
}

/// What lies in the device's memory.
struct Placed {
    network: Arc<Folded>,
    /// Where the GPU can record them.
    #[cfg(feature = "cuda")]
    graphs: Option<Graphs>,
    /// Channels, height and width of a picture.
    input: [usize; 3],
}

impl Candle {
    /// # Errors
    /// Where a tensor that the architecture needs is missing or has another shape, or the device fails.
    pub fn new(weights: &Weights, device: &Device) -> Result<Self> {
        let Metadata { ref architecture, scale, offset, .. } = weights.metadata;
        let network = Folded::new(architecture, [scale, offset], &weights.tensors)?;
        let used = using_stream();
        let network = Arc::new(network.to_device(device)?);
        drop(used);
        #[cfg(feature = "cuda")]
        let graphs = Graphs::new(&network, architecture.input, device);
        Ok(Self {
            #[cfg(feature = "cuda")]
            remark: match &graphs {
                Ok(graphs) => graphs.remark(),
                Err(error) => Some(format!("without CUDA graphs: {}", first_line(error))),
            },
            #[cfg(not(feature = "cuda"))]
            remark: None,
            network: Some(Placed {
                #[cfg(feature = "cuda")]
                graphs: graphs.ok(),
                network,
                input: architecture.input,
            }),
            device: device.clone(),
        })
    }
}

impl Drop for Candle {
    fn drop(&mut self) {
        let _used = using_stream();
        self.network = None;
    }
}

impl Runner for Candle {
    fn logits(&self, pictures: &[u8], logits: &mut [f32]) -> Result<()> {
        let _used = using_stream();
        let placed = self.network.as_ref().expect("there until it is dropped");
        #[cfg(feature = "cuda")]
        if let Some(graphs) = &placed.graphs {
            return Ok(graphs.run(pictures, logits)?);
        }
        let [channels, height, width] = placed.input;
        let bytes = Tensor::from_slice(pictures, (logits.len(), channels, height, width), &self.device)?;
        logits.copy_from_slice(&placed.network.forward(&bytes)?.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }

    fn device(&self) -> String {
        match self.device.location() {
            DeviceLocation::Cuda { gpu_id } => DeviceChoice::Cuda(gpu_id).to_string(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }
}

/// Makes one batch of what several threads ask while the device is busy.
///
/// Nobody waits for company: whoever finds the device idle runs it at once, for all who wait.
pub struct Batches<R> {
    runner: R,
    desk: Mutex<Desk>,
    answered: Condvar,
}

#[derive(Default)]
struct Desk {
    busy: bool,
    tickets: u64,
    waiting: Batch,
    /// By ticket, for those who haven't come back for them.
    answers: Vec<(u64, std::result::Result<Vec<f32>, String>)>,
}

#[derive(Default)]
struct Batch {
    pictures: Vec<u8>,
    /// Whose pictures these are, in their order, and how many each has.
    parts: Vec<(u64, usize)>,
}

impl<R: Runner> Batches<R> {
    pub fn new(runner: R) -> Self {
        Self { runner, desk: Mutex::default(), answered: Condvar::new() }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, batch: &Batch) -> std::result::Result<Vec<f32>, String> {
        let mut logits = vec![0.0; batch.parts.iter().map(|(_, count)| count).sum()];
        self.runner.logits(&batch.pictures, &mut logits).map_err(|error| error.to_string())?;
        Ok(logits)
    }
}

impl<R: Runner> Runner for Batches<R> {
    fn logits(&self, pictures: &[u8], logits: &mut [f32]) -> Result<()> {
        let mut desk = self.desk();
        let ticket = desk.tickets;
        desk.tickets += 1;
        desk.waiting.pictures.extend_from_slice(pictures);
        desk.waiting.parts.push((ticket, logits.len()));
        loop {
            if let Some(place) = desk.answers.iter().position(|(owner, _)| *owner == ticket) {
                let answer = desk.answers.swap_remove(place).1;
                let answer = answer.map_err(|reason| Error::Device { name: self.device(), reason })?;
                logits.copy_from_slice(&answer);
                return Ok(());
            }
            if desk.busy {
                desk = self.answered.wait(desk).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            desk.busy = true;
            let batch = std::mem::take(&mut desk.waiting);
            let mut turn = Turn { batches: self, ticket, batch, answer: None };
            drop(desk);
            turn.answer = Some(self.run(&turn.batch));
            drop(turn);
            desk = self.desk();
        }
    }

    fn device(&self) -> String {
        self.runner.device()
    }

    fn remark(&self) -> Option<&str> {
        self.runner.remark()
    }
}

/// Gives everybody an answer in the end, even where the runner panics.
struct Turn<'a, R: Runner> {
    batches: &'a Batches<R>,
    /// Of the thread whose turn it is.
    ticket: u64,
    batch: Batch,
    answer: Option<std::result::Result<Vec<f32>, String>>,
}

impl<R: Runner> Drop for Turn<'_, R> {
    fn drop(&mut self) {
        let panicked = self.answer.is_none();
        let answer = self.answer.take().unwrap_or_else(|| Err("panicked".into()));
        let mut desk = self.batches.desk();
        let mut from = 0;
        for &(ticket, count) in &self.batch.parts {
            let own = answer.as_ref().map(|logits| logits[from..from + count].to_vec());
            from += count;
            // Who panicked doesn't come back.
            if !panicked || ticket != self.ticket {
                desk.answers.push((ticket, own.map_err(String::clone)));
            }
        }
        if desk.waiting.parts.is_empty() {
            // The room for pictures is used again.
            self.batch.pictures.clear();
            desk.waiting.pictures = std::mem::take(&mut self.batch.pictures);
        }
        desk.busy = false;
        drop(desk);
        self.batches.answered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Answers each one-byte picture with its byte; the first run lasts until told, 13 fails, 66 panics.
    struct Echo {
        first: Barrier,
        runs: AtomicUsize,
    }

    impl Runner for Echo {
        fn logits(&self, pictures: &[u8], logits: &mut [f32]) -> Result<()> {
            if self.runs.fetch_add(1, Relaxed) == 0 {
                // Runs, then goes on.
                self.first.wait();
                self.first.wait();
            }
            assert!(!pictures.contains(&66), "a fault for a test");
            if pictures.contains(&13) {
                return Err(Error::Architecture("unlucky".into()));
            }
            pictures.iter().zip(logits).for_each(|(&byte, logit)| *logit = byte.into());
            Ok(())
        }

        fn device(&self) -> String {
            "cuda:7".into()
        }
    }

    /// What threads with these pictures are answered that ask while the first one's run lasts.
    fn asked_meanwhile(pictures: &[&[u8]]) -> (Vec<Result<Vec<f32>>>, usize) {
        let batches = Batches::new(Echo { first: Barrier::new(2), runs: AtomicUsize::new(0) });
        let ask = |pictures: &[u8]| {
            let mut logits = vec![0.0; pictures.len()];
            batches.logits(pictures, &mut logits).map(|()| logits)
        };
        let answers = std::thread::scope(|scope| {
            let first = scope.spawn(|| ask(&[1]));
            batches.runner.first.wait();
            let others: Vec<_> = pictures.iter().map(|pictures| scope.spawn(|| ask(pictures))).collect();
            while batches.desk().waiting.parts.len() < pictures.len() {
                std::thread::yield_now();
            }
            batches.runner.first.wait();
            assert_eq!(first.join().unwrap().unwrap(), [1.0]);
            others.into_iter().map(|other| other.join().unwrap_or_else(|_| Ok(Vec::new()))).collect()
        });
        assert_eq!(ask(&[5]).unwrap(), [5.0], "goes on afterwards");
        assert!(batches.desk().answers.is_empty());
        (answers, batches.runner.runs.load(Relaxed))
    }

    #[test]
    fn those_who_ask_while_the_device_is_busy_share_a_batch() {
        let pictures: [&[u8]; 3] = [&[2, 3], &[4], &[5, 6, 7]];
        let (answers, runs) = asked_meanwhile(&pictures);
        for (answer, pictures) in answers.iter().zip(pictures) {
            let own: Vec<f32> = pictures.iter().map(|&byte| byte.into()).collect();
            assert_eq!(answer.as_ref().unwrap(), &own);
        }
        assert_eq!(runs, 3);
    }

    #[test]
    fn all_of_a_batch_that_fails_are_told() {
        let (answers, runs) = asked_meanwhile(&[&[2], &[13]]);
        for answer in answers {
            let message = answer.unwrap_err().to_string();
            assert!(message.contains("cuda:7") && message.contains("unlucky"), "{message}");
        }
        assert_eq!(runs, 3);
    }

    #[test]
    fn a_panic_is_its_own_threads_and_an_error_of_the_others() {
        let (answers, runs) = asked_meanwhile(&[&[2], &[66]]);
        let panicked = answers.iter().filter(|answer| answer.as_ref().is_ok_and(Vec::is_empty)).count();
        let told = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!((panicked, told, runs), (1, 1, 3));
    }
}
