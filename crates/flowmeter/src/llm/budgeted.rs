//! Calls under a budget: the most that one can come to is reserved before it begins, and settled when it ends.
//!
//! Where no budget is in force nothing is done. Never sends anything, and never says that a call was free because
//! nobody knows what it cost.

use flowmeter_engine::Ticks;
use flowmeter_model::{Cost, Figure, FigureSource, SpanStatus, UsdNanos};

use super::limits::{Limits, Short, shared_call};
use super::plan::Plan;
use super::running::Running;
use super::{Ended, LlmCall, LlmRequest, Metered};
use crate::budget::{
    Account, Amounts, BoundOfCall, BudgetError, BudgetLimit, Held, OverBudget, OverBudgetKind, Settled,
    SharedCost, SharedHold, usd,
};
use crate::genai;
use crate::scope::SpanScope;

/// By how much a reservation grows while a stream goes on for longer than was agreed.
const GROWTH_TOKENS: u64 = 256;

/// What is reserved for a call.
pub(super) struct Reserved {
    held: Held,
    /// The same in budgets that other runs share.
    shared: Option<Box<dyn SharedHold>>,
    plan: Plan,
    /// Output tokens that are reserved; more than any answer has where they limit nothing.
    pub(super) output_tokens: u64,
    imposed: Option<u64>,
    running: Running,
    /// Why the answer may not go on.
    over: Option<BudgetError>,
}

impl Reserved {
    /// Reserves in the run's own accounts first, then in those that other runs share. Nobody who holds something of
    /// these waits for anything, so waiting ends.
    async fn make(limits: &mut Limits<'_>, plan: Plan) -> Result<Self, BudgetError> {
        let mut imposed = None;
        loop {
            let output_tokens = plan.next_output(limits, &mut imposed);
            let held = match limits.reserve(plan.amounts(output_tokens)).await {
                Ok(held) => held,
                // While this one waited, others have spent more: a shorter answer may still fit.
                Err(_) if imposed.is_some_and(|asked| plan.can_shrink(limits, asked)) => continue,
                Err((account, shortage)) => return Err(plan.refusal(account, &shortage, output_tokens)),
            };
            let shared = match limits.reserve_shared(plan.cost(output_tokens)).await {
                Ok(shared) => shared,
                Err(_) if imposed.is_some_and(|asked| plan.can_shrink(limits, asked)) => continue,
                Err(refusal) => {
                    return Err(refusal.into_error(OverBudgetKind::Refused, plan.described(output_tokens)));
                }
            };
            return Ok(Self::new(held, shared, plan, output_tokens, imposed));
        }
    }

    fn make_now(limits: &Limits<'_>, plan: Plan) -> Result<Self, BudgetError> {
        let mut imposed = None;
        let output_tokens = plan.next_output(limits, &mut imposed);
        let held = limits
            .reserve_now(plan.amounts(output_tokens))
            .map_err(|(account, shortage)| plan.refusal(account, &shortage, output_tokens))?;
        let shared = limits
            .reserve_shared_now(plan.cost(output_tokens))
            .map_err(|refusal| refusal.into_error(OverBudgetKind::Refused, plan.described(output_tokens)))?;
        Ok(Self::new(held, shared, plan, output_tokens, imposed))
    }

    fn new(
        held: Held,
        shared: Option<Box<dyn SharedHold>>,
        plan: Plan,
        output_tokens: u64,
        imposed: Option<u64>,
    ) -> Self {
        let minds_output = plan.minds_output();
        Self {
            held,
            shared,
            plan,
            output_tokens: if minds_output { output_tokens } else { u64::MAX },
            imposed,
            running: Running::default(),
            over: None,
        }
    }

    /// Whether there is room for a piece of so many bytes, or for an answer that the provider counts like this.
    fn take(&mut self, bytes: u64, counted: Option<u64>) -> bool {
        if self.over.is_some() {
            return false;
        }
        let next = self.running.with(bytes, counted);
        if next.tokens() > self.output_tokens
            && let Err(short) = self.grow(next.tokens())
            && next.certain_tokens() > self.output_tokens
        {
            let call = self.plan.described(self.output_tokens);
            self.over = match short {
                Short::Own(shortage) => {
                    self.held.cut(&shortage);
                    let account = self.held.account();
                    account.map(|account| OverBudget::error(account, &shortage, OverBudgetKind::Cut, call))
                }
                Short::Shared(refusal) => Some(refusal.into_error(OverBudgetKind::Cut, call)),
            };
            return false;
        }
        self.running = next;
        true
    }

