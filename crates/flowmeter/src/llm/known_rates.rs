//! The rates that calls were bounded with a while ago: most calls of a run go to one or two models.
//!
//! Only rates that hold for requests of any size are kept, and no longer than a bound holds.

use std::sync::Arc;

use flowmeter_engine::Ticks;
use flowmeter_pricing::BoundRates;
use parking_lot::Mutex;
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::LlmRequest;
use crate::meter::RunShared;

/// Models that are remembered.
const MODELS_MAX: usize = 8;
/// A bound counts with the prices of the hour after it was asked for.
const VALID_NS: u64 = 45 * 60 * 1_000_000_000;

struct Known {
    provider: SmolStr,
    model: SmolStr,
    service_tier: Option<SmolStr>,
    is_text_only: bool,
    rates: Arc<BoundRates>,
    output_tokens: Option<u64>,
    asked_at: Ticks,
}

/// Rates by model.
#[derive(Default)]
pub(crate) struct KnownRates(Mutex<SmallVec<[Known; 2]>>);

impl KnownRates {
    /// The rates for such a request and the longest answer of its model, where they are known.
    pub(super) fn find(
        &self,
        run: &RunShared,
        request: &LlmRequest,
    ) -> Option<(Arc<BoundRates>, Option<u64>)> {
        if request.web_searches_max > 0 {
            return None;
        }
        let known = self.0.lock();
        let known = known.iter().find(|known| known.is_for(request))?;
        let is_valid = run.ns_between(known.asked_at, Ticks::now()) < VALID_NS;
        is_valid.then(|| (Arc::clone(&known.rates), known.output_tokens))
    }

    /// Remembers them, in place of those that were for the same or of the oldest.
    pub(super) fn keep(&self, request: &LlmRequest, rates: &Arc<BoundRates>, output_tokens: Option<u64>) {
        let mut known = self.0.lock();
        known.retain(|known| !known.is_for(request));
        if known.len() >= MODELS_MAX {
            known.remove(0);
        }
        known.push(Known {
            provider: request.provider.clone(),
            model: request.model.clone(),
            service_tier: request.service_tier.clone(),
            is_text_only: request.is_text_only,
            rates: Arc::clone(rates),
            output_tokens,
            asked_at: Ticks::now(),
        });
    }
}

impl Known {
    fn is_for(&self, request: &LlmRequest) -> bool {
        self.model == request.model
            && self.provider == request.provider
            && self.service_tier == request.service_tier
            && self.is_text_only == request.is_text_only
    }
}
