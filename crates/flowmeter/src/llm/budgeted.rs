//! Calls under a budget: the most that one can come to is reserved before it begins, and settled when it ends.
//!
//! Where no budget is in force nothing is done. Never sends anything, and never says that a call was free because
//! nobody knows what it cost.

use std::sync::Arc;

use flowmeter_engine::Ticks;
use flowmeter_model::{Clock, Cost, Figure, FigureSource, SpanStatus, SystemClock, UsdNanos};
use flowmeter_pricing::{BoundRates, BoundedCall, CallBound};

use super::running::Running;
use super::{Ended, LlmCall, LlmRequest, Metered};
use crate::budget::{
    Account, Amounts, BoundOfCall, BudgetError, BudgetLimit, Held, OverBudget, OverBudgetKind, Settled,
    Shortage, UnpricedModel,
};
use crate::genai;
use crate::meter::RunShared;
use crate::scope::SpanScope;

/// Tokens that providers put around a request's own texts, where its maker does not say better.
const REQUEST_TOKENS: u64 = 256;

/// The longest answer that is asked for where nobody knows how long a model's answers can be.
const IMPOSED_TOKENS_MAX: u64 = 32_768;
/// The shortest answer that is worth asking for.
const IMPOSED_TOKENS_MIN: u64 = 16;

/// More than this is not a length of an answer but the lack of one.
const ANSWER_TOKENS_MAX: u64 = 1 << 32;

/// More input than any model takes.
const ANY_INPUT_TOKENS: u64 = 1 << 32;

/// By how much a reservation grows while a stream goes on for longer than was agreed.
const GROWTH_TOKENS: u64 = 256;

/// What is reserved for a call.
pub(super) struct Reserved {
    held: Held,
    plan: Plan,
    /// Output tokens that are reserved; more than any answer has where they limit nothing.
    pub(super) output_tokens: u64,
    imposed: Option<u64>,
    running: Running,
    /// Why the answer may not go on.
    over: Option<BudgetError>,
}

/// What a call can come to, apart from the length of its answer.
struct Plan {
    call: BoundOfCall,
    /// `None` where the model has no price, or no limit on money asks for one.
    rates: Option<Arc<BoundRates>>,
    limits_tokens: bool,
    searches: u64,
    /// How long the answer can be, where anybody knows.
    output_tokens: Option<u64>,
}

impl Plan {
    fn new(account: &Account, run: &RunShared, request: &LlmRequest) -> Result<Self, BudgetError> {
        let limits_tokens = account.has_limit(BudgetLimit::Tokens);
        let input_tokens = request
            .input_tokens_max
            .unwrap_or_else(|| request.input_text_bytes.saturating_add(REQUEST_TOKENS));
        let mut plan = Self {
            call: BoundOfCall {
                provider: request.provider.clone(),
                model: request.model.clone(),
                input_tokens,
                ..BoundOfCall::default()
            },
            rates: None,
            limits_tokens,
            searches: request.web_searches_max,
            output_tokens: request.output_tokens_max,
        };
        if request.operation == "embeddings" {
            plan.output_tokens = Some(0);
        }
        if account.has_limit(BudgetLimit::Cost) {
            plan.price(account, run, request)?;
        } else if limits_tokens && plan.output_tokens.is_none() {
            let limit = run.prices.output_limit(Some(&request.provider), &request.model);
            plan.output_tokens = limit.map(|limit| limit.tokens);
        }
        plan.output_tokens = plan.output_tokens.filter(|tokens| *tokens < ANSWER_TOKENS_MAX);
        Ok(plan)
    }