    /// What a call that came to `spent` by guess may have come to beyond that: where its provider did not count, or
    /// had not finished counting, no more is certain than what was agreed with it.
    fn withheld(&self, ended: &Ended, spent: Amounts) -> Amounts {
        let usage = &ended.usage;
        let counted = |figure: Option<Figure>| figure.filter(|figure| !figure.source.is_estimate());
        let (input, output) = (counted(usage.input), counted(usage.output));
        let has_ended_well = ended.status == SpanStatus::Ok;
        // Searches, seconds and pages stand in place of tokens.
        let charged_otherwise = has_ended_well && usage.input.is_none();
        let minds_output = !matches!(self.output_tokens, 0 | u64::MAX);
        let output_is_certain = !minds_output || (has_ended_well && output.is_some());
        if !ended.billed || charged_otherwise || (input.is_some() && output_is_certain) {
            return Amounts::default();
        }
        let input = input.map_or(self.plan.call.input_tokens, |figure| figure.tokens);
        let seen = usage.output.map_or(0, |figure| figure.tokens);
        let output = if output_is_certain {
            seen
        } else {
            self.output_tokens.max(seen)
        };
        let cost = match &self.plan.rates {
            Some(rates) if usage.reported_cost.is_none() => {
                Some(rates.cost_max(input, output, self.plan.searches))
            }
            _ => None,
        };
        let tokens = if self.plan.limits_tokens {
            input.saturating_add(output)
        } else {
            0
        };
        let mut withheld = Amounts::of_call(cost, tokens);
        withheld.subtract(spent);
        withheld
    }

    /// What it can have cost at most; `None` where it has no price, or its answer has no end.
    fn bound_cost(&self) -> Option<UsdNanos> {
        let rates = self.plan.rates.as_ref()?;
        let output_tokens = match self.output_tokens {
            u64::MAX if rates.output > 0 => self.plan.output_tokens?,
            tokens => tokens,
        };
        self.plan.cost(output_tokens)
    }

    /// Reserves more output: a step, or as much as is needed.
    fn grow(&mut self, needed: u64) -> Result<(), Short> {
        let step = needed.saturating_add(GROWTH_TOKENS);
        self.grow_to(step).or_else(|_| self.grow_to(needed))
    }

    fn grow_to(&mut self, output_tokens: u64) -> Result<(), Short> {
        let before = self.plan.cost(self.output_tokens).unwrap_or_default();
        let mut more = self.plan.amounts(output_tokens);
        more.subtract(self.held.amounts());
        self.held.extend(more).map_err(Short::Own)?;
        if let Some(shared) = &mut self.shared {
            let wanted = self.plan.cost(output_tokens).unwrap_or_default();
            shared.extend(wanted - before).map_err(Short::Shared)?;
        }
        self.output_tokens = output_tokens;
        Ok(())
    }
}

/// The error of a budget that is exceeded although the call was agreed to stay within it.
fn overrun(account: &Account, call: BoundOfCall) -> Option<BudgetError> {
    let shortage = account.overrun()?;
    Some(OverBudget::error(
        account,
        &shortage,
        OverBudgetKind::Overrun,
        call,
    ))
}

impl LlmCall {
    /// Begins a call when its budget has room for it.
    pub(crate) async fn begin_budgeted(
        scope: Option<&SpanScope>,
        request: LlmRequest,
    ) -> Result<Self, BudgetError> {
        let Some((scope, mut limits)) = Limits::of_call(scope, &request)? else {
            return Ok(Self::begin(scope, request));
        };
        let plan = Plan::new(&limits, &scope.run, &request)?;
        let asked_at = Ticks::now();
        let reserved = Reserved::make(&mut limits, plan).await?;
        let waited_ms = u128::from(scope.run.ns_between(asked_at, Ticks::now()) / 1_000_000);
        Ok(Self::begin_reserved(scope, request, reserved, waited_ms))
    }

    /// The same without waiting for other calls.
    pub(crate) fn begin_budgeted_now(
        scope: Option<&SpanScope>,
        request: LlmRequest,
    ) -> Result<Self, BudgetError> {
        let Some((scope, limits)) = Limits::of_call(scope, &request)? else {
            return Ok(Self::begin(scope, request));
        };
        let plan = Plan::new(&limits, &scope.run, &request)?;
        let reserved = Reserved::make_now(&limits, plan)?;
        Ok(Self::begin_reserved(scope, request, reserved, 0))
    }

