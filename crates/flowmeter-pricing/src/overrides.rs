//! The user's own prices: `pricing.json`, and how a call's model finds its entry there.
//!
//! Never reads the file itself, never guesses a unit, and never matches a name by its beginning.

mod check;
mod edit;
mod fault;
mod parse;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::bill::{RateCard, RateKind};
use crate::host::{Host, fold, host, known_id, spellings};
use crate::model_name::{fine_tuned_base, strip_version, unprefixed, without_region};

pub use check::{Finding, Severity};
pub use edit::{EditError, PriceUnit, RateChange, edit_prices, remove_price};
pub use fault::PricingFileError;

/// The rates of one model, in nano-dollars per million tokens unless said otherwise. What is `None` falls
/// back: whatever is part of the input to the input rate (the one-hour write to `cache_write` first, cached
/// audio to `cache_read` first), whatever is part of the output to the output rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverrideRates {
    /// Input tokens that were neither read from nor written to a cache.
    pub input: Option<i64>,
    /// Output tokens.
    pub output: Option<i64>,
    /// Input tokens read from the provider's cache.
    pub cache_read: Option<i64>,
    /// Input tokens written to the provider's cache.
    pub cache_write: Option<i64>,
    /// Input tokens written to the provider's cache for one hour.
    pub cache_write_1h: Option<i64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<i64>,
    /// Audio in the input.
    pub input_audio: Option<i64>,
    /// Images in the input.
    pub input_image: Option<i64>,
    /// Audio in the output.
    pub output_audio: Option<i64>,
    /// Images in the output.
    pub output_image: Option<i64>,
    /// Searches of the web, in nano-dollars per thousand searches.
    pub web_search: Option<i64>,
    /// The call itself, in nano-dollars per thousand calls.
    pub request: Option<i64>,
    /// The most output tokens that one call can give: no rate, but what budgets need.
    pub max_output_tokens: Option<u64>,
}

impl OverrideRates {
    /// The place of the rate that stands under this key in a price file.
    fn slot(&mut self, key: &str) -> Option<&mut Option<i64>> {
        Some(match key {
            "input" => &mut self.input,
            "output" => &mut self.output,
            "cache_read" => &mut self.cache_read,
            "cache_write" => &mut self.cache_write,
            "cache_write_1h" => &mut self.cache_write_1h,
            "reasoning" => &mut self.reasoning,
            "input_audio" => &mut self.input_audio,
            "input_image" => &mut self.input_image,
            "output_audio" => &mut self.output_audio,
            "output_image" => &mut self.output_image,
            "web_search" => &mut self.web_search,
            "request" => &mut self.request,
            _ => return None,
        })
    }

    /// The rate per kind with the fallbacks applied.
    pub(crate) fn card(&self) -> RateCard {
        let mut card = RateCard::default();
        let cache_read = self.cache_read.or(self.input);
        let cache_write = self.cache_write.or(self.input);
        for (kind, rate) in [
            (RateKind::Input, self.input),
            (RateKind::CacheRead, cache_read),
            (
                RateKind::CacheReadAudio,
                self.cache_read.or(self.input_audio).or(self.input),
            ),
            (
                RateKind::CacheReadImage,
                self.cache_read.or(self.input_image).or(self.input),
            ),
            (RateKind::CacheReadVideo, cache_read),
            (RateKind::CacheWrite5m, cache_write),
            (RateKind::CacheWrite1h, self.cache_write_1h.or(cache_write)),
            (RateKind::InputAudio, self.input_audio.or(self.input)),
            (RateKind::InputImage, self.input_image.or(self.input)),
            (RateKind::InputVideo, self.input),
            (RateKind::Output, self.output),
            (RateKind::Reasoning, self.reasoning.or(self.output)),
            (RateKind::OutputAudio, self.output_audio.or(self.output)),
            (RateKind::OutputImage, self.output_image.or(self.output)),
            (RateKind::OutputVideo, self.output),
            (RateKind::Citation, self.output),
            (RateKind::WebSearch, self.web_search),
            (RateKind::Request, self.request),
        ] {
            card.set(kind, rate);
        }
        card
    }
}

/// A set of the user's own prices, by model or by `provider/model`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    rates: FxHashMap<String, OverrideRates>,
    source: Option<SmolStr>,
    date: Option<SmolStr>,
}

/// The entry that a call's model found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverrideMatch<'a> {
    pub(crate) key: &'a str,
    pub(crate) rule: &'static str,
    pub(crate) rates: &'a OverrideRates,
}

