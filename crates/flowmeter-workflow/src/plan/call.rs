//! What one LLM call of a plan takes: tokens, money and time as ranges.
//!
//! The least is what is known of the prompt and one token of answer; the most is what a budget would reserve.

use std::time::Duration;

use flowmeter::LlmRequest;
use flowmeter_model::{Figure, TokenUsage, UsdNanos};
use flowmeter_pricing::{BoundedCall, PricedCall};
use serde::Serialize;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::sight::Unknown;
use super::{Between, PlanTerms, nanoseconds};
use crate::document::NodeEntry;
use crate::nodes::{Services, budgeted, llm_request};

/// The quickest answer: the way there and back.
const QUICKEST: Duration = Duration::from_millis(300);
/// The longest wait for the first token that is common.
const FIRST_TOKEN: Duration = Duration::from_secs(3);
/// What a slow model writes in a second.
const SLOW_TOKENS_PER_SECOND: u64 = 20;

/// Whether what a call costs can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceKnown {
    /// The model has a price.
    Priced,
    /// It has none.
    Unpriced,
    /// The model itself is known in the run only.
    InRun,
}

/// What the response cache will do for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheForecast {
    /// It is not asked.
    Off,
    /// It has all answers.
    Hit,
    /// It has some of them.
    Partly,
    /// It has none, and will keep them.
    Miss,
    /// What is asked is known in the run only.
    InRun,
}

impl CacheForecast {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::InRun, _) | (_, Self::InRun) => Self::InRun,
            _ => Self::Partly,
        }
    }
}

/// What an `llm` node asks, and what that takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedCall {
    /// The provider; `None` where it is known in the run only, or differs from item to item.
    pub provider: Option<SmolStr>,
    /// The model, likewise.
    pub model: Option<SmolStr>,
    /// How many calls are made; an answer from the response cache is none.
    pub calls: Between<u64>,
    /// Input tokens of all calls.
    pub input_tokens: Between<u64>,
    /// Output tokens of all calls.
    pub output_tokens: Between<u64>,
    /// Whether the model has a price.
    pub price: PriceKnown,
    /// What all calls cost; `None` where there is no price.
    #[serde(rename = "cost_usd")]
    pub cost: Option<Between<UsdNanos>>,
    /// What a budget sets aside for the dearest of the calls while it is made; `None` where that is not known.
    #[serde(rename = "reserved_usd", skip_serializing_if = "Option::is_none")]
    pub reserved: Option<UsdNanos>,
    /// How long one call takes, in nanoseconds.
    pub duration_ns: Between<u64>,
    /// The templates of the request that are known in the run only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Why the model could not be asked if the run began now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the response cache will do.
    pub cache: CacheForecast,
}

impl PlannedCall {
    /// No call at all.
    pub(super) fn none() -> Self {
        let nothing = Between::exactly(0);
        Self {
            provider: None,
            model: None,
            calls: nothing,
            input_tokens: nothing,
            output_tokens: nothing,
            price: PriceKnown::Priced,
            cost: Some(Between::exactly(UsdNanos::ZERO)),
            reserved: None,
            duration_ns: nothing,
            unknown: Vec::new(),
            problem: None,
            cache: CacheForecast::Off,
        }
    }

    /// Both calls.
    pub(super) fn plus(self, other: Self) -> Self {
        let same =
            |one: Option<SmolStr>, other: Option<SmolStr>| one.filter(|one| other.as_ref() == Some(one));
        Self {
            provider: same(self.provider, other.provider),
            model: same(self.model, other.model),
            calls: self.calls.plus(other.calls),
            input_tokens: self.input_tokens.plus(other.input_tokens),
            output_tokens: self.output_tokens.plus(other.output_tokens),
            price: if self.price == PriceKnown::Priced {
                other.price
            } else {
                self.price
            },
            cost: self.cost.zip(other.cost).map(|(one, other)| one.plus(other)),
            reserved: self.reserved.max(other.reserved),
            duration_ns: Between {
                low: self.duration_ns.low.min(other.duration_ns.low),
                high: self
                    .duration_ns
                    .high
                    .zip(other.duration_ns.high)
                    .map(|(one, other)| one.max(other)),
            },
            unknown: self.unknown,
            problem: self.problem.or(other.problem),
            cache: self.cache.and(other.cache),
        }
    }

    /// The same calls for each of several executions; how long one takes stays.
    pub(super) fn times(self, executions: Between<u64>) -> Self {
        Self {
            calls: self.calls.times(executions),
            input_tokens: self.input_tokens.times(executions),
            output_tokens: self.output_tokens.times(executions),
            cost: self.cost.map(|cost| cost.times(executions)),
            ..self
        }
    }

    /// The same where equal requests may share an answer: with the response cache one call is certain, or none where
    /// nobody knows yet what is asked.
    pub(super) fn sharing_answers(mut self) -> Self {
        let shared_by = match self.cache {
            CacheForecast::Off | CacheForecast::Hit => return self,
            CacheForecast::InRun => u64::MAX,
            CacheForecast::Partly | CacheForecast::Miss => self.calls.low.max(1),
        };
        for low in [
            &mut self.calls.low,
            &mut self.input_tokens.low,
            &mut self.output_tokens.low,
        ] {
            *low /= shared_by;
        }
        if let Some(cost) = &mut self.cost {
            cost.low = UsdNanos(cost.low.0 / i64::try_from(shared_by).unwrap_or(i64::MAX));
        }
        self
    }

