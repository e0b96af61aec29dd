//! What a call can cost at most, before it is made: for budgets.
//!
//! Never below what the call turns out to cost, as long as it keeps to its bounds, and always rounded up.
//! Where no bound is known it says so and gives none.

use std::sync::Arc;

use flowmeter_model::{TimestampNs, UsdNanos};
use smol_str::SmolStr;

use crate::bill::{Kinds, RateCard, RateKind, grains, grains_in, nanos_up};
use crate::book::{DEARER_TIER, GEO_FACTOR, MISSING_TIER, PriceBook, fill_in, is_dearer_place, standard_or};
use crate::edition::{CardKey, Edition, Entry, Moment};
use crate::host::fold;
use crate::limits;
use crate::overrides::OverrideRates;
use crate::remembered::OwnPrice;

/// Providers whose models write to the cache without being asked to.
const UNASKED_CACHE_WRITERS: [&str; 4] = ["openai", "azure", "google", "x-ai"];

/// How much later than expected a call may start and still be within its bound.
pub(crate) const START_MARGIN_S: u64 = 3_600;

/// A call that has not been made yet, as far as its highest cost depends on it. What is left at its default
/// is counted with at its dearest.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoundedCall<'a> {
    /// Who will serve the call (`openai`, `aws.bedrock`, …), where known.
    pub provider: Option<&'a str>,
    /// The model asked for.
    pub model: &'a str,
    /// When the call will start; it may be up to one hour late.
    pub start: TimestampNs,
    /// The service tier asked for. Without one, and for `auto`, the provider may choose `priority`, which
    /// is dearer; `default` or `standard` rules that out.
    pub service_tier: Option<&'a str>,
    /// Where the call is to be computed, where the request says so (Anthropic's `inference_geo`).
    pub inference_geo: Option<&'a str>,
    /// The most input tokens that the request can have.
    pub input_tokens_max: u64,
    /// The most output tokens that the request allows, of all answers together.
    pub output_tokens_max: Option<u64>,
    /// How many answers are asked for (OpenAI's `n`): the model's own maximum counts for each. 0 means 1.
    pub answers: u32,
    /// The request holds no audio, images or video.
    pub input_is_text: bool,
    /// The answer will hold no audio, images or video.
    pub output_is_text: bool,
    /// The request asks for nothing to be written to the provider's cache. Providers that write to it
    /// without being asked are still counted with.
    pub no_cache_writes: bool,
    /// The most web searches that the provider may run.
    pub searches_max: u64,
}

/// Where the highest number of output tokens is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputLimitSource {
    /// The request says so.
    Request,
    /// `max_output_tokens` in the user's pricing.json.
    PricingFile,
    /// The newer price file.
    Refreshed,
    /// What the model's maker publishes.
    Published,
    /// The model's context window: no answer is longer than that.
    ContextWindow,
}

impl OutputLimitSource {
    /// In words: `the request's limit`, `the model's published maximum`, ….
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "the request's limit",
            Self::PricingFile => "max_output_tokens in pricing.json",
            Self::Refreshed => "the refreshed price file",
            Self::Published => "the model's published maximum",
            Self::ContextWindow => "the model's context window",
        }
    }
}

/// The most output tokens of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Number of tokens.
    pub tokens: u64,
    /// Where it is known from.
    pub source: OutputLimitSource,
}

/// The dearest rates that may apply to a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundRates {
    /// The entry that the model matched, such as `openai/gpt-4o`.
    pub matched: SmolStr,
    /// Nano-dollars per million input tokens, whatever they are used for.
    pub input: i64,
    /// Nano-dollars per million output tokens, whatever they are used for.
    pub output: i64,
    /// Nano-dollars per thousand web searches.
    pub web_search: i64,
    /// Nano-dollars per thousand calls.
    pub request: i64,
}

/// What a call can cost at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallBound {
    /// The call costs no more than this.
    Bounded {
        /// The highest cost.
        cost_max: UsdNanos,
        /// The most output tokens that it counts with.
        output: OutputLimit,
        /// The rates that it counts with.
        rates: BoundRates,
    },
    /// Nobody knows how long the answer can be; the rest is known.
    OutputUnknown {
        /// What the call costs with no output at all, at most.
        input_cost_max: UsdNanos,
        /// The rates, to compute what fits into a budget.
        rates: BoundRates,
    },
    /// No price is known for the model, or not for all that the call may use.
    Unpriced {
        /// What has no price: empty where the model has none at all.
        missing: Vec<&'static str>,
    },
}

