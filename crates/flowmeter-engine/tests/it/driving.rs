//! One node from `prep` to `post`: attempts, waits, fallbacks, cancellation.

use std::sync::Arc;
use std::time::Duration;

use flowmeter_engine::{
    Action, Backoff, ErrorKind, Node, NodeContext, NodeError, RetryPolicy, async_trait, drive,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::probes::{Diary, Played, Stuck, Watcher, context};

fn exponential(attempts: u32, wait_s: u64) -> RetryPolicy {
    RetryPolicy::new(attempts, Duration::from_secs(wait_s), Backoff::Exponential).unwrap()
}

#[tokio::test]
async fn a_node_preps_execs_and_posts_in_this_order() {
    let diary = Diary::default();
    let action = Played::new("a", &diary)
        .leading("next")
        .run(&context())
        .await
        .unwrap();
    assert_eq!(action, Action::named("next"));
    assert_eq!(diary.lines(), ["a prep", "a exec 1", "a post \"done\""]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_in_total_and_waits_double() {
    let diary = Diary::default();
    let node = Played::new("a", &diary)
        .failing([NodeError::failed("one"), NodeError::failed("two")])
        .retrying(exponential(3, 10));
    let began = Instant::now();
    node.run(&context()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 10 + 20);
    assert_eq!(
        diary.lines(),
        ["a prep", "a exec 1", "a exec 2", "a exec 3", "a post \"done\""]
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_capped_at_sixty_seconds() {
    let diary = Diary::default();
    let errors: Vec<NodeError> = (0..5).map(|_| NodeError::failed("no")).collect();
    let node = Played::new("a", &diary)
        .failing(errors)
        .retrying(exponential(6, 20));
    let began = Instant::now();
    node.run(&context()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 20 + 40 + 60 + 60 + 60);
}

#[tokio::test(start_paused = true)]
async fn when_all_attempts_fail_the_fallback_stands_in() {
    let diary = Diary::default();
    let errors = || [NodeError::failed("one"), NodeError::failed("two")];
    let mut node = Played::new("a", &diary)
        .failing(errors())
        .retrying(exponential(2, 1));
    node.fallback = Some(json!("instead"));
    node.run(&context()).await.unwrap();
    assert_eq!(
        diary.lines(),
        [
            "a prep",
            "a exec 1",
            "a exec 2",
            "a fallback: two",
            "a post \"instead\""
        ]
    );
    let node = Played::new("a", &Diary::default())
        .failing(errors())
        .retrying(exponential(2, 1));
    assert_eq!(node.run(&context()).await.unwrap_err().to_string(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_not_tried_again() {
    let diary = Diary::default();
    let node = Played::new("a", &diary)
        .failing([NodeError::permanent("no such file")])
        .retrying(exponential(5, 10));
    let began = Instant::now();
    let error = node.run(&context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(diary.lines(), ["a prep", "a exec 1", "a fallback: no such file"]);
}

#[tokio::test]
async fn a_failing_prep_ends_the_node() {
    struct Unprepared(Diary);
    #[async_trait]
    impl Node for Unprepared {
        async fn prep(&self, _cx: &NodeContext) -> Result<Value, NodeError> {
            Err(NodeError::failed("nothing to read"))
        }
        async fn exec(&self, _cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
            self.0.note("exec");
            Ok(Value::Null)
        }
        fn retry_policy(&self) -> RetryPolicy {
            exponential(3, 1)
        }
    }
    let diary = Diary::default();
    let error = Unprepared(diary.clone()).run(&context()).await.unwrap_err();
    assert_eq!(error.to_string(), "nothing to read");
    assert!(diary.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_scope_sees_every_attempt_and_none_where_there_is_only_one() {
    let diary = Diary::default();
    let cx = context().with_scope(Watcher::root(&diary));
    let node = Played::new("a", &Diary::default())
        .failing([NodeError::failed("one")])
        .retrying(exponential(2, 1));
    drive(&node, &cx).await.unwrap();
    assert_eq!(
        diary.lines(),
        [
            "enter attempt 1/2",
            "leave attempt 1/2: one",
            "enter attempt 2/2",
            "leave attempt 2/2: ok"
        ]
    );
    let quiet = Diary::default();
    let cx = context().with_scope(Watcher::root(&quiet));
    drive(&Played::new("b", &Diary::default()), &cx).await.unwrap();
    assert!(quiet.lines().is_empty());
}

/// Runs `node`, cancels it at `after` and returns its error with the time at which it came.
async fn cancelled_after(node: impl Node, after: Duration) -> (NodeError, Duration) {
    let token = CancellationToken::new();
    let cx = context().with_cancellation(token.clone());
    let began = Instant::now();
    let (outcome, ()) = tokio::join!(node.run(&cx), async {
        tokio::time::sleep(after).await;
        token.cancel();
    });
    (outcome.unwrap_err(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn cancellation_reaches_a_wait_between_attempts() {
    let diary = Diary::default();
    let node = Played::new("a", &diary)
        .failing([NodeError::failed("one")])
        .retrying(exponential(3, 50));
    let (error, elapsed) = cancelled_after(node, Duration::from_secs(7)).await;
    assert!(error.is_cancelled());
    assert_eq!(elapsed, Duration::from_secs(7));
    assert_eq!(
        diary.lines(),
        ["a prep", "a exec 1"],
        "no further attempt, no fallback, no post"
    );
}

#[tokio::test(start_paused = true)]
async fn cancellation_reaches_a_pending_exec_and_drops_it() {
    let diary = Diary::default();
    let node = Stuck {
        diary: diary.clone(),
        reached: Arc::new(Notify::new()),
    };
    let (error, elapsed) = cancelled_after(node, Duration::from_secs(3)).await;
    assert!(error.is_cancelled());
    assert_eq!(elapsed, Duration::from_secs(3));
    assert_eq!(diary.lines(), ["stuck reached", "stuck dropped"]);
}

/// Never comes out of one of its phases.
struct StuckIn(&'static str);

#[async_trait]
impl Node for StuckIn {
    async fn prep(&self, _cx: &NodeContext) -> Result<Value, NodeError> {
        if self.0 == "prep" {
            std::future::pending::<()>().await;
        }
        Ok(Value::Null)
    }
    async fn exec(&self, _cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        match self.0 {
            "fallback" => Err(NodeError::failed("once")),
            _ => Ok(Value::Null),
        }
    }
    async fn exec_fallback(
        &self,
        _cx: &NodeContext,
        _prepared: &Value,
        _error: NodeError,
    ) -> Result<Value, NodeError> {
        std::future::pending().await
    }
    async fn post(&self, _cx: &NodeContext, _prepared: Value, _result: Value) -> Result<Action, NodeError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn cancellation_reaches_every_phase_of_a_node() {
    for phase in ["prep", "fallback", "post"] {
        let (error, elapsed) = cancelled_after(StuckIn(phase), Duration::from_secs(1)).await;
        assert!(error.is_cancelled(), "{phase}: {error:?}");
        assert_eq!(elapsed, Duration::from_secs(1), "{phase}");
    }
}

#[tokio::test]
async fn a_cancelled_run_starts_nothing() {
    let diary = Diary::default();
    let token = CancellationToken::new();
    token.cancel();
    let cx = context().with_cancellation(token);
    let error = Played::new("a", &diary).run(&cx).await.unwrap_err();
    assert!(error.is_cancelled());
    assert!(diary.lines().is_empty());
}

#[tokio::test]
async fn a_boxed_node_is_the_node() {
    let diary = Diary::default();
    let boxed: Box<dyn Node> = Box::new(
        Played::new("a", &diary)
            .failing([NodeError::failed("one")])
            .retrying(RetryPolicy::new(2, Duration::ZERO, Backoff::Fixed).unwrap()),
    );
    assert_eq!(boxed.retry_policy().attempts_max(), 2);
    drive(&boxed, &context()).await.unwrap();
    assert_eq!(
        diary.lines(),
        ["a prep", "a exec 1", "a exec 2", "a post \"done\""]
    );
}
