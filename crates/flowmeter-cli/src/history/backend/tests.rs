//! Tests of what of a run gets to the store, and of stores that fail.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;

use flowmeter_model::{Attributes, ManualClock, Span, SpanError, SpanKind, TimestampNs, TraceId};
use flowmeter_store::{
    ForgetSelector, Forgotten, LogFilter, MemoryConfig, MemoryStore, Retention, RunDetail, RunFilter,
    RunOrder, RunRow, SearchHit, SearchQuery, SpanFilter, SpanRow, StatsQuery, StatsRow, StoredLog,
};

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn identity() -> Arc<RunIdentity> {
    let mut resource = Attributes::new();
    resource.set("session.id", "chat-42");
    resource.set("flowmeter.tag.team", "search");
    Arc::new(RunIdentity {
        trace_id: TraceId::parse(TRACE).expect("an id"),
        root_span_id: SpanId::from_u64(1),
        parent_span_id: SpanId::from_u64(9),
        workflow: "summarize".into(),
        started: TimestampNs(1_000),
        trace_state: String::new(),
        sampled: true,
        resource,
    })
}

fn key() -> RunKey {
    key_of(&identity()).expect("a root")
}

fn span(id: u64, parent: u64, kind: SpanKind, operation: &str) -> Span {
    let id = SpanId::from_u64(id).expect("an id");
    Span::begin(
        identity().trace_id,
        id,
        SpanId::from_u64(parent),
        kind,
        operation,
        TimestampNs(1_000 + id.to_u64()),
    )
}

fn begun(span: &Span) -> TelemetryEvent {
    TelemetryEvent::SpanStarted(Box::new(span.clone()))
}

fn ended(span: &Span) -> TelemetryEvent {
    let mut span = span.clone();
    span.end = Some(TimestampNs(5_000));
    span.status = Some(SpanStatus::Ok);
    TelemetryEvent::SpanEnded(Box::new(span))
}

fn batch(events: Vec<TelemetryEvent>) -> Arc<Batch> {
    Arc::new(Batch {
        run: identity(),
        events,
    })
}

fn ending() -> RunEnding {
    let mut metrics = RunMetrics {
        nodes_executed: 3,
        ..RunMetrics::default()
    };
    metrics.llm.calls = 2;
    metrics.llm.input_tokens = 70;
    metrics.llm.output_tokens = 7;
    RunEnding {
        status: SpanStatus::Error,
        error: Some(SpanError {
            error_type: "timeout".into(),
            message: "too slow".to_owned(),
            chain: Vec::new(),
        }),
        ended: TimestampNs(6_000),
        metrics: metrics.into(),
        sampled: true,
        dropped: flowmeter::DropCounts::default(),
    }
}

fn memory() -> MemoryStore {
    let clock = Arc::new(ManualClock::new(TimestampNs(10_000)));
    MemoryStore::new(MemoryConfig {
        clock,
        is_alive: Arc::new(liveness::is_alive),
    })
}

/// A run with these batches; what is in the store afterwards.
fn record(batches: Vec<Arc<Batch>>) -> MemoryStore {
    let left = Left::default();
    let mut backend = HistoryBackend::new(PathBuf::new(), Box::new(|| Ok(memory())), Arc::clone(&left));
    backend
        .begin(&identity(), &Deadline::default())
        .expect("it begins");
    for batch in batches {
        backend.take(batch).expect("it is kept");
    }
    backend.finish(&ending()).expect("it ends");
    drop(backend);
    Arc::into_inner(left)
        .and_then(OnceLock::into_inner)
        .expect("a store")
}