impl CallBound {
    /// The highest cost, if it is known.
    #[must_use]
    pub fn cost_max(&self) -> Option<UsdNanos> {
        match self {
            Self::Bounded { cost_max, .. } => Some(*cost_max),
            Self::OutputUnknown { .. } | Self::Unpriced { .. } => None,
        }
    }

    /// The most output tokens, if they are known.
    #[must_use]
    pub fn output(&self) -> Option<OutputLimit> {
        match self {
            Self::Bounded { output, .. } => Some(*output),
            Self::OutputUnknown { .. } | Self::Unpriced { .. } => None,
        }
    }
}

impl BoundRates {
    /// What so much use costs at most: tokens in and out, web searches, and one call. Rounded up.
    #[must_use]
    pub fn cost_max(&self, input_tokens: u64, output_tokens: u64, searches: u64) -> UsdNanos {
        nanos_up(self.grains(input_tokens, searches).saturating_add(grains(
            RateKind::Output,
            output_tokens,
            self.output,
        )))
    }

    /// How many output tokens fit into `money` beside the input; `u64::MAX` where output costs nothing,
    /// `None` where not even the input fits.
    #[must_use]
    pub fn output_tokens_within(&self, money: UsdNanos, input_tokens: u64, searches: u64) -> Option<u64> {
        let left = grains_in(money).saturating_sub(self.grains(input_tokens, searches));
        if left < 0 {
            return None;
        }
        let each = grains(RateKind::Output, 1, self.output);
        if each <= 0 {
            return Some(u64::MAX);
        }
        Some(u64::try_from(left / each).unwrap_or(u64::MAX))
    }

    fn grains(&self, input_tokens: u64, searches: u64) -> i128 {
        grains(RateKind::Input, input_tokens, self.input)
            .saturating_add(grains(RateKind::WebSearch, searches, self.web_search))
            .saturating_add(grains(RateKind::Request, 1, self.request))
    }
}

/// What decides the dearest rates, besides the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BoundKey {
    tier: Option<SmolStr>,
    geo: Option<SmolStr>,
    first: Option<Moment>,
    last: Option<Moment>,
    bracket: u8,
    switches: u8,
}

/// Dearest rates, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DearestCard {
    rates: BoundRates,
    unpriced: bool,
    missing: Vec<&'static str>,
    own_limit: Option<OutputLimit>,
}

impl PriceBook {
    /// What a call can cost at most, at the dearest rates that may apply to it.
    ///
    /// A model's name may be an alias for a dated release: the bound counts with the price of the name that
    /// was asked for.
    #[must_use]
    pub fn bound(&self, call: &BoundedCall<'_>) -> CallBound {
        let card = self.dearest(call);
        if card.unpriced {
            return CallBound::Unpriced { missing: Vec::new() };
        }
        let missing: Vec<_> = card
            .missing
            .iter()
            .copied()
            .filter(|kind| match *kind {
                "input" => call.input_tokens_max > 0,
                "output" => call.output_tokens_max != Some(0),
                "web_search" => call.searches_max > 0,
                _ => true,
            })
            .collect();
        if !missing.is_empty() {
            return CallBound::Unpriced { missing };
        }
        let asked = call.output_tokens_max.map(|tokens| OutputLimit {
            tokens,
            source: OutputLimitSource::Request,
        });
        let limit = asked.or_else(|| {
            let own = card.own_limit?;
            Some(OutputLimit {
                tokens: own.tokens.saturating_mul(u64::from(call.answers.max(1))),
                source: own.source,
            })
        });
        let rates = card.rates.clone();
        let limit = limit.or_else(|| {
            // An answer that costs nothing needs no limit.
            (rates.output == 0).then_some(OutputLimit {
                tokens: u64::MAX,
                source: OutputLimitSource::Published,
            })
        });
        match limit {
            Some(output) => CallBound::Bounded {
                cost_max: rates.cost_max(call.input_tokens_max, output.tokens, call.searches_max),
                output,
                rates,
            },
            None => CallBound::OutputUnknown {
                input_cost_max: rates.cost_max(call.input_tokens_max, 0, call.searches_max),
                rates,
            },
        }
    }

    /// The most output tokens that a model can give, as far as anyone says.
    #[must_use]
    pub fn output_limit(&self, provider: Option<&str>, model: &str) -> Option<OutputLimit> {
        let own = self.overrides.find(provider, model).map(|found| found.rates);
        self.limit_of(own, provider, model)
    }