    fn price(&mut self, account: &Account, run: &RunShared, request: &LlmRequest) -> Result<(), BudgetError> {
        if let Some((rates, output_tokens)) = run.known_rates.find(run, request) {
            self.output_tokens = self.output_tokens.or(output_tokens);
            self.take_rates(rates);
            return Ok(());
        }
        let bound_at = |input_tokens_max: u64, output_tokens_max: Option<u64>| {
            run.prices.bound(&BoundedCall {
                provider: Some(&request.provider),
                model: &request.model,
                start: SystemClock.now(),
                service_tier: request.service_tier.as_deref(),
                input_tokens_max,
                output_tokens_max,
                searches_max: self.searches,
                input_is_text: request.is_text_only,
                output_is_text: request.is_text_only,
                ..BoundedCall::default()
            })
        };
        // Asked without the request's own limit, so that the model's is known for the next call; but an embedding has
        // no output, and its model no price for one.
        let nothing = self.output_tokens.filter(|tokens| *tokens == 0);
        let (rates, own_limit) = match bound_at(self.call.input_tokens, nothing) {
            CallBound::Bounded { output, rates, .. } => (rates, Some(output.tokens)),
            CallBound::OutputUnknown { rates, .. } => (rates, None),
            CallBound::Unpriced { .. } => {
                let refused = if run.allows_unpriced {
                    None
                } else {
                    UnpricedModel::find(account, &request.provider, &request.model)
                };
                return refused.map_or(Ok(()), Err);
            }
        };
        let is_flat = match bound_at(ANY_INPUT_TOKENS, Some(1)) {
            CallBound::Bounded { rates: any, .. } => any == rates,
            _ => false,
        };
        let rates = Arc::new(rates);
        // Prices that depend on the size of the request are asked for each time.
        if is_flat && self.searches == 0 && nothing.is_none() {
            run.known_rates.keep(request, &rates, own_limit);
        }
        self.output_tokens = self.output_tokens.or(own_limit);
        self.take_rates(rates);
        Ok(())
    }

    fn take_rates(&mut self, rates: Arc<BoundRates>) {
        self.call.input_rate_nanos = Some(rates.input);
        self.call.output_rate_nanos = Some(rates.output);
        self.rates = Some(rates);
    }

    /// Whether the length of the answer decides anything.
    fn minds_output(&self) -> bool {
        self.limits_tokens || self.rates.as_ref().is_some_and(|rates| rates.output > 0)
    }

    fn cost(&self, output_tokens: u64) -> Option<UsdNanos> {
        let rates = self.rates.as_ref()?;
        Some(rates.cost_max(self.call.input_tokens, output_tokens, self.searches))
    }

    fn amounts(&self, output_tokens: u64) -> Amounts {
        let tokens = if self.limits_tokens {
            self.call.input_tokens.saturating_add(output_tokens)
        } else {
            0
        };
        Amounts::of_call(self.cost(output_tokens), tokens)
    }

    /// The longest answer that fits into what is left, within reason.
    fn fitting_output(&self, account: &Account) -> u64 {
        let mut fitting = IMPOSED_TOKENS_MAX;
        if let Some(rates) = &self.rates {
            let left = i64::try_from(account.left(BudgetLimit::Cost)).unwrap_or(i64::MAX);
            let tokens = rates.output_tokens_within(UsdNanos(left), self.call.input_tokens, self.searches);
            fitting = fitting.min(tokens.unwrap_or(0));
        }
        if self.limits_tokens {
            let left = account.left(BudgetLimit::Tokens);
            fitting = fitting.min(left.saturating_sub(self.call.input_tokens));
        }
        fitting
    }

    fn described(&self, output_tokens: u64) -> BoundOfCall {
        BoundOfCall {
            output_tokens,
            cost: self.cost(output_tokens),
            ..self.call.clone()
        }
    }

    fn refusal(&self, account: &Account, shortage: &Shortage, output_tokens: u64) -> BudgetError {
        let call = self.described(output_tokens);
        OverBudget::error(account, shortage, OverBudgetKind::Refused, call)
    }
}

impl Reserved {
    async fn make(account: &Arc<Account>, plan: Plan) -> Result<Self, BudgetError> {
        let mut imposed = None;
        loop {
            let output_tokens = plan.next_output(account, &mut imposed);
            match account.reserve(plan.amounts(output_tokens)).await {
                Ok(held) => return Ok(Self::new(held, plan, output_tokens, imposed)),
                // While this one waited, others have spent more: a shorter answer may still fit.
                Err(_) if imposed.is_some_and(|asked| plan.can_shrink(account, asked)) => {}
                Err(shortage) => return Err(plan.refusal(account, &shortage, output_tokens)),
            }
        }
    }