#[test]
fn a_run_is_kept_with_what_it_came_to_and_where_it_came_from() {
    let root = span(1, 9, SpanKind::Run, "workflow.start");
    let node = span(2, 1, SpanKind::Node, "node.llm");
    let store = record(vec![
        batch(vec![begun(&root), begun(&node), ended(&node)]),
        batch(vec![ended(&root)]),
    ]);
    let detail = store.run(&key()).expect("it reads").expect("the run");
    let row = &detail.row;
    assert_eq!(row.status, RunStatus::Error);
    // As long as the root span, which begins after the preparations: from 1,001 to 5,000.
    assert_eq!(row.ended, Some(TimestampNs(1_000 + 3_999)));
    assert_eq!(row.parent_span_id, SpanId::from_u64(9));
    assert_eq!((row.nodes, row.llm_calls, row.tokens.total()), (3, 2, 77));
    assert_eq!(
        row.error.as_ref().map(|error| error.error_type.as_str()),
        Some("timeout")
    );
    assert_eq!(row.origin.session.as_deref(), Some("chat-42"));
    assert_eq!(row.origin.tags, [("team".to_owned(), "search".to_owned())]);
    assert_eq!(detail.resource.get_str("session.id"), Some("chat-42"));
    assert_eq!(detail.process, Some(liveness::own_mark()));
    let metrics = detail.metrics.expect("metrics");
    assert_eq!(metrics["workflow"]["nodes_executed"], 3);
    let mut spans = Vec::new();
    let collect = &mut |span: Span| {
        spans.push(span.operation.to_string());
        ControlFlow::Continue(())
    };
    store.spans(&key(), collect).expect("it reads");
    assert_eq!(spans, ["workflow.start", "node.llm"]);
}

#[test]
fn what_was_lost_before_is_part_of_the_metrics() {
    let mut ending = ending();
    ending.dropped.backend_full = 12;
    let end = end_of(key(), &ending);
    assert_eq!(end.metrics["dropped"]["backend_full"], 12);
}

#[test]
fn of_a_run_of_many_nodes_the_spans_say_what_each_did() {
    let node = |index: usize| {
        (
            format!("n{index}").into(),
            flowmeter::NodeMetrics {
                runs: 1,
                ..Default::default()
            },
        )
    };
    let metrics = RunMetrics {
        nodes: (0..1_200).map(node).collect(),
        ..RunMetrics::default()
    };
    let mut ending = RunEnding {
        metrics: metrics.into(),
        ..ending()
    };
    let nodes = |end: &RunEnd| {
        end.metrics["workflow"]["nodes"]
            .as_object()
            .map(serde_json::Map::len)
    };
    let end = end_of(key(), &ending);
    assert_eq!(nodes(&end), Some(256));
    assert_eq!(end.metrics["workflow"]["nodes_left_out"], 944);
    // Where there are no spans, nothing else says it.
    ending.sampled = false;
    let end = end_of(key(), &ending);
    assert_eq!(nodes(&end), Some(1_200));
    assert!(end.metrics["workflow"].get("nodes_left_out").is_none());
}

#[test]
fn a_run_without_a_root_is_told() {
    let left = Left::default();
    let mut backend = HistoryBackend::new(PathBuf::new(), Box::new(|| Ok(memory())), left);
    let run = Arc::new(RunIdentity {
        root_span_id: None,
        ..(*identity()).clone()
    });
    let error = backend
        .begin(&run, &Deadline::default())
        .expect_err("it cannot be kept");
    assert_eq!(
        error.to_string(),
        "the run has no root: the history cannot keep it"
    );
}

#[test]
fn starts_go_where_the_end_is_there_too() {
    let (short, long) = (
        span(2, 1, SpanKind::Node, "short"),
        span(3, 1, SpanKind::Node, "long"),
    );
    let mut events = vec![begun(&short), begun(&long), ended(&short)];
    leave_out_short_starts(&mut events);
    assert_eq!(events, [begun(&long), ended(&short)]);
}

#[test]
fn a_batch_that_is_shared_is_copied_and_one_that_is_not_is_kept_as_it_is() {
    let node = span(2, 1, SpanKind::Node, "node.llm");
    let shared = batch(vec![ended(&node)]);
    let store = record(vec![Arc::clone(&shared)]);
    assert_eq!(shared.events.len(), 1);
    assert_eq!(store.span_rows(&key()).expect("it reads").len(), 1);
}