    pub(crate) fn limit_of(
        &self,
        own: Option<&OverrideRates>,
        provider: Option<&str>,
        model: &str,
    ) -> Option<OutputLimit> {
        let from = |source| move |tokens| OutputLimit { tokens, source };
        let own = own.and_then(|rates| rates.max_output_tokens);
        if let Some(tokens) = own {
            return Some(from(OutputLimitSource::PricingFile)(tokens));
        }
        let entry = self.remembered_match(provider, model);
        let Some(entry) = entry else {
            return limits::published(provider, model).map(from(OutputLimitSource::Published));
        };
        entry
            .refreshed_limit()
            .map(from(OutputLimitSource::Refreshed))
            .or_else(|| limits::published(provider, model).map(from(OutputLimitSource::Published)))
            .or_else(|| entry.context_window().map(from(OutputLimitSource::ContextWindow)))
    }

    /// The same for an entry of the book itself.
    pub(crate) fn limit_in(
        &self,
        edition: &Edition,
        provider: &str,
        model: &str,
        context_window: Option<u64>,
    ) -> Option<OutputLimit> {
        let from = |source| move |tokens| OutputLimit { tokens, source };
        let own = self
            .overrides
            .find(Some(provider), model)
            .map(|found| found.rates);
        let refreshed = || edition.output_limits.get(&format!("{provider}/{model}")).copied();
        own.and_then(|rates| rates.max_output_tokens)
            .map(from(OutputLimitSource::PricingFile))
            .or_else(|| refreshed().map(from(OutputLimitSource::Refreshed)))
            .or_else(|| limits::published(Some(provider), model).map(from(OutputLimitSource::Published)))
            .or_else(|| context_window.map(from(OutputLimitSource::ContextWindow)))
    }

    fn dearest(&self, call: &BoundedCall<'_>) -> Arc<DearestCard> {
        let known = self.known(call.provider, call.model);
        let is_free = known.is_local && known.own.is_none();
        let entry = if is_free {
            None
        } else {
            self.entry(&known, call.provider)
        };
        let second = call.start.0 / 1_000_000_000;
        let switches = u8::from(call.input_is_text)
            | u8::from(call.output_is_text) << 1
            | u8::from(call.no_cache_writes) << 2;
        let edition = entry.map(|entry| &entry.edition);
        let key = BoundKey {
            tier: call.service_tier.map(SmolStr::new),
            geo: call.inference_geo.map(SmolStr::new),
            first: edition.map(|edition| edition.moment(second)),
            last: edition.map(|edition| edition.moment(second.saturating_add(START_MARGIN_S))),
            bracket: edition.map_or(0, |edition| edition.bracket(call.input_tokens_max)),
            switches,
        };
        known.dearest(key, || {
            if is_free {
                return DearestCard {
                    rates: BoundRates {
                        matched: SmolStr::new(call.model),
                        ..BoundRates::default()
                    },
                    ..DearestCard::default()
                };
            }
            self.compute_dearest(call, known.own.as_ref(), entry.map(|entry| &**entry), second)
        })
    }

    fn compute_dearest(
        &self,
        call: &BoundedCall<'_>,
        own: Option<&OwnPrice>,
        entry: Option<&Entry>,
        second: u64,
    ) -> DearestCard {
        let cards = entry.map_or_else(Vec::new, |entry| cards_of(entry, call, second));
        // The name may be an alias for a release that has an own price.
        let own_cards: Vec<RateCard> = own
            .map(|own| &own.rates)
            .into_iter()
            .chain(self.overrides.releases_of(call.model))
            .map(OverrideRates::card)
            .collect();
        if own.is_none() && cards.is_empty() {
            return DearestCard {
                unpriced: true,
                ..DearestCard::default()
            };
        }
        // What the file leaves out is the book's, at its dearest.
        let mut filled = Vec::new();
        for own_card in &own_cards {
            for in_book in &cards {
                let mut card = *own_card;
                fill_in(&mut card, in_book);
                filled.push(card);
            }
        }
        if cards.is_empty() {
            filled = own_cards;
        } else if own.is_none() {
            filled.extend(&cards);
        }
        let mut dearest = dearest_of(&filled, call, entry);
        let tier = call.service_tier.map(fold).unwrap_or_default();
        if own.is_none() && tier == DEARER_TIER && entry.is_some_and(|entry| lacks_tier(entry, &tier, second))
        {
            dearest.missing.push(MISSING_TIER);
        }
        dearest.rates.matched = match (own, entry) {
            (Some(own), _) => own.key.clone(),
            (None, Some(entry)) => entry.found.key.clone(),
            (None, None) => SmolStr::default(),
        };
        dearest.own_limit = self.limit_of(own.map(|own| &own.rates), call.provider, call.model);
        dearest
    }
}

