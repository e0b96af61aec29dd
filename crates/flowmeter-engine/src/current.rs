//! The scope around the code that runs on this thread just now, for code that has no [`NodeContext`].
//!
//! Set around every poll of the work inside a scope and taken back afterwards, so it is right across threads,
//! in parallel branches and in nested scopes. Never hands a scope down: that is the context's work.
//!
//! [`NodeContext`]: crate::NodeContext

use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::Scope;

/// The scopes that this thread is in, innermost last. Moved in and out: that costs no reference count.
struct Entered {
    scopes: Vec<(u64, Arc<dyn Scope>)>,
    /// Tells entries apart, so that guards may go in any order.
    next: u64,
}

thread_local! {
    static ENTERED: RefCell<Entered> = const {
        RefCell::new(Entered {
            scopes: Vec::new(),
            next: 0,
        })
    };
}

/// Looks at the innermost scope that this thread is in; `None` where it is in none. While `look` runs, the
/// thread enters no other.
#[inline]
pub fn with_current_scope<T>(look: impl FnOnce(&Arc<dyn Scope>) -> T) -> Option<T> {
    let look = |entered: &RefCell<Entered>| {
        let entered = entered.try_borrow().ok()?;
        let (_, scope) = entered.scopes.last()?;
        Some(look(scope))
    };
    ENTERED.try_with(look).ok().flatten()
}

/// Moves the scope out of `slot` to the thread. Returns by what [`leave`] finds it again.
#[inline]
fn enter(slot: &mut Option<Arc<dyn Scope>>) -> Option<u64> {
    slot.as_ref()?.poll_began();
    let enter = |entered: &RefCell<Entered>| {
        let mut entered = entered.try_borrow_mut().ok()?;
        let number = entered.next;
        entered.next = number.wrapping_add(1);
        entered.scopes.push((number, slot.take()?));
        Some(number)
    };
    ENTERED.try_with(enter).ok().flatten()
}

/// Moves the scope back to `slot`.
#[inline]
fn leave(slot: &mut Option<Arc<dyn Scope>>, number: Option<u64>) {
    if let Some(number) = number {
        let take = |entered: &RefCell<Entered>| {
            let mut entered = entered.try_borrow_mut().ok()?;
            let position = entered.scopes.iter().rposition(|(other, _)| *other == number)?;
            Some(entered.scopes.remove(position).1)
        };
        *slot = ENTERED.try_with(take).ok().flatten();
    }
    if let Some(scope) = slot {
        scope.poll_ended();
    }
}

/// The thread is in the scope of `slot` until this is dropped.
struct Turn<'a> {
    slot: &'a mut Option<Arc<dyn Scope>>,
    number: Option<u64>,
}

impl<'a> Turn<'a> {
    #[inline]
    fn begin(slot: &'a mut Option<Arc<dyn Scope>>) -> Self {
        let number = enter(slot);
        Self { slot, number }
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        leave(self.slot, self.number);
    }
}

/// Work inside a scope: the thread is in it whenever the work is polled, and when it is dropped.
#[must_use = "futures do nothing unless they are polled"]
pub struct InScope<F> {
    scope: Option<Arc<dyn Scope>>,
    work: Option<F>,
}

impl<F: Future + Unpin> InScope<F> {
    /// `work` inside `scope`. Without one it runs in whatever scope its thread is in.
    #[inline]
    pub fn new(scope: Option<Arc<dyn Scope>>, work: F) -> Self {
        Self {
            scope,
            work: Some(work),
        }
    }
}

impl<F: Future + Unpin> Future for InScope<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let Some(work) = &mut this.work else {
            return Poll::Pending;
        };
        let _turn = Turn::begin(&mut this.scope);
        let polled = Pin::new(work).poll(cx);
        if polled.is_ready() {
            this.work = None;
        }
        polled
    }
}

impl<F> Drop for InScope<F> {
    #[inline]
    fn drop(&mut self) {
        // What the work lets go of may have something to say as well.
        if let Some(work) = self.work.take() {
            let _turn = Turn::begin(&mut self.scope);
            drop(work);
        }
    }
}

/// A scope that was entered by hand: the thread is in it until this is dropped.
#[must_use = "the thread is in the scope only as long as this is kept"]
pub struct EnteredScope {
    slot: Option<Arc<dyn Scope>>,
    number: Option<u64>,
    /// The scope was entered on this thread: this must not go to another.
    stays_here: PhantomData<*const ()>,
}

impl EnteredScope {
    /// Enters `scope` on this thread.
    #[inline]
    pub fn enter(scope: Arc<dyn Scope>) -> Self {
        let mut slot = Some(scope);
        let number = enter(&mut slot);
        Self {
            slot,
            number,
            stays_here: PhantomData,
        }
    }
}

impl Drop for EnteredScope {
    #[inline]
    fn drop(&mut self) {
        leave(&mut self.slot, self.number);
    }
}