#[test]
fn a_history_that_cannot_be_opened_is_told_once_and_leaves_the_run_alone() {
    let left = Left::<MemoryStore>::default();
    let mut backend = HistoryBackend::new(
        PathBuf::new(),
        Box::new(|| Err(StoreError::DiskFull)),
        Arc::clone(&left),
    );
    let error = backend
        .begin(&identity(), &Deadline::default())
        .expect_err("it is full");
    assert_eq!(
        error.to_string(),
        "the disk is full: the history records nothing more"
    );
    let node = span(2, 1, SpanKind::Node, "node.llm");
    backend
        .take(batch(vec![ended(&node)]))
        .expect("nothing is said again");
    backend.finish(&ending()).expect("nothing is said again");
    assert!(left.get().is_none());
}

/// A store whose writes fail from the `good`-th on.
struct Failing {
    good: usize,
    error: fn() -> StoreError,
    taken: Mutex<usize>,
}

impl Store for Failing {
    fn append(&self, _: Append) -> Result<(), StoreError> {
        let mut taken = self.taken.lock().expect("nobody panicked");
        *taken += 1;
        if *taken > self.good {
            Err((self.error)())
        } else {
            Ok(())
        }
    }
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn runs(&self, _: &RunFilter, _: RunOrder, _: usize, _: usize) -> Result<Vec<RunRow>, StoreError> {
        Ok(Vec::new())
    }
    fn run(&self, _: &RunKey) -> Result<Option<RunDetail>, StoreError> {
        Ok(None)
    }
    fn spans(&self, _: &RunKey, _: &mut dyn FnMut(Span) -> ControlFlow<()>) -> Result<(), StoreError> {
        Ok(())
    }
    fn span(&self, _: &RunKey, _: SpanId) -> Result<Option<Span>, StoreError> {
        Ok(None)
    }
    fn span_rows(&self, _: &RunKey) -> Result<Vec<SpanRow>, StoreError> {
        Ok(Vec::new())
    }
    fn scan(&self, _: &SpanFilter, _: &mut dyn FnMut(&SpanRow) -> ControlFlow<()>) -> Result<(), StoreError> {
        Ok(())
    }
    fn logs(&self, _: &LogFilter, _: &mut dyn FnMut(StoredLog) -> ControlFlow<()>) -> Result<(), StoreError> {
        Ok(())
    }
    fn search(&self, _: &SearchQuery) -> Result<Vec<SearchHit>, StoreError> {
        Ok(Vec::new())
    }
    fn stats(&self, _: &StatsQuery) -> Result<Vec<StatsRow>, StoreError> {
        Ok(Vec::new())
    }
    fn forget(&self, _: &ForgetSelector) -> Result<Forgotten, StoreError> {
        Ok(Forgotten::default())
    }
    fn retain(&self, _: &Retention) -> Result<Forgotten, StoreError> {
        Ok(Forgotten::default())
    }
}

/// What a run with three batches of one event says, and how often the store was asked to keep something.
fn told_with(good: usize, error: fn() -> StoreError) -> (Vec<String>, usize) {
    let left = Left::default();
    let store = Failing {
        good,
        error,
        taken: Mutex::default(),
    };
    let mut backend = HistoryBackend::new(PathBuf::new(), Box::new(|| Ok(store)), Arc::clone(&left));
    let mut outcomes = vec![backend.begin(&identity(), &Deadline::default())];
    for id in 2..5 {
        let event = ended(&span(id, 1, SpanKind::Node, "node.llm"));
        outcomes.push(backend.take(batch(vec![event])));
    }
    outcomes.push(backend.finish(&ending()));
    let told = outcomes
        .into_iter()
        .filter_map(|outcome| Some(outcome.err()?.to_string()));
    let told = told.collect();
    let taken = left
        .get()
        .map_or(0, |store| *store.taken.lock().expect("nobody panicked"));
    (told, taken)
}

#[test]
fn a_full_disk_is_told_once_and_ends_the_recording() {
    let (told, taken) = told_with(2, || StoreError::DiskFull);
    assert_eq!(told, ["the disk is full: the history records nothing more"]);
    assert_eq!(taken, 3);
}

#[test]
fn a_queue_that_is_full_costs_events_which_are_counted() {
    let (told, taken) = told_with(2, || StoreError::Full { dropped: 1 });
    assert_eq!(
        told,
        ["the history was too busy: 3 events of this run are not in it"]
    );
    assert_eq!(taken, 5);
}