/// The cards of an entry on every term that may apply.
fn cards_of(entry: &Entry, call: &BoundedCall<'_>, second: u64) -> Vec<RateCard> {
    let edition = &entry.edition;
    let moments = edition.moments(second, second.saturating_add(START_MARGIN_S));
    let mut cards = Vec::new();
    for tier in tiers_of(call.service_tier) {
        for moment in &moments {
            for bracket in 0..=edition.bracket(call.input_tokens_max) {
                let key = CardKey {
                    moment: *moment,
                    bracket,
                    kinds: Kinds::ALL,
                    tier: tier.clone(),
                };
                cards.extend(entry.ask(&key).map(|rated| rated.card));
            }
        }
    }
    // Where the request does not say, the workspace's own setting decides.
    if is_dearer_place(&entry.found.provider, call.inference_geo.unwrap_or("us")) {
        for card in &mut cards {
            card.scale_tokens(GEO_FACTOR.0, GEO_FACTOR.1);
        }
    }
    cards
}

/// Whether the book has no price of its own for a tier.
fn lacks_tier(entry: &Entry, tier: &str, second: u64) -> bool {
    let key = CardKey {
        moment: entry.edition.moment(second),
        bracket: 0,
        kinds: Kinds::default(),
        tier: SmolStr::new(tier),
    };
    entry.ask(&key).is_none_or(|rated| rated.warning.is_some())
}

/// The tiers at which a call may be served that asked for this one.
fn tiers_of(asked: Option<&str>) -> Vec<SmolStr> {
    let asked = asked.map(fold).unwrap_or_default();
    match &*asked {
        // What is asked for as a batch is charged as one.
        "batch" => vec![SmolStr::new_static("batch")],
        // The provider may choose the dearer tier where the request leaves it the choice.
        "" | "auto" => ["", "priority", "fast"].map(SmolStr::new_static).to_vec(),
        other => {
            let mut tiers = vec![SmolStr::default(), standard_or(other)];
            tiers.dedup();
            tiers
        }
    }
}

/// The dearest rates of some cards for what the call may use.
fn dearest_of(cards: &[RateCard], call: &BoundedCall<'_>, entry: Option<&Entry>) -> DearestCard {
    let writes_unasked = entry.is_some_and(|entry| UNASKED_CACHE_WRITERS.contains(&&*entry.found.provider));
    let input_kinds = |kind: &RateKind| match kind {
        RateKind::Input | RateKind::CacheRead => true,
        RateKind::CacheWrite5m | RateKind::CacheWrite1h => writes_unasked || !call.no_cache_writes,
        _ => !call.input_is_text,
    };
    let output_kinds = |kind: &RateKind| match kind {
        RateKind::OutputAudio | RateKind::OutputImage | RateKind::OutputVideo => !call.output_is_text,
        _ => true,
    };
    let dearest = |kinds: Vec<RateKind>| {
        let rates = cards
            .iter()
            .flat_map(|card| kinds.iter().filter_map(|kind| card.get(*kind)));
        rates.max()
    };
    let lacks = |kind: RateKind| cards.iter().any(|card| card.get(kind).is_none());
    let mut missing = Vec::new();
    for kind in [RateKind::Input, RateKind::Output, RateKind::WebSearch] {
        if lacks(kind) {
            missing.push(kind.as_str());
        }
    }
    DearestCard {
        rates: BoundRates {
            matched: SmolStr::default(),
            input: dearest(RateKind::OF_INPUT.into_iter().filter(input_kinds).collect()).unwrap_or(0),
            output: dearest(RateKind::OF_OUTPUT.into_iter().filter(output_kinds).collect()).unwrap_or(0),
            web_search: dearest(vec![RateKind::WebSearch]).unwrap_or(0),
            request: dearest(vec![RateKind::Request]).unwrap_or(0),
        },
        unpriced: false,
        missing,
        own_limit: None,
    }
}

#[cfg(test)]
mod tests;
