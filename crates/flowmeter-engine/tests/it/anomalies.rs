//! What should not happen and does: panics, futures dropped half-way, scopes that see it.

use std::sync::Arc;
use std::time::Duration;

use flowmeter_engine::{
    Action, Backoff, Flow, Node, NodeContext, NodeError, RetryPolicy, SharedStore, async_trait,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::probes::{Diary, Played, Stuck, Watcher, context, run_by};

#[tokio::test]
async fn a_panic_in_a_node_leaves_the_store_usable() {
    let store = SharedStore::new();
    let flow = Flow::builder("f")
        .node(
            "a",
            run_by(|cx: &NodeContext| {
                cx.store().set("k", json!(1));
                panic!("a fault of the node")
            }),
        )
        .build()
        .unwrap();
    let cx = NodeContext::new(store.root());
    let outcome = tokio::spawn(async move { flow.run_to_end(&cx).await }).await;
    assert!(outcome.unwrap_err().is_panic());
    store.root().set("k", json!(2));
    assert_eq!(*store.root().get("k").unwrap(), 2);
}

#[tokio::test]
async fn a_run_that_is_dropped_tells_its_scopes_by_dropping_them() {
    struct StuckTwice(Stuck);
    #[async_trait]
    impl Node for StuckTwice {
        async fn exec(&self, cx: &NodeContext, prepared: &Value) -> Result<Value, NodeError> {
            self.0.exec(cx, prepared).await
        }
        fn retry_policy(&self) -> RetryPolicy {
            RetryPolicy::new(2, Duration::ZERO, Backoff::Fixed).unwrap()
        }
    }
    let diary = Diary::default();
    let reached = Arc::new(Notify::new());
    let node = StuckTwice(Stuck {
        diary: diary.clone(),
        reached: Arc::clone(&reached),
    });
    let cx = context().with_scope(Watcher::root(&diary));
    {
        let mut run = std::pin::pin!(node.run(&cx));
        tokio::select! {
            biased;
            _ = &mut run => unreachable!("it never ends"),
            () = reached.notified() => {}
        }
    }
    assert_eq!(
        diary.lines(),
        [
            "enter attempt 1/2",
            "stuck reached",
            "stuck dropped",
            "dropped attempt 1/2"
        ]
    );
}

#[tokio::test]
async fn work_that_is_complete_counts_although_the_run_is_cancelled_meanwhile() {
    struct Canceller;
    #[async_trait]
    impl Node for Canceller {
        async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
            cx.until_cancelled(async {
                cx.cancellation().cancel();
                Ok(Action::named("paid for"))
            })
            .await
        }
    }
    let cx = context();
    assert_eq!(Canceller.run(&cx).await.unwrap().as_str(), "paid for");
    let again = cx.until_cancelled(async { Ok(()) }).await;
    assert!(again.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_node_that_waits_for_nothing_needs_no_timer() {
    // `tokio::test` has a timer; this runtime has none.
    let outcome = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let node = Played::new("a", &Diary::default())
            .failing([NodeError::failed("one")])
            .retrying(RetryPolicy::new(2, Duration::ZERO, Backoff::Fixed).unwrap());
        runtime.block_on(node.run(&context())).map(|_| ())
    })
    .join();
    outcome.unwrap().unwrap();
}

#[test]
fn hundred_thousand_keys_and_namespaces_are_no_trouble() {
    let store = SharedStore::new();
    for number in 0..50_000_u32 {
        let view = store.root().in_namespace(&format!("n{}", number % 1000));
        view.set(&format!("k{number}"), json!(number));
    }
    assert_eq!(store.root().entries("n7").len(), 50);
    assert_eq!(*store.root().get_in("n7", "k7").unwrap(), 7);
}

#[test]
fn a_tower_of_layers_reads_to_the_ground() {
    let store = SharedStore::new();
    store.root().set("ground", json!(0));
    let mut view = store.root();
    for level in 1..=200 {
        view = view.overlay();
        view.set(&format!("level{level}"), json!(level));
    }
    assert_eq!(*view.get("ground").unwrap(), 0);
    assert_eq!(*view.get("level3").unwrap(), 3);
    assert_eq!(view.entries("").len(), 201);
}
