//! A thread with a mailbox for one job: the newest is done next, and nobody waits for it. Where the
//! machine has more to do than cores, such threads leave them to those that frames pass on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};

/// Hands jobs to a thread of its own, which ends with the value.
pub struct Mailbox<J, O> {
    shared: Arc<Shared<J, O>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<J, O> {
    slot: Mutex<Slot<J, O>>,
    changed: Condvar,
}

struct Slot<J, O> {
    job: Option<J>,
    busy: bool,
    outcome: Option<O>,
    /// Outcomes of jobs from another era are void.
    era: u64,
    quit: bool,
    failed: bool,
}

/// Of 99, where threads ordinarily have 49: on Linux a nice value of about 10.
const PRIORITY: u8 = 24;

/// What a panic leaves behind.
pub type Panic = Box<dyn Any + Send>;

impl<J: Send + 'static, O: Send + 'static> Mailbox<J, O> {
    /// Starts a thread that does jobs by `work`; those without an outcome leave the last one there.
    /// `work` is asked no more after a panic, which `failed` gets.
    ///
    /// # Errors
    /// Where the system has no more threads.
    pub fn new(
        name: &str,
        work: impl FnMut(J) -> Option<O> + Send + 'static,
        failed: impl FnOnce(Panic) + Send + 'static,
    ) -> std::io::Result<Self> {
        let slot = Slot { job: None, busy: false, outcome: None, era: 0, quit: false, failed: false };
        let shared = Arc::new(Shared { slot: Mutex::new(slot), changed: Condvar::new() });
        let thread = std::thread::Builder::new().name(name.into()).spawn({
            let shared = shared.clone();
            move || {
                // Not every system lets a thread step back.
                if let Ok(priority) = ThreadPriorityValue::try_from(PRIORITY) {
                    let _ = set_current_thread_priority(ThreadPriority::Crossplatform(priority));
                }
                shared.run(work, failed)
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Puts a job into the mailbox. `make` gets the one that lay there and now won't be done.
    pub fn put(&self, make: impl FnOnce(Option<J>) -> J) {
        let mut slot = self.shared.slot();
        let old = slot.job.take();
        slot.job = Some(make(old));
        self.shared.changed.notify_all();
    }

    /// Takes the newest outcome away, if there is one that wasn't taken yet.
    pub fn take(&self) -> Option<O> {
        self.shared.slot().outcome.take()
    }

    /// Forgets the job in the mailbox, and the outcome of the one at work.
    pub fn clear(&self) {
        let mut slot = self.shared.slot();
        slot.job = None;
        slot.outcome = None;
        slot.era += 1;
    }

    /// Waits until all is done.
    pub fn drain(&self) {
        let slot = self.shared.slot();
        let working = |slot: &mut Slot<J, O>| !slot.failed && (slot.busy || slot.job.is_some());
        let _slot = self.shared.changed.wait_while(slot, working).unwrap_or_else(PoisonError::into_inner);
    }

    /// Whether there was a panic.
    pub fn has_failed(&self) -> bool {
        self.shared.slot().failed
    }
}

impl<J, O> Drop for Mailbox<J, O> {
    fn drop(&mut self) {
        self.shared.slot().quit = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Who stops the element in answer to a message may do so on the very thread.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl<J, O> Shared<J, O> {
    fn slot(&self) -> MutexGuard<'_, Slot<J, O>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut work: impl FnMut(J) -> Option<O>, failed: impl FnOnce(Panic)) {
        while let Some((job, era)) = self.next() {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(job)));
            let mut slot = self.slot();
            slot.busy = false;
            slot.failed = outcome.is_err();
            if let Ok(Some(outcome)) = outcome {
                if slot.era == era {
                    slot.outcome = Some(outcome);
                }
            } else if let Err(panic) = outcome {
                drop(slot);
                failed(panic);
                return self.changed.notify_all();
            }
            self.changed.notify_all();
        }
    }

    /// Waits for a job; `None` at the end.
    fn next(&self) -> Option<(J, u64)> {
        let waiting = |slot: &mut Slot<J, O>| !slot.quit && slot.job.is_none();
        let mut slot = self.changed.wait_while(self.slot(), waiting).unwrap_or_else(PoisonError::into_inner);
        if slot.quit {
            return None;
        }
        slot.busy = true;
        let era = slot.era;
        slot.job.take().map(|job| (job, era))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A mailbox whose thread says what it begins, and goes on when it is told to.
    fn mailbox() -> (Mailbox<u32, u32>, mpsc::Receiver<u32>, mpsc::Sender<()>) {
        let (begun, begins) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let work = move |job: u32| {
            begun.send(job).unwrap();
            may_go.recv().unwrap();
            Some(10 * job)
        };
        (Mailbox::new("test", work, |_| {}).unwrap(), begins, go)
    }

    #[test]
    fn the_newest_job_is_done_and_those_before_it_are_handed_back() {
        let (mailbox, begins, go) = mailbox();
        mailbox.put(|old| old.map_or(1, |_| panic!("there was none")));
        assert_eq!(begins.recv(), Ok(1));
        mailbox.put(|_| 2);
        mailbox.put(|old| old.unwrap() + 1);
        go.send(()).unwrap();
        assert_eq!(begins.recv(), Ok(3));
        go.send(()).unwrap();
        mailbox.drain();
        assert_eq!([mailbox.take(), mailbox.take()], [Some(30), None]);
    }

    #[test]
    fn what_was_before_a_clear_leaves_nothing() {
        let (mailbox, begins, go) = mailbox();
        mailbox.put(|_| 1);
        assert_eq!(begins.recv(), Ok(1));
        mailbox.put(|_| 2);
        mailbox.clear();
        go.send(()).unwrap();
        mailbox.drain();
        assert_eq!(mailbox.take(), None);
        mailbox.put(|_| 3);
        assert_eq!(begins.recv(), Ok(3), "the job that was cleared is done");
        go.send(()).unwrap();
        mailbox.drain();
        assert_eq!(mailbox.take(), Some(30));
    }

    #[test]
    fn the_thread_ends_with_its_mailbox() {
        let (mailbox, begins, go) = mailbox();
        mailbox.put(|_| 1);
        assert_eq!(begins.recv(), Ok(1));
        mailbox.put(|_| 2);
        go.send(()).unwrap();
        go.send(()).unwrap();
        drop(mailbox);
        assert!(begins.iter().count() <= 1, "the thread is gone, with or without the second job");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn frames_go_first() {
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
            fields[16].parse::<i32>().unwrap()
        };
        let mailbox = Mailbox::new("test", move |()| Some(nice()), |_| {}).unwrap();
        mailbox.put(|_| ());
        mailbox.drain();
        // The tests may run with low priority themselves.
        assert!(mailbox.take().unwrap() >= (nice() + 5).min(9));
    }

    #[test]
    fn a_panic_is_told_once_and_nobody_waits_for_ever() {
        let (tell, told) = mpsc::channel();
        let work = |job: u32| -> Option<u32> { panic!("job {job}") };
        let mailbox = Mailbox::new("test", work, move |panic| tell.send(panic).unwrap()).unwrap();
        mailbox.put(|_| 4);
        let panic = told.recv().unwrap();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "job 4");
        mailbox.put(|_| 5);
        mailbox.drain();
        assert!(mailbox.has_failed());
        assert!(told.recv().is_err());
    }
}
