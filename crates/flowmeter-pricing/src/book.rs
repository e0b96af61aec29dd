//! The price book: one call in, its cost and the reason for it out.
//!
//! Sources in order: what the provider reported, the user's own prices, the bundled book at the call's
//! time and tier. Where none knows the model the cost is unpriced, and never zero.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flowmeter_model::{Cost, CostExplanation, CostStatus, TimestampNs, TokenUsage, UsdNanos};
use genai_prices::Calculator;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use smol_str::{SmolStr, format_smolstr};

use crate::bill::{Bill, Parts, RateCard, bill};
use crate::bundled::{self, BookMatch, Terms};
use crate::host::{Host, fold, host};
use crate::overrides::{OverrideMatch, Overrides};

/// How many models are remembered. A process sees a few dozen; the bound is for one that is fed names
/// without end.
const REMEMBERED_MODELS: usize = 4_096;

/// How far an override may be from the bundled price before its unit is in doubt.
const SUSPICIOUS_FACTOR: i128 = 100;

/// One LLM call, as far as its price depends on it.
#[derive(Clone, Copy, Debug)]
pub struct PricedCall<'a> {
    /// Who served the call (`openai`, `aws.bedrock`, …), where known.
    pub provider: Option<&'a str>,
    /// The model asked for.
    pub request_model: &'a str,
    /// The model that the provider says answered.
    pub response_model: Option<&'a str>,
    /// What was used.
    pub usage: &'a TokenUsage,
    /// When the call started: prices change.
    pub start: TimestampNs,
    /// The service tier asked for; the one in `usage`, which was granted, goes before it.
    pub service_tier: Option<&'a str>,
}

impl PricedCall<'_> {
    /// The response's model before the request's.
    fn models(&self) -> impl Iterator<Item = &str> {
        self.response_model.into_iter().chain([self.request_model])
    }

    /// The tier in lower case. Batches are asked for and not granted: some providers say `default` of them.
    fn tier(&self) -> Option<String> {
        let asked = self.service_tier.map(|tier| fold(tier).into_owned());
        if asked.as_deref() == Some("batch") {
            return asked;
        }
        self.usage
            .service_tier
            .as_deref()
            .map(|tier| fold(tier).into_owned())
            .or(asked)
    }
}

/// Provider hint and model to the entry they mean, or to none.
type Matches = FxHashMap<(SmolStr, SmolStr), Option<Arc<BookMatch>>>;

/// Prices calls. Cheap to make: the bundled prices are decoded when first needed.
#[derive(Debug, Default)]
pub struct PriceBook {
    overrides: Overrides,
    bundled: OnceLock<&'static Calculator>,
    warming: AtomicBool,
    /// What was found before: finding is the dear part of a price.
    matches: RwLock<Matches>,
}

impl PriceBook {
    /// A book of the bundled prices alone.
    #[must_use]
    pub fn bundled() -> Self {
        Self::default()
    }

    /// A book where the user's own prices go before the bundled ones.
    #[must_use]
    pub fn with_overrides(overrides: Overrides) -> Self {
        Self {
            overrides,
            ..Self::default()
        }
    }

    /// Decodes the bundled prices in a thread of its own, once, so that the first call need not wait.
    /// Returns at once. Where no thread can be had, the first call decodes.
    pub fn warm_up(self: &Arc<Self>) {
        if self.is_decoded() || self.warming.swap(true, Ordering::Relaxed) {
            return;
        }
        let book = Arc::clone(self);
        let thread = std::thread::Builder::new().name("flowmeter-prices".to_owned());
        let _first_call_decodes_if_this_fails = thread.spawn(move || {
            book.calculator();
        });
    }

    /// Whether this book has decoded the bundled prices.
    #[must_use]
    pub fn is_decoded(&self) -> bool {
        self.bundled.get().is_some()
    }

    /// What a call cost, how that is known, and why.
    #[must_use]
    pub fn price(&self, call: &PricedCall<'_>) -> Cost {
        if let Some(amount) = call.usage.reported_cost {
            return reported(call, amount);
        }
        let known = call.usage.is_known();
        if known
            && let Some(found) = call
                .models()
                .find_map(|model| self.overrides.find(call.provider, model))
        {
            return self.price_by_override(call, found);
        }
        if call.provider.is_some_and(|hint| host(hint) == Host::Local) {
            return local(call);
        }
        if !known {
            return Cost::unpriced();
        }
        self.price_by_book(call).unwrap_or_else(Cost::unpriced)
    }

