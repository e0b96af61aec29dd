//! The scope that a thread is in: around every poll, across threads, in any order of guards.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use flowmeter_engine::{
    Action, Batch, BatchPolicy, EnteredScope, InScope, Node, NodeContext, NodeError, Scope, Step,
    with_current_scope,
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::probes::{Diary, context};

/// A scope with a name, which counts how often threads are in it.
struct Named {
    name: String,
    inside: AtomicUsize,
    began: AtomicUsize,
    diary: Diary,
    /// Steps that wait until somebody says so.
    gate: Option<Arc<Semaphore>>,
}

fn named(name: &str) -> Arc<Named> {
    named_in(name, &Diary::default(), None)
}

fn named_in(name: &str, diary: &Diary, gate: Option<Arc<Semaphore>>) -> Arc<Named> {
    Arc::new(Named {
        name: name.to_owned(),
        inside: AtomicUsize::new(0),
        began: AtomicUsize::new(0),
        diary: diary.clone(),
        gate,
    })
}

impl Scope for Named {
    fn enter(&self, step: Step<'_>) -> Option<Arc<dyn Scope>> {
        let name = match step {
            Step::Attempt { number, .. } => format!("{}/attempt {number}", self.name),
            Step::BatchItem { index, .. } => format!("{}/item {index}", self.name),
            Step::Iteration { number, .. } => format!("{}/round {number}", self.name),
        };
        Some(named_in(&name, &self.diary, self.gate.clone()))
    }
    fn leave(&self, _outcome: Result<(), &NodeError>) {
        self.diary.note(format!("{} left", self.name));
    }
    fn abandon(&self) {
        self.diary.note(format!("{} abandoned", self.name));
    }
    fn ready(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let gate = self.gate.clone()?;
        Some(Box::pin(async move { drop(gate.acquire().await.unwrap()) }))
    }
    fn poll_began(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        self.began.fetch_add(1, Ordering::SeqCst);
    }
    fn poll_ended(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The name of the scope that this thread is in.
fn here() -> String {
    let name = |scope: &Arc<dyn Scope>| {
        let named = scope.as_any().downcast_ref::<Named>().unwrap();
        assert!(named.inside.load(Ordering::SeqCst) > 0);
        named.name.clone()
    };
    with_current_scope(name).unwrap_or_else(|| "-".to_owned())
}

fn poll_once<F: Future + Unpin>(work: &mut F) -> Poll<F::Output> {
    Pin::new(work).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn work_is_in_its_scope_whenever_it_is_polled_and_nowhere_else() {
    let (outer, inner) = (named("outer"), named("inner"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |place: &'static str| {
        let seen = Arc::clone(&seen);
        move || seen.lock().push((place, here()))
    };
    let (first, second, within) = (note("first"), note("second"), note("within"));
    let inner_scope: Arc<dyn Scope> = Arc::<Named>::clone(&inner);
    let work = async move {
        first();
        InScope::new(Some(inner_scope), Box::pin(async move { within() })).await;
        second();
        tokio::task::yield_now().await;
        second();
    };
    let outer_scope: Arc<dyn Scope> = Arc::<Named>::clone(&outer);
    let mut work = InScope::new(Some(outer_scope), Box::pin(work));
    assert_eq!(here(), "-");
    while poll_once(&mut work).is_pending() {
        assert_eq!(here(), "-");
        assert_eq!(outer.inside.load(Ordering::SeqCst), 0);
    }
    assert_eq!(here(), "-");
    let expected = [
        ("first", "outer"),
        ("within", "inner"),
        ("second", "outer"),
        ("second", "outer"),
    ];
    assert_eq!(
        *seen.lock(),
        expected.map(|(place, name)| (place, name.to_owned()))
    );
    drop(work);
    assert_eq!(
        outer.began.load(Ordering::SeqCst),
        2,
        "once a poll, and not for what is done"
    );
    assert_eq!((Arc::strong_count(&outer), Arc::strong_count(&inner)), (1, 1));
}

#[test]
fn work_that_is_dropped_half_way_is_dropped_in_its_scope() {
    struct Bell(Diary);
    impl Drop for Bell {
        fn drop(&mut self) {
            self.0.note(format!("dropped in {}", here()));
        }
    }
    let diary = Diary::default();
    let bell = Bell(diary.clone());
    let work = async move {
        let _bell = bell;
        std::future::pending::<()>().await;
    };
    let mut work = InScope::new(Some(named("outer")), Box::pin(work));
    assert!(poll_once(&mut work).is_pending());
    drop(work);
    assert_eq!(diary.lines(), ["dropped in outer"]);
    assert_eq!(here(), "-");
}

#[test]
fn a_panic_leaves_the_scope() {
    let outer = named("outer");
    let scope: Arc<dyn Scope> = Arc::<Named>::clone(&outer);
    let mut work = InScope::new(Some(scope), Box::pin(async { panic!("oh") }));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(&mut work)));
    assert!(caught.is_err());
    assert_eq!(here(), "-");
    assert_eq!(outer.inside.load(Ordering::SeqCst), 0);
}

#[test]
fn guards_may_go_in_any_order() {
    arbtest::arbtest(|u| {
        let mut guards: Vec<(String, EnteredScope)> = Vec::new();
        for step in 0..u.int_in_range(0..=20)? {
            if guards.is_empty() || u.ratio(3, 5)? {
                let name = format!("{step}");
                let entered = EnteredScope::enter(named(&name));
                guards.push((name, entered));
            } else {
                let index = u.choose_index(guards.len())?;
                drop(guards.remove(index));
            }
            let innermost = guards.last().map_or("-", |(name, _)| name.as_str());
            assert_eq!(here(), innermost);
        }
        drop(guards);
        assert_eq!(here(), "-");
        Ok(())
    });
}

#[test]
fn a_scope_is_not_entered_while_another_is_looked_at() {
    let outer = named("outer");
    let entered = EnteredScope::enter(Arc::<Named>::clone(&outer));
    let inner = with_current_scope(|_| EnteredScope::enter(named("inner")));
    assert_eq!(here(), "outer");
    drop(entered);
    drop(inner);
    assert_eq!(here(), "-");
    assert_eq!(outer.inside.load(Ordering::SeqCst), 0);
}

/// A node that notes where it runs, before and after others had their turn.
struct Where(Diary);

#[flowmeter_engine::async_trait]
impl Node for Where {
    async fn exec(&self, _cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        let before = here();
        for _ in 0..3 {
            tokio::task::yield_now().await;
            assert_eq!(here(), before);
        }
        self.0.note(before);
        Ok(Value::Null)
    }
}

struct Items(usize);

impl flowmeter_engine::BatchItems for Items {
    fn items(&self, _cx: &NodeContext) -> Result<Vec<Arc<Value>>, NodeError> {
        Ok((0..self.0).map(|index| Arc::new(Value::from(index))).collect())
    }
    fn item_context(&self, cx: &NodeContext, _index: usize, _item: &Arc<Value>) -> NodeContext {
        cx.clone()
    }
    fn item_result(&self, _item_cx: &NodeContext, _action: &Action) -> Result<Value, NodeError> {
        Ok(Value::Null)
    }
    fn finish(
        &self,
        _cx: &NodeContext,
        _outcome: flowmeter_engine::BatchOutcome,
    ) -> Result<Action, NodeError> {
        Ok(Action::default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn items_side_by_side_are_each_in_their_own_scope() {
    let diary = Diary::default();
    let policy = BatchPolicy {
        concurrent_max: 20,
        attempts_max: 2,
        ..BatchPolicy::default()
    };
    let batch = Batch::new(Where(diary.clone()), Items(60), policy).unwrap();
    batch.run(&context().with_scope(named("root"))).await.unwrap();
    let mut seen = diary.lines();
    seen.sort_unstable();
    let mut expected: Vec<String> = (0..60)
        .map(|index| format!("root/item {index}/attempt 1"))
        .collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_step_waits_until_its_scope_is_ready() {
    let (diary, gate) = (Diary::default(), Arc::new(Semaphore::new(0)));
    let root = named_in("root", &diary, Some(Arc::clone(&gate)));
    let batch = Batch::new(Where(diary.clone()), Items(2), BatchPolicy::default()).unwrap();
    let cx = context().with_scope(root);
    let mut work = batch.run(&cx);
    assert!(poll_once(&mut work).is_pending());
    assert!(diary.lines().is_empty(), "no item has begun");
    gate.add_permits(1);
    work.await.unwrap();
    assert_eq!(
        diary.lines(),
        [
            "root/item 0",
            "root/item 0 left",
            "root/item 1",
            "root/item 1 left"
        ]
    );
}

#[tokio::test]
async fn a_scope_whose_step_is_dropped_half_way_is_told_although_others_hold_it() {
    struct Holds(Mutex<Vec<Arc<dyn Scope>>>);
    #[flowmeter_engine::async_trait]
    impl Node for Holds {
        async fn exec(&self, _cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
            self.0.lock().extend(with_current_scope(Arc::clone));
            std::future::pending().await
        }
    }
    let diary = Diary::default();
    let holds = Holds(Mutex::default());
    let batch = Batch::new(holds, Items(1), BatchPolicy::default()).unwrap();
    let cx = context().with_scope(named_in("root", &diary, None));
    let mut work = batch.run(&cx);
    assert!(poll_once(&mut work).is_pending());
    drop(work);
    assert_eq!(diary.lines(), ["root/item 0 abandoned"]);
}
