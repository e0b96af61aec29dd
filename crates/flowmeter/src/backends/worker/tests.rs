//! Backends that are slow, hang, fail or panic: what is lost is counted, and nobody waits for long.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use flowmeter_model::{IdSource, LogLevel, LogRecord, SpanStatus, TelemetryEvent, TimestampNs};
use parking_lot::Mutex;

use super::{BackendWorker, WAITING_BYTES_MAX};
use crate::backends::{Backend, BackendProgress, Batch, ExportError, RunEnding, RunIdentity};
use crate::metrics::RunMetrics;
use crate::recorder::DropCounts;

fn identity() -> Arc<RunIdentity> {
    Arc::new(RunIdentity {
        trace_id: IdSource::from_seed(1).trace_id(),
        root_span_id: None,
        parent_span_id: None,
        workflow: "test".into(),
        started: TimestampNs(0),
        trace_state: String::new(),
        sampled: true,
        resource: flowmeter_model::Attributes::new(),
    })
}

fn batch(run: &Arc<RunIdentity>, events: usize) -> Arc<Batch> {
    let event = TelemetryEvent::Log(
        run.trace_id,
        Box::new(LogRecord {
            time: TimestampNs(1),
            level: LogLevel::Info,
            message: "hello".to_owned(),
            target: None,
            span_id: None,
            attributes: flowmeter_model::Attributes::new(),
        }),
    );
    Arc::new(Batch {
        run: Arc::clone(run),
        events: vec![event; events],
    })
}

fn ending() -> RunEnding {
    RunEnding {
        sampled: true,
        status: SpanStatus::Ok,
        error: None,
        ended: TimestampNs(2),
        metrics: RunMetrics::default().into(),
        dropped: DropCounts::default(),
    }
}

struct Scripted {
    gate: Option<Receiver<()>>,
    fails: bool,
    panics: bool,
    progress: Mutex<Option<BackendProgress>>,
    seen: Arc<Mutex<usize>>,
    ended: SyncSender<()>,
}

impl Backend for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }
    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        assert!(!self.panics, "as the test wants");
        if let Some(gate) = &self.gate {
            // Nobody sends: it hangs until the test is over.
            let _ = gate.recv();
        }
        *self.seen.lock() += batch.events.len();
        if self.fails {
            return Err(ExportError::new("refused"));
        }
        Ok(())
    }
    fn progress(&self) -> Option<BackendProgress> {
        self.progress.lock().take()
    }
    fn finish(&mut self, _: &RunEnding) -> Result<(), ExportError> {
        let _ = self.ended.try_send(());
        Ok(())
    }
}

fn scripted(gate: Option<Receiver<()>>) -> (Scripted, Arc<Mutex<usize>>, Receiver<()>) {
    let seen = Arc::<Mutex<usize>>::default();
    let (ended, has_ended) = sync_channel(1);
    let backend = Scripted {
        gate,
        fails: false,
        panics: false,
        progress: Mutex::default(),
        seen: Arc::clone(&seen),
        ended,
    };
    (backend, seen, has_ended)
}

#[test]
fn everything_arrives_and_the_end_comes_last() {
    let run = identity();
    let (backend, seen, has_ended) = scripted(None);
    let mut worker = BackendWorker::start(Box::new(backend), Arc::clone(&run)).unwrap();
    for _ in 0..100 {
        worker.offer(batch(&run, 10), 1000);
    }
    worker.end(ending(), Instant::now() + Duration::from_secs(20));
    assert!(worker.finish().is_empty());
    assert_eq!(*seen.lock(), 1000);
    assert_eq!(has_ended.try_recv(), Ok(()));
}

#[test]
fn a_failure_is_told_once_with_how_often_it_came() {
    let run = identity();
    let (mut backend, seen, _has_ended) = scripted(None);
    backend.fails = true;
    let mut worker = BackendWorker::start(Box::new(backend), Arc::clone(&run)).unwrap();
    for _ in 0..3 {
        worker.offer(batch(&run, 1), 10);
    }
    worker.end(ending(), Instant::now() + Duration::from_secs(20));
    let failures = worker.finish();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].to_string(), "scripted: refused (3 times)");
    assert_eq!(*seen.lock(), 3);
}

#[test]
fn one_that_hangs_costs_a_bound_of_memory_and_then_events() {
    let run = identity();
    let (open, gate) = sync_channel(1);
    let (backend, _seen, _has_ended) = scripted(Some(gate));
    let mut worker = BackendWorker::start(Box::new(backend), Arc::clone(&run)).unwrap();
    let one = batch(&run, 5);
    let weight = WAITING_BYTES_MAX / 4;
    for _ in 0..10 {
        worker.offer(Arc::clone(&one), weight);
    }
    assert_eq!(worker.dropped_events(), 30);
    worker.end(ending(), Instant::now());
    let told: Vec<String> = worker.finish().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "scripted: it did not come to an end in time; 20 events are lost",
            "scripted: it was too slow: 30 events were dropped for want of memory"
        ]
    );
    drop(open);
}

#[test]
fn one_in_which_something_goes_on_is_waited_for() {
    let run = identity();
    let (open, gate) = sync_channel(1);
    let (backend, seen, has_ended) = scripted(Some(gate));
    let mut looks = 0;
    *backend.progress.lock() = Some(Box::new(move || {
        looks += 1;
        // The first look is before the deadline, the second one after it.
        if looks == 2 {
            open.send(()).unwrap();
        }
        looks
    }));
    let mut worker = BackendWorker::start(Box::new(backend), Arc::clone(&run)).unwrap();
    worker.offer(batch(&run, 5), 10);
    worker.end(ending(), Instant::now());
    assert!(worker.finish().is_empty());
    assert_eq!(*seen.lock(), 5);
    assert_eq!(has_ended.try_recv(), Ok(()));
}

#[test]
fn one_in_which_nothing_goes_on_is_left_behind() {
    let run = identity();
    let (open, gate) = sync_channel(1);
    let (backend, _seen, _has_ended) = scripted(Some(gate));
    *backend.progress.lock() = Some(Box::new(|| 7));
    let mut worker = BackendWorker::start(Box::new(backend), Arc::clone(&run)).unwrap();
    worker.offer(batch(&run, 5), 10);
    worker.end(ending(), Instant::now());
    let told: Vec<String> = worker.finish().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["scripted: it did not come to an end in time; 5 events are lost"]
    );
    drop(open);
}

#[test]
fn one_that_panics_is_told() {
    let run = identity();
    let (mut backend, _seen, _has_ended) = scripted(None);
    backend.panics = true;
    let mut worker = BackendWorker::start(Box::new(backend), Arc::clone(&run)).unwrap();
    worker.offer(batch(&run, 1), 10);
    worker.end(ending(), Instant::now() + Duration::from_secs(20));
    let told: Vec<String> = worker.finish().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["scripted: it panicked: events may be lost"]);
}
