//! The accounts of a run under one lock: what is spent, what calls in flight may still cost, and who waits.
//!
//! A reservation is made in an account and in all around it, or in none. Never gives out more than a limit, and
//! never keeps its lock while anybody waits.
//!
//! Who waits is served in the order of coming, as far as it concerns the same limit: a large call is not passed by
//! small ones for ever. Nobody who holds a reservation waits for another, so waiting ends.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::account::{Account, Held};
use super::amounts::{Amounts, BudgetLimit};

/// The accounts that share a lock: an account and those inside it.
#[derive(Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    /// Slots of accounts that are closed.
    free: Vec<usize>,
    waiting: VecDeque<Waiting>,
    /// Limits for which somebody waits: who comes later waits behind.
    closed: Closed,
    tickets: u64,
}

type Closed = SmallVec<[(usize, BudgetLimit); 4]>;

/// One account.
#[derive(Clone, Copy, Default)]
struct Slot {
    parent: Option<usize>,
    limits: Amounts,
    position: Position,
}

/// Where an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) spent: Amounts,
    pub(crate) reserved: Amounts,
    /// What calls that nobody counted may have come to beyond what they are guessed at. It is not given out again.
    pub(crate) withheld: Amounts,
    /// The most that was reserved at a time.
    pub(crate) reserved_peak: Amounts,
    pub(crate) refused_calls: u64,
    pub(crate) cut_streams: u64,
    /// Calls without a price.
    pub(crate) unpriced_calls: u64,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    /// What it came to, as far as anybody knows.
    pub(crate) spent: Amounts,
    /// What it may have come to beyond that.
    pub(crate) withheld: Amounts,
    pub(crate) is_unpriced: bool,
}

/// A limit that does not allow a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) slot: usize,
    pub(crate) limit: BudgetLimit,
    /// What is spent of it.
    pub(crate) spent: u64,
    pub(crate) reserved: u64,
    pub(crate) withheld: u64,
    /// What the call would have wanted of it.
    pub(crate) wanted: u64,
}

/// Somebody who waits for others to settle.
struct Waiting {
    ticket: u64,
    account: Arc<Account>,
    wanted: Amounts,
    answer: oneshot::Sender<Decision>,
}

pub(crate) type Decision = Result<Held, Shortage>;

/// An answer that is given when the lock is free: who gets it may take the lock in turn.
struct Answer {
    to: oneshot::Sender<Decision>,
    decision: Decision,
    /// Whoever is the last to know an account closes it, which takes the lock as well.
    _account: Option<Arc<Account>>,
}

type Answers = SmallVec<[Answer; 2]>;

enum Verdict {
    Fits,
    Waits(Closed),
    Refused(Shortage),
}

/// What comes of asking for a reservation.
pub(crate) enum Asked {
    Decided(Decision),
    Waits(Ticket),
}

/// A place in the queue. Dropped, it is given up.
pub(crate) struct Ticket {
    ledger: Arc<Ledger>,
    number: u64,
    pub(crate) answer: oneshot::Receiver<Decision>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let unheard = self.answer.try_recv();
        let left = {
            let mut state = self.ledger.state.lock();
            if let Ok(Err(shortage)) = &unheard {
                // Who was stopped while waiting was refused nothing.
                let refused = &mut state.slots[shortage.slot].position.refused_calls;
                *refused = refused.saturating_sub(1);
            }
            let place = state
                .waiting
                .iter()
                .position(|waiting| waiting.ticket == self.number);
            place.map(|place| (state.waiting.remove(place), state.advance()))
        };
        if let Some((left, answers)) = left {
            drop(left);
            give(answers);
        }
    }
}

fn give(answers: Answers) {
    for answer in answers {
        // Who is gone leaves its reservation behind, which is given back as it is dropped here.
        drop(answer.to.send(answer.decision));
    }
}

impl Ledger {
    /// Opens an account with these limits inside that of `parent`.
    pub(super) fn open(&self, parent: Option<usize>, limits: Amounts) -> usize {
        let slot = Slot {
            parent,
            limits,
            position: Position::default(),
        };
        let mut state = self.state.lock();
        match state.free.pop() {
            Some(index) => {
                state.slots[index] = slot;
                index
            }
            None => {
                state.slots.push(slot);
                state.slots.len() - 1
            }
        }
    }

