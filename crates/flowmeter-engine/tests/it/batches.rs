//! Batches: order, failures, limits, attempts, isolation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowmeter_engine::{
    Action, Batch, BatchErrorHandling, BatchItems, BatchOutcome, BatchPolicy, InvalidBatchPolicy, Node,
    NodeContext, NodeError, SharedStore, async_trait,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::probes::{Bell, Diary, Gauge, Watcher, context};

/// Items 0 to n - 1; what each wrote to `out` is its result, and the outcome is kept.
#[derive(Clone, Default)]
struct Numbers {
    count: usize,
    outcome: Arc<Mutex<Option<BatchOutcome>>>,
}

impl Numbers {
    fn up_to(count: usize) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    fn outcome(&self) -> BatchOutcome {
        self.outcome.lock().take().unwrap()
    }
}

impl BatchItems for Numbers {
    fn items(&self, _cx: &NodeContext) -> Result<Vec<Arc<Value>>, NodeError> {
        Ok((0..self.count).map(|index| Arc::new(json!(index))).collect())
    }

    fn item_context(&self, cx: &NodeContext, index: usize, item: &Arc<Value>) -> NodeContext {
        let variables = cx
            .variables()
            .with("item", Arc::clone(item))
            .with("__index__", json!(index));
        cx.with_store(cx.store().overlay()).with_variables(variables)
    }

    fn item_result(&self, item_cx: &NodeContext, action: &Action) -> Result<Value, NodeError> {
        if *action == Action::error() {
            return Err(NodeError::failed("the item said error"));
        }
        Ok(Value::clone(&item_cx.store().get("out").unwrap()))
    }

    fn finish(&self, _cx: &NodeContext, outcome: BatchOutcome) -> Result<Action, NodeError> {
        let failed = outcome.error_count();
        *self.outcome.lock() = Some(outcome);
        Ok(Action::named(if failed > 0 { "some" } else { "all" }))
    }
}

/// Later items are done earlier; some fail, each as often as it is told to.
struct Work {
    fails: fn(u64, u32) -> Option<NodeError>,
    gauge: Arc<Gauge>,
    runs: Arc<AtomicUsize>,
    diary: Diary,
}

fn never(_: u64, _: u32) -> Option<NodeError> {
    None
}

fn work(fails: fn(u64, u32) -> Option<NodeError>) -> Work {
    Work {
        fails,
        gauge: Arc::default(),
        runs: Arc::default(),
        diary: Diary::default(),
    }
}

#[async_trait]
impl Node for Work {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let item = cx.variables().get("item").unwrap().as_u64().unwrap();
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.gauge.enter();
        let bell = Bell(self.diary.clone(), "dropped");
        tokio::time::sleep(Duration::from_millis(1000 - item)).await;
        std::mem::forget(bell);
        self.gauge.leave();
        if let Some(error) = (self.fails)(item, cx.attempt()) {
            return Err(error);
        }
        assert!(
            cx.store().get("out").is_none(),
            "another item's value is to be seen"
        );
        cx.store().set("out", json!(item * 10));
        Ok(Action::named(if item == 77 { "error" } else { "" }))
    }
}