    /// What `part` calls took, for `whole` of them.
    pub(super) fn scaled(self, whole: u64, part: u64) -> Self {
        if whole == part || part == 0 {
            return self;
        }
        let up = |amount: u64| {
            let scaled = u128::from(amount) * u128::from(whole) / u128::from(part);
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let tokens = |amount: Between<u64>| Between {
            low: up(amount.low),
            high: amount.high.map(up),
        };
        let money = |amount: UsdNanos| {
            UsdNanos(i64::try_from(up(u64::try_from(amount.0).unwrap_or(0))).unwrap_or(i64::MAX))
        };
        Self {
            calls: tokens(self.calls),
            input_tokens: tokens(self.input_tokens),
            output_tokens: tokens(self.output_tokens),
            cost: self.cost.map(|cost| Between {
                low: money(cost.low),
                high: cost.high.map(money),
            }),
            ..self
        }
    }
}

/// The call that these parameters make; `unknown` are the templates in them that lead to nothing yet.
pub(super) fn planned(
    terms: &PlanTerms<'_>,
    services: &Services,
    node: &NodeEntry,
    params: &Map<String, Value>,
    unknown: &Unknown,
) -> PlannedCall {
    let params = Value::Object(params.clone());
    let open = PlannedCall {
        calls: Between::exactly(1),
        input_tokens: Between { low: 0, high: None },
        output_tokens: Between { low: 1, high: None },
        price: PriceKnown::InRun,
        cost: Some(Between {
            low: UsdNanos::ZERO,
            high: None,
        }),
        duration_ns: Between {
            low: nanoseconds(QUICKEST),
            high: None,
        },
        unknown: unknown.templates.clone(),
        ..PlannedCall::none()
    };
    let Ok(request) = llm_request(services, &params) else {
        return open;
    };
    let target = services.chat.target(&request.model);
    let cache = match (services.caching.of_node(node.cache), &target) {
        (None, _) => CacheForecast::Off,
        (Some((cache, ttl)), Ok(target)) if unknown.templates.is_empty() => {
            if cache.would_hit(&request, target, ttl).is_some() {
                CacheForecast::Hit
            } else {
                CacheForecast::Miss
            }
        }
        (Some(_), _) => CacheForecast::InRun,
    };
    let (provider, model, problem) = match &target {
        Ok(target) => (Some(target.provider.clone()), target.model.clone(), None),
        // A price needs no key.
        Err(error) => (None, request.model.clone(), Some(error.message.clone())),
    };
    if cache == CacheForecast::Hit {
        return PlannedCall {
            provider,
            model: Some(model),
            cache,
            ..PlannedCall::none()
        };
    }
    let reserved = target.as_ref().ok().and_then(|target| {
        let more = unknown.tokens_max?;
        let described = budgeted(LlmRequest::default(), &request, target);
        let bound = terms.prices.bound(&BoundedCall {
            provider: Some(&target.provider),
            model: &target.model,
            start: terms.start,
            service_tier: described.service_tier.as_deref(),
            input_tokens_max: described.input_tokens_max?.saturating_add(more),
            output_tokens_max: described.output_tokens_max,
            input_is_text: described.is_text_only,
            output_is_text: described.is_text_only,
            searches_max: described.web_searches_max,
            ..BoundedCall::default()
        });
        bound.cost_max()
    });
    let bytes = request.text_bytes();
    let input = Between {
        low: bytes.div_ceil(4),
        high: unknown.tokens_max.map(|more| bytes.saturating_add(more)),
    };
    let bound = |input_tokens_max: u64| {
        terms.prices.bound(&BoundedCall {
            provider: provider.as_deref(),
            model: &model,
            start: terms.start,
            input_tokens_max,
            output_tokens_max: request.max_tokens.map(u64::from),
            input_is_text: request.images.is_empty(),
            output_is_text: true,
            no_cache_writes: request.model_options.is_none(),
            ..BoundedCall::default()
        })
    };
    let dearest = bound(input.high.unwrap_or(0));
    let output = Between {
        low: 1,
        high: request.max_tokens.map(u64::from).or_else(|| {
            dearest
                .output()
                .map(|limit| limit.tokens)
                .filter(|tokens| *tokens < u64::MAX)
        }),
    };
    let low = {
        let usage = TokenUsage {
            input: Some(Figure::estimate(input.low)),
            output: Some(Figure::estimate(output.low)),
            ..TokenUsage::default()
        };
        let cost = terms.prices.price(&PricedCall {
            provider: provider.as_deref(),
            request_model: &model,
            response_model: None,
            usage: &usage,
            start: terms.start,
            service_tier: None,
        });
        cost.amount
    };
    let high = match input.high {
        Some(_) => dearest.cost_max(),
        // Where a million tokens are free, so is whatever it will be.
        None => bound(1_000_000).cost_max().filter(|cost| *cost == UsdNanos::ZERO),
    };
    let longest = request.timeout.map(nanoseconds);
    let written = output.high.map(|tokens| {
        nanoseconds(FIRST_TOKEN).saturating_add(tokens.saturating_mul(1_000_000_000) / SLOW_TOKENS_PER_SECOND)
    });
    PlannedCall {
        provider,
        model: Some(model),
        problem,
        cache,
        reserved,
        input_tokens: input,
        output_tokens: output,
        price: if low.is_some() {
            PriceKnown::Priced
        } else {
            PriceKnown::Unpriced
        },
        cost: low.map(|low| Between { low, high }),
        duration_ns: Between {
            low: nanoseconds(QUICKEST),
            high: match (longest, written) {
                (Some(longest), Some(written)) => Some(longest.min(written)),
                (one, other) => one.or(other),
            },
        },
        ..open
    }
}
