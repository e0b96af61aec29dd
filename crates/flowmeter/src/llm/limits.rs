//! What limits a call: the accounts of its own run, and budgets that other runs share.
//!
//! Never knows what a call can cost.

use std::sync::Arc;

use flowmeter_model::UsdNanos;

use super::LlmRequest;
use crate::budget::{
    Account, Amounts, BoundOfCall, BudgetError, BudgetLimit, Held, OverBudgetKind, SharedAccount,
    SharedBudgets, SharedCall, SharedConcern, SharedHold, SharedRefusal, Shortage,
};
use crate::scope::SpanScope;

/// What limits a call.
pub(super) struct Limits<'a> {
    pub(super) account: Option<&'a Arc<Account>>,
    pub(super) shared: Option<SharedLimits>,
}

/// Shared budgets that concern a call.
pub(super) struct SharedLimits {
    budgets: Arc<dyn SharedBudgets>,
    call: SharedCall,
    concern: SharedConcern,
}

/// What has no room.
pub(super) enum Short {
    Own(Shortage),
    Shared(SharedRefusal),
}

/// What shared budgets are told of a call.
pub(super) fn shared_call(request: &LlmRequest) -> SharedCall {
    SharedCall {
        provider: request.provider.clone(),
        model: request.model.clone(),
    }
}

impl<'a> Limits<'a> {
    /// What limits this call in `scope`; `None` where nothing does.
    pub(super) fn of_call(
        scope: Option<&'a SpanScope>,
        request: &LlmRequest,
    ) -> Result<Option<(&'a SpanScope, Self)>, BudgetError> {
        let Some(scope) = scope else {
            return Ok(None);
        };
        let shared = match &scope.run.shared_budgets {
            None => None,
            Some(budgets) => {
                let call = shared_call(request);
                let concern = budgets.concern(&call).map_err(|refusal| {
                    let bound = BoundOfCall {
                        provider: request.provider.clone(),
                        model: request.model.clone(),
                        ..BoundOfCall::default()
                    };
                    refusal.into_error(OverBudgetKind::Refused, bound)
                })?;
                concern.map(|concern| SharedLimits {
                    budgets: Arc::clone(budgets),
                    call,
                    concern,
                })
            }
        };
        let account = scope.account.as_ref();
        Ok((account.is_some() || shared.is_some()).then_some((scope, Self { account, shared })))
    }

    /// Whether the run's own accounts limit this.
    pub(super) fn own_limit(&self, limit: BudgetLimit) -> bool {
        self.account.is_some_and(|account| account.has_limit(limit))
    }

    /// The shared budget with the least left, of those that refuse calls.
    pub(super) fn shared_tightest(&self) -> Option<&SharedAccount> {
        self.shared.as_ref()?.concern.tightest.as_ref()
    }

    /// What is left of a limit once nothing is in flight any more.
    pub(super) fn left(&self, limit: BudgetLimit) -> u64 {
        let own = self
            .account
            .map_or(Amounts::UNLIMITED, |account| account.left(limit));
        match self.shared_tightest() {
            Some(shared) if limit == BudgetLimit::Cost => own.min(shared.left()),
            _ => own,
        }
    }

    /// Reserves in the run's own accounts.
    pub(super) async fn reserve(&self, wanted: Amounts) -> Result<Held, (&'a Arc<Account>, Shortage)> {
        match self.account {
            Some(account) => account.reserve(wanted).await.map_err(|short| (account, short)),
            None => Ok(Held::nowhere(wanted)),
        }
    }

    pub(super) fn reserve_now(&self, wanted: Amounts) -> Result<Held, (&'a Arc<Account>, Shortage)> {
        match self.account {
            Some(account) => account.reserve_now(wanted).map_err(|short| (account, short)),
            None => Ok(Held::nowhere(wanted)),
        }
    }

    /// Reserves in the budgets that others share. What is refused says how they stand now.
    pub(super) async fn reserve_shared(
        &mut self,
        cost: Option<UsdNanos>,
    ) -> Result<Option<Box<dyn SharedHold>>, SharedRefusal> {
        let Some(shared) = &mut self.shared else {
            return Ok(None);
        };
        let budgets = Arc::clone(&shared.budgets);
        let answer = budgets
            .reserve(shared.call.clone(), cost.unwrap_or_default())
            .await;
        if let Err(SharedRefusal::Full(account)) = &answer {
            shared.concern.tightest = Some((**account).clone());
        }
        answer.map(Some)
    }

    pub(super) fn reserve_shared_now(
        &self,
        cost: Option<UsdNanos>,
    ) -> Result<Option<Box<dyn SharedHold>>, SharedRefusal> {
        let Some(shared) = &self.shared else {
            return Ok(None);
        };
        let budgets = Arc::clone(&shared.budgets);
        budgets
            .reserve_now(&shared.call, cost.unwrap_or_default())
            .map(Some)
    }
}
