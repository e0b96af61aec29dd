//! What the price book knows, for somebody who asks: the list of its models, and everything about one.
//!
//! Never prices a call, and remembers nothing: it is for the command line, where a few milliseconds are fine.

use flowmeter_model::TimestampNs;
use smol_str::{SmolStr, format_smolstr};

use crate::bill::{Kinds, RateCard, RateKind};
use crate::book::PriceBook;
use crate::bound::OutputLimit;
use crate::bundled;
use crate::edition::{CardKey, Edition, Entry, Moment};
use crate::host::{Host, fold, host, known_id};

/// Days since 1970 from which prices are looked at: 2022-01-01. No price of the book is older.
const FIRST_DAY: u64 = 18_993;

/// How far ahead prices that are announced are looked for, in days.
const DAYS_AHEAD: u64 = 730;

const DAY_NS: u64 = 86_400_000_000_000;

/// The tiers that providers sell.
const SERVICE_TIERS: [&str; 4] = ["batch", "flex", "priority", "fast"];

/// Names less alike than this are no help.
const LEAST_LIKENESS: f64 = 0.84;

/// The rate of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What is charged.
    pub kind: RateKind,
    /// Nano-dollars per the kind's unit ([`RateKind::unit`]).
    pub nanos: i64,
}

/// One model in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedModel {
    /// The provider's id in the price book; empty for an entry of pricing.json that names none.
    pub provider: SmolStr,
    /// The model's id.
    pub model: SmolStr,
    /// The model's name for people.
    pub name: Option<String>,
    /// Tokens of prompt and answer together.
    pub context_window: Option<u64>,
    /// The most output tokens of one answer.
    pub output_limit: Option<OutputLimit>,
    /// The rates for input, output and the cache at the time asked for.
    pub rates: Vec<Rate>,
    /// `pricing.json`, or the book's name and release.
    pub source: SmolStr,
}

/// Rates that hold for requests of more than so many input tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeTier {
    /// The whole request is charged at these rates if it has more input tokens than this.
    pub above_tokens: u64,
    /// All rates.
    pub rates: Vec<Rate>,
}

/// Rates of a service tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTier {
    /// `batch`, `flex`, `priority` or `fast`.
    pub name: &'static str,
    /// All rates.
    pub rates: Vec<Rate>,
}

/// Rates that hold for a part of each day, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayWindow {
    /// Seconds since midnight at which it begins.
    pub from_s: u32,
    /// Seconds since midnight at which it ends; 86,400 is midnight.
    pub until_s: u32,
    /// All rates.
    pub rates: Vec<Rate>,
}

/// Rates that hold from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedRates {
    /// Midnight (UTC) of the first day; `None` for the rates before the first change that the book knows.
    pub from: Option<TimestampNs>,
    /// All rates.
    pub rates: Vec<Rate>,
}

/// Everything about the price of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownModel {
    /// The key that matched: `openai/gpt-4o`, or the key in pricing.json.
    pub matched: SmolStr,
    /// The rule that led to it.
    pub rule: SmolStr,
    /// `pricing.json`, or the book's name and release.
    pub source: SmolStr,
    /// What the user should know about this match.
    pub warnings: Vec<String>,
    /// All rates at the time asked for, for a short request at the standard tier.
    pub rates: Vec<Rate>,
    /// Dearer rates for long requests.
    pub size_tiers: Vec<SizeTier>,
    /// Rates of other service tiers.
    pub service_tiers: Vec<ServiceTier>,
    /// The parts of the day, where the price depends on it; empty where it does not.
    pub day_windows: Vec<DayWindow>,
    /// Every price that the book knows, oldest first; one where the price never changed.
    pub history: Vec<DatedRates>,
    /// Tokens of prompt and answer together.
    pub context_window: Option<u64>,
    /// The most output tokens of one answer.
    pub output_limit: Option<OutputLimit>,
    /// What the book says where pricing.json goes before it.
    pub hidden: Option<Box<ShownModel>>,
}

