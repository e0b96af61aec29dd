//! An account: a budget in force, inside another or on its own, and what is reserved in it.
//!
//! Never knows what a call is: it moves amounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::amounts::{Amounts, BudgetLimit};
use super::ledger::{Asked, Ledger, Position, Settled, Shortage};
use super::{Budget, BudgetOwner};

static ACCOUNTS: AtomicU64 = AtomicU64::new(1);

/// A budget in force.
pub(crate) struct Account {
    /// Tells it from every other account of the process.
    pub(crate) id: u64,
    pub(crate) owner: BudgetOwner,
    pub(crate) budget: Budget,
    ledger: Arc<Ledger>,
    slot: usize,
    parent: Option<Arc<Account>>,
}

impl Account {
    /// Opens an account for `budget`, inside that of `parent`: what is spent in it is spent there as well.
    pub(crate) fn open(budget: Budget, owner: BudgetOwner, parent: Option<&Arc<Self>>) -> Arc<Self> {
        let ledger = parent.map_or_else(Arc::default, |parent| Arc::clone(&parent.ledger));
        let slot = ledger.open(parent.map(|parent| parent.slot), budget.limits());
        Arc::new(Self {
            id: ACCOUNTS.fetch_add(1, Ordering::Relaxed),
            owner,
            budget,
            ledger,
            slot,
            parent: parent.map(Arc::clone),
        })
    }

    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    /// The account and those around it, from the inside out.
    pub(crate) fn around(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |account| account.parent.as_deref())
    }

    /// The account that a shortage is of.
    pub(crate) fn of_shortage(&self, shortage: &Shortage) -> &Self {
        self.around()
            .find(|account| account.slot == shortage.slot)
            .unwrap_or(self)
    }

    /// Whether the account or one around it limits this.
    pub(crate) fn has_limit(&self, limit: BudgetLimit) -> bool {
        self.around()
            .any(|account| account.budget.limits().of(limit) != Amounts::UNLIMITED)
    }

    /// What is left of a limit once nothing is in flight any more.
    pub(crate) fn left(&self, limit: BudgetLimit) -> u64 {
        self.ledger.left(self.slot, limit)
    }

    /// Reserves `wanted` here and in all accounts around this one. Waits as long as calls in flight may leave room
    /// for it.
    ///
    /// # Errors
    /// The limit that has no room for it, whatever the calls in flight come to.
    pub(crate) async fn reserve(self: &Arc<Self>, wanted: Amounts) -> Result<Held, Shortage> {
        match self.ledger.ask(self, wanted) {
            Asked::Decided(decision) => decision,
            Asked::Waits(mut ticket) => match (&mut ticket.answer).await {
                Ok(decision) => decision,
                // The answer is sent as long as the ticket lives: this cannot be, and if it were, asking again helps.
                Err(_) => self.ledger.ask_now(self, wanted),
            },
        }
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// The limit that has no room for it just now.
    pub(crate) fn reserve_now(self: &Arc<Self>, wanted: Amounts) -> Result<Held, Shortage> {
        self.ledger.ask_now(self, wanted)
    }

    /// Takes what a call came to for which nothing was reserved. Says whether a limit has been passed now.
    pub(crate) fn charge(&self, spent: Amounts, is_unpriced: bool) -> bool {
        let settled = Settled {
            spent,
            is_unpriced,
            ..Settled::default()
        };
        self.ledger.settle(self.slot, Amounts::default(), settled)
    }

    /// The first limit, from the inside out, that has been passed.
    pub(crate) fn overrun(&self) -> Option<Shortage> {
        self.ledger.overrun(self.slot)
    }

    pub(crate) fn position(&self) -> Position {
        self.ledger.position(self.slot)
    }

    #[cfg(test)]
    pub(super) fn slots_in_use(&self) -> usize {
        self.ledger.slots()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.ledger.close(self.slot);
    }
}

/// What is reserved for one call. Dropped, it is given back as if the call had never been.
pub(crate) struct Held {
    account: Option<Arc<Account>>,
    amounts: Amounts,
}

impl Held {
    pub(super) fn new(account: Arc<Account>, amounts: Amounts) -> Self {
        Self {
            account: Some(account),
            amounts,
        }
    }

    /// Amounts that no account of this process limits.
    pub(crate) fn nowhere(amounts: Amounts) -> Self {
        Self {
            account: None,
            amounts,
        }
    }

    /// What is reserved.
    pub(crate) fn amounts(&self) -> Amounts {
        self.amounts
    }

    /// Reserves more, where there is room just now.
    ///
    /// # Errors
    /// The limit that has none.
    pub(crate) fn extend(&mut self, more: Amounts) -> Result<(), Shortage> {
        if let Some(account) = &self.account {
            account.ledger.extend(account.slot, more)?;
        }
        self.amounts.add(more);
        Ok(())
    }

    /// Notes that the stream was cut, in the account that had no room.
    pub(crate) fn cut(&self, shortage: &Shortage) {
        if let Some(account) = &self.account {
            account.ledger.cut(shortage.slot);
        }
    }

    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// The call came to this. Gives the account back where a limit has been passed now.
    pub(crate) fn settle(mut self, settled: Settled) -> Option<Arc<Account>> {
        self.close(settled)
    }

    fn close(&mut self, settled: Settled) -> Option<Arc<Account>> {
        let account = self.account.take()?;
        let is_passed = account.ledger.settle(account.slot, self.amounts, settled);
        is_passed.then_some(account)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _nobody_asks = self.close(Settled::default());
    }
}