    /// Closes it: nothing is reserved in it any more.
    pub(super) fn close(&self, slot: usize) {
        self.state.lock().free.push(slot);
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.state.lock().slots.len()
    }

    pub(super) fn position(&self, slot: usize) -> Position {
        self.state.lock().slots[slot].position
    }

    /// Reserves at once, refuses for good, or says where to wait.
    pub(super) fn ask(self: &Arc<Self>, account: &Arc<Account>, wanted: Amounts) -> Asked {
        let mut state = self.state.lock();
        match state.judge(account.slot(), wanted) {
            Verdict::Fits => {
                state.reserve(account.slot(), wanted);
                drop(state);
                Asked::Decided(Ok(Held::new(Arc::clone(account), wanted)))
            }
            Verdict::Refused(shortage) => {
                state.slots[shortage.slot].position.refused_calls += 1;
                Asked::Decided(Err(shortage))
            }
            Verdict::Waits(closed) => {
                state.closed.extend(closed);
                state.tickets += 1;
                let number = state.tickets;
                let (sender, answer) = oneshot::channel();
                state.waiting.push_back(Waiting {
                    ticket: number,
                    account: Arc::clone(account),
                    wanted,
                    answer: sender,
                });
                Asked::Waits(Ticket {
                    ledger: Arc::clone(self),
                    number,
                    answer,
                })
            }
        }
    }

    /// Reserves at once or says why not, without a place in the queue.
    pub(super) fn ask_now(self: &Arc<Self>, account: &Arc<Account>, wanted: Amounts) -> Decision {
        let mut state = self.state.lock();
        match state.shortage(account.slot(), wanted) {
            None => {
                state.reserve(account.slot(), wanted);
                drop(state);
                Ok(Held::new(Arc::clone(account), wanted))
            }
            Some(shortage) => {
                state.slots[shortage.slot].position.refused_calls += 1;
                Err(shortage)
            }
        }
    }

    /// Adds to a reservation, where there is room just now.
    pub(super) fn extend(&self, slot: usize, more: Amounts) -> Result<(), Shortage> {
        let mut state = self.state.lock();
        match state.shortage(slot, more) {
            None => {
                state.reserve(slot, more);
                Ok(())
            }
            Some(shortage) => Err(shortage),
        }
    }

    /// A stream that could not be extended was cut.
    pub(super) fn cut(&self, slot: usize) {
        self.state.lock().slots[slot].position.cut_streams += 1;
    }

    /// Gives a reservation back and takes what the call came to. Says whether a limit has been passed now.
    pub(super) fn settle(&self, slot: usize, reserved: Amounts, settled: Settled) -> bool {
        let mut is_passed = false;
        let answers = {
            let mut state = self.state.lock();
            state.each_around(slot, |slot| {
                let position = &mut slot.position;
                position.reserved.subtract(reserved);
                position.spent.add(settled.spent);
                position.withheld.add(settled.withheld);
                position.unpriced_calls += u64::from(settled.is_unpriced);
                is_passed |= position.spent.exceeds(&slot.limits);
            });
            if state.waiting.is_empty() {
                return is_passed;
            }
            state.advance()
        };
        give(answers);
        is_passed
    }

    /// The first limit, from the inside out, that has been passed.
    pub(super) fn overrun(&self, slot: usize) -> Option<Shortage> {
        let state = self.state.lock();
        state.find_around(slot, |index, slot| {
            BudgetLimit::ALL.into_iter().find_map(|limit| {
                let over = slot.position.spent.of(limit) > slot.limits.of(limit);
                over.then(|| slot.shortage(index, limit, 0))
            })
        })
    }

    /// What is left of `limit` in the account and all around it once nothing is in flight any more.
    pub(super) fn left(&self, slot: usize, limit: BudgetLimit) -> u64 {
        let mut left = Amounts::UNLIMITED;
        self.state.lock().each_around(slot, |slot| {
            let most = slot.limits.of(limit);
            if most != Amounts::UNLIMITED {
                let position = &slot.position;
                let gone = position
                    .spent
                    .of(limit)
                    .saturating_add(position.withheld.of(limit));
                left = left.min(most.saturating_sub(gone));
            }
        });
        left
    }
}

impl Slot {
    fn shortage(&self, index: usize, limit: BudgetLimit, wanted: u64) -> Shortage {
        Shortage {
            slot: index,
            limit,
            spent: self.position.spent.of(limit),
            reserved: self.position.reserved.of(limit),
            withheld: self.position.withheld.of(limit),
            wanted,
        }
    }