    fn make_now(account: &Arc<Account>, plan: Plan) -> Result<Self, BudgetError> {
        let mut imposed = None;
        let output_tokens = plan.next_output(account, &mut imposed);
        match account.reserve_now(plan.amounts(output_tokens)) {
            Ok(held) => Ok(Self::new(held, plan, output_tokens, imposed)),
            Err(shortage) => Err(plan.refusal(account, &shortage, output_tokens)),
        }
    }

    fn new(held: Held, plan: Plan, output_tokens: u64, imposed: Option<u64>) -> Self {
        let minds_output = plan.minds_output();
        Self {
            held,
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
            && let Err(shortage) = self.grow(next.tokens())
            && next.certain_tokens() > self.output_tokens
        {
            self.held.cut(&shortage);
            let account = self.held.account();
            self.over = account.map(|account| {
                let call = self.plan.described(self.output_tokens);
                OverBudget::error(account, &shortage, OverBudgetKind::Cut, call)
            });
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

    /// Reserves more output: a step, or as much as is needed.
    fn grow(&mut self, needed: u64) -> Result<(), Shortage> {
        let step = needed.saturating_add(GROWTH_TOKENS);
        self.grow_to(step).or_else(|_| self.grow_to(needed))
    }

    fn grow_to(&mut self, output_tokens: u64) -> Result<(), Shortage> {
        let mut more = self.plan.amounts(output_tokens);
        more.subtract(self.held.amounts());
        self.held.extend(more)?;
        self.output_tokens = output_tokens;
        Ok(())
    }
}

impl Plan {
    /// Output tokens to ask for: what the call can have, else what fits, which is imposed on it.
    fn next_output(&self, account: &Account, imposed: &mut Option<u64>) -> u64 {
        match self.output_tokens {
            Some(tokens) => tokens,
            None if !self.minds_output() => 0,
            None => {
                let tokens = self.fitting_output(account).max(IMPOSED_TOKENS_MIN);
                *imposed = Some(tokens);
                tokens
            }
        }
    }

    fn can_shrink(&self, account: &Account, asked: u64) -> bool {
        let fitting = self.fitting_output(account);
        (IMPOSED_TOKENS_MIN..asked).contains(&fitting)
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
        let Some((scope, account)) = scope.and_then(|scope| Some((scope, scope.account.as_ref()?))) else {
            return Ok(Self::begin(scope, request));
        };
        let plan = Plan::new(account, &scope.run, &request)?;
        let asked_at = Ticks::now();
        let reserved = Reserved::make(account, plan).await?;
        let waited_ms = u128::from(scope.run.ns_between(asked_at, Ticks::now()) / 1_000_000);
        Ok(Self::begin_reserved(scope, request, reserved, waited_ms))
    }

    /// The same without waiting for other calls.
    pub(crate) fn begin_budgeted_now(
        scope: Option<&SpanScope>,
        request: LlmRequest,
    ) -> Result<Self, BudgetError> {
        let Some((scope, account)) = scope.and_then(|scope| Some((scope, scope.account.as_ref()?))) else {
            return Ok(Self::begin(scope, request));
        };
        let plan = Plan::new(account, &scope.run, &request)?;
        let reserved = Reserved::make_now(account, plan)?;
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
                parameters.set(genai::BUDGET_RESERVED_USD, crate::budget::usd(nanos).to_usd());
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
                let amount = cost.amount.or_else(|| reserved.plan.cost(reserved.output_tokens));
                let spent = Amounts::of_call(amount, tokens);
                let withheld = reserved.withheld(ended, spent);
                let Reserved {
                    held,
                    plan,
                    output_tokens,
                    ..
                } = *reserved;
                let passed = held.settle(Settled {
                    spent,
                    withheld,
                    is_unpriced: unpriced,
                });
                self.overrun = passed.and_then(|account| overrun(&account, plan.described(output_tokens)));
            }
            None => {
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