    fn begin_reserved(
        scope: &SpanScope,
        mut request: LlmRequest,
        reserved: Reserved,
        waited_ms: u128,
    ) -> Self {
        if scope.run.keeps_spans {
            let parameters = &mut request.parameters;
            if reserved.plan.rates.is_some() {
                let nanos = reserved.held.amounts().of(BudgetLimit::Cost);
                parameters.set(genai::BUDGET_RESERVED_USD, usd(nanos).to_usd());
            }
            if let Some(tokens) = reserved.imposed {
                parameters.set(genai::REQUEST_MAX_TOKENS, tokens);
                parameters.set(genai::BUDGET_IMPOSED_MAX_TOKENS, tokens);
            }
            if waited_ms > 0 {
                let waited = u64::try_from(waited_ms).unwrap_or(u64::MAX);
                parameters.set(genai::BUDGET_WAITED_MS, waited);
            }
        }
        Self::begin_with(Some(scope), request, Some(Box::new(reserved)))
    }

    /// The longest answer, in tokens, that the budget allows where neither the request nor the model has a limit of
    /// its own. Whoever sends the request must put it into it.
    #[must_use]
    pub fn imposed_max_tokens(&self) -> Option<u64> {
        self.reserved.as_ref()?.imposed
    }

    /// Why the answer may not go on, once a budget has no room for more of it.
    #[must_use]
    pub fn over_budget(&self) -> Option<&BudgetError> {
        self.reserved.as_ref()?.over.as_ref()
    }

    /// A piece of reasoning is here, which is billed as output though it is no part of the answer. `false` as for
    /// [`LlmCall::text`].
    pub fn reasoning(&mut self, piece: &str) -> bool {
        self.first_token();
        self.take(piece.len() as u64, None)
    }

    /// The provider says in mid-stream how many output tokens there are so far. `false` as for [`LlmCall::text`].
    pub fn counted(&mut self, output_tokens: u64) -> bool {
        self.take(0, Some(output_tokens))
    }

    /// Only what is read piece by piece can be cut; what came whole is here.
    pub(super) fn take(&mut self, bytes: u64, counted: Option<u64>) -> bool {
        if let Some(reserved) = &mut self.reserved
            && self.request.stream
            && !reserved.take(bytes, counted)
        {
            return false;
        }
        self.output_text_bytes += bytes;
        true
    }

    /// What nobody counted is not more than what was agreed with the provider, and a stream that was cut had not
    /// gone beyond that.
    pub(super) fn hold_to_reservation(&self, ended: &mut Ended) {
        let Some(reserved) = &self.reserved else {
            return;
        };
        let usage = &mut ended.usage;
        let is_guess =
            |figure: &Figure| matches!(figure.source, FigureSource::Estimate | FigureSource::Tokenizer);
        if let Some(input) = usage.input.as_mut().filter(|figure| is_guess(figure)) {
            input.tokens = input.tokens.min(reserved.plan.call.input_tokens);
        }
        if reserved.over.is_some() {
            // The piece that had no room is here as well, so that there is at least as much as was agreed.
            let taken = reserved.output_tokens;
            usage.output = Some(Figure::estimate(taken));
            usage.reasoning = usage.reasoning.filter(|figure| figure.tokens <= taken);
        } else if let Some(output) = usage.output.as_mut().filter(|figure| is_guess(figure)) {
            output.tokens = output.tokens.min(reserved.output_tokens);
        }
    }

    /// Gives back what was reserved and takes what the call came to.
    pub(super) fn settle(&mut self, metered: &Metered, ended: &Ended, cost: &Cost) {
        let tokens = ended
            .usage
            .input_tokens()
            .saturating_add(ended.usage.output_tokens());
        let unpriced = cost.amount.is_none();
        match self.reserved.take() {
            Some(reserved) => {
                // What nobody can tell counts as the most that it can be.
                let amount = cost.amount.or_else(|| reserved.bound_cost());
                let spent = Amounts::of_call(amount, tokens);
                let withheld = reserved.withheld(ended, spent);
                let Reserved {
                    held,
                    shared,
                    plan,
                    output_tokens,
                    ..
                } = *reserved;
                if let Some(shared) = shared {
                    shared.settle(SharedCost {
                        spent: amount,
                        withheld: usd(withheld.of(BudgetLimit::Cost)),
                    });
                }
                let passed = held.settle(Settled {
                    spent,
                    withheld,
                    is_unpriced: unpriced,
                });
                self.overrun = passed.and_then(|account| overrun(&account, plan.described(output_tokens)));
            }
            None => {
                if let Some(shared) = &metered.run.shared_budgets {
                    let cost = SharedCost {
                        spent: cost.amount,
                        withheld: UsdNanos::ZERO,
                    };
                    shared.charge(&shared_call(&self.request), cost);
                }
                if let Some(account) = &metered.span.account
                    && account.charge(Amounts::of_call(cost.amount, tokens), unpriced)
                {
                    let call = BoundOfCall {
                        provider: self.request.provider.clone(),
                        model: self.request.model.clone(),
                        ..BoundOfCall::default()
                    };
                    self.overrun = overrun(account, call);
                }
            }
        }
    }
}
