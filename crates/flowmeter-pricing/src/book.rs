//! The price book: one call in, its cost and the reason for it out.
//!
//! Sources in order: what the provider reported, the user's own prices, the bundled book at the call's
//! time and tier. Where none knows the model the cost is unpriced, and never zero.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flowmeter_model::{Cost, CostExplanation, CostStatus, TimestampNs, TokenUsage, UsdNanos};
use smol_str::{SmolStr, format_smolstr};

use crate::bill::{Bill, Parts, RateCard, RateKind, bill};
use crate::bundled::{self, Rated};
use crate::edition::{CardKey, Edition, Entry};
use crate::host::{Host, fold, host};
use crate::overrides::Overrides;
use crate::refresh::RefreshedPrices;
use crate::remembered::{KnownModel, KnownModels, OwnPrice};

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

/// Prices calls. Cheap to make: prices are decoded when first needed.
#[derive(Debug, Default)]
pub struct PriceBook {
    pub(crate) overrides: Overrides,
    refreshed: Option<RefreshedPrices>,
    refreshed_edition: OnceLock<Result<Arc<Edition>, String>>,
    bundled: OnceLock<Arc<Edition>>,
    warming: AtomicBool,
    known: KnownModels,
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
        let is_known = call.usage.is_known();
        // The response's model goes before the request's.
        let models = [call.response_model, Some(call.request_model)]
            .map(|model| model.map(|model| self.known(call.provider, model)));
        let models = || models.iter().flatten();
        if is_known && let Some(own) = models().find_map(|model| model.own.as_ref()) {
            let entry = models().find_map(|model| self.entry(model, call.provider));
            return self.price_by_override(call, own, entry);
        }
        if models().any(|model| model.is_local) {
            return local(call);
        }
        if !is_known {
            return Cost::unpriced();
        }
        let entry = models().find_map(|model| self.entry(model, call.provider));
        entry
            .and_then(|entry| self.price_by_book(call, entry))
            .unwrap_or_else(Cost::unpriced)
    }

    fn price_by_override(&self, call: &PricedCall<'_>, own: &OwnPrice, entry: Option<&Arc<Entry>>) -> Cost {
        let mut card = own.rates.card();
        let mut warnings = Vec::new();
        let parts = Parts::of(call.usage);
        if let Some(entry) = entry
            && let Some(rated) = rates_for(entry, call, &parts)
        {
            warnings.extend(unit_doubts(&own.key, &card, &rated.card, &entry.found.key));
            fill_in(&mut card, &rated.card);
            for (kind, rate) in [("input", own.rates.input), ("output", own.rates.output)] {
                if rate.is_none() {
                    warnings.push(format!(
                        "`{}` in pricing.json has no `{kind}`: that of {} in {} is used",
                        own.key, entry.found.key, entry.edition.source
                    ));
                }
            }
        }
        let explanation = CostExplanation {
            matched: own.key.clone(),
            source: self.overrides.source(),
            source_date: self.overrides.date(),
            rule: SmolStr::new_static(own.rule),
            warnings,
            ..CostExplanation::default()
        };
        settle(call.usage, &parts, bill(call.usage, &parts, &card), explanation)
    }

    fn price_by_book(&self, call: &PricedCall<'_>, entry: &Entry) -> Option<Cost> {
        let mut parts = Parts::of(call.usage);
        bill_at_least(&mut parts, &entry.found.key);
        let rated = rates_for(entry, call, &parts)?;
        let mut card = rated.card;
        let mut warnings: Vec<String> = rated.warning.iter().cloned().collect();
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
        let mut bill = bill(call.usage, &parts, &card);
        if rated.warning.is_some() && call.tier() == DEARER_TIER {
            bill.missing.push(MISSING_TIER);
        }
        Some(settle(call.usage, &parts, bill, explanation))
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

    /// What is known of a model as served by the provider of the hint.
    pub(crate) fn known(&self, provider: Option<&str>, model: &str) -> Arc<KnownModel> {
        let hint = provider.unwrap_or_default();
        self.known.get(hint, model, || {
            let hint = Some(hint).filter(|hint| !hint.trim().is_empty());
            let own = self.overrides.find(hint, model).map(|found| OwnPrice {
                key: SmolStr::new(found.key),
                rule: found.rule,
                rates: *found.rates,
            });
            let is_local = hint.is_some_and(|hint| host(hint) == Host::Local);
            KnownModel::new(hint.unwrap_or_default(), model, own, is_local)
        })
    }

    /// The entry that a model means in the first book that knows it.
    pub(crate) fn entry<'a>(&self, known: &'a KnownModel, provider: Option<&str>) -> Option<&'a Arc<Entry>> {
        let find = || {
            let hint = provider.filter(|hint| !hint.trim().is_empty());
            self.editions().find_map(|edition| {
                let found = bundled::find(edition.calculator(), hint, known.model())?;
                Some(Arc::new(Entry::new(Arc::clone(edition), found)))
            })
        };
        known.entry.get_or_init(find).as_ref()
    }

    /// The same for a name.
    pub(crate) fn remembered_match(&self, provider: Option<&str>, model: &str) -> Option<Arc<Entry>> {
        self.entry(&self.known(provider, model), provider).cloned()
    }
}

/// The entry's rates for what was used, on the call's terms.
fn rates_for(entry: &Entry, call: &PricedCall<'_>, parts: &Parts) -> Option<Arc<Rated>> {
    let edition = &entry.edition;
    entry.rates(CardKey {
        moment: edition.moment(call.start.0 / SECOND_NS),
        bracket: edition.bracket(call.usage.input_tokens()),
        kinds: parts.kinds(),
        tier: call.tier(),
    })
}

/// Groq bills each transcription as at least ten seconds of audio.
fn bill_at_least(parts: &mut Parts, key: &str) {
    const SHORTEST_MS: u64 = 10_000;
    let audio_ms = parts.counts.get(RateKind::AudioMs);
    if (1..SHORTEST_MS).contains(&audio_ms) && key.starts_with("groq/whisper-") {
        parts.counts.set(RateKind::AudioMs, SHORTEST_MS);
    }
}

/// Takes from the book what a price file leaves out: searches, which are charged beside the model, and
/// where it has no rate for input or output at all, those with their parts. A fee for the call itself is
/// part of the user's price, or it is not there.
pub(crate) fn fill_in(own: &mut RateCard, book: &RateCard) {
    for kind in RateKind::ALL
        .into_iter()
        .filter(|kind| *kind != RateKind::Request)
    {
        own.set(kind, own.get(kind).or(book.get(kind)));
    }
}

/// The tier that always costs more than the standard one: without a price for it, the standard price is a
/// lower bound.
pub(crate) const DEARER_TIER: &str = "fast";

/// What is missing then.
pub(crate) const MISSING_TIER: &str = "service_tier";

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
