//! The thread of a backend and the bounded queue in front of it.
//!
//! A backend that is slow or hangs costs memory up to a bound, and then events, which are counted; never time of
//! the run or of another backend.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Backend, BackendProgress, Batch, Deadline, ExportError, RunEnding, RunIdentity};

/// Bytes of telemetry that may wait for one backend, by estimate.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Batches that may wait for one backend.
const WAITING_BATCHES_MAX: usize = 4096;
/// How long a backend is left alone before it is told to hand on what it has.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// How long beyond the deadline a backend may take to come back.
const GRACE: Duration = Duration::from_millis(300);
/// How much longer one may take in which something goes on.
const LINGER_MAX: Duration = Duration::from_secs(30);
/// How often that is looked at.
const LINGER_STEP: Duration = Duration::from_secs(1);
/// Different failures that are told of one backend.
const FAILURES_MAX: usize = 8;

/// What a backend failed with.
#[derive(Debug)]
pub struct BackendFailure {
    /// Which backend.
    pub backend: String,
    /// What happened.
    pub error: ExportError,
    /// How often.
    pub times: u64,
}

impl fmt::Display for BackendFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.error.to_string();
        // Many messages name the place by themselves.
        if !error.contains(&self.backend) {
            write!(f, "{}: ", self.backend)?;
        }
        f.write_str(&error)?;
        match self.times {
            0 | 1 => Ok(()),
            times => write!(f, " ({times} times)"),
        }
    }
}

impl Error for BackendFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

struct Waiting {
    batch: Arc<Batch>,
    weight: usize,
}

#[derive(Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    /// Events handed over and not yet dealt with.
    waiting_events: AtomicU64,
    ending: Mutex<Option<RunEnding>>,
    failures: Mutex<Failures>,
}

/// The failures of one backend: each once, with how often it came.
#[derive(Default)]
struct Failures {
    list: Vec<(ExportError, u64)>,
    index_of: HashMap<String, usize>,
    beyond: u64,
}

impl Failures {
    fn add(&mut self, error: ExportError) {
        match self.index_of.get(&error.to_string()) {
            Some(index) => self.list[*index].1 += 1,
            None if self.list.len() < FAILURES_MAX => {
                self.index_of.insert(error.to_string(), self.list.len());
                self.list.push((error, 1));
            }
            None => self.beyond += 1,
        }
    }
}

/// A backend at work.
pub(crate) struct BackendWorker {
    name: String,
    /// Whether it gets all of the run, sampled or not.
    sees_all: bool,
    /// Changes as long as its end comes nearer.
    progress: Option<BackendProgress>,
    sender: Option<SyncSender<Waiting>>,
    shared: Arc<Shared>,
    deadline: Deadline,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    dropped_events: u64,
    /// The last batch that was offered.
    found_no_room: bool,
}

