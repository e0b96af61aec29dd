//! Sums over look-ups in response caches, and over what providers' own prompt caches saved.
//!
//! Never counts a hit as a call: nobody was asked, so calls, tokens and cost of a run do not grow by it.

use flowmeter_model::{Cost, CostStatus, CostTotal, UsdNanos};
use serde_json::{Value, json};

use super::llm::LlmTotals;

/// An answer from a response cache as the aggregation sees it.
#[derive(Clone, Debug)]
pub struct CacheHitSample<'a> {
    /// The model that would have been asked.
    pub model: &'a str,
    /// Input tokens of the call that was saved; `None` where nobody counted them.
    pub input_tokens: Option<u64>,
    /// Output tokens of that call.
    pub output_tokens: Option<u64>,
    /// What that call cost when it was made.
    pub saved: &'a Cost,
}

/// Sums over response-cache look-ups and over what providers' prompt caches saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheTotals {
    /// Calls that were answered from a response cache.
    pub hits: u64,
    /// Calls that were looked up, not found and asked.
    pub misses: u64,
    /// Input tokens of the calls that were saved.
    pub saved_input_tokens: u64,
    /// Output tokens of the calls that were saved.
    pub saved_output_tokens: u64,
    /// What the saved calls cost when they were made.
    pub saved_cost: CostTotal,
    /// What providers' prompt caches saved: cheaper reads, less what writes cost above plain input. Below zero
    /// where the writes have not paid off yet.
    pub provider_saved: UsdNanos,
    /// Calls in that sum.
    pub provider_priced_calls: u64,
    /// Calls that used a provider's prompt cache at rates that nobody knows: they are in no sum.
    pub provider_unpriced_calls: u64,
}

impl CacheTotals {
    pub(crate) fn add_hit(&mut self, hit: &CacheHitSample<'_>, named_model: &str) {
        self.hits += 1;
        let add = |sum: &mut u64, tokens: Option<u64>| *sum = sum.saturating_add(tokens.unwrap_or(0));
        add(&mut self.saved_input_tokens, hit.input_tokens);
        add(&mut self.saved_output_tokens, hit.output_tokens);
        self.saved_cost.add(named_model, hit.saved);
    }

    /// Adds what a provider's prompt cache saved at one call that used it; `None` where that is not known.
    pub(crate) fn add_provider_saving(&mut self, saved: Option<UsdNanos>) {
        match saved {
            Some(saved) => {
                self.provider_saved += saved;
                self.provider_priced_calls += 1;
            }
            None => self.provider_unpriced_calls += 1,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.saved_input_tokens = self.saved_input_tokens.saturating_add(other.saved_input_tokens);
        self.saved_output_tokens = self.saved_output_tokens.saturating_add(other.saved_output_tokens);
        self.saved_cost.merge(&other.saved_cost);
        self.provider_saved += other.provider_saved;
        self.provider_priced_calls += other.provider_priced_calls;
        self.provider_unpriced_calls += other.provider_unpriced_calls;
    }

    /// How often a response cache was asked.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.hits + self.misses
    }

    /// Share of the look-ups that found an answer; `None` where there was no look-up.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let lookups = self.lookups();
        (lookups > 0).then(|| self.hits as f64 / lookups as f64)
    }

    /// Input and output tokens of the calls that were saved.
    #[must_use]
    pub fn saved_tokens(&self) -> u64 {
        self.saved_input_tokens.saturating_add(self.saved_output_tokens)
    }

    /// What providers' prompt caches saved, net; `None` where they were used and no rate is known.
    #[must_use]
    pub fn provider_saved_cost(&self) -> Option<UsdNanos> {
        (self.provider_saved_status() != CostStatus::Unpriced).then_some(self.provider_saved)
    }

    /// How that is known. Of no such call it is zero for certain.
    #[must_use]
    pub fn provider_saved_status(&self) -> CostStatus {
        match (self.provider_priced_calls, self.provider_unpriced_calls) {
            (_, 0) => CostStatus::Priced,
            (0, _) => CostStatus::Unpriced,
            _ => CostStatus::Partial,
        }
    }
}

impl LlmTotals {
    /// Whether there is something to say of caches, ours or a provider's.
    pub(crate) fn has_cache_figures(&self) -> bool {
        self.cache.lookups() > 0
            || self.cache_read_tokens > 0
            || self.cache.provider_priced_calls + self.cache.provider_unpriced_calls > 0
    }

    /// `hits`, `misses`, `hit_rate`, `saved_…`, and what providers' prompt caches did.
    pub(crate) fn cache_json(&self) -> Value {
        let cache = &self.cache;
        let saved_cost = &cache.saved_cost;
        let mut object = json!({
            "hits": cache.hits,
            "misses": cache.misses,
            "hit_rate": cache.hit_rate(),
            "saved_tokens": {
                "input": cache.saved_input_tokens,
                "output": cache.saved_output_tokens,
                "total": cache.saved_tokens(),
            },
            "saved_cost_usd": saved_cost.amount(),
            "saved_cost_status": saved_cost.status().as_str(),
            "provider_cached_tokens": self.cache_read_tokens,
            "provider_saved_cost_usd": cache.provider_saved_cost(),
            "provider_saved_cost_status": cache.provider_saved_status().as_str(),
        });
        if saved_cost.unpriced_calls > 0 {
            object["saved_unpriced_calls"] = saved_cost.unpriced_calls.into();
        }
        if cache.provider_unpriced_calls > 0 {
            object["provider_unpriced_calls"] = cache.provider_unpriced_calls.into();
        }
        object
    }
}

#[cfg(test)]
mod tests;