/// What is known about a model's price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The model has a price.
    Priced(Box<ShownModel>),
    /// The model runs on one's own machine and costs nothing.
    Local,
    /// Nobody knows the model.
    Unpriced {
        /// The names most like it, best first, as `provider/model`.
        nearest: Vec<SmolStr>,
    },
}

pub(crate) fn rates_of(card: &RateCard) -> Vec<Rate> {
    let known = |kind: RateKind| card.get(kind).map(|nanos| Rate { kind, nanos });
    RateKind::ALL.into_iter().filter_map(known).collect()
}

/// The rates without those that only repeat the rate of their whole.
fn own_rates(card: &RateCard) -> Vec<Rate> {
    let whole_of = |kind: RateKind| match kind {
        RateKind::CacheReadAudio | RateKind::CacheReadImage | RateKind::CacheReadVideo => {
            Some(RateKind::CacheRead)
        }
        RateKind::CacheWrite1h => Some(RateKind::CacheWrite5m),
        kind if kind != RateKind::Input && RateKind::OF_INPUT.contains(&kind) => Some(RateKind::Input),
        kind if kind != RateKind::Output && RateKind::OF_OUTPUT.contains(&kind) => Some(RateKind::Output),
        _ => None,
    };
    let mut rates = rates_of(card);
    rates.retain(|rate| whole_of(rate.kind).is_none_or(|whole| card.get(whole) != Some(rate.nanos)));
    rates
}