impl BackendWorker {
    /// Gives the backend its thread.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub(crate) fn start(backend: Box<dyn Backend>, run: Arc<RunIdentity>) -> Result<Self, BackendFailure> {
        let name = backend.name().to_owned();
        let (sees_all, progress) = (backend.sees_all(), backend.progress());
        let (sender, receiver) = sync_channel(WAITING_BATCHES_MAX);
        let (done_sender, done) = sync_channel(1);
        let shared = Arc::<Shared>::default();
        let deadline = Deadline::default();
        let (theirs, limit) = (Arc::clone(&shared), deadline.clone());
        let thread = std::thread::Builder::new()
            .name(format!("flowmeter-{name}"))
            .spawn(move || {
                // The end is told also when the backend panics: the sender goes with the thread.
                let _done: SyncSender<()> = done_sender;
                work(backend, &receiver, &theirs, &run, &limit);
            })
            .map_err(|error| BackendFailure {
                backend: name.clone(),
                error: ExportError::new("there is no thread for it").with_source(error),
                times: 1,
            })?;
        Ok(Self {
            name,
            sees_all,
            progress,
            sender: Some(sender),
            shared,
            deadline,
            done,
            thread: Some(thread),
            dropped_events: 0,
            found_no_room: false,
        })
    }

    /// Hands the batch over, or drops it if too much is waiting already. `weight` is its size in bytes, by estimate.
    pub(crate) fn offer(&mut self, batch: Arc<Batch>, weight: usize) {
        let events = batch.events.len() as u64;
        let Some(sender) = &self.sender else {
            return;
        };
        self.found_no_room = self.shared.waiting_bytes.load(Ordering::Relaxed) + weight > WAITING_BYTES_MAX;
        if self.found_no_room {
            self.dropped_events += events;
            return;
        }
        self.shared.waiting_bytes.fetch_add(weight, Ordering::Relaxed);
        self.shared.waiting_events.fetch_add(events, Ordering::Relaxed);
        let waiting = Waiting { batch, weight };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(waiting) {
            self.shared.waiting_bytes.fetch_sub(weight, Ordering::Relaxed);
            self.shared.waiting_events.fetch_sub(events, Ordering::Relaxed);
            self.dropped_events += events;
        }
    }

    /// Whether it gets all of the run, sampled or not.
    pub(crate) fn sees_all(&self) -> bool {
        self.sees_all
    }

    /// Whether so much is waiting that there is no use in offering more: from the first batch that found no room
    /// until half of the room is free again.
    pub(crate) fn is_full(&self) -> bool {
        self.found_no_room && self.shared.waiting_bytes.load(Ordering::Relaxed) > WAITING_BYTES_MAX / 2
    }

    /// Counts events that were not even offered.
    pub(crate) fn drop_events(&mut self, count: u64) {
        self.dropped_events += count;
    }

    /// Events that this backend was too slow for.
    pub(crate) fn dropped_events(&self) -> u64 {
        self.dropped_events
    }

    /// Tells the backend that the run is over, without waiting for it.
    pub(crate) fn end(&mut self, ending: RunEnding, at: Instant) {
        *self.shared.ending.lock() = Some(ending);
        self.deadline.set(at);
        self.sender = None;
    }

    /// Whether the end does not come until the deadline and a little longer, nor while something still goes on.
    fn is_late(&mut self) -> bool {
        let mut progress = self.progress.take();
        let mut seen = progress.as_mut().map(|progress| progress());
        let patience = self.deadline.time_left().unwrap_or_default() + GRACE;
        let mut is_late = self.done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
        let leaves = Instant::now() + LINGER_MAX;
        while is_late && Instant::now() < leaves {
            let now = progress.as_mut().map(|progress| progress());
            if now == seen {
                break;
            }
            seen = now;
            is_late = self.done.recv_timeout(LINGER_STEP) == Err(RecvTimeoutError::Timeout);
        }
        is_late
    }

    /// Waits for the backend until the deadline and a little longer; returns what it failed with. One that does
    /// not come back is left behind.
    pub(crate) fn finish(mut self) -> Vec<BackendFailure> {
        if self.is_late() {
            let waiting = self.shared.waiting_events.load(Ordering::Relaxed);
            let lost = if waiting > 0 {
                format!("; {waiting} events are lost")
            } else {
                String::new()
            };
            let message = format!("it did not come to an end in time{lost}");
            self.shared.failures.lock().add(ExportError::new(message));
        } else if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            self.shared
                .failures
                .lock()
                .add(ExportError::new("it panicked: events may be lost"));
        }
        if self.dropped_events > 0 {
            let message = format!(
                "it was too slow: {} events were dropped for want of memory",
                self.dropped_events
            );
            self.shared.failures.lock().add(ExportError::new(message));
        }
        let failures = std::mem::take(&mut *self.shared.failures.lock());
        let mut told: Vec<BackendFailure> = Vec::new();
        for (error, times) in failures.list {
            told.push(BackendFailure {
                backend: self.name.clone(),
                error,
                times,
            });
        }
        if failures.beyond > 0 {
            told.push(BackendFailure {
                backend: self.name.clone(),
                error: ExportError::new(format!("{} more failures of other kinds", failures.beyond)),
                times: 1,
            });
        }
        told
    }
}

fn work(
    mut backend: Box<dyn Backend>,
    receiver: &Receiver<Waiting>,
    shared: &Shared,
    run: &Arc<RunIdentity>,
    deadline: &Deadline,
) {
    let note = |outcome: Result<(), ExportError>| {
        if let Err(error) = outcome {
            shared.failures.lock().add(error);
        }
    };
    let done = |weight: usize, events: u64| {
        shared.waiting_bytes.fetch_sub(weight, Ordering::Relaxed);
        shared.waiting_events.fetch_sub(events, Ordering::Relaxed);
    };
    let begun = backend.begin(run, deadline);
    let takes_part = begun.is_ok();
    note(begun);
    let mut flushed = Instant::now();
    loop {
        let waiting = match receiver.recv_timeout(FLUSH_AFTER) {
            Ok(waiting) => Some(waiting),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if takes_part {
            if let Some(Waiting { batch, weight }) = waiting {
                let events = batch.events.len() as u64;
                note(backend.take(batch));
                done(weight, events);
            }
            if flushed.elapsed() >= FLUSH_AFTER {
                note(backend.flush());
                flushed = Instant::now();
            }
        } else if let Some(Waiting { batch, weight }) = waiting {
            done(weight, batch.events.len() as u64);
        }
    }
    let ending = shared.ending.lock().take();
    if takes_part && let Some(ending) = ending {
        note(backend.finish(&ending));
    }
}

#[cfg(test)]
mod tests;