impl Overrides {
    /// Reads the text of a price file. The second part of the result are warnings: entries that can be
    /// read but look wrong.
    ///
    /// # Errors
    /// [`PricingFileError`] with the line and column of what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), PricingFileError> {
        parse::parse(text)
    }

    /// The same under the name that explanations give the source, `pricing.json` without this, and with the day that
    /// it is of, such as `2026-11-20`.
    #[must_use]
    pub fn of_source(mut self, source: &str, date: Option<&str>) -> Self {
        self.source = Some(SmolStr::new(source));
        self.date = date.map(SmolStr::new);
        self
    }

    pub(crate) fn source(&self) -> SmolStr {
        let usual = || SmolStr::new_static("pricing.json");
        self.source.clone().unwrap_or_else(usual)
    }

    pub(crate) fn date(&self) -> Option<SmolStr> {
        self.date.clone()
    }

    /// Sets the rates of `model`, which may be `provider/model`; case does not matter. Says what stood
    /// there before.
    pub fn insert(&mut self, model: &str, rates: OverrideRates) -> Option<OverrideRates> {
        self.rates.insert(fold(model).into_owned(), rates)
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }

    /// How many models have rates here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rates.len()
    }

    /// The rates under exactly this key.
    #[must_use]
    pub fn get(&self, model: &str) -> Option<&OverrideRates> {
        self.rates.get(&*fold(model))
    }

    /// Every entry with its key in lower case, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OverrideRates)> {
        self.rates.iter().map(|(key, rates)| (key.as_str(), rates))
    }

    /// The entries of dated releases of a model: its name may be an alias for any of them.
    pub(crate) fn releases_of(&self, model: &str) -> impl Iterator<Item = &OverrideRates> {
        let model = fold(model);
        let wanted = unprefixed(&model).map_or(&*model, |found| found.name).to_owned();
        self.rates.iter().filter_map(move |(key, rates)| {
            let mut name = unprefixed(key).map_or(key.as_str(), |found| found.name);
            while let Some(stem) = strip_version(name) {
                name = stem;
                if name == wanted {
                    return Some(rates);
                }
            }
            None
        })
    }

    /// Looks a model up: exact names first, then without prefix, region and version suffix.
    pub(crate) fn find(&self, provider: Option<&str>, model: &str) -> Option<OverrideMatch<'_>> {
        if self.rates.is_empty() {
            return None;
        }
        let model = fold(model);
        let provider = provider.map(fold);
        let mut bases = vec![(&*model, "exact")];
        if let Some(base) = fine_tuned_base(&model) {
            // `ft:base` prices every fine-tune of a base; the base's own entry never does.
            let tuned = &model[..base.len() + "ft:".len()];
            bases.push((tuned, "fine-tuned base"));
        } else {
            let short = unprefixed(&model).map(|found| found.name);
            bases.extend(short.map(|name| (name, "prefix stripped")));
            // A router's name may stand before the provider's.
            let shorter = short.and_then(unprefixed).map(|found| found.name);
            bases.extend(shorter.map(|name| (name, "prefix stripped")));
            let regionless = without_region(shorter.or(short).unwrap_or(&model));
            bases.extend(regionless.map(|name| (name, "region stripped")));
        }
        for (name, rule) in &bases {
            if let Some(found) = self.find_exact(provider.as_deref(), name, rule) {
                return Some(found);
            }
        }
        let strippable = if model.starts_with("ft:") {
            &bases[1..]
        } else {
            &bases[..]
        };
        for (name, _) in strippable {
            let mut name = *name;
            while let Some(shorter) = strip_version(name) {
                name = shorter;
                if let Some(found) = self.find_exact(provider.as_deref(), name, "version suffix stripped") {
                    return Some(found);
                }
            }
        }
        None
    }

    /// `provider/model` under every spelling of the provider, then the model alone.
    fn find_exact(
        &self,
        provider: Option<&str>,
        name: &str,
        rule: &'static str,
    ) -> Option<OverrideMatch<'_>> {
        let known = provider.and_then(|provider| match host(provider) {
            Host::Known(id) => Some(id),
            Host::Local | Host::Other => known_id(provider),
        });
        let others = known.map_or(&[][..], spellings);
        let qualified_rule = if rule == "exact" {
            "exact provider/model"
        } else {
            rule
        };
        let plain_rule = if rule == "exact" { "exact model" } else { rule };
        provider
            .into_iter()
            .chain(others.iter().copied())
            .find_map(|prefix| self.entry(&format!("{prefix}/{name}"), qualified_rule))
            .or_else(|| self.entry(name, plain_rule))
    }

    fn entry(&self, key: &str, rule: &'static str) -> Option<OverrideMatch<'_>> {
        let (key, rates) = self.rates.get_key_value(key)?;
        Some(OverrideMatch { key, rule, rates })
    }
}

#[cfg(test)]
mod tests;