impl PriceBook {
    /// The models of all sources, pricing.json first, with their prices at a time. `text` must stand in
    /// `provider/model` or in the model's name, `provider` must be the provider's; case does not matter.
    /// A model that a refreshed file knows is not listed again from the bundled book.
    #[must_use]
    pub fn list(&self, text: Option<&str>, provider: Option<&str>, at: TimestampNs) -> Vec<ListedModel> {
        let text = text.map(fold).unwrap_or_default();
        let wanted =
            provider.map(|hint| known_id(&fold(hint)).map_or_else(|| fold(hint).into_owned(), str::to_owned));
        let is_wanted = |provider: &str, model: &str, name: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| wanted == provider)
                && (text.is_empty()
                    || fold(&format!("{provider}/{model}")).contains(&*text)
                    || name.is_some_and(|name| fold(name).contains(&*text)))
        };
        let mut listed = self.list_own(&is_wanted);
        let own = listed.len();
        let mut seen = std::collections::BTreeSet::new();
        for edition in self.editions() {
            for provider in edition.calculator().providers() {
                for model in provider.models() {
                    if !is_wanted(provider.id(), model.id(), model.name())
                        || !seen.insert((provider.id().to_owned(), model.id().to_owned()))
                    {
                        continue;
                    }
                    listed.push(self.listed(edition, provider.id(), &model, at));
                }
            }
        }
        listed[own..].sort_by(|one, other| (&one.provider, &one.model).cmp(&(&other.provider, &other.model)));
        listed
    }

    fn list_own(&self, is_wanted: &dyn Fn(&str, &str, Option<&str>) -> bool) -> Vec<ListedModel> {
        let mut listed = Vec::new();
        for (key, rates) in self.overrides.iter() {
            let (provider, model) = match key.split_once('/') {
                Some((prefix, rest)) if known_id(prefix).is_some() => {
                    (known_id(prefix).unwrap_or(prefix), rest)
                }
                _ => ("", key),
            };
            if is_wanted(provider, model, None) {
                listed.push(ListedModel {
                    provider: SmolStr::new(provider),
                    model: SmolStr::new(model),
                    name: None,
                    context_window: None,
                    output_limit: self.output_limit(Some(provider).filter(|id| !id.is_empty()), model),
                    rates: own_rates(&rates.card()),
                    source: self.overrides.source(),
                });
            }
        }
        listed.sort_by(|one, other| (&one.provider, &one.model).cmp(&(&other.provider, &other.model)));
        listed
    }

    fn listed(
        &self,
        edition: &std::sync::Arc<Edition>,
        provider: &str,
        model: &genai_prices::ModelInfo<'_>,
        at: TimestampNs,
    ) -> ListedModel {
        let entry = bundled::entry_of(edition.calculator(), provider, model.id());
        let entry = Entry::new(std::sync::Arc::clone(edition), entry);
        let kinds = Kinds::only(&[
            RateKind::CacheRead,
            RateKind::CacheWrite5m,
            RateKind::CacheWrite1h,
        ]);
        let rated = entry.ask(&CardKey {
            moment: edition.moment(at.0 / 1_000_000_000),
            bracket: 0,
            kinds,
            tier: SmolStr::default(),
        });
        ListedModel {
            provider: SmolStr::new(provider),
            model: SmolStr::new(model.id()),
            name: model.name().map(str::to_owned),
            context_window: model.context_window(),
            output_limit: self.limit_in(edition, provider, model.id(), model.context_window()),
            rates: rated.map_or_else(Vec::new, |rated| own_rates(&rated.card)),
            source: edition.source.clone(),
        }
    }

    /// Everything about the price of a model at a time.
    #[must_use]
    pub fn show(&self, provider: Option<&str>, model: &str, at: TimestampNs) -> Shown {
        let hint = provider.filter(|hint| !hint.trim().is_empty());
        let own = self.overrides.find(hint, model);
        if own.is_none() && hint.is_some_and(|hint| host(hint) == Host::Local) {
            return Shown::Local;
        }
        let in_book = self
            .remembered_match(hint, model)
            .map(|entry| self.shown_entry(&entry, hint, model, at));
        if let Some(own) = own {
            return Shown::Priced(Box::new(ShownModel {
                matched: SmolStr::new(own.key),
                rule: SmolStr::new_static(own.rule),
                source: self.overrides.source(),
                warnings: Vec::new(),
                rates: own_rates(&own.rates.card()),
                size_tiers: Vec::new(),
                service_tiers: Vec::new(),
                day_windows: Vec::new(),
                history: vec![DatedRates {
                    from: None,
                    rates: own_rates(&own.rates.card()),
                }],
                context_window: in_book.as_ref().and_then(|shown| shown.context_window),
                output_limit: self.output_limit(hint, model),
                hidden: in_book.map(Box::new),
            }));
        }
        match in_book {
            Some(shown) => Shown::Priced(Box::new(shown)),
            None => Shown::Unpriced {
                nearest: self.nearest(model),
            },
        }
    }

    fn shown_entry(&self, entry: &Entry, hint: Option<&str>, model: &str, at: TimestampNs) -> ShownModel {
        let edition = &entry.edition;
        let now = edition.moment(at.0 / 1_000_000_000);
        let card = |moment: Moment, bracket: u8, tier: &str| {
            entry.ask(&CardKey {
                moment,
                bracket,
                kinds: Kinds::ALL,
                tier: SmolStr::new(tier),
            })
        };
        let standard = card(now, 0, "").map(|rated| rated.card).unwrap_or_default();
        let mut size_tiers = Vec::new();
        let mut below = standard;
        for (bracket, step) in (1_u8..).zip(edition.sizes()) {
            let Some(above) = card(now, bracket, "").map(|rated| rated.card) else {
                continue;
            };
            if above != below {
                size_tiers.push(SizeTier {
                    above_tokens: *step,
                    rates: own_rates(&above),
                });
            }
            below = above;
        }
        let mut service_tiers = Vec::new();
        for name in SERVICE_TIERS {
            if let Some(rated) = card(now, 0, name)
                && rated.warning.is_none()
                && rated.card != standard
            {
                service_tiers.push(ServiceTier {
                    name,
                    rates: own_rates(&rated.card),
                });
            }
        }
        ShownModel {
            matched: entry.found.key.clone(),
            rule: SmolStr::new_static(entry.found.rule),
            source: edition.source.clone(),
            warnings: entry.found.warning.iter().cloned().collect(),
            rates: own_rates(&standard),
            size_tiers,
            service_tiers,
            day_windows: day_windows(edition, now, &|moment| {
                card(moment, 0, "")
                    .map(|rated| own_rates(&rated.card))
                    .unwrap_or_default()
            }),
            history: history(entry, at),
            context_window: entry.context_window(),
            output_limit: self.limit_of(None, hint, model),
            hidden: None,
        }
    }

    /// The names of the book most like one, best first, as `provider/model`; at most three.
    #[must_use]
    pub fn nearest(&self, model: &str) -> Vec<SmolStr> {
        let wanted = fold(model);
        let wanted_short = wanted.rsplit('/').next().unwrap_or(&wanted);
        if wanted_short.is_empty() || wanted_short.len() > 100 {
            return Vec::new();
        }
        let mut ranked: Vec<(f64, bool, SmolStr)> = Vec::new();
        for edition in self.editions() {
            for provider in edition.calculator().providers() {
                for known in provider.models() {
                    let id = fold(known.id());
                    let short = id.rsplit('/').next().unwrap_or(&id);
                    let likeness = likeness(wanted_short, short);
                    if likeness >= LEAST_LIKENESS {
                        // A maker's own entry says more than one of the many who resell it.
                        let is_maker = bundled::is_maker(provider.id());
                        ranked.push((
                            likeness,
                            is_maker,
                            format_smolstr!("{}/{}", provider.id(), known.id()),
                        ));
                    }
                }
            }
        }
        ranked.sort_by(|one, other| {
            (other.0.total_cmp(&one.0))
                .then(other.1.cmp(&one.1))
                .then_with(|| one.2.cmp(&other.2))
        });
        let mut nearest: Vec<SmolStr> = Vec::new();
        let mut shorts = Vec::new();
        for (_, _, key) in ranked {
            let short = key.rsplit('/').next().unwrap_or(&key).to_lowercase();
            if nearest.len() < 3 && !shorts.contains(&short) {
                shorts.push(short);
                nearest.push(key);
            }
        }
        nearest
    }
}