fn policy(error_handling: BatchErrorHandling, concurrent_max: usize) -> BatchPolicy {
    BatchPolicy {
        error_handling,
        concurrent_max,
        ..BatchPolicy::default()
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_items_keep_their_order_and_three_failures_are_counted() {
    let numbers = Numbers::up_to(200);
    let node = work(|item, _| matches!(item, 5 | 150).then(|| NodeError::failed(format!("no {item}"))));
    let gauge = Arc::clone(&node.gauge);
    let batch = Batch::new(node, numbers.clone(), policy(BatchErrorHandling::Continue, 16)).unwrap();
    let cx = context();
    assert_eq!(batch.run(&cx).await.unwrap().as_str(), "some");
    let outcome = numbers.outcome();
    assert_eq!(outcome.error_count(), 3);
    assert_eq!(gauge.most(), 16, "as many at a time as allowed, and no more");
    for (index, (item, result)) in outcome.items.iter().zip(&outcome.results).enumerate() {
        assert_eq!(**item, index);
        match result {
            Ok(result) => assert_eq!(*result, index * 10),
            Err(error) if index == 77 => assert_eq!(error.to_string(), "the item said error"),
            Err(error) => assert_eq!(error.to_string(), format!("no {index}")),
        }
    }
    assert_eq!(outcome.results.len(), 200);
    assert!(cx.store().get("out").is_none(), "items write to their own layer");
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_is_the_default() {
    let numbers = Numbers::up_to(3);
    let node = work(never);
    let gauge = Arc::clone(&node.gauge);
    let began = Instant::now();
    let batch = Batch::new(node, numbers, BatchPolicy::default()).unwrap();
    assert_eq!(batch.run(&context()).await.unwrap().as_str(), "all");
    assert_eq!(gauge.most(), 1);
    assert_eq!(began.elapsed().as_millis(), 1000 + 999 + 998);
}

#[tokio::test(start_paused = true)]
async fn fail_fast_stops_the_others() {
    let numbers = Numbers::up_to(50);
    let node = work(|item, _| (item == 9).then(|| NodeError::failed("broken").with_type("http_500")));
    let (runs, diary) = (Arc::clone(&node.runs), node.diary.clone());
    let batch = Batch::new(node, numbers.clone(), policy(BatchErrorHandling::FailFast, 10)).unwrap();
    let error = batch.run(&context()).await.unwrap_err();
    assert_eq!(error.to_string(), "item 10 of 50 failed: broken");
    assert_eq!(error.error_type(), "http_500");
    assert_eq!(error.chain(), ["broken"]);
    assert!(!error.is_retryable(), "items have attempts of their own");
    assert_eq!(runs.load(Ordering::Relaxed), 10);
    assert_eq!(diary.lines(), ["dropped"; 9]);
    assert!(
        numbers.outcome.lock().is_none(),
        "a failed batch writes no outcome"
    );
}

#[tokio::test(start_paused = true)]
async fn each_item_has_attempts_of_its_own() {
    let numbers = Numbers::up_to(3);
    // The first item needs two attempts, the second fails for good, the third would need four.
    let node = work(|item, attempt| match (item, attempt) {
        (0, 1) | (2, 1..=3) => Some(NodeError::failed("not yet")),
        (1, _) => Some(NodeError::permanent("never")),
        _ => None,
    });
    let runs = Arc::clone(&node.runs);
    let diary = Diary::default();
    let policy = BatchPolicy {
        attempts_max: 3,
        retry_wait: Duration::from_secs(5),
        ..policy(BatchErrorHandling::Continue, 1)
    };
    let began = Instant::now();
    let cx = context().with_scope(Watcher::root(&diary));
    Batch::new(node, numbers.clone(), policy)
        .unwrap()
        .run(&cx)
        .await
        .unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2 + 1 + 3);
    assert_eq!(
        began.elapsed().as_secs(),
        3 * 5 + 5,
        "three waits, and six runs of almost a second"
    );
    let outcome = numbers.outcome();
    assert_eq!(outcome.results[0].as_ref().unwrap(), &json!(0));
    assert_eq!(outcome.results[2].as_ref().unwrap_err().to_string(), "not yet");
    assert_eq!(
        diary.lines()[..6],
        [
            "enter item 0/3 = 0",
            "enter item 0/3 = 0 > attempt 1/3",
            "leave item 0/3 = 0 > attempt 1/3: not yet",
            "enter item 0/3 = 0 > attempt 2/3",
            "leave item 0/3 = 0 > attempt 2/3: ok",
            "leave item 0/3 = 0: ok",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn cancellation_reaches_an_item_that_waits_for_its_next_attempt() {
    let node = work(|_, _| Some(NodeError::failed("not yet")));
    let policy = BatchPolicy {
        attempts_max: 2,
        retry_wait: Duration::from_secs(100),
        ..policy(BatchErrorHandling::Continue, 4)
    };
    let batch = Batch::new(node, Numbers::up_to(8), policy).unwrap();
    let token = CancellationToken::new();
    let cx = context().with_cancellation(token.clone());
    let began = Instant::now();
    let (outcome, ()) = tokio::join!(batch.run(&cx), async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        token.cancel();
    });
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(began.elapsed().as_secs(), 9);
}

#[tokio::test]
async fn a_batch_of_nothing_is_done() {
    let numbers = Numbers::default();
    let batch = Batch::new(work(never), numbers.clone(), BatchPolicy::default()).unwrap();
    assert_eq!(batch.run(&context()).await.unwrap().as_str(), "all");
    assert!(numbers.outcome().items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn items_see_the_values_of_the_run() {
    struct Reader;
    #[async_trait]
    impl Node for Reader {
        async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
            let store = cx.store();
            let read = store.get("shared").unwrap();
            store.set("shared", json!("mine"));
            store.set("out", Value::clone(&read));
            Ok(Action::default())
        }
    }
    let store = SharedStore::new();
    store.root().set("shared", json!("of the run"));
    let numbers = Numbers::up_to(5);
    let batch = Batch::new(Reader, numbers.clone(), policy(BatchErrorHandling::FailFast, 5)).unwrap();
    batch.run(&NodeContext::new(store.root())).await.unwrap();
    for result in numbers.outcome().results {
        assert_eq!(result.unwrap(), "of the run");
    }
    assert_eq!(*store.root().get("shared").unwrap(), "of the run");
}

#[test]
fn a_policy_outside_its_bounds_is_refused() {
    let refused = |change: fn(&mut BatchPolicy)| {
        let mut policy = BatchPolicy::default();
        change(&mut policy);
        Batch::new(work(never), Numbers::default(), policy).err()
    };
    for change in [
        (|policy| policy.concurrent_max = 1) as fn(&mut BatchPolicy),
        |policy| policy.concurrent_max = 100,
        |policy| policy.attempts_max = 10,
    ] {
        assert_eq!(refused(change), None);
    }
    assert_eq!(
        refused(|policy| policy.concurrent_max = 0),
        Some(InvalidBatchPolicy::Concurrency(0))
    );
    assert_eq!(
        refused(|policy| policy.concurrent_max = 101),
        Some(InvalidBatchPolicy::Concurrency(101))
    );
    let error = refused(|policy| policy.attempts_max = 11).unwrap();
    assert_eq!(
        error.to_string(),
        "a batch item has 1 to 10 attempts in total, not 11"
    );
}

#[tokio::test(start_paused = true)]
async fn what_halts_the_flow_ends_the_batch_too_but_items_under_way_are_not_lost() {
    for handling in [BatchErrorHandling::FailFast, BatchErrorHandling::Continue] {
        let numbers = Numbers::up_to(20);
        // Of the first four, the last is done first.
        let node = work(|item, _| (item >= 3).then(|| NodeError::halted("no money left").with_type("broke")));
        let runs = Arc::clone(&node.runs);
        let policy = BatchPolicy {
            attempts_max: 3,
            ..policy(handling, 4)
        };
        let batch = Batch::new(node, numbers.clone(), policy).unwrap();
        let error = batch.run(&context()).await.unwrap_err();
        assert!(error.is_halted() && !error.is_retryable());
        assert_eq!((error.error_type(), error.message()), ("broke", "no money left"));
        let outcome = numbers.outcome();
        let did_well: Vec<usize> = (0..20).filter(|index| outcome.results[*index].is_ok()).collect();
        assert_eq!(did_well, [0, 1, 2]);
        assert_eq!(runs.load(Ordering::Relaxed), 4, "no other item began");
    }
}

#[test]
fn a_halt_that_is_contained_is_a_permanent_failure() {
    let error = NodeError::halted("no money left").with_type("broke").contained();
    assert!(!error.is_halted() && !error.is_retryable() && !error.is_cancelled());
    assert_eq!(error.error_type(), "broke");
    assert!(NodeError::failed("again").contained().is_retryable());
}