    fn free_of(&self, limit: BudgetLimit) -> u64 {
        let most = self.limits.of(limit);
        let position = &self.position;
        most.saturating_sub(position.spent.of(limit))
            .saturating_sub(position.withheld.of(limit))
            .saturating_sub(position.reserved.of(limit))
    }

    /// Whether this much is never too much: nothing, or no limit.
    fn never_minds(&self, limit: BudgetLimit, wanted: u64) -> bool {
        wanted == 0 || self.limits.of(limit) == Amounts::UNLIMITED
    }
}

impl State {
    /// Does something with the account and all around it.
    fn each_around(&mut self, slot: usize, mut work: impl FnMut(&mut Slot)) {
        let mut next = Some(slot);
        while let Some(index) = next {
            let slot = &mut self.slots[index];
            work(slot);
            next = slot.parent;
        }
    }

    /// The first thing found in the account or around it, from the inside out.
    fn find_around<T>(&self, slot: usize, mut find: impl FnMut(usize, &Slot) -> Option<T>) -> Option<T> {
        let mut next = Some(slot);
        while let Some(index) = next {
            let slot = &self.slots[index];
            if let Some(found) = find(index, slot) {
                return Some(found);
            }
            next = slot.parent;
        }
        None
    }

    fn reserve(&mut self, slot: usize, wanted: Amounts) {
        self.each_around(slot, |slot| {
            let position = &mut slot.position;
            position.reserved.add(wanted);
            position.reserved_peak.raise_to(position.reserved);
        });
    }

    /// The first limit that leaves no room for this just now.
    fn shortage(&self, slot: usize, wanted: Amounts) -> Option<Shortage> {
        self.find_around(slot, |index, slot| {
            BudgetLimit::ALL.into_iter().find_map(|limit| {
                let wanted = wanted.of(limit);
                let short = !slot.never_minds(limit, wanted) && wanted > slot.free_of(limit);
                short.then(|| slot.shortage(index, limit, wanted))
            })
        })
    }

    /// Whether a call may be made now, later or never. It is refused when nothing is in flight any more that was
    /// paid for: what is under way is not lost because of a call that has no room.
    fn judge(&self, leaf: usize, wanted: Amounts) -> Verdict {
        let mut closed = Closed::new();
        let mut waits = false;
        let refused = self.find_around(leaf, |index, slot| {
            BudgetLimit::ALL.into_iter().find_map(|limit| {
                let wanted = wanted.of(limit);
                if slot.never_minds(limit, wanted) {
                    return None;
                }
                if self.closed.contains(&(index, limit)) {
                    waits = true;
                    return None;
                }
                if wanted <= slot.free_of(limit) {
                    return None;
                }
                let is_idle = slot.position.reserved.of(BudgetLimit::LlmCalls) == 0;
                if is_idle {
                    return Some(slot.shortage(index, limit, wanted));
                }
                waits = true;
                closed.push((index, limit));
                None
            })
        });
        match refused {
            Some(shortage) => Verdict::Refused(shortage),
            None if waits => Verdict::Waits(closed),
            None => Verdict::Fits,
        }
    }

    /// Something changed: decides what can be decided now, in the order of coming.
    fn advance(&mut self) -> Answers {
        let mut answers = Answers::new();
        self.closed.clear();
        let mut still_waiting = VecDeque::with_capacity(self.waiting.len());
        while let Some(waiting) = self.waiting.pop_front() {
            let slot = waiting.account.slot();
            match self.judge(slot, waiting.wanted) {
                Verdict::Fits => {
                    self.reserve(slot, waiting.wanted);
                    answers.push(Answer {
                        to: waiting.answer,
                        decision: Ok(Held::new(waiting.account, waiting.wanted)),
                        _account: None,
                    });
                }
                Verdict::Refused(shortage) => {
                    self.slots[shortage.slot].position.refused_calls += 1;
                    answers.push(Answer {
                        to: waiting.answer,
                        decision: Err(shortage),
                        _account: Some(waiting.account),
                    });
                }
                Verdict::Waits(closed) => {
                    self.closed.extend(closed);
                    still_waiting.push_back(waiting);
                }
            }
        }
        self.waiting = still_waiting;
        answers
    }
}

#[cfg(test)]
mod tests;
