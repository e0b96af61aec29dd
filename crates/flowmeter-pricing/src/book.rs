//! The price book: one call in, its cost and the reason for it out.
//!
//! Sources in order: what the provider reported, the user's own prices, the bundled book at the call's
//! time and tier. Where none knows the model the cost is unpriced, and never zero.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flowmeter_model::{Cost, CostExplanation, CostStatus, TimestampNs, TokenUsage, UsdNanos};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use smol_str::{SmolStr, format_smolstr};

use crate::bill::{Bill, Parts, RateCard, RateKind, bill};
use crate::bundled;
use crate::edition::{CardKey, Edition, Entry};
use crate::host::{Host, fold, host};
use crate::overrides::{OverrideMatch, Overrides};
use crate::refresh::RefreshedPrices;

/// How many models are remembered. A process sees a few dozen; the bound is for one that is fed names
/// without end.
const REMEMBERED_MODELS: usize = 4_096;

/// How far an override may be from the book's price before its unit is in doubt.
const SUSPICIOUS_FACTOR: i128 = 100;

const SECOND_NS: u64 = 1_000_000_000;

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

    /// The tier in lower case, empty for the standard one. Batches are asked for and not granted: some providers say `default` of them.
    fn tier(&self) -> SmolStr {
        let asked = self.service_tier.map(fold).unwrap_or_default();
        if asked == "batch" {
            return SmolStr::new(asked);
        }
        let granted = self.usage.service_tier.as_deref().map(fold);
        standard_or(&granted.unwrap_or(asked))
    }
}

/// The tier, or nothing where its name only says that it is the standard one.
pub(crate) fn standard_or(tier: &str) -> SmolStr {
    if bundled::is_standard_tier(tier) {
        SmolStr::default()
    } else {
        SmolStr::new(tier)
    }
}

/// Provider hint and model to the entry they mean, or to none.
type Matches = FxHashMap<(SmolStr, SmolStr), Option<Arc<Entry>>>;

/// Prices calls. Cheap to make: prices are decoded when first needed.
#[derive(Debug, Default)]
pub struct PriceBook {
    pub(crate) overrides: Overrides,
    refreshed: Option<RefreshedPrices>,
    refreshed_edition: OnceLock<Result<Arc<Edition>, String>>,
    bundled: OnceLock<Arc<Edition>>,
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

    /// Puts a newer price file between the user's own prices and the bundled ones. A model that the file
    /// does not know is still priced by the bundled book. The file's text is decoded when first needed.
    #[must_use]
    pub fn refreshed_by(mut self, prices: RefreshedPrices) -> Self {
        self.refreshed = Some(prices);
        self
    }

    /// Decodes the prices in a thread of its own, once, so that the first call need not wait.
    /// Returns at once. Where no thread can be had, the first call decodes.
    pub fn warm_up(self: &Arc<Self>) {
        if self.is_decoded() || self.warming.swap(true, Ordering::Relaxed) {
            return;
        }
        let book = Arc::clone(self);
        let thread = std::thread::Builder::new().name("flowmeter-prices".to_owned());
        let _first_call_decodes_if_this_fails = thread.spawn(move || {
            let _for_its_effect = book.refreshed();
            book.built_in();
        });
    }

    /// Whether this book has decoded the bundled prices.
    #[must_use]
    pub fn is_decoded(&self) -> bool {
        self.bundled.get().is_some()
    }

    /// Why the newer price file cannot be used, if there is one and it cannot. Decodes it.
    #[must_use]
    pub fn refresh_fault(&self) -> Option<&str> {
        self.refreshed()?.as_ref().err().map(String::as_str)
    }

    fn refreshed(&self) -> Option<&Result<Arc<Edition>, String>> {
        let prices = self.refreshed.as_ref()?;
        Some(
            self.refreshed_edition
                .get_or_init(|| prices.decode().map(Arc::new).map_err(|fault| fault.to_string())),
        )
    }

    pub(crate) fn built_in(&self) -> &Arc<Edition> {
        self.bundled.get_or_init(|| Arc::new(Edition::built_in()))
    }