/// How alike two names are, from 0 to 1: the likeness of beginnings and of single letters, whichever is less.
fn likeness(one: &str, other: &str) -> f64 {
    let letters = strsim::normalized_damerau_levenshtein(one, other);
    if letters < 0.5 {
        return 0.0;
    }
    (strsim::jaro_winkler(one, other) + letters) / 2.0
}

fn day_windows(edition: &Edition, now: Moment, rates: &dyn Fn(Moment) -> Vec<Rate>) -> Vec<DayWindow> {
    let starts: Vec<u32> = std::iter::once(0)
        .chain(edition.day_seconds().iter().copied().filter(|second| *second > 0))
        .collect();
    let mut windows: Vec<DayWindow> = Vec::new();
    for (slot, start) in starts.iter().enumerate() {
        let until_s = starts.get(slot + 1).copied().unwrap_or(86_400);
        let rates = rates(edition.moment(now.midnight() + u64::from(*start)));
        match windows.last_mut() {
            Some(last) if last.rates == rates => last.until_s = until_s,
            _ => windows.push(DayWindow {
                from_s: *start,
                until_s,
                rates,
            }),
        }
    }
    if windows.len() > 1 { windows } else { Vec::new() }
}

/// The prices by date: each day is asked for, since only the book knows when its prices change.
fn history(entry: &Entry, at: TimestampNs) -> Vec<DatedRates> {
    let last = (at.0 / DAY_NS).max(FIRST_DAY) + DAYS_AHEAD;
    let edition = &entry.edition;
    let mut history: Vec<DatedRates> = Vec::new();
    let mut before = None;
    for day in FIRST_DAY..=last {
        // Noon, so that prices of the night do not look like changes.
        let moment = edition.moment(day * 86_400 + 43_200);
        let fingerprint = entry.fingerprint(moment);
        if before.as_ref() == Some(&fingerprint) {
            continue;
        }
        before = Some(fingerprint);
        let key = CardKey {
            moment,
            bracket: 0,
            kinds: Kinds::ALL,
            tier: SmolStr::default(),
        };
        history.push(DatedRates {
            from: (day > FIRST_DAY).then_some(TimestampNs(day * DAY_NS)),
            rates: entry
                .ask(&key)
                .map(|rated| own_rates(&rated.card))
                .unwrap_or_default(),
        });
    }
    history
}

#[cfg(test)]
mod tests;
