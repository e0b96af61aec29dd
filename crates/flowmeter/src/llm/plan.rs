//! What a call can come to: its input, its rates, and the longest answer that is agreed on.
//!
//! Never reserves anything.

use std::sync::Arc;

use flowmeter_model::{Clock, SystemClock, UsdNanos};
use flowmeter_pricing::{BoundRates, BoundedCall, CallBound};

use super::LlmRequest;
use super::limits::Limits;
use crate::budget::{
    Account, Amounts, BoundOfCall, BudgetError, BudgetLimit, OverBudget, OverBudgetKind, Shortage,
    UnpricedModel,
};
use crate::meter::RunShared;

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

/// What a call can come to, apart from the length of its answer.
pub(super) struct Plan {
    pub(super) call: BoundOfCall,
    /// `None` where the model has no price, or no limit on money asks for one.
    pub(super) rates: Option<Arc<BoundRates>>,
    pub(super) limits_tokens: bool,
    /// Whether a limit on money refuses calls: budgets that only warn ask for a price and limit nothing.
    pub(super) limits_cost: bool,
    pub(super) searches: u64,
    /// How long the answer can be, where anybody knows.
    pub(super) output_tokens: Option<u64>,
}

impl Plan {
    pub(super) fn new(
        limits: &Limits<'_>,
        run: &RunShared,
        request: &LlmRequest,
    ) -> Result<Self, BudgetError> {
        let limits_tokens = limits.own_limit(BudgetLimit::Tokens);
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
            limits_cost: limits.own_limit(BudgetLimit::Cost) || limits.shared_tightest().is_some(),
            searches: request.web_searches_max,
            output_tokens: request.output_tokens_max,
        };
        if request.operation == "embeddings" {
            plan.output_tokens = Some(0);
        }
        if plan.limits_cost || limits.shared.is_some() {
            plan.price(limits, run, request)?;
        } else if limits_tokens && plan.output_tokens.is_none() {
            let limit = run.prices.output_limit(Some(&request.provider), &request.model);
            plan.output_tokens = limit.map(|limit| limit.tokens);
        }
        plan.output_tokens = plan.output_tokens.filter(|tokens| *tokens < ANSWER_TOKENS_MAX);
        Ok(plan)
    }

    pub(super) fn price(
        &mut self,
        limits: &Limits<'_>,
        run: &RunShared,
        request: &LlmRequest,
    ) -> Result<(), BudgetError> {
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
                if run.allows_unpriced {
                    return Ok(());
                }
                let (provider, model) = (&request.provider, &request.model);
                let own = limits
                    .account
                    .and_then(|account| UnpricedModel::find(account, provider, model));
                let shared = || Some(limits.shared_tightest()?.unpriced(provider, model));
                return own.or_else(shared).map_or(Ok(()), Err);
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

    pub(super) fn take_rates(&mut self, rates: Arc<BoundRates>) {
        self.call.input_rate_nanos = Some(rates.input);
        self.call.output_rate_nanos = Some(rates.output);
        self.rates = Some(rates);
    }

    /// Whether the length of the answer decides anything.
    pub(super) fn minds_output(&self) -> bool {
        let costs = || self.rates.as_ref().is_some_and(|rates| rates.output > 0);
        self.limits_tokens || (self.limits_cost && costs())
    }

    pub(super) fn cost(&self, output_tokens: u64) -> Option<UsdNanos> {
        let rates = self.rates.as_ref()?;
        Some(rates.cost_max(self.call.input_tokens, output_tokens, self.searches))
    }

    pub(super) fn amounts(&self, output_tokens: u64) -> Amounts {
        let tokens = if self.limits_tokens {
            self.call.input_tokens.saturating_add(output_tokens)
        } else {
            0
        };
        Amounts::of_call(self.cost(output_tokens), tokens)
    }

    /// The longest answer that fits into what is left, within reason.
    pub(super) fn fitting_output(&self, limits: &Limits<'_>) -> u64 {
        let mut fitting = IMPOSED_TOKENS_MAX;
        if let Some(rates) = &self.rates {
            let left = i64::try_from(limits.left(BudgetLimit::Cost)).unwrap_or(i64::MAX);
            let tokens = rates.output_tokens_within(UsdNanos(left), self.call.input_tokens, self.searches);
            fitting = fitting.min(tokens.unwrap_or(0));
        }
        if self.limits_tokens {
            let left = limits.left(BudgetLimit::Tokens);
            fitting = fitting.min(left.saturating_sub(self.call.input_tokens));
        }
        fitting
    }

    pub(super) fn described(&self, output_tokens: u64) -> BoundOfCall {
        BoundOfCall {
            output_tokens,
            cost: self.cost(output_tokens),
            ..self.call.clone()
        }
    }

    pub(super) fn refusal(&self, account: &Account, shortage: &Shortage, output_tokens: u64) -> BudgetError {
        let call = self.described(output_tokens);
        OverBudget::error(account, shortage, OverBudgetKind::Refused, call)
    }

    /// Output tokens to ask for: what the call can have, else what fits, which is imposed on it.
    pub(super) fn next_output(&self, limits: &Limits<'_>, imposed: &mut Option<u64>) -> u64 {
        match self.output_tokens {
            Some(tokens) => tokens,
            None if !self.minds_output() => 0,
            None => {
                let tokens = self.fitting_output(limits).max(IMPOSED_TOKENS_MIN);
                *imposed = Some(tokens);
                tokens
            }
        }
    }

    pub(super) fn can_shrink(&self, limits: &Limits<'_>, asked: u64) -> bool {
        let fitting = self.fitting_output(limits);
        (IMPOSED_TOKENS_MIN..asked).contains(&fitting)
    }
}