    /// The books in the order in which they are asked; each is decoded only when it is reached.
    pub(crate) fn editions(&self) -> impl Iterator<Item = &Arc<Edition>> {
        let refreshed = std::iter::once_with(|| self.refreshed()?.as_ref().ok());
        refreshed
            .flatten()
            .chain(std::iter::once_with(|| self.built_in()))
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

    fn price_by_override(&self, call: &PricedCall<'_>, found: OverrideMatch<'_>) -> Cost {
        let mut card = found.rates.card();
        let mut warnings = Vec::new();
        let parts = Parts::of(call.usage);
        if let Some((_, rates)) = self.rates_in_book(call, &parts) {
            // A search is charged beside the model, so the book knows it as well as ever.
            for kind in [RateKind::WebSearch, RateKind::FileSearch] {
                card.set(kind, card.get(kind).or(rates.card.get(kind)));
            }
            warnings.extend(unit_doubts(found.key, &card, &rates.card, &rates.key));
        }
        let explanation = CostExplanation {
            matched: SmolStr::new(found.key),
            source: self.overrides.source(),
            source_date: self.overrides.date(),
            rule: SmolStr::new_static(found.rule),
            warnings,
            ..CostExplanation::default()
        };
        settle(call.usage, &parts, bill(call.usage, &parts, &card), explanation)
    }

    fn price_by_book(&self, call: &PricedCall<'_>) -> Option<Cost> {
        let parts = Parts::of(call.usage);
        let (entry, rates) = self.rates_in_book(call, &parts)?;
        let mut card = rates.card;
        let mut warnings: Vec<String> = rates.warning.into_iter().collect();
        warnings.extend(entry.found.warning.clone());
        if let Some(fault) = self.refreshed.as_ref().and_then(|_| self.refresh_fault()) {
            warnings.push(format!("the refreshed prices cannot be used: {fault}"));
        }
        if let Some(geo) = call.usage.inference_geo.as_deref()
            && is_dearer_place(&entry.found.provider, geo)
        {
            card.scale_tokens(GEO_FACTOR.0, GEO_FACTOR.1);
            warnings.push("computed in the US only: token rates are 1.1 times the standard".to_owned());
        }
        let explanation = CostExplanation {
            matched: entry.found.key.clone(),
            source: entry.edition.source.clone(),
            source_date: entry.edition.source_date.clone(),
            rule: SmolStr::new_static(entry.found.rule),
            warnings,
            ..CostExplanation::default()
        };
        Some(settle(
            call.usage,
            &parts,
            bill(call.usage, &parts, &card),
            explanation,
        ))
    }

    /// The entry that the call's model means and its rates for what was used, on the call's terms.
    fn rates_in_book(&self, call: &PricedCall<'_>, parts: &Parts) -> Option<(Arc<Entry>, BookRates)> {
        let entry = call
            .models()
            .find_map(|model| self.remembered_match(call.provider, model))?;
        let edition = &entry.edition;
        let key = CardKey {
            moment: edition.moment(call.start.0 / SECOND_NS),
            bracket: edition.bracket(call.usage.input_tokens()),
            kinds: parts.kinds(),
            tier: call.tier(),
        };
        let rated = entry.rates(key)?;
        let rates = BookRates {
            key: entry.found.key.clone(),
            card: rated.card,
            warning: rated.warning.clone(),
        };
        Some((entry, rates))
    }

    /// The first entry that is called like this, whoever serves it.
    pub(crate) fn find_anywhere(&self, name: &str) -> Option<Arc<Entry>> {
        self.editions().find_map(|edition| {
            let calculator = edition.calculator();
            let found = calculator
                .providers()
                .find_map(|provider| bundled::find_at(calculator, provider.id(), name))?;
            Some(Arc::new(Entry::new(Arc::clone(edition), found)))
        })
    }

    pub(crate) fn remembered_match(&self, provider: Option<&str>, model: &str) -> Option<Arc<Entry>> {
        let key = (SmolStr::new(provider.unwrap_or_default()), SmolStr::new(model));
        if let Some(found) = self.matches.read().get(&key) {
            return found.clone();
        }
        let provider = provider.filter(|hint| !hint.trim().is_empty());
        let found = self.editions().find_map(|edition| {
            let found = bundled::find(edition.calculator(), provider, model)?;
            Some(Arc::new(Entry::new(Arc::clone(edition), found)))
        });
        let mut matches = self.matches.write();
        if matches.len() >= REMEMBERED_MODELS {
            matches.clear();
        }
        matches.insert(key, found.clone());
        found
    }
}

/// What a book charges for one call.
struct BookRates {
    key: SmolStr,
    card: RateCard,
    warning: Option<String>,
}

/// Anthropic's factor for calls that are computed in the US only, as a fraction.
pub(crate) const GEO_FACTOR: (i64, i64) = (11, 10);

/// Whether a call that was computed there costs more per token.
pub(crate) fn is_dearer_place(provider: &str, geo: &str) -> bool {
    provider == "anthropic" && geo.trim().eq_ignore_ascii_case("us")
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
fn settle(usage: &TokenUsage, parts: &Parts, bill: Bill, mut explanation: CostExplanation) -> Cost {
    if bill.lines.is_empty() && !bill.missing.is_empty() {
        return Cost::unpriced();
    }
    if parts.clipped {
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
        ("input", own.get(RateKind::Input), bundled.get(RateKind::Input)),
        ("output", own.get(RateKind::Output), bundled.get(RateKind::Output)),
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
