//! Loops: rounds, conditions, limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flowmeter_engine::{Action, Loop, LoopCondition, LoopDecision, Node, NodeContext, NodeError};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::probes::{Diary, Watcher, context, run_by};

/// Goes on until `rounds` are done; fails where it is told to.
struct Rounds {
    rounds: u32,
    fails_before: Option<u32>,
    fails_after: Option<u32>,
}

fn rounds(rounds: u32) -> Rounds {
    Rounds {
        rounds,
        fails_before: None,
        fails_after: None,
    }
}

impl LoopCondition for Rounds {
    fn round_context(&self, cx: &NodeContext, number: u32) -> Result<NodeContext, NodeError> {
        if self.fails_before == Some(number) {
            return Err(NodeError::permanent("no context"));
        }
        Ok(cx.with_variables(cx.variables().with("__iteration__", json!(number))))
    }

    fn decide(
        &self,
        round_cx: &NodeContext,
        number: u32,
        _action: &Action,
    ) -> Result<LoopDecision, NodeError> {
        assert_eq!(**round_cx.variables().get("__iteration__").unwrap(), number);
        if self.fails_after == Some(number) {
            return Err(NodeError::permanent("no condition"));
        }
        Ok(if number < self.rounds {
            LoopDecision::Continue
        } else {
            LoopDecision::Stop
        })
    }
}

/// A node that counts its runs and names them in its action.
fn counted() -> (Arc<AtomicU32>, impl Node) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let node = run_by(move |cx: &NodeContext| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Action::named(
            &cx.variables().get("__iteration__").unwrap().to_string(),
        ))
    });
    (count, node)
}

#[tokio::test]
async fn a_loop_goes_on_until_its_condition_says_stop() {
    let (count, node) = counted();
    let diary = Diary::default();
    let cx = context().with_scope(Watcher::root(&diary));
    let action = Loop::new(node, rounds(3), 10).run(&cx).await.unwrap();
    assert_eq!((count.load(Ordering::Relaxed), action.as_str()), (3, "3"));
    assert_eq!(
        diary.lines(),
        [
            "enter round 1/10",
            "leave round 1/10: ok",
            "enter round 2/10",
            "leave round 2/10: ok",
            "enter round 3/10",
            "leave round 3/10: ok"
        ]
    );
}

#[tokio::test]
async fn a_loop_never_exceeds_its_rounds_and_always_makes_one() {
    let (count, node) = counted();
    Loop::new(node, rounds(100), 4).run(&context()).await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 4);
    let (count, node) = counted();
    Loop::new(node, rounds(100), 0).run(&context()).await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_failing_round_or_condition_ends_the_loop() {
    let diary = Diary::default();
    let cx = context().with_scope(Watcher::root(&diary));
    let before = Rounds {
        fails_before: Some(2),
        ..rounds(5)
    };
    let error = Loop::new(counted().1, before, 5).run(&cx).await.unwrap_err();
    assert_eq!(error.to_string(), "no context");
    assert_eq!(
        diary.lines()[2..],
        ["enter round 2/5", "leave round 2/5: no context"],
        "the round that could not begin failed, it was not dropped"
    );

    let after = Rounds {
        fails_after: Some(2),
        ..rounds(5)
    };
    let (count, node) = counted();
    let error = Loop::new(node, after, 5).run(&context()).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), count.load(Ordering::Relaxed)),
        ("no condition", 2)
    );

    let node = run_by(|_| Err(NodeError::failed("broken")));
    let error = Loop::new(node, rounds(5), 5).run(&context()).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test]
async fn cancellation_ends_a_loop_between_its_rounds() {
    let token = CancellationToken::new();
    let cx = context().with_cancellation(token.clone());
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let node = run_by(move |_| {
        if counter.fetch_add(1, Ordering::Relaxed) == 1 {
            token.cancel();
        }
        Ok(Action::default())
    });
    let error = Loop::new(node, rounds(50), 50).run(&cx).await.unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(count.load(Ordering::Relaxed), 2);
}