    fn calculator(&self) -> &'static Calculator {
        self.bundled.get_or_init(Calculator::bundled)
    }

    fn price_by_override(&self, call: &PricedCall<'_>, found: OverrideMatch<'_>) -> Cost {
        let mut card = found.rates.card();
        let mut warnings = Vec::new();
        let tier = call.tier();
        let terms = Terms {
            start: call.start,
            service_tier: tier.as_deref(),
        };
        if let Some(entry) = self.find_in_book(call) {
            let book = self.calculator();
            if call.usage.web_searches.is_some_and(|searches| searches > 0) {
                card.web_search = bundled::web_search_rate(book, &entry, call.usage, terms);
            }
            if let Some((bundled_card, _)) = bundled::rate_card(book, &entry, call.usage, terms) {
                warnings.extend(unit_doubts(found.key, &card, &bundled_card, &entry.key));
            }
        }
        let explanation = CostExplanation {
            matched: SmolStr::new(found.key),
            source: SmolStr::new_static("pricing.json"),
            rule: SmolStr::new_static(found.rule),
            warnings,
            ..CostExplanation::default()
        };
        settle(call.usage, bill(call.usage, &card), explanation)
    }

    fn price_by_book(&self, call: &PricedCall<'_>) -> Option<Cost> {
        let entry = self.find_in_book(call)?;
        let tier = call.tier();
        let terms = Terms {
            start: call.start,
            service_tier: tier.as_deref(),
        };
        let (card, mut warnings) = bundled::rate_card(self.calculator(), &entry, call.usage, terms)?;
        warnings.extend(entry.warning.clone());
        let explanation = CostExplanation {
            matched: entry.key.clone(),
            source: SmolStr::new_static(bundled::SOURCE),
            rule: SmolStr::new_static(entry.rule),
            warnings,
            ..CostExplanation::default()
        };
        Some(settle(call.usage, bill(call.usage, &card), explanation))
    }

    fn find_in_book(&self, call: &PricedCall<'_>) -> Option<Arc<BookMatch>> {
        call.models()
            .find_map(|model| self.remembered_match(call.provider, model))
    }

    fn remembered_match(&self, provider: Option<&str>, model: &str) -> Option<Arc<BookMatch>> {
        let key = (SmolStr::new(provider.unwrap_or_default()), SmolStr::new(model));
        if let Some(found) = self.matches.read().get(&key) {
            return found.clone();
        }
        let provider = provider.filter(|hint| !hint.trim().is_empty());
        let found = bundled::find(self.calculator(), provider, model).map(Arc::new);
        let mut matches = self.matches.write();
        if matches.len() >= REMEMBERED_MODELS {
            matches.clear();
        }
        matches.insert(key, found.clone());
        found
    }
}

/// `provider/model`, as far as either is known.
fn call_key(call: &PricedCall<'_>) -> SmolStr {
    let model = call.models().find(|model| !model.is_empty()).unwrap_or("unknown");
    call.provider.map_or_else(
        || SmolStr::new(model),
        |provider| format_smolstr!("{provider}/{model}"),
    )
}

fn reported(call: &PricedCall<'_>, amount: UsdNanos) -> Cost {
    let explanation = CostExplanation {
        matched: call_key(call),
        source: SmolStr::new_static("provider"),
        rule: SmolStr::new_static("reported by the provider"),
        ..CostExplanation::default()
    };
    Cost::known(CostStatus::Reported, amount, Some(Arc::new(explanation)))
}

fn local(call: &PricedCall<'_>) -> Cost {
    let explanation = CostExplanation {
        matched: call_key(call),
        source: SmolStr::new_static("local"),
        rule: SmolStr::new_static("a model on one's own machine is billed by nobody"),
        ..CostExplanation::default()
    };
    Cost::known(CostStatus::Priced, UsdNanos::ZERO, Some(Arc::new(explanation)))
}

/// Makes a cost of a bill. Nothing that could be priced at all means unpriced, not zero.
fn settle(usage: &TokenUsage, bill: Bill, mut explanation: CostExplanation) -> Cost {
    if bill.lines.is_empty() && !bill.missing.is_empty() {
        return Cost::unpriced();
    }
    if Parts::of(usage).clipped {
        explanation
            .warnings
            .push("the provider's counts contradict each other: a part is larger than its whole".to_owned());
    }
    for kind in &bill.missing {
        explanation.warnings.push(format!(
            "`{kind}` could not be priced: the amount is a lower bound"
        ));
    }
    explanation.lines = bill.lines;
    let status = if !bill.missing.is_empty() {
        CostStatus::Partial
    } else if usage.is_estimated() {
        CostStatus::Estimated
    } else {
        CostStatus::Priced
    };
    Cost::known(status, bill.total, Some(Arc::new(explanation)))
}

/// An override a hundred times off the bundled price is more likely in the wrong unit than right.
fn unit_doubts(key: &str, own: &RateCard, bundled: &RateCard, bundled_key: &str) -> Vec<String> {
    let pairs = [
        ("input", own.input, bundled.input),
        ("output", own.output, bundled.output),
    ];
    let doubts = pairs.into_iter().filter_map(|(kind, own, bundled)| {
        let (own, bundled) = (own.filter(|rate| *rate > 0)?, bundled.filter(|rate| *rate > 0)?);
        let (own, bundled) = (i128::from(own), i128::from(bundled));
        let (off, word) = if own >= bundled * SUSPICIOUS_FACTOR {
            (own / bundled, "dearer")
        } else if bundled >= own * SUSPICIOUS_FACTOR {
            (bundled / own, "cheaper")
        } else {
            return None;
        };
        Some(format!(
            "`{kind}` of `{key}` in pricing.json is {off} times {word} than the bundled price of {bundled_key}: \
             rates are dollars per 1,000 tokens unless \"unit\" is \"1M\""
        ))
    });
    doubts.collect()
}

#[cfg(test)]
mod tests;
